"""What is proposed, what goes by a plan, and what stays: each rule by itself, over real files and a real catalog."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nualley.catalog import Activity, FileRecord, Replica, ReplicaState
from nualley.core import DAY_NS, HOUR_NS, NualleyError, digest_file
from nualley.replicas import (
    ClockJumped,
    Ground,
    NotInTrash,
    ReclaimSettings,
    Removal,
    RemovalPlan,
    RemovalRefused,
    TransferStopped,
    TrashStage,
)
from nualley.replicas.judging import is_fresh
from nualley.storage import FileLook, VolumeState
from nualley.storage.adapters.posix import PosixVolumes
from nualley.testing.remotes import FolderRemote, SomeRemotes
from tests.unit.ingest.site import SeparateVolumes
from tests.unit.replicas.reclaim_world import ReclaimWorld
from tests.unit.replicas.world import DETECTOR, FOLDER, RUN


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ReclaimWorld]:
    with ReclaimWorld(tmp_path) as made:
        yield made


def grounds(world: ReclaimWorld, **words: object) -> list[tuple[str, str]]:
    found = world.propose(**words).plan.removals  # type: ignore[arg-type]  # as they came
    return [(str(each.ground), Path(each.path).name) for each in found]


def refusal(world: ReclaimWorld, plan: RemovalPlan) -> NualleyError:
    """Execute a plan of one file, which must stay, and return why."""
    (done,) = world.apply(plan)
    assert done.error is not None
    assert Path(done.removal.path).exists() or done.error.what
    assert world.trash_files() == {}
    return done.error


# ---------------------------------------------------------------- what is proposed
def test_one_of_two_copies_and_never_both(world: ReclaimWorld) -> None:
    world.put_copies("wave0.dat")
    found = world.propose()
    (removal,) = found.plan.removals
    assert (removal.ground, removal.drive, removal.run_id) == (Ground.COPIES, "data1", RUN.run_id)
    assert [each.drive for each in removal.elsewhere] == ["data2"]
    assert found.held_B_by_reason == {"needed: too few verified copies are elsewhere": 4}
    assert Path(removal.path).exists(), "nothing is touched"


def test_as_many_stay_as_the_placement_wants(tmp_path: Path) -> None:
    with ReclaimWorld(tmp_path, n_copies=2) as world:
        world.put_copies("two.dat")
        world.put_copies("three.dat", on=("data1", "data2", "data3"))
        assert grounds(world) == [("copies", "three.dat")]


def test_the_wanted_room_is_made_of_the_safest_and_largest_first(world: ReclaimWorld) -> None:
    world.put_copies("small.dat", b"x" * 100)
    world.put_copies("large.dat", b"x" * 1000)
    world.put_user("old.root", b"x" * 5000)
    assert grounds(world, free_B=1) == [("copies", "large.dat")]
    assert grounds(world, free_B=1001) == [("copies", "large.dat"), ("copies", "small.dat")]
    found = world.propose(free_B=10**9)
    assert [each.ground for each in found.plan.removals] == [Ground.COPIES, Ground.COPIES, Ground.STALE]
    assert found.available_B_by_ground == {Ground.COPIES: 1100, Ground.STALE: 5000}
    assert (found.plan.size_B, found.plan.single_B) == (6100, 5000)


def test_one_drive_alone(world: ReclaimWorld) -> None:
    world.put_copies("wave0.dat")
    world.put_user("old.root", drive="data3")
    assert {each.drive for each in world.propose(drive="data2").plan.removals} == {"data2"}
    assert grounds(world, drive="data3") == [("stale", "old.root")]


@pytest.mark.parametrize("state", [ReplicaState.UNVERIFIED, ReplicaState.DAMAGED, ReplicaState.MISSING])
def test_what_is_not_verified_neither_goes_nor_counts(world: ReclaimWorld, state: ReplicaState) -> None:
    world.put_copies("wave0.dat")
    world.catalog.update_replica(world.replica("wave0.dat", "data2").replica_id, state=state)
    assert grounds(world) == []


def test_a_run_in_a_frozen_selection_is_held(world: ReclaimWorld) -> None:
    world.put_copies("wave0.dat")
    world.frozen[RUN.run_id] = ["argon"]
    found = world.propose()
    assert found.plan.removals == ()
    assert found.held_B_by_reason == {"in a frozen selection": 8}


def test_what_a_transfer_is_about_is_held(world: ReclaimWorld) -> None:
    world.put_copies("wave0.dat")
    begun = world.service.begin(world.source, world.folder / "data3" / FOLDER)
    assert grounds(world, drive="data1") == []
    assert grounds(world, drive="data2") == [("copies", "wave0.dat")]
    world.service.work(begun.transfer_id)
    assert grounds(world, drive="data1") == [("copies", "wave0.dat")]


def test_what_is_not_as_record_or_scan_say_is_told_and_not_proposed(world: ReclaimWorld) -> None:
    world.put_copies("gone.dat")[0].unlink()
    world.put_copies("short.dat")[0].write_bytes(b"x")
    first = world.put_copies("linked.dat")[0]
    os.link(first, first.with_name("other-name"))
    found = world.propose(drive="data1")
    assert found.plan.removals == ()
    said = "\n".join(error.what for error in found.problems)
    assert "no file is there" in said
    assert "another file than record or scan say" in said
    assert "it has 2 names: nothing becomes free" in said


# ---------------------------------------------------------------- on remotes
@pytest.fixture
def far(tmp_path: Path) -> Iterator[ReclaimWorld]:
    """Drives, and two remotes."""
    remotes = []
    for name in ("nas", "tape"):
        folder = tmp_path / "far" / name
        folder.mkdir(parents=True)
        remotes.append(FolderRemote(name, folder))
    with ReclaimWorld(tmp_path, remotes=SomeRemotes(*remotes), n_copies=2) as made:
        yield made


def test_a_copy_on_a_drive_and_one_on_a_remote_are_two(far: ReclaimWorld) -> None:
    far.put_copies("wave0.dat")
    far.put_remote("wave0.dat")
    (removal,) = far.propose().plan.removals
    assert [each.drive for each in removal.elsewhere] == ["data2", "nas"]
    assert [each.error for each in far.apply()] == [None]
    assert far.propose().plan.removals == (), "two of two are left"


def test_two_remotes_are_two_homes_unless_they_are_one_place(far: ReclaimWorld, tmp_path: Path) -> None:
    far.put_remote("wave0.dat", remotes=("nas", "tape"))
    plan = far.propose().plan
    assert [each.drive for each in plan.removals[0].elsewhere] == ["nas", "tape"]
    far.remotes.open("tape").folder = far.remotes.open("nas").folder  # type: ignore[attr-defined]  # of a test
    assert "1 verified replicas of it are on other devices that are there, 2 are needed" in refusal(far, plan).what
    far.remotes.open("tape").folder = tmp_path / "far" / "tape"  # type: ignore[attr-defined]  # of a test
    assert [each.error for each in far.apply(plan)] == [None]


def test_a_remote_that_is_the_drive_itself_costs_nothing(tmp_path: Path) -> None:
    """Nobody can tell that a server serves this very drive; in the trash the file has no other home, and stays."""
    remotes = SomeRemotes(FolderRemote("nas", tmp_path / "data1"))
    with ReclaimWorld(tmp_path, remotes=remotes) as world:
        path = world.put("wave0.dat", b"bytes")
        (file,) = world.catalog.files(RUN.run_id)
        now_ns = world.clock.now_ns()
        where = f"nas:/{FOLDER}/wave0.dat"
        world.catalog.add_replica(
            file.file_id, Replica(drive="nas", path=where, state=ReplicaState.VERIFIED, verified_ns=now_ns)
        )
        assert [each.error for each in world.apply()] == [None]
        world.set_clock.passes(15 * DAY_NS)
        (done,) = world.reclaimer.empty()
        assert isinstance(done.error, RemovalRefused)
        assert world.trash_files() == {"wave0.dat": b"bytes"}
        assert [each.error for each in world.reclaimer.restore(["1"])] == [None]
        assert path.read_bytes() == b"bytes"


@pytest.mark.parametrize("there", [b"bytes", b"other"])
def test_a_remote_that_is_called_after_a_drive_is_read_before_it_counts(tmp_path: Path, there: bytes) -> None:
    """Replicas are recorded below their drive as on a remote: proofs of the drive are none of the remote."""
    folder = tmp_path / "far"
    far = folder / FOLDER / "wave0.dat"
    far.parent.mkdir(parents=True)
    far.write_bytes(there)
    drives, remotes = {"data1": tmp_path / "data1"}, SomeRemotes(FolderRemote("data2", folder))
    believing = ReclaimSettings(remote_proof="30d")
    with ReclaimWorld(tmp_path, drives=drives, remotes=remotes, reclaim=believing) as world:
        path = world.put("wave0.dat", b"bytes")
        (file,) = world.catalog.files(RUN.run_id)
        world.catalog.register_drive("data2", "an id")
        where, now_ns = f"data2:/{FOLDER}/wave0.dat", world.clock.now_ns()
        world.catalog.add_replica(
            file.file_id, Replica(drive="data2", path=where, state=ReplicaState.VERIFIED, verified_ns=now_ns)
        )
        (done,) = world.apply()
        assert (done.error is None) == (there == b"bytes")
        assert path.exists() == (there != b"bytes")


def test_a_replica_of_a_remote_that_nobody_names_any_more_counts_nothing(far: ReclaimWorld, tmp_path: Path) -> None:
    far.put_remote("wave0.dat", remotes=("nas", "tape"))
    plan = far.propose().plan
    with ReclaimWorld(tmp_path) as world:
        assert world.propose().plan.removals == ()
        assert "0 verified replicas of it" in refusal(world, plan).what


# ---------------------------------------------------------------- made again
def derived(world: ReclaimWorld, name: str = "hits.parquet", *, inputs: tuple[str, ...] | None = None) -> Path:
    """Make a derived file on ``data1``, by an activity of 90 s."""
    world.put("wave0.dat", b"raw")
    path = world.source / name
    path.write_bytes(b"hits")
    found = digest_file(path)
    record = FileRecord(
        run_id=RUN.run_id,
        detector=DETECTOR,
        name=name,
        format="parquet",
        stage="hit",
        size_B=found.size_B,
        xxh3_128=found.xxh3_128,
        adler32=found.adler32,
    )
    replica = Replica(
        drive="data1", path=os.fspath(path), state=ReplicaState.VERIFIED, verified_ns=world.clock.now_ns()
    )
    world.catalog.add_file(RUN, record, replicas=[replica])
    now_ns = world.clock.now_ns()
    activity = Activity(
        kind="process",
        inputs=(f"file:{RUN.run_id}/wave0.dat",) if inputs is None else inputs,
        outputs=(f"file:{RUN.run_id}/{name}",),
        code="nualley 0.1.0",
        start_ns=now_ns - 90 * 10**9,
        stop_ns=now_ns,
    )
    world.catalog.add_activity(activity)
    return path


def test_what_can_be_made_again_is_proposed_with_its_price(world: ReclaimWorld) -> None:
    path = derived(world)
    (removal,) = world.propose().plan.removals
    assert (removal.ground, removal.cost_s, removal.elsewhere) == (Ground.DERIVABLE, 90.0, ())
    assert removal.derived_by == "process 1 with nualley 0.1.0"
    assert [each.error for each in world.apply()] == [None]
    assert not path.exists()
    assert (world.source / "wave0.dat").exists(), "raw data are made by nothing"


@pytest.mark.parametrize("lost", ["input", "unknown input", "no input", "other kind"])
def test_what_cannot_be_made_again_stays(world: ReclaimWorld, lost: str) -> None:
    inputs = {"unknown input": ("/drop/a",), "no input": ()}.get(lost)
    derived(world, inputs=inputs)
    if lost == "input":
        world.catalog.update_replica(world.replica("wave0.dat", "data1").replica_id, state=ReplicaState.DAMAGED)
    if lost == "other kind":
        path = derived(world, "copied.parquet", inputs=())
        assert path.exists()
    found = [each for each in world.propose().plan.removals if each.path.endswith("copied.parquet")]
    assert found == []
    if lost != "other kind":
        assert grounds(world) == []


def test_an_input_that_went_since_keeps_what_was_made_of_it(world: ReclaimWorld) -> None:
    derived(world)
    plan = world.propose().plan
    world.catalog.update_replica(world.replica("wave0.dat", "data1").replica_id, state=ReplicaState.MISSING)
    assert "nothing on record could make it again" in refusal(world, plan).what


def test_a_frozen_run_keeps_what_was_made_of_it(world: ReclaimWorld) -> None:
    derived(world)
    plan = world.propose().plan
    world.frozen[RUN.run_id] = ["argon"]
    assert "frozen selection argon" in refusal(world, plan).what


def test_what_can_no_longer_be_made_again_or_was_frozen_is_not_deleted(world: ReclaimWorld) -> None:
    derived(world)
    world.apply()
    world.set_clock.passes(15 * DAY_NS)
    world.frozen[RUN.run_id] = ["argon"]
    (done,) = world.reclaimer.empty()
    assert done.error is not None
    assert "frozen selection argon" in done.error.what
    world.frozen.clear()
    number = world.replica("wave0.dat", "data1").replica_id
    world.catalog.update_replica(number, state=ReplicaState.DAMAGED)
    (done,) = world.reclaimer.empty()
    assert done.error is not None
    assert world.trash_files() == {"hits.parquet": b"hits"}
    world.catalog.update_replica(number, state=ReplicaState.VERIFIED)
    assert [each.error for each in world.reclaimer.empty()] == [None]


# ---------------------------------------------------------------- what changed since
def test_a_file_that_went_is_in_the_trash_and_no_replica(world: ReclaimWorld) -> None:
    path = world.put_copies("wave0.dat", b"bytes")[0]
    (done,) = world.apply()
    assert done.error is None
    assert not path.exists()
    assert world.trash_files() == {"wave0.dat": b"bytes"}
    assert world.replica("wave0.dat", "data1").state is ReplicaState.REMOVED
    (activity,) = [each for each in world.catalog.activities(os.fspath(path)) if each.kind == "reclaim"]
    (item,) = world.in_trash()
    assert activity.outputs == (item.trash,)
    assert f"plan:{item.plan_id}" in activity.inputs


CHANGES = {
    "written": lambda path: path.write_bytes(b"DATA"),
    "grown": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "touched": lambda path: os.utime(path, ns=(1, 1)),
    "attributes": lambda path: path.chmod(0o600),
    "replaced": lambda path: (path.with_name("x").write_bytes(b"data"), path.with_name("x").replace(path)),
    "gone": lambda path: path.unlink(),
    "a link": lambda path: (path.rename(path.with_name("y")), path.symlink_to("y")),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "two names": lambda path: os.link(path, path.with_name("z")),
}


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("ground", ["copies", "stale"])
def test_what_changed_since_the_plan_stays(world: ReclaimWorld, how: str, ground: str) -> None:
    path = world.put_copies("wave0.dat")[0] if ground == "copies" else world.put_user("old.root", b"data")
    plan = world.propose(drive="data1").plan
    assert [each.ground for each in plan.removals] == [ground]
    CHANGES[how](path)  # type: ignore[no-untyped-call]  # one of those above
    error = refusal(world, plan)
    assert isinstance(error, RemovalRefused)
    assert os.path.lexists(path) == (how != "gone")
    if ground == "copies":
        assert (world.folder / "data2" / FOLDER / "wave0.dat").read_bytes() == b"data"


def test_a_file_that_is_changed_under_the_date_of_its_proof_is_read(world: ReclaimWorld) -> None:
    """Size and time are as they were: only its bytes tell, and they are read for its inode changed."""
    path = world.put_copies("wave0.dat")[0]
    found = path.stat()
    path.write_bytes(b"DATA")
    os.utime(path, ns=(found.st_mtime_ns, found.st_mtime_ns))
    plan = world.propose(drive="data1").plan
    assert len(plan.removals) == 1
    assert "does not hold what was written" in refusal(world, plan).what
    assert world.replica("wave0.dat", "data1").state is ReplicaState.DAMAGED


@pytest.mark.parametrize("loss", ["rotten", "gone", "short", "the same file", "damaged", "away"])
def test_a_copy_elsewhere_that_is_none_keeps_the_other(world: ReclaimWorld, loss: str) -> None:
    first, other = world.put_copies("wave0.dat")
    plan = world.propose(drive="data1").plan
    if loss == "rotten":
        other.write_bytes(b"dada")
    elif loss == "gone":
        other.unlink()
    elif loss == "short":
        other.write_bytes(b"d")
    elif loss == "the same file":
        other.unlink()
        os.link(first, other)
        plan = replace(plan, removals=(replace(plan.removals[0], ctime_ns=first.stat().st_ctime_ns),))
    elif loss == "damaged":
        world.catalog.update_replica(world.replica("wave0.dat", "data2").replica_id, state=ReplicaState.DAMAGED)
    else:
        world.away.add("data2")
        other.parent.parent.parent.parent.joinpath(".nualley-drive").unlink(missing_ok=True)
        world.folder.joinpath("data2").rename(world.folder / "elsewhere")
    error = refusal(world, plan)
    assert "0 verified replicas of it are on other devices that are there, 1 are needed" in error.what
    assert first.read_bytes() == b"data"


def test_copies_on_one_device_are_one(world: ReclaimWorld, tmp_path: Path) -> None:
    first = world.put_copies("wave0.dat", on=("data1", "data2", "data3"))[0]
    plan = world.propose(drive="data1").plan
    assert len(plan.removals) == 1
    with ReclaimWorld(tmp_path, volumes=PosixVolumes()) as shared:
        assert shared.propose().plan.removals == ()
        assert "0 verified replicas of it are on other devices" in refusal(shared, plan).what
    assert first.exists()


@pytest.mark.parametrize("leads", ["to another drive", "outside"])
def test_a_replica_that_a_link_leads_away_from_its_drive_is_no_copy_there(tmp_path: Path, leads: str) -> None:
    with ReclaimWorld(tmp_path, n_copies=2) as world:
        first, second, third = world.put_copies("wave0.dat", on=("data1", "data2", "data3"))
        plan = world.propose(drive="data1").plan
        assert len(plan.removals) == 1
        # somebody made room: the folder went to another disk, and a link is in its place
        away = tmp_path / ("data3/moved" if leads == "to another drive" else "elsewhere")
        second.parent.rename(away)
        second.parent.symlink_to(away)
        assert second.read_bytes() == third.read_bytes()
        assert "1 verified replicas of it are on other devices that are there, 2 are" in refusal(world, plan).what
        assert first.exists()


def test_two_copies_on_one_other_device_are_one(tmp_path: Path) -> None:
    class OneDevice(SeparateVolumes):
        """Volumes of which ``data2`` and ``data3`` are one device."""

        def state(self, path: Path) -> VolumeState:
            return replace(super().state(path), device=1 if path.name == "data1" else 2)

    with ReclaimWorld(tmp_path, n_copies=2) as world:
        world.put_copies("wave0.dat", on=("data1", "data2", "data3"))
        plan = world.propose(drive="data1").plan
        assert len(plan.removals) == 1
    with ReclaimWorld(tmp_path, n_copies=2, volumes=OneDevice()) as shared:
        assert shared.propose().plan.removals == ()
        assert "1 verified replicas of it are on other devices that are there, 2 are" in refusal(shared, plan).what


def test_a_proof_of_the_time_to_come_proves_nothing() -> None:
    look = FileLook(1, 1, 10, 100, 100)
    assert is_fresh(200, look, 250, 100)
    assert not is_fresh(300, look, 250, 100), "the clock went back since"
    assert not is_fresh(99, look, 150, 100), "it changed since"
    assert not is_fresh(200, look, 300, 100), "too old"
    assert not is_fresh(None, look, 250, 100)


def test_a_proof_is_read_again_when_it_is_old_and_believed_while_it_is_young(tmp_path: Path) -> None:
    with ReclaimWorld(tmp_path, reclaim=ReclaimSettings(proof="10d")) as world:
        world.put_copies("wave0.dat")
        world.set_clock.passes(9 * DAY_NS)
        before = world.replica("wave0.dat", "data2").verified_ns
        world.apply(drive="data1")
        assert world.replica("wave0.dat", "data2").verified_ns == before
        world.put_copies("wave1.dat")
        world.set_clock.passes(11 * DAY_NS)
        before = world.replica("wave1.dat", "data2").verified_ns
        assert before is not None
        (done,) = world.apply(drive="data1")
        assert done.error is None
        assert (world.replica("wave1.dat", "data2").verified_ns or 0) > before


@pytest.mark.parametrize("change", [{"file_id": 2}, {"replica_id": 2}, {"xxh3_128": "0" * 32}, {"run_id": "hpge-43"}])
def test_a_list_that_is_wrong_is_not_believed(world: ReclaimWorld, change: dict[str, object]) -> None:
    world.put_copies("wave0.dat")
    world.put_copies("wave1.dat", b"else", on=("data1",))
    (removal,) = world.propose(drive="data1").plan.removals
    plan = RemovalPlan(
        plan_id="p",
        experiment="e",
        created_ns=1,
        removals=(replace(removal, **change),),  # type: ignore[arg-type]
    )
    refusal(world, plan)


def test_a_run_that_was_frozen_and_a_transfer_that_was_begun_since_keep_it(world: ReclaimWorld) -> None:
    world.put_copies("wave0.dat")
    plan = world.propose(drive="data1").plan
    world.frozen[RUN.run_id] = ["argon", "veto"]
    assert "its run is in the frozen selection argon, veto" in refusal(world, plan).what
    world.frozen.clear()
    world.service.begin(world.source, world.folder / "data3" / FOLDER)
    assert "a transfer that is not finished" in refusal(world, plan).what


def test_a_list_of_other_files_is_not_believed(world: ReclaimWorld) -> None:
    """The only copy, under the numbers of a file that could go."""
    world.put_copies("wave0.dat")
    only = world.put_copies("only.dat", b"only", on=("data1",))[0]
    (removal,) = world.propose(drive="data1").plan.removals
    found = only.stat()
    wrong = replace(
        removal,
        path=os.fspath(only),
        mtime_ns=found.st_mtime_ns,
        ctime_ns=found.st_ctime_ns,
        inode=found.st_ino,
    )
    own = replace(removal, ground=Ground.PURGE)
    assert "no plan of a person" in refusal(world, replace(world.propose(drive="data1").plan, removals=(own,))).what
    wrongs = [wrong, replace(wrong, ground=Ground.STALE), replace(wrong, ground=Ground.DERIVABLE, file_id=2)]
    for each in [*wrongs, replace(wrong, ground=Ground.PURGE), replace(wrong, ground=Ground.DERIVABLE)]:
        refusal(world, RemovalPlan(plan_id="p", experiment="e", created_ns=1, removals=(each,)))
    assert only.read_bytes() == b"only"


# ---------------------------------------------------------------- files of users
def test_a_file_of_a_user_goes_when_nobody_wrote_to_it_for_long(world: ReclaimWorld) -> None:
    world.put_user("old.root")
    world.put_user("young.root", age_ns=364 * DAY_NS)
    (removal,) = world.propose().plan.removals
    assert (removal.owner, removal.elsewhere, Path(removal.path).name) == ("ada", (), "old.root")
    assert [each.error for each in world.apply()] == [None]
    assert world.trash_files() == {"old.root": b"mine"}


def stale(path: Path, drive: str = "data1") -> RemovalPlan:
    found = path.stat()
    removal = Removal(
        ground=Ground.STALE,
        drive=drive,
        path=os.fspath(path),
        size_B=found.st_size,
        mtime_ns=found.st_mtime_ns,
        ctime_ns=found.st_ctime_ns,
        inode=found.st_ino,
    )
    return RemovalPlan(plan_id="p", experiment="e", created_ns=1, removals=(removal,))


def test_one_of_two_names_frees_nothing_and_stays(world: ReclaimWorld) -> None:
    old = world.put_user("old.root")
    os.link(old, old.with_name("kept.root"))
    assert "has 2 names: nothing becomes free" in refusal(world, stale(old)).what


def test_a_young_file_and_one_of_nobody_stay_whatever_the_list_says(world: ReclaimWorld) -> None:
    young = world.put_user("young.root", age_ns=HOUR_NS)
    assert "written to 1 h" in refusal(world, stale(young)).what
    nobodys = world.folder / "data1" / "left" / "a"
    nobodys.parent.mkdir()
    nobodys.write_bytes(b"x")
    os.utime(nobodys, ns=(1, 1))
    assert "no file of a user" in refusal(world, stale(nobodys)).what
    old = world.put_user("old.root")
    assert "does not lie on data2" in refusal(world, stale(old, "data2")).what
    assert "drive data9 is not there" in refusal(world, stale(old, "data9")).what
    world.enter(old, "old.root")
    assert "the catalog knows it" in refusal(world, stale(old)).what


@pytest.mark.parametrize("by_ns", [-400 * DAY_NS, 400 * DAY_NS])
def test_no_age_is_known_after_the_clock_jumped(world: ReclaimWorld, by_ns: int) -> None:
    """A clock that is ahead makes every file old."""
    world.put_copies("wave0.dat")
    world.put_user("young.root", age_ns=HOUR_NS)
    plan = world.propose().plan
    world.set_clock.jumps(by_ns)
    with pytest.raises(ClockJumped):
        world.apply(plan)
    assert world.trash_files() == {}


# ---------------------------------------------------------------- back, and for good
def test_back_in_its_place_and_a_replica_again(world: ReclaimWorld) -> None:
    path = world.put_copies("wave0.dat", b"bytes")[0]
    before = world.replica("wave0.dat", "data1")
    inode = path.stat().st_ino
    world.apply()
    path.parent.rmdir()
    (done,) = world.reclaimer.restore([os.fspath(path)])
    assert done.error is None
    assert (path.read_bytes(), path.stat().st_ino) == (b"bytes", inode)
    assert world.replica("wave0.dat", "data1") == before
    assert world.trash_files() == {}
    assert world.in_trash() == []


def test_what_took_its_place_is_never_overwritten(world: ReclaimWorld) -> None:
    path = world.put_copies("wave0.dat", b"bytes")[0]
    world.apply()
    path.write_bytes(b"new")
    (done,) = world.reclaimer.restore(["1"])
    assert done.error is not None
    assert "File exists" in done.error.what
    assert (path.read_bytes(), world.trash_files()) == (b"new", {"wave0.dat": b"bytes"})
    assert world.replica("wave0.dat", "data1").state is ReplicaState.REMOVED
    path.unlink()
    assert [each.error for each in world.reclaimer.restore(["1"])] == [None]


def test_the_trash_of_a_drive_that_is_away_is_not_called_changed(world: ReclaimWorld, tmp_path: Path) -> None:
    path = world.put_copies("wave0.dat", b"bytes")[0]
    world.apply()
    drive = tmp_path / "data1"
    drive.rename(tmp_path / "shelf")
    (done,) = world.reclaimer.restore(["1"])
    assert done.error is not None
    assert done.error.what.endswith("cannot be looked at: data1 is not there")
    assert "mount it" in done.error.do
    (tmp_path / "shelf").rename(drive)
    assert [each.error for each in world.reclaimer.restore(["1"])] == [None]
    assert path.read_bytes() == b"bytes"


def test_words_for_the_trash(world: ReclaimWorld) -> None:
    for name in ("a", "b"):
        world.put_copies(name)
    plan = world.propose(drive="data1").plan
    world.apply(plan)
    with pytest.raises(NotInTrash, match="nothing in the trash is called '9'"):
        list(world.reclaimer.restore(["1", "9"]))
    assert len(world.trash_files()) == 2, "nothing was touched before all was understood"
    assert len(list(world.reclaimer.restore([plan.plan_id]))) == 2


def test_for_good_only_after_its_time(world: ReclaimWorld) -> None:
    world.put_copies("wave0.dat")
    world.put_user("old.root")
    world.apply(drive="data1")
    world.set_clock.passes(13 * DAY_NS)
    assert list(world.reclaimer.empty()) == []
    assert len(world.trash_files()) == 2
    world.set_clock.passes(2 * DAY_NS)
    assert [each.error for each in world.reclaimer.empty()] == [None, None]
    assert world.trash_files() == {}
    assert [each.stage for each in world.trash.items()] == [TrashStage.DELETED] * 2
    assert world.replica("wave0.dat", "data1").state is ReplicaState.REMOVED


@pytest.mark.parametrize("by_ns", [-400 * DAY_NS, 400 * DAY_NS])
def test_nothing_is_deleted_after_the_clock_jumped(world: ReclaimWorld, by_ns: int) -> None:
    world.put_user("old.root")
    world.apply()
    world.set_clock.jumps(by_ns)
    with pytest.raises(ClockJumped):
        list(world.reclaimer.empty())
    assert world.trash_files() == {"old.root": b"mine"}


@pytest.mark.parametrize("loss", ["rotten", "gone"])
def test_what_has_lost_its_second_home_meanwhile_is_not_deleted(world: ReclaimWorld, loss: str) -> None:
    path, other = world.put_copies("wave0.dat", b"bytes")
    world.apply(drive="data1")
    if loss == "rotten":
        other.write_bytes(b"byteS")
    else:
        other.unlink()
    world.set_clock.passes(15 * DAY_NS)
    (done,) = world.reclaimer.empty()
    assert done.error is not None
    assert world.trash_files() == {"wave0.dat": b"bytes"}
    assert [each.error for each in world.reclaimer.restore(["1"])] == [None]
    assert path.read_bytes() == b"bytes"


def test_what_was_changed_in_the_trash_is_neither_deleted_nor_put_back(world: ReclaimWorld) -> None:
    world.put_user("old.root")
    world.apply()
    (item,) = world.in_trash()
    Path(item.trash).write_bytes(b"changed")
    world.set_clock.passes(15 * DAY_NS)
    for done in (*world.reclaimer.empty(), *world.reclaimer.restore(["1"])):
        assert done.error is not None
        assert "is not the file that went to the trash" in done.error.what
    assert world.trash_files() == {"old.root": b"changed"}


def test_a_stop_keeps_what_went(world: ReclaimWorld) -> None:
    for name in ("a", "b"):
        world.put_user(name)
    plan, calls = world.propose().plan, iter([False, True])
    with pytest.raises(TransferStopped):
        list(world.reclaimer.apply(plan, should_stop=lambda: next(calls)))
    assert len(world.trash_files()) == 1
    assert [each.error is None for each in world.apply(plan)] == [False, True]


def test_names_of_any_bytes_go_and_come_back(world: ReclaimWorld) -> None:
    names = [os.fsdecode(b"\xff\n x" + b"y" * 240), "-rf *", "a" * 255]
    paths = [world.put_user(name) for name in names]
    assert [each.error for each in world.apply()] == [None] * 3
    assert not any(path.exists() for path in paths)
    assert [each.error for each in world.reclaimer.restore(["1", "2", "3"])] == [None] * 3
    assert all(path.read_bytes() == b"mine" for path in paths)
