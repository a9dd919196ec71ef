"""Where source and destination of a transfer are: on which drive, and under which name the record knows them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nualley.core import escape_name
from nualley.replicas.errors import IntoItself
from nualley.replicas.ports import Trees
from nualley.storage import DriveMissing, DriveUsage


@dataclass(frozen=True, slots=True)
class Place:
    """A directory or file, and the drive that it lies on.

    Parameters
    ----------
    path : Path
        As the record knows it: below the drive's path as ``drives.toml`` writes it, elsewhere with links resolved.
    usage : DriveUsage or None
        The drive; None where it is on none of the experiment's.
    """

    path: Path
    usage: DriveUsage | None

    @property
    def drive(self) -> str | None:
        """Name of the drive."""
        return self.usage.drive.name if self.usage else None

    @property
    def text(self) -> str:
        """The path, escaped."""
        return escape_name(os.fspath(self.path))


def find_place(path: Path, usages: Sequence[DriveUsage], trees: Trees) -> Place:
    """Return what a path means, whatever names lead to it.

    Parameters
    ----------
    path : Path
        As somebody wrote it; need not exist.
    usages : sequence of DriveUsage
        The drives.
    trees : Trees
        Resolves links.

    Raises
    ------
    DriveMissing
        Where it lies on a drive that is not there: what is at its path is not the drive.
    """
    real = trees.real(path)
    inner = [
        (len(root.parts), real.relative_to(root), usage)
        for usage in usages
        if real.is_relative_to(root := trees.real(usage.drive.path))
    ]
    if not inner:
        return Place(real, None)
    _, below, usage = max(inner, key=lambda found: found[0])
    check_mounted(usage)
    return Place(usage.drive.path / below, usage)


def check_mounted(usage: DriveUsage) -> None:
    """Raise DriveMissing where a drive is not there, or another lies in its place."""
    if not usage.is_mounted:
        raise DriveMissing(
            f"drive {usage.drive.name} is missing: {usage.error}",
            where=f"storage.drives.{usage.drive.name}",
            do="mount it, or correct its path in drives.toml",
        )


def check_apart(source: Path, root: Path, destination: Path) -> None:
    """Raise IntoItself where a copy would lie in its own source, or be it.

    Parameters
    ----------
    source : Path
        Directory or file.
    root : Path
        The directory itself, or the one that the file is in.
    destination : Path
        The directory that is copied to.
    """
    is_inside = destination.is_relative_to(source) or (source == root and source.is_relative_to(destination))
    if is_inside or root == destination:
        raise IntoItself(
            f"{escape_name(os.fspath(destination))} is, or lies in, what is to be copied, or holds it",
            where="DST",
            do="name a directory on another drive",
        )
