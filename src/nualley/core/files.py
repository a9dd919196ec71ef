"""Folders and files that are still there after a power cut, and the room that is left for them."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_SOCKET_B = 107
"""A socket's path has at most so many bytes, whatever the file system allows (``sun_path``, less its closing zero)."""

_SHORT = Path("/tmp")  # noqa: S108  # who makes a folder in it sees to it that it is its own


def socket_base(folder: Path, rest: str) -> Path:
    """Return where a socket is to stand: in a folder, or in ``/tmp`` where that is too long a path for a socket.

    Parameters
    ----------
    folder : Path
        Where it should stand.
    rest : str
        The path of the socket below it.

    Examples
    --------
    >>> socket_base(Path("/run/user/1000"), "live.bus").as_posix()
    '/run/user/1000'
    >>> socket_base(Path("/scratch", "deep" * 30), "live.bus").as_posix()
    '/tmp'
    """
    return folder if len(os.fsencode(folder / rest)) <= LONGEST_SOCKET_B else _SHORT


def plain_path(path: Path) -> Path:
    """Return an absolute path without ``..``, that leads where the system would go; other links stay as they are.

    Parameters
    ----------
    path : Path
        Absolute; need not exist.

    Examples
    --------
    >>> plain_path(Path("/absent/experiment/../drives/data1")).as_posix()
    '/absent/drives/data1'
    """
    found = Path(path.anchor)
    for part in path.parts[1:]:
        found = _folder_above(found) if part == ".." else found / part
    return found


def _folder_above(path: Path) -> Path:
    # the folder above a link is the one above what it stands for
    is_link = os.path.islink(path)  # noqa: PTH114 - Path.is_symlink raises where a folder cannot be searched
    return Path(os.path.realpath(path)).parent if is_link else path.parent


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Parameters
    ----------
    folder : Path
        The folder.

    Raises
    ------
    OSError
        Where it cannot be opened or the drive refuses.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it where missing, each name durable before the next.

    Parameters
    ----------
    folder : Path
        The folder.

    Raises
    ------
    OSError
        Where one cannot be made; `FileExistsError` where a file has its name.
    """
    if not folder.is_dir():
        make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


@contextmanager
def replacing(path: Path, check: Callable[[Path], object] | None = None) -> Iterator[Path]:
    """Write a file whole or not at all: what was there stays until the new one is durable.

    Parameters
    ----------
    path : Path
        The file, in a folder that is there.
    check : callable, optional
        Takes what the drive gives back of the new one, before it gets its name; what it raises leaves all as it was.

    Yields
    ------
    Path
        Where the new one is to be written; where that fails, nothing of it is left.

    Raises
    ------
    OSError
        Where the drive refuses.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fdatasync(file.fileno())
            if check is not None:
                # not what memory still holds of it
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if check is not None:
            check(part)
        part.replace(path)
        sync_folder(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)  # on a full drive it may be what was missing
        raise


def free_B(path: Path) -> int:
    """Return the bytes that this user may still write at a path.

    Parameters
    ----------
    path : Path
        A file or folder; where it is not there, the nearest folder above that is counts.

    Returns
    -------
    int
        Room on its volume [B], >= 0; 0 where nothing of the path is there.

    Raises
    ------
    OSError
        Where the volume does not answer.
    """
    for place in (path, *path.absolute().parents):
        if place.exists():
            volume = os.statvfs(place)
            return volume.f_bavail * volume.f_frsize
    return 0


def try_lock(path: Path) -> int | None:
    """Lock a file, made where it is missing, and return its descriptor; None where another process holds it.

    Parameters
    ----------
    path : Path
        The file, in a folder that is there. Closing the descriptor gives the lock back, and so does the process's end.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
