"""The archive on drives that run full or turn read-only: nothing acknowledged is lost, and it goes on by itself."""

import errno
import json
import os
import stat
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nualley.app.archive import open_archive_reader, open_archive_writer, open_compactor, verify_archive
from nualley.app.imports import import_files
from nualley.app.keeper import ChildKeeper, KeepingFailedError
from nualley.app.site import open_site
from nualley.archive import ArchiveSettings, LogWriteError
from nualley.archive.adapters import log_files
from nualley.archive.adapters.changes_file import ChangesFile
from nualley.archive.changes import Change, Verb
from nualley.archive.errors import ChangesWriteError, IndexFailedError
from nualley.cli.main import main
from nualley.pv import Sample, ValueType
from tests.faults.conftest import SmallDrives

pytestmark = pytest.mark.fault

SMALL = ArchiveSettings(reserve_B=2**20)


class Counting:
    """A writer of counters on a small drive, and what fills that drive."""

    def __init__(self, drive: Path, settings: ArchiveSettings) -> None:
        self.drive, self.folder = drive, drive / "archive"
        self.writer = open_archive_writer(self.folder, settings)
        self.count = 0

    def receive(self, n: int) -> None:
        for _ in range(n):
            now_ns = time.time_ns()
            self.writer.recorder.receive(Sample("N", now_ns, self.count, ValueType.INT64, 0, 0, "ca", now_ns))
            self.count += 1

    def commit(self, n: int = 2000) -> None:
        self.receive(n)
        self.writer.recorder.commit()

    def fill(self, left_B: int = 0) -> None:
        status = os.statvfs(self.drive)
        with (self.drive / "ballast").open("wb") as ballast:
            ballast.write(bytes(max(0, status.f_bavail * status.f_frsize - left_B)))

    def free(self) -> None:
        (self.drive / "ballast").unlink(missing_ok=True)

    def assert_whole(self) -> None:
        reader = open_archive_reader(self.folder)
        rows = reader.read("N", 0, 2**62).to_pylist()
        assert [row["value"] for row in rows if row["kind"] == "sample"] == list(range(self.count))
        assert reader.ledger().is_balanced
        assert reader.damages() == []
        assert [path.name for path in self.drive.rglob(".*.part")] == [], "what failed keeps no room"


@pytest.fixture
def counting(small_drives: SmallDrives):
    made = Counting(small_drives.mount(size="8m"), ArchiveSettings(reserve_B=0))
    yield made
    made.free()


@pytest.mark.parametrize("left_B", [0, 4096, 8192, 16_384, 32_768])
def test_sealing_on_a_full_drive_is_done_when_there_is_room(counting, left_B):
    counting.commit(5000)
    segment = counting.writer.recorder.rotate()
    counting.commit(10)
    counting.fill(left_B)
    with pytest.raises(OSError, match=r"No space left|database or disk is full"):
        counting.writer.sealer.seal(segment)
    counting.assert_whole()
    counting.free()
    counting.writer.sealer.seal(segment)
    counting.assert_whole()
    assert verify_archive(counting.folder).is_intact


async def test_the_child_that_seals_says_that_the_drive_is_full(counting):
    counting.commit(5000)
    segment = counting.writer.recorder.rotate()
    counting.commit(10)
    counting.fill()
    keeper = ChildKeeper(counting.folder)
    with pytest.raises(KeepingFailedError, match=r"No space left|disk is full"):
        await keeper.seal(segment)
    counting.free()
    assert await keeper.seal(segment) > 0
    counting.assert_whole()


@pytest.mark.parametrize("left_B", [0, 4096, 16_384, 40_960])
def test_compaction_on_a_full_drive_leaves_all_as_it_was(counting, left_B):
    for _ in range(4):
        counting.commit(2000)
        counting.writer.seal()
    before = {file.path for file in open_archive_reader(counting.folder).snapshot().files}
    compactor = open_compactor(counting.folder)
    counting.fill(left_B)
    with pytest.raises(OSError, match=r"No space left|database or disk is full"):
        for job in compactor.due(is_all=True):
            compactor.run(job)
    counting.free()
    counting.assert_whole()
    assert {file.path for file in open_archive_reader(counting.folder).snapshot().files} == before
    assert verify_archive(counting.folder).is_intact
    compactor = open_compactor(counting.folder)
    for job in compactor.due(is_all=True):
        compactor.run(job)
    counting.assert_whole()
    found = verify_archive(counting.folder)
    assert (found.is_intact, found.unindexed) == (True, ())


def test_a_change_on_a_full_drive_is_refused_whole(counting):
    file = ChangesFile(counting.folder)
    change = Change(verb=Verb.PAUSE, time_ns=1, pv="P" * 150, who="zoe", note="x" * 300)
    file.append([change])
    counting.fill()
    n_kept = 1
    with pytest.raises(ChangesWriteError, match="was not made: No space left") as caught:
        for _ in range(100):
            file.append([change])
            n_kept += 1
    assert caught.value.do.startswith("make room on the store's drive")
    assert (len(file.read().changes), file.read().damages) == (n_kept, ())
    counting.free()
    file.append([change])
    assert (len(file.read().changes), file.read().damages) == (n_kept + 1, ())


