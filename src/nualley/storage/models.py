"""Values of storage: drives, how full they are, and a published file."""

import math
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from nualley.core import Digests

if TYPE_CHECKING:  # numpy is heavy: most of what storage does is without it
    import numpy as np
    from numpy.typing import NDArray


class DriveRole(StrEnum):
    """What may be written to a drive."""

    RAW = "raw"
    PROCESSED = "processed"
    SIMULATION = "simulation"
    USER = "user"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class NotedUsage:
    """Size and fill of a drive as somebody wrote them down.

    Parameters
    ----------
    size_B : int
        Size [B], >= 0.
    used_fraction : float
        Filled part, 0 to 1.
    on : date or None
        The day on which it was so.
    source : str
        Where this is written.
    """

    size_B: int
    used_fraction: float
    on: date | None = None
    source: str = "unknown"


class RemoteKind(StrEnum):
    """What a remote is reached through."""

    RCLONE = "rclone"
    XROOTD = "xrootd"


@dataclass(frozen=True, slots=True)
class Remote:
    """A place for files that is no drive of this machine.

    Parameters
    ----------
    name : str
        Its name in ``drives.toml``.
    kind : RemoteKind
        What it is reached through.
    address : str
        Where it begins: ``NAME:path`` as rclone knows it, or a URL of XRootD.
    rclone_config : Path or None
        rclone's file with addresses and passwords; None for rclone's own.
    """

    name: str
    kind: RemoteKind
    address: str
    rclone_config: Path | None = None


@dataclass(frozen=True, slots=True)
class Drive:
    """A place for files.

    Parameters
    ----------
    name : str
        Its name in ``drives.toml``.
    path : Path
        Where it is mounted, absolute.
    role : DriveRole
        What may be written there.
    limit_fraction : float
        Filled part above which nothing more is written, 0 to 1.
    must_be_mounted : bool
        The path has to be a mount point, else the drive counts as missing, also before its first use.
    noted : NotedUsage or None
        Size and fill as somebody wrote them down.
    """

    name: str
    path: Path
    role: DriveRole = DriveRole.ANY
    limit_fraction: float = 0.97
    must_be_mounted: bool = False
    noted: NotedUsage | None = None


@dataclass(frozen=True, slots=True)
class Demand:
    """What a drive has to take, and what it has to be for.

    Parameters
    ----------
    size_B : int
        What will be written [B].
    roles : tuple of DriveRole
        Roles of the drives that take it.
    keep_free_B : int
        Bytes that stay free [B], beside the drive's limit.
    """

    size_B: int
    roles: tuple[DriveRole, ...]
    keep_free_B: int = 0


MARKER_NAME = ".nualley-drive"
"""A file in a drive's root by which the drive is known again: the empty folder below an unmounted drive lacks it."""


TRASH_NAME = ".nualley-trash"
"""A folder in the root of a drive, or of a drop directory, for what was taken away and can still be put back."""


@dataclass(frozen=True, slots=True)
class DriveMarker:
    """What a drive says it is.

    Parameters
    ----------
    drive : str
        The name that it had when it was marked: for people.
    drive_id : str
        By which it is known again, wherever it is mounted.
    """

    drive: str
    drive_id: str


@dataclass(frozen=True, slots=True)
class VolumeState:
    """What the file system says of itself (``statvfs``).

    Parameters
    ----------
    size_B : int
        Size [B].
    used_B : int
        Bytes in use [B].
    available_B : int
        Bytes that a user may still write [B]; less than size - used where some are kept for root.
    device : int
        Device number: mounts of one device share their bytes.
    is_mount_point : bool
        Something is mounted at this very path.
    is_writable : bool
        Mounted for writing, and this user may write there.
    marker : DriveMarker or None
        What the volume says it is; None where nobody marked it yet.
    """

    size_B: int
    used_B: int
    available_B: int
    device: int
    is_mount_point: bool
    is_writable: bool
    marker: DriveMarker | None = None


