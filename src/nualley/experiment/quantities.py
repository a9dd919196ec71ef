"""Values with units, as the inventory writes them: "14.6 kg", "19.3 m", "1000 MeV"."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from typing_extensions import TypeAliasType  # pydantic brings it; in typing from Python 3.12 on

from nualley.core import UsageError, nearest, parse_quantity, unit_factor


@dataclass(frozen=True, slots=True)
class _Dimension:
    """What is measured, the units it is kept in, those a person would write, and an example."""

    name: str
    bases: tuple[str, ...]
    usual: tuple[str, ...]
    example: str


_MASS = _Dimension("mass", ("kg",), ("g", "kg", "t"), "14.6 kg")
_LENGTH = _Dimension("distance", ("m",), ("mm", "cm", "m", "km"), "19.3 m")
_TIME = _Dimension("time", ("ns",), ("ns", "us", "ms", "s"), "4 ns")
_POWER = _Dimension("power", ("W",), ("W", "kW", "MW", "GW"), "50 kW")
_ENERGY = _Dimension("proton energy", ("MeV",), ("keV", "MeV", "GeV"), "1000 MeV")
_RATE = _Dimension("rate", ("Hz",), ("mHz", "Hz", "kHz"), "60 Hz")
_CHARGE = _Dimension("charge", ("C",), ("C", "mC", "uC", "nC", "protons"), "23 uC")
_SIGNAL = _Dimension("a trace", ("A", "V", "1"), ("A", "mA", "V", "mV", "1"), "1 A")

_TRAILING_UNIT = re.compile(r"[^\d\s.]\S*$")


def _hint(unit: str, dimension: _Dimension) -> str:
    near = nearest(unit, dimension.usual)
    return f"did you mean {near!r}? " if near else ""


def _parse(value: object, dimension: _Dimension) -> float:
    example = f'write a number and its unit as text, such as "{dimension.example}"'
    if not isinstance(value, str):
        raise UsageError(f"{value!r} is not a {dimension.name} with its unit", do=example)
    try:
        return parse_quantity(value, dimension.bases[0])
    except UsageError as error:
        unit = _TRAILING_UNIT.search(value)
        hint = _hint(unit[0], dimension) if unit else ""
        raise UsageError(error.what, do=hint + example) from None


def _check_unit(unit: str, dimension: _Dimension) -> str:
    for base in dimension.bases:
        try:
            unit_factor(unit, base)
        except UsageError:
            continue
        return unit
    raise UsageError(
        f"{unit!r} is not a unit of {dimension.name}",
        do=f"{_hint(unit, dimension)}write one of {', '.join(dimension.usual)}",
    )


def _text(dimension: _Dimension) -> WithJsonSchema:
    # TOML holds the text, not the number that it becomes
    return WithJsonSchema({"type": "string", "examples": [dimension.example]})


def _unit(dimension: _Dimension) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "examples": list(dimension.usual)})


# named aliases: the JSON Schema and the errors show these names, not the validators behind them
MassKg = TypeAliasType(
    "MassKg", Annotated[float, BeforeValidator(lambda v: _parse(v, _MASS)), Field(gt=0), _text(_MASS)]
)
LengthM = TypeAliasType(
    "LengthM", Annotated[float, BeforeValidator(lambda v: _parse(v, _LENGTH)), Field(gt=0), _text(_LENGTH)]
)
TimeNs = TypeAliasType(
    "TimeNs", Annotated[float, BeforeValidator(lambda v: _parse(v, _TIME)), Field(gt=0), _text(_TIME)]
)
PowerW = TypeAliasType(
    "PowerW", Annotated[float, BeforeValidator(lambda v: _parse(v, _POWER)), Field(ge=0), _text(_POWER)]
)
EnergyMeV = TypeAliasType(
    "EnergyMeV", Annotated[float, BeforeValidator(lambda v: _parse(v, _ENERGY)), Field(gt=0), _text(_ENERGY)]
)

PowerUnit = TypeAliasType("PowerUnit", Annotated[str, AfterValidator(lambda v: _check_unit(v, _POWER)), _unit(_POWER)])
EnergyUnit = TypeAliasType(
    "EnergyUnit", Annotated[str, AfterValidator(lambda v: _check_unit(v, _ENERGY)), _unit(_ENERGY)]
)
RateUnit = TypeAliasType("RateUnit", Annotated[str, AfterValidator(lambda v: _check_unit(v, _RATE)), _unit(_RATE)])
ChargeUnit = TypeAliasType(
    "ChargeUnit", Annotated[str, AfterValidator(lambda v: _check_unit(v, _CHARGE)), _unit(_CHARGE)]
)
SignalUnit = TypeAliasType(
    "SignalUnit", Annotated[str, AfterValidator(lambda v: _check_unit(v, _SIGNAL)), _unit(_SIGNAL)]
)
