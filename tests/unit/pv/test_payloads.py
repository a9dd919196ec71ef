"""What MQTT payloads say."""

import math

import numpy as np
import pytest

from nualley.core import UsageError
from nualley.pv import MqttPlace, PayloadError, ValueType, member_path
from nualley.pv.payloads import LONGEST_B, places_by_topic, read_availability, read_payload, shown_payload

NS = 1_700_000_000_123_456_789


@pytest.mark.parametrize(
    ("payload", "value", "value_type"),
    [
        (b"21.5", 21.5, "float64"),
        (b" 4\n", 4.0, "float64"),
        (b"-1e3", -1000.0, "float64"),
        (b"true", 1, "enum"),
        (b"false", 0, "enum"),
        (b"ON", "ON", "string"),
        (b"12:30", "12:30", "string"),
        (b'"quoted"', "quoted", "string"),
        ("é".encode(), "é", "string"),
        (b'["a", "b"]', ["a", "b"], "string-array"),
    ],
)
def test_a_whole_payload(payload, value, value_type):
    reading = read_payload(payload, MqttPlace("t"))
    assert (reading.value, reading.value_type, reading.time_ns) == (value, value_type, None)


def test_nan_and_arrays():
    for payload in (b"nan", b"NaN", b"null"):
        assert math.isnan(read_payload(payload, MqttPlace("t")).value)
    assert read_payload(b"[]", MqttPlace("t")).value.size == 0
    assert np.array_equal(read_payload(b"[1, null]", MqttPlace("t")).value, [1, math.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        (b"1700000000.123456789", "s"),
        (b"1700000000123.456789", "ms"),
        (b"1700000000123456.789", "us"),
        (b"1700000000123456789", "ns"),
        (b'"2023-11-14T22:13:20.123456789Z"', "ns"),
        (b'"2023-11-14T23:13:20.123456789+01:00"', "s"),
    ],
)
def test_stamps_are_exact(text, unit):
    reading = read_payload(b'{"v": [{"x": 1.5}], "at": %s}' % text, MqttPlace("t", "v[0].x", "at", unit))
    assert (reading.value, reading.value_type, reading.time_ns) == (1.5, ValueType.FLOAT64, NS)


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (b"", "it is empty"),
        (b"\xff", "byte 0 is not UTF-8"),
        (b"{", "no JSON"),
        (b'{"x": 1}', "it has no v: 'v' is not among ['x']"),
        (b"[1]", "it has no v: 1 elements"),
        (b"7", "it has no v"),
        (b'{"v": {"a": 1}, "at": 1}', "an object with ['a']"),
        (b'{"v": [1, "a"], "at": 1}', "v: 'a' is no number"),
        (b'{"v": [[1]], "at": 1}', "is no number, text or list"),
        (b'{"v": 9007199254740993, "at": 1}', "exact up to 2^53"),
        (b'{"v": 1%s, "at": 1}' % (b"0" * 400), "exact up to 2^53"),
        (b'{"v": 1%s, "at": 1}' % (b"0" * 5000), "no JSON"),
        (b'{"v": 1}', "it has no at"),
        (b'{"v": 1, "at": true}', "at: True is no time"),
        (b'{"v": 1, "at": NaN}', "at: nan is no time"),
        (b'{"v": 1, "at": 1.5}', "set time_unit"),
        (b'{"v": 1, "at": 1e30}', "out of range"),
        (b'{"v": 1, "at": 1e999999999}', "out of range"),
        (b'{"v": 1, "at": "2026-01-01T00:00:00"}', "at: "),
        (b'{"v": 1, "at": "2026-01-01"}', "no time in ISO 8601"),
        (b'{"v": 1, "at": "now"}', "no time in ISO 8601"),
        (b"[" * 100_000, "nested too deep"),
        (b"1" * (LONGEST_B + 1), "at most"),
    ],
)
def test_what_cannot_be_read_says_why(payload, what):
    with pytest.raises(PayloadError) as caught:
        read_payload(payload, MqttPlace("t", "v", "at"))
    assert what in caught.value.what


def test_paths():
    assert member_path('a."odd.name"[2].b') == ("a", "odd.name", 2, "b")
    for text in ("", ".a", "a.", "a..b", "a[x]", "a b", "[1", "a[0]b"):
        with pytest.raises(UsageError, match="no path into JSON"):
            member_path(text)


def test_availability_as_devices_say_it():
    place = MqttPlace("t", payload_available="Online", payload_not_available="Offline")
    payloads = [b"online", b"OFFLINE", b'{"state": "online"}', b"{", b"{}", b"maybe", b"\xff"]
    assert [read_availability(payload, place) for payload in payloads] == [True, False, True, None, None, None, None]


def test_what_is_shown_of_a_payload_can_be_stored():
    assert shown_payload(b"\xff\x00a") == "\\xff\\x00a"
    assert len(shown_payload(b"x" * 1000)) == 200


def test_topics_and_their_pvs():
    places = [("A", MqttPlace("t", availability_topic="s")), ("B", MqttPlace("t")), ("C", MqttPlace("s"))]
    assert places_by_topic(places) == {"t": ["A", "B"], "s": ["A", "C"]}
