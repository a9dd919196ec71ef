"""The picture "beam delivered to the detectors": cumulative protons on target against time."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nualley.core import IntervalSet, format_duration
from nualley.exposure.errors import NothingToDrawError
from nualley.exposure.models import CumulativeBeam

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf")
"""Endings of the pictures that can be drawn."""

# Okabe and Ito, "Color Universal Design" (2008): told apart with every kind of colour vision; then dashes go on
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", (0, (2, 1)), (0, (0.7, 0.7)))
# no date inside: the same curves give the same bytes
_UNDATED: Mapping[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
_LINE_WIDTH = 2.4
_N_TURNS = 48
_ENERGIES: Mapping[float, str] = {1.0: "GWh", 1e3: "MWh", 1e6: "kWh"}
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def draw_cumulative(curves: Sequence[CumulativeBeam], path: Path, *, title: str = "Beam delivered") -> None:
    """Draw cumulative protons on target against time.

    Parameters
    ----------
    curves : sequence of CumulativeBeam
        One for each detector.
    path : Path
        Where to; the ending, one of `SUFFIXES`, chooses the format.
    title : str
        Stands above it.

    Raises
    ------
    NothingToDrawError
        Where there is no curve.
    OSError
        Where the file cannot be written.
    """
    if not curves:
        raise NothingToDrawError(
            "there is no beam to draw: no detector has a run with known times, expected at least one",
            where=str(path),
            do="nualley beam exposure lists runs and why they have no exposure",
        )
    # matplotlib takes a second to import: only those who draw pay for it
    import matplotlib as mpl  # noqa: PLC0415 - heavy, see above
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy, see above

    with mpl.rc_context({"svg.hashsalt": "nualley", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(9, 5), layout="constrained")
        _draw(figure, curves, title)
        figure.savefig(path, dpi=150, metadata=_UNDATED.get(path.suffix.lower()))


def _draw(figure: "Figure", curves: Sequence[CumulativeBeam], title: str) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 - heavy, see above

    axes = figure.add_subplot()
    highest = max(curve.total_pot for curve in curves)
    power = _power_of_ten(highest)
    _draw_curves(axes, sorted(curves, key=lambda curve: -curve.total_pot), power)
    _shade(axes, curves)
    locator = AutoDateLocator(tz="UTC", minticks=3, maxticks=7)  # type: ignore[no-untyped-call]  # matplotlib has no types for it
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, tz="UTC")  # type: ignore[no-untyped-call]  # the same
    # in pictures of minutes each tick tells its whole time of day, and the corner the day
    formatter.formats[5] = formatter.zero_formats[5] = "%H:%M:%S"
    formatter.offset_formats[4:] = ["%Y-%b-%d"] * 2
    axes.xaxis.set_major_formatter(formatter)
    axes.set_xlabel("time (UTC)")
    axes.set_ylabel(f"protons on target [10{str(power).translate(_SUPERSCRIPTS)}]" if highest else "protons on target")
    axes.set_ylim(0, None if highest else 1)
    if not highest:
        _say_why_empty(axes, curves)
    axes.grid(visible=True, color="0.88", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left", fontweight="bold")
    figure.legend(loc="outside right upper", frameon=False, fontsize=9, handlelength=2.4)


def _draw_curves(axes: "Axes", curves: Sequence[CumulativeBeam], power: int) -> None:
    styles: list[dict[str, Any]] = [
        {
            "color": _COLOURS[index % len(_COLOURS)],
            "linestyle": _DASHES[index // len(_COLOURS) % len(_DASHES)],
            "linewidth": _LINE_WIDTH,
            "solid_capstyle": "butt",
            # what lies below shows neither between dashes nor beside pieces that are level
            "gapcolor": "white",
            "snap": False,
        }
        for index in range(len(curves))
    ]
    for curve, style in zip(curves, styles, strict=True):
        # of a beam that nobody knew, a line at zero would be a statement
        n_shown = curve.time_ns.size if curve.is_known else 0
        axes.plot(*_points(curve.time_ns[:n_shown], curve.pot[:n_shown], power), **style, label=_label(curve))
    known = [(curve, style) for curve, style in zip(curves, styles, strict=True) if curve.is_known]
    if len(known) > 1:
        # each lies on top for a while, in turn: curves that coincide are all seen
        for number, (start_ns, stop_ns) in enumerate(pairwise(_turns_ns(known))):
            curve, style = known[number % len(known)]
            axes.plot(*_points(*_piece(curve, start_ns, stop_ns), power), **style)


def _turns_ns(known: Sequence[tuple[CumulativeBeam, object]]) -> list[int]:
    start_ns = min(int(curve.time_ns[0]) for curve, _ in known)
    stop_ns = max(int(curve.time_ns[-1]) for curve, _ in known)
    n_turns = len(known) * max(_N_TURNS // len(known), 2)
    return [start_ns + (stop_ns - start_ns) * turn // n_turns for turn in range(n_turns + 1)]


def _piece(curve: CumulativeBeam, start_ns: int, stop_ns: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    bounds = np.clip([start_ns, stop_ns], curve.time_ns[0], curve.time_ns[-1])
    inside = curve.time_ns[(curve.time_ns > start_ns) & (curve.time_ns < stop_ns)]
    times_ns = np.unique(np.concatenate([bounds, inside]))
    # differences: float64 does not hold the ns since 1970
    pot = np.interp(times_ns - curve.time_ns[0], curve.time_ns - curve.time_ns[0], curve.pot)
    return times_ns, pot


def _points(
    time_ns: NDArray[np.int64], pot: NDArray[np.float64], power: int
) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    return time_ns.astype("datetime64[ns]"), pot / 10.0**power


def _shade(axes: "Axes", curves: Sequence[CumulativeBeam]) -> None:
    unknown = IntervalSet(interval for curve in curves for interval in curve.unknown)
    for number, interval in enumerate(unknown):
        start, stop = np.array([interval.start_ns, interval.stop_ns]).astype("datetime64[ns]")
        axes.axvspan(start, stop, color="0.88", linewidth=0, zorder=0, label="_" if number else "beam not known")


def _say_why_empty(axes: "Axes", curves: Sequence[CumulativeBeam]) -> None:
    axes.set_yticks([0])
    if not any(curve.is_known for curve in curves):
        words = "the beam is not known during these runs"
    elif any(curve.unknown for curve in curves):
        words = "no beam during these runs, as far as it is known"
    else:
        words = "no beam during these runs"
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", color="0.25", fontsize=12)


def _label(curve: CumulativeBeam) -> str:
    if not curve.is_known:
        return f"{curve.detector}\nbeam not known"
    power = _power_of_ten(curve.total_pot)
    pot = f"{curve.total_pot / 10.0**power:.3f}·10{str(power).translate(_SUPERSCRIPTS)} POT"
    text = f"{curve.detector}\n{pot}, {_energy(curve.total_GWh)}" if curve.total_pot else f"{curve.detector}\nno beam"
    return f"{text}\n{format_duration(curve.unknown_s)} unknown" if curve.unknown_s else text


def _energy(energy_GWh: float) -> str:
    scale = next((scale for scale in _ENERGIES if energy_GWh * scale >= 1), max(_ENERGIES))
    return f"{energy_GWh * scale:.4g} {_ENERGIES[scale]}"


def _power_of_ten(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])
