"""The average POT trace over stretches of time, read in pieces."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nualley.core import SECOND_NS, IntervalSet
from nualley.exposure.ports import PvHistory, TraceRows
from nualley.physics import VETO_FRACTION, TraceAverage, TraceAverager, is_trip

PIECE_NS = 120 * SECOND_NS
"""Traces that are in memory at once: two minutes of 60 Hz times 2000 float32 are 58 MB."""


def average_run_trace(
    archive: PvHistory, pv: str, *, run: IntervalSet, beam_on: IntervalSet, veto_fraction: float = VETO_FRACTION
) -> TraceAverage:
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
    veto_fraction : float
        Part of the median integral below which a trace is a trip, 0 to 1.

    Returns
    -------
    TraceAverage
        ``n + n_vetoed`` is the number of traces that were posted in the run.

    Notes
    -----
    The traces are read twice, first for their integrals, then for the average: the median is known only after the
    last one, and they need not fit into memory.
    """
    integrals, sizes = [np.empty(0)], [np.empty(0, dtype=np.int64)]
    for rows in _pieces(archive, pv, run):
        integral = _integrals(rows)
        is_good = np.isfinite(integral) & _is_within(rows.time_ns, beam_on)
        integrals.append(integral[is_good])
        sizes.append(np.diff(rows.offsets)[is_good])
    good, lengths = np.concatenate(integrals), np.concatenate(sizes)
    length = int(np.bincount(lengths).argmax()) if lengths.size else 0
    averager = TraceAverager(length)
    median = float(np.median(good[lengths == length])) if length else 0.0
    for rows in _pieces(archive, pv, run):
        is_used = (np.diff(rows.offsets) == length) & (length > 0) & _is_within(rows.time_ns, beam_on)
        is_used &= ~is_trip(_integrals(rows), median, veto_fraction)
        averager.add(_block(rows, is_used, length))
        averager.veto(int((~is_used).sum()))
    return averager.average()


def _pieces(archive: PvHistory, pv: str, run: IntervalSet) -> Iterator[TraceRows]:
    for interval in run:
        for start_ns in range(interval.start_ns, interval.stop_ns, PIECE_NS):
            yield archive.read_traces(pv, start_ns, min(start_ns + PIECE_NS, interval.stop_ns))


def _integrals(rows: TraceRows) -> NDArray[np.float64]:
    """Return the sum of each trace; NaN where it is empty, INVALID or holds NaN."""
    sizes = np.diff(rows.offsets)
    sums = np.full(sizes.size, np.nan)
    has_samples = sizes > 0
    if has_samples.any():
        sums[has_samples] = np.add.reduceat(rows.samples.astype(np.float64), rows.offsets[:-1][has_samples])
    sums[rows.severity >= 3] = np.nan
    return sums


def _block(rows: TraceRows, is_used: NDArray[np.bool_], length: int) -> NDArray[np.float64]:
    starts = rows.offsets[:-1][is_used]
    return np.asarray(rows.samples[starts[:, None] + np.arange(length)], dtype=np.float64)


def _is_within(time_ns: NDArray[np.int64], stretches: IntervalSet) -> NDArray[np.bool_]:
    bounds = np.array([edge for part in stretches for edge in (part.start_ns, part.stop_ns)], dtype=np.int64)
    is_within: NDArray[np.bool_] = np.searchsorted(bounds, time_ns, side="right") % 2 == 1
    return is_within
