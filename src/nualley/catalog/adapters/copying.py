"""All rows of one database into another, SQLite or PostgreSQL, inside the transactions of both."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, delete

from nualley.catalog.adapters import tables
from nualley.catalog.adapters.contents import (
    OF_THE_DATABASE,
    Report,
    Rows,
    count_rows,
    difference,
    read_content,
    recorded_tables,
)
from nualley.catalog.errors import CatalogDamaged
from nualley.catalog.models import CatalogContent


def copy_rows(source: Connection, target: Connection, report: Report | None = None) -> None:
    """Copy every row of a catalog into an empty one of the same version.

    Parameters
    ----------
    source : Connection
        Sees one moment.
    target : Connection
        In a writing transaction, with empty tables.
    report : callable, optional
        Takes the name of a table, rows done and rows in all.
    """
    by_name = {rows.name: rows for rows in recorded_tables(source)}
    for table in tables.metadata.sorted_tables:  # a row after those that it names
        if table.name not in OF_THE_DATABASE:
            _copy_table(source, target, by_name[table.name], report)
    if target.dialect.name == "postgresql":
        go_on_counting(target)


def copy_verified(
    source: Connection, target: Connection, where: str, content: CatalogContent, report: Report | None = None
) -> None:
    """Copy every row, read the copy back and compare; raise CatalogDamaged where it is not the same.

    Parameters
    ----------
    source, target : Connection
        As for `copy_rows`; what is raised takes the copy back.
    where : str
        The target, for the text.
    content : CatalogContent
        What the source holds.
    report : callable, optional
        Takes the name of a table, rows done and rows in all.
    """
    copy_rows(source, target, report)
    told = difference(read_content(target, where, report), content)
    if told:
        raise CatalogDamaged(
            f"the copy is not the same: {told}",
            where=where,
            do="try again; if it happens again, look at the drives and the machine's memory",
        )


def empty_tables(target: Connection) -> None:
    """Take every row away, inside the transaction of the connection, also those that are else never deleted."""
    with _without_guards(target):
        for table in reversed(tables.metadata.sorted_tables):
            target.execute(delete(table))


@contextmanager
def _without_guards(target: Connection) -> Iterator[None]:
    """Let what a whole catalog is replaced by pass the triggers that keep its rows; they are on again at the end."""
    names = [table.name for table in tables.metadata.sorted_tables] if target.dialect.name == "postgresql" else []
    for name in names:
        target.exec_driver_sql(f'ALTER TABLE "{name}" DISABLE TRIGGER USER')
    yield
    for name in names:
        target.exec_driver_sql(f'ALTER TABLE "{name}" ENABLE TRIGGER USER')


def _copy_table(source: Connection, target: Connection, rows: Rows, report: Report | None) -> None:
    n_all = count_rows(source, rows.name) if report else 0
    append = appender(target, rows.name, rows.columns)
    n_rows = 0
    for chunk in rows.read(source):
        append(chunk)
        n_rows += len(chunk)
        if report:
            report(f"copying {rows.name}", n_rows, n_all)


def appender(target: Connection, name: str, columns: Sequence[str]) -> Callable[[Sequence[tuple[Any, ...]]], None]:
    """Return what enters many rows into a table, the quickest way that its database has.

    Parameters
    ----------
    target : Connection
        In a writing transaction.
    name : str
        The table.
    columns : sequence of str
        What the rows hold; JSON as text.
    """
    names = ", ".join(f'"{column}"' for column in columns)
    if target.dialect.name == "postgresql":
        cursor: Any = target.connection.cursor()  # psycopg's own: COPY takes a tenth of the time of INSERT

        def copy_in(chunk: Sequence[tuple[Any, ...]]) -> None:
            with cursor.copy(f'COPY "{name}" ({names}) FROM STDIN') as stream:
                for row in chunk:
                    stream.write_row(row)

        return copy_in
    statement = f'INSERT INTO "{name}" ({names}) VALUES ({", ".join("?" for _ in columns)})'  # noqa: S608  # our own

    def insert(chunk: Sequence[tuple[Any, ...]]) -> None:
        if chunk:
            target.exec_driver_sql(statement, list(chunk))

    return insert


def go_on_counting(target: Connection) -> None:
    """Let the server number new rows after those that were copied with their numbers."""
    for table in tables.metadata.sorted_tables:
        for column in table.primary_key.columns:
            if column is table.autoincrement_column:
                next_number = f'coalesce(max("{column.name}"), 0) + 1'
                target.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'), {next_number}, false) "  # noqa: S608  # the schema's own names
                    f'FROM "{table.name}"'
                )
