"""The rhythm of the demo's IOC, on a clock of our own."""

from types import SimpleNamespace

import pytest

from nualley.demo import ioc as module
from nualley.demo.ioc import _Job, _limits, run_jobs


class Stop:
    def __init__(self, stop_s):
        self.now_s, self.stop_s = 0.0, stop_s

    def is_set(self):
        return self.now_s >= self.stop_s

    def wait(self, seconds):
        assert seconds > 0
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch):
    stop = Stop(10.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(time_ns=lambda: round(stop.now_s * 1e9)))
    return stop


def test_each_job_has_its_rhythm(clock):
    shown = {0.1: [], 1.0: []}
    jobs = [_Job(period_s, lambda _, time_s, period_s=period_s: shown[period_s].append(time_s)) for period_s in shown]
    run_jobs(jobs, None, 0, clock)
    assert len(shown[0.1]) == pytest.approx(100, abs=2)
    assert len(shown[1.0]) == pytest.approx(10, abs=1)


def test_what_a_hang_let_pass_is_not_made_up_for(clock):
    shown = []

    def show(_world, time_s):
        shown.append(time_s)
        if len(shown) == 10:
            clock.now_s += 5.0  # stopped in the middle

    run_jobs([_Job(0.1, show)], None, 0, clock)
    assert len(shown) == pytest.approx(51, abs=3)


def test_alarm_limits_are_minor_at_the_limit_and_major_beyond():
    assert _limits(None, None, 1.0) == {}
    assert _limits(70.0, None, 10.0) == {"LOW": 70.0, "LSV": "MINOR", "LOLO": 60.0, "LLSV": "MAJOR"}
    assert _limits(None, 5.0, 5.0) == {"HIGH": 5.0, "HSV": "MINOR", "HIHI": 10.0, "HHSV": "MAJOR"}