@dataclass(frozen=True, slots=True)
class DriveUsage:
    """How full a drive is.

    Parameters
    ----------
    drive : Drive
        The drive.
    size_B, used_B, available_B : int
        Size, bytes in use and bytes that a user may still write [B]; 0 where the drive is missing.
    is_mounted : bool
        The drive is there: its path is a directory, and a mount point where it has to be one.
    is_writable : bool
        It may be written to.
    device : int or None
        Device number: mounts of one device share their bytes; None where the drive is missing.
    shares_with : tuple of str
        Drives on the same device: a copy on each of them is one copy.
    error : str
        Why it is missing; empty where it is not.
    """

    drive: Drive
    size_B: int = 0
    used_B: int = 0
    available_B: int = 0
    is_mounted: bool = False
    is_writable: bool = False
    device: int | None = None
    shares_with: tuple[str, ...] = ()
    error: str = ""

    @property
    def capacity_B(self) -> int:
        """Bytes that users can fill: used and available, never the size [B]."""
        return self.used_B + self.available_B

    @property
    def fill_fraction(self) -> float:
        """Filled part of the capacity, 0 to 1; NaN where the drive is missing."""
        return self.used_B / self.capacity_B if self.capacity_B else math.nan

    def fill_fraction_after(self, size_B: int) -> float:
        """Return the filled part once ``size_B`` more bytes are written; NaN where the drive is missing."""
        return (self.used_B + size_B) / self.capacity_B if self.capacity_B else math.nan


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells that a file is still the one it was.

    Parameters
    ----------
    device, inode : int
        Which file it is.
    size_B : int
        Size [B].
    mtime_ns, ctime_ns : int
        Times of the last change of its bytes and of its inode [ns since 1970 UTC].
    """

    device: int
    inode: int
    size_B: int
    mtime_ns: int
    ctime_ns: int

    def is_same_file(self, other: "FileState") -> bool:
        """Return whether both are names of one file."""
        return (self.device, self.inode) == (other.device, other.inode)


@dataclass(frozen=True, slots=True)
class FileLook:
    """A name, looked at without following it.

    Parameters
    ----------
    device, inode : int
        Which file it is.
    size_B : int
        Size [B].
    mtime_ns, ctime_ns : int
        Last change of its bytes and of its inode [ns since 1970 UTC].
    n_names : int
        Hard links: with more than one, taking one away frees nothing.
    is_regular : bool
        Whether it is a file, no link, folder or pipe.
    """

    device: int
    inode: int
    size_B: int
    mtime_ns: int
    ctime_ns: int
    n_names: int = 1
    is_regular: bool = True


class PublishStep(StrEnum):
    """How far the copy of a file has come, before it gets its name."""

    SYNCED = "synced"
    VERIFIED = "verified"


@dataclass(frozen=True, slots=True)
class Published:
    """A file under its final name, durable and verified.

    Parameters
    ----------
    digests : Digests
        Of the bytes that were read back from the drive.
    destination : Path
        The final name.
    already_there : bool
        The same bytes lay under that name before.
    is_source : bool
        Source and destination are one file: this is no second copy.
    """

    digests: Digests
    destination: Path
    already_there: bool = False
    is_source: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class FillHistory:
    """How full a drive was, day by day.

    Parameters
    ----------
    drive : str
        Its name.
    first_day : date
        The first day (UTC).
    used_B : ndarray of float64, shape (n_day,)
        In use at the end of each day [B].
    written_B : ndarray of float64, shape (n_day,)
        Written on each day, whatever was deleted [B]; NaN where nobody knows.
    capacity_B : float
        In use plus available to users, by the last day [B].
    """

    drive: str
    first_day: date
    used_B: "NDArray[np.float64]"
    written_B: "NDArray[np.float64]"
    capacity_B: float


@dataclass(frozen=True, slots=True)
class GrowthShare:
    """Who lets a drive grow.

    Parameters
    ----------
    detector, stage : str or None
        Whose bytes; None where no rule says it.
    B_per_day : float
        Mean growth over the last four weeks [B/d]; negative where it shrinks.
    """

    detector: str | None
    stage: str | None
    B_per_day: float


@dataclass(frozen=True, slots=True)
class FillForecast:
    """When a drive will be full.

    Parameters
    ----------
    drive : str
        Its name.
    full_10, full_50 : date or None
        First days by which the chance of being full reaches 10 and 50 %, if all goes on as lately; None: not within the
        horizon.
    gross_10, gross_50 : date or None
        The same if nobody deletes anything.
    coverage80 : float or None
        Which part of the earlier forecasts' 80 % intervals held what then was; None before there is a score.
    pinball_B : float or None
        Their mean pinball loss [B].
    growth_by : tuple of GrowthShare
        Who lets it grow, the largest first.
    """

    drive: str
    full_10: date | None
    full_50: date | None
    gross_10: date | None
    gross_50: date | None
    coverage80: float | None = None
    pinball_B: float | None = None
    growth_by: tuple[GrowthShare, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """What one walk through a drive or a folder found.

    Parameters
    ----------
    drive : str
        Name of the drive; of a folder, its path as escaped text.
    start_ns : int
        When it began [ns since 1970 UTC].
    n_files, n_dirs : int
        Everything that is no directory; directories, the first one included.
    size_B, blocks_B : int
        Bytes in files, and bytes that all takes on the device, directories too [B]; hard links count once.
    unreadable, vanished : int
        Directories of which not all could be read; what went away while it was looked at.
    cpu_s, wall_s : float
        Processor and wall time from the first directory read to the durable file [s].
    refused : tuple of tuple of str
        The first of the unreadable directories, escaped, each with the system's reason.
    """

    drive: str
    start_ns: int
    n_files: int
    n_dirs: int
    size_B: int
    blocks_B: int
    unreadable: int
    vanished: int
    cpu_s: float
    wall_s: float
    refused: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a directory is and what it holds; what nobody said is None.

    Parameters
    ----------
    detector : str or None
        Id of the detector.
    stage : str or None
        ``raw``, a tier of processing, ``simulation``, ``user`` or any other word of the experiment.
    run : int or None
        Number of the run.
    owner : str or None
        Who answers for it.
    """

    detector: str | None = None
    stage: str | None = None
    run: int | None = None
    owner: str | None = None


