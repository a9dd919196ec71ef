"""When drives will be full."""

from collections.abc import Sequence
from pathlib import Path

from nualley.core import NualleyError, escape_name, reason
from nualley.storage import FillForecast
from nualley.storage.fill_forecast import forecast_drive
from nualley.storage.fill_history import read_history


def forecast_files(paths: Sequence[Path], horizon_days: int) -> list[FillForecast]:
    """Forecast drives whose histories are CSV files, each named after its drive.

    Parameters
    ----------
    paths : sequence of Path
        Files with the columns day, used_B, written_B and capacity_B.
    horizon_days : int
        How far ahead [d].

    Raises
    ------
    WrongHistory
        With file and line of what cannot be.
    ShortHistory
        Where one has too few days.
    NualleyError
        Where one cannot be read.
    """
    return [_forecast_file(path, horizon_days) for path in paths]


def _forecast_file(path: Path, horizon_days: int) -> FillForecast:
    where = escape_name(str(path))
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            history = read_history(lines, path.stem, where)
    except OSError as error:
        raise NualleyError(
            f"the history cannot be read: {reason(error)}", where=where, do="name a CSV file with --history"
        ) from error
    return forecast_drive(history, horizon_days)
