"""What lies on which drive, kept right by every write: a table of sums instead of a look at every file.

Each function that enters or takes away a replica, or moves a run to another month, calls one of these in its own
transaction; writers follow each other, so that what was read still holds when it is written.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from nualley.catalog.adapters import tables
from nualley.catalog.decide import month_of
from nualley.catalog.models import USAGE_KEYS, FileUsage, ReplicaState, UsageKey

_usage = tables.drive_usage


class _Key(NamedTuple):
    detector: str
    stage: str
    month: str
    drive: str


def count_replica(connection: Connection, file_id: int, drive: str, *, n: int) -> None:
    """Count a file on a drive, once more or once less.

    Parameters
    ----------
    connection : Connection
        In a writing transaction.
    file_id : int
        The file.
    drive : str
        Name of the drive.
    n : int
        1 where its bytes lie there now, -1 where they do no longer.
    """
    file, run = tables.file, tables.run
    query = (
        select(file.c.stage, file.c.size_B, run.c.detector, run.c.start_ns, run.c.created_ns)
        .select_from(file.join(run))
        .where(file.c.file_id == file_id)
    )
    found = connection.execute(query).one()
    key = _Key(found.detector, found.stage, month_of(found.start_ns, found.created_ns), drive)
    _add(connection, key, n, n * found.size_B)


def count_change(connection: Connection, file_id: int, drive: str, states: tuple[str, str]) -> None:
    """Count a file on a drive that goes from a state to another: what is not there takes no room."""
    before, after = (ReplicaState(state).is_there for state in states)
    if before != after:
        count_replica(connection, file_id, drive, n=1 if after else -1)


@contextmanager
def run_changes(connection: Connection, run_id: str) -> Iterator[None]:
    """Take a run's files to another month where its start changes inside.

    Parameters
    ----------
    connection : Connection
        In a writing transaction.
    run_id : str
        The run; it is there.
    """
    detector, before = _place(connection, run_id)
    yield
    _, after = _place(connection, run_id)
    if before == after:
        return
    file, replica = tables.file, tables.replica
    query = (
        select(file.c.stage, replica.c.drive, func.count(), func.sum(file.c.size_B))
        .select_from(replica.join(file))
        .where(file.c.run_id == run_id, replica.c.state.not_in(tables.NOT_THERE))
        .group_by(file.c.stage, replica.c.drive)
    )
    for stage, drive, n_files, size_B in connection.execute(query).all():
        _add(connection, _Key(detector, stage, before, drive), -int(n_files), -int(size_B))
        _add(connection, _Key(detector, stage, after, drive), int(n_files), int(size_B))


def _place(connection: Connection, run_id: str) -> tuple[str, str]:
    run = tables.run
    query = select(run.c.detector, run.c.start_ns, run.c.created_ns).where(run.c.run_id == run_id)
    found = connection.execute(query).one()
    return found.detector, month_of(found.start_ns, found.created_ns)


def _add(connection: Connection, key: _Key, n_files: int, size_B: int) -> None:
    is_meant = and_(*(_usage.c[name] == value for name, value in key._asdict().items()))
    added = {"n_files": _usage.c.n_files + n_files, "size_B": _usage.c.size_B + size_B}
    if not connection.execute(update(_usage).where(is_meant).values(added)).rowcount:
        values = key._asdict() | {"n_files": n_files, "size_B": size_B}
        connection.execute(insert(_usage).values(values))
    elif n_files < 0:
        connection.execute(delete(_usage).where(is_meant, _usage.c.n_files == 0))


def list_usage(connection: Connection, by: Sequence[UsageKey]) -> list[FileUsage]:
    """Return sums over what is not asked for, ordered by what is."""
    if set(by) == set(USAGE_KEYS):
        return _all_usage(connection)
    keys = [key for key in USAGE_KEYS if key in by]
    columns = [_usage.c[key] for key in keys]
    query = select(*columns, func.sum(_usage.c.n_files), func.sum(_usage.c.size_B)).group_by(*columns)
    rows = sorted(tuple(row) for row in connection.execute(query).all())
    return [
        FileUsage(**dict(zip(keys, row, strict=False)), n_files=int(row[-2] or 0), size_B=int(row[-1] or 0))
        for row in rows
    ]


def _all_usage(connection: Connection) -> list[FileUsage]:
    """Return the sums as they are kept: tens of thousands of rows, taken as the driver gives them."""
    result = connection.execute(select(*(_usage.c[name] for name in FileUsage._fields)))
    rows: Any = result.cursor  # one after the other: with all of them at once, Python looks for garbage twice as often
    # in Python: servers order text by the rules of their language
    found = sorted(map(FileUsage._make, rows), key=_in_order)
    result.close()
    return found


def _in_order(row: FileUsage) -> str:
    """Return a text that orders as the four names do: to compare one is quicker."""
    return f"{row[0]}\0{row[1]}\0{row[2]}\0{row[3]}"
