"""``nualley archive trace``: averages of arrays over minutes."""

from typing import Annotated, Any

from cyclopts import Parameter

from nualley.app.site import Site, open_site
from nualley.archive import TRACE_COLUMNS
from nualley.cli.archive_get import HistoryOutput, unit_of, write_rows
from nualley.cli.losses import told_losses
from nualley.cli.options import Time, stretch_ns
from nualley.cli.output import print_json, print_note, print_table, shown_number
from nualley.cli.sinks import answer_to, check_out
from nualley.core import format_time

_SHOWN = ("n", "n_vetoed", "n_bad", "length", "integral_mean", "integral_rms", "shift_mean", "shift_rms", "severity")

_OUTPUT = HistoryOutput()


def trace(
    pv: str,
    /,
    *,
    from_: Annotated[Time, Parameter(name="--from")] = "-1h",
    to: Time = "now",
    output: HistoryOutput = _OUTPUT,
) -> int:
    """Show the averages of a PV's arrays over minutes: mean and rms of each sample, and how many arrays.

    They stay when the arrays are gone (retention_h). The text shows the sums over the arrays; --json has the samples.

    Example: nualley archive trace DEMO:BEAM:TRACE --from -10min

    Parameters
    ----------
    pv : str
        Name of the PV.
    from_ : str
        Begin; the first minute that begins by then or later is shown.
    to : str
        End, not included.
    """
    from nualley.app.traces import minute_tables  # pyarrow is heavy

    start_ns, stop_ns = stretch_ns(from_ or "-1h", to or "now")
    check_out(output.out)
    site = open_site(output.experiment)
    pieces = minute_tables(site, pv, start_ns, stop_ns)
    if output.chosen in ("text", "json"):
        rows = [row for piece in pieces for row in piece.to_pylist()]
        with answer_to(output.out):
            if output.chosen == "json":
                columns = {name: [row[name] for row in rows] for name in TRACE_COLUMNS}
                print_json({"pv": pv, "unit": unit_of(site, pv), "columns": columns})
            else:
                _print(site, pv, rows)
    else:
        write_rows(site, pv, pieces, output)
    return told_losses(site)


def _print(site: Site, pv: str, rows: list[dict[str, Any]]) -> None:
    print_table(
        ("start (UTC)", *_SHOWN),
        [[format_time(row["start_ns"], digits=0), *(_shown(row[name]) for name in _SHOWN)] for row in rows],
        right=range(1, len(_SHOWN) + 1),
    )
    if not rows:
        print_note(f"no arrays of {pv} then: nualley archive gaps {pv} says why")
        return
    if unit := unit_of(site, pv):
        print_note(f"integral: sum over the samples [{unit}]; shift of the rising edge [samples]")
    # as many as were averaged: then it is not trips that the limit tells apart
    if n_odd := sum(row["n_vetoed"] > row["n"] for row in rows):
        print_note(
            f"in {n_odd} of {len(rows)} minutes most arrays are vetoed: "
            "their sum is below veto_fraction of the usual one"
        )
        print_note("  do:    if they are no trips, set veto_fraction = 0 for this PV in pvs/: all are averaged then")


def _shown(value: Any) -> object:
    return shown_number(value, 6) if isinstance(value, float) else value
