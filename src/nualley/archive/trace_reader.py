"""Reading averages of arrays: from sealed files, and of what is not sealed yet made when it is asked for."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from nualley.archive.layouts import WAVES
from nualley.archive.models import Level, PvRecord
from nualley.archive.tail import LogTail
from nualley.archive.view import ArchiveView
from nualley.archive.waves import MINUTE_NS, sums_from_table, sums_of_samples
from nualley.physics import VETO_FRACTION, TraceRule, TraceSums, join_minute


def read_trace_minutes(
    view: ArchiveView,
    tail: LogTail,
    records: Sequence[PvRecord],
    stretch_ns: tuple[int, int],
    recent: TraceRule | None,
) -> list[TraceSums]:
    """Return the averages of a PV's arrays; see `nualley.archive.reader.ArchiveReader.trace_minutes`.

    Raises
    ------
    FileNotFoundError
        Where a file was replaced meanwhile.
    """
    begin_ns, stop_ns = stretch_ns[0] // MINUTE_NS * MINUTE_NS, stretch_ns[1]
    parts: list[TraceSums] = []
    for record in records:
        for group in view.sealed.groups(record.name, Level.WAVE, begin_ns, stop_ns):
            table = view.rows(group)
            if table is not None:  # else the damage is noted, and named beside the answer
                starts_ns = table["start_ns"]
                inside = pc.and_(pc.greater_equal(starts_ns, begin_ns), pc.less(starts_ns, stop_ns))
                parts += sums_from_table(table.filter(inside))
        if recent is not None:
            parts += _recent(tail, record, (begin_ns, -(-stop_ns // MINUTE_NS) * MINUTE_NS), recent)
    by_minute: dict[int, list[TraceSums]] = {}
    for part in parts:
        by_minute.setdefault(part.start_ns, []).append(part)
    fraction = recent.veto_fraction if recent else VETO_FRACTION
    return [sums for _, found in sorted(by_minute.items()) for sums in join_minute(found, fraction)]


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
