"""Beam power of the last hour, as a plot wants it: few steps, no spike lost, nothing drawn where nothing is known."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nualley.core import HOUR_NS
from nualley.physics import History, LinkChange, PvRows, history_from_rows

SPAN_NS = HOUR_NS
"""How far back the plot reaches [ns]."""

INVALID = 3
"""EPICS severity INVALID: also where a sample has none."""

N_BUCKETS = 600
"""Columns into which a long history is gathered; each keeps its first, lowest, highest and last value."""


@dataclass(frozen=True, slots=True)
class PowerCurve:
    """Beam power in steps: each value holds to the next time.

    Parameters
    ----------
    pv : str
        PV of the power.
    start_ns, stop_ns : int
        What was asked for [ns since 1970 UTC].
    time_ns : tuple of int
        Where each step begins [ns since 1970 UTC].
    power_W : tuple of (float or None)
        Its height [W]; None where the power is not known.
    """

    pv: str
    start_ns: int
    stop_ns: int
    time_ns: tuple[int, ...] = ()
    power_W: tuple[float | None, ...] = ()


def power_curve(pv: str, table: Any, *, alive_until_ns: int, start_ns: int, stop_ns: int, factor: float) -> PowerCurve:
    """Return the beam power of a stretch of time.

    Parameters
    ----------
    pv : str
        PV of the power.
    table : pyarrow.Table
        Its rows, as the archive's ``history`` returns them.
    alive_until_ns : int
        Up to when its last value is known to have held [ns since 1970 UTC].
    start_ns, stop_ns : int
        The stretch [ns since 1970 UTC].
    factor : float
        What turns its unit into W.

    Returns
    -------
    PowerCurve
        At most four steps in each of `N_BUCKETS` columns; highest and lowest values are always there.
    """
    history = history_from_rows(
        rows_of(table), alive_until_ns=alive_until_ns, start_ns=start_ns, stop_ns=stop_ns, factor=factor
    )
    thinned = thin(history)
    return PowerCurve(
        pv,
        start_ns,
        stop_ns,
        time_ns=tuple(thinned.time_ns.tolist()),
        power_W=tuple(None if np.isnan(value) else value for value in thinned.value.tolist()),
    )


def rows_of(table: Any) -> PvRows:
    """Split the rows of an archived number into samples and what happened to its connection.

    Parameters
    ----------
    table : pyarrow.Table
        Columns time_ns, value, severity, kind and last_heard_ns, by time.

    Returns
    -------
    PvRows
        A value that is no number is NaN, a missing severity INVALID.
    """
    kind = np.array(table["kind"].to_pylist(), dtype=object)
    is_sample = kind == "sample"
    time_ns = table["time_ns"].to_numpy()
    value = np.asarray(table["value"].to_numpy())
    severity = np.asarray(table["severity"].to_numpy(), dtype=np.float64)
    is_number = np.issubdtype(value.dtype, np.number)
    links = np.flatnonzero(~is_sample)
    heard_ns = table["last_heard_ns"].take(links).to_pylist()
    return PvRows(
        time_ns=time_ns[is_sample],
        value=value[is_sample].astype(np.float64) if is_number else np.full(int(is_sample.sum()), np.nan),
        severity=np.nan_to_num(severity[is_sample], nan=INVALID).astype(np.int8),
        links=tuple(
            LinkChange(int(time_ns[row]), kind[row], heard) for row, heard in zip(links, heard_ns, strict=True)
        ),
    )


def thin(history: History, n_buckets: int = N_BUCKETS) -> History:
    """Keep of a long history what a plot can show.

    Parameters
    ----------
    history : History
        Any number of steps.
    n_buckets : int
        Columns of equal width, > 0.

    Returns
    -------
    History
        The same where there are at most four steps a column; else of each column the first, lowest, highest and last
        step, and the first one that is not known.
    """
    time_ns, value = history.time_ns, history.value
    if time_ns.size <= 4 * n_buckets:
        return history
    column = (time_ns - history.start_ns) * n_buckets // max(1, history.stop_ns - history.start_ns)
    bounds = np.flatnonzero(np.diff(column, prepend=-1, append=n_buckets))
    kept = np.unique(np.concatenate([_telling(value, first, stop) for first, stop in pairwise(bounds.tolist())]))
    return History(history.start_ns, history.stop_ns, time_ns[kept], value[kept])


def _telling(value: NDArray[np.float64], first: int, stop: int) -> NDArray[np.int64]:
    part = value[first:stop]
    dark = np.isnan(part)
    chosen = [0, part.size - 1]
    if not dark.all():
        chosen += [int(np.nanargmin(part)), int(np.nanargmax(part))]
    if dark.any():
        chosen.append(int(np.argmax(dark)))
    return np.array(chosen, dtype=np.int64) + first
