"""``nualley drives usage``, ``unowned`` and ``scans``: who takes what, what nobody owns, and what was scanned when."""

from typing import Annotated

from cyclopts import Parameter

from nualley.cli.options import Output, Whole
from nualley.cli.output import print_json, print_note, print_table, shown_time
from nualley.core import escape_name, format_size


def usage(
    *,
    by: str = "detector,stage,drive",
    drive: str | None = None,
    history: Annotated[bool, Parameter(negative="")] = False,
    output: Output = Output(),
) -> None:
    """Say who takes what on the drives, by the newest scans or over all of them.

    Example: nualley drives usage --by detector,stage,drive

    Parameters
    ----------
    by : str
        What is added up: detector, stage, drive, owner, run and month of the last change, with commas between.
    drive : str, optional
        Only this drive.
    history : bool
        Of each scan that ever was, instead of the newest ones.
    """
    from nualley.app.site import open_site  # folders are scanned without
    from nualley.app.usage import current_usage, not_scanned, parse_dimensions, usage_history  # NumPy, pyarrow

    names = parse_dimensions(by)
    if history and "drive" not in names:  # drives are scanned at moments of their own
        names = (*names, "drive")
    site = open_site(output.experiment)
    rows = (usage_history if history else current_usage)(site, names, drive)
    if output.is_json:
        print_json(
            [
                {
                    **({"scan_ns": row.scan_ns} if history else {}),
                    **row.by,
                    "n_files": row.n_files,
                    "size_B": row.size_B,
                    "blocks_B": row.blocks_B,
                }
                for row in rows
            ]
        )
        return
    head = (*(("scan",) if history else ()), *names, "files", "size", "on the device")
    print_table(
        head,
        [
            [
                *([shown_time(row.scan_ns)] if history else []),
                *(row.by[name] for name in names),
                *(row.n_files, format_size(row.size_B), format_size(row.blocks_B)),
            ]
            for row in rows
        ],
        right=range(len(head) - 3, len(head)),
    )
    for name in not_scanned(site) if drive is None else ():
        print_note(f"{name} was not scanned yet: nualley drives scan {name}")


def unowned(*, drive: str | None = None, limit: Whole = 20, output: Output = Output()) -> None:
    """Say what no rule of ownership matches: how many bytes, and the largest directories.

    Example: nualley drives unowned

    Parameters
    ----------
    drive : str, optional
        Only this drive.
    limit : int
        So many directories of each drive; 0 for all.
    """
    from nualley.app.site import open_site  # folders are scanned without
    from nualley.app.usage import unowned as find  # NumPy and pyarrow are heavy

    found = find(open_site(output.experiment), drive)
    if output.is_json:
        print_json(
            [
                {
                    "drive": of.drive,
                    "scan_ns": of.scan_ns,
                    "n_files": sum(directory.n_files for directory in of.directories),
                    "size_B": of.size_B,
                    "total_B": of.total_B,
                    "n_directories": len(of.directories),
                    "directories": [
                        {
                            "path": escape_name(directory.path),
                            "n_files": directory.n_files,
                            "size_B": directory.size_B,
                            "newest_ns": directory.newest_ns,
                        }
                        for directory in of.directories[: limit or None]
                    ],
                }
                for of in found
            ]
        )
        return
    print_table(
        ("drive", "directory", "files", "size", "last change"),
        [
            [
                *(of.drive, escape_name(directory.path) or ".", directory.n_files, format_size(directory.size_B)),
                shown_time(directory.newest_ns),
            ]
            for of in found
            for directory in of.directories[: limit or None]
        ],
        right=(2, 3),
    )
    for of in found:
        print_note(f"{of.drive}: {format_size(of.size_B)} of {format_size(of.total_B)} are nobody's")


def scans(*, drive: str | None = None, output: Output = Output()) -> None:
    """List the scans that are kept, and what quick looks between them saw and missed.

    Example: nualley drives scans

    Parameters
    ----------
    drive : str, optional
        Only this drive.
    """
    from nualley.app.site import open_site  # folders are scanned without
    from nualley.app.usage import list_scans  # NumPy and pyarrow are heavy

    found = list_scans(open_site(output.experiment), drive)
    names = ("drive", "start_ns", "stop_ns", "n_files", "n_dirs", "size_B", "blocks_B", "unreadable", "vanished")
    if output.is_json:
        print_json(
            [
                {
                    **{name: scan.told[name] for name in names},
                    "missed_B": scan.missed_B,
                    "quick_ns": scan.quick["time_ns"] if scan.quick else None,
                    "quick_size_B": scan.quick["size_B"] if scan.quick else None,
                }
                for scan in found
            ]
        )
        return
    print_table(
        ("drive", "begun", "files", "directories", "size", "unreadable", "vanished", "missed before", "now about"),
        [
            [
                *(scan.told["drive"], shown_time(scan.told["start_ns"]), scan.told["n_files"], scan.told["n_dirs"]),
                *(format_size(scan.told["size_B"]), scan.told["unreadable"], scan.told["vanished"]),
                None if scan.missed_B is None else format_size(scan.missed_B),
                format_size(scan.quick["size_B"]) if scan.quick else None,
            ]
            for scan in found
        ],
        right=(2, 3, 4, 5, 6, 7, 8),
    )
