"""`catalog.ports.Catalog` on SQLite or PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Table, bindparam, delete, insert, select

from nualley.catalog.adapters import queries, records, rows, tables, usage
from nualley.catalog.adapters.database import BUSY_TIMEOUT_MS, Database, open_database
from nualley.catalog.adapters.guarded import GuardedDatabase
from nualley.catalog.adapters.mounts import file_system_type
from nualley.catalog.adapters.removals import SqlRemovals
from nualley.catalog.adapters.replica_rows import ReplicaRows
from nualley.catalog.adapters.run_lists import SqlRunLists
from nualley.catalog.adapters.transfers import SqlTransfers
from nualley.catalog.decide import check_correction, correction_note
from nualley.catalog.drive_paths import DrivePaths
from nualley.catalog.errors import CatalogError, CatalogMoved, CatalogUnreachable, FileConflict, ReplicaConflict
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
    Source,
    TimeSource,
    Totals,
    UsageKey,
)
from nualley.catalog.run_table import LiveSeconds, RunList
from nualley.core import Clock, SystemClock, UsageError, strict_text

# made once, as each file that is looked for by its bytes asks it
_FILES_BY_DIGEST = (
    select(tables.file).where(tables.file.c.xxh3_128 == bindparam("digest")).order_by(tables.file.c.file_id)
)


class SqlCatalog:
    """The record of runs, files and what was done, in a database.

    Parameters
    ----------
    database : Database
        Open, with tables of this version.
    clock : Clock
        Dates what is entered.
    paths : DrivePaths
        Where the drives are.
    livetimes_s : LiveSeconds, optional
        Tells the live time of runs: the catalog itself does not know it.
    """

    def __init__(
        self, database: Database, clock: Clock, paths: DrivePaths, livetimes_s: LiveSeconds | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._livetimes_s = livetimes_s
        guarded = GuardedDatabase(database)
        self._write, self._reading = guarded.write, guarded.reading
        self.run_lists = SqlRunLists(database, clock)
        self._replicas = ReplicaRows(paths)
        self.transfers = SqlTransfers(database, clock, paths)
        self.removals = SqlRemovals(database)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def seen_from(self, drives: Mapping[str, Path]) -> "SqlCatalog":
        """Return the same catalog for a host where drives, by name, are at these paths."""
        return SqlCatalog(self._database, self._clock, DrivePaths(drives), self._livetimes_s)

    # ------------------------------------------------------------ writing
    def register_run(self, run: Run) -> Run:
        """Enter a run, or complete what is not known of it yet; what is known is never overwritten."""
        return self._write(lambda connection: records.put_run(connection, run, self._clock.now_ns()))

    def update_run_times(
        self, run_id: str, *, start_ns: int | None, stop_ns: int | None, time_source: TimeSource
    ) -> Run:
        """Set the bounds of a run. RunNotFound names the nearest run."""
        # the run is read back inside the transaction, and no Run stops before it starts
        return self._set_run(run_id, {"start_ns": start_ns, "stop_ns": stop_ns, "time_source": str(time_source)})

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
        """Set bounds that a person knows better, for good; a note keeps the old ones, the reason and who says so."""
        check_correction(run_id, start_ns=start_ns, stop_ns=stop_ns, reason=reason)
        values = {"start_ns": start_ns, "stop_ns": stop_ns, "time_source": str(TimeSource.GIVEN)}

        def work(connection: Connection) -> Run:
            before = records.load_run(connection, run_id)
            records.set_run(connection, run_id, values)
            after = records.load_run(connection, run_id)
            self._put_note(connection, run_id, correction_note(before, after, reason), author)
            if activity is not None:
                records.put_activity(connection, activity)
            return after

        return self._write(work)

    def update_run(
        self,
        run_id: str,
        *,
        run_type: str | None = None,
        start_reason: str | None = None,
        stop_reason: str | None = None,
    ) -> Run:
        """Set type and reasons of a run; None leaves one as it is. RunNotFound names the nearest run."""
        given = {"run_type": run_type, "start_reason": start_reason, "stop_reason": stop_reason}
        return self._set_run(run_id, {name: strict_text(text) for name, text in given.items() if text is not None})

    def _set_run(self, run_id: str, values: dict[str, Any]) -> Run:
        def work(connection: Connection) -> Run:
            records.load_run(connection, run_id)
            if values:
                records.set_run(connection, run_id, values)
            return records.load_run(connection, run_id)

        return self._write(work)

    def add_file(
        self, run: Run, file: FileRecord, *, replicas: Sequence[Replica] = (), activity: Activity | None = None
    ) -> FileAdded:
        """Enter run (as `register_run`), file, replicas and activity in one transaction.

        Parameters
        ----------
        run : Run
            The run; entered or completed.
        file : FileRecord
            A file of that run.
        replicas : sequence of Replica
            Where its bytes lie.
        activity : Activity, optional
            What brought it here; entered only where file or a replica is new.

        Returns
        -------
        FileAdded
            The file as the catalog holds it, and whether it did before.

        Raises
        ------
        FileConflict
            Where other bytes are known under that name; nothing is entered.
        ReplicaConflict
            Where a place is known to hold another file; nothing is entered.
        UsageError
            Where the file is not of that run.
        """
        entry = FileEntry(run, file, tuple(replicas), activity)
        _check_run(entry)
        return self._write(lambda connection: self._replicas.put_entry(connection, entry, self._clock.now_ns()))

    def add_files(self, entries: Sequence[FileEntry]) -> list[FileAdded | FileConflict | ReplicaConflict]:
        """Enter many files, each as `add_file`, in one transaction.

        Parameters
        ----------
        entries : sequence of FileEntry
            The files.

        Returns
        -------
        list of FileAdded, FileConflict or ReplicaConflict
            What came of each, in their order: a conflict keeps only its own file out.

        Raises
        ------
        UsageError
            Where a file is not of its run; nothing is entered.
        """
        for entry in entries:
            _check_run(entry)

        def work(connection: Connection) -> list[FileAdded | FileConflict | ReplicaConflict]:
            return [self._try_entry(connection, entry) for entry in entries]

        return self._write(work)

    def _try_entry(self, connection: Connection, entry: FileEntry) -> FileAdded | FileConflict | ReplicaConflict:
        try:
            with connection.begin_nested():
                return self._replicas.put_entry(connection, entry, self._clock.now_ns())
        except (FileConflict, ReplicaConflict) as error:
            return error

    def add_replica(self, file_id: int, replica: Replica, *, activity: Activity | None = None) -> Replica:
        """Enter one more place of a known file, or what is newly known of it."""

        def work(connection: Connection) -> Replica:
            records.load_file(connection, file_id)
            if activity is not None and self._replicas.find(connection, replica.drive, replica.path) is None:
                records.put_activity(connection, activity)
            return self._replicas.put(connection, file_id, replica, self._clock.now_ns())

        return self._write(work)

    def update_replica(self, replica_id: int, *, state: ReplicaState, verified_ns: int | None = None) -> None:
        """Set the state of a replica; ``verified_ns`` None leaves the time of the last proof as it is."""

        def work(connection: Connection) -> None:
            # who read it before it was removed must not call it good again; that something lies there he may say
            if state is ReplicaState.UNVERIFIED or not records.is_removed(connection, replica_id):
                records.set_replica_state(connection, replica_id, state=state, verified_ns=verified_ns)

        self._write(work)

    def add_note(self, run_id: str, text: str, *, author: str = "") -> Note:
        """Write a note to a run."""

        def work(connection: Connection) -> Note:
            records.load_run(connection, run_id)
            return self._put_note(connection, run_id, text, author)

        return self._write(work)

    def _put_note(self, connection: Connection, run_id: str, text: str, author: str) -> Note:
        values: dict[str, Any] = {
            "run_id": run_id,
            "time_ns": self._clock.now_ns(),
            "author": strict_text(author),
            "text": strict_text(text),
        }
        return Note(note_id=records.insert_row(connection, tables.note, values), **values)

    def add_tag(self, run_id: str, tag: str) -> None:
        """Give a run a tag; one that it has is no error."""
        self._write(lambda connection: records.put_tag(connection, run_id, tag, self._clock.now_ns()))

    def remove_tag(self, run_id: str, tag: str) -> None:
        """Take a tag from a run; one that it lacks is no error."""

        def work(connection: Connection) -> None:
            records.load_run(connection, run_id)
            table = tables.run_tag
            connection.execute(delete(table).where(table.c.run_id == run_id, table.c.tag == strict_text(tag)))

        self._write(work)

    def add_activity(self, activity: Activity) -> Activity:
        """Enter what was done."""
        return self._write(lambda connection: records.put_activity(connection, activity))

    def add_quarantined(self, quarantined: Quarantined) -> Quarantined:
        """Enter a refused file; the same path, bytes and reason are entered once."""
        entered = replace(quarantined, time_ns=quarantined.time_ns or self._clock.now_ns())
        values = rows.quarantined_values(entered)
        table = tables.quarantined
        same = [table.c[name] == values[name] for name in ("path", "xxh3_128", "size_B", "reason")]

        def work(connection: Connection) -> Quarantined:
            known = connection.execute(select(table).where(*same)).mappings().first()
            if known is not None:
                return rows.to_quarantined(known)
            return Quarantined(quarantine_id=records.insert_row(connection, table, values), **values)

        return self._write(work)

    def put_source(self, source: Source) -> Source:
        """Enter what became of a file in a drop directory, in place of what was known of that path."""
        entered = replace(source, time_ns=source.time_ns or self._clock.now_ns())
        table = tables.source

        def work(connection: Connection) -> Source:
            connection.execute(delete(table).where(table.c.path == source.path))
            connection.execute(insert(table).values(rows.source_values(entered)))
            return entered

        return self._write(work)

    def register_drive(self, name: str, drive_id: str) -> None:
        """Enter by which id a drive is known again; DriveConflict where name or id stand for another drive."""

        def work(connection: Connection) -> None:
            records.put_drive(connection, name, drive_id, self._clock.now_ns())
            self._replicas.settle(connection)

        self._write(work)

    def settle_paths(self) -> None:
        """Record below its drive what older versions recorded by its path; what cannot be written now is, later."""
        with self._reading(is_single=True) as connection:
            if not self._replicas.unsettled(connection):
                return
        with suppress(CatalogError, CatalogMoved, CatalogUnreachable):
            self._write(self._replicas.settle)

    # ------------------------------------------------------------ reading
    def run(self, run_id: str) -> Run:
        """Return a run. RunNotFound names the nearest one."""
        with self._reading() as connection:
            return records.load_run(connection, run_id)

    def runs(
        self,
        *,
        detector: str | None = None,
        start_ns: int | None = None,
        stop_ns: int | None = None,
        tag: str | None = None,
    ) -> RunList:
        """Return the runs that overlap ``[start_ns, stop_ns)``, by start."""
        with self._reading() as connection:
            found = queries.list_runs(connection, detector=detector, start_ns=start_ns, stop_ns=stop_ns, tag=tag)
        return RunList(found, self)

    def livetimes_s(self, runs: Sequence[Run]) -> Sequence[float | None]:
        """Return the live time of runs [s]; None where nobody tells it."""
        return [None] * len(runs) if self._livetimes_s is None else self._livetimes_s(runs)

    def totals(self, run_id: str | None = None) -> Totals:
        """Return counts over all, or over one run."""
        with self._reading() as connection:
            if run_id is not None:
                records.load_run(connection, run_id)
                return queries.count_by_run(connection, run_id)[run_id]
            by_run = queries.count_by_run(connection)
            summed = {
                field.name: sum(getattr(totals, field.name) for totals in by_run.values()) for field in fields(Totals)
            }
            return Totals(**(summed | {"n_quarantined": queries.count_quarantined(connection)}))

    def totals_by_run(self) -> Mapping[str, Totals]:
        """Return counts for every run."""
        with self._reading() as connection:
            return queries.count_by_run(connection)

    def count_short(self, wanted: Mapping[str, int], homes: Mapping[str, str]) -> Mapping[str, int]:
        """Return of how many files of each run there are too few; see `nualley.catalog.ports.Catalog`."""
        with self._reading() as connection:
            return queries.count_short(connection, wanted, homes)

    def find_file(self, run_id: str, name: str) -> FileRecord | None:
        """Return the file of that (escaped) name, None where there is none."""
        with self._reading(is_single=True) as connection:
            return records.find_file(connection, run_id, name)

    def file(self, file_id: int) -> FileRecord:
        """Return a file by its number."""
        with self._reading(is_single=True) as connection:
            return records.load_file(connection, file_id)

    def files(self, run_id: str) -> list[FileRecord]:
        """Return the files of a run, by name."""
        found = self._list(tables.file, tables.file.c.run_id == run_id, rows.to_file)
        return sorted(found, key=lambda file: file.name)

    def files_by_digest(self, xxh3_128: str) -> list[FileRecord]:
        """Return the files with these bytes: equal bytes in two runs stay two files."""
        with self._reading(is_single=True) as connection:
            found = connection.execute(_FILES_BY_DIGEST, {"digest": xxh3_128}).mappings()
            return [rows.to_file(row) for row in found]

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
        """Return files by all that is asked; see `nualley.catalog.ports.Catalog`."""
        asked = queries.FilesAsked(name, digest, run_id, detector, drive, file_id)
        with self._reading(is_single=True) as connection:
            return queries.find_files(connection, asked, limit)

    def files_at(self, path: str) -> list[FileRecord]:
        """Return the files of which a replica is known at an (escaped) path, on whatever drive."""
        with self._reading(is_single=True) as connection:
            return self._replicas.files_at(connection, path)

    def replicas(self, file_id: int) -> list[Replica]:
        """Return the places of a file."""
        with self._reading(is_single=True) as connection:
            return self._replicas.of_file(connection, file_id)

    def n_held_by_drive(self, run_id: str) -> Mapping[str, int]:
        """Return of how many files of a run each drive has a verified replica."""
        with self._reading(is_single=True) as connection:
            return queries.count_held(connection, run_id)

    def replica_at(self, drive: str, path: str) -> Replica | None:
        """Return what is known to lie at an (escaped) path, None where nothing is."""
        with self._reading(is_single=True) as connection:
            return self._replicas.find(connection, drive, path)

    def placed_files(self, drive: str) -> list[PlacedFile]:
        """Return all that is known to lie or to have lain on a drive, by path."""
        with self._reading(is_single=True) as connection:
            return self._replicas.placed(connection, drive)

    def drive_ids(self) -> Mapping[str, str]:
        """Return the ids of all drives that were ever written to, by name."""
        with self._reading(is_single=True) as connection:
            return records.list_drive_ids(connection)

    def usage(self, by: Sequence[UsageKey] = USAGE_KEYS) -> list[FileUsage]:
        """Return what lies on drives, by any of detector, stage, month and drive."""
        with self._reading(is_single=True) as connection:
            return usage.list_usage(connection, by)

    def notes(self, run_id: str) -> list[Note]:
        """Return the notes of a run, oldest first."""
        return self._list(tables.note, tables.note.c.run_id == run_id, rows.to_note)

    def notes_by_run(self) -> Mapping[str, Sequence[Note]]:
        """Return the notes of every run that has some, oldest first."""
        found: dict[str, list[Note]] = {}
        for note in self._list(tables.note, None, rows.to_note):
            found.setdefault(note.run_id, []).append(note)
        return found

    def activities(self, thing: str | None = None) -> list[Activity]:
        """Return what was done, oldest first: all, or what took or made ``thing``."""
        with self._reading() as connection:
            return queries.list_activities(connection, thing)

    def quarantined(self) -> list[Quarantined]:
        """Return the refused files, oldest first."""
        return self._list(tables.quarantined, None, rows.to_quarantined)

    def find_source(self, path: str) -> Source | None:
        """Return what became of the file at an (escaped) path of a drop directory, None where nothing did yet."""
        return next(iter(self._list(tables.source, tables.source.c.path == path, rows.to_source)), None)

    def sources(self, detector: str) -> list[Source]:
        """Return what became of the files in a detector's drop directories, by path."""
        found = self._list(tables.source, tables.source.c.detector == detector, rows.to_source)
        return sorted(found, key=lambda source: source.path)

    def _list(self, table: Table, condition: Any, to_value: Callable[[Any], Any]) -> list[Any]:
        query = select(table).order_by(*table.primary_key.columns)
        with self._reading(is_single=True) as connection:
            found = connection.execute(query if condition is None else query.where(condition)).mappings()
            return [to_value(row) for row in found]


