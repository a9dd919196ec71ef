"""Scrub and repair that are killed, starved, cheated or locked out: no wrong bytes under a name, and nothing lost."""

import errno
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from nualley.catalog import CatalogUnreachable, FileRecord, Replica, ReplicaState, Run
from nualley.core import Digester, escape_name
from nualley.replicas import Scrubbed, ScrubResult
from tests.faults.conftest import SmallDrives
from tests.faults.interfering import Interfering, run_in_child
from tests.faults.test_transfer_faults import FailingFiles, JumpingClock
from tests.unit.replicas.test_scrubbing import scrub
from tests.unit.replicas.world import DETECTOR, FOLDER, World, contents
from tests.unit.storage.memory_files import MemoryFiles

pytestmark = pytest.mark.fault

DATA = {"wave0.dat": os.urandom(2**20 + 17), "wave1.dat": os.urandom(3000), "wave2.dat": os.urandom(2**20)}


def fill(world: World, names: tuple[str, ...] = tuple(DATA)) -> None:
    """Put files on both drives, verified."""
    for name in names:
        world.put(name, DATA[name])
    assert world.copy().is_finished


def rot(path: Path, chance: random.Random | None = None) -> bytes:
    """Change a byte of a file in its place, and return its bytes."""
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data)) if chance else len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))
    return bytes(data)


def results(found: list[Scrubbed]) -> dict[str, ScrubResult]:
    return {Path(each.path).name: each.result for each in found}


def states(world: World, drive: str = "data2") -> dict[str, ReplicaState]:
    return {Path(each.path).name: each.state for each in world.catalog.placed_files(drive)}


def check(world: World) -> None:
    """See that what was found to be wrong is not called verified, and that the good replicas were not touched."""
    check_unless_unread(world, {})


def heal(world: World) -> None:
    """See that a further run mends all that is wrong."""
    check(world)
    scrub(world, repairs=True)
    assert {name: contents(world.destination)[name] for name in states(world)} == {
        name: DATA[name] for name in states(world)
    }
    assert set(states(world).values()) == {ReplicaState.VERIFIED}
    assert set(results(scrub(world)).values()) == {ScrubResult.INTACT}
    assert not [name for name in contents(world.destination) if name.endswith(".part")]


# ---------------------------------------------------------------- kill -9
CHILD = """
import sys
from pathlib import Path
from tests.unit.replicas.test_scrubbing import scrub
from tests.unit.replicas.world import World
with World(Path(sys.argv[1])) as world:
    print("ready", flush=True)
    scrub(world, repairs=True)
"""
REPOSITORY = Path(__file__).resolve().parents[2]  # whose tests the child imports


def test_killed_at_random_moments(tmp_path: Path, seed: int, is_soak: bool) -> None:
    chance = random.Random(seed)
    with World(tmp_path) as world:
        fill(world)
    rotten: dict[str, set[bytes]] = {name: set() for name in DATA}
    for _ in range(50 if is_soak else 3):
        with World(tmp_path) as world:
            for name in chance.sample(sorted(DATA), 2):
                if (world.destination / name).exists():
                    rotten[name].add(rot(world.destination / name, chance))
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, tmp_path], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 0.1))
            child.kill()
        with World(tmp_path) as world:
            check_unless_unread(world, rotten)
    with World(tmp_path) as world:
        scrub(world)
        heal(world)


def check_unless_unread(world: World, rotten: dict[str, set[bytes]]) -> None:
    """As `check`; a replica that rotted and was not read yet is still called verified."""
    assert contents(world.source) == {name: DATA[name] for name in contents(world.source)}
    for name, found in contents(world.destination).items():
        if states(world).get(name) is ReplicaState.VERIFIED:
            assert found == DATA[name] or found in rotten.get(name, ())


def test_killed_between_the_record_and_the_drive(tmp_path: Path) -> None:
    """What the drive has and the record has not is found again by the next run."""
    with World(tmp_path) as world:
        fill(world, ("wave1.dat",))
        rot(world.destination / "wave1.dat")

    def work() -> None:
        with World(tmp_path) as world:
            real = world.catalog.update_replica

            def update(replica_id: int, **words: object) -> None:
                if words["state"] is ReplicaState.VERIFIED:
                    os.kill(os.getpid(), signal.SIGKILL)
                real(replica_id, **words)  # type: ignore[arg-type]  # as it came

            world.catalog.update_replica = update  # type: ignore[method-assign]  # to be killed there
            scrub(world, repairs=True)

    assert os.WIFSIGNALED(run_in_child(work))
    with World(tmp_path) as world:
        assert states(world) == {"wave1.dat": ReplicaState.DAMAGED}
        assert (world.destination / "wave1.dat").read_bytes() == DATA["wave1.dat"]
        assert results(scrub(world)) == {"wave1.dat": ScrubResult.INTACT}
        heal(world)


