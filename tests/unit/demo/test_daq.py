"""A DAQ on a clock of our own: what it says when, and that it ends its runs properly."""

from types import SimpleNamespace

import numpy as np
import pytest

from nualley.demo import daq as module
from nualley.demo.daq import Daq, DaqPlan
from nualley.demo.runs import Pause
from nualley.demo.world import World

START_NS = 1_700_000_000_000_000_000


class Stop:
    """An Event whose waiting moves the clock; it is set after ``stop_s`` seconds."""

    def __init__(self, stop_s=1e9):
        self.now_s, self.stop_s = 0.0, stop_s

    def is_set(self):
        return self.now_s >= self.stop_s

    def wait(self, seconds):
        self.now_s += seconds


class Writer:
    """A run in memory."""

    def __init__(self, folder, digitizer):
        self.folder, self.times_ns, self.closed = folder, [], None
        Writer.made.append(self)

    def write(self, waveforms, times_ns):
        assert len(waveforms) == len(times_ns)
        self.times_ns += times_ns

    def close(self, *, truncated):
        self.closed = truncated


class Control:
    def __init__(self, clock):
        self.sent, self.clock = [], clock

    def send(self, state):
        self.sent.append((round(self.clock.now_s, 3), state))
        return True

    def words(self):
        """Return what was news: state and run, without the repetitions."""
        words = [(state.state, state.run) for _, state in self.sent]
        return [word for before, word in zip([None, *words], words, strict=False) if word != before]


@pytest.fixture
def make(tmp_path, monkeypatch):
    def create(stop_s=1e9, **plan):
        stop = Stop(stop_s)
        clock = SimpleNamespace(
            monotonic=lambda: stop.now_s, time_ns=lambda: START_NS + round(stop.now_s * 1e9), time=None
        )
        monkeypatch.setattr(module, "time", clock)
        monkeypatch.setitem(module.RUN_WRITERS, "wavedump", Writer)
        monkeypatch.setattr(module, "draw_events", lambda _rng, _digitizer, e, n: np.zeros((e + n, 1, 1)))
        Writer.made = []
        control = Control(stop)
        made = DaqPlan("cenns-10", "CENNS10", "wavedump", tmp_path / "drop", tmp_path / "state.json", **plan)
        return Daq(made, World(1), start_ns=START_NS, control=control, stopped=stop), control

    return create


def test_runs_last_10_s_with_a_short_gap_and_are_numbered(make, monkeypatch):
    monkeypatch.setattr(module, "planned_pause", lambda *_: None)
    daq, control = make(stop_s=25.0)
    daq.take_runs()
    assert control.words() == [
        ("Running", 1), ("Stopped", 1), ("Running", 2), ("Stopped", 2), ("Running", 3), ("Stopped", 3),
    ]  # fmt: skip
    begin_s = next(at_s for at_s, state in control.sent if state.state == "Running" and state.run == 2)
    end_s = next(at_s for at_s, state in control.sent if state.state == "Stopped" and state.run == 1)
    assert end_s == 10.0
    assert begin_s == 10.5
    assert [writer.closed for writer in Writer.made] == [False, False, False]
    assert [writer.folder.name for writer in Writer.made] == ["run00001", "run00002", "run00003"]


def test_the_state_is_told_again_every_second_for_an_ioc_that_was_started_anew(make):
    daq, control = make()
    daq.take_run(1)
    assert len(control.sent) == pytest.approx(12, abs=3)


def test_events_are_in_time_and_follow_the_rate(make, monkeypatch):
    monkeypatch.setattr(module, "planned_pause", lambda *_: None)
    daq, _ = make(run_s=1000.0)
    daq.take_run(1)
    times_ns = np.array(Writer.made[0].times_ns)
    assert (np.diff(times_ns) >= 0).all()
    assert times_ns[0] >= 0
    assert times_ns[-1] < 1000e9
    assert 6500 < len(times_ns) < 8500  # about 8 Hz, a little less in a trip


def test_nothing_is_recorded_while_paused(make, monkeypatch):
    monkeypatch.setattr(module, "planned_pause", lambda *_: Pause(4.0, 5.0))
    daq, control = make()
    daq.take_run(1)
    assert control.words() == [("Running", 1), ("Paused", 1), ("Running", 1), ("Stopped", 1)]
    times_s = np.array(Writer.made[0].times_ns) / 1e9
    assert not ((times_s > 4.0) & (times_s < 4.7)).any()
    paused = [state for _, state in control.sent if state.state == "Paused"]
    assert {(state.live, state.rate_Hz) for state in paused} == {(0.0, 0.0)}


def test_live_time_is_what_dead_time_leaves(make):
    daq, control = make()
    daq.take_run(1)
    running = control.sent[0][1]
    assert running.live == pytest.approx(1 - 0.004 * running.rate_Hz)
    assert 0.95 < running.live < 0.98


def test_only_the_run_that_was_chosen_is_truncated(make):
    daq, _ = make(stop_s=25.0, truncated_run=2)
    daq.take_runs()
    assert [writer.closed for writer in Writer.made] == [False, True, False]


def test_a_daq_that_is_stopped_ends_its_run(make):
    daq, control = make(stop_s=3.0)
    daq.take_runs()
    assert control.words()[-1] == ("Stopped", 1)
    assert Writer.made[0].closed is False
