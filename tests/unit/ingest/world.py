"""A world in memory for the tests of ingest: drives, drop directories, a catalog and run PVs."""

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from nualley.catalog import (
    Activity,
    FileAdded,
    FileRecord,
    Note,
    Origin,
    Quarantined,
    Replica,
    ReplicaConflict,
    ReplicaState,
    Run,
    RunNotFound,
    Source,
    TimeSource,
    Totals,
)
from nualley.catalog.decide import check_same_bytes, complete_run, count_events
from nualley.core import SECOND_NS, Digester, Digests, NualleyError, UnreachableError, escape_name
from nualley.daq import Defect, DefectKind, FileSummary
from nualley.ingest import Copies, Ingest, IngestSettings, Intake, OwnPlaces, PollReport, RunTime, Watcher
from nualley.ingest.errors import DropProblem
from nualley.ingest.models import Found, FoundFile, make_stamp
from nualley.storage import (
    DestinationBusy,
    Drive,
    DriveRole,
    DriveUsage,
    DropSettings,
    SourceUnreadable,
    SourceVanished,
)
from tests.unit.storage.memory_files import MemoryFiles

NOW_NS = 1_795_000_000_000_000_000
DROP = Path("/drop")
TEMPLATE = "{drive}/{detector}/raw/{run}/{name}"


@dataclass
class StandingClock:
    """A clock that stands still until it is told."""

    time_ns: int = NOW_NS

    def now_ns(self) -> int:
        return self.time_ns

    def advance(self, seconds: float) -> None:
        self.time_ns += round(seconds * SECOND_NS)


