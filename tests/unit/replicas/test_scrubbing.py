"""Replicas that are read again: rot is named, entered and mended from elsewhere, and nothing is lost on the way."""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from nualley.catalog import Origin, PlacedFile, ReplicaState
from nualley.replicas import Scrubbed, Scrubber, ScrubResult, TransferStopped, choose
from nualley.replicas.adapters.trees import PosixTrees
from nualley.storage import DriveMissing, SourceVanished, is_set_aside
from nualley.storage.adapters.posix import PosixFiles
from tests.faults.interfering import Interfering, run_in_child
from tests.unit.replicas.world import RUN, FakeTimer, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


_MACHINE = ("timer", "turns", "trees")


def scrub(
    world: World, drive: str = "data2", *, away: tuple[str, ...] = (), files=None, budget_B: int | None = None, **words
) -> list[Scrubbed]:
    stops = words.pop("should_stop", lambda: False)
    given = {key: words.pop(key) for key in _MACHINE if key in words}
    scrubber = Scrubber(
        world.catalog,
        replace(world.machine, files=files or PosixFiles(), **given),
        clock=world.clock,
        origin=Origin("nualley", "digest", "here"),
        is_there=lambda name: name not in away,
        should_stop=stops,
        rate_B_per_s=words.pop("rate_B_per_s", None),
    )
    chosen = scrubber.plan(world.catalog.placed_files(drive), budget_B, repairs=words.get("repairs", False))
    return list(scrubber.run(drive, chosen, **words))


def state(world: World, path: Path) -> ReplicaState:
    replica = world.catalog.replica_at(path.parts[len(world.folder.parts)], os.fspath(path))
    assert replica is not None
    return replica.state


@pytest.fixture
def copied(world: World) -> Path:
    """A file of three megabytes on both drives, verified."""
    world.put("wave0.dat", os.urandom(3_000_000))
    world.copy()
    return world.destination / "wave0.dat"


def rot(path: Path) -> bytes:
    data = bytearray(path.read_bytes())
    data[1_234_567] ^= 4
    path.write_bytes(bytes(data))
    return bytes(data)


def test_an_intact_replica_gets_the_date_of_its_proof(world: World, copied: Path) -> None:
    before = world.catalog.placed_files("data2")[0].verified_ns
    (found,) = scrub(world)
    assert (found.result, found.detail) == (ScrubResult.INTACT, "")
    (after,) = world.catalog.placed_files("data2")
    assert after.state is ReplicaState.VERIFIED
    assert before is not None
    assert after.verified_ns is not None
    assert after.verified_ns > before


def test_rot_is_named_and_entered_and_nothing_is_touched(world: World, copied: Path) -> None:
    rotten = rot(copied)
    (found,) = scrub(world)
    assert (found.result, found.run_id, found.n_others) == (ScrubResult.DAMAGED, RUN.run_id, 1)
    assert "it holds xxh3_128" in found.detail
    assert state(world, copied) is ReplicaState.DAMAGED
    assert copied.read_bytes() == rotten
    assert [path.name for path in copied.parent.iterdir()] == ["wave0.dat"]


def test_rot_is_mended_from_another_drive_and_kept_aside(world: World, copied: Path) -> None:
    good, rotten = (world.source / "wave0.dat").read_bytes(), rot(copied)
    (found,) = scrub(world, repairs=True)
    assert (found.result, state(world, copied)) == (ScrubResult.REPAIRED, ReplicaState.VERIFIED)
    assert copied.read_bytes() == good
    (aside,) = set(copied.parent.iterdir()) - {copied}
    assert aside.name.startswith("wave0.dat.damaged-")
    assert is_set_aside(aside.name)
    assert aside.read_bytes() == rotten
    (activity,) = [each for each in world.catalog.activities() if each.kind == "repair"]
    assert activity.inputs == (os.fspath(world.source / "wave0.dat"),)
    assert activity.outputs == (os.fspath(copied), os.fspath(aside))


def test_one_that_is_gone_is_made_anew(world: World, copied: Path) -> None:
    good = copied.read_bytes()
    copied.unlink()
    (found,) = scrub(world)
    assert (found.result, state(world, copied)) == (ScrubResult.MISSING, ReplicaState.MISSING)
    assert scrub(world) == [], "what is known to be missing is no longer read"
    (found,) = scrub(world, repairs=True)
    assert (found.result, copied.read_bytes()) == (ScrubResult.REPAIRED, good)
    assert found.detail == "it is not there; mended from data1"
    assert state(world, copied) is ReplicaState.VERIFIED
    assert [path.name for path in copied.parent.iterdir()] == ["wave0.dat"]


@pytest.mark.parametrize("repairs", [False, True])
def test_one_that_came_back_is_read_again(world: World, copied: Path, repairs: bool) -> None:
    copied.rename(copied.with_name("away"))
    scrub(world)
    copied.with_name("away").rename(copied)
    (found,) = scrub(world, repairs=repairs)
    assert (found.result, state(world, copied)) == (ScrubResult.INTACT, ReplicaState.VERIFIED)


