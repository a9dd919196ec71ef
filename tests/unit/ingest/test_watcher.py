"""The drop directories, looked at again and again."""

from pathlib import Path

import pytest

from nualley.catalog import CatalogUnreachable, SourceState
from nualley.core import SECOND_NS
from nualley.ingest import IngestSettings, NumberSource, Outcome, PollReport, Readiness
from nualley.storage import DropSettings
from tests.unit.ingest.world import DROP, NOW_NS, World, drop_problem


def outcomes(report: PollReport) -> list[tuple[str, str]]:
    return [(file.path.removeprefix("/drop/"), file.outcome.value) for file in report.files]


# ---------------------------------------------------------------- finished
def test_a_file_that_rests_is_taken_in_once(world: World) -> None:
    world.put("run1/wave0.dat")
    assert world.poll().n_waiting_by_readiness == {Readiness.GROWING: 1}
    assert world.poll(30).n_waiting_by_readiness == {Readiness.GROWING: 1}
    report = world.poll(30)
    assert outcomes(report) == [("run1/wave0.dat", "ingested")]
    assert report.is_idle
    report = world.poll()
    assert (report.n_files, report.n_done, report.files) == (1, 1, ())


def test_a_file_that_grows_waits(world: World) -> None:
    for n_events in range(1, 20):
        world.put("run1/wave0.dat", b"RAW" + n_events * b"e")
        report = world.poll(50)
        assert not report.files
        assert not report.is_idle
    assert world.settle().files


def test_a_jump_of_the_clock_finishes_nothing(world: World) -> None:
    world.put("run1/wave0.dat")
    world.poll()
    assert not world.poll(3600).files
    assert not world.poll(29).files
    assert world.poll(1).files


def test_the_run_pv_that_moved_on_finishes_at_the_second_look(world: World) -> None:
    world.put("run1/wave0.dat")
    world.tell_run(1, -10, -1)
    assert not world.poll().files
    assert outcomes(world.poll()) == [("run1/wave0.dat", "ingested")]
    assert world.catalog.run("cenns-10-1").stop_ns == NOW_NS - SECOND_NS


def test_files_of_an_open_run_are_left_alone(world: World) -> None:
    world.put("run1/wave0.dat")
    for _ in range(100):
        world.tell_run(1, -10, None)
        report = world.poll(10)
        assert report.n_waiting_by_readiness == {Readiness.RUN_OPEN: 1}
    world.tell_run(1, -10, 900)
    assert world.poll().files


def test_where_the_archive_does_not_answer_rest_decides(world: World) -> None:
    world.put("run1/wave0.dat")
    world.tell_run(1, -10, None)
    world.run_times.is_reachable = False
    assert outcomes(world.settle()) == [("run1/wave0.dat", "ingested")]


def test_a_run_that_was_not_heard_of_for_long_does_not_hold_its_files(world: World) -> None:
    world.put("run1/wave0.dat")
    world.tell_run(1, -10, None, heard_s=3)
    assert world.settle().n_waiting_by_readiness == {Readiness.RUN_OPEN: 1}
    assert not world.poll(1).files
    assert world.poll(1).files


def test_files_are_grouped_by_run_and_the_archive_asked_once_a_run(world: World) -> None:
    for number in (10, 2):
        for name in ("wave0.dat", "wave1.dat"):
            world.put(f"run{number}/{name}")
    world.poll()
    assert world.run_times.n_asked == 2
    world.poll(30)
    report = world.poll(30)
    assert [path for path, _ in outcomes(report)] == [
        "run2/wave0.dat",
        "run2/wave1.dat",
        "run10/wave0.dat",
        "run10/wave1.dat",
    ]


# ---------------------------------------------------------------- done and changed
def test_a_new_process_knows_what_is_done_without_reading(world: World) -> None:
    world.put("run1/wave0.dat")
    world.put("run1/empty.dat", b"")
    world.settle()
    world.start()
    world.raw_files.n_reads = 0
    report = world.settle()
    assert (report.n_done, report.files, world.raw_files.n_reads) == (2, (), 0)


def test_what_was_taken_in_by_hand_is_done(world: World) -> None:
    world.poll()
    path = world.put("run1/wave0.dat")
    world.poll()
    world.ingest.ingest_paths([path], "cenns-10", run=7)
    reads = world.raw_files.n_reads
    report = world.settle()
    assert (report.n_done, report.files, world.raw_files.n_reads) == (1, (), reads)
    assert not world.catalog.files("cenns-10-1")


def test_a_file_that_grows_after_it_was_taken_in_is_quarantined_once(world: World) -> None:
    world.put("run1/wave0.dat", b"RAWe")
    world.settle()
    path = world.put("run1/wave0.dat", b"RAWee")
    report = world.settle()
    assert outcomes(report) == [("run1/wave0.dat", "quarantined")]
    assert report.files[0].exit_code == 5
    assert world.files.get(path) == b"RAWee"
    assert not world.settle().files
    assert len(world.catalog.quarantined()) == 1
    world.put("run1/wave0.dat", b"RAWeee")
    assert outcomes(world.settle()) == [("run1/wave0.dat", "quarantined")]


