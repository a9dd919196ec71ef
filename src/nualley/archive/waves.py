"""Arrays of numbers, averaged over minutes: from rows to sums, and sums as the columns of their files."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive.layouts import WAVE_SCHEMA
from nualley.core import MINUTE_NS
from nualley.physics import VETO_FRACTION, TraceRule, TraceSums, join_minute, sum_traces

Rules = Mapping[str, TraceRule]
"""How arrays of some PVs are averaged; those of a PV that is not in it are not."""

NO_RULES: Rules = {}
_GROUP_B = 4 * 2**20
_NAMES = tuple(field.name for field in fields(TraceSums))


def wave_table(table: pa.Table, rules: Rules) -> pa.Table:
    """Average the samples of a table.

    Parameters
    ----------
    table : pyarrow.Table
        Rows with lists of numbers and the columns pv, time_ns, value, severity and kind, by PV and time.
    rules : mapping of str to TraceRule
        How; other PVs are left out.

    Returns
    -------
    pyarrow.Table
        Columns of `WAVE_SCHEMA`, by PV and minute; empty where nothing is averaged.
    """
    parts = [sums_table(pv, sums_of_samples(_samples(rows), rules[pv])) for pv, rows in _runs(table) if pv in rules]
    return pa.concat_tables(parts).unify_dictionaries() if parts else WAVE_SCHEMA.empty_table()


def _runs(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    column = table["pv"].combine_chunks()
    codes = column.indices.to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), codes.size]
    for start, stop in itertools.pairwise(edges if codes.size else ()):
        yield column.dictionary[int(codes[start])].as_py(), table.slice(start, stop - start)


def _samples(rows: pa.Table) -> pa.Table:
    is_sample = pc.equal(rows["kind"].cast(pa.string()), "sample")
    # arrays are large: they are copied only where there is something to leave out
    return rows if pc.all(is_sample).as_py() else rows.filter(is_sample)


def sums_of_samples(samples: pa.Table, rule: TraceRule) -> list[TraceSums]:
    """Average samples of one PV, by minute.

    Parameters
    ----------
    samples : pyarrow.Table
        Columns time_ns, value (lists of numbers) and severity, by time. A null list counts as an empty one.
    rule : TraceRule
        How.
    """
    if not samples.num_rows:
        return []
    times_ns = samples["time_ns"].to_numpy()
    severity = pc.fill_null(samples["severity"], 3).to_numpy().astype(np.int8)
    column = samples["value"].combine_chunks()
    lists = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = lists.flatten().to_numpy(zero_copy_only=False)
    offsets = np.append(0, np.cumsum(lengths))
    minutes = times_ns // MINUTE_NS
    found: list[TraceSums] = []
    for minute in np.unique(minutes):
        of_minute = np.flatnonzero(minutes == minute)
        for length in np.unique(lengths[of_minute]):
            rows = of_minute[lengths[of_minute] == length]
            found += sum_traces(
                times_ns[rows],
                severity[rows],
                _block(values, offsets[rows], int(length)),
                start_ns=int(minute) * MINUTE_NS,
                rule=rule,
            )
    return found


def _block(values: NDArray[Any], starts: NDArray[np.int64], length: int) -> NDArray[Any]:
    first, n = int(starts[0]), starts.size
    if int(starts[-1]) - first == (n - 1) * length:  # one behind the other: nothing is copied
        return np.asarray(values[first : first + n * length].reshape(n, length))
    return np.asarray(values[starts[:, None] + np.arange(length)])


def sums_table(pv: str, sums: Sequence[TraceSums]) -> pa.Table:
    """Return sums of one PV, by minute, as the columns of their file."""
    columns: list[pa.Array] = []
    for field in WAVE_SCHEMA:
        if field.name == "pv":
            codes = pa.array(np.zeros(len(sums), dtype=np.int32))
            columns.append(pa.DictionaryArray.from_arrays(codes, pa.array([pv], pa.string())))
        elif pa.types.is_list(field.type):
            arrays = [getattr(one, field.name) for one in sums]
            offsets = np.append(0, np.cumsum([array.size for array in arrays])).astype(np.int32)
            values = np.concatenate([np.empty(0), *arrays])
            columns.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), type=field.type))
        else:
            columns.append(pa.array([getattr(one, field.name) for one in sums], field.type))
    return pa.table(columns, schema=WAVE_SCHEMA)


def sums_from_table(table: pa.Table) -> list[TraceSums]:
    """Return what a table of one PV tells."""
    columns = {name: table[name].to_pylist() for name in _NAMES if name not in {"mean", "squares"}}
    lists = {name: _arrays(table[name]) for name in ("mean", "squares")}
    return [
        TraceSums(**{name: column[row] for name, column in (columns | lists).items()}) for row in range(table.num_rows)
    ]


def _arrays(column: pa.ChunkedArray) -> list[NDArray[np.float64]]:
    return [item.values.to_numpy() for chunk in column.chunks for item in chunk]


def joined_minutes(tables: Iterable[pa.Table], veto_fraction: float = VETO_FRACTION) -> Iterator[list[TraceSums]]:
    """Join averages of one PV minute by minute, without holding more of them than lie between each other.

    Parameters
    ----------
    tables : iterable of pyarrow.Table
        Columns of `WAVE_SCHEMA`; by the minute in which each begins.
    veto_fraction : float
        Part of the others' integral below which sums are kept apart.

    Yields
    ------
    list of TraceSums
        Those of some minutes, by time; never empty.
    """
    waiting: dict[int, list[TraceSums]] = {}
    for table in tables:
        sums = sums_from_table(table)
        if not sums:
            continue
        # nothing that follows begins earlier than this table does
        yield from _ready(waiting, sums[0].start_ns, veto_fraction)
        for one in sums:
            waiting.setdefault(one.start_ns, []).append(one)
    yield from _ready(waiting, 2**63, veto_fraction)


def _ready(waiting: dict[int, list[TraceSums]], before_ns: int, veto_fraction: float) -> Iterator[list[TraceSums]]:
    minutes = sorted(minute for minute in waiting if minute < before_ns)
    if minutes:
        yield [joined for minute in minutes for joined in join_minute(waiting.pop(minute), veto_fraction)]


def wave_groups(parts: Iterable[list[TraceSums]], pv: str) -> Iterator[pa.Table]:
    """Put averages of one PV into tables of a few MiB, each a row group."""
    pending: list[TraceSums] = []
    size_B = 0
    for part in parts:
        for one in part:
            pending.append(one)
            size_B += one.mean.nbytes + one.squares.nbytes
            if size_B >= _GROUP_B:
                yield sums_table(pv, pending)
                pending, size_B = [], 0
    if pending:
        yield sums_table(pv, pending)
