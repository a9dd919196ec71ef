"""The beam's PVs: units by dimension, energy as PV or constant."""

from typing import Any

import pytest
from pydantic import ValidationError

from nualley.experiment import Beam

POWER = {"pv": "B:POWER", "unit": "MW"}


def test_power_alone_is_enough() -> None:
    beam = Beam.model_validate({"power": POWER})
    assert (beam.power.pv, beam.power.unit, beam.beam_on_min_W) == ("B:POWER", "MW", 50e3)
    assert (beam.proton_energy, beam.rate, beam.charge_per_pulse, beam.trace) == (None, None, None, None)


def test_all_tables() -> None:
    beam = Beam.model_validate(
        {
            "beam_on_min": "0.1 MW",
            "power": POWER,
            "proton_energy": {"pv": "B:E", "unit": "GeV"},
            "rate": {"pv": "B:RATE", "unit": "Hz"},
            "charge_per_pulse": {"pv": "B:Q", "unit": "protons"},
            "trace": {"pv": "B:TRACE", "unit": "A", "sample_period": "1 ns"},
        }
    )
    assert beam.beam_on_min_W == 100e3
    assert beam.proton_energy is not None
    assert (beam.proton_energy.pv, beam.proton_energy.value_MeV) == ("B:E", None)
    assert beam.trace is not None
    assert beam.trace.sample_period_ns == 1.0


def test_the_proton_energy_may_be_a_constant() -> None:
    beam = Beam.model_validate({"power": POWER, "proton_energy": {"value": "1.01 GeV"}})
    assert beam.proton_energy is not None
    assert (beam.proton_energy.pv, beam.proton_energy.value_MeV) == (None, 1010.0)


@pytest.mark.parametrize(
    ("energy", "message"),
    [
        ({}, "neither 'pv' nor 'value'"),
        ({"pv": "B:E", "unit": "MeV", "value": "1000 MeV"}, "both 'pv' and 'value'"),
        ({"pv": "B:E"}, "'pv' without 'unit'"),
        ({"value": "1000 MeV", "unit": "MeV"}, "'unit' without 'pv'"),
        ({"value": 1000}, "1000 is not a proton energy with its unit"),
        ({"pv": "B:E", "unit": "MW"}, "'MW' is not a unit of proton energy"),
    ],
)
def test_a_doubtful_energy_is_refused(energy: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Beam.model_validate({"power": POWER, "proton_energy": energy})


@pytest.mark.parametrize(
    ("table", "values", "location"),
    [
        ("power", {"pv": "X", "unit": "MeV"}, ("power", "unit")),
        ("rate", {"pv": "X", "unit": "MW"}, ("rate", "unit")),
        ("charge_per_pulse", {"pv": "X", "unit": "A"}, ("charge_per_pulse", "unit")),
        ("trace", {"pv": "X", "unit": "A"}, ("trace", "sample_period")),
        ("beam_on_min", 50, ("beam_on_min",)),
        ("poewr", POWER, ("poewr",)),
    ],
)
def test_wrong_tables_are_located(table: str, values: object, location: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        Beam.model_validate({"power": POWER, table: values})
    assert [error["loc"] for error in caught.value.errors()] == [location]


def test_power_is_needed() -> None:
    with pytest.raises(ValidationError, match="power"):
        Beam.model_validate({})
