"""Protons on target from beam energy, power and charge."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nualley.core import UsageError
from nualley.physics.constants import ELEMENTARY_CHARGE_C, JOULE_PER_MEV

Number = TypeVar("Number", float, NDArray[np.float64])


def protons(energy_J: Number, proton_energy_MeV: Number) -> Number:
    """Return how many protons brought a beam energy to the target.

    Parameters
    ----------
    energy_J : float or ndarray of float64
        Energy that the beam delivered [J], >= 0; NaN gives NaN.
    proton_energy_MeV : float or ndarray of float64
        Kinetic energy of one proton [MeV], > 0; NaN gives NaN. Must be the one of the same moment: converting a
        total with one later or earlier energy is wrong by as much as the energy changed.

    Returns
    -------
    float or ndarray of float64
        Protons.

    Raises
    ------
    UsageError
        Where a proton has no energy.

    Notes
    -----
    N = E / (E_p e). Source: definition of the volt; e is exact (SI brochure, 9th edition).

    Examples
    --------
    >>> f"{protons(3.6e9, 1000.0):.4e}"
    '2.2469e+19'
    """
    if np.any(np.asarray(proton_energy_MeV) <= 0):
        raise UsageError(
            f"a proton energy of {np.nanmin(proton_energy_MeV):g} MeV brings no energy, expected more than 0 MeV",
            do="give the kinetic energy of one proton, such as 1000 MeV",
        )
    return energy_J / (proton_energy_MeV * JOULE_PER_MEV)


def proton_rate(power_W: Number, proton_energy_MeV: Number) -> Number:
    """Return protons per second [1/s] from beam power [W] and proton energy [MeV].

    Parameters
    ----------
    power_W : float or ndarray of float64
        Beam power on target [W], >= 0; NaN gives NaN.
    proton_energy_MeV : float or ndarray of float64
        Kinetic energy of one proton [MeV], > 0; NaN gives NaN.

    Returns
    -------
    float or ndarray of float64
        Protons per second.

    Raises
    ------
    UsageError
        Where a proton has no energy.
    """
    return protons(power_W, proton_energy_MeV)


def protons_per_pulse(power_W: float, proton_energy_MeV: float, rate_Hz: float) -> float:
    """Return the protons in one pulse.

    Parameters
    ----------
    power_W : float
        Beam power on target [W], >= 0.
    proton_energy_MeV : float
        Kinetic energy of one proton [MeV], > 0.
    rate_Hz : float
        Pulses per second [Hz], > 0.

    Returns
    -------
    float
        Protons per pulse.

    Raises
    ------
    UsageError
        Where a proton has no energy or there are no pulses.

    Examples
    --------
    >>> f"{protons_per_pulse(1.4e6, 1000.0, 60.0):.4e}"
    '1.4564e+14'
    """
    if not rate_Hz > 0:
        raise UsageError(f"{rate_Hz:g} pulses per second carry no protons, expected more than 0 Hz")
    return proton_rate(power_W, proton_energy_MeV) / rate_Hz


def protons_from_charge(charge_C: Number) -> Number:
    """Return the protons that carry a charge [C].

    Parameters
    ----------
    charge_C : float or ndarray of float64
        Charge [C]; NaN gives NaN.

    Returns
    -------
    float or ndarray of float64
        Protons.
    """
    return charge_C / ELEMENTARY_CHARGE_C
