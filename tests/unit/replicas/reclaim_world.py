"""What makes room, over real files and a real catalog, wired as the product wires it; folders stand for drives."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nualley.catalog import Replica, ReplicaState, Run, Source, SourceState, TimeSource
from nualley.core import DAY_NS, SystemClock, escape_name
from nualley.ingest import RegisteredDrives
from nualley.replicas import (
    Bin,
    Done,
    DropMachine,
    Journal,
    Judge,
    NoRemotes,
    Policy,
    Proposal,
    Proposer,
    Purger,
    PurgeReport,
    Reclaimer,
    ReclaimSettings,
    RemotePlace,
    Remotes,
    RemovalPlan,
    Rules,
    Scrubber,
    SteadyMoment,
    Trash,
    TrashItem,
    UserFile,
)
from nualley.replicas.adapters.journal_file import JournalFile
from nualley.replicas.adapters.purge_file import PurgeFile
from nualley.replicas.adapters.trees import PosixTrees
from nualley.storage import (
    NOBODY,
    TRASH_NAME,
    DriveRole,
    DriveUsage,
    DropSettings,
    DurableFiles,
    Owner,
    PurgeSettings,
    RemovalFiles,
)
from nualley.storage.adapters.removal_files import PosixRemovalFiles
from tests.unit.ingest.site import SeparateVolumes
from tests.unit.replicas.world import DETECTOR, FOLDER, RUN, World

DRIVES = ("data1", "data2", "data3")


class SetClock:
    """The machine's clock and a steady one, both moved by hand."""

    def __init__(self) -> None:
        self.ahead_ns = 0
        self.steady_ns = 0
        self.boot = "boot"

    def now_ns(self) -> int:
        return SystemClock().now_ns() + self.ahead_ns

    def now(self) -> SteadyMoment:
        return SteadyMoment(self.boot, SystemClock().now_ns() + self.steady_ns)

    def passes(self, duration_ns: int) -> None:
        """Let time pass for both."""
        self.ahead_ns += duration_ns
        self.steady_ns += duration_ns

    def jumps(self, by_ns: int) -> None:
        """Set the clock that can be set."""
        self.ahead_ns += by_ns


