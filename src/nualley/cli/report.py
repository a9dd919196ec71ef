"""``nualley report``: what a coordinator looks at, as files to send or to keep."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nualley.app.site import open_site
from nualley.cli.options import Output, Time, time_ns
from nualley.cli.output import print_json, print_note, print_text
from nualley.core import ExitCode, UsageError, format_time, make_folders


def report(
    *,
    week: Annotated[bool, Parameter(negative="")] = False,
    days: int | None = None,
    until: Time | None = None,
    out: Path | None = None,
    output: Output = Output(),
) -> ExitCode:
    """Write what a coordinator looks at as HTML and Markdown: drives, bytes, copies, runs, run lists, and the week.

    Example: nualley report --week

    Parameters
    ----------
    week
        The seven days until then; so it is where nothing is said.
    days
        So many days instead.
    until
        Where these days end; now by default. Drives, copies and run lists are as of now.
    out
        The folder that the two files are written to; STORE/reports by default.
    """
    if week and days is not None:
        raise UsageError("--week and --days say the same thing twice", where="nualley report", do="leave one out")
    if days is not None and not 1 <= days <= 3660:
        raise UsageError(f"{days} days cannot be reported", where="--days", do="1 to 3660")
    from nualley.app.coordination import WEEK_DAYS, coordinate  # NumPy and pyarrow are heavy
    from nualley.app.selections import write_text
    from nualley.web.coordination import report_html, report_markdown  # the templates' library is heavy

    site = open_site(output.experiment)
    stop_ns = None if until is None else time_ns(until, site.clock.now_ns(), where="--until")
    found = coordinate(site, days or WEEK_DAYS, stop_ns=stop_ns)
    folder = out or site.configuration.store / "reports"
    name = f"report-{format_time(found.stop_ns)[:10]}"
    files = {".html": report_html(found), ".md": report_markdown(found)}
    make_folders(folder)
    for suffix, text in files.items():
        write_text(folder / f"{name}{suffix}", text)
    paths = [str(folder / f"{name}{suffix}") for suffix in files]
    if output.is_json:
        print_json({**found.to_json(), "files": paths})
    else:
        for path in paths:
            print_text(path)
    for part in (
        found.delivered,
        found.week,
        found.drives,
        found.unowned,
        found.copies,
        found.problems,
        found.run_lists,
    ):
        if part.trouble:
            print_note(f"a part is missing: {part.trouble}")
    return ExitCode.DONE
