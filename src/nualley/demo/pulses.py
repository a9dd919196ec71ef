"""Light of liquid argon as a digitizer records it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SINGLET_NS = 6.5
TRIPLET_NS = 1600.0
_PROMPT_NS = 90.0
_F90_MEAN = {"electron": 0.30, "nuclear": 0.72}
_F90_WIDTH = 0.06
_PE_PER_KEV = {"electron": 4.0, "nuclear": 1.2}
_MEAN_ENERGY_KEV = {"electron": 120.0, "nuclear": 40.0}
_THRESHOLD_PE = 12
_SPE_NS = 8.0
_SPE_SPREAD = 0.35
_START_FRACTION = 0.2


@dataclass(frozen=True, slots=True)
class Digitizer:
    """How a detector's photomultipliers are recorded.

    Parameters
    ----------
    channels : int
        Photomultipliers; they share the light evenly.
    record_length : int
        Samples per waveform.
    sample_ns : float
        Time between samples [ns], > 0.
    bits : int
        Bits of the ADC, at most 16.
    baseline_ADC : float
        Without light [ADC counts]; pulses go down from there.
    noise_ADC : float
        Its rms [ADC counts].
    spe_ADC : float
        Area of a photoelectron [ADC counts * samples].
    """

    channels: int
    record_length: int
    sample_ns: float
    bits: int
    baseline_ADC: float
    noise_ADC: float = 1.5
    spe_ADC: float = 20.0


def draw_event(rng: np.random.Generator, digitizer: Digitizer, recoil: str) -> NDArray[np.uint16]:
    """Return the waveforms of one recoil in liquid argon.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where chance comes from.
    digitizer : Digitizer
        How it is recorded.
    recoil : {"electron", "nuclear"}
        What recoils: the fraction of light in the first 90 ns (F90) is about 0.3 or 0.7.

    Returns
    -------
    ndarray of uint16, shape (channels, record_length)
        Samples [ADC counts], clipped to the ADC's range.

    Notes
    -----
    Energies are exponential, photoelectrons Poisson, arrival times a singlet (6.5 ns) and a triplet (1.6 us)
    component, the response to one photoelectron an exponential of 8 ns with 35 % gain spread.
    """
    energy_keV = rng.exponential(_MEAN_ENERGY_KEV[recoil])
    n_pe = max(_THRESHOLD_PE, int(rng.poisson(energy_keV * _PE_PER_KEV[recoil])))
    times_ns = _arrival_times(rng, n_pe, recoil)
    channel = rng.integers(0, digitizer.channels, n_pe)
    gains = np.clip(rng.normal(1.0, _SPE_SPREAD, n_pe), 0.05, None)
    first = _START_FRACTION * digitizer.record_length * digitizer.sample_ns + rng.uniform(0, digitizer.sample_ns)
    sample = ((first + times_ns) / digitizer.sample_ns).astype(np.int64)
    is_inside = sample < digitizer.record_length
    light = np.zeros((digitizer.channels, digitizer.record_length))
    np.add.at(light, (channel[is_inside], sample[is_inside]), gains[is_inside])
    return _digitise(rng, digitizer, light)


def draw_events(rng: np.random.Generator, digitizer: Digitizer, n_electron: int, n_nuclear: int) -> NDArray[np.uint16]:
    """Return the waveforms of several recoils, in random order.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where chance comes from.
    digitizer : Digitizer
        How they are recorded.
    n_electron, n_nuclear : int
        How many of each kind, >= 0.

    Returns
    -------
    ndarray of uint16, shape (n_electron + n_nuclear, channels, record_length)
        Samples [ADC counts].
    """
    recoils = rng.permutation(["electron"] * n_electron + ["nuclear"] * n_nuclear)
    waveforms = [draw_event(rng, digitizer, str(recoil)) for recoil in recoils]
    empty = np.zeros((0, digitizer.channels, digitizer.record_length), dtype=np.uint16)
    return np.stack(waveforms) if waveforms else empty


def _arrival_times(rng: np.random.Generator, n_pe: int, recoil: str) -> NDArray[np.float64]:
    f90 = float(np.clip(rng.normal(_F90_MEAN[recoil], _F90_WIDTH), 0.1, 0.95))
    late = 1 - np.exp(-_PROMPT_NS / TRIPLET_NS)  # the triplet gives this much of its light within 90 ns, too
    singlet = (f90 - late) / (1 - late)
    lifetimes_ns = np.where(rng.random(n_pe) < singlet, SINGLET_NS, TRIPLET_NS)
    return rng.exponential(lifetimes_ns)


def _digitise(rng: np.random.Generator, digitizer: Digitizer, light: NDArray[np.float64]) -> NDArray[np.uint16]:
    times_ns = np.arange(0, 6 * _SPE_NS, digitizer.sample_ns)
    response = np.exp(-times_ns / _SPE_NS)
    response *= digitizer.spe_ADC / response.sum()
    current = np.stack([np.convolve(row, response)[: digitizer.record_length] for row in light])
    noise = rng.normal(0.0, digitizer.noise_ADC, light.shape)
    counts = np.rint(digitizer.baseline_ADC - current + noise)
    samples: NDArray[np.uint16] = np.clip(counts, 0, 2**digitizer.bits - 1).astype(np.uint16)
    return samples
