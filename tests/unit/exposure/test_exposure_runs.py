"""Exposure of runs: the examples that anyone can check with a pencil."""

import math

import pytest

from nualley.exposure import DefectKind, RunExposure
from nualley.physics import protons
from tests.unit.exposure.fakes import (
    BEAM,
    RATE,
    STATES,
    FakeArchive,
    FakePv,
    FakeRun,
    at,
    detector,
    make_exposures,
    steady,
)

RUN = FakeRun("a-1", at(0), at(100))
A = detector("a", live_fraction=False, state=False)
BOTH = detector("a")


def one(pvs: dict[str, FakePv], run: FakeRun = RUN, **options: object) -> RunExposure:
    options.setdefault("detectors", [A])
    return make_exposures(pvs, [run], **options).run_exposure(run)  # type: ignore[arg-type]


# ------------------------------------------------------------------ protons and energy
def test_a_steady_silent_beam_counts_in_full() -> None:
    found = one(steady())
    assert found.amounts.pot == pytest.approx(100 * RATE, rel=1e-15)
    assert found.amounts.energy_GWh == pytest.approx(1e6 * 100 / 3.6e12, rel=1e-15)
    assert found.amounts.beam_on_s == 100.0
    assert found.amounts.unknown_s == 0.0
    assert found.amounts.n_pulses == 6000
    assert found.amounts.pot_charge == pytest.approx(100 * RATE, rel=1e-12)
    assert found.defects == ()
    assert (found.start_ns, found.stop_ns, found.is_open) == (at(0), at(100), False)


def test_a_proton_energy_that_changes_inside_the_run_is_followed() -> None:
    found = one(steady(ENERGY=FakePv([(-1.0, 0.94), (50.0, 1.01)])))
    expected = protons(50e6, 940.0) + protons(50e6, 1010.0)
    assert found.amounts.pot == pytest.approx(expected, rel=1e-14)
    assert abs(protons(100e6, 1010.0) / expected - 1) > 0.03  # converting the total instead


def test_a_constant_proton_energy_needs_no_pv() -> None:
    pvs = steady()
    del pvs["ENERGY"]
    found = one(pvs, beam={**BEAM, "proton_energy": {"value": "1 GeV"}})
    assert found.amounts.pot == pytest.approx(100 * RATE, rel=1e-15)
    assert found.amounts.unknown_s == 0


def test_without_any_proton_energy_nothing_can_be_counted() -> None:
    beam = {key: value for key, value in BEAM.items() if key != "proton_energy"}
    found = one(steady(), beam=beam)
    assert (found.amounts.pot, found.amounts.beam_on_s, found.amounts.unknown_s) == (0.0, 0.0, 100.0)


def test_below_the_threshold_the_beam_is_off_but_known() -> None:
    found = one(steady(POWER=FakePv([(-1.0, 0.049), (40.0, 0.05), (60.0, -0.01)])))
    assert found.amounts.beam_on_s == 20.0
    assert found.amounts.pot == pytest.approx(20 * 0.05 * RATE, rel=1e-14)
    assert found.amounts.n_pulses == 1200
    assert found.amounts.unknown_s == 0


def test_a_hung_ioc_is_unknown_from_last_heard_on_and_invents_nothing() -> None:
    links = [(37.0, "gap", 30.0), (60.0, "reconnect", 30.0)]
    found = one(steady(POWER=FakePv([(-1.0, 1.0)], links), ENERGY=FakePv([(-1.0, 1.0)], links)))
    assert found.amounts.unknown_s == 30.0
    assert found.amounts.beam_on_s == 70.0
    assert found.amounts.pot == pytest.approx(70 * RATE, rel=1e-14)


def test_a_hang_at_midnight_that_is_noticed_a_day_later_is_not_counted() -> None:
    # T0 is 2020-09-13T12:26:40Z: midnight comes after 41 600 s
    midnight = 41_600.0
    run = FakeRun("a-1", at(midnight - 100), at(midnight + 100))
    links = [(midnight + 7, "gap", midnight - 20), (midnight + 50, "reconnect", midnight - 20)]
    found = one(steady(POWER=FakePv([(-1.0, 1.0)], links)), run)
    assert found.amounts.unknown_s == 70.0
    assert found.amounts.pot == pytest.approx(130 * RATE, rel=1e-14)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_number_is_unknown(value: float) -> None:
    found = one(steady(POWER=FakePv([(-1.0, 1.0), (50.0, value), (60.0, 1.0)])))
    assert found.amounts.unknown_s == 10.0
    assert found.amounts.pot == pytest.approx(90 * RATE, rel=1e-14)


