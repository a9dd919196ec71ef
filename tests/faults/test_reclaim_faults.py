"""Reclaim and purge that are killed, starved, locked out and lied to: no byte is lost, and the job goes on."""

import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from nualley.catalog import CatalogUnreachable, ReplicaState
from nualley.catalog.adapters.sql import open_catalog
from nualley.core import DAY_NS, HOUR_NS, CheckState, NualleyError
from nualley.replicas import (
    ClockJumped,
    Done,
    JournalDamaged,
    JournalUnwritable,
    RemovalFailed,
    TrashCheck,
    TrashStage,
    WatchedTime,
)
from nualley.replicas.adapters import journal_file
from nualley.replicas.adapters.journal_file import JournalFile
from nualley.replicas.adapters.purge_file import PurgeFile
from nualley.replicas.purging import PurgeMemory
from nualley.storage import FileLook
from nualley.storage.adapters import removal_files
from nualley.storage.adapters.posix import PosixFile, PosixFiles
from nualley.storage.adapters.removal_files import PosixRemovalFiles
from tests.faults.conftest import SmallDrives
from tests.faults.interfering import run_in_child
from tests.unit.replicas.reclaim_world import DRIVES, ReclaimWorld, SetClock
from tests.unit.replicas.world import FOLDER

pytestmark = pytest.mark.fault

DATA = {"wave0.dat": b"first", "wave1.dat": b"", "wave2.dat": os.urandom(70_000)}
JOBS = ("reclaim", "purge")
LATER_NS = 8 * DAY_NS


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("catalog") / "catalog.sqlite"
    open_catalog(path).close()
    return path.read_bytes()


class Job:
    """Reclaim or purge over a folder, as a process has it: what is to be done, and what must hold whenever."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name

    def make(self, empty_catalog: bytes) -> None:
        """Make files that may go: of reclaim on ``data1``, of purge in the drop directory."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "catalog.sqlite").write_bytes(empty_catalog)
        with ReclaimWorld(self.folder) as world:
            world.end_run(world.clock.now_ns())
            for name, data in DATA.items():
                if self.name == "purge":
                    world.put_drop(name, data)
                else:
                    world.put_copies(name, data)
            if self.name == "purge":
                world.purge_once()
                self.watched(world)

    def watched(self, world: ReclaimWorld) -> None:
        """Let eight days have been seen to pass, up to now, without a word of their files."""
        now_ns = world.clock.now_ns()
        memory = PurgeFile(self.folder / "trash" / "purge.json")
        known = memory.load()
        then = dict.fromkeys(known.begun_ns_by_key, now_ns - LATER_NS)
        # as if the files had been taken in at the beginning of that time
        early_ns = now_ns - LATER_NS + HOUR_NS
        for source in world.catalog.sources("hpge"):
            with closing(sqlite3.connect(self.folder / "catalog.sqlite")) as connection:
                connection.execute("UPDATE source SET time_ns = ? WHERE path = ?", (early_ns, source.path))
                connection.commit()
            os.utime(source.path, ns=(early_ns, early_ns))
            found = Path(source.path).stat()
            with closing(sqlite3.connect(self.folder / "catalog.sqlite")) as connection:
                connection.execute("UPDATE source SET mtime_ns = ?", (found.st_mtime_ns,))
                connection.commit()
        world.end_run(early_ns)
        memory.save(PurgeMemory(WatchedTime(((now_ns - LATER_NS, now_ns),), world.set_clock.now()), then, {}))

    def work(self, world: ReclaimWorld) -> list[str]:
        """Do it, and return why what stayed stayed."""
        if self.name == "reclaim":
            done: list[Done] = world.apply(drive="data1")
            return [each.error.what for each in done if each.error is not None]
        return list(world.purge_once().problems)

    @property
    def places(self) -> dict[str, Path]:
        """Where the files are that may go."""
        where = self.folder / "drop" if self.name == "purge" else self.folder / "data1" / FOLDER
        return {name: where / name for name in DATA}

    def check(self) -> None:
        """See that each file is in its place or in the trash, and all else untouched and as the record says."""
        with ReclaimWorld(self.folder) as world:
            trash = world.trash_files()
            for name, data in DATA.items():
                place = self.places[name]
                held = [place.read_bytes()] if place.is_file() else []
                held += [trash[name]] if name in trash else []
                assert data in held, f"{name} is lost"
                others = ("data2",) if self.name == "reclaim" else ("data1", "data2")
                for drive in others:
                    assert (self.folder / drive / FOLDER / name).read_bytes() == data
                    assert world.replica(name, drive).state is ReplicaState.VERIFIED
            world.check_no_loss(DATA)

    def finish(self) -> None:
        """Go on, and see that it comes to the end that it would have come to."""
        self.check()
        with ReclaimWorld(self.folder) as world:
            world.reclaimer.recover()
            self.check()
            problems = self.work(world)
            assert problems == []
            self.check()
            assert world.trash_files() == DATA
            assert not any(place.exists() for place in self.places.values())
            assert {item.stage for item in world.in_trash()} == {TrashStage.IN_TRASH}
            if self.name == "reclaim":
                states = {world.replica(name, "data1").state for name in DATA}
                assert states == {ReplicaState.REMOVED}
            assert all(
                each.error is None for each in world.reclaimer.restore([str(i.item_id) for i in world.in_trash()])
            )
            self.check()
            assert all(place.read_bytes() == DATA[name] for name, place in self.places.items())
            if self.name == "reclaim":
                assert {world.replica(name, "data1").state for name in DATA} == {ReplicaState.VERIFIED}


