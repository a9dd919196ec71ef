"""What the system's refusals mean for a copy: OSError in, this domain's errors out."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nualley.core import NualleyError, escape_name, format_size, reason
from nualley.storage.errors import (
    DestinationBusy,
    DestinationRefused,
    DriveFailing,
    DriveFull,
    DriveReadOnly,
    SourceUnreadable,
    SourceVanished,
)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FAILING = (errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.EREMOTEIO)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


def shown(path: Path) -> str:
    """Return a path as text that any terminal can hold."""
    return escape_name(os.fspath(path))


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Turn what the system says of the source into SourceVanished or SourceUnreadable."""
    try:
        yield
    except FileNotFoundError:
        raise vanished(source) from None
    except OSError as error:
        raise SourceUnreadable(
            f"{shown(source)} cannot be read: {_reason(error)}", where=shown(source), do=_reading_remedy(error)
        ) from error


def vanished(source: Path) -> SourceVanished:
    """Return the error of a source that is not there."""
    return SourceVanished(
        f"{shown(source)} is not there", where=shown(source), do="look whether it was moved, then name it anew"
    )


def _reason(error: OSError) -> str:
    if error.errno == errno.EINVAL:
        return "it is not a regular file"
    return f"{reason(error)} ({errno.errorcode.get(error.errno or 0, 'no errno')})"


def _reading_remedy(error: OSError) -> str:
    if error.errno in _FAILING:
        return "the drive under it fails: look at its SMART state and the kernel's log before anything is written there"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "give this user the right to read it"
    return "name a regular file"


@contextmanager
def writing(destination: Path, *, size_B: int, available_B: Callable[[Path], int]) -> Iterator[None]:
    """Turn what the system says of the destination into this domain's errors.

    Parameters
    ----------
    destination : Path
        The final name.
    size_B : int
        What the copy needs [B].
    available_B : callable
        Tells the bytes that are free at a path [B].
    """
    try:
        yield
    except NualleyError:
        raise
    except OSError as error:
        raise _refusal(error, destination, size_B=size_B, available_B=available_B) from error


def _refusal(error: OSError, destination: Path, *, size_B: int, available_B: Callable[[Path], int]) -> NualleyError:
    where = shown(destination)
    folder = shown(destination.parent)
    if error.errno in _FULL:
        return _full(error, destination, size_B=size_B, available_B=available_B)
    if error.errno == errno.EROFS:
        return DriveReadOnly(
            f"the drive under {folder} is mounted read-only",
            where=where,
            do="mount it for writing or name another drive in drives.toml; one that turned so may be failing",
        )
    if isinstance(error, BlockingIOError):
        return DestinationBusy(f"another process is writing {where} right now", where=where, do="wait until it is done")
    if error.errno in _FAILING:
        return DriveFailing(
            f"the drive under {folder} failed: {_reason(error)}",
            where=where,
            do="look at its SMART state and the kernel's log; nothing was left under the final name",
        )
    return DestinationRefused(
        f"{where} cannot be written: {_reason(error)}", where=where, do=_writing_remedy(error, folder)
    )


def _full(error: OSError, destination: Path, *, size_B: int, available_B: Callable[[Path], int]) -> DriveFull:
    folder = shown(destination.parent)
    try:
        free_B = available_B(destination.parent)
    except OSError:
        free_B = 0  # a drive that is full and no longer answers
    if error.errno == errno.EDQUOT:
        what = f"the quota of this user at {folder} has no room for {format_size(size_B)} ({size_B} B)"
    else:
        what = (
            f"{folder} has {format_size(free_B)} ({free_B} B) free, the file needs {format_size(size_B)} ({size_B} B)"
        )
    return DriveFull(
        what,
        where=shown(destination),
        do="free room there or name another drive in drives.toml, then give the same command again",
    )


def _writing_remedy(error: OSError, folder: str) -> str:
    if error.errno in _NO_LOCKS:
        return "mount the file system with locks: without them two processes could write one file"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"give this user the right to write to {folder}"
    return "choose another place: change replica_path or the drive's path in drives.toml"
