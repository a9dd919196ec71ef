"""How full the drives are."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from nualley.storage import Drive, DriveMarker, VolumeState, measure_drive, measure_drives

HERE = VolumeState(size_B=100, used_B=60, available_B=30, device=7, is_mount_point=False, is_writable=True)


class FakeVolumes:
    """Volumes by path; anything else is not there."""

    def __init__(self, states: dict[Path, VolumeState | OSError]) -> None:
        self.states = states

    def state(self, path: Path) -> VolumeState:
        found = self.states.get(path, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
        if isinstance(found, OSError):
            raise found
        return found

    def mark(self, path: Path, name: str) -> DriveMarker:
        raise NotImplementedError


def test_a_drive_is_measured() -> None:
    usage = measure_drive(Drive("d", Path("/d")), FakeVolumes({Path("/d"): HERE}))
    assert (usage.size_B, usage.used_B, usage.available_B, usage.capacity_B) == (100, 60, 30, 90)
    assert usage.fill_fraction == pytest.approx(60 / 90)
    assert usage.is_mounted
    assert usage.is_writable
    assert usage.device == 7
    assert usage.error == ""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, "No such file or directory"),
        (NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)), "Not a directory"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
        (OSError("no number"), "no number"),
    ],
)
def test_a_drive_that_does_not_answer_is_reported(error: OSError | None, text: str) -> None:
    states: dict[Path, VolumeState | OSError] = {} if error is None else {Path("/d"): error}
    usage = measure_drive(Drive("d", Path("/d")), FakeVolumes(states))
    assert (usage.is_mounted, usage.is_writable, usage.error) == (False, False, text)


def test_an_unmounted_drives_empty_folder_counts_as_missing() -> None:
    usage = measure_drive(Drive("d", Path("/d"), must_be_mounted=True), FakeVolumes({Path("/d"): HERE}))
    assert (usage.is_mounted, usage.is_writable, usage.error) == (False, False, "nothing is mounted there")


def test_all_drives_in_their_order() -> None:
    drives = [Drive("b", Path("/b")), Drive("a", Path("/a"))]
    usages = measure_drives(drives, FakeVolumes({Path("/a"): HERE}))
    assert [(usage.drive.name, usage.is_mounted) for usage in usages] == [("b", False), ("a", True)]


# ---------------------------------------------------------------- which drive it is
@pytest.mark.parametrize(
    ("marker", "id_by_name", "error"),
    [
        (None, {}, ""),
        (None, {"other": "i2"}, ""),
        (None, {"d": "i1"}, "it is not the drive that was registered: its marker .nualley-drive is missing"),
        (DriveMarker("d", "i1"), {"d": "i1"}, ""),
        (DriveMarker("old", "i1"), {}, ""),
        (
            DriveMarker("d", "i9"),
            {"d": "i1"},
            "it is not the drive that was registered: its marker .nualley-drive says d i9, expected i1",
        ),
        (DriveMarker("e", "i2"), {"e": "i2"}, "its marker .nualley-drive says that it is drive e"),
    ],
)
def test_a_drive_is_known_again_by_its_marker(
    marker: DriveMarker | None, id_by_name: dict[str, str], error: str
) -> None:
    volumes = FakeVolumes({Path("/d"): replace(HERE, marker=marker)})
    usage = measure_drive(Drive("d", Path("/d")), volumes, id_by_name)
    assert (usage.error, usage.is_mounted) == (error, not error)


def test_drives_on_one_device_name_each_other() -> None:
    volumes = FakeVolumes(
        {Path(f"/{name}"): replace(HERE, device=device) for name, device in {"a": 1, "b": 2, "c": 1}.items()}
    )
    usages = measure_drives([Drive(name, Path("/", name)) for name in "abcx"], volumes)
    assert [usage.shares_with for usage in usages] == [("c",), (), ("a",), ()]
