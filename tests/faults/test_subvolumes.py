"""Subvolumes of one btrfs are one device: a copy on each of them is one copy."""

import subprocess
from pathlib import Path

import pytest

from nualley.core import DAY_NS, device_of
from nualley.replicas import RemovalRefused
from nualley.replicas.adapters.trees import PosixTrees
from nualley.storage.adapters.posix import PosixVolumes
from tests.faults.conftest import SmallDrives
from tests.unit.replicas.reclaim_world import ReclaimWorld

pytestmark = pytest.mark.fault


@pytest.fixture
def subvolumes(small_drives: SmallDrives) -> dict[str, Path]:
    """Return two subvolumes of one btrfs, and the root of another."""
    first, other = small_drives.mount_btrfs("first"), small_drives.mount_btrfs("other")
    paths = {name: first / name for name in ("data1", "data2")}
    for path in paths.values():
        subprocess.run(["btrfs", "subvolume", "create", str(path)], check=True, capture_output=True)
    return {**paths, "data3": other}


def test_subvolumes_of_one_file_system_are_one_device(subvolumes: dict[str, Path]) -> None:
    one, two, other = subvolumes.values()
    assert one.stat().st_dev != two.stat().st_dev, "the kernel calls them two"
    assert device_of(one) == device_of(two) == device_of(one.parent) != device_of(other)
    (two / "file").write_bytes(b"x")
    assert device_of(two / "file") == device_of(two)
    assert PosixVolumes().state(one).device == PosixVolumes().state(two).device != PosixVolumes().state(other).device
    assert PosixTrees().device(one / "not" / "there") == device_of(two)


def test_copies_on_two_subvolumes_are_one(tmp_path: Path, subvolumes: dict[str, Path]) -> None:
    with ReclaimWorld(tmp_path, drives=subvolumes, volumes=PosixVolumes()) as world:
        world.put_on("wave0.dat", b"data", subvolumes["data1"], "data1")
        world.put_on("wave0.dat", b"data", subvolumes["data2"], "data2")
        assert world.propose().plan.removals == ()
        world.put_on("wave0.dat", b"data", subvolumes["data3"], "data3")
        plan = world.propose().plan
        assert len(plan.removals) == 2, "both, because of the third one"
        (subvolumes["data3"] / "wave0.dat").unlink()
        for done in world.apply(plan):
            assert isinstance(done.error, RemovalRefused)
        assert (subvolumes["data1"] / "wave0.dat").read_bytes() == b"data"


def test_a_drop_directory_on_a_subvolume_rests_on_no_drive_beside_it(
    tmp_path: Path, subvolumes: dict[str, Path]
) -> None:
    with ReclaimWorld(tmp_path, drives=subvolumes, volumes=PosixVolumes()) as world:
        drop = subvolumes["data1"].parent / "drop"
        subprocess.run(["btrfs", "subvolume", "create", str(drop)], check=True, capture_output=True)
        world.drop = drop
        for name in ("data1", "data3"):
            world.put_on("wave0.dat", b"raw", subvolumes[name], name)
        world.leave_in_drop("wave0.dat", b"raw")
        world.end_run(world.clock.now_ns())
        world.purge_once()
        report = world.watch(8 * DAY_NS)
        assert (report.n_due, report.n_moved) == (1, 0)
        assert "1 verified replicas of it are on other devices" in report.problems[0]
        assert (drop / "wave0.dat").exists()
