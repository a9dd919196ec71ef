"""Policies of storage as pure functions: where a file lies, which drive takes it, what is scanned and noted when."""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from itertools import count
from pathlib import Path
from types import MappingProxyType

from nualley.core import escape_name, format_size, format_time
from nualley.storage.errors import NoDriveFits, UnsafeName
from nualley.storage.histories import DirectoryState, FillDay, FillNote
from nualley.storage.models import MARKER_NAME, Demand, Drive, DriveMarker, DriveUsage


def place(template: str, drive: Drive, *, detector: str, run: int | str, name: str) -> Path:
    """Return where a file of a run lies on a drive.

    Parameters
    ----------
    template : str
        ``replica_path`` of the settings, which were validated.
    drive : Drive
        The drive.
    detector : str
        Id of the detector.
    run : int or str
        Number of the run.
    name : str
        The file's own name as the file system gave it, kept byte for byte; not escaped.

    Returns
    -------
    Path
        Below the drive's path, whatever the names are.

    Raises
    ------
    UnsafeName
        Where detector, run or name would lead elsewhere.

    Examples
    --------
    >>> drive = Drive("data1", Path("/data1"))
    >>> str(place("{drive}/{detector}/raw/{run}/{name}", drive, detector="cenns-10", run=42, name="wave0.dat"))
    '/data1/cenns-10/raw/42/wave0.dat'
    """
    words = {"detector": detector, "run": str(run), "name": name}
    for key, word in words.items():
        if word in ("", ".", "..") or "/" in word or "\0" in word:
            raise UnsafeName(
                f"{key} {escape_name(word)!r} cannot be a folder or file name",
                where=f"replica_path {template!r}",
                do="rename the file or the detector: no '/', no '.', no '..'",
            )
    _, *parts = template.split("/")
    return Path(drive.path, *(part.format(**words) for part in parts))


def placed_detector(template: str, drive: Drive, path: Path) -> str | None:
    """Return of which detector a file is that lies where `place` would put it; None where it lies elsewhere.

    Parameters
    ----------
    template : str
        ``replica_path`` of the settings, which were validated.
    drive : Drive
        The drive.
    path : Path
        Absolute, links resolved like those of the drive's path.

    Returns
    -------
    str or None
        The word in the detector's place, which need not be a detector; None also where the run is no number.

    Examples
    --------
    >>> drive = Drive("data1", Path("/data1"))
    >>> placed_detector("{drive}/{detector}/raw/{run}/{name}", drive, Path("/data1/cenns-10/raw/42/wave0.dat"))
    'cenns-10'
    >>> placed_detector("{drive}/{detector}/raw/{run}/{name}", drive, Path("/data1/buffer/wave0.dat"))
    """
    if not path.is_relative_to(drive.path):
        return None
    words = {"detector": "(?P<detector>[^/]+)", "run": "[0-9]+", "name": "[^/]+"}
    _, *parts = template.split("/")
    pattern = "/".join(re.sub(r"\\{(\w+)\\}", lambda key: words[key[1]], re.escape(part)) for part in parts)
    found = re.fullmatch(pattern, os.fspath(path.relative_to(drive.path)), re.DOTALL)
    return found["detector"] if found else None


# <name>.<time_ns>.damaged is what repairs by older versions left
_SET_ASIDE = re.compile(r"\.damaged-[0-9]{8}T[0-9]{6}Z(?:-[0-9]+)?|\.[0-9]+\.damaged")


def aside_paths(path: Path, time_ns: int) -> Iterator[Path]:
    """Yield names beside a file for it once it is found damaged and gives its own to a good copy; the first free is it.

    Parameters
    ----------
    path : Path
        The file.
    time_ns : int
        When it gives way [ns since 1970 UTC].

    Examples
    --------
    >>> names = aside_paths(Path("/data1/wave0.dat"), 1795918569000000000)
    >>> str(next(names)), str(next(names))
    ('/data1/wave0.dat.damaged-20261129T021609Z', '/data1/wave0.dat.damaged-20261129T021609Z-1')
    """
    stamp = format_time(time_ns, digits=0).replace(":", "").replace("-", "")
    yield path.with_name(f"{path.name}.damaged-{stamp}")
    for number in count(1):
        yield path.with_name(f"{path.name}.damaged-{stamp}-{number}")


