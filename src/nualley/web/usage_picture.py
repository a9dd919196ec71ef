"""Who takes what on the drives, drawn: rectangles as large as bytes, and how these came to be."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import squarify

from nualley.app.usage import UsageRow
from nualley.web.words import size

WIDTH, HEIGHT = 1160.0, 340.0
HISTORY_HEIGHT = 200.0
N_COLOURS = 8
NOBODY = "nobody"
"""How bytes are called that no rule of ownership matches."""

OTHERS = "others"
_SMALLEST = 1 / 400
_LETTER, _LINE = 7.2, 15.0


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a treemap.

    Parameters
    ----------
    x, y, width, height : float
        Where it lies in a picture of `WIDTH` by `HEIGHT`.
    name : str
        Whose bytes, such as ``cenns-10 raw``.
    size_B : int
        How many [B].
    colour : str
        Its class: ``u0`` to ``u7`` by detector, or ``nobody``.
    lines : tuple of str
        What is written in it: as much as fits.
    """

    x: float
    y: float
    width: float
    height: float
    name: str
    size_B: int
    colour: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of the history that belongs to one detector.

    Parameters
    ----------
    name : str
        The detector.
    colour : str
        Its class, as in the treemap.
    points : str
        Its outline, for SVG.
    """

    name: str
    colour: str
    points: str


@dataclass(frozen=True, slots=True)
class History:
    """How much every detector took at each scan.

    Parameters
    ----------
    bands : tuple of Band
        One upon the other.
    start_ns, stop_ns : int
        First and last scan [ns since 1970 UTC].
    top_B : int
        Most that all of them took together [B].
    """

    bands: tuple[Band, ...]
    start_ns: int
    stop_ns: int
    top_B: int


def colours(rows: Sequence[UsageRow]) -> dict[str, str]:
    """Return a class of colour for each detector, the largest first; those beyond the eighth share the last.

    Parameters
    ----------
    rows : sequence of UsageRow
        By detector, stage and whatever else.
    """
    sums = _sums(rows)
    named = [name for name in sums if name != NOBODY]
    found = {name: f"u{min(number, N_COLOURS - 1)}" for number, name in enumerate(named)}
    return {**found, NOBODY: NOBODY, OTHERS: "u7"}


def treemap(rows: Sequence[UsageRow]) -> list[Box]:
    """Return rectangles as large as the bytes of each detector, and in them those of its stages.

    Parameters
    ----------
    rows : sequence of UsageRow
        By detector and stage.

    Returns
    -------
    list of Box
        Detector by detector, the largest first; what is smaller than a 400th of all is put together.

    Notes
    -----
    Squarified treemaps: M. Bruls, K. Huizing, J. J. van Wijk, Data Visualization 2000, p. 33.
    """
    found, boxes = colours(rows), []
    for name, place in _laid_out(_large(_sums(rows)), 0, 0, WIDTH, HEIGHT):
        stages = {OTHERS: place["value"]} if name == OTHERS else _stages(rows, name)
        for stage, inner in _laid_out(stages, place["x"], place["y"], place["dx"], place["dy"]):
            boxes.append(_box(name if stage in ("", OTHERS) else f"{name} {stage}", inner, found[name]))
    return boxes


def history(rows: Sequence[UsageRow], found: Mapping[str, str]) -> History | None:
    """Return what each detector took at each scan, one upon the other; None where fewer than two moments are known.

    Parameters
    ----------
    rows : sequence of UsageRow
        By detector, stage and drive, each with the time of its scan, the oldest first. What a drive held at its last
        scan counts until its next one.
    found : mapping of str to str
        Detector -> class of colour.
    """
    times_ns = sorted({row.scan_ns for row in rows if row.scan_ns is not None})
    if len(times_ns) < 2:
        return None
    names = [name for name in found if name != OTHERS]
    levels = _levels(rows, times_ns)
    top_B = max(sum(level.values()) for level in levels) or 1
    span_ns = times_ns[-1] - times_ns[0]
    across = [WIDTH * (time_ns - times_ns[0]) / span_ns for time_ns in times_ns]
    below, bands = [0] * len(levels), []
    for name in names:
        above = [base + level.get(name, 0) for base, level in zip(below, levels, strict=True)]
        if above != below:
            outline = [*zip(across, above, strict=True), *reversed(list(zip(across, below, strict=True)))]
            points = " ".join(f"{x:.1f},{HISTORY_HEIGHT * (1 - value / top_B):.1f}" for x, value in outline)
            bands.append(Band(name, found[name], points))
        below = above
    return History(tuple(bands), times_ns[0], times_ns[-1], top_B)


def _name(row: UsageRow) -> str:
    # what belongs to no detector may have a stage all the same, such as what users keep
    return str(row.by["detector"] or row.by["stage"] or NOBODY)


def _sums(rows: Iterable[UsageRow]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in rows:
        sums[_name(row)] = sums.get(_name(row), 0) + row.size_B
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def _stages(rows: Sequence[UsageRow], name: str) -> dict[str, int]:
    stages: dict[str, int] = {}
    for row in rows:
        if _name(row) == name:
            stage = str(row.by["stage"] or "") if row.by["detector"] else ""
            stages[stage] = stages.get(stage, 0) + row.size_B
    return _large(dict(sorted(stages.items(), key=lambda item: (-item[1], item[0]))))


def _large(sums: Mapping[str, int]) -> dict[str, int]:
    total_B = sum(sums.values())
    large = {name: size_B for name, size_B in sums.items() if size_B and size_B >= total_B * _SMALLEST}
    rest_B = total_B - sum(large.values())
    return {**large, OTHERS: rest_B} if rest_B else large


def _laid_out(
    sums: Mapping[str, int], x: float, y: float, width: float, height: float
) -> Iterable[tuple[str, dict[str, Any]]]:
    # the algorithm wants the largest first
    ordered = dict(sorted(sums.items(), key=lambda item: -item[1]))
    if not ordered:
        return
    places = squarify.squarify(squarify.normalize_sizes(list(ordered.values()), width, height), x, y, width, height)
    for (name, size_B), place in zip(ordered.items(), places, strict=True):
        yield name, {**place, "value": size_B}


def _box(name: str, place: Mapping[str, Any], colour: str) -> Box:
    x, y, width, height = (float(place[key]) for key in ("x", "y", "dx", "dy"))
    words = (name, size(place["value"]))
    fitting = tuple(word for word in words if len(word) * _LETTER < width - 8)
    lines = fitting[: max(0, int((height - 6) / _LINE))] if words[0] in fitting else ()
    return Box(x, y, width, height, name, int(place["value"]), colour, lines)


def _levels(rows: Sequence[UsageRow], times_ns: Sequence[int]) -> list[dict[str, int]]:
    """Return what each detector took at each time: what each drive held at its last scan until then."""
    scans: dict[int, dict[str, dict[str, int]]] = {}
    for row in rows:
        if row.scan_ns is not None:
            of_drive = scans.setdefault(row.scan_ns, {}).setdefault(str(row.by["drive"]), {})
            of_drive[_name(row)] = of_drive.get(_name(row), 0) + row.size_B
    held: dict[str, dict[str, int]] = {}
    levels = []
    for time_ns in times_ns:
        held |= scans.get(time_ns, {})
        level: dict[str, int] = {}
        for of_drive in held.values():
            for name, size_B in of_drive.items():
                level[name] = level.get(name, 0) + size_B
        levels.append(level)
    return levels
