"""Age as time that was seen to pass: a clock that is set, forward or back, makes nothing older."""

from dataclasses import dataclass

from nualley.core import (
    DAY_NS,
    MINUTE_NS,
    SECOND_NS,
    Interval,
    IntervalSet,
    format_duration,
    format_time,
)
from nualley.replicas.errors import ClockJumped

TOLERANCE_NS = 2 * SECOND_NS
"""By so much clock and steady time may differ between two looks, or by a hundredth if that is more [ns]."""

LONGEST_SILENCE_NS = 30 * DAY_NS
"""A record that is so much older than the clock leaves in doubt whether the clock is right [ns]."""

_BEHIND_NS = MINUTE_NS


@dataclass(frozen=True, slots=True)
class SteadyMoment:
    """A moment by a clock that nobody sets.

    Parameters
    ----------
    boot : str
        Which run of the machine it counts in.
    steady_ns : int
        Time since then [ns].
    """

    boot: str
    steady_ns: int


@dataclass(frozen=True, slots=True)
class WatchedTime:
    """The time that somebody saw pass.

    Parameters
    ----------
    stretches : tuple of (int, int)
        Disjoint, in order [ns since 1970 UTC].
    last : SteadyMoment or None
        When the end of the last one was, by a clock that nobody sets.
    """

    stretches: tuple[tuple[int, int], ...] = ()
    last: SteadyMoment | None = None

    @property
    def end_ns(self) -> int | None:
        """The newest moment that was seen [ns since 1970 UTC]; None before the first."""
        return max((stop_ns for _, stop_ns in self.stretches), default=None)

    def seen(self, now_ns: int, moment: SteadyMoment) -> "WatchedTime":
        """Return it with one more look.

        Parameters
        ----------
        now_ns : int
            What the clock says [ns since 1970 UTC].
        moment : SteadyMoment
            What a clock says that nobody sets.

        Returns
        -------
        WatchedTime
            The last stretch reaches to now where both clocks say that the same time passed since the last look; after a
            jump, or another start of the machine, a new stretch begins.
        """
        if not self.stretches or self.last is None:
            return WatchedTime(((now_ns, now_ns),), moment)
        start_ns, stop_ns = self.stretches[-1]
        steady_ns = moment.steady_ns - self.last.steady_ns
        is_same = moment.boot == self.last.boot and steady_ns >= 0 and now_ns >= stop_ns
        if is_same and abs(now_ns - stop_ns - steady_ns) <= max(TOLERANCE_NS, steady_ns // 100):
            return WatchedTime((*self.stretches[:-1], (start_ns, now_ns)), moment)
        return WatchedTime((*self.stretches, (now_ns, now_ns)), moment)

    def age_ns(self, since_ns: int) -> int:
        """Return how much time was seen to pass since a moment [ns], >= 0; a second that was seen twice counts once.

        Examples
        --------
        >>> WatchedTime(((0, 10), (1000, 1005))).age_ns(4)
        11
        """
        seen = IntervalSet(Interval(start_ns, stop_ns) for start_ns, stop_ns in self.stretches if start_ns < stop_ns)
        return sum(each.stop_ns - max(each.start_ns, since_ns) for each in seen if each.stop_ns > since_ns)


def check_clock(now_ns: int, newest_ns: int | None, *, is_trusted: bool = False) -> None:
    """Raise ClockJumped where the record is newer than the clock, or so much older that the clock may be ahead.

    Parameters
    ----------
    now_ns : int
        What the clock says [ns since 1970 UTC].
    newest_ns : int or None
        The newest time on record [ns since 1970 UTC]; None where nothing is.
    is_trusted : bool
        A person says that a clock that seems ahead is right. One that is behind is wrong whoever speaks.
    """
    if newest_ns is None:
        return
    if now_ns < newest_ns - _BEHIND_NS:
        raise ClockJumped(
            f"the clock says {_shown(now_ns)}, the record has something of {_shown(newest_ns)}: no age is known",
            where="clock",
            do="set the clock right (timedatectl); what was recorded by a clock that was ahead has to pass first",
        )
    if now_ns - newest_ns > LONGEST_SILENCE_NS and not is_trusted:
        silent = format_duration((now_ns - newest_ns) / SECOND_NS)
        raise ClockJumped(
            f"the clock says {_shown(now_ns)}, and nothing was recorded for {silent}: is the clock right?",
            where="clock",
            do="set it right, or say that it is: --trust-clock",
        )


def _shown(time_ns: int) -> str:
    return format_time(time_ns, digits=0)
