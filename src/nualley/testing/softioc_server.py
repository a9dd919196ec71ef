"""A test IOC on EPICS base (softioc), told what to do in JSON lines on stdin."""

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from softioc import asyncio_dispatcher, builder, fields, imports, softioc

from nualley.core import SECOND_NS, end_with_parent
from nualley.testing.processes import say

_DTYPES = {
    "float64-array": "float64",
    "float32-array": "float32",
    "int32-array": "int32",
    "string-array": "S40",
}
# TSE -2: the stamp is what we write to TIME before the record is processed.
# DISP 1: no client may put; only this process sets values.
_OURS = {"TSE": -2, "DISP": 1}


def _array(spec: Mapping[str, Any]) -> Any:
    value = spec["value"] or []
    dtype = np.dtype(_DTYPES[spec["kind"]])
    array = np.array(value, dtype=dtype)
    return builder.WaveformOut(
        spec["name"], initial_value=array, length=spec["length"], datatype=dtype, **_OURS, **spec["fields"]
    )


def _scalar(make: Callable[..., Any], default: object) -> Callable[[Mapping[str, Any]], Any]:
    def create(spec: Mapping[str, Any]) -> Any:
        value = default if spec["value"] is None else spec["value"]
        return make(spec["name"], *spec["labels"], initial_value=value, **_OURS, **spec["fields"])

    return create


def _never(spec: Mapping[str, Any]) -> Any:
    return builder.records.ai(spec["name"], **spec["fields"])


class _LongString:
    """An lso record, whose text no database file can hold: it is written as characters."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.name: str = spec["name"]
        builder.records.lso(self.name, SIZV=1024, DISP=1, **spec["fields"])

    def set(self, value: str) -> None:
        text = ctypes.create_string_buffer(value.encode())
        imports.db_put_field_process(f"{self.name}.VAL$", fields.DBF_CHAR, ctypes.addressof(text), len(text), True)


_MAKERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "float": _scalar(builder.aOut, 0.0),
    "int": _scalar(builder.longOut, 0),
    "string": _scalar(builder.stringOut, ""),
    "enum": _scalar(builder.mbbOut, 0),
    "never": _never,
    "long-string": _LongString,
    **dict.fromkeys(_DTYPES, _array),
}


def _stamp(record: Any, time_ns: int | None) -> None:
    seconds, nanoseconds = divmod(time_ns or time.time_ns(), SECOND_NS)
    record._record.TIME = fields.ca_timestamp(seconds, nanoseconds)  # noqa: SLF001  # softioc stamps only In records


def _set(record: Any, command: Mapping[str, Any]) -> None:
    value = command["value"]
    if isinstance(record, _LongString):
        record.set(value)
        return
    _stamp(record, command["time_ns"])
    if isinstance(value, list):
        value = np.array(value, dtype=record._dtype)  # noqa: SLF001  # an empty list has no type of its own
    record.set(value)


def _alarm(record: Any, command: Mapping[str, Any]) -> None:
    _stamp(record, None)
    record.set_alarm(command["severity"], command["status"])


def _field(record: Any, command: Mapping[str, Any]) -> None:
    record.set_field(command["field"], command["value"])


_COMMANDS = {"set": _set, "alarm": _alarm, "field": _field}


def main() -> None:
    """Serve the records of the first line, then obey every further line until stdin ends."""
    end_with_parent(signal.SIGKILL, os.environ)
    specs = json.loads(sys.stdin.readline())["records"]
    records = {spec["name"]: _MAKERS[spec["kind"]](spec) for spec in specs}
    builder.LoadDatabase()
    softioc.iocInit(asyncio_dispatcher.AsyncioDispatcher())
    for spec in specs:
        if isinstance(records[spec["name"]], _LongString):
            records[spec["name"]].set(spec["value"])
    say({"ok": True})
    for line in sys.stdin:
        command = json.loads(line)
        try:
            _COMMANDS[command["do"]](records[command["pv"]], command)
        except Exception as error:  # noqa: BLE001  # whatever went wrong belongs to the test that asked
            say({"error": repr(error)})
        else:
            say({"ok": True})


if __name__ == "__main__":
    main()
