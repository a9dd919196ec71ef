"""Reading averages of arrays: from sealed files, and of what is not sealed yet made when it is asked for."""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from nualley.archive.layouts import WAVES
from nualley.archive.pv_record import PvRecord
from nualley.archive.registry import Registry
from nualley.archive.sealed import Level
from nualley.archive.tail import LogTail
from nualley.archive.view import TRIES, ArchiveView, busy
from nualley.archive.waves import sums_from_table, sums_of_samples
from nualley.core import MINUTE_NS
from nualley.physics import VETO_FRACTION, TraceRule, TraceSums, join_minute


class TraceReader:
    """Averages of arrays over minutes.

    Parameters
    ----------
    view : ArchiveView
        What the files and the log say now.
    records : callable
        Returns the records of the names of a PV, from what is known of all.
    """

    def __init__(self, view: ArchiveView, records: Callable[[Registry, str], Sequence[PvRecord]]) -> None:
        self._view, self._records = view, records

    def minutes(self, pv: str, start_ns: int, stop_ns: int, *, recent: TraceRule | None = None) -> list[TraceSums]:
        """Return the averages of a PV's arrays that are kept for good.

        Parameters
        ----------
        pv : str
            Its name.
        start_ns, stop_ns : int
            Half-open stretch [ns since 1970 UTC]; a minute that reaches into it is told of as a whole.
        recent : TraceRule, optional
            How arrays are averaged that are not sealed yet; by default these are left out.

        Returns
        -------
        list of TraceSums
            By minute and length; those far below the others apart. None where no averages are kept of it.

        Raises
        ------
        PvNotArchivedError
            Where the archive does not know the PV.
        """
        begin_ns = start_ns // MINUTE_NS * MINUTE_NS
        for _ in range(TRIES):
            tail = self._view.refresh()
            records = self._records(tail.registry, pv)
            try:
                parts = [part for record in records for part in self._sealed(record.name, begin_ns, stop_ns)]
            except FileNotFoundError:  # replaced meanwhile: look again
                continue
            if recent is not None:
                end_ns = -(-stop_ns // MINUTE_NS) * MINUTE_NS
                for record in records:
                    parts += _recent(tail, record, (begin_ns, end_ns), recent)
            return _joined(parts, recent.veto_fraction if recent else VETO_FRACTION)
        raise busy(pv)

    def _sealed(self, name: str, begin_ns: int, stop_ns: int) -> Iterator[TraceSums]:
        for group in self._view.sealed.groups(name, Level.WAVE, begin_ns, stop_ns):
            table = self._view.rows(group)
            if table is not None:  # else the damage is noted, and named beside the answer
                starts_ns = table["start_ns"]
                inside = pc.and_(pc.greater_equal(starts_ns, begin_ns), pc.less(starts_ns, stop_ns))
                yield from sums_from_table(table.filter(inside))

    def first_ns(self, pv: str) -> int | None:
        """Return the begin of the first minute of a PV of which averages are kept; None where none are."""
        records = self._records(self._view.refresh().registry, pv)
        found = [self._view.sealed.first_ns(each.name, Level.WAVE) for each in records]
        return min((first_ns for first_ns in found if first_ns is not None), default=None)

    def count_minutes(self, pv: str, start_ns: int, stop_ns: int) -> int:
        """Return about how many averages there are of a PV in a stretch; 0 where there are none."""
        records = self._records(self._view.refresh().registry, pv)
        sealed = self._view.sealed
        return sum(sealed.count_rows(each.name, Level.WAVE, start_ns - MINUTE_NS, stop_ns) for each in records)


def _joined(parts: Sequence[TraceSums], veto_fraction: float) -> list[TraceSums]:
    by_minute: dict[int, list[TraceSums]] = {}
    for part in parts:
        by_minute.setdefault(part.start_ns, []).append(part)
    return [sums for _, found in sorted(by_minute.items()) for sums in join_minute(found, veto_fraction)]


def _recent(tail: LogTail, record: PvRecord, stretch_ns: tuple[int, int], rule: TraceRule) -> list[TraceSums]:
    found: list[TraceSums] = []
    for value_type, table in tail.tables(record).items():
        if value_type in WAVES:
            found += sums_of_table(table, stretch_ns, rule)
    return found


def sums_of_table(table: pa.Table, stretch_ns: tuple[int, int], rule: TraceRule) -> list[TraceSums]:
    """Average the samples of one PV in a stretch."""
    times_ns = table["time_ns"]
    inside = pc.and_(pc.greater_equal(times_ns, stretch_ns[0]), pc.less(times_ns, stretch_ns[1]))
    is_sample = pc.equal(table["kind"].cast(pa.string()), "sample")
    return sums_of_samples(table.filter(pc.and_(inside, is_sample)), rule)
