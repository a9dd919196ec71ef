"""Values with units: by dimension, with the nearest unit on a miss."""

import pytest
from pydantic import TypeAdapter, ValidationError

from nualley.experiment.quantities import (
    ChargeUnit,
    EnergyMeV,
    EnergyUnit,
    LengthM,
    MassKg,
    PowerUnit,
    PowerW,
    RateUnit,
    SignalUnit,
    TimeNs,
)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (MassKg, "14.6 kg", 14.6),
        (MassKg, "592000 g", 592.0),
        (LengthM, "19.3 m", 19.3),
        (LengthM, "1930cm", 19.3),
        (TimeNs, "4 ns", 4.0),
        (TimeNs, "0.008 us", 8.0),
        (PowerW, "50 kW", 50e3),
        (PowerW, "0 W", 0.0),
        (EnergyMeV, "1.01 GeV", 1010.0),
    ],
)
def test_text_becomes_a_number_in_the_unit_of_its_name(kind: object, text: str, value: float) -> None:
    assert TypeAdapter(kind).validate_python(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("kind", "found", "message"),
    [
        (MassKg, 14.6, "14.6 is not a mass with its unit"),
        (MassKg, "14.6", "'14.6' has no unit"),
        (MassKg, "14.6 m", "'m' is a unit of length"),
        (MassKg, "14.6 kgs", "did you mean 'kg'"),
        (MassKg, "0 kg", "greater than 0"),
        (LengthM, "-1 m", "greater than 0"),
        (LengthM, "far", "'far' is not a quantity"),
        (TimeNs, True, "True is not a time with its unit"),
        (PowerW, "-1 W", "greater than or equal to 0"),
    ],
)
def test_anything_else_is_refused_with_an_example(kind: object, found: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(kind).validate_python(found)


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        (PowerUnit, "MW"),
        (EnergyUnit, "GeV"),
        (RateUnit, "Hz"),
        (ChargeUnit, "C"),
        (ChargeUnit, "uC"),
        (ChargeUnit, "protons"),
        (SignalUnit, "A"),
        (SignalUnit, "mV"),
        (SignalUnit, "1"),
    ],
)
def test_a_unit_of_the_right_dimension_is_kept(kind: object, unit: str) -> None:
    assert TypeAdapter(kind).validate_python(unit) == unit


@pytest.mark.parametrize(
    ("kind", "unit", "message"),
    [
        (PowerUnit, "MeV", "'MeV' is not a unit of power"),
        (PowerUnit, "Mw", "did you mean 'MW'"),
        (RateUnit, "hz", "did you mean 'Hz'"),
        (ChargeUnit, "proton", "did you mean 'protons'"),
        (ChargeUnit, "A", "'A' is not a unit of charge"),
        (SignalUnit, "W", "'W' is not a unit of a trace"),
    ],
)
def test_a_unit_of_another_dimension_is_refused(kind: object, unit: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(kind).validate_python(unit)
