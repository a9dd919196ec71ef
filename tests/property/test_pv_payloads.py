"""MQTT payloads: whatever comes is read, or refused with a reason; what was written as JSON is read as it was."""

import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nualley.pv import MqttPlace, PayloadError, ValueType
from nualley.pv.payloads import read_availability, read_payload, shown_payload

PLACES = (
    MqttPlace("t"),
    MqttPlace("t", "a"),
    MqttPlace("t", "a.b[1]", "at"),
    MqttPlace("t", "a", "at", "s"),
    MqttPlace("t", "", "at", "ms"),
)
numbers = st.one_of(st.floats(), st.integers(), st.integers(min_value=-(10**400), max_value=10**400))
documents = st.recursive(
    st.one_of(numbers, st.none(), st.booleans(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(["a", "b", "at", "x"]), inner, max_size=4)
    ),
    max_leaves=10,
)
payloads = st.one_of(
    st.binary(max_size=100),
    st.text(alphabet='{}[]",:.-+eE0123456789 truefalsn\x00', max_size=40).map(str.encode),
    documents.map(lambda document: json.dumps(document).encode()),
    documents.map(lambda document: json.dumps({"a": document, "at": "2026-01-01T00:00:00Z"}).encode()),
)


@given(payloads, st.sampled_from(PLACES))
def test_any_payload_is_read_or_refused_with_a_reason(payload, place):
    shown_payload(payload).encode()
    assert read_availability(payload, place) in {True, False, None}
    try:
        reading = read_payload(payload, place)
    except PayloadError:
        return
    assert isinstance(reading.value_type, ValueType)
    assert reading.time_ns is None or -(2**63) <= reading.time_ns < 2**63


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_numbers_and_stamps_come_back_exactly(value, time_ns):
    payload = json.dumps({"a": {"b": [0, value]}, "at": time_ns}).encode()
    reading = read_payload(payload, MqttPlace("t", "a.b[1]", "at"))
    assert reading.value == value
    assert reading.time_ns == time_ns
    assert read_payload(repr(value).encode(), MqttPlace("t")).value == value


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))))
def test_arrays_come_back(values):
    reading = read_payload(json.dumps(values).encode(), MqttPlace("t"))
    expected = [math.nan if value is None else value for value in values]
    assert np.array_equal(reading.value, expected, equal_nan=True)