class ReclaimWorld(World):
    """Drives ``data1`` to ``data3``, a drop directory, and all that makes room."""

    def __init__(
        self,
        folder: Path,
        *,
        looks: RemovalFiles | None = None,
        journal: Journal | None = None,
        set_clock: SetClock | None = None,
        n_copies: int = 1,
        reclaim: ReclaimSettings | None = None,
        files: DurableFiles | None = None,
        drives: Mapping[str, Path] | None = None,
        remotes: Remotes | None = None,
        **words: Any,
    ) -> None:
        self.set_clock = set_clock or SetClock()
        paths = drives or {name: folder / name for name in DRIVES}
        super().__init__(folder, clock=self.set_clock, drives=paths, files=files, **words)
        self.frozen: dict[str, Sequence[str]] = {}
        self.remotes = remotes or NoRemotes()
        self.use(self.remotes)
        self.n_copies = n_copies
        self.drop = folder / "drop"
        self.drop.mkdir(exist_ok=True)
        self.away: set[str] = set()
        self.looks = looks or PosixRemovalFiles()
        self.volumes = words.get("volumes") or SeparateVolumes()
        self._wire(folder, journal or JournalFile(folder / "trash"), reclaim or ReclaimSettings())

    def _wire(self, folder: Path, journal: Journal, settings: ReclaimSettings) -> None:
        self.journal = journal
        drives = RegisteredDrives(self.drives, self.volumes, self.catalog)
        origin, files = self.service._origin, self.machine.files
        rules = Rules(
            policy=lambda _stage: Policy(self.n_copies, (DriveRole.ANY,)),
            reclaim=settings,
            frozen=lambda: self.frozen,
            owner_of=self.owner_of,
        )
        scrubber = Scrubber(
            self.catalog,
            self.machine,
            clock=self.clock,
            origin=origin,
            is_there=lambda name: name in self.remotes.names() or self._is_there(name),
        )
        judge = Judge(
            self.catalog,
            drives,
            self.looks,
            trees=self.machine.trees,
            scrubber=scrubber,
            rules=rules,
            clock=self.clock,
            remotes=self.remotes,
        )
        bin_ = Bin(self.looks, journal)
        roots = {drive.name: escape_name(str(drive.path)) for drive in self.drives}
        self.trash = Trash(self.catalog, bin_, clock=self.clock, origin=origin, is_there=self._is_there, roots=roots)
        self.proposer = Proposer(
            self.catalog,
            drives,
            self.looks,
            judge=judge,
            rules=rules,
            user_files=self.user_files,
            clock=self.clock,
            remotes=self.remotes.names(),
        )
        self.reclaimer = Reclaimer(
            self.catalog, drives, judge=judge, trash=self.trash, clock=self.clock, trash_ns=settings.trash_ns
        )
        self.purger = Purger(
            self.catalog,
            DropMachine(files, self.looks, PosixTrees(), self.set_clock),
            judge=judge,
            trash=self.trash,
            memory=PurgeFile(folder / "trash" / "purge.json"),
            clock=self.clock,
            store=folder,
        )

    def _is_there(self, name: str) -> bool:
        if "/" in name:
            return Path(name).is_dir()
        return name not in self.away and any(each.name == name and each.path.is_dir() for each in self.drives)

    def owner_of(self, _drive: str, path: str) -> Owner:
        return Owner(stage="user", owner="ada") if "/users/" in path else NOBODY

    def user_files(self, usage: DriveUsage) -> Iterable[UserFile]:
        for path in sorted((usage.drive.path / "users").rglob("*")):
            if path.is_file():
                found = path.stat()
                yield UserFile(escape_name(os.fspath(path)), found.st_size, found.st_mtime_ns, "ada")

    # ------------------------------------------------------------ what is there
    def put_copies(self, name: str, data: bytes = b"data", on: Sequence[str] = ("data1", "data2")) -> list[Path]:
        """Make a file of the run with verified replicas on drives."""
        first = self.put(name, data)
        paths = [first]
        for drive in on:
            if drive == "data1":
                continue
            path = self.folder / drive / FOLDER / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(first, path)
            self.enter(path, name, drive)
            paths.append(path)
        return paths

    def put_on(self, name: str, data: bytes, folder: Path, drive: str) -> Path:
        """Make a verified replica of a file of the run in a folder of a drive."""
        path = folder / name
        path.write_bytes(data)
        self.enter(path, name, drive)
        return path

    def put_remote(self, name: str, data: bytes = b"data", remotes: Sequence[str] = ("nas",)) -> Path:
        """Make a file of the run on ``data1``, and send it to remotes as a transfer does."""
        path = self.put(name, data)
        for remote in remotes:
            begun = self.service.begin(path, RemotePlace(remote, FOLDER))
            report = self.service.work(begun.transfer_id)
            assert report.is_finished, report.problems
        return path

    def put_user(self, name: str, data: bytes = b"mine", *, age_ns: int = 400 * DAY_NS, drive: str = "data1") -> Path:
        """Make a file of a user that was last written to so long ago."""
        path = self.folder / drive / "users" / "ada" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        then_ns = self.clock.now_ns() - age_ns
        os.utime(path, ns=(then_ns, then_ns))
        return path

    def put_drop(self, name: str, data: bytes = b"raw", *, on: Sequence[str] = ("data1", "data2")) -> Path:
        """Let a DAQ have written a file that ingest took in."""
        self.put_copies(name, data, on)
        if "data1" not in on:
            self.catalog.update_replica(self.replica(name, "data1").replica_id, state=ReplicaState.DAMAGED)
        return self.leave_in_drop(name, data)

    def leave_in_drop(self, name: str, data: bytes) -> Path:
        """Let a DAQ have written a file of which the replicas are there already."""
        path = self.drop / name
        path.write_bytes(data)
        then_ns = self.clock.now_ns()
        os.utime(path, ns=(then_ns, then_ns))
        found = path.stat()
        source = Source(
            path=escape_name(os.path.realpath(path)),
            detector=DETECTOR,
            run_id=RUN.run_id,
            state=SourceState.INGESTED,
            size_B=found.st_size,
            mtime_ns=found.st_mtime_ns,
            inode=found.st_ino,
        )
        self.catalog.put_source(source)
        return path

    def end_run(self, stop_ns: int | None) -> None:
        """Let the run have ended."""
        self.catalog.register_run(RUN)
        source = TimeSource.UNKNOWN if stop_ns is None else TimeSource.PV
        start_ns = None if stop_ns is None else stop_ns - 1000
        self.catalog.update_run_times(RUN.run_id, start_ns=start_ns, stop_ns=stop_ns, time_source=source)

    def register(self, run: Run) -> None:
        self.catalog.register_run(run)

    def replica(self, name: str, drive: str) -> Replica:
        path = escape_name(os.fspath(self.folder / drive / FOLDER / name))
        found = self.catalog.replica_at(drive, path)
        assert found is not None
        return found

    # ------------------------------------------------------------ doing it
    def propose(self, drive: str | None = None, free_B: int | None = None) -> Proposal:
        return self.proposer.propose("test", drive=drive, free_B=free_B)

    def apply(self, plan: RemovalPlan | None = None, **words: Any) -> list[Done]:
        return list(self.reclaimer.apply(plan or self.propose(**words).plan))

    def purge_once(self, *, should_stop: Callable[[], bool] = lambda: False, **words: Any) -> PurgeReport:
        """Look at the drop directory once."""
        settings = {"copies": 2, "min_age": "7d", "dry_run": "0s"} | words
        drop = DropSettings(path=self.drop, detector=DETECTOR, purge=PurgeSettings(**settings))
        (report,) = self.purger.look((drop,), should_stop)
        return report

    def watch(self, duration_ns: int, **words: Any) -> PurgeReport:
        """Let time pass while the worker runs, and return the last look."""
        self.set_clock.passes(duration_ns)
        return self.purge_once(**words)

    def in_trash(self) -> list[TrashItem]:
        return self.reclaimer.items()

    def trash_files(self) -> dict[str, bytes]:
        """Return what lies in all trash folders, by the file's own name."""
        found = [path for path in self.folder.rglob(f"{TRASH_NAME}/*") if path.is_file()]
        return {path.name.partition("-")[2]: path.read_bytes() for path in found}

    # ------------------------------------------------------------ what must hold
    def check_no_loss(self, known: Mapping[str, bytes]) -> None:
        """See that of every file of the record enough whole copies are where it says, and nothing else is lost."""
        for name, data in known.items():
            held = [path for path in self.folder.rglob(f"*{name}") if path.is_file() and path.read_bytes() == data]
            assert held, f"{name} is lost"
        for usage in self.drives:
            for placed in self.catalog.placed_files(usage.name):
                if placed.state is ReplicaState.VERIFIED:
                    path = Path(placed.path)
                    assert path.is_file(), f"{path} is called verified and is not there"
