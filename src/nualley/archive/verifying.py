"""Whether every sealed file is as it was written: bit rot found and named."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nualley.archive.sealed import IndexedFile


class Bytes(Protocol):
    """The files below an archive, as bytes."""

    def digest(self, path: str) -> tuple[int, str] | None:
        """Return size [B] and sha256 of a file as the drive gives it back; None where it is missing."""
        ...

    def paths(self) -> set[str]:
        """Return the paths of all Parquet files that are there."""
        ...


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at every byte found.

    Parameters
    ----------
    n_files, size_B : int
        Files that the index lists, and their bytes.
    damaged : tuple of (str, str)
        Path and what is wrong.
    missing : tuple of str
        Files that are gone.
    unindexed : tuple of str
        Files that are there and not in the index: nobody reads them.
    """

    n_files: int
    size_B: int
    damaged: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    unindexed: tuple[str, ...]

    @property
    def is_intact(self) -> bool:
        """Whether nothing is damaged or missing."""
        return not self.damaged and not self.missing


@dataclass(frozen=True, slots=True)
class NotedDamage:
    """A sealed file that somebody found damaged or missing.

    Parameters
    ----------
    path : str
        Relative to the archive.
    what : str
        What is wrong.
    found_ns : int
        When that was found [ns since 1970 UTC].
    is_as_found : bool
        Whether the file that stands there, or that none does, is what was found; else something was put there since.
    """

    path: str
    what: str
    found_ns: int
    is_as_found: bool


@dataclass(frozen=True, slots=True)
class LastVerified:
    """When every sealed file was read last.

    Parameters
    ----------
    time_ns : int
        When that ended [ns since 1970 UTC].
    n_files, size_B : int
        How many files, and their bytes.
    """

    time_ns: int
    n_files: int
    size_B: int


def verify(
    files: Sequence[IndexedFile],
    manifest: Mapping[str, str],
    stored: Bytes,
    progress: Callable[[int, int], None] | None = None,
    *,
    again: Callable[[], Sequence[IndexedFile]] | None = None,
) -> Verified:
    """Read every sealed file and compare it with what was noted when it was written.

    Parameters
    ----------
    files : sequence of IndexedFile
        What the index lists.
    manifest : mapping of str to str
        sha256 by path, as the manifest has it.
    stored : Bytes
        The files.
    progress : callable
        Takes bytes done and bytes in all.
    again : callable, optional
        Returns what the index lists in the end: what was replaced meanwhile is not missing, what was sealed is listed.
    """
    damaged: list[tuple[str, str]] = []
    missing: list[str] = []
    all_B, done_B = sum(file.size_B for file in files), 0
    for file in files:
        found = stored.digest(file.path)
        if found is None:
            missing.append(file.path)
        elif found != (file.size_B, file.sha256):
            damaged.append(
                (file.path, f"{found[0]} B with sha256 {found[1]}, {file.size_B} B {file.sha256} were written")
            )
        elif manifest.get(file.path) != file.sha256:
            damaged.append(
                (file.path, f"the manifest says {manifest.get(file.path) or 'nothing'}, the index {file.sha256}")
            )
        done_B += file.size_B
        if progress is not None:
            progress(done_B, all_B)
    there = stored.paths()
    known = {file.path for file in (files if again is None else again())}
    return Verified(
        len(files),
        all_B,
        damaged=tuple(entry for entry in damaged if entry[0] in known),
        missing=tuple(path for path in missing if path in known),
        unindexed=tuple(sorted(there - known - {file.path for file in files})),
    )
