"""A walk through a tree by directory descriptors: what is moved or replaced meanwhile leads it nowhere else."""

import errno
import os
import resource
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from nualley.core import escape_name, reason
from nualley.storage.ports import ScanRows

Told = Callable[[int, int], None]
"""Told now and then how many files and directories were seen."""

_CHUNK = 4096
_TOLD_EACH_S = 0.25
_MOST_REFUSED = 100
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # the latter two: something else is in its place
_MOUNTINFO = Path("/proc/self/mountinfo")


@dataclass(slots=True)
class _Frame:
    """A directory that is open, and those in it that are still to be entered."""

    descriptor: int
    path: bytes
    inner: list[str] = field(default_factory=list)


class Walk:
    """One walk through a tree, on its device only; links are seen and never followed.

    Parameters
    ----------
    rows : ScanRows
        Where the entries go.
    mounts : set of bytes
        Paths below the first directory at which something is mounted: not entered, also where it is the same device.
    told : callable, optional
        Told files and directories seen so far.
    """

    def __init__(self, rows: ScanRows, *, mounts: AbstractSet[bytes] = frozenset(), told: Told | None = None) -> None:
        self.unreadable = 0
        self.vanished = 0
        self.refused: list[tuple[str, str]] = []
        self._rows = rows
        self._mounts = mounts
        self._told = told
        self._next_told_s = 0.0
        self._n_seen = 0
        self._n_listed = 0
        self._device = 0

    def run(self, descriptor: int) -> None:
        """Walk.

        Parameters
        ----------
        descriptor : int
            The first directory, opened by `open_root`; closed at the end.
        """
        self._device = os.fstat(descriptor).st_dev
        frames = [_Frame(descriptor, b"")]
        try:
            self._list(frames[0])
            while frames:
                if not frames[-1].inner:
                    os.close(frames.pop().descriptor)
                elif entered := self._enter(frames[-1], frames[-1].inner.pop()):
                    frames.append(entered)
                    self._list(entered)
        finally:
            for frame in frames:
                os.close(frame.descriptor)

    def _enter(self, frame: _Frame, name: str) -> _Frame | None:
        path = os.path.join(frame.path, os.fsencode(name))  # noqa: PTH118  # bytes, and once for each directory
        if path in self._mounts:
            return None
        try:
            descriptor = os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=frame.descriptor)
        except OSError as error:
            self._refuse(path, error)
            return None
        if os.fstat(descriptor).st_dev != self._device:  # mounted since it was begun, or nothing tells of mounts
            os.close(descriptor)
            return None
        return _Frame(descriptor, path)

    def _list(self, frame: _Frame) -> None:
        self._rows.begin(frame.path)
        self._n_listed += 1
        try:
            with os.scandir(frame.descriptor) as entries:
                while chunk := list(islice(entries, _CHUNK)):
                    self._take(frame, chunk)
        except OSError as error:
            self._refuse(frame.path, error)
        self._tell()

    def _take(self, frame: _Frame, chunk: list[os.DirEntry[str]]) -> None:
        # this is where the time goes: three comprehensions, and nothing else for each file
        try:
            stats = [entry.stat(follow_symlinks=False) for entry in chunk]
        except OSError:
            chunk = self._present(frame.path, chunk)
            stats = [entry.stat(follow_symlinks=False) for entry in chunk]
        self._rows.add([entry.name for entry in chunk], stats)
        frame.inner += [entry.name for entry in chunk if entry.is_dir(follow_symlinks=False)]
        self._n_seen += len(chunk)

    def _present(self, path: bytes, chunk: list[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
        """Return the entries that tell their state, which they keep from now on."""
        present, error = [], None
        for entry in chunk:
            try:
                entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                self.vanished += 1
            except OSError as found:
                error = found
            else:
                present.append(entry)
        if error:
            self._refuse(path, error)
        return present

    def _refuse(self, path: bytes, error: OSError) -> None:
        if error.errno in _GONE:
            self.vanished += 1
            return
        self.unreadable += 1
        if len(self.refused) < _MOST_REFUSED:
            self.refused.append((escape_name(path), reason(error)))

    def _tell(self) -> None:
        now_s = time.monotonic()
        if self._told and now_s >= self._next_told_s:
            self._next_told_s = now_s + _TOLD_EACH_S
            self._told(self._n_seen, self._n_listed)


def open_root(root: Path) -> int:
    """Open the directory in which a walk begins; a link to it is followed.

    Parameters
    ----------
    root : Path
        The directory.

    Returns
    -------
    int
        Its descriptor, which `Walk.run` closes.
    """
    _allow_depth()
    return os.open(root, _OPEN)


def _allow_depth() -> None:
    """Let as many directories be open as the system grants: one is for each level."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def mounts_below(root: Path) -> frozenset[bytes]:
    """Return the paths below a directory at which something is mounted, seen from there.

    Parameters
    ----------
    root : Path
        The directory.

    Returns
    -------
    frozenset of bytes
        Empty also where the system does not tell (it is no Linux).
    """
    top = os.fsencode(root.resolve()).rstrip(b"/") + b"/"
    try:
        lines = _MOUNTINFO.read_bytes().splitlines()
    except OSError:
        return frozenset()
    points = (line.split(b" ")[4].decode("unicode_escape").encode("latin-1") for line in lines)
    return frozenset(point.removeprefix(top) for point in points if point.startswith(top))
