"""Cells: what is kept of a stretch of time of one PV, and how cells join without looking at the samples again.

A cell speaks of the samples inside it and of nothing else: neither of the value that held when it began nor of what was
known of the connection. So it stays true whatever is found out later, as long as its samples stay. A sample is *good*
where it is not INVALID and means a number; a value holds from its sample on. The integral of a cell begins with its
first sample and goes to the cell's end; what held before is the business of the cell before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from nualley.core import SECOND_NS
from nualley.physics import INVALID_SEVERITY, MEANINGLESS


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Stretches of time with at least one sample each; all fields are arrays of one length.

    Parameters
    ----------
    start_ns, stop_ns : ndarray of int64
        Half-open stretch of each [ns since 1970 UTC].
    n, n_good : ndarray of int64
        Samples in it, and those that are good.
    min, max : ndarray of float64
        Smallest and largest good value; NaN where none is good.
    sum, sumsq : ndarray of float64
        Sums of the good values and of their squares.
    first, last : ndarray of float64
        First and last good value; NaN where none is good.
    holds : ndarray of bool
        Whether the last sample is good: then ``last`` is what holds at the end.
    first_ns, last_ns : ndarray of int64
        Times of the first and the last sample [ns since 1970 UTC].
    min_ns, max_ns : ndarray of int64
        When the smallest and the largest value were first reached; 0 where none is good.
    severity : ndarray of int8
        Worst alarm severity, 0 to 3.
    integral : ndarray of float64
        Good values times the seconds that each held, from the first sample to the end.
    bad_s : ndarray of float64
        Seconds from the first sample to the end in which the value was not good [s].
    """

    start_ns: NDArray[np.int64]
    stop_ns: NDArray[np.int64]
    n: NDArray[np.int64]
    n_good: NDArray[np.int64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    sum: NDArray[np.float64]
    sumsq: NDArray[np.float64]
    first: NDArray[np.float64]
    last: NDArray[np.float64]
    holds: NDArray[np.bool_]
    first_ns: NDArray[np.int64]
    last_ns: NDArray[np.int64]
    min_ns: NDArray[np.int64]
    max_ns: NDArray[np.int64]
    severity: NDArray[np.int8]
    integral: NDArray[np.float64]
    bad_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.start_ns)

    @property
    def good_s(self) -> NDArray[np.float64]:
        """Seconds from the first sample to the end in which the value was good [s]."""
        return (self.stop_ns - self.first_ns) / SECOND_NS - self.bad_s

    def only(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "Cells":
        """Return some of them, in the order asked for."""
        if isinstance(which, np.ndarray) and which.dtype == bool and which.all():
            return self
        return Cells(*(getattr(self, field.name)[which] for field in fields(self)))


CELL_COLUMNS = tuple(field.name for field in fields(Cells))


def no_cells() -> Cells:
    """Return no cells at all."""
    return Cells(*(np.empty(0, dtype=_DTYPES.get(name, np.dtype(np.float64))) for name in CELL_COLUMNS))


_INTEGERS = ("start_ns", "stop_ns", "n", "n_good", "first_ns", "last_ns", "min_ns", "max_ns")
_DTYPES = {**dict.fromkeys(_INTEGERS, np.dtype(np.int64)), "severity": np.dtype(np.int8), "holds": np.dtype(bool)}


def join(parts: Sequence[Cells]) -> Cells:
    """Put cells one after the other."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return no_cells()
    return Cells(*(np.concatenate([getattr(part, name) for part in parts]) for name in CELL_COLUMNS))


def distinct(times_ns: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return times of several rising arrays, each once, rising; np.unique would hash them, ten times slower."""
    joined = np.concatenate(times_ns)
    joined.sort(kind="stable")
    kept = np.ones(joined.size, dtype=bool)
    kept[1:] = joined[1:] != joined[:-1]
    return joined[kept]


def is_good(value: NDArray[np.float64], severity: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Say which samples have a value: not INVALID, a number, and one that means something.

    Parameters
    ----------
    value : ndarray of float64, shape (n,)
        Values; NaN where there is none.
    severity : ndarray of int8, shape (n,)
        EPICS alarm severity, 0 to 3.
    """
    good: NDArray[np.bool_] = (severity < INVALID_SEVERITY) & (np.abs(value) <= MEANINGLESS)
    return good


def summarise(
    time_ns: NDArray[np.int64],
    value: NDArray[np.float64],
    severity: NDArray[np.int8],
    *,
    firsts: NDArray[np.intp],
    bounds_ns: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> Cells:
    """Make cells of samples.

    Parameters
    ----------
    time_ns : ndarray of int64, shape (n,)
        Times, not falling inside of a cell [ns since 1970 UTC].
    value : ndarray of float64, shape (n,)
        Values; NaN where there is none.
    severity : ndarray of int8, shape (n,)
        EPICS alarm severity, 0 to 3.
    firsts : ndarray of int, shape (m,)
        Where each cell's samples begin, rising from 0; none is empty.
    bounds_ns : tuple of ndarray of int64, shape (m,)
        Start and stop of each cell [ns since 1970 UTC].

    Returns
    -------
    Cells
        One each.
    """
    start_ns, stop_ns = bounds_ns
    if not firsts.size:
        return no_cells()
    good = is_good(value, severity)
    lasts = np.append(firsts[1:], time_ns.size) - 1
    number = np.repeat(np.arange(firsts.size), lasts - firsts + 1)
    plain = np.where(good, value, 0.0)
    held_s = _held_s(time_ns, lasts, stop_ns)
    low = np.minimum.reduceat(np.where(good, value, np.inf), firsts)
    high = np.maximum.reduceat(np.where(good, value, -np.inf), firsts)
    n_good = np.add.reduceat(good.astype(np.int64), firsts)
    has_good = n_good > 0
    where_good = np.flatnonzero(good)
    return Cells(
        start_ns=start_ns,
        stop_ns=stop_ns,
        n=lasts - firsts + 1,
        n_good=n_good,
        min=np.where(has_good, low, np.nan),
        max=np.where(has_good, high, np.nan),
        sum=np.add.reduceat(plain, firsts),
        sumsq=np.add.reduceat(plain * plain, firsts),
        first=_at_edge(value, where_good, number, firsts.size),
        last=_at_edge(value, where_good[::-1], number, firsts.size),
        holds=good[lasts],
        first_ns=time_ns[firsts],
        last_ns=time_ns[lasts],
        min_ns=_first_time(time_ns, good & (value == low[number]), number, firsts.size),
        max_ns=_first_time(time_ns, good & (value == high[number]), number, firsts.size),
        severity=np.maximum.reduceat(severity, firsts),
        integral=np.add.reduceat(plain * held_s, firsts),
        bad_s=np.add.reduceat(np.where(good, 0.0, held_s), firsts),
    )


def _held_s(time_ns: NDArray[np.int64], lasts: NDArray[np.intp], stop_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    until_ns = np.append(time_ns[1:], 0)
    until_ns[lasts] = stop_ns
    return (until_ns - time_ns) / SECOND_NS


def _at_edge(
    value: NDArray[np.float64], rows: NDArray[np.intp], number: NDArray[np.intp], n_cells: int
) -> NDArray[np.float64]:
    """Return the value of the first of the rows in each cell; NaN where there is none."""
    found = np.full(n_cells, np.nan)
    # of rows of one cell the last assignment stays: from behind, that is the first one
    found[number[rows[::-1]]] = value[rows[::-1]]
    return found


def _first_time(
    time_ns: NDArray[np.int64], is_it: NDArray[np.bool_], number: NDArray[np.intp], n_cells: int
) -> NDArray[np.int64]:
    rows = np.flatnonzero(is_it)[::-1]
    found = np.zeros(n_cells, dtype=np.int64)
    found[number[rows]] = time_ns[rows]
    return found


def merge(cells: Cells, firsts: NDArray[np.intp], bounds_ns: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Cells:
    """Join neighbouring cells into wider ones.

    Parameters
    ----------
    cells : Cells
        By time of their first sample; inside of a wider cell no two reach into each other (see `conflicts`).
    firsts : ndarray of int, shape (m,)
        Where the parts of each wider cell begin, rising from 0; none is empty.
    bounds_ns : tuple of ndarray of int64, shape (m,)
        Start and stop of each wider cell [ns since 1970 UTC].

    Returns
    -------
    Cells
        Those that `summarise` makes of the same samples; sums and integrals up to rounding.
    """
    start_ns, stop_ns = bounds_ns
    if not firsts.size:
        return no_cells()
    lasts = np.append(firsts[1:], len(cells)) - 1
    number = np.repeat(np.arange(firsts.size), lasts - firsts + 1)
    has_good = cells.n_good > 0
    low = np.minimum.reduceat(np.where(has_good, cells.min, np.inf), firsts)
    high = np.maximum.reduceat(np.where(has_good, cells.max, -np.inf), firsts)
    n_good = np.add.reduceat(cells.n_good, firsts)
    where_good = np.flatnonzero(has_good)
    # each part's value holds on to the first sample of the next one, where its own end may be earlier or later
    until_ns = np.append(cells.first_ns[1:], 0)
    until_ns[lasts] = stop_ns
    more_s = (until_ns - cells.stop_ns) / SECOND_NS
    return Cells(
        start_ns=start_ns,
        stop_ns=stop_ns,
        n=np.add.reduceat(cells.n, firsts),
        n_good=n_good,
        min=np.where(n_good > 0, low, np.nan),
        max=np.where(n_good > 0, high, np.nan),
        sum=np.add.reduceat(cells.sum, firsts),
        sumsq=np.add.reduceat(cells.sumsq, firsts),
        first=_at_edge(cells.first, where_good, number, firsts.size),
        last=_at_edge(cells.last, where_good[::-1], number, firsts.size),
        holds=cells.holds[lasts],
        first_ns=cells.first_ns[firsts],
        last_ns=cells.last_ns[lasts],
        min_ns=_first_time(cells.min_ns, has_good & (cells.min == low[number]), number, firsts.size),
        max_ns=_first_time(cells.max_ns, has_good & (cells.max == high[number]), number, firsts.size),
        severity=np.maximum.reduceat(cells.severity, firsts),
        integral=np.add.reduceat(cells.integral + np.where(cells.holds, cells.last, 0.0) * more_s, firsts),
        bad_s=np.add.reduceat(cells.bad_s + np.where(cells.holds, 0.0, more_s), firsts),
    )


def conflicts(cells: Cells) -> NDArray[np.bool_]:
    """Say which cells cannot be joined with the one before: their samples lie between each other.

    Parameters
    ----------
    cells : Cells
        Of one PV, by time of their first sample.

    Returns
    -------
    ndarray of bool, shape (n,)
        True where a cell begins at or before the last sample of any cell before it. Samples of one moment in two cells
        are a conflict, too: which of them is the last cannot be said.
    """
    if not len(cells):
        return np.zeros(0, dtype=bool)
    reached_ns = np.maximum.accumulate(cells.last_ns)
    return np.append(False, cells.first_ns[1:] <= reached_ns[:-1])


def group_by_width(
    time_ns: NDArray[np.int64], width_ns: int, codes: NDArray[np.integer] | None = None
) -> tuple[NDArray[np.intp], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Say which cell of a width each of some rising times lies in.

    Parameters
    ----------
    time_ns : ndarray of int64, shape (n,)
        Times, not falling for each code [ns since 1970 UTC].
    width_ns : int
        Width of the cells, counted from 1970 [ns].
    codes : ndarray of int, shape (n,), optional
        What the times belong to, in runs; cells end where a run does.

    Returns
    -------
    firsts : ndarray of int, shape (m,)
        Where each cell begins.
    bounds_ns : tuple of ndarray of int64, shape (m,)
        Start and stop of each [ns since 1970 UTC].
    """
    number = time_ns // width_ns
    is_first = np.ones(time_ns.size, dtype=bool)
    is_first[1:] = number[1:] != number[:-1]
    if codes is not None:
        is_first[1:] |= codes[1:] != codes[:-1]
    firsts = np.flatnonzero(is_first)
    start_ns = number[firsts] * width_ns
    return firsts, (start_ns, start_ns + width_ns)
