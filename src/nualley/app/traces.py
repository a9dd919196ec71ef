"""Averages of arrays over minutes as a table, and pictures of a run's trace."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from nualley.app.archive_plan import read_plan
from nualley.app.beam import check_picture
from nualley.app.site import Site
from nualley.app.trace_rules import declared_rule, trace_rules
from nualley.archive.layouts import WAVES
from nualley.archive.reader import ArchiveReader
from nualley.archive.trace_reader import sums_of_table
from nualley.core import MINUTE_NS, NualleyError, UsageError, reason
from nualley.exposure import RunTiming, RunTrace
from nualley.exposure.adapters.trace_figure import draw_trace
from nualley.physics import TraceRule, TraceSums, join_sums

_WINDOW_NS = 60 * MINUTE_NS
_PIECE_NS = 2 * MINUTE_NS
"""Arrays of so long are in memory at once: of 60 Hz times 2000 float32, 58 MB [ns]."""

MINUTE_COLUMNS = (
    *("start_ns", "length", "n", "n_vetoed", "n_bad", "mean", "rms", "integral_mean", "integral_rms", "integral_min"),
    *("integral_max", "shift_mean", "shift_rms", "severity"),
)
"""What is shown of the arrays of a minute."""

_TYPES = {
    **dict.fromkeys(("start_ns", "length", "n", "n_vetoed", "n_bad"), pa.int64()),
    **dict.fromkeys(("mean", "rms"), pa.list_(pa.float64())),
    "severity": pa.int8(),
}
_SCHEMA = pa.schema([pa.field(name, _TYPES.get(name, pa.float64())) for name in MINUTE_COLUMNS])


def minute_tables(site: Site, pv: str, start_ns: int, stop_ns: int) -> Iterator[pa.Table]:
    """Return the averages of a PV's arrays over minutes, in pieces.

    Parameters
    ----------
    site : Site
        The experiment.
    pv : str
        Name of the PV.
    start_ns, stop_ns : int
        Half-open stretch [ns since 1970 UTC]; a minute that begins in it is told of as a whole.

    Returns
    -------
    iterator of pyarrow.Table
        `MINUTE_COLUMNS`, at least one table. Minutes of which nothing is kept are averaged from the samples, as far as
        these are there.

    Raises
    ------
    PvNotArchivedError
        Where the archive does not know the PV.
    UsageError
        Where its values are no arrays of numbers.
    """
    reader = site.archive()
    value_type = reader.record(pv).value_type
    if value_type is not None and value_type not in WAVES:
        raise UsageError(
            f"{pv} holds {value_type}, averages are made of arrays of numbers",
            where=pv,
            do="nualley archive get shows its values",
        )
    rule = trace_rules(read_plan(site).plan).get(pv) or declared_rule(site.configuration, pv)
    return _tables(reader, pv, -(-start_ns // MINUTE_NS) * MINUTE_NS, stop_ns, rule)


def _tables(reader: ArchiveReader, pv: str, start_ns: int, stop_ns: int, rule: TraceRule) -> Iterator[pa.Table]:
    yield _SCHEMA.empty_table()
    stop_ns = -(-stop_ns // MINUTE_NS) * MINUTE_NS
    for begin_ns in range(max(start_ns, _first_ns(reader, pv)), stop_ns, _WINDOW_NS):
        end_ns = min(begin_ns + _WINDOW_NS, stop_ns)
        if not reader.count_rows(pv, begin_ns, end_ns) + reader.traces.count_minutes(pv, begin_ns, end_ns):
            continue
        told = reader.traces.minutes(pv, begin_ns, end_ns, recent=rule)
        for first_ns, last_ns in _untold(told, begin_ns, end_ns):
            if reader.has_rows(pv, first_ns, last_ns):
                told += sums_of_table(reader.read(pv, first_ns, last_ns), (first_ns, last_ns), rule)
        if told:
            yield _table(sorted(told, key=lambda sums: (sums.start_ns, sums.length, sums.is_low)))


def _first_ns(reader: ArchiveReader, pv: str) -> int:
    kept = reader.traces.first_ns(pv)
    first_ns = min(reader.first_ns(pv), reader.first_ns(pv) if kept is None else kept)
    return first_ns // MINUTE_NS * MINUTE_NS


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


def draw_run_trace(site: Site, trace: RunTrace, out: Path, timing: RunTiming | None = None) -> None:
    """Draw the average trace of a run.

    Parameters
    ----------
    site : Site
        The experiment: its name stands above the picture.
    trace : RunTrace
        The trace.
    out : Path
        The picture; its ending says which kind.
    timing : RunTiming, optional
        When neutrinos arrive.

    Raises
    ------
    UsageError
        Where it cannot become a picture: its ending, its folder, or it is a folder itself.
    NualleyError
        Where the picture cannot be written.
    """
    check_picture(out)
    title = f"{site.configuration.experiment.name}: POT trace of {trace.run_id}"
    try:
        draw_trace(trace, out, timing=timing, title=title)
    except OSError as error:
        raise NualleyError(
            f"the picture cannot be written: {reason(error)}", where=str(out), do="name another file with --out"
        ) from error
