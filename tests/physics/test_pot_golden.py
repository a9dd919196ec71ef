"""Protons on target against numbers that others published or that follow from the definition of the units."""

import pytest

from nualley.physics import (
    ELEMENTARY_CHARGE_C,
    JOULE_PER_GWH,
    JOULE_PER_MEV,
    MUON_LIFETIME_NS,
    PION_LIFETIME_NS,
    proton_rate,
    protons,
    protons_from_charge,
    protons_per_pulse,
)


def test_constants_are_those_of_their_sources() -> None:
    assert ELEMENTARY_CHARGE_C == 1.602176634e-19  # SI brochure, 9th edition: exact
    assert pytest.approx(ELEMENTARY_CHARGE_C * 1e6, rel=1e-15) == JOULE_PER_MEV
    assert JOULE_PER_GWH == 3.6e12
    assert abs(PION_LIFETIME_NS - 26.033) <= 0.005  # PDG 2022
    assert abs(MUON_LIFETIME_NS - 2196.9811) <= 0.0022  # PDG 2022


def test_6_12_GWh_of_the_argon_result() -> None:
    # COHERENT's first argon result used 6.12 GWh, quoted as 1.37e23 protons (arXiv:2003.10630)
    assert f"{protons(6.12 * JOULE_PER_GWH, 1000.0):.5e}" == "1.37513e+23"


@pytest.mark.parametrize(("energy_MeV", "expected"), [(1000.0, "2.2469e+19"), (1010.0, "2.2247e+19")])
def test_one_MWh(energy_MeV: float, expected: str) -> None:
    assert f"{protons(3.6e9, energy_MeV):.4e}" == expected


def test_one_pulse_of_the_SNS() -> None:
    # 1.4 MW, 60 Hz, 1 GeV: design values of the SNS
    assert f"{protons_per_pulse(1.4e6, 1000.0, 60.0):.4e}" == "1.4564e+14"
    # 1010 MeV, as the rate group reckons: 8.6516e15 protons a second
    assert f"{proton_rate(1.4e6, 1010.0):.4e}" == "8.6516e+15"


def test_charge_and_power_agree() -> None:
    # a pulse of 1 GeV protons with charge Q brings Q times 1 GV
    charge_C = 1.4e6 / 60 / 1e9
    assert protons_from_charge(charge_C) == pytest.approx(protons_per_pulse(1.4e6, 1000.0, 60.0), rel=1e-14)
