"""The average trace of a run when its traces are gone: from minutes, or from what was kept; never a poorer one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from nualley.core import ExitCode
from nualley.exposure import Exposures, KeptTrace, KeptTraceDamagedError, TraceSource
from nualley.exposure.adapters.kept_traces import TraceFolder
from nualley.exposure.kept_trace import is_better
from nualley.exposure.trace_keeping import RARELY_NS, TraceKeeping, Unkept
from nualley.physics import TraceRule, sum_traces
from tests.unit.exposure.fakes import FakePv, FakeRun, at, detector, make_exposures, steady

A = detector("a", state=False)
SHAPE = np.array([0.0, 1.0, 3.0, 1.0])
MINUTE_NS = 60_000_000_000
# T0 is 40 s into a minute
RUN = FakeRun("a-1", at(20), at(620))


def posts(start: int = 20, stop: int = 620, *, trip=(300, 330), seed: int = 1) -> list[tuple[float, object]]:
    random = np.random.default_rng(seed)
    return [
        (float(s), SHAPE * (0.05 if trip[0] <= s < trip[1] else 1.0) * random.normal(1.0, 0.02))
        for s in range(start, stop)
    ]


def minutes_of(told: list[tuple[float, object]], rule: TraceRule = TraceRule()) -> list:  # noqa: B008  # frozen
    times = np.array([at(s) for s, _ in told])
    block = np.array([value for _, value in told])
    found = []
    for minute in np.unique(times // MINUTE_NS):
        here = times // MINUTE_NS == minute
        severity = np.zeros(int(here.sum()), dtype=np.int8)
        found += sum_traces(times[here], severity, block[here], start_ns=int(minute) * MINUTE_NS, rule=rule)
    return found


def exposures(raw, minutes=(), run=RUN, **pvs: FakePv) -> Exposures:
    made = make_exposures(steady(TRACE=FakePv(list(raw)), **pvs), [run], detectors=[A])
    made._archive.minutes = {"TRACE": list(minutes)}
    return made


def test_minutes_give_what_the_traces_gave() -> None:
    told = posts()
    raw = exposures(told, minutes_of(told)).trace("a-1")
    found = exposures([], minutes_of(told)).trace("a-1")
    assert (raw.source, found.source) == (TraceSource.RAW, TraceSource.MINUTES)
    assert (found.n, found.n_vetoed, found.n_cut) == (raw.n, raw.n_vetoed, 0) == (570, 30, 0)
    np.testing.assert_allclose(found.mean, raw.mean, rtol=1e-12)
    np.testing.assert_allclose(found.rms, raw.rms, rtol=1e-12)


def test_traces_that_are_left_and_minutes_of_those_that_are_gone() -> None:
    told = posts()
    raw = exposures(told).trace("a-1")
    # gone in the middle of a minute: of this one the average counts
    found = exposures(told[333:], minutes_of(told)).trace("a-1")
    assert (found.source, found.n, found.n_vetoed) == (TraceSource.MINUTES, raw.n, raw.n_vetoed)
    np.testing.assert_allclose(found.mean, raw.mean, rtol=1e-12)
    np.testing.assert_allclose(found.rms, raw.rms, rtol=1e-12)


def test_a_minute_that_an_end_of_the_run_cuts_is_told_and_not_used() -> None:
    told = posts(0, 700)
    found = exposures([], minutes_of(told), FakeRun("a-1", at(50), at(600))).trace("a-1")
    # 40 + 50 s is within the minute 20..80, 600 within 560..620
    assert (found.source, found.n_cut) == (TraceSource.MINUTES, 120)
    assert found.n + found.n_vetoed == 480


def test_more_traces_than_the_minutes_know_are_read_from_the_traces() -> None:
    told = posts()
    late = exposures(told, minutes_of(told[::2])).trace("a-1")
    assert (late.source, late.n + late.n_vetoed) == (TraceSource.RAW, 600)


def test_minutes_without_beam_are_vetoed() -> None:
    told = posts(trip=(0, 0))
    power = FakePv([(-1.0, 1.0), (320.0, 0.0)])
    raw = exposures(told, POWER=power).trace("a-1")
    found = exposures([], minutes_of(told), POWER=power).trace("a-1")
    assert (found.n, found.n_vetoed) == (raw.n, raw.n_vetoed) == (300, 300)
    np.testing.assert_allclose(found.mean, raw.mean, rtol=1e-12)


def test_minutes_of_trips_only_are_vetoed_by_the_run() -> None:
    told = posts(trip=(200, 320))  # two whole minutes: in each of them nothing is low
    minutes = minutes_of(told)
    assert not any(sums.is_low for sums in minutes)
    found = exposures([], minutes).trace("a-1")
    assert (found.n, found.n_vetoed) == (480, 120)
    np.testing.assert_allclose(found.mean, exposures(told).trace("a-1").mean, rtol=1e-12)


def test_aligned_traces_and_aligned_minutes_agree() -> None:
    random = np.random.default_rng(4)
    pulse = np.exp(-0.5 * ((np.arange(200)[None, :] - 90 - random.normal(0, 6, 120)[:, None]) / 15) ** 2)
    told = [(20.0 + s, trace) for s, trace in enumerate(pulse)]
    run, rule = FakeRun("a-1", at(20), at(140)), TraceRule(align_to=72.0)
    plain = exposures(told, run=run).trace("a-1")
    found = []
    for raw in (told, []):
        made = exposures(raw, minutes_of(told, rule), run)
        made._trace_rule = rule
        found.append(made.trace("a-1"))
    assert [one.source for one in found] == [TraceSource.RAW, TraceSource.MINUTES]
    np.testing.assert_allclose(found[0].mean, found[1].mean, rtol=1e-12, atol=1e-15)
    assert found[0].rms.max() < 0.3 * plain.rms.max()


# ---------------------------------------------------------------- keeping
class Kept:
    """A run, its archive and what is kept of it."""

    def __init__(self, folder: Path, raw, minutes=(), run=RUN, now_s: float = 1e6) -> None:
        self.exposures = exposures(raw, minutes, run)
        self.archive, self.runs, self.folder = self.exposures._archive, self.exposures._runs, TraceFolder(folder)
        self.clock = self.exposures._clock
        self.clock.time_ns = at(now_s)
        self.keeping = self.anew()

    def anew(self) -> TraceKeeping:
        return TraceKeeping(self.exposures, self.archive, self.runs, self.folder, pv="TRACE", clock=self.clock)

    def keep(self) -> list:
        return list(self.keeping.keep())

    def keep_later(self) -> list:
        self.clock.time_ns += RARELY_NS
        return self.keep()

    def answer(self):
        return self.exposures.trace("a-1", self.folder)


def test_a_run_is_kept_when_it_ended_and_answers_when_all_is_gone(tmp_path) -> None:
    told = posts()
    bench = Kept(tmp_path, told, now_s=100)
    assert bench.keep() == [], "it goes on"
    bench.clock.time_ns = at(1000)
    (kept,) = bench.keep()
    assert kept.trace.source is TraceSource.RAW
    assert bench.keep() == [], "nothing is new"
    before = bench.answer()
    assert before.source is TraceSource.RAW
    bench.archive.pvs["TRACE"] = FakePv([])
    after = bench.answer()
    assert after.source is TraceSource.KEPT
    for name in ("mean", "rms", "time_us"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    for name in ("n", "n_vetoed", "n_cut", "start_ns", "stop_ns", "unit", "run_id"):
        assert getattr(after, name) == getattr(before, name)
    (path,) = tmp_path.rglob("*.parquet")
    assert path == tmp_path / "a" / "a-1.parquet"
    assert pq.read_table(path).column_names == ["time_us", "mean", "rms"]
    bench.keep()
    assert bench.answer().source is TraceSource.KEPT, "what is gone takes no place"


def test_corrected_times_and_late_traces_are_averaged_again(tmp_path) -> None:
    told = posts(trip=(0, 0))
    bench = Kept(tmp_path, told[:500])
    bench.keep()
    bench.archive.pvs["TRACE"] = FakePv(told)
    assert bench.keep() == [], "it ended long ago, and is looked at now and then only"
    (late,) = bench.keep_later()
    assert late.trace.n == 600
    bench.runs.listed[0] = FakeRun("a-1", at(20), at(320))
    (corrected,) = bench.keep()
    assert corrected.trace.n == 300
    assert bench.answer().n == 300


def test_nothing_poorer_takes_the_place_of_what_is_kept(tmp_path) -> None:
    told = posts(trip=(0, 0))
    bench = Kept(tmp_path, told)
    bench.keep()
    for raw, minutes in ((told[:300], ()), ([], minutes_of(told)), ([], minutes_of(told[:200]))):
        bench.archive.pvs["TRACE"] = FakePv(raw)
        bench.archive.minutes = {"TRACE": list(minutes)}
        bench.keeping = bench.anew()
        assert bench.keep() == []
        assert (bench.answer().source, bench.answer().n) == (TraceSource.KEPT, 600)
    # the times are corrected, and only minutes are left: right times count more
    bench.archive.minutes = {"TRACE": minutes_of(told)}
    bench.runs.listed[0] = FakeRun("a-1", at(80), at(320))
    (found,) = bench.keep()
    assert (found.trace.source, found.trace.n) == (TraceSource.MINUTES, 240)
    # corrected again, and nearly nothing is left
    bench.archive.minutes = {"TRACE": minutes_of(told[60:120])}
    bench.runs.listed[0] = FakeRun("a-1", at(80), at(330))
    assert bench.keep() == []


def test_traces_take_the_place_of_minutes(tmp_path) -> None:
    told = posts()
    bench = Kept(tmp_path, [], minutes_of(told))
    (first,) = bench.keep()
    assert first.trace.source is TraceSource.MINUTES
    bench.archive.pvs["TRACE"] = FakePv(told)
    (second,) = bench.keep_later()
    assert second.trace.source is TraceSource.RAW


def test_a_new_rule_needs_all_traces(tmp_path) -> None:
    told = posts()
    kept = Kept(tmp_path, told).exposures.live_trace("a-1")
    other = replace(kept, rule=TraceRule(0.01))
    assert is_better(other, kept)
    of_minutes = replace(other, trace=kept.trace.told_by(TraceSource.MINUTES))
    assert not is_better(of_minutes, kept)


def test_a_run_without_traces_keeps_nothing(tmp_path) -> None:
    bench = Kept(tmp_path / "none", [])
    assert bench.keep() == []
    assert not (tmp_path / "none").exists()


def test_a_damaged_file_is_told_or_made_again(tmp_path) -> None:
    told = posts()
    bench = Kept(tmp_path, told)
    bench.keep()
    (path,) = tmp_path.rglob("*.parquet")
    whole, expected = path.read_bytes(), bench.exposures.trace("a-1").to_json()
    for place in range(4, len(whole), max(len(whole) // 400, 1)):
        data = bytearray(whole)
        data[place] ^= 0x08
        path.write_bytes(bytes(data))
        try:
            found = bench.folder.find("a-1")
        except KeptTraceDamagedError:
            pass
        else:  # a bit that says nothing
            assert found is not None
            assert found.trace.to_json() == expected
    path.write_bytes(whole[: len(whole) // 2])
    assert bench.answer().source is TraceSource.RAW
    bench.archive.pvs["TRACE"] = FakePv([])
    with pytest.raises(KeptTraceDamagedError, match="the kept trace of run a-1 is not as it was written") as caught:
        bench.answer()
    assert caught.value.exit_code == ExitCode.NOT_INTACT
    assert str(path) in str(caught.value)
    bench.archive.minutes = {"TRACE": minutes_of(told)}
    (found,) = bench.keep_later()
    assert isinstance(found, KeptTrace)
    assert bench.answer().n == found.trace.n


def test_what_cannot_be_averaged_is_told_and_the_others_go_on(tmp_path) -> None:
    bench = Kept(tmp_path, posts())
    bad = FakeRun("b-1", at(20), at(620), "unknown")
    bench.runs.listed.insert(0, replace(bad, start_ns=at(619), stop_ns=at(20)))
    found = bench.keep()
    assert [type(one) for one in found][-1] is KeptTrace
    assert all(isinstance(one, Unkept) for one in found[:-1])


def test_stopping_between_runs(tmp_path) -> None:
    bench = Kept(tmp_path, posts())
    assert list(bench.keeping.keep(lambda: True)) == []
