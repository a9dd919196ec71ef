"""What every implementation of `DurableFiles` has to do: the real one and the fake of the tests."""

import errno
import fcntl
import mmap
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from nualley.storage import Drive, measure_drive, publish_made
from nualley.storage.adapters import posix
from nualley.storage.adapters.posix import PosixFiles, PosixVolumes, part_path, rename_exclusively
from nualley.storage.ports import DurableFiles, Part
from tests.unit.storage.memory_files import MemoryFiles


class World:
    """An implementation, and a way around it to make and see files."""

    def __init__(self, files: DurableFiles, root: Path) -> None:
        self.files, self.root = files, root

    def put(self, path: Path, data: bytes) -> None:
        if isinstance(self.files, MemoryFiles):
            self.files.put(path, data, mtime_ns=7)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.utime(path, ns=(7, 7))

    def get(self, path: Path) -> bytes | None:
        if isinstance(self.files, MemoryFiles):
            return self.files.get(path)
        return path.read_bytes() if path.exists() else None

    def names(self) -> set[Path]:
        if isinstance(self.files, MemoryFiles):
            return set(self.files.names)
        return {path for path in self.root.rglob("*") if path.is_file()}

    def leave_stale_part(self, destination: Path) -> None:
        """Do what a process leaves that is killed while it writes."""
        part = self.files.open_part(destination)
        part.write(memoryview(b"half"))
        part.__exit__(None, None, None)


