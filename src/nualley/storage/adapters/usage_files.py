"""What owners take: added up from a scan, and kept for good beside it as a small Parquet file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nualley.storage.adapters.posix import PosixFiles
from nualley.storage.adapters.scan_rows import METADATA_KEY, read_metadata, reading_scan
from nualley.storage.models import MARKER_NAME, NOBODY, Owner, UnownedDirectory, Usage
from nualley.storage.ownership import Ownership
from nualley.storage.publication import publish_made

_COLUMNS = ["directory", "kind", "size_B", "blocks_B", "mtime_ns", "is_counted"]
_MONTHS = 12_000  # a thousand years from 1970: what lies outside counts as the nearest of them


class _Rows(NamedTuple):
    """A row group: names of its directories, and for each row the number of its directory and what counts."""

    directories: list[bytes]
    place: NDArray[np.int64]
    is_file: NDArray[np.bool_]
    size_B: NDArray[np.int64]
    blocks_B: NDArray[np.int64]
    mtime_ns: NDArray[np.int64]


def measure_usage(file: Path, ownership: Ownership) -> list[Usage]:
    """Add up what each owner takes, by month of the last change.

    Parameters
    ----------
    file : Path
        A scan.
    ownership : Ownership
        The rules for its drive.

    Returns
    -------
    list of Usage
        By detector, stage, run, owner and month.
    """
    owners: dict[Owner, int] = {}
    sums: dict[int, NDArray[np.int64]] = {}
    for rows in _read(file):
        number_by_place = np.array(
            [owners.setdefault(ownership.owner_of(directory), len(owners)) for directory in rows.directories], np.int64
        )
        key = number_by_place[rows.place] * _MONTHS + _months(rows.mtime_ns)
        for value, found in zip(*_add_up(key, rows), strict=True):
            sums[value] = sums[value] + found if value in sums else found
    listed = list(owners)
    usages = [
        Usage(listed[key // _MONTHS], str(np.datetime64(key % _MONTHS, "M")), *map(int, found))
        for key, found in sums.items()
    ]
    return sorted(usages, key=_order)


def find_unowned(file: Path, ownership: Ownership) -> list[UnownedDirectory]:
    """Find the directories that no rule matches.

    Parameters
    ----------
    file : Path
        A scan.
    ownership : Ownership
        The rules for its drive.

    Returns
    -------
    list of UnownedDirectory
        The largest first. One stands for all below it where nothing there is owned; the drive's root stands only for
        the files that lie in it.
    """
    own: dict[bytes, NDArray[np.int64]] = {}
    mixed: set[bytes] = {b""}
    for rows in _read(file):
        is_nobodys = [ownership.owner_of(directory) == NOBODY for directory in rows.directories]
        for directory, is_unowned in zip(rows.directories, is_nobodys, strict=True):
            if not is_unowned:
                _mark_above(directory, mixed)
        for place, found in _add_directories(rows, np.array(is_nobodys, np.bool_)):
            directory = rows.directories[place]
            own[directory] = _join(own[directory], found) if directory in own else found
    tops: dict[bytes, NDArray[np.int64]] = {}
    for directory, found in own.items():
        top = _top(directory, mixed)
        tops[top] = _join(tops[top], found) if top in tops else found
    listed = [UnownedDirectory(path, *map(int, found)) for path, found in tops.items() if found[0]]
    return sorted(listed, key=lambda directory: (-directory.size_B, directory.path))


def usage_file(scan: Path, digest: str) -> Path:
    """Return where what was added up of a scan is kept, for rules with that digest."""
    return scan.parent / "usage" / f"{scan.stem}-{digest}.parquet"


def usage_files(folder: Path) -> dict[str, list[Path]]:
    """Return all that was added up of scans of a drive, by the scan's name without its ending, the oldest first."""
    found: dict[str, list[Path]] = {}
    for path in sorted((folder / "usage").glob("2*.parquet")):
        found.setdefault(path.stem.rpartition("-")[0], []).append(path)
    return found


def write_usage(scan: Path, usages: Sequence[Usage], digest: str) -> Path:
    """Keep what was added up of a scan, without its runs, durably; return where."""
    merged: dict[tuple[Owner, str], NDArray[np.int64]] = {}
    for usage in usages:
        of = Owner(usage.owner.detector, usage.owner.stage, None, usage.owner.owner)
        counts = np.array([usage.n_files, usage.size_B, usage.blocks_B], np.int64)
        merged[of, usage.month] = merged[of, usage.month] + counts if (of, usage.month) in merged else counts
    told = pq.read_metadata(scan).metadata or {}
    rows = [
        {
            "detector": of.detector,
            "stage": of.stage,
            "owner": of.owner,
            "month": month,
            **dict(zip(("n_files", "size_B", "blocks_B"), map(int, counts), strict=True)),
        }
        for (of, month), counts in merged.items()
    ]
    table = pa.Table.from_pylist(rows, _USAGE.with_metadata({METADATA_KEY: told[METADATA_KEY]}))
    path = usage_file(scan, digest)
    publish_made(path, lambda part: pq.write_table(table, part, compression="zstd"), files=PosixFiles())
    return path