@pytest.fixture(params=JOBS)
def job(request: pytest.FixtureRequest, tmp_path: Path, empty_catalog: bytes) -> Job:
    made = Job(tmp_path / "job", request.param)
    made.make(empty_catalog)
    return made


# ---------------------------------------------------------------- kill -9
CALLS = (
    (removal_files, "rename_exclusively"),
    (removal_files, "link_or_rename"),
    (removal_files, "sync_folder"),
    (journal_file, "sync_folder"),
    (os, "pwrite"),
    (os, "fsync"),
    (os, "ftruncate"),
)


@contextmanager
def before_each_call(world: ReclaimWorld, before: Callable[[str], None]) -> Iterator[None]:
    """Call something before every call that changes drive, journal or record, and after the record's."""
    real = [(module, name, getattr(module, name)) for module, name in CALLS]
    for module, name, function in real:
        setattr(module, name, interfered(function, before, name))
    for name in ("remove", "put_back"):
        setattr(world.catalog.removals, name, interfered(getattr(world.catalog.removals, name), before, "record"))
    world.catalog.add_activity = interfered(world.catalog.add_activity, before, "record")  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module, name, function in real:
            setattr(module, name, function)


def interfered(real: Callable[..., Any], before: Callable[[str], None], name: str) -> Callable[..., Any]:
    def call(*words: Any, **named: Any) -> Any:
        before(name)
        result = real(*words, **named)
        if name == "record":
            before("recorded")
        return result

    return call


def killed_at(folder: Path, step: int, work: Callable[[ReclaimWorld], object]) -> tuple[int, bool]:
    """Work in a child that kills itself before a step; return how many steps it did, and whether it was killed."""
    steps = folder / "steps"
    steps.unlink(missing_ok=True)

    def child() -> None:
        with steps.open("ab", buffering=0) as done:

            def before(_name: str) -> None:
                if done.tell() == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                done.write(b".")

            with ReclaimWorld(folder) as world, before_each_call(world, before):
                work(world)

    status = run_in_child(child)
    n_done = len(steps.read_bytes())
    assert not os.WIFSIGNALED(status) or n_done == step
    return n_done, os.WIFSIGNALED(status)


@pytest.mark.parametrize("name", JOBS)
def test_killed_before_every_step(tmp_path: Path, empty_catalog: bytes, seed: int, is_soak: bool, name: str) -> None:
    whole = Job(tmp_path / "whole", name)
    whole.make(empty_catalog)
    n_steps, _ = killed_at(whole.folder, -1, whole.work)
    whole.finish()
    assert n_steps > 30, "each of three files goes through ten steps"
    for step in range(n_steps) if is_soak else random.Random(seed).sample(range(n_steps), 8):
        job = Job(tmp_path / f"{step}", name)
        job.make(empty_catalog)
        assert killed_at(job.folder, step, job.work) == (step, True)
        job.finish()
        shutil.rmtree(job.folder)


