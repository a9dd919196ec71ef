"""Cumulative beam against time: vertices of a curve that is straight between them."""

from collections import deque
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nualley.core import SECOND_NS, Interval, IntervalSet
from nualley.exposure.integral import Segments, Sums, integrate
from nualley.exposure.models import CumulativeBeam
from nualley.exposure.rows import Rows
from nualley.physics import FOREVER, JOULE_PER_GWH

_J_PER_GWH = Fraction(JOULE_PER_GWH)


class CurveBuilder:
    """The cumulative beam of one detector, day after day.

    Parameters
    ----------
    detector : str
        Its id.
    n_points : int
        Vertices to keep at most, >= 2.
    pieces : iterable of tuple of (Rows, Interval), optional
        What of its stretches is taken from rows; `add` gives the rest.
    """

    def __init__(self, detector: str, n_points: int, pieces: Iterable[tuple[Rows, Interval]] = ()) -> None:
        self._pieces = deque(sorted(pieces, key=lambda piece: piece[1]))
        self._detector = detector
        self._n_points = n_points
        self._sums = Sums()
        self._columns: list[NDArray[np.float64]] = []
        self._times_ns: list[NDArray[np.int64]] = []
        self._unknown: list[Interval] = []

    def add(self, steps: Segments, within: IntervalSet) -> None:
        """Go on over the stretches of a day; days come in order of time."""
        left = deque(within)
        while left:
            self._add_rows_before(left[0].start_ns)
            next_ns = self._pieces[0][1].start_ns if self._pieces else left[-1].stop_ns
            together = [left.popleft()]
            while left and left[0].start_ns < next_ns:
                together.append(left.popleft())
            self._add_steps(steps, IntervalSet(together))

    def _add_rows_before(self, time_ns: int) -> None:
        while self._pieces and self._pieces[0][1].start_ns < time_ns:
            self._add_rows(*self._pieces.popleft())

    def _add_rows(self, rows: Rows, part: Interval) -> None:
        sums, rows = rows.between(part.start_ns, part.stop_ns), rows.within(part.start_ns, part.stop_ns)
        if sums is None:
            raise ValueError(f"rows do not cover {part}")
        each = np.stack([rows.sums["pot"].rounded(), rows.sums["energy"].rounded() / JOULE_PER_GWH]) / SECOND_NS
        columns = np.concatenate([np.zeros((2, 1)), np.cumsum(each, axis=1)], axis=1)
        self._append(np.append(rows.start_ns, part.stop_ns), columns, self._sums + sums)
        # a row says how long the beam was not known in it, which is less than a point of the curve, and not when
        unknown = zip(rows.start_ns.tolist(), rows.times_ns["unknown_ns"].tolist(), strict=True)
        self._unknown += [Interval(at_ns, at_ns + unknown_ns) for at_ns, unknown_ns in unknown if unknown_ns]

    def _add_steps(self, steps: Segments, within: IntervalSet) -> None:
        times_ns, columns = _vertices(steps, within)
        self._append(times_ns, columns, self._sums + integrate(steps, within))
        self._unknown += _unknown(steps, within, self._n_points)

    def _append(self, times_ns: NDArray[np.int64], columns: NDArray[np.float64], after: Sums) -> None:
        before = self._sums
        begin = np.array([_pot(before), _energy_GWh(before)])
        end = np.array([_pot(after), _energy_GWh(after)])
        # float64 sums within a day, the exact ones at its end: errors do not grow over the years
        columns = np.minimum(begin[:, None] + columns, end[:, None])
        columns[:, -1:] = end[:, None]
        kept = thin(times_ns, self._n_points)
        self._times_ns.append(times_ns[kept])
        self._columns.append(columns[:, kept])
        self._sums = after

    def curve(self) -> CumulativeBeam:
        """Return the curve so far, with all that is taken from rows."""
        self._add_rows_before(FOREVER.stop_ns)
        times_ns = np.concatenate([np.empty(0, dtype=np.int64), *self._times_ns])
        pot, energy_GWh = np.concatenate([np.empty((2, 0)), *self._columns], axis=1)
        is_new = np.append(times_ns[1:] != times_ns[:-1], True)[
            : times_ns.size
        ]  # midnight ends one day, begins the next
        kept = np.flatnonzero(is_new)[thin(times_ns[is_new], self._n_points)]
        return CumulativeBeam(
            self._detector,
            times_ns[kept],
            pot[kept],
            energy_GWh[kept],
            duration_s=self._sums.duration_ns / 1e9,
            unknown_s=self._sums.unknown_ns / 1e9,
            unknown=IntervalSet(self._unknown),
        )


