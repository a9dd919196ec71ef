"""Parquet files of the archive: sorted by PV and time, a row group per PV, written durably."""

import contextlib
import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from nualley.archive.adapters.damage_notes import DamageNotes, Stamp, stamp_of
from nualley.archive.adapters.footers import footer_digest, footer_start, metadata_of_one, plan_footer
from nualley.archive.adapters.group_digests import KEY, GroupDigests, is_as_written
from nualley.archive.errors import SealedFileDamagedError
from nualley.archive.layouts import Layout, from_lasting, layout, to_lasting
from nualley.archive.sealed import Encoding, FooterPlace, Level, RowGroup, SealedFile
from nualley.core import make_folders, sync_folder
from nualley.pv import ValueType

_COMPRESSION_LEVEL = 3
_SHARED_ROWS = 1024
"""Runs of several PVs share a row group up to so many rows: reading one of them reads all."""
_SHARED_B = 2**20
_FOLDERS = ("day", "quarantine")  # where the names say which segment it was
_NAME = re.compile(r"[a-z0-9-]+?-(?P<shard>[^-]+)-(?P<segment>[0-9]{1,12})\.parquet")
_log = structlog.get_logger(__name__)
_FILE_VERSION = b"1"


class ParquetFolder:
    """The Parquet files below an archive's folder.

    Parameters
    ----------
    folder : Path
        The archive.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._notes = DamageNotes(folder)

    def write(self, path: str, table: pa.Table, level: Level, value_type: ValueType) -> SealedFile:
        """Write a file durably and return what it holds; see `nualley.archive.ports.ColumnFiles`."""
        with self.begin(path, level, value_type) as file:
            file.add_all(table)
            return file.finish()

    def begin(
        self,
        path: str,
        level: Level,
        value_type: ValueType,
        encoding: Encoding = Encoding.DICTIONARY,
        *,
        is_lasting: bool = False,
    ) -> "ParquetFileWriter":
        """Begin a file; see `nualley.archive.ports.ColumnFiles`."""
        return ParquetFileWriter(
            self._folder, path, level, value_type, layout(level, value_type, encoding, is_lasting=is_lasting)
        )

    def trial_B(self, table: pa.Table, level: Level, value_type: ValueType, encoding: Encoding) -> int:
        """Return how large rows are when written in an encoding; see `nualley.archive.ports.ColumnFiles`."""
        found = layout(level, value_type, encoding)
        sink = pa.BufferOutputStream()
        names = [name for name in table.schema.names if name in ("value", "min", "max", "first", "last", "sum")]
        part = table.select(names)
        chosen = {name.partition(".")[0] for name in (*found.dictionary, *found.encodings)}
        with pq.ParquetWriter(
            sink,
            part.schema,
            compression="zstd",
            compression_level=_COMPRESSION_LEVEL,
            use_dictionary=[name for name in found.dictionary if name.partition(".")[0] in names],
            column_encoding={
                name: code for name, code in found.encodings.items() if name.partition(".")[0] in chosen & set(names)
            },
        ) as writer:
            writer.write_table(part, row_group_size=max(part.num_rows, 1))
        return int(sink.getvalue().size)

    def read(self, group: RowGroup, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a row group; see `nualley.archive.ports.ColumnFiles`."""
        stamps: list[Stamp] = []
        try:
            return self._read(group, columns, stamps)
        except SealedFileDamagedError as error:
            for stamp in stamps:
                self._notes.note(group.path, error.what, stamp)
            raise

    def note_missing(self, path: str) -> None:
        """Note durably that a file is not there; see `nualley.archive.ports.ColumnFiles`."""
        self._notes.note_missing(path)

    def _read(self, group: RowGroup, columns: Sequence[str] | None, stamps: list[Stamp]) -> pa.Table:
        path = self._folder / group.path
        if path.exists() and not path.is_file():  # a pipe in its place would be waited for without end
            stamps.append(stamp_of(path.stat()))
            raise _damaged(path, "it is no regular file")
        try:
            with path.open("rb") as raw:
                stamps.append(stamp_of(os.fstat(raw.fileno())))
                metadata = _metadata(path, raw, group.place)
                if not is_as_written(raw, metadata):
                    raise _damaged(path, "a row group has other bytes than were written")
            with pq.ParquetFile(path, metadata=metadata, page_checksum_verification=True) as file:
                wanted = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
                table = file.read_row_group(0, columns=wanted).replace_schema_metadata(None)
                table.validate(full=True)
                table = table.slice(group.skip_rows, group.n_rows)
        except (FileNotFoundError, SealedFileDamagedError):
            raise
        # Arrow has no error of its own for a file that is not what its footer says
        except (pa.ArrowException, IndexError, ValueError, OSError) as error:
            raise _damaged(path, str(error).partition("\n")[0]) from error
        # of a file of an older nualley nobody knows what its footer said
        _check(path, table, group, is_whole=columns is None)
        return from_lasting(table, group.value_type) if group.level is Level.RAW and columns is None else table

    def last_segment(self, shard: str) -> int:
        """Return the highest number of a segment whose rows are in a file; see `nualley.archive.ports.ColumnFiles`."""
        paths = itertools.chain.from_iterable(self._folder.glob(f"{folder}/*/*.parquet") for folder in _FOLDERS)
        found = (_NAME.fullmatch(path.name) for path in paths)
        return max((int(match["segment"]) for match in found if match and match["shard"] == shard), default=-1)

    def digest(self, path: str) -> tuple[int, str] | None:
        """Return size [B] and sha256 of a file, from the drive and not from memory; None where it is missing."""
        try:
            with (self._folder / path).open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
        except (FileNotFoundError, IsADirectoryError):
            return None

    def paths(self) -> set[str]:
        """Return the paths of all Parquet files that are there."""
        return {str(path.relative_to(self._folder)) for path in self._folder.rglob("*.parquet")}

    def remove(self, path: str) -> None:
        """Delete a file; one that is not there is no error."""
        (self._folder / path).unlink(missing_ok=True)

    def missing(self, groups: Iterable[RowGroup]) -> list[str]:
        """Return the paths of those files that do not exist."""
        paths = sorted({self._folder / group.path for group in groups})
        return [str(path) for path in paths if not path.exists()]