@pytest.mark.parametrize("name", JOBS)
def test_killed_before_every_step_of_putting_back(
    tmp_path: Path, empty_catalog: bytes, seed: int, is_soak: bool, name: str
) -> None:
    def restore(world: ReclaimWorld) -> None:
        list(world.reclaimer.restore(["1", "2", "3"]))

    for step in range(200):
        if not is_soak and random.Random(seed + step).random() < 0.75 and step:
            continue
        job = Job(tmp_path / f"{step}", name)
        job.make(empty_catalog)
        with ReclaimWorld(job.folder) as world:
            job.work(world)
        _, is_killed = killed_at(job.folder, step, restore)
        job.check()
        with ReclaimWorld(job.folder) as world:
            world.reclaimer.recover()
            job.check()
            left = [str(each.item_id) for each in world.in_trash()]
            assert all(each.error is None for each in world.reclaimer.restore(left))
            assert all(place.read_bytes() == DATA[file] for file, place in job.places.items())
            if name == "reclaim":
                assert {world.replica(file, "data1").state for file in DATA} == {ReplicaState.VERIFIED}
        job.finish()
        if not is_killed:
            break
    assert step > 20


@pytest.mark.parametrize("name", JOBS)
def test_killed_before_every_step_of_deleting_for_good(
    tmp_path: Path, empty_catalog: bytes, seed: int, is_soak: bool, name: str
) -> None:
    """What is deleted is deleted; whatever was not is in the trash and can come back."""

    def empty(world: ReclaimWorld) -> None:
        world.set_clock.passes(15 * DAY_NS)
        if name == "purge":
            world.purge_once(trash="0s")
        else:
            list(world.reclaimer.empty())

    for step in range(60):
        job = Job(tmp_path / f"{step}", name)
        if not is_soak and random.Random(seed + step).random() < 0.6 and step:
            continue
        job.make(empty_catalog)
        with ReclaimWorld(job.folder) as world:
            job.work(world)
        _, is_killed = killed_at(job.folder, step, empty)
        with ReclaimWorld(job.folder) as world:
            assert world.reclaimer.recover() == []
            there = world.trash_files()
            assert set(there.items()) <= set(DATA.items())
            waiting = world.in_trash()
            assert {Path(each.removal.path).name for each in waiting} == set(there)
            assert all(each.error is None for each in world.reclaimer.restore([str(i.item_id) for i in waiting]))
            world.check_no_loss(DATA)
            empty(world)
        if not is_killed:
            break
    assert step > 5


def killed_before_the_rename(job: Job) -> None:
    """Leave a file on record as one that is moving, in its place."""

    def child() -> None:
        def before(name: str) -> None:
            if name == "rename_exclusively":
                os.kill(os.getpid(), signal.SIGKILL)

        with ReclaimWorld(job.folder) as world, before_each_call(world, before):
            job.work(world)

    assert os.WIFSIGNALED(run_in_child(child))


def test_what_a_kill_left_on_a_place_that_is_away_is_not_called_lost(job: Job) -> None:
    """Below an unmounted drive or drop directory there is a bare folder: nothing in it says what became of a file."""
    killed_before_the_rename(job)
    root = job.folder / ("drop" if job.name == "purge" else "data1")
    root.rename(job.folder / "away")
    root.mkdir()
    with ReclaimWorld(job.folder) as world:
        (problem,) = world.reclaimer.recover()
        assert isinstance(problem, RemovalFailed)
        assert "was moving when a process died, and cannot be settled" in problem.what
        assert [each.stage for each in world.in_trash()] == [TrashStage.MOVING]
        (result,) = TrashCheck(world.trash.items)()
        assert (result.state, result.do) == (CheckState.WARNING, "nualley drives trash --recover")
    root.rmdir()
    (job.folder / "away").rename(root)
    job.finish()


def test_while_something_is_not_settled_nothing_more_goes(tmp_path: Path, empty_catalog: bytes) -> None:
    job = Job(tmp_path / "job", "reclaim")
    job.make(empty_catalog)
    killed_before_the_rename(job)
    with ReclaimWorld(job.folder) as world:
        world.away.add("data1")
        for work in (lambda: world.apply(drive="data2"), lambda: list(world.reclaimer.restore(["1"]))):
            with pytest.raises(RemovalFailed, match="its drive is not there"):
                work()
        assert world.trash_files() == {}
    job.finish()


