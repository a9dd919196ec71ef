"""What the archive needs of the world: a log, files of columns, and an index."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import pyarrow as pa

from nualley.archive.commits import Commit
from nualley.archive.models import ConnectionRow, LogPosition, Repair, RowGroup, SealedFile, SealedState
from nualley.pv import ValueType


class LogWriter(Protocol):
    """The write-ahead log of one shard, for the one process that writes it."""

    @property
    def position(self) -> LogPosition:
        """The open segment, and how much of it is synced."""
        ...

    def append(self, frame: bytes) -> None:
        """Write a frame and make it durable; only then return.

        Parameters
        ----------
        frame : bytes
            One encoded commit.

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

    def segments(self) -> list[int]:
        """Return the numbers of the segments that exist, in order."""
        ...

    def read(self, segment: int, offset_B: int = 0, *, is_writer: bool = False) -> tuple[list[Commit], int]:
        """Read the commits of a segment.

        Parameters
        ----------
        segment : int
            Its number.
        offset_B : int
            Where to go on [B]; 0 is the beginning.
        is_writer : bool
            The writer reads all that is whole; others only what is synced.

        Returns
        -------
        tuple of (list of Commit, int)
            The commits, and where the next reading goes on [B].

        Raises
        ------
        FileNotFoundError
            Where it was sealed meanwhile.
        """
        ...

    def repair(self, segment: int) -> Repair:
        """Cut a torn tail off, set what is damaged between whole frames aside, and say how much each was."""
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
            Relative to the archive; a file of that name that the index does not know is replaced.
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
            Where a file was replaced meanwhile.
        """
        ...


class Index(Protocol):
    """What is sealed: PVs with their account, files, row groups, connection rows."""

    def load(self) -> SealedState:
        """Return what is known up to the last sealed segment."""
        ...

    def seal(self, state: SealedState, files: Iterable[SealedFile], connections: Iterable[ConnectionRow]) -> None:
        """Take over a segment in one transaction: files, connection rows and the account of every PV."""
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

    def connections(self, pv: str) -> list[ConnectionRow]:
        """Return a PV's connection rows, by time."""
        ...
