"""Rows out of the archive into files."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive.appliance.answers import SLICE_ROWS, headers
from nualley.archive.appliance.messages import PayloadType
from nualley.archive.appliance.writing import event_lines, file_path, info_line, payload_of, years_of
from nualley.archive.bins import moved_edges
from nualley.archive.exporting import write_pieces
from nualley.archive.operators.calls import parse_operator
from nualley.archive.operators.filling import HAS_SAMPLES
from nualley.archive.operators.quick import Source, work
from nualley.archive.operators.stretch import COLUMNS, Stretch, samples_of
from nualley.archive.reader import ArchiveReader
from nualley.archive.rows import PIECE_ROWS
from nualley.core import Interval, IntervalSet, UsageError, sync_folder
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


def moved_edges_json(bins: pa.Table) -> list[dict[str, int]]:
    """Return the edges of bins that are not those asked for, as JSON has them.

    Parameters
    ----------
    bins : pyarrow.Table
        As the archive's reader returns them.

    Returns
    -------
    list of dict
        ``asked_ns`` and ``given_ns`` of each [ns since 1970 UTC]; see `nualley.archive.bins.moved_edges`.
    """
    return [{"asked_ns": asked_ns, "given_ns": given_ns} for asked_ns, given_ns in moved_edges(bins)]


class Operated:
    """What an operator makes of a PV's samples, table by table, and which samples it had to do without.

    Parameters
    ----------
    reader : ArchiveReader
        The archive.
    pv : str
        Name of the PV.
    stretch : Stretch
        What was asked for.
    source : Source
        Where the operator reads.
    tables : iterator of pyarrow.Table
        What it makes, with the column known.
    """

    def __init__(
        self, reader: ArchiveReader, pv: str, stretch: Stretch, *, source: Source, tables: Iterator[pa.Table]
    ) -> None:
        self._reader, self._pv, self._stretch = reader, pv, stretch
        self._source, self._tables = source, tables

    def __iter__(self) -> Iterator[pa.Table]:
        return self._tables

    def from_cells(self) -> IntervalSet:
        """Return which bins cells told, since samples lie in damaged files; once all tables were taken."""
        return IntervalSet(Interval(*part) for part in self._source.from_cells)

    def lacking(self) -> IntervalSet:
        """Return when samples lie in damaged files and no cell told of them; once all tables were taken."""
        lost = self._reader.rot.stretches(self._pv, self._stretch.start_ns, self._stretch.stop_ns)
        return lost - (self.from_cells() - self._reader.rot.untold(self._pv, *_ends(self._stretch)))


def _ends(stretch: Stretch) -> tuple[int, int]:
    return stretch.start_ns, stretch.stop_ns


def operated(reader: ArchiveReader, pv: str, operator: str, start_ns: int, stop_ns: int) -> Operated:
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
    Operated
        Tables of time_ns, value, severity, status and known: false where a bin without samples has what the one before
        it had, and nothing was known of the PV at its time.

    Raises
    ------
    OperatorError
        Where there is no such operator; while it works, where it cannot work on these values.
    """
    stretch = Stretch(start_ns, stop_ns)
    source = history_source(reader, pv, stretch)
    tables = work(parse_operator(operator), source, stretch)
    return Operated(reader, pv, stretch, source=source, tables=_with_known(tables, reader, pv, stretch))


def _with_known(tables: Iterable[pa.Table], reader: ArchiveReader, pv: str, stretch: Stretch) -> Iterator[pa.Table]:
    unknown: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    n_damages = len(reader.damages())
    for table in tables:
        known = np.ones(len(table), dtype=np.bool_)
        if HAS_SAMPLES in table.column_names and len(table):
            time_ns = table["time_ns"].to_numpy()
            # the first bin may begin before the stretch
            if unknown is None or n_damages != len(reader.damages()):
                n_damages = len(reader.damages())
                begin_ns = min(int(time_ns[0]), stretch.start_ns)
                found = list(_unknown(reader, pv, begin_ns, stretch.stop_ns))
                starts, stops = ([getattr(part, edge) for part in found] for edge in ("start_ns", "stop_ns"))
                unknown = np.array(starts, dtype=np.int64), np.array(stops, dtype=np.int64)
            at = np.searchsorted(unknown[0], time_ns, side="right") - 1
            is_dark = (at >= 0) & (time_ns < np.append(unknown[1], 0)[at])
            known = table[HAS_SAMPLES].to_numpy() | ~is_dark
        yield table.select(COLUMNS).append_column("known", pa.array(known))


