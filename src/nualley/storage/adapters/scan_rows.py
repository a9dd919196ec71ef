"""Rows of a scan, gathered by columns and written as Parquet: one row for each entry of each directory."""

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nualley.core import escape_name
from nualley.storage.errors import ScanDamaged

KINDS = ("file", "directory", "link", "mount", "other")
METADATA_KEY = b"nualley.scan"
BLOCK_B = 512
"""What ``st_blocks`` counts in, on every file system [B]."""

SCHEMA = pa.schema(
    [
        ("directory", pa.dictionary(pa.int32(), pa.binary())),
        ("name", pa.binary()),
        ("kind", pa.dictionary(pa.int8(), pa.string())),
        ("size_B", pa.int64()),
        ("blocks_B", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("uid", pa.uint32()),
        ("inode", pa.uint64()),
        ("device", pa.uint64()),
        ("n_links", pa.uint32()),
        ("is_counted", pa.bool_()),
    ]
)

_GROUP_ROWS = 131_072
_CHUNK_ROWS = 1024  # stat results are large: more of them leave the processor's cache
_MAX = 2**63 - 1
_N_FIELDS = 10  # what a stat_result gives as a tuple
_MODE, _INODE, _DEVICE, _LINKS, _UID, _SIZE = 0, 1, 2, 3, 4, 6
_KIND_NAMES = [kind.encode() for kind in KINDS]
_FILE, _DIRECTORY, _LINK, _MOUNT, _OTHER = range(len(KINDS))


class ScanWriter:
    """Takes what `storage.adapters.scandir.Walk` finds, and writes it row group by row group.

    Parameters
    ----------
    path : Path
        A file that is there already, and empty.
    device : int
        The device that is scanned: a directory on another one is where something is mounted.

    Notes
    -----
    What a file is asked for costs as much as the system call that tells it, so nothing is done for each file alone:
    a `os.stat_result` is a tuple of whole numbers, and a chain of them is poured into one array.
    """

    def __init__(self, path: Path, device: int) -> None:
        self.n_files = 0
        self.n_dirs = 0
        self.size_B = 0
        self.blocks_B = 0
        self._device = device
        self._names: list[str] = []
        self._stats: list[os.stat_result] = []
        self._converted: list[tuple[pa.Array, NDArray[np.int64]]] = []
        self._directories: list[bytes] = []
        self._counts: list[int] = []
        self._n_rows = 0
        self._links_left: dict[int, int] = {}
        self._writer = pq.ParquetWriter(
            path,
            SCHEMA,
            use_dictionary=["directory", "kind"],
            compression="zstd",
            compression_level=1,
            write_statistics=False,
            write_page_checksum=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.close()

    def begin(self, directory: bytes) -> None:
        """Say in which directory the next entries are, by its path below the first one."""
        self._directories.append(directory)
        self._counts.append(0)

    def add(self, names: Sequence[str], stats: Sequence[os.stat_result]) -> None:
        """Take entries of the directory that was begun last."""
        self._names += names
        self._stats += stats
        self._counts[-1] += len(names)
        self._n_rows += len(names)
        if len(self._stats) >= _CHUNK_ROWS:
            self._convert()
        if self._n_rows >= _GROUP_ROWS:
            directory = self._directories[-1]
            self._write()
            self.begin(directory)

    def finish(self, metadata: Mapping[str, object]) -> None:
        """Write what is left, and the metadata into the file's footer."""
        self._write()
        told = {**metadata, "n_files": self.n_files, "n_dirs": self.n_dirs}
        told |= {"size_B": self.size_B, "blocks_B": self.blocks_B}
        self._writer.add_key_value_metadata({METADATA_KEY: json.dumps(told).encode()})

    def _convert(self) -> None:
        """Turn stat results, which are large, into numbers."""
        n = len(self._stats)
        blocks = [found.st_blocks for found in self._stats]
        mtime_ns = [found.st_mtime_ns for found in self._stats]
        columns = np.empty((n, _N_FIELDS + 2), np.int64)
        columns[:, :_N_FIELDS] = _fields(self._stats).reshape(n, _N_FIELDS)
        columns[:, -2] = np.fromiter(blocks, np.int64, n)
        columns[:, -1] = _clipped(mtime_ns, n)
        names = "\0".join([*self._names, ""]).encode(errors="surrogateescape")
        self._converted.append((_parted(names, n), columns))
        self._names.clear()
        self._stats.clear()

    def _write(self) -> None:
        if self._stats:
            self._convert()
        if not self._converted:
            return
        names = pa.concat_arrays([found for found, _ in self._converted])
        columns = np.concatenate([found for _, found in self._converted])
        kind = self._kinds(columns)
        is_counted = self._count(columns, kind)
        places = np.repeat(np.arange(len(self._directories), dtype=np.int32), self._counts)
        arrays = [
            pa.DictionaryArray.from_arrays(_numbers(places), _binary(self._directories)),
            names,
            pa.DictionaryArray.from_arrays(_numbers(kind), _binary(_KIND_NAMES).view(pa.string())),
            _numbers(columns[:, _SIZE]),
            _numbers(columns[:, -2] * BLOCK_B),
            _numbers(columns[:, -1]),
            _numbers(columns[:, _UID].astype(np.uint32)),
            # these went through int64, and come back as they were
            _numbers(columns[:, _INODE].astype(np.uint64)),
            _numbers(columns[:, _DEVICE].astype(np.uint64)),
            _numbers(columns[:, _LINKS].astype(np.uint32)),
            _booleans(is_counted),
        ]
        self._writer.write_batch(pa.record_batch(arrays, schema=SCHEMA))
        for kept in (self._converted, self._directories, self._counts):
            kept.clear()
        self._n_rows = 0

    def _kinds(self, columns: NDArray[np.int64]) -> NDArray[np.int8]:
        form = columns[:, _MODE] & 0o170000
        kind = np.full(len(form), _OTHER, np.int8)
        kind[form == stat.S_IFREG] = _FILE
        kind[form == stat.S_IFDIR] = _DIRECTORY
        kind[form == stat.S_IFLNK] = _LINK
        kind[(kind == _DIRECTORY) & (columns[:, _DEVICE] != self._device)] = _MOUNT
        return kind

    def _count(self, columns: NDArray[np.int64], kind: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return which rows count in sums: no mount points, and of the names of one file the first."""
        is_counted: NDArray[np.bool_] = kind != _MOUNT
        is_file = is_counted & (kind != _DIRECTORY)
        for row in np.flatnonzero(is_file & (columns[:, _LINKS] > 1)):
            is_counted[row] = self._is_first_name(int(columns[row, _INODE]), int(columns[row, _LINKS]))
        self.n_files += int(np.count_nonzero(is_file))
        self.n_dirs += int(np.count_nonzero(kind == _DIRECTORY))
        self.size_B += int(columns[is_counted & is_file, _SIZE].sum())
        self.blocks_B += int(columns[is_counted, -2].sum()) * BLOCK_B
        return is_counted

    def _is_first_name(self, inode: int, n_links: int) -> bool:
        left = self._links_left.pop(inode, 0)
        # a file whose names were all seen is forgotten: trees of backups have millions
        if (left or n_links) > 1:
            self._links_left[inode] = (left or n_links) - 1
        return not left


def add_root(writer: ScanWriter, found: os.stat_result) -> None:
    """Take the first directory itself: its row has the name ``.`` and an empty path."""
    writer.begin(b"")
    writer.add(["."], [found])


def read_metadata(path: Path) -> dict[str, Any]:
    """Return what a scan file's footer says of the scan."""
    with reading_scan(path):
        told: dict[str, Any] = json.loads((pq.read_metadata(path).metadata or {})[METADATA_KEY])
    return told


@contextmanager
def reading_scan(path: Path) -> Iterator[None]:
    """Turn what Arrow says of a file that is not what was written into `storage.ScanDamaged`."""
    try:
        yield
    except FileNotFoundError:
        raise
    # Arrow has no error of its own for this
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        raise ScanDamaged(
            f"the scan {escape_name(path.name)} is damaged: {str(error).partition(chr(10))[0]}",
            where=escape_name(os.fspath(path)),
            do="move it away and scan again: nualley drives scan",
        ) from error


def _fields(stats: Sequence[os.stat_result]) -> NDArray[np.int64]:
    n = len(stats) * _N_FIELDS
    try:
        return np.fromiter(chain.from_iterable(stats), np.int64, n)
    except OverflowError:  # inodes of some network file systems use all of 64 bits
        numbers = chain.from_iterable(stats)
        return np.fromiter((number - 2**64 if number > _MAX else number for number in numbers), np.int64, n)


def _clipped(values: Sequence[int], n: int) -> NDArray[np.int64]:
    try:
        return np.fromiter(values, np.int64, n)
    except OverflowError:  # a file from the year 2300
        return np.fromiter((min(max(value, -_MAX - 1), _MAX) for value in values), np.int64, n)


# arrays are made of buffers: pyarrow.array looks whether it is given something of pandas, and loads it to do so
def _binary(values: Sequence[bytes]) -> pa.Array:
    return _parted(b"\0".join([*values, b""]), len(values))


def _parted(text: bytes, n: int) -> pa.Array:
    """Return an array of ``n`` names, each of which is ended by NUL, which is in none."""
    joined = np.frombuffer(text, np.uint8)
    is_end = joined == 0
    offsets = np.zeros(n + 1, np.int32)
    offsets[1:] = np.flatnonzero(is_end) - np.arange(n)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(joined[~is_end])]
    return pa.Array.from_buffers(pa.binary(), n, buffers)


def _numbers(values: NDArray[np.integer[Any]]) -> pa.Array:
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _booleans(values: NDArray[np.bool_]) -> pa.Array:
    bits = np.packbits(values, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits)])
