"""Interval algebra against plain sets of integers; names that come back."""

import itertools
import json
import os

from hypothesis import given
from hypothesis import strategies as st

from nualley.core import Interval, IntervalSet, dump_json, escape_name, to_json, unescape_name

INTERVALS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda pair: Interval(pair[0], pair[0] + pair[1])), max_size=6
)


def points(intervals) -> set[int]:
    return {time for interval in intervals for time in range(interval.start_ns, interval.stop_ns)}


@given(left=INTERVALS, right=INTERVALS)
def test_the_algebra_is_that_of_sets(left, right):
    a, b = IntervalSet(left), IntervalSet(right)
    assert points(a) == points(left)
    assert points(a | b) == points(left) | points(right)
    assert points(a & b) == points(left) & points(right)
    assert points(a - b) == points(left) - points(right)
    assert points(a.complement(5, 20)) == set(range(5, 20)) - points(left)
    assert a.duration_ns == len(points(left))
    assert bool(a) == bool(points(left))


@given(intervals=INTERVALS)
def test_sets_are_disjoint_sorted_and_do_not_touch(intervals):
    found = list(IntervalSet(intervals))
    assert all(left.stop_ns < right.start_ns for left, right in itertools.pairwise(found))
    assert all(interval.duration_ns > 0 for interval in found)


@given(raw=st.binary(max_size=40))
def test_a_name_comes_back_byte_for_byte(raw):
    shown = escape_name(raw)
    assert os.fsencode(unescape_name(shown)) == raw
    assert shown.isprintable() or not shown
    shown.encode("utf-8")


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
_values = st.recursive(_scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner))


@given(_values)
def test_json_is_strict_and_the_same_when_read_back(value: object) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not strict JSON")

    raw = dump_json(value).encode()
    assert json.loads(raw, parse_constant=refuse) == to_json(value)
    assert to_json(to_json(value)) == to_json(value)
