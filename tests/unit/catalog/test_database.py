"""Opening, making and bringing up to date; and what a database refuses."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

from nualley.catalog import CatalogDamaged, CatalogMissing, CatalogUnreachable
from nualley.catalog.adapters import database, schema, sqlite_file, tables
from nualley.catalog.adapters.database import open_database
from nualley.catalog.adapters.mounts import file_system_type, find_type
from nualley.catalog.adapters.refusals import translated
from nualley.catalog.adapters.sql import open_catalog
from nualley.catalog.errors import (
    CatalogNewer,
    CatalogOnNetwork,
    CatalogOutdated,
    CatalogUnwritable,
    DriverMissing,
)
from nualley.core import ExitCode
from tests.unit.catalog.records import make_run


def execute(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(statement).fetchall()
        connection.commit()
        return found


# ---------------------------------------------------------------- schema
def test_the_steps_make_the_tables_as_they_are_declared(location: Path) -> None:
    database_ = open_database(location, create=True)
    with database_.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    database_.close()


def test_the_versions_are_those_of_the_steps() -> None:
    steps = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    assert [step.revision for step in reversed(list(steps.walk_revisions()))] == list(schema.VERSIONS)
    assert steps.get_current_head() == schema.HEAD


def test_every_version_goes_up_and_down(tmp_path: Path) -> None:
    opened = open_database(tmp_path / "catalog.sqlite", create=True)

    def down(connection: Connection) -> None:
        schema.migrate(connection, "base")

    opened.write(down)
    with opened.reading() as connection:
        assert schema.read_version(connection) is None
        assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
    opened.write(schema.migrate)
    with opened.reading() as connection:
        assert schema.read_version(connection) == schema.HEAD
        assert set(inspect(connection).get_table_names()) == {*tables.metadata.tables, "alembic_version"}
    opened.close()


def test_the_tables_can_be_made_on_postgresql() -> None:
    dialect = postgresql.dialect()
    for table in tables.metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=dialect))
        assert "_ns BIGINT" in text or "_ns" not in text
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=dialect))
    assert "run_id SERIAL" not in str(CreateTable(tables.run).compile(dialect=dialect))
    assert "file_id BIGSERIAL" in str(CreateTable(tables.file).compile(dialect=dialect))


# ---------------------------------------------------------------- opening
def test_a_new_catalog_is_durable_and_strict(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store" / "catalog.sqlite"
    opened = open_database(path, create=True)
    with opened.reading() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    opened.close()


def test_rows_without_their_parent_are_refused(location: Path) -> None:
    opened = open_database(location, create=True)
    statement = "INSERT INTO note (run_id, time_ns, author, text) VALUES ('absent-1', 0, '', '')"
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        opened.write(lambda connection: connection.exec_driver_sql(statement))
    opened.close()


def test_a_reader_does_not_make_a_catalog(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with pytest.raises(CatalogMissing, match="no catalog yet") as caught:
        open_catalog(path, create=False)
    assert "runs ingest" in caught.value.do
    assert not path.exists()
    open_catalog(path).close()
    open_catalog(path, create=False).close()


def test_a_newer_catalog_is_refused_and_not_changed(location: Path) -> None:
    execute(location, "UPDATE alembic_version SET version_num = '9999'")
    for create in (True, False):
        with pytest.raises(CatalogNewer, match="has version 9999, this nualley knows up to"):
            open_catalog(location, create=create)
    assert execute(location, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_an_older_catalog_is_brought_up_to_date_by_a_writer_only(
    location: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "VERSIONS", (*schema.VERSIONS, "0099"))
    monkeypatch.setattr(schema, "HEAD", "0099")
    with pytest.raises(CatalogOutdated, match=f"has version {schema.VERSIONS[-2]}, this nualley reads 0099"):
        open_catalog(location, create=False)
    migrated: list[str] = []
    monkeypatch.setattr(schema, "migrate", lambda _connection: migrated.append("0099"))
    open_catalog(location).close()
    assert migrated == ["0099"]


def test_who_waited_for_its_turn_finds_the_tables_made(location: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "migrate", lambda _connection: pytest.fail("made twice"))
    opened = open_database(location, create=True)
    opened.write(lambda connection: database._migrate(connection, "x"))
    opened.close()


def test_another_database_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    execute(path, "CREATE TABLE photos (name TEXT)")
    for create in (True, False):
        with pytest.raises(CatalogDamaged, match="it holds the tables photos") as caught:
            open_catalog(path, create=create)
        assert "nualley catalog restore" in caught.value.do
    assert execute(path, "SELECT name FROM sqlite_master") == [("photos",)]


def test_what_is_no_database_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(CatalogDamaged, match="the file is no database") as caught:
        open_catalog(path)
    assert caught.value.exit_code == ExitCode.NOT_INTACT
    assert path.read_bytes() == b"not a database" * 100


@pytest.mark.parametrize("create", [True, False])
def test_an_emptied_catalog_is_damaged_and_stays_so(location: Path, create: bool) -> None:
    location.write_bytes(b"")
    with pytest.raises(CatalogDamaged, match=r"empty file \(0 B\)") as caught:
        open_catalog(location, create=create)
    assert (caught.value.exit_code, location.stat().st_size) == (ExitCode.NOT_INTACT, 0)
    assert "nualley catalog restore FILE --replace" in caught.value.do


@pytest.mark.parametrize("size_B", [50, 100, 511, 512, 4096, 5000, 8192])
def test_a_truncated_catalog_is_damaged(location: Path, size_B: int) -> None:
    location.write_bytes(location.read_bytes()[:size_B])
    for create in (True, False):
        with pytest.raises(CatalogDamaged, match="damaged|no database") as caught:
            open_catalog(location, create=create)
        assert "nualley catalog restore" in caught.value.do
    assert location.stat().st_size == size_B


def test_a_catalog_without_its_tables_is_damaged(location: Path, tmp_path: Path) -> None:
    execute(location, "DROP TABLE note")
    with pytest.raises(CatalogDamaged, match="the catalog lacks the tables note"):
        open_catalog(location)
    bare = tmp_path / "bare.sqlite"
    execute(bare, "PRAGMA user_version = 1")
    with pytest.raises(CatalogDamaged, match="it holds no table"):
        open_catalog(bare)


@pytest.mark.parametrize("create", [True, False])
def test_a_catalog_that_is_gone_is_not_begun_anew(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "catalog.sqlite"
    open_catalog(path).close()
    path.unlink()
    with pytest.raises(CatalogDamaged, match=r"the catalog is gone: catalog\.sqlite\.made beside it says") as caught:
        open_catalog(path, create=create)
    assert "nualley catalog restore" in caught.value.do
    assert not path.exists()
    (tmp_path / "catalog.sqlite.made").unlink()
    open_catalog(path).close()


def test_a_catalog_that_is_made_while_one_looks_is_not_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, exists, made = tmp_path / "catalog.sqlite", Path.exists, []

    def slow_look(looked: Path) -> bool:
        found = exists(looked)
        if not found and not made:  # what was seen is told only after another process has made one
            made.append(looked)
            open_catalog(path).close()
        return found

    monkeypatch.setattr(Path, "exists", slow_look)
    with open_catalog(path) as catalog:
        assert catalog.runs() == []
    assert made


def test_a_catalog_from_before_the_remark_gets_it(location: Path) -> None:
    open_catalog(location).close()
    assert location.with_name("catalog.sqlite.made").exists()


def test_a_catalog_is_never_seen_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "catalog.sqlite", []
    migrate = schema.migrate

    def look(connection: Connection) -> None:
        migrate(connection)
        seen.append(path.exists())

    monkeypatch.setattr(schema, "migrate", look)
    open_catalog(path).close()
    assert seen == [False]
    assert sorted(found.name for found in tmp_path.iterdir()) == ["catalog.sqlite", "catalog.sqlite.made"]


def test_what_one_left_who_was_killed_while_making_is_removed(tmp_path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        (tmp_path / f".catalog.sqlite.new{suffix}").write_bytes(b"torn")
    open_catalog(tmp_path / "catalog.sqlite").close()
    assert not list(tmp_path.glob(".catalog.sqlite.new*"))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CatalogUnwritable, match="the catalog cannot be made: Not a directory|File exists"):
        open_catalog(tmp_path / "file" / "catalog.sqlite")


def test_a_catalog_that_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CatalogUnwritable, match="cannot be opened"):
        open_catalog(tmp_path)


def test_a_path_of_any_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c%20\udcff" / "catalog.sqlite"
    with open_catalog(path) as catalog:
        catalog.register_run(make_run())
    assert path.exists()
    with open_catalog(path, create=False) as catalog:
        assert len(catalog.runs()) == 1


def test_a_locked_catalog_is_told_after_the_timeout(location: Path) -> None:
    with (
        closing(sqlite3.connect(location, isolation_level=None)) as other,
        open_catalog(location, busy_timeout_ms=1) as catalog,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CatalogUnreachable, match="another process keeps the catalog locked") as caught:
            catalog.register_run(make_run())
        assert caught.value.exit_code == ExitCode.UNREACHABLE
        assert catalog.runs() == []  # a reader is never locked out
        other.execute("ROLLBACK")
        catalog.register_run(make_run())


def test_a_database_without_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DriverMissing, match="psycopg is not installed") as caught:
        open_catalog("postgresql+psycopg://host/db")
    assert "pip install" in caught.value.do


def test_a_race_for_the_same_row_is_tried_again_and_at_last_told(location: Path) -> None:
    opened = open_database(location, create=True)
    tries: list[int] = []

    def work(_connection: Connection) -> str:
        tries.append(1)
        if len(tries) < 3:
            raise IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed"))
        return "done"

    assert opened.write(work) == "done"
    assert len(tries) == 3

    def never(_connection: Connection) -> None:
        tries.append(1)
        raise IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed"))

    tries.clear()
    with pytest.raises(IntegrityError):
        opened.write(never)
    assert len(tries) == 5
    opened.close()


class FakeDriver:
    """A connection that answers how its journal is kept, and refuses a change while another makes it."""

    def __init__(self, answers: list[str]) -> None:
        self.answers = answers
        self.answer = ""

    def execute(self, statement: str) -> "FakeDriver":
        if statement == "PRAGMA journal_mode":
            self.answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        elif self.answer == "busy":
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorname = "SQLITE_BUSY"
            raise error
        return self

    def fetchone(self) -> tuple[str]:
        return (self.answer,)


def test_the_write_ahead_log_is_switched_on_though_another_does_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(database.time, "sleep", waits.append)
    database._use_write_ahead_log(FakeDriver(["delete", "busy", "wal"]), "x")  # type: ignore[arg-type]
    assert len(waits) == 1


def test_without_a_write_ahead_log_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CatalogUnwritable, match="cannot keep a write-ahead log"):
        database._use_write_ahead_log(FakeDriver(["delete"]), "x")  # type: ignore[arg-type]


# ---------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("SQLITE_BUSY_SNAPSHOT", CatalogUnreachable, "locked"),
        ("SQLITE_LOCKED", CatalogUnreachable, "locked"),
        ("SQLITE_FULL", CatalogUnwritable, "full"),
        ("SQLITE_READONLY_DBMOVED", CatalogUnwritable, "cannot be written"),
        ("SQLITE_CANTOPEN", CatalogUnwritable, "cannot be opened"),
        ("SQLITE_PERM", CatalogUnwritable, "cannot be opened"),
        ("SQLITE_IOERR_FSYNC", CatalogUnwritable, "SMART"),
        ("SQLITE_CORRUPT_INDEX", CatalogDamaged, "backup"),
        ("SQLITE_NOTADB", CatalogDamaged, "backup"),
    ],
)
@pytest.mark.parametrize("is_wrapped", [True, False])
def test_what_sqlite_refuses(name: str, kind: type[Exception], text: str, is_wrapped: bool) -> None:
    error = sqlite3.OperationalError("refused")
    error.sqlite_errorname = name
    raised = OperationalError("SELECT", {}, error) if is_wrapped else error
    with pytest.raises(kind, match=text) as caught, translated("/store/catalog.sqlite"):
        raise raised
    assert "where: /store/catalog.sqlite" in str(caught.value)


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(sqlite3.OperationalError), translated("x"):
        raise sqlite3.OperationalError("no such column")
    with pytest.raises(OperationalError), translated("x"):
        raise OperationalError("SELECT", {}, sqlite3.OperationalError("no such column"))


def test_a_server_that_does_not_answer() -> None:
    with pytest.raises(CatalogUnreachable, match="does not answer: refused"), translated("postgresql://host"):
        raise OperationalError("SELECT", {}, ConnectionError("refused"))


# ---------------------------------------------------------------- file systems
@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "lustre", "fuse.sshfs"])
def test_sqlite_on_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(CatalogOnNetwork, match=f"lies on {kind}") as caught:
        open_catalog(tmp_path / "catalog.sqlite", find_file_system=lambda _path: kind)
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    assert "PostgreSQL" in caught.value.do
    assert list(tmp_path.iterdir()) == []


MOUNTS = [
    b"22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw",
    b"30 22 0:40 / /data rw - xfs /dev/sdb1 rw",
    b"31 22 0:41 / /data/my\\040drive rw shared:1 - nfs4 host:/export rw",
    b"32 22 0:42 / /database rw - tmpfs tmpfs rw",
    b"33 30 0:43 / /over rw - ext4 /dev/sdc rw",
    b"34 33 0:44 / /over rw - cifs //host/share rw",
]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/x", "ext4"),
        ("/", "ext4"),
        ("/data", "xfs"),
        ("/data/a/b", "xfs"),
        ("/data/my drive/store/catalog.sqlite", "nfs4"),
        ("/database/x", "tmpfs"),
        ("/databases", "ext4"),
        ("/over/x", "cifs"),
    ],
)
def test_the_deepest_and_latest_mount_counts(path: str, kind: str) -> None:
    assert find_type(MOUNTS, Path(path)) == kind


def test_the_type_is_found_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert file_system_type(tmp_path / "not" / "there")
    assert file_system_type(Path("/proc/self")) == "proc"
    monkeypatch.setattr("nualley.catalog.adapters.mounts._MOUNTS", tmp_path / "absent")
    assert file_system_type(tmp_path) == ""
    assert find_type([], tmp_path) == ""


# ---------------------------------------------------------------- start-up
def test_an_existing_catalog_opens_without_alembic_and_orm(location: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nualley.catalog.adapters.sql import open_catalog\n"
        f"catalog = open_catalog(Path({str(location)!r})); catalog.runs(); catalog.close()\n"
        "print([name for name in ('alembic', 'sqlalchemy.orm', 'pyarrow', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_metadata_and_engine_agree_on_a_plain_database(tmp_path: Path) -> None:
    """The declared tables can also be made at once, as tools that read the schema do."""
    engine = create_engine(f"sqlite:///{tmp_path / 'plain.sqlite'}")
    tables.metadata.create_all(engine)
    assert set(inspect(engine).get_table_names()) == set(tables.metadata.tables)
    engine.dispose()


# ---------------------------------------------------------------- a place where this user may not write
@pytest.fixture
def closed(location: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a catalog whose folder this user may not write to, as far as one asks."""
    with open_catalog(location) as catalog:
        catalog.register_run(make_run(1))
    monkeypatch.setattr(sqlite_file, "is_writable", lambda _path: False)
    return location


