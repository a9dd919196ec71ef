"""Policies of exposure as pure functions."""

from fractions import Fraction

import pytest

from nualley.core import DAY_NS, SECOND_NS, Interval, IntervalSet
from nualley.exposure.beam_reader import windows
from nualley.exposure.decide import (
    OPEN_GRACE_NS,
    fates,
    known_until_ns,
    overlap_defects,
    run_defects,
    run_interval,
    whole_protons,
)
from nualley.exposure.integral import Sums
from nualley.exposure.models import Amounts, DefectKind, Fate, sum_of_amounts
from tests.unit.exposure.fakes import FakeRun


@pytest.mark.parametrize(
    ("alive_ns", "expected_ns"),
    [(1000, 1000), (2000, 1000), (1000 - OPEN_GRACE_NS, 1000 - OPEN_GRACE_NS), (999 - OPEN_GRACE_NS, 1000)],
)
def test_known_until(alive_ns: int, expected_ns: int) -> None:
    assert known_until_ns(1000, alive_ns) == expected_ns


def test_an_open_run_never_stops_before_it_starts() -> None:
    assert run_interval(FakeRun("a-1", 50, None), 40) == (Interval(50, 50), "")


def test_fates_are_disjoint_and_cover_the_whole() -> None:
    found = fates(
        Interval(0, 100),
        runs=IntervalSet([Interval(-10, 20), Interval(40, 60)]),
        paused=IntervalSet.of(15, 50),
        taking=IntervalSet.of(55, 70),
        dark=IntervalSet.of(90, 200),
    )
    assert found == {
        Fate.RECORDED: IntervalSet([Interval(0, 15), Interval(50, 60)]),
        Fate.NO_RUN: IntervalSet([Interval(20, 40), Interval(70, 90)]),
        Fate.DAQ_PAUSED: IntervalSet([Interval(15, 20), Interval(40, 50)]),
        Fate.UNKNOWN: IntervalSet([Interval(60, 70), Interval(90, 100)]),
    }


def test_whole_protons_add_up_to_the_rounded_total() -> None:
    thirds = [Sums(pot=Fraction(SECOND_NS, 3))] * 7
    found = whole_protons(thirds)
    assert sum(found) == round(Fraction(7, 3))
    assert set(found) <= {0, 1}
    assert whole_protons([]) == []


def test_sums_of_no_runs_are_null() -> None:
    assert sum_of_amounts([]) == Amounts()
    assert sum_of_amounts([Amounts(pot=1.0, n_pulses=2), Amounts(pot=2.0, n_pulses=None)]).pot == 3.0
    assert sum_of_amounts([Amounts(n_pulses=2), Amounts(n_pulses=None)]).n_pulses is None
    assert sum_of_amounts([Amounts(n_pulses=2), Amounts(n_pulses=3)]).n_pulses == 5


def test_a_beam_that_is_not_known_is_a_defect() -> None:
    (defect,) = run_defects(Sums(duration_ns=100 * SECOND_NS, unknown_ns=12 * SECOND_NS))
    assert defect.kind is DefectKind.BEAM_UNKNOWN
    assert defect.detail == "the beam is not known in 12 s of 1 min 40 s: protons of then are not counted"
    assert run_defects(Sums(duration_ns=100 * SECOND_NS)) == ()


def test_each_run_names_every_other_that_it_overlaps() -> None:
    found = overlap_defects(
        {
            "a-1": Interval(0, 100 * SECOND_NS),
            "a-2": Interval(10 * SECOND_NS, 20 * SECOND_NS),
            "a-3": Interval(15 * SECOND_NS, 30 * SECOND_NS),
            "a-4": Interval(100 * SECOND_NS, 110 * SECOND_NS),
            "a-5": Interval(50 * SECOND_NS, 50 * SECOND_NS),
        }
    )
    told = {run_id: [defect.detail.partition(":")[0] for defect in defects] for run_id, defects in found.items()}
    assert told == {
        "a-1": ["10 s of it are also in a-2", "15 s of it are also in a-3"],
        "a-2": ["10 s of it are also in a-1", "5 s of it are also in a-3"],
        "a-3": ["15 s of it are also in a-1", "5 s of it are also in a-2"],
    }


def every_second(time_ns: int) -> list[int]:
    """Return the last sample of a PV that posts all the time."""
    return [time_ns - time_ns % SECOND_NS]


def test_days_with_samples_are_read_once_and_no_further_than_needed() -> None:
    within = IntervalSet([Interval(5, 10), Interval(20, DAY_NS + 3), Interval(3 * DAY_NS + 1, 3 * DAY_NS + 2)])
    assert windows(within, every_second) == [
        Interval(5, DAY_NS),
        Interval(DAY_NS, DAY_NS + 3),
        Interval(3 * DAY_NS + 1, 3 * DAY_NS + 2),
    ]
    assert windows(IntervalSet(), every_second) == []


def test_years_without_samples_are_one_window() -> None:
    asked: list[int] = []

    def last_samples_ns(time_ns: int) -> list[int]:
        asked.append(time_ns)
        posted = (1000 * DAY_NS + 7, 2000 * DAY_NS + 7, 2000 * DAY_NS + 9)
        return [sample_ns for sample_ns in posted if sample_ns <= time_ns][-1:]

    within = IntervalSet([Interval(0, 500 * DAY_NS), Interval(700 * DAY_NS, 3000 * DAY_NS)])
    assert windows(within, last_samples_ns) == [
        Interval(0, 1000 * DAY_NS),
        Interval(1000 * DAY_NS, 1001 * DAY_NS),
        Interval(1001 * DAY_NS, 2000 * DAY_NS),
        Interval(2000 * DAY_NS, 2001 * DAY_NS),
        Interval(2001 * DAY_NS, 3000 * DAY_NS),
    ]
    assert len(asked) == 5


def test_no_window_is_longer_than_int64_can_count() -> None:
    found = windows(IntervalSet.of(-(2**63), 2**63 - 1), lambda _: ())
    assert len(found) == 4
    assert max(window.duration_ns for window in found) == 2**62
    assert IntervalSet(found) == IntervalSet.of(-(2**63), 2**63 - 1)
