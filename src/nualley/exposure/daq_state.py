"""What a DAQ did, from its archived PVs: runs, pauses, and when it was not heard."""

from dataclasses import dataclass, field, replace

import numpy as np

from nualley.core import Interval, IntervalSet
from nualley.experiment import Changes, RunStretch, run_stretches
from nualley.exposure.ports import PvHistory
from nualley.exposure.sources import DaqSources
from nualley.physics import FOREVER, PvRows, blackouts, numbers

_HIGHEST_RUN = 2**53
"""Up to here float64, in which rows come, holds whole numbers."""


@dataclass(frozen=True, slots=True)
class DaqState:
    """What a DAQ said.

    Parameters
    ----------
    stretches : tuple of RunStretch
        Its runs.
    paused : IntervalSet
        When its state was one of pause.
    dark : IntervalSet
        When its state was not heard; empty where the archive has none of it at all.
    """

    stretches: tuple[RunStretch, ...] = ()
    paused: IntervalSet = field(default_factory=IntervalSet)
    dark: IntervalSet = field(default_factory=IntervalSet)

    @property
    def taking(self) -> IntervalSet:
        """When it had a run."""
        return IntervalSet(
            Interval(run.start_ns, FOREVER.stop_ns if run.stop_ns is None else run.stop_ns) for run in self.stretches
        )


def read_daq_state(archive: PvHistory, daq: DaqSources, start_ns: int, stop_ns: int) -> DaqState:
    """Read what a DAQ did in an interval.

    Parameters
    ----------
    archive : PvHistory
        The archive.
    daq : DaqSources
        Its PVs.
    start_ns, stop_ns : int
        The interval [ns since 1970 UTC]. A run that began earlier has its start where the archive first tells it.

    Returns
    -------
    DaqState
        Empty where the DAQ has no state PV.
    """
    if daq.state is None:
        return DaqState()
    rows = archive.read(daq.state, start_ns, stop_ns)
    if not rows.time_ns.size:
        return DaqState()
    state = state_changes(rows, archive.labels(daq.state))
    stretches: tuple[RunStretch, ...] = ()
    if daq.run is not None:
        numbers = number_changes(archive.read(daq.run, start_ns, stop_ns))
        stretches = tuple(run_stretches(numbers, state, running=daq.running, paused=daq.paused))
    return DaqState(stretches, _standing(state, daq.paused), state.unknown)


def read_run_stretches(archive: PvHistory, daq: DaqSources, start_ns: int, stop_ns: int) -> list[RunStretch]:
    """Read the runs that a DAQ's PVs told of in an interval.

    Parameters
    ----------
    archive : PvHistory
        The archive.
    daq : DaqSources
        Its PVs; without one of the run number there are no runs, without one of the state the number decides alone.
    start_ns, stop_ns : int
        The interval [ns since 1970 UTC].

    Returns
    -------
    list of RunStretch
        By time.
    """
    if daq.run is None:
        return []
    numbers = number_changes(archive.read(daq.run, start_ns, stop_ns))
    state = None
    if daq.state is not None:
        state = state_changes(archive.read(daq.state, start_ns, stop_ns), archive.labels(daq.state))
    return run_stretches(numbers, state, running=daq.running, paused=daq.paused)


def state_changes(rows: PvRows, labels: tuple[str, ...]) -> Changes[str]:
    """Return the valid samples of a state PV as labels.

    Parameters
    ----------
    rows : PvRows
        An enum's indices, or texts.
    labels : tuple of str
        The enum's labels; an index beyond them stands as its number.

    Returns
    -------
    Changes of str
        Times and labels.
    """
    times_ns, values = _valid(rows)
    return Changes(times_ns, [_label(value, labels) for value in values], _unheard(rows))


def number_changes(rows: PvRows) -> Changes[int]:
    """Return the valid samples of a run number PV; what is no whole number from 0 on counts as not heard."""
    found = numbers(rows.value)
    is_number = (found >= 0) & (found <= _HIGHEST_RUN) & (found == np.floor(found))
    sound = replace(rows, value=np.where(is_number, found, np.nan))
    times_ns, values = _valid(sound)
    return Changes(times_ns, [int(float(str(value))) for value in values], _unheard(sound))


def _valid(rows: PvRows) -> tuple[list[int], list[object]]:
    is_valid = rows.is_valid
    return rows.time_ns[is_valid].tolist(), rows.value[is_valid].tolist()


def _label(value: object, labels: tuple[str, ...]) -> str:
    if isinstance(value, str):
        return value
    index = int(float(str(value)))
    return labels[index] if 0 <= index < len(labels) else str(index)


def _unheard(rows: PvRows) -> IntervalSet:
    stops_ns = np.append(rows.time_ns[1:], FOREVER.stop_ns)
    bad = np.flatnonzero(~rows.is_valid)
    invalid = (Interval(int(rows.time_ns[i]), int(stops_ns[i])) for i in bad)
    return blackouts(rows.links) | IntervalSet(invalid)


def _standing(changes: Changes[str], wanted: tuple[str, ...]) -> IntervalSet:
    stops_ns = [*changes.time_ns[1:], FOREVER.stop_ns]
    steps = zip(changes.time_ns, stops_ns, changes.value, strict=False)
    return IntervalSet(Interval(start_ns, stop_ns) for start_ns, stop_ns, label in steps if label in wanted)
