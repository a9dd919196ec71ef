"""Detectors: ids, periods, DAQ."""

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from nualley.core import Interval, UsageError, parse_time_ns
from nualley.experiment import FOREVER_NS, Daq, Detector, check_detector_id


def table(**more: Any) -> dict[str, Any]:
    return {
        "id": "cenns-10",
        "name": "CENNS-10",
        "distance": "27.5 m",
        "target": {"material": "LAr", "mass": {"value": "24.4 kg", "source": "arXiv:2003.10630"}},
        **more,
    }


def test_a_detector_holds_its_values() -> None:
    detector = Detector.model_validate(table())
    assert detector.id == "cenns-10"
    assert detector.distance_m.at(0) == 27.5
    assert detector.target.mass_kg.at(0) == 24.4
    assert (detector.position, detector.daq, detector.operated) == (None, None, ())


def test_a_distance_may_change_on_a_date() -> None:
    change = [{"value": "19.3 m", "to": date(2019, 6, 1)}, {"value": "20 m", "from": date(2019, 6, 1)}]
    detector = Detector.model_validate(table(distance=change))
    day_ns = parse_time_ns("2019-06-01", 0)
    assert (detector.distance_m.at(day_ns - 1), detector.distance_m.at(day_ns)) == (19.3, 20.0)


def test_operated_gives_half_open_intervals() -> None:
    detector = Detector.model_validate(table(operated=[{"from": date(2016, 12, 1)}]))
    assert detector.operated == (Interval(parse_time_ns("2016-12-01", 0), FOREVER_NS),)


def test_periods_of_operation_must_not_overlap() -> None:
    with pytest.raises(ValidationError) as caught:
        Detector.model_validate(table(operated=[{"to": date(2019, 1, 1)}, {"from": date(2018, 1, 1)}], name=3))
    assert {error["loc"] for error in caught.value.errors()} == {("name",), ("operated", 1, "from")}


@pytest.mark.parametrize("name", ["csi-na", "d2o-1", "a", "7", "coh-ar-750"])
def test_good_ids(name: str) -> None:
    assert check_detector_id(name) == name


@pytest.mark.parametrize("name", ["", "CENNS-10", "a_b", "a--b", "-a", "a-", "a b", "ä", "a\n"])
def test_bad_ids(name: str) -> None:
    with pytest.raises(UsageError, match="is not the id of a detector"):
        check_detector_id(name)


def test_a_bad_id_gets_a_proposal() -> None:
    with pytest.raises(UsageError, match="did you mean 'cenns-10'"):
        check_detector_id("CENNS_10")


def test_daq_has_defaults() -> None:
    daq = Daq.model_validate({"format": "wavedump", "sample_period": "4 ns", "channels": {"0": "top"}})
    assert (daq.running, daq.paused) == (("Running",), ("Paused",))
    assert (daq.pvs.run, daq.pvs.state, daq.pvs.live_fraction) == (None, None, None)
    assert (daq.sample_period_ns, daq.channels) == (4.0, {0: "top"})


@pytest.mark.parametrize(
    ("wrong", "location"),
    [
        ({"sample_bits": 12}, ("sample_bits",)),
        ({"record_length": 0}, ("record_length",)),
        ({"channel": -1}, ("channel",)),
        ({"running": []}, ("running",)),
        ({"paused": ["Running"]}, ("paused",)),
        ({"format": ""}, ("format",)),
        ({"pvs": {"rnu": "X"}}, ("pvs", "rnu")),
    ],
)
def test_wrong_daq_values_are_refused(wrong: dict[str, Any], location: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        Daq.model_validate({"format": "wavedump", **wrong})
    assert [error["loc"] for error in caught.value.errors()] == [location]


def test_a_state_with_two_meanings_is_named() -> None:
    with pytest.raises(ValidationError, match="'Hold' stands in 'running' too"):
        Daq.model_validate({"format": "x", "running": ["On", "Hold"], "paused": ["Hold"]})
