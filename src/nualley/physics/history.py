"""What is known of an archived quantity over time: a value from each sample on, and stretches of not knowing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nualley.core import Interval, IntervalSet

INVALID_SEVERITY = 3
"""EPICS severity INVALID: the IOC itself says that the value means nothing."""

FOREVER = Interval(-(2**62), 2**62)
"""All times that matter (years 1823 to 2116): ends of stretches that have no end."""


@dataclass(frozen=True, slots=True)
class LinkChange:
    """Something that happened to the connection of a PV.

    Parameters
    ----------
    time_ns : int
        When it was noticed [ns since 1970 UTC].
    kind : {"disconnect", "reconnect", "pause", "gap"}
        What happened.
    last_heard_ns : int or None
        Last proof before it that the IOC was alive [ns since 1970 UTC].
    """

    time_ns: int
    kind: Literal["disconnect", "reconnect", "pause", "gap"]
    last_heard_ns: int | None = None


MEANINGLESS = 1e30
"""No quantity of an accelerator or a detector is larger in its unit: such a number is noise of a broken record, and
unknown. Products and quotients of two that are smaller stay far inside of what float64 holds."""


@dataclass(frozen=True, slots=True, eq=False)
class PvRows:
    """What the archive holds of one PV: samples, and what happened to its connection.

    Parameters
    ----------
    time_ns : ndarray of int64, shape (n,)
        Times of the samples [ns since 1970 UTC], not falling.
    value : ndarray, shape (n,)
        float64 (NaN where there is none), or objects where the PV holds text.
    severity : ndarray of int8, shape (n,)
        EPICS alarm severity, 0 to 3.
    links : tuple of LinkChange
        By time. They reach far enough to tell what is known in the interval that was asked for: the last one before
        it, and the first one after it, whose ``last_heard_ns`` may lie inside.
    """

    time_ns: NDArray[np.int64]
    value: NDArray[Any]
    severity: NDArray[np.int8]
    links: tuple[LinkChange, ...] = ()

    @property
    def is_valid(self) -> NDArray[np.bool_]:
        """Whether each sample has a value: not INVALID, and a finite number or a text."""
        is_good: NDArray[np.bool_] = self.severity < INVALID_SEVERITY
        return is_good if self.value.dtype == object else is_good & np.isfinite(self.value)


def blackouts(links: Sequence[LinkChange]) -> IntervalSet:
    """Return when nothing was heard of a PV.

    Parameters
    ----------
    links : sequence of LinkChange
        By time.

    Returns
    -------
    IntervalSet
        From the last proof of life before each disconnect or gap (from the moment itself of a pause) to the next
        reconnect. What begins with a reconnect was not heard before it. No rows at all, as for imported data: none.
    """
    found: list[Interval] = []
    since_ns = FOREVER.start_ns if links and links[0].kind == "reconnect" else None
    for link in links:
        if link.kind == "reconnect":
            if since_ns is not None:
                found.append(Interval(since_ns, max(since_ns, link.time_ns)))
            since_ns = None
            continue
        is_exact = link.kind == "pause" or link.last_heard_ns is None
        begins_ns = link.time_ns if is_exact else min(link.time_ns, link.last_heard_ns or 0)
        since_ns = begins_ns if since_ns is None else min(since_ns, begins_ns)
    if since_ns is not None:
        found.append(Interval(since_ns, FOREVER.stop_ns))
    return IntervalSet(found)


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """A quantity over ``[start_ns, stop_ns)`` in steps.

    Parameters
    ----------
    start_ns, stop_ns : int
        Bounds [ns since 1970 UTC].
    time_ns : ndarray of int64, shape (n,)
        Where each step begins; rising, the first is ``start_ns``; empty only where the interval is.
    value : ndarray of float64, shape (n,)
        Height of each step; NaN where it is not known.
    """

    start_ns: int
    stop_ns: int
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]

    @classmethod
    def constant(cls, value: float, start_ns: int, stop_ns: int) -> "History":
        """Return one step of one height; NaN for what is not known at all."""
        n = int(stop_ns > start_ns)
        return cls(start_ns, stop_ns, np.full(n, start_ns, dtype=np.int64), np.full(n, value, dtype=np.float64))

    def between(self, start_ns: int, stop_ns: int) -> "History":
        """Return the part in ``[start_ns, stop_ns)``, which must lie inside."""
        if not self.start_ns <= start_ns <= stop_ns <= self.stop_ns:
            raise ValueError(f"[{start_ns}, {stop_ns}) does not lie in [{self.start_ns}, {self.stop_ns})")
        if start_ns == stop_ns:
            return History.constant(np.nan, start_ns, stop_ns)
        first = int(np.searchsorted(self.time_ns, start_ns, side="right")) - 1
        last = int(np.searchsorted(self.time_ns, stop_ns, side="left"))
        time_ns = self.time_ns[first:last].copy()
        time_ns[0] = start_ns
        return History(start_ns, stop_ns, time_ns, self.value[first:last])

    def where(self, is_chosen: NDArray[np.bool_]) -> IntervalSet:
        """Return the stretches of the chosen steps."""
        edges = np.append(self.time_ns, self.stop_ns)
        turns = np.flatnonzero(np.diff(np.concatenate([[False], is_chosen, [False]])))
        bounds = edges[turns].tolist()
        return IntervalSet(Interval(a, b) for a, b in zip(bounds[::2], bounds[1::2], strict=True))

    @property
    def known(self) -> IntervalSet:
        """When the quantity is known."""
        return self.where(~np.isnan(self.value))

    @property
    def unknown(self) -> IntervalSet:
        """When it is not."""
        return self.where(np.isnan(self.value))


def history_from_rows(
    rows: PvRows, *, alive_until_ns: int, start_ns: int, stop_ns: int, factor: float = 1.0
) -> History:
    """Apply the rule of knowledge to what the archive holds.

    Parameters
    ----------
    rows : PvRows
        Samples (the last one at or before ``start_ns`` among them) and connection rows.
    alive_until_ns : int
        Last proof that the value still held [ns since 1970 UTC].
    start_ns, stop_ns : int
        The interval [ns since 1970 UTC].
    factor : float
        What turns the PV's unit into the wanted one.

    Returns
    -------
    History
        A value holds from its sample to the next, however long, as long as it is proven that the IOC lived: silence
        alone is no gap, because monitors post on change. Unknown: before the first sample, in blackouts, after
        ``alive_until_ns``, and where the sample is INVALID, no number, or beyond `MEANINGLESS`.
    """
    if stop_ns <= start_ns:
        return History.constant(np.nan, start_ns, stop_ns)
    is_used = rows.time_ns < stop_ns
    is_used[:-1] &= rows.time_ns[1:] > start_ns  # what holds at the start is the last one at or before it
    if rows.time_ns.size > 1:  # of several samples with one stamp, the last holds
        is_used[:-1] &= rows.time_ns[1:] != rows.time_ns[:-1]
    value = _meaningful(np.where(rows.is_valid, numbers(rows.value), np.nan)[is_used], factor)
    time_ns = np.maximum(rows.time_ns[is_used], start_ns)
    if not time_ns.size or time_ns[0] > start_ns:
        time_ns, value = np.insert(time_ns, 0, start_ns), np.insert(value, 0, np.nan)
    dark = blackouts(rows.links) | IntervalSet.of(min(alive_until_ns, stop_ns), stop_ns)
    return _darkened(History(start_ns, stop_ns, time_ns, value), dark)


def numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return values as numbers: texts that are one, as such; NaN for any other.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Numbers, or objects.

    Returns
    -------
    ndarray of float64, shape (n,)
        One each.

    Examples
    --------
    >>> numbers(np.array(["1.5", "beam"], dtype=object)).tolist()
    [1.5, nan]
    """
    if values.dtype != object:
        return np.asarray(values, dtype=np.float64)
    return np.array([_number(value) for value in values.tolist()], dtype=np.float64)


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return np.nan