def _unknown(reader: ArchiveReader, pv: str, start_ns: int, stop_ns: int) -> IntervalSet:
    """Return when nothing is known of a PV: nobody heard it, or what was heard lies in a damaged file."""
    return reader.unknown(pv, start_ns, stop_ns) | reader.rot.stretches(pv, start_ns, stop_ns)


def history_source(reader: ArchiveReader, pv: str, stretch: Stretch, most_rows: int = PIECE_ROWS) -> Source:
    """Return where operators read the history of a PV.

    Parameters
    ----------
    reader : ArchiveReader
        The archive.
    pv : str
        Name of the PV.
    stretch : Stretch
        What is asked for.
    most_rows : int
        About how many rows are in memory at once.
    """
    return Source(
        n_rows=reader.count_rows(pv, stretch.start_ns, stretch.stop_ns),
        bins=lambda start_ns, stop_ns, n: reader.bins(pv, start_ns, stop_ns, n, is_exact=True),
        pieces=lambda start_ns, stop_ns: reader.pieces(pv, start_ns, stop_ns, most_rows),
        has_cells=reader.record(pv).value_type in (ValueType.FLOAT64, ValueType.INT64),
        lost=lambda start_ns, stop_ns: reader.rot.stretches(pv, start_ns, stop_ns),
    )


def export_appliance(
    reader: ArchiveReader,
    pv: str,
    start_ns: int,
    stop_ns: int,
    folder: Path,
    report: Callable[[str, int, int], None] | None = None,
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
    report : callable, optional
        Takes the PV, how many of its rows are done, and about how many there are.

    Yields
    ------
    tuple of Path and int
        Each file, once it is whole and durable, and how many samples are in it.

    Raises
    ------
    UsageError
        Where a file is there already, or the name cannot be that of a file below the folder.
    """
    told = headers(reader.record(pv).metadata)
    payload = _payload(reader, pv, start_ns, stop_ns)
    n_rows, n_done = reader.count_rows(pv, start_ns, stop_ns), 0
    file: _YearFile | None = None
    try:
        for samples in samples_of(reader.pieces(pv, start_ns, stop_ns)):
            inside = samples.filter(pc.greater_equal(samples["time_ns"], start_ns))
            for year, part in years_of(inside):
                if file is None or file.year != year:
                    if file is not None:
                        yield file.close()
                    file = _YearFile(folder, pv, year)
                    file.write([info_line(pv, year, payload, told, _n_elements(part))])
                for begin in range(0, len(part), SLICE_ROWS):
                    lines = event_lines(year, payload, part.slice(begin, SLICE_ROWS))
                    file.write(lines)
                    file.n_samples += len(lines)
                n_done += len(part)
                if report is not None:
                    report(pv, n_done, max(n_rows, n_done))
        if file is not None:
            yield file.close()
    finally:
        if file is not None:
            file.forget()


def _payload(reader: ArchiveReader, pv: str, start_ns: int, stop_ns: int) -> PayloadType:
    # a file says once what is in it: integers are looked through for those that 32 bits do not hold
    found = PayloadType.SCALAR_DOUBLE
    for samples in samples_of(reader.pieces(pv, start_ns, stop_ns)):
        found = payload_of(samples)
        if found is not PayloadType.SCALAR_INT:
            break
    return found


def _n_elements(samples: pa.Table) -> int:
    first = samples["value"][0].as_py()
    return len(first) if isinstance(first, list) else 1


class _YearFile:
    """A file that gets its name once it is whole."""

    def __init__(self, folder: Path, pv: str, year: int) -> None:
        self.year, self.n_samples = year, 0
        self._path = folder / file_path(pv, year)
        if not self._path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(
                "the name of the PV leads out of the folder", where=str(self._path), do="export it as csv or parquet"
            )
        if self._path.exists():
            raise self._is_there()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._part = self._path.with_name(f".{self._path.name}.part")
        self._file = self._part.open("wb")

    def _is_there(self) -> UsageError:
        return UsageError("the file is there already", where=str(self._path), do="export into an empty folder")

    def write(self, lines: Iterable[bytes]) -> None:
        self._file.writelines(lines)

    def close(self) -> tuple[Path, int]:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        try:
            os.link(self._part, self._path)  # never over a file that came meanwhile
        except FileExistsError:
            raise self._is_there() from None
        self._part.unlink()
        sync_folder(self._path.parent)
        return self._path, self.n_samples

    def forget(self) -> None:
        try:
            self._file.close()  # on a full drive, what it still holds is refused again
        finally:
            self._part.unlink(missing_ok=True)