def names_beside(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.iterdir())


def test_reading_there_leaves_nothing_behind(closed: Path) -> None:
    before = names_beside(closed)
    with open_catalog(closed) as catalog:
        assert [run.number for run in catalog.runs()] == [1]
        assert names_beside(closed) == before
        with pytest.raises(CatalogUnwritable, match="open for reading only") as caught:
            catalog.register_run(make_run(2))
        assert "give this user the right" in caught.value.do


def test_what_is_written_later_is_seen_also_while_it_is_in_the_log(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = open_catalog(closed)
    with monkeypatch.context() as others:
        others.setattr(sqlite_file, "is_writable", lambda _path: True)
        writer = open_catalog(closed)
    writer.register_run(make_run(2))
    assert not sqlite_file.is_quiet(closed)
    assert [run.number for run in reader.runs()] == [1, 2]
    writer.close()
    assert sqlite_file.is_quiet(closed)
    assert [run.number for run in reader.runs()] == [1, 2]
    reader.close()


def test_a_write_in_the_middle_of_a_reading_is_told(closed: Path) -> None:
    opened = open_database(closed, create=False)
    with (
        pytest.raises(CatalogUnreachable, match="was written to while it was read") as caught,
        opened.reading() as connection,
    ):
        connection.exec_driver_sql("SELECT * FROM run").all()
        execute(closed, "UPDATE run SET run_type = 'x'")
    assert caught.value.exit_code == ExitCode.UNREACHABLE
    opened.close()


def test_damage_is_told_as_damage_where_nobody_wrote(closed: Path) -> None:
    closed.write_bytes(closed.read_bytes()[:8192])
    with pytest.raises(CatalogDamaged):
        open_catalog(closed)


def test_who_may_write_by_now_writes(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_catalog(closed) as catalog:
        monkeypatch.undo()
        catalog.register_run(make_run(2))
        assert len(catalog.runs()) == 2


# ---------------------------------------------------------------- no room
@pytest.mark.parametrize("name", ["SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE", "SQLITE_CANTOPEN", "SQLITE_FULL"])
@pytest.mark.parametrize(("free_B", "n_inodes"), [(4096, 10), (10**9, 0)])
def test_a_full_drive_is_called_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, free_B: int, n_inodes: int
) -> None:
    volume = SimpleNamespace(f_bavail=free_B, f_frsize=1, f_files=100, f_favail=n_inodes)
    monkeypatch.setattr("nualley.catalog.adapters.refusals.os.statvfs", lambda _path: volume)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name
    with (
        pytest.raises(
            CatalogUnwritable, match=rf"the drive under the catalog is full: .*\({free_B} B\) free"
        ) as caught,
        translated("x", tmp_path / "catalog.sqlite"),
    ):
        raise error
    assert "make room on the store's drive" in caught.value.do
    assert "SMART" not in str(caught.value)


def test_a_failing_drive_with_room_is_called_failing(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_READ"
    with pytest.raises(CatalogUnwritable, match="failed") as caught, translated("x", tmp_path / "catalog.sqlite"):
        raise error
    assert "SMART" in caught.value.do
