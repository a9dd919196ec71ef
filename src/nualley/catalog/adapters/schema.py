"""Which version the tables have, and how they get to another one."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect

from nualley.catalog.errors import CatalogError, CatalogMissing, CatalogNewer, CatalogOutdated

# every step of migrations/versions in order: read without importing Alembic, which costs 0.35 s
VERSIONS = ("0001",)
HEAD = VERSIONS[-1]

_SCRIPTS = Path(__file__).parent / "migrations"
_VERSION_TABLE = "alembic_version"


def read_version(connection: Connection) -> str | None:
    """Return the version of the tables, None where there are none yet.

    Parameters
    ----------
    connection : Connection
        To the database.

    Returns
    -------
    str or None
        The version that was reached last.
    """
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {_VERSION_TABLE}").scalar()  # noqa: S608 - a constant
    return None if found is None else str(found)


def needs_migration(connection: Connection, where: str, *, is_writer: bool) -> bool:
    """Return whether the tables have to be made or brought up to date before they can be used.

    Parameters
    ----------
    connection : Connection
        To the database.
    where : str
        The catalog, for the text.
    is_writer : bool
        Whether this process may do it.

    Returns
    -------
    bool
        True only for a writer.

    Raises
    ------
    CatalogNewer
        Where a newer nualley wrote it.
    CatalogMissing, CatalogOutdated
        Where a reader finds no tables, or old ones.
    CatalogError
        Where the database holds something else.
    """
    version = read_version(connection)
    if version == HEAD:
        return False
    if version is None:
        return _is_new(connection, where, is_writer=is_writer)
    if version not in VERSIONS:
        raise CatalogNewer(
            f"the catalog has version {version}, this nualley knows up to {HEAD}",
            where=where,
            do="install the newer nualley that wrote it; nothing was changed",
        )
    if not is_writer:
        raise CatalogOutdated(
            f"the catalog has version {version}, this nualley reads {HEAD}",
            where=where,
            do="start 'nualley up' or any command that writes once: it brings the catalog up to date",
        )
    return True


def _is_new(connection: Connection, where: str, *, is_writer: bool) -> bool:
    others = inspect(connection).get_table_names()
    if others:
        raise CatalogError(
            f"the database is no catalog of nualley: it holds the tables {', '.join(sorted(others)[:5])}",
            where=where,
            do="name another file or database in catalog.url",
        )
    if not is_writer:
        raise missing(where)
    return True


def missing(where: str) -> CatalogMissing:
    """Return the error of a catalog that nobody made yet."""
    return CatalogMissing(
        "there is no catalog yet", where=where, do="'nualley up' or the first 'nualley runs ingest' makes it"
    )


def migrate(connection: Connection, version: str = HEAD) -> None:
    """Bring the tables to a version, up or down, inside the transaction of the connection.

    Parameters
    ----------
    connection : Connection
        In a writing transaction: who waited for it finds the work done.
    version : str
        One of `VERSIONS`, or ``base`` for no tables at all.
    """
    # Alembic costs 0.35 s and is needed only here
    from alembic.config import Config  # noqa: PLC0415
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    scripts = ScriptDirectory(str(_SCRIPTS))
    goal = None if version == "base" else version
    is_down = goal is None or VERSIONS.index(goal) < _index(read_version(connection))

    def steps(current: Any, _context: Any) -> Any:
        if is_down:
            return scripts._downgrade_revs(version, current)  # noqa: SLF001 - alembic.command does the same
        return scripts._upgrade_revs(version, current)  # noqa: SLF001 - alembic.command does the same

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True, version_table=_VERSION_TABLE)
        environment.run_migrations()


def _index(version: str | None) -> int:
    return -1 if version is None else VERSIONS.index(version)
