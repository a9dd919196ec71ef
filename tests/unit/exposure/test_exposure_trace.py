"""The average POT trace of a run."""

import numpy as np
import pytest

from nualley.core import ExitCode
from nualley.exposure import NoTracePvError, RunWithoutTimesError
from tests.unit.exposure.fakes import BEAM, FakePv, FakeRun, at, detector, make_exposures, steady

A = detector("a", state=False)
SHAPE = np.array([0.0, 1.0, 3.0, 1.0])
RUN = FakeRun("a-1", at(0), at(1000))


def traces(*posts: tuple[float, object], severities: dict[float, int] | None = None) -> FakePv:
    return FakePv(list(posts), severities=severities or {})


def test_mean_rms_and_time() -> None:
    posts = [(s, SHAPE * (1.1 if s % 2 else 0.9)) for s in map(float, range(-10, 1010))]
    found = make_exposures(steady(TRACE=traces(*posts)), [RUN], detectors=[A]).trace("a-1")
    assert (found.n, found.n_vetoed, found.unit) == (1000, 0, "A")
    np.testing.assert_allclose(found.mean, SHAPE, atol=1e-12)
    np.testing.assert_allclose(found.rms, 0.1 * SHAPE, atol=1e-12)
    np.testing.assert_allclose(found.time_us, [0.0, 0.002, 0.004, 0.006])
    shown = found.to_json()
    assert set(shown) == {
        *("run_id", "unit", "time_us", "mean", "rms", "n", "n_vetoed", "n_cut", "source", "start_ns", "stop_ns")
    }
    assert shown["n"] == 1000


def test_times_of_samples_have_no_dust() -> None:
    beam = BEAM | {"trace": {"pv": "TRACE", "unit": "A", "sample_period": "1 ns"}}
    pvs = steady(TRACE=traces((10.0, np.ones(2000))))
    found = make_exposures(pvs, [RUN], detectors=[A], beam=beam).trace("a-1")
    assert found.to_json()["time_us"] == [sample / 1000 for sample in range(2000)]


def test_trips_pauses_of_the_beam_and_bad_traces_are_vetoed() -> None:
    posts = [
        (10.0, SHAPE),
        (20.0, SHAPE),
        (30.0, SHAPE * 0.2),  # a trip that the slower power PV did not see
        (40.0, SHAPE * 9),  # INVALID
        (50.0, [2.0, 3.0]),  # another length
        (60.0, []),
        (70.0, SHAPE * np.nan),
        (900.0, SHAPE * 5),  # the beam was off
    ]
    pvs = steady(TRACE=traces(*posts, severities={40.0: 3}), POWER=FakePv([(-1.0, 1.0), (800.0, 0.0)]))
    found = make_exposures(pvs, [RUN], detectors=[A]).trace("a-1")
    assert (found.n, found.n_vetoed) == (2, 6)
    np.testing.assert_allclose(found.mean, SHAPE)


def test_the_median_is_that_of_the_beam_not_of_its_absence() -> None:
    on = [(10.0, SHAPE), (20.0, SHAPE), (30.0, SHAPE * 0.2)]
    off = [(800.0 + index, SHAPE * 1e-3) for index in range(20)]
    pvs = steady(TRACE=traces(*on, *off), POWER=FakePv([(-1.0, 1.0), (800.0, 0.0)]))
    found = make_exposures(pvs, [RUN], detectors=[A]).trace("a-1")
    assert (found.n, found.n_vetoed) == (2, 21)


def test_a_run_without_traces_has_none() -> None:
    found = make_exposures(steady(), [RUN], detectors=[A]).trace("a-1")
    assert (found.n, found.n_vetoed, found.mean.size, found.time_us.size) == (0, 0, 0, 0)


def test_without_a_trace_pv() -> None:
    beam = {key: value for key, value in BEAM.items() if key != "trace"}
    with pytest.raises(NoTracePvError, match="no POT trace for run a-1") as caught:
        make_exposures(steady(), [RUN], beam=beam).trace("a-1")
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    assert "beam.toml: trace" in str(caught.value)


def test_of_a_run_without_times() -> None:
    with pytest.raises(RunWithoutTimesError, match="run a-1 has no times: its start is not known") as caught:
        make_exposures(steady(), [FakeRun("a-1", None, None, "unknown")]).trace("a-1")
    assert "--start and --stop" in str(caught.value)
