"""``nualley drives``: how full they are, and what is on them."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from nualley.cli import drives_care, drives_forecast, drives_reclaim, drives_usage
from nualley.cli.options import Output
from nualley.cli.output import print_error, print_json, print_note, print_table
from nualley.core import ExitCode, NualleyError, UsageError, escape_name, format_size
from nualley.storage import DriveUsage, QuickReport, Scan

if TYPE_CHECKING:
    from nualley.app.scanning import ScanJob

app = App(name="drives", help="Drives: how full they are, when they will be, and what is on them.")
app.command(drives_usage.usage)
app.command(drives_usage.unowned)
app.command(drives_usage.scans)
app.command(drives_forecast.forecast)
app.command(drives_care.consistency)
app.command(drives_care.scrub)
app.command(drives_reclaim.reclaim)
app.command(drives_reclaim.trash)
app.command(drives_reclaim.untrash)
app.command(drives_reclaim.empty_trash)
app.command(drives_reclaim.purges)

_N_REFUSED_SHOWN = 5


@app.command(name="list")
def list_(*, output: Output = Output()) -> None:
    """List the drives of drives.toml and how full they are.

    Example: nualley drives list
    """
    from nualley.app.site import open_site  # folders are scanned without

    site = open_site(output.experiment)
    usages = site.drive_usages()
    if output.is_json:
        print_json(
            [
                {
                    "drive": usage.drive.name,
                    "path": str(usage.drive.path),
                    "role": usage.drive.role,
                    "capacity_B": usage.capacity_B,
                    "used_B": usage.used_B,
                    "available_B": usage.available_B,
                    "fill_fraction": usage.fill_fraction,
                    "limit_fraction": usage.drive.limit_fraction,
                    "is_writable": usage.is_writable,
                    "shares_with": usage.shares_with,
                    "error": usage.error or None,
                }
                for usage in usages
            ]
        )
        return
    print_table(
        ("drive", "role", "capacity", "free", "fill", "limit", "state"),
        [
            [
                usage.drive.name,
                usage.drive.role,
                *(_figures(usage) if usage.capacity_B else (None, None, None)),
                f"{usage.drive.limit_fraction:.0%}",
                usage.error or _state(usage),
            ]
            for usage in usages
        ],
        right=(2, 3, 4, 5),
    )
    remotes = site.configuration.storage.remotes
    if remotes:
        print_note(f"remotes: {', '.join(remotes)}; how they are: nualley drives remotes")


@app.command
def remotes(*, output: Output = Output()) -> int:
    """List the remotes of drives.toml, ask whether each answers, and say what the catalog knows on them.

    Example: nualley drives remotes
    """
    from nualley.app.remotes import remote_states  # the catalog is heavy
    from nualley.app.site import open_site

    states = remote_states(open_site(output.experiment))
    if output.is_json:
        print_json([state.to_json() for state in states])
    else:
        rows = [
            [
                state.remote.name,
                state.remote.address,
                state.n_files,
                format_size(state.size_B),
                state.n_verified,
                None if state.available_B is None else format_size(state.available_B),
                state.error or "answers",
            ]
            for state in states
        ]
        print_table(("remote", "address", "files", "size", "verified", "free", "state"), rows, right=(2, 3, 4, 5))
        if not states:
            print_note("drives.toml names none: [remotes.NAME]")
    return ExitCode.UNREACHABLE if any(state.error for state in states) else ExitCode.DONE


def _figures(usage: DriveUsage) -> tuple[str, str, str]:
    return format_size(usage.capacity_B), format_size(usage.available_B), f"{usage.fill_fraction:.1%}"


def _state(usage: DriveUsage) -> str:
    state = "writable" if usage.is_writable else "read-only"
    return f"{state}, one file system with {' '.join(usage.shares_with)}" if usage.shares_with else state


@app.command
def scan(
    drive: str | None = None, /, *, path: Path | None = None, out: Path | None = None, output: Output = Output()
) -> int:
    """Look at every file of a drive, of all drives, or of a folder, and keep what was found as Parquet.

    Example: nualley drives scan data1

    Parameters
    ----------
    drive : str, optional
        Name of a drive in drives.toml; by default all that are there, one process for each device.
    path : Path, optional
        A folder instead: needs no experiment, and is registered nowhere.
    out : Path, optional
        With --path: where the rows are kept; by default they are not.
    """
    if drive is not None and path is not None:
        raise UsageError(f"{drive} and --path {path} are two places", where="DRIVE, --path", do="name one of them")
    if out is not None and path is None:
        raise UsageError("--out goes with --path: scans of drives lie in the store", where="--out", do="leave it out")
    with tempfile.TemporaryDirectory(prefix="nualley-scan-") as temporary:
        groups = _path_jobs(path, out or Path(temporary) / "scan.parquet") if path else _drive_jobs(drive, output)
        found, errors = _run(groups)
    scans = [of for of in found if isinstance(of, Scan)]
    is_one = drive is not None or path is not None
    if is_one and errors:
        raise errors[0]
    _print_scans(scans, is_one=is_one, is_json=output.is_json)
    for error in errors:
        print_error(error, is_json=False)
    return max((int(error.exit_code) for error in errors), default=0)


def _path_jobs(path: Path, file: Path) -> "list[list[ScanJob]]":
    from nualley.app.scanning import ScanJob

    root = path.expanduser().absolute()
    return [[ScanJob(escape_name(str(root)), str(root), str(file.expanduser().absolute()))]]


def _drive_jobs(drive: str | None, output: Output) -> "list[list[ScanJob]]":
    from nualley.app.scanning import drives_to_scan, scan_jobs
    from nualley.app.site import open_site  # folders are scanned without

    site = open_site(output.experiment)
    usages = drives_to_scan(site, drive)
    if drive is None:
        drives_care.print_away(site, "scanned")
    return scan_jobs(site, usages)


def _run(groups: "Sequence[Sequence[ScanJob]]") -> tuple[list[Scan | QuickReport], list[NualleyError]]:
    from nualley.app.scanning import run_scans
    from nualley.app.stopping import run_coroutine
    from nualley.cli.progress import count_progress

    with count_progress() as report:
        return run_coroutine(run_scans(groups, report))


def _print_scans(scans: Sequence[Scan], *, is_one: bool, is_json: bool) -> None:
    if is_json:
        answers = [_scan_json(found) for found in scans]
        print_json(answers[0] if is_one else answers)
    else:
        print_table(
            ("drive", "files", "directories", "size", "on the device", "unreadable", "vanished", "wall s"),
            [
                [
                    *(found.drive, found.n_files, found.n_dirs, format_size(found.size_B), format_size(found.blocks_B)),
                    *(found.unreadable, found.vanished, f"{found.wall_s:.1f}"),
                ]
                for found in scans
            ],
            right=(1, 2, 3, 4, 5, 6, 7),
        )
    for found in scans:
        for directory, why in found.refused[:_N_REFUSED_SHOWN]:
            print_note(f"{found.drive}: {directory or '.'} was not read whole: {why}")
        if found.unreadable > _N_REFUSED_SHOWN:
            print_note(f"{found.drive}: {found.unreadable} directories in all were not read whole")


def _scan_json(found: Scan) -> dict[str, object]:
    names = ("drive", "n_files", "n_dirs", "size_B", "blocks_B", "unreadable", "vanished", "cpu_s", "wall_s")
    return {name: getattr(found, name) for name in names}
