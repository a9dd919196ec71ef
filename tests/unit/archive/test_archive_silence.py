"""Gaps up to now: what is a gap of a living PV, and what only the time until the next proof of life."""

import pytest

from nualley.core import SECOND_NS
from nualley.pv import Connection, Life
from tests.unit.archive.conftest import START_NS

PV = "LAB:T"
PUSHER = "push:lab"


def gaps(bench, pv=PV, *, is_running=True, stop_ns=None):
    found = bench.reader().gaps(pv, START_NS, stop_ns or bench.clock.time_ns, is_running=is_running)
    return [(gap.kind, (gap.start_ns - START_NS) / SECOND_NS, (gap.stop_ns - START_NS) / SECOND_NS) for gap in found]


@pytest.fixture
def live(bench):
    bench.emit(bench.connect(PV), bench.sample(PV, 1.0), bench.life())
    bench.commit()
    return bench


def test_a_living_pv_has_no_gap_until_the_next_proof_is_due(live):
    live.clock.advance(0.5)
    assert gaps(live) == []
    live.clock.advance(9)
    assert gaps(live) == []
    live.clock.advance(1)
    assert gaps(live) == [("silent", 0, 10.5)]


def test_when_the_archive_does_not_run_that_is_why(live):
    live.clock.advance(0.5)
    assert gaps(live, is_running=False) == [("archive-not-running", 0, 0.5)]


def test_an_old_reason_is_not_given_for_what_comes_now(live):
    live.clock.advance(10)
    live.emit(live.disconnect(PV, START_NS + 5 * SECOND_NS))
    live.clock.advance(10)
    live.emit(live.connect(PV), live.sample(PV, 2.0), live.life())
    live.commit()
    live.clock.advance(1)
    assert gaps(live) == [("disconnect", 5, 20)]
    live.clock.advance(60)
    assert gaps(live) == [("disconnect", 5, 20), ("silent", 20, 81)]
    assert gaps(live, is_running=False)[1][0] == "archive-not-running"


def test_a_reason_that_was_noticed_behind_the_stretch_is_the_reason(live):
    live.clock.advance(10)
    live.emit(live.disconnect(PV, START_NS + 5 * SECOND_NS))
    live.commit()
    assert gaps(live, stop_ns=START_NS + 8 * SECOND_NS) == [("disconnect", 5, 8)]


def test_before_its_first_row_it_was_not_archived(bench):
    bench.clock.advance(5)
    bench.emit(bench.connect(PV), bench.sample(PV, 1.0), bench.life())
    bench.commit()
    assert gaps(bench) == [("not-archived", 0, 5)]


def test_who_pushes_and_is_silent_is_archived_all_the_same(bench):
    bench.emit(Connection(PV, True, PUSHER, START_NS, START_NS, "http"), bench.sample(PV, 1.0), Life(PUSHER, START_NS))
    bench.commit()
    bench.clock.advance(3600)
    assert gaps(bench) == [("silent", 0, 3600)]


@pytest.mark.parametrize("is_sealed", [False, True])
def test_the_rate_is_that_of_the_time_in_which_it_was_archived(bench, is_sealed):
    bench.emit(bench.connect(PV))
    for number in range(120):
        bench.emit(bench.sample(PV, float(number)), bench.life())
        bench.clock.advance(1)
    bench.emit(bench.disconnect(PV, bench.clock.time_ns))
    bench.commit()
    bench.clock.advance(600)
    bench.emit(bench.connect(PV))
    bench.commit()
    if is_sealed:
        bench.seal()
    rate = bench.reader().rate(PV)
    assert (rate.samples_Hz, rate.over_s) == (1.0, 120.0)


def test_a_pv_that_was_never_there_was_never_connected(bench):
    bench.emit(bench.connect(PV), bench.sample(PV, 1.0), Connection("LAB:GONE", False, "", START_NS, 0, "ca"))
    bench.commit()
    bench.clock.advance(60)
    assert gaps(bench, "LAB:GONE") == [("never-connected", 0, 60)]
    assert bench.reader().began_ns() == START_NS
