"""Operators that say one thing of each bin: mean, extremes, spread, shape, median, value at the middle."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nualley.archive.operators.filling import bin_table, filled
from nualley.archive.operators.moments import Floats, Moments, moments_by_bin
from nualley.archive.operators.stretch import Stretch, numbers, severities, whole_bins
from nualley.core import SECOND_NS


def variance(found: Moments) -> Floats:
    """Return the sample variance: m2 / (n - 1); 0 of one number."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(found.n_numbers > 1, found.m2 / (found.n_numbers - 1), np.where(found.n_numbers, 0.0, np.nan))


def population_variance(found: Moments) -> Floats:
    """Return the variance of the samples as all there are: m2 / n."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return found.m2 / np.where(found.n_numbers, found.n_numbers, np.nan)


def deviation(found: Moments) -> Floats:
    """Return the standard deviation: the root of the sample variance."""
    return np.sqrt(variance(found))


def jitter(found: Moments) -> Floats:
    """Return the standard deviation as a part of the mean."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return deviation(found) / found.mean


def skewness(found: Moments) -> Floats:
    r"""Return the unbiased skewness; NaN of fewer than three numbers, 0 where all are the same.

    Notes
    -----
    :math:`\frac{n}{(n-1)(n-2)} \sum (x - \bar x)^3 / s^3`. Source: Apache Commons Math, class Skewness, with which the
    appliance calculates.
    """
    n = found.n_numbers.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        shape = n / ((n - 1) * (n - 2)) * found.m3 / deviation(found) ** 3
    return np.where(n < 3, np.nan, np.where(found.m2 == 0, 0.0, shape))


def kurtosis(found: Moments) -> Floats:
    r"""Return the unbiased excess kurtosis; NaN of fewer than four numbers, 0 where all are the same.

    Notes
    -----
    :math:`\frac{n(n+1)}{(n-1)(n-2)(n-3)} \sum (x - \bar x)^4 / s^4 - \frac{3(n-1)^2}{(n-2)(n-3)}`. Source: Apache
    Commons Math, class Kurtosis, with which the appliance calculates.
    """
    n = found.n_numbers.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = n * (n + 1) / ((n - 1) * (n - 2) * (n - 3))
        shape = scale * found.m4 / variance(found) ** 2 - 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))
    return np.where(n < 4, np.nan, np.where(found.m2 == 0, 0.0, shape))


STATISTICS: Mapping[str, Callable[[Moments], Floats]] = {
    "mean": lambda found: found.mean,
    "min": lambda found: found.min,
    "max": lambda found: found.max,
    "count": lambda found: found.n.astype(np.float64),
    "std": deviation,
    "jitter": jitter,
    "variance": variance,
    "popvariance": population_variance,
    "skewness": skewness,
    "kurtosis": kurtosis,
}
"""Operators that follow from the moments of a bin."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """One number for each bin, at its middle.

    Parameters
    ----------
    name : str
        One of `STATISTICS`, ``median`` or ``linear``.
    width_s : int
        Width of the bins [s].
    is_filled : bool
        Whether a bin without samples has the number of the one before (of ``count``: 0), or none.
    """

    name: str
    width_s: int
    is_filled: bool

    def run(self, samples: Iterable[pa.Table], stretch: Stretch) -> Iterator[pa.Table]:
        """Return the bins of a stretch; the sample from before it makes a bin of its own."""
        if self.name in STATISTICS:
            return self.of_moments(moments_by_bin(samples, self.width_s, stretch), stretch)
        return filled(self._of_all(samples, stretch), self.width_s, stretch, is_filled=self.is_filled)

    def of_moments(self, found: Iterable[Moments], stretch: Stretch) -> Iterator[pa.Table]:
        """Return the bins, given their moments."""
        statistic = STATISTICS[self.name]
        tables = (bin_table(part.number, pa.array(statistic(part)), part.severity) for part in found)
        zero = _zeros if self.name == "count" else None
        return filled(tables, self.width_s, stretch, is_filled=self.is_filled, empty=zero)

    def _of_all(self, samples: Iterable[pa.Table], stretch: Stretch) -> Iterator[pa.Table]:
        for piece in whole_bins(samples, self.width_s, stretch):
            number = stretch.bin_numbers(piece, self.width_s)
            first = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
            value, edges = numbers(piece), np.append(first, number.size)
            if self.name == "median":
                found = [_median(value[begin:end]) for begin, end in itertools.pairwise(edges)]
            else:
                time_ns = piece["time_ns"].to_numpy()
                found = [
                    _linear(time_ns[begin:end], value[begin:end], int(number[begin]) * self.width_s + self.width_s // 2)
                    for begin, end in itertools.pairwise(edges)
                ]
            severity = np.maximum.reduceat(severities(piece), first)
            yield bin_table(number[first], pa.array(found, pa.float64()), severity)


def _zeros(values: pa.Array, is_own: NDArray[np.bool_]) -> pa.Array:
    return pa.array(np.where(is_own, values.to_numpy(zero_copy_only=False), 0.0))


def _median(value: Floats) -> float:
    value = value[~np.isnan(value)]
    return float(np.median(value)) if value.size else np.nan


def _linear(time_ns: NDArray[np.int64], value: Floats, middle_s: int) -> float:
    # from the bin's own samples; where they are all on one side of its middle, the first of them, as the appliance does
    middle_ns = middle_s * SECOND_NS
    if not time_ns[0] <= middle_ns <= time_ns[-1]:
        return float(value[0])
    return float(np.interp(0.0, (time_ns - middle_ns).astype(np.float64), value))
