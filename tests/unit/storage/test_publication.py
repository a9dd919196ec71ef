"""The order of a durable copy, and that every step of it is needed."""

import errno
import os
from pathlib import Path

import pytest

from nualley.core import Digester, Digests, ExitCode, NualleyError
from nualley.storage import (
    DestinationBusy,
    DestinationConflict,
    DestinationRefused,
    DigestMismatch,
    DriveFailing,
    DriveFull,
    DriveReadOnly,
    PublishStep,
    SourceChanged,
    SourceUnreadable,
    SourceVanished,
    VerifyFailed,
    publish,
    publish_made,
)
from tests.unit.storage.memory_files import MemoryFile, MemoryFiles

ROOT = Path("/data1")
SOURCE = Path("/drop/wave0.dat")
DESTINATION = ROOT / "cenns-10" / "raw" / "42" / "wave0.dat"
DATA = bytes(range(256)) * 8192 + b"end"


def digests_of(data: bytes) -> Digests:
    digester = Digester()
    digester.update(data)
    return digester.digests()


@pytest.fixture
def files() -> MemoryFiles:
    files = MemoryFiles(ROOT)
    files.put(SOURCE, DATA, mtime_ns=1234)
    return files


def refuse(files: MemoryFiles, call: str, number: int, under: Path = ROOT) -> None:
    def hook(name: str, path: Path) -> None:
        if name == call and under in (path, *path.parents):
            raise OSError(number, os.strerror(number), str(path))

    files.hook = hook


def assert_nothing_left(files: MemoryFiles) -> None:
    assert set(files.names) <= {SOURCE}
    assert not files.after_power_cut()


def test_the_copy_is_durable_verified_and_dated_as_the_source(files: MemoryFiles) -> None:
    published = publish(SOURCE, DESTINATION, files=files)
    assert published.digests == digests_of(DATA)
    assert published.destination == DESTINATION
    assert not published.already_there
    assert not published.is_source
    assert files.get(DESTINATION) == DATA
    assert files.is_durable(DESTINATION)
    assert set(files.names) == {SOURCE, DESTINATION}
    assert set(files.after_power_cut()) == {DESTINATION}
    assert files.names[DESTINATION].mtime_ns == 1234


def test_the_order_of_the_steps(files: MemoryFiles) -> None:
    publish(SOURCE, DESTINATION, files=files)
    part = files.part_path(DESTINATION)
    calls = files.calls
    last_write = max(i for i, call in enumerate(calls) if call == ("write", part))
    verified = [i for i, call in enumerate(calls) if call == ("read", part)]
    steps = [
        calls.index(("preallocate", part)),
        last_write,
        calls.index(("sync", part)),
        calls.index(("drop_cache", part)),
        verified[0],
        verified[-1],
        max(i for i, call in enumerate(calls) if call == ("state", SOURCE)),
        calls.index(("link", DESTINATION)),
        calls.index(("sync_directory", DESTINATION.parent)),
    ]
    assert steps == sorted(steps)
    assert calls.index(("set_mtime", part)) < calls.index(("sync", part))
    folders = [DESTINATION.parent, *list(DESTINATION.parents)[1:4]]
    assert files.names_of("sync_directory") == folders
    assert folders[-1] == ROOT


def test_a_power_cut_after_any_step_leaves_all_or_nothing(files: MemoryFiles) -> None:
    left: list[bytes | None] = []

    def hook(_call: str, _path: Path) -> None:
        left.append(files.after_power_cut().get(DESTINATION))

    files.hook = hook
    publish(SOURCE, DESTINATION, files=files)
    hook("end", ROOT)
    assert set(left) == {None, DATA}
    assert left[-1] == DATA


def test_progress_counts_copy_and_reading_back(files: MemoryFiles) -> None:
    told: list[tuple[int, int]] = []
    publish(SOURCE, DESTINATION, files=files, progress=lambda done_B, total_B: told.append((done_B, total_B)))
    assert [done_B for done_B, _ in told] == sorted({done_B for done_B, _ in told})
    assert told[-1] == (2 * len(DATA), 2 * len(DATA))


def test_an_empty_file_is_a_file(files: MemoryFiles) -> None:
    files.put(SOURCE, b"")
    assert publish(SOURCE, DESTINATION, files=files).digests.size_B == 0
    assert files.is_durable(DESTINATION)


