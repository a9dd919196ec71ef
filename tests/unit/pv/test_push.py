"""What a program may push, and how it is refused."""

import json
import math

import numpy as np
import pytest

from nualley.pv import PushFormError, ValueType, push_message, read_push
from nualley.pv.push import MOST_SAMPLES

NOW_NS = 1_800_000_000_000_000_000


def pushed(**fields):
    return {"samples": [{"pv": "LAB:T1", "value": 1.5, **fields}]}


def only(**fields):
    (sample,) = read_push(pushed(**fields), NOW_NS).samples
    return sample


@pytest.mark.parametrize(
    ("value", "value_type", "kept"),
    [
        (1.5, ValueType.FLOAT64, 1.5),
        (2**53, ValueType.FLOAT64, float(2**53)),
        ("open", ValueType.STRING, "open"),
        (["a", "b"], ValueType.STRING_ARRAY, ["a", "b"]),
    ],
)
def test_values(value, value_type, kept):
    sample = only(value=value)
    assert (sample.value_type, sample.value) == (value_type, kept)
    assert (sample.protocol, sample.received_ns, sample.time_ns) == ("http", NOW_NS, NOW_NS)


def test_null_is_not_a_number_and_lists_are_arrays():
    assert math.isnan(only(value=None).value)
    sample = only(value=[1, None, 2.5])
    assert sample.value_type == ValueType.FLOAT64_ARRAY
    np.testing.assert_array_equal(sample.value, [1.0, np.nan, 2.5])
    assert only(value=[]).value.size == 0


def test_times_and_alarms():
    assert only(time="2026-11-01T00:00:00.000000001Z").time_ns % 10**9 == 1
    assert only(time_ns=7).time_ns == 7
    sample = only(severity=2, status=-3)
    assert (sample.severity, sample.status) == (2, -3)


def test_samples_are_sorted_by_time_and_units_belong_to_their_pv():
    rows = [{"pv": "B", "value": 2, "time_ns": 9}, {"pv": "A", "value": 1, "time_ns": 5, "unit": "K"}]
    push = read_push({"samples": rows}, NOW_NS)
    assert [sample.pv for sample in push.samples] == ["A", "B"]
    assert push.unit_by_pv == {"A": "K"}
    assert push.pvs == {"A", "B"}
    assert [sample.pv for sample in push.only({"B"}).samples] == ["B"]


def test_a_message_of_a_push_is_the_same_push():
    rows = [{"pv": "A", "value": [1.0, None], "time_ns": 5, "unit": "K"}, {"pv": "B", "value": "x", "severity": 3}]
    push = read_push({"samples": rows}, NOW_NS)
    again = read_push(json.loads(json.dumps(push_message(push))), NOW_NS)
    assert push_message(again) == push_message(push)
    assert again.unit_by_pv == {"A": "K"}


@pytest.mark.parametrize(
    ("message", "where", "said"),
    [
        ([], "", "list is no push"),
        ({}, "", "is no push"),
        ({"samples": [], "more": 1}, "", "is no push"),
        ({"samples": {}}, "", "is no push"),
        ({"samples": [7]}, "samples[0]", "7 is no sample"),
        ({"samples": [{"pv": "A"}]}, "samples[0]", "needs pv (text) and value"),
        ({"samples": [{"pv": 1, "value": 1}]}, "samples[0]", "needs pv (text) and value"),
        (pushed(valuex=1), "samples[0]", "'valuex' is no key"),
        (pushed(value=True), "samples[0].value", "True is no number"),
        (pushed(value={}), "samples[0].value", "{} is no number"),
        (pushed(value=2**53 + 1), "samples[0].value", "exact up to 2^53"),
        (pushed(value=float("inf")), "samples[0].value", "inf is no number of strict JSON"),
        (pushed(value=["a", 1]), "samples[0].value", "1 in a list of text"),
        (pushed(value=[1, "a"]), "samples[0].value", "'a' is no number"),
        (pushed(time="2026-01-01T00:00:00Z", time_ns=1), "samples[0]", "time and time_ns"),
        (pushed(time="soon"), "samples[0].time", "soon"),
        (pushed(time_ns=1.5), "samples[0].time_ns", "expected a whole number"),
        (pushed(time_ns=2**63), "samples[0].time_ns", "expected a whole number"),
        (pushed(severity=4), "samples[0].severity", "from 0 to 3"),
        (pushed(severity=True), "samples[0].severity", "True"),
        (pushed(status=2**15), "samples[0].status", "from -32768 to 32767"),
        (pushed(unit=7), "samples[0].unit", "expected text"),
        (pushed(unit="x" * 65), "samples[0].unit", "at most 64"),
    ],
)
def test_what_is_no_push_is_refused_by_its_place(message, where, said):
    with pytest.raises(PushFormError) as refused:
        read_push(message, NOW_NS)
    assert refused.value.where == where
    assert said in refused.value.what
    assert refused.value.do


def test_too_many_samples_at_once():
    with pytest.raises(PushFormError, match=f"at most {MOST_SAMPLES}"):
        read_push({"samples": [{}] * (MOST_SAMPLES + 1)}, NOW_NS)
