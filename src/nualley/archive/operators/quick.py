"""The same statistics from the cells beside the samples: a year without reading it, and what damaged files held."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nualley.archive.operators.calls import Operator, one_at_least, operate
from nualley.archive.operators.moments import Moments, concatenated, moments_by_bin
from nualley.archive.operators.optimizing import Optimized
from nualley.archive.operators.statistics import STATISTICS, Statistic
from nualley.archive.operators.stretch import Stretch, samples_of
from nualley.core import SECOND_NS, IntervalSet

WORTH_ROWS = 1_000_000
"""Fewer samples are read before cells are found."""

MOST_BINS = 50_000
MOST_RUNS = 20
"""So many runs of bins are read sample by sample, since cells leave out what is invalid; with more all are."""

_STATISTICS = frozenset({"mean", "min", "max", "count"})
_LEAST_SPREAD = 1e-9
_MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Source:
    """Where the history of a PV of numbers is read.

    Parameters
    ----------
    n_rows : int
        About how many samples the stretch has.
    bins : callable
        Takes begin, end [ns since 1970 UTC] and how many; returns bins that are exact for their edges, as
        `nualley.archive.bins.assemble` does.
    pieces : callable
        Takes begin and end [ns since 1970 UTC]; returns rows, as `nualley.archive.reader.ArchiveReader.pieces` does.
    has_cells : bool
        Whether its values are numbers, of which cells are kept.
    lost : callable
        Takes begin and end [ns since 1970 UTC]; returns where samples are known by now to lie in damaged files.
    from_cells : list of tuple of int
        Filled by `work`: begin and end of what was told by cells in the place of such samples [ns since 1970 UTC].
    """

    n_rows: int
    bins: Callable[[int, int, int], pa.Table]
    pieces: Callable[[int, int], Iterable[pa.Table]]
    has_cells: bool
    lost: Callable[[int, int], IntervalSet] = lambda _start_ns, _stop_ns: IntervalSet()
    from_cells: list[tuple[int, int]] = field(default_factory=list)


def work(operator: Operator, source: Source, stretch: Stretch) -> Iterator[pa.Table]:
    """Let an operator work on a PV's history, from cells where that says the same or samples lie in damaged files.

    Statistics that follow from counts, sums, squares and extremes have whole bins of whole minutes made of cells there:
    of the good samples. What follows from higher powers alone (skewness, kurtosis) has no value in such a bin.

    Parameters
    ----------
    operator : Operator
        As `nualley.archive.operators.calls.parse_operator` returns it.
    source : Source
        Where the history is read.
    stretch : Stretch
        What was asked for.

    Returns
    -------
    iterator of pyarrow.Table
        As `nualley.archive.operators.calls.operate` yields them.
    """
    if source.has_cells and source.n_rows >= WORTH_ROWS and isinstance(operator, Statistic | Optimized):
        width_s = _width_s(operator, stretch, source.n_rows)
        found = None if width_s is None else _moments(source, width_s, stretch)
        if found is not None and width_s is not None:
            return operator.of_moments(_mended(found, source, width_s, stretch), stretch)
    width_s = _moment_width_s(operator, source, stretch)
    pieces = source.pieces(stretch.start_ns, stretch.stop_ns)
    if width_s is None or not isinstance(operator, Statistic | Optimized):
        return operate(operator, pieces, stretch)
    found = _mended(moments_by_bin(samples_of(pieces), width_s, stretch), source, width_s, stretch)
    return one_at_least(operator.of_moments(found, stretch))


def _moment_width_s(operator: Operator, source: Source, stretch: Stretch) -> int | None:
    """Return the width of the bins of an operator that says what follows from their moments [s]; None for others."""
    if isinstance(operator, Statistic) and operator.name in STATISTICS and source.has_cells:
        return operator.width_s
    # where there are few, the samples themselves
    is_many = isinstance(operator, Optimized) and source.has_cells and source.n_rows >= 2 * operator.n_points
    return operator.width_s(stretch) if isinstance(operator, Optimized) and is_many else None


def _mended(found: Iterable[Moments], source: Source, width_s: int, stretch: Stretch) -> Iterator[Moments]:
    """Put what cells tell in the place of bins of which samples lie in damaged files, once these were met."""
    if width_s % _MINUTE_S:
        yield from found
        return
    at, last = stretch.bins(width_s)
    for part in found:
        stop = int(part.number[-1]) + 1
        told = _told_by_cells(source, width_s, stretch, (at, stop))
        yield part if told is None else _replaced(part, told)
        at = max(at, stop)
    told = _told_by_cells(source, width_s, stretch, (at, last + 1))
    if told is not None and told[1] is not None:
        yield told[1]


_Told = tuple[NDArray[np.int64], Moments | None]


def _told_by_cells(source: Source, width_s: int, stretch: Stretch, bins: tuple[int, int]) -> _Told | None:
    """Return which whole bins have samples in damaged files, and what cells tell of them; None where none has."""
    width_ns = width_s * SECOND_NS
    first, stop = max(bins[0], -(-stretch.start_ns // width_ns)), min(bins[1], stretch.stop_ns // width_ns)
    lost = source.lost(first * width_ns, stop * width_ns) if first < stop else IntervalSet()
    numbers = sorted(
        {number for part in lost for number in range(part.start_ns // width_ns, -(-part.stop_ns // width_ns))}
    )
    if not numbers:
        return None
    parts = []
    for run in np.split(np.array(numbers, dtype=np.int64), np.flatnonzero(np.diff(numbers) > 1) + 1):
        stretch_ns = int(run[0]) * width_ns, (int(run[-1]) + 1) * width_ns
        for some in range(0, run.size, MOST_BINS):
            few = run[some : some + MOST_BINS]
            table = source.bins(int(few[0]) * width_ns, (int(few[-1]) + 1) * width_ns, few.size)
            parts += list(_from_cells(few, table, 0, few.size))
        source.from_cells.append(stretch_ns)
    return np.array(numbers, dtype=np.int64), concatenated(parts) if parts else None


def _replaced(part: Moments, told: _Told) -> Moments:
    numbers, cells = told
    kept = part.only(~np.isin(part.number, numbers))
    both = kept if cells is None else concatenated([kept, cells])
    return both.only(np.argsort(both.number, kind="stable"))


def _width_s(operator: Statistic | Optimized, stretch: Stretch, n_rows: int) -> int | None:
    """Return the width of the bins [s]; None where cells do not tell what the operator says."""
    if isinstance(operator, Optimized):
        if n_rows < 2 * operator.n_points:
            return None
        width_s = operator.width_s(stretch)
    elif operator.name in _STATISTICS:
        width_s = operator.width_s
    else:
        return None
    # two cells or more in each bin, and none in two of them
    return width_s if width_s >= 120 and width_s % (3600 if width_s >= 7200 else 60) == 0 else None


def _moments(source: Source, width_s: int, stretch: Stretch) -> Iterator[Moments] | None:
    width_ns = width_s * SECOND_NS
    first, last = -(-stretch.start_ns // width_ns), stretch.stop_ns // width_ns
    if not 2 <= last - first <= MOST_BINS:
        return None
    table = source.bins(first * width_ns, last * width_ns, last - first)
    if table.num_rows != last - first:
        return None
    number = np.arange(first, last, dtype=np.int64)
    is_told = _is_told(table)
    runs = np.flatnonzero(np.diff(is_told.astype(np.int8), prepend=1, append=1)).reshape(-1, 2)
    if len(runs) > MOST_RUNS:
        return None
    return _joined(source, stretch, width_s, (number, table, runs))


def _is_told(table: pa.Table) -> NDArray[np.bool_]:
    """Return of which bins the cells tell what the samples would: all are good, and spread enough for their squares."""
    n, n_good, total, sumsq = (table[name].to_numpy() for name in ("n", "n_good", "sum", "sumsq"))
    with np.errstate(invalid="ignore", divide="ignore"):
        m2 = sumsq - total * total / n
    low, high = (table[name].to_numpy(zero_copy_only=False) for name in ("min", "max"))
    told: NDArray[np.bool_] = (n == n_good) & ((n == 0) | (low == high) | (m2 > _LEAST_SPREAD * sumsq))
    return told


def _joined(
    source: Source, stretch: Stretch, width_s: int, bins: tuple[NDArray[np.int64], pa.Table, NDArray[np.intp]]
) -> Iterator[Moments]:
    """Yield what is before the first whole bin, the bins, and what is behind the last one."""
    number, table, runs = bins
    width_ns = width_s * SECOND_NS
    begin_ns, end_ns = int(number[0]) * width_ns, (int(number[-1]) + 1) * width_ns
    # also where it is empty, the sample from before the start is found there
    yield from _from_samples(source, width_s, stretch, (stretch.start_ns, max(begin_ns, stretch.start_ns + 1)))
    at = 0
    for begin, end in runs.tolist():
        yield from _from_cells(number, table, at, begin)
        yield from _from_samples(
            source, width_s, stretch, (int(number[begin]) * width_ns, int(number[end - 1] + 1) * width_ns)
        )
        at = end
    yield from _from_cells(number, table, at, number.size)
    if end_ns < stretch.stop_ns:
        yield from _from_samples(source, width_s, stretch, (end_ns, stretch.stop_ns))


def _from_samples(source: Source, width_s: int, stretch: Stretch, part: tuple[int, int]) -> Iterator[Moments]:
    start_ns, stop_ns = part
    begins = start_ns == stretch.start_ns

    def inside() -> Iterator[pa.Table]:
        for samples in samples_of(source.pieces(start_ns, stop_ns)):
            time_ns = samples["time_ns"].to_numpy()
            if not begins:
                yield samples.filter(pa.array(time_ns >= start_ns))
            elif start_ns % (width_s * SECOND_NS) == 0:
                # the first whole bin has the samples at its edge
                yield samples.filter(pa.array(time_ns < start_ns))
            else:
                yield samples

    return moments_by_bin(inside(), width_s, stretch)


def _from_cells(number: NDArray[np.int64], table: pa.Table, begin: int, end: int) -> Iterator[Moments]:
    part = table.slice(begin, end - begin)
    n = part["n"].to_numpy()
    at = np.flatnonzero(n)
    if not at.size:
        return
    n_numbers = part["n_good"].to_numpy()[at].astype(np.int64)
    columns = {
        name: part[name].to_numpy(zero_copy_only=False)[at].astype(np.float64)
        for name in ("sum", "sumsq", "min", "max", "last", "severity")
    }
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = columns["sum"] / n_numbers
        m2 = columns["sumsq"] - columns["sum"] * mean
    same = columns["min"] == columns["max"]
    # of values that hardly differ, their squares have lost by how much
    m2 = np.where(same, 0.0, np.where(m2 > _LEAST_SPREAD * columns["sumsq"], m2, np.nan))
    unknown = np.full(at.size, np.nan)
    yield Moments(
        number=number[begin:end][at],
        n=n[at].astype(np.int64),
        n_numbers=n_numbers,
        mean=np.where(same, columns["min"], mean),
        m2=m2,
        m3=unknown,
        m4=unknown,
        min=columns["min"],
        max=columns["max"],
        last=columns["last"],
        severity=columns["severity"].astype(np.int8),
    )
