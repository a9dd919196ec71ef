"""Dark files that a rule of ownership names, found on drives or at a path, and entered where they lie."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nualley.app.consistency import DarkFile, UnreadDirectory, check_consistency, owner_of
from nualley.app.ingest import make_ingest, make_intake
from nualley.app.machine import machine_of
from nualley.app.origins import origin_of
from nualley.app.scanning import Told
from nualley.app.site import Site
from nualley.catalog import Run
from nualley.core import SECOND_NS, NualleyError, UsageError, escape_name, unescape_name
from nualley.daq import FileSummary
from nualley.ingest import Ingest, Intake, RegisteredDrives, make_run
from nualley.replicas import (
    Adopted,
    Adopter,
    AdoptResult,
    Candidate,
    FoundFile,
    Pace,
    Progress,
    ShouldStop,
    SystemTimer,
    find_place,
)
from nualley.replicas.adapters.trees import PosixTrees
from nualley.storage import Ownership, is_set_aside
from nualley.storage.adapters.posix import PosixVolumes

_COUNTED_STAGE = "raw"  # readers of daq know no others


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that a rule names, and that is not meant.

    Parameters
    ----------
    drive, path : str
        Where it lies; the path escaped.
    size_B : int
        Size [B].
    detail : str
        Why it is not.
    """

    drive: str
    path: str
    size_B: int
    detail: str


@dataclass(slots=True)
class DarkFiles:
    """Files that the catalog does not know, sorted by what can be done with them.

    Parameters
    ----------
    drives : tuple of str
        Where was looked.
    n_known : int
        Files that the catalog knows.
    candidates : list of Candidate
        What a rule gives a detector, a stage and a run.
    too_new : list of Adopted
        Those that were changed a moment ago, and are left for the next time.
    left : list of LeftOut
        What a rule names and is not meant.
    n_unnamed, unnamed_B : int
        Files to which no rule gives detector, stage and run; their bytes [B].
    unread : tuple of UnreadDirectory
        Directories that could not be looked into.
    errors : tuple of NualleyError
        Why drives could not be looked at.
    """

    drives: tuple[str, ...]
    n_known: int = 0
    candidates: list[Candidate] = field(default_factory=list)
    too_new: list[Adopted] = field(default_factory=list)
    left: list[LeftOut] = field(default_factory=list)
    n_unnamed: int = 0
    unnamed_B: int = 0
    unread: tuple[UnreadDirectory, ...] = ()
    errors: tuple[NualleyError, ...] = ()


async def find_dark_files(site: Site, told: Told, *, path: Path | None = None, drive: str | None = None) -> DarkFiles:
    """Look for files that the catalog does not know.

    Parameters
    ----------
    site : Site
        The experiment.
    told : callable
        Told how far each scan is.
    path : Path, optional
        A file or directory: only what is there, taken for finished. By default drives are scanned.
    drive : str, optional
        Only this one; by default all that are there.

    Raises
    ------
    UsageError
        Where path and drive are given, or nothing is at the path, or it lies on no drive.
    UnknownDrive, DriveMissing
        Where there is no such drive, or it is not there.
    """
    if path is not None and drive is not None:
        raise UsageError("PATH and --drive exclude each other", where="--drive", do="give one of them")
    if path is not None:
        return _dark_at(site, path)
    report = await check_consistency(site, drive, told)
    if not report.drives and report.errors:
        raise report.errors[0]
    found = DarkFiles(report.drives, report.n_known, unread=report.unread, errors=report.errors)
    sorter = _Sorter(site, found, settle_ns=round(site.configuration.ingest.settle_s * SECOND_NS))
    for dark in report.dark:
        sorter.take(dark)
    return found


def _dark_at(site: Site, path: Path) -> DarkFiles:
    trees, catalog = PosixTrees(), site.catalog()
    place = find_place(path, site.drive_usages(), trees)
    listing = trees.look(place.path)
    if listing is None:
        raise UsageError(f"there is nothing at {place.text}", where="PATH", do="name a file or a directory that exists")
    if place.usage is None:
        raise UsageError(
            f"{place.text} lies on no drive of the experiment", where="PATH", do="name a path on one of drives.toml"
        )
    drive = place.usage.drive
    root = f"{escape_name(os.fspath(drive.path))}/"
    folder = escape_name(os.fspath(listing.root))
    unread = tuple(UnreadDirectory(drive.name, f"{folder}/{each.path}", each.reason) for each in listing.unreadable)
    found = DarkFiles((drive.name,), unread=unread)
    ownership = Ownership(site.configuration.storage.to_rules(), drive.name, tuple(site.configuration.detectors))
    sorter = _Sorter(site, found, settle_ns=0)
    for seen in listing.files:
        file = FoundFile(f"{folder}/{seen.path}", seen.size_B, seen.mtime_ns)
        if catalog.replica_at(drive.name, file.path) is not None:
            found.n_known += 1
        else:
            sorter.take(DarkFile(drive.name, file, owner_of(ownership, file.path.removeprefix(root))))
    return found


