"""The picture "beam delivered to the detectors": cumulative protons on target against time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.3)))
# no date inside: the same curves give the same bytes
_UNDATED: Mapping[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
_WIDEST, _NARROWEST = 4.2, 1.4
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
    _shade(axes, curves)
    for index, curve in enumerate(sorted(curves, key=lambda curve: -curve.total_pot)):
        axes.plot(
            curve.time_ns.astype("datetime64[ns]"),
            curve.pot / 10.0**power,
            color=_COLOURS[index % len(_COLOURS)],
            linestyle=_DASHES[index // len(_COLOURS) % len(_DASHES)],
            # ever narrower: curves that lie on each other are all seen
            linewidth=max(_WIDEST - 1.2 * index, _NARROWEST),
            label=_label(curve),
        )
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


def _shade(axes: "Axes", curves: Sequence[CumulativeBeam]) -> None:
    unknown = IntervalSet(interval for curve in curves for interval in curve.unknown)
    for number, interval in enumerate(unknown):
        start, stop = np.array([interval.start_ns, interval.stop_ns]).astype("datetime64[ns]")
        axes.axvspan(start, stop, color="0.88", linewidth=0, label="_" if number else "beam not known")


def _say_why_empty(axes: "Axes", curves: Sequence[CumulativeBeam]) -> None:
    axes.set_yticks([0])
    is_known = any(curve.time_ns.size and _is_partly_known(curve) for curve in curves)
    words = "no beam during these runs" if is_known else "the beam is not known during these runs"
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", color="0.25", fontsize=12)


def _is_partly_known(curve: CumulativeBeam) -> bool:
    return bool((int(curve.time_ns[-1]) - int(curve.time_ns[0])) > curve.unknown.duration_ns)


def _label(curve: CumulativeBeam) -> str:
    power = _power_of_ten(curve.total_pot)
    pot = f"{curve.total_pot / 10.0**power:.3f}·10{str(power).translate(_SUPERSCRIPTS)} POT"
    text = f"{curve.detector}\n{pot}, {_energy(curve.total_GWh)}" if curve.total_pot else curve.detector
    return f"{text}\n{format_duration(curve.unknown_s)} unknown" if curve.unknown_s else text


def _energy(energy_GWh: float) -> str:
    scale = next((scale for scale in _ENERGIES if energy_GWh * scale >= 1), max(_ENERGIES))
    return f"{energy_GWh * scale:.4g} {_ENERGIES[scale]}"


def _power_of_ten(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])
