"""Averages of traces: the same as in one go, without trips."""

import numpy as np
import pytest

from nualley.core import UsageError
from nualley.physics import TraceAverager, average_traces, is_trip


def test_blocks_add_up_to_the_whole(seed: int) -> None:
    random = np.random.default_rng(seed)
    traces = random.normal(1e6, 1.0, (1000, 7))  # large offset: sums of squares would cancel
    averager = TraceAverager(7)
    for block in np.split(traces, [0, 1, 10, 11, 500]):
        averager.add(block)
    found = averager.average()
    assert found.n == 1000
    np.testing.assert_allclose(found.mean, traces.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.rms, traces.std(axis=0), rtol=1e-9)


def test_trips_are_left_out_and_counted() -> None:
    shape = np.array([0.0, 2.0, 1.0])
    traces = np.vstack([shape, shape * 1.1, shape * 0.9, shape * 0.1, shape * 0.0, shape * np.nan])
    found = average_traces(traces)
    assert (found.n, found.n_vetoed) == (3, 3)
    np.testing.assert_allclose(found.mean, shape)


def test_the_veto_is_a_part_of_the_median() -> None:
    integral = np.array([10.0, 10.0, 8.9, 9.1, np.nan])
    assert is_trip(integral, 10.0, 0.9).tolist() == [False, False, True, False, True]
    assert not is_trip(integral[:-1], 10.0, 0.0).any()


def test_negative_signals_are_traces_too() -> None:
    assert is_trip(np.array([-10.0, -1.0, 10.0]), -10.0).tolist() == [False, True, True]


def test_no_traces_have_no_average() -> None:
    found = TraceAverager(5).average()
    assert (found.n, found.mean.size, found.rms.size) == (0, 0, 0)
    all_bad = average_traces(np.full((2, 3), np.nan))
    assert (all_bad.n, all_bad.n_vetoed, all_bad.mean.size) == (0, 2, 0)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_impossible_veto_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match="of the median makes no sense, expected 0 to 1"):
        is_trip(np.ones(2), 1.0, fraction)
