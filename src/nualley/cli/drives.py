"""``nualley drives``: how full they are."""

from cyclopts import App

from nualley.app.site import open_site
from nualley.cli.options import Output
from nualley.cli.output import print_json, print_table
from nualley.core import format_size
from nualley.storage import DriveUsage

app = App(name="drives", help="Drives and how full they are.")


@app.command(name="list")
def list_(*, output: Output = Output()) -> None:
    """List the drives of drives.toml and how full they are.

    Example: nualley drives list
    """
    usages = open_site(output.experiment).drive_usages()
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
                format_size(usage.capacity_B),
                format_size(usage.available_B),
                f"{usage.fill_fraction:.1%}",
                f"{usage.drive.limit_fraction:.0%}",
                usage.error or _state(usage),
            ]
            for usage in usages
        ],
        right=(2, 3, 4, 5),
    )


def _state(usage: DriveUsage) -> str:
    state = "writable" if usage.is_writable else "read-only"
    return f"{state}, one file system with {' '.join(usage.shares_with)}" if usage.shares_with else state