def test_invalid_severity_is_unknown_other_alarms_are_not() -> None:
    found = one(steady(ENERGY=FakePv([(-1.0, 1.0), (50.0, 1.0), (60.0, 1.0)], severities={50.0: 3, 60.0: 2})))
    assert found.amounts.unknown_s == 10.0
    assert found.amounts.beam_on_s == 90.0


def test_protons_without_energy_are_unknown_while_the_beam_is_on() -> None:
    found = one(steady(ENERGY=FakePv([(-1.0, 1.0), (50.0, 0.0)]), POWER=FakePv([(-1.0, 1.0), (60.0, 0.0)])))
    assert found.amounts.unknown_s == 10.0  # afterwards the beam is off, and that is known
    assert found.amounts.pot == pytest.approx(50 * RATE, rel=1e-14)


def test_a_pv_that_was_never_archived_is_unknown_throughout() -> None:
    pvs = steady()
    del pvs["POWER"]
    found = one(pvs)
    assert (found.amounts.pot, found.amounts.unknown_s, found.amounts.n_pulses) == (0.0, 100.0, 0)


# ------------------------------------------------------------------ pulses and charge
def test_without_a_rate_pulses_and_charge_are_null() -> None:
    beam = {key: value for key, value in BEAM.items() if key != "rate"}
    found = one(steady(), beam=beam)
    assert found.amounts.n_pulses is None
    assert found.amounts.pot_charge is None
    assert found.defects == ()


def test_a_rate_that_is_known_nowhere_gives_null_and_says_so() -> None:
    found = one(steady(RATE=FakePv([])))
    assert found.amounts.n_pulses is None
    assert found.amounts.pot_charge is None
    details = {defect.kind: defect.detail for defect in found.defects}
    assert "not known in 1 min 40 s of 1 min 40 s of beam: n_pulses is null" in details[DefectKind.RATE_UNKNOWN]


def test_a_rate_that_is_lost_for_a_while_is_a_defect() -> None:
    found = one(steady(RATE=FakePv([(-1.0, 60.0), (50.0, math.nan), (60.0, 60.0), (70.0, -5.0), (71.0, 60.0)])))
    assert found.amounts.n_pulses == 60 * 89
    details = {defect.kind: defect.detail for defect in found.defects}
    assert "not known in 11 s of 1 min 40 s of beam: n_pulses lacks them" in details[DefectKind.RATE_UNKNOWN]
    assert DefectKind.CHARGE_DIFFERS not in details  # compared over the same seconds only


@pytest.mark.parametrize(("scale", "is_defect"), [(1.0199, False), (1.0201, True), (0.9801, False), (0.9799, True)])
def test_charge_and_power_may_differ_by_two_percent(scale: float, is_defect: bool) -> None:
    charge_uC = RATE / 60 * 1.602176634e-19 * 1e6
    found = one(steady(CHARGE=FakePv([(-1.0, charge_uC * scale)])))
    assert found.amounts.pot_charge == pytest.approx(scale * 100 * RATE, rel=1e-12)
    assert [defect.kind for defect in found.defects] == [DefectKind.CHARGE_DIFFERS] * is_defect
    if is_defect:
        detail = found.defects[0].detail
        assert f"{scale * 100 * RATE:.6g} protons by charge" in detail
        assert f"{100 * RATE:.6g} by power" in detail
        assert f"{scale - 1:+.2%}, expected within 2%" in detail


def test_a_charge_that_is_lost_for_a_while_is_not_taken_for_a_difference() -> None:
    charge_uC = RATE / 60 * 1.602176634e-19 * 1e6
    found = one(steady(CHARGE=FakePv([(-1.0, charge_uC), (50.0, math.nan)])))
    assert found.amounts.pot_charge == pytest.approx(50 * RATE, rel=1e-12)
    assert [defect.kind for defect in found.defects] == [DefectKind.CHARGE_UNKNOWN]
    assert "not known in 50 s of 1 min 40 s of beam: pot_charge lacks them" in found.defects[0].detail


# ------------------------------------------------------------------ live time
def test_without_a_live_fraction_dead_time_is_unknown() -> None:
    found = one(steady())
    assert found.amounts.pot_live is None
    assert found.amounts.livetime_s == 100.0


