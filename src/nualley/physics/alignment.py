"""The rising edge of a trace, and traces put on one another by it: jitter of the trigger does not smear the average."""

import numpy as np
from numpy.typing import NDArray

_BASELINE_PART = 20
"""One part in so many of a trace, at its begin, is taken for its baseline."""


def rising_edges(traces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find where each trace first reaches half of its height.

    Parameters
    ----------
    traces : ndarray of float64, shape (n_trace, n_sample)
        The traces; either polarity. What precedes the pulse fills at least the first twentieth.

    Returns
    -------
    ndarray of float64, shape (n_trace,)
        Position in samples, between two of them by linear interpolation; NaN where a trace is flat, not finite, or
        begins above half of its height.

    Notes
    -----
    The height is that of the sample farthest from the mean of the first twentieth of the trace. Source: the
    leading-edge form of constant-fraction timing at one half, which does not move with the pulse's height.

    Examples
    --------
    >>> rising_edges(np.array([[0.0, 0.0, 1.0, 4.0, 4.0, 0.0]]))
    array([2.33333333])
    """
    n_traces, n_samples = traces.shape
    found = np.full(n_traces, np.nan)
    if n_samples < 2:  # an edge lies between two samples
        return found
    rows = np.arange(n_traces)
    with np.errstate(divide="ignore", invalid="ignore"):  # of what is not finite or flat: it has no edge
        height = traces - traces[:, : max(n_samples // _BASELINE_PART, 1)].mean(axis=1, keepdims=True)
        peak = height[rows, np.abs(height).argmax(axis=1)]
        # in units of the peak, a pulse of either polarity rises
        height /= peak[:, None]
    behind = (height >= 0.5).argmax(axis=1)
    is_found = np.isfinite(peak) & (peak != 0) & (behind > 0)
    rows, behind = rows[is_found], behind[is_found]
    low, high = height[rows, behind - 1], height[rows, behind]
    found[is_found] = behind - 1 + (0.5 - low) / (high - low)
    return found


def shifted(traces: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move traces to earlier samples, by whole samples.

    Parameters
    ----------
    traces : ndarray of float64, shape (n_trace, n_sample)
        The traces.
    shift : ndarray of float64, shape (n_trace,)
        How far each lies behind where it is wanted [samples]; rounded to whole ones.

    Returns
    -------
    ndarray of float64, shape (n_trace, n_sample)
        Sample ``j`` is the old one at ``j + round(shift)``; beyond the ends the outermost samples go on.

    Notes
    -----
    Whole samples, because interpolation would mix neighbours, and so make noise look smaller than it is: the spread of
    the average is to be that of the signal. What is left is the half sample by which each trace may lie off.
    """
    steps = np.rint(shift).astype(np.int64)
    places = np.arange(traces.shape[1]) + steps[:, None]
    np.clip(places, 0, traces.shape[1] - 1, out=places)
    return np.take_along_axis(traces, places, axis=1)
