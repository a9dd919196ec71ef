"""When neutrinos arrive: a POT trace folded with the decays of pions and muons at rest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nualley.core import UsageError
from nualley.physics.constants import MUON_LIFETIME_NS, PION_LIFETIME_NS

_MOST_BINS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class ArrivalTimes:
    """Distributions of neutrino arrival over the bins of a POT trace.

    Parameters
    ----------
    prompt : ndarray of float64, shape (n_bin,)
        Fraction of muon neutrinos from pion decay in each bin; the sum is at most 1 (what comes later is cut off).
    delayed : ndarray of float64, shape (n_bin,)
        Fraction of neutrinos from the decay of those pions' muons in each bin.
    """

    prompt: NDArray[np.float64]
    delayed: NDArray[np.float64]


def arrival_times(pot_trace: NDArray[np.float64], bin_ns: float) -> ArrivalTimes:
    """Fold a POT trace with pion decay, and with pion and then muon decay.

    Parameters
    ----------
    pot_trace : ndarray of float64, shape (n_bin,)
        Protons in each bin, any scale; finite, with a positive sum. The protons of a bin arrive evenly in it.
    bin_ns : float
        Width of a bin [ns], > 0.

    Returns
    -------
    ArrivalTimes
        Prompt and delayed fractions in the same bins.

    Raises
    ------
    UsageError
        Where the trace holds no protons or the bins have no width.

    Notes
    -----
    Pions and muons are taken to stop at once and to decay at rest. prompt = trace * exp(-t / tau_pi) / tau_pi. The
    muon's decay adds its own exponential; the two in sequence have the density
    (exp(-t / tau_mu) - exp(-t / tau_pi)) / (tau_mu - tau_pi), which is linear in the single ones, so that both kernels
    are integrated over the bins in closed form. Source: lifetimes of the Particle Data Group (see `constants`).
    """
    if not bin_ns > 0:
        raise UsageError(f"a bin of {bin_ns:g} ns has no width", do="give the sample period of the trace")
    trace = np.asarray(pot_trace, dtype=np.float64)
    total = float(trace.sum())
    if not (np.isfinite(total) and total > 0):
        raise UsageError(f"the POT trace sums to {total:g}, expected more than 0", do="choose a trace with beam")
    pion = _decay_kernel(trace.size, bin_ns, PION_LIFETIME_NS)
    muon = _decay_kernel(trace.size, bin_ns, MUON_LIFETIME_NS)
    both = (MUON_LIFETIME_NS * muon - PION_LIFETIME_NS * pion) / (MUON_LIFETIME_NS - PION_LIFETIME_NS)
    return ArrivalTimes(*(np.convolve(trace / total, kernel)[: trace.size] for kernel in (pion, both)))


def _decay_kernel(n_bins: int, bin_ns: float, lifetime_ns: float) -> NDArray[np.float64]:
    """Return the fraction of what is born evenly in bin 0 that decays in bin 0, 1, 2 ..."""
    steps = bin_ns / lifetime_ns
    lost = -np.expm1(-steps)
    later = lost * lost / steps * np.exp(-steps * np.arange(-1, n_bins - 1))
    later[:1] = 1 - lost / steps
    return np.asarray(later, dtype=np.float64)


def arrival_times_in(
    pot_trace: NDArray[np.float64], bin_ns: float, *, edges_ns: NDArray[np.float64], offset_ns: float = 0.0
) -> ArrivalTimes:
    """Fold a POT trace with the decays, and tell the arrivals in bins of one's own.

    Parameters
    ----------
    pot_trace : ndarray of float64, shape (n_bin,)
        Protons in each bin, as for `arrival_times`.
    bin_ns : float
        Width of a bin of the trace [ns], > 0.
    edges_ns : ndarray of float64, shape (n + 1,)
        Edges of the bins wanted [ns], rising; they may reach beyond the trace, where muons still decay.
    offset_ns : float
        When the trace begins, on the clock of the edges [ns].

    Returns
    -------
    ArrivalTimes
        Prompt and delayed fractions in the bins wanted, shape (n,).

    Raises
    ------
    UsageError
        Where the edges do not rise, there are none, or as for `arrival_times`.

    Notes
    -----
    Inside a bin of the trace arrivals are taken as even, so that bins that are joined add up.
    """
    edges = np.asarray(edges_ns, dtype=np.float64) - offset_ns
    if edges.size < 2 or not (np.isfinite(edges).all() and (np.diff(edges) > 0).all()):  # one bin
        raise UsageError("the edges of the bins do not rise", do="give at least two, the smallest first")
    n_bins = max(pot_trace.size, int(np.ceil(edges[-1] / bin_ns)) if bin_ns > 0 else 0)
    if n_bins > _MOST_BINS:
        raise UsageError(
            f"the last edge is {n_bins} samples behind the begin of the trace, expected at most {_MOST_BINS}",
            do="give nearer edges",
        )
    longer = np.concatenate([pot_trace, np.zeros(n_bins - pot_trace.size)])
    found = arrival_times(longer, bin_ns)
    ends_ns = np.arange(n_bins + 1) * bin_ns
    return ArrivalTimes(
        *(np.diff(np.interp(edges, ends_ns, np.append(0.0, np.cumsum(part)))) for part in (found.prompt, found.delayed))
    )
