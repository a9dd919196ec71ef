"""Traces of a minute as sums: what is kept of them for good, and joined without a remainder."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nualley.core import UsageError
from nualley.physics.alignment import rising_edges, shifted
from nualley.physics.history import INVALID_SEVERITY
from nualley.physics.traces import VETO_FRACTION, TraceAverager, is_trip

_BLOCK = 32
_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


@dataclass(frozen=True, slots=True)
class TraceRule:
    """How traces of a PV are averaged.

    Parameters
    ----------
    veto_fraction : float
        Part of the usual integral below which a trace is a trip, 0 to 1.
    align_to : float or None
        Sample at which the rising edge of every trace is put; None: they are averaged as they came.
    """

    veto_fraction: float = VETO_FRACTION
    align_to: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.veto_fraction <= 1:
            raise UsageError(f"a veto below {self.veto_fraction:g} of the median makes no sense, expected 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TraceSums:
    """Traces of one PV, minute and length, as sums.

    Parameters
    ----------
    start_ns : int
        Begin of the minute [ns since 1970 UTC].
    length : int
        Samples of each trace.
    is_low : bool
        Whether these are the ones whose integral is below the veto's part of the others'.
    n : int
        Traces in the sums.
    n_bad : int
        Traces that are in none: INVALID, not finite, empty, or without an edge to align.
    first_ns, last_ns : int
        Times of the first and the last trace, bad ones as well [ns since 1970 UTC].
    mean, squares : ndarray of float64, shape (length,)
        Mean, and sum of the squared deviations from it; both empty where ``n`` is 0.
    integral_mean, integral_squares : float
        Mean of the sums over each trace, and the sum of their squared deviations from it.
    integral_min, integral_max : float
        Smallest and largest of them; NaN where ``n`` is 0.
    shift_mean, shift_squares : float
        How far the edges lay behind where they were put [samples]: mean, and sum of squared deviations; 0 where traces
        are not aligned.
    severity : int
        Worst EPICS alarm severity, 0 to 3.
    """

    start_ns: int
    length: int
    is_low: bool
    n: int
    n_bad: int
    first_ns: int
    last_ns: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    integral_mean: float
    integral_squares: float
    integral_min: float
    integral_max: float
    shift_mean: float
    shift_squares: float
    severity: int

    @property
    def rms(self) -> NDArray[np.float64]:
        """Root mean square deviation from the mean, over traces."""
        return np.asarray(np.sqrt(self.squares / max(self.n, 1)), dtype=np.float64)

    @property
    def n_all(self) -> int:
        """Traces it tells of."""
        return self.n + self.n_bad


def trace_integrals(traces: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the sum over each trace, shape (n_trace,): the same for every way in which traces are cut into blocks."""
    found = np.empty(len(traces))
    for start in range(0, len(traces), _BLOCK):
        with np.errstate(invalid="ignore"):  # inf - inf is NaN, as it should
            found[start : start + _BLOCK] = traces[start : start + _BLOCK].astype(np.float64).sum(axis=1)
    return found


def edge_shifts(traces: NDArray[np.generic], align_to: float) -> NDArray[np.float64]:
    """Return how far the rising edge of each trace lies behind a sample [samples]; NaN where there is no edge."""
    found = np.empty(len(traces))
    for start in range(0, len(traces), _BLOCK):
        found[start : start + _BLOCK] = rising_edges(traces[start : start + _BLOCK].astype(np.float64)) - align_to
    return found


def add_traces(
    averager: TraceAverager,
    traces: NDArray[np.generic],
    rows: NDArray[np.intp],
    shift: NDArray[np.float64] | None = None,
) -> None:
    """Add some of many traces to an average, aligned where it is said how.

    Parameters
    ----------
    averager : TraceAverager
        The average.
    traces : ndarray, shape (n_trace, n_sample)
        All of them.
    rows : ndarray of int
        Which are added.
    shift : ndarray of float64, shape (n_trace,), optional
        How far each lies behind where it is wanted [samples].
    """
    for start in range(0, len(rows), _BLOCK):
        chosen = rows[start : start + _BLOCK]
        block = traces[chosen].astype(np.float64)
        averager.add(block if shift is None else shifted(block, shift[chosen]))


