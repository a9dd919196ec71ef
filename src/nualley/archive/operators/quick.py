"""The same statistics from the cells that are kept beside the samples: a year without reading its samples."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nualley.archive.operators.calls import Operator, operate
from nualley.archive.operators.moments import Moments, moments_by_bin
from nualley.archive.operators.optimizing import Optimized
from nualley.archive.operators.statistics import Statistic
from nualley.archive.operators.stretch import Stretch, samples_of
from nualley.core import SECOND_NS

WORTH_ROWS = 1_000_000
"""Fewer samples are read before cells are found."""

MOST_BINS = 50_000
MOST_RUNS = 20
"""So many runs of bins are read sample by sample, since cells leave out what is invalid; with more all are."""

_STATISTICS = frozenset({"mean", "min", "max", "count"})
_LEAST_SPREAD = 1e-9


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
    """

    n_rows: int
    bins: Callable[[int, int, int], pa.Table]
    pieces: Callable[[int, int], Iterable[pa.Table]]
    has_cells: bool


def work(operator: Operator, source: Source, stretch: Stretch) -> Iterator[pa.Table]:
    """Let an operator work on a PV's history, from cells where that says the same.

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
        if found is not None:
            return operator.of_moments(found, stretch)
    return operate(operator, source.pieces(stretch.start_ns, stretch.stop_ns), stretch)


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
    columns = {
        name: part[name].to_numpy(zero_copy_only=False)[at].astype(np.float64)
        for name in ("sum", "sumsq", "min", "max", "last", "severity")
    }
    n_numbers = n[at].astype(np.int64)
    mean = columns["sum"] / n_numbers
    same = columns["min"] == columns["max"]
    m2 = np.where(same, 0.0, np.maximum(columns["sumsq"] - columns["sum"] * mean, 0.0))
    unknown = np.full(at.size, np.nan)
    yield Moments(
        number=number[begin:end][at],
        n=n_numbers,
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
