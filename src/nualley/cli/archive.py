"""``nualley archive``: last values and history of archived PVs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from nualley.app.site import Site, open_site
from nualley.archive import LastValue, PvNotArchivedError
from nualley.cli.losses import told_losses
from nualley.cli.options import Output
from nualley.cli.output import print_error, print_json, print_table, shown_time, shown_value
from nualley.core import ExitCode, format_duration

app = App(name="archive", help="Archived PVs: last values and history, gaps, and the archive's files.")


@app.command
def pvs(
    *, write: Path | None = None, force: Annotated[bool, Parameter(negative="")] = False, output: Output = Output()
) -> int:
    """List the archived PVs and their account, or write those that no file declares into one.

    Example: nualley archive pvs

    Parameters
    ----------
    write : Path
        A new file in pvs/: it gets the PVs that were added while the archive ran, and nothing is listed.
    force : bool
        Write a file anew that is there; the PVs that only it declares stay in it.
    """
    site = open_site(output.experiment)
    if write is not None:
        from nualley.cli.archive_changes import write_pvs  # only for this

        write_pvs(site, write, may_replace=force, output=output)
        return ExitCode.DONE
    summaries = site.pv_summaries()
    found = [
        {
            "pv": pv.now.pv,
            "value_type": pv.value_type,
            "unit": pv.now.unit,
            "protocol": pv.protocol,
            "state": pv.now.state,
            "reason": pv.now.reason,
            "ioc": pv.ioc,
            "received": pv.ledger.received,
            "stored": pv.ledger.stored,
            "quarantined": pv.ledger.quarantined,
            "filtered": pv.ledger.filtered,
            "gaps": pv.ledger.gaps,
            "last_heard_ns": pv.now.last_heard_ns or None,
        }
        for pv in summaries
    ]
    if output.is_json:
        print_json(found)
    else:
        columns = ("pv", "value_type", "unit", "state", "received", "stored", "quarantined", "filtered", "gaps")
        words = [{**row, "state": pv.now.standing} for row, pv in zip(found, summaries, strict=True)]
        rows = [[row[column] for column in columns] for row in words]
        print_table(columns, rows, right=range(4, 9))
    return told_losses(site)


@app.command
def last(*pv: str, output: Output = Output()) -> int:
    """Show the last value of PVs.

    Example: nualley archive last DEMO:BEAM:POWER

    Parameters
    ----------
    pv : str
        Names of PVs; none means all but those that are neither archived nor declared any more.
    """
    site = open_site(output.experiment)
    found, missing = _last(site, pv)
    if output.is_json:
        keys = ("pv", "time_ns", "value", "severity", "status", "unit", "age_s", "state", "reason")
        rows: list[dict[str, object]] = [{key: getattr(value, key) for key in keys} for value in found]
        print_json([*rows, *({"pv": name, "error": error.to_json()} for name, error in missing.items())])
    else:
        _print_last(found)
        for error in missing.values():
            print_error(error, is_json=False)
    lost = told_losses(site)
    return next((error.exit_code for error in missing.values()), lost)


def _last(site: Site, pvs: Sequence[str]) -> tuple[list[LastValue], dict[str, PvNotArchivedError]]:
    """Return the last values of those that are there, and why each of the others has none; not of none at all."""
    found: list[LastValue] = []
    missing: dict[str, PvNotArchivedError] = {}
    for name in pvs:
        try:
            found += site.last_values([name])
        except PvNotArchivedError as error:
            missing[name] = error
    if len(missing) == 1 and not found:
        raise next(iter(missing.values()))
    return found if pvs else site.last_values(), missing


def _print_last(found: Sequence[LastValue]) -> None:
    print_table(
        ("pv", "value", "unit", "age", "state", "severity", "time (UTC)"),
        [
            [
                value.pv,
                f"{value.value:.6g}" if isinstance(value.value, float) else shown_value(value.value),
                value.unit,
                None if value.age_s is None else format_duration(value.age_s),
                value.standing,
                None if value.severity is None else ("ok", "minor", "major", "invalid")[value.severity],
                shown_time(value.time_ns),
            ]
            for value in found
        ],
        right=(1, 3),
    )


_ELSEWHERE = (
    ("get", "archive_get:get"),
    ("trace", "archive_trace:trace"),
    ("gaps", "archive_care:gaps"),
    ("stats", "archive_care:stats"),
    ("verify", "archive_care:verify"),
    ("restore-index", "archive_care:restore_index"),
    ("compact", "archive_care:compact"),
    ("import", "archive_exchange:import_"),
    ("export", "archive_exchange:export"),
    ("quarantine", "archive_quarantine:quarantine"),
    ("info", "archive_info:info"),
    ("add", "archive_changes:add"),
    ("pause", "archive_changes:pause"),
    ("resume", "archive_changes:resume"),
    ("rename", "archive_changes:rename"),
    ("alias", "archive_changes:alias"),
    ("remove", "archive_changes:remove"),
)
for _name, _target in _ELSEWHERE:  # each is imported when it is called
    app.command(f"nualley.cli.{_target}", name=_name)
