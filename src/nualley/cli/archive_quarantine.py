"""``nualley archive quarantine``: samples that were kept aside, and their release."""

from typing import Annotated

from cyclopts import Parameter

from nualley.app.imports import refused_lines
from nualley.app.quarantine import SHOWN, look_at, receipt_bounds_ns, release, split_reason
from nualley.app.site import Site, open_site
from nualley.cli.losses import told_losses
from nualley.cli.options import Output, Time, Whole, bounds_ns
from nualley.cli.output import print_json, print_note, print_table, print_text, shown_time, shown_value
from nualley.core import ExitCode, UsageError

_WHY = {
    "backward": "older than the sample before it",
    "future": "further ahead of the clock than archive.future_limit_s",
    "undefined-time": "a record that was never processed (1990-01-01)",
    "before-1991": "a clock that was never set",
    "unstorable": "no column can hold it; shown as text",
    "unreadable": "its source could not read it; shown as it came",
}


def quarantine(
    *pv: str,
    from_: Annotated[Time, Parameter(name="--from")] = None,
    to: Time = None,
    limit: Whole = 100,
    release_: Annotated[bool, Parameter(name="--release", negative="")] = False,
    at_receipt: Annotated[bool, Parameter(negative="")] = False,
    lines: Annotated[bool, Parameter(negative="")] = False,
    output: Output = Output(),
) -> int:
    """Show samples that were kept aside and why, or put them among the stored ones.

    Example: nualley archive quarantine DEMO:BEAM:POWER --from -1d

    Parameters
    ----------
    pv : str
        Names of PVs; none means all.
    from_ : str
        Begin of their receipt; by default the first.
    to : str
        End of their receipt, not included; by default the last.
    limit : int
        At most so many are shown, the newest ones.
    release_ : bool
        Store those whose stamps can be believed by now: an IOC's clock that was ahead, or went back, was right.
    at_receipt : bool
        With --release: stamp them with the time of their receipt, where the IOC's clock was wrong.
    lines : bool
        Show the lines of imported files that are no samples, with file, line and reason.
    """
    site = open_site(output.experiment)
    if lines:
        if pv or from_ or to or release_ or at_receipt:
            raise UsageError(
                "a line that is no sample has no PV and no time, and cannot be released",
                where="archive quarantine --lines",
                do="give --lines alone, or with --limit; mend the lines in their file and import it again",
            )
        _show_lines(site, limit, output)
        return ExitCode.DONE
    stretch_ns = receipt_bounds_ns(*bounds_ns(from_, to))
    if release_:
        _release(site, pv, stretch_ns, at_receipt=at_receipt, output=output)
        return told_losses(site)
    found = look_at(site, pv, *stretch_ns, limit=limit)
    rows, reasons = found.newest, found.by_reason
    n_lines = len(refused_lines(site.archive_folder))
    if output.is_json:
        columns = {name: [row[name] for row in rows] for name in (*SHOWN, "released_as_ns")}
        told = [split_reason(reason) for reason in columns["reason"]]
        columns |= {"reason": [reason for reason, _ in told], "cause": [cause or None for _, cause in told]}
        print_json(
            {"n": sum(reasons.values()), "by_reason": reasons, "n_lines": n_lines, "columns": columns},
        )
        return told_losses(site)
    if rows:
        print_table(
            ("received (UTC)", "pv", "stamp (UTC)", "value", "severity", "reason", "released as"),
            [
                [
                    shown_time(row["received_ns"]),
                    row["pv"],
                    shown_time(row["time_ns"]),
                    shown_value(row["value"]),
                    row["severity"],
                    row["reason"],
                    None if row["released_as_ns"] is None else shown_time(row["released_as_ns"]),
                ]
                for row in rows
            ],
        )
    for reason, n in sorted(reasons.items()):
        print_note(f"{n} {reason}: {_WHY.get(reason, '')}")
    if not reasons:
        print_note("no sample is kept aside" if n_lines else "nothing is kept aside")
    if n_lines:
        print_note(f"{n_lines} lines of imported files are no samples: nualley archive quarantine --lines shows them")
    return told_losses(site)


def _show_lines(site: Site, limit: int, output: Output) -> None:
    found = refused_lines(site.archive_folder)
    shown = found[-limit:] if limit else []
    if output.is_json:
        columns = {name: [getattr(line, name) for line in shown] for name in ("file", "line", "reason", "text")}
        print_json({"n": len(found), "columns": columns})
        return
    if shown:
        rows = [[line.file, line.line, line.reason, line.text] for line in shown]
        print_table(("file", "line", "reason", "text"), rows, right=(1,))
    if len(found) > len(shown):
        print_note(f"{len(found) - len(shown)} earlier ones are not shown: --limit")
    if not found:
        print_note("every line of every imported file was a sample")


def _release(
    site: Site, pvs: tuple[str, ...], stretch_ns: tuple[int, int], *, at_receipt: bool, output: Output
) -> None:
    done = release(site, pvs, *stretch_ns, is_stamped_by_receipt=at_receipt)
    if output.is_json:
        print_json({"stored": done.stored, "filtered": done.filtered, "kept": done.kept})
        return
    print_text(f"{done.stored} samples are stored now, {done.filtered} were released already")
    for reason, n in sorted(done.kept.items()):
        hint = (
            ""
            if at_receipt or reason in {"unstorable", "unreadable"} or done.n_imported == sum(done.kept.values())
            else "; --at-receipt stamps them with their receipt"
        )
        print_note(f"{n} stay aside as {reason}: {_WHY.get(reason, '')}{hint}")
    if done.n_imported:
        print_note(
            f"{done.n_imported} of them were imported, and when that was says nothing of their own time: "
            "mend the stamps in the file and import it again"
        )