def read_usage(path: Path) -> tuple[int, list[Usage]]:
    """Return when a scan began [ns since 1970 UTC], and what was added up of it."""
    with reading_scan(path):
        rows = pq.read_table(path).to_pylist()
    usages = [
        Usage(
            Owner(row["detector"], row["stage"], None, row["owner"]),
            *(row["month"], row["n_files"], row["size_B"], row["blocks_B"]),
        )
        for row in rows
    ]
    return int(read_metadata(path)["start_ns"]), usages


_USAGE = pa.schema(
    [
        *((name, pa.string()) for name in ("detector", "stage", "owner", "month")),
        *((name, pa.int64()) for name in ("n_files", "size_B", "blocks_B")),
    ]
)


def _read(file: Path) -> Iterator[_Rows]:
    with reading_scan(file):
        opened = pq.ParquetFile(file, read_dictionary=["directory"], page_checksum_verification=True)
    with opened:
        for number in range(opened.num_row_groups):
            with reading_scan(file):
                table = opened.read_row_group(number, columns=_COLUMNS).combine_chunks()
                rows = _rows(table)
                if b"" in rows.directories:
                    names = opened.read_row_group(number, columns=["name"]).filter(table.column("is_counted"))
                    rows = _with_marker_apart(rows, names.column("name"))
            yield rows


def _rows(table: pa.Table) -> _Rows:
    table = table.filter(table.column("is_counted"))
    places = table.column("directory").unify_dictionaries().combine_chunks()
    kinds = table.column("kind").combine_chunks().dictionary_decode()
    return _Rows(
        places.dictionary.to_pylist(),
        np.asarray(places.indices, np.int64),
        np.asarray(pc.not_equal(kinds, "directory")),
        *(np.asarray(table.column(name)) for name in ("size_B", "blocks_B", "mtime_ns")),
    )


def _with_marker_apart(rows: _Rows, names: pa.ChunkedArray) -> _Rows:
    """Return rows in which the marker of the drive has a place of its own: the root's other files are not nualley's."""
    is_root = rows.place == rows.directories.index(b"")
    is_marker = is_root & np.asarray(pc.equal(names, MARKER_NAME.encode()))
    place = np.where(is_marker, len(rows.directories), rows.place)
    return rows._replace(directories=[*rows.directories, MARKER_NAME.encode()], place=place)


def _months(mtime_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    months = mtime_ns.view("M8[ns]").astype("M8[M]").astype(np.int64)
    return np.clip(months, 0, _MONTHS - 1)


def _add_up(key: NDArray[np.int64], rows: _Rows) -> tuple[list[int], list[NDArray[np.int64]]]:
    values, place = np.unique(key, return_inverse=True)
    sums = np.zeros((len(values), 3), np.int64)
    # whole numbers: bincount would add them as floats, which lose bytes beyond 9 PB
    for column, what in enumerate((rows.is_file.astype(np.int64), rows.size_B * rows.is_file, rows.blocks_B)):
        np.add.at(sums[:, column], place, what)
    return values.tolist(), list(sums)


def _add_directories(rows: _Rows, is_wanted: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    n = len(rows.directories)
    sums = np.zeros((n, 3), np.int64)
    chosen = rows.is_file & is_wanted[rows.place] if n else rows.is_file
    np.add.at(sums[:, 0], rows.place[chosen], 1)
    np.add.at(sums[:, 1], rows.place[chosen], rows.size_B[chosen])
    np.maximum.at(sums[:, 2], rows.place[chosen], rows.mtime_ns[chosen])
    for place in np.flatnonzero(is_wanted):
        yield int(place), sums[place]


def _join(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array([one[0] + other[0], one[1] + other[1], max(one[2], other[2])], np.int64)


def _mark_above(directory: bytes, mixed: set[bytes]) -> None:
    while directory not in mixed:
        mixed.add(directory)
        directory = directory.rpartition(b"/")[0]


def _top(directory: bytes, mixed: set[bytes]) -> bytes:
    while directory and directory not in mixed and (above := directory.rpartition(b"/")[0]) not in mixed:
        directory = above
    return directory


def _order(usage: Usage) -> tuple[str, str, int, str, str]:
    owner = usage.owner
    return (owner.detector or "", owner.stage or "", owner.run or -1, owner.owner or "", usage.month)
