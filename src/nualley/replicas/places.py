"""Where source and destination of a transfer are: on which drive or remote, and how the record writes it."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nualley.core import UsageError, escape_name, format_size, nearest, unescape_name
from nualley.replicas.errors import IntoItself, RemoteFull, TwoRemotes, UnknownRemote
from nualley.replicas.ports import RemoteFiles, Trees
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


def lies_on(path: Path, root: Path, trees: Trees) -> bool:
    """Return whether a path leads to a root or below it: by links, and as old versions recorded it, it may not."""
    return trees.real(path).is_relative_to(trees.real(root))


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


# ---------------------------------------------------------------- remotes
_REMOTE = re.compile(r"([a-z0-9]+(?:[-_][a-z0-9]+)*):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """A directory or file of a remote.

    Parameters
    ----------
    remote : str
        Name of the remote.
    path : str
        Below it, escaped; empty for the remote itself.
    """

    remote: str
    path: str

    @property
    def drive(self) -> str:
        """What stands for a drive in the record."""
        return self.remote

    @property
    def text(self) -> str:
        """As the record has it: no path of a machine looks like this."""
        return remote_text(self.remote, self.path)


def remote_text(remote: str, path: str) -> str:
    """Return how the record writes a place of a remote.

    Examples
    --------
    >>> remote_text("nas", "cenns-10/raw/42")
    'nas:/cenns-10/raw/42'
    """
    return f"{remote}:/{path}"


def split_remote(text: str) -> RemotePlace | None:
    """Return the place of a remote that the record writes so; None for a path of a machine, which begins with ``/``.

    Examples
    --------
    >>> split_remote("nas:/cenns-10"), split_remote("/data1/nas:/cenns-10")
    (RemotePlace(remote='nas', path='cenns-10'), None)
    """
    found = _REMOTE.fullmatch(text)
    return RemotePlace(found[1], found[2].strip("/")) if found and not text.startswith("/") else None


def find_remote(word: str, remotes: Sequence[str], *, is_path: bool) -> RemotePlace | None:
    """Return what place of a remote a person means.

    Parameters
    ----------
    word : str
        As it was written: ``NAME:path`` or ``NAME:/path``.
    remotes : sequence of str
        Names of the remotes.
    is_path : bool
        Whether a file or directory of this machine is called so; a remote of that name comes first all the same.

    Returns
    -------
    RemotePlace or None
        None where it is a path of this machine: what begins with ``/`` or ``./`` always is.

    Raises
    ------
    UnknownRemote
        Where no remote, and nothing on this machine, is called so.
    UsageError
        Where the path leaves the remote.
    """
    found = _REMOTE.fullmatch(word)
    if found is None or (found[1] not in remotes and is_path):
        return None
    if found[1] not in remotes:
        error = unknown_remote(found[1], remotes)
        error.do = f"{error.do}; a path of this machine with a colon is written ./{word}"
        raise error
    parts = [part for part in found[2].split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UsageError(f"{word} leaves the remote", where=word, do="name a directory below it")
    path = "/".join(parts)
    return RemotePlace(found[1], path if is_escaped(path) else escape_name(path))


def is_escaped(text: str) -> bool:
    r"""Return whether a text is one that `core.escape_name` wrote: files on remotes have such names.

    Examples
    --------
    >>> is_escaped("wave0.dat"), is_escaped("\\x0a.dat"), is_escaped("a\\b.dat")
    (True, True, False)
    """
    try:
        return escape_name(unescape_name(text)) == text
    except (UnicodeEncodeError, ValueError):
        return False


class NoRemotes:
    """`replicas.ports.Remotes` of an experiment without any."""

    def names(self) -> Sequence[str]:
        """Return none."""
        return ()

    def open(self, name: str) -> RemoteFiles:
        """Raise UnknownRemote."""
        raise unknown_remote(name, ())


def unknown_remote(name: str, remotes: Sequence[str]) -> UnknownRemote:
    """Return the error of a remote that ``drives.toml`` does not name.

    Parameters
    ----------
    name : str
        As it was written.
    remotes : sequence of str
        Those that it names.
    """
    near = nearest(name, remotes)
    known = f"one of {', '.join(remotes)}" if remotes else "drives.toml names none: add [remotes.NAME] there"
    return UnknownRemote(
        f"{name!r} is no remote of this experiment",
        where="drives.toml",
        do=f"did you mean {near!r}?" if near else known,
    )


def check_one_remote(source: Place | RemotePlace, destination: Place | RemotePlace) -> None:
    """Raise TwoRemotes where both sides are remotes: the bytes would pass this machine unseen."""
    if isinstance(source, RemotePlace) and isinstance(destination, RemotePlace):
        raise TwoRemotes(
            f"{source.text} and {destination.text} are both remotes",
            where="SRC, DST",
            do="copy to a drive first, and from there",
        )


def check_remote_room(remote: RemoteFiles, needed_B: int) -> None:
    """Raise RemoteFull where a remote says that it has no room for so many bytes [B]."""
    free_B = remote.available_B()
    if free_B is not None and needed_B > free_B:
        raise RemoteFull(
            f"remote {remote.name} has {format_size(free_B)} free; {format_size(needed_B)} are to be copied",
            where=f"storage.remotes.{remote.name}",
            do="free room there, or name another place",
        )
