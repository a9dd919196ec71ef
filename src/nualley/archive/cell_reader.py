"""Cells of a stretch of time from whatever tells them: tiers where they are whole, finer ones or samples elsewhere."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive.cells import Cells, conflicts, distinct, group_by_width, join, merge, no_cells, summarise
from nualley.archive.sealed import TIERS, Level, RowGroup
from nualley.archive.tiering import sample_arrays
from nualley.core import SECOND_NS, Interval, IntervalSet

_FINER = {Level.HOUR: Level.MINUTE, Level.MINUTE: Level.RAW}
_COLUMNS = ("time_ns", "value", "severity", "kind")
_MOST_CELLS = 200_000
_MANY_RUNS = 16
_SPAN_NS = 40 * 86_400 * SECOND_NS
"""Of more stretches than this, everything between the first and the last is read at once."""

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
    cells : callable
        Returns the cells of a row group of a tier; None where it is damaged.
    tail : sequence of pyarrow.Table
        Rows that are not sealed yet.
    lost : list of tuple of int
        Filled while it is read: start and stop of what lies in damaged files and no cell tells of [ns since 1970 UTC].
    uncut : list of tuple of int
        Filled while it is read: start and stop of cells that an edge cuts and that stay whole, since not all samples of
        them can be read any more [ns since 1970 UTC].
    """

    groups: Callable[[Level, int, int], Sequence[RowGroup]]
    before: Callable[[Level, int], RowGroup | None]
    read: Callable[[RowGroup, Sequence[str] | None], pa.Table | None]
    cells: Callable[[RowGroup], Cells | None]
    tail: Sequence[pa.Table]
    lost: list[Stretch] = field(default_factory=list)
    uncut: list[Stretch] = field(default_factory=list)


class CellCache:
    """Cells that were read, the newest of them: a file of a tier never changes."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, int, int], Cells] = OrderedDict()
        self._n_cells = 0

    def get(self, key: tuple[str, int, int]) -> Cells | None:
        """Return what is known of a row group."""
        return self._found.get(key)

    def put(self, key: tuple[str, int, int], cells: Cells) -> Cells:
        """Keep the cells of a row group, and forget those that were not asked for the longest."""
        if key not in self._found:
            self._n_cells += len(cells)
        self._found[key] = cells
        self._found.move_to_end(key)
        while self._n_cells > _MOST_CELLS and len(self._found) > 1:
            _, gone = self._found.popitem(last=False)
            self._n_cells -= len(gone)
        return cells


def read_cells(source: PvSource, level: Level, stretch: Stretch, edges_ns: NDArray[np.int64]) -> Cells:
    """Return the cells of a stretch, none of them cut by an edge but those that ``source.uncut`` tells of afterwards.

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
    if len(pieces := _short([stretch])) > 1 and level is Level.MINUTE:
        return join([read_cells(source, level, piece, edges_ns) for piece in pieces])
    width_ns = TIERS[level]
    found, lost = _tier_cells(source, level, stretch)
    found = _shortened(found, edges_ns)
    is_cut = _is_cut(found, edges_ns) | _is_in(found.start_ns, lost)
    # where samples of two files lie between each other, they must be sorted anew; a cell is made anew as a whole
    is_cut |= conflicts(found)
    if is_cut.any():
        is_cut = np.isin(found.start_ns, found.start_ns[is_cut])
    if not is_cut.any() and not lost:
        return _whole(found)
    starts = [found.start_ns[is_cut], *(np.arange(*run, width_ns) for run in lost)]
    runs = _runs(np.unique(np.concatenate(starts)), width_ns)
    if level is Level.MINUTE and is_cut.any():
        cut = found.only(is_cut)
        # the samples of each of them apart, so that they can be counted
        ends_ns = np.unique(np.concatenate([cut.start_ns, cut.start_ns + width_ns]))
        finer = _with_uncut(source, cut, _finer(source, Level.RAW, runs, distinct([edges_ns, ends_ns])))
    else:
        finer = _finer(source, _FINER[level], runs, edges_ns)
    return _sorted(join([_whole(found.only(~is_cut)), finer]))


def _with_uncut(source: PvSource, cut: Cells, finer: Cells) -> Cells:
    """Keep minutes whole of which there are fewer samples than their cells tell of; see `PvSource.uncut`."""
    width_ns = TIERS[Level.MINUTE]
    starts, number = np.unique(cut.start_ns, return_inverse=True)
    n_told = np.bincount(number, weights=cut.n, minlength=starts.size)
    minute = finer.first_ns // width_ns * width_ns
    at = np.minimum(np.searchsorted(starts, minute), starts.size - 1)
    is_of_cut = starts[at] == minute
    n_found = np.bincount(at[is_of_cut], weights=finer.n[is_of_cut], minlength=starts.size)
    is_uncut = n_found < n_told
    if not is_uncut.any():
        return finer
    source.uncut.extend((start, start + width_ns) for start in starts[is_uncut].tolist())
    return join([finer.only(~(is_of_cut & is_uncut[at])), _one_each(cut.only(is_uncut[number]), width_ns)])


