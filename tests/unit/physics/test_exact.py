"""Exact integrals: nothing is rounded, whatever the sizes."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nualley.physics import exact_integral

VALUES = st.floats(allow_nan=False, allow_infinity=False)
DURATIONS = st.integers(0, 2**62)


def brute(steps: list[tuple[float, int]]) -> Fraction:
    return sum((Fraction(value) * duration for value, duration in steps), Fraction(0))


@given(st.lists(st.tuples(VALUES, DURATIONS), max_size=30))
def test_is_the_rational_sum(steps: list[tuple[float, int]]) -> None:
    value = np.array([v for v, _ in steps], dtype=np.float64)
    duration = np.array([d for _, d in steps], dtype=np.int64)
    assert exact_integral(value, duration) == brute(steps)


def test_many_steps_of_the_greatest_size_do_not_overflow() -> None:
    n = 100_000  # more than fit into one int64 dot product
    biggest = np.nextafter(2.0, 1.0)
    value = np.full(n, biggest)
    value[::2] = -biggest
    value[0] = biggest
    duration = np.full(n, 2**62 - 1, dtype=np.int64)
    assert exact_integral(value, duration) == Fraction(biggest) * (2**62 - 1) * 2
    assert exact_integral(np.abs(value), duration) == Fraction(biggest) * (2**62 - 1) * n


def test_a_year_of_ns_keeps_every_proton() -> None:
    year_ns = 31_536_000_000_000_000
    rate = 8.738e15
    assert exact_integral(np.array([rate]), np.array([year_ns])) == Fraction(rate) * year_ns


def test_nothing_is_nothing() -> None:
    assert exact_integral(np.empty(0), np.empty(0, dtype=np.int64)) == 0
    assert exact_integral(np.array([1.0]), np.array([0])) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_unknown_values_are_refused_not_summed(bad: float) -> None:
    with pytest.raises(ValueError, match="1 of 2 values are not finite"):
        exact_integral(np.array([1.0, bad]), np.array([1, 0]))
