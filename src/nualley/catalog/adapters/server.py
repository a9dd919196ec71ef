"""Connections to a PostgreSQL server: durable, one writer at a time, each reader with one moment of its own."""

import math
import select
import time
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError, NoSuchModuleError

from nualley.catalog.errors import DriverMissing, ServerUnfit
from nualley.core import UsageError

CONNECT_TIMEOUT_S = 10
"""A host that does not answer is given up after this long [s]; ``?connect_timeout=`` in the address says otherwise."""

WRITES = "nualley_writes"
"""Execution option of the connections that write."""

# "nualley" in ASCII: who writes holds this advisory lock of the database, as SQLite's BEGIN IMMEDIATE holds the file
_WRITERS = 0x6E75616C6C6579
_USED_S = "nualley_used_s"
# asking whether a connection is still there costs as much as a look-up: not where it was just used
_IDLE_S = 0.1
_SECRET_OPTIONS = ("password", "sslpassword")
_AT_CONNECT = """\
SELECT set_config('lock_timeout', %s, false),
       CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END
"""


class Engines(NamedTuple):
    """Connections to a server.

    Parameters
    ----------
    readers : Engine
        See one moment of the database and can change nothing.
    lookers : Engine
        Ask a single question: a quarter of the messages, and a single question sees one moment anyway.
    writers : Engine
        Follow each other.
    """

    readers: Engine
    lookers: Engine
    writers: Engine


def open_server(address: str, busy_timeout_ms: int) -> Engines:
    """Return connections to a server.

    Parameters
    ----------
    address : str
        ``postgresql+psycopg://USER@HOST/DATABASE``, as `CatalogSettings.location` gives it.
    busy_timeout_ms : int
        How long to wait for another process's transaction [ms].

    Returns
    -------
    Engines
        Made when they are first used.

    Raises
    ------
    DriverMissing
        Where psycopg is not installed.
    UsageError
        Where the address cannot be read.
    """
    url = _parsed(address)
    options = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_TIMEOUT_S}
    try:
        engine = create_engine(url, connect_args={"application_name": "nualley", **options})
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise DriverMissing(
            f"the driver of {url.drivername} is not installed: {error}",
            where="catalog.url",
            do="install it: pip install 'nualley[postgres]' (psycopg[binary])",
        ) from error
    event.listens_for(engine, "connect")(lambda connection, _record: _connected(connection, busy_timeout_ms))
    event.listens_for(engine, "begin")(_begun)
    event.listens_for(engine, "checkin")(_given_back)
    event.listens_for(engine, "checkout")(lambda connection, record, _proxy: _taken(engine, connection, record))
    return Engines(
        engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True),
        engine.execution_options(isolation_level="AUTOCOMMIT"),
        engine.execution_options(isolation_level="READ COMMITTED", **{WRITES: True}),
    )


def shown_address(address: str) -> str:
    """Return an address for texts: as a person writes it, without any password."""
    url = _parsed(address)
    bare = URL.create(
        url.drivername.partition("+")[0],
        username=url.username,
        host=url.host,
        port=url.port,
        database=url.database,
        query={name: value for name, value in url.query.items() if name not in _SECRET_OPTIONS},
    )
    return bare.render_as_string(hide_password=True)


def _parsed(address: str) -> URL:
    try:
        return make_url(address)
    except (ArgumentError, ValueError) as error:
        # its text would hold the address, and that may hold a password
        raise UsageError(
            "the address of the catalog cannot be read",
            where="catalog.url",
            do="write postgresql://USER@HOST:PORT/DATABASE",
        ) from error


def _connected(connection: Any, busy_timeout_ms: int) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ServerUnfit(
            f"the database has the encoding {encoding}, expected UTF8: names and notes would not fit into it",
            where=f"database {connection.info.dbname}",
            do="make another one: createdb --template=template0 --encoding=UTF8 --locale=C.UTF-8 nualley",
        )
    with connection.cursor() as cursor:
        # a server may be told to forget the last moments at a power cut; what we return from is durable
        cursor.execute(_AT_CONNECT, [f"{busy_timeout_ms}ms"])
    connection.commit()


def _given_back(_connection: Any, record: Any) -> None:
    record.info[_USED_S] = time.monotonic()


def _taken(engine: Engine, connection: Any, record: Any) -> None:
    """See that a connection which lay idle is still there; the pool makes another one where it is not."""
    is_fresh = time.monotonic() - record.info.get(_USED_S, math.inf) < _IDLE_S
    if is_fresh and not _has_word(connection.fileno()):
        return
    try:
        engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error as error:
        raise DisconnectionError from error


def _has_word(descriptor: int) -> bool:
    """Return whether something came that nobody asked for: a server that restarts says so, or has closed already."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _begun(connection: Connection) -> None:
    # what a writer has read is still so when it writes: nobody else does meanwhile
    if connection.get_execution_options().get(WRITES, False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
