"""When a drive will be full: chances, from what it did so far and not from a straight line."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nualley.storage.errors import ShortHistory


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the past that the future is drawn from.

    Parameters
    ----------
    days : int
        How many of the last days [d].
    mean_block : float
        Mean length of a block [d].
    """

    days: int
    mean_block: float


WINDOWS = (Window(180, 21.0), Window(28, 7.0))
""""As lately" means both: half a year with its campaigns and shutdowns, and the last four weeks."""

HORIZON_DAYS = 365
N_PATHS = 500
LEAST_DAYS = 4
"""Days of changes without which nothing can be said."""

QUANTILES = (0.1, 0.5, 0.9)
_CONTEXT_DAYS = 2
_LIKE_NOW = 0.2
_EACH = (0.12, 0.88)  # of each window: between the lowest and the highest of two lies more than in either
_MEAN_SPREAD = 1.4  # blocks are long, and few: means of draws lie closer together than those of other years would


@dataclass(frozen=True, slots=True, eq=False)
class Futures:
    """What may become of a drive: for each window of the past a set of equally likely paths.

    Parameters
    ----------
    used_B : tuple of ndarray of float64, shape (n_path, n_day)
        Bytes in use at the end of each coming day, one array a window.
    """

    used_B: tuple[NDArray[np.float64], ...]

    def interval(self, day: int) -> tuple[float, float, float]:
        """Return the 10, 50 and 90 % quantiles of a day [B]: an envelope of the windows, and the middle of them all.

        Parameters
        ----------
        day : int
            1 is the first day after the history.
        """
        found = np.array([np.quantile(paths[:, day - 1], _EACH) for paths in self.used_B])
        middle = np.quantile(np.concatenate([paths[:, day - 1] for paths in self.used_B]), 0.5)
        return float(found[:, 0].min()), float(middle), float(found[:, 1].max())

    def first_day(self, capacity_B: float, chance: float, *, is_earliest: bool) -> int | None:
        """Return the first day by which the chance of having been full reaches a value; None beyond the horizon.

        Parameters
        ----------
        capacity_B : float
            Full is from here on [B].
        chance : float
            Between 0 and 1.
        is_earliest : bool
            Whether the window that says so first counts, or all of them together.
        """
        full = [np.maximum.accumulate(paths, axis=1) >= capacity_B for paths in self.used_B]
        sets = full if is_earliest else [np.concatenate(full)]
        days = [int(np.argmax(reached)) + 1 for part in sets if (reached := part.mean(axis=0) >= chance).any()]
        return min(days, default=None)


def stationary_bootstrap(
    values: NDArray[np.float64],
    shape: tuple[int, int],
    mean_block: float,
    generator: np.random.Generator,
    *,
    first: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Draw series that look like a series: blocks of random length, one behind the other.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        What was seen, in its order; n >= 1.
    shape : tuple of int
        How many series, and how long.
    mean_block : float
        Mean length of a block, >= 1.
    generator : numpy.random.Generator
        Where chance comes from.
    first : ndarray of int64, optional
        Where the first block of a series may begin; anywhere by default.

    Returns
    -------
    ndarray of float64
        Of that shape; each row is stationary given the values, but for its first block.

    Notes
    -----
    A block begins anywhere, its length is geometric with mean ``mean_block``, behind the last value comes the first.
    Source: Politis and Romano, The stationary bootstrap, J. Am. Stat. Assoc. 89 (1994) 1303.
    """
    n_values, steps = values.size, np.arange(shape[1])
    is_begin = generator.random(shape) < 1 / mean_block
    is_begin[:, 0] = True
    last_begin = np.maximum.accumulate(np.where(is_begin, steps, 0), axis=1)
    starts = generator.integers(0, n_values, shape)
    if first is not None:
        starts[:, 0] = generator.choice(first, shape[0])
    drawn = np.take_along_axis(starts, last_begin, axis=1) + steps - last_begin
    return np.asarray(values[drawn % n_values])


def days_like_now(changes_B: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """Return the days behind those that were most like the last ones, by rank; None where there are too few.

    Parameters
    ----------
    changes_B : ndarray of float64, shape (n,)
        Change of each day, the newest last [B].
    """
    means = np.convolve(changes_B, np.full(_CONTEXT_DAYS, 1 / _CONTEXT_DAYS), "valid")
    if means.size < 2 * _CONTEXT_DAYS:
        return None
    rank = np.argsort(np.argsort(means, kind="stable"), kind="stable")
    distance = np.abs(rank - rank[-1])[:-1]
    n_days = max(2 * _CONTEXT_DAYS - 1, round(_LIKE_NOW * distance.size))
    return np.argsort(distance, kind="stable")[:n_days] + _CONTEXT_DAYS


def futures(
    used_B: float, changes_B: NDArray[np.float64], n_days: int, *, n_paths: int = N_PATHS, seed: int = 0
) -> Futures:
    """Return what may become of a drive, from its daily changes so far.

    Parameters
    ----------
    used_B : float
        In use now [B].
    changes_B : ndarray of float64, shape (n,)
        Change of each day, the newest last [B].
    n_days : int
        How far ahead [d].
    n_paths : int
        Paths for each window.
    seed : int
        The same seed gives the same answer.

    Raises
    ------
    ShortHistory
        Where there are too few days.

    Notes
    -----
    The first block of each path begins behind days that were like the last ones: a week ahead that tells more than all
    else. The mean of what was seen is itself uncertain: each path has a mean of its own, that of another draw from the
    window. Without it, intervals a month ahead are too narrow (`benchmarks/forecast.py`).
    """
    if changes_B.size < LEAST_DAYS:
        raise ShortHistory(
            f"there are {changes_B.size} days of changes, a forecast needs {LEAST_DAYS}",
            do="wait, or give a longer history",
        )
    generator = np.random.default_rng(seed)
    return Futures(tuple(_paths(used_B, changes_B, (n_paths, n_days), window, generator) for window in WINDOWS))


def _paths(
    used_B: float,
    changes_B: NDArray[np.float64],
    shape: tuple[int, int],
    window: Window,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    seen = changes_B[-window.days :]
    mean_block = max(1.0, min(window.mean_block, seen.size / 3))
    drawn = stationary_bootstrap(seen, shape, mean_block, generator, first=days_like_now(seen))
    means = stationary_bootstrap(seen, (shape[0], seen.size), mean_block, generator).mean(axis=1)
    return np.asarray(used_B + np.cumsum(drawn + _MEAN_SPREAD * (means - seen.mean())[:, None], axis=1))