def test_live_time_lacks_pauses_and_dead_time_whatever_the_beam_does() -> None:
    pvs = steady(
        POWER=FakePv([(-1.0, 1.0), (50.0, 0.0)]),
        **{
            "a:LIVE": FakePv([(-1.0, 0.9), (25.0, 0.5)]),
            "a:STATE": FakePv([(0.0, 1), (30.0, 2), (40.0, 1)], labels=STATES),
            "a:RUN": FakePv([(-1.0, 1)]),
        },
    )
    found = one(pvs, detectors=[BOTH])
    assert found.amounts.livetime_s == pytest.approx(25 * 0.9 + 5 * 0.5 + 60 * 0.5, rel=1e-14)
    assert found.amounts.pot == pytest.approx(50 * RATE, rel=1e-14)
    assert found.amounts.pot_live == pytest.approx((25 * 0.9 + 5 * 0.5 + 10 * 0.5) * RATE, rel=1e-14)
    assert found.defects == ()


def test_pauses_count_without_a_live_fraction_too() -> None:
    pvs = steady(**{"a:STATE": FakePv([(0.0, "Running"), (30.0, "Paused"), (40.0, "Running")])})
    found = one(pvs, detectors=[detector("a", live_fraction=False)])
    assert (found.amounts.livetime_s, found.amounts.pot_live) == (90.0, None)


def test_a_pause_goes_on_while_the_daq_is_not_heard() -> None:
    links = [(32.0, "disconnect", 31.0), (50.0, "reconnect", 31.0)]
    pvs = steady(**{"a:STATE": FakePv([(0.0, 1), (30.0, 2), (60.0, 1)], links, labels=STATES)})
    found = one(pvs, detectors=[detector("a", live_fraction=False)])
    assert found.amounts.livetime_s == 70.0


def test_a_live_fraction_lost_for_a_while_leaves_those_seconds_out_and_says_so() -> None:
    pvs = steady(**{"a:LIVE": FakePv([(-1.0, 0.9), (50.0, math.nan), (60.0, 1.7), (70.0, 0.9)])})
    found = one(pvs, detectors=[BOTH])
    assert found.amounts.livetime_s == pytest.approx(80 * 0.9, rel=1e-14)
    assert found.amounts.pot_live == pytest.approx(80 * 0.9 * RATE, rel=1e-14)
    assert [defect.kind for defect in found.defects] == [DefectKind.DEAD_TIME_UNKNOWN]
    assert f"in which {20 * RATE:.6g} protons came: livetime_s and pot_live lack them" in found.defects[0].detail


def test_a_live_fraction_known_nowhere_is_null_not_zero() -> None:
    found = one(steady(), detectors=[BOTH])
    assert found.amounts.pot_live is None
    assert found.amounts.livetime_s == 100.0
    assert "pot_live is null" in found.defects[0].detail


def test_a_live_fraction_rounded_above_one_is_one() -> None:
    found = one(steady(**{"a:LIVE": FakePv([(-1.0, 1.0000001)])}), detectors=[BOTH])
    assert found.amounts.livetime_s == 100.0


# ------------------------------------------------------------------ times of runs
@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (FakeRun("a-1", None, None, "unknown"), "its start is not known (time_source unknown)"),
        (FakeRun("a-1", None, at(10), "given"), "its start is not known (time_source given)"),
        (FakeRun("a-1", at(0), None, "given"), "its stop is not known (time_source given)"),
    ],
)
def test_a_run_without_times_has_null_exposure_with_the_reason(run: FakeRun, reason: str) -> None:
    found = one(steady(), run)
    assert found.reason == reason
    shown = found.to_json()
    keys = ("pot", "pot_live", "energy_GWh", "beam_on_s", "livetime_s", "unknown_s", "n_pulses", "pot_charge")
    assert [shown[key] for key in keys] == [None] * 8
    assert shown["reason"] == reason


def test_a_run_that_goes_on_is_counted_up_to_now() -> None:
    found = one(steady(), FakeRun("a-1", at(0), None), now_s=40.0)
    assert found.is_open
    assert found.stop_ns == at(40)
    assert found.amounts.pot == pytest.approx(40 * RATE, rel=1e-14)


def test_a_run_that_goes_on_is_cut_where_the_archive_is_a_moment_behind() -> None:
    found = one(steady(POWER=FakePv([(-1.0, 1.0)], alive_until_s=37.5)), FakeRun("a-1", at(0), None), now_s=40.0)
    assert found.stop_ns == at(37.5)
    assert found.amounts.unknown_s == 0


def test_a_run_that_goes_on_shows_that_the_beam_is_long_unknown() -> None:
    found = one(steady(POWER=FakePv([(-1.0, 1.0)], alive_until_s=20.0)), FakeRun("a-1", at(0), None), now_s=40.0)
    assert found.stop_ns == at(40)
    assert found.amounts.unknown_s == 20.0