def test_the_watcher_reads_no_replica_again(world: World) -> None:
    world.put("run1/wave0.dat")
    world.settle()
    world.files.calls.clear()
    world.put("run1/wave0.dat")
    world.settle()
    replica = Path("/data1/cenns-10/raw/1/wave0.dat")
    assert replica not in [path for call, path in world.files.calls if call == "read"]


def test_the_watcher_tells_of_a_replica_that_is_gone(world: World) -> None:
    world.put("run1/wave0.dat")
    world.settle()
    del world.files.names[Path("/data1/cenns-10/raw/1/wave0.dat")]
    world.put("run1/wave0.dat")
    report = world.settle()
    assert [problem.what.partition(":")[0] for problem in report.problems] == [
        "the replica of cenns-10-1/wave0.dat on data1 is missing"
    ]
    assert report.is_idle


def test_a_touched_file_is_read_once_more_and_then_done(world: World) -> None:
    world.put("run1/wave0.dat")
    world.settle()
    world.put("run1/wave0.dat")
    assert outcomes(world.settle()) == [("run1/wave0.dat", "already-there")]
    assert world.poll().n_done == 1


def test_an_empty_file_that_is_filled_later_is_taken(world: World) -> None:
    world.put("run1/wave0.dat", b"")
    assert outcomes(world.settle()) == [("run1/wave0.dat", "quarantined")]
    assert world.catalog.source_by_path["/drop/run1/wave0.dat"].state is SourceState.QUARANTINED
    world.put("run1/wave0.dat")
    assert outcomes(world.settle()) == [("run1/wave0.dat", "ingested")]
    assert world.catalog.source_by_path["/drop/run1/wave0.dat"].state is SourceState.INGESTED


# ---------------------------------------------------------------- not meant, and of no run
def test_temporary_files_are_counted_and_left(world: World) -> None:
    world.put("run1/.wave0.dat.Ab3")
    world.put("run1/wave0.dat.tmp")
    report = world.settle()
    assert (report.n_files, report.n_ignored, report.is_idle) == (0, 2, True)


def test_a_configuration_beside_all_runs_is_left(world: World) -> None:
    world.put("WaveDumpConfig.txt", b"x")
    world.put("run1/WaveDumpConfig.txt", b"x")
    report = world.settle()
    assert report.n_ignored == 1
    assert outcomes(report) == [("run1/WaveDumpConfig.txt", "ingested")]


def test_a_file_of_no_run_is_quarantined_once_it_rests_and_never_numbered(world: World) -> None:
    world.put("wave0.dat")
    report = world.settle()
    assert outcomes(report) == [("wave0.dat", "quarantined")]
    assert report.files[0].error is not None
    assert "names no run" in report.files[0].error.what
    assert world.catalog.quarantined()[0].run_id is None
    assert not world.catalog.runs()
    assert not world.settle().files


def test_the_number_is_sought_below_the_drop_directory_only(world: World) -> None:
    world.drops = [DropSettings(path=DROP / "run7", detector="cenns-10")]
    world.start()
    world.put("run7/wave0.dat")
    assert outcomes(world.settle()) == [("run7/wave0.dat", "quarantined")]


# ---------------------------------------------------------------- failures
def test_a_failure_is_tried_again_less_and_less_often_and_blocks_nothing(world: World) -> None:
    world.put("run1/a.dat", b"LOCKED")
    world.put("run1/b.dat")
    assert outcomes(world.settle()) == [("run1/a.dat", "failed"), ("run1/b.dat", "ingested")]
    tries = []
    for second in range(2, 100, 2):
        report = world.poll()
        assert len(report.files) + report.n_deferred == 1
        assert not report.is_idle
        if report.files:
            tries.append(second)
    assert tries == [2, 6, 14, 30, 62]
    assert world.poll(600).files


def test_a_failure_that_is_mended_is_taken(world: World) -> None:
    for volume in world.volumes.values():
        volume.is_writable = False
    world.put("run1/wave0.dat")
    assert outcomes(world.settle()) == [("run1/wave0.dat", "failed")]
    world.volumes["data2"].is_writable = True
    assert outcomes(world.poll()) == [("run1/wave0.dat", "ingested")]


def test_a_changed_file_is_not_held_back_by_its_failures(world: World) -> None:
    world.put("run1/wave0.dat", b"LOCKED")
    world.settle()
    world.poll(600, n=9)
    world.put("run1/wave0.dat", b"RAWe")
    assert outcomes(world.settle()) == [("run1/wave0.dat", "ingested")]


