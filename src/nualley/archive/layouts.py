"""How the archive's Parquet files look: columns and encodings of rows, of what is kept for good, and of cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive.cells import CELL_COLUMNS, Cells
from nualley.archive.columns import file_schema
from nualley.archive.sealed import TIERS, Encoding, Level
from nualley.pv import ValueType

MILLISECOND_NS = 1_000_000
NUMBERS = frozenset({ValueType.FLOAT64, ValueType.INT64, ValueType.ENUM})
"""Types of which there are cells."""

_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
_CELL_TYPES: Mapping[str, pa.DataType] = {
    **dict.fromkeys(("start_ns", "n", "n_good", "first_ns", "last_ns", "min_ns", "max_ns"), pa.int64()),
    **dict.fromkeys(("min", "max", "sum", "sumsq", "first", "last", "integral", "bad_s"), pa.float64()),
    "holds": pa.bool_(),
    "severity": pa.int8(),
}
CELL_SCHEMA = pa.schema(
    [
        pa.field("pv", _DICTIONARY, nullable=False),
        *(pa.field(name, _CELL_TYPES[name], nullable=False) for name in CELL_COLUMNS if name != "stop_ns"),
    ]
)
"""Columns of a file of cells; where no value is good, the values are NaN and their times 0."""

WAVES = frozenset({ValueType.FLOAT64_ARRAY, ValueType.FLOAT32_ARRAY, ValueType.INT32_ARRAY})
"""Types of which there are averages of minutes."""

_TRACE = pa.list_(pa.float64())
_WAVE_TYPES: Mapping[str, pa.DataType] = {
    "start_ns": pa.int64(),
    "length": pa.int32(),
    "is_low": pa.bool_(),
    "n": pa.int64(),
    "n_bad": pa.int64(),
    "first_ns": pa.int64(),
    "last_ns": pa.int64(),
    "mean": _TRACE,
    "squares": _TRACE,
    "integral_mean": pa.float64(),
    "integral_squares": pa.float64(),
    "integral_min": pa.float64(),
    "integral_max": pa.float64(),
    "shift_mean": pa.float64(),
    "shift_squares": pa.float64(),
    "severity": pa.int8(),
}
WAVE_SCHEMA = pa.schema(
    [
        pa.field("pv", _DICTIONARY, nullable=False),
        *(pa.field(name, found, nullable=False) for name, found in _WAVE_TYPES.items()),
    ]
)
"""Columns of a file of averages: the fields of `nualley.physics.TraceSums`."""

_VALUES_OF_CELLS = ("min", "max", "first", "last")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the files of one kind look.

    Parameters
    ----------
    schema : pyarrow.Schema
        Their columns.
    time_column : str
        The one they are sorted by, after the PV.
    dictionary : tuple of str
        Columns written as dictionaries.
    encodings : mapping of str to str
        Parquet encodings of other columns.
    """

    schema: pa.Schema
    time_column: str
    dictionary: tuple[str, ...]
    encodings: Mapping[str, str]


def layout(
    level: Level, value_type: ValueType, encoding: Encoding = Encoding.DICTIONARY, *, is_lasting: bool = False
) -> Layout:
    """Return how a file is written.

    Parameters
    ----------
    level : Level
        What its rows are.
    value_type : ValueType
        What its values are.
    encoding : Encoding
        How its values are written.
    is_lasting : bool
        Whether rows are kept for good: their receipt to the millisecond, and without the receipt numbers of samples.
    """
    is_dictionary = encoding is Encoding.DICTIONARY
    if level in TIERS:
        deltas = [field.name for field in CELL_SCHEMA if field.type == pa.int64()]
        split = ["sumsq", "integral", "bad_s", *([] if is_dictionary else [*_VALUES_OF_CELLS, "sum"])]
        return Layout(
            schema=CELL_SCHEMA,
            time_column="start_ns",
            dictionary=("pv", "severity", *(_VALUES_OF_CELLS if is_dictionary else ())),
            encodings={**dict.fromkeys(deltas, "DELTA_BINARY_PACKED"), **dict.fromkeys(split, "BYTE_STREAM_SPLIT")},
        )
    if level is Level.WAVE:
        # averages have all bits of a float64: nothing repeats, bytes of one place are alike
        return Layout(
            schema=WAVE_SCHEMA,
            time_column="start_ns",
            dictionary=("pv", "severity", "length"),
            encodings={
                **dict.fromkeys(("start_ns", "n", "n_bad", "first_ns", "last_ns"), "DELTA_BINARY_PACKED"),
                **dict.fromkeys(("mean.list.element", "squares.list.element"), "BYTE_STREAM_SPLIT"),
            },
        )
    deltas = ["time_ns", "seq", *([] if is_lasting else ["received_ns"])]
    items = "value.list.element" if pa.types.is_list(_value_type(value_type)) else "value"
    dictionary = ["pv", "kind", "protocol", "severity", "status", *(["latency_ms"] if is_lasting else [])]
    return Layout(
        schema=_lasting_schema(value_type) if is_lasting else file_schema(value_type, is_quarantine=_is_refused(level)),
        time_column="time_ns",
        dictionary=(*dictionary, *([items] if is_dictionary else [])),
        encodings={
            **dict.fromkeys(deltas, "DELTA_BINARY_PACKED"),
            **({} if is_dictionary else {items: "BYTE_STREAM_SPLIT"}),
        },
    )


