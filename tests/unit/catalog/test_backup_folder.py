"""The worker's backups: made when due, kept as long as asked, and restored to see that they can be."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nualley.catalog import CatalogDamaged, CatalogMissing
from nualley.catalog.adapters.backup_folder import add_backup, drill, last_drill, list_backups
from nualley.catalog.adapters.sql import SqlCatalog
from nualley.catalog.checks import DRILL_EVERY_NS, BackupCheck
from nualley.core import DAY_NS, CheckState
from nualley.storage import StorageError
from nualley.storage.adapters.posix import PosixFiles
from tests.unit.catalog.records import NOW_NS, FakeClock, make_file, make_replica, make_run

FILES = PosixFiles()


@pytest.fixture
def folder(tmp_path: Path, catalog: SqlCatalog) -> Path:
    """Return an empty folder for backups of a catalog that holds something."""
    run = make_run(tags=("good",))
    catalog.add_file(run, make_file(run), replicas=[make_replica()])
    path = tmp_path / "backups"
    path.mkdir()
    return path


def test_the_oldest_go_where_only_some_are_to_stay(location: Path, folder: Path) -> None:
    (folder / "mine.sqlite").write_bytes(b"precious")
    for day in range(4):
        add_backup(location, folder, files=FILES, now_ns=NOW_NS + day * DAY_NS, keep=2)
    found = list_backups(folder)
    assert [each.file.name for each in found] == ["catalog-20261120T110640Z.sqlite", "catalog-20261121T110640Z.sqlite"]
    assert [each.time_ns for each in found] == [NOW_NS + 2 * DAY_NS, NOW_NS + 3 * DAY_NS]
    assert all(each.note.exists() for each in found)
    assert len(list(folder.iterdir())) == 5
    add_backup(location, folder, files=FILES, now_ns=NOW_NS + 4 * DAY_NS)
    assert len(list_backups(folder)) == 3


def test_a_backup_that_fails_removes_none(location: Path, folder: Path) -> None:
    for day in range(2):
        add_backup(location, folder, files=FILES, now_ns=NOW_NS + day * DAY_NS)
    before = list_backups(folder)
    with pytest.raises(CatalogMissing):
        add_backup(location.with_name("absent"), folder, files=FILES, now_ns=NOW_NS + 2 * DAY_NS, keep=2)
    assert list_backups(folder) == before


def test_a_drill_brings_back_what_the_backup_says(location: Path, folder: Path) -> None:
    assert last_drill(folder) is None
    _, content = add_backup(location, folder, files=FILES, now_ns=NOW_NS)
    done = drill(folder, files=FILES, now_ns=NOW_NS + 5)
    assert (done.content, done.trouble, done.time_ns) == (content, "", NOW_NS + 5)
    noted = last_drill(folder)
    assert noted is not None
    assert (noted["time_ns"], noted["content"]["xxh3_128"]) == (NOW_NS + 5, content.xxh3_128)
    assert not list(folder.glob(".drill-*"))


def test_a_backup_that_changed_fails_its_drill_and_that_is_noted(location: Path, folder: Path) -> None:
    added, _ = add_backup(location, folder, files=FILES, now_ns=NOW_NS)
    added.file.chmod(0o644)
    with closing(sqlite3.connect(added.file)) as connection:
        connection.execute("UPDATE run SET stop_reason = 'x'")
        connection.commit()
    with pytest.raises(CatalogDamaged, match="what comes back is not what the backup says: run: 1 rows") as caught:
        drill(folder, files=FILES, now_ns=NOW_NS)
    assert caught.value.exit_code == 5
    noted = last_drill(folder)
    assert noted is not None
    assert "not what the backup says" in noted["trouble"]
    added.file.write_bytes(added.file.read_bytes()[:5000])
    with pytest.raises(CatalogDamaged):
        drill(folder, files=FILES, now_ns=NOW_NS)


def test_a_drill_without_a_backup_or_its_note(location: Path, folder: Path) -> None:
    with pytest.raises(CatalogMissing, match="there is no backup in"):
        drill(folder, files=FILES, now_ns=NOW_NS)
    added, _ = add_backup(location, folder, files=FILES, now_ns=NOW_NS)
    added.note.unlink()
    with pytest.raises(CatalogMissing, match="nothing says what the backup holds"):
        drill(folder, files=FILES, now_ns=NOW_NS)
    added.note.write_text(json.dumps({"version": "1"}))
    with pytest.raises(CatalogDamaged, match="cannot be read: KeyError"):
        drill(folder, files=FILES, now_ns=NOW_NS)


def test_a_name_is_taken_once(location: Path, folder: Path) -> None:
    add_backup(location, folder, files=FILES, now_ns=NOW_NS)
    with pytest.raises((StorageError, ValueError), match="is there already"):
        add_backup(location, folder, files=FILES, now_ns=NOW_NS)


@pytest.mark.parametrize(
    ("newest_ns", "last", "states", "detail"),
    [
        (None, None, (CheckState.WARNING, CheckState.WARNING), "there is no backup yet"),
        (NOW_NS - DAY_NS, {"time_ns": NOW_NS - DAY_NS}, (CheckState.OK, CheckState.OK), "the newest is 1 d old"),
        (NOW_NS - 3 * DAY_NS, {"time_ns": NOW_NS}, (CheckState.FAILED, CheckState.OK), "the newest is 3 d old"),
        (NOW_NS, {"time_ns": NOW_NS - DRILL_EVERY_NS - DAY_NS}, (CheckState.OK, CheckState.WARNING), "31 d ago"),
        (NOW_NS, {"time_ns": NOW_NS, "trouble": "run"}, (CheckState.OK, CheckState.FAILED), "failed: run"),
    ],
)
def test_what_the_check_says(newest_ns, last, states, detail) -> None:
    check = BackupCheck(lambda: newest_ns, lambda: last, every_ns=DAY_NS, clock=FakeClock())
    found = check()
    assert tuple(result.state for result in found) == states
    assert detail in " ".join(result.detail for result in found)
    assert [result.name for result in found] == ["catalog.backup", "catalog.drill"]
    assert all(result.do for result in found if result.state is not CheckState.OK)
