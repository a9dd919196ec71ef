"""Traces cut into any parts: their sums joined are those of the whole; known jitter is found and taken out."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nualley.physics import TraceRule, join_minute, join_sums, sum_traces

PLAIN = TraceRule()


def traces(seed: int, n: int, length: int, offset: float) -> np.ndarray:
    random = np.random.default_rng(seed)
    shape = offset + np.hanning(length)
    return (shape * random.normal(1, 0.05, (n, 1)) + random.normal(0, 0.01, (n, length))).astype(np.float32)


def sums(block: np.ndarray, times: np.ndarray, rule: TraceRule = PLAIN) -> list:
    return sum_traces(times, np.zeros(len(block), dtype=np.int8), block, start_ns=0, rule=rule)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 200),
    length=st.integers(3, 40),
    # a large pedestal is where sums of squares would cancel
    offset=st.sampled_from([0.0, 1.0, 1e4]),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
def test_the_join_of_any_partition_is_the_whole(seed: int, n: int, length: int, offset: float, cuts: list[int]) -> None:
    block, times = traces(seed, n, length, offset), np.arange(n, dtype=np.int64)
    edges = [0, *sorted(cut for cut in cuts if cut < n), n]
    parts = [
        part
        for start, stop in itertools.pairwise(edges)
        if stop > start
        for part in sums(block[start:stop], times[start:stop])
    ]
    joined, whole = join_sums(parts), join_sums(sums(block, times))
    exact = block.astype(np.longdouble)
    scale = np.abs(exact).max()
    assert joined.n == whole.n == n
    np.testing.assert_allclose(joined.mean, whole.mean, rtol=1e-12, atol=1e-12 * float(scale))
    np.testing.assert_allclose(joined.mean, exact.mean(axis=0).astype(float), rtol=1e-12, atol=1e-12 * float(scale))
    true = np.square(exact - exact.mean(axis=0)).sum(axis=0).astype(float)
    # float64 holds a deviation to its last place of the value: that bounds any sum of their squares
    unsure = 1e-12 * true + 4 * n * float(scale) ** 2 * 2.0**-104 + 8 * float(scale) * 2.0**-52 * np.sqrt(n * true)
    assert (np.abs(joined.squares - true) <= unsure).all()
    assert (joined.first_ns, joined.last_ns) == (0, n - 1)
    assert joined.integral_min == whole.integral_min
    assert joined.integral_max == whole.integral_max


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), is_trip=st.lists(st.booleans(), min_size=2, max_size=60), cut=st.integers(1, 59))
def test_trips_stand_apart_however_a_minute_is_cut(seed: int, is_trip: list[bool], cut: int) -> None:
    n = len(is_trip)
    block, times = traces(seed, n, 20, 0.0), np.arange(n, dtype=np.int64)
    block[np.array(is_trip)] *= np.float32(0.05)
    parts = [*sums(block[:cut], times[:cut]), *(sums(block[cut:], times[cut:]) if cut < n else [])]
    found = join_minute(parts)
    expected = join_minute(sums(block, times))
    assert [(one.n, one.is_low) for one in found] == [(one.n, one.is_low) for one in expected]
    if not all(is_trip):
        assert [one.n for one in found] == [n - sum(is_trip), *([sum(is_trip)] if any(is_trip) else [])]


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), jitter=st.floats(0.5, 30.0), polarity=st.sampled_from([1.0, -1.0]))
def test_known_jitter_is_found_and_taken_out(seed: int, jitter: float, polarity: float) -> None:
    random = np.random.default_rng(seed)
    n, length, edge = 400, 600, 200.0
    moved = random.normal(0, jitter, n)
    samples = np.arange(length)
    # a step of 20 samples' rise and a long flat top, with noise of 1 %
    clean = polarity / (1 + np.exp(-(samples[None, :] - edge - moved[:, None]) / 5))
    block = (clean + random.normal(0, 0.01, clean.shape)).astype(np.float32)
    times = np.arange(n, dtype=np.int64)
    (plain,) = sums(block, times)
    (found,) = sums(block, times, TraceRule(align_to=edge))
    spread = np.sqrt(found.shift_squares / found.n)
    assert abs(spread - moved.std()) < 0.15 + 0.02 * jitter
    # noise makes each trace seem 3 % higher, and so its half height 0.3 samples later: the same for all
    assert 0 < found.shift_mean - moved.mean() < 0.5
    # the slope at the edge is that of one trace again, not of their blur
    slope = np.abs(np.diff(found.mean)).max()
    assert slope > 0.93 * 0.05
    assert found.rms[190:210].max() < plain.rms[150:250].max()
    if jitter > 10:
        assert np.abs(np.diff(plain.mean)).max() < 0.8 * slope