def _meaningful(value: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        scaled = value * factor
    return np.where(np.abs(scaled) <= MEANINGLESS, scaled, np.nan)


def _darkened(history: History, dark: IntervalSet) -> History:
    dark = dark & IntervalSet.of(history.start_ns, history.stop_ns)
    if not dark:
        return history
    edges = np.array([edge for interval in dark for edge in (interval.start_ns, interval.stop_ns)], dtype=np.int64)
    inner = edges[edges < history.stop_ns]
    time_ns = _distinct([history.time_ns, inner])
    value = history.value[np.searchsorted(history.time_ns, time_ns, side="right") - 1]
    is_dark = np.searchsorted(edges, time_ns, side="right") % 2 == 1
    return History(history.start_ns, history.stop_ns, time_ns, np.where(is_dark, np.nan, value))


def align(histories: Sequence[History]) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """Cut several histories of one interval into steps in which none of them changes.

    Parameters
    ----------
    histories : sequence of History
        At least one; all over the same interval.

    Returns
    -------
    edges_ns : ndarray of int64, shape (n + 1,)
        Bounds of the steps [ns since 1970 UTC].
    values : list of ndarray of float64, shape (n,)
        Height of each history in each step.

    Raises
    ------
    ValueError
        Where they do not cover the same interval.
    """
    bounds = {(history.start_ns, history.stop_ns) for history in histories}
    if len(bounds) != 1:
        raise ValueError(f"histories of {len(bounds)} different intervals cannot be joined: {sorted(bounds)}")
    stop_ns = histories[0].stop_ns
    starts = _distinct([history.time_ns for history in histories])
    values = [h.value[np.searchsorted(h.time_ns, starts, side="right") - 1] for h in histories]
    return np.append(starts, stop_ns).astype(np.int64), values


def _distinct(times_ns: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Join sorted times; np.unique would hash them, four times slower than a stable sort of sorted runs."""
    joined = np.concatenate(times_ns)
    joined.sort(kind="stable")
    return np.asarray(joined[np.append(True, joined[1:] != joined[:-1])[: joined.size]], dtype=np.int64)
