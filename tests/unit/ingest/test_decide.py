"""Policies of ingest: numbers in paths, what is finished, what is refused, when to retry."""

import math
import os

import pytest

from nualley.catalog import FileRecord, Run, TimeSource
from nualley.core import SECOND_NS, ExitCode, Interval, IntervalSet
from nualley.daq import Defect, DefectKind, FileSummary
from nualley.experiment import RunStretch
from nualley.ingest import RunTime, decide
from nualley.ingest.models import Item, Readiness, Rest, Stamp
from tests.unit.ingest.world import NOW_NS, digests_of

STAMP = Stamp(10, NOW_NS, 7)
ITEM = Item(path="/drop/run3/wave0.dat", detector="cenns-10", number=3)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("run00042/wave0.dat", 42),
        ("/data/run1/run2/wave0.dat", 2),
        ("run_7/a/b/wave0.dat", 7),
        ("Run-7.h5", 7),
        ("run00042.h5", 42),
        ("run42_part3.dat", 42),
        ("run42-part3.dat", 42),
        ("run1/run2.h5", 2),
        ("run0/wave0.dat", 0),
        ("wave0.dat", None),
        ("rerun9/wave0.dat", None),
        ("run9b/wave0.dat", None),
        ("run9b.dat", None),
        ("run/wave0.dat", None),
        ("run20241218150158/wave0.dat", None),
        ("run٣/wave0.dat", None),
        ("run5\n/wave0.dat", None),
        ("run5/\udcff\n.dat", 5),
    ],
)
def test_the_number_is_in_the_part_nearest_to_the_file(path: str, number: int | None) -> None:
    assert decide.run_number(path) == number


def test_names_fit_patterns_with_their_capitals() -> None:
    assert decide.is_named("WaveDumpConfig.txt", ("WaveDumpConfig.txt",))
    assert not decide.is_named("wavedumpconfig.txt", ("WaveDumpConfig.txt",))
    assert decide.is_named("a_settings.xml", ("b", "*_settings.xml"))


# ---------------------------------------------------------------- rest
def test_rest_adds_up_while_nothing_changes() -> None:
    rest = decide.observe(None, STAMP, elapsed_ns=99, limit_ns=50)
    assert rest == Rest(STAMP, 1, 0)
    rest = decide.observe(rest, STAMP, elapsed_ns=20, limit_ns=50)
    assert rest == Rest(STAMP, 2, 20)


@pytest.mark.parametrize(("elapsed_ns", "added_ns"), [(99, 50), (-7, 0)])
def test_a_clock_that_jumps_adds_little(elapsed_ns: int, added_ns: int) -> None:
    assert decide.observe(Rest(STAMP, 2, 20), STAMP, elapsed_ns=elapsed_ns, limit_ns=50).rested_ns == 20 + added_ns


@pytest.mark.parametrize("changed", [Stamp(11, NOW_NS, 7), Stamp(10, NOW_NS + 1, 7), Stamp(10, NOW_NS, 8)])
def test_a_change_begins_anew(changed: Stamp) -> None:
    assert decide.observe(Rest(STAMP, 5, 99), changed, elapsed_ns=1, limit_ns=50) == Rest(changed, 1, 0)


# ---------------------------------------------------------------- finished
def run_time(stop_ns: int | None, heard_until_ns: int = NOW_NS) -> RunTime:
    return RunTime(NOW_NS - 100 * SECOND_NS, stop_ns, heard_until_ns)


@pytest.mark.parametrize(
    ("rest", "run", "readiness"),
    [
        # the run is over: at the second look that found it unchanged
        (Rest(STAMP, 1, 0), run_time(NOW_NS - 1), Readiness.GROWING),
        (Rest(STAMP, 2, 1), run_time(NOW_NS - 1), Readiness.READY),
        # the run goes on: however long the file rests
        (Rest(STAMP, 99, 99 * SECOND_NS), run_time(None), Readiness.RUN_OPEN),
        (Rest(STAMP, 99, 99 * SECOND_NS), run_time(None, NOW_NS - 60 * SECOND_NS), Readiness.RUN_OPEN),
        # the run went on when it was last heard of, and that is too long ago
        (Rest(STAMP, 99, 60 * SECOND_NS), run_time(None, NOW_NS - 61 * SECOND_NS), Readiness.READY),
        (Rest(STAMP, 99, 59 * SECOND_NS), run_time(None, NOW_NS - 61 * SECOND_NS), Readiness.GROWING),
        # nobody knows of the run
        (Rest(STAMP, 99, 59 * SECOND_NS), None, Readiness.GROWING),
        (Rest(STAMP, 99, 60 * SECOND_NS), None, Readiness.READY),
    ],
)
def test_when_a_file_is_finished(rest: Rest, run: RunTime | None, readiness: Readiness) -> None:
    assert decide.judge(rest, run, settle_ns=60 * SECOND_NS, now_ns=NOW_NS) is readiness


def test_a_short_settling_does_not_outrun_the_notice_of_a_hung_ioc() -> None:
    rest = Rest(STAMP, 99, 99 * SECOND_NS)
    heard = run_time(None, NOW_NS - decide.SILENCE_NS)
    assert decide.judge(rest, heard, settle_ns=2 * SECOND_NS, now_ns=NOW_NS) is Readiness.RUN_OPEN
    assert decide.judge(rest, heard, settle_ns=2 * SECOND_NS, now_ns=NOW_NS + 1) is Readiness.READY


