"""``nualley drives forecast``: when drives will be full."""

from dataclasses import asdict, fields
from datetime import date
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from nualley.cli.options import Output
from nualley.cli.output import print_json, print_note, print_table
from nualley.core import NualleyError, UsageError, escape_name, format_size
from nualley.storage import FillForecast

_N_SHOWN = 3


def forecast(
    *drive: str,
    history: tuple[Path, ...] = (),
    horizon: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=3650))] = 365,
    output: Output = Output(),
) -> int:
    """Say when drives will be full: the first days by which the chance reaches 10 and 50 %.

    Example: nualley drives forecast

    Parameters
    ----------
    drive : str
        Names of drives in drives.toml; by default all.
    history : tuple of Path
        A CSV file with columns day, used_B, written_B, capacity_B, named after its drive, instead of what the worker
        noted; may be given several times. Needs no experiment.
    horizon : int
        How far ahead [d].
    """
    from nualley.app.forecast import forecast_drives, forecast_files  # numpy is heavy

    if history:
        if drive:
            raise UsageError("a history is named after its drive", where="DRIVE", do="leave out DRIVE, or --history")
        found, errors = forecast_files(history, horizon)
    else:
        from nualley.app.site import open_site

        found, errors = forecast_drives(open_site(output.experiment), drive, horizon)
    named = max(len(history), len(drive))
    if named == 1 and errors:
        raise next(iter(errors.values()))
    # of drives that were not asked for by name, nothing has to be known
    code = max((int(error.exit_code) for error in errors.values()), default=0) if named else 0
    if output.is_json:
        print_json([*map(_shown, found), *(_unknown(name, error) for name, error in errors.items())])
        return code
    columns = ("drive", "full 10 %", "full 50 %", "no deletes 10 %", "no deletes 50 %", "80 % held", "grows by")
    beyond = f"> {horizon} d"
    print_table(
        columns,
        [
            [
                forecast.drive,
                *(day or beyond for day in (forecast.full_10, forecast.full_50, forecast.gross_10, forecast.gross_50)),
                None if forecast.coverage80 is None else f"{forecast.coverage80:.0%}",
                _growth(forecast),
            ]
            for forecast in found
        ],
        right=(5,),
    )
    for name, error in errors.items():
        print_note(f"{escape_name(name)}: {error.what}; {error.do}")
    return code


def _growth(forecast: FillForecast) -> str:
    largest = [share for share in forecast.growth_by if share.B_per_day > 0][:_N_SHOWN]
    return ", ".join(
        f"{share.detector or '-'} {share.stage or 'unowned'} {format_size(round(share.B_per_day))}/d"
        for share in largest
    )


def _shown(forecast: FillForecast) -> dict[str, object]:
    values = {key: value.isoformat() if isinstance(value, date) else value for key, value in asdict(forecast).items()}
    return {**values, "error": None}


def _unknown(name: str, error: NualleyError) -> dict[str, object]:
    nothing: dict[str, object] = {field.name: None for field in fields(FillForecast)}
    return {**nothing, "drive": escape_name(name), "growth_by": [], "error": error.to_json()}
