"""Trees of files on the file systems of this machine."""

import os
import stat
from pathlib import Path

from nualley.core import device_of, escape_name, reason
from nualley.replicas.models import Listing, Refused, Seen
from nualley.storage import MARKER_NAME, TRASH_NAME

_PART_SUFFIX = ".nualley.part"
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


class PosixTrees:
    """`replicas.ports.Trees` by ``scandir``."""

    def look(self, path: Path) -> Listing | None:
        """Return what is at a path now; a link that is named itself is followed, those inside are not.

        Parameters
        ----------
        path : Path
            A directory or a file.

        Returns
        -------
        Listing or None
            None where nothing is there.
        """
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return Listing(path.parent, (), unreadable=(Refused("", reason(error)),))
        if stat.S_ISDIR(found.st_mode):
            walk = _Walk(path, found.st_dev)
            walk.look_into("")
            files = tuple(sorted(walk.files, key=lambda seen: seen.path))
            return Listing(path, files, *walk.refusals(), tuple(sorted(walk.empty)))
        name = escape_name(path.name)
        if not stat.S_ISREG(found.st_mode):
            return Listing(path.parent, (), skipped=(Refused(name, _kind(found)),))
        return Listing(path.parent, (_seen(name, found),))

    def root(self, path: Path) -> Path:
        """Return the directory at a path, or the one that a file there is in."""
        return path if path.is_dir() else path.parent

    def real(self, path: Path) -> Path:
        """Return a path with its links resolved, absolute; it need not exist."""
        return Path(os.path.realpath(path))

    def device(self, path: Path) -> int:
        """Return the device under a path, or under the nearest folder above that exists."""
        for place in (path, *path.absolute().parents):
            try:
                return device_of(place)
            except (FileNotFoundError, NotADirectoryError):
                continue
        return 0


class _Walk:
    """One walk through a directory."""

    def __init__(self, root: Path, device: int) -> None:
        self.files: list[Seen] = []
        self.empty: list[str] = []
        self._root = os.fspath(root)
        self._device = device
        self._unreadable: list[Refused] = []
        self._skipped: list[Refused] = []

    def refusals(self) -> tuple[tuple[Refused, ...], tuple[Refused, ...]]:
        return tuple(self._unreadable), tuple(self._skipped)

    def look_into(self, folder: str) -> None:
        """Look into a directory and all below, by its path below the root; deep trees take no stack."""
        waiting = [folder]
        while waiting:
            path = waiting.pop()
            try:
                with os.scandir(os.path.join(self._root, path)) as entries:  # noqa: PTH118 - text paths, once for each
                    found = sorted(entries, key=lambda entry: entry.name)
                for entry in found:
                    below = self._look_at(entry, os.path.join(path, entry.name))  # noqa: PTH118 - as above
                    waiting += [below] if below is not None else []
                self.empty += [escape_name(path)] if path and not found else []
            except OSError as error:
                # what went away since it was listed is not there, and the next look says so
                if path == "" or not isinstance(error, FileNotFoundError):
                    self._unreadable.append(Refused(escape_name(path), reason(error)))

    def _look_at(self, entry: os.DirEntry[str], path: str) -> str | None:
        """Take an entry; return its path where it is a directory to look into."""
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._unreadable.append(Refused(escape_name(path), reason(error)))
            return None
        if stat.S_ISDIR(found.st_mode):
            if entry.name == TRASH_NAME:
                self._skipped.append(Refused(escape_name(path), "nualley's own"))
                return None
            if found.st_dev == self._device:
                return path
            self._skipped.append(Refused(escape_name(path), "another file system"))
        elif not stat.S_ISREG(found.st_mode):
            self._skipped.append(Refused(escape_name(path), _kind(found)))
        elif entry.name == MARKER_NAME or (entry.name.startswith(".") and entry.name.endswith(_PART_SUFFIX)):
            self._skipped.append(Refused(escape_name(path), "nualley's own"))
        else:
            self.files.append(_seen(escape_name(path), found))
        return None


def _seen(path: str, found: os.stat_result) -> Seen:
    return Seen(path, found.st_size, found.st_mtime_ns, found.st_ino)


def _kind(found: os.stat_result) -> str:
    return _KINDS.get(stat.S_IFMT(found.st_mode), "no regular file")
