"""Connections to a PostgreSQL server: durable, one writer at a time, each reader with one moment of its own."""

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from nualley.catalog.errors import DriverMissing, ServerUnfit
from nualley.core import UsageError

CONNECT_TIMEOUT_S = 10
"""A host that does not answer is given up after this long [s]; ``?connect_timeout=`` in the address says otherwise."""

WRITES = "nualley_writes"
"""Execution option of the connections that write."""

# "nualley" in ASCII: who writes holds this advisory lock of the database, as SQLite's BEGIN IMMEDIATE holds the file
_WRITERS = 0x6E75616C6C6579
_SECRET_OPTIONS = ("password", "sslpassword")
_AT_CONNECT = """\
SELECT set_config('lock_timeout', %s, false),
       CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END
"""


def open_server(address: str, busy_timeout_ms: int) -> tuple[Engine, Engine]:
    """Return connections to a server: those that read and those that write.

    Parameters
    ----------
    address : str
        ``postgresql+psycopg://USER@HOST/DATABASE``, as `CatalogSettings.location` gives it.
    busy_timeout_ms : int
        How long to wait for another process's transaction [ms].

    Returns
    -------
    tuple of Engine
        Readers see one moment of the database and can change nothing; writers follow each other.

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
        # a connection that the server closed meanwhile is noticed before it is used
        engine = create_engine(url, pool_pre_ping=True, connect_args={"application_name": "nualley", **options})
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise DriverMissing(
            f"the driver of {url.drivername} is not installed: {error}",
            where="catalog.url",
            do="install it: pip install 'nualley[postgres]' (psycopg[binary])",
        ) from error
    event.listens_for(engine, "connect")(lambda connection, _record: _connected(connection, busy_timeout_ms))
    event.listens_for(engine, "begin")(_begun)
    readers = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return readers, engine.execution_options(isolation_level="READ COMMITTED", **{WRITES: True})


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


def _begun(connection: Connection) -> None:
    # what a writer has read is still so when it writes: nobody else does meanwhile
    if connection.get_execution_options().get(WRITES, False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
