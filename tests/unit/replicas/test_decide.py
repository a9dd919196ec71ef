"""What is still to be copied, how many copies there are, and which drive is next."""

from pathlib import Path

import pytest

from nualley.catalog import CopyState, Replica, ReplicaState, TransferFile
from nualley.core import UsageError
from nualley.replicas import Listing, PlacementSettings, Policy, Refused, ReplicasSettings, Seen, count_copies
from nualley.replicas.decide import choose_folders, is_in, pause_s, reconcile
from nualley.replicas.models import HeldFile
from nualley.storage import Demand, Drive, DriveRole, DriveUsage, NoDriveFits, choose_drive

SEEN = Seen("a", 1, 2, 3)


def row(path: str = "a", state: CopyState = CopyState.QUEUED, **changes: int) -> TransferFile:
    return TransferFile(path=path, state=state, **({"size_B": 1, "mtime_ns": 2, "inode": 3} | changes))


def listing(*files: Seen, unreadable: tuple[str, ...] = ()) -> Listing:
    return Listing(Path("/s"), files, tuple(Refused(path, "closed") for path in unreadable))


def test_a_list_that_agrees_has_no_difference() -> None:
    found = reconcile([row(), row("b", CopyState.CATALOGUED)], listing(SEEN, Seen("b", 1, 2, 3)))
    assert (found.queued, found.gone) == ((), ())


@pytest.mark.parametrize("change", [{"size_B": 9}, {"mtime_ns": 9}, {"inode": 9}])
@pytest.mark.parametrize("state", CopyState)
def test_what_was_written_to_is_queued_again_whatever_was_done_with_it(
    change: dict[str, int], state: CopyState
) -> None:
    (again,) = reconcile([row(state=state, **change)], listing(SEEN)).queued
    assert (again.path, again.size_B, again.mtime_ns, again.inode, again.state) == ("a", 1, 2, 3, CopyState.QUEUED)
    assert again.digests is None


def test_what_the_list_lacks_is_queued_and_what_is_gone_is_told_unless_it_was_copied() -> None:
    found = reconcile([row("b"), row("c", CopyState.CATALOGUED), row("d", CopyState.PUBLISHED)], listing(SEEN))
    assert [file.path for file in found.queued] == ["a"]
    assert [file.path for file in found.gone] == ["b", "d"]


@pytest.mark.parametrize(("folder", "paths"), [("", []), ("sub", ["b"]), ("su", ["b", "sub/a"])])
def test_of_a_folder_that_was_not_seen_nothing_is_said(folder: str, paths: list[str]) -> None:
    found = reconcile([row("b"), row("sub/a")], listing(unreadable=(folder,)))
    assert [file.path for file in found.gone] == paths


def test_a_path_is_in_a_folder_only_by_whole_names() -> None:
    assert is_in("/a/b", "/a")
    assert is_in("/a", "/a")
    assert not is_in("/ab", "/a")


def test_the_rate_is_over_all_since_the_start() -> None:
    assert pause_s(1000, 4.0, 100) == 6.0
    assert pause_s(1000, 20.0, 100) == 0.0


# ---------------------------------------------------------------- copies and places
def usage(name: str, **changes: object) -> DriveUsage:
    role = changes.pop("role", DriveRole.RAW)
    drive = Drive(name, Path(f"/{name}"), role, 0.9)  # type: ignore[arg-type]  # one of them
    values = {"size_B": 1000, "used_B": 0, "available_B": 1000, "is_mounted": True, "is_writable": True}
    return DriveUsage(drive, **(values | changes))  # type: ignore[arg-type]  # as the test says


def replica(drive: str, state: ReplicaState = ReplicaState.VERIFIED, replica_id: int = 1) -> Replica:
    return Replica(drive=drive, path=f"/{drive}/a", state=state, replica_id=replica_id)


def test_copies_are_verified_and_on_different_devices_tape_and_shelf_count() -> None:
    usages = [usage("a", shares_with=("b",)), usage("b", shares_with=("a",)), usage("c")]
    assert count_copies([replica("a"), replica("b")], usages) == 1
    assert count_copies([replica("a"), replica("c"), replica("tape")], usages) == 3
    assert count_copies([replica("a", ReplicaState.UNVERIFIED), replica("c", ReplicaState.DAMAGED)], usages) == 0
    assert count_copies([replica("c"), replica("c")], usages) == 1


