"""What is where: the row groups of a file as columns, and the files of an archive as one snapshot."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from nualley.archive.sealed import FooterPlace, IndexedFile, Level, RowGroup, SealedFile

_NONE = -(2**63)
_MOST_CACHED_B = 64 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Directory:
    """The row groups of one file, by PV and time; all fields are arrays of one length.

    Parameters
    ----------
    pv : ndarray of int32
        Number of the PV in the index.
    n_rows : ndarray of int64
        Rows.
    start_ns, stop_ns : ndarray of int64
        Times of the first and the last row [ns since 1970 UTC].
    first_sample_ns, last_sample_ns : ndarray of int64
        Times of the first and the last sample; -2**63 where there is none.
    group_B : ndarray of int64
        Where the footer speaks of the group [B]; it ends where the next begins.
    ends_B : ndarray of int64
        The ends of these [B].
    group_xxh3 : ndarray of int64
        Digests of what the footer says there; 0 where there is none.
    skip_rows : ndarray of int64
        Rows of other PVs before those of the entry in the same row group of Parquet.
    footer : ndarray of int64, shape (5,)
        Start of the footer, of its list, of what follows the list, and its end [B]; the digest of what is around the
        list, or 0.
    """

    pv: NDArray[np.int32]
    n_rows: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    stop_ns: NDArray[np.int64]
    first_sample_ns: NDArray[np.int64]
    last_sample_ns: NDArray[np.int64]
    group_B: NDArray[np.int64]
    ends_B: NDArray[np.int64]
    group_xxh3: NDArray[np.int64]
    skip_rows: NDArray[np.int64]
    footer: NDArray[np.int64]

    @property
    def size_B(self) -> int:
        """Bytes of memory it takes."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))

    def rows_of(self, pv: int) -> range:
        """Return which row groups are a PV's."""
        first, stop = self.pv.searchsorted(
            np.array([pv, pv + 1], dtype=self.pv.dtype)
        )  # of another type, all are copied
        return range(int(first), int(stop))

    def group(self, row: int, file: IndexedFile) -> RowGroup:
        """Return a row group of the file that this is the directory of."""
        start_B, list_B, tail_B, stop_B, rest_xxh3 = self.footer.tolist()
        first_ns, last_ns = int(self.first_sample_ns[row]), int(self.last_sample_ns[row])
        return RowGroup(
            path=file.path,
            level=file.level,
            value_type=file.value_type,
            n_rows=int(self.n_rows[row]),
            start_ns=int(self.start_ns[row]),
            stop_ns=int(self.stop_ns[row]),
            first_sample_ns=None if first_ns == _NONE else first_ns,
            last_sample_ns=None if last_ns == _NONE else last_ns,
            place=FooterPlace(
                start_B=start_B,
                list_B=list_B,
                group_B=int(self.group_B[row]),
                group_stop_B=int(self.ends_B[row]),
                tail_B=tail_B,
                stop_B=stop_B,
                group_xxh3=int(self.group_xxh3[row]),
                rest_xxh3=rest_xxh3,
            ),
            skip_rows=int(self.skip_rows[row]),
        )


def directory_of(file: SealedFile, numbers: Mapping[str, int]) -> Directory:
    """Return the directory of a file.

    Parameters
    ----------
    file : SealedFile
        What was written.
    numbers : mapping of str to int
        Number of each of its PVs in the index.
    """
    found = sorted(((numbers[pv], group) for pv, group in file.groups), key=lambda entry: entry[0])
    groups = [group for _, group in found]
    place = groups[0].place if groups else FooterPlace(0, 0, 0, 0, 0, 0)

    def column(values: Sequence[int | None]) -> NDArray[np.int64]:
        return np.array([_NONE if value is None else value for value in values], dtype=np.int64)

    return Directory(
        pv=np.array([number for number, _ in found], dtype=np.int32),
        n_rows=column([group.n_rows for group in groups]),
        start_ns=column([group.start_ns for group in groups]),
        stop_ns=column([group.stop_ns for group in groups]),
        first_sample_ns=column([group.first_sample_ns for group in groups]),
        last_sample_ns=column([group.last_sample_ns for group in groups]),
        group_B=column([group.place.group_B for group in groups]),
        ends_B=column([group.place.group_stop_B for group in groups]),
        group_xxh3=column([group.place.group_xxh3 for group in groups]),
        skip_rows=column([group.skip_rows for group in groups]),
        footer=column([place.start_B, place.list_B, place.tail_B, place.stop_B, place.rest_xxh3]),
    )


class DirectoryCache:
    """Directories that were looked at; a file's never changes."""

    def __init__(self) -> None:
        self._found: OrderedDict[int, Directory] = OrderedDict()
        self._size_B = 0

    def get(self, file_id: int, load: Callable[[int], Directory]) -> Directory:
        """Return a file's directory, loaded where it is not there yet."""
        directory = self._found.pop(file_id, None)
        if directory is None:
            directory = load(file_id)
            self._size_B += directory.size_B
        self._found[file_id] = directory
        while self._size_B > _MOST_CACHED_B and len(self._found) > 1:
            _, gone = self._found.popitem(last=False)
            self._size_B -= gone.size_B
        return directory


