"""Runs as told by run number and state PVs."""

import math

import pytest

from nualley.core import Interval, IntervalSet
from nualley.experiment import Changes, RunStretch, run_stretches

S = 1_000_000_000


def numbers(*posts: tuple[float, int], unknown: IntervalSet | None = None) -> Changes[int]:
    return Changes([round(t * S) for t, _ in posts], [n for _, n in posts], unknown or IntervalSet())


def states(*posts: tuple[float, str], unknown: IntervalSet | None = None) -> Changes[str]:
    return Changes([round(t * S) for t, _ in posts], [label for _, label in posts], unknown or IntervalSet())


def told(stretches: list[RunStretch]) -> list[tuple[int, float, float | None]]:
    return [(r.number, r.start_ns / S, None if r.stop_ns is None else r.stop_ns / S) for r in stretches]


def test_a_run_lasts_while_running() -> None:
    found = run_stretches(numbers((0, 7)), states((0, "Stopped"), (10, "Running"), (40, "Stopped")))
    assert told(found) == [(7, 10, 40)]
    assert not found[0].pauses


def test_a_new_number_while_running_is_a_new_run() -> None:
    found = run_stretches(numbers((0, 7), (25, 8)), states((10, "Running"), (40, "Stopped")))
    assert told(found) == [(7, 10, 25), (8, 25, 40)]


def test_a_run_that_goes_on_has_no_stop() -> None:
    assert told(run_stretches(numbers((0, 7)), states((10, "Running")))) == [(7, 10, None)]


def test_pauses_belong_to_the_run() -> None:
    state = states((10, "Running"), (20, "Paused"), (25, "Running"), (30, "Paused"), (40, "Stopped"))
    (run,) = run_stretches(numbers((0, 7)), state)
    assert (run.start_ns, run.stop_ns) == (10 * S, 40 * S)
    assert run.pauses == IntervalSet([Interval(20 * S, 25 * S), Interval(30 * S, 40 * S)])


def test_a_run_still_paused_has_a_pause_without_end() -> None:
    (run,) = run_stretches(numbers((0, 7)), states((10, "Running"), (20, "Paused")))
    assert run.stop_ns is None
    assert run.pauses & IntervalSet.of(0, 10**6 * S) == IntervalSet.of(20 * S, 10**6 * S)


def test_a_number_that_changes_in_a_pause_ends_the_run() -> None:
    found = run_stretches(numbers((0, 7), (30, 8)), states((10, "Running"), (20, "Paused"), (35, "Running")))
    assert told(found) == [(7, 10, 30), (8, 35, None)]
    assert found[0].pauses == IntervalSet.of(20 * S, 30 * S)
    assert not found[1].pauses


def test_paused_alone_does_not_begin_a_run() -> None:
    assert run_stretches(numbers((0, 7)), states((10, "Paused"), (20, "Stopped"))) == []


def test_words_of_the_daq_are_its_own() -> None:
    found = run_stretches(
        numbers((0, 7)), states((1, "RUN"), (5, "HOLD"), (9, "IDLE")), running=["RUN"], paused=["HOLD"]
    )
    assert told(found) == [(7, 1, 9)]
    assert found[0].pauses == IntervalSet.of(5 * S, 9 * S)


def test_without_a_state_the_number_decides() -> None:
    assert told(run_stretches(numbers((3, 7), (20, 8), (30, -1), (50, 9)))) == [(7, 3, 20), (8, 20, 30), (9, 50, None)]


def test_resent_values_change_nothing() -> None:
    found = run_stretches(numbers((0, 7), (15, 7)), states((10, "Running"), (20, "Running"), (40, "Stopped")))
    assert told(found) == [(7, 10, 40)]


def test_a_run_taken_up_again_is_two_stretches() -> None:
    state = states((10, "Running"), (20, "Stopped"), (30, "Running"), (40, "Stopped"))
    assert told(run_stretches(numbers((0, 7)), state)) == [(7, 10, 20), (7, 30, 40)]


def test_state_ahead_of_the_number_does_not_lengthen_the_old_run() -> None:
    state = states((10, "Running"), (20, "Stopped"), (30, "Running"), (40, "Stopped"))
    assert told(run_stretches(numbers((0, 7), (30.3, 8)), state)) == [(7, 10, 20), (8, 30.3, 40)]


def test_number_ahead_of_the_state_does_not_begin_the_next_run() -> None:
    state = states((10, "Running"), (20, "Stopped"), (30, "Running"), (40, "Stopped"))
    assert told(run_stretches(numbers((0, 7), (19.9, 8)), state)) == [(7, 10, 19.9), (8, 30, 40)]


def test_a_run_that_was_short_is_still_a_run() -> None:
    assert told(run_stretches(numbers((0, 7)), states((10, "Running"), (10.2, "Stopped")))) == [(7, 10, 10.2)]


def test_a_daq_that_is_not_heard_goes_on() -> None:
    dark = IntervalSet.of(20 * S, 30 * S)
    found = run_stretches(numbers((0, 7), unknown=dark), states((10, "Running"), (40, "Stopped"), unknown=dark))
    assert told(found) == [(7, 10, 40)]
    assert (found[0].start_uncertain_s, found[0].stop_uncertain_s) == (0.0, 0.0)


def test_edges_in_the_dark_say_how_uncertain_they_are() -> None:
    dark = IntervalSet([Interval(5 * S, 12 * S), Interval(35 * S, 40 * S)])
    (run,) = run_stretches(numbers((0, 7)), states((0, "Stopped"), (10, "Running"), (40, "Stopped"), unknown=dark))
    assert (run.start_uncertain_s, run.stop_uncertain_s) == (5.0, 5.0)


def test_a_start_before_anything_was_heard_is_uncertain_without_bound() -> None:
    unheard = IntervalSet.of(-(2**62), 50 * S)
    (run,) = run_stretches(numbers((10, 7), unknown=unheard), states((20, "Running"), (60, "Stopped")))
    assert math.isinf(run.start_uncertain_s)
    assert run.stop_uncertain_s == 0


@pytest.mark.parametrize(
    ("run", "state"), [(numbers(), states((1, "Running"))), (numbers((1, 7)), states()), (numbers(), None)]
)
def test_nothing_told_no_runs(run: Changes[int], state: Changes[str] | None) -> None:
    assert run_stretches(run, state) == []