class MemoryCatalog:
    """As much of `catalog.Catalog` as ingest uses, in memory."""

    def __init__(self, clock: StandingClock) -> None:
        self.clock = clock
        self.run_by_id: dict[str, Run] = {}
        self.file_by_id: dict[int, FileRecord] = {}
        self.replica_by_id: dict[int, Replica] = {}
        self.source_by_path: dict[str, Source] = {}
        self.note_rows: list[Note] = []
        self.activity_rows: list[Activity] = []
        self.quarantined_rows: list[Quarantined] = []
        self.fails_with: NualleyError | None = None
        self._numbers = itertools.count(1)

    def _use(self) -> None:
        if self.fails_with:
            raise self.fails_with

    def register_run(self, run: Run) -> Run:
        self._use()
        known = self.run_by_id.get(run.run_id)
        self.run_by_id[run.run_id] = complete_run(known, run) if known else replace(run, created_ns=NOW_NS)
        return self.run_by_id[run.run_id]

    def update_run_times(
        self, run_id: str, *, start_ns: int | None, stop_ns: int | None, time_source: TimeSource
    ) -> Run:
        self.run_by_id[run_id] = replace(self.run(run_id), start_ns=start_ns, stop_ns=stop_ns, time_source=time_source)
        return self.run_by_id[run_id]

    def add_file(
        self, run: Run, file: FileRecord, *, replicas: Sequence[Replica] = (), activity: Activity | None = None
    ) -> FileAdded:
        self._use()
        known = self.find_file(file.run_id, file.name)
        if known:
            check_same_bytes(known, file)
        for replica in replicas:
            there = self.replica_at(replica.drive, replica.path)
            if there and (known is None or there.file_id != known.file_id):
                raise ReplicaConflict(f"{replica.path} holds file {there.file_id}", where=replica.path, do="look")
        self.register_run(run)
        record = known or replace(file, file_id=next(self._numbers), created_ns=NOW_NS)
        self.file_by_id[record.file_id] = record
        before = self.replicas(record.file_id)
        for replica in replicas:
            there = self.replica_at(replica.drive, replica.path)
            number = there.replica_id if there else next(self._numbers)
            self.replica_by_id[number] = replace(replica, replica_id=number, file_id=record.file_id, created_ns=NOW_NS)
        if activity and (known is None or self.replicas(record.file_id) != before):
            self.activity_rows.append(replace(activity, activity_id=next(self._numbers)))
        return FileAdded(record, tuple(self.replicas(record.file_id)), already_there=known is not None)

    def update_replica(self, replica_id: int, *, state: ReplicaState, verified_ns: int | None = None) -> None:
        known = self.replica_by_id[replica_id]
        self.replica_by_id[replica_id] = replace(known, state=state, verified_ns=verified_ns or known.verified_ns)

    def add_note(self, run_id: str, text: str, *, author: str = "") -> Note:
        self.run(run_id)
        note = Note(note_id=next(self._numbers), run_id=run_id, time_ns=self.clock.now_ns(), author=author, text=text)
        self.note_rows.append(note)
        return note

    def add_quarantined(self, quarantined: Quarantined) -> Quarantined:
        self._use()
        for row in self.quarantined_rows:
            if (row.path, row.xxh3_128, row.size_B, row.reason) == (
                quarantined.path,
                quarantined.xxh3_128,
                quarantined.size_B,
                quarantined.reason,
            ):
                return row
        entered = replace(quarantined, quarantine_id=next(self._numbers), time_ns=self.clock.now_ns())
        self.quarantined_rows.append(entered)
        return entered

    def put_source(self, source: Source) -> Source:
        self._use()
        self.source_by_path[source.path] = replace(source, time_ns=self.clock.now_ns())
        return self.source_by_path[source.path]

    def run(self, run_id: str) -> Run:
        if run_id not in self.run_by_id:
            raise RunNotFound(f"there is no run {run_id}", where="catalog", do="look")
        return self.run_by_id[run_id]

    def runs(
        self, *, detector: str | None = None, start_ns: int | None = None, stop_ns: int | None = None
    ) -> list[Run]:
        found = [run for run in self.run_by_id.values() if detector in (None, run.detector)]
        if start_ns is None and stop_ns is None:
            return found
        timed = [run for run in found if run.start_ns is not None and (stop_ns is None or run.start_ns < stop_ns)]
        return [run for run in timed if run.stop_ns is None or start_ns is None or run.stop_ns > start_ns]

    def totals(self, run_id: str) -> Totals:
        files = self.files(run_id)
        return Totals(
            n_runs=1,
            n_files=len(files),
            n_events=count_events((file.channels, file.n_events or 0) for file in files),
        )

    def find_file(self, run_id: str, name: str) -> FileRecord | None:
        self._use()
        return next((file for file in self.files(run_id) if file.name == name), None)

    def files(self, run_id: str) -> list[FileRecord]:
        return sorted((file for file in self.file_by_id.values() if file.run_id == run_id), key=lambda file: file.name)

    def files_by_digest(self, xxh3_128: str) -> list[FileRecord]:
        return [file for file in self.file_by_id.values() if file.xxh3_128 == xxh3_128]

    def replicas(self, file_id: int) -> list[Replica]:
        return [replica for replica in self.replica_by_id.values() if replica.file_id == file_id]

    def n_held_by_drive(self, run_id: str) -> Mapping[str, int]:
        rows = (row for row in self.replica_by_id.values() if self.file_by_id[row.file_id].run_id == run_id)
        found = {(row.drive, row.file_id) for row in rows if row.state is ReplicaState.VERIFIED}
        return Counter(drive for drive, _ in found)

    def replica_at(self, drive: str, path: str) -> Replica | None:
        return next((row for row in self.replica_by_id.values() if (row.drive, row.path) == (drive, path)), None)

    def notes(self, run_id: str) -> list[Note]:
        return [note for note in self.note_rows if note.run_id == run_id]

    def activities(self, thing: str | None = None) -> list[Activity]:
        return [row for row in self.activity_rows if thing is None or thing in (*row.inputs, *row.outputs)]

    def quarantined(self) -> list[Quarantined]:
        return list(self.quarantined_rows)

    def find_source(self, path: str) -> Source | None:
        self._use()
        return self.source_by_path.get(path)

    def sources(self, detector: str) -> list[Source]:
        self._use()
        return [source for _, source in sorted(self.source_by_path.items()) if source.detector == detector]