def test_an_import_on_a_full_drive_is_simply_done_again(counting, tmp_path):
    counting.commit(100)
    path = tmp_path / "old.csv"
    path.write_text(
        "pv,time,value\n" + "".join(f"I,{1_760_000_000_000_000_000 + n},{n * 1.1}\n" for n in range(40_000))
    )
    for left_B in (0, 16_384, 40_960):
        counting.fill(left_B)
        with pytest.raises(OSError, match=r"No space left|database or disk is full"):
            import_files(counting.folder, [path])
        counting.free()
        counting.assert_whole()
    counts = import_files(counting.folder, [path]).counts
    assert (counts.received, counts.stored) == (40_000, 40_000)
    rows = open_archive_reader(counting.folder).read("I", 0, 2**62).to_pylist()
    assert [row["value"] for row in rows if row["kind"] == "sample"] == [n * 1.1 for n in range(40_000)]


# ------------------------------------------------------------------ the reserve
def test_an_archive_that_was_killed_on_a_full_drive_starts_in_its_reserve(small_drives: SmallDrives):
    counting = Counting(small_drives.mount(size="16m"), ArchiveSettings(reserve_B=5 * 2**20))
    counting.commit(20_000)
    counting.writer.log.close()
    counting.fill()
    with capture_logs() as logs:
        counting.writer = open_archive_writer(counting.folder, ArchiveSettings(reserve_B=5 * 2**20))
    assert [line for line in logs if "starts in the room that was held" in line["event"]]
    counting.commit(2000)
    counting.assert_whole()


def test_without_a_reserve_an_archive_on_a_full_drive_says_why_it_does_not_start(counting):
    counting.commit(5000)
    counting.writer.log.close()
    counting.fill()
    with pytest.raises((IndexFailedError, LogWriteError, OSError), match=r"disk is full|No space left"):
        open_archive_writer(counting.folder, ArchiveSettings(reserve_B=0))
    counting.free()
    counting.writer = open_archive_writer(counting.folder, ArchiveSettings(reserve_B=0))
    counting.commit(10)
    counting.assert_whole()


# ------------------------------------------------------------------ a drive that turns read-only
def test_a_drive_that_turns_read_only_under_a_writer_acknowledges_nothing_and_is_tried_again(counting, monkeypatch):
    counting.commit(100)
    counting.receive(100)

    def refuse(*_):  # a kernel that found an error on the drive; no remount is possible while a file is open
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(log_files.os, "pwrite", refuse)
        for _ in range(2):
            with pytest.raises(LogWriteError, match="Read-only file system"):
                counting.writer.recorder.commit()
        assert open_archive_reader(counting.folder).ledger().stored == 100
    counting.commit(1)
    counting.assert_whole()


def test_a_drive_that_turns_read_only_and_back(counting, small_drives: SmallDrives):
    counting.commit(100)
    acknowledged = counting.count
    counting.receive(5)  # what waits in memory is gone with the process
    counting.count = acknowledged
    counting.writer.log.close()
    small_drives.remount(counting.drive, "ro")
    reader = open_archive_reader(counting.folder)
    assert [row["value"] for row in reader.read("N", 0, 2**62).to_pylist()] == list(range(acknowledged))
    assert verify_archive(counting.folder).is_intact
    with pytest.raises(OSError, match=r"[Rr]ead-?only"):
        open_archive_writer(counting.folder, ArchiveSettings(reserve_B=0))
    with pytest.raises(ChangesWriteError, match="Read-only file system"):
        ChangesFile(counting.folder).append([Change(verb=Verb.PAUSE, time_ns=1, pv="P", who="zoe")])
    small_drives.remount(counting.drive, "rw")
    counting.writer = open_archive_writer(counting.folder, ArchiveSettings(reserve_B=0))
    counting.commit(10)
    counting.assert_whole()


# ------------------------------------------------------------------ what is read out of it
@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.delenv("NUALLEY_EXPERIMENT", raising=False)
    folder = tmp_path / "experiment"
    assert main(["init", str(folder)]) == 0
    monkeypatch.chdir(folder)
    writer = open_archive_writer(open_site(folder).archive_folder, SMALL)
    for number in range(20_000):
        now_ns = time.time_ns() - 10**10 + number
        writer.recorder.receive(Sample("P", now_ns, number * 1.1, ValueType.FLOAT64, 0, 0, "ca", now_ns))
    writer.close()
    return folder


@pytest.mark.parametrize("form", ["csv", "arrow", "parquet", "json", "text"])
def test_a_file_for_which_there_is_no_room_is_not_there(experiment, small_drives, capsys, form):
    out = small_drives.mount(size="64k") / "out"
    out.write_bytes(b"before")
    capsys.readouterr()
    assert main(["archive", "get", "P", "--format", form, "--out", str(out)]) == 1
    said = capsys.readouterr()
    error = json.loads(said.out)["error"] if form == "json" else {"what": said.err, "where": said.err}
    assert "No space left" in error["what"]
    assert str(out) in error["where"]
    assert ([*out.parent.iterdir()], out.read_bytes()) == ([out], b"before")


def test_an_export_for_which_there_is_no_room_leaves_nothing(experiment, small_drives, capsys):
    folder = small_drives.mount(size="64k") / "files"
    assert main(["archive", "export", "P", "--to-folder", str(folder)]) == 1
    assert "No space left" in capsys.readouterr().err
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("form", ["csv", "arrow", "parquet", "json", "text"])
def test_a_device_or_a_pipe_is_written_to_and_never_replaced(experiment, tmp_path, form, capsys):
    if os.geteuid():
        pytest.skip("needs root to make a device: sudo make test")
    device = tmp_path / "null"
    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    try:
        assert main(["archive", "get", "P", "--format", form, "--out", str(device)]) == 0
    except PermissionError:
        pytest.skip("devices cannot be opened here (nodev)")
    assert stat.S_ISCHR(device.stat().st_mode), "what was a device is a file"
    assert main(["archive", "get", "P", "--format", form, "--out", str(tmp_path)]) == 2
    capsys.readouterr()
