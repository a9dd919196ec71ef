"""Values of ingest: files found, what became of each, and what is known of their run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from nualley.catalog import Json, Replica
from nualley.core import Digests, ExitCode, NualleyError, escape_name, format_size
from nualley.daq import FileSummary
from nualley.storage import Drive

SIDECAR = "sidecar"
"""Format of a file that stands beside raw files and holds no events, such as the DAQ's configuration."""


class Stamp(NamedTuple):
    """What tells, without reading it, that a file is still the one that was seen.

    Parameters
    ----------
    size_B : int
        Size [B].
    mtime_ns : int
        Time of the last change [ns since 1970 UTC].
    inode : int
        Number of the file in its file system, the lower 63 bits.
    """

    size_B: int
    mtime_ns: int
    inode: int


def make_stamp(size_B: int, mtime_ns: int, inode: int) -> Stamp:
    """Return what tells a file; databases have signed numbers, so that the inode is cut to 63 bits."""
    return Stamp(size_B, mtime_ns, inode & (2**63 - 1))


class FoundFile(NamedTuple):
    """A regular file in a drop directory.

    Parameters
    ----------
    path : str
        Absolute, as the file system gave it: may hold surrogate escapes.
    part : str
        Its path below the drop directory.
    stamp : Stamp
        Its state.
    target : str
        Where it leads, links resolved, where it is a link that somebody named; else empty.
    """

    path: str
    part: str
    stamp: Stamp
    target: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a walk through a directory found.

    Parameters
    ----------
    files : tuple of FoundFile
        By path.
    problems : tuple of NualleyError
        What could not be looked at, or is no regular file.
    skipped : tuple of NualleyError
        Links to files of the same directory, which are found themselves.
    is_directory : bool
        False where the path was that of a single file.
    """

    files: tuple[FoundFile, ...]
    problems: tuple[NualleyError, ...] = ()
    skipped: tuple[NualleyError, ...] = ()
    is_directory: bool = True


@dataclass(frozen=True, slots=True)
class RunTime:
    """When a run was, as archived run PVs tell it.

    Parameters
    ----------
    start_ns : int
        When it began [ns since 1970 UTC].
    stop_ns : int or None
        When it stopped; None while it goes on.
    heard_until_ns : int
        Up to when the PVs were heard [ns since 1970 UTC]: an open run is known to be open only until then.
    start_uncertain_s, stop_uncertain_s : float
        How much earlier it may have begun or stopped [s]; infinite where nothing was heard before.
    """

    start_ns: int
    stop_ns: int | None
    heard_until_ns: int
    start_uncertain_s: float = 0.0
    stop_uncertain_s: float = 0.0


class Readiness(StrEnum):
    """Whether a file is finished."""

    READY = "ready"
    GROWING = "growing"
    RUN_OPEN = "run-open"


@dataclass(frozen=True, slots=True)
class Rest:
    """How long a file was seen unchanged.

    Parameters
    ----------
    stamp : Stamp
        Its state.
    n_seen : int
        How often it was seen so, >= 1.
    rested_ns : int
        For how long [ns].
    """

    stamp: Stamp
    n_seen: int = 1
    rested_ns: int = 0


class Outcome(StrEnum):
    """What became of a file."""

    INGESTED = "ingested"
    ALREADY_THERE = "already-there"
    QUARANTINED = "quarantined"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class OwnPlaces:
    """Where nualley keeps what it was given; links are resolved in all paths.

    Parameters
    ----------
    store : Path or None
        The store.
    drives : tuple of Drive
        The drives.
    template : str
        ``replica_path`` of ``drives.toml``.
    detectors : frozenset of str
        Ids of the detectors: below another name, a folder of the same shape is somebody else's.
    """

    store: Path | None = None
    drives: tuple[Drive, ...] = ()
    template: str = ""
    detectors: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A file that is to be taken in.

    Parameters
    ----------
    path : str
        Absolute, as the file system gave it.
    detector : str
        Whose it is.
    number : int or None
        Number of its run; None only where that is why it is refused.
    stamp : Stamp or None
        Its state when it was found to be finished: one that changed since fails. None: whatever it is now.
    """

    path: str
    detector: str
    number: int | None
    stamp: Stamp | None = None

    @property
    def shown(self) -> str:
        """The path as text that any terminal can hold."""
        return escape_name(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestedFile:
    """What became of a file.

    Parameters
    ----------
    path : str
        Where it came from, escaped.
    run_id : str or None
        Its run; None where it has none.
    outcome : Outcome
        What became of it.
    summary : FileSummary or None
        What it holds; None where it could not be read.
    digests : Digests or None
        Of its bytes; None where they could not be read.
    replicas : tuple of Replica
        All places where its bytes are known to lie.
    error : NualleyError or None
        Why it was refused, failed, or has fewer copies than wanted.
    problems : tuple of NualleyError
        What was found of replicas that were known before: damaged, missing, not to be read. Reports list them apart.
    """

    path: str
    run_id: str | None
    outcome: Outcome
    summary: FileSummary | None = None
    digests: Digests | None = None
    replicas: tuple[Replica, ...] = ()
    error: NualleyError | None = None
    problems: tuple[NualleyError, ...] = ()

    @property
    def is_recorded(self) -> bool:
        """Whether the catalog has it as a file of its run."""
        return self.outcome in (Outcome.INGESTED, Outcome.ALREADY_THERE)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be done about it, unless somebody changes the file."""
        return self.outcome is Outcome.QUARANTINED or (self.is_recorded and self.error is None)

    @property
    def exit_code(self) -> ExitCode:
        """5 for defects, quarantine and damage, that of the first error where there is one."""
        if self.outcome is Outcome.QUARANTINED or (self.summary and self.summary.defects):
            return ExitCode.NOT_INTACT
        return _gravest([error.exit_code for error in (self.error, *self.problems) if error])

    def to_json(self) -> dict[str, Json]:
        """Return it as the command prints it."""
        summary, digests = self.summary, self.digests
        return {
            "path": self.path,
            "format": summary.format if summary else None,
            "n_events": summary.n_events if summary else None,
            "channels": list(summary.channels) if summary else [],
            "record_length": summary.record_length if summary else None,
            "size_B": digests.size_B if digests else None,
            "xxh3_128": digests.xxh3_128 if digests else None,
            "adler32": digests.adler32 if digests else None,
            "defects": [defect.to_json() for defect in summary.defects] if summary else [],
            "run_id": self.run_id,
            "outcome": self.outcome.value,
            "replicas": [
                {"drive": replica.drive, "path": replica.path, "state": replica.state.value}
                for replica in self.replicas
            ],
            "error": self.error.to_json() if self.error else None,
        }

    def __str__(self) -> str:
        lines = [f"{self.outcome.value:<14}{self.path}"]
        if self.summary and self.digests:
            n_copies = _counted(len(self.replicas), "copy", "copies")
            lines[0] += f"  {_described(self.summary)}, {format_size(self.digests.size_B)}, {n_copies}"
            shown = self.summary.defects[:_N_SHOWN]
            lines += [f"  {defect.kind.value} at {defect.offset_B} B: {defect.detail}" for defect in shown]
        if self.error:
            lines += [f"  {line}" for line in str(self.error).splitlines()]
        return "\n".join(lines)


_N_SHOWN = 5


def _gravest(codes: Sequence[ExitCode]) -> ExitCode:
    """Return 5 where it is among them, else the first that is not 0."""
    if ExitCode.NOT_INTACT in codes:
        return ExitCode.NOT_INTACT
    return next((code for code in codes if code), ExitCode.DONE)


def _described(summary: FileSummary) -> str:
    channels = f", channels {' '.join(map(str, summary.channels))}" if summary.channels else ""
    length = f" of {summary.record_length} samples" if summary.record_length else ""
    n_defects = f", {_counted(len(summary.defects), 'defect', 'defects')}" if summary.defects else ""
    return f"{summary.format}, {_counted(summary.n_events, 'event', 'events')}{length}{channels}{n_defects}"


def _counted(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


class NumberSource(StrEnum):
    """Where the number of a run comes from."""

    GIVEN = "given"
    PATH = "path"
    KNOWN = "known"
    NEXT = "next"


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What a manual ingest did.

    Parameters
    ----------
    run_id : str or None
        The run; None where the files belong to several (each file names its own).
    number_source : NumberSource
        Where its number comes from; ``next`` means that it was made up: the next after the detector's highest.
    files : tuple of IngestedFile
        What became of each file.
    n_events : int or None
        Events of the whole run; None where there are several, or none is recorded.
    notes : tuple of str
        What the user should know, such as times that were not used.
    problems : tuple of NualleyError
        What could not be looked at, is not taken in by its name, or was found of replicas that were known before.
    """

    run_id: str | None
    number_source: NumberSource
    files: tuple[IngestedFile, ...]
    n_events: int | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[NualleyError, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """5 where a file has defects or was quarantined, else that of the first error, else 0."""
        return _gravest([*(file.exit_code for file in self.files), *(problem.exit_code for problem in self.problems)])

    def to_json(self) -> dict[str, Json]:
        """Return it as the command prints it."""
        return {
            "run_id": self.run_id,
            "number_source": self.number_source.value,
            "n_events": self.n_events,
            "files": [file.to_json() for file in self.files],
            "notes": list(self.notes),
            "problems": [problem.to_json() for problem in self.problems],
        }

    def __str__(self) -> str:
        run = self.run_id or "several runs"
        events = "" if self.n_events is None else f", {_counted(self.n_events, 'event', 'events')}"
        lines = [f"{run} (run number: {self.number_source.value}){events}"]
        return "\n".join(str(part) for part in (*lines, *self.files, *self.notes, *self.problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class PollReport:
    """What one look at the drop directories found and did.

    Parameters
    ----------
    n_files : int
        Files there, without those whose name says that they are not meant.
    n_done : int
        Of these, done before.
    n_ignored : int
        Files whose name says that they are not meant, such as temporary ones, and links to files that are found anyway.
    n_waiting_by_readiness : mapping of Readiness to int
        Files that are not finished.
    n_deferred : int
        Files that failed before and whose next try has not come.
    n_left : int
        Finished files that were not reached, because the process is to stop.
    files : tuple of IngestedFile
        What was taken, refused or failed this time.
    completed_runs : tuple of str
        Runs whose times became known.
    problems : tuple of NualleyError
        What could not be looked at, or was found of replicas that were known before.
    """

    n_files: int
    n_done: int
    n_ignored: int
    n_waiting_by_readiness: Mapping[Readiness, int]
    n_deferred: int
    n_left: int
    files: tuple[IngestedFile, ...]
    completed_runs: tuple[str, ...]
    problems: tuple[NualleyError, ...]

    @property
    def is_idle(self) -> bool:
        """Whether every file is settled: nothing waits, failed or was left."""
        waits = self.n_deferred or self.n_left or any(self.n_waiting_by_readiness.values())
        return not waits and all(file.is_settled for file in self.files)
