"""Bytes of one raw file, read anywhere in it."""

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from nualley.core import reason
from nualley.daq.errors import FileShrankError, UnreadableFileError


class RawFile:
    """A regular file, open for reading.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    UnreadableFileError
        Where it cannot be opened or is no regular file.

    Notes
    -----
    Reads with ``pread``, never through a memory map: where a mapped file is cut or its disk fails, the kernel kills
    the process instead of raising an error.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # without O_NONBLOCK a pipe would be waited for
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(path, error) from error
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            raise UnreadableFileError(
                f"it is a {_kind(status.st_mode)}, expected a regular file",
                where=str(path),
                do="name the files themselves",
            )
        self._size_B = status.st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    @property
    def size_B(self) -> int:
        """Size [B] when it was opened."""
        return self._size_B

    def read(self, offset_B: int, n_B: int) -> bytes:
        """Return bytes.

        Parameters
        ----------
        offset_B : int
            Where they begin [B].
        n_B : int
            How many [B].

        Returns
        -------
        bytes
            Fewer than asked only at the end of the file as it was opened.

        Raises
        ------
        UnreadableFileError
            Where the disk fails.
        FileShrankError
            Where the file has become shorter since.
        """
        wanted_B = max(0, min(n_B, self._size_B - offset_B))
        try:
            found = os.pread(self._fd, wanted_B, offset_B)
            while len(found) < wanted_B:
                more = os.pread(self._fd, wanted_B - len(found), offset_B + len(found))
                if not more:
                    raise FileShrankError(
                        f"the file ends at {offset_B + len(found)} B, it had {self._size_B} B when it was opened",
                        where=str(self._path),
                        do="find out what cut it; read it again when it rests",
                    )
                found += more
        except OSError as error:
            raise _unreadable(self._path, error) from error
        return found


def _unreadable(path: Path, error: OSError) -> UnreadableFileError:
    return UnreadableFileError(
        f"the file cannot be read: {reason(error)}", where=str(path), do="check the path and who may read it"
    )


def _kind(mode: int) -> str:
    names = {stat.S_IFDIR: "directory", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return names.get(stat.S_IFMT(mode), "device")