def _check_run(entry: FileEntry) -> None:
    file, run_id = entry.file, entry.run.run_id
    if file.run_id != run_id:
        raise UsageError(f"{file.name} is of run {file.run_id}, not of {run_id}", where="catalog.add_file")


def open_catalog(
    location: Path | str,
    *,
    create: bool = True,
    clock: Clock | None = None,
    drives: Mapping[str, Path] | None = None,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    find_file_system: Callable[[Path], str] = file_system_type,
    livetimes_s: LiveSeconds | None = None,
) -> SqlCatalog:
    """Open the catalog.

    Parameters
    ----------
    location : Path or str
        The SQLite file, or the address of a database server: `CatalogSettings.location`.
    create : bool
        Make a missing catalog and bring an old one up to date; else both are errors.
    clock : Clock, optional
        Dates what is entered; the machine's clock by default.
    drives : mapping of str to Path, optional
        Where the drives are, by name: what lies on others is told as ``NAME:/path``.
    busy_timeout_ms : int
        How long to wait for another process's transaction [ms].
    find_file_system : callable
        Tells the type of the file system under a path.
    livetimes_s : LiveSeconds, optional
        Tells the live time of runs, for their table; without it, that column is null.

    Returns
    -------
    SqlCatalog
        To be closed; a context manager.

    Raises
    ------
    CatalogMissing, CatalogOutdated, CatalogNewer, CatalogOnNetwork, CatalogDamaged, CatalogUnreachable,
    CatalogUnwritable, DriverMissing
        Where it cannot be used.
    """
    database = open_database(
        location, create=create, busy_timeout_ms=busy_timeout_ms, find_file_system=find_file_system
    )
    catalog = SqlCatalog(database, clock or SystemClock(), DrivePaths(drives or {}), livetimes_s)
    if create and drives:
        catalog.settle_paths()
    return catalog
