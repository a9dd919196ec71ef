"""The ledger of protons: every one of them has a fate, and the account balances to the proton."""

import dataclasses

import pytest

from nualley.core import ExitCode
from nualley.exposure import DetectorLedger, EmptyIntervalError, Fate
from tests.unit.exposure.fakes import RATE, STATES, FakePv, FakeRun, at, detector, make_exposures, steady

A = detector("a", live_fraction=False)


def daq(*posts: tuple[float, int], links: list[tuple[float, str, float | None]] | None = None) -> dict[str, FakePv]:
    return {"a:RUN": FakePv([(-10.0, 1)]), "a:STATE": FakePv(list(posts), links or [], labels=STATES)}


def seconds(ledger: DetectorLedger) -> dict[str, float]:
    return {str(fate): part.duration_ns / 1e9 for fate, part in ledger.parts.items()}


def test_every_second_has_a_fate() -> None:
    pvs = steady(**daq((-5.0, 0), (10.0, 1), (40.0, 2), (50.0, 1), (80.0, 0)))
    runs = [FakeRun("a-1", at(10), at(80))]
    found = make_exposures(pvs, runs, detectors=[A]).ledger(at(0), at(100)).detectors["a"]
    assert seconds(found) == {"recorded": 60.0, "no_run": 30.0, "daq_paused": 10.0, "unknown": 0.0}
    assert found.is_balanced
    assert found.delivered.pot == pytest.approx(100 * RATE, rel=1e-15)
    assert found.parts[Fate.DAQ_PAUSED].pot == pytest.approx(10 * RATE, rel=1e-15)
    assert sum(part.pot for part in found.parts.values()) == found.delivered.pot


def test_what_the_daq_took_and_nobody_recorded_is_unknown() -> None:
    # the run of [60, 80) never reached the catalog (or has not yet)
    pvs = steady(**daq((-5.0, 0), (10.0, 1), (40.0, 0), (60.0, 1), (80.0, 0)))
    runs = [FakeRun("a-1", at(10), at(40))]
    found = make_exposures(pvs, runs, detectors=[A]).ledger(at(0), at(100)).detectors["a"]
    assert seconds(found) == {"recorded": 30.0, "no_run": 50.0, "daq_paused": 0.0, "unknown": 20.0}


def test_while_the_daq_is_not_heard_outside_of_runs_its_protons_are_unknown() -> None:
    links = [(52.0, "disconnect", 50.0), (70.0, "reconnect", 50.0)]
    pvs = steady(**daq((-5.0, 0), (10.0, 1), (60.0, 0), links=links))
    runs = [FakeRun("a-1", at(10), at(60))]
    found = make_exposures(pvs, runs, detectors=[A]).ledger(at(0), at(100)).detectors["a"]
    assert seconds(found) == {"recorded": 50.0, "no_run": 40.0, "daq_paused": 0.0, "unknown": 10.0}


@pytest.mark.parametrize("is_described", [True, False])
def test_without_a_state_pv_the_catalog_alone_decides(is_described: bool) -> None:
    described = [detector("a", state=False)] if is_described else []
    service = make_exposures(steady(), [FakeRun("a-1", at(10), at(60))], detectors=described)
    assert seconds(service.ledger(at(0), at(100)).detectors["a"])["no_run"] == 50.0


@pytest.mark.parametrize("pvs", [{}, {"a:STATE": FakePv([], [(-5.0, "disconnect", -1e9)])}])
def test_a_state_pv_that_never_had_a_value_tells_nothing(pvs: dict[str, FakePv]) -> None:
    service = make_exposures(steady(**pvs), [FakeRun("a-1", at(10), at(60))], detectors=[A])
    assert seconds(service.ledger(at(0), at(100)).detectors["a"])["unknown"] == 0.0


