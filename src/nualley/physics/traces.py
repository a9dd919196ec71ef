"""The average of many traces: mean, spread, and which were left out because the beam tripped."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nualley.core import UsageError

VETO_FRACTION = 0.5
"""A trace with less than this part of the median integral is a trip."""

_BLOCK_TRACES = 32
"""So many traces are worked on at once: 2000 samples of each stay in a processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class TraceAverage:
    """An average of traces.

    Parameters
    ----------
    mean : ndarray of float64, shape (n_sample,)
        Mean of each sample; empty where no trace was used.
    rms : ndarray of float64, shape (n_sample,)
        Root mean square deviation from ``mean``, over traces; same unit.
    n : int
        Traces that were averaged.
    n_vetoed : int
        Traces that were left out.
    """

    mean: NDArray[np.float64]
    rms: NDArray[np.float64]
    n: int
    n_vetoed: int


class TraceAverager:
    """Mean and spread of traces that come in blocks, without keeping them.

    Parameters
    ----------
    n_samples : int
        Length of every trace.

    Notes
    -----
    Blocks are joined by the pairwise update of Chan, Golub and LeVeque, The American Statistician 37 (1983) 242,
    equation 2.1: no cancellation between large sums.
    """

    def __init__(self, n_samples: int) -> None:
        self.n = 0
        self.n_vetoed = 0
        self._mean = np.zeros(n_samples)
        self._squares = np.zeros(n_samples)

    def add(self, traces: NDArray[np.generic]) -> None:
        """Take in traces, numbers of any kind, shape (n_trace, n_sample)."""
        for start in range(0, len(traces), _BLOCK_TRACES):
            block = np.array(traces[start : start + _BLOCK_TRACES], dtype=np.float64)
            mean = block.mean(axis=0)
            block -= mean
            self.join(len(block), mean, np.einsum("ij,ij->j", block, block))

    def join(self, n: int, mean: NDArray[np.float64], squares: NDArray[np.float64]) -> None:
        """Take in traces that were averaged elsewhere.

        Parameters
        ----------
        n : int
            How many, >= 1.
        mean, squares : ndarray of float64, shape (n_sample,)
            Their mean, and the sum of the squares of their deviations from it.
        """
        n_all = self.n + n
        shift = mean - self._mean
        self._squares += squares + shift * shift * (self.n * n / n_all)
        self._mean += shift * (n / n_all)
        self.n = n_all

    @property
    def sums(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and sum of squared deviations so far, each of shape (n_sample,): what `join` takes."""
        return self._mean, self._squares

    def veto(self, n_traces: int) -> None:
        """Count traces that were left out."""
        self.n_vetoed += n_traces

    def average(self) -> TraceAverage:
        """Return the average so far."""
        if not self.n:
            return TraceAverage(np.empty(0), np.empty(0), 0, self.n_vetoed)
        return TraceAverage(self._mean.copy(), np.sqrt(self._squares / self.n), self.n, self.n_vetoed)


def is_trip(integral: NDArray[np.float64], median: float, veto_fraction: float = VETO_FRACTION) -> NDArray[np.bool_]:
    """Say which traces were taken while the beam was tripped or recovering.

    Parameters
    ----------
    integral : ndarray of float64, shape (n_trace,)
        Sum over each trace; either polarity. NaN is a trip.
    median : float
        Median of the integrals of the run.
    veto_fraction : float
        Part of the median below which a trace is a trip, 0 to 1.

    Returns
    -------
    ndarray of bool, shape (n_trace,)
        Whether it is to be left out.

    Raises
    ------
    UsageError
        Where the fraction is not between 0 and 1.
    """
    if not 0 <= veto_fraction <= 1:
        raise UsageError(f"a veto below {veto_fraction:g} of the median makes no sense, expected 0 to 1")
    sign = -1.0 if median < 0 else 1.0
    return ~(sign * integral >= veto_fraction * sign * median)


def average_traces(traces: NDArray[np.float64], veto_fraction: float = VETO_FRACTION) -> TraceAverage:
    """Average traces that fit into memory, without trips.

    Parameters
    ----------
    traces : ndarray of float64, shape (n_trace, n_sample)
        The traces; one that holds NaN is left out.
    veto_fraction : float
        Part of the median integral below which a trace is a trip, 0 to 1.

    Returns
    -------
    TraceAverage
        Mean, spread and counts.

    Raises
    ------
    UsageError
        Where the fraction is not between 0 and 1.

    Examples
    --------
    >>> average_traces(np.array([[1.0, 3.0], [3.0, 3.0], [0.0, 0.1]])).mean
    array([2., 3.])
    """
    integral = traces.sum(axis=1, dtype=np.float64)
    is_finite = np.isfinite(integral)
    averager = TraceAverager(traces.shape[1])
    if is_finite.any():
        is_vetoed = is_trip(integral, float(np.median(integral[is_finite])), veto_fraction) | ~is_finite
        averager.add(traces[~is_vetoed])
    averager.veto(len(traces) - averager.n)
    return averager.average()
