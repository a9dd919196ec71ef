"""What a catalog promises, whichever database is below."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from nualley.catalog.definitions import SelectionRevision
from nualley.catalog.errors import FileConflict, ReplicaConflict
from nualley.catalog.flags import Flag
from nualley.catalog.models import (
    USAGE_KEYS,
    Activity,
    FileAdded,
    FileEntry,
    FileRecord,
    FileUsage,
    Note,
    PlacedFile,
    Quarantined,
    Replica,
    ReplicaState,
    Run,
    RunType,
    Source,
    TimeSource,
    Totals,
    UsageKey,
)
from nualley.catalog.run_table import RunList
from nualley.catalog.transfers import Transfer, TransferCount, TransferFile


class RunLists(Protocol):
    """Flags and selections: entered, never changed, never deleted. What a call returns from is durable.

    Every call may raise CatalogUnreachable (locked or not answering), CatalogUnwritable and CatalogDamaged.
    """

    def set_type(self, run_id: str, run_type: RunType, *, author: str) -> Run:
        """Say what a run was taken for; a note keeps what was said before. RunNotFound names the nearest run."""
        ...

    def add_flag(self, flag: Flag) -> Flag:
        """Enter a flag.

        FlagNotFound where it supersedes none that is there, FlagSuperseded where another one did so before.
        """
        ...

    def flags(self, detector: str | None = None) -> list[Flag]:
        """Return every flag that was ever entered, oldest first, also those that do not count any more."""
        ...

    def define(self, revision: SelectionRevision) -> SelectionRevision:
        """Enter a draft as the next revision of its selection; the same as the last one is not entered again.

        SelectionFrozen where the selection is frozen.
        """
        ...

    def freeze(self, revision: SelectionRevision, *, activity: Activity | None = None) -> SelectionRevision:
        """Enter a revision with content as the last one of its selection, and the activity, in one transaction.

        ``number`` is that of the draft which was resolved, 0 for none. SelectionChanged where the draft is no longer
        the last revision, SelectionFrozen where the selection is frozen.
        """
        ...

    def revisions(self, name: str) -> list[SelectionRevision]:
        """Return the revisions of a selection, oldest first; none where there is no such selection."""
        ...

    def selections(self) -> list[SelectionRevision]:
        """Return the last revision of every selection, by name."""
        ...


class Transfers(Protocol):
    """Transfers and how far each of their files has come. What a call returns from is durable.

    Every call may raise CatalogUnreachable (locked or not answering), CatalogUnwritable and CatalogDamaged.
    """

    def begin(self, transfer: Transfer, files: Sequence[TransferFile]) -> Transfer:
        """Enter a transfer with all of its files in one transaction."""
        ...

    def put_files(self, transfer_id: int, files: Sequence[TransferFile]) -> None:
        """Enter files of a transfer, each in the place of what was known of it, in one transaction."""
        ...

    def settle(self, file: TransferFile, replica: Replica | None, activity: Activity | None = None) -> None:
        """Enter a file as it now is, the replica that it became, and what was done, in one transaction.

        The replica is of ``file.file_id``. ReplicaConflict where its place is known to hold another file.
        """
        ...

    def finish(self, transfer_id: int, *, problem: str = "") -> Transfer:
        """Enter that all of a transfer is done, or why it is not; one that was given up stays so."""
        ...

    def leave(self, transfer_id: int, *, is_left: bool) -> Transfer:
        """Enter whether the worker goes on with a transfer; with one that was given up it does not."""
        ...

    def cancel(self, transfer_id: int) -> Transfer:
        """Enter that a transfer is given up; one that is finished, or was given up before, stays as it is."""
        ...

    def transfer(self, transfer_id: int) -> Transfer:
        """Return a transfer. TransferNotFound names the last one."""
        ...

    def transfers(self, *, is_open: bool = False) -> list[Transfer]:
        """Return the transfers, oldest first: all, or those that are neither finished nor given up."""
        ...

    def files(self, transfer_id: int) -> list[TransferFile]:
        """Return the files of a transfer, by path."""
        ...

    def known_below(self, drive: str, path: str) -> list[Replica]:
        """Return what is known to lie at an (escaped) path of a drive or below it, and is not missing, by path."""
        ...

    def stages_below(self, drive: str, path: str) -> Sequence[str]:
        """Return of which stages the files are that are known to lie at a path of a drive or below it, sorted."""
        ...

    def replicas_of_run(self, run_id: str) -> Mapping[int, Sequence[Replica]]:
        """Return the places of all files of a run, by the number of the file."""
        ...

    def count(self, transfer_id: int) -> TransferCount:
        """Return how far a transfer has come."""
        ...


class Removals(Protocol):
    """Replicas that are taken away on purpose. What a call returns from is durable.

    Every call may raise CatalogUnreachable (locked or not answering), CatalogUnwritable and CatalogDamaged.
    """

    def remove(self, replica_id: int, *, kept: Sequence[int], activity: Activity | None = None) -> None:
        """Enter that a verified replica is one no longer, and what was done, in one transaction.

        ``kept`` are the replicas of the same file that it rests on: ReplicaNeeded, and nothing is entered, where one of
        them is not verified at that moment, or the replica itself is not.
        """
        ...

    def put_back(self, replica_id: int, *, state: ReplicaState, activity: Activity | None = None) -> None:
        """Enter that a replica which was removed is there again, in the state that it had; else leave it as it is."""
        ...

    def stages(self, drive: str) -> Mapping[int, str]:
        """Return the stages of all files of which a replica is or was on a drive, by the number of the file."""
        ...

    def newest_ns(self) -> int | None:
        """Return the newest time that anything was entered for [ns since 1970 UTC]; None where nothing was."""
        ...


class Catalog(Protocol):
    """The record of runs, files and what was done. What a call returns from is committed and durable.

    Every call may raise CatalogUnreachable (locked or not answering), CatalogUnwritable and CatalogDamaged.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def close(self) -> None:
        """Let go of the database."""
        ...

    def seen_from(self, drives: Mapping[str, Path]) -> "Catalog":
        """Return the same catalog for a host where drives, by name, are at these paths; it lives as long as this."""
        ...

    @property
    def run_lists(self) -> RunLists:
        """Flags and selections, in the same database."""
        ...

    @property
    def transfers(self) -> Transfers:
        """Files on their way from one place to another."""
        ...

    @property
    def removals(self) -> Removals:
        """Replicas that are taken away on purpose."""
        ...

    # ------------------------------------------------------------ writing
    def register_run(self, run: Run) -> Run:
        """Enter a run, or complete what is not known of it yet; what is known is never overwritten."""
        ...

    def update_run_times(
        self, run_id: str, *, start_ns: int | None, stop_ns: int | None, time_source: TimeSource
    ) -> Run:
        """Set the bounds of a run. RunNotFound names the nearest run."""
        ...

    def correct_run_times(
        self,
        run_id: str,
        *,
        start_ns: int,
        stop_ns: int,
        reason: str,
        author: str,
        activity: Activity | None = None,
    ) -> Run:
        """Set bounds that a person knows better, for good; a note keeps the old ones, the reason and who says so.

        Times, note and activity are entered in one transaction. UsageError where the run would not stop after it
        starts or the reason is empty; RunNotFound names the nearest run.
        """
        ...

    def update_run(
        self,
        run_id: str,
        *,
        run_type: str | None = None,
        start_reason: str | None = None,
        stop_reason: str | None = None,
    ) -> Run:
        """Set type and reasons of a run; None leaves one as it is. RunNotFound names the nearest run."""
        ...

    def add_file(
        self, run: Run, file: FileRecord, *, replicas: Sequence[Replica] = (), activity: Activity | None = None
    ) -> FileAdded:
        """Enter run (as `register_run`), file, replicas and activity in one transaction.

        A file that is known with the same digests is returned as it is, missing replicas are added, and the activity
        is entered only where something was new. FileConflict where its digests differ, ReplicaConflict where a place
        is known to hold another file; then nothing is entered.
        """
        ...

    def add_files(self, entries: Sequence[FileEntry]) -> list[FileAdded | FileConflict | ReplicaConflict]:
        """Enter many files, each as `add_file`, in one transaction: after a kill all of them are there, or none.

        A conflict keeps only its own file out, and stands in the answer in its place.
        """
        ...

    def add_replica(self, file_id: int, replica: Replica, *, activity: Activity | None = None) -> Replica:
        """Enter one more place of a known file, or what is newly known of it."""
        ...

    def update_replica(self, replica_id: int, *, state: ReplicaState, verified_ns: int | None = None) -> None:
        """Set the state of a replica; ``verified_ns`` None leaves the time of the last proof as it is.

        One that was removed stays removed, unless it is said to be unverified: that something lies there again.
        """
        ...

    def add_note(self, run_id: str, text: str, *, author: str = "") -> Note:
        """Write a note to a run."""
        ...

    def add_tag(self, run_id: str, tag: str) -> None:
        """Give a run a tag; one that it has is no error."""
        ...

    def remove_tag(self, run_id: str, tag: str) -> None:
        """Take a tag from a run; one that it lacks is no error."""
        ...

    def add_activity(self, activity: Activity) -> Activity:
        """Enter what was done."""
        ...

    def add_quarantined(self, quarantined: Quarantined) -> Quarantined:
        """Enter a refused file; the same path, bytes and reason are entered once."""
        ...

    def put_source(self, source: Source) -> Source:
        """Enter what became of a file in a drop directory, in place of what was known of that path."""
        ...

    def register_drive(self, name: str, drive_id: str) -> None:
        """Enter by which id a drive is known again; DriveConflict where name or id stand for another drive."""
        ...

    # ------------------------------------------------------------ reading
    def run(self, run_id: str) -> Run:
        """Return a run. RunNotFound names the nearest one."""
        ...

    def runs(
        self,
        *,
        detector: str | None = None,
        start_ns: int | None = None,
        stop_ns: int | None = None,
        tag: str | None = None,
    ) -> RunList:
        """Return the runs that overlap ``[start_ns, stop_ns)``, by start.

        A run without a start is left out where a bound is asked for; one without a stop goes on.
        """
        ...

    def totals(self, run_id: str | None = None) -> Totals:
        """Return counts over all, or over one run."""
        ...

    def totals_by_run(self) -> Mapping[str, Totals]:
        """Return counts for every run."""
        ...

    def count_short(self, wanted: Mapping[str, int], homes: Mapping[str, str]) -> Mapping[str, int]:
        """Return of how many files of each run there are too few verified replicas; runs without such are left out.

        ``wanted`` says by stage how many there should be, one where it says nothing; drives with one name in ``homes``
        hold one together.
        """
        ...

    def find_file(self, run_id: str, name: str) -> FileRecord | None:
        """Return the file of that (escaped) name, None where there is none."""
        ...

    def file(self, file_id: int) -> FileRecord:
        """Return a file by its number."""
        ...

    def files(self, run_id: str) -> list[FileRecord]:
        """Return the files of a run, by name."""
        ...

    def files_by_digest(self, xxh3_128: str) -> list[FileRecord]:
        """Return the files with these bytes: equal bytes in two runs stay two files."""
        ...

    def find_files(
        self,
        *,
        name: str | None = None,
        digest: str | None = None,
        run_id: str | None = None,
        detector: str | None = None,
        drive: str | None = None,
        file_id: int | None = None,
        limit: int | None = None,
    ) -> list[FileRecord]:
        """Return files by all that is asked, by run and name: a name may hold ``*`` and ``?``, a digest be either.

        ``drive`` is where a replica lies that is not missing.
        """
        ...

    def files_at(self, path: str) -> list[FileRecord]:
        """Return the files of which a replica is known at an (escaped) path, on whatever drive."""
        ...

    def replicas(self, file_id: int) -> list[Replica]:
        """Return the places of a file."""
        ...

    def n_held_by_drive(self, run_id: str) -> Mapping[str, int]:
        """Return of how many files of a run each drive has a verified replica."""
        ...

    def replica_at(self, drive: str, path: str) -> Replica | None:
        """Return what is known to lie at an (escaped) path, None where nothing is."""
        ...

    def placed_files(self, drive: str) -> list[PlacedFile]:
        """Return all that is known to lie or to have lain on a drive, by path."""
        ...

    def drive_ids(self) -> Mapping[str, str]:
        """Return the ids of all drives that were ever written to, by name."""
        ...

    def usage(self, by: Sequence[UsageKey] = USAGE_KEYS) -> list[FileUsage]:
        """Return what lies on drives, by any of detector, stage, month and drive; what is missing is left out."""
        ...

    def notes(self, run_id: str) -> list[Note]:
        """Return the notes of a run, oldest first."""
        ...

    def activities(self, thing: str | None = None) -> list[Activity]:
        """Return what was done, oldest first: all, or what took or made ``thing``."""
        ...

    def quarantined(self) -> list[Quarantined]:
        """Return the refused files, oldest first."""
        ...

    def find_source(self, path: str) -> Source | None:
        """Return what became of the file at an (escaped) path of a drop directory, None where nothing did yet."""
        ...

    def sources(self, detector: str) -> list[Source]:
        """Return what became of the files in a detector's drop directories, by path."""
        ...