CHILD = """
import sys
from pathlib import Path
from tests.faults.test_reclaim_faults import Job
from tests.unit.replicas.reclaim_world import ReclaimWorld
job = Job(Path(sys.argv[1]), sys.argv[2])
with ReclaimWorld(job.folder) as world:
    print("ready", flush=True)
    for _ in range(1000):
        job.work(world)
        list(world.reclaimer.restore([str(each.item_id) for each in world.in_trash()]))
"""


def test_killed_at_random_moments(job: Job, seed: int, is_soak: bool) -> None:
    chance = random.Random(seed)
    for _ in range(100 if is_soak else 3):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, job.folder, job.name], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 0.4))
            child.kill()
        job.check()
        with ReclaimWorld(job.folder) as world:
            assert world.reclaimer.recover() == []
    job.finish()


# ---------------------------------------------------------------- ENOSPC
def test_a_store_without_room_for_the_journal_lets_nothing_go(
    job: Job, small_drives: SmallDrives, tmp_path: Path
) -> None:
    store = small_drives.mount("store", size="64k")
    with JournalFile(store / "trash").alone():
        pass
    descriptor = os.open(store / "filler", os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while True:
            os.write(descriptor, bytes(4096))
    os.close(descriptor)
    with ReclaimWorld(job.folder, journal=JournalFile(store / "trash")) as world:
        if job.name == "reclaim":
            with pytest.raises(JournalUnwritable, match="No space left on device"):
                job.work(world)
        else:
            report = world.purge_once()
            assert report.mode == "refused"
            assert "No space left on device" in report.why
        assert world.trash_files() == {}
    job.finish()


def test_a_purge_that_cannot_keep_its_memory_takes_nothing(tmp_path: Path, empty_catalog: bytes) -> None:
    job = Job(tmp_path / "job", "purge")
    job.make(empty_catalog)
    with ReclaimWorld(job.folder) as world:

        def save(_memory: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        world.purger._memory.save = save  # type: ignore[method-assign]  # a full store
        with pytest.raises(OSError, match="No space left"):
            world.purge_once()
    job.finish()


def test_a_drive_without_room_for_a_name_keeps_its_files(
    small_drives: SmallDrives, tmp_path: Path, empty_catalog: bytes
) -> None:
    """A full drive is what all this is for: what goes there is a folder once, and then names alone."""
    drive = small_drives.mount("data1", size="4m", n_inodes=12)
    paths = {name: tmp_path / name for name in DRIVES}
    with ReclaimWorld(tmp_path, drives=paths) as world:
        world.put_copies("wave0.dat", b"bytes")
        for number in range(20):
            try:
                (drive / f"filler{number}").touch()
            except OSError:
                break
        (done,) = world.apply(drive="data1")
        assert isinstance(done.error, RemovalFailed)
        assert "No space left on device" in done.error.what
        assert (drive / FOLDER / "wave0.dat").read_bytes() == b"bytes"
        assert world.replica("wave0.dat", "data1").state is ReplicaState.VERIFIED
        (drive / "filler0").unlink()
        assert [each.error for each in world.apply(drive="data1")] == [None]
        assert world.trash_files() == {"wave0.dat": b"bytes"}


def test_a_drive_without_room_for_a_byte_gives_its_files_to_the_trash(
    small_drives: SmallDrives, tmp_path: Path
) -> None:
    drive = small_drives.mount("data1", size="1m")
    paths = {name: tmp_path / name for name in DRIVES}
    with ReclaimWorld(tmp_path, drives=paths) as world:
        world.put_copies("wave0.dat", bytes(100_000))
        with suppress(OSError):
            (drive / "filler").write_bytes(bytes(2**20))
        assert shutil.disk_usage(drive).free == 0
        assert [each.error for each in world.apply(drive="data1")] == [None]
        world.set_clock.passes(15 * DAY_NS)
        assert [each.error for each in world.reclaimer.empty()] == [None]
        (drive / "more").write_bytes(bytes(90_000))


@pytest.mark.parametrize("call", ["rename_exclusively", "sync_folder"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_a_drive_that_refuses_a_step_keeps_its_files(job: Job, call: str, number: int) -> None:
    with ReclaimWorld(job.folder) as world:

        def before(name: str) -> None:
            if name == call:
                raise OSError(number, os.strerror(number))

        with before_each_call(world, before):
            problems = job.work(world)
        assert len(problems) == len(DATA)
        assert all(os.strerror(number) in problem for problem in problems)
    job.check()
    for name, place in job.places.items():
        assert place.read_bytes() == DATA[name]
    with ReclaimWorld(job.folder) as world:
        if job.name == "reclaim":
            assert {world.replica(name, "data1").state for name in DATA} == {ReplicaState.VERIFIED}
    job.finish()


# ---------------------------------------------------------------- EIO on read
class FailingFile(PosixFile):
    """A file whose drive gives nothing back."""

    def read_into(self, buffer: memoryview) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


class FailingFiles(PosixFiles):
    """Files of which those below one folder cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, path: Path, *, is_link_followed: bool = True) -> PosixFile:
        opened = super().open(path, is_link_followed=is_link_followed)
        return FailingFile(opened._fd) if path.is_relative_to(self.folder) else opened


def test_a_copy_elsewhere_that_cannot_be_read_is_none(job: Job) -> None:
    """Its proof is too old: it is read, and its drive fails."""
    with closing(sqlite3.connect(job.folder / "catalog.sqlite")) as connection:
        connection.execute("UPDATE replica SET verified_ns = 1")
        connection.commit()
    with ReclaimWorld(job.folder, files=FailingFiles(job.folder / "data2")) as world:
        problems = job.work(world)
        assert len(problems) == len(DATA)
        assert all("verified replicas of it are on other devices" in problem for problem in problems)
        assert world.trash_files() == {}
        states = [world.replica(name, "data2").state for name in DATA]
        assert states == [ReplicaState.UNVERIFIED] * 3
        for name in DATA:
            number = world.replica(name, "data2").replica_id
            world.catalog.update_replica(number, state=ReplicaState.VERIFIED, verified_ns=world.clock.now_ns())
    job.finish()


def test_a_file_that_cannot_be_read_itself_stays(job: Job) -> None:
    folder = next(iter(job.places.values())).parent
    with closing(sqlite3.connect(job.folder / "catalog.sqlite")) as connection:
        connection.execute("UPDATE replica SET verified_ns = 1")
        connection.commit()
    real = Path(os.path.realpath(folder))
    with ReclaimWorld(job.folder, files=FailingFiles(real)) as world:
        problems = job.work(world)
        assert len(problems) == len(DATA)
        assert world.trash_files() == {}
    for name, place in job.places.items():
        assert place.read_bytes() == DATA[name]


# ---------------------------------------------------------------- the source changes
class Meddling(PosixRemovalFiles):
    """The real files, with something happening right before one goes."""

    def __init__(self, meddle: Callable[[Path], object]) -> None:
        self.meddle: Callable[[Path], object] | None = meddle

    def take(self, path: Path, trash: Path) -> None:
        if self.meddle and path.name == "wave0.dat":
            self.meddle(path)
        super().take(path, trash)


def replaced(path: Path) -> None:
    path.with_name("fresh").write_bytes(b"fresh")
    path.with_name("fresh").replace(path)


def test_a_file_that_takes_the_name_in_the_last_moment_keeps_it(job: Job) -> None:
    looks = Meddling(replaced)
    with ReclaimWorld(job.folder, looks=looks) as world:
        (problem,) = job.work(world)
        assert "is not the file that was meant" in problem
        assert job.places["wave0.dat"].read_bytes() == b"fresh"
        assert "wave0.dat" not in world.trash_files()
        if job.name == "reclaim":
            assert world.replica("wave0.dat", "data1").state is ReplicaState.UNVERIFIED
        assert [each for each in world.trash.items() if each.stage is TrashStage.MOVING] == []


@pytest.mark.parametrize("how", [b"FIRST", b"first and more"])
def test_a_file_that_is_written_to_in_the_last_moment_stays_with_all_that_was_written(job: Job, how: bytes) -> None:
    def write(path: Path) -> None:
        path.chmod(0o644)
        path.write_bytes(how)

    with ReclaimWorld(job.folder, looks=Meddling(write)) as world:
        (problem,) = job.work(world)
        assert "is not the file that was meant" in problem
        assert job.places["wave0.dat"].read_bytes() == how
        assert set(world.trash_files()) == set(DATA) - {"wave0.dat"}


def test_a_file_that_goes_away_in_the_last_moment_is_told_and_missing(job: Job) -> None:
    with ReclaimWorld(job.folder, looks=Meddling(Path.unlink)) as world:
        (problem,) = job.work(world)
        assert "No such file" in problem
        assert set(world.trash_files()) == set(DATA) - {"wave0.dat"}
        assert [each.stage for each in world.trash.items() if each.removal.path.endswith("wave0.dat")] == [
            TrashStage.LOST
        ]


def test_a_name_in_the_trash_that_is_taken_is_not_overwritten(job: Job) -> None:
    with ReclaimWorld(job.folder) as world:
        job.work(world)
        root = Path(world.in_trash()[0].trash).parent
        assert all(each.error is None for each in world.reclaimer.restore(["1", "2", "3"]))
        for number in range(4, 7):
            for name in DATA:
                (root / f"{number:08d}-{name}").write_bytes(b"somebody's")
        problems = job.work(world)
        assert len(problems) == len(DATA)
        assert all("File exists" in problem for problem in problems)
    for name, place in job.places.items():
        assert place.read_bytes() == DATA[name]


# ---------------------------------------------------------------- directories, clocks, locks
def test_a_directory_that_may_not_be_read(
    open_folder: Path, as_nobody: Callable[[Callable[[], None]], None], empty_catalog: bytes
) -> None:
    def work() -> None:
        for name in JOBS:
            job = Job(open_folder / name, name)
            job.make(empty_catalog)
            for drive in ("data2",) if name == "reclaim" else ("data1", "data2"):
                closed = job.folder / drive / "hpge"
                closed.chmod(0)
                with ReclaimWorld(job.folder) as world:
                    problems = job.work(world)
                    assert len(problems) == len(DATA)
                    assert world.trash_files() == {}
                closed.chmod(0o755)
            own = next(iter(job.places.values())).parent
            own.chmod(0o555 if name == "reclaim" else 0)
            with ReclaimWorld(job.folder) as world:
                if name == "reclaim":
                    assert len(job.work(world)) == len(DATA)
                else:
                    assert world.purge_once().mode == "refused", "a file that stops it may be in there"
                assert world.trash_files() == {}
            own.chmod(0o755)
            job.finish()

    as_nobody(work)


class JumpingClock(SetClock):
    """A clock that is years ahead, years behind, and at zero; the steady one goes on."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.chance = random.Random(seed)
        self.is_wild = False

    def now_ns(self) -> int:
        if not self.is_wild:
            return super().now_ns()
        return self.chance.choice([0, 1, 2**62, time.time_ns() + 40 * DAY_NS, time.time_ns() - 10**18])


def test_a_clock_that_jumps_lets_nothing_go_before_its_time(tmp_path: Path, seed: int) -> None:
    clock = JumpingClock(seed)
    with ReclaimWorld(tmp_path, set_clock=clock) as world:
        world.end_run(clock.now_ns())
        world.put_drop("wave0.dat", b"bytes")
        world.put_user("young.root", age_ns=HOUR_NS)
        world.purge_once()
        clock.is_wild = True
        for _ in range(60):
            report = world.purge_once()
            assert report.n_moved == report.n_deleted == 0
            with suppress(ClockJumped):  # whatever is said, nothing may be lost
                world.apply()
            with suppress(ClockJumped):
                list(world.reclaimer.empty())
            assert (world.drop / "wave0.dat").read_bytes() == b"bytes"
            assert "young.root" not in world.trash_files()
            for drive in ("data1", "data2"):
                path = world.folder / drive / FOLDER / "wave0.dat"
                assert path.exists() == (world.replica("wave0.dat", drive).state is ReplicaState.VERIFIED)
        copies = [world.replica("wave0.dat", drive).state for drive in ("data1", "data2")]
        assert ReplicaState.VERIFIED in copies


@pytest.mark.parametrize("call", ["pwrite", "record", "rename_exclusively", "recorded"])
def test_a_record_that_is_locked_stops_it_and_it_goes_on_afterwards(job: Job, call: str) -> None:
    locks: list[sqlite3.Connection] = []

    def before(name: str) -> None:
        if name == call and not locks:
            locks.append(sqlite3.connect(job.folder / "catalog.sqlite", isolation_level=None))
            locks[0].execute("BEGIN IMMEDIATE")

    with ReclaimWorld(job.folder, busy_timeout_ms=50) as world:
        with before_each_call(world, before), pytest.raises(CatalogUnreachable):
            job.work(world)
        with closing(locks[0]):
            locks[0].execute("ROLLBACK")
    job.finish()


# ---------------------------------------------------------------- wrong lists, wrong ages, rows without bytes
LIES = [
    "UPDATE replica SET state = 'verified', verified_ns = 9e18",
    "UPDATE replica SET path = path || 'x' WHERE drive = 'data2'",
    "UPDATE replica SET drive = 'data1' WHERE drive = 'data2'",
    "UPDATE replica SET drive = 'data9' WHERE drive = 'data2'",
    "UPDATE replica SET file_id = 1 + file_id % 3 WHERE drive = 'data2'",
    "DELETE FROM replica WHERE drive = 'data2'",
    "UPDATE file SET xxh3_128 = '00000000000000000000000000000000'",
    "UPDATE file SET size_B = size_B + 1",
    "UPDATE source SET run_id = 'hpge-43', inode = inode + 1",
    "UPDATE source SET path = path || 'x'",
    "DELETE FROM source",
]


@pytest.mark.parametrize("lie", LIES)
def test_a_record_that_lies_costs_no_byte(job: Job, lie: str) -> None:
    """Whatever the lists say: of each file there is a whole copy outside of the trash, or it did not go."""
    with closing(sqlite3.connect(job.folder / "catalog.sqlite")) as connection:
        connection.execute(lie)
        connection.commit()
    # the drives are as they were, but one copy is rotten and one is gone
    (job.folder / "data2" / FOLDER / "wave0.dat").write_bytes(b"First")
    (job.folder / "data2" / FOLDER / "wave2.dat").unlink()
    with ReclaimWorld(job.folder) as world:
        with suppress(NualleyError):  # a record that makes no sense may end it
            job.work(world)
        for name, data in DATA.items():
            paths = [path for path in job.folder.rglob(name) if path.is_file()]
            assert data in [path.read_bytes() for path in paths], f"{name} has no copy left but in the trash"
        assert not {"wave0.dat", "wave2.dat"} & set(world.trash_files())


def test_a_row_without_bytes_is_no_copy(job: Job) -> None:
    for name in DATA:
        (job.folder / "data2" / FOLDER / name).unlink()
    with ReclaimWorld(job.folder) as world:
        problems = job.work(world)
        assert len(problems) == len(DATA)
        assert world.trash_files() == {}
    for name, place in job.places.items():
        assert place.read_bytes() == DATA[name]


@pytest.mark.parametrize("stop_ns", [1, 1 - 2**62, 2**62])
def test_a_wrong_end_of_the_run_makes_nothing_go_early(tmp_path: Path, stop_ns: int) -> None:
    """Reversed, of 1970, or to come: what counts is the youngest of all that has an age."""
    with ReclaimWorld(tmp_path) as world:
        world.end_run(world.clock.now_ns())
        world.put_drop("wave0.dat", b"bytes")
        world.purge_once()
        world.end_run(stop_ns)
        assert world.watch(6 * DAY_NS).n_due == 0
        assert (world.drop / "wave0.dat").exists()


def test_a_wrong_age_in_a_scan_is_not_believed(tmp_path: Path) -> None:
    with ReclaimWorld(tmp_path) as world:
        young = world.put_user("young.root", age_ns=HOUR_NS)
        real = world.user_files
        world.proposer._user_files = lambda usage: [each._replace(mtime_ns=1) for each in real(usage)]
        found = world.propose()
        assert found.plan.removals == ()
        assert len(found.problems) == 1
        assert young.exists()


# ---------------------------------------------------------------- a power cut
def name_of(descriptor: int) -> str:
    return Path(f"/proc/self/fd/{descriptor}").readlink().name


def test_every_step_is_durable_before_the_next_one(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of the system, recorded: journal synced, record committed, renamed, both folders synced, journal synced."""
    calls: list[str] = []
    fsync, real_rename = os.fsync, removal_files.rename_exclusively

    def recorded_fsync(descriptor: int) -> None:
        calls.append(f"fsync {name_of(descriptor)}")
        fsync(descriptor)

    def recorded_rename(source: Path, destination: Path) -> None:
        calls.append("rename")
        real_rename(source, destination)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(removal_files, "rename_exclusively", recorded_rename)
    with ReclaimWorld(job.folder) as world:
        record = "add_activity" if job.name == "purge" else "remove"
        owner: Any = world.catalog if job.name == "purge" else world.catalog.removals
        real = getattr(owner, record)

        def recorded(*words: Any, **named: Any) -> Any:
            result = real(*words, **named)
            calls.append("commit")
            return result

        setattr(owner, record, recorded)
        assert job.work(world) == []
    place = next(iter(job.places.values())).parent.name
    steps = [call for call in calls if call in ("commit", "rename") or call.endswith(("jsonl", "trash", place))]
    wanted = [
        "commit",
        "rename",
        "fsync .nualley-trash",
        f"fsync {place}",
        "fsync journal.jsonl",
    ]
    starts = [number for number, call in enumerate(steps) if call == "commit"]
    assert len(starts) == len(DATA)
    for start in starts:
        before, after = steps[:start], steps[start:]
        assert before[-1] in ("fsync journal.jsonl", "fsync trash"), "the folder of the journal too, the first time"
        assert after[: len(wanted)] == wanted


def test_a_deletion_is_on_record_before_and_durable_after(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    with ReclaimWorld(job.folder) as world:
        job.work(world)
        calls: list[str] = []
        fsync, unlink = os.fsync, Path.unlink

        def recorded_fsync(descriptor: int) -> None:
            calls.append(name_of(descriptor))
            fsync(descriptor)

        def recorded_unlink(path: Path, *, missing_ok: bool = False) -> None:
            if path.parent.name == ".nualley-trash":
                calls.append("unlink")
            unlink(path, missing_ok=missing_ok)

        monkeypatch.setattr(os, "fsync", recorded_fsync)
        monkeypatch.setattr(Path, "unlink", recorded_unlink)
        world.set_clock.passes(15 * DAY_NS)
        if job.name == "purge":
            assert world.purge_once().n_deleted == len(DATA)
        else:
            assert len(list(world.reclaimer.empty())) == len(DATA)
    starts = [number for number, call in enumerate(calls) if call == "unlink"]
    assert len(starts) == len(DATA)
    for start in starts:
        assert calls[start - 1] == "journal.jsonl"
        assert calls[start + 1 : start + 3] == [".nualley-trash", "journal.jsonl"]


def test_nothing_goes_that_the_journal_does_not_hold(job: Job) -> None:
    """A damaged journal stops all that moves, and all that is in the trash stays there."""
    with ReclaimWorld(job.folder) as world:
        job.work(world)
        path = job.folder / "trash" / "journal.jsonl"
        whole = path.read_bytes()
        path.write_bytes(whole.replace(b"moving", b"MOVING", 1))
        world.set_clock.passes(30 * DAY_NS)
        if job.name == "purge":
            assert world.purge_once().mode == "refused"
        else:
            with pytest.raises(JournalDamaged):
                list(world.reclaimer.empty())
        assert world.trash_files() == DATA
        path.write_bytes(whole)
        assert len(world.in_trash()) == len(DATA)


def test_looks_are_of_names_and_follow_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").symlink_to("a")
    looks = PosixRemovalFiles()
    found, link = looks.look(tmp_path / "a"), looks.look(tmp_path / "b")
    assert isinstance(found, FileLook)
    assert (found.size_B, found.is_regular, found.n_names) == (3, True, 1)
    assert link is not None
    assert not link.is_regular
    assert looks.look(tmp_path / "a" / "c") is None
