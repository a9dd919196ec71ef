"""When drives will be full: from CSV, or from what the worker noted and scanned."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np

from nualley.app.site import Site
from nualley.app.usage import usage_history
from nualley.core import DAY_NS, NualleyError, UsageError, escape_name, reason
from nualley.storage import FillForecast, FillHistory, GrowthShare, NoScan, ShortHistory, UnknownDrive
from nualley.storage.adapters.fill_files import FillFolder
from nualley.storage.fill_forecast import forecast_drive, growth_shares
from nualley.storage.fill_history import histories_of, read_history


def forecast_files(paths: Sequence[Path], horizon_days: int) -> tuple[list[FillForecast], dict[str, NualleyError]]:
    """Forecast drives whose histories are CSV files, each named after its drive.

    Parameters
    ----------
    paths : sequence of Path
        Files with the columns day, used_B, written_B and capacity_B.
    horizon_days : int
        How far ahead [d].

    Returns
    -------
    forecasts : list of FillForecast
        By file.
    errors : dict of str to NualleyError
        Why nothing can be said of the others, by drive: too few days, a file that cannot be read or cannot be.

    Raises
    ------
    UsageError
        Where two files are named after one drive.
    """
    stems = [path.stem for path in paths]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice is not None:
        raise UsageError(
            f"two histories are those of drive {escape_name(twice)}", where="--history", do="name each after its drive"
        )
    return _each({path.stem: partial(_forecast_file, path, horizon_days) for path in paths})


def _each(wanted: Mapping[str, Callable[[], FillForecast]]) -> tuple[list[FillForecast], dict[str, NualleyError]]:
    found, errors = [], dict[str, NualleyError]()
    for name, forecast in wanted.items():
        try:
            found.append(forecast())
        except NualleyError as error:  # of one drive: what can be said of the others is said
            errors[name] = error
    return found, errors


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
    site: Site, drives: Sequence[str] = (), horizon_days: int = 365
) -> tuple[list[FillForecast], dict[str, NualleyError]]:
    """Forecast drives from what the worker noted of them.

    Parameters
    ----------
    site : Site
        The experiment.
    drives : sequence of str, optional
        Only these; by default all.
    horizon_days : int
        How far ahead [d].

    Returns
    -------
    forecasts : list of FillForecast
        By drive.
    errors : dict of str to NualleyError
        Why nothing can be said yet of the others, by drive; of several on one device only the first is watched.

    Raises
    ------
    UsageError
        Where there is no drive of a name.
    """
    names = list(site.configuration.storage.drives)
    for drive in drives:
        if drive not in names:
            raise UnknownDrive.named(drive, names, where="DRIVE")
    histories = histories_of(FillFolder(site.fill_folder).days())
    wanted = list(dict.fromkeys(drives or names))
    missed = [name for name in wanted if name not in histories]
    shared = {usage.drive.name: usage.shares_with for usage in (site.drive_usages() if missed else ())}
    return _each(
        {
            name: partial(_not_watched, name, [other for other in shared[name] if other in histories])
            if name in missed
            else partial(_forecast_known, site, histories[name], name, horizon_days)
            for name in wanted
        }
    )


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


def _forecast_known(site: Site, history: FillHistory, name: str, horizon_days: int) -> FillForecast:
    return replace(forecast_drive(history, horizon_days), growth_by=tuple(_growth(site, name)))


def _not_watched(name: str, watched: Sequence[str]) -> NoReturn:
    if watched:  # what lies on one device counts once
        raise ShortHistory(f"on one device with {watched[0]}", where=name, do=f"nualley drives forecast {watched[0]}")
    raise ShortHistory(
        "nobody watched it yet", where=name, do="nualley up worker notes every minute how full each drive is"
    )


def _growth(site: Site, drive: str) -> Iterator[GrowthShare]:
    try:
        rows = usage_history(site, ("detector", "stage"), drive)
    except NoScan:
        return
    times_ns = np.array([row.scan_ns or 0 for row in rows], dtype=np.int64)
    owners = [(_text(row.by["detector"]), _text(row.by["stage"])) for row in rows]
    yield from growth_shares(times_ns / DAY_NS, owners, np.array([row.blocks_B for row in rows], dtype=np.float64))


def _text(found: str | int | None) -> str | None:
    return None if found is None else str(found)