def test_an_open_run_that_has_just_begun_is_empty_not_wrong() -> None:
    found = one(steady(POWER=FakePv([(-1.0, 1.0)], alive_until_s=-5.0)), FakeRun("a-1", at(1), None), now_s=2.0)
    assert (found.start_ns, found.stop_ns) == (at(1), at(1))
    assert found.amounts.pot == 0.0


@pytest.mark.parametrize(
    ("days_with_posts", "n_reads"),
    [
        # per day with a post: one look for its last, then the four PVs; per stretch without: four looks, four PVs
        ((), 5 + 8),
        ((1,), 2 * 5 + 8),
        ((1, 2), 3 * 5 + 8),
        ((1, 999), 3 * 5 + 2 * 8),
    ],
)
def test_what_is_read_goes_with_the_data_and_not_with_the_time(days_with_posts: tuple[int, ...], n_reads: int) -> None:
    posts = [(-100.0, 1.0), *((86400.0 * day, 1.0) for day in days_with_posts)]
    stop_s = 86400.0 * (1000 if 999 in days_with_posts else 3)
    service = make_exposures(steady(POWER=FakePv(list(posts))), [FakeRun("a-1", at(0), at(stop_s))], detectors=[A])
    (found,) = service.exposures().runs
    assert found.amounts.pot == pytest.approx(stop_s * RATE, rel=1e-14)
    archive = service._archive
    assert isinstance(archive, FakeArchive)
    assert archive.n_reads == n_reads
    assert archive.asked_alive == {"POWER": 1, "ENERGY": 1, "RATE": 1, "CHARGE": 1}  # one answer for all days


# ------------------------------------------------------------------ reports
def test_the_report_sums_the_listed_runs() -> None:
    runs = [
        FakeRun("b-1", at(0), at(100)),
        FakeRun("a-1", at(0), at(100)),
        FakeRun("a-2", at(100), at(150)),
        FakeRun("a-3", None, None, "unknown"),
        FakeRun("c-1", None, None, "unknown"),
    ]
    b = detector("b", state=False)
    pvs = steady(**{"b:LIVE": FakePv([(-1.0, 0.5)])})
    report = make_exposures(pvs, runs, detectors=[b, A]).exposures()
    assert list(report.detectors) == ["b", "a", "c"]  # as described, then the others
    assert report.detectors["a"].pot == pytest.approx(150 * RATE, rel=1e-14)
    assert report.detectors["a"].n_pulses == 9000
    assert report.detectors["a"].pot_live is None
    assert report.detectors["b"].pot_live == pytest.approx(50 * RATE, rel=1e-14)
    assert report.detectors["c"].pot is None
    assert report.n_runs_without_times == 2
    shown = report.to_json()
    assert set(shown) == {"detectors", "runs", "n_runs_without_times"}
    assert set(shown["detectors"]["a"]) == {  # type: ignore[index]
        "pot", "pot_live", "energy_GWh", "beam_on_s", "livetime_s", "unknown_s", "n_pulses",
    }  # fmt: skip


def test_null_in_one_run_makes_the_sum_null() -> None:
    runs = [FakeRun("a-1", at(0), at(10)), FakeRun("a-2", at(10), at(20))]
    pvs = steady(**{"a:LIVE": FakePv([(10.0, 0.5)])})
    report = make_exposures(pvs, runs, detectors=[detector("a", state=False)]).exposures()
    assert [run.amounts.pot_live is None for run in report.runs] == [True, False]
    assert report.detectors["a"].pot_live is None


def test_runs_are_chosen_by_detector_and_time_and_never_clipped() -> None:
    runs = [FakeRun("a-1", at(0), at(100)), FakeRun("a-2", at(100), at(200)), FakeRun("b-1", at(0), at(100))]
    service = make_exposures(steady(), runs, detectors=[A])
    report = service.exposures("a", start_ns=at(150), stop_ns=at(160))
    assert [run.run_id for run in report.runs] == ["a-2"]
    assert report.detectors["a"].beam_on_s == 100.0


def test_what_was_delivered_in_an_interval() -> None:
    service = make_exposures(steady(), now_s=1000.0)
    found = service.delivered(at(0), at(3600))
    assert (found.start_ns, found.stop_ns) == (at(0), at(1000))
    assert found.to_json()["pot"] == pytest.approx(1000 * RATE, rel=1e-14)
    assert "pot_live" not in found.to_json()


