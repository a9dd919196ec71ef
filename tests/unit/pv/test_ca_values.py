"""What Channel Access sends becomes samples and metadata: every DBR type."""

import math

import numpy as np
import pytest
from epicscorelibs.ca import dbr

from nualley.pv import Limits, PvProtocol, ValueType
from nualley.pv.adapters.ca_callbacks import compile_callbacks
from nualley.pv.adapters.ca_ring import Ring, SlotKind
from nualley.pv.adapters.ca_values import (
    CTRL_OFFSET,
    TIME_OFFSET,
    long_sample,
    metadata_of,
    proofs_ns,
    scalar_samples,
    value_type,
)
from nualley.pv.decide import proof_ns
from tests.unit.pv.ca_fakes import STAMP_NS, call, control, timed

CALLBACKS = compile_callbacks()  # its code lives as long as it does


def slots_of(*updates, kind=SlotKind.UPDATE):
    ring = Ring(64, 1 << 16)
    user = ring.user(0, kind)
    for dbr_type, count, value in updates:
        call(CALLBACKS.on_event, user.ctypes.data, dbr_type, count, value)
    return ring, ring.waiting()


def update(native, *values, **attributes):
    return native + TIME_OFFSET, len(values), timed(native, *values, **attributes)


@pytest.mark.parametrize(
    ("native", "value", "kind"),
    [
        (dbr.DBR_DOUBLE, 1.25, ValueType.FLOAT64),
        (dbr.DBR_FLOAT, 1.5, ValueType.FLOAT64),
        (dbr.DBR_SHORT, -3, ValueType.INT64),
        (dbr.DBR_LONG, 2**31 - 1, ValueType.INT64),
        (dbr.DBR_LONG, -(2**31), ValueType.INT64),
        (dbr.DBR_CHAR, 200, ValueType.INT64),
        (dbr.DBR_ENUM, 2, ValueType.ENUM),
        (dbr.DBR_ENUM, 65535, ValueType.ENUM),
    ],
)
def test_numbers(native, value, kind):
    _, slots = slots_of(update(native, value, severity=2, status=3))
    (samples,) = scalar_samples(slots, ["A"])
    assert value_type("A", native, 1) is kind is samples.value_type
    (sample,) = samples.each()
    assert (sample.value, sample.value_type, sample.pv, sample.protocol) == (value, kind, "A", PvProtocol.CA)
    assert type(sample.value) in (float, int)
    assert (sample.time_ns, sample.severity, sample.status) == (STAMP_NS, 2, 3)
    assert sample.received_ns == slots["received_ns"][0]


def test_nan_stays_nan_and_a_record_that_was_never_processed_has_the_epoch():
    _, slots = slots_of(update(dbr.DBR_DOUBLE, math.nan, stamp=(0, 0)))
    (samples,) = scalar_samples(slots, ["A"])
    assert math.isnan(samples.value[0])
    assert samples.time_ns.tolist() == [631_152_000_000_000_000]


def test_numbers_of_several_types_are_a_batch_each_in_the_order_of_receipt():
    updates = [update(dbr.DBR_DOUBLE, 1.0), update(dbr.DBR_LONG, 2), update(dbr.DBR_DOUBLE, 3.0)]
    found = {samples.value_type: samples.value.tolist() for samples in scalar_samples(slots_of(*updates)[1], ["A"])}
    assert found == {ValueType.FLOAT64: [1.0, 3.0], ValueType.INT64: [2]}


