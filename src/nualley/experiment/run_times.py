"""When a detector's runs began, paused and stopped, from what its run number and state PVs said."""

import bisect
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from nualley.core import SECOND_NS, Interval, IntervalSet

V = TypeVar("V", int, str)

SETTLE_NS = SECOND_NS
"""DAQs write run number and state one after the other; what lasts less than this between the two is no run [ns]."""


@dataclass(frozen=True, slots=True)
class Changes(Generic[V]):
    """The valid samples of a run number or state PV.

    Parameters
    ----------
    time_ns : sequence of int
        Times [ns since 1970 UTC], rising.
    value : sequence of int or str
        Run numbers, or labels of the state.
    unknown : IntervalSet
        When nothing was heard of the PV, or it was INVALID.
    """

    time_ns: Sequence[int]
    value: Sequence[V]
    unknown: IntervalSet = field(default_factory=IntervalSet)


@dataclass(frozen=True, slots=True)
class RunStretch:
    """A run, as the PVs told it.

    Parameters
    ----------
    number : int
        Its number.
    start_ns : int
        When it began [ns since 1970 UTC].
    stop_ns : int or None
        When it stopped; None while it goes on.
    pauses : IntervalSet
        When it was paused.
    start_uncertain_s, stop_uncertain_s : float
        How much earlier it may have begun or stopped, because the PV was not heard then [s]; 0 where it was, infinite
        where nothing was ever heard before.
    """

    number: int
    start_ns: int
    stop_ns: int | None
    pauses: IntervalSet = field(default_factory=IntervalSet)
    start_uncertain_s: float = 0.0
    stop_uncertain_s: float = 0.0


def run_stretches(
    run_number: Changes[int],
    state: Changes[str] | None = None,
    *,
    running: Collection[str] = ("Running",),
    paused: Collection[str] = ("Paused",),
    settle_ns: int = SETTLE_NS,
) -> list[RunStretch]:
    """Return the runs that the PVs told of.

    Parameters
    ----------
    run_number : Changes of int
        The run number PV; a negative number is no run.
    state : Changes of str, optional
        The state PV. Without one, a run lasts as long as its number stands.
    running, paused : collection of str
        Labels in which the DAQ takes data, and in which it holds a run without taking data.
    settle_ns : int
        A stretch shorter than this [ns] is dropped where the same number has a longer one: the DAQ had changed its
        state before its run number, or the other way round.

    Returns
    -------
    list of RunStretch
        By time. A number may come more than once, where a run was stopped and taken up again.

    Notes
    -----
    A run begins when the state becomes running with its number standing, or its number comes while running; it stops
    when the state leaves running and paused, or the number changes. A DAQ that is not heard goes on as it was: a
    blackout by itself neither stops nor pauses a run.

    Examples
    --------
    >>> run_stretches(Changes([0, 50], [7, 8]), Changes([10, 40], ["Running", "Stopped"]))
    [RunStretch(number=7, start_ns=10, stop_ns=40, pauses=IntervalSet(intervals=()), start_uncertain_s=0.0, \
stop_uncertain_s=0.0)]
    """
    unknown = run_number.unknown | (state.unknown if state else IntervalSet())
    found: list[RunStretch] = []
    run: RunStretch | None = None
    pause_ns: int | None = None
    for time_ns, number, label in _moments(run_number, state):
        is_running = number is not None and number >= 0 and (state is None or label in running)
        is_paused = state is not None and label in paused
        if run and pause_ns is not None and not (is_paused and number == run.number):
            run = replace(run, pauses=run.pauses | IntervalSet.of(pause_ns, time_ns))
            pause_ns = None
        if run and (number != run.number or not (is_running or is_paused)):
            found.append(replace(run, stop_ns=time_ns, stop_uncertain_s=_uncertain_s(time_ns, unknown)))
            run = None
        if run is None and is_running and number is not None:
            run = RunStretch(number, time_ns, None, start_uncertain_s=_uncertain_s(time_ns, unknown))
        if run and is_paused and pause_ns is None:
            pause_ns = time_ns
    if run:
        still = IntervalSet() if pause_ns is None else IntervalSet.of(pause_ns, _END_NS)
        found.append(replace(run, pauses=run.pauses | still))
    return _settled(found, settle_ns)


_END_NS = 2**62


def _moments(run_number: Changes[int], state: Changes[str] | None) -> Iterator[tuple[int, int | None, str | None]]:
    """Every moment at which one of the two was posted, with what stands after it."""
    times = sorted({*run_number.time_ns, *(state.time_ns if state else ())})
    for time_ns in times:
        yield time_ns, _standing(run_number, time_ns), _standing(state, time_ns) if state else None


def _standing(changes: Changes[V], time_ns: int) -> V | None:
    index = bisect.bisect_right(changes.time_ns, time_ns) - 1
    return changes.value[index] if index >= 0 else None


def _uncertain_s(time_ns: int, unknown: IntervalSet) -> float:
    """How long before a change the PV was not heard [s]."""
    for interval in unknown:
        if interval.start_ns < time_ns <= interval.stop_ns:
            return math.inf if interval.start_ns <= -_END_NS else (time_ns - interval.start_ns) / 1e9
    return 0.0


def _settled(stretches: list[RunStretch], settle_ns: int) -> list[RunStretch]:
    longest: dict[int, int] = {}
    for run in stretches:
        longest[run.number] = max(longest.get(run.number, 0), _length_ns(run))
    return [run for run in stretches if _length_ns(run) >= min(settle_ns, longest[run.number])]


def _length_ns(run: RunStretch) -> int:
    return Interval(run.start_ns, _END_NS if run.stop_ns is None else run.stop_ns).duration_ns
