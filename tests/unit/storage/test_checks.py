"""What can be wrong with drives."""

from pathlib import Path

from nualley.core import CheckState
from nualley.storage import Drive, DriveCheck, DriveUsage

DRIVE = Drive("data3", Path("/data3"))


def check(usage: DriveUsage) -> tuple[CheckState, str]:
    (found,) = DriveCheck(lambda: [usage])()
    assert found.name == "storage.drives.data3"
    return found.state, found.detail


def test_a_good_drive() -> None:
    state, detail = check(DriveUsage(DRIVE, 100, 50, 50, is_mounted=True, is_writable=True))
    assert state is CheckState.OK
    assert detail == "/data3 is filled to 50.0 % (limit 97 %), 50 B free"


def test_a_missing_drive() -> None:
    assert check(DriveUsage(DRIVE, error="nothing is mounted there")) == (
        CheckState.FAILED,
        "/data3 is missing: nothing is mounted there",
    )


def test_a_read_only_drive() -> None:
    state, detail = check(DriveUsage(DRIVE, 100, 50, 50, is_mounted=True))
    assert (state, detail) == (CheckState.FAILED, "/data3 cannot be written to")


def test_a_drive_over_its_limit() -> None:
    state, detail = check(DriveUsage(DRIVE, 1000, 986, 14, is_mounted=True, is_writable=True))
    assert state is CheckState.WARNING
    assert "filled to 98.6 % (limit 97 %)" in detail


def test_every_failure_says_what_to_do() -> None:
    usages = [DriveUsage(DRIVE), DriveUsage(DRIVE, 10, 5, 5, is_mounted=True)]
    usages.append(DriveUsage(DRIVE, 100, 99, 1, is_mounted=True, is_writable=True))
    assert all(found.do for found in DriveCheck(lambda: usages)())


def test_drives_on_one_file_system_are_told_on_one_line() -> None:
    names = ("data1", "data2", "data3")
    usages = [
        DriveUsage(
            Drive(name, Path("/", name)), 100, 50, 50, is_mounted=True, is_writable=True, device=1,
            shares_with=tuple(other for other in names if other != name),
        )
        for name in names
    ]  # fmt: skip
    (found,) = DriveCheck(lambda: usages)()
    assert (found.name, found.state) == ("storage.drives", CheckState.WARNING)
    assert found.detail == "data1, data2, data3 are on one file system, filled to 50.0 %: copies there count once"