def _one_each(cells: Cells, width_ns: int) -> Cells:
    """Join the cells of each minute, also where their samples lie between each other: the last one is the last."""
    cells = cells.only(np.lexsort((cells.last_ns, cells.start_ns)))
    firsts = np.flatnonzero(np.append(True, cells.start_ns[1:] != cells.start_ns[:-1]))
    start_ns = cells.start_ns[firsts]
    joined = merge(cells, firsts, (start_ns, start_ns + width_ns))
    return replace(joined, first_ns=np.minimum.reduceat(cells.first_ns, firsts))


def last_before(source: PvSource, level: Level, time_ns: int) -> Cells:
    """Return a cell with the last sample before a time, or none.

    Parameters
    ----------
    source : PvSource
        Where it is.
    level : Level
        How coarse it may be.
    time_ns : int
        The time [ns since 1970 UTC].
    """
    return _last_of_tier(source, level, time_ns) or _last_sample(source, time_ns)


def _last_of_tier(source: PvSource, level: Level, time_ns: int) -> Cells | None:
    """Return the cell of a tier with the last sample before a time; None where only samples can tell."""
    if level is Level.RAW or time_ns % TIERS[level]:
        return None
    return _last_cell(source, level, time_ns)


def _last_cell(source: PvSource, level: Level, time_ns: int) -> Cells | None:
    newest = source.before(level, time_ns)
    parts = [_of_width(_samples(source.tail, [(-(2**62), time_ns)]), TIERS[level])]
    for group in source.groups(level, newest.stop_ns if newest else time_ns - 1, time_ns):
        cells = source.cells(group)
        if cells is None:
            return None
        parts.append(cells.only(cells.first_ns < time_ns))
    cells = join(parts)
    last = np.flatnonzero(cells.last_ns == cells.last_ns.max(initial=-1))
    return cells.only(last) if last.size == 1 else None  # of samples of one moment, their files' order decides


def _last_sample(source: PvSource, time_ns: int) -> Cells:
    before = source.before(Level.RAW, time_ns)
    lost: list[RowGroup] = []
    groups = [*([before] if before else []), *source.groups(Level.RAW, time_ns - 1, time_ns)]
    tables = [*source.tail, *_read_groups(source, groups, lost)]
    times, values, severities = _samples(tables, [(-(2**62), time_ns)])
    found_ns = int(times[-1]) if times.size else -(2**62)
    if any(first_ns < time_ns and last_ns >= found_ns for first_ns, last_ns in map(_sample_ends, lost)):
        # a newer one lies in a damaged file; where the time cuts a cell, what comes behind it is lost as well
        return _last_cell(source, Level.MINUTE, time_ns) or no_cells()
    if not times.size:  # cells tell of what was kept for a while only
        return _last_cell(source, Level.MINUTE, time_ns) or no_cells()
    bounds = np.array([times[-1]]), np.array([time_ns])
    return summarise(times[-1:], values[-1:], severities[-1:], firsts=np.zeros(1, dtype=np.intp), bounds_ns=bounds)


def _finer(source: PvSource, level: Level, runs: Sequence[Stretch], edges_ns: NDArray[np.int64]) -> Cells:
    if level is Level.RAW:
        return _from_samples(source, runs, edges_ns)
    short = _short(runs)
    if len(short) <= _MANY_RUNS:
        return join([read_cells(source, level, run, edges_ns) for run in short])
    parts = []
    for some in _spans(short):
        cells = read_cells(source, level, (some[0][0], some[-1][1]), edges_ns)
        parts.append(cells.only(_is_in(cells.start_ns, some)))
    return join(parts)


def _short(runs: Sequence[Stretch]) -> list[Stretch]:
    """Cut stretches into pieces of `_SPAN_NS` at most: the minutes of a year are half a million cells."""
    return [
        (start, min(start + _SPAN_NS, stop_ns))
        for start_ns, stop_ns in runs
        for start in range(start_ns, stop_ns, _SPAN_NS)
    ]


def _spans(runs: Sequence[Stretch]) -> Iterator[Sequence[Stretch]]:
    """Group stretches so that those of each group span no more than `_SPAN_NS`, or are one."""
    first = 0
    for last in range(1, len(runs) + 1):
        if last == len(runs) or runs[last][1] - runs[first][0] > _SPAN_NS:
            yield runs[first:last]
            first = last


def _tier_cells(source: PvSource, level: Level, stretch: Stretch) -> tuple[Cells, list[Stretch]]:
    """Return the cells of a tier, and stretches of which a damaged file tells nothing."""
    start_ns, stop_ns = stretch
    width_ns = TIERS[level]
    parts, lost = [], []
    for group in source.groups(level, start_ns, stop_ns):
        cells = source.cells(group)
        if cells is None:
            lost.append((max(group.start_ns, start_ns), min(group.stop_ns + width_ns, stop_ns)))
        else:
            parts.append(cells)
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
    same = (cells.start_ns[1:] == cells.start_ns[:-1]) & (cells.stop_ns[1:] == cells.stop_ns[:-1])
    is_first = np.append(True, ~same)[: len(cells)]
    if is_first.all():
        return cells
    firsts = np.flatnonzero(is_first)
    return merge(cells, firsts, (cells.start_ns[firsts], cells.stop_ns[firsts]))


