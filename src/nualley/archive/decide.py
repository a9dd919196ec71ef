"""What happens to a sample, and how a PV stands: pure policy."""

import math
from dataclasses import replace
from enum import StrEnum

import numpy as np
import xxhash

from nualley.archive.models import LastValue, PvState
from nualley.archive.pv_record import Tail
from nualley.core import SECOND_NS
from nualley.pv import Sample

EPICS_EPOCH_NS = 631_152_000 * SECOND_NS
"""1990-01-01T00:00:00Z: the stamp of a record that was never processed."""

EARLIEST_NS = 662_688_000 * SECOND_NS
"""1991-01-01T00:00:00Z: no EPICS archive is older; an earlier stamp is a clock that was never set."""

STALE_AFTER_S = 10.0
"""A connected PV whose IOC gave no proof of life for so long is stale [s]."""


_LIMITS = (("time_ns", 2**63 - 1), ("received_ns", 2**63 - 1), ("severity", 2**7), ("status", 2**15))


class Reason(StrEnum):
    """Why a sample is not among the stored ones."""

    UNDEFINED_TIME = "undefined-time"
    BEFORE_1991 = "before-1991"
    FUTURE = "future"
    BACKWARD = "backward"
    UNSTORABLE = "unstorable"
    UNREADABLE = "unreadable"
    REPEAT = "repeat"
    PAUSED = "paused"
    SCAN = "scan"
    DEAD_BAND = "dead-band"
    CONDITION = "condition"


QUARANTINED = frozenset(
    {
        Reason.UNDEFINED_TIME,
        Reason.BEFORE_1991,
        Reason.FUTURE,
        Reason.BACKWARD,
        Reason.UNSTORABLE,
        Reason.UNREADABLE,
    }
)
"""Reasons that keep the sample aside; the others leave it out: it is stored already, or its policy does not want it."""


def fingerprint(value: object, severity: int, status: int) -> str:
    """Return a text that is equal for equal samples of one moment, NaN included.

    Parameters
    ----------
    value : object
        Number, text or array.
    severity, status : int
        EPICS alarm severity and status: a changed alarm is news even where the value is not.

    Returns
    -------
    str
        Equal where nothing differs.

    Examples
    --------
    >>> fingerprint(float("nan"), 3, 17) == fingerprint(float("nan"), 3, 17)
    True
    """
    if isinstance(value, np.ndarray):
        digest = xxhash.xxh3_128_hexdigest(np.ascontiguousarray(value).tobytes())
        return f"{value.dtype.str}{value.shape}{digest}/{severity}/{status}"
    shown = "nan" if isinstance(value, float) and math.isnan(value) else repr(value)
    return f"{shown}/{severity}/{status}"


def fitted(sample: Sample) -> Sample:
    """Return a sample whose times, severity and status the columns can hold: itself where they can.

    Parameters
    ----------
    sample : Sample
        As a source sent it.

    Returns
    -------
    Sample
        With what is beyond a column at its edge.
    """
    changed = {
        name: min(max(value, -limit), limit - 1)
        for name, limit in _LIMITS
        if not -limit <= (value := getattr(sample, name)) < limit
    }
    return replace(sample, **changed) if changed else sample


def judge(sample: Sample, tail: Tail | None, future_limit_ns: int) -> Reason | None:
    """Say what is wrong with a sample.

    Parameters
    ----------
    sample : Sample
        As it was received.
    tail : Tail or None
        The newest stored sample of the PV; None makes this the first one, which is stored however old.
    future_limit_ns : int
        How far ahead of the receipt a stamp may be [ns].

    Returns
    -------
    Reason or None
        None where it is to be stored.
    """
    time_ns = sample.time_ns
    if sample.unreadable:
        return Reason.UNREADABLE
    if time_ns < EARLIEST_NS:
        return Reason.UNDEFINED_TIME if time_ns == EPICS_EPOCH_NS else Reason.BEFORE_1991
    if time_ns > sample.received_ns + future_limit_ns:
        return Reason.FUTURE
    if tail is None or time_ns > tail.time_ns:
        return None
    if time_ns < tail.time_ns:
        return Reason.BACKWARD
    is_same = fingerprint(sample.value, sample.severity, sample.status) == tail.fingerprint
    return Reason.REPEAT if is_same else None


def pv_state(
    *,
    has_connected: bool,
    is_connected: bool,
    is_silent: bool = False,
    last_heard_ns: int,
    now_ns: int,
    stale_after_s: float = STALE_AFTER_S,
) -> PvState:
    """Say how a PV stands at a moment.

    Parameters
    ----------
    has_connected, is_connected : bool
        Whether it ever was and whether it is connected, as the archive last wrote.
    is_silent : bool
        Whether it is connected and periodic, and gave no sample for too long.
    last_heard_ns, now_ns : int
        Last proof of life of its IOC, and the time now [ns since 1970 UTC].
    stale_after_s : float
        Silence after which a connected PV is stale [s].

    Returns
    -------
    PvState
        Stale also where the archive process itself no longer writes.
    """
    if not has_connected:
        return PvState.NEVER_CONNECTED
    if is_silent:
        return PvState.STALE
    if not is_connected:
        return PvState.DISCONNECTED
    is_unproven = now_ns - last_heard_ns > stale_after_s * SECOND_NS
    return PvState.STALE if is_unproven else PvState.CONNECTED


def planned_state(last: LastValue, *, is_archived: bool, is_paused: bool) -> PvState:
    """Say how a PV stands, given also whether it is to be archived.

    Parameters
    ----------
    last : LastValue
        With its state as the log tells it.
    is_archived, is_paused : bool
        Whether it is to be archived, and whether it is paused.

    Returns
    -------
    PvState
        What is connected is so whatever the plan says: the process that archives follows a moment later.
    """
    if last.state is PvState.CONNECTED:
        return last.state
    # what was never listened to and has samples got them from elsewhere
    is_unheard = last.state in {PvState.NEVER_CONNECTED, PvState.IMPORTED}
    if is_archived and not is_paused:
        return PvState.NEVER_CONNECTED if is_unheard else last.state
    if is_archived:
        return PvState.PAUSED
    return PvState.IMPORTED if is_unheard and last.time_ns is not None else PvState.REMOVED