def test_the_same_bytes_are_already_there_and_made_durable(files: MemoryFiles) -> None:
    files.put(DESTINATION, DATA)
    published = publish(SOURCE, DESTINATION, files=files)
    assert published.already_there
    assert not published.is_source
    assert published.digests == digests_of(DATA)
    assert files.is_durable(DESTINATION)
    assert ("drop_cache", DESTINATION) in files.calls
    assert not files.names_of("open_part")


def test_what_is_already_there_is_read_from_the_drive_not_from_the_cache(files: MemoryFiles) -> None:
    files.put(DESTINATION, DATA)
    files.flip_on_device = True
    with pytest.raises(DestinationConflict):
        publish(SOURCE, DESTINATION, files=files)


def test_a_file_published_onto_itself_is_no_second_copy(files: MemoryFiles) -> None:
    files.names[DESTINATION] = files.names[SOURCE]
    assert publish(SOURCE, DESTINATION, files=files).is_source


def test_a_stale_part_beside_a_good_file_is_cleared(files: MemoryFiles) -> None:
    files.put(DESTINATION, DATA)
    files.put(files.part_path(DESTINATION), b"half")
    publish(SOURCE, DESTINATION, files=files)
    assert set(files.names) == {SOURCE, DESTINATION}


def test_other_bytes_under_the_final_name_are_a_conflict(files: MemoryFiles) -> None:
    files.put(DESTINATION, b"other")
    with pytest.raises(DestinationConflict) as caught:
        publish(SOURCE, DESTINATION, files=files)
    assert digests_of(b"other").xxh3_128 in str(caught.value)
    assert digests_of(DATA).xxh3_128 in str(caught.value)
    assert caught.value.exit_code == ExitCode.NOT_INTACT
    assert files.get(DESTINATION) == b"other"


def appears_before_link(files: MemoryFiles, data: bytes) -> None:
    def hook(call: str, path: Path) -> None:
        if call == "link":
            files.put(path, data)

    files.hook = hook


def test_a_destination_that_appears_with_other_bytes_is_kept(files: MemoryFiles) -> None:
    appears_before_link(files, b"other")
    with pytest.raises(DestinationConflict):
        publish(SOURCE, DESTINATION, files=files)
    assert files.get(DESTINATION) == b"other"
    assert files.part_path(DESTINATION) not in files.names


def test_a_destination_that_appears_with_the_same_bytes_is_already_there(files: MemoryFiles) -> None:
    appears_before_link(files, DATA)
    assert publish(SOURCE, DESTINATION, files=files).already_there
    assert set(files.names) == {SOURCE, DESTINATION}


def test_a_link_that_was_made_although_the_server_said_it_exists_is_ours(files: MemoryFiles) -> None:
    def hook(call: str, path: Path) -> None:
        if call == "link":
            files.names[path] = files.names[files.part_path(path)]

    files.hook = hook
    assert not publish(SOURCE, DESTINATION, files=files).already_there
    assert files.is_durable(DESTINATION)


def test_bytes_that_the_drive_changed_are_not_published(files: MemoryFiles) -> None:
    files.flip_on_device = True
    with pytest.raises(VerifyFailed, match=r"reads back as xxh3_128 .* written was") as caught:
        publish(SOURCE, DESTINATION, files=files)
    assert caught.value.exit_code == ExitCode.NOT_INTACT
    assert_nothing_left(files)


def test_expected_digests_are_compared_and_both_are_named(files: MemoryFiles) -> None:
    assert publish(SOURCE, DESTINATION, files=files, expected=digests_of(DATA)).digests == digests_of(DATA)
    wrong = digests_of(b"other")
    for destination in (DESTINATION, DESTINATION.with_name("second")):  # one is there already, one is not
        with pytest.raises(DigestMismatch) as caught:
            publish(SOURCE, destination, files=files, expected=wrong)
        assert wrong.xxh3_128 in str(caught.value)
        assert digests_of(DATA).xxh3_128 in str(caught.value)
    assert set(files.names) == {SOURCE, DESTINATION}


