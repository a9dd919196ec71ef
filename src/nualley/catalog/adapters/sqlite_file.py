"""The SQLite file as a file: made whole or not at all, known to have been there, read without writing."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote_from_bytes

from nualley.catalog.errors import CatalogDamaged, CatalogMissing, CatalogUnreachable, CatalogUnwritable
from nualley.core import escape_name, make_folders, reason, sync_folder

RESTORE = "restore the last backup: nualley catalog restore FILE --replace (what is there now is kept aside)"

_COMPANIONS = ("", "-wal", "-shm", "-journal")
_REMARK = """\
A catalog was made here. Where it is gone, it was lost: nualley says so instead of beginning an empty one.
To begin a new one all the same, remove this file.
"""


def check_there(path: Path) -> None:
    """See that the file of a catalog is there and not empty; what is in it shows when it is read.

    Parameters
    ----------
    path : Path
        The catalog.

    Raises
    ------
    CatalogMissing
        Where nobody made it yet.
    CatalogDamaged
        Where it is gone though it was made, or holds nothing: it is only ever seen whole.
    """
    where = escape_name(str(path))
    # asked first: who makes a catalog just now writes it before the remark
    was_made = remark(path).exists()
    if not path.exists():
        if not was_made:
            raise missing(where)
        raise CatalogDamaged(
            f"the catalog is gone: {escape_name(remark(path).name)} beside it says that one was made",
            where=where,
            do=f"bring the file back or {RESTORE}",
        )
    if path.is_file() and not path.stat().st_size:
        raise CatalogDamaged("the catalog is an empty file (0 B)", where=where, do=RESTORE)


def shown_path(path: Path) -> str:
    """Return a file as ``catalog.url`` names it."""
    return f"sqlite:///{escape_name(str(path.absolute()))}"


def missing(where: str) -> CatalogMissing:
    """Return the error of a catalog that nobody made yet."""
    return CatalogMissing(
        "there is no catalog yet", where=where, do="'nualley up' or the first 'nualley runs ingest' makes it"
    )


def remark(path: Path) -> Path:
    """Return the file that says that a catalog was made at a path."""
    return path.with_name(f"{path.name}.made")


def make_whole(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a catalog that others see whole or not at all; of several who do so at once, the first one's stays.

    Parameters
    ----------
    path : Path
        The catalog; missing folders are made.
    fill : callable
        Writes a database to the path that it is given, and closes it.

    Raises
    ------
    CatalogUnwritable
        Where folder or file cannot be made.
    """
    try:
        make_folders(path.parent)
        with _alone_in(path.parent):
            if not path.exists():
                new = path.with_name(f".{path.name}.new")
                for suffix in _COMPANIONS:  # of one who was killed here
                    new.with_name(new.name + suffix).unlink(missing_ok=True)
                fill(new)
                new.rename(path)
                sync_folder(path.parent)
        remember(path)
    except OSError as error:
        if isinstance(error, CatalogUnwritable):
            raise
        raise CatalogUnwritable(
            f"the catalog cannot be made: {reason(error)}",
            where=escape_name(str(path)),
            do="mount its drive for writing, make room on it, or give this user the right",
        ) from error


def remember(path: Path) -> None:
    """Note beside a catalog that it was made, so that its loss is noticed."""
    if not remark(path).exists():
        remark(path).write_text(_REMARK, encoding="utf-8")
        sync_folder(path.parent)


def set_aside(path: Path, suffix: str) -> Path:
    """Give a catalog that cannot be used another name, with its log, and return it; nothing is overwritten.

    Parameters
    ----------
    path : Path
        The catalog.
    suffix : str
        What its name gets.

    Returns
    -------
    Path
        Where it lies now.
    """
    aside = path.with_name(f"{path.name}.{suffix}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.{suffix}-{number}")
    with _alone_in(path.parent):
        for companion in reversed(_COMPANIONS):  # the log first: alone it would be applied to whatever comes here
            there = path.with_name(path.name + companion)
            if there.exists():
                there.rename(aside.with_name(aside.name + companion))
        sync_folder(path.parent)
    return aside


def is_writable(path: Path) -> bool:
    """Return whether this user may write the catalog and, for its log, its folder."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)


def is_quiet(path: Path) -> bool:
    """Return whether the file alone is the catalog: whoever writes has a log beside it that holds something."""
    logs = (path.with_name(path.name + suffix) for suffix in ("-wal", "-journal"))
    return not any(log.exists() and log.stat().st_size for log in logs)


def reading_uri(path: Path, *, is_alone: bool) -> str:
    """Return how SQLite opens a catalog for reading only.

    Parameters
    ----------
    path : Path
        The catalog.
    is_alone : bool
        Without log and locks: only inside `steady`, for SQLite takes the file for one that nobody changes.

    Returns
    -------
    str
        A ``file:`` URI.
    """
    return f"{_uri(path)}?mode=ro" + ("&immutable=1" if is_alone else "")


def writing_uri(path: Path) -> str:
    """Return how SQLite opens a file that is there for writing, never making one: a ``file:`` URI."""
    return f"{_uri(path)}?mode=rw"


def _uri(path: Path) -> str:
    return f"file:{quote_from_bytes(bytes(path.absolute()))}"


@contextmanager
def steady(path: Path) -> Iterator[None]:
    """Raise CatalogUnreachable where somebody wrote to the catalog in between: what was read may be of two moments.

    Parameters
    ----------
    path : Path
        The catalog.
    """
    before = _state(path)
    try:
        yield
    except CatalogDamaged:
        if _state(path) == before:
            raise
    if _state(path) != before:
        raise CatalogUnreachable(
            "the catalog was written to while it was read",
            where=escape_name(str(path)),
            do="try again; with the right to write to its folder, one reads beside those who write",
        )


def _state(path: Path) -> tuple[int, int, int, bool]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, is_quiet(path)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock by which those who make or move a catalog in a folder wait for each other."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
