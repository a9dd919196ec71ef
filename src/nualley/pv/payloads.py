"""Payloads of MQTT messages: what a value is, and when it was taken."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from nualley.core import NualleyError, UsageError, parse_time_ns
from nualley.pv.errors import PayloadError, PushFormError
from nualley.pv.models import MqttPlace, PvValue, ValueType
from nualley.pv.push import read_value

LABELS = ("false", "true")
"""Words of a value that is true or false: such a PV is an enum."""

LONGEST_B = 2**20
"""Payloads that are longer are not read [B]."""

Path: TypeAlias = tuple[str | int, ...]

_PART = re.compile(r'(?P<dot>^|\.)(?:"(?P<quoted>[^"]+)"|(?P<bare>[^.\[\]"\s]+))|\[(?P<index>\d{1,6})\]')
_UNITS_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,4})?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE | re.ASCII)
_LONGEST_SHOWN = 200
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Reading:
    """What a payload says of a PV.

    Parameters
    ----------
    value : float, int, str, ndarray or list of str
        The value.
    value_type : ValueType
        What it is.
    time_ns : int or None
        When it was taken [ns since 1970 UTC]; None where the payload does not say.
    """

    value: PvValue
    value_type: ValueType
    time_ns: int | None


def member_path(text: str) -> Path:
    """Return the steps of a path into JSON.

    Parameters
    ----------
    text : str
        Names with dots between them, indices of arrays in brackets; a name with other marks in quotes.

    Raises
    ------
    UsageError
        Where it is no path.

    Examples
    --------
    >>> member_path('sensors[1]."T.top".value')
    ('sensors', 1, 'T.top', 'value')
    """
    steps: list[str | int] = []
    end = 0
    while text and end < len(text):
        found = _PART.match(text, end)
        if found is None or (found["dot"] and not steps):  # a dot stands between two names
            break
        index = found["index"]
        steps.append(found["quoted"] or found["bare"] if index is None else int(index))
        end = found.end()
    if not steps or end < len(text):
        raise UsageError(f"{text!r:.80} is no path into JSON", do='write such as temperature, a.b[0] or "odd name".x')
    return tuple(steps)


def read_payload(payload: bytes, place: MqttPlace) -> Reading:
    """Return what a payload says of a PV.

    Parameters
    ----------
    payload : bytes
        As the broker sent it.
    place : MqttPlace
        Where in it the PV is.

    Returns
    -------
    Reading
        A number is a float64, exact up to 2^53; true and false are an enum; null is NaN; a list is an array; a payload
        that is neither JSON nor a number is a text.

    Raises
    ------
    PayloadError
        Where it says nothing that can be read.

    Examples
    --------
    >>> read_payload(b'{"T": 4.25, "at": 1700000000.5}', MqttPlace("t", "T", "at", "s"))
    Reading(value=4.25, value_type=<ValueType.FLOAT64: 'float64'>, time_ns=1700000000500000000)
    """
    if len(payload) > LONGEST_B:
        raise PayloadError(f"{len(payload)} B, at most {LONGEST_B} are read")
    try:
        text = payload.decode("utf-8").strip(" \t\r\n")
    except UnicodeDecodeError as error:
        raise PayloadError(f"byte {error.start} is not UTF-8") from None
    if not text:
        raise PayloadError("it is empty")
    is_json = bool(place.member or place.time_member)
    document = _json(text) if is_json else _bare(text)
    found = _step_into(document, place.member)
    time_ns = _time_ns(_step_into(document, place.time_member), place) if place.time_member else None
    value, value_type = _value(found, place.member)
    return Reading(value, value_type, time_ns)


def shown_payload(payload: bytes) -> str:
    """Return a payload that could not be read as text, shortened, for the quarantine."""
    text = payload[: _LONGEST_SHOWN + 1].decode("utf-8", errors="backslashreplace").replace("\0", "\\x00")
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def read_availability(payload: bytes, place: MqttPlace) -> bool | None:
    """Return whether a device says that it is there; None where it says neither.

    Examples
    --------
    >>> read_availability(b'{"state": "Offline"}', MqttPlace("t"))
    False
    """
    text = payload[:LONGEST_B].decode("utf-8", errors="replace").strip()
    if text.startswith("{"):  # as Zigbee2MQTT says it
        try:
            document = _json(text)
        except PayloadError:
            return None
        text = str(document.get("state", "")) if isinstance(document, dict) else ""
    words = {place.payload_available.casefold(): True, place.payload_not_available.casefold(): False}
    return words.get(text.casefold())


def _json(text: str) -> Any:
    try:
        # decimals: a stamp in seconds has more digits than a float
        return json.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise PayloadError(f"no JSON: {error}"[:_LONGEST_SHOWN]) from None
    except RecursionError:
        raise PayloadError("JSON that is nested too deep") from None


def _bare(text: str) -> Any:
    if text[0] in "[{":
        return _json(text)
    if text in LABELS:
        return text == LABELS[1]
    if text == "null":
        return None
    if text[0] == '"' and text[-1] == '"' and len(text) > 1:
        return _json(text)
    if _NUMBER.fullmatch(text):
        return int(text) if re.fullmatch(r"[+-]?\d{1,400}", text, re.ASCII) else float(text)
    return text


def _step_into(document: Any, path: str) -> Any:
    found = document
    for step in member_path(path) if path else ():
        is_key = isinstance(step, str) and isinstance(found, dict) and step in found
        is_index = isinstance(step, int) and isinstance(found, list) and step < len(found)
        if is_key or is_index:
            found = found[step]
        else:
            raise PayloadError(f"it has no {path}{_there(found, step)}")
    return found


def _there(found: Any, step: str | int) -> str:
    if isinstance(found, dict):
        return f": {step!r} is not among {sorted(found)!r:.80}"
    return f": {len(found)} elements" if isinstance(found, list) else ""


def _value(found: Any, member: str) -> tuple[PvValue, ValueType]:
    if isinstance(found, bool):
        return int(found), ValueType.ENUM
    if isinstance(found, float):  # nan and inf are words that devices send
        return found, ValueType.FLOAT64
    if isinstance(found, dict):
        raise PayloadError(f"an object with {sorted(found)!r:.80}: name one of them as member")
    try:
        return read_value(_plain(found), member or "payload")
    except PushFormError as error:
        raise PayloadError(f"{error.where}: {error.what}") from None


def _plain(found: Any) -> Any:
    if isinstance(found, Decimal):
        return float(found)
    return [_plain(item) for item in found] if isinstance(found, list) else found


def _time_ns(found: Any, place: MqttPlace) -> int:
    where = place.time_member
    if isinstance(found, str):
        try:
            return _instant_ns(found)
        except NualleyError as error:
            raise PayloadError(f"{where}: {error.what}") from None
    if isinstance(found, bool) or not isinstance(found, int | Decimal):  # NaN of JSON that is not strict is a float
        raise PayloadError(f"{where}: {found!r:.40} is no time")
    try:
        time_ns = Decimal(found) * _UNITS_NS[place.time_unit]
        is_near = bool(-_INT64 <= time_ns < _INT64)
    except ArithmeticError:  # as far as decimals do not reach, or nothing at all
        is_near = False
    if not is_near:
        raise PayloadError(f"{where}: {Decimal(found):.9e} {place.time_unit} is out of range")
    if place.time_unit == "ns" and int(time_ns) != time_ns:
        raise PayloadError(f"{where}: {found!s:.40} ns is no whole number: set time_unit")
    return int(time_ns)


def _instant_ns(text: str) -> int:
    # neither "now" nor "-2h" nor a whole day is a stamp
    if "T" not in text.upper() and " " not in text:
        raise UsageError(f"{text!r:.40} is no time in ISO 8601 with a zone")
    return parse_time_ns(text, 0)


def places_by_topic(places: Sequence[tuple[str, MqttPlace]]) -> dict[str, list[str]]:
    """Return the PVs of each topic that is to be listened to, values and availabilities alike."""
    found: dict[str, list[str]] = {}
    for pv, place in places:
        for topic in filter(None, (place.topic, place.availability_topic)):
            pvs = found.setdefault(topic, [])
            if pv not in pvs:
                pvs.append(pv)
    return found
