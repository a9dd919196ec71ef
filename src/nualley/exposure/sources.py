"""Which PVs to read, and what turns their units into ours: from the experiment's description."""

from dataclasses import dataclass

from nualley.core import unit_factor
from nualley.experiment import Beam, Detector


@dataclass(frozen=True, slots=True)
class ScaledPv:
    """A PV and the number that turns its unit into ours.

    Parameters
    ----------
    pv : str
        Its name.
    factor : float
        ``wanted = factor * archived``.
    """

    pv: str
    factor: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamSources:
    """Where to read the beam.

    Parameters
    ----------
    power_W : ScaledPv
        Power on the target.
    proton_energy_MeV : ScaledPv, float or None
        Kinetic energy of a proton: a PV, a constant [MeV], or not known at all.
    rate_Hz, charge_C : ScaledPv or None
        Pulses per second, and charge of one pulse.
    beam_on_min_W : float
        Power from which on the beam counts as on [W].
    """

    power_W: ScaledPv
    proton_energy_MeV: ScaledPv | float | None = None
    rate_Hz: ScaledPv | None = None
    charge_C: ScaledPv | None = None
    beam_on_min_W: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DaqSources:
    """Where to read what a DAQ did.

    Parameters
    ----------
    run, state, live_fraction : str or None
        PVs of run number, state, and live fraction (0 to 1).
    running, paused : tuple of str
        Labels of the state in which data are taken, and in which a run is held.
    """

    run: str | None = None
    state: str | None = None
    live_fraction: str | None = None
    running: tuple[str, ...] = ("Running",)
    paused: tuple[str, ...] = ("Paused",)


def beam_sources(beam: Beam) -> BeamSources:
    """Return where to read the beam that ``beam.toml`` describes."""
    energy = beam.proton_energy
    rate, charge = beam.rate, beam.charge_per_pulse
    return BeamSources(
        power_W=ScaledPv(beam.power.pv, unit_factor(beam.power.unit, "W")),
        proton_energy_MeV=ScaledPv(energy.pv, unit_factor(energy.unit or "MeV", "MeV"))
        if energy and energy.pv
        else (energy.value_MeV if energy else None),
        rate_Hz=ScaledPv(rate.pv, unit_factor(rate.unit, "Hz")) if rate else None,
        charge_C=ScaledPv(charge.pv, unit_factor(charge.unit, "C")) if charge else None,
        beam_on_min_W=beam.beam_on_min_W,
    )


def daq_sources(detector: Detector | None) -> DaqSources:
    """Return where to read what a detector's DAQ did; nothing where none is described."""
    daq = detector.daq if detector else None
    if daq is None:
        return DaqSources()
    pvs = daq.pvs
    return DaqSources(
        run=pvs.run, state=pvs.state, live_fraction=pvs.live_fraction, running=daq.running, paused=daq.paused
    )
