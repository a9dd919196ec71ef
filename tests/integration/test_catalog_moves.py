"""A catalog goes from SQLite to a real PostgreSQL server and back, by a move or a backup: whole or not at all."""

import hashlib
import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from nualley.catalog import (
    CatalogDamaged,
    CatalogMissing,
    CatalogUnreachable,
    Flag,
    Quarantined,
    ReplicaState,
    RunType,
    SelectionRevision,
    Source,
    SourceState,
    Transfer,
    TransferFile,
)
from nualley.catalog.adapters import copying, moves, schema
from nualley.catalog.adapters.backup import backup, inspect, restore
from nualley.catalog.adapters.backup_folder import add_backup, drill
from nualley.catalog.adapters.contents import difference, read_content
from nualley.catalog.adapters.database import open_database
from nualley.catalog.adapters.moves import move
from nualley.catalog.adapters.sql import SqlCatalog, open_catalog
from nualley.catalog.errors import CatalogMoved, CatalogNotEmpty, SelectionFrozen
from nualley.catalog.models import CatalogContent
from nualley.catalog.settings import parse_url
from nualley.core import ExitCode, UsageError, escape_name
from nualley.storage.adapters.posix import PosixFiles
from nualley.testing.postgres import PostgresServer
from tests.unit.catalog.records import NOW_NS, make_activity, make_file, make_replica, make_run

NUMBERS = itertools.count()
FILES = PosixFiles()
INT64 = 2**63 - 1


