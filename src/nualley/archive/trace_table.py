"""Averages of arrays over minutes as a table: those that are kept, and of other minutes what their samples give."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from nualley.archive.models import TRACE_COLUMNS
from nualley.archive.reader import ArchiveReader
from nualley.archive.trace_reader import sums_of_table
from nualley.core import HOUR_NS, MINUTE_NS
from nualley.physics import TraceRule, TraceSums, join_sums

_PIECE_NS = 2 * MINUTE_NS
"""Arrays of so long are in memory at once: of 60 Hz times 2000 float32, 58 MB [ns]."""

_TYPES: Mapping[str, pa.DataType] = {
    **dict.fromkeys(("start_ns", "length", "n", "n_vetoed", "n_bad"), pa.int64()),
    **dict.fromkeys(("mean", "rms"), pa.list_(pa.float64())),
    "severity": pa.int8(),
}
_SCHEMA = pa.schema([pa.field(name, _TYPES.get(name, pa.float64())) for name in TRACE_COLUMNS])


def trace_tables(reader: ArchiveReader, pv: str, start_ns: int, stop_ns: int, rule: TraceRule) -> Iterator[pa.Table]:
    """Yield the averages of a PV's arrays over minutes, in pieces.

    Parameters
    ----------
    reader : ArchiveReader
        The archive.
    pv : str
        Name of the PV; its values are arrays of numbers.
    start_ns, stop_ns : int
        Half-open stretch [ns since 1970 UTC]; a minute that begins in it is told of as a whole.
    rule : TraceRule
        How arrays are averaged of which nothing is kept.

    Yields
    ------
    pyarrow.Table
        `nualley.archive.TRACE_COLUMNS`; the first one is empty, so that there is always one.
    """
    yield _SCHEMA.empty_table()
    start_ns, stop_ns = (-(-edge_ns // MINUTE_NS) * MINUTE_NS for edge_ns in (start_ns, stop_ns))
    for begin_ns in range(max(start_ns, _first_ns(reader, pv)), stop_ns, HOUR_NS):
        end_ns = min(begin_ns + HOUR_NS, stop_ns)
        if not reader.count_rows(pv, begin_ns, end_ns) + reader.traces.count_minutes(pv, begin_ns, end_ns):
            continue
        told = reader.traces.minutes(pv, begin_ns, end_ns, recent=rule)
        for first_ns, last_ns in _untold(told, begin_ns, end_ns):
            if reader.has_rows(pv, first_ns, last_ns):
                told += sums_of_table(reader.read(pv, first_ns, last_ns), (first_ns, last_ns), rule)
        if told:
            yield _table(sorted(told, key=lambda sums: (sums.start_ns, sums.length, sums.is_low)))


def _first_ns(reader: ArchiveReader, pv: str) -> int:
    firsts_ns = (reader.first_ns(pv), reader.traces.first_ns(pv))
    return min(first_ns for first_ns in firsts_ns if first_ns is not None) // MINUTE_NS * MINUTE_NS


def _untold(told: Iterable[TraceSums], start_ns: int, stop_ns: int) -> Iterator[tuple[int, int]]:
    """Yield stretches of minutes of which nothing is told, none longer than may be in memory."""
    known = {sums.start_ns for sums in told}
    for begin_ns in range(start_ns, stop_ns, _PIECE_NS):
        minutes = range(begin_ns, min(begin_ns + _PIECE_NS, stop_ns), MINUTE_NS)
        missing = [minute_ns for minute_ns in minutes if minute_ns not in known]
        if len(missing) == len(minutes):
            yield missing[0], missing[-1] + MINUTE_NS
        else:
            yield from ((minute_ns, minute_ns + MINUTE_NS) for minute_ns in missing)


def _table(told: list[TraceSums]) -> pa.Table:
    rows: dict[tuple[int, int], list[TraceSums]] = {}
    for sums in told:
        rows.setdefault((sums.start_ns, sums.length), []).append(sums)
    return pa.Table.from_pylist([_row(found) for found in rows.values()], schema=_SCHEMA)


def _row(found: list[TraceSums]) -> dict[str, object]:
    shown = [sums for sums in found if not sums.is_low]
    sums = join_sums(shown or found)
    n = max(sums.n, 1)
    return {
        "start_ns": sums.start_ns,
        "length": sums.length,
        "n": sums.n,
        "n_vetoed": sum(low.n for low in found if low.is_low) if shown else 0,
        "n_bad": sum(one.n_bad for one in found),
        "mean": sums.mean,
        "rms": sums.rms,
        "integral_mean": sums.integral_mean,
        "integral_rms": float(np.sqrt(sums.integral_squares / n)),
        "integral_min": sums.integral_min,
        "integral_max": sums.integral_max,
        "shift_mean": sums.shift_mean,
        "shift_rms": float(np.sqrt(sums.shift_squares / n)),
        "severity": max(one.severity for one in found),
    }
