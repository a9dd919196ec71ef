"""What ingest needs of the world: drop directories, raw files, and when runs were."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from nualley.core import Digests
from nualley.daq import FileSummary
from nualley.ingest.models import Found, RunTime
from nualley.storage import DriveUsage

Progress = Callable[[str, int, int], None]
"""Told the (escaped) name of a file, bytes done and bytes to do [B]; what it raises stops the copy, which is undone."""


class DropFiles(Protocol):
    """Directories into which DAQs write."""

    def walk(self, directory: Path) -> Found:
        """Return the regular files below a directory.

        Symbolic links are not followed: one that leads to a file of the same directory is skipped, for the file is
        found itself; any other is a problem. What cannot be read is a problem, never an error.
        """
        ...

    def find(self, path: Path) -> Found | None:
        """Return one file (a link is followed) or all below a directory; None where nothing is there."""
        ...


class Drives(Protocol):
    """The drives of the experiment, each known again by its marker."""

    def usages(self) -> Sequence[DriveUsage]:
        """Return how full they are now; a bare mount point, or another drive in the place of one, is missing."""
        ...

    def register(self, usage: DriveUsage) -> None:
        """Mark a drive that is written to for the first time, and enter it; StorageError where that fails."""
        ...


class Claims(Protocol):
    """Files that are being taken in: one process at a time makes the copies of one, and chooses the drives for them."""

    def claim(self, what: str) -> AbstractContextManager[None]:
        """Take a file alone; DestinationBusy where another process takes it."""
        ...


class RawFiles(Protocol):
    """Raw files of detectors."""

    def summarise(self, path: Path, detector: str) -> FileSummary:
        """Read a file once through the reader of its format.

        Bad content is in the defects; a file of no known format has the format ``unknown``. Raises
        UnreadableFileError, FileShrankError, MissingSettingError, PluginError and ReaderFailed.
        """
        ...

    def digest(self, path: Path) -> Digests:
        """Read a file once and return its digests; SourceVanished and SourceUnreadable where that fails."""
        ...


class RunTimes(Protocol):
    """When runs were, as archived run PVs tell it."""

    def find(self, detector: str, number: int) -> RunTime | None:
        """Return when a run was; None where the PVs do not tell of it.

        Raises UnreachableError where the archive cannot be asked.
        """
        ...
