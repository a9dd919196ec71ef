"""Arrival times against a brute-force simulation of the decays and against their closed forms."""

import numpy as np
import pytest

from nualley.core import UsageError
from nualley.physics import MUON_LIFETIME_NS, PION_LIFETIME_NS, arrival_times


def test_agrees_with_random_decays(seed: int) -> None:
    random = np.random.default_rng(seed)
    trace = np.zeros(400)
    trace[50:90] = np.hanning(40)
    n = 400_000
    born = (random.choice(trace.size, size=n, p=trace / trace.sum()) + random.random(n)) * 20.0
    pions = born + random.exponential(PION_LIFETIME_NS, n)
    muons = pions + random.exponential(MUON_LIFETIME_NS, n)
    found = arrival_times(trace, 20.0)
    for times, expected in ((pions, found.prompt), (muons, found.delayed)):
        counted = np.histogram(times, bins=trace.size, range=(0, 8000.0))[0]
        pull = (counted - n * expected) / np.sqrt(n * expected + 1)
        assert np.abs(pull).max() < 6
        assert np.square(pull).mean() < 1.5


def test_whole_distributions_sum_to_one_and_are_late_by_the_lifetimes() -> None:
    trace = np.zeros(15_000)
    trace[0] = 3.0
    found = arrival_times(trace, 4.0)
    middle = 4 * (np.arange(trace.size) + 0.5)
    assert found.prompt.sum() == pytest.approx(1, abs=1e-9)
    assert found.delayed.sum() == pytest.approx(1, abs=1e-9)
    assert (found.prompt * middle).sum() == pytest.approx(2 + PION_LIFETIME_NS, rel=1e-3)
    assert (found.delayed * middle).sum() == pytest.approx(2 + PION_LIFETIME_NS + MUON_LIFETIME_NS, rel=1e-3)
    assert (found.delayed >= 0).all()


def test_nothing_arrives_before_the_beam() -> None:
    found = arrival_times(np.array([0.0, 0.0, 1.0, 0.0]), 100.0)
    assert found.prompt[:2].tolist() == [0.0, 0.0]
    assert found.delayed[:2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("trace", [[0.0, 0.0], [-1.0, 0.5], [1.0, np.nan]])
def test_trace_without_beam_is_refused(trace: list[float]) -> None:
    with pytest.raises(UsageError, match=r"the POT trace sums to .*, expected more than 0"):
        arrival_times(np.array(trace), 1.0)


def test_bins_without_width_are_refused() -> None:
    with pytest.raises(UsageError, match="a bin of 0 ns has no width"):
        arrival_times(np.ones(3), 0.0)