def is_set_aside(name: str) -> bool:
    """Return whether a file has a name that one gets that was found damaged, by this version or an older one.

    Examples
    --------
    >>> is_set_aside("wave0.dat.damaged-20261129T021609Z"), is_set_aside("wave0.dat.1795918582322664466.damaged")
    (True, True)
    >>> is_set_aside("damaged.dat"), is_set_aside("wave0.damaged-2.dat")
    (False, False)
    """
    found = _SET_ASIDE.search(name)
    return found is not None and found.end() == len(name)


def stranger(drive: Drive, marker: DriveMarker | None, id_by_name: Mapping[str, str]) -> str:
    """Say why what lies at a drive's path is not that drive.

    Parameters
    ----------
    drive : Drive
        The drive.
    marker : DriveMarker or None
        What the volume there says it is.
    id_by_name : mapping of str to str
        Ids of the drives that were used before.

    Returns
    -------
    str
        Empty where it is the drive, or one that was never used.
    """
    expected = id_by_name.get(drive.name)
    if marker is None:
        return f"it is not the drive that was registered: its marker {MARKER_NAME} is missing" if expected else ""
    if expected is not None and marker.drive_id != expected:
        return (
            f"it is not the drive that was registered: its marker {MARKER_NAME} says {marker.drive} "
            f"{marker.drive_id}, expected {expected}"
        )
    other = next((name for name, known in id_by_name.items() if known == marker.drive_id and name != drive.name), "")
    return f"its marker {MARKER_NAME} says that it is drive {other}" if other else ""


def separate(usages: Sequence[DriveUsage], exclude: Collection[str]) -> list[DriveUsage]:
    """Return the drives that are not excluded and lie on no device of one that is: two copies there are one."""
    return [usage for usage in usages if usage.drive.name not in exclude and not set(usage.shares_with) & set(exclude)]


def choose_drive(
    usages: Sequence[DriveUsage],
    demand: Demand,
    *,
    exclude: Collection[str] = (),
    n_held_by_drive: Mapping[str, int] = MappingProxyType({}),
) -> DriveUsage:
    """Return the drive that takes the bytes: of a role, writable, below its limit afterwards, the most free first.

    Parameters
    ----------
    usages : sequence of DriveUsage
        How full the drives are now.
    demand : Demand
        What will be written.
    exclude : collection of str
        Names of drives that are not wanted, such as those that hold a copy already; nor are drives on the same device.
    n_held_by_drive : mapping of str to int
        How many files that belong together each drive holds already: the one with most of them comes first.

    Returns
    -------
    DriveUsage
        The chosen one.

    Raises
    ------
    NoDriveFits
        Says of every drive why not.
    """
    fitting = [usage for usage in usages if not _refusal(usage, demand, exclude)]
    if fitting:
        return max(fitting, key=lambda usage: (n_held_by_drive.get(usage.drive.name, 0), usage.available_B))
    raise _no_drive_fits(usages, demand, exclude)


def _refusal(usage: DriveUsage, demand: Demand, exclude: Collection[str]) -> str:
    drive, filled = usage.drive, usage.fill_fraction_after(demand.size_B)
    kept = f", {format_size(demand.keep_free_B)} are kept" if demand.keep_free_B else ""
    reasons = (
        (drive.role not in demand.roles, f"is for {drive.role} data"),
        (drive.name in exclude, "holds a copy, or is not wanted here"),
        (bool(set(usage.shares_with) & set(exclude)), f"is on one device with {_listed(usage, exclude)}"),
        (not usage.is_mounted, f"is missing: {usage.error}"),
        (not usage.is_writable, "is read-only"),
        (
            usage.available_B < demand.size_B + demand.keep_free_B,
            f"has {format_size(usage.available_B)} free{kept}",
        ),
        (filled > drive.limit_fraction, f"would be filled to {100 * filled:.1f} %"),
    )
    return next((reason for applies, reason in reasons if applies), "")


def _listed(usage: DriveUsage, names: Collection[str]) -> str:
    return " and ".join(name for name in usage.shares_with if name in names)


