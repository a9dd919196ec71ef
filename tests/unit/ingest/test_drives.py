"""Drives that are known again by their marker."""

import errno
from contextlib import ExitStack
from pathlib import Path

import pytest

from nualley.catalog.adapters.sql import SqlCatalog, open_catalog
from nualley.ingest import RegisteredDrives
from nualley.storage import MARKER_NAME, DestinationBusy, DestinationRefused, Drive, DriveMarker
from nualley.storage.adapters.posix import PosixFiles, PosixVolumes


class Refusing(PosixVolumes):
    """Volumes whose marker cannot be read when it is made."""

    def mark(self, path: Path, name: str) -> DriveMarker:
        raise OSError(errno.EIO, "Input/output error")


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    (tmp_path / "data1").mkdir()
    return Drive("data1", tmp_path / "data1")


def test_a_drive_is_registered_at_its_first_use_and_known_again(tmp_path: Path, drive: Drive) -> None:
    with open_catalog(tmp_path / "catalog.sqlite") as catalog:
        drives = RegisteredDrives([drive], PosixVolumes(), catalog)
        (usage,) = drives.usages()
        assert usage.is_mounted
        assert not (drive.path / MARKER_NAME).exists()  # to look is not to use
        for _ in range(2):
            drives.register(usage)
        assert drives.usages()[0].is_mounted
        assert catalog.drive_ids() == {"data1": PosixVolumes().mark(drive.path, "data1").drive_id}
        (drive.path / MARKER_NAME).unlink()
        (usage,) = drives.usages()
        assert usage.error == "it is not the drive that was registered: its marker .nualley-drive is missing"
        assert not usage.is_mounted


def test_a_marker_that_the_catalog_does_not_know_is_taken_over(tmp_path: Path, drive: Drive) -> None:
    marker = PosixVolumes().mark(drive.path, "its name elsewhere")
    with open_catalog(tmp_path / "catalog.sqlite") as catalog:
        drives = RegisteredDrives([drive], PosixVolumes(), catalog)
        drives.register(drives.usages()[0])
        assert catalog.drive_ids() == {"data1": marker.drive_id}


def test_who_marks_the_same_drive_at_once_is_waited_for(tmp_path: Path, drive: Drive) -> None:
    waits_s: list[float] = []
    with open_catalog(tmp_path / "catalog.sqlite") as catalog, ExitStack() as held:
        held.enter_context(PosixFiles().open_part(drive.path / MARKER_NAME))

        def other_is_done(wait_s: float) -> None:
            waits_s.append(wait_s)
            if len(waits_s) == 3:
                held.close()
                PosixVolumes().mark(drive.path, "data1")

        drives = RegisteredDrives([drive], PosixVolumes(), catalog, other_is_done)
        drives.register(drives.usages()[0])
        assert len(waits_s) == 3
        assert catalog.drive_ids() == {"data1": PosixVolumes().mark(drive.path, "data1").drive_id}


def test_who_marks_a_drive_for_ever_is_told(tmp_path: Path, drive: Drive) -> None:
    waits_s: list[float] = []
    with (
        open_catalog(tmp_path / "catalog.sqlite") as catalog,
        PosixFiles().open_part(drive.path / MARKER_NAME),
        pytest.raises(DestinationBusy, match="another process is writing"),
    ):
        drives = RegisteredDrives([drive], PosixVolumes(), catalog, waits_s.append)
        drives.register(drives.usages()[0])
    assert 1.0 <= sum(waits_s) <= 60.0


def test_a_drive_that_cannot_be_marked_is_refused(tmp_path: Path, drive: Drive) -> None:
    catalog: SqlCatalog
    with open_catalog(tmp_path / "catalog.sqlite") as catalog:
        drives = RegisteredDrives([drive], Refusing(), catalog)
        with pytest.raises(DestinationRefused, match="drive data1 cannot be marked: Input/output error"):
            drives.register(drives.usages()[0])
        assert catalog.drive_ids() == {}