@pytest.fixture
def server(postgres: PostgresServer) -> str:
    """Return the address of an empty database, as the settings give it."""
    # it orders text by the rules of a language, as servers do where nobody said otherwise
    return parse_url(postgres.create(f"moves{next(NUMBERS)}", language="en-US"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a SQLite catalog in which every table holds something, and something that is hard to hold."""
    path = tmp_path / "catalog.sqlite"
    with open_catalog(path) as catalog:
        fill(catalog)
    return path


def fill(catalog: SqlCatalog) -> None:
    names = (escape_name("a\tb\\N"), "Ünïν", escape_name(b"\xff\x00\n".decode("utf-8", "surrogateescape")))
    for number, name in enumerate(names):
        settings = {"nan": math.nan, "µ": [1, 2.5, 10**20], "text": 'quoted "\\" \u2028', "nested": {"b": None}}
        run = make_run(number, "hpge", settings=settings, start_ns=number * 10**18, tags=("Ä", "a", "Z"))
        catalog.add_file(
            run,
            make_file(run, name, number, size_B=INT64 - 3, n_events=None, defects=({"kind": "x", "offset_B": INT64},)),
            replicas=[
                make_replica(path=f"/data1/{name}"),
                make_replica("data2", f"/x/{name}", state=ReplicaState.MISSING),
            ],
            activity=make_activity(inputs=(name, "b"), outputs=(name,), stop_ns=INT64),
        )
    catalog.add_note("hpge-1", "two\nlines\t\\.", author="Ünal")
    catalog.add_quarantined(Quarantined(path="/drop/x", reason="empty"))
    catalog.put_source(
        Source(path="/drop/a", detector="hpge", state=SourceState.INGESTED, size_B=1, mtime_ns=-1, inode=INT64)
    )
    catalog.register_drive("data1", "i1")
    files = [TransferFile(path=name, size_B=INT64, mtime_ns=-1, inode=INT64, file_id=1, problem="µ") for name in names]
    catalog.transfers.begin(
        Transfer(source=f"/x/{names[0]}", destination="/y", drive="data2", rate_B_per_s=INT64), files
    )
    catalog.run_lists.set_type("hpge-1", RunType.PHYSICS, author="Ünal")
    flag = catalog.run_lists.add_flag(
        Flag(detector="hpge", name="noise", first_run=1, last_run=2, reason="µ", author="Ünal")
    )
    catalog.run_lists.add_flag(replace(flag, flag_id=0, time_ns=0, name="trip", supersedes=flag.flag_id))
    draft = catalog.run_lists.define(SelectionRevision(name="good", expression='detector == "hpge"', author="Ünal"))
    content = '{"name":"good"}'
    digest = hashlib.sha256(content.encode()).hexdigest()
    catalog.run_lists.freeze(replace(draft, time_ns=0, content=content, sha256=digest))


def content_of(location: Path | str) -> CatalogContent:
    opened = open_database(location, create=False)
    try:
        with opened.reading() as connection:
            return read_content(connection, "x")
    finally:
        opened.close()


# ---------------------------------------------------------------- moving
def test_there_and_back_nothing_is_lost(file: Path, server: str, tmp_path: Path) -> None:
    before = content_of(file)
    assert all(before.n_rows_by_table.values())  # a table that is left out would be missed
    told: list[tuple[str, int, int]] = []
    there = move(file, server, now_ns=NOW_NS, report=lambda *step: told.append(step))
    assert (there.content, there.is_done, there.was_there) == (before, True, False)
    assert difference(content_of(server), before) == ""
    assert ("copying run", 3, 3) in told
    with open_catalog(file) as old, open_catalog(server) as new:
        assert new.runs() == old.runs()
        assert new.usage() == old.usage()
        assert new.run_lists.flags() == old.run_lists.flags()
        assert new.run_lists.selections() == old.run_lists.selections()
        assert new.transfers.transfers() == old.transfers.transfers()
        assert new.transfers.files(1) == old.transfers.files(1)
        with pytest.raises(SelectionFrozen):
            new.run_lists.define(SelectionRevision(name="good", expression='detector == "x"', author="x"))
        assert [new.files(run.run_id) for run in new.runs()] == [old.files(run.run_id) for run in old.runs()]
        # rows are numbered on after those that came: a number that is taken would only be found by trying
        next_number = "SELECT nextval(pg_get_serial_sequence('note', 'note_id')), nextval('file_file_id_seq')"
        assert new._write(lambda connection: tuple(connection.exec_driver_sql(next_number).one())) == (3, 4)
        run = make_run(9)
        assert new.add_file(run, make_file(run)).record.file_id == 5
        assert new.transfers.begin(Transfer(source="/a", destination="/b"), []).transfer_id == 2
    back = tmp_path / "back.sqlite"
    after = content_of(server)
    assert move(server, back, now_ns=NOW_NS).content == after == content_of(back)


def test_the_old_one_says_where_it_went_and_takes_nothing_any_more(file: Path, server: str) -> None:
    with open_catalog(file) as opened_before:
        move(file, server, now_ns=NOW_NS)
        with open_catalog(file) as opened_after:
            for catalog in (opened_before, opened_after):
                assert len(catalog.runs()) == 3
                with pytest.raises(CatalogMoved, match="was moved to postgresql://nualley@.* at 2026-11-18") as caught:
                    catalog.register_run(make_run())
                with pytest.raises(CatalogMoved):
                    catalog.run_lists.set_type("hpge-1", RunType.TEST, author="x")
                assert caught.value.exit_code == ExitCode.CONFIGURATION
                assert "set catalog.url" in caught.value.do
    with pytest.raises(CatalogMoved):
        move(file, file.with_name("other.sqlite"), now_ns=NOW_NS)
    move(server, file.with_name("back.sqlite"), now_ns=NOW_NS)
    with open_catalog(server) as catalog, pytest.raises(CatalogMoved, match=r"moved to sqlite:////.*back\.sqlite"):
        catalog.register_run(make_run())


def test_a_dry_run_makes_and_marks_nothing(file: Path, server: str, tmp_path: Path) -> None:
    planned = move(file, server, now_ns=NOW_NS, is_dry=True)
    assert (planned.is_done, planned.content) == (False, content_of(file))
    with pytest.raises(CatalogMissing):
        open_catalog(server, create=False)
    move(file, tmp_path / "new.sqlite", now_ns=NOW_NS, is_dry=True)
    assert not (tmp_path / "new.sqlite").exists()
    with open_catalog(file) as catalog:
        catalog.register_run(make_run())


def test_a_source_that_is_not_there_is_not_made(file: Path, server: str) -> None:
    for absent in (file.with_name("absent.sqlite"), server):
        for is_dry in (True, False):
            with pytest.raises(CatalogMissing):
                move(absent, file.with_name("new.sqlite"), now_ns=NOW_NS, is_dry=is_dry)
    assert not file.with_name("absent.sqlite").exists()
    assert not file.with_name("new.sqlite").exists()
    with pytest.raises(CatalogMissing):
        open_catalog(server, create=False)


def test_an_older_source_is_brought_up_to_date_and_moved(file: Path, server: str) -> None:
    opened = open_database(file, create=True)
    opened.write(lambda connection: schema.migrate(connection, "0002"))
    opened.close()
    assert move(file, server, now_ns=NOW_NS).content.version == schema.HEAD


def test_a_target_that_holds_something_is_refused(file: Path, server: str) -> None:
    with open_catalog(server) as catalog:
        catalog.register_run(make_run(7))
    before = content_of(server)
    for is_dry in (True, False):
        with pytest.raises(CatalogNotEmpty, match="the target holds 1 rows; nothing was moved"):
            move(file, server, now_ns=NOW_NS, is_dry=is_dry)
    assert content_of(server) == before
    with open_catalog(file) as catalog:
        catalog.register_run(make_run())
    with pytest.raises(UsageError, match="source and target are both"):
        move(file, file, now_ns=NOW_NS)


def test_a_target_that_was_itself_moved_is_refused(file: Path, server: str, tmp_path: Path) -> None:
    move(file, server, now_ns=NOW_NS)
    with pytest.raises(CatalogNotEmpty, match="takes nothing itself, because of postgresql://"):
        move(server, file, now_ns=NOW_NS)


@pytest.mark.parametrize("stage", ["file", "go_on_counting"])
def test_killed_in_the_middle_nothing_arrived_and_it_can_be_done_again(
    file: Path, server: str, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    real: Callable[..., None] = copying._copy_table

    def copy(source: Connection, target: Connection, rows: copying.Rows, report: object) -> None:
        if rows.name == stage:
            raise KeyboardInterrupt
        real(source, target, rows, report)

    def stop(_target: Connection) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(copying, "_copy_table", copy)
        if stage == "go_on_counting":
            patch.setattr(copying, stage, stop)
        move(file, server, now_ns=NOW_NS)
    assert content_of(server).is_empty
    with open_catalog(file) as catalog:
        catalog.register_run(make_run())
    assert move(file, server, now_ns=NOW_NS).content.n_rows_by_table["run"] == 4


def test_killed_before_the_mark_the_next_call_sets_it(file: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_table: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(moves, "insert", stop)
        move(file, server, now_ns=NOW_NS)
    assert not content_of(server).is_empty
    again = move(file, server, now_ns=NOW_NS)
    assert (again.was_there, again.is_done) == (True, True)
    with open_catalog(file) as catalog, pytest.raises(CatalogMoved):
        catalog.register_run(make_run())


def test_nobody_writes_meanwhile(file: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = copying.copy_rows
    told: list[str] = []

    def copy(source: Connection, target: Connection, report: object) -> None:
        with open_catalog(file, busy_timeout_ms=1) as other:
            try:
                other.register_run(make_run(99))
            except CatalogUnreachable as error:
                told.append(error.what)
        real(source, target, report)  # type: ignore[arg-type]

    monkeypatch.setattr(copying, "copy_rows", copy)
    move(file, server, now_ns=NOW_NS)
    assert "another process keeps the catalog locked" in told[0]


def test_a_copy_that_differs_is_taken_back(file: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = copying.copy_rows

    def copy(source: Connection, target: Connection, report: object) -> None:
        real(source, target, report)  # type: ignore[arg-type]
        target.exec_driver_sql("UPDATE run SET stop_reason = 'x' WHERE run_id = 'hpge-1'")

    monkeypatch.setattr(copying, "copy_rows", copy)
    with pytest.raises(CatalogDamaged, match="the copy is not the same: run: 3 rows with digest .*, expected 3 rows"):
        move(file, server, now_ns=NOW_NS)
    monkeypatch.undo()
    assert content_of(server).is_empty
    with open_catalog(file) as catalog:
        catalog.register_run(make_run())


# ---------------------------------------------------------------- backups of a server
def test_a_backup_of_a_server_is_a_sqlite_file_and_goes_to_either(file: Path, server: str, tmp_path: Path) -> None:
    with open_catalog(server) as catalog:
        fill(catalog)
    content = backup(server, tmp_path / "b", files=FILES)
    assert content == inspect(tmp_path / "b") == content_of(server)
    assert restore(tmp_path / "b", tmp_path / "new.sqlite", files=FILES, now_ns=NOW_NS) == content
    with pytest.raises(CatalogNotEmpty, match="already holds a catalog; the backup was not restored"):
        restore(tmp_path / "b", server, files=FILES, now_ns=NOW_NS)
    with open_catalog(server) as catalog:
        catalog.add_tag("hpge-1", "later")
        assert restore(tmp_path / "b", server, files=FILES, now_ns=NOW_NS, replace=True) == content
        assert "later" not in catalog.run("hpge-1").tags
        run = make_run(9)
        assert catalog.add_file(run, make_file(run)).record.file_id == 4
    kept = tmp_path / "b.before-restore-20261118T110640Z"
    with open_catalog(kept, create=False) as before:
        assert "later" in before.run("hpge-1").tags


def test_a_backup_of_a_server_by_the_worker_is_drilled(server: str, tmp_path: Path) -> None:
    with open_catalog(server) as catalog:
        fill(catalog)
    _, content = add_backup(server, tmp_path, files=FILES, now_ns=NOW_NS)
    assert drill(tmp_path, files=FILES, now_ns=NOW_NS).content == content == content_of(server)


def test_a_backup_of_a_server_that_holds_no_catalog(server: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogMissing):
        backup(server, tmp_path / "b", files=FILES)
    assert list(tmp_path.iterdir()) == []


def test_an_older_backup_goes_to_a_server(file: Path, server: str, tmp_path: Path) -> None:
    opened = open_database(file, create=True)
    opened.write(lambda connection: schema.migrate(connection, "0002"))
    opened.close()
    assert backup(file, tmp_path / "old", files=FILES).version == "0002"
    restore(tmp_path / "old", server, files=FILES, now_ns=NOW_NS)
    assert inspect(tmp_path / "old").version == "0002"
    with open_catalog(server) as catalog:
        # the migration counts what was there
        assert [(usage.month, usage.n_files) for usage in catalog.usage()] == [
            ("1970-01", 1),
            ("2001-09", 1),
            ("2033-05", 1),
        ]


def test_a_restored_backup_of_a_moved_catalog_can_be_written(file: Path, server: str, tmp_path: Path) -> None:
    move(file, server, now_ns=NOW_NS)
    backup(file, tmp_path / "b", files=FILES)
    restore(tmp_path / "b", tmp_path / "new.sqlite", files=FILES, now_ns=NOW_NS)
    with open_catalog(tmp_path / "new.sqlite") as catalog:
        catalog.register_run(make_run())
