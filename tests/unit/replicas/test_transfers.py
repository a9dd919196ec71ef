"""Transfers of directories and files between folders that stand for drives."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nualley.catalog import CopyState, ReplicaState, TransferState
from nualley.core import ExitCode, digest_file, escape_name
from nualley.replicas import (
    CopyDamaged,
    CopyGone,
    IntoItself,
    NothingToCopy,
    OtherHost,
    SameFile,
    SourceReplicaLost,
    TransferCancelled,
    TransferFinished,
    TransferRunning,
    TransferStopped,
)
from nualley.storage import MARKER_NAME, DestinationConflict, DigestMismatch, DriveFull, DriveMissing
from tests.faults.interfering import Interfering
from tests.unit.replicas.world import RUN, FakeTimer, World, contents


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made
        made.check()


def test_a_run_is_copied_verified_and_entered(world: World) -> None:
    data = {"wave0.dat": os.urandom(3_000_001), "wave1.dat": b"", "sub/wave2.dat": b"abc"}
    for name, content in data.items():
        world.put(name, content)
    report = world.copy()
    assert report.exit_code == ExitCode.DONE
    assert report.is_finished
    assert not report.problems
    assert (report.count.n_done, report.count.done_B) == (3, 3_000_004)
    assert contents(world.destination) == data
    assert {path.rpartition("/")[2] for path in world.replicas_on("data2")} == {"wave0.dat", "wave1.dat", "wave2.dat"}
    assert {replica.state for replica in world.replicas_on("data2").values()} == {ReplicaState.VERIFIED}
    assert all(replica.verified_ns for replica in world.replicas_on("data2").values())
    (activity,) = world.catalog.activities(f"file:{RUN.run_id}/wave0.dat")
    assert (activity.kind, activity.code, activity.host) == ("transfer", "nualley", "here")
    assert activity.outputs == (escape_name(os.fspath(world.destination / "wave0.dat")),)
    assert {name: digest_file(world.destination / name).xxh3_128 for name in data} == {
        file.path: file.xxh3_128 for file in world.catalog.transfers.files(1)
    }


def test_done_again_nothing_changes(world: World) -> None:
    world.put("wave0.dat", b"abc")
    world.copy()
    before = (contents(world.destination), world.replicas_on("data2"), world.catalog.activities())
    stamp = (world.destination / "wave0.dat").stat()
    report = world.copy()
    assert report.is_finished
    assert (world.destination / "wave0.dat").stat().st_ino == stamp.st_ino
    after = (contents(world.destination), world.replicas_on("data2"), world.catalog.activities())
    assert before[0] == after[0]
    assert len(before[2]) == len(after[2])
    assert before[1].keys() == after[1].keys()


def test_one_file_goes_into_a_directory_by_its_name(world: World) -> None:
    source = world.put("wave0.dat", b"abc")
    world.put("wave1.dat", b"def")
    report = world.copy(source)
    assert report.is_finished
    assert contents(world.destination) == {"wave0.dat": b"abc"}


def test_places_outside_of_the_drives_are_copied_too(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "usb"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.dat").write_bytes(b"abc")
    report = world.copy(folder, tmp_path / "elsewhere" / "new")
    assert report.is_finished
    assert contents(tmp_path / "elsewhere" / "new") == {"deep/a.dat": b"abc"}
    (file,) = world.catalog.transfers.files(1)
    assert (file.state, file.file_id) == (CopyState.CATALOGUED, None)
    assert file.xxh3_128 == digest_file(folder / "deep" / "a.dat").xxh3_128


def test_bytes_that_the_catalog_knows_by_name_become_a_replica_wherever_they_come_from(
    world: World, tmp_path: Path
) -> None:
    world.put("wave0.dat", b"abc")
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / "wave0.dat").write_bytes(b"abc")
    (folder / "other.dat").write_bytes(b"abc")
    assert world.copy(folder, tmp_path / "data2" / "from-drop").is_finished
    assert list(world.replicas_on("data2")) == ["from-drop/wave0.dat"]


def test_names_of_any_bytes(world: World) -> None:
    name = os.fsdecode(b"run\n\xff\\.dat")
    world.put(name, b"abc")
    assert world.copy().is_finished
    assert contents(world.destination) == {name: b"abc"}


def test_a_drive_by_another_name_is_that_drive(world: World, tmp_path: Path) -> None:
    world.put("wave0.dat", b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "data2")
    assert world.copy(destination=tmp_path / "link" / "hpge" / "raw" / "42").is_finished
    assert list(world.replicas_on("data2")) == ["hpge/raw/42/wave0.dat"]


def test_links_pipes_and_our_own_files_are_told_and_not_copied(world: World) -> None:
    world.put("wave0.dat", b"abc")
    (world.source / "link").symlink_to("wave0.dat")
    (world.source / "loop").symlink_to(".")
    os.mkfifo(world.source / "pipe")
    (world.source / ".x.nualley.part").write_bytes(b"half")
    for name in ("wave0.dat.1795918582322664466.damaged", "wave0.dat.damaged-20261129T021609Z"):
        (world.source / name).write_bytes(b"rot")
    report = world.copy()
    assert report.is_finished
    assert {(found.path, found.reason) for found in report.skipped} == {
        ("wave0.dat.1795918582322664466.damaged", "damaged, and was set aside"),
        ("wave0.dat.damaged-20261129T021609Z", "damaged, and was set aside"),
        ("link", "a link"), ("loop", "a link"), ("pipe", "a pipe"), (".x.nualley.part", "nualley's own"),
    }  # fmt: skip
    assert contents(world.destination) == {"wave0.dat": b"abc"}


def test_empty_folders_are_made_too_as_rsync_does(world: World) -> None:
    world.put("wave0.dat", b"abc")
    for name in ("empty/er", "taken", "sub"):
        (world.source / name).mkdir(parents=True)
    (world.source / "sub" / "link").symlink_to("wave0.dat")
    world.destination.mkdir(parents=True)
    (world.destination / "taken").write_bytes(b"a file")
    report = world.copy()
    assert report.is_finished
    assert (world.destination / "empty" / "er").is_dir()
    assert not (world.destination / "sub").exists(), "its link is told"
    assert {found.path for found in report.skipped} == {"sub/link", "taken"}
    assert report.skipped[-1].reason.startswith("an empty folder that cannot be made: ")
    assert any("1 empty folders of the source are there, too" in note for note in report.notes)


# ---------------------------------------------------------------- what is refused before anything is done
def test_an_empty_or_absent_source_is_no_transfer(world: World) -> None:
    with pytest.raises(NothingToCopy, match="nothing is there"):
        world.copy()
    world.source.mkdir(parents=True)
    with pytest.raises(NothingToCopy, match="no file is there"):
        world.copy()
    assert not world.catalog.transfers.transfers()


@pytest.mark.parametrize("below", ["data1/hpge/raw/42", "data1/hpge/raw/42/copy", "data1/hpge/raw", "data1"])
def test_a_copy_into_its_own_source_is_refused(world: World, tmp_path: Path, below: str) -> None:
    world.put("wave0.dat")
    with pytest.raises(IntoItself, match="is, or lies in"):
        world.copy(destination=tmp_path / below)
    assert not world.catalog.transfers.transfers()


def test_a_drive_that_is_another_one_is_refused(world: World, tmp_path: Path) -> None:
    world.put("wave0.dat")
    world.copy()
    (tmp_path / "data2" / ".nualley-drive").unlink()
    with pytest.raises(DriveMissing, match="its marker .* is missing"):
        world.copy()


def test_what_has_no_room_is_refused_before(tmp_path: Path) -> None:
    with World(tmp_path, limit_fraction=1e-9) as world:
        world.put("wave0.dat")
        with pytest.raises(DriveFull, match="limit 1e-07 %"):
            world.copy()
        assert not world.catalog.transfers.transfers()


# ---------------------------------------------------------------- what is in the way of a file
def test_other_bytes_at_the_destination_are_kept_and_the_rest_goes_on(world: World) -> None:
    world.put("wave0.dat", b"mine")
    world.put("wave1.dat", b"abc")
    world.destination.mkdir(parents=True)
    (world.destination / "wave0.dat").write_bytes(b"other")
    report = world.copy()
    assert report.exit_code == ExitCode.NOT_INTACT
    assert not report.is_finished
    (problem,) = report.problems
    assert isinstance(problem, DestinationConflict)
    assert contents(world.destination) == {"wave0.dat": b"other", "wave1.dat": b"abc"}
    assert world.states() == {"wave0.dat": CopyState.COPYING, "wave1.dat": CopyState.CATALOGUED}
    assert "is taken" in report.transfer.problem
    (world.destination / "wave0.dat").unlink()
    assert world.service.work(1).is_finished
    assert contents(world.destination) == {"wave0.dat": b"mine", "wave1.dat": b"abc"}
    assert {file.problem for file in world.catalog.transfers.files(1)} == {""}


def test_a_source_that_rotted_is_not_copied(world: World) -> None:
    path = world.put("wave0.dat", b"good")
    path.write_bytes(b"goof")
    report = world.copy()
    assert report.exit_code == ExitCode.NOT_INTACT
    (problem,) = report.problems
    assert isinstance(problem, DigestMismatch)
    assert contents(world.destination) == {}


def test_a_file_that_is_its_own_destination_is_no_second_copy(world: World) -> None:
    path = world.put("wave0.dat", b"abc")
    world.destination.mkdir(parents=True)
    os.link(path, world.destination / "wave0.dat")
    report = world.copy()
    assert isinstance(report.problems[0], SameFile)
    assert not report.is_finished
    assert "hpge/raw/42/wave0.dat" not in world.replicas_on("data2")


# ---------------------------------------------------------------- never the list alone
def test_a_file_that_the_list_lacks_is_found_at_the_source(world: World) -> None:
    world.put("wave0.dat", b"abc")
    begun = world.service.begin(world.source, world.destination)
    world.put("late/wave1.dat", b"def")
    assert world.service.work(begun.transfer_id).is_finished
    assert world.trees_agree()


def test_a_file_that_the_list_has_and_the_source_lacks_is_told(world: World) -> None:
    world.put("wave0.dat", b"abc")
    gone = world.put("wave1.dat", b"def", is_known=False)
    begun = world.service.begin(world.source, world.destination)
    gone.unlink()
    report = world.service.work(begun.transfer_id)
    assert not report.is_finished
    assert ["wave1.dat is not at" in problem.what for problem in report.problems] == [True]
    assert contents(world.destination) == {"wave0.dat": b"abc"}


def test_a_replica_that_the_catalog_knows_and_the_source_lacks_is_told_and_missing(world: World) -> None:
    world.put("wave0.dat", b"abc")
    world.put("wave1.dat", b"def").unlink()
    report = world.copy()
    assert report.exit_code == ExitCode.NOT_INTACT
    assert not report.is_finished
    (problem,) = report.problems
    assert isinstance(problem, SourceReplicaLost)
    assert "wave1.dat" in problem.what
    assert list(world.replicas_on("data1")) == ["hpge/raw/42/wave0.dat"]
    assert world.service.work(1).is_finished, "the catalog says now what is true"


def test_a_copy_that_went_away_again_is_made_again(world: World) -> None:
    world.put("wave0.dat", b"abc")
    world.put("wave1.dat", b"def")
    world.destination.mkdir(parents=True)
    (world.destination / "wave1.dat").write_bytes(b"other")
    world.copy()
    (world.destination / "wave0.dat").unlink()
    (world.destination / "wave1.dat").unlink()
    assert world.service.work(1).is_finished
    assert world.trees_agree()


# ---------------------------------------------------------------- reading back
def test_copies_are_read_back(world: World) -> None:
    world.put("wave0.dat", b"abc")
    world.put("wave1.dat", b"def")
    world.copy()
    before = world.replicas_on("data2")
    done = world.service.verify(1)
    assert (done.n_files, done.n_intact, done.size_B, done.exit_code) == (2, 2, 6, ExitCode.DONE)
    after = world.replicas_on("data2")
    assert all((after[path].verified_ns or 0) > (before[path].verified_ns or 0) for path in before)


def test_a_copy_that_rotted_is_named_and_made_again_once_it_is_moved_away(world: World) -> None:
    world.put("wave0.dat", b"abc")
    world.copy()
    copy = world.destination / "wave0.dat"
    copy.chmod(0o644)
    copy.write_bytes(b"aXc")
    done = world.service.verify(1)
    assert done.exit_code == ExitCode.NOT_INTACT
    assert isinstance(done.problems[0], CopyDamaged)
    assert digest_file(world.source / "wave0.dat").xxh3_128 in done.problems[0].what
    assert done.transfer.finished_ns is None
    assert world.replicas_on("data2")["hpge/raw/42/wave0.dat"].state is ReplicaState.DAMAGED
    report = world.service.work(1)
    assert isinstance(report.problems[0], CopyDamaged)
    assert copy.read_bytes() == b"aXc", "evidence is kept"
    copy.rename(copy.with_name("aside"))
    assert world.service.work(1).is_finished
    assert world.replicas_on("data2")["hpge/raw/42/wave0.dat"].state is ReplicaState.VERIFIED
    assert world.service.verify(1).exit_code == ExitCode.DONE


def test_a_copy_that_is_gone_is_named_and_made_again(world: World) -> None:
    world.put("wave0.dat", b"abc")
    world.copy()
    (world.destination / "wave0.dat").unlink()
    done = world.service.verify(1)
    assert isinstance(done.problems[0], CopyGone)
    assert (done.n_files, done.n_intact) == (1, 0)
    assert world.states() == {"wave0.dat": CopyState.QUEUED}
    assert not world.replicas_on("data2")
    assert world.service.work(1).is_finished
    assert list(world.replicas_on("data2")) == ["hpge/raw/42/wave0.dat"]


def test_of_a_drive_that_is_not_there_nothing_is_said(world: World, tmp_path: Path) -> None:
    world.put("wave0.dat", b"abc")
    world.copy()
    (tmp_path / "data2").rename(tmp_path / "shelf")
    (tmp_path / "data2").mkdir()
    with pytest.raises(DriveMissing):
        world.service.verify(1)
    assert world.replicas_on("data2")["hpge/raw/42/wave0.dat"].state is ReplicaState.VERIFIED
    report = world.service.work(1)
    assert isinstance(report.problems[0], DriveMissing)
    assert not contents(tmp_path / "data2")
    (tmp_path / "data2").rmdir()
    (tmp_path / "shelf").rename(tmp_path / "data2")
    assert world.service.work(1).is_finished


# ---------------------------------------------------------------- stopping, rate, turns, hosts


@pytest.mark.parametrize("instead", ["nothing", "another drive", "nothing readable"])
def test_a_drive_that_goes_away_while_it_is_read_back_is_no_loss_of_its_copies(tmp_path: Path, instead: str) -> None:
    def before(step: str) -> None:
        if step == "open" and is_verifying:
            (tmp_path / "data2").rename(tmp_path / "elsewhere")
            if instead == "another drive":
                shutil.copytree(tmp_path / "elsewhere", tmp_path / "data2")
                (tmp_path / "data2" / MARKER_NAME).unlink()
                (world.destination / "wave0.dat").write_bytes(b"of another")
            elif instead == "nothing readable":
                raise OSError(5, "Input/output error")

    is_verifying = False
    with World(tmp_path, files=Interfering(before)) as world:
        for name in ("wave0.dat", "wave1.dat"):
            world.put(name)
        world.copy()
        is_verifying = True
        with pytest.raises(DriveMissing):
            world.service.verify(1)
        shutil.rmtree(tmp_path / "data2", ignore_errors=True)
        (tmp_path / "elsewhere").rename(tmp_path / "data2")
        is_verifying = False
        assert {each.state for each in world.catalog.placed_files("data2")} == {ReplicaState.VERIFIED}
        assert set(world.states().values()) == {CopyState.CATALOGUED}
        assert world.service.verify(1).n_intact == 2


@pytest.mark.parametrize("when", ["between two files", "before a name is given"])
def test_a_drive_that_goes_away_while_it_is_copied_to_gets_no_copies_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def take_away() -> None:
        """Leave the folder that the drive was mounted on: what is written there is not on the drive."""
        nonlocal n_left
        if world.replicas_on("data2") and n_left:
            n_left -= 1
            shutil.copytree(drive, shelf)
            (drive / MARKER_NAME).unlink()

    def before(step: str) -> None:
        if step == "link" and when == "before a name is given":
            take_away()

    def settled(*words: Any) -> None:
        settle(*words)
        if when == "between two files":
            take_away()

    drive, shelf, n_left = tmp_path / "data2", tmp_path / "shelf", 1
    with World(tmp_path, files=Interfering(before)) as world:
        settle = world.catalog.transfers.settle
        monkeypatch.setattr(world.catalog.transfers, "settle", settled)
        for name in ("wave0.dat", "wave1.dat", "wave2.dat"):
            world.put(name)
        report = world.copy()
        assert [type(problem) for problem in report.problems] == [DriveMissing]
        assert list(world.replicas_on("data2")) == ["hpge/raw/42/wave0.dat"]
        n_stray = 1 if when == "before a name is given" else 0
        assert len(contents(world.destination)) == 1 + n_stray
        shutil.rmtree(drive)
        shelf.rename(drive)
        assert world.service.work(1).is_finished
        assert world.trees_agree()
        world.check()


def test_a_stop_keeps_what_was_finished_and_the_part(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.put("wave0.dat", b"abc")
        world.put("wave1.dat", os.urandom(3 * 2**20))
        asked: list[int] = []

        def should_stop() -> bool:
            return bool(asked)

        def progress(_name: str, done_B: int, _all_B: int) -> None:
            if done_B > 2 * 2**20:
                asked.append(done_B)

        with pytest.raises(TransferStopped, match="what was finished stays") as caught:
            world.copy(progress=progress, should_stop=should_stop)
        assert caught.value.exit_code == ExitCode.STOPPED
        assert "transfer resume" in caught.value.do
        assert world.states() == {"wave0.dat": CopyState.CATALOGUED, "wave1.dat": CopyState.COPYING}
        parts = [path for path in world.destination.iterdir() if path.name.endswith(".part")]
        assert len(parts) == 1
        inode = parts[0].stat().st_ino
        assert world.service.work(1).is_finished
        assert (world.destination / "wave1.dat").stat().st_ino == inode, "the part was gone on with"
        assert world.trees_agree()


# ---------------------------------------------------------------- giving up
def parts_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.endswith(".nualley.part")]


def test_what_is_given_up_keeps_what_was_copied_and_leaves_no_part(world: World) -> None:
    world.put("wave0.dat", b"abc")
    world.put("wave1.dat", os.urandom(3 * 2**20))
    world.service.begin(world.source, world.destination, is_left=True)
    done: list[int] = [0]
    with pytest.raises(TransferStopped):
        world.service.work(
            1, progress=lambda _name, done_B, _all_B: done.append(done_B), should_stop=lambda: done[-1] > 2**20
        )
    assert parts_in(world.destination)
    given_up = world.service.cancel(1)
    assert (given_up.n_parts, given_up.problems, given_up.exit_code) == (1, (), ExitCode.DONE)
    assert contents(world.destination) == {"wave0.dat": b"abc"}
    transfer = world.catalog.transfers.transfer(1)
    assert transfer.cancelled_ns
    assert (transfer.state, transfer.is_left, transfer.finished_ns) == (TransferState.CANCELLED, False, None)
    assert not world.catalog.transfers.transfers(is_open=True)
    assert list(world.replicas_on("data2")) == ["hpge/raw/42/wave0.dat"]


def test_what_was_given_up_is_not_gone_on_with(world: World) -> None:
    world.put("wave0.dat", b"abc")
    world.service.begin(world.source, world.destination)
    first = world.service.cancel(1)
    with pytest.raises(TransferCancelled, match="transfer 1 was cancelled") as caught:
        world.service.work(1)
    assert "nualley transfer copy" in caught.value.do
    assert not contents(world.destination)
    assert world.service.cancel(1).transfer == first.transfer, "once is enough"
    assert world.catalog.transfers.leave(1, is_left=True) == first.transfer
    assert world.copy().is_finished, "a new one copies it"


def test_a_finished_transfer_is_none_to_give_up(world: World) -> None:
    world.put("wave0.dat", b"abc")
    world.copy()
    with pytest.raises(TransferFinished, match="transfer 1 is finished"):
        world.service.cancel(1)
    assert world.catalog.transfers.transfer(1).state is TransferState.FINISHED


def test_who_works_on_it_hears_that_it_was_given_up(tmp_path: Path) -> None:
    timer = FakeTimer()
    with World(tmp_path, timer=timer) as world:
        world.put("wave0.dat", b"abc")
        world.put("wave1.dat", os.urandom(3 * 2**20))

        def progress(_name: str, done_B: int, _all_B: int) -> None:
            timer.time_s += 0.5
            if done_B > 2**20 and not world.catalog.transfers.transfer(1).cancelled_ns:
                world.catalog.transfers.cancel(1)

        with pytest.raises(TransferCancelled):
            world.copy(progress=progress)
        assert world.states() == {"wave0.dat": CopyState.CATALOGUED, "wave1.dat": CopyState.COPYING}
        assert contents(world.destination) == {"wave0.dat": b"abc"}, "its part, too, is gone"


def test_giving_up_waits_for_who_works_on_it_and_not_for_ever(tmp_path: Path) -> None:
    timer = FakeTimer()
    with World(tmp_path, timer=timer) as world:
        world.put("wave0.dat", b"abc")
        world.service.begin(world.source, world.destination)
        with world.machine.turns.at_transfer(1):
            given_up = world.service.cancel(1)
        assert isinstance(given_up.problems[0], TransferRunning)
        assert given_up.exit_code == ExitCode.FAILED
        assert given_up.transfer.state is TransferState.CANCELLED
        assert timer.time_s > 10.0


def test_it_is_given_up_where_its_drive_or_its_machine_is_gone(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.put("wave0.dat", b"abc")
        world.service.begin(world.source, world.destination)
        world.service.begin(world.source, world.destination)
        world.catalog.register_drive("data2", "another drive")
        given_up = world.service.cancel(1)
        assert isinstance(given_up.problems[0], DriveMissing)
        assert given_up.transfer.state is TransferState.CANCELLED
    with World(tmp_path, host="there") as world:
        given_up = world.service.cancel(2)
        assert isinstance(given_up.problems[0], OtherHost)
        assert given_up.transfer.state is TransferState.CANCELLED


def test_what_was_finished_stays_so_whatever_becomes_of_its_source(world: World) -> None:
    path = world.put("wave0.dat", b"abc", is_known=False)
    other = world.put("wave1.dat", b"def", is_known=False)
    finished_ns = world.copy().transfer.finished_ns
    (world.destination / "wave0.dat").unlink()
    path.unlink()
    report = world.service.work(1)
    assert (report.is_finished, report.exit_code) == (True, ExitCode.FAILED)
    assert "wave0.dat is not at" in report.problems[0].what
    assert report.transfer.finished_ns == finished_ns
    other.unlink()
    world.source.rmdir()
    report = world.service.work(1)
    assert (report.is_finished, report.problems, report.exit_code) == (True, (), ExitCode.DONE)
    assert "it was finished before; nothing is at" in report.notes[0]
    assert report.transfer.finished_ns == finished_ns
    assert not world.catalog.transfers.transfers(is_open=True)


def test_the_states_are_entered_in_their_order(tmp_path: Path) -> None:
    class Listening(World):
        seen: tuple[CopyState, ...] = ()

    with Listening(tmp_path) as world:
        real = world.catalog.transfers.settle
        seen: list[CopyState] = []

        def settle(file, replica, activity=None):
            seen.append(file.state)
            real(file, replica, activity)

        world.catalog.transfers.settle = settle  # type: ignore[method-assign]  # listened to
        world.put("wave0.dat", b"abc")
        assert world.copy().is_finished
        assert seen == list(CopyState)[1:]


def test_small_files_are_entered_once(tmp_path: Path) -> None:
    with World(tmp_path, entered_from_B=1000) as world:
        real = world.catalog.transfers.settle
        seen: list[tuple[str, CopyState]] = []

        def settle(file, replica, activity=None):
            seen.append((file.path, file.state))
            real(file, replica, activity)

        world.catalog.transfers.settle = settle  # type: ignore[method-assign]  # listened to
        world.put("small.dat", b"abc")
        world.put("large.dat", bytes(1000))
        assert world.copy().is_finished
        assert [state for path, state in seen if path == "small.dat"] == [CopyState.CATALOGUED]
        assert [state for path, state in seen if path == "large.dat"] == list(CopyState)[1:]


def test_the_rate_is_kept(tmp_path: Path) -> None:
    timer = FakeTimer()
    with World(tmp_path, timer=timer) as world:
        world.put("wave0.dat", bytes(3 * 2**20))
        begun = world.service.begin(world.source, world.destination, rate_B_per_s=2**20)
        assert begun.rate_B_per_s == 2**20
        assert world.service.work(begun.transfer_id).is_finished
        assert timer.time_s == pytest.approx(6.0)
        assert max(timer.waits_s) <= 0.2, "a stop is heard soon"


def test_a_transfer_is_worked_on_by_one_at_a_time(world: World) -> None:
    world.put("wave0.dat", b"abc")
    begun = world.service.begin(world.source, world.destination)
    with (
        world.machine.turns.at_transfer(begun.transfer_id),
        pytest.raises(TransferRunning, match="another process works on transfer 1"),
    ):
        world.service.work(begun.transfer_id)
    assert world.service.work(begun.transfer_id).is_finished


def test_paths_of_another_machine_are_not_those_here(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.put("wave0.dat", b"abc")
        world.service.begin(world.source, world.destination)
    with World(tmp_path, host="there") as world, pytest.raises(OtherHost, match="is of here, this is there"):
        world.service.work(1)


def test_progress_ends_with_all_bytes(world: World) -> None:
    world.put("wave0.dat", bytes(1000))
    world.put("wave1.dat", bytes(2000))
    told: list[tuple[str, int, int]] = []
    world.copy(progress=lambda *words: told.append(words))
    assert told[-1] == ("transfer 1", 6000, 6000)
    assert [done_B for _, done_B, _ in told] == sorted(done_B for _, done_B, _ in told)


def test_two_drives_on_one_device_are_told(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.put("wave0.dat", b"abc")
        assert "count as one" in world.copy().notes[0]


def test_what_is_not_finished_lets_no_source_go(world: World) -> None:
    from nualley.replicas import may_source_go

    world.put("wave0.dat", b"abc")
    report = world.copy()
    (file,) = world.catalog.transfers.files(1)
    assert may_source_go(report.transfer, file)
    assert not may_source_go(replace(report.transfer, finished_ns=None), file)
    assert not may_source_go(report.transfer, replace(file, state=CopyState.PUBLISHED))
    assert not may_source_go(report.transfer, replace(file, problem="damaged"))