@pytest.mark.parametrize("during", ["write", "sync", "drop_cache"])
@pytest.mark.parametrize("data", [DATA + b"more", b"x" * len(DATA), b""])
def test_a_source_that_changes_is_not_published(files: MemoryFiles, during: str, data: bytes) -> None:
    done: list[str] = []

    def hook(call: str, _path: Path) -> None:
        if call == during and not done:
            done.append(call)
            files.put(SOURCE, data, mtime_ns=1234)

    files.hook = hook
    with pytest.raises(SourceChanged, match="changed while it was read"):
        publish(SOURCE, DESTINATION, files=files)
    assert_nothing_left(files)


def test_a_source_replaced_by_another_file_of_the_same_size_and_time_is_not_published(files: MemoryFiles) -> None:
    def hook(call: str, _path: Path) -> None:
        if call == "sync":
            del files.names[SOURCE]
            files.put(SOURCE, b"y" * len(DATA), mtime_ns=1234)

    files.hook = hook
    with pytest.raises(SourceChanged, match="inode"):
        publish(SOURCE, DESTINATION, files=files)


def test_a_source_that_changes_while_it_is_compared_is_noticed(files: MemoryFiles) -> None:
    files.put(DESTINATION, DATA)

    def hook(call: str, path: Path) -> None:
        if (call, path) == ("read", SOURCE):
            files.names[SOURCE].mtime_ns += 1

    files.hook = hook
    with pytest.raises(SourceChanged, match="mtime_ns"):
        publish(SOURCE, DESTINATION, files=files)