@pytest.mark.parametrize(
    ("native", "values", "kind", "dtype"),
    [
        (dbr.DBR_DOUBLE, [1.5, math.nan], ValueType.FLOAT64_ARRAY, "float64"),
        (dbr.DBR_FLOAT, [1.5, 2.5], ValueType.FLOAT32_ARRAY, "float32"),
        (dbr.DBR_FLOAT, [], ValueType.FLOAT32_ARRAY, "float32"),
        (dbr.DBR_DOUBLE, [7.5], ValueType.FLOAT64_ARRAY, "float64"),
        (dbr.DBR_LONG, [-1, 2], ValueType.INT32_ARRAY, "int32"),
        (dbr.DBR_SHORT, [-1, 2], ValueType.INT32_ARRAY, "int32"),
        (dbr.DBR_CHAR, [1, 255], ValueType.INT32_ARRAY, "int32"),
        (dbr.DBR_ENUM, [1, 2], ValueType.INT32_ARRAY, "int32"),
    ],
)
def test_arrays(native, values, kind, dtype):
    assert value_type("A", native, 10) is kind
    ring, slots = slots_of(update(native, *values, severity=1))
    sample = long_sample(slots, "A", kind, ring.payload(slots[0]))
    assert (sample.value_type, sample.time_ns, sample.severity) == (kind, STAMP_NS, 1)
    assert sample.value.dtype == dtype
    np.testing.assert_array_equal(sample.value, np.array(values, dtype))
    assert not np.shares_memory(sample.value, ring._arena)


@pytest.mark.parametrize(
    ("raw", "text"), [("é".encode(), "é"), (b"x\0rest", "x"), (b"20 \xb0C", "20 °C"), (b"a" * 40, "a" * 40)]
)
def test_texts(raw, text):
    ring, slots = slots_of(update(dbr.DBR_STRING, raw))
    sample = long_sample(slots, "A", ValueType.STRING, ring.payload(slots[0]))
    assert (sample.value, sample.value_type) == (text, ValueType.STRING)


def test_an_array_of_texts_is_a_list():
    ring, slots = slots_of(update(dbr.DBR_STRING, b"a", b"bc", b""))
    assert value_type("A", dbr.DBR_STRING, 3) is ValueType.STRING_ARRAY
    assert long_sample(slots, "A", ValueType.STRING_ARRAY, ring.payload(slots[0])).value == ["a", "bc", ""]


def test_a_long_text_is_asked_for_by_its_name():
    assert value_type("A.DESC$", dbr.DBR_CHAR, 60) is ValueType.STRING
    assert value_type("A.DESC", dbr.DBR_CHAR, 60) is ValueType.INT32_ARRAY
    ring, slots = slots_of(update(dbr.DBR_CHAR, *(b"long " * 20 + b"\0\0")))
    assert long_sample(slots, "A.DESC$", ValueType.STRING, ring.payload(slots[0])).value == "long " * 20


def described(native, kind, **attributes):
    value = control(native, **attributes)
    ring, slots = slots_of((native + CTRL_OFFSET, 1, value), kind=SlotKind.PROPERTIES)
    return metadata_of(slots, "A", kind, ring.payload(slots[0]))


@pytest.mark.parametrize("native", [dbr.DBR_DOUBLE, dbr.DBR_FLOAT, dbr.DBR_LONG, dbr.DBR_SHORT, dbr.DBR_CHAR])
def test_metadata_of_a_number(native):
    found = described(native, ValueType.FLOAT64, units=b"uSv/h")
    assert (found.unit, found.labels, found.protocol) == ("uSv/h", (), "ca")
    assert found.precision == (2 if native in (dbr.DBR_DOUBLE, dbr.DBR_FLOAT) else None)
    assert found.limits == Limits(*map(float, range(8)))


def test_metadata_of_an_enum_and_of_texts():
    found = described(dbr.DBR_ENUM, ValueType.ENUM, labels=(b"Stopped", b"Running"))
    assert (found.labels, found.unit, found.limits) == (("Stopped", "Running"), "", Limits())
    assert described(dbr.DBR_STRING, ValueType.STRING).limits == Limits()
    assert described(dbr.DBR_CHAR, ValueType.STRING).limits == Limits(), "a long text"


def test_a_unit_in_latin_1_is_read():
    assert described(dbr.DBR_DOUBLE, ValueType.FLOAT64, units=b"\xb5A").unit == "µA"


def test_proofs_of_life_are_those_of_one():
    stamps, received = np.array([5, 95, 120, -(10**12)]) * 10**9, np.full(4, 100) * 10**9
    expected = [proof_ns(stamp, at) for stamp, at in zip(stamps.tolist(), received.tolist(), strict=True)]
    assert proofs_ns(stamps, received).tolist() == expected
