"""Protons, energy and time as exact integrals over stretches of time."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nualley.core import IntervalSet
from nualley.physics import MEANINGLESS, History, align, exact_integral, proton_rate, protons_from_charge

_LIVE_ROUNDING = 1e-6
"""A live fraction this little above 1 is 1, rounded by whoever posted it; above that it means nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class BeamHistory:
    """The beam over one interval.

    Parameters
    ----------
    power_W : History
        Power on the target [W].
    proton_energy_MeV : History
        Kinetic energy of a proton [MeV].
    rate_Hz : History or None
        Pulses per second [Hz]; None where not archived.
    charge_C : History or None
        Charge of one pulse [C]; None where not archived.
    """

    power_W: History
    proton_energy_MeV: History
    rate_Hz: History | None = None
    charge_C: History | None = None

    def between(self, start_ns: int, stop_ns: int) -> "BeamHistory":
        """Return the part in ``[start_ns, stop_ns)``, which must lie inside."""
        return BeamHistory(
            self.power_W.between(start_ns, stop_ns),
            self.proton_energy_MeV.between(start_ns, stop_ns),
            self.rate_Hz.between(start_ns, stop_ns) if self.rate_Hz else None,
            self.charge_C.between(start_ns, stop_ns) if self.charge_C else None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Steps of time in which nothing changes.

    Parameters
    ----------
    edges_ns : ndarray of int64, shape (n + 1,)
        Bounds [ns since 1970 UTC].
    is_on, is_unknown : ndarray of bool, shape (n,)
        Whether the beam is on, and whether power or proton energy has no valid value.
    power_W, pot_rate : ndarray of float64, shape (n,)
        Power [W] and protons per second; 0 where the beam is not on.
    rate_Hz, charge_rate, live : ndarray of float64, shape (n,), or None
        Pulses per second, protons per second by charge, and live fraction; NaN where not known.
    """

    edges_ns: NDArray[np.int64]
    is_on: NDArray[np.bool_]
    is_unknown: NDArray[np.bool_]
    power_W: NDArray[np.float64]
    pot_rate: NDArray[np.float64]
    rate_Hz: NDArray[np.float64] | None
    charge_rate: NDArray[np.float64] | None
    live: NDArray[np.float64] | None

    def near(self, within: IntervalSet) -> "Segments":
        """Return the steps from the first to the last of the given stretches, at least one; they are not cut."""
        edges = self.edges_ns
        first, last = 0, 0
        if within:
            first = int(np.searchsorted(edges, within.intervals[0].start_ns, side="right")) - 1
            last = int(np.searchsorted(edges, within.intervals[-1].stop_ns, side="left"))
        first = min(max(first, 0), max(self.is_on.size - 1, 0))
        steps = slice(first, max(last, first + 1))
        return Segments(
            edges_ns=edges[first : steps.stop + 1],
            is_on=self.is_on[steps],
            is_unknown=self.is_unknown[steps],
            power_W=self.power_W[steps],
            pot_rate=self.pot_rate[steps],
            rate_Hz=None if self.rate_Hz is None else self.rate_Hz[steps],
            charge_rate=None if self.charge_rate is None else self.charge_rate[steps],
            live=None if self.live is None else self.live[steps],
        )

    def durations_ns(self, within: IntervalSet) -> NDArray[np.int64]:
        """Return how much of each step lies in the given stretches [ns]."""
        durations = np.zeros(self.is_on.size, dtype=np.int64)
        edges = self.edges_ns
        for interval in within & IntervalSet.of(int(edges[0]), int(edges[-1])):
            first = int(np.searchsorted(edges, interval.start_ns, side="right")) - 1
            last = int(np.searchsorted(edges, interval.stop_ns, side="left"))
            cut = np.clip(edges[first : last + 1], interval.start_ns, interval.stop_ns)
            durations[first:last] += cut[1:] - cut[:-1]
        return durations


def segments(beam: BeamHistory, beam_on_min_W: float, live: History | None = None) -> Segments:
    """Cut the beam, and a detector's live fraction, into steps in which nothing changes.

    Parameters
    ----------
    beam : BeamHistory
        The beam.
    beam_on_min_W : float
        Power from which on the beam counts as on [W].
    live : History, optional
        Live fraction over the same interval, 0 to 1.

    Returns
    -------
    Segments
        The steps. Where the beam would be on but a proton has no energy, the beam is unknown.
    """
    histories = [beam.power_W, beam.proton_energy_MeV]
    optional = [beam.rate_Hz, beam.charge_C, live]
    edges_ns, values = align([*histories, *(history for history in optional if history)])
    power_W, energy_MeV, *rest = values
    remaining = iter(rest)
    rate_Hz, charge_C, fraction = (next(remaining) if history else None for history in optional)
    is_unknown = np.isnan(power_W) | np.isnan(energy_MeV)
    would_be_on = ~is_unknown & (power_W >= beam_on_min_W)
    is_on = would_be_on & (energy_MeV > 1 / MEANINGLESS)
    pot_rate = np.zeros(power_W.size)
    pot_rate[is_on] = proton_rate(power_W[is_on], energy_MeV[is_on])
    rate_Hz = None if rate_Hz is None else np.where(rate_Hz >= 0, rate_Hz, np.nan)
    return Segments(
        edges_ns=edges_ns,
        is_on=is_on,
        is_unknown=is_unknown | (would_be_on & ~is_on),
        power_W=np.where(is_on, power_W, 0.0),
        pot_rate=pot_rate,
        rate_Hz=rate_Hz,
        charge_rate=None if charge_C is None or rate_Hz is None else protons_from_charge(charge_C) * rate_Hz,
        live=None if fraction is None else _live(fraction),
    )


def _live(fraction: NDArray[np.float64]) -> NDArray[np.float64]:
    is_sound = (fraction >= 0) & (fraction <= 1 + _LIVE_ROUNDING)
    return np.where(is_sound, np.minimum(fraction, 1.0), np.nan)


@dataclass(frozen=True, slots=True)
class Sums:
    """Integrals that are not rounded yet, so that those of parts add up to that of the whole.

    Parameters
    ----------
    duration_ns, beam_on_ns, unknown_ns : int
        Time [ns]: all, with beam, and with no valid power or proton energy.
    pot, energy, pulses : Fraction
        Protons [ns/s], energy [W ns], pulses [ns/s] while the beam is on.
    rate_unknown_ns : int
        Beam without a valid rate [ns].
    pot_charge, pot_beside_charge : Fraction
        Protons by charge, and protons by power over the very same seconds [ns/s].
    charge_unknown_ns : int
        Beam without a valid charge or rate [ns].
    counted_ns, live_unknown_ns : int
        Time outside DAQ pauses [ns], and that of it without a valid live fraction.
    live : Fraction
        Integral of the live fraction outside DAQ pauses [ns].
    pot_live, pot_live_unknown : Fraction
        Protons while live, and those outside DAQ pauses for which the live fraction is not known [ns/s].
    """

    duration_ns: int = 0
    beam_on_ns: int = 0
    unknown_ns: int = 0
    pot: Fraction = Fraction(0)
    energy: Fraction = Fraction(0)
    pulses: Fraction = Fraction(0)
    rate_unknown_ns: int = 0
    pot_charge: Fraction = Fraction(0)
    pot_beside_charge: Fraction = Fraction(0)
    charge_unknown_ns: int = 0
    counted_ns: int = 0
    live_unknown_ns: int = 0
    live: Fraction = Fraction(0)
    pot_live: Fraction = Fraction(0)
    pot_live_unknown: Fraction = Fraction(0)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


def integrate(steps: Segments, within: IntervalSet, pauses: IntervalSet | None = None) -> Sums:
    """Integrate over stretches of time.

    Parameters
    ----------
    steps : Segments
        What is integrated.
    within : IntervalSet
        Where; what of it lies outside of the steps is not looked at.
    pauses : IntervalSet, optional
        Where the DAQ held: counted as delivered, but neither live nor in the live time.

    Returns
    -------
    Sums
        Exact integrals.
    """
    steps = steps.near(within)
    duration_ns = steps.durations_ns(within)
    counted_ns = steps.durations_ns(within - pauses) if pauses else duration_ns
    found = {**_integrals(beam_weights(steps), duration_ns), **_integrals(live_weights(steps), counted_ns)}
    return Sums(duration_ns=int(duration_ns.sum()), counted_ns=int(counted_ns.sum()), **found)


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What each step counts with in the integrals of `Sums`, by the name of the integral.

    Parameters
    ----------
    is_in : mapping of str to ndarray of bool, shape (n,)
        Whether its time counts [ns].
    rate : mapping of str to ndarray of float64, shape (n,)
        What is multiplied with its time; 0 where it does not count.
    """

    is_in: Mapping[str, NDArray[np.bool_]]
    rate: Mapping[str, NDArray[np.float64]]


def beam_weights(steps: Segments) -> Weights:
    """Return what steps count with in the integrals of the beam; without a rate or a charge, there are none of them."""
    is_in = {"beam_on_ns": steps.is_on, "unknown_ns": steps.is_unknown}
    rate = {"pot": steps.pot_rate, "energy": steps.power_W}
    if steps.rate_Hz is not None:
        is_missing = np.isnan(steps.rate_Hz)
        is_in["rate_unknown_ns"] = steps.is_on & is_missing
        rate["pulses"] = np.where(steps.is_on & ~is_missing, steps.rate_Hz, 0.0)
    if steps.charge_rate is not None:
        is_missing = np.isnan(steps.charge_rate)
        is_in["charge_unknown_ns"] = steps.is_on & is_missing
        rate["pot_charge"] = np.where(steps.is_on & ~is_missing, steps.charge_rate, 0.0)
        rate["pot_beside_charge"] = np.where(is_missing, 0.0, steps.pot_rate)
    return Weights(is_in, rate)


def live_weights(steps: Segments) -> Weights:
    """Return what steps outside of pauses count with in the integrals of live time; none without a live fraction."""
    if steps.live is None:
        return Weights({}, {})
    is_missing = np.isnan(steps.live)
    live = np.where(is_missing, 0.0, steps.live)
    rate = {
        "live": live,
        "pot_live": live * steps.pot_rate,
        "pot_live_unknown": np.where(is_missing, steps.pot_rate, 0.0),
    }
    return Weights({"live_unknown_ns": is_missing}, rate)


def _integrals(weights: Weights, duration_ns: NDArray[np.int64]) -> dict[str, Any]:
    times_ns = {name: int(duration_ns[is_in].sum()) for name, is_in in weights.is_in.items()}
    return times_ns | {name: exact_integral(rate, duration_ns) for name, rate in weights.rate.items()}
