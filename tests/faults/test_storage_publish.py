"""Killed, full, read-only, failing: never a partial or wrong file under a final name, and the next try succeeds."""

import contextlib
import errno
import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nualley.storage import Drive, DriveFailing, DriveFull, DriveReadOnly, SourceUnreadable, measure_drive, publish
from nualley.storage.adapters import posix
from nualley.storage.adapters.posix import PosixFiles, PosixVolumes
from tests.faults.conftest import SmallDrives
from tests.faults.interfering import Interfering, run_in_child

pytestmark = pytest.mark.fault

CHILD = """
import sys
from pathlib import Path
from nualley.storage import publish
from nualley.storage.adapters.posix import PosixFiles
source, folder = map(Path, sys.argv[1:])
print("ready", flush=True)
for number in range(10_000):
    publish(source, folder / f"sub{number % 3}" / f"copy{number}", files=PosixFiles(), resumes=number % 2 == 1)
    print(number, flush=True)
"""


def test_killed_at_random_moments(tmp_path: Path, seed: int, is_soak: bool) -> None:
    chance = random.Random(seed)
    source, folder = tmp_path / "source", tmp_path / "drive"
    data = chance.randbytes(3 * 2**20 + 5)
    source.write_bytes(data)
    for _ in range(100 if is_soak else 4):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, source, folder], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 0.15))
            child.kill()
            acknowledged = [int(line) for line in child.stdout.read().splitlines()]
        for number in acknowledged:
            assert (folder / f"sub{number % 3}" / f"copy{number}").read_bytes() == data
        for path in folder.rglob("copy*"):
            assert path.read_bytes() == data
        for number in range(len(acknowledged) + 1):
            path = folder / f"sub{number % 3}" / f"copy{number}"
            publish(source, path, files=PosixFiles(), resumes=chance.random() < 0.5)
            assert path.read_bytes() == data
        assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize("resumes", [False, True])
def test_killed_before_every_step(tmp_path: Path, resumes: bool) -> None:
    source, data = tmp_path / "source", os.urandom(2**20 + 1)
    source.write_bytes(data)
    n_killed = 0
    for step in range(100):
        folder = tmp_path / f"drive{step}"
        left = [step]

        def before(_name: str, left: list[int] = left) -> None:
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

        files = Interfering(before)
        status = run_in_child(lambda f=folder, i=files: publish(source, f / "final", files=i, resumes=resumes))
        is_killed = os.WIFSIGNALED(status)
        n_killed += is_killed
        final = folder / "final"
        assert not final.exists() or final.read_bytes() == data
        assert not final.exists() or publish(source, final, files=PosixFiles()).already_there
        publish(source, final, files=PosixFiles(), resumes=resumes)
        assert final.read_bytes() == data
        assert [path.name for path in folder.iterdir()] == ["final"]
        if not is_killed:
            break
    assert n_killed > 10


@pytest.mark.parametrize("step", ["open_part", "preallocate", "write", "sync", "read", "link"])
def test_an_input_output_error_at_any_step(tmp_path: Path, step: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"abc" * 1000)

    def before(name: str) -> None:
        if name == step:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(DriveFailing, match="EIO"):
        publish(source, tmp_path / "drive" / "final", files=Interfering(before))
    assert list((tmp_path / "drive").iterdir()) == []
    publish(source, tmp_path / "drive" / "final", files=PosixFiles())


def test_a_source_whose_drive_fails(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"abc")

    def before(_name: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(SourceUnreadable, match="SMART"):
        publish(source, tmp_path / "final", files=Interfering(before))
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("can_preallocate", [True, False])
def test_a_real_full_drive(
    small_drives: SmallDrives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_preallocate: bool
) -> None:
    small_drive = small_drives.mount(size="4m")
    if not can_preallocate:

        def refuse(*_: object) -> None:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

        monkeypatch.setattr(os, "posix_fallocate", refuse)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3 * 2**20))
    publish(source, small_drive / "first", files=PosixFiles())
    with pytest.raises(DriveFull, match=r"has .* free, the file needs 3\.0 MiB \(3145728 B\)"):
        publish(source, small_drive / "sub" / "second", files=PosixFiles())
    assert not [path for path in small_drive.rglob("*") if path.is_file() and path.name != "first"]
    (small_drive / "first").unlink()
    assert not publish(source, small_drive / "sub" / "second", files=PosixFiles()).already_there


