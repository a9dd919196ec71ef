"""What the damage that was met means for one PV: which of its files, and when its value is not known for that."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from nualley.archive.sealed import TIERS, Level, RowGroup
from nualley.archive.view import ArchiveView, unless_replaced
from nualley.core import Interval, IntervalSet

_TOLD_BY = (Level.RAW, Level.MINUTE, Level.HOUR, Level.WAVE)

Pieces: TypeAlias = Callable[[str, int, int], Iterable[pa.Table]]


class RotReader:
    """Tells of damaged files that readers of a view met.

    Parameters
    ----------
    view : ArchiveView
        The archive.
    names : callable
        Returns the names under which the history of a PV stands.
    pieces : callable
        Reads a PV's rows between two times [ns since 1970 UTC], part by part.
    """

    def __init__(self, view: ArchiveView, names: Callable[[str], Sequence[str]], pieces: Pieces) -> None:
        self._view, self._names, self._pieces = view, names, pieces

    def files(self, pv: str, start_ns: int, stop_ns: int) -> Mapping[str, str]:
        """Return the damaged files that an answer about a stretch had to do without, and what is wrong with each.

        Parameters
        ----------
        pv : str
            Name of the PV.
        start_ns, stop_ns : int
            Half-open stretch [ns since 1970 UTC].
        """
        found = (self._damaged(pv, level, start_ns, stop_ns) for level in _TOLD_BY)
        return {group.path: what for group, what in chain.from_iterable(found)}

    def stretches(self, pv: str, start_ns: int, stop_ns: int) -> IntervalSet:
        """Return when samples of a PV lie in damaged files, each up to the next sample that can be read.

        Parameters
        ----------
        pv : str
            Name of the PV.
        start_ns, stop_ns : int
            Half-open stretch [ns since 1970 UTC].
        """
        lost = IntervalSet()
        for group, _ in self._damaged(pv, Level.RAW, start_ns, stop_ns):
            if group.first_sample_ns is not None and group.first_sample_ns < stop_ns:
                behind_ns = self._sample_behind(pv, group.stop_ns, stop_ns)
                lost |= IntervalSet.of(group.first_sample_ns, max(behind_ns, group.first_sample_ns))
        return lost & IntervalSet.of(start_ns, max(start_ns, stop_ns))

    def untold(self, pv: str, start_ns: int, stop_ns: int) -> IntervalSet:
        """Return when the minutes' cells of a PV lie in damaged files, too.

        Parameters
        ----------
        pv : str
            Name of the PV.
        start_ns, stop_ns : int
            Half-open stretch [ns since 1970 UTC].
        """
        found = self._damaged(pv, Level.MINUTE, start_ns, stop_ns)
        width_ns = TIERS[Level.MINUTE]
        return IntervalSet(Interval(group.start_ns, group.stop_ns + width_ns) for group, _ in found)

    def _damaged(self, pv: str, level: Level, start_ns: int, stop_ns: int) -> list[tuple[RowGroup, str]]:
        if not self._view.damages:
            return []

        def look() -> list[tuple[RowGroup, str]]:
            self._view.refresh()
            found = []
            for name in self._names(pv):
                before = self._view.sealed.before(name, level, start_ns)
                inside = self._view.sealed.groups(name, level, start_ns, stop_ns)
                is_needed = before is not None and not _has_newer(inside, before, start_ns)
                for group in (*([before] if before and is_needed else []), *inside):
                    what = self._view.damage_of(group)
                    if what is not None:
                        found.append((group, what))
            return found

        return unless_replaced(pv, look)

    def _sample_behind(self, pv: str, time_ns: int, stop_ns: int) -> int:
        if stop_ns > time_ns + 1:
            for piece in self._pieces(pv, time_ns + 1, stop_ns):
                is_it = pc.and_(
                    pc.equal(piece["kind"].cast(pa.string()), "sample"), pc.greater(piece["time_ns"], time_ns)
                )
                found = piece["time_ns"].filter(is_it)
                if len(found):
                    return int(found[0].as_py())
        return stop_ns


def _has_newer(groups: Iterable[RowGroup], before: RowGroup, start_ns: int) -> bool:
    """Say whether one of some row groups has a newer sample at or before the start than the one before them."""
    last_ns = before.last_sample_ns or 0
    return any(last_ns < first_ns <= start_ns for group in groups if (first_ns := group.first_sample_ns) is not None)
