"""Killed, full, read-only, unreadable, changing: each file is taken in once, whole, or stays with a clear reason."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nualley.core import digest_file
from nualley.ingest import IngestedFile, IngestSettings, Outcome
from nualley.storage import (
    MARKER_NAME,
    Drive,
    DriveFull,
    DriveRole,
    NoDriveFits,
    SourceChanged,
    SourceUnreadable,
    SourceVanished,
)
from nualley.storage.adapters import posix
from nualley.storage.adapters.posix import PosixFile, PosixFiles, PosixPart, PosixVolumes
from nualley.testing.wavedump import WaveDumpWriter
from tests.faults.conftest import SmallDrives
from tests.unit.ingest.site import DETECTOR, RealSite

pytestmark = pytest.mark.fault

CHILD = """
import sys
from pathlib import Path
from typing import Any
from tests.unit.ingest.site import RealSite
from nualley.ingest import IngestSettings
site = RealSite(Path(sys.argv[1]), n_drives=3, settings=IngestSettings(settle_s=0, poll_s=0.01, copies=2))
print("ready", flush=True)
while True:
    report = site.watcher.poll()
    for file in report.files:
        print(file.outcome.value, file.path, flush=True)
    if report.is_idle:
        print("idle", flush=True)
"""
REPOSITORY = Path(__file__).resolve().parents[2]  # whose tests the children import
TWO_COPIES = IngestSettings(settle_s=0, poll_s=0.01, copies=2)


def write_events(path: Path, n_events: int = 4, n_samples: int = 50) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with WaveDumpWriter(path, channel=1) as writer:
        writer.write([[100 + event] * n_samples for event in range(n_events)])
    return path


def test_killed_at_random_moments(tmp_path: Path, seed: int, is_soak: bool) -> None:
    chance = random.Random(seed)
    expected: dict[str, Path] = {}
    acknowledged: set[str] = set()
    for number in range(60 if is_soak else 5):
        for channel in range(4):
            path = write_events(tmp_path / "drop" / f"run{number}" / f"wave{channel}.dat", 40, 10_000)
            expected[f"hpge-{number}/{path.name}"] = path
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, tmp_path], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 0.25))
            child.kill()
            acknowledged |= {line.split()[1] for line in child.stdout.read().splitlines(keepends=True) if " " in line}
        with RealSite(tmp_path, n_drives=3, settings=TWO_COPIES) as site:
            known = {source.path for source in site.catalog.sources(DETECTOR)}
            assert acknowledged <= known
    with RealSite(tmp_path, n_drives=3, settings=TWO_COPIES) as site:
        while not (report := site.watcher.poll()).is_idle:
            assert all(file.is_settled for file in report.files), report
        assert site.check_replicas() == dict.fromkeys(expected, 2)
        for run in site.catalog.runs():
            for file in site.catalog.files(run.run_id):
                assert file.digests == digest_file(expected[f"{run.run_id}/{file.name}"])
                assert file.n_events == 40
                assert len(site.catalog.activities(f"file:{run.run_id}/{file.name}")) == 1
        assert site.catalog.quarantined() == []


class MortalFiles(PosixFiles):
    """The real files, with a call before every step."""

    def __init__(self, before: Callable[[], None]) -> None:
        self.before = before

    def __getattribute__(self, name: str) -> Any:
        if name != "before" and not name.startswith("_"):
            self.before()
        return super().__getattribute__(name)


class MortalCatalog:
    """The real catalog, with a call before and after everything that it does."""

    def __init__(self, catalog: Any, before: Callable[[], None]) -> None:
        self.catalog = catalog
        self.before = before

    def __getattr__(self, name: str) -> Any:
        def work(*given: Any, **named: Any) -> Any:
            self.before()
            done = getattr(self.catalog, name)(*given, **named)
            self.before()
            return done

        return work


def test_killed_before_every_step(tmp_path: Path, seed: int, is_soak: bool) -> None:
    RealSite(tmp_path / "empty").catalog.close()
    for step in range(1000) if is_soak else range(random.Random(seed).randrange(4), 1000, 4):
        folder = tmp_path / f"site{step}"
        write_events(folder / "drop" / "run1" / "wave0.dat")
        shutil.copy(tmp_path / "empty" / "catalog.sqlite", folder)
        if not die_at(step, folder):
            break
        with RealSite(folder, n_drives=3, settings=TWO_COPIES) as site:
            assert site.watcher.poll().is_idle
            assert site.check_replicas() == {"hpge-1/wave0.dat": 2}
            assert len(site.catalog.activities()) == len(site.catalog.sources(DETECTOR)) == 1
            assert site.catalog.quarantined() == []
    assert step > 30, "each of the copies goes through more than ten steps"


def die_at(step: int, folder: Path) -> bool:
    """Look once in a child that is killed at a step; return False where it had fewer."""
    left = [step]

    def before() -> None:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    child = os.fork()
    if not child:
        status = 1
        try:
            site = RealSite(
                folder,
                n_drives=3,
                settings=TWO_COPIES,
                files=MortalFiles(before),
                wrap_catalog=lambda catalog: MortalCatalog(catalog, before),
            )
            site.watcher.poll()
            status = 0
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def small(path: Path, name: str = "small") -> Drive:
    return Drive(name, path, DriveRole.RAW, 1.0)


def only(files: tuple[IngestedFile, ...]) -> IngestedFile:
    (file,) = files
    return file


def test_a_full_drive(tmp_path: Path, small_drive: Path) -> None:
    with RealSite(tmp_path, drives=[small(small_drive)]) as site:
        large = write_events(site.drop / "run1" / "large.dat", 80, 10_000)
        write_events(site.drop / "run1" / "small.dat")
        report = site.watcher.poll()
        found = {Path(file.path).name: file for file in report.files}
        assert isinstance(found["large.dat"].error, NoDriveFits)
        assert "are needed below its limit" in found["large.dat"].error.what
        assert found["small.dat"].outcome is Outcome.INGESTED
        assert large.stat().st_size > 2**20
        (tmp_path / "roomy").mkdir()
    with RealSite(tmp_path, drives=[small(small_drive), small(tmp_path / "roomy", "roomy")]) as site:
        assert only(site.watcher.poll().files).outcome is Outcome.INGESTED
        assert site.check_replicas() == {"hpge-1/large.dat": 1, "hpge-1/small.dat": 1}


def test_a_drive_that_somebody_else_fills_meanwhile(
    tmp_path: Path, small_drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_up(fd: int, offset: int, size: int) -> None:
        (small_drive / "other").write_bytes(bytes(700_000))
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(posix, "_PLENTY", 2**62)  # room is scarce: it is reserved
    monkeypatch.setattr(os, "posix_fallocate", fill_up)
    with RealSite(tmp_path, drives=[small(small_drive)]) as site:
        write_events(site.drop / "run1" / "wave0.dat", 30, 10_000)
        file = only(site.watcher.poll().files)
        assert isinstance(file.error, DriveFull)
        assert "the file needs" in file.error.what
        assert [path.name for path in small_drive.rglob("*.*")] == [MARKER_NAME]
        (small_drive / "other").unlink()
        monkeypatch.undo()
        time.sleep(0.02)
        assert only(site.watcher.poll().files).outcome is Outcome.INGESTED


def test_a_drive_that_turns_read_only(tmp_path: Path, small_drives: SmallDrives) -> None:
    small_drive = small_drives.mount()
    with RealSite(tmp_path, drives=[small(small_drive)]) as site:
        write_events(site.drop / "run1" / "wave0.dat")
        small_drives.remount(small_drive, "ro")
        file = only(site.watcher.poll().files)
        assert isinstance(file.error, NoDriveFits)
        assert "small is read-only" in file.error.what
        small_drives.remount(small_drive, "rw")
        time.sleep(0.02)
        assert only(site.watcher.poll().files).outcome is Outcome.INGESTED


def test_nothing_is_written_to_the_bare_mount_point_of_a_drive_that_is_away(
    tmp_path: Path, small_drives: SmallDrives
) -> None:
    path = small_drives.mount("data1")
    first = write_events(tmp_path / "drop" / "run1" / "wave0.dat")
    with RealSite(tmp_path, drives=[small(path, "data1")], volumes=PosixVolumes()) as site:
        assert only(site.ingest.ingest_paths([first], DETECTOR).files).outcome is Outcome.INGESTED
        small_drives.move(path, tmp_path / "elsewhere")
        known = site.ingest.ingest_paths([first], DETECTOR)
        assert known.exit_code == 4
        assert "its marker .nualley-drive is missing" in known.problems[0].what
        new = site.ingest.ingest_paths([write_events(tmp_path / "drop" / "run2" / "wave0.dat")], DETECTOR)
        assert isinstance(only(new.files).error, NoDriveFits)
        assert "data1 is missing: it is not the drive that was registered" in str(only(new.files).error)
        assert list(path.iterdir()) == []
        small_drives.move(tmp_path / "elsewhere", path)
        assert site.ingest.ingest_paths([site.drop], DETECTOR).exit_code == 0
        assert site.check_replicas() == {"hpge-1/wave0.dat": 1, "hpge-2/wave0.dat": 1}


def test_a_drive_in_the_place_of_another_is_refused(tmp_path: Path, small_drives: SmallDrives) -> None:
    drives = [small(small_drives.mount(name), name) for name in ("data1", "data2")]
    write_events(tmp_path / "drop" / "run1" / "wave0.dat")
    with RealSite(tmp_path, drives=drives, settings=TWO_COPIES, volumes=PosixVolumes()) as site:
        assert only(site.watcher.poll().files).error is None
        small_drives.move(drives[0].path, tmp_path / "aside")
        small_drives.move(drives[1].path, drives[0].path)
        report = site.ingest.ingest_paths([site.drop], DETECTOR)
        assert report.exit_code == 4
        assert [problem.what.partition(" was not read: ")[2][:60] for problem in report.problems] == [
            "the drive is missing: it is not the drive that was registere"
        ] * 2


def test_a_replica_whose_byte_changed_on_the_drive(tmp_path: Path) -> None:
    source = write_events(tmp_path / "drop" / "run1" / "wave0.dat")
    with RealSite(tmp_path) as site:
        replica = Path(only(site.ingest.ingest_paths([source], DETECTOR).files).replicas[0].path)
        raw = bytearray(replica.read_bytes())
        raw[30] ^= 1
        replica.chmod(0o644)
        replica.write_bytes(raw)
        report = site.ingest.ingest_paths([source], DETECTOR)
        assert report.exit_code == 5
        assert "on data1 is damaged" in report.problems[0].what
        (aside,) = replica.parent.glob("wave0.dat.damaged-*")
        assert aside.read_bytes() == raw
        assert replica.read_bytes() == source.read_bytes()
        assert site.catalog.quarantined()[0].kept_at == os.fspath(aside)
        assert site.ingest.ingest_paths([source], DETECTOR).exit_code == 0


def test_files_and_folders_that_may_not_be_read(
    open_folder: Path, as_nobody: Callable[[Callable[[], None]], None]
) -> None:
    write_events(open_folder / "drop" / "run1" / "closed.dat").chmod(0)
    write_events(open_folder / "drop" / "run1" / "open.dat")
    write_events(open_folder / "drop" / "run2" / "wave0.dat")
    (open_folder / "drop" / "run2").chmod(0o700)
    (open_folder / "data1").mkdir()
    (open_folder / "data1").chmod(0o777)

    def work() -> None:
        with RealSite(open_folder) as site:
            report = site.watcher.poll()
            found = {Path(file.path).name: file for file in report.files}
            assert set(found) == {"closed.dat", "open.dat"}
            assert found["open.dat"].outcome is Outcome.INGESTED
            assert "cannot be read: Permission denied" in str(found["closed.dat"].error)
            (problem,) = report.problems
            assert "run2 cannot be read: Permission denied" in problem.what
            by_hand = site.ingest.ingest_paths([open_folder / "drop" / "run1" / "closed.dat"], DETECTOR)
            assert by_hand.exit_code == 1

    as_nobody(work)
    (open_folder / "drop" / "run2").chmod(0o755)
    (open_folder / "drop" / "run1" / "closed.dat").chmod(0o644)
    with RealSite(open_folder) as site:
        assert {file.outcome for file in site.watcher.poll().files} == {Outcome.INGESTED}
        assert len(site.check_replicas()) == 3


class Meddling(PosixFiles):
    """The real files, with something happening when a file is opened to be read or its part is made."""

    def __init__(self, *, opened: Callable[[Path], None] | None = None, parted: Callable[[Path], None] | None = None):
        self.opened = opened
        self.parted = parted

    def open(self, path: Path, *, is_link_followed: bool = True) -> PosixFile:
        file = super().open(path, is_link_followed=is_link_followed)
        if self.opened:
            self.opened(path)
        return file

    def open_part(self, destination: Path) -> PosixPart:
        part = super().open_part(destination)
        if self.parted:
            self.parted(destination)
        return part


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def cut(path: Path) -> None:
    os.truncate(path, 10)


@pytest.mark.parametrize(
    ("meddle", "error"), [(Path.unlink, SourceVanished), (append, SourceChanged), (cut, SourceChanged)]
)
def test_a_source_that_vanishes_grows_or_shrinks_during_the_copy(
    tmp_path: Path, meddle: Callable[[Path], None], error: type[Exception]
) -> None:
    path = tmp_path / "drop" / "run1" / "a.dat"

    def parted(destination: Path) -> None:
        if destination.name == path.name:
            meddle(path)

    with RealSite(tmp_path, files=Meddling(parted=parted)) as site:
        write_events(path)
        write_events(site.drop / "run1" / "b.dat")
        first, second = site.watcher.poll().files
        assert isinstance(first.error, error)
        assert second.outcome is Outcome.INGESTED
        assert site.check_replicas() == {"hpge-1/b.dat": 1}


def test_a_source_that_grows_between_counting_and_copy_is_counted_anew(tmp_path: Path) -> None:
    """The copy holds the grown file, the count does not: nothing is recorded until both are of the same bytes."""
    path = tmp_path / "drop" / "run1" / "a.dat"
    left = [path]

    def opened(source: Path) -> None:
        if source == path and left:
            left.clear()
            with WaveDumpWriter(path, channel=1, append=True) as writer:
                writer.write([[1] * 50])

    with RealSite(tmp_path, files=Meddling(opened=opened)) as site:
        write_events(path, 4)
        assert isinstance(only(site.watcher.poll().files).error, SourceChanged)
        assert site.catalog.runs() == []
        file = only(site.watcher.poll().files)
        assert file.outcome is Outcome.INGESTED
        assert file.summary is not None
        assert file.summary.n_events == 5
        assert site.check_replicas() == {"hpge-1/a.dat": 1}


def test_a_file_that_vanishes_between_scan_and_copy(tmp_path: Path) -> None:
    with RealSite(tmp_path) as site:
        path = write_events(site.drop / "run1" / "a.dat")
        write_events(site.drop / "run1" / "b.dat")

        def should_stop() -> bool:
            path.unlink(missing_ok=True)
            return False

        first, second = site.watcher.poll(should_stop=should_stop).files
        assert isinstance(first.error, SourceVanished)
        assert second.outcome is Outcome.INGESTED
        assert site.watcher.poll().is_idle


def test_a_source_that_is_unreadable_for_the_copy_only(tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        if "drop" in path.parts:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with RealSite(tmp_path, files=Meddling(opened=refuse)) as site:
        write_events(site.drop / "run1" / "a.dat")
        file = only(site.watcher.poll().files)
        assert isinstance(file.error, SourceUnreadable)
        assert "EIO" in file.error.what
        assert site.check_replicas() == {}


def test_two_processes_take_the_same_files(tmp_path: Path, seed: int) -> None:
    """A worker and a command beside it: one makes each copy, the other finds it, waits or tries again."""
    for number in range(20):
        write_events(tmp_path / "drop" / f"run{number}" / "wave0.dat", 20, 10_000)
    RealSite(tmp_path, n_drives=3).catalog.close()
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, tmp_path], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
        for _ in range(2)
    ]
    for child in children:
        with child:
            assert child.stdout is not None
            for line in child.stdout:
                if line == "idle\n":
                    break
                assert not line.startswith("quarantined")
            child.kill()
    with RealSite(tmp_path, n_drives=3, settings=TWO_COPIES) as site:
        assert site.watcher.poll().is_idle
        assert site.check_replicas() == {f"hpge-{number}/wave0.dat": 2 for number in range(20)}