def thin(time_ns: NDArray[np.int64], n_points: int) -> NDArray[np.intp]:
    """Choose which vertices to keep.

    Parameters
    ----------
    time_ns : ndarray of int64, shape (n,)
        Times of the vertices, not falling.
    n_points : int
        How many to keep at most, >= 2.

    Returns
    -------
    ndarray of int, shape (m,)
        Indices, rising: all of them where they are few enough, else the first, and the last one of each of equal
        stretches of time. The end of the curve is always kept.
    """
    if time_ns.size <= n_points:
        return np.arange(time_ns.size)
    # differences of int64 wrap, which uint64 reads as what they are; float64 loses ns of them, which moves a vertex to
    # the neighbouring cell at worst
    since_ns = (time_ns - time_ns[:1]).view(np.uint64)
    span_ns = max(int(since_ns[-1]), 1)
    cell = (since_ns.astype(np.float64) / span_ns * (n_points - 1)).astype(np.int64)
    cell = np.minimum(cell, n_points - 2)
    is_last = np.append(cell[1:] != cell[:-1], True)
    is_last[0] = True
    return np.flatnonzero(is_last)


def _vertices(steps: Segments, within: IntervalSet) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return times, and protons and GWh since the first of them, wherever the slope changes."""
    bounds = np.array([edge for interval in within for edge in (interval.start_ns, interval.stop_ns)], dtype=np.int64)
    edges = steps.edges_ns
    times_ns = np.unique(np.concatenate([bounds, edges[(edges > bounds[0]) & (edges < bounds[-1])]]))
    index = np.searchsorted(edges, times_ns[:-1], side="right") - 1
    is_inside = np.searchsorted(bounds, times_ns[:-1], side="right") % 2 == 1
    slopes = np.where(is_inside, np.stack([steps.pot_rate[index], steps.power_W[index] / JOULE_PER_GWH]), 0.0)
    columns = np.zeros((2, times_ns.size))
    np.cumsum(slopes * (np.diff(times_ns) / SECOND_NS), axis=1, out=columns[:, 1:])
    is_vertex = np.ones(times_ns.size, dtype=bool)
    is_vertex[1:-1] = (np.diff(slopes, axis=1) != 0).any(axis=0)
    return times_ns[is_vertex], columns[:, is_vertex]


def _unknown(steps: Segments, within: IntervalSet, n_points: int) -> list[Interval]:
    """Return when the beam is not known; what lies closer together than a point of the curve is joined."""
    is_unknown = np.concatenate([[False], steps.is_unknown, [False]])
    starts_ns = steps.edges_ns[np.flatnonzero(is_unknown[1:] & ~is_unknown[:-1])]
    stops_ns = steps.edges_ns[np.flatnonzero(~is_unknown[1:] & is_unknown[:-1])]
    grain_ns = int(steps.edges_ns[-1] - steps.edges_ns[0]) // n_points
    is_far = starts_ns[1:] - stops_ns[:-1] > grain_ns
    firsts, lasts = (
        starts_ns[np.append(True, is_far)[: starts_ns.size]],
        stops_ns[np.append(is_far, True)[: stops_ns.size]],
    )
    pieces = (Interval(int(start), int(stop)) for start, stop in zip(firsts, lasts, strict=True))
    return list(IntervalSet(pieces) & within)


def _pot(sums: Sums) -> float:
    return float(sums.pot / SECOND_NS)


def _energy_GWh(sums: Sums) -> float:
    return float(sums.energy / SECOND_NS / _J_PER_GWH)
