"""Rows out of the archive: piece by piece as CSV, Arrow or Parquet, never all of them in memory."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

FileFormat: TypeAlias = Literal["csv", "arrow", "parquet"]
"""CSV as RFC 4180 has it, an Arrow IPC stream, or Parquet."""


def write_pieces(pieces: Iterable[pa.Table], file_format: FileFormat, sink: IO[bytes], about: Mapping[str, str]) -> int:
    """Write tables one after the other as one file.

    Parameters
    ----------
    pieces : iterable of pyarrow.Table
        At least one; all with the same columns.
    file_format : {"csv", "arrow", "parquet"}
        Of the file.
    sink : binary file
        Where it goes.
    about : mapping of str to str
        Kept as metadata of the schema, where the format has any.

    Returns
    -------
    int
        Rows written.
    """
    return _WRITERS[file_format](iter(pieces), sink, about)


def _write_csv(pieces: Iterable[pa.Table], sink: IO[bytes], about: Mapping[str, str]) -> int:  # noqa: ARG001  # as the others
    n_rows = 0
    for number, piece in enumerate(pieces):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if number == 0:
            writer.writerow(piece.schema.names)
        columns = [[_csv_value(value) for value in piece[name].to_pylist()] for name in piece.schema.names]
        writer.writerows(zip(*columns, strict=True))
        sink.write(text.getvalue().encode())
        n_rows += piece.num_rows
    return n_rows


def _csv_value(value: Any) -> object:
    # floats by repr: the shortest text that reads back as the same number
    return json.dumps(value) if isinstance(value, list) else repr(value) if isinstance(value, float) else value


def _write_arrow(pieces: Iterable[pa.Table], sink: IO[bytes], about: Mapping[str, str]) -> int:
    def begin(schema: pa.Schema) -> Any:
        return pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True))

    return _write_tables(pieces, begin, about)


def _write_parquet(pieces: Iterable[pa.Table], sink: IO[bytes], about: Mapping[str, str]) -> int:
    return _write_tables(pieces, lambda schema: pq.ParquetWriter(sink, schema, compression="zstd"), about)


def _write_tables(pieces: Iterable[pa.Table], begin: Callable[[pa.Schema], Any], about: Mapping[str, str]) -> int:
    writer, n_rows = None, 0
    for piece in pieces:
        # words instead of dictionaries: these differ from piece to piece
        plain = _without_dictionaries(piece)
        if writer is None:
            writer = begin(plain.schema.with_metadata(dict(about)))
        writer.write_table(plain.replace_schema_metadata(dict(about)))
        n_rows += plain.num_rows
    if writer is not None:
        writer.close()
    return n_rows


def _without_dictionaries(table: pa.Table) -> pa.Table:
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


_WRITERS: Mapping[str, Callable[[Iterable[pa.Table], IO[bytes], Mapping[str, str]], int]] = {
    "csv": _write_csv,
    "arrow": _write_arrow,
    "parquet": _write_parquet,
}