def _keep_other_bytes(path: Path, sha256: str) -> None:
    """Move a file aside that would be written over and holds something else: nobody knows whose samples those are."""
    try:
        with path.open("rb") as file:
            known = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return
    if known != sha256:
        aside = path.with_name(f"{path.name}.{known[:16]}.unindexed")
        path.rename(aside)
        _log.error("sealed file not in the index", kept_at=str(aside), do="is the index older than the archive?")


def _damaged(path: Path, what: str) -> SealedFileDamagedError:
    return SealedFileDamagedError(
        f"a sealed file is not as it was written: {what}",
        where=str(path),
        do="put a backup of this one file back; its sha256 is in the archive's index",
    )


def _metadata(path: Path, raw: IO[bytes], place: FooterPlace) -> pq.FileMetaData:
    def part(start_B: int, stop_B: int) -> bytes:
        return os.pread(raw.fileno(), stop_B - start_B, start_B)

    head, tail = part(place.start_B, place.list_B), part(place.tail_B, place.stop_B)
    group = part(place.group_B, place.group_stop_B)
    # before Arrow reads it: it believes a footer whatever it says, and asks for as much memory
    if place.rest_xxh3 and (footer_digest(head, tail), footer_digest(group)) != (place.rest_xxh3, place.group_xxh3):
        raise _damaged(path, "its footer has other bytes than were written")
    return metadata_of_one(head, group, tail)


def _check(path: Path, table: pa.Table, group: RowGroup, *, is_whole: bool) -> None:
    found = layout(group.level, group.value_type, is_lasting="latency_ms" in table.schema.names)
    if is_whole and table.schema.remove_metadata() != found.schema:
        raise _damaged(path, "its columns are others")
    if table.num_rows != group.n_rows or (
        found.time_column in table.schema.names
        and _ends_ns(table, found.time_column) != (group.start_ns, group.stop_ns)
    ):
        raise _damaged(path, "a row group holds other rows than the index says")


