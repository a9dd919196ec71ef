"""The archive's columns in Arrow: as the log holds them, and as the files and readers show them."""

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nualley.archive.models import ConnectionRow, RowKind
from nualley.pv import Samples, ValueType

VALUE_TYPES: Mapping[ValueType, pa.DataType] = {
    ValueType.FLOAT64: pa.float64(),
    ValueType.INT64: pa.int64(),
    ValueType.STRING: pa.string(),
    ValueType.ENUM: pa.int32(),
    ValueType.FLOAT64_ARRAY: pa.list_(pa.float64()),
    ValueType.FLOAT32_ARRAY: pa.list_(pa.float32()),
    ValueType.INT32_ARRAY: pa.list_(pa.int32()),
    ValueType.STRING_ARRAY: pa.list_(pa.string()),
}
_LARGEST_FLOAT = int(sys.float_info.max)
_INTEGER_LIMITS = {ValueType.INT64: 2**63, ValueType.ENUM: 2**31}
KINDS = tuple(kind.name.lower() for kind in RowKind)

_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
_SMALL_DICTIONARY = pa.dictionary(pa.int8(), pa.string())


class LogRow(NamedTuple):
    """One row of the log; its fields are the columns of `log_schema`."""

    pv: int
    time_ns: int
    protocol: str
    received_ns: int
    seq: int
    kind: RowKind
    value: object = None
    severity: int | None = None
    status: int | None = None
    last_heard_ns: int | None = None


