"""Copies of the catalog, and the way back."""

import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from nualley.catalog import CatalogDamaged, CatalogMissing, Quarantined
from nualley.catalog.adapters import backup as backups
from nualley.catalog.adapters.backup import backup, inspect, restore
from nualley.catalog.adapters.sql import SqlCatalog, open_catalog
from nualley.catalog.errors import CatalogNewer, CatalogNotEmpty
from nualley.catalog.models import CatalogContent
from nualley.core import ExitCode, UsageError
from nualley.storage.adapters.posix import PosixFiles
from tests.unit.catalog.records import make_activity, make_file, make_replica, make_run

FILES = PosixFiles()


@pytest.fixture
def filled(catalog: SqlCatalog) -> SqlCatalog:
    run = make_run(settings={"a": 1}, tags=("good",))
    catalog.add_file(run, make_file(run), replicas=[make_replica()], activity=make_activity(inputs=("x",)))
    catalog.add_note(run.run_id, "text\nof a note")
    return catalog


def test_a_backup_holds_all_and_is_one_read_only_file(filled: SqlCatalog, location: Path, tmp_path: Path) -> None:
    file = tmp_path / "backups" / "catalog.backup"
    file.parent.mkdir()
    content = backup(location, file, files=FILES)
    assert content.n_rows_by_table["run"] == content.n_rows_by_table["file"] == 1
    assert inspect(file) == content
    assert list(file.parent.iterdir()) == [file]
    assert not stat.S_IMODE(file.stat().st_mode) & 0o222
    assert file.read_bytes()[18:20] == b"\x01\x01"  # no write-ahead log: it can be read where nothing can be written
    with open_catalog(location) as again:
        assert again.runs() == filled.runs()


def test_a_backup_never_overwrites(filled: SqlCatalog, location: Path, tmp_path: Path) -> None:
    file = tmp_path / "catalog.backup"
    file.write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"catalog\.backup is there already") as caught:
        backup(location, file, files=FILES)
    assert caught.value.exit_code == ExitCode.USAGE
    assert file.read_bytes() == b"precious"


