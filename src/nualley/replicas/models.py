"""Values of replicas: what is at a place, what differs from a transfer's list, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nualley.catalog import Replica, Transfer, TransferCount, TransferFile
from nualley.core import ExitCode, IntegrityError, NualleyError
from nualley.storage import DriveRole


@dataclass(frozen=True, slots=True)
class Seen:
    """A regular file at a place.

    Parameters
    ----------
    path : str
        Below the place, escaped.
    size_B : int
        Size [B].
    mtime_ns, inode : int
        Last change of its bytes [ns since 1970 UTC] and number on its device.
    """

    path: str
    size_B: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Something at a place that is no file to copy, or cannot be seen.

    Parameters
    ----------
    path : str
        Below the place, escaped.
    reason : str
        Why.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a fresh look at a place found.

    Parameters
    ----------
    root : Path
        The directory that paths begin at; of one file, the one that it is in.
    files : tuple of Seen
        Every regular file, by path.
    unreadable : tuple of Refused
        What could not be looked into: of what is in there nothing is known.
    skipped : tuple of Refused
        Links, pipes, other file systems and our own parts: seen, and not copied.
    empty : tuple of str
        Folders in which nothing is, by path below the root, escaped.
    """

    root: Path
    files: tuple[Seen, ...]
    unreadable: tuple[Refused, ...] = ()
    skipped: tuple[Refused, ...] = ()
    empty: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """In what a transfer's list differs from what is at its source.

    Parameters
    ----------
    queued : tuple of TransferFile
        Files that are new or were written to: to be queued.
    gone : tuple of TransferFile
        Files of the list that are not there any more, and were not copied.
    """

    queued: tuple[TransferFile, ...] = ()
    gone: tuple[TransferFile, ...] = ()


@dataclass(frozen=True, slots=True)
class TransferReport:
    """What became of a transfer.

    Parameters
    ----------
    transfer : Transfer
        As the catalog has it now.
    count : TransferCount
        How far its files are.
    problems : tuple of NualleyError
        What is in its way.
    skipped : tuple of Refused
        What is at the source and is no file to copy.
    notes : tuple of str
        What the user should know.
    """

    transfer: Transfer
    count: TransferCount
    problems: tuple[NualleyError, ...] = ()
    skipped: tuple[Refused, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_finished(self) -> bool:
        """Whether all is there: only now a source may be looked at as one that could go."""
        return self.transfer.finished_ns is not None

    @property
    def exit_code(self) -> ExitCode:
        """How a command ends that made it."""
        if any(isinstance(problem, IntegrityError) for problem in self.problems):
            return ExitCode.NOT_INTACT
        return ExitCode.DONE if self.is_finished and not self.problems else ExitCode.FAILED

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return {
            **transfer_json(self.transfer, self.count),
            "is_finished": self.is_finished,
            "problems": [problem.to_json() for problem in self.problems],
            "skipped": [{"path": found.path, "reason": found.reason} for found in self.skipped],
            "notes": list(self.notes),
        }


def transfer_json(transfer: Transfer, count: TransferCount) -> dict[str, object]:
    """Return a transfer and how far it is as a JSON object."""
    return {
        "transfer": transfer.transfer_id,
        "source": transfer.source,
        "destination": transfer.destination,
        "source_drive": transfer.source_drive,
        "drive": transfer.drive,
        "host": transfer.host,
        "rate_B_per_s": transfer.rate_B_per_s,
        "created_ns": transfer.created_ns,
        "finished_ns": transfer.finished_ns,
        "cancelled_ns": transfer.cancelled_ns,
        "is_left": transfer.is_left,
        "state": str(transfer.state),
        "n_files": count.n_files,
        "n_done": count.n_done,
        "size_B": count.size_B,
        "done_B": count.done_B,
        "n_problems": count.n_problems,
        "problem": transfer.problem or None,
    }


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What became of a transfer that was given up.

    Parameters
    ----------
    transfer : Transfer
        As the catalog has it now.
    count : TransferCount
        How far its files are: what was copied stays.
    n_parts : int
        Partial files of it that were removed at the destination.
    problems : tuple of NualleyError
        Why partial files may still be there.
    """

    transfer: Transfer
    count: TransferCount
    n_parts: int
    problems: tuple[NualleyError, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """How a command ends that made it."""
        return ExitCode.FAILED if self.problems else ExitCode.DONE

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return {
            **transfer_json(self.transfer, self.count),
            "n_parts": self.n_parts,
            "problems": [problem.to_json() for problem in self.problems],
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """What reading a transfer's copies back showed.

    Parameters
    ----------
    transfer : Transfer
        The transfer.
    n_files, n_intact : int
        Copies that were to be read, and those whose bytes are right.
    size_B : int
        Bytes that were read [B].
    problems : tuple of NualleyError
        A copy each that is damaged, missing or unreadable.
    """

    transfer: Transfer
    n_files: int
    n_intact: int
    size_B: int
    problems: tuple[NualleyError, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """How a command ends that made it."""
        if any(isinstance(problem, IntegrityError) for problem in self.problems):
            return ExitCode.NOT_INTACT
        return ExitCode.FAILED if self.problems else ExitCode.DONE

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return {
            "transfer": self.transfer.transfer_id,
            "destination": self.transfer.destination,
            "drive": self.transfer.drive,
            "n_files": self.n_files,
            "n_intact": self.n_intact,
            "size_B": self.size_B,
            "problems": [problem.to_json() for problem in self.problems],
        }


@dataclass(frozen=True, slots=True)
class Policy:
    """How many copies there should be, and where.

    Parameters
    ----------
    n_copies : int
        Verified replicas on different devices, >= 0.
    roles : tuple of DriveRole
        What a drive has to be for.
    keep_free_B : int
        Bytes that stay free on a drive [B], beside its limit.
    remotes : tuple of str
        Remotes that get a copy each, first.
    """

    n_copies: int
    roles: tuple[DriveRole, ...]
    keep_free_B: int = 0
    remotes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file of the catalog, its stage and the places that are known of it.

    Parameters
    ----------
    run_id, name, stage : str
        Which file it is, and how far it is processed.
    size_B : int
        Size [B].
    replicas : tuple of Replica
        All that the catalog knows.
    """

    run_id: str
    name: str
    stage: str
    size_B: int
    replicas: tuple[Replica, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """Files in one directory that should be copied to a drive.

    Parameters
    ----------
    source_drive, drive : str
        From which drive or remote to which.
    directory : str
        The directory on the source, as the record has it.
    n_files : int
        Files in it that lack a copy.
    size_B : int
        Their bytes [B].
    run_ids : tuple of str
        Whose they are.
    """

    source_drive: str
    drive: str
    directory: str
    n_files: int
    size_B: int
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlacementPlan:
    """What has to be copied so that everything has its copies.

    Parameters
    ----------
    placements : tuple of Placement
        What is copied where.
    n_lacking_by_stage : mapping of str to int
        Files that lack copies.
    problems : tuple of NualleyError
        What cannot be copied, and why.
    """

    placements: tuple[Placement, ...]
    n_lacking_by_stage: Mapping[str, int]
    problems: tuple[NualleyError, ...] = ()
