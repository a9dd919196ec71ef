"""Which version the tables have, and how they get to another one."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect

from nualley.catalog.adapters import tables
from nualley.catalog.adapters.sqlite_file import RESTORE, missing
from nualley.catalog.errors import CatalogDamaged, CatalogNewer, CatalogOutdated

# every step of migrations/versions in order: read without importing Alembic, which costs 0.35 s
VERSIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
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


def needs_migration(connection: Connection, where: str, *, is_writer: bool, can_be_new: bool) -> bool:
    """Return whether the tables have to be made or brought up to date before they can be used.

    Parameters
    ----------
    connection : Connection
        To the database.
    where : str
        The catalog, for the text.
    is_writer : bool
        Whether this process may do it.
    can_be_new : bool
        Whether a database without tables is one that nobody used yet; else it is damaged.

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
    CatalogDamaged
        Where the database holds something else, or lacks what it has to hold.
    """
    version = read_version(connection)
    if version is None:
        return _is_new(connection, where, is_writer=is_writer, can_be_new=can_be_new)
    if version == HEAD:
        _check_tables(connection, where)
        return False
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


def _is_new(connection: Connection, where: str, *, is_writer: bool, can_be_new: bool) -> bool:
    others = inspect(connection).get_table_names()
    if others or not can_be_new:
        held = f"the tables {', '.join(sorted(others)[:5])}" if others else "no table"
        raise CatalogDamaged(
            f"the database is no catalog of nualley: it holds {held}",
            where=where,
            do=f"{RESTORE}, or name another file or database in catalog.url",
        )
    if not is_writer:
        raise missing(where)
    return True


def _check_tables(connection: Connection, where: str) -> None:
    lacking = sorted(set(tables.metadata.tables) - set(inspect(connection).get_table_names()))
    if lacking:
        raise CatalogDamaged(f"the catalog lacks the tables {', '.join(lacking)}", where=where, do=RESTORE)


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
