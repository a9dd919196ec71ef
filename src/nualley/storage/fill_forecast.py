"""The forecast of a drive, and how earlier forecasts of it turned out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from nualley.storage.errors import ShortHistory
from nualley.storage.fill_history import gross_changes, net_changes
from nualley.storage.forecast import HORIZON_DAYS, LEAST_DAYS, QUANTILES, futures
from nualley.storage.models import FillForecast, FillHistory, GrowthShare

SCORED_DAYS = (3, 7, 14, 30)
"""So far ahead forecasts are compared with what then was [d]."""

_SCORE_PATHS = 200
_STEP_DAYS = 7
_MOST_ORIGINS = 26
_LEAST_PAST_DAYS = 28
_LEAST_SCORED = 8
_GROWTH_DAYS = 28
_GROWTH_LEAST_DAYS = 1.0


@dataclass(frozen=True, slots=True)
class Score:
    """How forecasts turned out.

    Parameters
    ----------
    days_ahead : int
        How far ahead they looked [d].
    n : int
        How many there were.
    coverage80 : float
        Which part of their 80 % intervals held what then was.
    pinball_B : float
        Mean pinball loss of the 10, 50 and 90 % quantiles [B]; smaller is better.
    """

    days_ahead: int
    n: int
    coverage80: float
    pinball_B: float


def pinball_loss_B(quantiles_B: tuple[float, float, float], truth_B: float) -> float:
    """Return the mean pinball loss of the 10, 50 and 90 % quantiles of a forecast [B].

    Parameters
    ----------
    quantiles_B : tuple of float
        What was said.
    truth_B : float
        What then was.

    Notes
    -----
    max(q e, (q - 1) e) with the error e = truth - quantile. Source: Koenker and Bassett, Regression quantiles,
    Econometrica 46 (1978) 33.

    Examples
    --------
    >>> pinball_loss_B((8.0, 10.0, 12.0), 10.0)
    0.13333333333333333
    """
    errors = [(chance, truth_B - said_B) for chance, said_B in zip(QUANTILES, quantiles_B, strict=True)]
    return sum(max(chance * error, (chance - 1) * error) for chance, error in errors) / len(errors)


def score_past(history: FillHistory, days_ahead: tuple[int, ...] = SCORED_DAYS) -> list[Score]:
    """Forecast from days of the past, with what was known then, and compare with what came.

    Parameters
    ----------
    history : FillHistory
        Of one drive.
    days_ahead : tuple of int
        How far ahead [d].

    Returns
    -------
    list of Score
        One for each distance that the history is long enough for.
    """
    used_B, changes_B = history.used_B, net_changes(history)
    inside: dict[int, list[bool]] = {days: [] for days in days_ahead}
    losses_B: dict[int, list[float]] = {days: [] for days in days_ahead}
    last = used_B.size - 1
    origins = range(last - min(days_ahead), _LEAST_PAST_DAYS - 1, -_STEP_DAYS)[:_MOST_ORIGINS]
    for origin in origins:
        seen = futures(float(used_B[origin]), changes_B[:origin], max(days_ahead), n_paths=_SCORE_PATHS)
        for days in (days for days in days_ahead if origin + days <= last):
            said_B, truth_B = seen.interval(days), float(used_B[origin + days])
            inside[days].append(said_B[0] <= truth_B <= said_B[2])
            losses_B[days].append(pinball_loss_B(said_B, truth_B))
    return [
        Score(days, len(inside[days]), float(np.mean(inside[days])), float(np.mean(losses_B[days])))
        for days in days_ahead
        if inside[days]
    ]


def overall(scores: list[Score]) -> tuple[float, float] | None:
    """Return coverage and pinball loss [B] of all forecasts that were scored; None where there are too few."""
    n = sum(score.n for score in scores)
    if n < _LEAST_SCORED:
        return None
    return sum(score.n * score.coverage80 for score in scores) / n, sum(
        score.n * score.pinball_B for score in scores
    ) / n


def forecast_drive(history: FillHistory, horizon_days: int = HORIZON_DAYS, *, is_scored: bool = True) -> FillForecast:
    """Say when a drive will be full.

    Parameters
    ----------
    history : FillHistory
        How full it was; the forecast begins behind its last day.
    horizon_days : int
        How far ahead [d].
    is_scored : bool
        Whether forecasts from days of the past are made too, and compared with what came: ten times the work.

    Raises
    ------
    ShortHistory
        Where there are too few days.
    """
    try:
        full_10, full_50 = _dates(history, net_changes(history), horizon_days)
    except ShortHistory as error:
        raise ShortHistory(error.what, where=history.drive, do=error.do) from None
    gross_10, gross_50 = _dates(history, gross_changes(history), horizon_days)
    has_past = is_scored and history.used_B.size > _LEAST_PAST_DAYS + LEAST_DAYS
    score = overall(score_past(history)) if has_past else None
    coverage80, pinball_B = score or (None, None)
    return FillForecast(history.drive, full_10, full_50, gross_10, gross_50, coverage80, pinball_B)


def growth_shares(
    days: NDArray[np.float64], owners: Sequence[tuple[str | None, str | None]], size_B: NDArray[np.float64]
) -> list[GrowthShare]:
    """Say who lets a drive grow, from its scans.

    Parameters
    ----------
    days : ndarray of float64, shape (n,)
        When each scan was [d since 1970 UTC].
    owners : sequence of tuple of str or None
        Detector and stage of each row, None where no rule says it; what a scan does not name takes nothing then.
    size_B : ndarray of float64, shape (n,)
        Bytes on the device [B].

    Returns
    -------
    list of GrowthShare
        Over the last four weeks, from the newest scan before them on, the largest first; none where scans span
        less than a day: of minutes, bytes a day cannot be told.
    """
    scans = np.unique(days)
    before = scans[scans <= scans[-1] - _GROWTH_DAYS] if scans.size else scans
    first = before[-1] if before.size else (scans[0] if scans.size else 0.0)
    if scans.size < 2 or scans[-1] - first < _GROWTH_LEAST_DAYS:
        return []
    change_B: dict[tuple[str | None, str | None], float] = {}
    for day, owner, size in zip(days.tolist(), owners, size_B.tolist(), strict=True):
        sign = int(day == scans[-1]) - int(day == first)
        change_B[owner] = change_B.get(owner, 0.0) + sign * size
    shares = [GrowthShare(*owner, change / float(scans[-1] - first)) for owner, change in change_B.items()]
    return sorted(shares, key=lambda share: (-share.B_per_day, share.detector or "", share.stage or ""))


def _dates(history: FillHistory, changes_B: NDArray[np.float64], horizon_days: int) -> tuple[date | None, date | None]:
    used_B, capacity_B = float(history.used_B[-1]), history.capacity_B
    today = history.first_day + timedelta(days=history.used_B.size - 1)
    ahead = futures(used_B, changes_B, horizon_days)
    if used_B >= capacity_B:
        return today, today
    early = ahead.first_day(capacity_B, 0.1, is_earliest=True)
    middle = ahead.first_day(capacity_B, 0.5, is_earliest=False)
    return _after(today, early), _after(today, middle)


def _after(today: date, days: int | None) -> date | None:
    return None if days is None else today + timedelta(days=days)
