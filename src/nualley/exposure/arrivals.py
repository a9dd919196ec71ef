"""When neutrinos of a run arrive: its average POT trace folded with the decays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nualley.core import UsageError
from nualley.exposure.errors import EmptyTraceError
from nualley.exposure.models import JsonObject, RunTrace
from nualley.physics import arrival_times_in

EDGES_US = tuple(0.5 * edge for edge in range(25))
"""Bins of 0.5 us up to 12 us, those of the CsI release, unless others are asked for [us]."""

_N_FINE = 2400


@dataclass(frozen=True, slots=True, eq=False)
class RunTiming:
    """Distributions of neutrino arrival in a run.

    Parameters
    ----------
    trace : RunTrace
        What they were made of.
    edges_us : ndarray of float64, shape (n + 1,)
        Edges of the bins [us].
    offset_us : float
        When the first sample of the trace begins, on the clock of the edges [us].
    prompt, delayed : ndarray of float64, shape (n,)
        Fraction of the neutrinos of pion decay, and of muon decay, in each bin.
    """

    trace: RunTrace
    edges_us: NDArray[np.float64]
    offset_us: float
    prompt: NDArray[np.float64]
    delayed: NDArray[np.float64]

    def to_json(self) -> JsonObject:
        """Return it as a JSON object of columns."""
        trace = self.trace
        return {
            "run_id": trace.run_id,
            "start_us": self.edges_us[:-1].tolist(),
            "stop_us": self.edges_us[1:].tolist(),
            "prompt": self.prompt.tolist(),
            "delayed": self.delayed.tolist(),
            "offset_us": self.offset_us,
            "n": trace.n,
            "n_vetoed": trace.n_vetoed,
            "n_cut": trace.n_cut,
            "source": str(trace.source),
            "start_ns": trace.start_ns,
            "stop_ns": trace.stop_ns,
        }


def run_timing(trace: RunTrace, edges_us: tuple[float, ...] = EDGES_US, offset_us: float = 0.0) -> RunTiming:
    """Fold the average trace of a run with the decays of pions and muons.

    Parameters
    ----------
    trace : RunTrace
        The average; its baseline counts as no protons.
    edges_us : tuple of float
        Edges of the bins [us], rising.
    offset_us : float
        When the first sample of the trace begins, on the clock of the edges [us].

    Raises
    ------
    EmptyTraceError
        Where the trace has no samples.
    UsageError
        Where the edges do not rise, or the trace holds no protons.
    """
    if trace.mean.size < 2:  # the distance of two samples is asked for
        raise EmptyTraceError(
            f"run {trace.run_id} has no average trace: {trace.n_vetoed} traces, all without beam or bad",
            where=trace.run_id,
            do=f"nualley archive trace PV and nualley beam exposure tell whether there was beam in {trace.run_id}",
        )
    bin_ns = 1000.0 * float(trace.time_us[-1]) / (trace.mean.size - 1)
    edges = np.array(edges_us, dtype=np.float64)
    try:
        found = arrival_times_in(trace.mean, bin_ns, edges_ns=1000 * edges, offset_ns=1000 * offset_us)
    except UsageError as error:
        raise UsageError(error.what, where=trace.run_id, do=error.do) from None
    return RunTiming(trace, edges, offset_us, found.prompt, found.delayed)


def fine_timing(timing: RunTiming) -> RunTiming:
    """Return the same over the same stretch in bins so fine that a picture of it is smooth."""
    edges = np.linspace(timing.edges_us[0], timing.edges_us[-1], _N_FINE + 1)
    return run_timing(timing.trace, tuple(edges.tolist()), timing.offset_us)
