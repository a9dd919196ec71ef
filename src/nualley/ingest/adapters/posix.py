"""Drop directories on the file systems of this machine."""

import os
import stat
from pathlib import Path

from nualley.core import NualleyError, escape_name, reason
from nualley.ingest.errors import DropProblem, Skipped
from nualley.ingest.models import Found, FoundFile, Stamp, make_stamp
from nualley.storage import TRASH_NAME

_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFBLK: "a device", stat.S_IFCHR: "a device"}


class PosixDropFiles:
    """`ingest.ports.DropFiles` by ``scandir``.

    Parameters
    ----------
    max_depth : int
        Folders inside folders that are looked into, >= 1.
    max_files : int
        Files of one directory that are listed, >= 1; more are a problem.
    """

    def __init__(self, max_depth: int = 16, max_files: int = 1_000_000) -> None:
        self._max_depth = max_depth
        self._max_files = max_files

    def walk(self, directory: Path) -> Found:
        """Return the regular files below a directory, by path.

        Parameters
        ----------
        directory : Path
            Where to look; may be a link itself.

        Returns
        -------
        Found
            Bytes of names are kept as they are; links out of the directory, other kinds of files and what cannot be
            read are problems, links inside are skipped.
        """
        walk = _Walk(os.path.realpath(directory), self._max_depth, self._max_files)
        walk.look_into(walk.root, 1)
        walk.files.sort()
        return Found(tuple(walk.files), tuple(walk.problems), tuple(walk.skipped))

    def find(self, path: Path) -> Found | None:
        """Return one file, a link followed, or all below a directory; None where nothing is there."""
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return Found((), (_unreadable(os.fspath(path), error),))
        if stat.S_ISDIR(status.st_mode):
            return self.walk(path)
        if not stat.S_ISREG(status.st_mode):
            return Found((), (_no_file(os.fspath(path), status.st_mode),))
        # the folder's true name, so that the file is known again however it is named; its own name as it was given
        folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 - Path cannot keep the name of a link
        full = os.path.join(os.path.realpath(folder), name)  # noqa: PTH118 - text paths
        real = os.path.realpath(full)
        file = FoundFile(full, name, _stamp(status), real if real != full else "")
        return Found((file,), is_directory=False)


class _Walk:
    """One walk through a directory."""

    def __init__(self, root: str, max_depth: int, max_files: int) -> None:
        self.root = root
        self.files: list[FoundFile] = []
        self.problems: list[NualleyError] = []
        self.skipped: list[NualleyError] = []
        self._max_depth = max_depth
        self._max_files = max_files
        self._is_full = False

    def look_into(self, folder: str, depth: int) -> None:
        for entry in self._entries(folder):
            if self._is_full:
                return
            try:
                self._look_at(entry, depth)
            except FileNotFoundError:
                continue  # it went away between listing and looking: a DAQ renamed it, and it is found next time
            except OSError as error:
                self.problems.append(_unreadable(entry.path, error))

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            # below the root, a folder that went away since it was listed is none of ours
            if folder == self.root or not isinstance(error, FileNotFoundError):
                self.problems.append(_unreadable(folder, error))
            return []

    def _look_at(self, entry: os.DirEntry[str], depth: int) -> None:
        if entry.is_symlink():
            self._look_at_link(entry.path)
        elif entry.is_dir(follow_symlinks=False):
            if entry.name != TRASH_NAME:  # what was taken in and then taken away is not taken in again
                self._look_below(entry.path, depth)
        else:
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                self.problems.append(_no_file(entry.path, status.st_mode))
            elif len(self.files) >= self._max_files:
                self._is_full = True
                self.problems.append(_too_many(self.root, self._max_files))
            else:
                self.files.append(FoundFile(entry.path, entry.path[len(self.root) :].lstrip(os.sep), _stamp(status)))

    def _look_below(self, folder: str, depth: int) -> None:
        if depth >= self._max_depth:
            self.problems.append(
                DropProblem(
                    f"{escape_name(folder)} lies {depth} folders deep and is not looked into",
                    where=escape_name(folder),
                    do=f"let the DAQ write at most {self._max_depth} folders deep",
                )
            )
        else:
            self.look_into(folder, depth + 1)

    def _look_at_link(self, path: str) -> None:
        target = os.path.realpath(path)
        if os.path.commonpath((self.root, target)) == self.root and os.path.exists(target):  # noqa: PTH110 - text paths
            what = f"skipped: {escape_name(path)} is a link to {escape_name(target)}, which is found itself"
            self.skipped.append(Skipped(what, where=escape_name(path), do="name the link itself to take it in"))
            return
        self.problems.append(
            DropProblem(
                f"{escape_name(path)} is a link to {escape_name(target)}, outside of the drop directory or not there",
                where=escape_name(path),
                do="let the DAQ write the file itself, or make the link's folder a drop directory of its own",
            )
        )


def _stamp(status: os.stat_result) -> Stamp:
    return make_stamp(status.st_size, status.st_mtime_ns, status.st_ino)


def _unreadable(path: str, error: OSError) -> NualleyError:
    return DropProblem(
        f"{escape_name(path)} cannot be read: {reason(error)}",
        where=escape_name(path),
        do="mount it, or give this user the right to read and search it; it is tried again",
    )


def _no_file(path: str, mode: int) -> NualleyError:
    kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
    return DropProblem(f"{escape_name(path)} is {kind}", where=escape_name(path), do="name regular files")


def _too_many(root: str, max_files: int) -> NualleyError:
    return DropProblem(
        f"{escape_name(root)} holds more than {max_files} files; those behind them are not looked at",
        where=escape_name(root),
        do="move files that were taken in away from it",
    )
