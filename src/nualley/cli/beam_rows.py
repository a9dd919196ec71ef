"""``nualley beam rows``: the rows of minutes and hours that answer questions over years."""

from typing import Annotated

from cyclopts import Parameter

from nualley.app.site import open_site
from nualley.cli.options import Output
from nualley.cli.output import print_json, print_note, print_table, shown_time
from nualley.cli.progress import row_progress
from nualley.core import ExitCode, UsageError, format_size


def rows(
    *,
    rebuild: Annotated[bool, Parameter(negative="")] = False,
    verify: Annotated[bool, Parameter(negative="")] = False,
    output: Output = Output(),
) -> int:
    """Bring the rows of the beam up to date, make all anew, or compare them with the samples.

    The worker does the first about once a minute. What is made stays where it is stopped, and the next time goes on.
    Columns: "days" (UTC) with samples in hours that are over and sealed, those "that count" since their rows are of the
    samples as they are, "made" now, "without" rows because samples are gone or damaged, "differing" from the samples.

    Example: nualley beam rows --verify

    Parameters
    ----------
    rebuild : bool
        Make all rows anew, as far as samples are left.
    verify : bool
        Change nothing; read all rows and compare them with the samples: damage or a difference is named, exit 5.
    """
    from nualley.app.row_care import look_after_rows  # NumPy and pyarrow are heavy

    if rebuild and verify:
        raise UsageError("--rebuild and --verify exclude each other", where="--verify", do="give one of them")
    task = "rebuild" if rebuild else "verify" if verify else "update"
    site = open_site(output.experiment)
    with row_progress(is_shown=not output.is_json) as progress:
        report = look_after_rows(site, task, progress)
    if output.is_json:
        print_json(report.to_json())
    else:
        print_table(
            ("rows", "days", "that count", "made", "without", "differing", "from (UTC)", "to (UTC)", "size"),
            [
                [
                    found.series.name,
                    *(found.n_days, found.n_current, found.n_made, found.n_without, found.n_differing),
                    shown_time(found.start_ns),
                    shown_time(found.stop_ns),
                    format_size(found.size_B),
                ]
                for found in report.series
            ],
            right=(1, 2, 3, 4, 5, 8),
        )
        for damage in report.damages:
            print_note(f"a file of rows is damaged and not used: {damage}")
        if not any(found.n_current or found.n_without or found.n_differing for found in report.series):
            print_note("nothing to compare yet: no UTC hour is over and sealed")
        if any(found.n_without for found in report.series):
            print_note("of days without rows, samples are missing or were kept for a while only; what is left is read")
    is_right = report.is_intact if verify else not any(found.n_differing for found in report.series)
    return ExitCode.DONE if is_right else ExitCode.NOT_INTACT