def test_killed_when_the_name_is_given_leaves_no_second_one(tmp_path: Path) -> None:
    """A second name of the mended file would rot with it."""
    with World(tmp_path) as world:
        fill(world, ("wave1.dat",))
        rot(world.destination / "wave1.dat")

    def before(step: str) -> None:
        if step == "remove":
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        with World(tmp_path) as world:
            scrub(world, files=Interfering(before), repairs=True)

    assert os.WIFSIGNALED(run_in_child(work))
    with World(tmp_path) as world:
        assert [name for name in contents(world.destination) if name.endswith(".part")]
        heal(world)


# ---------------------------------------------------------------- ENOSPC, EIO
def test_a_drive_without_room_for_the_repair(small_drives: SmallDrives, tmp_path: Path) -> None:
    drive = small_drives.mount("data2", size="4m")
    with World(tmp_path) as world:
        fill(world)
        rotten = {name: rot(world.destination / name) for name in ("wave0.dat", "wave1.dat")}
        filler = drive / "filler"
        filler.write_bytes(bytes(2**20 + 2**19))
        found = results(scrub(world, repairs=True))
        assert found["wave0.dat"] is ScrubResult.DAMAGED
        assert found["wave1.dat"] is ScrubResult.REPAIRED, "a smaller one that fits is mended after it"
        assert (world.destination / "wave0.dat").read_bytes() == rotten["wave0.dat"]
        assert not [name for name in contents(world.destination) if name.startswith(".")], "no part takes room"
        check(world)
        filler.unlink()
        heal(world)


def test_a_replica_that_cannot_be_read_to_its_end_stops_no_other(tmp_path: Path) -> None:
    files = FailingFiles("wave0.dat")
    with World(tmp_path) as world:
        fill(world)
        found = scrub(world, files=files, repairs=True)
        assert results(found) == {
            "wave0.dat": ScrubResult.UNREADABLE,
            "wave1.dat": ScrubResult.INTACT,
            "wave2.dat": ScrubResult.INTACT,
        }
        assert states(world)["wave0.dat"] is ReplicaState.UNVERIFIED, "a drive that is tired proves no damage"
        assert sorted(contents(world.destination)) == sorted(DATA)
        files.name = None
        assert results(scrub(world, files=files))["wave0.dat"] is ScrubResult.INTACT
        heal(world)


class FailingDrive(FailingFiles):
    """Files of which those of one drive cannot be read to their end."""

    def open(self, path: Path, *, is_link_followed: bool = True):
        found, self.name = self.name, path.name if self.name in path.parts else None
        try:
            return super().open(path, is_link_followed=is_link_followed)
        finally:
            self.name = found


def test_a_source_of_the_repair_that_cannot_be_read_gives_way_to_another(tmp_path: Path) -> None:
    with World(tmp_path, drives={name: tmp_path / name for name in ("data1", "data2", "data3")}) as world:
        fill(world, ("wave0.dat",))
        world.copy(destination=tmp_path / "data3" / FOLDER)
        rot(world.destination / "wave0.dat")
        (found,) = scrub(world, files=FailingDrive("data1"), repairs=True)
        assert found.result is ScrubResult.REPAIRED
        assert "mended from data3" in found.detail
        heal(world)