class _Sorter:
    """Sorts dark files by what can be done with them."""

    def __init__(self, site: Site, found: DarkFiles, *, settle_ns: int) -> None:
        self._found = found
        self._settle_ns = settle_ns
        self._now_ns = site.clock.now_ns()
        self._intake = make_intake(site)
        self._roots = {drive.name: drive.path for drive in site.configuration.storage.to_drives()}
        self._store = f"{os.path.realpath(site.configuration.store)}/"

    def take(self, dark: DarkFile) -> None:
        owner, file = dark.owner, dark.file
        if owner.detector is None or owner.stage is None or owner.run is None:
            self._found.n_unnamed += 1
            self._found.unnamed_B += file.size_B
            return
        if why := self._why_not(dark):
            self._found.left.append(LeftOut(dark.drive, file.path, file.size_B, why))
            return
        candidate = Candidate(dark.drive, file.path, owner.detector, owner.stage, owner.run, file.size_B)
        if self._settle_ns and (age_ns := self._now_ns - file.mtime_ns) < self._settle_ns:
            ago = f"{age_ns / SECOND_NS:.0f} s ago" if age_ns >= 0 else "in the future, by this machine's clock"
            why = f"it was last changed {ago}: it may still be written; named by its path it is taken"
            self._found.too_new.append(Adopted(candidate=candidate, result=AdoptResult.WRITTEN, detail=why))
            return
        self._found.candidates.append(candidate)

    def _why_not(self, dark: DarkFile) -> str:
        path = Path(unescape_name(dark.file.path))
        if is_set_aside(path.name):
            return "it is damaged, and was set aside"
        below = path.relative_to(self._roots[dark.drive])
        if self._intake.is_ignored(os.fspath(path)) or any(part.startswith(".") for part in below.parts):
            return "its name says that it is hidden or temporary"
        real = os.path.join(os.path.realpath(self._roots[dark.drive]), below)  # noqa: PTH118 - text, once for each file
        return "it lies in the store" if real.startswith(self._store) else ""


def adopt_files(
    site: Site,
    found: DarkFiles,
    *,
    rate_B_per_s: int | None = None,
    told: Progress | None = None,
    should_stop: ShouldStop = lambda: False,
) -> Iterator[Adopted]:
    """Read files where they lie and enter them; yield each once it is durable in the catalog, or why it is not.

    Parameters
    ----------
    site : Site
        The experiment.
    found : DarkFiles
        What was found.
    rate_B_per_s : int, optional
        Most bytes that are read in a second [B/s]; by default as ``[replicas] rate`` says.
    told : callable, optional
        Told how far it is.
    should_stop : callable
        Asked often; where it says yes, the work ends.

    Raises
    ------
    TransferStopped
        Where somebody asked for a stop.
    """
    intake = make_intake(site)
    runs = _Runs(make_ingest(site, intake))
    adopter = _make_adopter(site, intake, runs)
    pace = Pace(
        "adopt",
        rate_B_per_s or site.configuration.replicas.rate_B_per_s,
        timer=SystemTimer(),
        progress=told,
        should_stop=should_stop,
        again="nualley files adopt",
    )
    unmarked = _mark_drives(site, {candidate.drive for candidate in found.candidates})
    for candidate in found.candidates:
        if candidate.drive in unmarked:
            yield Adopted(candidate=candidate, result=AdoptResult.FAILED, detail=unmarked[candidate.drive])
    yield from adopter.run([each for each in found.candidates if each.drive not in unmarked], pace)
    runs.complete()


def plan_adoption(site: Site, found: DarkFiles) -> list[Adopted]:
    """Return what would come of files as far as that can be said without reading them."""
    intake = make_intake(site)
    return list(_make_adopter(site, intake, _Runs(make_ingest(site, intake))).plan(found.candidates))


def _make_adopter(site: Site, intake: Intake, runs: "_Runs") -> Adopter:
    return Adopter(
        site.catalog(),
        machine_of(site),
        origin=origin_of(site),
        clock=site.clock,
        summarise=_counting(intake),
        run_of=runs.run,
    )


def _mark_drives(site: Site, names: set[str]) -> dict[str, str]:
    """Register drives that hold what is to be entered, so that each is known again; return why some cannot be."""
    drives = RegisteredDrives(site.configuration.storage.to_drives(), PosixVolumes(), site.catalog())
    failed = {}
    for usage in drives.usages():
        if usage.drive.name in names:
            try:
                drives.register(usage)
            except NualleyError as error:
                failed[usage.drive.name] = error.what
    return failed


def _counting(intake: Intake) -> Callable[[Candidate], FileSummary | None]:
    def summarise(candidate: Candidate) -> FileSummary | None:
        if candidate.stage != _COUNTED_STAGE:
            return None
        return intake.summarise(os.fspath(candidate.real_path), candidate.detector)

    return summarise


class _Runs:
    """Runs as they are to be entered, with the times that archived PVs tell; each is looked for once."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._found: dict[tuple[str, int], Run] = {}

    def run(self, detector: str, number: int) -> Run:
        key = (detector, number)
        if key not in self._found:
            self._found[key] = make_run(detector, number, self._ingest.find_times(detector, number))
        return self._found[key]

    def complete(self) -> None:
        """Note of each run that was entered what is uncertain of its times."""
        for detector, number in self._found:
            self._ingest.complete_run(detector, number)