NOBODY = Owner()
"""What no rule matches."""


@dataclass(frozen=True, slots=True)
class OwnershipRule:
    """Which directories are whose.

    Parameters
    ----------
    path : str
        Pattern of a directory below a drive's root; it holds for all that is in it, see `storage.patterns`.
    detector, stage, owner : str or None
        What is said of it; what the pattern takes from the path stands there instead.
    drives : tuple of str
        Names of the drives that it is for; empty for all.
    """

    path: str
    detector: str | None = None
    stage: str | None = None
    owner: str | None = None
    drives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What the files of one owner and month take on a drive.

    Parameters
    ----------
    owner : Owner
        Whose they are.
    month : str
        Month of their last change, ``2026-11`` (UTC).
    n_files : int
        Their number, each name counted.
    size_B, blocks_B : int
        Bytes in them and on the device, directories too [B]; hard links count once.
    """

    owner: Owner
    month: str
    n_files: int
    size_B: int
    blocks_B: int


@dataclass(frozen=True, slots=True)
class UnownedDirectory:
    """A directory that no rule matches, with all below it unless something there is owned.

    Parameters
    ----------
    path : bytes
        Below the drive's root; empty for the root itself.
    n_files : int
        Number of files.
    size_B : int
        Bytes in them [B].
    newest_ns : int
        Last change of the newest [ns since 1970 UTC].
    """

    path: bytes
    n_files: int
    size_B: int
    newest_ns: int
