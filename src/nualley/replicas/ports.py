"""What replicas needs of the world: trees of files, drives, turns at a device, and time to wait."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from nualley.replicas.models import Listing
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


class Turns(Protocol):
    """Turns at devices: as many copies at a time as each can bear, over all processes of a store."""

    def at(self, devices: Collection[int], waits: Callable[[], object]) -> AbstractContextManager[None]:
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
