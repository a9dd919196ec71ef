"""Names that are taken away and put back on the file systems of this machine."""

import contextlib
import errno
import os
import stat
from pathlib import Path

from nualley.core import sync_folder
from nualley.storage.adapters.posix import link_or_rename, rename_exclusively
from nualley.storage.models import FileLook

_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


class PosixRemovalFiles:
    """`storage.ports.RemovalFiles` by ``renameat2``, ``link`` and ``unlink``."""

    def look(self, path: Path) -> FileLook | None:
        """Return what a name is, without following it; None where nothing is there."""
        try:
            found = path.stat(follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return FileLook(
            device=found.st_dev,
            inode=found.st_ino,
            size_B=found.st_size,
            mtime_ns=found.st_mtime_ns,
            ctime_ns=found.st_ctime_ns,
            n_names=found.st_nlink,
            is_regular=stat.S_ISREG(found.st_mode),
        )

    def make_folder(self, folder: Path) -> None:
        """Make a folder in one that is there, unless it is, and make its name durable."""
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)

    def take(self, path: Path, trash: Path) -> None:
        """Rename whatever lies at a path into the trash of the same file system, and make both folders durable.

        Never by a link and an unlink: what a writer put under the name in between would be deleted.
        """
        try:
            rename_exclusively(path, trash)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            # NFS knows no such renaming; names in the trash are given once, by one process at a time
            if os.path.lexists(trash):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(trash)) from None
            path.rename(trash)
        sync_folder(trash.parent)
        sync_folder(path.parent)

    def give_back(self, trash: Path, path: Path) -> None:
        """Give a file in the trash its place again, durably; FileExistsError where that is taken, never overwriting."""
        try:
            keeps_name = link_or_rename(trash, path)
        except FileExistsError:
            keeps_name = os.path.lexists(trash) and os.path.samestat(path.lstat(), trash.lstat())
            if not keeps_name:
                raise
        sync_folder(path.parent)  # between the two a power cut leaves both names, never none
        if keeps_name:
            trash.unlink()
        sync_folder(trash.parent)

    def delete(self, trash: Path) -> None:
        """Delete a file for good, and make that durable."""
        with contextlib.suppress(FileNotFoundError):
            trash.unlink()
        sync_folder(trash.parent)
