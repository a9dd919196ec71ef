"""When nothing was known of a PV, and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nualley.archive.decide import STALE_AFTER_S
from nualley.archive.models import ConnectionRow, Gap, RowKind
from nualley.core import SECOND_NS, Interval, IntervalSet
from nualley.physics import LinkChange, blackouts

_LINK_KINDS: Mapping[RowKind, Literal["disconnect", "reconnect", "pause", "gap"]] = {
    RowKind.DISCONNECT: "disconnect",
    RowKind.RECONNECT: "reconnect",
    RowKind.PAUSE: "pause",
    RowKind.GAP: "gap",
}


@dataclass(frozen=True, slots=True)
class LastKnown:
    """How a PV stands behind its last connection row.

    Parameters
    ----------
    known_ns : int
        Up to when its last value is known to have held [ns since 1970 UTC].
    kind : str
        Why it is not known behind that.
    """

    known_ns: int
    kind: str


def open_end(*, is_connected: bool, alive_ns: int, now_ns: int, is_running: bool) -> LastKnown:
    """Say how a PV stands behind its last connection row.

    Parameters
    ----------
    is_connected : bool
        As the archive last wrote.
    alive_ns, now_ns : int
        Last proof of life of its IOC, and the time now [ns since 1970 UTC].
    is_running : bool
        Whether the archive runs: then the next proof is on its way, as long as the PV is not stale.

    Examples
    --------
    >>> open_end(is_connected=True, alive_ns=0, now_ns=SECOND_NS, is_running=True).known_ns == SECOND_NS
    True
    """
    if not is_connected:
        return LastKnown(alive_ns, "not-archived")
    if not is_running:
        return LastKnown(alive_ns, "archive-not-running")
    is_fresh = now_ns - alive_ns <= STALE_AFTER_S * SECOND_NS
    return LastKnown(max(now_ns, alive_ns) if is_fresh else alive_ns, "silent")


def dark(links: Iterable[ConnectionRow]) -> IntervalSet:
    """Return when nothing was heard of a PV, as its connection rows say; see `nualley.physics.blackouts`."""
    return blackouts([LinkChange(row.time_ns, _LINK_KINDS[row.kind], row.last_heard_ns) for row in links])


def gaps_of(links: Sequence[ConnectionRow], stretch: Interval, end: LastKnown) -> list[Gap]:
    """Return when nothing was known of a PV in a stretch of time, and why, by time.

    Parameters
    ----------
    links : sequence of ConnectionRow
        Its connection rows in the stretch, the last before and the first behind, by time.
    stretch : Interval
        What is asked for.
    end : LastKnown
        How it stands behind the last of all rows.
    """
    lost = [row for row in links if row.kind is not RowKind.RECONNECT]
    asked, found = IntervalSet((stretch,)), []
    silent = dark(links)
    for part in silent:
        # the row that says why is noticed later than the silence began, and perhaps behind the stretch
        cause = next((row for row in lost if part.start_ns <= row.time_ns <= part.stop_ns), None)
        kind = "not-archived" if cause is None else cause.kind.name.lower()
        heard_ns = None if cause is None else cause.last_heard_ns
        found += [Gap(each.start_ns, each.stop_ns, kind, heard_ns) for each in IntervalSet((part,)) & asked]
    behind = IntervalSet.of(min(end.known_ns, stretch.stop_ns), stretch.stop_ns) & asked
    heard_ns = None if end.kind == "not-archived" else end.known_ns
    found += [Gap(each.start_ns, each.stop_ns, end.kind, heard_ns) for each in behind - silent]
    return sorted(found, key=lambda gap: gap.start_ns)
