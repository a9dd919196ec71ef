"""The two sides of a transfer: a directory of this machine, or one of a remote, and what is there."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from nualley.core import Digests, escape_name, reason, unescape_name
from nualley.replicas.models import Listing, Refused, Seen
from nualley.replicas.places import remote_text
from nualley.replicas.ports import RemoteFiles, Trees
from nualley.storage import DurableFiles, Progress, is_set_aside, read_back


class Side(Protocol):
    """Where the files of a transfer are, or where they go."""

    name: str | None
    """Of the drive or the remote; None where it is on neither."""

    def device(self) -> int | str:
        """Return what turns are taken at."""
        ...

    def address(self, path: str) -> str:
        """Return under which text the record knows a file of it."""
        ...

    def look(self) -> Listing | None:
        """Return what is there now; None where nothing is."""
        ...

    def sizes(self, paths: Collection[str]) -> Mapping[str, int]:
        """Return how large those of some of its files are that are there [B]."""
        ...

    def is_there(self, address: str) -> bool:
        """Return whether a file is at an address of it."""
        ...

    def make_folders(self, paths: Collection[str]) -> Sequence[Refused]:
        """Make folders in which nothing is; return those that cannot be, and why."""
        ...

    def read_back(self, path: str, progress: Progress) -> Digests:
        """Return the digests of what it gives back of a file; SourceVanished, SourceUnreadable, RemoteError."""
        ...


class LocalSide:
    """A directory of this machine, or one file.

    Parameters
    ----------
    path : Path
        The directory or file.
    name : str or None
        The drive that it lies on.
    files : DurableFiles
        The file systems.
    trees : Trees
        Looks at what is there.
    is_source : bool
        Whether it may be one file.
    """

    def __init__(
        self, path: Path, name: str | None, files: DurableFiles, trees: Trees, *, is_source: bool = False
    ) -> None:
        self.name = name
        self.root = trees.root(path) if is_source else path
        self._path = path
        self._files = files
        self._trees = trees

    def device(self) -> int:
        """Return the device under it."""
        return self._trees.device(self._path)

    def path(self, path: str) -> Path:
        """Return where a file of it is."""
        return self.root / unescape_name(path)

    def address(self, path: str) -> str:
        """Return the path of a file, escaped."""
        return escape_name(os.fspath(self.path(path)))

    def look(self) -> Listing | None:
        """Return what is there now; of a directory without the damaged files that were set aside, which are told."""
        found = self._trees.look(self._path)
        if found is None or found.root != self._path:
            return found
        kept, told = list[Seen](), list(found.skipped)
        for seen in found.files:
            if is_set_aside(seen.path.rpartition("/")[2]):
                told.append(Refused(seen.path, "damaged, and was set aside"))
            else:
                kept.append(seen)
        return replace(found, files=tuple(kept), skipped=tuple(told))

    def sizes(self, paths: Collection[str]) -> Mapping[str, int]:
        """Return how large those of some of its files are that are there [B]."""
        return {path: size_B for path in paths if (size_B := self._size_B(path)) is not None}

    def _size_B(self, path: str) -> int | None:
        try:
            found = self._files.state(self.path(path))
        except OSError:
            return None
        return None if found is None else found.size_B

    def is_there(self, address: str) -> bool:
        """Return whether a file is at an address of it."""
        return self._files.state(Path(unescape_name(address))) is not None

    def make_folders(self, paths: Collection[str]) -> Sequence[Refused]:
        """Make folders in which nothing is, durably; return those that cannot be, and why."""
        return [refused for path in paths if (refused := self._make_folder(path))]

    def _make_folder(self, path: str) -> Refused | None:
        folder = self.path(path)
        try:
            is_there = self._files.state(folder) is not None
            above = self._files.make_directories(folder)
            for changed in above if not is_there else ():
                self._files.sync_directory(changed)
        except OSError as error:
            return Refused(path, f"an empty folder that cannot be made: {reason(error)}")
        return None

    def read_back(self, path: str, progress: Progress) -> Digests:
        """Return the digests of what the drive gives back of a file."""
        return read_back(self.path(path), files=self._files, progress=progress)


def remote_device(remote: str) -> str:
    """Return what stands for a device where turns are taken at a remote."""
    return f"remote-{remote}"


class RemoteSide:
    """A directory of a remote, or one file.

    Parameters
    ----------
    remote : RemoteFiles
        The remote.
    path : str
        The directory or file below it.
    is_source : bool
        Whether it may be one file.
    """

    def __init__(self, remote: RemoteFiles, path: str, *, is_source: bool = False) -> None:
        self.name: str | None = remote.name
        self.remote = remote
        is_file = is_source and path in remote.sizes([path])
        self._root = path.rpartition("/")[0] if is_file else path
        self._path = path

    def device(self) -> str:
        """Return a text of the remote: as many copies at a time as a device gets."""
        return remote_device(self.remote.name)

    def path(self, path: str) -> str:
        """Return where a file of it is, below the remote."""
        return f"{self._root}/{path}" if self._root else path

    def address(self, path: str) -> str:
        """Return the address of a file."""
        return remote_text(self.remote.name, self.path(path))

    def look(self) -> Listing | None:
        """Return what is there now."""
        return self.remote.look(self._path)

    def sizes(self, paths: Collection[str]) -> Mapping[str, int]:
        """Return how large those of some of its files are that are there [B]."""
        by_path = {self.path(path): path for path in paths}
        return {by_path[path]: size_B for path, size_B in self.remote.sizes(by_path).items()}

    def is_there(self, address: str) -> bool:
        """Return whether a file is at an address of it."""
        path = address.partition(":/")[2]
        return path in self.remote.sizes([path])

    def make_folders(self, paths: Collection[str]) -> Sequence[Refused]:
        """Make none: what a remote has of folders is the names of its files."""
        return [Refused(path, "an empty folder, and a remote keeps none") for path in paths]

    def read_back(self, path: str, progress: Progress) -> Digests:
        """Return the digests of what the remote gives back of a file."""
        return self.remote.digests(self.path(path), lambda done_B: progress(done_B, 0))