# ------------------------------------------------------------------ runs that cannot both be right
def test_protons_of_two_runs_at_once_count_once_in_the_sum() -> None:
    runs = [FakeRun("a-1", at(0), at(100)), FakeRun("a-2", at(60), at(160)), FakeRun("a-3", at(160), at(170))]
    pvs = steady(
        **{"a:LIVE": FakePv([(-1.0, 0.5)]), "a:STATE": FakePv([(-1.0, 1), (70.0, 2), (80.0, 1)], labels=STATES)}
    )
    report = make_exposures(pvs, runs, detectors=[BOTH]).exposures()
    kinds = {run.run_id: [defect.kind for defect in run.defects] for run in report.runs}
    assert kinds == {"a-1": [DefectKind.OVERLAP], "a-2": [DefectKind.OVERLAP], "a-3": []}
    assert report.runs[0].defects[0].detail == "40 s of it are also in a-2: in sums they count once"
    total = report.detectors["a"]
    assert total.pot == pytest.approx(170 * RATE, rel=1e-12)
    assert total.pot_live == pytest.approx(160 * 0.5 * RATE, rel=1e-12)
    assert total.livetime_s == pytest.approx(80, rel=1e-12)
    assert total.n_pulses == 170 * 60


def test_one_run_alone_knows_whom_it_overlaps() -> None:
    runs = [FakeRun("a-1", at(0), at(100)), FakeRun("a-2", at(99), at(160)), FakeRun("b-1", at(0), at(100))]
    service = make_exposures(steady(), runs, detectors=[A])
    assert [defect.detail for defect in service.run_exposure(runs[0]).defects] == [
        "1 s of it are also in a-2: in sums they count once"
    ]
    assert service.run_exposure(runs[2]).defects == ()
    (listed,) = service.exposures(stop_ns=at(50), detector="a").runs
    assert [defect.kind for defect in listed.defects] == [DefectKind.OVERLAP], "a-2 was not asked for"


@pytest.mark.parametrize("n_runs", [2, 5])
def test_sums_of_runs_that_touch_are_the_sums_of_the_runs(n_runs: int) -> None:
    runs = [FakeRun(f"a-{number}", at(7 * number), at(7 * number + 7)) for number in range(n_runs)]
    report = make_exposures(steady(), runs, detectors=[A]).exposures()
    assert report.detectors["a"].pot == math.fsum(run.amounts.pot for run in report.runs)
    assert not any(run.defects for run in report.runs)


# ------------------------------------------------------------------ values that mean nothing
NONSENSE = {
    "power beyond measure": {"POWER": FakePv([(-1.0, 1e305)])},
    "power as text": {"POWER": FakePv([(-1.0, "on")])},
    "power as the text inf": {"POWER": FakePv([(-1.0, "inf")])},
    "energy beyond measure": {"ENERGY": FakePv([(-1.0, 1e-300)])},
    "energy as text": {"ENERGY": FakePv([(-1.0, "1 GeV")])},
}


@pytest.mark.parametrize("pvs", NONSENSE.values(), ids=NONSENSE)
def test_a_number_that_means_nothing_is_unknown(pvs: dict[str, FakePv]) -> None:
    found = one(steady(**pvs))
    assert (found.amounts.pot, found.amounts.unknown_s) == (0.0, 100.0)


def test_one_sample_that_means_nothing_spoils_its_own_seconds_only() -> None:
    found = one(steady(POWER=FakePv([(-1.0, 1.0), (50.0, 1e305), (60.0, 1.0)])))
    assert found.amounts.pot == pytest.approx(90 * RATE, rel=1e-14)
    assert found.amounts.unknown_s == 10.0


def test_charge_and_rate_that_mean_nothing_leave_the_protons_by_power() -> None:
    found = one(steady(CHARGE=FakePv([(-1.0, 1e308)]), RATE=FakePv([(-1.0, 1e308)])))
    assert found.amounts.pot == pytest.approx(100 * RATE, rel=1e-14)
    assert found.amounts.n_pulses is None
    assert found.amounts.pot_charge is None


@pytest.mark.parametrize("fraction", ["abc", 1e300, -1.0])
def test_a_live_fraction_that_means_nothing_is_unknown(fraction: object) -> None:
    pvs = steady(**{"a:LIVE": FakePv([(-1.0, fraction)]), "a:STATE": FakePv([(-1.0, 1)], labels=STATES)})
    found = one(pvs, detectors=[BOTH])
    assert found.amounts.pot == pytest.approx(100 * RATE, rel=1e-14)
    assert found.amounts.pot_live is None
