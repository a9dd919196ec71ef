"""Selections beside brute force: every nanosecond of a short time line is looked at by itself."""

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nualley.catalog import Flag, SelectionRevision
from nualley.catalog.adapters.sql import open_catalog
from nualley.core import Interval, IntervalSet
from nualley.exposure import TraceRows
from nualley.physics import PvRows
from nualley.selection import canonical_json, format_expression, parse_expression
from nualley.selection.evaluation import Evaluator, RunFacts
from nualley.selection.expression import (
    And,
    Call,
    Compare,
    Everything,
    Moment,
    Node,
    Not,
    Operand,
    Or,
    Span,
    Within,
    conjunction,
    disjunction,
)
from nualley.selection.legend import ranges
from nualley.selection.lists import listed_runs, make_list, read_list, write_list
from nualley.selection.models import ListedRun, SelectedRun

LENGTH = 24
WORDS = ("noise", "trip")
SEVERITIES = {"noise": "bad", "trip": "caution"}
PVS = ("P", "Q")


class ShortArchive:
    """The port PvHistory over a value for each nanosecond; None where it is not known (INVALID)."""

    def __init__(self, values: Mapping[str, Sequence[float | None]]) -> None:
        self.values = values

    def read(self, pv: str, start_ns: int, stop_ns: int) -> PvRows:
        values = self.values[pv]
        times = range(max(0, min(start_ns, LENGTH - 1)), min(stop_ns, LENGTH))
        found = [values[time] for time in times]
        return PvRows(
            np.array(times, dtype=np.int64),
            np.array([0.0 if value is None else value for value in found]),
            np.array([3 if value is None else 0 for value in found], dtype=np.int8),
        )

    def alive_until_ns(self, pv: str) -> int:
        return LENGTH

    def labels(self, pv: str) -> tuple[str, ...]:
        return ()

    def read_traces(self, pv: str, start_ns: int, stop_ns: int) -> TraceRows:
        raise NotImplementedError


def at(node: Node, time: int, run: RunFacts, archive: ShortArchive) -> bool | None:
    """Return whether an expression holds at one nanosecond: the logic of three values, written out."""
    match node:
        case Everything():
            return True
        case Not(part):
            inner = at(part, time, run, archive)
            return None if inner is None else not inner
        case And(parts):
            found = [at(part, time, run, archive) for part in parts]
            return False if False in found else None if None in found else True
        case Or(parts):
            found = [at(part, time, run, archive) for part in parts]
            return True if True in found else None if None in found else False
        case Call(kind, word):
            flags = [flag for flag in run.flags if word in (flag.name, SEVERITIES[flag.name])]
            return word in run.tags if kind == "tag" else any(_lies(flag, time, run) for flag in flags)
        case Compare(operand, order, value):
            return _compared(_value(operand, time, run, archive), order, value)
        case Within(operand, items):
            found = _value(operand, time, run, archive)
            return None if found is None else any(_is_in(found, item) for item in items)


def _lies(flag: Flag, time: int, run: RunFacts) -> bool:
    if flag.start_ns is not None:
        return flag.start_ns <= time and (flag.stop_ns is None or time < flag.stop_ns)
    return flag.first_run <= run.number <= flag.last_run  # type: ignore[operator]  # both are there


def _value(operand: Operand, time: int, run: RunFacts, archive: ShortArchive):
    facts = {"detector": run.detector, "run": run.number, "type": run.run_type or None, "time": time}
    if operand.kind == "pv":
        return archive.values[operand.key][time]
    return run.settings.get(operand.key) if operand.kind == "settings" else facts[operand.kind]


def _compared(found, order, value) -> bool | None:
    other = value.time_ns if isinstance(value, Moment) else value
    if found is None:
        return None
    return (
        {"==": found == other, "!=": found != other}.get(order)
        if order in ("==", "!=")
        else {
            "<": lambda: found < other,
            "<=": lambda: found <= other,
            ">": lambda: found > other,
            ">=": lambda: found >= other,
        }[order]()
    )


def _is_in(found, item) -> bool:
    if not isinstance(item, Span):
        return found == item
    if isinstance(item.first, Moment):
        return item.first.time_ns <= found < item.last.time_ns
    return item.first <= found <= item.last


moments = st.integers(0, LENGTH).map(Moment)
orders = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
small = st.integers(0, 4)
spans = st.tuples(small, small).map(sorted).map(lambda ends: Span(*ends))
stretches = st.tuples(moments, moments).map(sorted).map(lambda ends: Span(*ends))
listed = st.lists(small | spans, min_size=2).map(tuple)
leaves = st.one_of(
    st.just(Everything()),
    st.builds(Call, st.just("flag"), st.sampled_from(WORDS)),
    st.builds(Call, st.just("severity"), st.sampled_from(["bad", "caution"])),
    st.builds(Call, st.just("tag"), st.sampled_from(["a", "b"])),
    st.builds(Compare, st.just(Operand("run")), orders, small),
    st.builds(Compare, st.just(Operand("time")), orders, moments),
    st.builds(Compare, st.just(Operand("type")), st.sampled_from(["==", "!="]), st.sampled_from(["physics", "test"])),
    st.builds(Compare, st.sampled_from([Operand("settings", "X"), Operand("settings", "Y")]), orders, small),
    st.builds(Compare, st.sampled_from([Operand("pv", pv) for pv in PVS]), orders, small),
    st.builds(Within, st.sampled_from([Operand("pv", "P"), Operand("run")]), listed),
    st.builds(Within, st.just(Operand("time")), st.lists(stretches, min_size=1).map(tuple)),
)  # fmt: skip
expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: conjunction(*parts)),
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: disjunction(*parts)),
    ),
    max_leaves=12,
)
values = st.lists(st.none() | st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=LENGTH, max_size=LENGTH)