@dataclass
class MemoryRunTimes:
    """What run PVs tell, as a test says."""

    time_by_run: dict[tuple[str, int], RunTime] = field(default_factory=dict)
    is_reachable: bool = True
    n_asked: int = 0

    def find(self, detector: str, number: int) -> RunTime | None:
        self.n_asked += 1
        if not self.is_reachable:
            raise UnreachableError("the archive does not answer", where="archive", do="start it")
        return self.time_by_run.get((detector, number))


@dataclass
class MemoryRawFiles:
    """Files of a format of our own: one event a byte ``e``, a defect a byte ``!``; they begin with ``RAW``."""

    files: MemoryFiles
    n_reads: int = 0

    def _data(self, path: Path) -> bytes:
        self.files.record("raw", path)
        self.n_reads += 1
        data = self.files.get(path)
        if data is None:
            raise SourceVanished(f"{path} is not there any more", where=str(path), do="look")
        if data.startswith(b"LOCKED"):
            raise SourceUnreadable(f"{path} cannot be read: Permission denied", where=str(path), do="give the right")
        return data

    def summarise(self, path: Path, detector: str) -> FileSummary:
        data = self._data(path)
        if not data:
            return FileSummary("unknown", 0, (), None, (Defect(DefectKind.EMPTY, 0, "0 B, expected an event"),))
        if not data.startswith(b"RAW"):
            return FileSummary("unknown", 0, (), None, (Defect(DefectKind.UNKNOWN_FORMAT, 0, "begins with ..."),))
        defects = tuple(
            Defect(DefectKind.GARBAGE, at, "1 B of garbage") for at, byte in enumerate(data) if byte == ord("!")
        )
        return FileSummary("raw", data.count(b"e"), (0,), 1, defects, {"gain": 2})

    def digest(self, path: Path) -> Digests:
        return digests_of(self._data(path))


def digests_of(data: bytes) -> Digests:
    digester = Digester()
    digester.update(data)
    return digester.digests()


@dataclass
class MemoryDropFiles:
    """Walks through files in memory."""

    files: MemoryFiles
    problem_by_folder: dict[Path, NualleyError] = field(default_factory=dict)
    skipped: tuple[NualleyError, ...] = ()

    def walk(self, directory: Path) -> Found:
        problem = self.problem_by_folder.get(directory)
        found = [self._found(path, directory) for path in self.files.names if path.is_relative_to(directory)]
        return Found(tuple(sorted(found)), (problem,) if problem else (), self.skipped)

    def find(self, path: Path) -> Found | None:
        if path in self.files.names:
            return Found((self._found(path, path.parent),), is_directory=False)
        found = self.walk(path)
        return found if found.files or path in self.files.directories else None

    def _found(self, path: Path, root: Path) -> FoundFile:
        node = self.files.names[path]
        stamp = make_stamp(len(node.data), node.mtime_ns, node.inode)
        return FoundFile(os.fspath(path), os.fspath(path.relative_to(root)), stamp)


@dataclass
class Volume:
    """How a drive stands."""

    drive: Drive
    room_B: int = 10**9
    is_mounted: bool = True
    is_writable: bool = True
    shares_with: tuple[str, ...] = ()

    def usage(self) -> DriveUsage:
        if not self.is_mounted:
            return DriveUsage(self.drive, error="nothing is mounted there")
        return DriveUsage(
            self.drive,
            shares_with=self.shares_with,
            size_B=10**10,
            used_B=10**9,
            available_B=self.room_B,
            is_mounted=True,
            is_writable=self.is_writable,
        )