def test_without_a_source_that_can_be_read_nothing_is_touched(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        fill(world, ("wave0.dat",))
        rotten = rot(world.destination / "wave0.dat")
        (found,) = scrub(world, files=FailingDrive("data1"), repairs=True)
        assert found.result is ScrubResult.DAMAGED
        assert "cannot be mended" in found.detail
        assert "EIO" in found.detail
        assert contents(world.destination) == {"wave0.dat": rotten}
        heal(world)


# ---------------------------------------------------------------- source and destination change
def test_a_source_that_changes_while_it_mends_mends_nothing(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        fill(world, ("wave1.dat",))
        rotten = rot(world.destination / "wave1.dat")
        source = world.source / "wave1.dat"

        def before(step: str) -> None:
            if step == "sync":
                source.write_bytes(DATA["wave1.dat"][:-1] + b"x")

        (found,) = scrub(world, files=Interfering(before), repairs=True)
        assert found.result is ScrubResult.DAMAGED
        assert "changed while it was read" in found.detail
        assert contents(world.destination) == {"wave1.dat": rotten}
        assert results(scrub(world, "data1")) == {"wave1.dat": ScrubResult.DAMAGED}
        source.write_bytes(DATA["wave1.dat"])
        scrub(world, "data1")
        heal(world)


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_destination_that_appears_meanwhile_is_never_overwritten(tmp_path: Path, is_gone: bool) -> None:
    with World(tmp_path) as world:
        fill(world, ("wave1.dat",))
        path = world.destination / "wave1.dat"
        if is_gone:
            path.unlink()
        else:
            rotten = rot(path)

        def before(step: str) -> None:
            if step == "link":
                path.write_bytes(b"somebody's")

        (found,) = scrub(world, files=Interfering(before), repairs=True)
        assert found.result is (ScrubResult.MISSING if is_gone else ScrubResult.DAMAGED)
        assert path.read_bytes() == b"somebody's"
        check(world)
        heal(world)
        kept = contents(world.destination).values()
        assert b"somebody's" in kept
        assert is_gone or rotten in kept


def test_a_folder_that_may_not_be_read(open_folder: Path, as_nobody: Callable[[Callable[[], None]], None]) -> None:
    def work() -> None:
        with World(open_folder) as world:
            fill(world)
            world.destination.chmod(0)
            found = scrub(world, repairs=True)
            assert set(results(found).values()) == {ScrubResult.UNREADABLE}
            assert "Permission denied" in found[0].detail
            assert set(states(world).values()) == {ReplicaState.UNVERIFIED}, "nothing in there is called missing"
            world.destination.chmod(0o755)
            heal(world)

    as_nobody(work)


# ---------------------------------------------------------------- the clock, the record
def test_a_clock_that_jumps_or_stands_still_costs_nothing(tmp_path: Path, seed: int) -> None:
    class StandingClock:
        def now_ns(self) -> int:
            return 0

    for number, clock in enumerate((JumpingClock(seed), StandingClock())):
        with World(tmp_path / str(number), clock=clock) as world:
            fill(world)
            for _ in range(3):
                rot(world.destination / "wave1.dat")
                assert results(scrub(world, repairs=True))["wave1.dat"] is ScrubResult.REPAIRED
            assert len(contents(world.destination)) == len(DATA) + 3, "each damaged file is kept"
            heal(world)


def test_a_proof_of_the_wrong_age_is_none(tmp_path: Path) -> None:
    """A replica whose proof is dated years ahead would never be the longest unread."""
    with World(tmp_path) as world:
        fill(world)
        rot(world.destination / "wave2.dat")
        with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
            ahead_ns = time.time_ns() + 10**18
            connection.execute(
                "UPDATE replica SET verified_ns = ? WHERE drive = 'data2' AND path LIKE '%wave2.dat'", (ahead_ns,)
            )
            connection.commit()
        assert results(scrub(world, budget_B=1)) == {"wave2.dat": ScrubResult.DAMAGED}
        heal(world)


@pytest.mark.parametrize("step", ["open", "open_part", "write", "sync", "link", "sync_directory"])
def test_a_record_that_is_locked_costs_nothing(tmp_path: Path, step: str) -> None:
    with World(tmp_path) as world:
        fill(world, ("wave1.dat",))
        rotten = rot(world.destination / "wave1.dat")
    locks: list[sqlite3.Connection] = []

    def before(name: str) -> None:
        if name == step and not locks:
            locks.append(sqlite3.connect(tmp_path / "catalog.sqlite", isolation_level=None))
            locks[0].execute("BEGIN IMMEDIATE")

    with World(tmp_path, busy_timeout_ms=50) as world:
        with pytest.raises(CatalogUnreachable):
            scrub(world, files=Interfering(before), repairs=True)
        with closing(locks[0]):
            locks[0].execute("ROLLBACK")
        held = contents(world.destination)
        assert held["wave1.dat"] in (rotten, DATA["wave1.dat"])
        assert rotten in held.values()
        check_unless_unread(world, {"wave1.dat": {rotten}})
        scrub(world)
        heal(world)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE replica SET state = 'verified', verified_ns = 1 WHERE drive = 'data2'",
        "UPDATE replica SET state = 'missing' WHERE drive = 'data2'",
        "UPDATE replica SET state = 'damaged' WHERE drive = 'data2'",
        "UPDATE replica SET state = 'unverified', verified_ns = NULL WHERE drive = 'data2'",
    ],
)
def test_a_list_that_is_wrong_is_never_believed(tmp_path: Path, statement: str) -> None:
    with World(tmp_path) as world:
        fill(world)
        rotten = rot(world.destination / "wave0.dat")
        (world.destination / "wave1.dat").unlink()
        with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
            connection.execute(statement)
            connection.commit()
        assert results(scrub(world))["wave0.dat"] is ScrubResult.DAMAGED
        assert results(scrub(world))["wave2.dat"] is ScrubResult.INTACT
        assert (world.destination / "wave0.dat").read_bytes() == rotten
        heal(world)


