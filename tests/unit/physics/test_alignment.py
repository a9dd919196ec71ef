"""Edges of single traces, and traces moved by whole samples."""

import numpy as np
import pytest

from nualley.core import UsageError
from nualley.physics import TraceRule, sum_traces, weighted_median
from nualley.physics.alignment import rising_edges, shifted

TRIANGLE = np.concatenate([np.zeros(10), np.linspace(0, 1, 11), np.linspace(0.9, 0, 10), np.zeros(9)])


@pytest.mark.parametrize("scale", [1.0, -1.0, 1e-9, 1e9])
@pytest.mark.parametrize("pedestal", [0.0, 5.0, -5.0])
def test_half_height_whatever_height_polarity_and_pedestal(scale, pedestal):
    edges = rising_edges(scale * (TRIANGLE[None, :] + pedestal))
    assert edges == pytest.approx([15.0], abs=1e-6)


@pytest.mark.parametrize("trace", [np.zeros(20), np.full(20, np.nan), np.ones(20), np.full(20, np.inf), np.zeros(1)])
def test_no_edge_is_no_number(trace):
    assert np.isnan(rising_edges(trace[None, :].astype(float))).all()


def test_half_of_the_height_is_that_above_what_precedes_the_pulse():
    # a pedestal of 2 below a step to 4: half height is 3
    assert rising_edges(np.array([[2.0, 2.0, 2.5, 3.5, 4.0, 4.0]])) == pytest.approx([2.5])


def test_shift_moves_by_whole_samples_and_the_ends_go_on():
    traces = np.array([[1.0, 2.0, 3.0, 4.0]] * 4)
    moved = shifted(traces, np.array([0.0, 1.4, -1.0, 9.0]))
    assert moved.tolist() == [[1, 2, 3, 4], [2, 3, 4, 4], [1, 1, 2, 3], [4, 4, 4, 4]]


def test_a_trace_without_an_edge_is_counted_and_not_averaged():
    block = np.array([TRIANGLE, TRIANGLE, np.ones(TRIANGLE.size)])
    times = np.arange(3, dtype=np.int64)
    (found,) = sum_traces(times, np.zeros(3, dtype=np.int8), block, start_ns=0, rule=TraceRule(align_to=15.0))
    assert (found.n, found.n_bad) == (2, 1)
    np.testing.assert_allclose(found.mean, TRIANGLE)


def test_a_veto_beyond_one_is_refused():
    with pytest.raises(UsageError, match="a veto below 2 of the median makes no sense, expected 0 to 1"):
        TraceRule(2.0)


def test_the_weighted_median_of_ones_is_the_median():
    random = np.random.default_rng(3)
    for n in (1, 2, 5, 8):
        values = random.normal(size=n)
        assert weighted_median(values, np.ones(n, dtype=np.int64)) == np.median(values)
        repeated = random.integers(1, 5, n)
        assert weighted_median(values, repeated) == np.median(np.repeat(values, repeated))