@st.composite
def flags(draw):
    timed = draw(st.booleans())
    first, last = sorted((draw(st.integers(0, LENGTH)), draw(st.integers(0, LENGTH))))
    runs = sorted((draw(small), draw(small)))
    return Flag(
        detector="d",
        name=draw(st.sampled_from(WORDS)),
        start_ns=first if timed else None,
        stop_ns=draw(st.sampled_from([None, last + 1])) if timed else None,
        first_run=None if timed else runs[0],
        last_run=None if timed else runs[1],
        reason="r",
        author="a",
        superseded_by=draw(st.sampled_from([None, 7])),
    )


@given(expressions, st.tuples(values, values), st.lists(flags(), max_size=4), st.data())
def test_intervals_are_those_of_every_single_moment(node, of_pvs, all_flags, data):
    archive = ShortArchive(dict(zip(PVS, of_pvs, strict=True)))
    counting = [flag for flag in all_flags if flag.counts]
    start, stop = sorted((data.draw(st.integers(0, LENGTH)), data.draw(st.integers(0, LENGTH))))
    run = RunFacts(
        detector="d",
        number=data.draw(small),
        run_type=data.draw(st.sampled_from(["", "physics"])),
        tags=data.draw(st.sampled_from([(), ("a",)])),
        settings={"X": 2},
        flags=counting,
        within=IntervalSet.of(start, stop),
    )
    truth = Evaluator(archive, SEVERITIES).truth(node, run)
    for found, wanted in ((truth.true, True), (truth.false, False), (truth.unknown(run.within), None)):
        moments_ = [time for interval in found for time in range(interval.start_ns, interval.stop_ns)]
        assert moments_ == [time for time in range(start, stop) if at(node, time, run, archive) is wanted]


@given(expressions)
def test_what_is_written_is_read_again(node):
    text = format_expression(node)
    assert parse_expression(text) == node
    assert format_expression(parse_expression(text)) == text


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(names, names, st.floats(allow_nan=False, allow_infinity=False))
def test_any_name_and_number_is_written_and_read(detector, key, number):
    node = And((Compare(Operand("detector"), "==", detector), Compare(Operand("settings", key), "<", number)))
    assert parse_expression(format_expression(node)) == node


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(json_values, st.randoms())
def test_canonical_json_does_not_depend_on_the_order_of_keys(value, random):
    import json

    def shuffled(part):
        if isinstance(part, list):
            return [shuffled(item) for item in part]
        if isinstance(part, dict):
            keys = list(part)
            random.shuffle(keys)
            return {key: shuffled(part[key]) for key in keys}
        return part

    text = canonical_json(value)
    assert canonical_json(shuffled(value)) == text
    assert json.loads(text, parse_int=float) == value  # ECMAScript knows float64 only
    assert canonical_json(json.loads(text)) == text


# ---------------------------------------------------------------- lists of others
blocks = st.lists(st.integers(0, 50), max_size=6, unique=True).map(
    lambda ends: [list(pair) for pair in zip(sorted(ends)[::2], sorted(ends)[1::2], strict=False)]
)


@given(st.dictionaries(st.integers(0, 10**6).map(str), blocks, max_size=6))
def test_a_golden_json_comes_out_as_it_went_in(golden):
    import json

    text = json.dumps(golden) + "\n"
    document = read_list(text, "cms-golden")
    assert write_list(document, "cms-golden") == text
    assert [run.number for run in listed_runs(document, "cms-golden", "d")] == [int(key) for key in golden]


@given(st.lists(st.integers(0, 400), min_size=1, unique=True))
def test_ranges_hold_the_numbers_and_no_other(numbers):
    document = {"valid": {"phy": {"p01": ranges(numbers)}}}
    again = read_list(write_list(document, "legend-yaml"), "legend-yaml")
    assert again == document
    assert [run.number for run in listed_runs(again, "legend-yaml", "d")] == sorted(numbers)


interval_sets = st.lists(st.integers(0, 10**18), min_size=2, max_size=8, unique=True).map(
    lambda ends: IntervalSet(Interval(a, b) for a, b in zip(sorted(ends)[::2], sorted(ends)[1::2], strict=False))
)


@given(st.dictionaries(st.integers(0, 50), interval_sets, max_size=5))
def test_intervals_come_back_from_csv_to_the_nanosecond(intervals_by_run):
    runs = [
        SelectedRun(listed=ListedRun(detector="d", number=number), intervals=intervals, is_known=True, is_whole=False)
        for number, intervals in intervals_by_run.items()
    ]
    document = make_list(runs, "csv", {}, "x")
    text = write_list(document, "csv")
    again = read_list(text, "csv")
    assert write_list(again, "csv") == text
    assert {run.number: run.intervals for run in listed_runs(again, "csv", None)} == intervals_by_run


goldens_of_99 = st.dictionaries(st.integers(0, 99).map(str), blocks, max_size=4)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.dictionaries(st.integers(0, 99).map(str), blocks, max_size=4), min_size=1, max_size=4, unique_by=repr)
)
def test_a_list_is_entered_once_however_often_it_is_imported(tmp_path, goldens):
    import json

    name = f"g{len(list(tmp_path.iterdir()))}"
    with open_catalog(tmp_path / f"{name}.sqlite") as catalog:
        for golden in goldens:
            for _ in range(3):
                origin = {"format": "cms-golden", "list": read_list(json.dumps(golden), "cms-golden")}
                catalog.run_lists.define(SelectionRevision(name="g", imported=origin, author="a"))
        kept = [revision.imported["list"] for revision in catalog.run_lists.revisions("g")]
    assert kept == goldens
