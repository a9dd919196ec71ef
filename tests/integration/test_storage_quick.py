"""Quick looks between full scans: what they see, what they miss, and that it is measured."""

import os
import shutil
from pathlib import Path

import pytest

from nualley.core import DAY_NS, SECOND_NS, SystemClock
from nualley.storage import QuickReport
from nualley.storage.adapters.directories import (
    QuickLook,
    keep_directories,
    look_quickly,
    quick_file,
    read_directories,
    sum_directories,
)
from nualley.storage.adapters.scanner import scan_tree

NOW_NS = SystemClock().now_ns()
OLD_NS = NOW_NS - 100 * DAY_NS


def put(path: Path, size_B: int, time_ns: int = OLD_NS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.truncate(size_B)
    os.utime(path, ns=(time_ns, time_ns))


def settle(root: Path) -> None:
    """Let all directories be old, as on a drive that nobody touched for long."""
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        os.utime(folder, ns=(OLD_NS, OLD_NS))


class Drive:
    """A tree, its full scans and quick looks at it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self._folder = folder / "scans"
        self._n_scans = 0
        put(self.root / "cold" / "one", 1000)
        put(self.root / "cold" / "inner" / "two", 200)
        put(self.root / "hot" / "growing", 30, NOW_NS - DAY_NS)
        settle(self.root)

    @property
    def scan_file(self) -> Path:
        return self._folder / f"2026112{self._n_scans}T000000.000Z.parquet"

    def scan(self) -> int | None:
        before = self.scan_file if self._n_scans else None
        self._n_scans += 1
        scan_tree(self.root, self.scan_file, drive="data1", clock=SystemClock())
        return keep_directories(self.scan_file, before)

    def look(self, now_ns: int = NOW_NS) -> QuickReport:
        return look_quickly(self.root, self.scan_file, now_ns=now_ns, hot_ns=14 * DAY_NS)


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    found = Drive(tmp_path)
    assert found.scan() is None
    return found


def test_the_directories_of_a_scan(drive: Drive) -> None:
    states = sum_directories(drive.scan_file)
    assert {path: (state.n_files, state.size_B) for path, state in states.items()} == {
        b"": (0, 0), b"cold": (1, 1000), b"cold/inner": (1, 200), b"hot": (1, 30),
    }  # fmt: skip
    assert states[b"hot"].mtime_ns == OLD_NS
    assert states[b"hot"].newest_ns == NOW_NS - DAY_NS


def test_where_nothing_changed_only_hot_directories_are_opened(drive: Drive) -> None:
    report = drive.look()
    assert (report.n_directories, report.n_looked, report.size_B, report.grown_B) == (4, 1, 1230, 0)


def test_what_grows_in_a_hot_directory_is_seen(drive: Drive) -> None:
    put(drive.root / "hot" / "growing", 5030, NOW_NS)
    os.utime(drive.root / "hot", ns=(OLD_NS, OLD_NS))
    assert drive.look().grown_B == 5000
    assert drive.look().grown_B == 5000  # since the full scan, however often one looks


def test_files_and_directories_that_come_and_go(drive: Drive) -> None:
    put(drive.root / "cold" / "new", 7)
    put(drive.root / "deep" / "er" / "yet" / "f", 100)
    assert drive.look().grown_B == 107
    shutil.rmtree(drive.root / "deep")
    (drive.root / "cold" / "inner" / "two").unlink()
    report = drive.look()
    assert (report.grown_B, report.size_B) == (7 - 200, 1230 + 7 - 200)
    shutil.rmtree(drive.root / "cold")
    assert drive.look().grown_B == -1200


def test_a_directory_that_became_a_link_leads_nowhere(drive: Drive, tmp_path: Path) -> None:
    put(tmp_path / "outside" / "inner" / "large", 10**6)
    shutil.rmtree(drive.root / "cold")
    (drive.root / "cold").symlink_to(tmp_path / "outside")
    assert drive.look().grown_B == -1200


def test_growth_in_place_of_a_cold_directory_is_missed_and_measured_at_the_next_scan(drive: Drive) -> None:
    put(drive.root / "cold" / "one", 9000)  # an old file grows and is given its old time
    settle(drive.root)
    assert drive.look(NOW_NS + 3600 * SECOND_NS).grown_B == 0
    assert drive.scan() == 8000


def test_what_was_seen_or_came_later_is_not_called_missed(drive: Drive) -> None:
    put(drive.root / "cold" / "new", 500)
    settle(drive.root)
    os.utime(drive.root / "cold", ns=(OLD_NS + 1, OLD_NS + 1))
    drive.look(NOW_NS)
    put(drive.root / "hot" / "later", 10**6, NOW_NS + SECOND_NS)
    assert drive.scan() == 0


def test_after_a_new_scan_quick_looks_begin_anew(drive: Drive) -> None:
    put(drive.root / "hot" / "more", 100, NOW_NS)
    assert drive.look().grown_B == 100
    drive.scan()
    assert drive.look().grown_B == 0
    assert read_directories(quick_file(drive.scan_file.parent))[0]["scan"] == drive.scan_file.name


def test_a_directory_that_is_closed_keeps_what_was_known(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    known = sum_directories(drive.scan_file)

    def closed(*_: object, **__: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    look = QuickLook(drive.root, known, NOW_NS)
    monkeypatch.setattr("nualley.storage.adapters.directories.os.stat", closed)
    assert look.run() == {}
