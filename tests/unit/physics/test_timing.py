"""Arrival times against a brute-force simulation of the decays and against their closed forms."""

import numpy as np
import pytest

from nualley.core import UsageError
from nualley.physics import MUON_LIFETIME_NS, PION_LIFETIME_NS, arrival_times, arrival_times_in


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


def test_bins_of_ones_own_add_up_and_reach_beyond_the_trace() -> None:
    trace = np.hanning(200)
    fine = arrival_times(np.concatenate([trace, np.zeros(4800)]), 10.0)
    edges = np.array([-500.0, 0.0, 1000.0, 1500.0, 50_000.0])
    found = arrival_times_in(trace, 10.0, edges_ns=edges)
    assert found.prompt[0] == found.delayed[0] == 0.0
    assert found.prompt[1] == pytest.approx(fine.prompt[:100].sum(), rel=1e-12)
    assert found.delayed[2] == pytest.approx(fine.delayed[100:150].sum(), rel=1e-12)
    assert found.prompt.sum() == pytest.approx(1, abs=1e-9)
    assert found.delayed.sum() == pytest.approx(1, abs=1e-8)


def test_the_offset_is_when_the_trace_begins() -> None:
    trace = np.hanning(200)
    edges = np.array([0.0, 700.0, 1400.0, 3000.0])
    at_zero = arrival_times_in(trace, 10.0, edges_ns=edges)
    later = arrival_times_in(trace, 10.0, edges_ns=edges + 300.0, offset_ns=300.0)
    np.testing.assert_allclose(later.prompt, at_zero.prompt, rtol=1e-12)
    np.testing.assert_allclose(later.delayed, at_zero.delayed, rtol=1e-12)


@pytest.mark.parametrize("edges", [[], [1.0], [1.0, 1.0], [2.0, 1.0], [0.0, np.inf]])
def test_edges_that_are_no_bins_are_refused(edges: list[float]) -> None:
    with pytest.raises(UsageError, match="the edges of the bins do not rise"):
        arrival_times_in(np.ones(3), 1.0, edges_ns=np.array(edges))


def test_an_edge_beyond_all_measure_is_refused() -> None:
    with pytest.raises(UsageError, match="the last edge is 2000000 samples behind the begin of the trace"):
        arrival_times_in(np.ones(3), 1.0, edges_ns=np.array([0.0, 2e6]))