def _sorted(cells: Cells) -> Cells:
    if (cells.first_ns[1:] >= cells.first_ns[:-1]).all():
        return cells
    return cells.only(np.argsort(cells.first_ns, kind="stable"))


def _is_cut(cells: Cells, edges_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
    # before its first sample, a cell says nothing
    before = np.searchsorted(edges_ns, cells.first_ns, side="right")
    behind = np.searchsorted(edges_ns, cells.stop_ns, side="left")
    is_cut: NDArray[np.bool_] = behind > before
    return is_cut


def _shortened(cells: Cells, edges_ns: NDArray[np.int64]) -> Cells:
    """End cells at the first edge behind their last sample: what holds there is known without the samples."""
    if not len(cells) or not edges_ns.size:
        return cells
    at = np.minimum(np.searchsorted(edges_ns, cells.last_ns, side="right"), edges_ns.size - 1)
    is_inside = (edges_ns[at] > cells.last_ns) & (edges_ns[at] < cells.stop_ns)
    if not is_inside.any():
        return cells
    stop_ns = np.where(is_inside, edges_ns[at], cells.stop_ns)
    less_s = (cells.stop_ns - stop_ns) / SECOND_NS
    return replace(
        cells,
        stop_ns=stop_ns,
        integral=cells.integral - np.where(cells.holds, cells.last, 0.0) * less_s,
        bad_s=cells.bad_s - np.where(cells.holds, 0.0, less_s),
    )


def _runs(starts_ns: NDArray[np.int64], width_ns: int) -> list[Stretch]:
    breaks = np.flatnonzero(np.diff(starts_ns) > width_ns) + 1
    bounds = [0, *breaks.tolist(), starts_ns.size]
    return [(int(starts_ns[a]), int(starts_ns[b - 1]) + width_ns) for a, b in pairwise(bounds)]


def _from_samples(source: PvSource, runs: Sequence[Stretch], edges_ns: NDArray[np.int64]) -> Cells:
    lost: list[RowGroup] = []
    times, values, severities = _samples(_raw_tables(source, runs, lost), runs)
    parts = _merged(_overlaps(runs, lost))
    source.lost.extend(parts)
    if not times.size:
        return no_cells()
    outer = np.array([edge for run in runs for edge in run], dtype=np.int64)
    bounds = distinct([outer, edges_ns, np.array([edge for part in parts for edge in part], dtype=np.int64)])
    number = np.searchsorted(bounds, times, side="right") - 1
    firsts = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
    starts = number[firsts]
    return summarise(times, values, severities, firsts=firsts, bounds_ns=(bounds[starts], bounds[starts + 1]))


def _raw_tables(source: PvSource, runs: Sequence[Stretch], lost: list[RowGroup]) -> Iterable[pa.Table]:
    """Yield the tables with samples of some stretches; which row groups are damaged is added to ``lost``."""
    yield from source.tail
    starts = np.array([run[0] for run in runs])
    stops = np.array([run[1] for run in runs])
    groups = source.groups(Level.RAW, runs[0][0], runs[-1][1])
    inside = (group for group in groups if ((starts <= group.stop_ns) & (stops > group.start_ns)).any())
    yield from _read_groups(source, inside, lost)


def _read_groups(source: PvSource, groups: Iterable[RowGroup], lost: list[RowGroup]) -> Iterator[pa.Table]:
    for group in groups:
        table = source.read(group, _COLUMNS)
        if table is None:
            lost.append(group)
        else:
            yield table


def _sample_ends(group: RowGroup) -> tuple[int, int]:
    """Return the times of the first and the last sample of a row group; none lies between them where it has none."""
    if group.first_sample_ns is None or group.last_sample_ns is None:
        return 2**62, -(2**62)
    return group.first_sample_ns, group.last_sample_ns


def _overlaps(runs: Sequence[Stretch], lost: Sequence[RowGroup]) -> list[Stretch]:
    ends = [_sample_ends(group) for group in lost]
    parts = [(max(run[0], first_ns), min(run[1], last_ns + 1)) for run in runs for first_ns, last_ns in ends]
    return [part for part in parts if part[0] < part[1]]


def unknown_for(lost: Iterable[Stretch], cells: Cells, stop_ns: int) -> IntervalSet:
    """Return when a value is not known because samples are lost: up to the next one that is told of.

    Parameters
    ----------
    lost : iterable of tuple of int
        Where samples lie that cannot be read [ns since 1970 UTC].
    cells : Cells
        What is told, by time.
    stop_ns : int
        Where that ends [ns since 1970 UTC].
    """
    found = []
    for begin_ns, end_ns in lost:
        at = int(np.searchsorted(cells.first_ns, end_ns))
        until_ns = int(cells.first_ns[at]) if at < len(cells) else stop_ns
        found.append(Interval(begin_ns, max(begin_ns, until_ns)))
    return IntervalSet(found)


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
