"""Events on the live bus."""

import math

import numpy as np
import pytest

from nualley.pv import (
    BusMessageError,
    Connection,
    Life,
    Limits,
    Metadata,
    Sample,
    ValueType,
    event_from_message,
    event_message,
)

NS = 1_700_000_000_123_456_789


def sample(value, kind):
    return Sample("A", NS, value, kind, 1, 3, "ca", NS + 1)


@pytest.mark.parametrize(
    "event",
    [
        sample(1.25, ValueType.FLOAT64),
        sample(-7, ValueType.INT64),
        sample("é", ValueType.STRING),
        sample(2, ValueType.ENUM),
        sample(["a", "b"], ValueType.STRING_ARRAY),
        Connection("A", False, "127.0.0.1:5064", NS, NS - 5, "ca"),
        Life("127.0.0.1:5064", NS),
        Metadata("A", NS, ValueType.ENUM, labels=("Stopped", "Running")),
        Metadata("A", NS, ValueType.FLOAT64, unit="MW", precision=3, limits=Limits(display_low=0.0, alarm_high=1.5)),
    ],
)
def test_events_survive_the_journey(event):
    assert event_from_message(event_message(event)) == event


@pytest.mark.parametrize(
    ("values", "kind", "dtype"),
    [
        ([1.5, 2.5], ValueType.FLOAT64_ARRAY, "float64"),
        ([1.5], ValueType.FLOAT32_ARRAY, "float32"),
        ([3, -3], ValueType.INT32_ARRAY, "int32"),
        ([], ValueType.FLOAT32_ARRAY, "float32"),
    ],
)
def test_arrays_keep_their_type_also_when_empty(values, kind, dtype):
    there = event_from_message(event_message(sample(np.array(values, dtype=dtype), kind)))
    assert there.value.dtype == dtype
    assert there.value.tolist() == values


def test_nan_travels_as_null():
    message = event_message(sample(math.nan, ValueType.FLOAT64))
    assert message["value"] is None
    assert math.isnan(event_from_message(message).value)
    message = event_message(sample(np.array([1.0, np.nan]), ValueType.FLOAT64_ARRAY))
    assert message["value"] == [1.0, None]
    assert np.isnan(event_from_message(message).value[1])


@pytest.mark.parametrize("message", [{}, {"kind": "sample"}, {"kind": "life", "ioc": "a"}, {"kind": "no"}])
def test_a_mapping_that_is_no_event_is_refused(message):
    with pytest.raises(BusMessageError, match="is no event of a live value"):
        event_from_message(message)
