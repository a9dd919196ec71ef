"""Rows out of the archive into files."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nualley.archive.appliance.files import file_path, write_events
from nualley.archive.columns import VALUE_TYPES
from nualley.archive.exporting import write_pieces
from nualley.archive.operators.calls import operate, parse_operator
from nualley.archive.operators.stretch import Stretch
from nualley.archive.reader import ArchiveReader
from nualley.core import UsageError
from nualley.pv import ValueType


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


def operated(reader: ArchiveReader, pv: str, operator: str, start_ns: int, stop_ns: int) -> Iterator[pa.Table]:
    """Let an operator of the Archiver Appliance work on a PV's samples.

    Parameters
    ----------
    reader : ArchiveReader
        The archive.
    pv : str
        Name of the PV.
    operator : str
        Such as ``mean_600``; see `nualley.archive.operators.calls.OPERATORS`.
    start_ns, stop_ns : int
        Half-open stretch [ns since 1970 UTC].

    Returns
    -------
    iterator of pyarrow.Table
        time_ns, value, severity and status.

    Raises
    ------
    OperatorError
        Where there is no such operator; while it works, where it cannot work on these values.
    """
    called = parse_operator(operator)
    return operate(called, reader.pieces(pv, start_ns, stop_ns), Stretch(start_ns, stop_ns))


def export_appliance(
    reader: ArchiveReader, pv: str, start_ns: int, stop_ns: int, folder: Path
) -> Iterator[tuple[Path, int]]:
    """Write a PV's samples as files of an Archiver Appliance, one a UTC year, where the appliance would keep them.

    Parameters
    ----------
    reader : ArchiveReader
        The archive.
    pv : str
        Name of the PV.
    start_ns, stop_ns : int
        Half-open stretch [ns since 1970 UTC].
    folder : Path
        Where; files that are there are not written over.

    Yields
    ------
    tuple of Path and int
        Each file, and how many samples are in it.

    Raises
    ------
    UsageError
        Where a file is there already, or the name cannot be that of a file below the folder.
    """
    metadata = reader.record(pv).metadata
    headers = {"EGU": metadata.unit, "PREC": str(metadata.precision or 0)} if metadata else {}
    first_ns = max(start_ns, min(reader.first_ns(pv), stop_ns - 1))
    edges_ns = np.arange(_year(first_ns), _year(stop_ns - 1) + 2).astype("datetime64[Y]")
    for year, begin, end in zip(range(_year(first_ns) + 1970, 3000), edges_ns[:-1], edges_ns[1:], strict=False):
        bounds = (int(edge.astype("datetime64[ns]").astype(np.int64)) for edge in (begin, end))
        begin_ns, end_ns = (min(max(bound, start_ns), stop_ns) for bound in bounds)
        lines, n_samples = _lines(reader, pv, year, (begin_ns, end_ns), headers)
        if n_samples:
            path = folder / file_path(pv, year)
            _write_new(path, folder, lines)
            yield path, n_samples


def _year(time_ns: int) -> int:
    return int(np.datetime64(time_ns, "ns").astype("datetime64[Y]").astype(np.int64))


def _lines(
    reader: ArchiveReader, pv: str, year: int, stretch: tuple[int, int], headers: dict[str, str]
) -> tuple[list[bytes], int]:
    start_ns, stop_ns = stretch
    table = reader.read(pv, start_ns, stop_ns)
    is_wanted = pc.and_(
        pc.equal(table["kind"].cast(pa.string()), "sample"), pc.greater_equal(table["time_ns"], start_ns)
    )
    samples = table.filter(is_wanted)
    columns = {name: samples[name].to_pylist() for name in ("time_ns", "value", "severity", "status")}
    value_type = next(kind for kind, arrow in VALUE_TYPES.items() if arrow == samples["value"].type)
    if value_type is ValueType.ENUM and reader.record(pv).value_type is not ValueType.ENUM:
        value_type = ValueType.INT64
    return list(write_events(pv, year, value_type, columns, headers)), samples.num_rows


def _write_new(path: Path, folder: Path, lines: list[bytes]) -> None:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            "the name of the PV leads out of the folder", where=str(path), do="export it as csv or parquet"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise UsageError("the file is there already", where=str(path), do="export into an empty folder") from None