@pytest.fixture(params=["posix", "memory"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(PosixFiles() if request.param == "posix" else MemoryFiles(tmp_path), tmp_path)


def read_all(file: Part) -> bytes:
    buffer = memoryview(bytearray(3))
    found = b""
    while n_read := file.read_into(buffer):
        found += bytes(buffer[:n_read])
    return found


def test_state_of_nothing_is_none(world: World) -> None:
    assert world.files.state(world.root / "absent") is None


def test_state_tells_size_mtime_and_identity(world: World) -> None:
    world.put(world.root / "a", b"12345")
    world.put(world.root / "b", b"12345")
    a, b = world.files.state(world.root / "a"), world.files.state(world.root / "b")
    assert a is not None
    assert b is not None
    assert (a.size_B, a.mtime_ns) == (5, 7)
    assert not a.is_same_file(b)
    with world.files.open(world.root / "a") as opened:
        assert opened.state() == a


def test_open_reads_the_bytes_again_after_rewind(world: World) -> None:
    world.put(world.root / "a", b"1234567")
    with world.files.open(world.root / "a") as opened:
        assert read_all(opened) == b"1234567"
        opened.sync()
        opened.drop_cache()
        opened.rewind()
        assert read_all(opened) == b"1234567"


def test_open_of_nothing_and_of_a_directory_is_refused(world: World) -> None:
    with pytest.raises(FileNotFoundError):
        world.files.open(world.root / "absent")
    world.put(world.root / "d" / "a", b"")
    with pytest.raises(OSError, match="not a regular file") as caught:
        world.files.open(world.root / "d")
    assert caught.value.errno == errno.EINVAL


def test_a_part_is_written_linked_and_removed(world: World) -> None:
    destination = world.root / "d" / "final"
    world.files.make_directories(destination.parent)
    with world.files.open_part(destination) as part:
        part.preallocate(6)
        part.write(memoryview(b"abc"))
        part.write(memoryview(b"def"))
        part.set_mtime(99)
        part.sync()
        part.drop_cache()
        part.rewind()
        assert read_all(part) == b"abcdef"
        assert world.get(destination) is None
        part.link(destination)
        found = world.files.state(destination)
        assert found is not None
        assert found.is_same_file(part.state())
        part.remove()
        part.remove()
    assert world.get(destination) == b"abcdef"
    assert found.mtime_ns == 99
    assert world.names() == {destination}


def test_link_never_overwrites(world: World) -> None:
    destination = world.root / "final"
    with world.files.open_part(destination) as part:
        part.write(memoryview(b"new"))
        world.put(destination, b"old")
        with pytest.raises(FileExistsError):
            part.link(destination)
        part.remove()
    assert world.get(destination) == b"old"


def test_a_held_part_is_refused_to_others_and_not_stale(world: World) -> None:
    destination = world.root / "final"
    with world.files.open_part(destination) as part:
        with pytest.raises(BlockingIOError):
            world.files.open_part(destination)
        assert not world.files.remove_stale_part(destination)
        assert part.path in world.names()
        part.remove()


def test_a_stale_part_is_replaced_by_an_empty_one(world: World) -> None:
    destination = world.root / "final"
    world.leave_stale_part(destination)
    with world.files.open_part(destination) as part:
        assert part.state().size_B == 0
        part.remove()
    assert world.names() == set()


def test_a_stale_part_that_is_a_name_of_the_final_file_is_not_cut(world: World) -> None:
    """Killed between link and unlink: both names point at the one good file."""
    destination = world.root / "final"
    part = world.files.open_part(destination)
    part.write(memoryview(b"good"))
    part.link(destination)
    part.__exit__(None, None, None)
    with world.files.open_part(destination) as fresh:
        fresh.write(memoryview(b"x"))
        fresh.remove()
    assert world.get(destination) == b"good"


def test_stale_parts_are_removed_on_request(world: World) -> None:
    destination = world.root / "final"
    assert not world.files.remove_stale_part(destination)
    world.leave_stale_part(destination)
    assert world.files.remove_stale_part(destination)
    assert world.names() == set()


def test_a_part_of_a_dead_process_is_taken_over_at_its_start(world: World) -> None:
    destination = world.root / "final"
    assert world.files.take_part(destination, 10) is None
    world.leave_stale_part(destination)
    part = world.files.take_part(destination, 10)
    assert part is not None
    with part:
        assert read_all(part) == b"half"
        part.seek(2)
        part.write(memoryview(b"ALLOWED"))
        part.rewind()
        assert read_all(part) == b"haALLOWED"
        with pytest.raises(BlockingIOError):
            world.files.take_part(destination, 10)
        with pytest.raises(BlockingIOError):
            world.files.open_part(destination)
        part.link(destination)
        part.remove()
    assert world.get(destination) == b"haALLOWED"
    assert world.names() == {destination}


def test_a_part_that_is_a_name_of_the_final_file_or_too_long_is_not_taken_over(world: World) -> None:
    destination = world.root / "final"
    world.leave_stale_part(destination)
    assert world.files.take_part(destination, 3) is None
    with world.files.open_part(destination) as part:
        part.write(memoryview(b"good"))
        part.link(destination)
    assert world.files.take_part(destination, 10) is None


def test_folders_above_are_named_nearest_first_and_can_be_synced(world: World) -> None:
    above = world.files.make_directories(world.root / "a" / "b")
    assert list(above)[:2] == [world.root / "a", world.root]
    for directory in (world.root / "a" / "b", *above):
        world.files.sync_directory(directory)


def test_free_bytes_are_told_for_a_folder_that_is_not_there_yet(world: World) -> None:
    assert world.files.available_B(world.root / "a" / "b") > 0


# ---------------------------------------------------------------- what only the real one can show
def test_names_of_any_bytes(tmp_path: Path) -> None:
    destination = Path(os.fsdecode(os.fsencode(tmp_path) + b"/run\n\xff.dat"))
    files = PosixFiles()
    with files.open_part(destination) as part:
        part.link(destination)
        part.remove()
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [b"run\n\xff.dat"]


def test_a_part_beside_the_longest_possible_name(tmp_path: Path) -> None:
    names = ["a" * 255, "a" * 254 + "b"]
    paths = {part_path(tmp_path / name) for name in names}
    assert len(paths) == 2
    files = PosixFiles()
    with files.open_part(tmp_path / names[0]) as part:
        part.link(tmp_path / names[0])
        part.remove()


def test_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="not a regular file"):
        PosixFiles().open(tmp_path / "fifo")


def test_a_symbolic_link_is_followed_only_on_request(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with PosixFiles().open(tmp_path / "link") as opened:
        assert opened.state().size_B == 1
    with pytest.raises(OSError, match="symbolic link"):
        PosixFiles().open(tmp_path / "link", is_link_followed=False)


def test_a_part_cannot_be_led_astray_by_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    part_path(tmp_path / "final").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic link"):
        PosixFiles().open_part(tmp_path / "final")
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_published_file_is_read_only(tmp_path: Path) -> None:
    with PosixFiles().open_part(tmp_path / "final") as part:
        part.link(tmp_path / "final")
        part.remove()
    assert stat.S_IMODE((tmp_path / "final").stat().st_mode) & 0o222 == 0


def refuse(number: int) -> Callable[..., None]:
    def call(*_args: object, **_keywords: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_without_hard_links_the_part_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(posix.os, "link", refuse(number))
    with PosixFiles().open_part(tmp_path / "final") as part:
        part.write(memoryview(b"abc"))
        part.link(tmp_path / "final")
        part.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def test_without_hard_links_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posix.os, "link", refuse(errno.EPERM))
    (tmp_path / "final").write_bytes(b"old")
    with PosixFiles().open_part(tmp_path / "final") as part:
        with pytest.raises(FileExistsError):
            part.link(tmp_path / "final")
        part.remove()
    assert (tmp_path / "final").read_bytes() == b"old"


def test_a_link_refused_for_another_reason_is_not_tried_as_a_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posix.os, "link", refuse(errno.EIO))
    with PosixFiles().open_part(tmp_path / "final") as part:
        with pytest.raises(OSError, match="Input/output"):
            part.link(tmp_path / "final")
        part.remove()
    assert list(tmp_path.iterdir()) == []


def test_rename_exclusively_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rename_exclusively(tmp_path / "absent", tmp_path / "final")


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_a_file_system_that_cannot_preallocate_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(posix, "_PLENTY", 2**62)  # room is scarce on any drive
    monkeypatch.setattr(posix.os, "posix_fallocate", refuse(number))
    with PosixFiles().open_part(tmp_path / "final") as part:
        part.preallocate(100)
        part.remove()


def test_a_full_drive_shows_at_preallocation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posix, "_PLENTY", 2**62)
    monkeypatch.setattr(posix.os, "posix_fallocate", refuse(errno.ENOSPC))
    with PosixFiles().open_part(tmp_path / "final") as part:
        with pytest.raises(OSError, match="No space"):
            part.preallocate(100)
        part.remove()


