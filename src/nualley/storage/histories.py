"""Values of what is seen of drives over time: how full they were, and what changed between two full scans."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class FillNote:
    """How full a device was at a moment.

    Parameters
    ----------
    time_ns : int
        When [ns since 1970 UTC].
    drive : str
        Name of the drive; of several on one device the first.
    used_B, available_B : int
        Bytes in use, and bytes that a user may still write [B].
    """

    time_ns: int
    drive: str
    used_B: int
    available_B: int


@dataclass(frozen=True, slots=True)
class FillDay:
    """How full a device was at the end of a day, and what was written on it.

    Parameters
    ----------
    day : date
        The day (UTC).
    drive : str
        Name of the drive; of several on one device the first.
    used_B, available_B : int
        As last noted [B].
    written_B : int
        Sum of all growth between notes [B]: what was deleted meanwhile does not lessen it.
    """

    day: date
    drive: str
    used_B: int
    available_B: int
    written_B: int

    @property
    def capacity_B(self) -> int:
        """Bytes that users can fill: used and available, never the size [B]."""
        return self.used_B + self.available_B


@dataclass(frozen=True, slots=True)
class DirectoryState:
    """A directory and its own files, without those of directories in it.

    Parameters
    ----------
    mtime_ns : int
        Its own last change [ns since 1970 UTC]: a name in it was made, taken away or changed. 0 where it is gone.
    n_files : int
        Number of files in it.
    size_B : int
        Bytes in them, by name [B].
    newest_ns : int
        Last change of the newest of them [ns since 1970 UTC]; 0 where there is none.
    """

    mtime_ns: int
    n_files: int
    size_B: int
    newest_ns: int


@dataclass(frozen=True, slots=True)
class QuickReport:
    """What a quick look at a drive found.

    Parameters
    ----------
    time_ns : int
        When it began [ns since 1970 UTC].
    n_directories, n_looked : int
        Directories that are known, and that were opened.
    size_B, grown_B : int
        Bytes in all files, by name, and how many more than at the last full scan [B].
    """

    time_ns: int
    n_directories: int
    n_looked: int
    size_B: int
    grown_B: int