def test_a_backup_makes_no_folder(filled: SqlCatalog, location: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no folder .*/nonexist") as caught:
        backup(location, tmp_path / "nonexist" / "a", files=FILES)
    assert caught.value.exit_code == ExitCode.USAGE
    assert not (tmp_path / "nonexist").exists()


def test_a_backup_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(CatalogMissing, match="there is no file"):
        backup(tmp_path / "absent", tmp_path / "b", files=FILES)
    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_differs_from_the_catalog_is_thrown_away(
    filled: SqlCatalog, location: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = backups._content, []

    def content(connection: Connection, path: Path) -> CatalogContent:
        seen.append(path)
        found = real(connection, path)
        other = {**found.xxh3_128_by_table, "run": "0" * 32}
        return found if len(seen) == 1 else replace(found, xxh3_128_by_table=other)

    monkeypatch.setattr(backups, "_content", content)
    with pytest.raises(CatalogDamaged, match=r"not the same: run: 1 rows with digest 0{32}, expected 1 rows"):
        backup(location, tmp_path / "b", files=FILES)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("catalog.sqlite")] == []


def test_a_backup_is_brought_back_to_a_new_place(filled: SqlCatalog, location: Path, tmp_path: Path) -> None:
    content = backup(location, tmp_path / "b", files=FILES)
    target = tmp_path / "new" / "catalog.sqlite"
    assert restore(tmp_path / "b", target, files=FILES, now_ns=0) == content
    with open_catalog(target) as restored:
        assert restored.runs() == filled.runs()
        restored.add_note("cenns-10-42", "goes on")
    with closing(sqlite3.connect(target)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_empty_catalog_is_filled(filled: SqlCatalog, location: Path, tmp_path: Path) -> None:
    content = backup(location, tmp_path / "b", files=FILES)
    target = tmp_path / "empty.sqlite"
    open_catalog(target).close()
    assert restore(tmp_path / "b", target, files=FILES, now_ns=0) == content


def test_a_catalog_that_holds_something_is_kept_unless_told(filled: SqlCatalog, location: Path, tmp_path: Path) -> None:
    content = backup(location, tmp_path / "b", files=FILES)
    filled.add_note("cenns-10-42", "after the backup")
    with pytest.raises(CatalogNotEmpty, match="already holds a catalog") as caught:
        restore(tmp_path / "b", location, files=FILES, now_ns=0)
    assert isinstance(caught.value, FileExistsError)
    assert len(filled.notes("cenns-10-42")) == 2
    assert restore(tmp_path / "b", location, files=FILES, replace=True, now_ns=0) == content
    assert len(filled.notes("cenns-10-42")) == 1  # a catalog that is open sees it too
    before = location.with_name("catalog.sqlite.before-restore-19700101T000000Z")
    assert inspect(before).n_rows_by_table["note"] == 2


def test_a_damaged_backup_is_refused_before_anything_is_changed(
    filled: SqlCatalog, location: Path, tmp_path: Path
) -> None:
    good = tmp_path / "b"
    backup(location, good, files=FILES)
    raw = bytearray(good.read_bytes())
    for name, damaged in (
        ("torn", raw[: len(raw) // 2]),
        ("zeroed", raw[:4096] + bytes(8 * 4096) + raw[9 * 4096 :]),
        ("no database", b"x" * 10_000),
        ("empty", b""),
    ):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(CatalogDamaged) as caught:
            restore(tmp_path / name, tmp_path / "target", files=FILES, replace=True, now_ns=0)
        assert caught.value.exit_code == ExitCode.NOT_INTACT
        assert not (tmp_path / "target").exists()


def test_an_index_that_does_not_fit_its_table_is_found(filled: SqlCatalog, location: Path, tmp_path: Path) -> None:
    backup(location, tmp_path / "good", files=FILES)
    filled.add_quarantined(Quarantined(path="/x", reason="empty", xxh3_128="f" * 32))
    filled.close()
    with closing(sqlite3.connect(location)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        names = ("ix_quarantined_path", "ix_quarantined_xxh3_128")
        pages = [
            connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]
            for name in names
        ]
        for name, page in zip(names, reversed(pages), strict=True):
            connection.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = ?", (page, name))
        connection.commit()
    with pytest.raises(CatalogDamaged, match="SQLite finds it damaged: .*"):
        inspect(location)
    with pytest.raises(CatalogDamaged, match="SQLite finds it damaged: .*"):
        backup(location, tmp_path / "bad", files=FILES)
    assert not (tmp_path / "bad").exists()


def test_a_restore_that_did_not_bring_the_backup_back_is_told(
    filled: SqlCatalog, location: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(location, tmp_path / "b", files=FILES)
    monkeypatch.setattr(backups, "_overwrite", lambda _file, _path: None)
    open_catalog(tmp_path / "new.sqlite").close()
    with pytest.raises(CatalogDamaged, match="not the same: activity: 0 rows with digest .*, expected 1 rows"):
        restore(tmp_path / "b", tmp_path / "new.sqlite", files=FILES, now_ns=0)


def test_a_backup_of_a_newer_nualley_is_refused(filled: SqlCatalog, location: Path, tmp_path: Path) -> None:
    backup(location, tmp_path / "b", files=FILES)
    (tmp_path / "b").chmod(0o644)
    with closing(sqlite3.connect(tmp_path / "b")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(CatalogNewer, match="the backup has version 9999"):
        restore(tmp_path / "b", tmp_path / "target", files=FILES, now_ns=0)


def test_every_row_and_column_counts_in_the_digest(filled: SqlCatalog, location: Path) -> None:
    before = inspect(location)
    assert inspect(location) == before
    filled.add_tag("cenns-10-42", "x")
    with_tag = inspect(location)
    filled.remove_tag("cenns-10-42", "x")
    assert inspect(location) == before != with_tag
    filled.update_run("cenns-10-42", stop_reason="trip")
    assert inspect(location).n_rows_by_table == before.n_rows_by_table
    assert inspect(location).xxh3_128 != before.xxh3_128


@pytest.mark.parametrize("raw", [b"", b"no database" * 1000])
def test_a_damaged_catalog_is_kept_aside_and_replaced(
    filled: SqlCatalog, location: Path, tmp_path: Path, raw: bytes
) -> None:
    content = backup(location, tmp_path / "b", files=FILES)
    filled.close()
    location.write_bytes(raw)
    with pytest.raises(CatalogNotEmpty, match=r"is damaged .*; the backup was not restored") as caught:
        restore(tmp_path / "b", location, files=FILES, now_ns=0)
    assert "give --replace" in caught.value.do
    assert location.read_bytes() == raw
    assert restore(tmp_path / "b", location, files=FILES, replace=True, now_ns=0) == content
    aside = location.with_name("catalog.sqlite.damaged-19700101T000000Z")
    assert aside.read_bytes() == raw
    location.write_bytes(raw)
    restore(tmp_path / "b", location, files=FILES, replace=True, now_ns=0)
    assert aside.with_name(f"{aside.name}-2").read_bytes() == raw


def test_a_lost_catalog_is_brought_back(filled: SqlCatalog, location: Path, tmp_path: Path) -> None:
    content = backup(location, tmp_path / "b", files=FILES)
    filled.close()
    location.unlink()
    assert restore(tmp_path / "b", location, files=FILES, now_ns=0) == content
    with open_catalog(location) as again:
        assert len(again.runs()) == 1
