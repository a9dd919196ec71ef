"""An open database: connections, transactions and what SQLite needs to be told."""

import contextlib
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool

from nualley.catalog.adapters import schema, sqlite_file
from nualley.catalog.adapters.mounts import file_system_type, refuse_network
from nualley.catalog.adapters.refusals import translated
from nualley.catalog.adapters.server import WRITES, open_server, shown_address
from nualley.catalog.errors import CatalogMissing, CatalogUnwritable
from nualley.core import escape_name

T = TypeVar("T")

BUSY_TIMEOUT_MS = 30_000
_N_TRIES = 5
_N_LOG_TRIES = 100


class Database:
    """One database and its transactions.

    Parameters
    ----------
    engine : Engine
        Connections to it.
    where : str
        Its place, for the text of errors.
    path : Path, optional
        Its file, if it is one.
    writers : Engine, optional
        Connections that write, where they are others.
    """

    def __init__(self, engine: Engine, where: str, path: Path | None = None, *, writers: Engine | None = None) -> None:
        self._readers = engine
        self._writers = writers or engine.execution_options(**{WRITES: True})
        self._path = path
        self.where = where

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one moment of the database."""
        with translated(self.where, self._path), self._readers.connect() as connection:
            yield connection

    def looking(self) -> AbstractContextManager[Connection]:
        """Give a connection for a single question."""
        return self.reading()

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work in one transaction, and return once it is durable.

        Parameters
        ----------
        work : callable
            Reads and writes by the connection that it is given. Called again where another process entered the same
            thing in the same moment: it then finds it there.

        Returns
        -------
        object
            What the work returned.
        """
        n_left = _N_TRIES
        while True:
            n_left -= 1
            try:
                with translated(self.where, self._path), self._writers.begin() as connection:
                    return work(connection)
            except IntegrityError:
                if not n_left:
                    raise

    def close(self) -> None:
        """Close every connection."""
        self._readers.dispose()


class ReadOnlyDatabase(Database):
    """A catalog file in a place where this user cannot write: read without making a log or taking a lock there.

    Parameters
    ----------
    path : Path
        The file.
    busy_timeout_ms : int
        How long to wait for another process's transaction [ms].

    Notes
    -----
    In write-ahead mode SQLite wants to make two files beside the database, even to read. Where a log that holds
    something lies there, somebody writes, and SQLite reads through his log. Where none does, the file is read as one
    that nobody changes (``immutable=1``), and what was read counts only if file and log are the same afterwards
    (`sqlite_file.steady`). Each reading begins anew, so that it sees what was written in between.
    """

    def __init__(self, path: Path, busy_timeout_ms: int) -> None:
        where = escape_name(str(path))
        self._alone = file_engine(path, busy_timeout_ms, uri=sqlite_file.reading_uri(path, is_alone=True))
        super().__init__(
            file_engine(path, busy_timeout_ms, uri=sqlite_file.reading_uri(path, is_alone=False)), where, path
        )
        self._file = path
        self._busy_timeout_ms = busy_timeout_ms

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one moment of the database."""
        if not sqlite_file.is_quiet(self._file):
            with super().reading() as connection:
                yield connection
            return
        with (
            sqlite_file.steady(self._file),
            translated(self.where, self._file),
            self._alone.connect() as connection,
        ):
            yield connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work where this user may write by now, else raise CatalogUnwritable."""
        if sqlite_file.is_writable(self._file):
            return self._write_now(work)
        raise CatalogUnwritable(
            "the catalog cannot be written to by this user: it is open for reading only",
            where=self.where,
            do="mount its drive for writing, or give this user the right to write the file and its folder",
        )

    def _write_now(self, work: Callable[[Connection], T]) -> T:
        opened = Database(file_engine(self._file, self._busy_timeout_ms, keeps_log=True), self.where, self._file)
        try:
            return opened.write(work)
        finally:
            opened.close()

    def close(self) -> None:
        """Close every connection."""
        self._alone.dispose()
        super().close()


class ServerDatabase(Database):
    """A database of a server.

    Parameters
    ----------
    address : str
        As `CatalogSettings.location` gives it.
    busy_timeout_ms : int
        How long to wait for another process's transaction [ms].
    """

    def __init__(self, address: str, busy_timeout_ms: int) -> None:
        engines = open_server(address, busy_timeout_ms)
        super().__init__(engines.readers, shown_address(address), writers=engines.writers)
        self._lookers = engines.lookers
        # commands leave what they opened to the end of the process; psycopg complains where nobody says good-bye
        weakref.finalize(self, engines.readers.dispose)

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """Give a connection for a single question."""
        with translated(self.where), self._lookers.connect() as connection:
            yield connection


