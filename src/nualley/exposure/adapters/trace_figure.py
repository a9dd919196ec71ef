"""The picture of a run's POT trace: mean with its spread, and when neutrinos arrive."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nualley.exposure.arrivals import RunTiming, fine_timing
from nualley.exposure.errors import NothingToDrawError
from nualley.exposure.models import RunTrace, TraceSource

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design" (2008): told apart with every kind of colour vision
_TRACE, _PROMPT, _DELAYED = "#0072B2", "#D55E00", "#009E73"
# no date inside: the same trace gives the same bytes
_UNDATED: Mapping[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
_ARBITRARY = "1"


def draw_trace(trace: RunTrace, path: Path, *, timing: RunTiming | None = None, title: str = "") -> None:
    """Draw the average POT trace of a run.

    Parameters
    ----------
    trace : RunTrace
        Mean and spread.
    path : Path
        Where to; the ending chooses the format.
    timing : RunTiming, optional
        When neutrinos arrive: drawn below, on the same clock.
    title : str
        Stands above it.

    Raises
    ------
    NothingToDrawError
        Where no trace was averaged.
    OSError
        Where the file cannot be written.
    """
    if not trace.mean.size:
        raise NothingToDrawError(
            f"run {trace.run_id} has no average trace to draw: {trace.n_vetoed} traces, all without beam or bad",
            where=str(path),
            do="nualley beam exposure tells whether there was beam",
        )
    # matplotlib takes a second to import: only those who draw pay for it
    import matplotlib as mpl  # noqa: PLC0415 - heavy, see above
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy, see above

    with mpl.rc_context({"svg.hashsalt": "nualley", "svg.fonttype": "none", "font.size": 11}):
        figure = Figure(figsize=(9, 8 if timing else 4.6), layout="constrained")
        _draw(figure, trace, timing, title)
        figure.savefig(path, dpi=150, metadata=_UNDATED.get(path.suffix.lower()))


def _draw(figure: "Figure", trace: RunTrace, timing: RunTiming | None, title: str) -> None:
    upper = figure.add_subplot(2 if timing else 1, 1, 1)
    _draw_mean(upper, trace, timing.offset_us if timing else 0.0)
    upper.set_title(title or f"{trace.run_id}: POT trace", loc="left", fontweight="bold", pad=34)
    facts = upper.annotate(
        _facts(trace),
        (0, 1),
        (0, 6),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9.5,
        color="0.3",
    )
    facts.set_in_layout(False)  # the title makes room for it
    if timing:
        lower = figure.add_subplot(2, 1, 2)
        _draw_arrivals(lower, timing)
        lower.set_title("When neutrinos arrive (shaded: mean in each bin)", loc="left", fontweight="bold")


def _draw_mean(axes: "Axes", trace: RunTrace, offset_us: float) -> None:
    time_us = trace.time_us + offset_us
    axes.fill_between(
        time_us,
        trace.mean - trace.rms,
        trace.mean + trace.rms,
        color=_TRACE,
        alpha=0.3,
        linewidth=0,
        label="± rms over traces",
    )
    axes.plot(time_us, trace.mean, color=_TRACE, linewidth=1.8, label="mean")
    unit = "arbitrary unit" if trace.unit == _ARBITRARY else trace.unit
    axes.set_ylabel(f"proton current [{unit}]" if unit == "A" else f"trace [{unit}]")
    _finish(axes, time_us[0], time_us[-1], "time since the first sample [µs]" if not offset_us else "time [µs]")


def _facts(trace: RunTrace) -> str:
    said = f"made of {_SOURCES[trace.source]}"
    if trace.n_cut:
        said += f"; {trace.n_cut:,} traces at the run's ends not used"
    return f"{trace.n:,} traces averaged, {trace.n_vetoed:,} left out (no beam, trip or bad)\n{said}"


_SOURCES = {
    TraceSource.RAW: "the traces",
    TraceSource.MINUTES: "averages of minutes",
    TraceSource.KEPT: "what was kept of the run",
}


def _draw_arrivals(axes: "Axes", timing: RunTiming) -> None:
    fine = fine_timing(timing)
    for name, colour, dashes in (("prompt", _PROMPT, "-"), ("delayed", _DELAYED, (0, (5, 1.5)))):
        inside: float = getattr(timing, name).sum()
        words = f"{name}: {_DECAYS[name]}, {100 * inside:.1f} % in these bins"
        smooth = getattr(fine, name) / np.diff(fine.edges_us)
        axes.plot((fine.edges_us[1:] + fine.edges_us[:-1]) / 2, smooth, color=colour, linestyle=dashes, label=words)
        coarse = getattr(timing, name) / np.diff(timing.edges_us)
        axes.stairs(coarse, timing.edges_us, color=colour, alpha=0.25, fill=True, baseline=0)
    axes.set_ylabel("fraction per µs")
    axes.set_ylim(0, None)
    offset = f", the trace begins at {timing.offset_us:g} µs" if timing.offset_us else " since the first sample"
    _finish(axes, float(timing.edges_us[0]), float(timing.edges_us[-1]), f"time{offset} [µs]")


_DECAYS = {"prompt": "ν of π⁺ decay (26 ns)", "delayed": "ν of µ⁺ decay (2197 ns)"}


def _finish(axes: "Axes", left: float, right: float, label: str) -> None:
    axes.set_xlim(left, right if right > left else left + 1)
    axes.set_xlabel(label)
    axes.grid(visible=True, color="0.88", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", frameon=False, fontsize=10)