def _ends_ns(table: pa.Table, column: str) -> tuple[int, int]:
    start_ns, stop_ns = table[column].take([0, table.num_rows - 1]).to_pylist() if table.num_rows else (0, 0)
    return start_ns, stop_ns


def _run_edges(table: pa.Table) -> list[int]:
    codes = table["pv"].combine_chunks().indices.to_numpy()
    return [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]


def pv_runs(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Yield each PV of a table sorted by PV, and its rows."""
    column = table["pv"].combine_chunks()
    for start, stop in itertools.pairwise(_run_edges(table)):
        yield column.dictionary[column.indices[start].as_py()].as_py(), table.slice(start, stop - start)


class ParquetFileWriter:
    """A Parquet file that is being written; it has its name only once it is durable and was read back.

    Parameters
    ----------
    folder : Path
        The archive.
    path : str
        The file's path in it.
    level : Level
        What its rows are.
    value_type : ValueType
        What its values are.
    look : Layout
        Its columns and encodings.
    """

    def __init__(self, folder: Path, path: str, level: Level, value_type: ValueType, look: Layout) -> None:
        self._path, self._level, self._value_type, self._layout = path, level, value_type, look
        self._final = folder / path
        make_folders(self._final.parent)
        self._part = self._final.with_name(f".{self._final.name}.part")
        metadata = {b"nualley.archive.version": _FILE_VERSION, b"nualley.value_type": value_type.encode()}
        self._schema = look.schema.with_metadata({**metadata, b"nualley.level": level.encode()})
        self._found: list[tuple[str, _Extent, int, int]] = []
        self._group_rows: list[int] = []
        try:
            self._writer = pq.ParquetWriter(
                self._part,
                self._schema,
                compression="zstd",
                compression_level=_COMPRESSION_LEVEL,
                use_dictionary=list(look.dictionary),
                column_encoding=dict(look.encodings),
                write_page_checksum=True,
            )
        except OSError:
            self._part.unlink(missing_ok=True)
            raise
        self._digests = GroupDigests(self.size_B)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        if not any(args):
            self._writer.close()
            return
        # what did not come to its end keeps no room, which may be what was missing; killed, it is begun anew some time
        with contextlib.suppress(OSError, pa.ArrowException):
            self._writer.close()
        self._writer.is_open = False  # a close that failed would be tried again when it is forgotten
        self._part.unlink(missing_ok=True)

    @property
    def size_B(self) -> int:
        """Bytes that are written by now [B]."""
        return self._part.stat().st_size

    def add(self, pv: str, run: pa.Table) -> None:
        """Write a run of a PV's rows as one row group; runs come by PV and time."""
        if self._level is Level.RAW and "latency_ms" in self._schema.names:
            run = to_lasting(run, self._value_type)
        self._write(run.cast(self._schema), [(pv, _extents(run, self._layout.time_column, [0, run.num_rows])[0])])

    def add_all(self, table: pa.Table) -> None:
        """Write rows of many PVs, by PV and time: short runs share row groups, each of which has its price."""
        edges = _run_edges(table)
        extents = _extents(table, self._layout.time_column, edges)
        names = [name for name, _ in pv_runs(table)]
        table, first = table.cast(self._schema), 0
        row_B = max(table.nbytes // max(table.num_rows, 1), 1)
        most_rows = max(1, min(_SHARED_ROWS, _SHARED_B // row_B))
        for last in range(len(names)):
            if last == len(names) - 1 or edges[last + 2] - edges[first] > most_rows:
                part = table.slice(edges[first], edges[last + 1] - edges[first])
                self._write(part, list(zip(names[first : last + 1], extents[first : last + 1], strict=True)))
                first = last + 1

    def _write(self, group: pa.Table, found: list[tuple[str, "_Extent"]]) -> None:
        self._writer.write_table(group, row_group_size=max(group.num_rows, 1))
        with self._part.open("rb") as written:
            self._digests.add(written)
        skip_rows = 0
        for pv, extent in found:
            self._found.append((pv, extent, len(self._group_rows), skip_rows))
            skip_rows += extent.n_rows
        self._group_rows.append(group.num_rows)

    def finish(self) -> SealedFile:
        """Make the file durable, read it back, give it its name, and return what it holds."""
        self._writer.add_key_value_metadata({KEY: self._digests.text()})
        self._writer.close()
        sha256 = _sync_and_digest(self._part)
        size_B = self._part.stat().st_size
        groups = self._placed(size_B)
        _verify(self._part, self._group_rows)
        # the index does not know this name yet: what may stand here is an earlier try at the same rows
        _keep_other_bytes(self._final, sha256)
        self._part.replace(self._final)
        sync_folder(self._final.parent)
        n_rows = sum(self._group_rows)
        return SealedFile(self._path, self._level, self._value_type, n_rows, size_B, sha256, groups)

    def _placed(self, size_B: int) -> tuple[tuple[str, RowGroup], ...]:
        with self._part.open("rb") as raw:
            start_B = footer_start(os.pread(raw.fileno(), 8, size_B - 8), size_B)
            footer = os.pread(raw.fileno(), size_B - 8 - start_B, start_B)
        plan = plan_footer(footer, start_B, len(self._group_rows))
        ends = list(itertools.pairwise(plan.groups_B))
        digests = [footer_digest(footer[begin_B:end_B]) for begin_B, end_B in ends]
        rest_xxh3 = footer_digest(footer[: plan.list_B], footer[plan.groups_B[-1] :])
        return tuple(
            (
                pv,
                RowGroup(
                    path=self._path,
                    level=self._level,
                    value_type=self._value_type,
                    **extent._asdict(),
                    place=FooterPlace(
                        start_B=start_B,
                        list_B=start_B + plan.list_B,
                        group_B=start_B + ends[number][0],
                        group_stop_B=start_B + ends[number][1],
                        tail_B=start_B + plan.groups_B[-1],
                        stop_B=start_B + plan.size_B,
                        group_xxh3=digests[number],
                        rest_xxh3=rest_xxh3,
                    ),
                    skip_rows=skip_rows,
                ),
            )
            for pv, extent, number, skip_rows in self._found
        )


class _Extent(NamedTuple):
    n_rows: int
    start_ns: int
    stop_ns: int
    first_sample_ns: int | None
    last_sample_ns: int | None


def _extents(table: pa.Table, time_column: str, edges: Sequence[int]) -> list[_Extent]:
    """Return what is between each two edges of rows by time."""
    times_ns = table[time_column].to_numpy()
    is_sample = np.ones(times_ns.size, dtype=bool)
    if "kind" in table.schema.names:
        is_sample = table["kind"].cast(pa.string()).to_numpy(zero_copy_only=False) == "sample"
    found = []
    for start, stop in itertools.pairwise(edges):
        samples_ns = times_ns[start:stop][is_sample[start:stop]]
        first, last = (int(samples_ns[0]), int(samples_ns[-1])) if samples_ns.size else (None, None)
        found.append(_Extent(stop - start, int(times_ns[start]), int(times_ns[stop - 1]), first, last))
    return found


def _sync_and_digest(path: Path) -> str:
    with path.open("rb") as file:
        os.fdatasync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(part: Path, expected: list[int]) -> None:
    # the log goes once this file stands: what the drive gives back must be what was written
    with part.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with pq.ParquetFile(part, page_checksum_verification=True) as file:
        found = [file.read_row_group(number).num_rows for number in range(file.num_row_groups)]
    if found != expected:
        raise SealedFileDamagedError(
            f"a sealed file holds {sum(found)} rows in {len(found)} groups, {sum(expected)} in {len(expected)} were "
            "written",
            where=str(part),
            do="the samples are still in the log; look at the drive: nualley doctor",
        )
