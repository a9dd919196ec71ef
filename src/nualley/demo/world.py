"""A miniature Neutrino Alley as a pure function of seconds: beam, radiation, liquid argon."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nualley.demo.scenarios import TRIPS, Scenario, Trip

PULSE_FWHM_NS = 380.0
TRACE_SAMPLES = 2000
_TRACE_CENTRE_NS = 900.0
_FULL_POWER_MW = 1.4
_RATE_HZ = 60.0
_QUIET_S = 300.0  # the beam is on at the start, and stays on for as long as most demos last
_HOUR_S = 3600.0
_TRIPS_PER_HOUR = 3.0
# once a day, for two hours, far from the start
_MAINTENANCE = (72_000.0, 79_200.0, 86_400.0)


@dataclass(frozen=True, slots=True)
class WorldState:
    """The alley at one moment.

    Parameters
    ----------
    power_MW : float
        Beam power on target, 0 to 1.5.
    energy_MeV : float
        Kinetic energy of a proton, 940 to 1010.
    rate_Hz : float
        Pulses per second: 60, or 0 without beam.
    charge_uC : float
        Charge of a pulse; power / (energy * rate) to 0.5 %.
    radiation_uSv_h : float
        Dose rate in the alley, > 0.
    level_percent : float
        Liquid argon in the cryostat, 0 to 100.
    temperatures_K : tuple of float
        Four sensors in the liquid.
    pressures_bar : tuple of float
        Two gauges in the gas, absolute.
    """

    power_MW: float
    energy_MeV: float
    rate_Hz: float
    charge_uC: float
    radiation_uSv_h: float
    level_percent: float
    temperatures_K: tuple[float, ...]
    pressures_bar: tuple[float, ...]


class World:
    """The alley over time.

    Parameters
    ----------
    seed : int
        Same seed, same world, >= 0.
    scenario : Scenario
        What goes wrong with the beam.

    Notes
    -----
    Drifts are sums of a few sinusoids with phases from the seed, so that `state` needs no history: the IOC and each
    DAQ ask it for themselves and agree. Energy and charge follow P = Q f E_p / e (E_p the kinetic energy of a
    proton): 1.4 MW at 60 Hz and 1 GeV are 23.3 uC a pulse.
    """

    def __init__(self, seed: int, scenario: Scenario = Scenario.NONE) -> None:
        self.seed = seed
        self._planned = TRIPS.get(scenario, ())
        self._phases = np.random.default_rng((seed, 0)).uniform(0, 2 * math.pi, 32).tolist()
        self._trips_of_hour = lru_cache(maxsize=4)(self._draw_trips)

    def power_MW(self, time_s: float) -> float:
        """Return the beam power [MW] at a time [s after the start]."""
        drift = 0.010 * self._wave(0, 240, time_s) + 0.006 * self._wave(1, 31, time_s)
        ripple = 0.002 * self._wave(2, 1.7, time_s)
        return (_FULL_POWER_MW + drift + ripple) * self._beam_factor(time_s)

    def state(self, time_s: float) -> WorldState:
        """Return the alley at a time [s after the start]."""
        power_MW = self.power_MW(time_s)
        energy_MeV = 975.0 + 29.0 * self._wave(3, 600, time_s) + 5.0 * self._wave(4, 47, time_s)
        rate_Hz = _RATE_HZ if power_MW > 0 else 0.0
        measured = 1 + 0.001 * self._wave(5, 2.3, time_s)
        # MW / (MeV * Hz) is uC * 1e6: mega over mega leaves C, and C are 1e6 uC
        charge_uC = measured * 1e6 * power_MW / (energy_MeV * rate_Hz) if rate_Hz else 0.0
        dose = 0.12 + 1.9 * power_MW / _FULL_POWER_MW * (1 + 0.02 * self._wave(6, 5.1, time_s))
        return WorldState(
            power_MW=power_MW,
            energy_MeV=energy_MeV,
            rate_Hz=rate_Hz,
            charge_uC=charge_uC,
            radiation_uSv_h=dose + 0.01 * self._wave(7, 1.9, time_s),
            level_percent=82.0 + 1.5 * self._wave(8, 1800, time_s) + 0.02 * self._wave(9, 7, time_s),
            temperatures_K=tuple(
                87.3 + 0.05 * sensor + 0.08 * self._wave(10 + sensor, 90 + 20 * sensor, time_s) for sensor in range(4)
            ),
            pressures_bar=tuple(
                1.04 - 0.01 * gauge + 0.008 * self._wave(14 + gauge, 120 + 30 * gauge, time_s) for gauge in range(2)
            ),
        )

    def trace_A(self, time_s: float) -> NDArray[np.float32]:
        """Return the proton current of one pulse.

        Parameters
        ----------
        time_s : float
            When [s after the start].

        Returns
        -------
        ndarray of float32, shape (2000,)
            Current [A], one sample a nanosecond; a bell of 380 ns FWHM whose integral is the charge of the pulse,
            and noise. Source of the width: SNS, 380 ns FWHM (parameter of the demo, not a measurement).
        """
        noise = np.random.default_rng((self.seed, 1, int(time_s * 1000))).normal(0.0, 0.15, TRACE_SAMPLES)
        sigma_ns = PULSE_FWHM_NS / (2 * math.sqrt(2 * math.log(2)))
        shape = np.exp(-0.5 * ((np.arange(TRACE_SAMPLES) - _TRACE_CENTRE_NS) / sigma_ns) ** 2)
        charge_C = 1e-6 * self.state(time_s).charge_uC
        current_A = charge_C / (shape.sum() * 1e-9) * shape
        trace: NDArray[np.float32] = (current_A + noise).astype(np.float32)
        return trace

    def _wave(self, number: int, period_s: float, time_s: float) -> float:
        return math.sin(2 * math.pi * time_s / period_s + self._phases[number])

    def _beam_factor(self, time_s: float) -> float:
        start_s, stop_s, day_s = _MAINTENANCE
        factor = Trip(start_s, stop_s, 600.0).factor(time_s % day_s)
        hour = int(time_s // _HOUR_S)
        for trip in (*self._planned, *self._trips_of_hour(hour - 1), *self._trips_of_hour(hour)):
            factor = min(factor, trip.factor(time_s))
        return factor

    def _draw_trips(self, hour: int) -> tuple[Trip, ...]:
        if hour < 0:
            return ()
        rng = np.random.default_rng((self.seed, 2, hour))
        starts_s = hour * _HOUR_S + np.sort(rng.uniform(0, _HOUR_S, rng.poisson(_TRIPS_PER_HOUR)))
        lengths_s = np.minimum(rng.lognormal(math.log(40.0), 0.8, len(starts_s)), 900.0)
        return tuple(
            Trip(float(start_s), float(start_s + length_s), 30.0)
            for start_s, length_s in zip(starts_s, lengths_s, strict=True)
            if start_s >= _QUIET_S
        )
