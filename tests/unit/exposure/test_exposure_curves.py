"""Cumulative beam: exact at its end, straight between vertices, few of them."""

import numpy as np
import pytest

from nualley.exposure.curves import thin
from tests.unit.exposure.fakes import RATE, FakePv, FakeRun, at, detector, make_exposures, steady

A = detector("a", state=False, live_fraction=False)


def test_a_steady_beam_needs_two_vertices_a_run() -> None:
    runs = [FakeRun("a-1", at(10), at(20)), FakeRun("a-2", at(50), at(70))]
    (curve,) = make_exposures(steady(), runs, detectors=[A]).cumulative()
    assert curve.detector == "a"
    assert curve.time_ns.tolist() == [at(10), at(20), at(50), at(70)]
    np.testing.assert_allclose(curve.pot, np.array([0, 10, 10, 30]) * RATE, rtol=1e-14)
    np.testing.assert_allclose(curve.energy_GWh, np.array([0, 10, 10, 30]) * 1e6 / 3.6e12, rtol=1e-14)
    assert curve.unknown_s == 0


def test_vertices_stand_where_the_beam_changes() -> None:
    pvs = steady(POWER=FakePv([(-1.0, 1.0), (30.0, 0.0), (60.0, 0.5), (65.0, 0.5)], [(80.0, "gap", 70.0)]))
    (curve,) = make_exposures(pvs, [FakeRun("a-1", at(0), at(100))], detectors=[A]).cumulative()
    assert curve.time_ns.tolist() == [at(s) for s in (0, 30, 60, 70, 100)]
    np.testing.assert_allclose(curve.pot, np.array([0, 30, 30, 35, 35]) * RATE, rtol=1e-14)
    assert curve.unknown_s == 30
    assert [(piece.start_ns, piece.stop_ns) for piece in curve.unknown] == [(at(70), at(100))]


@pytest.mark.parametrize("n_points", [2, 10, 777])
def test_few_points_keep_the_end_and_lie_on_the_curve(n_points: int) -> None:
    power = [(s, 1.0 + 0.1 * (s % 7)) for s in np.arange(-1.0, 3 * 86400.0, 61.0).tolist()]
    runs = [FakeRun("a-1", at(0), at(86400)), FakeRun("a-2", at(90000), at(250000))]
    service = make_exposures(steady(POWER=FakePv(power)), runs, detectors=[A])
    (full,) = service.cumulative(n_points=10**6)
    (few,) = service.cumulative(n_points=n_points)
    assert few.time_ns.size <= n_points
    assert (few.time_ns[0], few.time_ns[-1]) == (at(0), at(250000))
    assert np.isin(few.time_ns, full.time_ns).all()
    np.testing.assert_allclose(few.pot, np.interp(few.time_ns, full.time_ns, full.pot), rtol=1e-12)
    totals = service.exposures().detectors["a"]
    assert few.total_pot == full.total_pot == pytest.approx(totals.pot, rel=1e-15)
    assert few.total_GWh == pytest.approx(totals.energy_GWh, rel=1e-15)
    assert (np.diff(full.time_ns) > 0).all()
    assert (np.diff(full.pot) >= 0).all()


def test_the_end_is_the_exact_sum(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(20):
        power = list(zip(np.arange(-1.0, 2000.0).tolist(), random.uniform(0.5, 1.5, 2001).tolist(), strict=True))
        service = make_exposures(steady(POWER=FakePv(power)), [FakeRun("a-1", at(0), at(2000))], detectors=[A])
        (curve,) = service.cumulative()
        assert curve.total_pot == service.exposures().runs[0].amounts.pot  # to the bit


def test_overlapping_runs_count_once() -> None:
    runs = [FakeRun("a-1", at(0), at(60)), FakeRun("a-2", at(50), at(100))]
    (curve,) = make_exposures(steady(), runs, detectors=[A]).cumulative()
    assert curve.total_pot == pytest.approx(100 * RATE, rel=1e-15)


def test_detectors_without_times_have_no_curve() -> None:
    runs = [FakeRun("a-1", None, None, "unknown"), FakeRun("b-1", at(0), at(1)), FakeRun("c-1", at(0), at(0))]
    curves = make_exposures(steady(), runs, detectors=[A]).cumulative()
    assert [curve.detector for curve in curves] == ["b"]
    assert make_exposures(steady(), runs).cumulative("a") == []


def test_columns_in_json() -> None:
    (curve,) = make_exposures(steady(), [FakeRun("a-1", at(0), at(10))], detectors=[A]).cumulative()
    shown = curve.to_json()
    assert shown["time_ns"] == [at(0), at(10)]
    assert set(shown) == {"detector", "time_ns", "pot", "energy_GWh", "unknown_s", "unknown_ns"}


def test_thinning_keeps_first_and_last() -> None:
    times = np.array([0, 1, 2, 3, 50, 98, 99, 100])
    assert thin(times, 8).tolist() == list(range(8))
    assert thin(times, 2).tolist() == [0, 7]
    assert thin(times, 3).tolist() == [0, 3, 7]
    assert thin(np.zeros(5, dtype=np.int64), 3).tolist() == [0, 4]
    assert thin(np.empty(0, dtype=np.int64), 3).tolist() == []
    assert thin(np.array([-(2**63), -(2**62), 0, 2**63 - 1]), 3).tolist() == [0, 1, 3], "longer than int64 can count"


def test_when_the_beam_is_not_known_stays_short_for_a_picture() -> None:
    # each other second is INVALID
    power = FakePv([(float(s), 1.0) for s in range(1000)], severities={float(s): 3 for s in range(0, 1000, 2)})
    service = make_exposures(steady(POWER=power), [FakeRun("a-1", at(0), at(1000))], detectors=[A])
    (full,) = service.cumulative()
    assert full.unknown_s == full.unknown.duration_s == 500
    assert len(full.unknown.intervals) == 500
    (few,) = service.cumulative(n_points=10)
    assert few.unknown_s == 500
    assert len(few.unknown.intervals) == 1
    twice = [FakeRun("a-1", at(0), at(10)), FakeRun("a-2", at(20), at(30))]
    (cut,) = make_exposures({}, twice, detectors=[A]).cumulative()
    assert [(piece.start_ns, piece.stop_ns) for piece in cut.unknown] == [(at(0), at(10)), (at(20), at(30))]
    assert (cut.duration_s, cut.is_known) == (20, False), "between the runs nothing needs to be known"
    assert full.is_known


def test_a_curve_ends_at_the_sum_also_where_runs_overlap() -> None:
    runs = [FakeRun("a-1", at(0), at(100)), FakeRun("a-2", at(60), at(160))]
    service = make_exposures(steady(), runs, detectors=[A])
    (curve,) = service.cumulative()
    total = service.exposures().detectors["a"]
    assert (curve.total_pot, curve.total_GWh) == (total.pot, total.energy_GWh)
    assert curve.duration_s == 160