def sum_traces(
    time_ns: NDArray[np.int64],
    severity: NDArray[np.int8],
    traces: NDArray[np.generic],
    *,
    start_ns: int,
    rule: TraceRule,
) -> list[TraceSums]:
    """Sum up traces of one minute and length.

    Parameters
    ----------
    time_ns : ndarray of int64, shape (n_trace,)
        When each was taken [ns since 1970 UTC]; at least one.
    severity : ndarray of int8, shape (n_trace,)
        EPICS alarm severity, 0 to 3.
    traces : ndarray, shape (n_trace, n_sample)
        Numbers of any kind.
    start_ns : int
        Begin of the minute [ns since 1970 UTC].
    rule : TraceRule
        How.

    Returns
    -------
    list of TraceSums
        One or two: traces that are far below the others are kept apart, not thrown away. Which of the two are trips can
        be judged again with all of a run in view, and the two joined are all traces, however these were cut.
    """
    integral = trace_integrals(traces)
    shift = np.zeros(len(traces)) if rule.align_to is None else edge_shifts(traces, rule.align_to)
    is_good = np.isfinite(integral) & np.isfinite(shift) & (severity < INVALID_SEVERITY) & (traces.shape[1] > 0)
    is_low = is_trip(integral, veto_reference(integral[is_good], rule.veto_fraction), rule.veto_fraction)
    high, low, bad = (np.flatnonzero(which) for which in (is_good & ~is_low, is_good & is_low, ~is_good))
    found: list[TraceSums] = []
    # what is bad is told beside those that are not low; of the good ones, at least one is not
    for rows, others in ((high, bad), (low, low[:0])):
        told = np.concatenate([rows, others])
        if not told.size:
            continue
        averager = TraceAverager(traces.shape[1] if rows.size else 0)
        add_traces(averager, traces, rows, None if rule.align_to is None else shift)
        mean, squares = averager.sums
        (integral_mean, integral_squares), (shift_mean, shift_squares) = _moments(integral[rows]), _moments(shift[rows])
        found.append(
            TraceSums(
                start_ns=start_ns,
                length=traces.shape[1],
                is_low=rows is low,
                n=rows.size,
                n_bad=others.size,
                first_ns=int(time_ns[told].min()),
                last_ns=int(time_ns[told].max()),
                mean=mean,
                squares=squares,
                integral_mean=integral_mean,
                integral_squares=integral_squares,
                integral_min=float(integral[rows].min()) if rows.size else np.nan,
                integral_max=float(integral[rows].max()) if rows.size else np.nan,
                shift_mean=shift_mean,
                shift_squares=shift_squares,
                severity=int(severity[told].max()),
            )
        )
    return found


def _moments(values: NDArray[np.float64]) -> tuple[float, float]:
    if not values.size:
        return 0.0, 0.0
    mean = float(values.mean())
    return mean, float(np.square(values - mean).sum())


def veto_reference(integral: NDArray[np.float64], veto_fraction: float = VETO_FRACTION) -> float:
    """Return what integrals of a minute are compared with: their median, without those far below the largest.

    Parameters
    ----------
    integral : ndarray of float64, shape (n_trace,)
        Finite; may be empty.
    veto_fraction : float
        Part of the largest below which one is left out, 0 to 1.

    Notes
    -----
    In a minute in which the beam was off for longer than it was on, the plain median is that of the noise, and would
    put beam and noise into one average.

    Examples
    --------
    >>> veto_reference(np.array([10.0, 11.0, 12.0, 0.1, 0.2, -0.1, 0.0]))
    11.0
    """
    if not integral.size:
        return 0.0
    size = np.abs(integral)
    return float(np.median(integral[size >= veto_fraction * size.max()]))


