"""An open database: connections, transactions and what SQLite needs to be told."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import IntegrityError, NoSuchModuleError

from nualley.catalog.adapters import schema
from nualley.catalog.adapters.mounts import file_system_type, refuse_network
from nualley.catalog.adapters.refusals import translated
from nualley.catalog.errors import CatalogUnwritable, DriverMissing
from nualley.core import escape_name

T = TypeVar("T")

BUSY_TIMEOUT_MS = 30_000
_WRITES = "nualley_writes"
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
    """

    def __init__(self, engine: Engine, where: str) -> None:
        self._readers = engine
        self._writers = engine.execution_options(**{_WRITES: True})
        self.where = where

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one moment of the database."""
        with translated(self.where), self._readers.connect() as connection:
            yield connection

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
        for last in (*(False,) * (_N_TRIES - 1), True):
            try:
                with translated(self.where), self._writers.begin() as connection:
                    return work(connection)
            except IntegrityError:
                if last:
                    raise
        raise AssertionError("unreachable")  # the last try returned or raised

    def close(self) -> None:
        """Close every connection."""
        self._readers.dispose()


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
        Ready for use.

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
        database = _open_server(location)
    try:
        with database.reading() as connection:
            is_to_migrate = schema.needs_migration(connection, database.where, is_writer=create)
        if is_to_migrate:
            database.write(lambda connection: _migrate(connection, database.where))
    except BaseException:
        database.close()
        raise
    return database


def _migrate(connection: Connection, where: str) -> None:
    # another process may have done it while this one waited for its turn
    if schema.needs_migration(connection, where, is_writer=True):
        schema.migrate(connection)


def _open_sqlite(path: Path, *, create: bool, busy_timeout_ms: int) -> Database:
    where = escape_name(str(path))
    if not create and not path.exists():
        raise schema.missing(where)
    if create:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CatalogUnwritable(
                f"the folder of the catalog cannot be made: {error.strerror}",
                where=where,
                do="mount its drive for writing or give this user the right",
            ) from error
    engine = create_engine(URL.create("sqlite", database=str(path)))

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _record: Any) -> None:
        # the driver must not begin transactions by itself: `begun` says which kind it is
        connection.isolation_level = None
        for pragma in (f"busy_timeout={busy_timeout_ms}", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        if create:
            _use_write_ahead_log(connection, where)

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # a transaction that reads first and then writes could not wait for its turn: SQLite refuses it at once
        is_writer = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")

    return Database(engine, where)


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


def _open_server(url: str) -> Database:
    try:
        engine = create_engine(url, pool_pre_ping=True)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise DriverMissing(
            f"the driver of {url.partition('://')[0]} is not installed: {error}",
            where="catalog.url",
            do="install it: pip install 'psycopg[binary]'",
        ) from error
    return Database(engine, engine.url.render_as_string(hide_password=True))
