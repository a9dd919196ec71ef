"""Cells join to what the samples themselves say, and bins of any tier are exact for the edges they name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nualley.archive.cells import CELL_COLUMNS, conflicts, group_by_width, join, merge, summarise

WIDTH_NS = 60_000_000_000
BEGIN_NS = 1_767_225_600_000_000_000
_EXACT = set(CELL_COLUMNS) - {"sum", "sumsq", "integral", "bad_s"}

values = st.one_of(
    st.floats(-1e6, 1e6),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1e31]),
)


@st.composite
def samples(draw):
    n = draw(st.integers(1, 60))
    steps = draw(st.lists(st.integers(1, 3 * WIDTH_NS), min_size=n, max_size=n))
    value = draw(st.lists(values, min_size=n, max_size=n))
    severity = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    return BEGIN_NS + np.cumsum(steps), np.array(value), np.array(severity, dtype=np.int8)


def cells_of(time_ns, value, severity, width_ns=WIDTH_NS):
    firsts, bounds_ns = group_by_width(time_ns, width_ns)
    return summarise(time_ns, value, severity, firsts=firsts, bounds_ns=bounds_ns)


def assert_same(found, expected):
    assert len(found) == len(expected)
    for name in CELL_COLUMNS:
        one, other = getattr(found, name), getattr(expected, name)
        if name in _EXACT:
            np.testing.assert_array_equal(one, other, err_msg=name)
        else:
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-3, err_msg=name)


def slowly(time_ns, value, severity, start_ns, stop_ns):
    """One cell, sample by sample: an independent account."""
    inside = [i for i in range(len(time_ns)) if start_ns <= time_ns[i] < stop_ns]
    good = [i for i in inside if severity[i] < 3 and abs(value[i]) <= 1e30]
    ends = {i: time_ns[i + 1] if i + 1 in inside else stop_ns for i in inside}
    return {
        "n": len(inside),
        "n_good": len(good),
        "min": min((value[i] for i in good), default=np.nan),
        "max": max((value[i] for i in good), default=np.nan),
        "first": value[good[0]] if good else np.nan,
        "last": value[good[-1]] if good else np.nan,
        "holds": inside[-1] in good,
        "integral": sum(value[i] * (ends[i] - time_ns[i]) / 1e9 for i in good),
        "bad_s": sum((ends[i] - time_ns[i]) / 1e9 for i in inside if i not in good),
        "severity": max(severity[i] for i in inside),
        "min_ns": next((time_ns[i] for i in good if value[i] == min(value[j] for j in good)), 0),
    }


@given(samples())
def test_a_cell_says_what_its_samples_say(story):
    cells = cells_of(*story)
    for row in range(len(cells)):
        for name, expected in slowly(*story, cells.start_ns[row], cells.stop_ns[row]).items():
            assert getattr(cells, name)[row] == pytest.approx(expected, rel=1e-9, abs=1e-3, nan_ok=True), name


@given(samples(), st.sampled_from([2, 5, 60]))
def test_cells_join_to_wider_ones(story, factor):
    fine = cells_of(*story)
    firsts, bounds_ns = group_by_width(fine.start_ns, factor * WIDTH_NS)
    assert_same(merge(fine, firsts, bounds_ns), cells_of(*story, width_ns=factor * WIDTH_NS))


@given(samples(), st.data())
def test_parts_of_one_cell_join(story, data):
    cut = data.draw(st.integers(0, story[0].size))
    parts = join([cells_of(*(column[part] for column in story)) for part in (slice(0, cut), slice(cut, None))])
    assert not conflicts(parts).any()
    is_first = np.append(True, parts.start_ns[1:] != parts.start_ns[:-1])
    firsts = np.flatnonzero(is_first)
    assert_same(merge(parts, firsts, (parts.start_ns[firsts], parts.stop_ns[firsts])), cells_of(*story))


@settings(max_examples=50)
@given(samples())
def test_parts_that_lie_between_each_other_are_a_conflict(story):
    odd, even = (cells_of(*(column[part] for column in story)) for part in (slice(0, None, 2), slice(1, None, 2)))
    both = join([odd, even])
    both = both.only(np.argsort(both.first_ns, kind="stable"))
    names = [
        set(cells_of(*(column[part] for column in story)).start_ns) for part in (slice(0, None, 2), slice(1, None, 2))
    ]
    shared = names[0] & names[1]
    n_by_start = {start: int(both.n[both.start_ns == start].sum()) for start in shared}
    expected = any(n > 2 for n in n_by_start.values())
    assert conflicts(both).any() == expected