@pytest.mark.parametrize("is_reserved", [True, False])
def test_a_drive_with_ext4_that_runs_full_in_writes_past_the_cache(
    small_drives: SmallDrives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_reserved: bool
) -> None:
    drive = small_drives.mount_ext4(size_MiB=32)
    monkeypatch.setattr(posix, "_PLENTY", 2**62 if is_reserved else 0)
    flags: list[int] = []
    real = os.write

    def write(descriptor: int, chunk: memoryview) -> int:
        flags.append(fcntl.fcntl(descriptor, fcntl.F_GETFL))
        return real(descriptor, chunk)

    monkeypatch.setattr(posix.os, "write", write)
    source, data = tmp_path / "source", os.urandom(16 * 2**20 + 5)
    source.write_bytes(data)
    publish(source, drive / "first", files=PosixFiles())
    assert {bool(flag & os.O_DIRECT) for flag in flags} == {True, False}, "all but the end passes the cache"
    assert (drive / "first").read_bytes() == data
    with pytest.raises(DriveFull, match=r"the file needs 16\.0 MiB"):
        publish(source, drive / "sub" / "second", files=PosixFiles(), resumes=True)
    assert [path.name for path in drive.rglob("*") if path.is_file()] == ["first"]
    (drive / "first").unlink()
    publish(source, drive / "sub" / "second", files=PosixFiles(), resumes=True)
    assert (drive / "sub" / "second").read_bytes() == data


def test_a_drive_without_inodes_left(small_drives: SmallDrives, tmp_path: Path) -> None:
    small_drive = small_drives.mount(size="4m", n_inodes=100)
    source = tmp_path / "source"
    source.write_bytes(b"abc")
    for number in range(200):
        try:
            (small_drive / f"filler{number}").touch()
        except OSError:
            break
    with pytest.raises(DriveFull):
        publish(source, small_drive / "sub" / "final", files=PosixFiles())


def test_a_drive_that_is_remounted_read_only(small_drives: SmallDrives, tmp_path: Path) -> None:
    small_drive = small_drives.mount()
    source = tmp_path / "source"
    source.write_bytes(b"abc")
    publish(source, small_drive / "first", files=PosixFiles())
    small_drives.remount(small_drive, "ro")
    with pytest.raises(DriveReadOnly, match="mounted read-only"):
        publish(source, small_drive / "second", files=PosixFiles())
    assert publish(source, small_drive / "first", files=PosixFiles()).already_there
    usage = measure_drive(Drive("d", small_drive, must_be_mounted=True), PosixVolumes())
    assert usage.is_mounted
    assert not usage.is_writable


def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    if os.getuid():
        pytest.skip("needs root to become another user: sudo make test")
    tmp_path.chmod(0o755)
    source, folder = tmp_path / "source", tmp_path / "drive"
    source.write_bytes(b"abc")
    folder.mkdir(mode=0o555)
    result = tmp_path / "result"
    result.touch()
    result.chmod(0o666)

    def work() -> None:
        os.chdir(tmp_path)  # the folders above are closed to other users
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            publish(Path("source"), Path("drive/final"), files=PosixFiles())
        except BaseException as error:  # noqa: BLE001 - the child tells everything
            Path("result").write_text(f"{type(error).__name__}: {error}")

    run_in_child(work)
    assert result.read_text().startswith("DestinationRefused: drive/final cannot be written: Permission denied")
    assert "give this user the right to write to drive" in result.read_text()


def test_who_is_not_root_takes_up_his_own_part(
    open_folder: Path, as_nobody: Callable[[Callable[[], None]], None]
) -> None:
    """A part is read-only from its beginning, also for its owner."""
    source, final = open_folder / "source", open_folder / "final"
    source.write_bytes(os.urandom(2**20 + 7))

    def work() -> None:
        def stop(done_B: int, _total_B: int) -> None:
            raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            publish(source, final, files=PosixFiles(), progress=stop, resumes=True)
        left = PosixFiles().take_part(final, 2**30)
        assert left is not None
        with left:
            assert left.state().size_B == 2**20
        assert not publish(source, final, files=PosixFiles(), resumes=True).already_there
        assert final.read_bytes() == source.read_bytes()
        assert final.stat().st_mode & 0o777 == 0o444

    as_nobody(work)
    assert sorted(path.name for path in open_folder.iterdir()) == ["final", "source"]
