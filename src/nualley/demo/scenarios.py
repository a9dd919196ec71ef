"""What can go wrong in the demo on purpose, and when."""

from dataclasses import dataclass
from enum import StrEnum


class Scenario(StrEnum):
    """A demo in which something goes wrong."""

    NONE = "none"
    BEAM_TRIP = "beam-trip"
    HUNG_IOC = "hung-ioc"
    KILLED_IOC = "killed-ioc"
    TRUNCATED_FILE = "truncated-file"
    EVERYTHING = "everything"


class Action(StrEnum):
    """Something that is done to the demo's IOC."""

    FREEZE_IOC = "freeze-ioc"
    THAW_IOC = "thaw-ioc"
    KILL_IOC = "kill-ioc"
    START_IOC = "start-ioc"


@dataclass(frozen=True, slots=True)
class Trip:
    """Beam lost for a while.

    Parameters
    ----------
    start_s : float
        When it goes to nothing [s after the start of the world].
    stop_s : float
        When it begins to come back [s], > start_s.
    ramp_s : float
        How long it takes to full power [s], > 0.
    """

    start_s: float
    stop_s: float
    ramp_s: float

    def factor(self, time_s: float) -> float:
        """Return the fraction of power that the trip leaves at a time [s], 0 to 1."""
        if time_s < self.start_s:
            return 1.0
        return min(1.0, max(0.0, (time_s - self.stop_s) / self.ramp_s))


# The world begins before the DAQs do, by as long as the product takes to connect: late enough for a slow machine.
TRIPS: dict[Scenario, tuple[Trip, ...]] = {
    Scenario.BEAM_TRIP: (Trip(25.0, 29.0, 2.0),),
    Scenario.EVERYTHING: (Trip(60.0, 64.0, 2.0),),
}
TRUNCATING = frozenset({Scenario.TRUNCATED_FILE, Scenario.EVERYTHING})
"""Scenarios in which the first run of each DAQ ends in half an event."""

# In the middle of a run of 10 s, whose beginning is known; a hang is longer than the 8 s in which it is noticed.
ACTIONS: dict[Scenario, tuple[tuple[float, Action], ...]] = {
    Scenario.HUNG_IOC: ((8.0, Action.FREEZE_IOC), (18.0, Action.THAW_IOC)),
    Scenario.KILLED_IOC: ((8.0, Action.KILL_IOC), (13.0, Action.START_IOC)),
    Scenario.EVERYTHING: (
        (8.0, Action.FREEZE_IOC), (18.0, Action.THAW_IOC), (25.0, Action.KILL_IOC), (30.0, Action.START_IOC),
    ),
}  # fmt: skip


def due_actions(scenario: Scenario, before_s: float, now_s: float) -> list[Action]:
    """Return what a scenario does between two times.

    Parameters
    ----------
    scenario : Scenario
        Which one.
    before_s, now_s : float
        Start and end of the time [s after the start of the world], half-open.

    Returns
    -------
    list of Action
        In their order.

    Examples
    --------
    >>> due_actions(Scenario.HUNG_IOC, 7.0, 8.5)
    [<Action.FREEZE_IOC: 'freeze-ioc'>]
    """
    return [action for at_s, action in ACTIONS.get(scenario, ()) if before_s <= at_s < now_s]
