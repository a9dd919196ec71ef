"""Dark files become known where they lie: read to the end, compared, entered once; whatever changes meanwhile waits."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from nualley.catalog import (
    FileAdded,
    FileConflict,
    FileEntry,
    FileRecord,
    Origin,
    Replica,
    ReplicaConflict,
    ReplicaState,
    Run,
)
from nualley.core import NualleyError, digest_file, escape_name
from nualley.daq import Defect, DefectKind, FileSummary
from nualley.replicas import (
    Adopted,
    Adopter,
    AdoptResult,
    Candidate,
    Machine,
    Pace,
    TransferStopped,
    adoption,
)
from nualley.replicas.adapters.trees import PosixTrees
from nualley.replicas.adapters.turns import LockedTurns
from nualley.storage import DurableFiles
from nualley.storage.adapters.posix import PosixFiles
from tests.faults.interfering import Interfering
from tests.unit.replicas.world import DETECTOR, RUN, FakeTimer, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def put(world: World, drive: str, name: str = "wave0.dat", data: bytes = b"data", *, stage: str = "raw") -> Candidate:
    path = world.folder / drive / DETECTOR / stage / "42" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return Candidate(drive, escape_name(os.fspath(path)), DETECTOR, stage, 42, len(data))


def adopt(
    world: World,
    candidates: list[Candidate],
    *,
    files: DurableFiles | None = None,
    timer: FakeTimer | None = None,
    rate_B_per_s: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    summarise: Callable[[Candidate], FileSummary | None] = lambda _: None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Adopted]:
    timer = timer or FakeTimer()
    adopter = Adopter(
        world.catalog,
        Machine(files or PosixFiles(), PosixTrees(), LockedTurns(world.folder / "run", 1), timer),
        origin=Origin("nualley", "digest", "here"),
        clock=world.clock,
        summarise=summarise,
        run_of=lambda detector, number: Run(run_id=f"{detector}-{number}", detector=detector, number=number),
    )
    pace = Pace(
        "adopt", rate_B_per_s, timer=timer, progress=progress, should_stop=should_stop, again="nualley files adopt"
    )
    return list(adopter.run(candidates, pace))


def results(found: list[Adopted]) -> list[str]:
    return [str(each.result) for each in found]


def test_equal_files_on_two_drives_are_one_file_with_two_replicas(world: World) -> None:
    candidates = [put(world, "data2"), put(world, "data1")]
    assert results(adopt(world, candidates)) == ["adopted", "replica"]
    (file,) = world.catalog.files(RUN.run_id)
    assert [each.drive for each in world.catalog.replicas(file.file_id)] == ["data1", "data2"]


def test_what_a_reader_finds_is_entered_with_the_file(world: World) -> None:
    defect = Defect(DefectKind.TRUNCATED_EVENT, 7, "cut")
    summary = FileSummary("wavedump", 5, (1, 2), 50, (defect,), {"samples": 50})
    adopt(world, [put(world, "data1")], summarise=lambda _: summary)
    (file,) = world.catalog.files(RUN.run_id)
    assert (file.format, file.n_events, list(file.channels), file.record_length) == ("wavedump", 5, [1, 2], 50)
    assert [each["kind"] for each in file.defects] == ["truncated-event"]
    assert world.catalog.run(RUN.run_id).settings == {"samples": 50}


def test_a_file_that_its_reader_cannot_count_stays_dark_and_stops_no_other(world: World) -> None:
    def refuse(candidate: Candidate) -> FileSummary | None:
        if candidate.name == "wave0.dat":
            raise NualleyError("the reader needs samples")
        return None

    found = adopt(world, [put(world, "data1"), put(world, "data1", "wave1.dat")], summarise=refuse)
    assert [(each.result, each.detail) for each in found] == [
        (AdoptResult.FAILED, "the reader needs samples"),
        (AdoptResult.ADOPTED, ""),
    ]
    assert [file.name for file in world.catalog.files(RUN.run_id)] == ["wave1.dat"]


def test_stages_that_differ_are_no_one_file(world: World) -> None:
    found = adopt(world, [put(world, "data1"), put(world, "data2", stage="hit")])
    assert results(found) == ["refused", "refused"]
    assert "stage" in found[0].detail
    assert world.catalog.runs() == []


@pytest.mark.parametrize("at_step", [1, 2])
@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"more and more"),
        lambda path: path.write_bytes(b"atad"),
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name("elsewhere")),
    ],
)
def test_what_changes_while_it_is_read_or_counted_waits(
    world: World, at_step: int, change: Callable[[Path], None]
) -> None:
    candidate = put(world, "data1")

    def before(step: str) -> None:
        if at_step == 1 and step == "open":
            change(candidate.real_path)

    def summarise(_: Candidate) -> FileSummary | None:
        if at_step == 2:
            change(candidate.real_path)
        return None

    found = adopt(world, [candidate], files=Interfering(before), summarise=summarise)
    assert found[0].result is AdoptResult.WRITTEN
    assert world.catalog.find_file(RUN.run_id, "wave0.dat") is None


def test_a_known_one_that_changes_while_it_is_read_is_not_called_another(world: World) -> None:
    world.put("wave0.dat")
    candidate = put(world, "data2")

    def before(step: str) -> None:
        if step == "open":
            candidate.real_path.write_bytes(b"atad")

    (found,) = adopt(world, [candidate], files=Interfering(before))
    assert (found.result, found.detail) == (AdoptResult.WRITTEN, "it changed since it was found")


def test_one_that_somebody_entered_meanwhile_with_other_bytes_is_refused(world: World) -> None:
    candidate = put(world, "data1")
    other = world.folder / "other"
    other.write_bytes(b"other bytes")

    def summarise(_: Candidate) -> FileSummary | None:
        world.enter(other, "wave0.dat", "data2")
        return None

    (found,) = adopt(world, [candidate], summarise=summarise)
    assert found.result is AdoptResult.REFUSED
    assert "other bytes" in found.detail
    assert world.catalog.replica_at("data1", candidate.path) is None


def test_a_place_that_is_known_to_hold_another_file_is_refused(world: World) -> None:
    candidate = put(world, "data1")
    digests = digest_file(candidate.real_path)
    record = FileRecord(
        run_id=RUN.run_id,
        detector=DETECTOR,
        name="another.dat",
        format="unknown",
        size_B=digests.size_B,
        xxh3_128=digests.xxh3_128,
        adler32=digests.adler32,
    )
    world.catalog.add_file(RUN, record, replicas=[Replica(drive="data1", path=candidate.path)])
    (found,) = adopt(world, [candidate])
    assert found.result is AdoptResult.REFUSED
    assert "is known to hold file 1" in found.detail


def test_a_file_that_cannot_be_read_stops_no_other(world: World) -> None:
    def before(step: str) -> None:
        if step == "open" and not left:
            left.append(step)
            raise OSError(5, "Input/output error")

    left: list[str] = []
    candidates = [put(world, "data1"), put(world, "data1", "wave1.dat")]
    found = adopt(world, candidates, files=Interfering(before))
    assert results(found) == ["failed", "adopted"]
    assert "Input/output error" in found[0].detail
    assert results(adopt(world, candidates)) == ["adopted", "known"]


def test_a_link_in_the_place_of_a_file_is_not_followed(world: World) -> None:
    candidate = put(world, "data1")
    candidate.real_path.rename(world.folder / "moved")
    candidate.real_path.symlink_to(world.folder / "moved")
    assert results(adopt(world, [candidate])) == ["failed"]


@pytest.mark.parametrize("size_B", [0, 100])
def test_a_stop_keeps_what_was_finished_and_the_next_run_goes_on(world: World, size_B: int) -> None:
    candidates = [put(world, "data1", f"wave{number}.dat", os.urandom(size_B)) for number in range(3)]
    read: list[str] = []

    def summarise(candidate: Candidate) -> FileSummary | None:
        read.append(candidate.name)
        return None

    with pytest.raises(TransferStopped, match="nualley files adopt"):
        adopt(world, candidates, should_stop=lambda: len(read) > 0, summarise=summarise)
    assert len(world.catalog.files(RUN.run_id)) == 1
    assert results(adopt(world, candidates)) == ["known", "adopted", "adopted"]


def many(world: World, n_files: int) -> list[Candidate]:
    return [put(world, "data1", f"wave{number}.dat", os.urandom(20)) for number in range(n_files)]


def test_small_files_are_entered_many_at_a_time_in_their_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption, "_MOST_TOGETHER", 3)
    world.put("wave3.dat", b"known, and of another size")
    sizes: list[int] = []
    real = world.catalog.add_files

    def add_files(entries: Sequence[FileEntry]) -> list[FileAdded | FileConflict | ReplicaConflict]:
        sizes.append(len(entries))
        return real(entries)

    world.catalog.add_files = add_files  # type: ignore[method-assign]  # listened to
    candidates = [*many(world, 3), put(world, "data2", "wave3.dat"), *many(world, 7)[4:]]
    found = adopt(world, candidates)
    assert [each.candidate.name for each in found] == [f"wave{number}.dat" for number in range(7)]
    assert results(found) == [*["adopted"] * 3, "refused", *["adopted"] * 3]
    assert sizes == [3, 2, 1]


def test_large_files_wait_for_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption, "_MOST_TOGETHER_B", 50)
    entered: list[int] = []

    def summarise(_: Candidate) -> FileSummary | None:
        entered.append(len(world.catalog.find_files(detector=DETECTOR)))
        return None

    assert results(adopt(world, many(world, 5), summarise=summarise)) == ["adopted"] * 5
    assert entered == [0, 0, 2, 2, 4]


def test_what_changes_while_it_waits_for_the_others_is_not_entered(world: World) -> None:
    candidates = many(world, 3)

    def summarise(candidate: Candidate) -> FileSummary | None:
        if candidate is candidates[2]:
            candidates[0].real_path.write_bytes(bytes(20))
        return None

    assert results(adopt(world, candidates, summarise=summarise)) == ["written", "adopted", "adopted"]


def test_a_proof_is_dated_when_its_file_was_read(world: World) -> None:
    moments: list[int] = []

    def summarise(_: Candidate) -> FileSummary | None:
        moments.append(world.clock.now_ns())
        return None

    adopt(world, many(world, 2), summarise=summarise)
    proven_ns = [world.catalog.replicas(file.file_id)[0].verified_ns for file in world.catalog.files(RUN.run_id)]
    assert all(proven is not None and proven <= moment for proven, moment in zip(proven_ns, moments, strict=True))


def test_a_conflict_keeps_none_of_the_others_out(world: World) -> None:
    candidates = many(world, 3)
    other = world.folder / "other"
    other.write_bytes(b"other bytes")

    def summarise(candidate: Candidate) -> FileSummary | None:
        if candidate is candidates[2]:
            world.enter(other, "wave1.dat", "data2")
        return None

    assert results(adopt(world, candidates, summarise=summarise)) == ["adopted", "refused", "adopted"]
    assert len(world.catalog.files(RUN.run_id)) == 3


def test_the_rate_is_kept_and_the_whole_is_told(world: World) -> None:
    world.put("known.dat", b"other")
    candidates = [put(world, "data1", f"wave{number}.dat", bytes(3000)) for number in range(2)]
    candidates.append(put(world, "data2", "known.dat", b"of another size"))
    timer, told = FakeTimer(), []
    found = adopt(
        world, candidates, timer=timer, rate_B_per_s=1000, progress=lambda _, done, all_: told.append((done, all_))
    )
    assert results(found) == ["refused", "adopted", "adopted"]
    assert sum(timer.waits_s) == pytest.approx(6.0)
    assert told == [(3000, 6000), (6000, 6000)], "what is not read is not waited for"


def test_the_replica_is_dated_and_verified(world: World) -> None:
    world.put("wave0.dat")
    (known,) = world.catalog.files(RUN.run_id)
    adopt(world, [put(world, "data2")])
    _, replica = world.catalog.replicas(known.file_id)
    assert (replica.drive, replica.state) == ("data2", ReplicaState.VERIFIED)
    assert replica.verified_ns is not None
    (activity,) = [each for each in world.catalog.activities() if each.kind == "adopt"]
    assert activity.outputs == (f"file:{RUN.run_id}/wave0.dat",)
    assert (activity.code, activity.configuration, activity.host) == ("nualley", "digest", "here")
