"""The one automatic delete: files of a drop directory that opted in, long after their run, with proven replicas."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from nualley.catalog import Catalog, FileRecord, Run, Source, SourceState, TimeSource
from nualley.core import DAY_NS, SECOND_NS, Clock, escape_name, format_duration, reason, unescape_name
from nualley.replicas.errors import (
    ClockJumped,
    JournalDamaged,
    JournalUnwritable,
    RemovalRefused,
    RemovalRunning,
)
from nualley.replicas.judging import Judge
from nualley.replicas.ports import SteadyClock, Trees
from nualley.replicas.reclaiming import ONE_FILE
from nualley.replicas.removals import Ground, Removal, TrashItem, TrashStage
from nualley.replicas.trash import Trash
from nualley.replicas.watched import WatchedTime, check_clock
from nualley.storage import DropSettings, DurableFiles, PurgeSettings, RemovalFiles, read_back

PLAN = "purge"
"""What the journal and the record call the plan of what goes by itself."""

KILL_FILE = "nualley-no-purge"
"""While a file of this name is in a drop directory, or in the store, nothing goes from there."""

_N_PROBLEMS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeReport:
    """What a look at one drop directory came to.

    Parameters
    ----------
    path : str
        The directory, escaped.
    mode : str
        ``live``, ``dry run``, ``stopped`` (by setting or file), or ``refused`` (the clock, the journal).
    why : str
        Why it is in this mode; empty where it is live.
    looked_ns : int
        When [ns since 1970 UTC].
    n_due, due_B : int
        Files that may go by record and age, and their bytes [B].
    n_moved, moved_B : int
        Those of them that went to the trash at this look [B].
    n_deleted, deleted_B : int
        Files whose time in the trash was over, and that were deleted for good [B].
    trash_B : int
        What lies in its trash now [B].
    day_B : int
        What went to the trash within 24 hours [B].
    problems : tuple of str
        Why files that are due did not go: the first ones.
    """

    path: str
    mode: str
    why: str = ""
    looked_ns: int
    n_due: int = 0
    due_B: int = 0
    n_moved: int = 0
    moved_B: int = 0
    n_deleted: int = 0
    deleted_B: int = 0
    trash_B: int = 0
    day_B: int = 0
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"problems": list(self.problems)}


@dataclass(frozen=True, slots=True)
class PurgeMemory:
    """What has to outlive a process.

    Parameters
    ----------
    watched : WatchedTime
        The time that was seen to pass.
    begun_ns_by_key : mapping of str to int
        When each directory was first seen with its settings [ns since 1970 UTC].
    reports : mapping of str to PurgeReport
        The last look at each directory, by its path.
    """

    watched: WatchedTime = field(default_factory=WatchedTime)
    begun_ns_by_key: Mapping[str, int] = field(default_factory=dict)
    reports: Mapping[str, PurgeReport] = field(default_factory=dict)


class Memory(Protocol):
    """Where it is kept."""

    def load(self) -> PurgeMemory:
        """Return it; an empty one where there is none, or none that can be understood: then all begins anew."""
        ...

    def save(self, memory: PurgeMemory) -> None:
        """Keep it, durably; OSError where there is no room."""
        ...


@dataclass(frozen=True, slots=True)
class DropMachine:
    """What a purge touches of the machine.

    Parameters
    ----------
    files : DurableFiles
        Reads files.
    looks : RemovalFiles
        Looks at names.
    trees : Trees
        Lists directories.
    steady : SteadyClock
        A clock that nobody sets.
    """

    files: DurableFiles
    looks: RemovalFiles
    trees: Trees
    steady: SteadyClock


@dataclass(slots=True)
class _Look:
    """What one look at a directory gathers."""

    root: Path
    report: PurgeReport
    problems: list[str] = field(default_factory=list)

    def add(self, **more: int) -> None:
        self.report = replace(self.report, **{name: getattr(self.report, name) + value for name, value in more.items()})


class Purger:
    """Purges drop directories that opted in.

    Parameters
    ----------
    catalog : Catalog
        The record.
    machine : DropMachine
        The machine.
    judge : Judge
        Proves replicas elsewhere.
    trash : Trash
        Where files go first.
    memory : Memory
        What outlives a process.
    clock : Clock
        Dates each look.
    store : Path
        A file `KILL_FILE` in it stops all.

    Notes
    -----
    A file goes only where all of this holds at that moment: ingest took in this very file (size, time, inode); its run
    has ended, and since then so much time was seen to pass, by a steady clock, as ``min_age`` says; it was not written
    to since; its bytes, read now, are those of the record; and so many replicas as ``copies`` says, on other devices
    than the directory's and each other's, were read back lately or are now.
    """

    def __init__(
        self,
        catalog: Catalog,
        machine: DropMachine,
        *,
        judge: Judge,
        trash: Trash,
        memory: Memory,
        clock: Clock,
        store: Path,
    ) -> None:
        self._catalog = catalog
        self._machine = machine
        self._judge = judge
        self._trash = trash
        self._memory = memory
        self._clock = clock
        self._store = store
        self._kept = PurgeMemory()
        self._failed: dict[str, tuple[Source, int]] = {}

    def look(
        self, drops: tuple[DropSettings, ...], should_stop: Callable[[], bool] = lambda: False
    ) -> list[PurgeReport]:
        """Look once at every drop directory with ``purge``, and take away what may go.

        Parameters
        ----------
        drops : tuple of DropSettings
            The drop directories.
        should_stop : callable
            Asked before each file.

        Raises
        ------
        CatalogError, CatalogUnreachable, CatalogDamaged
            Where the record cannot be used; nothing was touched since.
        OSError
            Where the memory cannot be kept: then nothing goes.
        """
        now_ns = self._clock.now_ns()
        self._kept = self._memory.load()
        wanted = {self._machine.trees.real(drop.path): drop for drop in drops if drop.purge is not None}
        behind_ns = self._kept.watched.end_ns
        begun = {
            _key(root, drop.purge): self._kept.begun_ns_by_key.get(_key(root, drop.purge), now_ns)
            for root, drop in wanted.items()
            if drop.purge
        }
        watched = self._kept.watched
        if behind_ns is None or now_ns >= behind_ns:
            watched = watched.seen(now_ns, self._machine.steady.now())
        self._kept = PurgeMemory(watched, begun, {})
        self._memory.save(self._kept)
        reports = [self._look(root, drop, behind_ns, should_stop) for root, drop in wanted.items()]
        self._memory.save(replace(self._kept, reports={report.path: report for report in reports}))
        return reports

    def _look(
        self, root: Path, drop: DropSettings, behind_ns: int | None, should_stop: Callable[[], bool]
    ) -> PurgeReport:
        assert drop.purge is not None
        now_ns = self._clock.now_ns()
        look = _Look(root, PurgeReport(path=_shown(root), mode="live", looked_ns=now_ns))
        mode, why = self._stopped(root, drop.purge)
        if mode:
            return replace(look.report, mode=mode, why=why)
        try:
            newest_ns = max(filter(None, (self._catalog.removals.newest_ns(), behind_ns)), default=None)
            check_clock(now_ns, newest_ns, is_trusted=True)  # ahead of the record it may be: that makes nothing older
            due = list(self._due(look, drop))
            look.add(n_due=len(due), due_B=sum(removal.size_B for removal, _ in due))
            self._act(look, drop.purge, due, should_stop)
        except (ClockJumped, JournalDamaged, JournalUnwritable, RemovalRunning) as error:
            return replace(look.report, mode="refused", why=error.what, problems=(error.what,))
        return replace(look.report, problems=tuple(look.problems[:_N_PROBLEMS]))

    def _act(
        self,
        look: _Look,
        purge: PurgeSettings,
        due: list[tuple[Removal, FileRecord]],
        should_stop: Callable[[], bool],
    ) -> None:
        left_ns = purge.dry_run_ns - self._kept.watched.age_ns(self._kept.begun_ns_by_key[_key(look.root, purge)])
        if left_ns > 0:
            why = f"only told for another {format_duration(left_ns / SECOND_NS)} of running"
            look.report = replace(look.report, mode="dry run", why=why)
            return
        with self._trash.alone():
            look.problems += [error.what for error in self._trash.recover()]
            mine = [each for each in self._trash.items() if each.removal.drive == look.report.path]
            look.add(day_B=sum(each.removal.size_B for each in mine if self._is_of_today(each)))
            for removal, file in due:
                if should_stop() or self._is_halted(look, purge):
                    break
                if look.report.day_B + removal.size_B <= purge.daily_B:
                    self._take(look, purge, removal, file)
            self._delete_expired(look, purge, should_stop)
            waiting = [each for each in self._trash.items() if each.stage is TrashStage.IN_TRASH]
            look.add(trash_B=sum(each.removal.size_B for each in waiting if each.removal.drive == look.report.path))

    def _is_of_today(self, item: TrashItem) -> bool:
        has_gone = item.stage not in (TrashStage.KEPT, TrashStage.RESTORED)
        return has_gone and self._kept.watched.age_ns(item.moved_ns) < DAY_NS

    def _is_halted(self, look: _Look, purge: PurgeSettings) -> bool:
        mode, why = self._stopped(look.root, purge)
        if mode:
            look.report = replace(look.report, mode=mode, why=why)
        return bool(mode)

    def _stopped(self, root: Path, purge: PurgeSettings) -> tuple[str, str]:
        """Return the mode in which nothing goes, and why; two empty texts where it may go."""
        if not purge.enabled:
            return "stopped", "purge.enabled is false in drives.toml"
        for switch in (root / KILL_FILE, self._store / KILL_FILE):
            try:
                if self._machine.looks.look(switch) is not None:
                    return "stopped", f"{_shown(switch)} is there"
            except OSError as error:  # a folder that cannot be looked into may hold it
                return "refused", f"{_shown(switch)} cannot be looked for: {reason(error)}"
        return "", ""

    # ------------------------------------------------------------ what is due
    def _due(self, look: _Look, drop: DropSettings) -> Iterator[tuple[Removal, FileRecord]]:
        """Yield what may go by record and age, without reading a byte."""
        listing = self._machine.trees.look(look.root)
        if listing is None:
            look.problems.append(f"{_shown(look.root)} is not there")
            return
        look.problems += [
            f"{_shown(look.root)}/{each.path} cannot be read: {each.reason}" for each in listing.unreadable
        ]
        sources = {source.path: source for source in self._catalog.sources(drop.detector)}
        runs = {run.run_id: run for run in self._catalog.runs(detector=drop.detector)}
        for seen in listing.files:
            path = _shown(look.root / unescape_name(seen.path))
            source = sources.get(path)
            if source is None or (source.size_B, source.mtime_ns, source.inode) != (
                *(seen.size_B, seen.mtime_ns, seen.inode),
            ):
                continue  # not taken in, or another file than that
            assert drop.purge is not None
            run = runs.get(source.run_id or "")
            if run is None or not self._is_old(run, source, drop.purge):
                continue
            file = self._file(source, path)
            if file is not None:
                yield self._removal(look.report.path, path, source, file), file

    def _file(self, source: Source, path: str) -> FileRecord | None:
        """Return the file of the record that ingest made of a source."""
        if source.state is not SourceState.INGESTED or source.run_id is None:
            return None
        failed, failed_ns = self._failed.get(path, (None, 0))
        if failed == source and self._kept.watched.age_ns(failed_ns) < DAY_NS:
            return None  # what did not go is not read again at each look
        if self._catalog.files_at(path):
            return None  # a replica itself
        return self._catalog.find_file(source.run_id, path.rpartition("/")[2])

    def _is_old(self, run: Run, source: Source, purge: PurgeSettings) -> bool:
        """Return whether so much time was seen to pass since the end of the run, the last change and the taking in.

        The last one is of this machine's clock, as what was seen to pass is; the first ones may be of another.
        """
        if run.stop_ns is None or run.time_source is TimeSource.UNKNOWN:
            return False
        since_ns = max(run.stop_ns, source.mtime_ns, source.time_ns)
        return self._kept.watched.age_ns(since_ns) >= purge.min_age_ns

    def _removal(self, drop: str, path: str, source: Source, file: FileRecord) -> Removal:
        found = self._machine.looks.look(Path(unescape_name(path)))
        return Removal(
            ground=Ground.PURGE,
            drive=drop,
            path=path,
            size_B=source.size_B,
            mtime_ns=source.mtime_ns,
            ctime_ns=found.ctime_ns if found else 0,
            inode=source.inode,
            file_id=file.file_id,
            run_id=file.run_id,
            xxh3_128=file.xxh3_128,
        )

    # ------------------------------------------------------------ what goes
    def _take(self, look: _Look, purge: PurgeSettings, removal: Removal, file: FileRecord) -> None:
        try:
            self._check(purge, removal, file)
            self._trash.put(removal, look.root, kept=(), plan_id=PLAN)
        except ONE_FILE as error:
            source = self._catalog.find_source(removal.path)
            if source is not None:
                self._failed[removal.path] = source, self._clock.now_ns()
            look.problems.append(error.what)
        else:
            look.add(n_moved=1, moved_B=removal.size_B, day_B=removal.size_B)

    def _check(self, purge: PurgeSettings, removal: Removal, file: FileRecord) -> None:
        path = Path(unescape_name(removal.path))
        found = self._machine.looks.look(path)
        device = self._machine.trees.device(path)
        self._judge.proven_elsewhere(removal, file, purge.copies, device=device, look=found)
        if read_back(path, files=self._machine.files) != file.digests:
            raise RemovalRefused(
                f"{removal.path} stays: it does not hold what was taken in of it",
                where=removal.path,
                do="look at it: it may be the only one of its bytes; nualley runs ingest takes it in",
            )

    def _delete_expired(self, look: _Look, purge: PurgeSettings, should_stop: Callable[[], bool]) -> None:
        for item in self._trash.items():
            is_mine = item.removal.drive == look.report.path and item.removal.ground is Ground.PURGE
            is_over = self._kept.watched.age_ns(item.moved_ns) >= purge.trash_ns
            if not (is_mine and is_over) or item.stage is not TrashStage.IN_TRASH:
                continue
            if should_stop() or self._is_halted(look, purge):
                return
            try:
                self._check_again(purge, item)
                self._trash.delete(item)
            except ONE_FILE as error:
                look.problems.append(error.what)
            else:
                look.add(n_deleted=1, deleted_B=item.removal.size_B)

    def _check_again(self, purge: PurgeSettings, item: TrashItem) -> None:
        """Prove the replicas once more: of those that were counted when it went, one may have rotted since."""
        assert item.removal.file_id is not None
        file = self._catalog.file(item.removal.file_id)
        path = Path(unescape_name(item.trash))
        found, device = self._machine.looks.look(path), self._machine.trees.device(path)
        self._judge.proven_elsewhere(item.removal, file, purge.copies, device=device, look=found)


def _key(root: Path, purge: PurgeSettings | None) -> str:
    """Return what a dry run is for: with other settings it begins anew."""
    said = f"{purge.copies} {purge.min_age_ns}" if purge else ""
    return f"{_shown(root)} {said}"


def _shown(path: Path) -> str:
    return escape_name(os.fspath(path))