class Snapshot:
    """The files of an archive at one moment.

    Parameters
    ----------
    files : sequence of IndexedFile
        All that the index lists.
    numbers : mapping of str to int
        Number of each PV in the index.
    load : callable
        Returns the directory of a file by its number.
    cache : DirectoryCache
        What was loaded before.
    """

    def __init__(
        self,
        files: Sequence[IndexedFile],
        numbers: Mapping[str, int],
        load: Callable[[int], Directory],
        cache: DirectoryCache,
    ) -> None:
        self.files = files
        self._numbers = numbers
        self._load = load
        self._cache = cache
        self._by_level = {level: [file for file in files if file.level is level] for level in Level}
        self._bounds = {
            level: np.array([(file.start_ns, file.stop_ns) for file in found], dtype=np.int64).reshape(-1, 2)
            for level, found in self._by_level.items()
        }

    def groups(self, pv: str, level: Level, start_ns: int, stop_ns: int) -> list[RowGroup]:
        """Return the row groups of a PV with rows in ``[start_ns, stop_ns)``, by time."""
        number = self._numbers.get(pv)
        if number is None:
            return []
        bounds = self._bounds[level]
        found = []
        for at in np.flatnonzero((bounds[:, 0] < stop_ns) & (bounds[:, 1] >= start_ns)):
            file = self._by_level[level][at]
            directory = self._directory(file)
            found += [
                directory.group(row, file)
                for row in directory.rows_of(number)
                if directory.start_ns[row] < stop_ns and directory.stop_ns[row] >= start_ns
            ]
        return sorted(found, key=lambda group: (group.start_ns, group.stop_ns, group.path))

    def first_ns(self, pv: str, level: Level) -> int | None:
        """Return the time of a PV's first sample of a level [ns since 1970 UTC]; None where there is none."""
        number = self._numbers.get(pv)
        bounds, best = self._bounds[level], None
        for at in np.argsort(bounds[:, 0], kind="stable") if number is not None else ():
            if best is not None and bounds[at, 0] >= best:
                break
            directory = self._directory(self._by_level[level][at])
            rows = directory.rows_of(number or 0)
            starts_ns = directory.first_sample_ns[rows.start : rows.stop]
            starts_ns = starts_ns[starts_ns != _NONE]
            if starts_ns.size:
                best = min(int(starts_ns.min()), 2**63 - 1 if best is None else best)
        return best

    def count_rows(self, pv: str, level: Level, start_ns: int, stop_ns: int) -> int:
        """Return about how many rows of a PV are in ``[start_ns, stop_ns)``: of a row group, as much as lies inside."""
        number = self._numbers.get(pv)
        if number is None:
            return 0
        bounds, total = self._bounds[level], 0.0
        for at in np.flatnonzero((bounds[:, 0] < stop_ns) & (bounds[:, 1] >= start_ns)):
            directory = self._directory(self._by_level[level][at])
            rows = directory.rows_of(number)
            first, last = directory.start_ns[rows.start : rows.stop], directory.stop_ns[rows.start : rows.stop]
            inside_ns = np.minimum(last, stop_ns) - np.maximum(first, start_ns)
            part = np.clip(inside_ns / np.maximum(last - first, 1), 0.0, 1.0)
            # a row group of one moment is inside or not
            part[(first == last) & (first >= start_ns) & (first < stop_ns)] = 1.0
            total += float((directory.n_rows[rows.start : rows.stop] * part).sum())
        return round(total)

    def before(self, pv: str, level: Level, time_ns: int) -> RowGroup | None:
        """Return the row group with a PV's last sample among those that end before a time.

        Together with those that reach over the time (`groups`) it holds the last sample before it.
        """
        number = self._numbers.get(pv)
        if number is None:
            return None
        bounds, files = self._bounds[level], self._by_level[level]
        best: RowGroup | None = None
        for at in np.argsort(-bounds[:, 1], kind="stable"):
            if bounds[at, 0] >= time_ns:
                continue
            if best is not None and best.last_sample_ns is not None and bounds[at, 1] <= best.last_sample_ns:
                break
            best = self._later(best, self._last_before(files[at], number, time_ns))
        return best

    def _last_before(self, file: IndexedFile, number: int, time_ns: int) -> RowGroup | None:
        directory = self._directory(file)
        best: RowGroup | None = None
        for row in directory.rows_of(number):
            if directory.stop_ns[row] < time_ns and directory.last_sample_ns[row] != _NONE:
                best = self._later(best, directory.group(row, file))
        return best

    @staticmethod
    def _later(one: RowGroup | None, other: RowGroup | None) -> RowGroup | None:
        if one is None or other is None:
            return one or other
        return other if (other.last_sample_ns or 0) > (one.last_sample_ns or 0) else one

    def bytes_by_pv(self, level: Level) -> dict[str, float]:
        """Return each PV's share of the bytes of a level's files, by rows [B]."""
        names, found = self.name_of(), dict[str, float]()
        for file in self._by_level[level]:
            directory = self._directory(file)
            for number, n_rows in zip(directory.pv.tolist(), directory.n_rows.tolist(), strict=True):
                share_B = file.size_B * n_rows / max(file.n_rows, 1)
                found[names[number]] = found.get(names[number], 0.0) + share_B
        return found

    def pvs_of(self, file: IndexedFile) -> NDArray[np.int32]:
        """Return the numbers of the PVs in a file."""
        return np.unique(self._directory(file).pv)

    def name_of(self) -> dict[int, str]:
        """Return the name of each PV by its number."""
        return {number: name for name, number in self._numbers.items()}

    def _directory(self, file: IndexedFile) -> Directory:
        return self._cache.get(file.file_id, self._load)
