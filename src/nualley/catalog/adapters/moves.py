"""A catalog goes from one database to another, and the old one says where it went."""

import contextlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, delete, insert, select

from nualley.catalog.adapters import tables
from nualley.catalog.adapters.contents import Report, difference, read_content
from nualley.catalog.adapters.copying import copy_verified
from nualley.catalog.adapters.database import Database, open_database
from nualley.catalog.adapters.mounts import file_system_type
from nualley.catalog.adapters.server import shown_address
from nualley.catalog.adapters.sqlite_file import shown_path
from nualley.catalog.errors import CatalogMissing, CatalogMoved, CatalogNotEmpty, CatalogOutdated
from nualley.catalog.models import CatalogContent
from nualley.core import UsageError, format_time

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Move:
    """What a move did, or would do.

    Parameters
    ----------
    source, target : str
        The two catalogs, without any password.
    content : CatalogContent
        What was moved.
    is_done : bool
        False for a dry run.
    was_there : bool
        The target held all of it already: an earlier move was stopped before it marked the source.
    """

    source: str
    target: str
    content: CatalogContent
    is_done: bool
    was_there: bool = False


def move(
    source: Path | str,
    target: Path | str,
    *,
    now_ns: int,
    is_dry: bool = False,
    report: Report | None = None,
    find_file_system: Callable[[Path], str] = file_system_type,
) -> Move:
    """Copy a catalog into an empty database, compare, and mark the old one as moved.

    Parameters
    ----------
    source, target : Path or str
        A SQLite file or the address of a server, as `CatalogSettings.location` gives them.
    now_ns : int
        The time now [ns since 1970 UTC].
    is_dry : bool
        Look only: nothing is made, copied or marked.
    report : callable, optional
        Takes what is done to which table, rows done and rows in all.
    find_file_system : callable
        Tells the type of the file system under a path.

    Returns
    -------
    Move
        What was moved, with counts and digests.

    Raises
    ------
    CatalogMissing
        There is no source.
    CatalogMoved
        The source was moved before.
    CatalogNotEmpty
        The target holds something else.
    CatalogDamaged
        What arrived is not what was sent; then nothing arrived.

    Notes
    -----
    Nobody writes to the source meanwhile: it is read in a writing transaction of its own. The target is filled in one
    transaction. Killed between that and the mark, the next call finds the target equal and only sets the mark.
    """
    if source == target:
        raise UsageError(
            f"source and target are both {shown_location(source)}", where="TARGET", do="name another database"
        )
    with contextlib.suppress(CatalogOutdated):  # it is brought up to date below; one that is not there is not made
        open_database(source, create=False, find_file_system=find_file_system).close()
    shown, mark = shown_location(source), (shown_location(target), now_ns)
    with closing(open_database(source, create=not is_dry, find_file_system=find_file_system)) as old:
        if is_dry:
            with old.reading() as connection:
                refuse_moved(connection, old.where)
                content = read_content(connection, old.where, report)
            was_there = _look_at(target, content, find_file_system)
            return Move(shown, mark[0], content, is_done=False, was_there=was_there)
        with closing(open_database(target, create=True, find_file_system=find_file_system)) as new:
            content, was_there = old.write(
                lambda connection: _move(connection, old.where, new, mark=mark, report=report)
            )
    return Move(shown, mark[0], content, is_done=True, was_there=was_there)


def _move(
    source: Connection, where: str, new: Database, *, mark: tuple[str, int], report: Report | None
) -> tuple[CatalogContent, bool]:
    refuse_moved(source, where)
    content = read_content(source, where, report)

    def fill(target: Connection) -> bool:
        if _is_taken(target, new.where, content):
            return True
        copy_verified(source, target, new.where, content, report)
        return False

    was_there = new.write(fill)
    source.execute(insert(tables.moved).values(target=mark[0], time_ns=mark[1], is_copy=False))
    return content, was_there


def _is_taken(target: Connection, where: str, content: CatalogContent) -> bool:
    """Return whether the target holds the same already; CatalogNotEmpty where it holds something else."""
    gone = _moved_to(target)
    if gone is not None:
        raise CatalogNotEmpty(
            f"the target is a catalog that takes nothing itself, because of {gone[0]}; nothing was moved",
            where=where,
            do="name an empty database or a new file",
        )
    there = read_content(target, where)
    if there.is_empty:
        return False
    told = difference(there, content)
    if told:
        raise CatalogNotEmpty(
            f"the target holds {sum(there.n_rows_by_table.values())} rows; nothing was moved ({told})",
            where=where,
            do="name an empty database or a new file; what is there is never overwritten",
        )
    return True


def _look_at(target: Path | str, content: CatalogContent, find_file_system: Callable[[Path], str]) -> bool:
    try:
        new = open_database(target, create=False, find_file_system=find_file_system)
    except CatalogMissing:
        return False
    with closing(new), new.reading() as connection:
        return _is_taken(connection, new.where, content)


def refuse_moved(connection: Connection, where: str) -> None:
    """Raise CatalogMoved where the catalog was moved elsewhere: who went on writing here would be forgotten.

    Parameters
    ----------
    connection : Connection
        To the database.
    where : str
        The catalog, for the text.
    """
    gone = _moved_to(connection)
    if gone is not None:
        target, time_ns, is_copy = gone
        moment = format_time(time_ns, digits=0)
        if is_copy:
            raise CatalogMoved(
                f"this is a copy of {target}, taken at {moment}; it can be read, and nothing is entered here",
                where=where,
                do="enter it at the original, then pull again: nualley catalog pull",
            )
        raise CatalogMoved(
            f"this catalog was moved to {target} at {moment}; it can be read, and nothing is entered any more",
            where=where,
            do=f'set catalog.url = "{target}" in experiment.toml and restart nualley up',
        )


def mark_copy(connection: Connection, original: str, time_ns: int) -> None:
    """Let a catalog be read only: it is a copy, and what was entered here would never reach the original.

    Parameters
    ----------
    connection : Connection
        In a writing transaction of the copy.
    original : str
        What it is a copy of, without any password.
    time_ns : int
        When it was taken [ns since 1970 UTC].
    """
    forget_move(connection)
    connection.execute(insert(tables.moved).values(target=original, time_ns=time_ns, is_copy=True))


def forget_move(connection: Connection) -> None:
    """Let a catalog be written again: it was brought back from a backup."""
    connection.execute(delete(tables.moved))


def _moved_to(connection: Connection) -> tuple[str, int, bool] | None:
    found = connection.execute(select(tables.moved)).first()
    return None if found is None else (found.target, found.time_ns, found.is_copy)


def shown_location(location: Path | str) -> str:
    """Return where a catalog is, as ``catalog.url`` names it, without any password."""
    return shown_address(location) if isinstance(location, str) else shown_path(location)


def write_unless_moved(database: Database, work: Callable[[Connection], T]) -> T:
    """Do some work in one transaction of a catalog that was not moved elsewhere.

    Parameters
    ----------
    database : Database
        The catalog's.
    work : callable
        What is to be done.

    Raises
    ------
    CatalogMoved
        Where others have moved it since it was opened.
    """

    def guarded(connection: Connection) -> T:
        refuse_moved(connection, database.where)
        return work(connection)

    return database.write(guarded)