def can_split(value_type: ValueType) -> bool:
    """Say whether values have bytes to split: numbers and arrays of them."""
    return value_type not in (ValueType.STRING, ValueType.STRING_ARRAY)


def _is_refused(level: Level) -> bool:
    return level is Level.QUARANTINE


def _value_type(value_type: ValueType) -> pa.DataType:
    return file_schema(value_type).field("value").type


def _lasting_schema(value_type: ValueType) -> pa.Schema:
    fields = [
        pa.field("latency_ms", pa.int64(), nullable=False) if field.name == "received_ns" else field
        for field in file_schema(value_type)
    ]
    return pa.schema(fields)


def to_lasting(table: pa.Table, value_type: ValueType) -> pa.Table:
    """Turn rows into what is kept of them for good.

    Parameters
    ----------
    table : pyarrow.Table
        Rows with the columns of `file_schema`.
    value_type : ValueType
        What the values are.

    Returns
    -------
    pyarrow.Table
        With ``latency_ms`` instead of ``received_ns``: receipt after the stamp, rounded down to the millisecond; the
        receipt number is null for samples.
    """
    latency_ms = (table["received_ns"].to_numpy() - table["time_ns"].to_numpy()) // MILLISECOND_NS
    is_sample = pc.equal(table["kind"].cast(pa.string()), "sample")
    seq = pc.if_else(is_sample, pa.scalar(None, pa.int64()), table["seq"])
    columns = {"latency_ms": pa.array(latency_ms), "seq": seq}
    schema = _lasting_schema(value_type)
    return pa.table([columns[name] if name in columns else table[name] for name in schema.names], schema=schema)


def from_lasting(table: pa.Table, value_type: ValueType) -> pa.Table:
    """Return rows with the columns of `file_schema`, whether they were kept for good or not."""
    if "latency_ms" not in table.schema.names:
        return table
    received_ns = table["time_ns"].to_numpy() + table["latency_ms"].to_numpy() * MILLISECOND_NS
    schema = file_schema(value_type)
    columns = {"received_ns": pa.array(received_ns)}
    return pa.table([columns[name] if name in columns else table[name] for name in schema.names], schema=schema)


def cells_table(cells: Cells, pvs: Sequence[str], number: NDArray[np.integer]) -> pa.Table:
    """Turn cells into the columns of their file.

    Parameters
    ----------
    cells : Cells
        By PV and time.
    pvs : sequence of str
        Names.
    number : ndarray of int32, shape (n,)
        Which of them each cell belongs to.
    """
    columns = [
        pa.DictionaryArray.from_arrays(pa.array(number.astype(np.int32)), pa.array(list(pvs), pa.string()))
        if field.name == "pv"
        else pa.array(getattr(cells, field.name))
        for field in CELL_SCHEMA
    ]
    return pa.table(columns, schema=CELL_SCHEMA)


def cells_from_table(table: pa.Table, width_ns: int) -> Cells:
    """Return the cells of a table of one PV."""
    columns = {
        name: table[name].to_numpy(zero_copy_only=False) if name == "holds" else table[name].to_numpy()
        for name in CELL_COLUMNS
        if name != "stop_ns"
    }
    return Cells(stop_ns=columns["start_ns"] + width_ns, **columns)
