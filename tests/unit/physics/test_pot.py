"""Protons from energy, power and charge: shapes and refusals."""

import numpy as np
import pytest

from nualley.core import UsageError
from nualley.physics import proton_rate, protons, protons_from_charge, protons_per_pulse


def test_arrays_and_numbers_agree() -> None:
    energies = np.array([940.0, 1000.0, np.nan])
    found = proton_rate(np.array([1e6, 1.4e6, 1e6]), energies)
    assert found[1] == proton_rate(1.4e6, 1000.0)
    assert np.isnan(found[2])


def test_no_energy_no_protons() -> None:
    assert protons(0.0, 1000.0) == 0.0
    assert protons_from_charge(np.array([0.0])).tolist() == [0.0]


@pytest.mark.parametrize("energy_MeV", [0.0, -1.0])
def test_proton_without_energy_is_refused(energy_MeV: float) -> None:
    with pytest.raises(UsageError, match=f"proton energy of {energy_MeV:g} MeV.*more than 0 MeV"):
        protons(1.0, energy_MeV)
    with pytest.raises(UsageError, match="kinetic energy of one proton"):
        proton_rate(np.array([1.0, 1.0]), np.array([1000.0, energy_MeV]))


@pytest.mark.parametrize("rate_Hz", [0.0, -60.0, float("nan")])
def test_pulse_without_rate_is_refused(rate_Hz: float) -> None:
    with pytest.raises(UsageError, match="pulses per second carry no protons, expected more than 0 Hz"):
        protons_per_pulse(1.4e6, 1000.0, rate_Hz)