def test_a_source_is_verified_and_there() -> None:
    replicas = (
        replica("a", ReplicaState.DAMAGED, 1),
        replica("shelf", replica_id=2),
        replica("c", replica_id=4),
        replica("b", replica_id=3),
    )
    file = HeldFile("hpge-1", "a", "raw", 1, replicas)
    usages = [usage("a"), usage("b"), usage("c"), usage("shelf", is_mounted=False)]
    assert choose_folders([file], usages) == ({("b", "/b"): [file]}, [])
    assert choose_folders([file], []) == ({}, [file])


def test_files_that_lie_whole_in_one_directory_are_copied_from_there_alone() -> None:
    usages = [usage("a"), usage("b"), usage("c")]
    places = {"f": "ab", "g": "bc", "h": "cb"}
    files = [
        HeldFile("hpge-1", name, "raw", 1, tuple(replica(drive, replica_id=ord(drive)) for drive in drives))
        for name, drives in places.items()
    ]
    assert choose_folders(files, usages) == ({("b", "/b"): files}, [])
    f, g, h = files
    without_b = [usage("a"), usage("b", is_mounted=False), usage("c")]
    assert choose_folders(files, without_b) == ({("c", "/c"): [g, h], ("a", "/a"): [f]}, [])
    assert list(choose_folders(files, without_b, ["b"])[0]) == [("c", "/c"), ("a", "/a")], "remotes come last"
    assert list(choose_folders(files, usages[:1], ["b"])[0]) == [("a", "/a"), ("b", "/b")]


RAW = Demand(500, (DriveRole.RAW, DriveRole.ANY), 100)


def choose(*usages: DriveUsage, exclude: tuple[str, ...] = (), held: dict[str, int] | None = None) -> str:
    return choose_drive(usages, RAW, exclude=exclude, n_held_by_drive=held or {}).drive.name


def test_the_drive_with_most_room_takes_it_unless_one_has_files_of_the_directory() -> None:
    assert choose(usage("a"), usage("b", available_B=999)) == "a"
    assert choose(usage("a"), usage("b", available_B=999), held={"b": 1}) == "b"
    assert choose(usage("a"), usage("b", role=DriveRole.ANY), exclude=("a",)) == "b"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"role": DriveRole.USER}, "a is for user data"),
        ({"is_mounted": False, "error": "nothing is mounted there"}, "a is missing: nothing is mounted there"),
        ({"is_writable": False}, "a is read-only"),
        ({"available_B": 599}, "drive /a has 599 B free, 500 B are needed below its limit, 100 B are kept free"),
        ({"used_B": 9000}, "storage.drives.a (limit 90 %, now 90.0 %)"),
        ({"shares_with": ("b",)}, "a is on one device with b"),
    ],
)
def test_a_drive_that_does_not_take_it_says_why(changes: dict[str, object], text: str) -> None:
    with pytest.raises(NoDriveFits) as caught:
        choose(usage("a", **changes), exclude=("b",))
    assert text in str(caught.value)
    with pytest.raises(NoDriveFits, match="a holds a copy"):
        choose(usage("a"), exclude=("a",))
    with pytest.raises(NoDriveFits, match="names none"):
        choose()


# ---------------------------------------------------------------- settings
def test_the_policy_of_a_stage() -> None:
    said = PlacementSettings(copies=3, roles=(DriveRole.USER,), keep_free="1 TiB")  # type: ignore[arg-type]  # as written
    settings = ReplicasSettings(placement={"hit": said})
    assert settings.policy("hit") == Policy(3, (DriveRole.USER,), 2**40)
    assert settings.policy("raw") == Policy(2, (DriveRole.RAW, DriveRole.ANY))
    assert settings.policy("simulation") == Policy(1, (DriveRole.SIMULATION, DriveRole.ANY))
    assert settings.policy("evt") == Policy(1, (DriveRole.PROCESSED, DriveRole.ANY))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (200, "has no unit"),
        ("200 MB", "not a rate"),
        ("0 B/s", "nothing through"),
        ("-5 MB/s", "nothing through"),
        ("5 MB/h", "not a rate"),
    ],
)
def test_a_rate_that_is_none(value: object, text: str) -> None:
    with pytest.raises((UsageError, ValueError), match=text):
        ReplicasSettings(rate=value)  # type: ignore[arg-type]  # as written


def test_a_rate_has_its_unit() -> None:
    assert ReplicasSettings(rate="1.5 MB/s").rate_B_per_s == 1_500_000  # type: ignore[arg-type]  # as written