def test_one_that_came_back_rotten_is_no_replica(world: World, copied: Path) -> None:
    rotten = rot(copied)
    copied.rename(copied.with_name("away"))
    scrub(world)
    copied.with_name("away").rename(copied)
    (found,) = scrub(world)
    assert (found.result, state(world, copied)) == (ScrubResult.DAMAGED, ReplicaState.DAMAGED)
    assert copied.read_bytes() == rotten


def test_what_was_removed_on_purpose_is_neither_read_nor_made_anew(world: World, copied: Path) -> None:
    replica = world.catalog.replica_at("data2", os.fspath(copied))
    assert replica is not None
    world.catalog.removals.remove(replica.replica_id, kept=())
    copied.unlink()
    assert scrub(world, repairs=True) == []
    assert (state(world, copied), copied.exists()) == (ReplicaState.REMOVED, False)


def test_what_is_missing_is_made_anew_first_and_what_is_lost_takes_no_budget(world: World) -> None:
    for name in ("a.dat", "b.dat", "lost.dat"):
        world.put(name, name.encode() * 500)
    world.copy()
    for name in ("b.dat", "lost.dat"):
        (world.destination / name).unlink()
    (world.source / "lost.dat").unlink()
    for drive in ("data1", "data2"):
        scrub(world, drive)
    found = scrub(world, repairs=True, budget_B=1)
    assert [(Path(each.path).name, each.result) for each in found] == [
        ("b.dat", ScrubResult.REPAIRED),
        ("lost.dat", ScrubResult.MISSING),
    ]
    assert "no verified replica of it is anywhere else" in found[1].detail


def test_a_stop_in_the_middle_of_a_repair_leaves_nothing_half(world: World, copied: Path) -> None:
    copied.unlink()
    calls = iter(range(100))
    with pytest.raises(TransferStopped):
        scrub(world, repairs=True, should_stop=lambda: next(calls) > 1)
    assert list(copied.parent.iterdir()) == []
    assert state(world, copied) is ReplicaState.MISSING
    (found,) = scrub(world, repairs=True)
    assert found.result is ScrubResult.REPAIRED


def test_what_the_catalog_calls_good_is_read_before_it_mends_anything(world: World, copied: Path) -> None:
    rot(copied)
    other = world.source / "wave0.dat"
    rotten = rot(other)
    (found,) = scrub(world, repairs=True)
    assert found.result is ScrubResult.DAMAGED
    assert "cannot be mended" in found.detail
    assert (state(world, copied), other.read_bytes()) == (ReplicaState.DAMAGED, rotten)
    assert {path.name for path in copied.parent.iterdir()} == {"wave0.dat"}


def test_nothing_is_missing_on_a_drive_that_is_away(world: World, copied: Path) -> None:
    copied.unlink()
    with pytest.raises(SourceVanished):
        scrub(world, away=("data2",), repairs=True)
    assert state(world, copied) is ReplicaState.VERIFIED


@pytest.mark.parametrize("found", ["another file", "nothing readable"])
def test_of_what_lies_in_the_place_of_a_drive_that_went_away_nothing_is_said_or_mended(
    world: World, copied: Path, found: str
) -> None:
    def refuse(step: str) -> None:
        if step == "open" and found == "nothing readable":
            raise OSError(5, "Input/output error")

    other = rot(copied)
    with pytest.raises(DriveMissing, match="data2 went away while it was read"):
        scrub(world, away=("data2",), repairs=True, files=Interfering(refuse))
    assert (copied.read_bytes(), state(world, copied)) == (other, ReplicaState.VERIFIED)


def test_a_replica_on_a_drive_that_is_away_mends_nothing(world: World, copied: Path) -> None:
    rot(copied)
    (found,) = scrub(world, away=("data1",), repairs=True)
    assert (found.result, found.n_others) == (ScrubResult.DAMAGED, 0)
    assert "no verified replica of it is anywhere else" in found.detail


def test_a_drive_that_cannot_read_is_told_and_its_replica_counts_no_longer(world: World, copied: Path) -> None:
    def refuse(step: str) -> None:
        if step == "open":
            raise OSError(5, "Input/output error")

    (found,) = scrub(world, files=Interfering(refuse))
    assert (found.result, state(world, copied)) == (ScrubResult.UNREADABLE, ReplicaState.UNVERIFIED)
    assert "Input/output error" in found.detail


def test_a_stop_keeps_what_was_found_until_then(world: World) -> None:
    for number in range(3):
        world.put(f"wave{number}.dat", os.urandom(2_000_000))
    world.copy()
    before = {each.path: each.verified_ns for each in world.catalog.placed_files("data2")}
    calls = iter(range(100))
    with pytest.raises(TransferStopped):
        scrub(world, should_stop=lambda: next(calls) > 2)
    changed = [each.path for each in world.catalog.placed_files("data2") if each.verified_ns != before[each.path]]
    assert 0 < len(changed) < 3


