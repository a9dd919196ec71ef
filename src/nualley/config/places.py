"""Where things lie: the store, drives and drop directories do not lie in each other's way."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nualley.config.files import DRIVES, EXPERIMENT, Repository, Use
from nualley.config.mistakes import Mistake
from nualley.core import escape_name, reason

_STORE_FOLDERS = ("archive", "run")  # what nualley makes inside the store, besides the catalog's files


@dataclass(frozen=True, slots=True)
class _Place:
    """A directory that the repository names: what it is, who named it (None: the default), where it is."""

    kind: str
    use: Use | None
    path: Path

    def __str__(self) -> str:
        named_at = f" ({self.use.origin})" if self.use else ""
        return f"{self.kind} {escape_name(os.fspath(self.path))}{named_at}"


_HARM = {
    ("drive", "store"): "the archive's own files would be mixed with raw files",
    ("drive", "drive"): "two copies on one disk are not two copies",
    ("drop directory", "drop directory"): "a file has one detector",
}
_NAMED_AT = (
    ("store", EXPERIMENT, ("store",)),
    ("drive", DRIVES, ("drives", "*", "path")),
    ("drop directory", DRIVES, ("drop", "*", "path")),
)
_TAKEN_AGAIN = "what nualley writes would be taken in again"


def check_places(repository: Repository) -> Iterator[Mistake]:
    """Check that each directory has a name and a place of its own.

    Parameters
    ----------
    repository : Repository
        All files that could be read.

    Yields
    ------
    Mistake
        At the later one where two are in each other's way: the store, then drives, then drop directories.
    """
    places: list[_Place] = []
    for place in _places(repository):
        if isinstance(place, Mistake):
            yield place
            continue
        other = next((other for other in places if _are_in_the_way(place, other)), None)
        if other and place.use:
            harm = _HARM.get((place.kind, other.kind), _TAKEN_AGAIN)
            yield place.use.mistake(f"a directory apart from the {other}: {harm}")
        places.append(place)


def _places(repository: Repository) -> Iterator[_Place | Mistake]:
    if not any(repository.uses(EXPERIMENT, ("store",))):
        yield _Place("store", None, repository.directory.absolute() / "store")
    for kind, file, keys in _NAMED_AT:
        for use in repository.uses(file, keys):
            yield _place(repository.directory, kind, use)


def _place(directory: Path, kind: str, use: Use) -> _Place | Mistake:
    if not use.name.strip() or "\0" in use.name:
        return use.mistake(f"the path of the {kind}: text that is not empty, without the character NUL")
    try:
        # by the text alone: a drive that hangs must not hold up whoever reads the configuration
        path = Path(os.path.normpath(directory.absolute() / Path(use.name).expanduser()))
    except RuntimeError:
        return use.mistake("a path; this machine does not know the user")
    obstacle = _obstacle(path) if kind == "store" else ""
    return use.mistake(f"a directory; {obstacle}") if obstacle else _Place(kind, use, path)


def _obstacle(path: Path) -> str:
    """Return why there can be no directory at a path; empty where there can be one, or this user cannot tell."""
    try:
        there = next(place for place in (path, *path.parents) if place.exists())
        return "" if there.is_dir() else f"{escape_name(os.fspath(there))} is none"
    except PermissionError:
        return ""
    except OSError as error:
        return reason(error).lower()


def _are_in_the_way(place: _Place, other: _Place) -> bool:
    if (place.kind, other.kind) == ("drive", "store"):
        folders = (other.path / folder for folder in _STORE_FOLDERS)
        return place.path == other.path or any(place.path.is_relative_to(folder) for folder in folders)
    return place.path.is_relative_to(other.path) or other.path.is_relative_to(place.path)
