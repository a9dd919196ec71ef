"""Half-open intervals of time and their algebra."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from nualley.core.errors import UsageError


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A half-open stretch of time ``[start_ns, stop_ns)``.

    Parameters
    ----------
    start_ns, stop_ns : int
        Bounds [ns since 1970 UTC], ``start_ns <= stop_ns``.

    Raises
    ------
    UsageError
        Where it would stop before it starts.
    """

    start_ns: int
    stop_ns: int

    def __post_init__(self) -> None:
        if self.stop_ns < self.start_ns:
            raise UsageError(
                f"an interval stops {self.start_ns - self.stop_ns} ns before it starts",
                where=f"[{self.start_ns}, {self.stop_ns})",
                do="exchange start and stop",
            )

    @property
    def duration_ns(self) -> int:
        """Length [ns]."""
        return self.stop_ns - self.start_ns

    @property
    def duration_s(self) -> float:
        """Length [s]."""
        return self.duration_ns / 1e9

    def __contains__(self, time_ns: int) -> bool:
        return self.start_ns <= time_ns < self.stop_ns


def _merge(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    merged: list[Interval] = []
    for interval in sorted(intervals):
        if not interval.duration_ns:
            continue
        if merged and interval.start_ns <= merged[-1].stop_ns:
            merged[-1] = Interval(merged[-1].start_ns, max(merged[-1].stop_ns, interval.stop_ns))
        else:
            merged.append(interval)
    return tuple(merged)


@dataclass(frozen=True, slots=True)
class IntervalSet:
    """Disjoint, sorted, non-empty half-open intervals; touching ones are joined.

    Parameters
    ----------
    intervals : iterable of Interval
        In any order, may overlap.

    Examples
    --------
    >>> a = IntervalSet([Interval(0, 10), Interval(20, 30)])
    >>> (a - IntervalSet([Interval(5, 25)])).duration_ns
    10
    """

    intervals: tuple[Interval, ...] = field(default=())

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        object.__setattr__(self, "intervals", _merge(intervals))

    @classmethod
    def of(cls, start_ns: int, stop_ns: int) -> "IntervalSet":
        """Return the set of one interval."""
        return cls((Interval(start_ns, stop_ns),))

    def __iter__(self) -> Iterator[Interval]:
        return iter(self.intervals)

    def __bool__(self) -> bool:
        return bool(self.intervals)

    @property
    def duration_ns(self) -> int:
        """Summed length [ns]."""
        return sum(interval.duration_ns for interval in self.intervals)

    @property
    def duration_s(self) -> float:
        """Summed length [s]."""
        return self.duration_ns / 1e9

    def __or__(self, other: "IntervalSet") -> "IntervalSet":
        return IntervalSet((*self.intervals, *other.intervals))

    def __and__(self, other: "IntervalSet") -> "IntervalSet":
        found: list[Interval] = []
        mine, theirs = list(self.intervals), list(other.intervals)
        i = j = 0
        while i < len(mine) and j < len(theirs):
            start, stop = max(mine[i].start_ns, theirs[j].start_ns), min(mine[i].stop_ns, theirs[j].stop_ns)
            if start < stop:
                found.append(Interval(start, stop))
            if mine[i].stop_ns < theirs[j].stop_ns:
                i += 1
            else:
                j += 1
        return IntervalSet(found)

    def __sub__(self, other: "IntervalSet") -> "IntervalSet":
        if not self.intervals:
            return self
        return self & other.complement(self.intervals[0].start_ns, self.intervals[-1].stop_ns)

    def complement(self, start_ns: int, stop_ns: int) -> "IntervalSet":
        """Return what of ``[start_ns, stop_ns)`` the set does not cover."""
        edge = start_ns
        found: list[Interval] = []
        for interval in self.intervals:
            if interval.start_ns > edge:
                found.append(Interval(edge, max(edge, min(interval.start_ns, stop_ns))))
            edge = max(edge, interval.stop_ns)
            if edge >= stop_ns:
                break
        if edge < stop_ns:
            found.append(Interval(edge, stop_ns))
        return IntervalSet(found)