def test_room_is_reserved_only_where_it_is_scarce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PosixFiles().open_part(tmp_path / "plenty") as part:
        part.preallocate(2**20)
        assert part.state().size_B == 0
        part.remove()
    monkeypatch.setattr(posix, "_PLENTY", 2**62)
    with PosixFiles().open_part(tmp_path / "scarce") as part:
        part.preallocate(2**20)
        assert part.state().size_B == 2**20
        part.remove()


@pytest.mark.parametrize("size_B", [0, 1, 4095, 4096, 4097, 2**20, 2**20 + 1, 2 * 2**20 + 4096 + 7])
@pytest.mark.parametrize("skew", [0, 1])
@pytest.mark.parametrize("is_known", [True, False])
def test_bytes_are_the_same_whether_or_not_they_pass_through_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size_B: int, skew: int, is_known: bool
) -> None:
    data = os.urandom(size_B)
    memory = memoryview(mmap.mmap(-1, 2**20 + 4096))
    real, n_direct = os.write, [0]

    def write(descriptor: int, chunk: memoryview) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            n_direct[0] += 1
            if not is_known:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            return real(descriptor, chunk[: max(4096, len(chunk) // 2 // 4096 * 4096)])  # a short write
        return real(descriptor, chunk)

    def read(descriptor: int, buffers: list[memoryview]) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT and not is_known:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real_read(descriptor, buffers)

    real_read = os.readv
    monkeypatch.setattr(posix.os, "write", write)
    monkeypatch.setattr(posix.os, "readv", read)
    with PosixFiles().open_part(tmp_path / "final") as part:
        for start in range(0, size_B, 2**20):
            piece = data[start : start + 2**20]
            chunk = memory[skew : skew + len(piece)]
            chunk[:] = piece
            part.write(chunk)
        part.sync()
        assert part.path.read_bytes() == data
        part.drop_cache()
        part.rewind()
        found, chunk = b"", memory[skew : skew + 2**20]
        while n_read := part.read_into(chunk):
            found += bytes(chunk[:n_read])
        assert found == data
        part.remove()
    if skew or size_B < 4096:
        assert not n_direct[0]


def test_without_locks_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posix.fcntl, "flock", refuse(errno.ENOLCK))
    with pytest.raises(OSError, match="No locks"):
        PosixFiles().open_part(tmp_path / "final")
    assert list(tmp_path.iterdir()) == []


def test_a_part_whose_name_was_taken_away_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may find the part between its making and its locking, and remove it as stale."""
    real, seen = posix.fcntl.flock, []

    def flock(descriptor: int, operation: int) -> None:
        if not seen:
            part_path(tmp_path / "final").unlink()
        seen.append(descriptor)
        real(descriptor, operation)

    monkeypatch.setattr(posix.fcntl, "flock", flock)
    with PosixFiles().open_part(tmp_path / "final") as part:
        assert len(seen) == 2
        assert part.path.exists()
        part.remove()


def test_volumes_tell_size_use_and_rights(tmp_path: Path) -> None:
    found, volume = PosixVolumes().state(tmp_path), os.statvfs(tmp_path)
    assert found.size_B == volume.f_blocks * volume.f_frsize
    assert 0 < found.used_B + found.available_B <= found.size_B
    assert found.is_writable
    assert not found.is_mount_point
    assert PosixVolumes().state(Path("/proc")).is_mount_point


def test_a_volume_that_is_a_file_or_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        PosixVolumes().state(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        PosixVolumes().state(tmp_path / "absent")


# ---------------------------------------------------------------- names that are given up, and markers
def test_a_file_is_moved_and_never_onto_another(world: World) -> None:
    old, new = world.root / "a.dat", world.root / "a.dat.damaged"
    world.put(old, b"abc")
    world.files.move(old, new)
    assert (world.get(old), world.get(new)) == (None, b"abc")
    world.put(old, b"def")
    with pytest.raises(FileExistsError):
        world.files.move(old, new)
    assert (world.get(old), world.get(new)) == (b"def", b"abc")


def test_a_move_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_bytes(b"abc")
    PosixFiles().move(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_volume_is_marked_once_and_known_again(tmp_path: Path) -> None:
    volumes = PosixVolumes()
    assert volumes.state(tmp_path).marker is None
    marker = volumes.mark(tmp_path, "data1")
    assert marker.drive == "data1"
    assert len(marker.drive_id) == 32
    assert volumes.mark(tmp_path, "other") == marker == volumes.state(tmp_path).marker
    assert [path.name for path in tmp_path.iterdir()] == [".nualley-drive"]
    assert stat.S_IMODE((tmp_path / ".nualley-drive").stat().st_mode) == 0o444


def test_a_marker_can_be_read_by_everybody_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        PosixVolumes().mark(tmp_path, "data1")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / ".nualley-drive").stat().st_mode) == 0o444


@pytest.mark.parametrize("text", ["", "drive = 1\n", "not TOML", "\xff"])
def test_a_marker_that_makes_no_sense_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / ".nualley-drive").write_text(text, encoding="latin-1")
    usage = measure_drive(Drive("d", tmp_path), PosixVolumes())
    assert usage.error == "its marker .nualley-drive cannot be understood"
    with pytest.raises(OSError, match="cannot be understood"):
        PosixVolumes().mark(tmp_path, "d")


def test_a_part_is_open_for_writing_only_while_it_is_made(tmp_path: Path) -> None:
    modes: list[int] = []
    publish_made(tmp_path / "made", lambda part: modes.append(part.stat().st_mode), files=PosixFiles())
    assert modes[0] & stat.S_IWUSR  # else nobody but root could make it by its name
    assert not (tmp_path / "made").stat().st_mode & 0o222
