"""Where things of a drive lie: recorded below the drive, told as paths of this machine."""

import os
from collections.abc import Mapping
from pathlib import Path

from nualley.core import escape_name


class DrivePaths:
    """Where the drives are mounted on this machine, so that what the record holds of them moves with them.

    Parameters
    ----------
    drives : mapping of str to Path
        Paths of the drives, by name, as ``drives.toml`` has them.

    Notes
    -----
    A path below its drive is recorded as that of a remote is: ``NAME:/path``. What lies elsewhere is recorded as the
    path that it is, and so was everything by versions of the catalog before 0008.

    Examples
    --------
    >>> paths = DrivePaths({"data1": Path("/disk/a")})
    >>> paths.recorded("data1", "/disk/a/cenns-10/7")
    'data1:/cenns-10/7'
    >>> DrivePaths({"data1": Path("/disk/b")}).told("data1", "data1:/cenns-10/7")
    '/disk/b/cenns-10/7'
    """

    def __init__(self, drives: Mapping[str, Path]) -> None:
        self.root_by_name = {name: escape_name(os.fspath(path)) for name, path in drives.items()}

    def recorded(self, drive: str | None, path: str) -> str:
        """Return how the record holds an (escaped) path of a drive, or of a remote, or of neither."""
        root = self.root_by_name.get(drive) if drive else None
        if root is None:
            return path
        if path == root:
            return f"{drive}:/"
        folder = root.rstrip("/")
        is_below = path.startswith(f"{folder}/") and "/../" not in path[len(folder) :]
        return f"{drive}:{path[len(folder) :]}" if is_below else path

    def told(self, drive: str | None, recorded: str) -> str:
        """Return the path on this machine of what the record holds; as it is where nobody says where its drive is."""
        root = self.root_by_name.get(drive) if drive else None
        if root is None or not recorded.startswith(f"{drive}:/"):
            return recorded
        below = recorded[len(f"{drive}:") :]
        return root if below == "/" else root.rstrip("/") + below

    def spellings(self, drive: str, path: str) -> tuple[str, ...]:
        """Return how the record may hold a path of a drive, the best first: old rows hold what it is."""
        return tuple(dict.fromkeys((self.recorded(drive, path), path)))

    def everywhere(self, path: str) -> tuple[str, ...]:
        """Return how the record may hold a path, on whatever drive."""
        return tuple(dict.fromkeys((path, *(self.recorded(name, path) for name in self.root_by_name))))
