"""Room on a drive that is held free: a file that is deleted when there is no other."""

import errno
import os
import time
from pathlib import Path

import structlog

from nualley.core import free_B, sync_folder

NAME = "reserve"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_LOOK_S = 10.0
_START_B = 4 * 2**20  # recovering a segment writes about as much as it holds, and the index
_log = structlog.get_logger(__name__)


def is_full(error: OSError) -> bool:
    """Return whether an error says that a drive or a quota is full."""
    return error.errno in _FULL


def give_to_start(folder: Path) -> None:
    """Give away the room that an earlier process held, where the drive is so full that an archive cannot even begin.

    Parameters
    ----------
    folder : Path
        The one that the reserve is in.
    """
    path = folder / NAME
    if path.exists() and free_B(folder) < _START_B:
        _log.error("THE DRIVE IS FULL: the archive starts in the room that was held for its log", path=str(path))
        path.unlink()
        sync_folder(folder)


class Reserve:
    """A file that holds room on a drive.

    Parameters
    ----------
    folder : Path
        Where; there is one in a folder.
    size_B : int
        How much [B]; 0 holds none.
    """

    def __init__(self, folder: Path, size_B: int) -> None:
        self._path = folder / NAME
        self._size_B = size_B
        self._looked_s = time.monotonic()
        self.is_held = size_B > 0 and self._hold()

    def _hold(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            if os.fstat(descriptor).st_blocks * 512 < self._size_B:  # also where a kill cut it short
                os.posix_fallocate(descriptor, 0, self._size_B)
        except OSError as error:
            _log.error("THE DRIVE IS FULL: no room can be held for the log", path=str(self._path), what=error.strerror)
            self._path.unlink(missing_ok=True)
            return False
        finally:
            os.close(descriptor)
        return True

    def spend(self) -> bool:
        """Give the room away; return whether there was any."""
        if not self.is_held:
            return False
        self.is_held = False
        try:
            self._path.unlink()
            sync_folder(self._path.parent)
        except OSError:
            return False
        _log.error(
            "THE DRIVE IS FULL: the log goes on in the room that was held for it",
            reserve_B=self._size_B,
            path=str(self._path),
            do="make room on the store's drive now",
        )
        return True

    def restore(self) -> None:
        """Hold room again as soon as there is three times as much; looks only now and then."""
        if self.is_held or self._size_B == 0 or time.monotonic() - self._looked_s < _LOOK_S:
            return
        self._looked_s = time.monotonic()
        if free_B(self._path.parent) >= 3 * self._size_B and self._hold():
            self.is_held = True
            _log.info("room is held for the log again", reserve_B=self._size_B)
