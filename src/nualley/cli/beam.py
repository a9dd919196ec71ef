"""``nualley beam``: what every detector got of the beam."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from nualley.app.beam import draw_cumulative
from nualley.app.site import Site, open_site
from nualley.cli.beam_rows import rows
from nualley.cli.losses import told_losses
from nualley.cli.options import Output, Time, bounds_ns, stretch_ns
from nualley.cli.output import print_json, print_note, print_table, print_text, shown_number, shown_time
from nualley.core import IntervalSet, format_duration
from nualley.exposure import Amounts, DefectKind, ExposureReport, ProtonLedger, RunExposure

app = App(name="beam", help="Beam on every detector: exposure, protons, plots.")
app.command(rows)
From = Annotated[Time, Parameter(name="--from")]


def _site(output: Output, detector: str | None) -> Site:
    site = open_site(output.experiment)
    if detector is not None:
        site.check_detector(detector)
    return site


@app.command
def exposure(*, detector: str | None = None, from_: From = None, to: Time = None, output: Output = Output()) -> int:
    """Show protons on target, beam energy and live time of every run, and their sums.

    Example: nualley beam exposure --detector cenns-10 --from 2026-11-01

    Parameters
    ----------
    detector : str
        Only its runs.
    from_ : str
        Only runs that reach beyond this time; each counts whole.
    to : str
        Only runs that began before this time.
    """
    start_ns, stop_ns = bounds_ns(from_, to)
    site = _site(output, detector)
    report = site.exposures().exposures(detector, start_ns=start_ns, stop_ns=stop_ns)
    if output.is_json:
        print_json(report.to_json())
    else:
        _print_exposures(report)
    return told_losses(site)


_EXPOSURE_HEAD = ("POT", "POT live", "energy [GWh]", "beam on", "live time", "unknown", "pulses")


def _print_exposures(report: ExposureReport) -> None:
    if not report.runs:
        print_note("no run is recorded then; nualley runs list shows all")
        return
    rows = [
        [run.run_id, shown_time(run.start_ns), *_cells(run.known_amounts), _run_remarks(run)] for run in report.runs
    ]
    print_table(("run", "start (UTC)", *_EXPOSURE_HEAD, "remarks"), rows, right=range(2, 9))
    print_text("")
    sums = []
    for name, amounts in report.known_sums.items():
        runs = [run for run in report.runs if run.detector == name]
        sums.append([name, *_cells(amounts), _sum_remarks(amounts, runs)])
    print_table(("detector", *_EXPOSURE_HEAD, "remarks"), sums, right=range(1, 8))
    if report.n_runs_without_times:
        print_note(f"{report.n_runs_without_times} runs without times are in no sum; see the remarks")


def _times(runs: Sequence[RunExposure]) -> IntervalSet:
    return IntervalSet(run.interval for run in runs if run.interval)


def _beam_remarks(amounts: Amounts, duration_s: float) -> list[str]:
    if not amounts.unknown_s:
        return []
    if amounts.is_beam_unknown(duration_s):
        return ["beam not known"]
    # neither 0 % nor 100 %: some of it is not known, and some is
    percent = min(100 * amounts.unknown_s / duration_s, 99.9)
    return [f"beam not known for {f'{percent:.3g}' if percent >= 0.1 else 'less than 0.1'} % of it"]


def _run_remarks(run: RunExposure) -> str:
    if run.reason:
        return run.reason
    said = _beam_remarks(run.amounts, _times([run]).duration_s)
    for defect in run.defects:
        if defect.kind is DefectKind.OVERLAP:
            said.append(f"overlap: {defect.detail}")
        elif defect.kind is not DefectKind.BEAM_UNKNOWN:  # told above, with its share
            said.append(str(defect.kind))
    return "; ".join(said)


def _sum_remarks(amounts: Amounts, runs: Sequence[RunExposure]) -> str:
    said = _beam_remarks(amounts, _times(runs).duration_s)
    if _times(runs).duration_ns < sum(_times([run]).duration_ns for run in runs):
        said.append("runs overlap: each second counts once")
    return "; ".join(said)


def _cells(amounts: Amounts) -> list[str | None]:
    seconds = (amounts.beam_on_s, amounts.livetime_s, amounts.unknown_s)
    return [
        shown_number(amounts.pot, 5),
        shown_number(amounts.pot_live, 5),
        shown_number(amounts.energy_GWh, 5),
        *(None if value is None else format_duration(value) for value in seconds),
        None if amounts.n_pulses is None else str(amounts.n_pulses),
    ]


@app.command
def ledger(*, detector: str | None = None, from_: From = "-1d", to: Time = "now", output: Output = Output()) -> int:
    """Account for every proton of a stretch of time: recorded, or why not.

    Example: nualley beam ledger --from 2026-11-01 --to 2026-11-08

    Parameters
    ----------
    detector : str
        Only for it.
    from_ : str
        Begin of the stretch.
    to : str
        Its end, not included.
    """
    start_ns, stop_ns = stretch_ns(from_ or "-1d", to or "now")
    site = _site(output, detector)
    found = site.exposures().ledger(start_ns, stop_ns, detector)
    if output.is_json:
        print_json(found.to_json())
    else:
        _print_ledger(found)
        if found.stop_ns < stop_ns:
            print_note(
                f"counted until {shown_time(found.stop_ns)} (UTC): what the beam did later is not in the archive yet;"
                " ask again in a while"
            )
    return told_losses(site)


def _print_ledger(found: ProtonLedger) -> None:
    print_text(f"{shown_time(found.start_ns)} to {shown_time(found.stop_ns)} (UTC)\n")
    rows = []
    for name, entry in found.detectors.items():
        parts = [("delivered", entry.delivered), *((str(fate), part) for fate, part in entry.parts.items())]
        for fate, part in parts:
            seconds = (part.duration_ns, part.beam_on_ns, part.unknown_ns)
            cells = [f"{part.pot:.6g}", *(format_duration(ns / 1e9) for ns in seconds)]
            rows.append([name if fate == "delivered" else "", fate, *cells])
    print_table(("detector", "protons", "POT", "duration", "beam on", "beam unknown"), rows, right=range(2, 6))


@app.command
def plot(
    *,
    out: Path,
    detector: str | None = None,
    from_: From = None,
    to: Time = None,
    output: Output = Output(),
) -> int:
    """Draw the beam delivered to the detectors against time.

    Example: nualley beam plot --out beam.svg

    Parameters
    ----------
    out : Path
        The picture; its ending says which kind: .svg, .png or .pdf.
    detector : str
        Only this one.
    from_ : str
        Only runs that reach beyond this time; by default all.
    to : str
        Only runs that began before this time.
    """
    start_ns, stop_ns = bounds_ns(from_, to)
    site = _site(output, detector)
    curves = draw_cumulative(site, out, detector=detector, start_ns=start_ns, stop_ns=stop_ns)
    if output.is_json:
        print_json({"out": str(out), "curves": [curve.to_json() for curve in curves]})
    else:
        rows = [
            [curve.detector, shown_number(curve.total_pot, 5), shown_number(curve.total_GWh, 5)] for curve in curves
        ]
        print_table(("detector", "POT", "energy [GWh]"), rows, right=(1, 2))
        print_note(f"drawn: {out}")
    return told_losses(site)


# imported by the command that needs it
app.command("nualley.cli.beam_trace:trace", name="trace")
