"""Directories of a drive between two full scans: those that changed, and the hot ones, are looked at again."""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nualley.core import sync_folder
from nualley.storage.adapters.posix import PosixFiles
from nualley.storage.adapters.scan_rows import METADATA_KEY, read_metadata, reading_scan
from nualley.storage.decide import missed_by_quick, needs_look
from nualley.storage.histories import DirectoryState, QuickReport
from nualley.storage.publication import publish_made

_SCHEMA = pa.schema(
    [
        ("directory", pa.binary()),
        *((name, pa.int64()) for name in ("mtime_ns", "n_files", "size_B", "newest_ns")),
    ]
)
_COLUMNS = ["directory", "name", "kind", "size_B", "mtime_ns"]
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW

_GONE = DirectoryState(0, 0, 0, 0)
_THERE = DirectoryState(-1, 0, 0, 0)

States = dict[bytes, DirectoryState]


def directories_file(scan: Path) -> Path:
    """Return where the directories of a scan are kept."""
    return scan.parent / "directories" / scan.name


def quick_file(folder: Path) -> Path:
    """Return where it is kept what quick looks found on a drive since its last full scan."""
    return folder / "quick.parquet"


def sum_directories(scan: Path) -> States:
    """Return the directories of a scan, each with the sum of its own files, by their path below the root."""
    found: dict[bytes, list[int]] = {}
    with reading_scan(scan):
        opened = pq.ParquetFile(scan, page_checksum_verification=True)
    with opened:
        for number in range(opened.num_row_groups):
            with reading_scan(scan):
                table = opened.read_row_group(number, columns=_COLUMNS)
            _add_files(table.filter(pc.equal(table.column("kind").cast(pa.string()), "file")), found)
            inner = table.filter(pc.equal(table.column("kind").cast(pa.string()), "directory"))
            names = (inner.column(name).to_pylist() for name in ("directory", "name", "mtime_ns"))
            for above, name, mtime_ns in zip(*names, strict=True):
                path = b"" if (above, name) == (b"", b".") else b"/".join(filter(None, (above, name)))
                found.setdefault(path, [0, 0, 0, 0])[0] = mtime_ns
    return {path: DirectoryState(*values) for path, values in found.items()}


def _add_files(table: pa.Table, found: dict[bytes, list[int]]) -> None:
    sums = [("size_B", "count"), ("size_B", "sum"), ("mtime_ns", "max")]
    grouped = table.set_column(0, "directory", table.column("directory").cast(pa.binary())).group_by("directory")
    columns = grouped.aggregate(sums).select(["directory", "size_B_count", "size_B_sum", "mtime_ns_max"])
    for path, n_files, size_B, newest_ns in zip(*(column.to_pylist() for column in columns.columns), strict=True):
        kept = found.setdefault(path, [0, 0, 0, 0])
        kept[1:] = [kept[1] + n_files, kept[2] + size_B, max(kept[3], newest_ns)]


def write_directories(scan: Path, states: Mapping[bytes, DirectoryState], told: Mapping[str, object]) -> None:
    """Keep the directories of a scan, durably, with what is told of them in the footer."""
    table = _table(states, told)
    publish_made(
        directories_file(scan), lambda part: pq.write_table(table, part, compression="zstd"), files=PosixFiles()
    )


def write_quick(folder: Path, states: Mapping[bytes, DirectoryState], told: Mapping[str, object]) -> None:
    """Keep what quick looks found; what was there before is replaced, for it can be found again."""
    file = quick_file(folder)
    part = file.with_name(f".{file.name}.part")
    pq.write_table(_table(states, told), part, compression="zstd")
    with part.open("rb") as written:
        os.fdatasync(written.fileno())
    part.replace(file)
    sync_folder(folder)


def read_directories(file: Path) -> tuple[dict[str, Any], States]:
    """Return what is told of directories that were kept, and the directories; nothing where there are none."""
    if not file.exists():
        return {}, {}
    with reading_scan(file):
        table = pq.read_table(file)
        told: dict[str, Any] = json.loads(table.schema.metadata[METADATA_KEY])
    columns = [column.to_pylist() for column in table.columns]
    return told, {path: DirectoryState(*values) for path, *values in zip(*columns, strict=True)}


def read_told(file: Path) -> dict[str, Any]:
    """Return what is told of directories that were kept, without them; nothing where there are none."""
    return read_metadata(file) if file.exists() else {}


def _table(states: Mapping[bytes, DirectoryState], told: Mapping[str, object]) -> pa.Table:
    rows = [
        (path, state.mtime_ns, state.n_files, state.size_B, state.newest_ns) for path, state in sorted(states.items())
    ]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    return pa.table(arrays, schema=_SCHEMA.with_metadata({METADATA_KEY: json.dumps(dict(told)).encode()}))


