"""Folders that are still there after a power cut, and the room that is left in them."""

import os
from pathlib import Path


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
