"""What the database's refusals mean: driver errors in, this domain's errors out."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, OperationalError

from nualley.catalog.errors import CatalogDamaged, CatalogUnreachable, CatalogUnwritable
from nualley.core import NualleyError

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
    "SQLITE_FULL": (CatalogUnwritable, "the drive under the catalog is full", "free room there, then try again"),
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
    "SQLITE_CORRUPT": (CatalogDamaged, "the catalog is damaged", "restore the last backup: 'nualley catalog restore'"),
    "SQLITE_NOTADB": (CatalogDamaged, "the file is no database", "restore the last backup: 'nualley catalog restore'"),
}


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what the driver raises into this domain's errors; what is no refusal of the world passes.

    Parameters
    ----------
    where : str
        The catalog, for the text.
    """
    try:
        yield
    except DBAPIError as error:
        refusal = _refusal(error.orig, where) or _server_refusal(error, where)
        if refusal is None:
            raise
        raise refusal from error
    except sqlite3.Error as error:
        refusal = _refusal(error, where)
        if refusal is None:
            raise
        raise refusal from error


def _refusal(error: BaseException | None, where: str) -> NualleyError | None:
    name: str = getattr(error, "sqlite_errorname", "")
    # extended codes follow the primary one: SQLITE_IOERR_WRITE
    found = _REMEDIES.get("_".join(name.split("_")[:2]))
    if found is None:
        return None
    kind, what, do = found
    return kind(f"{what}: {error}", where=where, do=do)


def _server_refusal(error: DBAPIError, where: str) -> NualleyError | None:
    if isinstance(error.orig, sqlite3.Error) or not isinstance(error, OperationalError):
        return None
    return CatalogUnreachable(
        f"the database server does not answer: {error.orig}", where=where, do="look at catalog.url and at the server"
    )
