"""Transfers that are killed, locked out, cheated or starved: never a wrong file, no source that goes early."""

import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from nualley.catalog import CatalogUnreachable, CopyState, ReplicaState
from nualley.catalog.adapters.sql import open_catalog
from nualley.core import ExitCode, unescape_name
from nualley.replicas import CopyGone, Listing, Seen, SourceIncomplete, SourceReplicaLost, StillWritten
from nualley.replicas.adapters.trees import PosixTrees
from nualley.storage import DestinationConflict, DigestMismatch, DriveFull, SourceUnreadable
from nualley.storage.adapters.posix import PosixFile, PosixFiles
from tests.faults.conftest import SmallDrives
from tests.faults.interfering import Interfering, run_in_child
from tests.unit.replicas.world import World, contents
from tests.unit.storage.memory_files import MemoryFiles

pytestmark = pytest.mark.fault


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("catalog") / "catalog.sqlite"
    open_catalog(path).close()
    return path.read_bytes()


DATA = {"wave0.dat": os.urandom(2**20 + 17), "wave1.dat": b"", "sub/wave2.dat": os.urandom(5000)}


def make_run(folder: Path, empty_catalog: bytes, *, is_known: bool = True) -> None:
    """Make the files of a run on ``data1``, and a transfer of them to ``data2`` that was not begun to work on."""
    folder.mkdir(exist_ok=True)
    (folder / "catalog.sqlite").write_bytes(empty_catalog)
    with World(folder) as world:
        for name, data in DATA.items():
            world.put(name, data, is_known=is_known)
        world.service.begin(world.source, world.destination)


def check_and_finish(folder: Path) -> None:
    """See that nothing is wrong, go on, and see that all is there."""
    with World(folder) as world:
        for path, data in contents(world.destination).items():
            assert path.endswith(".part") or data == DATA[path]
        world.check()
        report = world.service.work(1)
        assert report.is_finished, report.problems
        world.check()
        assert contents(world.destination) == DATA, "no part is left either"
        assert len([path for path in world.replicas_on("data2") if path != ".nualley-drive"]) == len(DATA)


# ---------------------------------------------------------------- kill -9
def killed_at(folder: Path, step: int) -> int:
    """Work in a child that kills itself before a step of the drive or of the record; return how many steps it did."""
    steps = folder / "steps"

    def work() -> None:
        with steps.open("ab", buffering=0) as done:

            def before(_name: str) -> None:
                if done.tell() == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                done.write(b".")

            with World(folder, files=Interfering(before)) as world:
                transfers = world.catalog.transfers
                for name in ("settle", "finish", "put_files"):
                    setattr(transfers, name, interfered(getattr(transfers, name), lambda: before("record")))
                world.service.work(1)

    status = run_in_child(work)
    n_done = len(steps.read_bytes())
    assert os.WIFSIGNALED(status) == (n_done == step)
    return n_done


def interfered(real: Callable[..., object], before: Callable[[], None]) -> Callable[..., object]:
    def call(*words: object, **named: object) -> object:
        before()
        return real(*words, **named)

    return call


def test_killed_before_every_step_of_drive_and_record(
    tmp_path: Path, empty_catalog: bytes, seed: int, is_soak: bool
) -> None:
    make_run(tmp_path / "whole", empty_catalog)
    n_steps = killed_at(tmp_path / "whole", -1)
    check_and_finish(tmp_path / "whole")
    assert n_steps > 40, "each of three files goes through more than ten steps"
    for step in range(n_steps) if is_soak else random.Random(seed).sample(range(n_steps), 8):
        folder = tmp_path / f"{step}"
        make_run(folder, empty_catalog)
        assert killed_at(folder, step) == step
        check_and_finish(folder)
        shutil.rmtree(folder)


