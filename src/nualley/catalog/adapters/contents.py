"""What a database holds, row by row: read in the order of its keys, so that two databases can be compared."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import xxhash
from sqlalchemy import (
    JSON,
    Boolean,
    ColumnClause,
    Connection,
    Integer,
    String,
    Text,
    cast,
    collate,
    column,
    inspect,
    select,
    table,
)
from sqlalchemy.types import TypeEngine

from nualley.catalog.adapters import schema
from nualley.catalog.errors import CatalogDamaged
from nualley.catalog.models import CatalogContent

CHUNK_ROWS = 10_000
_N_SHOWN = 3
OF_THE_DATABASE = frozenset(("alembic_version", "moved"))
"""Tables that tell of the database, not of what is recorded in it."""

Report = Callable[[str, int, int], None]
"""Takes the name of a table, rows done and rows in all."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table as both databases give them: whole numbers, text, and JSON as it was stored.

    Parameters
    ----------
    name : str
        The table.
    columns : tuple of str
        Its columns, sorted.
    query : Any
        Selects them in the order of the key; text is ordered by its bytes.
    """

    name: str
    columns: tuple[str, ...]
    query: Any

    def read(self, connection: Connection) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Yield the rows, some thousands at once."""
        with connection.execute(self.query, execution_options={"yield_per": CHUNK_ROWS}) as found:
            for chunk in found.partitions(CHUNK_ROWS):
                yield [tuple(row) for row in chunk]


def recorded_tables(connection: Connection) -> list[Rows]:
    """Return what a database records, whatever the version of its tables, by name.

    Parameters
    ----------
    connection : Connection
        To the database.
    """
    names = inspect(connection).get_table_names()
    return [_rows(connection, name) for name in sorted(names) if name not in OF_THE_DATABASE]


def _rows(connection: Connection, name: str) -> Rows:
    looked = inspect(connection)
    types = {found["name"]: found["type"] for found in looked.get_columns(name)}
    key = looked.get_pk_constraint(name)["constrained_columns"] or sorted(types)
    # without a type nothing is turned into another value on the way
    bare: dict[str, ColumnClause[Any]] = {one: column(one) for one in sorted(types)}
    read = [_as_stored(bare[one], types[one]).label(one) for one in bare]
    is_server = connection.dialect.name == "postgresql"
    order = [collate(bare[one], "C") if is_server and isinstance(types[one], String) else bare[one] for one in key]
    return Rows(name, tuple(bare), select(*read).select_from(table(name, *bare.values())).order_by(*order))


def _as_stored(found: ColumnClause[Any], column_type: TypeEngine[Any]) -> Any:
    if isinstance(column_type, JSON):
        return cast(found, Text)
    return cast(found, Integer) if isinstance(column_type, Boolean) else found  # SQLite has no truth values


def read_content(connection: Connection, where: str, report: Report | None = None) -> CatalogContent:
    """Return what a catalog holds.

    Parameters
    ----------
    connection : Connection
        In a transaction that sees one moment.
    where : str
        The catalog, for the text.
    report : callable, optional
        Takes the name of a table, rows done and rows in all.

    Returns
    -------
    CatalogContent
        Equal for two catalogs of one version whose rows are the same, on SQLite and on PostgreSQL alike.

    Raises
    ------
    CatalogDamaged
        Where it is no catalog.
    """
    names = set(inspect(connection).get_table_names())
    if not {"run", "alembic_version"} <= names:
        raise CatalogDamaged("the file is no catalog of nualley", where=where, do="name a file that 'backup' made")
    counts: dict[str, int] = {}
    digests: dict[str, str] = {}
    for rows in recorded_tables(connection):
        counts[rows.name], digests[rows.name] = _digest(connection, rows, report)
    whole = xxhash.xxh3_128("\n".join(f"{name} {digest}" for name, digest in digests.items()).encode())
    return CatalogContent(schema.read_version(connection) or "", counts, whole.hexdigest(), digests)


def _digest(connection: Connection, rows: Rows, report: Report | None) -> tuple[int, str]:
    n_all = count_rows(connection, rows.name) if report else 0
    digest = xxhash.xxh3_128(f"{rows.name}({','.join(rows.columns)})".encode())
    n_rows = 0
    for chunk in rows.read(connection):
        n_rows += len(chunk)
        digest.update("".join(map(repr, chunk)).encode("utf-8", "surrogatepass"))
        if report:
            report(f"reading {rows.name}", n_rows, n_all)
    return n_rows, digest.hexdigest()


def count_rows(connection: Connection, name: str) -> int:
    """Return how many rows a table has."""
    return int(connection.exec_driver_sql(f'SELECT count(*) FROM "{name}"').scalar_one())  # noqa: S608 - our own name


def difference(found: CatalogContent, expected: CatalogContent) -> str:
    """Return in which tables two contents differ, with counts and digests; empty where in none.

    Parameters
    ----------
    found, expected : CatalogContent
        As `read_content` returns them.
    """
    names = sorted(found.n_rows_by_table.keys() | expected.n_rows_by_table.keys())
    told = [
        f"{name}: {_told(found, name)}, expected {_told(expected, name)}"
        for name in names
        if _told(found, name) != _told(expected, name)
    ]
    if found.version != expected.version:
        told.insert(0, f"version {found.version}, expected {expected.version}")
    return "; ".join(told[:_N_SHOWN]) + (f"; and {len(told) - _N_SHOWN} more" if len(told) > _N_SHOWN else "")


def _told(content: CatalogContent, name: str) -> str:
    if name not in content.n_rows_by_table:
        return "no such table"
    return f"{content.n_rows_by_table[name]} rows with digest {content.xxh3_128_by_table.get(name)}"
