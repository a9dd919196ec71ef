"""A test IOC on caproto (Channel Access in Python), told what to do in JSON lines on stdin."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import caproto
from caproto.asyncio.server import Context

from nualley.core import SECOND_NS, end_with_parent
from nualley.testing.processes import say

_EPICS_EPOCH_S = 631_152_000  # 1990-01-01, where EPICS begins to count


def _array(spec: Mapping[str, Any], make: Callable[..., Any]) -> Any:
    return make(value=spec["value"] or [], max_length=spec["length"])


def _enum(spec: Mapping[str, Any]) -> Any:
    return caproto.ChannelEnum(value=spec["value"] or 0, enum_strings=spec["labels"])


def _number(spec: Mapping[str, Any], make: Callable[..., Any]) -> Any:
    fields = spec["fields"]
    extras = {name: fields[key] for key, name in _FIELDS.items() if key in fields}
    return make(value=spec["value"] or 0, **extras)


_FIELDS = {"EGU": "units", "PREC": "precision"}
_MAKERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "float": lambda spec: _number(spec, caproto.ChannelDouble),
    "int": lambda spec: _number(spec, caproto.ChannelInteger),
    "string": lambda spec: caproto.ChannelString(value=spec["value"] or "", string_encoding="utf-8"),
    "enum": _enum,
    "float64-array": lambda spec: _array(spec, caproto.ChannelDouble),
    "float32-array": lambda spec: _array(spec, caproto.ChannelFloat),
    "int32-array": lambda spec: _array(spec, caproto.ChannelInteger),
}


async def _obey(channel: Any, command: Mapping[str, Any]) -> None:
    if command["do"] == "set":
        seconds, nanoseconds = divmod(command["time_ns"] or time.time_ns(), SECOND_NS)
        await channel.write(command["value"], timestamp=(seconds - _EPICS_EPOCH_S, nanoseconds))
    elif command["do"] == "field":
        await channel.write_metadata(**{_FIELDS[command["field"]]: command["value"]})
    else:
        raise ValueError(f"caproto's IOC does not know {command['do']!r}")


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    specs = json.loads(await loop.run_in_executor(None, sys.stdin.readline))["records"]
    channels = {spec["name"]: _MAKERS[spec["kind"]](spec) for spec in specs}
    server = loop.create_task(Context(channels, ["127.0.0.1"]).run())
    await asyncio.sleep(0.2)  # it does not tell when it is ready; a client searches again anyway
    say({"ok": True})
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        try:
            await _obey(channels[command["pv"]], command)
        except Exception as error:  # noqa: BLE001  # whatever went wrong belongs to the test that asked
            say({"error": repr(error)})
        else:
            say({"ok": True})
    server.cancel()


def main() -> None:
    """Serve the records of the first line, then obey every further line until stdin ends."""
    end_with_parent(signal.SIGKILL, os.environ)
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
