"""Where a file lies, and which drive takes it."""

import math
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from nualley.core import ExitCode
from nualley.storage import (
    Demand,
    Drive,
    DriveRole,
    DriveUsage,
    NoDriveFits,
    UnsafeName,
    choose_drive,
    place,
    placed_detector,
    separate,
)
from nualley.storage.settings import DEFAULT_REPLICA_PATH

TiB = 2**40


def usage(name: str, *, used_TiB: float, capacity_TiB: float = 100, **changes: object) -> DriveUsage:
    drive_changes = {key: changes.pop(key) for key in ("role", "limit_fraction") if key in changes}
    drive = Drive(name, Path(f"/{name}"), **drive_changes)  # type: ignore[arg-type]
    used_B, capacity_B = round(used_TiB * TiB), round(capacity_TiB * TiB)
    values = {"is_mounted": True, "is_writable": True} | changes
    return DriveUsage(drive, round(1.05 * capacity_B), used_B, capacity_B - used_B, **values)  # type: ignore[arg-type]


def choose(usages: Sequence[DriveUsage], size_B: int, role: DriveRole, exclude: Collection[str] = ()) -> Drive:
    return choose_drive(usages, Demand(size_B, (role, DriveRole.ANY)), exclude=exclude).drive


def test_the_most_free_drive_is_chosen() -> None:
    usages = [usage("data1", used_TiB=90), usage("data2", used_TiB=50), usage("data3", used_TiB=60)]
    assert choose(usages, TiB, DriveRole.RAW).name == "data2"
    assert choose(usages, TiB, DriveRole.RAW, exclude={"data2"}).name == "data3"


@pytest.mark.parametrize(
    "changes",
    [
        {"is_writable": False},
        {"is_mounted": False, "error": "no such directory", "is_writable": False},
        {"role": DriveRole.USER},
        {"limit_fraction": 0.5},
    ],
)
def test_a_drive_that_is_not_fit_is_passed_over(changes: dict[str, object]) -> None:
    usages = [usage("data1", used_TiB=50, **changes), usage("data2", used_TiB=90)]
    assert choose(usages, TiB, DriveRole.RAW).name == "data2"


def test_the_limit_holds_after_the_write() -> None:
    drives = [usage("data1", used_TiB=96, limit_fraction=0.97)]
    assert choose(drives, TiB, DriveRole.RAW).name == "data1"
    with pytest.raises(NoDriveFits):
        choose(drives, TiB + 2**30, DriveRole.RAW)


def test_the_role_has_to_fit_and_any_takes_all() -> None:
    drives = [usage("raw", used_TiB=1, role=DriveRole.RAW), usage("any", used_TiB=90)]
    assert choose(drives, TiB, DriveRole.PROCESSED).name == "any"
    with pytest.raises(NoDriveFits, match="raw is for raw data"):
        choose(drives[:1], TiB, DriveRole.PROCESSED)


def test_the_error_says_free_needed_limit_and_remedy() -> None:
    drives = [usage("data3", used_TiB=98.6, capacity_TiB=100), usage("data4", used_TiB=10, is_writable=False)]
    with pytest.raises(NoDriveFits) as caught:
        choose(drives, round(2.4 * TiB), DriveRole.RAW)
    error = caught.value
    assert error.what == "drive /data3 has 1.4 TiB free, 2.4 TiB are needed below its limit"
    assert error.where == "storage.drives.data3 (limit 97 %, now 98.6 %); data4 is read-only"
    assert error.do == "free 4.0 TiB on data3, raise its limit or add a drive in drives.toml"
    assert error.exit_code == ExitCode.FAILED


def test_the_error_names_every_drive_that_cannot_be_used() -> None:
    missing = DriveUsage(Drive("data1", Path("/data1")), error="No such file or directory")
    with pytest.raises(NoDriveFits, match=r"data1 is missing: No such file; data2 holds a copy, or") as caught:
        choose(
            [DriveUsage(missing.drive, error="No such file"), usage("data2", used_TiB=1)],
            TiB,
            DriveRole.RAW,
            exclude=["data2"],
        )
    assert "mount the one that is missing" in caught.value.do


def test_without_drives_there_is_an_error_too() -> None:
    with pytest.raises(NoDriveFits, match=r"no drive takes 1\.0 TiB of raw data"):
        choose([], TiB, DriveRole.RAW)


def test_capacity_is_used_and_available_never_the_size() -> None:
    found = usage("data1", used_TiB=95)
    assert found.capacity_B == 100 * TiB < found.size_B
    assert found.fill_fraction == pytest.approx(0.95)
    assert math.isnan(DriveUsage(found.drive).fill_fraction)
    assert math.isnan(DriveUsage(found.drive).fill_fraction_after(1))


DRIVE = Drive("data1", Path("/data1"))


def test_a_file_lies_where_the_template_says() -> None:
    found = place("{drive}/x-{run}/{detector}/{name}", DRIVE, detector="cenns-10", run=42, name="a{name}\n\udcff")
    assert found == Path("/data1/x-42/cenns-10/a{name}\n\udcff")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "../x", "a\0b"])
@pytest.mark.parametrize("key", ["detector", "run", "name"])
def test_a_name_that_would_lead_elsewhere_is_refused(key: str, name: str) -> None:
    words = {"detector": "cenns-10", "run": "42", "name": "wave0.dat", key: name}
    with pytest.raises(UnsafeName, match="cannot be a folder or file name") as caught:
        place(DEFAULT_REPLICA_PATH, DRIVE, **words)
    assert caught.value.what.startswith(key)


@pytest.mark.parametrize(
    ("path", "detector"),
    [
        ("/data1/cenns-10/raw/42/wave0.dat", "cenns-10"),
        ("/data1/buffer/raw/42/a\n.dat", "buffer"),
        ("/data1/cenns-10/raw/run42/wave0.dat", None),
        ("/data1/cenns-10/raw/42/deeper/wave0.dat", None),
        ("/data1/cenns-10/wave0.dat", None),
        ("/data2/cenns-10/raw/42/wave0.dat", None),
    ],
)
def test_what_lies_in_a_replica_s_place_is_told(path: str, detector: str | None) -> None:
    assert placed_detector(DEFAULT_REPLICA_PATH, DRIVE, Path(path)) == detector


def test_dots_and_joined_words_of_a_template_stand_for_themselves() -> None:
    template = "{drive}/v1.0/run-{run}/{detector}/{name}"
    assert placed_detector(template, DRIVE, Path("/data1/v1.0/run-42/hpge/a.dat")) == "hpge"
    assert placed_detector(template, DRIVE, Path("/data1/v1x0/run-42/hpge/a.dat")) is None


# ---------------------------------------------------------------- one device is one copy
def test_a_drive_on_the_device_of_one_that_holds_a_copy_is_not_chosen() -> None:
    usages = [
        usage("data1", used_TiB=10, shares_with=("data2",)),
        usage("data2", used_TiB=10, shares_with=("data1",)),
        usage("data3", used_TiB=90),
    ]
    assert choose(usages, TiB, DriveRole.RAW, exclude={"data1"}).name == "data3"
    assert [found.drive.name for found in separate(usages, {"data2"})] == ["data3"]
    with pytest.raises(NoDriveFits, match="data2 is on one device with data1"):
        choose(usages[:2], TiB, DriveRole.RAW, exclude={"data1"})
