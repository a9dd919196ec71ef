"""``nualley drives``: how full they are, and when they will be."""

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter, validators

from nualley.app.site import open_site
from nualley.cli.options import Output
from nualley.cli.output import print_json, print_table
from nualley.core import UsageError, format_size
from nualley.storage import DriveUsage, FillForecast

app = App(name="drives", help="Drives: how full they are, and when they will be.")


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


@app.command
def forecast(
    *,
    history: tuple[Path, ...] = (),
    horizon: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=3650))] = 365,
    output: Output = Output(),
) -> None:
    """Say when drives will be full: the first days by which the chance reaches 10 and 50 %.

    Example: nualley drives forecast --history data3.csv

    Parameters
    ----------
    history : tuple of Path
        A CSV file with columns day, used_B, written_B, capacity_B, named after its drive; may be given several times.
        Needs no experiment.
    horizon : int
        How far ahead [d].
    """
    from nualley.app.forecast import forecast_files  # numpy is heavy

    if not history:
        raise UsageError(
            "no history is given", where="--history", do="write one line a day: day,used_B,written_B,capacity_B"
        )
    found = forecast_files(history, horizon)
    if output.is_json:
        print_json([_shown(drive) for drive in found])
        return
    columns = ("drive", "full 10 %", "full 50 %", "no deletes 10 %", "no deletes 50 %", "80 % held")
    beyond = f"> {horizon} d"
    print_table(
        columns,
        [
            [
                drive.drive,
                *(day or beyond for day in (drive.full_10, drive.full_50, drive.gross_10, drive.gross_50)),
                None if drive.coverage80 is None else f"{drive.coverage80:.0%}",
            ]
            for drive in found
        ],
        right=(5,),
    )


def _shown(forecast: FillForecast) -> dict[str, object]:
    return {key: value.isoformat() if isinstance(value, date) else value for key, value in asdict(forecast).items()}