def test_killed_in_every_state(tmp_path: Path, empty_catalog: bytes) -> None:
    """The last state that was entered is what a kill leaves, and whoever goes on finishes from there."""
    for state in CopyState:
        folder = tmp_path / state
        make_run(folder, empty_catalog)

        def work(folder: Path = folder, state: CopyState = state) -> None:
            with World(folder) as world:
                real = world.catalog.transfers.settle

                def settle(file: object, *rest: object) -> None:
                    if state is CopyState.QUEUED:
                        os.kill(os.getpid(), signal.SIGKILL)
                    real(file, *rest)  # type: ignore[arg-type]  # as it came
                    if file.state is state:  # type: ignore[attr-defined]  # a file of a transfer
                        os.kill(os.getpid(), signal.SIGKILL)

                world.catalog.transfers.settle = settle  # type: ignore[method-assign,assignment]  # to be killed there
                world.service.work(1)

        assert os.WIFSIGNALED(run_in_child(work))
        with World(folder) as world:
            assert state in world.states().values()
        check_and_finish(folder)


CHILD = """
import sys
from pathlib import Path
from tests.unit.replicas.world import World
with World(Path(sys.argv[1])) as world:
    print("ready", flush=True)
    world.service.work(1)
    print("done", flush=True)
"""


def test_killed_at_random_moments(tmp_path: Path, empty_catalog: bytes, seed: int, is_soak: bool) -> None:
    chance = random.Random(seed)
    for number in range(100 if is_soak else 2):
        folder = tmp_path / f"{number}"
        make_run(folder, empty_catalog)
        for _ in range(2):
            with subprocess.Popen([sys.executable, "-c", CHILD, folder], stdout=subprocess.PIPE, text=True) as child:
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
                time.sleep(chance.uniform(0, 0.1))
                child.kill()
            with World(folder) as world:
                world.check()
        check_and_finish(folder)
        shutil.rmtree(folder)


# ---------------------------------------------------------------- ENOSPC, EIO
def test_a_drive_that_runs_full_meanwhile(small_drives: SmallDrives, tmp_path: Path) -> None:
    drive = small_drives.mount("data2", size="4m")
    with World(tmp_path) as world:
        world.put("wave0.dat", os.urandom(2**20))
        world.put("wave1.dat", os.urandom(2**20))
        world.put("wave2.dat", os.urandom(2**20))
        begun = world.service.begin(world.source, world.destination)
        filler = drive / "filler"
        filler.write_bytes(bytes(2 * 2**20 + 2**19))
        report = world.service.work(begun.transfer_id)
        assert report.exit_code == ExitCode.FAILED
        assert [type(problem) for problem in report.problems] == [DriveFull]
        assert list(contents(world.destination)) == ["wave0.dat"], "no part takes room from others"
        assert world.states()["wave2.dat"] is CopyState.QUEUED, "after the first that found no room none is tried"
        world.check()
        filler.unlink()
        assert world.service.work(begun.transfer_id).is_finished
        assert world.trees_agree()
        world.check()


class FailingFile(PosixFile):
    """A file whose drive gives back an error after some bytes."""

    good_B = 2**20

    def read_into(self, buffer: memoryview) -> int:
        if self.good_B <= 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        n_read = super().read_into(buffer)
        self.good_B -= n_read
        return n_read


class FailingFiles(PosixFiles):
    """Files of which one cannot be read to its end."""

    def __init__(self, name: str) -> None:
        self.name: str | None = name

    def open(self, path: Path, *, is_link_followed: bool = True) -> PosixFile:
        opened = super().open(path, is_link_followed=is_link_followed)
        return FailingFile(opened._fd) if path.name == self.name else opened


def test_a_source_that_cannot_be_read_stops_no_other_file(tmp_path: Path) -> None:
    files = FailingFiles("wave0.dat")
    with World(tmp_path, files=files) as world:
        world.put("wave0.dat", os.urandom(2**20 + 1))
        world.put("wave1.dat", b"abc")
        report = world.copy()
        assert report.exit_code == ExitCode.FAILED
        (problem,) = report.problems
        assert isinstance(problem, SourceUnreadable)
        assert "EIO" in problem.what
        assert contents(world.destination) == {"wave1.dat": b"abc"}
        assert world.states()["wave0.dat"] is CopyState.COPYING
        world.check()
        files.name = None
        assert world.service.work(1).is_finished
        assert world.trees_agree()