def test_seconds_without_a_known_beam_are_told_for_each_fate() -> None:
    pvs = steady(POWER=FakePv([(-1.0, 1.0)], [(50.0, "gap", 40.0), (70.0, "reconnect", 40.0)]))
    runs = [FakeRun("a-1", at(0), at(60))]
    found = make_exposures(pvs, runs, detectors=[A]).ledger(at(0), at(100)).detectors["a"]
    assert found.delivered.unknown_ns == 30 * 10**9
    assert {str(f): p.unknown_ns / 1e9 for f, p in found.parts.items() if p.unknown_ns} == {
        "recorded": 20.0,
        "no_run": 10.0,
    }
    assert found.parts[Fate.RECORDED].beam_on_ns == 40 * 10**9
    assert found.is_balanced


def test_overlapping_runs_count_once_and_runs_reach_over_the_edges() -> None:
    runs = [FakeRun("a-1", at(-50), at(30)), FakeRun("a-2", at(20), at(60)), FakeRun("a-3", at(90), at(500))]
    found = make_exposures(steady(), runs, detectors=[A]).ledger(at(0), at(100)).detectors["a"]
    assert seconds(found)["recorded"] == 70.0
    assert found.is_balanced


def test_runs_without_times_are_told_beside_the_account() -> None:
    runs = [FakeRun("a-1", None, None, "unknown"), FakeRun("a-2", at(0), None, "given")]
    found = make_exposures(steady(), runs, detectors=[A]).ledger(at(0), at(100)).detectors["a"]
    assert found.n_runs_without_times == 2
    assert seconds(found)["no_run"] == 100.0


def test_a_run_that_goes_on_is_recorded_up_to_now() -> None:
    ledger = make_exposures(steady(), [FakeRun("a-1", at(50), None)], detectors=[A], now_s=80.0).ledger(at(0), at(100))
    assert ledger.stop_ns == at(80)
    assert seconds(ledger.detectors["a"])["recorded"] == 30.0


def test_each_detector_has_its_own_account_of_the_same_beam() -> None:
    runs = [FakeRun("a-1", at(0), at(30)), FakeRun("b-7", at(0), at(60))]
    ledger = make_exposures(steady(), runs, detectors=[A]).ledger(at(0), at(100))
    assert list(ledger.detectors) == ["a", "b"]
    assert ledger.detectors["a"].delivered == ledger.detectors["b"].delivered
    only = make_exposures(steady(), runs, detectors=[A]).ledger(at(0), at(100), "b")
    assert list(only.detectors) == ["b"]
    assert only.detectors["b"] == ledger.detectors["b"]


def test_the_json_adds_up_too() -> None:
    ledger = make_exposures(steady(), [FakeRun("a-1", at(10.1), at(80.7))], detectors=[A]).ledger(at(0), at(100))
    shown = ledger.to_json()
    one = shown["detectors"]["a"]  # type: ignore[index]
    assert set(one["not_recorded"]) == {"no_run", "daq_paused", "unknown"}
    total = one["recorded"]["pot"] + sum(part["pot"] for part in one["not_recorded"].values())
    assert total == one["delivered"]["pot"]
    assert isinstance(total, int)
    assert one["is_balanced"] is True


def test_an_account_that_does_not_add_up_says_so() -> None:
    found = make_exposures(steady(), [FakeRun("a-1", at(0), at(30))], detectors=[A]).ledger(at(0), at(100))
    ledger = found.detectors["a"]
    for name in ("pot", "duration_ns", "beam_on_ns", "unknown_ns"):
        part = ledger.parts[Fate.RECORDED]
        wrong = dataclasses.replace(part, **{name: getattr(part, name) + 1})
        assert not dataclasses.replace(ledger, parts={**ledger.parts, Fate.RECORDED: wrong}).is_balanced


@pytest.mark.parametrize(("start_s", "stop_s"), [(50.0, 50.0), (60.0, 50.0), (200.0, 300.0)])
def test_an_interval_that_holds_nothing_is_refused(start_s: float, stop_s: float) -> None:
    service = make_exposures(steady(), now_s=100.0)
    with pytest.raises(EmptyIntervalError, match=r"nothing is known between 2020-09-13T12.*known until 2020") as caught:
        service.ledger(at(start_s), at(stop_s))
    assert caught.value.exit_code == ExitCode.USAGE
    assert "choose an earlier start" in str(caught.value)
