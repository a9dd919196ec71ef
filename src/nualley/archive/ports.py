"""What the archive needs of the world: a log, files of columns, and an index."""

from collections.abc import Iterable, Sequence
from typing import Protocol, Self, TypeAlias

import pyarrow as pa

from nualley.archive.commits import Commit, Frame
from nualley.archive.directory import DirectoryCache, Snapshot
from nualley.archive.models import ConnectionRow
from nualley.archive.progress import Loss, Mark, Repair
from nualley.archive.pv_record import PvRecord
from nualley.archive.sealed import Encoding, IndexedFile, Level, RowGroup, SealedContents, SealedFile, SealedState
from nualley.pv import Metadata, ValueType


class LogWriter(Protocol):
    """The write-ahead log of one shard, for the one process that writes it."""

    @property
    def position(self) -> Mark:
        """The open segment, how much of it is synced, and the account by then."""
        ...

    def append(self, frame: Frame) -> None:
        """Write a frame and make it durable; only then return.

        Parameters
        ----------
        frame : Frame
            One encoded commit and its account.

        Raises
        ------
        LogWriteError
            Where it could not be made durable. Nothing of it is in the log then, and it may be tried again.
        """
        ...

    def rotate(self) -> int:
        """Close the open segment, begin the next one, and return the number of the one that was closed."""
        ...

    def close(self) -> None:
        """Close the open segment; it stays unsealed."""
        ...


class LogReader(Protocol):
    """The write-ahead log of one shard, for anyone."""

    def mark(self) -> Mark | None:
        """Return how far the log is synced, as its writer last said; None where it never began.

        Raises
        ------
        LogDamagedError
            Where there is a log and its mark cannot be read.
        """
        ...

    def segments(self) -> list[int]:
        """Return the numbers of the segments that exist, in order."""
        ...

    def read(self, segment: int, offset_B: int = 0, stop_B: int | None = None) -> tuple[list[Commit], int]:
        """Read the commits of a segment.

        Parameters
        ----------
        segment : int
            Its number.
        offset_B : int
            Where to go on [B]; 0 is the beginning.
        stop_B : int, optional
            Where to stop [B]: what the mark says of the open segment. By default all that is whole is read.

        Returns
        -------
        tuple of (list of Commit, int)
            The whole commits, and where the next reading goes on [B]; what is missing shows in their numbers.

        Raises
        ------
        FileNotFoundError
            Where it was sealed meanwhile.
        """
        ...

    def repair(self, segment: int) -> Repair:
        """Cut off what follows the last whole frame, set aside what was synced and is damaged, and say how much."""
        ...

    def remove(self, segment: int) -> None:
        """Delete a sealed segment."""
        ...


class FileWriter(Protocol):
    """A file that is being written; a context manager that leaves nothing under its name unless it was finished."""

    @property
    def size_B(self) -> int:
        """Bytes that are written by now [B]."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *args: object) -> None: ...

    def add(self, pv: str, run: pa.Table) -> None:
        """Write a run of a PV's rows as one row group; runs come by PV and time."""
        ...

    def finish(self) -> SealedFile:
        """Make the file durable, read it back, give it its name, and return what it holds.

        Raises
        ------
        SealedFileDamagedError
            Where the drive does not give back what was written.
        """
        ...


