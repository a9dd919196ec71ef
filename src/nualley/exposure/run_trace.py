"""The average POT trace over stretches of time: from the traces, and from minutes where these are gone."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nualley.core import HOUR_NS, MINUTE_NS, Interval, IntervalSet
from nualley.exposure.models import TraceSource
from nualley.exposure.ports import PvHistory, TraceRows
from nualley.physics import (
    INVALID_SEVERITY,
    TraceAverage,
    TraceAverager,
    TraceRule,
    TraceSums,
    add_traces,
    edge_shifts,
    is_trip,
    weighted_median,
)

PIECE_NS = 2 * MINUTE_NS
"""Traces that are in memory at once: two minutes of 60 Hz times 2000 float32 are 58 MB."""

_PLAIN = TraceRule()


class TraceReading(NamedTuple):
    """What the archive tells of the traces of a run.

    Parameters
    ----------
    average : TraceAverage
        ``n + n_vetoed`` is the number of traces that it tells of.
    source : TraceSource
        Raw, or minutes where any of it comes from kept averages.
    n_cut : int
        Traces of minutes that reach over an end of the run, where only the average of the whole minute is left.
    """

    average: TraceAverage
    source: TraceSource
    n_cut: int


class _Piece(NamedTuple):
    rows: TraceRows
    is_mine: NDArray[np.bool_]
    minutes: list[TraceSums]
    n_cut: int


def average_run_trace(
    archive: PvHistory, pv: str, *, run: IntervalSet, beam_on: IntervalSet, rule: TraceRule = _PLAIN
) -> TraceReading:
    """Average the traces of a run.

    Parameters
    ----------
    archive : PvHistory
        The archive.
    pv : str
        The PV of the trace.
    run : IntervalSet
        When the run was.
    beam_on : IntervalSet
        When the beam is known to have been on; a trace outside is left out.
    rule : TraceRule
        What counts as a trip, and how traces are aligned.

    Returns
    -------
    TraceReading
        A minute whose traces are all there is read from them. Of one that the archive keeps an average of and of which
        traces are missing, the average counts, where it lies in the run as a whole.

    Notes
    -----
    All is read twice, first for the integrals, then for the average: the median is known only after the last one, and
    the traces need not fit into memory.
    """
    length, median = _usual(archive, pv, run, beam_on)
    averager, n_cut, source = TraceAverager(length), 0, TraceSource.RAW
    for piece in _pieces(archive, pv, run):
        _add_rows(averager, piece, beam_on, length=length, median=median, rule=rule)
        for sums in piece.minutes:
            source = TraceSource.MINUTES
            is_used = _is_lit(sums, beam_on) and sums.length == length
            if is_used and not is_trip(np.array([sums.integral_mean]), median, rule.veto_fraction)[0]:
                averager.join(sums.n, sums.mean, sums.squares)
                averager.veto(sums.n_bad)
            else:
                averager.veto(sums.n_all)
        n_cut += piece.n_cut
    return TraceReading(averager.average(), TraceSource.MINUTES if n_cut else source, n_cut)


def _usual(archive: PvHistory, pv: str, run: IntervalSet, beam_on: IntervalSet) -> tuple[int, float]:
    """Return the length that most traces have, and the median integral of these."""
    integrals, sizes, weights = [np.empty(0)], [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for piece in _pieces(archive, pv, run):
        integral = _integrals(piece.rows)
        is_good = piece.is_mine & np.isfinite(integral) & _is_within(piece.rows.time_ns, beam_on)
        lit = [sums for sums in piece.minutes if _is_lit(sums, beam_on)]
        integrals += [integral[is_good], np.array([sums.integral_mean for sums in lit], dtype=np.float64)]
        sizes += [np.diff(piece.rows.offsets)[is_good], np.array([sums.length for sums in lit], dtype=np.int64)]
        weights += [np.ones(int(is_good.sum()), dtype=np.int64), np.array([sums.n for sums in lit], dtype=np.int64)]
    good, lengths, weight = np.concatenate(integrals), np.concatenate(sizes), np.concatenate(weights)
    if not lengths.size:
        return 0, 0.0
    length = int(np.bincount(lengths, weights=weight).argmax())
    return length, weighted_median(good[lengths == length], weight[lengths == length]) if length else 0.0


def _add_rows(
    averager: TraceAverager, piece: _Piece, beam_on: IntervalSet, *, length: int, median: float, rule: TraceRule
) -> None:
    rows = piece.rows
    is_used = (np.diff(rows.offsets) == length) & (length > 0) & _is_within(rows.time_ns, beam_on) & piece.is_mine
    is_used &= ~is_trip(_integrals(rows), median, rule.veto_fraction)
    traces = rows.samples[rows.offsets[:-1][is_used][:, None] + np.arange(length)]
    shift = None if rule.align_to is None else edge_shifts(traces, rule.align_to)
    chosen = np.arange(len(traces)) if shift is None else np.flatnonzero(np.isfinite(shift))
    add_traces(averager, traces, chosen, shift)
    averager.veto(int(piece.is_mine.sum()) - chosen.size)


def _pieces(archive: PvHistory, pv: str, run: IntervalSet) -> Iterator[_Piece]:
    for interval in run:
        begin_ns, end_ns = interval.start_ns // MINUTE_NS * MINUTE_NS, -(-interval.stop_ns // MINUTE_NS) * MINUTE_NS
        for start_ns in range(begin_ns, end_ns, HOUR_NS):
            stop_ns = min(start_ns + HOUR_NS, end_ns)
            minutes = archive.read_trace_minutes(pv, start_ns, stop_ns)
            for piece_ns in range(start_ns, stop_ns, PIECE_NS):
                rows = archive.read_traces(pv, piece_ns, min(piece_ns + PIECE_NS, stop_ns))
                here = [sums for sums in minutes if piece_ns <= sums.start_ns < piece_ns + PIECE_NS]
                yield _piece(rows, here, interval)


def _piece(rows: TraceRows, minutes: list[TraceSums], interval: Interval) -> _Piece:
    """Choose for each minute what tells more of it."""
    of_rows = rows.time_ns // MINUTE_NS * MINUTE_NS
    n_rows, n_kept = Counter(of_rows.tolist()), Counter[int]()
    for sums in minutes:
        n_kept[sums.start_ns] += sums.n_all
    gone = {start_ns for start_ns, n in n_kept.items() if n_rows[start_ns] < n}
    is_mine = (rows.time_ns >= interval.start_ns) & (rows.time_ns < interval.stop_ns)
    is_mine &= ~np.isin(of_rows, np.array(sorted(gone), dtype=np.int64))
    left = [sums for sums in minutes if sums.start_ns in gone]
    whole = [sums for sums in left if interval.start_ns <= sums.first_ns and sums.last_ns < interval.stop_ns]
    n_cut = sum(sums.n_all for sums in left if sums.first_ns < interval.stop_ns and sums.last_ns >= interval.start_ns)
    return _Piece(rows, is_mine, whole, n_cut - sum(sums.n_all for sums in whole))


def _is_lit(sums: TraceSums, beam_on: IntervalSet) -> bool:
    """Say whether the beam was on at any time between the first and the last trace of an average."""
    return sums.n > 0 and any(part.start_ns <= sums.last_ns and part.stop_ns > sums.first_ns for part in beam_on)


def _integrals(rows: TraceRows) -> NDArray[np.float64]:
    """Return the sum of each trace; NaN where it is empty, INVALID or holds NaN."""
    sizes = np.diff(rows.offsets)
    sums = np.full(sizes.size, np.nan)
    has_samples = sizes > 0
    if has_samples.any():
        sums[has_samples] = np.add.reduceat(rows.samples.astype(np.float64), rows.offsets[:-1][has_samples])
    sums[(rows.severity >= INVALID_SEVERITY) | ~np.isfinite(sums)] = np.nan
    return sums


def _is_within(time_ns: NDArray[np.int64], stretches: IntervalSet) -> NDArray[np.bool_]:
    bounds = np.array([edge for part in stretches for edge in (part.start_ns, part.stop_ns)], dtype=np.int64)
    is_within: NDArray[np.bool_] = np.searchsorted(bounds, time_ns, side="right") % 2 == 1
    return is_within
