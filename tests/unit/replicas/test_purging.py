"""The one automatic delete: each of its conditions by itself, and all that stops it."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nualley.catalog import Replica, ReplicaState, SourceState
from nualley.core import DAY_NS, HOUR_NS, CheckState
from nualley.ingest.adapters.posix import PosixDropFiles
from nualley.replicas import KILL_FILE, PurgeCheck, PurgeReport, TrashStage
from nualley.replicas.adapters.purge_file import PurgeFile
from nualley.replicas.adapters.trees import PosixTrees
from nualley.storage.adapters.posix import PosixVolumes
from nualley.testing.remotes import FolderRemote, SomeRemotes
from tests.unit.replicas.reclaim_world import ReclaimWorld, SetClock
from tests.unit.replicas.world import FOLDER


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ReclaimWorld]:
    """A file that ingest took in just now, of a run that has just ended, and a worker that has looked once."""
    with ReclaimWorld(tmp_path) as made:
        made.end_run(made.clock.now_ns())
        made.put_drop("wave0.dat", b"bytes")
        made.purge_once()
        yield made


def stays(world: ReclaimWorld) -> bool:
    return (world.drop / "wave0.dat").is_file() and world.trash_files() == {}


def test_it_goes_once_so_much_time_was_seen_to_pass_since_the_end_of_the_run(world: ReclaimWorld) -> None:
    report = world.watch(6 * DAY_NS)
    assert (report.mode, report.n_due, report.n_moved) == ("live", 0, 0)
    assert stays(world)
    report = world.watch(2 * DAY_NS)
    assert (report.n_due, report.n_moved, report.moved_B, report.trash_B, report.day_B) == (1, 1, 5, 5, 5)
    assert not (world.drop / "wave0.dat").exists()
    assert world.trash_files() == {"wave0.dat": b"bytes"}
    path = os.path.realpath(world.drop / "wave0.dat")
    assert [each.kind for each in world.catalog.activities(path)] == ["purge"]
    assert {each.state for each in world.catalog.replicas(1)} == {ReplicaState.VERIFIED}


def test_it_is_deleted_after_its_time_in_the_trash_and_can_come_back_before(world: ReclaimWorld) -> None:
    world.watch(8 * DAY_NS)
    assert world.watch(6 * DAY_NS).n_deleted == 0
    world.set_clock.passes(15 * DAY_NS)
    assert list(world.reclaimer.empty()) == [], "a person empties what persons put there"
    world.set_clock.passes(-15 * DAY_NS)
    (done,) = world.reclaimer.restore(["1"])
    assert done.error is None
    assert (world.drop / "wave0.dat").read_bytes() == b"bytes"
    assert world.watch(HOUR_NS).n_moved == 1, "what came back is as due as it was"
    report = world.watch(8 * DAY_NS)
    assert (report.n_deleted, report.deleted_B, report.trash_B) == (1, 5, 0)
    assert world.trash_files() == {}
    assert [each.stage for each in world.trash.items()] == [TrashStage.RESTORED, TrashStage.DELETED]


# ---------------------------------------------------------------- when it does not
def test_copies_on_remotes_count_for_no_purge(tmp_path: Path) -> None:
    """What goes by itself rests on drives that are there."""
    (tmp_path / "far").mkdir()
    with ReclaimWorld(tmp_path, remotes=SomeRemotes(FolderRemote("nas", tmp_path / "far"))) as world:
        world.put_drop("wave0.dat", b"bytes", on=("data1",))
        world.put_remote("wave0.dat", b"bytes")
        world.end_run(world.clock.now_ns())
        world.purge_once()
        report = world.watch(8 * DAY_NS)
        assert (report.n_due, report.n_moved) == (1, 0)
        assert "1 verified replicas of it are on other devices that are there, 2 are needed" in report.problems[0]
        assert stays(world)


def test_for_a_month_it_is_only_told(world: ReclaimWorld) -> None:
    words = {"dry_run": "30d"}
    world.purge_once(**words)
    report = world.watch(29 * DAY_NS, **words)
    assert (report.mode, report.n_due, report.due_B, report.n_moved) == ("dry run", 1, 5, 0)
    assert report.why.startswith("only told for another ")
    assert stays(world)
    assert world.watch(2 * DAY_NS, **words).n_moved == 1


def test_other_settings_are_only_told_again_for_a_month(world: ReclaimWorld) -> None:
    world.watch(31 * DAY_NS, dry_run="30d", copies=3)
    report = world.purge_once(dry_run="30d", copies=2)
    assert report.mode == "dry run"
    assert stays(world)
    assert world.purge_once(dry_run="30d", copies=2, min_age="1h").mode == "dry run"


def test_a_memory_that_is_lost_begins_anew(world: ReclaimWorld, tmp_path: Path) -> None:
    world.watch(31 * DAY_NS, dry_run="30d", copies=3)
    for broken in (b"", b"{", b'{"watched": 1}'):
        (tmp_path / "trash" / "purge.json").write_bytes(broken)
        assert world.purge_once(dry_run="30d").mode == "dry run"
        assert world.purge_once().n_due == 0, "no time was seen to pass"
        assert stays(world)


@pytest.mark.parametrize("where", ["drop", "store"])
def test_a_file_stops_it(world: ReclaimWorld, tmp_path: Path, where: str) -> None:
    switch = (world.drop if where == "drop" else tmp_path) / KILL_FILE
    switch.touch()
    report = world.watch(8 * DAY_NS)
    assert (report.mode, report.n_moved) == ("stopped", 0)
    assert KILL_FILE in report.why
    assert stays(world)
    switch.unlink()
    assert world.watch(HOUR_NS).n_moved == 1
    switch.touch()
    assert world.watch(10 * DAY_NS).n_deleted == 0
    assert world.trash_files() == {"wave0.dat": b"bytes"}


def test_a_setting_stops_it(world: ReclaimWorld) -> None:
    report = world.watch(8 * DAY_NS, enabled=False)
    assert (report.mode, report.why) == ("stopped", "purge.enabled is false in drives.toml")
    assert stays(world)


def test_a_stop_ends_it_before_the_next_file(world: ReclaimWorld) -> None:
    for number in range(3):
        world.put_drop(f"more{number}.dat", b"x")
    world.set_clock.passes(8 * DAY_NS)
    calls = iter([False, True, True, True])
    report = world.purge_once(should_stop=lambda: next(calls, True))
    assert (report.n_due, report.n_moved) == (4, 1)


def test_the_switch_is_looked_at_before_each_file(world: ReclaimWorld) -> None:
    world.put_drop("more.dat", b"x")
    world.set_clock.passes(8 * DAY_NS)
    real = world.trash.put

    def put(*words: object, **named: object) -> object:
        (world.drop / KILL_FILE).touch()
        return real(*words, **named)  # type: ignore[arg-type]  # as they came

    world.trash.put = put  # type: ignore[method-assign,assignment]  # somebody stops it in the middle
    report = world.purge_once()
    assert (report.mode, report.n_due, report.n_moved) == ("stopped", 2, 1)


def test_so_many_bytes_in_a_day(world: ReclaimWorld) -> None:
    for number in range(3):
        world.put_drop(f"more{number}.dat", b"12345")
    words = {"daily": "11 B"}
    report = world.watch(8 * DAY_NS, **words)
    assert (report.n_due, report.n_moved, report.day_B) == (4, 2, 10)
    assert world.watch(HOUR_NS, **words).n_moved == 0
    world.set_clock.jumps(20 * DAY_NS)  # a day by a clock that was set is none
    assert world.purge_once(**words).n_moved == 0
    assert world.watch(25 * HOUR_NS, **words).n_moved == 2


def test_the_run_has_to_have_ended(world: ReclaimWorld) -> None:
    world.end_run(None)
    assert world.watch(100 * DAY_NS).n_due == 0
    assert stays(world)


@pytest.mark.parametrize("when", ["run", "written", "taken in"])
def test_the_youngest_of_all_that_has_an_age_counts(world: ReclaimWorld, when: str) -> None:
    world.set_clock.passes(6 * DAY_NS)
    world.purge_once()
    path, now_ns = world.drop / "wave0.dat", world.clock.now_ns()
    source = world.catalog.find_source(os.path.realpath(path))
    assert source is not None
    if when == "run":
        world.end_run(now_ns)
    elif when == "written":
        os.utime(path, ns=(now_ns, now_ns))
        world.catalog.put_source(replace(source, mtime_ns=path.stat().st_mtime_ns))
    else:
        world.catalog.put_source(replace(source, time_ns=now_ns))
    assert world.watch(3 * DAY_NS).n_due == 0
    assert stays(world)
    assert world.watch(5 * DAY_NS).n_moved == 1


@pytest.mark.parametrize("by_ns", [365 * DAY_NS, 8 * DAY_NS])
def test_a_clock_that_jumps_ahead_makes_nothing_due(world: ReclaimWorld, by_ns: int) -> None:
    world.set_clock.jumps(by_ns)
    report = world.purge_once()
    assert (report.n_due, report.n_moved) == (0, 0)
    assert world.watch(6 * DAY_NS).n_due == 0
    assert stays(world)


def test_a_clock_that_goes_back_stops_it(world: ReclaimWorld) -> None:
    world.set_clock.passes(8 * DAY_NS)
    world.set_clock.jumps(-20 * DAY_NS)
    report = world.purge_once()
    assert (report.mode, report.n_moved) == ("refused", 0)
    assert "no age is known" in report.why
    assert stays(world)


def test_a_run_of_the_time_to_come_and_a_reversed_age(world: ReclaimWorld) -> None:
    """What is younger than it should be goes never, however the difference is taken."""
    world.end_run(world.clock.now_ns() + 1000 * DAY_NS)
    assert world.watch(30 * DAY_NS).n_due == 0
    assert stays(world)


def test_another_start_of_the_machine_and_a_time_that_nobody_watched(world: ReclaimWorld) -> None:
    world.set_clock.boot = "another"
    assert world.watch(30 * DAY_NS).n_due == 0, "nobody saw these days pass"
    assert stays(world)
    assert world.watch(8 * DAY_NS).n_moved == 1


# ---------------------------------------------------------------- copies elsewhere
@pytest.mark.parametrize("loss", ["rotten", "gone", "unverified", "on the drop's device", "one drive away"])
def test_so_many_proven_copies_or_it_stays(tmp_path: Path, loss: str) -> None:
    with ReclaimWorld(tmp_path) as world:
        world.end_run(world.clock.now_ns())
        world.put_drop("wave0.dat", b"bytes")
        world.purge_once()
        copy = world.folder / "data2" / FOLDER / "wave0.dat"
        if loss == "rotten":
            copy.write_bytes(b"byteS")
        elif loss == "gone":
            copy.unlink()
        elif loss == "unverified":
            number = world.replica("wave0.dat", "data2").replica_id
            world.catalog.update_replica(number, state=ReplicaState.UNVERIFIED)
        elif loss == "on the drop's device":
            copy.unlink()
            os.link(world.drop / "wave0.dat", copy)  # another name of the same file is no copy
        else:
            shutil.move(world.folder / "data2", world.folder / "elsewhere")
        report = world.watch(8 * DAY_NS)
        assert (report.n_due, report.n_moved) == (1, 0)
        assert "1 verified replicas of it are on other devices that are there, 2 are needed" in report.problems[0]
        assert stays(world)
        assert PurgeCheck(lambda: [report])()[0].state is CheckState.WARNING
        assert world.watch(HOUR_NS).problems == (), "what did not go is not read again at each look"


def test_drives_of_the_drop_directorys_own_device_hold_no_copy(world: ReclaimWorld, tmp_path: Path) -> None:
    with ReclaimWorld(tmp_path, set_clock=world.set_clock, volumes=PosixVolumes()) as shared:
        report = shared.watch(8 * DAY_NS)
        assert (report.n_due, report.n_moved) == (1, 0)
        assert "0 verified replicas of it are on other devices" in report.problems[0]
    assert stays(world)


def test_more_copies_where_more_are_asked_for(world: ReclaimWorld) -> None:
    assert world.watch(8 * DAY_NS, copies=3).n_moved == 0
    world.put_copies("wave0.dat", b"bytes", on=("data1", "data2", "data3"))
    assert world.watch(25 * HOUR_NS, copies=3).n_moved == 1


def test_a_copy_that_rots_while_it_lies_in_the_trash_keeps_it_there(world: ReclaimWorld) -> None:
    world.watch(8 * DAY_NS)
    (world.folder / "data2" / FOLDER / "wave0.dat").write_bytes(b"byteS")
    report = world.watch(8 * DAY_NS)
    assert (report.n_deleted, len(report.problems)) == (0, 1)
    assert world.trash_files() == {"wave0.dat": b"bytes"}


# ---------------------------------------------------------------- which files
def test_what_ingest_did_not_take_in_is_never_touched(world: ReclaimWorld) -> None:
    (world.drop / "new.dat").write_bytes(b"new")
    (world.drop / "wave0.dat.tmp").write_bytes(b"bytes")
    (world.drop / "link").symlink_to("wave0.dat")
    assert world.watch(100 * DAY_NS).n_moved == 1
    assert sorted(path.name for path in world.drop.iterdir()) == [
        *(".nualley-trash", "link", "new.dat", "wave0.dat.tmp")
    ]


def test_what_was_refused_stays(world: ReclaimWorld) -> None:
    source = world.catalog.find_source(os.path.realpath(world.drop / "wave0.dat"))
    assert source is not None
    world.catalog.put_source(replace(source, state=SourceState.QUARANTINED, time_ns=0))
    assert world.watch(100 * DAY_NS).n_due == 0
    assert stays(world)


@pytest.mark.parametrize("how", ["replaced", "grown", "touched"])
def test_a_file_that_is_another_than_was_taken_in_stays(world: ReclaimWorld, how: str) -> None:
    path = world.drop / "wave0.dat"
    if how == "replaced":
        path.rename(path.with_name("x"))
        shutil.copy2(path.with_name("x"), path)
    elif how == "grown":
        path.write_bytes(b"bytes and more")
    else:
        os.utime(path, ns=(1, 1))
    assert world.watch(100 * DAY_NS).n_due == 0


def test_a_file_whose_bytes_are_others_under_the_same_stamp_stays(world: ReclaimWorld) -> None:
    path = world.drop / "wave0.dat"
    found = path.stat()
    path.write_bytes(b"BYTES")
    os.utime(path, ns=(found.st_mtime_ns, found.st_mtime_ns))
    report = world.watch(8 * DAY_NS)
    assert (report.n_due, report.n_moved) == (1, 0)
    assert "does not hold what was taken in of it" in report.problems[0]
    assert stays(world)


def test_what_lies_in_a_trash_is_no_file_of_its_directory(world: ReclaimWorld) -> None:
    world.watch(8 * DAY_NS)
    assert world.trash_files() == {"wave0.dat": b"bytes"}
    assert PosixDropFiles().walk(world.drop).files == (), "it would be taken in again"
    listing = PosixTrees().look(world.drop)
    assert listing is not None
    assert listing.files == (), "it would be copied"
    assert [each.reason for each in listing.skipped] == ["nualley's own"]


def test_a_replica_that_lies_in_a_drop_directory_is_none_of_it(world: ReclaimWorld) -> None:
    path = os.path.realpath(world.drop / "wave0.dat")
    world.catalog.add_replica(1, Replica(drive="data3", path=path, state=ReplicaState.VERIFIED, verified_ns=1))
    assert world.watch(100 * DAY_NS).n_due == 0
    assert stays(world)


def test_a_directory_that_is_not_there_and_one_that_opted_out(world: ReclaimWorld) -> None:
    assert world.purger.look(()) == []
    shutil.move(world.drop, world.folder / "elsewhere")
    report = world.watch(8 * DAY_NS)
    assert report.problems == (f"{os.path.realpath(world.drop)} is not there",)


def test_what_a_look_came_to_is_kept_for_others(world: ReclaimWorld, tmp_path: Path) -> None:
    report = world.watch(8 * DAY_NS)
    assert PurgeFile(tmp_path / "trash" / "purge.json").load().reports == {report.path: report}
    (result,) = PurgeCheck(lambda: [report])()
    assert (result.state, result.name) == (CheckState.OK, f"replicas.purge.{report.path}")
    (result,) = PurgeCheck(lambda: [PurgeReport(path="/drop", mode="refused", why="the clock", looked_ns=1)])()
    assert result.state is CheckState.WARNING


def test_a_new_process_goes_on_where_the_last_one_was(world: ReclaimWorld, tmp_path: Path) -> None:
    clock: SetClock = world.set_clock
    for _ in range(8):
        clock.passes(DAY_NS + HOUR_NS)
        with ReclaimWorld(tmp_path, set_clock=clock) as another:
            report = another.purge_once()
    assert (report.trash_B, world.trash_files()) == (5, {"wave0.dat": b"bytes"})
