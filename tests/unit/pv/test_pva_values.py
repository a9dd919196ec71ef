"""What PV Access sends, decoded: every normative type, and structures that are none."""

import json
import math

import numpy as np
import pytest
from p4p import Type, Value
from p4p.nt import NTEnum, NTNDArray, NTScalar, NTTable

from nualley.pv import Limits, PvProtocol
from nualley.pv.adapters.pva_values import form_of, is_column, metadata_of, sample_of, stamp_ns

NS = 1_700_000_000_123_456_789


def scalar(code, value, **has):
    made = Value(NTScalar.buildType(code, **has), {"value": value})
    made["timeStamp"] = {"secondsPastEpoch": NS // 10**9, "nanoseconds": NS % 10**9, "userTag": 7}
    made["alarm"] = {"severity": 2, "status": 3, "message": "HIHI"}
    return made


def decoded(update, pv="A"):
    return sample_of(update, pv, form_of(update, pv), NS + 5)


@pytest.mark.parametrize(
    ("code", "value", "kind"),
    [
        ("?", 1, "int64"), ("b", -128, "int64"), ("B", 255, "int64"), ("h", -(2**15), "int64"),
        ("H", 2**16 - 1, "int64"), ("i", -(2**31), "int64"), ("I", 2**32 - 1, "int64"), ("l", -(2**63), "int64"),
        ("L", 2**63 - 1, "int64"), ("f", 0.5, "float64"), ("d", 0.1, "float64"), ("s", "beam on, é", "string"),
    ],
)  # fmt: skip
def test_scalars(code, value, kind):
    sample = decoded(scalar(code, value))
    assert (sample.value, sample.value_type) == (value, kind)
    assert not isinstance(sample.value, bool)
    assert (sample.time_ns, sample.received_ns, sample.pv) == (NS, NS + 5, "A")
    assert (sample.severity, sample.status, sample.protocol) == (2, 3, PvProtocol.PVA)


@pytest.mark.parametrize(
    ("code", "value", "kind", "dtype"),
    [
        ("a?", [True, False], "int32-array", np.int32), ("ab", [-1, 2], "int32-array", np.int32),
        ("aB", [255], "int32-array", np.int32), ("ah", [-5], "int32-array", np.int32),
        ("aH", [65535], "int32-array", np.int32), ("ai", [-(2**31)], "int32-array", np.int32),
        ("aI", [2**32 - 1], "float64-array", np.float64), ("al", [-(2**53)], "float64-array", np.float64),
        ("aL", [2**53], "float64-array", np.float64), ("af", [0.5], "float32-array", np.float32),
        ("ad", [0.1, math.nan], "float64-array", np.float64), ("ad", [], "float64-array", np.float64),
    ],
)  # fmt: skip
def test_arrays(code, value, kind, dtype):
    sample = decoded(scalar(code, value))
    assert sample.value_type == kind
    assert sample.value.dtype == dtype
    assert np.array_equal(sample.value, np.array(value, dtype), equal_nan=True)


def test_an_array_that_was_never_filled_is_empty():
    made = Value(NTScalar.buildType("ai"), {})
    assert made["value"] is None
    assert decoded(made).value.tolist() == []
    assert decoded(Value(NTScalar.buildType("as"), {})).value == []


def test_texts():
    assert decoded(scalar("as", ["a", "", "µ"])).value == ["a", "", "µ"]
    raw = np.array([*"beam é".encode(), 0, 65], "u1")
    assert decoded(scalar("aB", raw), "X.DESC$").value == "beam é"
    assert decoded(scalar("ab", np.array([-75, 65], "i1")), "X.VAL$").value == "µA"
    assert decoded(scalar("aB", raw), "X").value_type == "int32-array"


def test_a_number_beyond_what_a_column_holds_is_seen():
    sample = decoded(scalar("L", 2**63))
    assert sample.value == 2**63
    assert not is_column(sample.value)
    assert is_column(2**63 - 1)
    assert is_column(1e300)


def test_enums():
    made = Value(NTEnum.buildType(), {"value": {"index": 1, "choices": ["Off", "On"]}})
    assert (decoded(made).value, decoded(made).value_type) == (1, "enum")
    assert metadata_of(made, "A", form_of(made, "A"), NS).labels == ("Off", "On")


def test_every_other_structure_is_strict_json():
    table = NTTable([("name", "s"), ("value", "d")]).wrap([{"name": "a", "value": math.nan}])
    form = form_of(table, "A")
    assert form.loses == "epics:nt/NTTable:1.0 is archived as JSON text"
    assert json.loads(decoded(table).value)["value"] == {"name": ["a"], "value": [None]}
    assert "alarm" not in json.loads(decoded(table).value), "it has columns of its own"
    image = json.loads(decoded(NTNDArray().wrap(np.zeros((2, 3)))).value)
    assert (image["value"], [side["size"] for side in image["dimension"]]) == ([0.0] * 6, [3, 2])


def test_a_structure_in_a_variant_is_json_too():
    inner = Value(Type([("n", "l")]), {"n": 2**60})
    plain = Value(Type([("any", "v"), ("value", "d"), ("more", "av")]), {"any": inner, "value": math.inf, "more": [1]})
    assert json.loads(decoded(plain).value) == {"any": {"n": 2**60}, "value": None, "more": [1]}


def test_a_structure_that_only_calls_itself_normative_is_json():
    odd = Value(Type([("value", ("S", None, [("x", "d")]))], id="epics:nt/NTScalar:1.0"), {"value": {"x": 1.5}})
    assert decoded(odd).value == '{"value": {"x": 1.5}}'
    empty = Value(Type([("x", "d")], id="epics:nt/NTEnum:1.0"), {"x": 1.5})
    assert decoded(empty).value == '{"x": 1.5}'


def test_what_has_neither_stamp_nor_alarm():
    plain = Value(Type([("x", "d")]), {"x": 1.5})
    sample = decoded(plain)
    assert (sample.time_ns, sample.severity, sample.status) == (NS + 5, 0, 0), "the time of receipt"


@pytest.mark.parametrize(("severity", "status", "told"), [(4, 1, (3, 1)), (-1, 0, (3, 0)), (1, 2**20, (1, 2**15 - 1))])
def test_alarms_that_no_record_has(severity, status, told):
    made = scalar("d", 1.0)
    made["alarm"] = {"severity": severity, "status": status}
    sample = decoded(made)
    assert (sample.severity, sample.status) == told


@pytest.mark.parametrize(
    ("seconds", "nanoseconds", "told"), [(2**40, 0, 0), (-(2**62), 0, 0), (0, 0, 0), (-1, 5, 5 - 10**9)]
)
def test_stamps_that_are_none(seconds, nanoseconds, told):
    made = scalar("d", 1.0)
    made["timeStamp"] = {"secondsPastEpoch": seconds, "nanoseconds": nanoseconds}
    assert stamp_ns(made, form_of(made, "A"), NS) == told


def test_metadata_are_those_of_display_control_and_alarm_limits():
    made = scalar("d", 1.0, display=True, control=True, valueAlarm=True, form=True)
    made["display"] = {"limitLow": 0, "limitHigh": 2, "units": "MW", "precision": 3}
    made["control"] = {"limitLow": -1, "limitHigh": 3}
    made["valueAlarm"] = {
        "lowAlarmLimit": -9, "lowWarningLimit": -8, "highWarningLimit": 8, "highAlarmLimit": math.nan,
    }  # fmt: skip
    found = metadata_of(made, "A", form_of(made, "A"), NS)
    assert (found.unit, found.precision, found.time_ns, found.protocol) == ("MW", 3, NS, PvProtocol.PVA)
    assert repr(found.limits) == repr(Limits(0.0, 2.0, -8.0, 8.0, -9.0, math.nan, -1.0, 3.0))


def test_a_number_shown_in_hexadecimal_and_a_whole_one_have_no_precision():
    made = scalar("d", 1.0, display=True, form=True)
    made["display"] = {
        "precision": 3,
        "form": {"index": 4, "choices": ["Default", "String", "Binary", "Decimal", "Hex"]},
    }
    assert metadata_of(made, "A", form_of(made, "A"), NS).precision is None
    whole = scalar("i", 1, display=True, form=True)
    whole["display.precision"] = 3
    assert metadata_of(whole, "A", form_of(whole, "A"), NS).precision is None


@pytest.mark.parametrize(("text", "precision"), [("%.3f", 3), ("F8.x", None), ("%8.1e", 1), ("", None)])
def test_older_servers_write_a_format(text, precision):
    old = Type(
        [("value", "d"), ("display", ("S", None, [("format", "s"), ("units", "s")]))], id="epics:nt/NTScalar:1.0"
    )
    update = Value(old, {"value": 1.0, "display": {"format": text, "units": "K"}})
    found = metadata_of(update, "A", form_of(update, "A"), NS)
    assert (found.unit, found.precision) == ("K", precision)


def test_what_came_anew_decides_whether_it_is_a_sample():
    number, enum = form_of(scalar("d", 1.0), "A"), form_of(Value(NTEnum.buildType(), {}), "A")
    table = form_of(NTTable([("a", "d")]).wrap([]), "A")
    assert number.is_plain({"value", "timeStamp.secondsPastEpoch", "timeStamp.nanoseconds", "alarm.severity"})
    assert not number.is_plain({"value", "display.units"})
    assert enum.is_plain({"value.index"})
    assert not enum.is_plain({"value"}), "a whole value of an enum has labels in it"
    assert not number.has_value({"display.units", "control.limitLow", "valueAlarm.highAlarmLimit"})
    assert not enum.has_value({"value.choices"})
    assert enum.has_value({"value.choices", "value.index"})
    assert number.has_value({"alarm.severity"})
    assert table.has_value({"display.units"}), "it is read as a whole"