def test_a_record_with_wrong_digests_replaces_no_bytes(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        fill(world, ("wave1.dat",))
        with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
            connection.execute("UPDATE file SET xxh3_128 = ?", ("0" * 32,))
            connection.commit()
        (found,) = scrub(world, repairs=True)
        assert found.result is ScrubResult.DAMAGED
        assert contents(world.destination) == contents(world.source) == {"wave1.dat": DATA["wave1.dat"]}


def test_a_row_of_the_catalog_without_bytes_is_told_and_made_anew(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        fill(world)
        (world.destination / "wave0.dat").unlink()
        assert results(scrub(world))["wave0.dat"] is ScrubResult.MISSING
        assert states(world)["wave0.dat"] is ReplicaState.MISSING
        heal(world)


# ---------------------------------------------------------------- a power cut
def test_a_power_cut_at_any_moment_of_a_repair_loses_no_bytes(tmp_path: Path) -> None:
    """Every call towards durability is recorded: damaged bytes stay on the drive, good ones are entered when there."""
    root = Path("/drive")
    files = MemoryFiles(root)
    good, rotten = b"good bytes", b"goof bytes"
    place, source = root / DETECTOR / "wave0.dat", Path("/other/wave0.dat")
    files.put(source, good)
    files.put(place, rotten)
    files.rot(place, rotten)
    for folder in (root / DETECTOR, root):
        files.sync_directory(folder)
    with World(tmp_path) as world:
        digester = Digester()
        digester.update(good)
        digests = digester.digests()
        record = FileRecord(
            run_id=f"{DETECTOR}-42",
            detector=DETECTOR,
            name="wave0.dat",
            format="wavedump",
            size_B=digests.size_B,
            xxh3_128=digests.xxh3_128,
            adler32=digests.adler32,
        )
        replicas = [
            Replica(drive=drive, path=escape_name(os.fspath(path)), state=ReplicaState.VERIFIED)
            for drive, path in (("data1", source), ("data2", place))
        ]
        run = Run(run_id=f"{DETECTOR}-42", detector=DETECTOR, number=42)
        world.catalog.add_file(run, record, replicas=replicas)
        left: list[tuple[str, set[bytes], bytes | None]] = []

        def hook(call: str, _path: Path) -> None:
            left.append((call, set(files.after_power_cut().values()), files.after_power_cut().get(place)))

        files.hook = hook
        real = world.catalog.update_replica
        entered = []

        def update(replica_id: int, **words: object) -> None:
            if words["state"] is ReplicaState.VERIFIED:
                entered.append(files.after_power_cut().get(place) == good and files.is_durable(place))
            real(replica_id, **words)  # type: ignore[arg-type]  # as it came

        world.catalog.update_replica = update  # type: ignore[method-assign]  # listened to
        (found,) = scrub(world, files=files, repairs=True)
    assert found.result is ScrubResult.REPAIRED
    assert entered == [True]
    assert all(rotten in held for _, held, _ in left), "the damaged bytes are evidence at every moment"
    assert all(there in (None, good, rotten) for _, _, there in left)
    unnamed = [held for _, held, there in left if there is None]
    assert unnamed, "there is a moment between the two names"
    assert all(good in held for held in unnamed), "good bytes are durable before the damaged lose their name"
    assert files.after_power_cut()[place] == good


def test_a_drive_that_fails_while_it_syncs_mends_nothing(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        fill(world, ("wave1.dat",))
        rotten = rot(world.destination / "wave1.dat")

        def before(step: str) -> None:
            if step == "sync":
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        (found,) = scrub(world, files=Interfering(before), repairs=True)
        assert found.result is ScrubResult.DAMAGED
        assert contents(world.destination) == {"wave1.dat": rotten}
        heal(world)