def test_killed_before_every_step_of_a_repair_loses_nothing(world: World, copied: Path) -> None:
    good = (world.source / "wave0.dat").read_bytes()
    rotten = rot(copied)
    for n_steps in range(100):
        left = n_steps

        def count(step: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), 9)

        class Killing(Interfering):
            def move(self, source: Path, destination: Path) -> None:
                self.before("move")
                super().move(source, destination)
                self.before("moved")

        world.catalog.close()
        status = run_in_child(lambda: scrub(world, files=Killing(count), repairs=True))
        assert (world.source / "wave0.dat").read_bytes() == good
        held = [path.read_bytes() for path in copied.parent.iterdir()]
        assert rotten in held, "the damaged bytes are kept"
        if copied.exists():
            assert copied.read_bytes() in (good, rotten)
        if status == 0 and copied.exists() and copied.read_bytes() == good:
            break
    else:
        raise AssertionError("it never came to its end")
    assert n_steps > 5
    assert state(world, copied) is ReplicaState.VERIFIED


def test_the_longest_unread_come_first_and_the_budget_is_kept() -> None:
    def placed(
        path: str, size_B: int, verified_ns: int | None, state: ReplicaState = ReplicaState.VERIFIED
    ) -> PlacedFile:
        return PlacedFile(path, state, size_B, verified_ns, 1, 1, RUN.run_id, "0" * 32)

    known = [
        placed("new", 10, 300),
        placed("old", 10, 100),
        placed("never", 10, None),
        placed("gone", 10, 500, ReplicaState.MISSING),
    ]
    assert [each.path for each in choose(known, None, now_ns=1000)] == ["gone", "never", "old", "new"]
    assert [each.path for each in choose(known, 30, now_ns=1000)] == ["gone", "never", "old"]
    assert [each.path for each in choose(known, 35, now_ns=1000)] == ["gone", "never", "old"]
    assert [each.path for each in choose(known, 1, now_ns=1000)] == ["gone"], (
        "one is read in any case, or it never would be"
    )


# ---------------------------------------------------------------- beside transfers
class Turned:
    """Turns that note when each is taken and given back; ``lasts_s`` is how long the others take theirs [s]."""

    def __init__(self, timer: FakeTimer, lasts_s: float = 0.0) -> None:
        self.timer = timer
        self.lasts_s = lasts_s
        self.taken: list[set[int | str]] = []
        self.n_held = 0

    @contextmanager
    def at(self, devices: Collection[int | str], waits: Callable[[], object]) -> Iterator[None]:
        waits()
        assert not self.n_held, "nobody who has a turn waits for one"
        self.timer.time_s += self.lasts_s
        self.taken.append(set(devices))
        self.n_held += 1
        try:
            yield
        finally:
            self.n_held -= 1

    def at_transfer(self, transfer_id: int) -> AbstractContextManager[None]:
        raise NotImplementedError


def test_each_file_is_read_in_a_turn_at_its_drive(world: World, copied: Path) -> None:
    timer = FakeTimer()
    turns = Turned(timer)

    def before(step: str) -> None:
        if step == "open":
            assert turns.n_held == 1

    scrub(world, files=Interfering(before), timer=timer, turns=turns)
    assert turns.taken == [{copied.stat().st_dev}]
    rot(copied)
    (found,) = scrub(world, files=Interfering(before), timer=timer, turns=turns, repairs=True)
    assert found.result is ScrubResult.REPAIRED
    assert len(turns.taken) == 3, "and mended in one"
    assert turns.n_held == 0


def test_who_copies_waits_for_no_large_file(world: World, copied: Path) -> None:
    """A turn that lasts is given back for a moment, and the file goes on where it was."""

    class Slow(FakeTimer):
        def now_s(self) -> float:
            self.time_s += 3.0
            return self.time_s

    turns = Turned(Slow())
    (found,) = scrub(world, timer=turns.timer, turns=turns)
    assert found.result is ScrubResult.INTACT
    assert len(turns.taken) > 1
    assert turns.n_held == 0


def test_the_rate_is_kept_whoever_copies_meanwhile(world: World) -> None:
    for number in range(3):
        world.put(f"wave{number}.dat", bytes(3000))
    timer, told = FakeTimer(), []
    scrub(
        world,
        "data1",
        timer=timer,
        turns=Turned(timer, lasts_s=1000.0),
        rate_B_per_s=1000,
        told=lambda *words: told.append(words),
    )
    assert sum(timer.waits_s) == pytest.approx(9.0), "time in which another one copied is not made up for"
    assert told[-1] == ("data1", 9000, 9000)


def test_a_drive_of_which_nothing_can_be_said_is_read_all_the_same(world: World, copied: Path) -> None:
    class Refusing(PosixTrees):
        def device(self, path: Path) -> int:
            raise PermissionError(13, "Permission denied")

    (found,) = scrub(world, trees=Refusing())
    assert found.result is ScrubResult.INTACT