# ---------------------------------------------------------------- source and destination change
def test_a_source_that_changes_while_it_is_copied_is_copied_as_it_then_is(tmp_path: Path) -> None:
    changes: list[bytes] = [b"more"]

    def before(name: str) -> None:
        if name == "sync" and changes:
            with (tmp_path / "data1" / "hpge" / "raw" / "42" / "wave0.dat").open("ab") as file:
                file.write(changes.pop())

    with World(tmp_path, files=Interfering(before)) as world:
        world.put("wave0.dat", b"abc", is_known=False)
        report = world.copy()
        assert report.is_finished, report.problems
        assert contents(world.destination) == {"wave0.dat": b"abcmore"}
        world.check()


def test_a_known_source_that_changes_is_never_copied(tmp_path: Path) -> None:
    def before(name: str) -> None:
        if name == "sync":
            (tmp_path / "data1" / "hpge" / "raw" / "42" / "wave0.dat").write_bytes(b"xyz")

    with World(tmp_path, files=Interfering(before)) as world:
        world.put("wave0.dat", b"abc")
        report = world.copy()
        assert report.exit_code == ExitCode.NOT_INTACT
        assert isinstance(report.problems[0], DigestMismatch)
        assert contents(world.destination) == {}
        world.check()


def test_a_source_that_goes_on_changing_is_told(tmp_path: Path) -> None:
    def before(name: str) -> None:
        if name == "sync":
            with (tmp_path / "data1" / "hpge" / "raw" / "42" / "wave0.dat").open("ab") as file:
                file.write(b"more")

    with World(tmp_path, files=Interfering(before)) as world:
        world.put("wave0.dat", b"abc", is_known=False)
        report = world.copy()
        assert not report.is_finished
        assert any(isinstance(problem, StillWritten) for problem in report.problems)
        assert contents(world.destination) == {}
        world.check()


class Thief(PosixTrees):
    """Takes a copy away when the source is looked at after copying."""

    def __init__(self, stolen: Path) -> None:
        self._stolen = stolen
        self.n_looks = 0

    def look(self, path: Path) -> Listing | None:
        self.n_looks += 1
        if self.n_looks == 3:  # one to begin, one to copy by
            self._stolen.unlink()
        return super().look(path)


def test_a_copy_that_goes_away_before_the_end_is_told_and_made_again(tmp_path: Path) -> None:
    thief = Thief(tmp_path / "data2" / "hpge" / "raw" / "42" / "wave0.dat")
    with World(tmp_path, trees=thief) as world:
        world.put("wave0.dat", b"abc")
        report = world.copy()
        assert not report.is_finished
        assert [type(problem) for problem in report.problems] == [CopyGone]
        assert world.service.work(1).is_finished
        assert world.trees_agree()
        world.check()


@pytest.mark.parametrize("data", [b"other", b"abc"])
def test_a_destination_that_appears_while_it_is_copied(tmp_path: Path, data: bytes) -> None:
    def before(name: str) -> None:
        if name == "link":
            (tmp_path / "data2" / "hpge" / "raw" / "42" / "wave0.dat").write_bytes(data)

    with World(tmp_path, files=Interfering(before)) as world:
        world.put("wave0.dat", b"abc")
        report = world.copy()
        assert contents(world.destination) == {"wave0.dat": data}
        assert report.is_finished == (data == b"abc")
        assert [type(problem) for problem in report.problems] == ([] if data == b"abc" else [DestinationConflict])
        world.check()


