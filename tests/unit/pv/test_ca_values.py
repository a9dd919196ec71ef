"""What Channel Access sends becomes samples and metadata: every DBR type."""

import math

import numpy as np
import pytest
from epicscorelibs.ca import dbr

from nualley.pv import Limits, PvProtocol, ValueType
from nualley.pv.adapters.ca_values import to_metadata, to_sample

STAMP = (1_700_000_000, 123_456_789)
NS = 1_700_000_000_123_456_789


def augmented(value, datatype, **attributes):
    """A value as aioca delivers it."""
    if isinstance(value, np.ndarray):
        made = value.view(dbr.ca_array)
    else:
        made = {str: dbr.ca_str, int: dbr.ca_int, float: dbr.ca_float}[type(value)](value)
    made.datatype, made.raw_stamp, made.severity, made.status, made.ok = datatype, STAMP, 2, 3, True
    made.timestamp = 0.0  # the float stamp must not be used
    for name, item in attributes.items():
        setattr(made, name, item)
    return made


@pytest.mark.parametrize(
    ("value", "datatype", "expected", "kind"),
    [
        (1.25, dbr.DBR_DOUBLE, 1.25, ValueType.FLOAT64),
        (1.5, dbr.DBR_FLOAT, 1.5, ValueType.FLOAT64),
        (-3, dbr.DBR_SHORT, -3, ValueType.INT64),
        (2**31 - 1, dbr.DBR_LONG, 2**31 - 1, ValueType.INT64),
        (200, dbr.DBR_CHAR, 200, ValueType.INT64),
        (2, dbr.DBR_ENUM, 2, ValueType.ENUM),
        ("é", dbr.DBR_STRING, "é", ValueType.STRING),
        ("long " * 100, dbr.DBR_CHAR, "long " * 100, ValueType.STRING),
    ],
)
def test_scalars(value, datatype, expected, kind):
    sample = to_sample("A", augmented(value, datatype), 7)
    assert (sample.value, sample.value_type) == (expected, kind)
    assert type(sample.value) in (float, int, str)
    assert (sample.time_ns, sample.severity, sample.status) == (NS, 2, 3)
    assert (sample.pv, sample.protocol, sample.received_ns) == ("A", PvProtocol.CA, 7)


@pytest.mark.parametrize(
    ("array", "datatype", "kind", "dtype"),
    [
        (np.array([1.5, np.nan]), dbr.DBR_DOUBLE, ValueType.FLOAT64_ARRAY, "float64"),
        (np.array([1.5, 2.5], dtype="f4"), dbr.DBR_FLOAT, ValueType.FLOAT32_ARRAY, "float32"),
        (np.array([], dtype="f4"), dbr.DBR_FLOAT, ValueType.FLOAT32_ARRAY, "float32"),
        (np.array([-1, 2], dtype="i4"), dbr.DBR_LONG, ValueType.INT32_ARRAY, "int32"),
        (np.array([-1, 2], dtype="i2"), dbr.DBR_SHORT, ValueType.INT32_ARRAY, "int32"),
        (np.array([1, 255], dtype="u1"), dbr.DBR_CHAR, ValueType.INT32_ARRAY, "int32"),
        (np.array([1, 2], dtype="u2"), dbr.DBR_ENUM, ValueType.INT32_ARRAY, "int32"),
    ],
)
def test_arrays(array, datatype, kind, dtype):
    sample = to_sample("A", augmented(array, datatype), 7)
    assert sample.value_type is kind
    assert type(sample.value) is np.ndarray
    assert sample.value.dtype == dtype
    np.testing.assert_array_equal(sample.value, array)
    assert not np.shares_memory(sample.value, array)


def test_an_array_of_texts_is_a_list():
    sample = to_sample("A", augmented(np.array(["a", "bc"]), dbr.DBR_STRING), 7)
    assert (sample.value, sample.value_type) == (["a", "bc"], ValueType.STRING_ARRAY)


def test_nan_stays_nan():
    assert math.isnan(to_sample("A", augmented(math.nan, dbr.DBR_DOUBLE), 7).value)


LIMITS = {
    "lower_disp_limit": 0.0,
    "upper_disp_limit": 2.0,
    "lower_warning_limit": 0.5,
    "upper_warning_limit": 1.5,
    "lower_alarm_limit": 0.25,
    "upper_alarm_limit": 1.75,
    "lower_ctrl_limit": -1.0,
    "upper_ctrl_limit": 3.0,
}


def test_metadata_of_a_number():
    found = to_metadata("A", augmented(1.0, dbr.DBR_DOUBLE, units="MW", precision=3, **LIMITS), 7)
    assert (found.unit, found.precision, found.labels, found.time_ns) == ("MW", 3, (), 7)
    assert found.limits == Limits(0.0, 2.0, 0.5, 1.5, 0.25, 1.75, -1.0, 3.0)


def test_metadata_of_an_enum_a_text_and_a_long_text():
    found = to_metadata("A", augmented(1, dbr.DBR_ENUM, enums=["Stopped", "Running"]), 7)
    assert (found.labels, found.unit, found.limits) == (("Stopped", "Running"), "", Limits())
    assert to_metadata("A", augmented("x", dbr.DBR_STRING), 7).value_type is ValueType.STRING
    found = to_metadata("A", augmented("x", dbr.DBR_CHAR, units="", **LIMITS), 7)
    assert (found.value_type, found.limits) == (ValueType.STRING, Limits())
