"""Rows out of the archive into files."""

from collections.abc import Iterable
from typing import IO, Any, Literal

from nualley.archive.exporting import write_pieces
from nualley.archive.reader import ArchiveReader


def export_rows(
    reader: ArchiveReader,
    pv: str,
    pieces: Iterable[Any],
    *,
    file_format: Literal["csv", "arrow", "parquet"],
    sink: IO[bytes],
) -> int:
    """Write rows or bins of a PV as a file that says whose they are, and return how many there were.

    Parameters
    ----------
    reader : ArchiveReader
        Knows the PV's unit.
    pv : str
        Its name.
    pieces : iterable of pyarrow.Table
        The rows, one piece after the other.
    file_format : {"csv", "arrow", "parquet"}
        Of the file.
    sink : binary file
        Where it goes.
    """
    metadata = reader.record(pv).metadata
    return write_pieces(pieces, file_format, sink, {"pv": pv, "unit": metadata.unit if metadata else ""})
