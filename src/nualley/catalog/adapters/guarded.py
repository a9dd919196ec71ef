"""A catalog's database, guarded: nothing is written once it was moved, and no row is read that stands for nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection

from nualley.catalog.adapters.database import Database
from nualley.catalog.adapters.moves import write_unless_moved
from nualley.catalog.adapters.refusals import decoded

T = TypeVar("T")


class GuardedDatabase:
    """What is common to all that enter rows into a catalog and read them.

    Parameters
    ----------
    database : Database
        Open, with tables of this version.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do some work in one transaction, and return once it is durable; CatalogMoved where it is elsewhere now."""
        return write_unless_moved(self._database, work)

    @contextmanager
    def reading(self, *, is_single: bool = False) -> Iterator[Connection]:
        """Give a connection that sees one moment, or is for a single question; CatalogDamaged where a row is none."""
        look = self._database.looking if is_single else self._database.reading
        with look() as connection, decoded(self._database.where):
            yield connection
