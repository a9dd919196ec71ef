"""When drives will be full: from CSV, or from what the worker noted and scanned."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from nualley.app.site import Site
from nualley.app.usage import usage_history
from nualley.core import DAY_NS, NualleyError, UsageError, escape_name, nearest, reason
from nualley.storage import FillForecast, FillHistory, GrowthShare, NoScan, ShortHistory
from nualley.storage.adapters.fill_files import FillFolder
from nualley.storage.fill_forecast import forecast_drive, growth_shares
from nualley.storage.fill_history import histories_of, read_history


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


def forecast_drives(
    site: Site, drive: str | None = None, horizon_days: int = 365
) -> tuple[list[FillForecast], list[str]]:
    """Forecast drives from what the worker noted of them.

    Parameters
    ----------
    site : Site
        The experiment.
    drive : str, optional
        Only this one; by default all.
    horizon_days : int
        How far ahead [d].

    Returns
    -------
    forecasts : list of FillForecast
        By drive; of several on one device only the first was noted.
    short : list of str
        What cannot be said yet of the others.

    Raises
    ------
    UsageError
        Where there is no drive of that name.
    ShortHistory
        Where nothing can be said of the one that was asked for, or of any.
    """
    names = list(site.configuration.storage.drives)
    if drive is not None and drive not in names:
        near = nearest(drive, names)
        raise UsageError(
            f"{drive!r} is no drive of this experiment",
            where="DRIVE",
            do=f"did you mean {near!r}?" if near else f"one of {', '.join(names)}",
        )
    histories = histories_of(FillFolder(site.fill_folder).days())
    wanted = [drive] if drive is not None else names
    found, short = [], []
    for name in wanted:
        try:
            found.append(_forecast_known(site, histories.get(name), name, horizon_days))
        except ShortHistory as error:
            if drive is not None:
                raise
            short.append(f"{name}: {error.what}")
    return found, short


def near_forecasts(site: Site, horizon_days: int) -> list[FillForecast]:
    """Forecast every drive of which something can be said, a short way and without score: for checks.

    Parameters
    ----------
    site : Site
        The experiment.
    horizon_days : int
        How far ahead [d].
    """
    found = []
    for history in histories_of(FillFolder(site.fill_folder).days()).values():
        with suppress(ShortHistory):
            found.append(forecast_drive(history, horizon_days, is_scored=False))
    return found


def _forecast_known(site: Site, history: FillHistory | None, name: str, horizon_days: int) -> FillForecast:
    if history is None:
        raise ShortHistory(
            "nobody watched it yet", where=name, do="nualley up worker notes every minute how full each drive is"
        )
    return replace(forecast_drive(history, horizon_days), growth_by=tuple(_growth(site, name)))


def _growth(site: Site, drive: str) -> Iterator[GrowthShare]:
    try:
        rows = usage_history(site, ("detector", "stage"), drive)
    except NoScan:
        return
    times_ns = np.array([row.scan_ns or 0 for row in rows], dtype=np.int64)
    owners = [(str(row.by["detector"] or ""), str(row.by["stage"] or "")) for row in rows]
    yield from growth_shares(times_ns / DAY_NS, owners, np.array([row.blocks_B for row in rows], dtype=np.float64))