class QuickLook:
    """One look at the directories that are known, without opening those in which nothing can have changed.

    Parameters
    ----------
    root : Path
        The drive's root.
    known : mapping of bytes to DirectoryState
        Its directories as they were last seen.
    hot_since_ns : int
        A directory in which a file changed since is looked at even where its own time says nothing [ns since 1970 UTC].
    """

    def __init__(self, root: Path, known: Mapping[bytes, DirectoryState], hot_since_ns: int) -> None:
        self._root = root
        self._known = known
        self._hot_since_ns = hot_since_ns
        self._device = 0
        self.n_looked = 0

    def run(self) -> States:
        """Return the directories that are not as they were known; one that is gone has no files."""
        root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._device = os.fstat(root).st_dev
            changed: States = {}
            for path, before in self._known.items():
                now = _GONE if self._is_below_gone(path, changed) else self._see(root, path, before, changed)
                if now != before:
                    changed[path] = now
        finally:
            os.close(root)
        return changed

    def _is_below_gone(self, path: bytes, changed: States) -> bool:
        """Return whether the directory above is gone: what lies there now, a link perhaps, leads elsewhere."""
        above = path.rpartition(b"/")[0]
        return bool(path) and changed.get(above, self._known.get(above, _THERE)).mtime_ns == 0

    def _see(self, root: int, path: bytes, before: DirectoryState, changed: States) -> DirectoryState:
        try:
            found = os.stat(path or b".", dir_fd=root, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode) or found.st_dev != self._device:
                return _GONE
            if not needs_look(before, found.st_mtime_ns, self._hot_since_ns):
                return before
            return self._list(root, path, found.st_mtime_ns, changed)
        except FileNotFoundError:
            return _GONE
        except OSError:  # closed to this user, or failing: the next full scan tells of it
            return before

    def _list(self, root: int, path: bytes, mtime_ns: int, changed: States) -> DirectoryState:
        self.n_looked += 1
        descriptor = os.open(path or b".", _OPEN, dir_fd=root)
        try:
            with os.scandir(descriptor) as entries:
                sizes, times, inner = self._entries(entries)
        finally:
            os.close(descriptor)
        for name in inner:
            below = b"/".join(filter(None, (path, name)))
            if below not in self._known and below not in changed:
                changed[below] = self._see(root, below, _THERE, changed)
        return DirectoryState(mtime_ns, len(sizes), sum(sizes), max(times, default=0))

    def _entries(self, entries: Iterator[os.DirEntry[str]]) -> tuple[list[int], list[int], list[bytes]]:
        sizes, times, inner = [], [], []
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inner.append(os.fsencode(entry.name))
            elif entry.is_file(follow_symlinks=False):
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                sizes.append(found.st_size)
                times.append(found.st_mtime_ns)
        return sizes, times, inner


def look_quickly(root: Path, scan: Path, *, now_ns: int, hot_ns: int) -> QuickReport:
    """Look at what changed on a drive since its last full scan, and keep it.

    Parameters
    ----------
    root : Path
        The drive's root.
    scan : Path
        Its newest full scan.
    now_ns : int
        The time now [ns since 1970 UTC].
    hot_ns : int
        How long a directory is hot after the last change of a file in it [ns].

    Returns
    -------
    QuickReport
        What was found.
    """
    folder = scan.parent
    _, base = read_directories(directories_file(scan))
    told, since = read_directories(quick_file(folder))
    if told.get("scan") != scan.name:
        since = {}
    look = QuickLook(root, {**base, **since}, now_ns - hot_ns)
    since |= look.run()
    before_B = sum(state.size_B for state in base.values())
    report = QuickReport(
        now_ns,
        n_directories=len(base.keys() | since.keys()),
        n_looked=look.n_looked,
        size_B=before_B + sum(state.size_B - _size_B(base, path) for path, state in since.items()),
        grown_B=sum(state.size_B - _size_B(base, path) for path, state in since.items()),
    )
    write_quick(folder, since, {"scan": scan.name, "time_ns": now_ns, "size_B": report.size_B})
    return report


def _size_B(states: Mapping[bytes, DirectoryState], path: bytes) -> int:
    return states[path].size_B if path in states else 0


def keep_directories(scan: Path, before: Path | None) -> int | None:
    """Keep the directories of a new full scan, with what quick looks had missed until then.

    Parameters
    ----------
    scan : Path
        The new scan.
    before : Path or None
        The full scan before it.

    Returns
    -------
    int or None
        Bytes that quick looks had missed [B]; None where there was none to be measured.
    """
    states = sum_directories(scan)
    told, since = read_directories(quick_file(scan.parent))
    missed_B = None
    if before is not None and told.get("scan") == before.name:
        believed = {**read_directories(directories_file(before))[1], **since}
        missed_B = missed_by_quick(believed, states, told["time_ns"])
    write_directories(scan, states, {"scan": scan.name, "missed_B": missed_B, "quick_ns": told.get("time_ns")})
    return missed_B
