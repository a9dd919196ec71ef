"""What the archive needs of the world: a log, files of columns, and an index."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import pyarrow as pa

from nualley.archive.commits import Commit, Frame
from nualley.archive.models import (
    ConnectionRow,
    Loss,
    Mark,
    Repair,
    RowGroup,
    SealedContents,
    SealedFile,
    SealedState,
)
from nualley.pv import ValueType


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


class ColumnFiles(Protocol):
    """Parquet files of rows, sorted by PV and time, a row group per PV."""

    def write(self, path: str, table: pa.Table, value_type: ValueType, *, is_quarantine: bool) -> SealedFile:
        """Write a file durably and return what it holds.

        Parameters
        ----------
        path : str
            Relative to the archive. A file of that name that the index does not know is from an earlier try; where it
            holds other bytes it is kept beside the new one.
        table : pyarrow.Table
            Sorted by PV and time.
        value_type : ValueType
            What its values are.
        is_quarantine : bool
            Whether it holds refused samples.
        """
        ...

    def read(self, groups: Sequence[RowGroup]) -> list[pa.Table]:
        """Read row groups.

        Raises
        ------
        FileNotFoundError
            Where a file was replaced meanwhile, or is missing.
        SealedFileDamagedError
            Where a file is not as it was written.
        """
        ...

    def last_segment(self, shard: str) -> int:
        """Return the highest number of a segment with rows in a file, whether the index knows it or not; -1: none."""
        ...

    def missing(self, groups: Iterable[RowGroup]) -> list[str]:
        """Return the paths of those files that do not exist."""
        ...


class Index(Protocol):
    """What is sealed: PVs with their account, files, row groups, connection rows."""

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

    def row_groups(self, pv: str, start_ns: int, stop_ns: int, *, is_quarantine: bool = False) -> list[RowGroup]:
        """Return the row groups of a PV that reach into ``[start_ns, stop_ns)``, by time."""
        ...

    def sample_before(self, pv: str, time_ns: int) -> RowGroup | None:
        """Return the row group that holds the PV's last sample at or before a time."""
        ...

    def connections(self, pv: str, start_ns: int, stop_ns: int) -> list[ConnectionRow]:
        """Return a PV's connection rows in ``[start_ns, stop_ns)``, the last before and the first behind, by time."""
        ...

    def losses(self) -> list[Loss]:
        """Return what was found missing when segments were sealed, by time."""
        ...
