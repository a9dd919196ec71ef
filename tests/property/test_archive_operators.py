"""Operators against their definitions, written out sample by sample, however the samples come in pieces."""

import itertools
import math
import statistics

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nualley.archive.operators.calls import operate, parse_operator
from nualley.archive.operators.stretch import Stretch
from nualley.core import SECOND_NS

BEGIN_S = 1_700_000_000
WIDTH_S = 7
START_NS = BEGIN_S * SECOND_NS + 300_000_000
STOP_NS = START_NS + 60 * SECOND_NS

NUMBERS = st.one_of(st.floats(-1e6, 1e6), st.integers(-3, 3).map(float), st.just(math.nan))


@st.composite
def histories(draw, values=NUMBERS):
    """Return samples of a minute, one before it perhaps, and where they are cut into pieces."""
    offsets = sorted(draw(st.sets(st.integers(0, 60 * SECOND_NS - 1), max_size=40)))
    times = ([START_NS - draw(st.integers(1, 10**12))] if draw(st.booleans()) else []) + [
        START_NS + at for at in offsets
    ]
    rows = [(time_ns, draw(values), draw(st.integers(0, 3))) for time_ns in times]
    cuts = sorted(draw(st.sets(st.integers(0, len(rows)), max_size=4)))
    return rows, [0, *cuts, len(rows)]


def run(text, history, *, start_ns=START_NS, stop_ns=STOP_NS, kinds=None):
    rows, cuts = history
    pieces = []
    for begin, end in itertools.pairwise(cuts):
        part = rows[begin:end]
        kind = ["sample"] * len(part) if kinds is None else kinds[begin:end]
        pieces.append(
            pa.table(
                {
                    "time_ns": pa.array([row[0] for row in part], pa.int64()),
                    "value": pa.array([row[1] for row in part], pa.float64()),
                    "severity": pa.array([row[2] for row in part], pa.int8()),
                    "status": pa.array([0] * len(part), pa.int16()),
                    "kind": pa.array(kind, pa.string()).dictionary_encode(),
                    "received_ns": pa.array([row[0] for row in part], pa.int64()),
                    "last_heard_ns": pa.nulls(len(part), pa.int64()),
                }
            )
        )
    tables = list(operate(parse_operator(text), iter(pieces), Stretch(start_ns, stop_ns)))
    names = ("time_ns", "value", "severity")
    return [row for table in tables for row in zip(*(table[name].to_pylist() for name in names), strict=True)]


def binned(rows, width_s=WIDTH_S):
    """Return the rows of each bin: epoch second // width; what is before the start is one bin earlier."""
    first = START_NS // SECOND_NS // width_s
    found = {}
    for row in rows:
        found.setdefault(first - 1 if row[0] < START_NS else row[0] // SECOND_NS // width_s, []).append(row)
    return found


def numbers_of(rows):
    return [row[1] for row in rows if not math.isnan(row[1])]


def moment(values, power):
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** power for value in values)


def variance(values):
    return moment(values, 2) / (len(values) - 1) if len(values) > 1 else 0.0


def skewness(values):
    n = len(values)
    if n < 3:
        return math.nan
    return n / ((n - 1) * (n - 2)) * moment(values, 3) / variance(values) ** 1.5 if len(set(values)) > 1 else 0.0


def kurtosis(values):
    n = len(values)
    if n < 4:
        return math.nan
    if len(set(values)) == 1:
        return 0.0
    scale = n * (n + 1) / ((n - 1) * (n - 2) * (n - 3))
    return scale * moment(values, 4) / variance(values) ** 2 - 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))


def divided(top, bottom):
    return math.copysign(math.inf, top) if bottom == 0 and top else math.nan if bottom == 0 else top / bottom


PLAIN = {
    "mean": statistics.fmean,
    "min": min,
    "max": max,
    "median": statistics.median,
    "variance": variance,
    "std": lambda values: math.sqrt(variance(values)),
    "popvariance": lambda values: moment(values, 2) / len(values),
}
BENIGN = st.one_of(st.floats(-1e3, 1e3).map(lambda value: round(value, 3)), st.just(math.nan))