def test_no_settling_takes_at_first_sight() -> None:
    assert decide.judge(Rest(STAMP), None, settle_ns=0, now_ns=NOW_NS) is Readiness.READY


# ---------------------------------------------------------------- times of runs
def test_a_run_that_was_taken_up_again_lasts_to_its_last_stop() -> None:
    pauses = IntervalSet((Interval(12, 15),))
    first = RunStretch(7, 10, 20, pauses, start_uncertain_s=1.5, stop_uncertain_s=9)
    last = RunStretch(7, 30, 40, stop_uncertain_s=2.5)
    assert decide.join_stretches([first, last], heard_until_ns=50) == RunTime(10, 40, 50, 1.5, 2.5)
    again = RunStretch(7, 60, None)
    assert decide.join_stretches([first, last, again], heard_until_ns=70) == RunTime(10, None, 70, 1.5, 0.0)
    assert decide.join_stretches([], heard_until_ns=50) is None


def make_run(start_ns: int | None, stop_ns: int | None, source: TimeSource) -> Run:
    return Run(
        run_id="cenns-10-3", detector="cenns-10", number=3, start_ns=start_ns, stop_ns=stop_ns, time_source=source
    )


@pytest.mark.parametrize(
    ("run", "wants", "is_news"),
    [
        (make_run(None, None, TimeSource.UNKNOWN), True, True),
        (make_run(10, None, TimeSource.PV), True, True),
        (make_run(10, 20, TimeSource.PV), False, False),
        (make_run(10, 30, TimeSource.PV), False, False),
        (make_run(10, 20, TimeSource.GIVEN), False, False),
    ],
)
def test_only_what_is_open_or_unknown_is_completed(run: Run, wants: bool, is_news: bool) -> None:
    assert decide.wants_times(run) is wants
    assert decide.is_news(run, RunTime(10, 20, 50)) is is_news


def test_an_open_run_that_is_still_open_is_no_news() -> None:
    assert not decide.is_news(make_run(10, None, TimeSource.PV), RunTime(10, None, 50))


def test_what_was_not_heard_is_noted() -> None:
    assert decide.uncertainty_notes(RunTime(10, 20, 30)) == []
    assert decide.uncertainty_notes(RunTime(10, 20, 30, math.inf, 12.5)) == [
        "its start may lie earlier: nothing was heard of the run PV before",
        "its stop may lie up to 12.500 s earlier: the run PV was not heard for so long",
    ]


# ---------------------------------------------------------------- refused
def summary(*defects: Defect) -> FileSummary:
    return FileSummary("wavedump", 1, (0,), 10, defects)


@pytest.mark.parametrize("kind", [DefectKind.EMPTY, DefectKind.UNKNOWN_FORMAT])
def test_empty_and_unknown_files_are_refused(kind: DefectKind) -> None:
    error = decide.refusal(ITEM, summary(Defect(DefectKind.GARBAGE, 0, "x"), Defect(kind, 0, "begins with 00")))
    assert error is not None
    assert error.what == f"/drop/run3/wave0.dat is refused: {kind.value}: begins with 00"
    assert "detectors/cenns-10.toml" in error.do
    assert error.exit_code is ExitCode.NOT_INTACT


@pytest.mark.parametrize("kind", [DefectKind.TRUNCATED_EVENT, DefectKind.BAD_HEADER, DefectKind.GARBAGE])
def test_files_with_other_defects_are_taken(kind: DefectKind) -> None:
    assert decide.refusal(ITEM, summary(Defect(kind, 0, "x"))) is None


def test_a_file_of_no_run_is_told_how_to_get_in() -> None:
    error = decide.no_number(Item(path="/drop/a\n.dat", detector="cenns-10", number=None))
    assert error.what.startswith("/drop/a\\x0a.dat names no run: expected a folder")
    assert "nualley runs ingest /drop/a\\x0a.dat --detector cenns-10 --run N" in error.do


def test_other_bytes_under_a_known_name_name_both_digests() -> None:
    old, new = digests_of(b"old"), digests_of(b"new")
    known = FileRecord(
        run_id="cenns-10-3",
        detector="cenns-10",
        name="wave0.dat",
        format="wavedump",
        size_B=old.size_B,
        xxh3_128=old.xxh3_128,
        adler32=old.adler32,
    )
    assert decide.conflict(ITEM, known, old) is None
    error = decide.conflict(ITEM, known, new)
    assert error is not None
    assert error.exit_code is ExitCode.NOT_INTACT
    assert old.xxh3_128 in error.what
    assert new.xxh3_128 in error.what
    assert error.where == "cenns-10-3/wave0.dat"


# ---------------------------------------------------------------- retries
def test_retries_come_less_and_less_often_but_always() -> None:
    delays = [decide.retry_delay_ns(n, poll_s=2, limit_s=300) / SECOND_NS for n in (1, 2, 3, 8, 9, 10_000)]
    assert delays == [2, 4, 8, 256, 300, 300]


def test_a_limit_below_the_polling_does_not_hurry() -> None:
    assert decide.retry_delay_ns(5, poll_s=10, limit_s=1) == 10 * SECOND_NS


def test_the_name_is_the_last_part_escaped() -> None:
    assert decide.shown_name(os.fsdecode(b"/drop/run3/a\xff\n.dat")) == "a\\xff\\x0a.dat"
