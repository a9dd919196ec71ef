"""What replicas needs of the world: trees of files, drives, remotes, turns at a device, and time to wait."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from nualley.core import Digests
from nualley.replicas.models import Listing
from nualley.replicas.watched import SteadyMoment
from nualley.storage import DriveUsage

Progress = Callable[[str, int, int], None]
"""Told what is copied, bytes done and bytes to do [B]; copying and reading back count alike."""

ShouldStop = Callable[[], bool]
"""Asked often; where it says yes, work ends as soon as it can be taken up again."""


class Trees(Protocol):
    """Files below a directory."""

    def look(self, path: Path) -> Listing | None:
        """Return what is at a path now: all below a directory, or one file; None where nothing is there.

        Links are not followed, other file systems not entered; what cannot be read is in the answer, never an error.
        """
        ...

    def root(self, path: Path) -> Path:
        """Return the directory at a path, or the one that a file there is in."""
        ...

    def real(self, path: Path) -> Path:
        """Return a path with its links resolved, absolute; it need not exist."""
        ...

    def device(self, path: Path) -> int:
        """Return the device under a path, or under the nearest folder above that exists."""
        ...


class Drives(Protocol):
    """The drives of the experiment, each known again by its marker."""

    def usages(self) -> Sequence[DriveUsage]:
        """Return how full they are now; a bare mount point, or another drive in the place of one, is missing."""
        ...

    def register(self, usage: DriveUsage) -> None:
        """Mark a drive that is written to for the first time, and enter it; StorageError where that fails."""
        ...


class RemoteReader(Protocol):
    """A file of a remote, read from its start."""

    size_B: int
    mtime_ns: int

    def close(self) -> None:
        """Let go of it."""
        ...

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer with the next bytes; return their number, 0 at the end."""
        ...


class RemoteFiles(Protocol):
    """Files at a place that is no drive of this machine; paths are below it, "" is the place itself.

    What goes wrong is RemoteUnreachable, RemoteRefused, RemoteFull, RemoteNotSetUp or another RemoteError.
    """

    name: str

    def home(self) -> str | None:
        """Return what holds its bytes: remotes with the same one are one home; None where it is this machine itself."""
        ...

    def look(self, path: str) -> Listing | None:
        """Return what is at a path now: all below a directory, or one file; None where nothing is there."""
        ...

    def sizes(self, paths: Collection[str]) -> Mapping[str, int]:
        """Return how large those of some files are that are there [B]."""
        ...

    def open(self, path: str) -> RemoteReader:
        """Open a file for reading; SourceVanished where it is not there."""
        ...

    def upload(self, source: Path, path: str, *, rate_B_per_s: int | None, progress: Callable[[int], object]) -> None:
        """Write a file of this machine to a path, in the place of what is there, and return once it was taken.

        ``progress`` is told bytes done [B]; what it raises ends the upload.
        """
        ...

    def digests(self, path: str, progress: Callable[[int], object]) -> Digests:
        """Return the digests of what the remote holds; adler32 is empty where it reckons them itself.

        SourceVanished where it is not there.
        """
        ...

    def move(self, path: str, destination: str) -> bool:
        """Give a file its final name; FileExistsError where that is taken.

        Returns whether it was renamed; a remote that can only copy its own files has written it once more.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file; no error where there is none."""
        ...

    def available_B(self) -> int | None:
        """Return how much more can be written [B]; None where the remote does not say."""
        ...


class Remotes(Protocol):
    """The remotes of the experiment."""

    def names(self) -> Sequence[str]:
        """Return their names."""
        ...

    def open(self, name: str) -> RemoteFiles:
        """Return one; UnknownRemote where none is called so. Nothing is asked of it yet."""
        ...


class Turns(Protocol):
    """Turns at devices: as many copies at a time as each can bear, over all processes of a store."""

    def at(self, devices: Collection[int | str], waits: Callable[[], object]) -> AbstractContextManager[None]:
        """Wait for a turn at each device, and give them back at the end.

        ``waits`` is called again and again meanwhile; what it raises ends the waiting.
        """
        ...

    def at_transfer(self, transfer_id: int) -> AbstractContextManager[None]:
        """Work on a transfer alone; TransferRunning where another process does."""
        ...


class Timer(Protocol):
    """Time that passes, whatever the clock says."""

    def now_s(self) -> float:
        """Return a time that only goes forward [s]."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Wait [s]."""
        ...


class Journal(Protocol):
    """What was taken away, entry by entry. An entry is durable when `append` returns, or nothing of it is there."""

    def alone(self) -> AbstractContextManager[None]:
        """Be the only one who takes away and puts back; RemovalRunning where another process is."""
        ...

    def entries(self) -> list[Mapping[str, Any]]:
        """Return all entries, the oldest first; JournalDamaged where one is not as it was written.

        One that was cut by a power cut or a kill at the end is none.
        """
        ...

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write an entry; OSError where there is no room for it."""
        ...


class SteadyClock(Protocol):
    """A clock that nobody sets."""

    def now(self) -> SteadyMoment:
        """Return the moment."""
        ...
