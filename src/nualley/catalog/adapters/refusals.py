"""What the database's refusals mean: driver errors in, this domain's errors out."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from nualley.catalog.adapters.server_refusals import SMALLER, TOO_LARGE, server_refusal
from nualley.catalog.adapters.sqlite_file import RESTORE
from nualley.catalog.errors import CatalogDamaged, CatalogUnreachable, CatalogUnwritable
from nualley.core import NualleyError, UsageError, escape_name, format_size

_REMEDIES: dict[str, tuple[type[NualleyError], str, str]] = {
    "SQLITE_BUSY": (
        CatalogUnreachable,
        "another process keeps the catalog locked",
        "look which nualley process is stuck, then try again",
    ),
    "SQLITE_LOCKED": (
        CatalogUnreachable,
        "another process keeps the catalog locked",
        "look which nualley process is stuck, then try again",
    ),
    "SQLITE_FULL": (CatalogUnwritable, "the drive under the catalog is full", "make room there, then try again"),
    "SQLITE_READONLY": (
        CatalogUnwritable,
        "the catalog cannot be written to",
        "mount its drive for writing or give this user the right",
    ),
    "SQLITE_CANTOPEN": (
        CatalogUnwritable,
        "the catalog cannot be opened",
        "give this user the right to read and write the file and its folder",
    ),
    "SQLITE_PERM": (CatalogUnwritable, "the catalog cannot be opened", "give this user the right to write the file"),
    "SQLITE_IOERR": (
        CatalogUnwritable,
        "the drive under the catalog failed",
        "look at its SMART state and the kernel's log; restore the last backup elsewhere",
    ),
    "SQLITE_CORRUPT": (CatalogDamaged, "the catalog is damaged", RESTORE),
    "SQLITE_NOTADB": (CatalogDamaged, "the file is no database", RESTORE),
}
# what SQLite says where a drive has no room left for its log, its shared memory or a name
_MAY_BE_FULL = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")
_LEAST_ROOM_B = 65_536  # SQLite takes 32 KiB for the shared memory of its log, and 4 KiB a page


@contextmanager
def translated(where: str, path: Path | None = None) -> Iterator[None]:
    """Turn what the driver raises into this domain's errors; what is no refusal of the world passes.

    Parameters
    ----------
    where : str
        The catalog, for the text.
    path : Path, optional
        Its file, to see whether its drive is full.
    """
    try:
        yield
    except DBAPIError as error:
        is_file = isinstance(error.orig, sqlite3.Error)
        refusal = _refusal(error.orig, where, path) if is_file else server_refusal(error, where)
        if refusal is None:
            raise
        raise refusal from error
    except sqlite3.Error as error:
        refusal = _refusal(error, where, path)
        if refusal is None:
            raise
        raise refusal from error
    except OverflowError as error:  # a number that somebody gave: the driver asks SQLite for none
        raise UsageError(f"{TOO_LARGE}: {error}", where=where, do=SMALLER) from error


@contextmanager
def decoded(where: str) -> Iterator[None]:
    """Turn what a row that stands for nothing raises into damage; SQLite has no checksums, and a bit may flip.

    Parameters
    ----------
    where : str
        The catalog, for the text.
    """
    try:
        yield
    except NualleyError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise CatalogDamaged(f"a row of the catalog cannot be read: {error}", where=where, do=RESTORE) from error


def _refusal(error: BaseException | None, where: str, path: Path | None) -> NualleyError | None:
    # extended codes follow the primary one: SQLITE_IOERR_WRITE
    name = "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])
    found = _REMEDIES.get(name)
    if found is None:
        return None
    if path is not None and name in _MAY_BE_FULL:
        room = _room(path.parent)
        if room and (name == "SQLITE_FULL" or room.is_used_up):
            return _full(error, where, path.parent, room)
    kind, what, do = found
    return kind(f"{what}: {error}", where=where, do=do)


@dataclass(frozen=True, slots=True)
class _Room:
    free_B: int
    n_free_inodes: int | None  # None where the file system does not count them

    @property
    def is_used_up(self) -> bool:
        return self.free_B < _LEAST_ROOM_B or self.n_free_inodes == 0


def _room(folder: Path) -> _Room | None:
    try:
        volume = os.statvfs(folder)
    except OSError:
        return None  # the drive does not even answer: no matter of room
    return _Room(volume.f_bavail * volume.f_frsize, volume.f_favail if volume.f_files else None)


def _full(error: BaseException | None, where: str, folder: Path, room: _Room) -> CatalogUnwritable:
    inodes = ", no inode is left" if room.n_free_inodes == 0 else ""
    return CatalogUnwritable(
        f"the drive under the catalog is full: {escape_name(str(folder))} has {format_size(room.free_B)} "
        f"({room.free_B} B) free{inodes} (SQLite: {error})",
        where=where,
        do="make room on the store's drive, then try again; what was acknowledged is there",
    )
