"""Samples that were kept aside: all of them piece by piece, and those of some stamps, so that none is kept twice."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive.columns import file_schema
from nualley.archive.directory import Snapshot
from nualley.archive.pv_record import PvRecord
from nualley.archive.registry import Registry
from nualley.archive.rows import PIECE_ROWS
from nualley.archive.sealed import Level, RowGroup
from nualley.archive.tail import LogTail
from nualley.archive.view import TRIES, ArchiveView, busy, unless_replaced
from nualley.pv import ValueType

_COLUMNS = ["time_ns", "value", "severity"]
_EVER_NS = -(2**63), 2**63 - 1
_MOST_TABLES = 1000  # each has its price, however few rows it has


class RefusedReader:
    """Reads the quarantine, however much is in it.

    Parameters
    ----------
    view : ArchiveView
        What the files and the log say now.
    records : callable
        Returns the records of a PV's names.
    """

    def __init__(self, view: ArchiveView, records: Callable[[Registry, str], list[PvRecord]]) -> None:
        self._view = view
        self._records = records

    def pieces(
        self, pvs: Collection[str], start_ns: int, stop_ns: int, most_rows: int = PIECE_ROWS
    ) -> Iterator[tuple[ValueType, pa.Table]]:
        """Return the samples that were kept aside, in pieces that fit into memory.

        Parameters
        ----------
        pvs : collection of str
            Names; none means all.
        start_ns, stop_ns : int
            When they were received: half-open [ns since 1970 UTC]. Their own stamps are not to be believed.
        most_rows : int
            How many rows a piece may have.

        Returns
        -------
        iterator of (ValueType, pyarrow.Table)
            What the values are, and columns as of `nualley.archive.reader.ArchiveReader.read` and ``reason``; in no
            order, and none is empty. What is sealed meanwhile comes once.

        Raises
        ------
        PvNotArchivedError
            Where the archive does not know a PV.
        """
        # both of one moment: files of the quarantine are never merged or replaced, so what they list stays there
        tail, sealed = self._view.refresh(), self._view.sealed
        names = sorted({each.name for pv in pvs for each in self._records(tail.registry, pv)})
        found = self._tables(sealed, names or sorted(tail.registry.by_name), tail.refused())
        is_inside = (pc.field("received_ns") >= start_ns) & (pc.field("received_ns") < stop_ns)
        if names:
            is_inside &= pc.field("pv").cast(pa.string()).isin(names)
        return _in_pieces(((value_type, table.filter(is_inside)) for value_type, table in found), most_rows)

    def _tables(
        self, sealed: Snapshot, names: Sequence[str], recent: Mapping[ValueType, pa.Table]
    ) -> Iterator[tuple[ValueType, pa.Table]]:
        for name in names:
            for group in sealed.groups(name, Level.QUARANTINE, *_EVER_NS):
                table = unless_replaced(name, partial(self._group, group))
                if table is not None:
                    yield group.value_type, table.cast(file_schema(group.value_type, is_quarantine=True))
        yield from recent.items()

    def _group(self, group: RowGroup) -> pa.Table | None:
        try:
            return self._view.rows(group)
        except FileNotFoundError:  # somebody took it away: with a new look that is told
            self._view.refresh()
            raise

    def at(self, pv: str, value_type: ValueType, times_ns: NDArray[np.int64]) -> pa.Table:
        """Return the samples of a PV that were kept aside and have one of some stamps.

        Parameters
        ----------
        pv : str
            Its name.
        value_type : ValueType
            What their values are.
        times_ns : ndarray of int64, shape (n,)
            The stamps [ns since 1970 UTC].

        Returns
        -------
        pyarrow.Table
            Columns time_ns, value and severity, in no order.

        Raises
        ------
        PvNotArchivedError
            Where the archive does not know the PV.
        """
        stamps_ns = np.unique(times_ns)
        for _ in range(TRIES):
            tail = self._view.refresh()
            names = [record.name for record in self._records(tail.registry, pv)]
            try:
                sealed = [part for name in names for part in self._sealed(name, value_type, stamps_ns)]
            except FileNotFoundError:  # replaced meanwhile: look again
                continue
            return pa.concat_tables([*sealed, _recent(tail, names, value_type, stamps_ns)])
        raise busy(pv)

    def _sealed(self, name: str, value_type: ValueType, stamps_ns: NDArray[np.int64]) -> list[pa.Table]:
        groups = self._view.sealed.groups(name, Level.QUARANTINE, int(stamps_ns[0]), int(stamps_ns[-1]) + 1)
        found = (self._rows(group, stamps_ns) for group in groups if group.value_type is value_type)
        return [table for table in found if table is not None]

    def _rows(self, group: RowGroup, stamps_ns: NDArray[np.int64]) -> pa.Table | None:
        if np.searchsorted(stamps_ns, group.start_ns) == np.searchsorted(stamps_ns, group.stop_ns, side="right"):
            return None
        # the values are read where a stamp is there: of most groups none is
        times = self._view.rows(group, ["time_ns"])
        if times is None or not pc.any(pc.is_in(times["time_ns"], pa.array(stamps_ns))).as_py():
            return None
        table = self._view.rows(group, _COLUMNS)
        return None if table is None else _with(table, stamps_ns)


def _recent(tail: LogTail, names: Sequence[str], value_type: ValueType, stamps_ns: NDArray[np.int64]) -> pa.Table:
    table = tail.refused().get(value_type)
    if table is None:
        return file_schema(value_type).empty_table().select(_COLUMNS)
    return _with(table.filter(pc.is_in(table["pv"].cast(pa.string()), pa.array(names))).select(_COLUMNS), stamps_ns)


def _with(table: pa.Table, stamps_ns: NDArray[np.int64]) -> pa.Table:
    return table.filter(pc.is_in(table["time_ns"], pa.array(stamps_ns)))


def _in_pieces(tables: Iterable[tuple[ValueType, pa.Table]], most_rows: int) -> Iterator[tuple[ValueType, pa.Table]]:
    """Join what is small and cut what is large, type by type."""
    waiting: dict[ValueType, list[pa.Table]] = {}
    n_rows: Counter[ValueType] = Counter()
    for value_type, table in tables:
        if not table.num_rows:
            continue
        waiting.setdefault(value_type, []).append(table)
        n_rows[value_type] += table.num_rows
        if n_rows[value_type] >= most_rows or len(waiting[value_type]) >= _MOST_TABLES:
            yield from _cut(value_type, waiting.pop(value_type), most_rows)
            del n_rows[value_type]
    for value_type, parts in waiting.items():
        yield from _cut(value_type, parts, most_rows)


def _cut(value_type: ValueType, parts: list[pa.Table], most_rows: int) -> Iterator[tuple[ValueType, pa.Table]]:
    table = pa.concat_tables(parts)
    yield from ((value_type, table.slice(start, most_rows)) for start in range(0, table.num_rows, most_rows))