def test_a_source_that_ends_early_is_not_published(files: MemoryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file server may end a file early and still name its full size."""
    real = files.open

    def open_short(path: Path, *, is_link_followed: bool = True) -> MemoryFile:
        opened = real(path, is_link_followed=is_link_followed)
        opened.offset = len(DATA) // 2
        return opened

    monkeypatch.setattr(files, "open", open_short)
    with pytest.raises(SourceChanged, match=f"{len(DATA)} B at first"):
        publish(SOURCE, DESTINATION, files=files)
    assert_nothing_left(files)


def test_a_source_that_is_not_there_or_goes_away(files: MemoryFiles) -> None:
    with pytest.raises(SourceVanished, match="is not there"):
        publish(SOURCE.with_name("absent"), DESTINATION, files=files)

    def hook(call: str, _path: Path) -> None:
        if call == "sync":
            del files.names[SOURCE]

    files.hook = hook
    with pytest.raises(SourceVanished) as caught:
        publish(SOURCE, DESTINATION, files=files)
    assert isinstance(caught.value, FileNotFoundError)
    assert DESTINATION not in files.names


def test_a_source_that_is_no_file(files: MemoryFiles) -> None:
    with pytest.raises(SourceUnreadable, match="not a regular file"):
        publish(SOURCE.parent, DESTINATION, files=files)


@pytest.mark.parametrize(("number", "remedy"), [(errno.EIO, "SMART"), (errno.EACCES, "the right to read")])
def test_a_source_that_cannot_be_read(files: MemoryFiles, number: int, remedy: str) -> None:
    refuse(files, "read", number, under=SOURCE)
    with pytest.raises(SourceUnreadable, match=remedy) as caught:
        publish(SOURCE, DESTINATION, files=files)
    assert errno.errorcode[number] in caught.value.what
    assert_nothing_left(files)


CALLS_BEFORE_LINK = ["make_directories", "open_part", "preallocate", "write", "set_mtime", "sync", "drop_cache", "read"]


@pytest.mark.parametrize("call", ["state", *CALLS_BEFORE_LINK, "link"])
@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.ENOSPC, DriveFull, "free"),
        (errno.EDQUOT, DriveFull, "quota"),
        (errno.EROFS, DriveReadOnly, "read-only"),
        (errno.EIO, DriveFailing, "failed"),
        (errno.EACCES, DestinationRefused, "the right to write"),
        (errno.ENAMETOOLONG, DestinationRefused, "another place"),
    ],
)
def test_a_refusal_at_any_step_is_told_and_leaves_nothing(
    files: MemoryFiles, call: str, number: int, kind: type[NualleyError], text: str
) -> None:
    refuse(files, call, number)
    with pytest.raises(kind, match=text):
        publish(SOURCE, DESTINATION, files=files)
    assert_nothing_left(files)
    files.hook = lambda _call, _path: None
    assert not publish(SOURCE, DESTINATION, files=files).already_there


def test_a_full_drive_that_no_longer_tells_its_room(files: MemoryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: Path) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(files, "available_B", fail)
    refuse(files, "open_part", errno.ENOSPC)
    with pytest.raises(DriveFull, match=r"0 B \(0 B\) free"):
        publish(SOURCE, DESTINATION, files=files)


def test_a_failing_directory_sync_is_told_and_mended_by_the_next_try(files: MemoryFiles) -> None:
    refuse(files, "sync_directory", errno.EIO)
    with pytest.raises(DriveFailing):
        publish(SOURCE, DESTINATION, files=files)
    assert not files.is_durable(DESTINATION)
    files.hook = lambda _call, _path: None
    assert publish(SOURCE, DESTINATION, files=files).already_there
    assert files.is_durable(DESTINATION)


@pytest.mark.parametrize("is_preallocating", [True, False])
def test_a_full_drive_names_free_and_needed_bytes(is_preallocating: bool) -> None:
    files = MemoryFiles(ROOT, room_B=len(DATA) + 2**20, is_preallocating=is_preallocating)
    files.put(SOURCE, DATA)
    with pytest.raises(DriveFull) as caught:
        publish(SOURCE, DESTINATION, files=files)
    assert "1.0 MiB (1048576 B) free" in caught.value.what or not is_preallocating
    assert f"({len(DATA)} B)" in caught.value.what
    assert "the same command again" in caught.value.do
    assert bool(files.names_of("write")) is not is_preallocating
    assert_nothing_left(files)


def test_a_destination_that_another_process_writes(files: MemoryFiles) -> None:
    files.make_directories(DESTINATION.parent)
    with files.open_part(DESTINATION), pytest.raises(DestinationBusy, match="another process"):
        publish(SOURCE, DESTINATION, files=files)


def test_a_drive_without_locks(files: MemoryFiles) -> None:
    refuse(files, "open_part", errno.ENOLCK)
    with pytest.raises(DestinationRefused, match="with locks"):
        publish(SOURCE, DESTINATION, files=files)


def test_names_that_are_no_text_are_shown_escaped(files: MemoryFiles) -> None:
    with pytest.raises(SourceVanished, match=r"run\\x0a\\xff"):
        publish(Path(os.fsdecode(b"/drop/run\n\xff")), DESTINATION, files=files)


# ---------------------------------------------------------------- files that a library writes
def maker(files: MemoryFiles, data: bytes) -> "object":
    def make(path: Path) -> None:
        files.names[path].data[:] = data

    return make


def test_a_made_file_is_published_in_the_same_order(files: MemoryFiles) -> None:
    checked: list[Path] = []
    published = publish_made(DESTINATION, maker(files, DATA), files=files, check=checked.append)
    assert published.digests == digests_of(DATA)
    assert files.is_durable(DESTINATION)
    assert checked == [files.part_path(DESTINATION)]
    names = [call for call, _ in files.calls]
    assert names.index("sync") < names.index("drop_cache") < names.index("link") < names.index("sync_directory")


def test_a_made_file_never_overwrites(files: MemoryFiles) -> None:
    files.put(DESTINATION, b"old")
    with pytest.raises(DestinationConflict, match="something lies there already"):
        publish_made(DESTINATION, maker(files, DATA), files=files)
    del files.names[DESTINATION]
    appears_before_link(files, b"old")
    with pytest.raises(DestinationConflict):
        publish_made(DESTINATION, maker(files, DATA), files=files)
    assert files.get(DESTINATION) == b"old"


def test_a_made_file_that_the_check_refuses_or_the_drive_changed_is_thrown_away(files: MemoryFiles) -> None:
    def check(_path: Path) -> None:
        raise VerifyFailed("not what it should be")

    with pytest.raises(VerifyFailed, match="not what it should be"):
        publish_made(DESTINATION, maker(files, DATA), files=files, check=check)
    assert_nothing_left(files)
    files.flip_on_device = True
    with pytest.raises(VerifyFailed, match="reads back"):
        publish_made(DESTINATION, maker(files, DATA), files=files)
    assert_nothing_left(files)


def test_a_full_drive_under_a_made_file(files: MemoryFiles) -> None:
    def make(_path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DriveFull, match=r"needs 1\.0 KiB"):
        publish_made(DESTINATION, make, files=files, size_B=1024)
    assert_nothing_left(files)


# ---------------------------------------------------------------- a copy that is taken up again
class Killed(BaseException):
    """What no handler of errors sees."""


def left_after(files: MemoryFiles, n_written: int) -> None:
    """Copy until that many chunks are written, then be killed."""

    def advance(done_B: int, _total_B: int) -> None:
        if done_B >= n_written * 2**20:
            raise Killed

    with pytest.raises(Killed):
        publish(SOURCE, DESTINATION, files=files, progress=advance, resumes=True)
    assert DESTINATION not in files.names
    assert files.part_path(DESTINATION) in files.names


def n_written(files: MemoryFiles) -> int:
    return len(files.names_of("write"))


def test_a_copy_that_was_stopped_goes_on_where_it_was(files: MemoryFiles) -> None:
    left_after(files, 1)
    files.calls.clear()
    published = publish(SOURCE, DESTINATION, files=files, resumes=True)
    assert n_written(files) == 2
    assert published.digests == digests_of(DATA)
    assert files.is_durable(DESTINATION)
    assert set(files.names) == {SOURCE, DESTINATION}


@pytest.mark.parametrize("at", [0, 2**20 - 1, 2**20, len(DATA) - 4])
def test_a_part_is_believed_only_as_far_as_it_is_the_source(files: MemoryFiles, at: int) -> None:
    left_after(files, 3)
    part = files.part_path(DESTINATION)
    rotten = bytearray(files.get(part) or b"")
    rotten[at] ^= 1
    files.rot(part, bytes(rotten))
    publish(SOURCE, DESTINATION, files=files, resumes=True)
    assert files.get(DESTINATION) == DATA


def test_a_part_of_a_source_that_changed_since_is_written_anew(files: MemoryFiles) -> None:
    left_after(files, 2)
    other = bytes(reversed(DATA))
    files.put(SOURCE, other, mtime_ns=99)
    assert publish(SOURCE, DESTINATION, files=files, resumes=True).digests == digests_of(other)
    assert files.get(DESTINATION) == other


def test_a_part_that_is_longer_than_the_source_is_not_gone_on_with(files: MemoryFiles) -> None:
    left_after(files, 3)
    files.put(SOURCE, DATA[:1000])
    publish(SOURCE, DESTINATION, files=files, resumes=True)
    assert files.get(DESTINATION) == DATA[:1000]


def test_a_part_that_has_the_final_name_too_is_never_written_to(files: MemoryFiles) -> None:
    publish(SOURCE, DESTINATION, files=files)
    files.names[files.part_path(DESTINATION)] = files.names[DESTINATION]
    final = DESTINATION.with_name("elsewhere")  # somebody renamed it: the name is free again
    files.names[final] = files.names.pop(DESTINATION)
    files.put(SOURCE, bytes(len(DATA)))
    publish(SOURCE, DESTINATION, files=files, resumes=True)
    assert files.get(final) == DATA
    assert files.get(DESTINATION) == bytes(len(DATA))


def test_without_resuming_nothing_is_left_and_nothing_taken_up(files: MemoryFiles) -> None:
    left_after(files, 1)
    files.calls.clear()

    def advance(_done_B: int, _total_B: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        publish(SOURCE, DESTINATION, files=files, progress=advance)
    assert_nothing_left(files)
    assert not files.names_of("take_part")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_copy_that_failed_leaves_no_part_to_go_on_with(files: MemoryFiles, number: int) -> None:
    left_after(files, 1)
    refuse(files, "write", number)
    with pytest.raises(NualleyError):
        publish(SOURCE, DESTINATION, files=files, resumes=True)
    assert_nothing_left(files)


def test_the_steps_are_told_when_they_are_reached(files: MemoryFiles) -> None:
    told: list[tuple[str, bool, bool]] = []

    def tell(step: PublishStep, digests: Digests) -> None:
        assert digests == digests_of(DATA)
        part = files.names[files.part_path(DESTINATION)]
        told.append((step, part.on_device == DATA, not part.is_cached))

    publish(SOURCE, DESTINATION, files=files, told=tell)
    assert told == [(PublishStep.SYNCED, True, False), (PublishStep.VERIFIED, True, True)]


def test_bytes_that_the_drive_changed_are_never_told_as_verified(files: MemoryFiles) -> None:
    told: list[str] = []
    files.flip_on_device = True
    with pytest.raises(VerifyFailed):
        publish(SOURCE, DESTINATION, files=files, told=lambda step, _digests: told.append(step))
    assert told == ["synced"]