def test_a_folder_that_may_not_be_read(open_folder: Path, as_nobody: Callable[[Callable[[], None]], None]) -> None:
    def work() -> None:
        with World(open_folder) as world:
            world.put("wave0.dat", b"abc")
            closed = world.put("closed/wave1.dat", b"def").parent
            closed.chmod(0)
            report = world.copy()
            assert report.exit_code == ExitCode.FAILED
            assert not report.is_finished
            (problem,) = report.problems
            assert isinstance(problem, SourceIncomplete)
            assert "closed cannot be read: Permission denied" in problem.what
            assert list(contents(world.destination)) == ["wave0.dat"]
            world.check()
            closed.chmod(0o755)
            assert world.service.work(1).is_finished
            assert world.trees_agree()
            assert len(world.replicas_on("data1")) == 2, "what could not be seen was not called missing"

    as_nobody(work)


# ---------------------------------------------------------------- the clock, the record
class JumpingClock:
    """A clock that is years ahead, years behind, and at zero."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def now_ns(self) -> int:
        return self._chance.choice([0, 1, 2**62, time.time_ns(), time.time_ns() - 10**18])


def test_a_clock_that_jumps_costs_nothing(tmp_path: Path, seed: int) -> None:
    with World(tmp_path, clock=JumpingClock(seed)) as world:
        for name, data in DATA.items():
            world.put(name, data)
        assert world.copy().is_finished
        assert world.trees_agree()
        assert world.service.verify(1).n_intact == len(DATA)
        assert len(world.replicas_on("data2")) == len(DATA)
        world.check()


@pytest.mark.parametrize("step", ["open_part", "write", "sync", "link", "sync_directory"])
def test_a_record_that_is_locked_is_waited_for_and_taken_up(tmp_path: Path, empty_catalog: bytes, step: str) -> None:
    make_run(tmp_path, empty_catalog)
    locks: list[sqlite3.Connection] = []

    def before(name: str) -> None:
        if name == step and not locks:
            locks.append(sqlite3.connect(tmp_path / "catalog.sqlite", isolation_level=None))
            locks[0].execute("BEGIN IMMEDIATE")

    with World(tmp_path, files=Interfering(before), busy_timeout_ms=50) as world:
        with pytest.raises(CatalogUnreachable):
            world.service.work(1)
        with closing(locks[0]):
            locks[0].execute("ROLLBACK")
        assert CopyState.CATALOGUED not in [
            file.state for file in world.catalog.transfers.files(1) if file.path == "wave0.dat"
        ]
    check_and_finish(tmp_path)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM transfer_file",
        "DELETE FROM transfer_file WHERE path = 'wave1.dat'",
        "UPDATE transfer_file SET state = 'catalogued'",
        "UPDATE transfer_file SET state = 'published', xxh3_128 = '0'",
        "UPDATE transfer_file SET state = 'catalogued', xxh3_128 = 'a', adler32 = 'b', file_id = 1",
        "UPDATE transfer_file SET size_B = 3",
        "UPDATE transfer_file SET path = 'sub/' || path",
        "UPDATE transfer SET finished_ns = 1",
    ],
)
def test_a_list_that_is_wrong_is_never_believed(tmp_path: Path, empty_catalog: bytes, statement: str) -> None:
    make_run(tmp_path, empty_catalog)
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
        connection.execute(statement)
        connection.commit()
    with World(tmp_path) as world:
        report = world.service.work(1)
        assert contents(world.destination) == DATA
        assert len(world.replicas_on("data2")) == len(DATA)
        is_finished = report.is_finished
        assert is_finished or all("is not at" in problem.what for problem in report.problems)
        assert is_finished == ("SET path" not in statement), "what is only in the list is told"
        if is_finished:
            world.check()


def test_a_list_that_calls_wrong_bytes_done_is_found_out(tmp_path: Path, empty_catalog: bytes) -> None:
    """A file of the right size lies there, and the list says that it was verified: the record of replicas does not."""
    make_run(tmp_path, empty_catalog)
    wrong = tmp_path / "data2" / "hpge" / "raw" / "42" / "wave0.dat"
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(bytes(len(DATA["wave0.dat"])))
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
        connection.execute("UPDATE transfer_file SET state = 'catalogued', xxh3_128 = 'a', adler32 = 'b', file_id = 1")
        connection.commit()
    with World(tmp_path) as world:
        report = world.service.work(1)
        assert not report.is_finished
        assert [type(problem) for problem in report.problems] == [DestinationConflict]


def test_a_row_of_the_catalog_without_bytes(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.put("wave0.dat", b"abc")
        world.put("wave1.dat", b"def").unlink()
        report = world.copy()
        assert [type(problem) for problem in report.problems] == [SourceReplicaLost]
        assert not report.is_finished
        assert contents(world.destination) == {"wave0.dat": b"abc"}
        lost = world.catalog.replicas(2)
        assert [replica.state for replica in lost] == [ReplicaState.MISSING]
        world.check()


# ---------------------------------------------------------------- a power cut
class MemoryTrees:
    """`Trees` over files in memory."""

    def __init__(self, files: MemoryFiles) -> None:
        self._files = files

    def look(self, path: Path) -> Listing | None:
        found = [each for each in sorted(self._files.names) if path in each.parents]
        states = [(each, self._files.names[each]) for each in found]
        seen = [Seen(str(each.relative_to(path)), len(node.data), node.mtime_ns, node.inode) for each, node in states]
        return Listing(path, tuple(seen))

    def root(self, path: Path) -> Path:
        return path

    def real(self, path: Path) -> Path:
        return path

    def device(self, path: Path) -> int:
        return 1


def test_the_record_is_entered_only_after_all_that_a_power_cut_needs(tmp_path: Path) -> None:
    """Every call towards durability is recorded: bytes, name and folders are synced before the record's commit."""
    root = Path("/drive")
    files = MemoryFiles(root)
    source, destination = Path("/drop/run42"), root / "hpge" / "raw" / "42"
    for name, data in DATA.items():
        files.put(source / name, data, mtime_ns=5)
    with World(tmp_path, files=files, trees=MemoryTrees(files)) as world:  # type: ignore[arg-type]  # the same port
        real = world.catalog.transfers.settle
        entered: list[tuple[CopyState, bool, bool]] = []

        def settle(file, replica, activity=None):
            path = destination / unescape_name(file.path)
            is_whole = files.after_power_cut().get(path) == DATA[file.path]
            entered.append((file.state, is_whole, files.is_durable(path)))
            real(file, replica, activity)

        world.catalog.transfers.settle = settle  # type: ignore[method-assign]  # listened to
        begun = world.service.begin(source, destination)
        assert world.service.work(begun.transfer_id).is_finished
    done = (CopyState.PUBLISHED, CopyState.CATALOGUED)
    assert [(state, state in done, state in done) for state, *_ in entered] == entered
    assert len([state for state, *_ in entered if state is CopyState.CATALOGUED]) == len(DATA)
    part = files.part_path(destination / "wave0.dat")
    order = [
        max(number for number, call in enumerate(files.calls) if call == ("write", part)),
        files.calls.index(("sync", part)),
        files.calls.index(("drop_cache", part)),
        max(number for number, call in enumerate(files.calls) if call == ("read", part)),
        files.calls.index(("link", destination / "wave0.dat")),
        max(number for number, call in enumerate(files.calls) if call == ("sync_directory", destination)),
    ]
    assert order == sorted(order)


def test_states_in_order_are_needed_for_a_source_to_go(tmp_path: Path, empty_catalog: bytes) -> None:
    from nualley.replicas import may_source_go

    make_run(tmp_path, empty_catalog)
    with World(tmp_path) as world:
        transfer = world.catalog.transfers.transfer(1)
        for file in world.catalog.transfers.files(1):
            for state in CopyState:
                assert not may_source_go(transfer, replace(file, state=state))
