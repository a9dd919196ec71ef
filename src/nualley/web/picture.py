"""The alley drawn as a strip by distance from the target: where each mark and its words stand."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nualley.web.models import DetectorRow, DetectorState

SYMBOLS: Mapping[DetectorState, str] = {
    DetectorState.TAKING: "disc",
    DetectorState.PAUSED: "bars",
    DetectorState.STOPPED: "square",
    DetectorState.UNCLEAR: "query",
    DetectorState.STALE: "cross",
    DetectorState.DISCONNECTED: "cross",
    DetectorState.NOT_ARCHIVED: "cross",
    DetectorState.NO_PVS: "ring",
    DetectorState.NO_DAQ: "ring",
    DetectorState.PLANNED: "dashed",
    DetectorState.RETIRED: "dashed",
}
"""State -> shape of its mark: nothing is told by colour alone."""

WIDTH = 1160.0
LEFT, LANE, LETTER = 96.0, 42.0, 7.0
LONGEST = 420.0
NARROW_WIDTH, NARROW_LANE, NARROW_AXIS = 350.0, 40.0, 58.0
NEAR_M = 10.0
"""A detector nearer than this makes the axis begin at the target [m]."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A distance on the axis.

    Parameters
    ----------
    at : float
        Where it stands along the axis.
    distance_m : float
        Which distance it is [m].
    """

    at: float
    distance_m: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A detector on the picture.

    Parameters
    ----------
    row : DetectorRow
        The detector.
    at : float
        Where its distance stands along the axis.
    x, y : float
        Where its mark stands.
    """

    row: DetectorRow
    at: float
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Picture:
    """The strip, ready to be drawn.

    Parameters
    ----------
    width, height : float
        Size of the drawing.
    axis : float
        Where the axis stands across its direction.
    is_broken : bool
        The axis does not begin at the target.
    ticks : tuple of Tick
        Distances on the axis.
    marks : tuple of Mark
        The detectors.
    """

    width: float
    height: float
    axis: float
    is_broken: bool
    ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]


def wide_picture(rows: Sequence[DetectorRow]) -> Picture:
    """Lay the strip out for a wide screen: the target on the left.

    Parameters
    ----------
    rows : sequence of DetectorRow
        Detectors whose distance is known, nearest first.

    Returns
    -------
    Picture
        Each mark at its distance, lifted into a lane of its own where words would overlap.
    """
    first_m, last_m = _range_m(rows)
    right = 24 + max((_length(row) for row in rows), default=0.0)
    scale = (WIDTH - LEFT - right) / (last_m - first_m)
    starts: list[float] = []
    marks: list[tuple[DetectorRow, float, int]] = []
    # from the right: whoever is lifted stands left of the words below, so that its stem crosses none
    for row in reversed(rows):
        at = LEFT + ((row.distance_m or 0.0) - first_m) * scale
        stop = at + _length(row)
        # a lane is free where no words begin too soon in it, and no stem from a higher lane comes down too soon
        lane = next((index for index in range(len(starts)) if stop <= min(starts[index:])), len(starts))
        starts[lane : lane + 1] = [at - 12]
        marks.append((row, at, lane))
    height = LANE * max(1, len(starts)) + 44
    axis = height - 34
    placed = tuple(Mark(row, at, at, axis - 22 - LANE * lane) for row, at, lane in reversed(marks))
    return Picture(WIDTH, height, axis, first_m > 0, _ticks(first_m, last_m, LEFT, scale), placed)


def _length(row: DetectorRow) -> float:
    words = len(row.state) + (len(f", run {row.run}") if row.run else 0)
    return min(LONGEST, LETTER * max(len(row.name), words) + 24)


def narrow_picture(rows: Sequence[DetectorRow]) -> Picture:
    """Lay the strip out for a phone: the target on top.

    Parameters
    ----------
    rows : sequence of DetectorRow
        Detectors whose distance is known, nearest first.

    Returns
    -------
    Picture
        Each mark as near to its distance as the words of the others allow.
    """
    first_m, last_m = _range_m(rows)
    top = 46.0
    length = max(150.0, NARROW_LANE * len(rows))
    scale = length / (last_m - first_m)
    marks: list[Mark] = []
    y = top - NARROW_LANE / 2
    for index, row in enumerate(rows):
        at = top + ((row.distance_m or 0.0) - first_m) * scale
        n_after = len(rows) - 1 - index
        y = min(max(at, y + NARROW_LANE), top + length - NARROW_LANE * n_after)
        marks.append(Mark(row, at, NARROW_AXIS + 46, y))
    height = top + length + 26
    ticks = _ticks(first_m, last_m, top, scale)
    return Picture(NARROW_WIDTH, height, NARROW_AXIS, first_m > 0, ticks, tuple(marks))


def _range_m(rows: Sequence[DetectorRow]) -> tuple[float, float]:
    """Return the distances at which the axis begins and ends [m]."""
    distances_m = [row.distance_m for row in rows if row.distance_m is not None] or [0.0]
    nearest_m, farthest_m = min(distances_m), max(distances_m)
    step_m = _step_m(nearest_m, farthest_m)
    first_m = 0.0 if nearest_m < NEAR_M else math.floor((nearest_m - step_m / 2) / step_m) * step_m
    last_m = math.ceil((farthest_m + step_m / 4) / step_m) * step_m
    return first_m, max(last_m, first_m + step_m)


def _step_m(nearest_m: float, farthest_m: float) -> float:
    span_m = farthest_m - (0.0 if nearest_m < NEAR_M else nearest_m)
    exponent = 10.0 ** math.floor(math.log10(max(span_m, 1.0) / 5))
    return max(1.0, next(factor * exponent for factor in (1, 2, 5, 10) if factor * exponent * 6 >= max(span_m, 1.0)))


def _ticks(first_m: float, last_m: float, offset: float, scale: float) -> tuple[Tick, ...]:
    step_m = _step_m(first_m, last_m)
    n_ticks = math.floor((last_m - first_m) / step_m + 1e-9) + 1
    return tuple(Tick(offset + index * step_m * scale, first_m + index * step_m) for index in range(n_ticks))
