"""A new experiment repository that works as it is: the answer of ``nualley init``."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from nualley.config.errors import FolderNotEmptyError
from nualley.core import NualleyError, reason

FOLDERS = ("store", "drives/data1", "drop/hpge")
"""Directories that the template's text names."""

_RENAMED = {"gitignore": ".gitignore"}  # under its own name git would heed it in our tree


def write_template(directory: Path) -> list[Path]:
    """Write a commented repository that works unedited.

    Parameters
    ----------
    directory : Path
        A new or empty directory.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    FolderNotEmptyError
        Where something is there already; nothing is changed.
    NualleyError
        Where the operating system refuses to write.
    """
    try:
        entries = sorted(entry.name for entry in directory.iterdir()) if directory.is_dir() else []
        written = [] if entries else _write(directory)
    except OSError as error:
        raise NualleyError(
            f"a repository cannot be written to {directory}: {reason(error)}",
            where=str(error.filename or directory),
            do="choose another directory, or ask for the right to write there",
        ) from error
    if entries:
        shown = ", ".join(entries[:3]) + (" ..." if len(entries) > 3 else "")
        raise FolderNotEmptyError(
            f"{directory} is not empty: it holds {shown}", do="name a directory that does not exist yet"
        )
    return written


def _write(directory: Path) -> list[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    written = _copy(files("nualley.config") / "template", directory)
    for folder in FOLDERS:
        (directory / folder).mkdir(parents=True, exist_ok=True)
    return written


def _copy(source: Traversable, destination: Path) -> list[Path]:
    written: list[Path] = []
    for entry in sorted(source.iterdir(), key=lambda item: item.name):
        target = destination / _RENAMED.get(entry.name, entry.name)
        if entry.is_dir():
            target.mkdir(exist_ok=True)
            written.extend(_copy(entry, target))
        else:
            target.write_bytes(entry.read_bytes())
            written.append(target)
    return written
