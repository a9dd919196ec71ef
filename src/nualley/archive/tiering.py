"""From rows to cells: what sealing and compaction put beside the rows they write."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive.cells import Cells, group_by_width, merge, no_cells, summarise
from nualley.archive.layouts import cells_table
from nualley.archive.sealed import TIERS, Level


def cells_of_table(table: pa.Table, width_ns: int) -> tuple[Cells, NDArray[np.int32], list[str]]:
    """Make the cells of the samples in a table.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of numbers with columns pv, time_ns, value, severity and kind, by PV and time.
    width_ns : int
        Width of the cells [ns].

    Returns
    -------
    cells : Cells
        By PV and time.
    number : ndarray of int32
        Which PV each belongs to.
    pvs : list of str
        Their names.
    """
    samples = table.filter(pc.equal(table["kind"].cast(pa.string()), "sample"))
    if not samples.num_rows:
        return no_cells(), np.zeros(0, dtype=np.int32), []
    column = samples["pv"].combine_chunks()
    codes = column.indices.to_numpy()
    times_ns, value, severity = sample_arrays(samples)
    firsts, bounds_ns = group_by_width(times_ns, width_ns, codes)
    cells = summarise(times_ns, value, severity, firsts=firsts, bounds_ns=bounds_ns)
    return cells, codes[firsts].astype(np.int32), column.dictionary.to_pylist()


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return values as numbers; a PV that was text or an array once had no number then."""
    if pa.types.is_string(column.type) or pa.types.is_list(column.type):
        return np.full(len(column), np.nan)
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy())


def sample_arrays(samples: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int8]]:
    """Return times, values as numbers (NaN where there is none) and severities of rows that are samples."""
    value = _numbers(samples["value"])
    severity = pc.fill_null(samples["severity"], 3).to_numpy()
    return samples["time_ns"].to_numpy(), np.asarray(value, dtype=np.float64), np.asarray(severity, dtype=np.int8)


def tier_table(table: pa.Table, level: Level) -> pa.Table:
    """Return the cells of a table's samples as the table of a tier's file; empty where there are none."""
    cells, number, pvs = cells_of_table(table, TIERS[level])
    return cells_table(cells, pvs, number)


def widen(cells: Cells, width_ns: int) -> Cells:
    """Join a PV's cells, which must not conflict, into cells of a larger width."""
    firsts, bounds_ns = group_by_width(cells.start_ns, width_ns)
    return merge(cells, firsts, bounds_ns)
