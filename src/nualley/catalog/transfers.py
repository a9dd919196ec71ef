"""Transfers: files that are copied from one place to another, and how far each of them has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nualley.catalog.models import check_escaped
from nualley.core import Digests


class TransferState(StrEnum):
    """How a transfer stands: gone on with by whoever takes it up, left to the worker, done, or given up."""

    UNFINISHED = "unfinished"
    LEFT = "left to the worker"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class CopyState(StrEnum):
    """How far a file has come, in this order.

    A state is entered when it is reached. A process that is killed leaves the last one, and whoever goes on believes no
    more of it than what the drive gives back.
    """

    QUEUED = "queued"
    COPYING = "copying"
    SYNCED = "synced"
    VERIFIED = "verified"
    PUBLISHED = "published"
    CATALOGUED = "catalogued"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """All files below one directory, on their way to another; or one file.

    Parameters
    ----------
    transfer_id : int
        Number in the catalog; 0 until stored.
    source, destination : str
        Where the files are, a directory or one file, and the directory that they go to; escaped.
    source_drive, drive : str or None
        Names of the drives that these lie on; None where they lie on none of the experiment's.
    rate_B_per_s : int or None
        Most bytes that are read in a second, copying and reading back [B/s]; None for no limit.
    host : str
        The machine that the paths are of.
    problem : str
        Why it could not be finished when it was last worked on; empty where nothing was in its way.
    created_ns : int
        When it was asked for [ns since 1970 UTC]; 0 until stored.
    finished_ns : int or None
        When all that a fresh look at the source found was copied and entered [ns since 1970 UTC]; None before.
    is_left : bool
        Left to the worker, which goes on with it until it is finished.
    cancelled_ns : int or None
        When it was given up [ns since 1970 UTC]; None where it was not. What was copied by then stays.

    Raises
    ------
    UsageError
        Where a path is not escaped.
    """

    transfer_id: int = 0
    source: str
    destination: str
    source_drive: str | None = None
    drive: str | None = None
    rate_B_per_s: int | None = None
    host: str = ""
    problem: str = ""
    created_ns: int = 0
    finished_ns: int | None = None
    is_left: bool = False
    cancelled_ns: int | None = None

    def __post_init__(self) -> None:
        check_escaped(self.source)
        check_escaped(self.destination)

    @property
    def state(self) -> TransferState:
        """How it stands."""
        if self.cancelled_ns is not None:
            return TransferState.CANCELLED
        if self.finished_ns is not None:
            return TransferState.FINISHED
        return TransferState.LEFT if self.is_left else TransferState.UNFINISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFile:
    """One file of a transfer.

    Parameters
    ----------
    transfer_id : int
        The transfer.
    path : str
        Its place below source and destination, escaped.
    size_B : int
        Size [B], >= 0.
    mtime_ns, inode : int
        Last change of its bytes [ns since 1970 UTC] and number on its device, as they were when it was queued.
    state : CopyState
        How far it has come.
    xxh3_128, adler32 : str
        Digests of what was read; empty until it was read whole.
    file_id : int or None
        Which file of the catalog it is a replica of; None where the catalog knows none with these bytes.
    problem : str
        Why it does not go on; empty where nothing is in its way.
    changed_ns : int
        When this was entered [ns since 1970 UTC]; 0 until stored.

    Raises
    ------
    UsageError
        Where the path is not escaped.
    """

    transfer_id: int = 0
    path: str
    size_B: int
    mtime_ns: int
    inode: int
    state: CopyState = CopyState.QUEUED
    xxh3_128: str = ""
    adler32: str = ""
    file_id: int | None = None
    problem: str = ""
    changed_ns: int = 0

    def __post_init__(self) -> None:
        check_escaped(self.path)

    @property
    def digests(self) -> Digests | None:
        """What tells its bytes; None until it was read whole."""
        return Digests(self.size_B, self.xxh3_128, self.adler32) if self.xxh3_128 else None


@dataclass(frozen=True, slots=True)
class TransferCount:
    """How far a transfer has come.

    Parameters
    ----------
    n_files_by_state, size_B_by_state : mapping of CopyState to int
        Files in each state, and their bytes [B].
    n_problems : int
        Files that do not go on.
    n_unknown : int
        Copied files of which the catalog knows none: their copies are no replicas.
    """

    n_files_by_state: Mapping[CopyState, int] = field(default_factory=dict)
    size_B_by_state: Mapping[CopyState, int] = field(default_factory=dict)
    n_problems: int = 0
    n_unknown: int = 0

    @property
    def n_files(self) -> int:
        """Files in all."""
        return sum(self.n_files_by_state.values())

    @property
    def size_B(self) -> int:
        """Their bytes [B]."""
        return sum(self.size_B_by_state.values())

    @property
    def n_done(self) -> int:
        """Files that are there, verified and entered."""
        return self.n_files_by_state.get(CopyState.CATALOGUED, 0)

    @property
    def done_B(self) -> int:
        """Their bytes [B]."""
        return self.size_B_by_state.get(CopyState.CATALOGUED, 0)
