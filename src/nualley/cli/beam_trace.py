"""``nualley beam trace``: the average POT trace of a run, and when neutrinos arrive."""

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from nualley.app.beam import is_picture
from nualley.app.site import Site, open_site
from nualley.cli.losses import told_losses
from nualley.cli.options import Repository, full_run_id
from nualley.cli.output import print_json, print_note, print_table, print_text, shown_number
from nualley.cli.sinks import answer_to, check_out, told_file
from nualley.core import UsageError, parse_quantity
from nualley.exposure import EDGES_US, RunTiming, RunTrace, TraceSource, run_timing

_N_TRACE_ROWS = 40
_NOT_RAW = {
    TraceSource.MINUTES: "its traces are gone: made of averages over minutes",
    TraceSource.KEPT: "its traces are gone: this was kept when the run ended",
}


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class TraceOutput:
    """Which experiment is meant, and how the trace is written."""

    format: Literal["text", "json", "csv"] = "text"
    """How the answer is written."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Short for --format json."""

    out: Path | None = None
    """A picture, where it ends in .svg, .png or .pdf; else the file that the answer goes to."""

    experiment: Repository = None

    @property
    def chosen(self) -> Literal["text", "json", "csv"]:
        """The format."""
        return "json" if self.json else self.format

    @property
    def picture(self) -> Path | None:
        """The picture that is to be drawn."""
        return self.out if self.out is not None and is_picture(self.out) else None


def trace(
    run: str,
    /,
    *,
    detector: str | None = None,
    timing: Annotated[bool, Parameter(negative="")] = False,
    offset: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    edges: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    output: TraceOutput = TraceOutput(),
) -> int:
    """Show the average POT trace of a run (mean, rms, traces averaged and vetoed), or when neutrinos arrive.

    Where the traces are gone, it is made of their averages over minutes, or what was kept when the run ended.

    Example: nualley beam trace cenns-10-42 --timing --out timing.svg

    Parameters
    ----------
    run : str
        <detector>-<number>, or a number with --detector.
    detector : str
        Whose run a bare number is.
    timing : bool
        Show the fractions of prompt and delayed neutrinos in bins of time: the trace folded with the decays of pions
        (26 ns) and muons (2197 ns).
    offset : str
        When the first sample of the trace begins, such as "-0.3 us"; by default at 0.
    edges : str
        Edges of the bins [us], such as 0,0.5,1,1.5,6; by default every 0.5 us from 0 to 12.
    """
    if not timing and (offset is not None or edges is not None):
        raise UsageError("--offset and --edges say how arrivals are told", where="--offset, --edges", do="add --timing")
    edges_us, offset_us = _edges_us(edges), 0.0 if offset is None else _offset_us(offset)
    check_out(output.out)
    site = open_site(output.experiment)
    found = site.exposures().trace(site.run(full_run_id(run, detector)).run_id, site.kept_traces())
    arrivals = run_timing(found, edges_us, offset_us) if timing else None
    if output.picture is not None:
        _draw(site, found, arrivals, output.picture)
    if output.picture is None or output.chosen != "text":
        out = output.out if output.picture is None else None
        with answer_to(out):
            _show(found, arrivals, output.chosen)
        if output.chosen == "csv":
            told_file(out, len(found.mean if arrivals is None else arrivals.prompt))
    return told_losses(site)


def _offset_us(text: str) -> float:
    sign = -1.0 if text.strip().startswith("-") else 1.0
    return sign * parse_quantity(text.strip().removeprefix("-"), "us")


def _edges_us(text: str | None) -> tuple[float, ...]:
    if text is None:
        return EDGES_US
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"{text!r} is no list of numbers", where="--edges", do="write the edges in us, such as 0,0.5,1,1.5"
        ) from None


def _draw(site: Site, found: RunTrace, arrivals: RunTiming | None, picture: Path) -> None:
    from nualley.app.traces import draw_run_trace  # pyarrow is heavy

    draw_run_trace(site, found, picture, arrivals)
    print_note(f"drawn: {picture}")


def _show(found: RunTrace, arrivals: RunTiming | None, chosen: Literal["text", "json", "csv"]) -> None:
    shown = arrivals or found
    if chosen == "json":
        print_json(shown.to_json())
    elif chosen == "csv":
        names = ("start_us", "stop_us", "prompt", "delayed") if arrivals else ("time_us", "mean", "rms")
        columns: dict[str, Any] = shown.to_json()
        _write_csv(names, [columns[name] for name in names])
    elif arrivals:
        _print_timing(arrivals)
    else:
        _print_trace(found)


def _write_csv(names: Sequence[str], columns: Iterable[Iterable[float]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    # floats by repr: the shortest text that reads back as the same number
    writer.writerows(zip(*([repr(value) for value in column] for column in columns), strict=True))


def _print_head(found: RunTrace) -> None:
    print_text(f"{found.run_id}: mean of {found.n} traces, {found.n_vetoed} vetoed")
    if found.source in _NOT_RAW:
        print_note(_NOT_RAW[found.source])
    if found.n_cut:
        print_note(f"{found.n_cut} traces are in minutes that an end of the run cuts, and are not in it")


def _print_trace(found: RunTrace) -> None:
    _print_head(found)
    size = found.mean.size
    if size:
        peak = int(found.mean.argmax())
        print_text(f"highest at {found.time_us[peak]:.6g} us: {found.mean[peak]:.4g} {found.unit}")
    print_text("")
    step = -(-size // _N_TRACE_ROWS) or 1
    if step > 1:
        print_note(f"each row is the mean over {step} of {size} samples; --json gives all")
    rows = [
        [
            shown_number(float(found.time_us[first]), 6),
            shown_number(float(found.mean[first : first + step].mean())),
            # deviations add up in squares
            shown_number(float((found.rms[first : first + step] ** 2).mean() ** 0.5)),
        ]
        for first in range(0, size, step)
    ]
    print_table(("time [us]", f"mean [{found.unit}]", f"rms [{found.unit}]"), rows, right=range(3))


def _print_timing(found: RunTiming) -> None:
    _print_head(found.trace)
    print_text("")
    columns = (found.edges_us[:-1], found.edges_us[1:], found.prompt, found.delayed)
    rows = [[shown_number(float(value), 5) for value in row] for row in zip(*columns, strict=True)]
    rows.append(["", "in all", *(shown_number(float(part.sum()), 5) for part in (found.prompt, found.delayed))])
    print_table(("from [us]", "to [us]", "prompt", "delayed"), rows, right=range(4))
