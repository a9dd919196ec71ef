"""Which files lack copies, and where those would go."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nualley.catalog import ReplicaState
from nualley.ingest import RegisteredDrives
from nualley.replicas import (
    NotEnoughCopies,
    PlacementSettings,
    Placer,
    RemotePlace,
    ReplicasSettings,
    destination_of,
)
from nualley.testing.remotes import FolderRemote, SomeRemotes
from tests.unit.ingest.site import SeparateVolumes
from tests.unit.replicas.world import FOLDER, RUN, World

NAMES = ("data1", "data2", "data3")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, drives={name: tmp_path / name for name in NAMES}) as made:
        made.put("wave0.dat", b"abc")
        made.put("wave1.dat", b"defg")
        yield made


def placer(world: World, settings: ReplicasSettings | None = None) -> Placer:
    drives = RegisteredDrives(world.drives, SeparateVolumes(), world.catalog)
    return Placer(world.catalog, drives, settings or ReplicasSettings())


def copies(n_copies: int, **more: object) -> ReplicasSettings:
    return ReplicasSettings(placement={"raw": PlacementSettings(copies=n_copies, **more)})  # type: ignore[arg-type]


def test_raw_files_get_a_second_copy_and_then_are_content(world: World) -> None:
    plan = placer(world).plan([RUN.run_id])
    assert plan.n_lacking_by_stage == {"raw": 2}
    (placement,) = plan.placements
    assert (placement.source_drive, placement.n_files, placement.size_B) == ("data1", 2, 7)
    assert placement.run_ids == (RUN.run_id,)
    assert placement.drive in ("data2", "data3")
    usages = RegisteredDrives(world.drives, SeparateVolumes(), world.catalog).usages()
    source, destination = destination_of(placement, usages)
    assert (source, destination) == (world.source, world.folder / placement.drive / FOLDER)
    assert world.copy(source, destination).is_finished
    after = placer(world).plan([RUN.run_id])
    assert (after.placements, after.n_lacking_by_stage, after.problems) == ((), {}, ())


def test_three_copies_are_on_three_drives(world: World) -> None:
    plan = placer(world, copies(3)).plan([RUN.run_id])
    assert sorted(placement.drive for placement in plan.placements) == ["data2", "data3"]


def test_more_copies_than_drives_are_told(world: World) -> None:
    plan = placer(world, copies(4)).plan([RUN.run_id])
    assert len(plan.placements) == 2
    (problem,) = plan.problems
    assert isinstance(problem, NotEnoughCopies)
    assert "2 files of stage raw have fewer than 4 copies" in problem.what
    assert "holds a copy" in problem.what


def test_the_drive_that_has_files_of_the_directory_comes_first(world: World) -> None:
    world.copy(world.source / "wave0.dat", world.folder / "data3" / FOLDER)
    (placement,) = placer(world).plan([RUN.run_id]).placements
    assert (placement.drive, placement.n_files) == ("data3", 1)


def test_a_run_that_is_whole_on_two_drives_is_copied_from_one_of_them(world: World) -> None:
    """The record has its first file on ``data1`` for longer, its second one on ``data2``."""
    world.copy(world.source / "wave1.dat")
    for each in world.replicas_on("data1").values():
        if each.path.endswith("wave1.dat"):
            world.catalog.update_replica(each.replica_id, state=ReplicaState.DAMAGED)
    world.copy(world.source / "wave0.dat")
    plan = placer(world, copies(3)).plan([RUN.run_id])
    assert plan.n_lacking_by_stage == {"raw": 2}
    found = {(each.source_drive, each.drive, each.n_files) for each in plan.placements}
    assert found == {("data2", "data1", 1), ("data2", "data3", 2)}


def test_a_copy_that_is_damaged_is_none(world: World) -> None:
    world.copy()
    (replica,) = [each for path, each in world.replicas_on("data2").items() if path.endswith("wave0.dat")]
    world.catalog.update_replica(replica.replica_id, state=ReplicaState.DAMAGED)
    assert placer(world).plan([RUN.run_id]).n_lacking_by_stage == {"raw": 1}


def test_what_went_on_purpose_is_not_asked_for_again(world: World) -> None:
    world.copy()
    for path, replica in world.replicas_on("data1").items():
        if path.endswith("wave0.dat"):
            (other,) = [each for each in world.catalog.replicas(replica.file_id) if each.drive == "data2"]
            world.catalog.removals.remove(replica.replica_id, kept=[other.replica_id])
    assert placer(world).plan([RUN.run_id]).n_lacking_by_stage == {"raw": 1}, "one copy is left, two are wanted"
    world.catalog.removals.remove(other.replica_id, kept=[])
    assert placer(world).plan([RUN.run_id]).n_lacking_by_stage == {}


def test_a_tape_counts(world: World) -> None:
    for file in world.catalog.files(RUN.run_id):
        (replica,) = world.catalog.replicas(file.file_id)
        world.catalog.add_replica(
            file.file_id, type(replica)(drive="tape", path=replica.path, state=ReplicaState.VERIFIED, verified_ns=1)
        )
    assert placer(world).plan([RUN.run_id]).placements == ()


def test_files_without_a_copy_within_reach_are_told(world: World) -> None:
    (world.folder / "data1").rename(world.folder / "shelf")
    plan = placer(world).plan([RUN.run_id])
    assert plan.placements == ()
    assert "within reach" in plan.problems[0].what


def test_room_that_is_kept_free_is_kept(world: World) -> None:
    plan = placer(world, copies(2, keep_free="1000 PiB")).plan([RUN.run_id])
    assert plan.placements == ()
    assert "are kept" in plan.problems[0].what


def test_files_in_the_root_of_a_drive_are_not_copied_with_all_of_it(world: World) -> None:
    path = world.folder / "data1" / "loose.dat"
    path.write_bytes(b"loose")
    world.enter(path, "loose.dat")
    usages = RegisteredDrives(world.drives, SeparateVolumes(), world.catalog).usages()
    placements = placer(world).plan([RUN.run_id]).placements
    (loose,) = [each for each in placements if each.directory == str(world.folder / "data1")]
    with pytest.raises(NotEnoughCopies, match="lie in the root of drive data1"):
        destination_of(loose, usages)


# ---------------------------------------------------------------- remotes
def placer_with_remotes(world: World, settings: ReplicasSettings) -> Placer:
    drives = RegisteredDrives(world.drives, SeparateVolumes(), world.catalog)
    return Placer(world.catalog, drives, settings, ["nas", "site"])


def test_a_remote_that_is_named_gets_its_copy_first(world: World) -> None:
    there = FolderRemote("nas", world.folder / "nas")
    world.use(SomeRemotes(there))
    settings = copies(3, remotes=("nas",))
    plan = placer_with_remotes(world, settings).plan([RUN.run_id])
    assert plan.placements[0].drive == "nas"
    assert len(plan.placements) == 2
    usages = RegisteredDrives(world.drives, SeparateVolumes(), world.catalog).usages()
    for placement in plan.placements:
        source, destination = destination_of(placement, usages)
        assert world.service.work(world.service.begin(source, destination).transfer_id).is_finished
    assert sorted(path.name for path in (there.folder / FOLDER).iterdir()) == ["wave0.dat", "wave1.dat"]
    after = placer_with_remotes(world, settings).plan([RUN.run_id])
    assert (after.placements, after.n_lacking_by_stage) == ((), {}), "a copy on a remote counts"
    assert not placer_with_remotes(world, copies(2)).plan([RUN.run_id]).placements


def test_what_only_a_remote_has_comes_back(world: World) -> None:
    there = FolderRemote("nas", world.folder / "nas")
    world.use(SomeRemotes(there))
    assert world.copy(world.source, RemotePlace("nas", FOLDER)).is_finished
    for replica in world.replicas_on("data1").values():
        world.catalog.update_replica(replica.replica_id, state=ReplicaState.MISSING)
    plan = placer_with_remotes(world, copies(2, remotes=("nas", "site"))).plan([RUN.run_id])
    (placement,) = plan.placements
    assert (placement.source_drive, placement.directory) == ("nas", f"nas:/{FOLDER}")
    assert placement.drive.startswith("data"), "from one remote to another nothing is copied"
    usages = RegisteredDrives(world.drives, SeparateVolumes(), world.catalog).usages()
    source, destination = destination_of(placement, usages)
    assert source == RemotePlace("nas", FOLDER)
    report = world.service.work(world.service.begin(source, destination).transfer_id)
    assert report.is_finished, report.problems
    assert len(world.replicas_on(placement.drive)) >= 2
    assert not placer_with_remotes(world, copies(2)).plan([RUN.run_id]).placements