def is_same(one, other, scale=0.0):
    return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9 + scale)


@pytest.mark.parametrize("name", PLAIN)
@given(history=histories())
def test_a_statistic_of_the_bins_that_have_samples(name, history):
    expected = [
        (
            number * WIDTH_S * SECOND_NS + WIDTH_S * SECOND_NS // 2,
            PLAIN[name](numbers_of(rows)) if numbers_of(rows) else math.nan,
            max(row[2] for row in rows),
        )
        for number, rows in binned(history[0]).items()
    ]
    found = run(f"{name}Sample_{WIDTH_S}", history)
    assert [(row[0], row[2]) for row in found] == [(row[0], row[2]) for row in expected]
    # variances of what is large and nearly the same keep no more digits than the squares have
    scale = max([abs(value) for value in numbers_of(history[0])], default=0) ** 2 * 1e-13
    scale = math.sqrt(scale) if name == "std" else scale
    assert all(is_same(one[1], other[1], scale) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize(("name", "plain"), [("skewness", skewness), ("kurtosis", kurtosis)])
@given(history=histories(BENIGN))
def test_the_shape_of_bins(name, plain, history):
    for row, (_, rows) in zip(run(f"{name}Sample_{WIDTH_S}", history), binned(history[0]).items(), strict=True):
        values = numbers_of(rows)
        spread = max(values, default=0) - min(values, default=0)
        if spread == 0 or spread > 1e-2:  # else the third and fourth powers are below what doubles tell apart
            assert is_same(row[1], plain(values) if values else math.nan, 1e-6)


@given(history=histories(BENIGN))
def test_jitter_is_the_deviation_over_the_mean(history):
    mean, std, jitter = (run(f"{name}Sample_{WIDTH_S}", history) for name in ("mean", "std", "jitter"))
    for m, s, j in zip(mean, std, jitter, strict=True):
        assert is_same(j[1], math.nan if math.isnan(m[1]) else divided(s[1], m[1]))


@given(history=histories())
def test_an_empty_bin_has_what_the_one_before_has_and_counts_none(history):
    # what is filled is what held at a bin's middle: none behind the end
    last = (STOP_NS - 1 - WIDTH_S * SECOND_NS // 2) // (WIDTH_S * SECOND_NS)
    bins = binned(history[0])
    for name, inherited in (("max", True), ("count", False)):
        own = dict(zip(bins, run(f"{name}Sample_{WIDTH_S}", history), strict=True))
        found = run(f"{name}_{WIDTH_S}", history)
        numbers = range(min(bins), max(last, *bins) + 1) if bins else range(0)
        assert [row[0] // SECOND_NS // WIDTH_S for row in found] == list(numbers)
        kept = None
        for number, row in zip(numbers, found, strict=True):
            kept = own.get(number, kept if inherited else (None, 0.0, 0))
            assert str(row[1:]) == str(kept[1:])


@given(history=histories())
def test_firsts_and_lasts_of_bins(history):
    bins = binned(history[0])
    for name, at in (("first", 0), ("last", -1)):
        assert str(run(f"{name}Sample_{WIDTH_S}", history)) == str([rows[at] for rows in bins.values()])
        filled = run(f"{name}Fill_{WIDTH_S}", history)
        kept = {}
        for row in filled:
            number = row[0] // SECOND_NS // WIDTH_S
            kept = bins[number][at] if number in bins else kept
            assert str(row[1:]) == str(kept[1:])
            assert row[0] == (number * WIDTH_S + WIDTH_S // 2) * SECOND_NS


@given(history=histories())
def test_the_value_at_the_middle_of_a_bin(history):
    for row, (number, rows) in zip(run(f"linearSample_{WIDTH_S}", history), binned(history[0]).items(), strict=True):
        middle_ns = (number * WIDTH_S + WIDTH_S // 2) * SECOND_NS
        times = [sample[0] for sample in rows]
        if times[0] <= middle_ns <= times[-1]:
            at = np.interp(0.0, [float(time_ns - middle_ns) for time_ns in times], [sample[1] for sample in rows])
        else:
            at = rows[0][1]
        assert is_same(row[1], float(at))


@given(history=histories(), n=st.integers(1, 9))
def test_every_nth_and_how_many(history, n):
    inside = [row for row in history[0] if row[0] >= START_NS]
    assert str(run(f"nth_{n}", history)) == str(inside[::n])
    assert run("ncount", history) == [(START_NS, len(inside), 0)]


@given(
    history=histories(st.one_of(NUMBERS, st.just(math.inf), st.just(-math.inf))), band=st.sampled_from([0.0, 0.5, 3.0])
)
def test_a_dead_band(history, band):
    picked = []
    for row in history[0]:
        last = picked[-1] if picked else None
        if (
            last is None
            or not (math.isfinite(row[1]) and math.isfinite(last[1]))
            or row[2] != last[2]
            or abs(row[1] - last[1]) > band
        ):
            picked.append(row)
    assert str(run(f"deadBand_{band}", history)) == str(picked)


@given(history=histories(BENIGN), n=st.sampled_from([0.5, 1.0, 3.0]))
def test_what_stands_out_and_what_does_not(history, n):
    near, far = [], []
    for rows in binned(history[0]).values():
        values = numbers_of(rows)
        for row in rows:
            if values and not math.isnan(row[1]):
                distance, limit = abs(row[1] - statistics.fmean(values)), n * math.sqrt(variance(values))
                if math.isclose(distance, limit, rel_tol=1e-9, abs_tol=1e-9) and limit:
                    return  # on the limit, where digits decide
                (near if distance <= limit + 1e-9 else far).append(row)
    found = run(f"ignoreflyers_{WIDTH_S}_{n}", history), run(f"flyers_{WIDTH_S}_{n}", history)
    assert found == (near, far)


@given(history=histories(BENIGN), n=st.integers(1, 50))
def test_optimized_is_the_samples_where_they_are_few_else_bins(history, n):
    rows = history[0]
    found, with_last = run(f"optimized_{n}", history), run(f"optimLastSample_{n}", history)
    if len(rows) <= n:
        assert str(found) == str(with_last) == str(rows)
        return
    width_s = max(1, ((STOP_NS - 1) // SECOND_NS - START_NS // SECOND_NS) // n)
    bins = binned(rows, width_s)
    for row, last_row in zip(found, with_last, strict=True):
        number = row[0] // SECOND_NS // width_s
        mean, std, low, high, count = row[1]
        if number in bins:
            values = numbers_of(bins[number])
            assert count == last_row[1][4] == len(values)
            if values:
                assert (low, high) == (min(values), max(values))
                assert is_same(mean, statistics.fmean(values))
                assert is_same(std, math.sqrt(variance(values)), 1e-6)
                assert last_row[1][5] == values[-1]
            held = last_row[1][5]
        else:
            assert str(last_row[1]) == str([held, 0.0, held, held, 0.0, held])


def test_a_lost_connection_lets_the_next_two_samples_through_a_dead_band():
    rows = [(START_NS + at * SECOND_NS, value, 0) for at, value in enumerate([1.0, 1.0, math.nan, 1.0, 1.0])]
    kinds = ["sample", "sample", "disconnect", "sample", "sample"]
    expected = [rows[0], rows[3], rows[4]]
    for cuts in ([0, 5], [0, 2, 5], [0, 3, 5], [0, 2, 3, 5], [0, 2, 3, 3, 5]):
        assert run("deadBand_1", (rows, cuts), kinds=kinds) == expected


def test_a_large_offset_costs_no_digits():
    rng = np.random.default_rng(1)
    noise = rng.normal(size=5000)
    rows = [(START_NS + at * 1000, 1e9 + value, 0) for at, value in enumerate(noise.tolist())]
    ((_, found, _),) = run("std_1000000", (rows, [0, 100, 2500, 5000]))[-1:]
    assert found == pytest.approx(np.std(noise, ddof=1), rel=1e-6)