def log_schema(value_type: ValueType, *, is_quarantine: bool = False) -> pa.Schema:
    """Return the columns of a batch in the log: PVs and kinds as codes."""
    fields = [
        pa.field("pv", pa.int32(), nullable=False),
        pa.field("time_ns", pa.int64(), nullable=False),
        pa.field("value", VALUE_TYPES[value_type]),
        pa.field("severity", pa.int8()),
        pa.field("status", pa.int16()),
        pa.field("protocol", pa.string(), nullable=False),
        pa.field("received_ns", pa.int64(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("kind", pa.int8(), nullable=False),
        pa.field("last_heard_ns", pa.int64()),
    ]
    if is_quarantine:
        fields.append(pa.field("reason", pa.string(), nullable=False))
    return pa.schema(fields)


def file_schema(value_type: ValueType, *, is_quarantine: bool = False) -> pa.Schema:
    """Return the columns of a Parquet file and of every table that a reader gets: names instead of codes."""
    shown = {"pv": _DICTIONARY, "protocol": _SMALL_DICTIONARY, "kind": _SMALL_DICTIONARY}
    return pa.schema(
        [
            # what is kept for good has no receipt numbers of samples
            pa.field(field.name, shown.get(field.name, field.type), nullable=field.nullable or field.name == "seq")
            for field in log_schema(value_type, is_quarantine=is_quarantine)
        ]
    )


def is_storable(value: object, value_type: ValueType) -> bool:
    """Say whether a column can hold a value: numbers of its width, text that UTF-8 can write.

    Examples
    --------
    >>> is_storable(2**70, ValueType.INT64), is_storable("ν", ValueType.STRING)
    (False, True)
    """
    if value_type is ValueType.FLOAT64:
        return isinstance(value, float | np.floating) or (isinstance(value, int) and abs(value) <= _LARGEST_FLOAT)
    if value_type in _INTEGER_LIMITS:
        limit = _INTEGER_LIMITS[value_type]
        return isinstance(value, int) and -limit <= value < limit
    if value_type is ValueType.STRING:
        return isinstance(value, str) and _is_utf8(value)
    if value_type is ValueType.STRING_ARRAY:
        return isinstance(value, list) and all(isinstance(item, str) and _is_utf8(item) for item in value)
    return True


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def value_array(values: Sequence[object], value_type: ValueType) -> pa.Array:
    """Turn a column of values into Arrow; None becomes null.

    Parameters
    ----------
    values : sequence
        Numbers, texts, arrays or None.
    value_type : ValueType
        What they are.

    Returns
    -------
    pyarrow.Array
        Of the type in `VALUE_TYPES`.
    """
    arrow_type = VALUE_TYPES[value_type]
    if not pa.types.is_list(arrow_type) or value_type is ValueType.STRING_ARRAY:
        return pa.array(values, type=arrow_type, from_pandas=False)
    item_type = arrow_type.value_type.to_pandas_dtype()
    arrays = [np.asarray([] if value is None else value, dtype=item_type).ravel() for value in values]
    offsets = np.zeros(len(arrays) + 1, dtype=np.int32)
    np.cumsum([len(array) for array in arrays], out=offsets[1:])
    items = np.concatenate(arrays) if arrays else np.empty(0, dtype=item_type)
    missing = np.fromiter((value is None for value in values), dtype=bool, count=len(values))
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(items), type=arrow_type, mask=pa.array(missing) if missing.any() else None
    )


def log_batch(rows: Sequence[LogRow], value_type: ValueType, reasons: Sequence[str] | None = None) -> pa.RecordBatch:
    """Turn rows into a batch of the log.

    Parameters
    ----------
    rows : sequence of LogRow
        In the order of their receipt.
    value_type : ValueType
        What their values are.
    reasons : sequence of str, optional
        Why each was refused: makes it a batch of quarantined samples.
    """
    schema = log_schema(value_type, is_quarantine=reasons is not None)
    columns = dict(zip(LogRow._fields, zip(*rows, strict=True), strict=True))
    if reasons is not None:
        columns["reason"] = tuple(reasons)
    arrays = [
        value_array(columns[field.name], value_type)
        if field.name == "value"
        else pa.array(columns[field.name], type=field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def number_batch(samples: Samples, rows: NDArray[np.intp], codes: NDArray[np.int32], first_seq: int) -> pa.RecordBatch:
    """Turn samples that are numbers into a batch of the log.

    Parameters
    ----------
    samples : Samples
        A source's batch.
    rows : ndarray of int, shape (n,)
        Which of them, rising.
    codes : ndarray of int32, shape (n,)
        PV of each of these.
    first_seq : int
        Receipt number of the first of these; the others follow.
    """
    n = rows.size
    columns = {
        "pv": pa.array(codes),
        "time_ns": pa.array(samples.time_ns[rows]),
        "value": pa.array(samples.value[rows]).cast(VALUE_TYPES[samples.value_type]),
        "severity": pa.array(samples.severity[rows]),
        "status": pa.array(samples.status[rows]),
        "protocol": pa.repeat(pa.scalar(str(samples.protocol), pa.string()), n),
        "received_ns": pa.array(samples.received_ns[rows]),
        "seq": pa.array(np.arange(first_seq, first_seq + n, dtype=np.int64)),
        "kind": pa.array(np.full(n, RowKind.SAMPLE, dtype=np.int8)),
        "last_heard_ns": pa.nulls(n, pa.int64()),
    }
    schema = log_schema(samples.value_type)
    return pa.RecordBatch.from_arrays([columns[field.name] for field in schema], schema=schema)


def joined_batch(parts: Sequence[LogRow | pa.RecordBatch], value_type: ValueType) -> pa.RecordBatch:
    """Join rows and batches, in their order, into one batch of the log."""
    batches = []
    for is_batch, group in itertools.groupby(parts, key=lambda part: isinstance(part, pa.RecordBatch)):
        found: list[Any] = list(group)
        batches += found if is_batch else [log_batch(found, value_type)]
    if len(batches) == 1:
        return batches[0]
    (joined,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return joined


def connection_batch(rows: Iterable[tuple[int, ConnectionRow]], value_type: ValueType) -> pa.RecordBatch:
    """Turn connection rows, each with its PV's code, into a batch of the log."""
    return log_batch(
        [
            LogRow(
                pv=code,
                time_ns=row.time_ns,
                protocol=row.protocol,
                received_ns=row.time_ns,
                seq=row.seq,
                kind=row.kind,
                last_heard_ns=row.last_heard_ns,
            )
            for code, row in rows
        ],
        value_type,
    )


def table_from_log(
    batches: Sequence[pa.RecordBatch], names: Mapping[int, str], value_type: ValueType, *, is_quarantine: bool = False
) -> pa.Table:
    """Turn batches of the log into the columns that files and readers have.

    Parameters
    ----------
    batches : sequence of pyarrow.RecordBatch
        Of one type, with PV codes.
    names : mapping of int to str
        PV code -> name; every code of the batches is in it.
    value_type : ValueType
        What the values are.
    is_quarantine : bool
        Whether the batches have a column ``reason``.

    Returns
    -------
    pyarrow.Table
        In the order of the batches.
    """
    table = pa.Table.from_batches(batches, schema=log_schema(value_type, is_quarantine=is_quarantine))
    codes, indices = np.unique(table["pv"].to_numpy(), return_inverse=True)
    columns = {
        "pv": pa.DictionaryArray.from_arrays(
            pa.array(indices.astype(np.int32)), pa.array([names[int(code)] for code in codes], pa.string())
        ),
        "protocol": table["protocol"].dictionary_encode().cast(_SMALL_DICTIONARY),
        "kind": pa.DictionaryArray.from_arrays(
            pa.array(table["kind"].to_numpy().astype(np.int8)), pa.array(KINDS, pa.string())
        ),
    }
    schema = file_schema(value_type, is_quarantine=is_quarantine)
    return pa.table([columns.get(name, table[name]) for name in schema.names], schema=schema)
