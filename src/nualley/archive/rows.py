"""Rows as tables: joined, cut to a stretch, and with connection rows put in."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive.columns import file_schema
from nualley.archive.layouts import NUMBERS
from nualley.archive.models import ConnectionRow, RowKind
from nualley.pv import ValueType

PIECE_ROWS = 200_000
"""What is long is read in pieces of about so many rows."""


def union(tables: Mapping[ValueType, Sequence[pa.Table]], value_type: ValueType) -> pa.Table:
    """Join tables of one PV.

    Parameters
    ----------
    tables : mapping of ValueType to sequence of pyarrow.Table
        By the type of their values.
    value_type : ValueType
        The type of an empty table.

    Returns
    -------
    pyarrow.Table
        Where the PV changed its type, values are float64 where all are numbers, else text.
    """
    if not tables:
        return file_schema(value_type).empty_table()
    if len(tables) == 1:
        ((found, parts),) = tables.items()
        return pa.concat_tables([part.cast(file_schema(found)) for part in parts])
    common = common_type(tables)
    return pa.concat_tables([convert(part, common) for parts in tables.values() for part in parts])


def common_type(value_types: Collection[ValueType]) -> ValueType:
    """Return the type that all of some types can be shown as: their own, float64 for numbers, else text."""
    if len(set(value_types)) == 1:
        return next(iter(value_types))
    return ValueType.FLOAT64 if NUMBERS.issuperset(value_types) else ValueType.STRING


def convert(table: pa.Table, value_type: ValueType) -> pa.Table:
    """Return rows with values of another type: numbers as float64, anything as text."""
    schema = file_schema(value_type)
    column = table["value"]
    if pa.types.is_list(column.type):
        column = pa.chunked_array([pa.array([None if item is None else repr(item) for item in column.to_pylist()])])
    values = column.cast(schema.field("value").type)
    return table.set_column(table.schema.get_field_index("value"), "value", values).cast(schema)


def _receipts(table: pa.Table) -> NDArray[np.int64]:
    """Return what rows of one moment are ordered by: a sample that lost its receipt number stays where it is."""
    return np.asarray(pc.fill_null(pc.fill_null_forward(table["seq"]), -1).to_numpy(), dtype=np.int64)


def in_order(table: pa.Table) -> pa.Table:
    """Return rows by time, and those of one moment in the order of their receipt."""
    order = np.lexsort((_receipts(table), table["time_ns"].to_numpy()))
    return table.take(pa.array(order))


def narrow(table: pa.Table, start_ns: int, stop_ns: int) -> pa.Table:
    """Leave out of rows by time what `cut` would: quick, for the one table that a row group is."""
    times_ns = table["time_ns"].to_numpy()
    first, stop = np.searchsorted(times_ns, start_ns, side="right"), np.searchsorted(times_ns, stop_ns, side="left")
    kinds = table["kind"].slice(0, int(first)).combine_chunks()
    earlier = np.flatnonzero(kinds.indices.to_numpy() == kinds.dictionary.index("sample").as_py())
    begin = earlier[-1] if earlier.size else np.searchsorted(times_ns, start_ns, side="left")
    return table.slice(int(begin), int(max(stop - begin, first - begin, 0)))


def relevant(tables: Mapping[ValueType, Sequence[pa.Table]], start_ns: int) -> dict[ValueType, list[pa.Table]]:
    """Leave out what is older than the last sample at or before the start: it may be of a type that the PV had then."""
    if len(tables) < 2:
        return {value_type: list(parts) for value_type, parts in tables.items()}
    last_ns = max((last_sample_ns(part, start_ns) for parts in tables.values() for part in parts), default=-(2**63))
    found: dict[ValueType, list[pa.Table]] = {}
    for value_type, parts in tables.items():
        left = [part.filter(pc.greater_equal(part["time_ns"], last_ns)) for part in parts]
        if any(part.num_rows for part in left):
            found[value_type] = left
    return found


def last_sample_ns(table: pa.Table, time_ns: int) -> int:
    """Return the time of the last sample at or before a time [ns since 1970 UTC]; before all times without one."""
    times_ns = table["time_ns"].to_numpy()
    is_sample = table["kind"].cast(pa.string()).to_numpy() == "sample"
    return int(times_ns[is_sample & (times_ns <= time_ns)].max(initial=-(2**63)))


def cut(table: pa.Table, start_ns: int, stop_ns: int) -> pa.Table:
    """Sort rows by time and keep those of ``[start_ns, stop_ns)`` and the last sample at or before the start."""
    if not table.num_rows:
        return table
    times_ns, seqs = table["time_ns"].to_numpy(), _receipts(table)
    is_rising = (times_ns[1:] > times_ns[:-1]) | ((times_ns[1:] == times_ns[:-1]) & (seqs[1:] >= seqs[:-1]))
    if is_rising.all():
        return narrow(table, start_ns, stop_ns)  # as most are: no copy is made
    return narrow(table.take(pa.array(np.lexsort((seqs, times_ns)))), start_ns, stop_ns)


def add_connections(table: pa.Table, rows: Sequence[ConnectionRow]) -> pa.Table:
    """Put connection rows into a table where they are not there yet."""
    if not rows:
        return table
    present = table.filter(pc.not_equal(table["kind"].cast(pa.string()), "sample"))
    kinds = present["kind"].cast(pa.string()).to_pylist()
    known = set(zip(present["time_ns"].to_pylist(), present["seq"].to_pylist(), kinds, strict=True))
    added = [row for row in rows if (row.time_ns, row.seq, row.kind.name.lower()) not in known]
    if not added:
        return table
    joined = pa.concat_tables([table, _connection_table(added, table.schema)])
    order = np.lexsort((_receipts(joined), joined["time_ns"].to_numpy()))
    return joined.take(pa.array(order))


def _connection_table(rows: Iterable[ConnectionRow], schema: pa.Schema) -> pa.Table:
    found = [
        {
            "pv": row.pv,
            "time_ns": row.time_ns,
            "protocol": row.protocol,
            "received_ns": row.time_ns,
            "seq": row.seq,
            "kind": RowKind(row.kind).name.lower(),
            "last_heard_ns": row.last_heard_ns,
        }
        for row in rows
    ]
    columns = [pa.array([row.get(field.name) for row in found], type=_plain_type(field.type)) for field in schema]
    return pa.table(dict(zip(schema.names, columns, strict=True))).cast(schema)


def _plain_type(arrow_type: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(arrow_type) else arrow_type