def _no_drive_fits(usages: Sequence[DriveUsage], demand: Demand, exclude: Collection[str]) -> NoDriveFits:
    usable = [
        usage
        for usage in separate(usages, exclude)
        if usage.is_mounted and usage.is_writable and usage.drive.role in demand.roles
    ]
    others = "; ".join(
        f"{usage.drive.name} {_refusal(usage, demand, exclude)}" for usage in usages if usage not in usable
    )
    if not usable:
        role = demand.roles[0]
        return NoDriveFits(
            f"no drive takes {format_size(demand.size_B)} of {role} data: {others or 'drives.toml names none'}",
            where="storage.drives",
            do=f"name a writable drive of role {str(role)!r} in drives.toml, or mount the one that is missing",
        )
    best = max(usable, key=lambda usage: usage.available_B)
    drive, needed_B = best.drive, demand.size_B + demand.keep_free_B
    limit_B = int(drive.limit_fraction * best.capacity_B)
    lacking_B = max(needed_B - best.available_B, best.used_B + demand.size_B - limit_B)
    standing = ", ".join(_standing(usage) for usage in sorted(usable, key=lambda usage: -usage.available_B))
    kept = f", {format_size(demand.keep_free_B)} are kept free" if demand.keep_free_B else ""
    return NoDriveFits(
        f"drive {escape_name(os.fspath(drive.path))} has {format_size(best.available_B)} free, "
        f"{format_size(demand.size_B)} are needed below its limit{kept}",
        where=standing + (f"; {others}" if others else ""),
        do=f"free {format_size(lacking_B)} on {drive.name}, raise its limit or add a drive in drives.toml",
    )


def _standing(usage: DriveUsage) -> str:
    limit, now = 100 * usage.drive.limit_fraction, 100 * usage.fill_fraction
    return f"storage.drives.{usage.drive.name} (limit {limit:.3g} %, now {now:.1f} %)"


def notes_of(usages: Sequence[DriveUsage], time_ns: int) -> list[FillNote]:
    """Return how full the devices are: drives that share one count once, under the first one's name.

    Parameters
    ----------
    usages : sequence of DriveUsage
        How full the drives are now; those that are missing are left out.
    time_ns : int
        When they were measured [ns since 1970 UTC].
    """
    first = {usage.device: usage for usage in reversed(usages) if usage.is_mounted}
    return [
        FillNote(time_ns, usage.drive.name, usage.used_B, usage.available_B)
        for usage in usages
        if usage.is_mounted and first[usage.device] is usage
    ]


def sum_up_day(day: date, notes: Sequence[FillNote], before_B: Mapping[str, int]) -> list[FillDay]:
    """Return what a day's notes say of each drive.

    Parameters
    ----------
    day : date
        The day (UTC).
    notes : sequence of FillNote
        All of the day, in their order.
    before_B : mapping of str to int
        Bytes in use by each drive when it was noted last before [B].
    """
    last: dict[str, FillNote] = {}
    written_B: dict[str, int] = {}
    for note in notes:
        earlier_B = last[note.drive].used_B if note.drive in last else before_B.get(note.drive, note.used_B)
        written_B[note.drive] = written_B.get(note.drive, 0) + max(0, note.used_B - earlier_B)
        last[note.drive] = note
    return [FillDay(day, name, note.used_B, note.available_B, written_B[name]) for name, note in last.items()]


def is_due(last_ns: int | None, every_ns: int, now_ns: int) -> bool:
    """Return whether something that happens every so often is due.

    Parameters
    ----------
    last_ns : int or None
        When it was begun last [ns since 1970 UTC]; None where never. A time ahead of now is one of a wrong clock.
    every_ns : int
        How often [ns]; 0 for never.
    now_ns : int
        The time now [ns since 1970 UTC].
    """
    if not every_ns:
        return False
    return last_ns is None or last_ns > now_ns or now_ns - last_ns >= every_ns


def needs_look(before: DirectoryState, mtime_ns: int, hot_since_ns: int) -> bool:
    """Return whether files of a directory may have other sizes than they had.

    Parameters
    ----------
    before : DirectoryState
        As it was last seen.
    mtime_ns : int
        Its own last change, now [ns since 1970 UTC].
    hot_since_ns : int
        Files that changed since then may go on growing in place, which the directory's time does not tell.
    """
    return mtime_ns != before.mtime_ns or before.newest_ns >= hot_since_ns


def missed_by_quick(
    believed: Mapping[bytes, DirectoryState], found: Mapping[bytes, DirectoryState], quick_ns: int
) -> int:
    """Return the bytes that quick looks had missed by the last of them [B].

    Parameters
    ----------
    believed : mapping of bytes to DirectoryState
        The directories as quick looks had them.
    found : mapping of bytes to DirectoryState
        As the next full scan found them.
    quick_ns : int
        When the last quick look began [ns since 1970 UTC]: what changed since then it could not know.
    """
    settled = {path: now for path, now in found.items() if max(now.mtime_ns, now.newest_ns) < quick_ns}
    return sum(abs(now.size_B - (believed[path].size_B if path in believed else 0)) for path, now in settled.items())