def test_a_clock_that_was_set_back_does_not_hold_a_try_back(world: World) -> None:
    world.put("run1/wave0.dat", b"LOCKED")
    world.settle()
    world.clock.advance(-100_000)
    assert world.poll().files


def test_a_file_that_changes_between_look_and_copy_is_not_taken(world: World) -> None:
    world.put("run1/wave0.dat")
    world.put("run1/wave1.dat")
    world.poll()
    world.poll(30)

    def grow(call: str, _at: object) -> None:
        if call == "raw":
            world.files.hook = lambda *_: None
            world.put("run1/wave1.dat", b"RAWeee")

    world.files.hook = grow
    report = world.poll(30)
    assert outcomes(report) == [("run1/wave0.dat", "ingested"), ("run1/wave1.dat", "failed")]
    assert "wave1.dat changed while it was taken in: 5 B, now 6 B" in str(report.files[1].error)
    assert not world.poll().files
    assert outcomes(world.settle()) == [("run1/wave1.dat", "ingested")]


def test_a_missing_copy_is_made_when_the_drive_is_back(world: World) -> None:
    world.settings = IngestSettings(copies=2)
    world.volumes["data2"].is_mounted = False
    world.start()
    world.put("run1/wave0.dat")
    report = world.settle()
    assert outcomes(report) == [("run1/wave0.dat", "ingested")]
    assert not report.is_idle
    world.volumes["data2"].is_mounted = True
    assert outcomes(world.poll()) == [("run1/wave0.dat", "already-there")]
    assert len(world.copies_of("wave0.dat")) == 2
    assert world.poll().is_idle


def test_a_directory_that_cannot_be_read_is_told_each_time_and_the_rest_goes_on(world: World) -> None:
    world.put("run1/wave0.dat")
    world.drop_files.problem_by_folder[DROP] = drop_problem(DROP / "run2")
    report = world.settle()
    assert report.problems
    assert report.files
    world.drop_files.problem_by_folder.clear()
    world.put("run2/wave0.dat")
    report = world.settle()
    assert not report.problems
    assert outcomes(report) == [("run2/wave0.dat", "ingested")]


def test_where_the_catalog_fails_the_next_look_goes_on(world: World) -> None:
    world.put("run1/wave0.dat")
    world.poll()
    world.poll(30)
    world.catalog.fails_with = CatalogUnreachable("locked", where="catalog", do="wait")
    with pytest.raises(CatalogUnreachable):
        world.poll(30)
    world.catalog.fails_with = None
    assert outcomes(world.poll()) == [("run1/wave0.dat", "ingested")]


def test_a_stop_leaves_the_rest_for_the_next_look(world: World) -> None:
    world.put("run1/wave0.dat")
    world.put("run1/wave1.dat")
    world.poll()
    world.poll(30)
    world.clock.advance(30)
    asked = iter([False, True])
    report = world.watcher.poll(should_stop=lambda: next(asked))
    assert outcomes(report) == [("run1/wave0.dat", "ingested")]
    assert report.n_left == 1
    assert not report.is_idle
    assert outcomes(world.poll()) == [("run1/wave1.dat", "ingested")]


# ---------------------------------------------------------------- times that come later
def test_times_are_completed_when_the_archive_tells(world: World) -> None:
    world.put("run1/wave0.dat")
    assert not world.settle().completed_runs
    world.tell_run(1, -100, -50)
    reports = [world.poll(60) for _ in range(6)]
    assert [report.completed_runs for report in reports if report.completed_runs] == [("cenns-10-1",)]
    assert world.catalog.run("cenns-10-1").time_source.value == "pv"


def test_an_open_run_gets_its_stop(world: World) -> None:
    world.put("run1/wave0.dat")
    world.tell_run(1, -100, None, heard_s=-99)
    world.settle()
    assert world.catalog.run("cenns-10-1").stop_ns is None
    world.tell_run(1, -100, 5)
    assert world.poll(300).completed_runs == ("cenns-10-1",)
    assert world.catalog.run("cenns-10-1").stop_ns == NOW_NS + 5 * SECOND_NS


def test_runs_that_others_entered_without_times_are_completed_too(world: World) -> None:
    world.poll()
    world.ingest.ingest_paths([world.put("elsewhere/wave0.dat")], "cenns-10", run=9)
    world.tell_run(9, -100, -50)
    assert world.poll(299).completed_runs == ()
    assert world.poll(1).completed_runs == ("cenns-10-9",)


def test_the_archive_is_not_asked_for_ever_more(world: World) -> None:
    world.put("run1/wave0.dat")
    world.settle()
    before = world.run_times.n_asked
    world.poll(2, n=150)
    assert world.run_times.n_asked - before < 12


def test_a_number_source_is_a_word() -> None:
    assert [source.value for source in NumberSource] == ["given", "path", "known", "next"]
    assert Outcome.ALREADY_THERE.value == "already-there"
