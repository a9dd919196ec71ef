"""Samples that were kept aside, looked for by their own stamps: what comes again is not kept aside again."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive.columns import file_schema
from nualley.archive.models import Level, PvRecord, RowGroup
from nualley.archive.registry import Registry
from nualley.archive.tail import LogTail
from nualley.archive.view import TRIES, ArchiveView, busy
from nualley.pv import ValueType

_COLUMNS = ["time_ns", "value", "severity"]


class RefusedReader:
    """Reads of the quarantine what has one of some stamps, however much more there is.

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
