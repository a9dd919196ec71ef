"""Parquet files of the archive: sorted by PV and time, a row group per PV, written durably."""

import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from nualley.archive.columns import file_schema
from nualley.archive.errors import SealedFileDamagedError
from nualley.archive.models import RowGroup, SealedFile
from nualley.core import make_folders, sync_folder
from nualley.pv import ValueType

_COMPRESSION_LEVEL = 3
_FOLDERS = ("day", "quarantine")
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

    def write(self, path: str, table: pa.Table, value_type: ValueType, *, is_quarantine: bool) -> SealedFile:
        """Write a file durably and return what it holds; see `nualley.archive.ports.ColumnFiles`."""
        final = self._folder / path
        make_folders(final.parent)
        part = final.with_name(f".{final.name}.part")
        groups = self._write_part(part, path, table, value_type, is_quarantine=is_quarantine)
        sha256 = _sync_and_digest(part)
        size_B = part.stat().st_size
        _verify(part, groups)
        # the index does not know this name yet: what may stand here is an earlier try at the same rows
        _keep_other_bytes(final, sha256)
        part.replace(final)
        sync_folder(final.parent)
        return SealedFile(path, value_type, is_quarantine, table.num_rows, size_B, sha256, tuple(groups))

    def _write_part(
        self, part: Path, path: str, table: pa.Table, value_type: ValueType, *, is_quarantine: bool
    ) -> list[tuple[str, RowGroup]]:
        schema = file_schema(value_type, is_quarantine=is_quarantine).with_metadata(
            {b"nualley.archive.version": _FILE_VERSION, b"nualley.value_type": value_type.encode()}
        )
        groups = []
        with pq.ParquetWriter(
            part,
            schema,
            compression="zstd",
            compression_level=_COMPRESSION_LEVEL,
            use_dictionary=["pv", "kind", "protocol", "value", "severity", "status"],
            column_encoding={
                "time_ns": "DELTA_BINARY_PACKED",
                "received_ns": "DELTA_BINARY_PACKED",
                "seq": "DELTA_BINARY_PACKED",
            },
            write_page_checksum=True,
        ) as writer:
            for number, (pv, run) in enumerate(_pv_runs(table)):
                writer.write_table(run.cast(schema), row_group_size=run.num_rows)
                groups.append((pv, _row_group(path, value_type, number, run)))
        return groups

    def read(self, groups: Sequence[RowGroup]) -> list[pa.Table]:
        """Read row groups; see `nualley.archive.ports.ColumnFiles`."""
        return [self._read_group(group) for group in groups]

    def _read_group(self, group: RowGroup) -> pa.Table:
        path = self._folder / group.path
        if path.exists() and not path.is_file():  # a pipe in its place would be waited for without end
            raise _damaged(path, "it is no regular file")
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                table = file.read_row_group(group.row_group).replace_schema_metadata(None)
                table.validate(full=True)
        except FileNotFoundError:
            raise
        # Arrow has no error of its own for a file that is not what its footer says
        except (pa.ArrowException, IndexError, ValueError, OSError) as error:
            raise _damaged(path, str(error).partition("\n")[0]) from error
        # pages have checksums, the footer that says where they are has none
        expected = file_schema(group.value_type, is_quarantine="reason" in table.schema.names)
        if table.schema.remove_metadata() != expected or _extent(table) != (
            group.n_rows,
            group.start_ns,
            group.stop_ns,
        ):
            raise _damaged(path, f"row group {group.row_group} holds other rows than the index says")
        return table

    def last_segment(self, shard: str) -> int:
        """Return the highest number of a segment whose rows are in a file; see `nualley.archive.ports.ColumnFiles`."""
        paths = itertools.chain.from_iterable(self._folder.glob(f"{folder}/*/*.parquet") for folder in _FOLDERS)
        found = (_NAME.fullmatch(path.name) for path in paths)
        return max((int(match["segment"]) for match in found if match and match["shard"] == shard), default=-1)

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


def _extent(table: pa.Table) -> tuple[int, int, int]:
    ends_ns = table["time_ns"].take([0, table.num_rows - 1]).to_pylist() if table.num_rows else [0, 0]
    return (table.num_rows, *ends_ns)


def _pv_runs(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    column = table["pv"].combine_chunks()
    codes = column.indices.to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    for start, stop in itertools.pairwise(edges):
        yield column.dictionary[int(codes[start])].as_py(), table.slice(start, stop - start)


def _row_group(path: str, value_type: ValueType, number: int, run: pa.Table) -> RowGroup:
    times_ns = run["time_ns"].to_numpy()
    is_sample = run["kind"].cast(pa.string()).to_numpy(zero_copy_only=False) == "sample"
    return RowGroup(
        path=path,
        value_type=value_type,
        row_group=number,
        n_rows=run.num_rows,
        start_ns=int(times_ns[0]),
        stop_ns=int(times_ns[-1]),
        first_sample_ns=int(times_ns[is_sample][0]) if is_sample.any() else None,
    )


def _sync_and_digest(path: Path) -> str:
    with path.open("rb") as file:
        os.fdatasync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(part: Path, groups: list[tuple[str, RowGroup]]) -> None:
    # the log goes once this file stands: what the drive gives back must be what was written
    with part.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with pq.ParquetFile(part, page_checksum_verification=True) as file:
        found = [file.read_row_group(number).num_rows for number in range(file.num_row_groups)]
    expected = [group.n_rows for _, group in groups]
    if found != expected:
        raise SealedFileDamagedError(
            f"a sealed file holds {sum(found)} rows in {len(found)} groups, {sum(expected)} in {len(expected)} were "
            "written",
            where=str(part),
            do="the samples are still in the log; look at the drive: nualley doctor",
        )