def open_database(
    location: Path | str,
    *,
    create: bool,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    find_file_system: Callable[[Path], str] = file_system_type,
) -> Database:
    """Open a database whose tables are of this version.

    Parameters
    ----------
    location : Path or str
        The SQLite file, or the address of a server.
    create : bool
        Make a missing catalog and bring an old one up to date; else both are errors.
    busy_timeout_ms : int
        How long to wait for another process's transaction [ms].
    find_file_system : callable
        Tells the type of the file system under a path.

    Returns
    -------
    Database
        Ready for use; where this user cannot write, for reading.

    Raises
    ------
    CatalogMissing, CatalogOutdated, CatalogNewer, CatalogOnNetwork, CatalogDamaged, CatalogUnreachable,
    CatalogUnwritable, DriverMissing
        Where it cannot be used.
    """
    if isinstance(location, Path):
        refuse_network(location, find_file_system(location))
        database = _open_sqlite(location, create=create, busy_timeout_ms=busy_timeout_ms)
    else:
        database = ServerDatabase(location, busy_timeout_ms)
    is_writer = create and not isinstance(database, ReadOnlyDatabase)
    try:
        with database.reading() as connection:
            # a file that is there was made whole: without tables it is none of ours
            can_be_new = not isinstance(location, Path)
            is_to_migrate = schema.needs_migration(
                connection, database.where, is_writer=is_writer, can_be_new=can_be_new
            )
        if is_to_migrate:
            database.write(lambda connection: _migrate(connection, database.where))
    except BaseException:
        database.close()
        raise
    return database


def _migrate(connection: Connection, where: str) -> None:
    # another process may have done it while this one waited for its turn
    if schema.needs_migration(connection, where, is_writer=True, can_be_new=True):
        schema.migrate(connection)


def _open_sqlite(path: Path, *, create: bool, busy_timeout_ms: int) -> Database:
    where = escape_name(str(path))
    try:
        sqlite_file.check_there(path)
    except CatalogMissing:
        if not create:
            raise
        sqlite_file.make_whole(path, _make_tables)
    if path.is_file() and not sqlite_file.is_writable(path):
        return ReadOnlyDatabase(path, busy_timeout_ms)
    if create:
        with contextlib.suppress(OSError):  # a full drive: the catalog is there, its loss is noticed a little later
            sqlite_file.remember(path)
    return Database(file_engine(path, busy_timeout_ms, keeps_log=create), where, path)


def _make_tables(path: Path) -> None:
    made = Database(file_engine(path, BUSY_TIMEOUT_MS, keeps_log=True), escape_name(str(path)), path)
    try:
        made.write(schema.migrate)
    finally:
        made.close()  # the last to close takes the log over into the file


def file_engine(path: Path, busy_timeout_ms: int, *, uri: str = "", keeps_log: bool = False) -> Engine:
    """Return connections to a file: as SQLite opens it by itself, or each of its own by a URI."""
    if uri:
        engine = create_engine(
            "sqlite://",
            poolclass=NullPool,
            creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False),
        )
    else:
        engine = create_engine(URL.create("sqlite", database=str(path)))

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _record: Any) -> None:
        # the driver must not begin transactions by itself: `begun` says which kind it is
        connection.isolation_level = None
        for pragma in (f"busy_timeout={busy_timeout_ms}", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        if keeps_log:
            _use_write_ahead_log(connection, escape_name(str(path)))

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # a transaction that reads first and then writes could not wait for its turn: SQLite refuses it at once
        is_writer = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")

    return engine


def _use_write_ahead_log(connection: sqlite3.Connection, where: str) -> None:
    for _ in range(_N_LOG_TRIES):
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            return
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # SQLite does not wait for its turn here: another process is making the same change
            if error.sqlite_errorname != "SQLITE_BUSY":
                raise
            time.sleep(0.05)
    raise CatalogUnwritable(
        "the catalog cannot keep a write-ahead log there, without which writers lock readers out",
        where=where,
        do="put the store on a local drive with a POSIX file system",
    )
