"""A test server of PV Access (p4p), with structures that no record has, told what to do in JSON lines on stdin."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from p4p import Type, Value
from p4p.nt import NTEnum, NTNDArray, NTScalar, NTTable
from p4p.server import Server
from p4p.server.raw import SharedPV

from nualley.core import SECOND_NS, end_with_parent
from nualley.testing.processes import say

_NUMBERS = {"float": "d", "int": "i", "bool": "?", "uint64": "L", "string": "s"}
_ARRAYS = {
    "float64-array": "ad", "float32-array": "af", "int32-array": "ai", "int64-array": "al", "string-array": "as",
}  # fmt: skip
_FIELDS = {
    "EGU": "display.units", "PREC": "display.precision", "HIHI": "valueAlarm.highAlarmLimit",
}  # fmt: skip
# a value must be of the very type that was opened
_ENUM, _TABLE, _IMAGE = NTEnum.buildType(), NTTable([("name", "s"), ("value", "d")]), NTNDArray()
_STRUCTURE = Type([("x", "d"), ("names", "as"), ("any", "v"), ("inner", ("S", None, [("on", "?"), ("n", "al")]))])


def _scalar(code: str) -> Callable[[Any, Mapping[str, Any]], Value]:
    has_numbers = code[-1] not in "s?"
    made = NTScalar.buildType(code, display=has_numbers, control=has_numbers, valueAlarm=has_numbers, form=has_numbers)

    def make(value: Any, _spec: Mapping[str, Any]) -> Value:
        if code.startswith("a") and code != "as":
            value = np.array(value or [], dtype={"d": "f8", "f": "f4", "i": "i4", "l": "i8"}[code[1]])
        return Value(made, {"value": value if value is not None else 0 if code != "s" else ""})

    return make


def _enum(value: Any, spec: Mapping[str, Any]) -> Value:
    return Value(_ENUM, {"value": {"index": value or 0, "choices": spec["labels"]}})


def _table(value: Any, _spec: Mapping[str, Any]) -> Value:
    return _TABLE.wrap(value or [])


def _image(value: Any, _spec: Mapping[str, Any]) -> Value:
    return _IMAGE.wrap(np.array(value or [[0]], dtype="u2"))


def _structure(value: Any, _spec: Mapping[str, Any]) -> Value:
    return Value(_STRUCTURE, value or {})


_MAKERS: dict[str, Callable[[Any, Mapping[str, Any]], Value]] = {
    **{kind: _scalar(code) for kind, code in (_NUMBERS | _ARRAYS).items()},
    "enum": _enum,
    "table": _table,
    "image": _image,
    "structure": _structure,
}


def _stamp(value: Value, time_ns: int | None) -> None:
    if value.type().has("timeStamp"):
        value["timeStamp.secondsPastEpoch"], value["timeStamp.nanoseconds"] = divmod(
            time_ns or time.time_ns(), SECOND_NS
        )


class _Served:
    """One PV."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.spec = spec
        self.pv = SharedPV()
        self.open(spec)

    def open(self, spec: Mapping[str, Any]) -> None:
        """Serve it from now on, as another type where it was served before."""
        if self.pv.isOpen():
            self.pv.close()
        self.spec = spec
        first = self._made(spec["value"])
        _stamp(first, None)
        for name, value in spec["fields"].items():
            first[_FIELDS[name]] = value
        self.pv.open(first)

    def set(self, command: Mapping[str, Any]) -> None:
        """Post a value."""
        update = self._made(command["value"])
        _stamp(update, command["time_ns"])
        self.pv.post(update)

    def alarm(self, command: Mapping[str, Any]) -> None:
        """Post an alarm, while the value rests."""
        update = Value(self._made(None).type())
        update["alarm"] = {"severity": command["severity"], "status": command["status"]}
        _stamp(update, None)
        self.pv.post(update)

    def field(self, command: Mapping[str, Any]) -> None:
        """Post metadata alone."""
        update = Value(self._made(None).type())
        if command["field"] == "labels":
            update["value.choices"] = command["value"]
        else:
            update[_FIELDS[command["field"]]] = command["value"]
        self.pv.post(update)

    def _made(self, value: Any) -> Value:
        return _MAKERS[self.spec["kind"]](value, self.spec)


def _obey(served: Mapping[str, _Served], command: Mapping[str, Any]) -> None:
    pv = served[command["pv"]]
    if command["do"] == "open":
        pv.open(command["record"])
    else:
        {"set": pv.set, "alarm": pv.alarm, "field": pv.field}[command["do"]](command)


def main() -> None:
    """Serve the PVs of the first line, then obey every further line until stdin ends."""
    end_with_parent(signal.SIGKILL, os.environ)
    served = {spec["name"]: _Served(spec) for spec in json.loads(sys.stdin.readline())["records"]}
    with Server(providers=[{name: each.pv for name, each in served.items()}]):
        say({"ok": True})
        for line in sys.stdin:
            try:
                _obey(served, json.loads(line))
            except Exception as error:  # noqa: BLE001  # whatever went wrong belongs to the test that asked
                say({"error": repr(error)})
            else:
                say({"ok": True})


if __name__ == "__main__":
    main()