class MemoryClaims:
    """Claims in memory."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    @contextmanager
    def claim(self, what: str) -> Iterator[None]:
        if what in self._taken:
            raise DestinationBusy(f"another process takes {what} in right now", where=what, do="wait until it is done")
        self._taken.add(what)
        try:
            yield
        finally:
            self._taken.discard(what)


@dataclass
class MemoryDrives:
    """The drives of the world; those that were written to."""

    volumes: dict[str, Volume]
    registered: list[str] = field(default_factory=list)

    def usages(self) -> list[DriveUsage]:
        return [volume.usage() for volume in self.volumes.values()]

    def register(self, usage: DriveUsage) -> None:
        if usage.drive.name not in self.registered:
            self.registered.append(usage.drive.name)


OWN = OwnPlaces(Path("/store"), template=TEMPLATE, detectors=frozenset(("cenns-10",)))


class World:
    """All parts of ingest over a world in memory."""

    def __init__(self, *, n_drives: int = 2, settings: IngestSettings | None = None) -> None:
        self.clock = StandingClock()
        self.files = MemoryFiles(Path("/"))
        self.catalog = MemoryCatalog(self.clock)
        self.raw_files = MemoryRawFiles(self.files)
        self.drop_files = MemoryDropFiles(self.files)
        self.run_times = MemoryRunTimes()
        self.settings = settings or IngestSettings(settle_s=60, poll_s=2)
        names = [f"data{number}" for number in range(1, n_drives + 1)]
        self.volumes = {
            name: Volume(Drive(name, Path("/", name), DriveRole.RAW), room_B=10**9 - index)
            for index, name in enumerate(names)
        }
        self.drives = MemoryDrives(self.volumes)
        self.once_unmounted: set[Path] = set()  # drives, for those who tell stories of them
        self.drops = [DropSettings(path=DROP, detector="cenns-10")]
        self.start()

    def start(self) -> None:
        """Begin as a new process would: nothing but files and catalog is left."""
        self.copies = Copies(
            self.files,
            self.drives,
            claims=MemoryClaims(),
            template=TEMPLATE,
            n_copies=self.settings.copies,
            clock=self.clock,
            remotes=("nas",),
        )
        self.intake = Intake(
            self.catalog,
            self.raw_files,
            self.copies,
            settings=self.settings,
            own=replace(OWN, drives=tuple(volume.drive for volume in self.volumes.values())),
            origin=Origin("0.1.0", "abc", "daq1"),
            clock=self.clock,
        )
        self.ingest = Ingest(self.catalog, self.intake, run_times=self.run_times, drop_files=self.drop_files)
        self.watcher = Watcher(
            self.catalog,
            self.ingest,
            self.intake,
            drops=self.drops,
            drop_files=self.drop_files,
            settings=self.settings,
            clock=self.clock,
        )

    # ------------------------------------------------------------ words to tell a story
    def put(self, part: str, data: bytes = b"RAWee", *, mtime_ns: int | None = None) -> Path:
        path = DROP / part
        self.files.put(path, data, self.clock.time_ns if mtime_ns is None else mtime_ns)
        return path

    def tell_run(self, number: int, start_s: float, stop_s: float | None, *, heard_s: float | None = None) -> None:
        """Let the run PVs of cenns-10 tell of a run; times count from `NOW_NS` [s]."""
        self.run_times.time_by_run["cenns-10", number] = RunTime(
            start_ns=NOW_NS + round(start_s * SECOND_NS),
            stop_ns=None if stop_s is None else NOW_NS + round(stop_s * SECOND_NS),
            heard_until_ns=self.clock.time_ns if heard_s is None else NOW_NS + round(heard_s * SECOND_NS),
        )

    def poll(self, seconds: float = 2, n: int = 1) -> PollReport:
        """Let time pass and look, n times; return the last report."""
        for _ in range(n):
            self.clock.advance(seconds)
            report = self.watcher.poll()
        return report

    def settle(self) -> PollReport:
        """Look until all that rests is finished; return the report of the look that found so."""
        self.poll()
        self.poll(30)
        return self.poll(30)

    def copies_of(self, name: str) -> list[str]:
        """Return where the drives hold a file of that name."""
        return sorted(
            os.fspath(path) for path in self.files.names if path.name == name and not path.is_relative_to(DROP)
        )


def shown(path: Path) -> str:
    return escape_name(os.fspath(path))


def drop_problem(folder: Path) -> NualleyError:
    return DropProblem(f"{folder} cannot be read: Permission denied", where=str(folder), do="give the right")
