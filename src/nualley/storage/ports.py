"""What storage needs of the world: durable files, the state of volumes, and where the rows of a scan go."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from nualley.storage.models import DriveMarker, FileLook, FileState, VolumeState


class OpenFile(Protocol):
    """A regular file, open for reading from its start; a context manager that closes it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def state(self) -> FileState:
        """Return the state of the open file, whatever its name points at by now."""
        ...

    def sync(self) -> None:
        """Wait until its bytes are on the drive (``fdatasync``)."""
        ...

    def drop_cache(self) -> None:
        """Forget its cached pages, so that the next read asks the drive (``POSIX_FADV_DONTNEED``)."""
        ...

    def rewind(self) -> None:
        """Read from the start again."""
        ...

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer with the next bytes; return their number, 0 at the end."""
        ...


class Part(OpenFile, Protocol):
    """A file in the making beside its final name, held by this process alone; closing it does not remove it."""

    path: Path

    def seek(self, offset_B: int) -> None:
        """Read or write from there on."""
        ...

    def preallocate(self, size_B: int) -> None:
        """Reserve room where it is scarce, so that a full drive shows before the copy.

        A file system that cannot reserve is no error.
        """
        ...

    def write(self, chunk: memoryview) -> None:
        """Write all of the bytes, from where it stands."""
        ...

    def set_writable(self, *, is_writable: bool) -> None:
        """Let its owner open it by name for writing, or nobody."""
        ...

    def set_mtime(self, mtime_ns: int) -> None:
        """Set the time of the last change [ns since 1970 UTC]."""
        ...

    def link(self, destination: Path) -> None:
        """Give it its final name too, or move it there; FileExistsError where the name is taken, never overwriting."""
        ...

    def remove(self) -> None:
        """Take away the name that it had in the making, where it still has it."""
        ...


class DurableFiles(Protocol):
    """Files whose every step towards durability is a call of its own. Errors are OSError, as the system names them."""

    def state(self, path: Path) -> FileState | None:
        """Return the state of what the name points at, links followed; None where there is nothing."""
        ...

    def open(self, path: Path, *, is_link_followed: bool = True) -> OpenFile:
        """Open a regular file for reading.

        Anything else is refused with ``EINVAL``, never waited for; a symbolic link that is not followed with ``ELOOP``.
        """
        ...

    def open_part(self, destination: Path) -> Part:
        """Make an empty part for the destination, alone: one left by a dead process is removed first.

        BlockingIOError where a living process holds it.
        """
        ...

    def take_part(self, destination: Path, size_B: int) -> Part | None:
        """Take over the part that a dead process left, at its start; None where none is there that may be gone on with.

        That is one with other names, which may be a final one, or with more than ``size_B`` bytes.
        BlockingIOError where a living process holds it.
        """
        ...

    def remove_stale_part(self, destination: Path) -> bool:
        """Remove the part that a dead process left, and return whether there was one; a living one's is let be."""
        ...

    def make_directories(self, directory: Path) -> Sequence[Path]:
        """Make the directory and those above it where missing.

        Returns those above it whose entries may not be durable yet, nearest first.
        """
        ...

    def sync_directory(self, directory: Path) -> None:
        """Wait until the directory's entries are on the drive."""
        ...

    def move(self, source: Path, destination: Path) -> None:
        """Rename within a folder and make that durable; FileExistsError where the name is taken, never overwriting."""
        ...

    def available_B(self, path: Path) -> int:
        """Return the bytes that a user may still write at the path, or at the nearest folder above that exists [B]."""
        ...


class Volumes(Protocol):
    """The volumes of this machine."""

    def state(self, path: Path) -> VolumeState:
        """Return what the file system says of itself; OSError where the path is no directory."""
        ...

    def mark(self, path: Path, name: str) -> DriveMarker:
        """Return the marker of a volume; where it has none, write one for a drive of that name first, durably.

        StorageError where it cannot be written.
        """
        ...


class ScanRows(Protocol):
    """Where a walk leaves what it finds."""

    def begin(self, directory: bytes) -> None:
        """Say in which directory the next entries are, by its path below the first one."""
        ...

    def add(self, names: Sequence[str], stats: Sequence[os.stat_result]) -> None:
        """Take entries of the directory that was begun last."""
        ...


class RemovalFiles(Protocol):
    """Names that are taken away and put back, each step durable. Errors are OSError, as the system names them."""

    def look(self, path: Path) -> FileLook | None:
        """Return what a name is, without following it; None where nothing is there."""
        ...

    def make_folder(self, folder: Path) -> None:
        """Make a folder in one that is there, unless it is, and make its name durable."""
        ...

    def take(self, path: Path, trash: Path) -> None:
        """Rename whatever lies at a path into the trash of the same file system, and make both folders durable.

        FileExistsError where the name in the trash is taken, never overwriting.
        """
        ...

    def give_back(self, trash: Path, path: Path) -> None:
        """Give a file in the trash its place again, durably; FileExistsError where that is taken, never overwriting.

        Done again after a kill in between, it comes to the same.
        """
        ...

    def delete(self, trash: Path) -> None:
        """Delete a file for good, and make that durable."""
        ...