class ColumnFiles(Protocol):
    """Parquet files of rows or cells, sorted by PV and time, row groups of one PV each."""

    def write(self, path: str, table: pa.Table, level: Level, value_type: ValueType) -> SealedFile:
        """Write a file durably and return what it holds.

        Parameters
        ----------
        path : str
            Relative to the archive. A file of that name that the index does not know is from an earlier try; where it
            holds other bytes it is kept beside the new one.
        table : pyarrow.Table
            Sorted by PV and time.
        level : Level
            What its rows are.
        value_type : ValueType
            What its values are.
        """
        ...

    def begin(
        self, path: str, level: Level, value_type: ValueType, encoding: Encoding = ..., *, is_lasting: bool = False
    ) -> FileWriter:
        """Begin a file that is written run by run.

        Parameters
        ----------
        path, level, value_type
            As for `write`.
        encoding : Encoding
            How its values are written.
        is_lasting : bool
            Whether its rows are kept for good; see `nualley.archive.layouts.to_lasting`.
        """
        ...

    def trial_B(self, table: pa.Table, level: Level, value_type: ValueType, encoding: Encoding) -> int:
        """Return how large the values of some rows are when written in an encoding [B]."""
        ...

    def read(self, group: RowGroup, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a row group.

        Parameters
        ----------
        group : RowGroup
            Which.
        columns : sequence of str, optional
            Those wanted; by default all.

        Raises
        ------
        FileNotFoundError
            Where the file was replaced meanwhile, or is missing.
        SealedFileDamagedError
            Where the file is not as it was written; that is noted durably.
        """
        ...

    def note_missing(self, path: str) -> None:
        """Note durably that a file which the index lists is not there."""
        ...

    def last_segment(self, shard: str) -> int:
        """Return the highest number of a segment with rows in a file, whether the index knows it or not; -1: none."""
        ...

    def missing(self, groups: Iterable[RowGroup]) -> list[str]:
        """Return the paths of those files that do not exist."""
        ...

    def remove(self, path: str) -> None:
        """Delete a file; one that is not there is no error."""
        ...


class Manifest(Protocol):
    """The record of every file that was ever sealed or deleted, in the order in which it happened."""

    def note(self, files: Sequence[SealedFile], gone: Sequence[IndexedFile], why: str) -> None:
        """Add lines durably.

        Parameters
        ----------
        files, gone : sequence
            Files that are about to be entered into the index, and those that are about to leave it.
        why : str
            What happens: "sealed segment 12".
        """
        ...


Generation: TypeAlias = tuple[int, int, int]
"""What tells one state of the index from another."""


class Index(Protocol):
    """What is sealed: PVs with their account, files and what is in them, connection rows."""

    def generation(self) -> Generation:
        """Return what changes with every change of the index; cheap."""
        ...

    def snapshot(self, cache: DirectoryCache) -> Snapshot:
        """Return the files that are sealed now.

        Parameters
        ----------
        cache : DirectoryCache
            Directories that were loaded before.
        """
        ...

    def replace(self, gone: Sequence[IndexedFile], files: Sequence[SealedFile], shard: str = "") -> None:
        """Put files in the place of others in one transaction.

        Raises
        ------
        ReplacedError
            Where one of those that are to go is not there any more; nothing is changed then.
        """
        ...

    def take_in(
        self, records: Sequence[PvRecord], contents: SealedContents, forget: Sequence[ConnectionRow], *, shard: str
    ) -> None:
        """Take over what a writer beside the log made, in one transaction.

        Parameters
        ----------
        records : sequence of PvRecord
            The account of its PVs from now on.
        contents : SealedContents
            Its files, and its connection rows.
        forget : sequence of ConnectionRow
            Connection rows that count no longer.
        shard : str
            Name of that writer.
        """
        ...

    def load(self) -> SealedState:
        """Return what is known up to the last sealed segment."""
        ...

    def seal(self, state: SealedState, contents: SealedContents) -> None:
        """Take over a segment in one transaction: what became of its rows, and the account of every PV."""
        ...

    def note_log(self) -> None:
        """Note that the log has begun: from now on a log that is not there was taken away."""
        ...

    def last_sealed(self) -> int:
        """Return the number of the last sealed segment (-1: none)."""
        ...

    def connections(self, pv: str, start_ns: int, stop_ns: int) -> list[ConnectionRow]:
        """Return a PV's connection rows in ``[start_ns, stop_ns)``, the last before and the first behind, by time."""
        ...

    def metadata(self, pv: str) -> list[Metadata]:
        """Return what was known of a PV's numbers, by time: an entry for each change."""
        ...

    def losses(self) -> list[Loss]:
        """Return what was found missing when segments were sealed, by time."""
        ...