def weighted_median(values: NDArray[np.float64], weights: NDArray[np.int64]) -> float:
    """Return the median of values that stand for several each; for weights of 1 that of `numpy.median`.

    Examples
    --------
    >>> weighted_median(np.array([1.0, 5.0, 2.0]), np.array([1, 1, 2]))
    2.0
    """
    order = values.argsort(kind="stable")
    reached = 2 * np.cumsum(weights[order])
    low, high = (int(np.searchsorted(reached, reached[-1] // 2, side=side)) for side in _SIDES)
    return float((values[order[low]] + values[order[high]]) / 2)


def join_sums(parts: Sequence[TraceSums]) -> TraceSums:
    """Join sums of one minute and length into one, as if their traces had been summed up together.

    Parameters
    ----------
    parts : sequence of TraceSums
        At least one.

    Notes
    -----
    Source: Chan, Golub and LeVeque, The American Statistician 37 (1983) 242, equation 2.1.
    """
    if len(parts) == 1:
        return parts[0]
    full = [part for part in parts if part.n]
    averager = TraceAverager(parts[0].length if full else 0)
    # one average for the numbers beside the traces: integral and shift
    beside = TraceAverager(2)
    for part in full:
        averager.join(part.n, part.mean, part.squares)
        beside.join(
            part.n,
            np.array([part.integral_mean, part.shift_mean]),
            np.array([part.integral_squares, part.shift_squares]),
        )
    (integral_mean, shift_mean), (integral_squares, shift_squares) = (column.tolist() for column in beside.sums)
    return TraceSums(
        start_ns=parts[0].start_ns,
        length=parts[0].length,
        is_low=all(part.is_low for part in parts),
        n=averager.n,
        n_bad=sum(part.n_bad for part in parts),
        first_ns=min(part.first_ns for part in parts),
        last_ns=max(part.last_ns for part in parts),
        mean=averager.sums[0],
        squares=averager.sums[1],
        integral_mean=integral_mean,
        integral_squares=integral_squares,
        integral_min=min((part.integral_min for part in full), default=float("nan")),
        integral_max=max((part.integral_max for part in full), default=float("nan")),
        shift_mean=shift_mean,
        shift_squares=shift_squares,
        severity=max(part.severity for part in parts),
    )


def join_minute(parts: Iterable[TraceSums], veto_fraction: float = VETO_FRACTION) -> list[TraceSums]:
    """Join sums of one minute: those of one length become one or two, those far below the others apart.

    Parameters
    ----------
    parts : iterable of TraceSums
        Of one minute, from several files.
    veto_fraction : float
        Part of the others' integral below which sums are kept apart.

    Returns
    -------
    list of TraceSums
        By length, the low ones last.
    """
    by_length: dict[int, list[TraceSums]] = {}
    for part in parts:
        by_length.setdefault(part.length, []).append(part)
    return [joined for _, found in sorted(by_length.items()) for joined in _join_length(found, veto_fraction)]


def _join_length(parts: list[TraceSums], veto_fraction: float) -> list[TraceSums]:
    if len(parts) == 1:
        return parts
    full = [part for part in parts if part.n]
    integral = np.array([part.integral_mean for part in full])
    size = np.abs(integral)
    is_high = size >= veto_fraction * size.max(initial=0.0)
    reference = 0.0
    if full:
        weights = np.array([part.n for part in full], dtype=np.int64)
        reference = weighted_median(integral[is_high], weights[is_high])
    # what a part was called when it was alone does not count: it may have been all trips
    low = [part for part, is_one in zip(full, is_trip(integral, reference, veto_fraction), strict=True) if is_one]
    high = [part for part in parts if part not in low]
    return [_named(join_sums(found), is_low=found is low) for found in (high, low) if found]


def _named(sums: TraceSums, *, is_low: bool) -> TraceSums:
    if sums.is_low == is_low:
        return sums
    return replace(sums, is_low=is_low)
