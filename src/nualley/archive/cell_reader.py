"""Cells of a stretch of time from whatever tells them: tiers where they are whole, finer ones or samples elsewhere."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive.cells import Cells, conflicts, group_by_width, join, merge, no_cells, summarise
from nualley.archive.layouts import cells_from_table
from nualley.archive.models import TIERS, Level, RowGroup
from nualley.archive.tiering import sample_arrays
from nualley.core import SECOND_NS, Interval, IntervalSet

_FINER = {Level.HOUR: Level.MINUTE, Level.MINUTE: Level.RAW}
_COLUMNS = ("time_ns", "value", "severity", "kind")
_PIECE_NS = 31 * 86_400 * SECOND_NS

Stretch: TypeAlias = tuple[int, int]
_Samples: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int8]]


@dataclass(frozen=True, slots=True)
class PvSource:
    """Where the cells and samples of one PV are.

    Parameters
    ----------
    groups : callable
        Returns the row groups of a level that reach into a stretch.
    before : callable
        Returns the row group of a level with the last sample before a time, among those that end before it.
    read : callable
        Reads a row group, or the columns asked for; None where it is damaged.
    tail : sequence of pyarrow.Table
        Rows that are not sealed yet.
    """

    groups: Callable[[Level, int, int], Sequence[RowGroup]]
    before: Callable[[Level, int], RowGroup | None]
    read: Callable[[RowGroup, Sequence[str] | None], pa.Table | None]
    tail: Sequence[pa.Table]


def read_cells(source: PvSource, level: Level, stretch: Stretch, edges_ns: NDArray[np.int64]) -> Cells:
    """Return the cells of a stretch, none of them cut by an edge.

    Parameters
    ----------
    source : PvSource
        Where they are.
    level : Level
        How coarse they may be.
    stretch : tuple of int
        Start and stop [ns since 1970 UTC]; a tier's cells lie inside of it as a whole.
    edges_ns : ndarray of int64
        Times that no cell reaches over, rising.

    Returns
    -------
    Cells
        By time; those of samples that no tier could tell are as wide as the edges around them.
    """
    if level is Level.RAW:
        return _from_samples(source, [stretch], edges_ns)
    width_ns = TIERS[level]
    found, lost = _tier_cells(source, level, stretch)
    is_cut = _is_cut(found, edges_ns) | _is_in(found.start_ns, lost)
    if len(found):
        clash = conflicts(found)
        # samples of two files lie between each other: all cells of that stretch are made anew
        is_cut |= np.isin(found.start_ns, found.start_ns[clash])
    if not is_cut.any() and not lost:
        return _whole(found)
    starts = [found.start_ns[is_cut], *(np.arange(*run, width_ns) for run in lost)]
    runs = _runs(np.unique(np.concatenate(starts)), width_ns)
    return _sorted(join([_whole(found.only(~is_cut)), _finer(source, _FINER[level], runs, edges_ns)]))


def last_before(source: PvSource, time_ns: int) -> Cells:
    """Return a cell with the last sample before a time, or none."""
    tables = [*source.tail]
    groups = [source.before(Level.RAW, time_ns), *source.groups(Level.RAW, time_ns - 1, time_ns)]
    found = (source.read(group, _COLUMNS) for group in groups if group is not None)
    tables += [table for table in found if table is not None]
    times, values, severities = _samples(tables, [(-(2**62), time_ns)])
    if not times.size:
        return no_cells()
    bounds = np.array([times[-1]]), np.array([time_ns])
    return summarise(times[-1:], values[-1:], severities[-1:], firsts=np.zeros(1, dtype=np.intp), bounds_ns=bounds)


def _finer(source: PvSource, level: Level, runs: Sequence[Stretch], edges_ns: NDArray[np.int64]) -> Cells:
    if level is Level.RAW:
        return _from_samples(source, runs, edges_ns)
    if len(runs) > 1 and runs[-1][1] - runs[0][0] <= 12 * _PIECE_NS:
        cells = read_cells(source, level, (runs[0][0], runs[-1][1]), edges_ns)
        return cells.only(_is_in(cells.start_ns, runs))
    return join([read_cells(source, level, run, edges_ns) for run in runs])


def _tier_cells(source: PvSource, level: Level, stretch: Stretch) -> tuple[Cells, list[Stretch]]:
    """Return the cells of a tier, and stretches of which a damaged file tells nothing."""
    start_ns, stop_ns = stretch
    width_ns = TIERS[level]
    parts, lost = [], []
    for group in source.groups(level, start_ns, stop_ns):
        table = source.read(group, None)
        if table is None:
            lost.append((max(group.start_ns, start_ns), min(group.stop_ns + width_ns, stop_ns)))
        else:
            parts.append(cells_from_table(table, width_ns))
    parts.append(_of_width(_samples(source.tail, [stretch]), width_ns))
    cells = _sorted(join(parts))
    return cells.only((cells.start_ns >= start_ns) & (cells.start_ns < stop_ns)), _merged(lost)


def _merged(runs: Sequence[Stretch]) -> list[Stretch]:
    return [(part.start_ns, part.stop_ns) for part in IntervalSet(Interval(*run) for run in runs)]


def _of_width(samples: _Samples, width_ns: int) -> Cells:
    times, values, severities = samples
    firsts, bounds_ns = group_by_width(times, width_ns)
    return summarise(times, values, severities, firsts=firsts, bounds_ns=bounds_ns)


def _whole(cells: Cells) -> Cells:
    """Join parts of one cell that came from several files."""
    is_first = np.append(True, cells.start_ns[1:] != cells.start_ns[:-1])[: len(cells)]
    if is_first.all():
        return cells
    firsts = np.flatnonzero(is_first)
    return merge(cells, firsts, (cells.start_ns[firsts], cells.stop_ns[firsts]))


def _sorted(cells: Cells) -> Cells:
    order = np.argsort(cells.first_ns, kind="stable")
    return cells.only(order)


def _is_cut(cells: Cells, edges_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
    before = np.searchsorted(edges_ns, cells.start_ns, side="right")
    behind = np.searchsorted(edges_ns, cells.stop_ns, side="left")
    is_cut: NDArray[np.bool_] = behind > before
    return is_cut


def _runs(starts_ns: NDArray[np.int64], width_ns: int) -> list[Stretch]:
    breaks = np.flatnonzero(np.diff(starts_ns) > width_ns) + 1
    bounds = [0, *breaks.tolist(), starts_ns.size]
    return [(int(starts_ns[a]), int(starts_ns[b - 1]) + width_ns) for a, b in pairwise(bounds)]


def _from_samples(source: PvSource, runs: Sequence[Stretch], edges_ns: NDArray[np.int64]) -> Cells:
    times, values, severities = _samples(_raw_tables(source, runs), runs)
    if not times.size:
        return no_cells()
    outer = np.array([edge for run in runs for edge in run], dtype=np.int64)
    bounds = np.unique(np.concatenate([outer, edges_ns]))
    number = np.searchsorted(bounds, times, side="right") - 1
    firsts = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
    starts = number[firsts]
    return summarise(times, values, severities, firsts=firsts, bounds_ns=(bounds[starts], bounds[starts + 1]))


def _raw_tables(source: PvSource, runs: Sequence[Stretch]) -> Iterable[pa.Table]:
    yield from source.tail
    starts = np.array([run[0] for run in runs])
    stops = np.array([run[1] for run in runs])
    for group in source.groups(Level.RAW, runs[0][0], runs[-1][1]):
        if not ((starts <= group.stop_ns) & (stops > group.start_ns)).any():
            continue
        table = source.read(group, _COLUMNS)
        if table is not None:
            yield table


def _samples(tables: Iterable[pa.Table], runs: Sequence[Stretch]) -> _Samples:
    """Return the samples of some stretches, by time; table by table, so that no more is kept than is wanted."""
    found: list[_Samples] = []
    for table in tables:
        samples = table.filter(pc.equal(table["kind"].cast(pa.string()), "sample"))
        times, values, severities = sample_arrays(samples)
        inside = _is_in(times, runs)
        found.append((times[inside], values[inside], severities[inside]))
    if not found:
        return np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.int8)
    times = np.concatenate([part[0] for part in found])
    order = np.argsort(times, kind="stable")
    return (
        times[order],
        np.concatenate([part[1] for part in found])[order],
        np.concatenate([part[2] for part in found])[order],
    )


def _is_in(times_ns: NDArray[np.int64], runs: Sequence[Stretch]) -> NDArray[np.bool_]:
    bounds = np.array([edge for run in runs for edge in run], dtype=np.int64)
    is_in: NDArray[np.bool_] = np.searchsorted(bounds, times_ns, side="right") % 2 == 1
    return is_in
