"""Catalog against drives: scanned, compared with what the catalog knew before and after, and looked at once more."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from nualley.app.scanning import Told, drives_to_scan, run_scans, scan_jobs
from nualley.app.site import Site
from nualley.catalog import PlacedFile, ReplicaState
from nualley.core import NualleyError, escape_name, reason, unescape_name
from nualley.replicas import FoundFile, Inconsistencies, WrongSize, compare, lies_on
from nualley.replicas.adapters.trees import PosixTrees
from nualley.storage import MARKER_NAME, NOBODY, TRASH_NAME, DriveMissing, DriveUsage, Owner, Ownership, Scan
from nualley.storage.adapters.scan_rows import reading_scan

_OURS = (b".nualley.part",)
_TRASH = f"/{TRASH_NAME}/".encode()


@dataclass(frozen=True, slots=True)
class DarkFile:
    """A file that the catalog does not know.

    Parameters
    ----------
    drive : str
        Where it lies.
    file : FoundFile
        The file.
    owner : Owner
        Whose it is by the rules of ownership.
    """

    drive: str
    file: FoundFile
    owner: Owner


@dataclass(frozen=True, slots=True)
class LostReplica:
    """A replica that is not as the catalog knows it.

    Parameters
    ----------
    drive : str
        Where it should lie.
    placed : PlacedFile
        What the catalog knows.
    detail : str
        What was found.
    n_others : int
        Verified replicas elsewhere.
    """

    drive: str
    placed: PlacedFile
    detail: str
    n_others: int


@dataclass(frozen=True, slots=True)
class UnreadDirectory:
    """A directory of which not all could be read: of files in it nothing is known.

    Parameters
    ----------
    drive, path : str
        Where it lies; the path below the drive, escaped.
    detail : str
        Why.
    """

    drive: str
    path: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyReport:
    """In what catalog and drives differ.

    Parameters
    ----------
    drives : tuple of str
        Those that were compared.
    n_files, n_known : int
        Files that were found, and those of them that the catalog knows.
    dark : tuple of DarkFile
        Files that the catalog does not know, by drive and path.
    missing, wrong_size : tuple of LostReplica
        Replicas that are not there, and those that are shorter or longer than written.
    unseen : tuple of LostReplica
        Replicas of which nothing can be said: their directory cannot be read, or they lie outside of their drive.
    returned : tuple of LostReplica
        Replicas that the catalog holds for missing, and that are there.
    unread : tuple of UnreadDirectory
        The first directories of each drive that could not be read.
    errors : tuple of NualleyError
        Why drives could not be compared.
    """

    drives: tuple[str, ...]
    n_files: int = 0
    n_known: int = 0
    dark: tuple[DarkFile, ...] = ()
    missing: tuple[LostReplica, ...] = ()
    wrong_size: tuple[LostReplica, ...] = ()
    unseen: tuple[LostReplica, ...] = ()
    returned: tuple[LostReplica, ...] = ()
    unread: tuple[UnreadDirectory, ...] = ()
    errors: tuple[NualleyError, ...] = ()

    @property
    def is_intact(self) -> bool:
        """Whether every replica that should be there is there."""
        return not (self.missing or self.wrong_size)


async def check_consistency(site: Site, drive: str | None, told: Told) -> ConsistencyReport:
    """Scan drives, and compare what is there with what the catalog knew before and after.

    Parameters
    ----------
    site : Site
        The experiment.
    drive : str, optional
        Only this one; by default all that are there.
    told : callable
        Told how far each scan is.

    Raises
    ------
    UnknownDrive, DriveMissing
        Where there is no such drive, or none is there.
    """
    usages = {usage.drive.name: usage for usage in drives_to_scan(site, drive)}
    jobs = scan_jobs(site, list(usages.values()))
    before = {name: site.catalog().placed_files(name) for name in usages}
    scans, errors = await run_scans(jobs, told)
    files = {job.drive: Path(job.file) for group in jobs for job in group}
    reports = []
    still_there = {usage.drive.name: usage for usage in site.drive_usages() if usage.is_mounted}
    for name in [scan.drive for scan in scans if isinstance(scan, Scan)]:
        if name not in still_there or still_there[name].device != usages[name].device:
            errors.append(
                DriveMissing(f"{name} went away while it was scanned", where=name, do="mount it, and try again")
            )
            continue
        found = list(_found_files(files[name], usages[name], site.configuration.store))
        reports.append(_report(site, usages[name], compare(before[name], found, site.catalog().placed_files(name))))
    return ConsistencyReport(
        drives=tuple(name for report in reports for name in report.drives),
        n_files=sum(report.n_files for report in reports),
        n_known=sum(report.n_known for report in reports),
        dark=tuple(row for report in reports for row in report.dark),
        missing=tuple(row for report in reports for row in report.missing),
        wrong_size=tuple(row for report in reports for row in report.wrong_size),
        unseen=tuple(row for report in reports for row in report.unseen),
        returned=tuple(row for report in reports for row in report.returned),
        unread=tuple(
            UnreadDirectory(scan.drive, path, why)
            for scan in scans
            if isinstance(scan, Scan)
            for path, why in scan.refused
        ),
        errors=tuple(errors),
    )


def enter_findings(site: Site, report: ConsistencyReport) -> int:
    """Enter into the catalog what a comparison found, and return for how many replicas.

    Parameters
    ----------
    site : Site
        The experiment.
    report : ConsistencyReport
        What is missing becomes so, what has another size is damaged, what returned has to be verified again.
    """
    states = {
        ReplicaState.MISSING: report.missing,
        ReplicaState.DAMAGED: report.wrong_size,
        ReplicaState.UNVERIFIED: report.returned,
    }
    for state, rows in states.items():
        for row in rows:
            site.catalog().update_replica(row.placed.replica_id, state=state)
    return sum(map(len, states.values()))


def _found_files(scan: Path, usage: DriveUsage, store: Path) -> Iterator[FoundFile]:
    root = os.fsencode(usage.drive.path)
    own = os.fsencode(os.path.realpath(store)) + b"/"
    real_root = os.fsencode(os.path.realpath(usage.drive.path))
    with reading_scan(scan), pq.ParquetFile(scan) as file:
        for number in range(file.num_row_groups):
            table = file.read_row_group(number, columns=["directory", "name", "kind", "size_B", "mtime_ns"])
            table = table.filter(pc.equal(table["kind"], "file"))
            directories = table["directory"].cast("binary").to_pylist()
            names, sizes_B = table["name"].to_pylist(), table["size_B"].to_pylist()
            for directory, name, size_B, mtime_ns in zip(
                directories, names, sizes_B, table["mtime_ns"].to_pylist(), strict=True
            ):
                below = b"/".join((directory, name)) if directory else name
                if name.endswith(_OURS) or below == MARKER_NAME.encode() or _TRASH in b"/" + below:
                    continue
                if (real_root + b"/" + below).startswith(own):
                    continue
                yield FoundFile(escape_name(root + b"/" + below), size_B, mtime_ns)


def _report(site: Site, usage: DriveUsage, found: Inconsistencies) -> ConsistencyReport:
    name, root = usage.drive.name, f"{escape_name(os.fspath(usage.drive.path))}/"
    ownership = Ownership(site.configuration.storage.to_rules(), name, tuple(site.configuration.detectors))
    missing: list[LostReplica] = []
    unseen: list[LostReplica] = []
    for placed in found.missing:
        is_below = placed.path.startswith(root)
        why = _look_again(placed.path, usage) if is_below else f"it lies outside of {root[:-1]}"
        if why:
            (missing if why == _GONE else unseen).append(_lost(site, name, placed, why))
    return ConsistencyReport(
        drives=(name,),
        n_files=found.n_files,
        n_known=found.n_known,
        dark=tuple(DarkFile(name, file, owner_of(ownership, file.path[len(root) :])) for file in found.dark),
        missing=tuple(missing),
        wrong_size=tuple(_wrong(site, name, wrong) for wrong in found.wrong_size),
        unseen=tuple(unseen),
        returned=tuple(_lost(site, name, placed, "it is there again") for placed in found.returned),
    )


_GONE = "it is not there"


def _look_again(path: str, usage: DriveUsage) -> str:
    """Return why a replica is not there; empty where it is. A scan tells nothing of what it could not read."""
    try:
        os.lstat(unescape_name(path))
        is_on = lies_on(Path(unescape_name(path)), usage.drive.path, PosixTrees())
    except (FileNotFoundError, NotADirectoryError):
        return _GONE
    except OSError as error:
        return f"it cannot be looked at: {reason(error)}"
    return "" if is_on else f"a link leads to it outside of {usage.drive.name}: it is no copy there"


def owner_of(ownership: Ownership, below: str) -> Owner:
    """Return whose a file is by its (escaped) path below its drive; what lies in the root is nobody's."""
    directory = below.rpartition("/")[0]
    return ownership.owner_of(os.fsencode(unescape_name(directory))) if directory else NOBODY


def _wrong(site: Site, drive: str, wrong: WrongSize) -> LostReplica:
    return _lost(site, drive, wrong.known, f"it has {wrong.size_B} B, {wrong.known.size_B} B were written")


def _lost(site: Site, drive: str, placed: PlacedFile, detail: str) -> LostReplica:
    return LostReplica(drive, placed, detail, _n_others(site, placed))


def _n_others(site: Site, placed: PlacedFile) -> int:
    others: Sequence[ReplicaState] = [
        replica.state for replica in site.catalog().replicas(placed.file_id) if replica.replica_id != placed.replica_id
    ]
    return others.count(ReplicaState.VERIFIED)
