"""Catalog against drive: what lies there and is not known, and what is known and does not lie there.

Files come and go while a drive is scanned. What the catalog knew before the scan and what it knows after it together
tell what the scan cannot: a file is dark only if neither knew it, and missing only if both did.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nualley.catalog import PlacedFile


@dataclass(frozen=True, slots=True, order=True)
class FoundFile:
    """A regular file that a scan found.

    Parameters
    ----------
    path : str
        Where it lies on this machine, escaped.
    size_B : int
        Size [B].
    mtime_ns : int
        Last change of its bytes [ns since 1970 UTC].
    """

    path: str
    size_B: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class WrongSize:
    """A file that has another size than the catalog knows.

    Parameters
    ----------
    known : PlacedFile
        What the catalog knows.
    size_B : int
        What the scan found [B].
    """

    known: PlacedFile
    size_B: int


@dataclass(frozen=True, slots=True)
class Inconsistencies:
    """In what catalog and drive differ.

    Parameters
    ----------
    n_files, n_known : int
        Files that the scan found, and those of them that the catalog knows.
    dark : tuple of FoundFile
        Files that the catalog knew neither before the scan nor after it, by path.
    missing : tuple of PlacedFile
        Replicas that the catalog knew to be there before and after, and that the scan did not find, by path.
    wrong_size : tuple of WrongSize
        Files that are shorter or longer than both times known, by path.
    returned : tuple of PlacedFile
        Files that the catalog holds for missing, and that are there, by path.
    """

    n_files: int
    n_known: int
    dark: tuple[FoundFile, ...]
    missing: tuple[PlacedFile, ...]
    wrong_size: tuple[WrongSize, ...]
    returned: tuple[PlacedFile, ...]


def compare(before: Sequence[PlacedFile], found: Iterable[FoundFile], after: Sequence[PlacedFile]) -> Inconsistencies:
    """Compare what a scan found with what the catalog knew before it began and after it ended.

    Parameters
    ----------
    before, after : sequence of PlacedFile
        All that the catalog knew of the drive, whatever its state.
    found : iterable of FoundFile
        All regular files of the drive, each path once.

    Returns
    -------
    Inconsistencies
        Dark: R − BC − AC; missing: (BA ∩ AA) − R, where R is what the scan found, BC and AC what the catalog knew
        before and after, and BA and AA what of it was to be there.

    Notes
    -----
    The algebra is that of rucio-consistency, of CMS: https://github.com/rucio/consistency-enforcement.
    """
    known_before = {placed.path: placed for placed in before}
    known_after = {placed.path: placed for placed in after}
    seen = {file.path: file for file in found}
    steady = [placed for path, placed in known_after.items() if _is_same(known_before.get(path), placed)]
    return Inconsistencies(
        n_files=len(seen),
        n_known=sum(path in known_before or path in known_after for path in seen),
        dark=tuple(sorted(file for path, file in seen.items() if path not in known_before and path not in known_after)),
        missing=tuple(placed for placed in steady if _is_there(placed) and placed.path not in seen),
        wrong_size=tuple(_wrong_sizes(steady, seen)),
        returned=tuple(placed for placed in steady if not _is_there(placed) and placed.path in seen),
    )


def _is_same(before: PlacedFile | None, after: PlacedFile) -> bool:
    # a replica that was replaced or changed its state meanwhile is another matter than the scan saw
    return before is not None and (before.replica_id, before.state) == (after.replica_id, after.state)


def _is_there(placed: PlacedFile) -> bool:
    return placed.state.is_there


def _wrong_sizes(steady: Iterable[PlacedFile], seen: Mapping[str, FoundFile]) -> Iterable[WrongSize]:
    for placed in steady:
        file = seen.get(placed.path)
        if file is not None and _is_there(placed) and file.size_B != placed.size_B:
            yield WrongSize(placed, file.size_B)
