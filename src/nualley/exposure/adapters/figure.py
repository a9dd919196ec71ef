"""The picture "beam delivered to the detectors": cumulative protons on target against time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nualley.core import format_duration
from nualley.exposure.errors import NothingToDrawError
from nualley.exposure.models import CumulativeBeam

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf")
"""Endings of the pictures that can be drawn."""

# Okabe and Ito, "Color Universal Design" (2008): told apart with every kind of colour vision; then dashes go on
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.3)))
# no date inside: the same curves give the same bytes
_UNDATED: Mapping[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
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
    power = _power_of_ten(max(curve.total_pot for curve in curves))
    for index, curve in enumerate(sorted(curves, key=lambda curve: -curve.total_pot)):
        axes.plot(
            curve.time_ns.astype("datetime64[ns]"),
            curve.pot / 10.0**power,
            color=_COLOURS[index % len(_COLOURS)],
            linestyle=_DASHES[index // len(_COLOURS) % len(_DASHES)],
            linewidth=1.8,
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
    axes.set_ylabel(f"protons on target [10{str(power).translate(_SUPERSCRIPTS)}]")
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, color="0.88", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left", fontweight="bold")
    figure.legend(loc="outside right upper", frameon=False, fontsize=9, handlelength=2.4)


def _label(curve: CumulativeBeam) -> str:
    power = _power_of_ten(curve.total_pot)
    pot = f"{curve.total_pot / 10.0**power:.3f}·10{str(power).translate(_SUPERSCRIPTS)} POT"
    text = f"{curve.detector}\n{pot}, {curve.total_GWh:.4g} GWh"
    return f"{text}\n{format_duration(curve.unknown_s)} unknown" if curve.unknown_s else text


def _power_of_ten(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])
