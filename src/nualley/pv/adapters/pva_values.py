"""What PV Access sends, as samples and metadata: normative types by their fields, everything else as JSON text.

An update is a ``p4p.Value`` that nothing was unwrapped of. The client library fills what did not change since the last
update from what it knows, so every update is whole, and tells which fields came anew.
"""

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nualley.core import SECOND_NS, dump_json
from nualley.pv.models import Limits, Metadata, PvProtocol, PvValue, Sample, Severity, ValueType

_PLAIN = frozenset(
    {
        "value", "value.index", "alarm", "alarm.severity", "alarm.status", "alarm.message", "timeStamp",
        "timeStamp.secondsPastEpoch", "timeStamp.nanoseconds", "timeStamp.userTag",
    }
)  # fmt: skip
# any other field that came anew is metadata, or part of a structure
_METADATA = ("display", "control", "valueAlarm")
_CHOICES = "value.choices"
_NORMATIVE = re.compile(r"epics:nt/(NTScalar|NTScalarArray|NTEnum):")
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_EXACT_MAX = 2**53
_FORMAT = re.compile(r"%?\d*\.(\d+)[fFeEgG]?")  # display.format of servers before display.precision: "%.3f"


@dataclass(frozen=True, slots=True)
class Form:
    """How the updates of a PV are read, from their type; a connection brings it anew.

    Parameters
    ----------
    kind : ValueType
        What the values are.
    read : callable
        Takes an update and returns its value.
    has_alarm, has_time : bool
        Whether an update has a severity, and a stamp of its own.
    is_structure : bool
        Whether it is read as a whole, so that every change of it is news.
    loses : str
        What is lost or turned into text, for a warning; empty where all is kept.
    """

    kind: ValueType
    read: Callable[[Any], PvValue]
    has_alarm: bool
    has_time: bool
    is_structure: bool = False
    loses: str = ""

    @property
    def is_number(self) -> bool:
        """Whether an update is one number, or the index of an enum."""
        return self.kind in {ValueType.FLOAT64, ValueType.INT64, ValueType.ENUM}

    def is_plain(self, changed: AbstractSet[str]) -> bool:
        """Say whether an update that brought these fields has nothing but a value, an alarm and a stamp."""
        # an enum's value that came as a whole has labels in it
        return changed <= _PLAIN and not (self.kind is ValueType.ENUM and "value" in changed)

    def has_value(self, changed: AbstractSet[str]) -> bool:
        """Say whether these fields are news of the value.

        An IOC posts a changed unit with the value and the stamp as they were: that is no sample.
        """
        beside = (name for name in changed if name != _CHOICES and name.partition(".")[0] not in _METADATA)
        return self.is_structure or any(beside)


_SCALARS = dict.fromkeys("?bBhHiIlL", ValueType.INT64) | {
    "f": ValueType.FLOAT64, "d": ValueType.FLOAT64, "s": ValueType.STRING,
}  # fmt: skip
_ARRAYS = {f"a{code}": ValueType.INT32_ARRAY for code in "?bBhHi"} | {
    "af": ValueType.FLOAT32_ARRAY,
    "ad": ValueType.FLOAT64_ARRAY,
    # no column holds them as they are; doubles are exact to 2**53
    "aI": ValueType.FLOAT64_ARRAY,
    "al": ValueType.FLOAT64_ARRAY,
    "aL": ValueType.FLOAT64_ARRAY,
    "as": ValueType.STRING_ARRAY,
}
_ITEMS = {
    ValueType.INT32_ARRAY: np.int32,
    ValueType.FLOAT32_ARRAY: np.float32,
    ValueType.FLOAT64_ARRAY: np.float64,
}


def form_of(update: Any, pv: str) -> Form:
    """Return how the updates of a PV are read.

    Parameters
    ----------
    update : p4p.Value
        Its first update after a connection.
    pv : str
        Its name: characters of a field that is asked for with ``$``, as ``X.DESC$``, are one text.

    Returns
    -------
    Form
        Of a number, an enum, a text or an array for the normative types NTScalar, NTEnum and NTScalarArray; of JSON
        text for every other structure.
    """
    found, identifier = update.type(), update.getID()
    facts = {
        "has_alarm": found.has("alarm.severity") and found.has("alarm.status"),
        "has_time": found.has("timeStamp.secondsPastEpoch") and found.has("timeStamp.nanoseconds"),
    }
    normative = _NORMATIVE.match(identifier)
    code = found.aspy("value") if normative and found.has("value") else ""
    code = code if isinstance(code, str) else ""  # a structure in its place
    if normative and normative[1] == "NTEnum" and found.has("value.index") and found.has(_CHOICES):
        return Form(ValueType.ENUM, lambda update: int(update["value.index"]), **facts)
    if code == "s":
        return Form(ValueType.STRING, _text, **facts)
    if code in _SCALARS:
        return Form(_SCALARS[code], lambda update: update["value"] * 1, **facts)
    if code in {"ab", "aB"} and pv.endswith("$"):
        return Form(ValueType.STRING, _long_text, **facts)
    if code in _ARRAYS:
        kind = _ARRAYS[code]
        loses = f"whole numbers beyond 2**53 of {code[1]}64 arrays are rounded" if code in {"al", "aL"} else ""
        return Form(kind, _texts if code == "as" else _array(kind), **facts, loses=loses)
    return Form(ValueType.STRING, _json, **facts, is_structure=True, loses=f"{identifier} is archived as JSON text")


def _text(update: Any) -> str:
    found: str = update["value"]
    return found


def _long_text(update: Any) -> str:
    raw = _items(update).astype(np.uint8).tobytes().partition(b"\0")[0]
    try:
        return raw.decode()
    except UnicodeDecodeError:  # as old IOCs write degree and micro signs; every byte is a letter there
        return raw.decode("latin-1")


def _texts(update: Any) -> list[str]:
    return list(update["value"] or ())  # None: never filled


def _array(kind: ValueType) -> Callable[[Any], PvValue]:
    # copied: the library's array is its own
    return lambda update: _items(update).astype(_ITEMS[kind])


def _items(update: Any) -> NDArray[Any]:
    found = update["value"]
    return np.asarray([] if found is None else found)  # None: never filled


def _json(update: Any) -> str:
    fields = {name: _plain(value) for name, value in update.todict().items() if name not in {"alarm", "timeStamp"}}
    return dump_json(fields)


def _plain(value: Any) -> Any:
    """Return a value without structures of the library: a variant may hold one."""
    if hasattr(value, "todict"):
        return _plain(value.todict())
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def stamp_ns(update: Any, form: Form, received_ns: int) -> int:
    """Return the stamp of an update [ns since 1970 UTC], exact.

    Parameters
    ----------
    update : p4p.Value
        The update.
    form : Form
        How it is read.
    received_ns : int
        When we took it [ns since 1970 UTC].

    Returns
    -------
    int
        The server's stamp; the time of receipt where the structure has none. A stamp that 64 bits of nanoseconds do not
        hold is 0, which no archive takes for a time.
    """
    if not form.has_time:
        return received_ns
    found: int = update["timeStamp.secondsPastEpoch"] * SECOND_NS + update["timeStamp.nanoseconds"]
    return found if _INT64_MIN <= found <= _INT64_MAX else 0


def alarm_of(update: Any, form: Form) -> tuple[int, int]:
    """Return severity, 0 to 3, and status of an update; 0 and 0 where the structure has none.

    PV Access knows a fifth severity, "undefined"; as any other number, it counts as INVALID.
    """
    if not form.has_alarm:
        return 0, 0
    severity, status = update["alarm.severity"], update["alarm.status"]
    if not 0 <= severity <= Severity.INVALID:
        severity = int(Severity.INVALID)
    return severity, min(max(status, -(2**15)), 2**15 - 1)


def is_column(value: Any) -> bool:
    """Say whether a column can hold a number: unsigned 64-bit integers go on to twice what one holds."""
    return isinstance(value, float) or _INT64_MIN <= value <= _INT64_MAX


def sample_of(update: Any, pv: str, form: Form, received_ns: int) -> Sample:
    """Decode one update; the status is PV Access' own, never comparable with Channel Access'."""
    severity, status = alarm_of(update, form)
    time_ns = stamp_ns(update, form, received_ns)
    return Sample(pv, time_ns, form.read(update), form.kind, severity, status, PvProtocol.PVA, received_ns)


def metadata_of(update: Any, pv: str, form: Form, received_ns: int) -> Metadata:
    """Decode what an update says about a PV's numbers.

    Parameters
    ----------
    update : p4p.Value
        The update.
    pv : str
        Its PV.
    form : Form
        How it is read.
    received_ns : int
        When we took it [ns since 1970 UTC].

    Returns
    -------
    Metadata
        Labels of an enum; unit, precision and limits as far as the structure has them. Whole numbers have no precision,
        whatever the server writes there; nor has a number that is shown in hexadecimal, octal or binary.
    """
    if form.kind is ValueType.ENUM:
        labels = tuple(update[_CHOICES] or ())
        return Metadata(pv, received_ns, form.kind, labels=labels, protocol=PvProtocol.PVA)
    has_numbers = form.kind not in {ValueType.STRING, ValueType.STRING_ARRAY}
    return Metadata(
        pv,
        received_ns,
        form.kind,
        unit=str(update.get("display.units", "")),
        precision=_precision(update, form) if has_numbers else None,
        limits=_limits(update) if has_numbers else Limits(),
        protocol=PvProtocol.PVA,
    )


_WHOLE_FORMS = {"Binary", "Hex", "String"}


def _precision(update: Any, form: Form) -> int | None:
    if form.kind in {ValueType.INT64, ValueType.INT32_ARRAY}:
        return None
    choices, index = update.get("display.form.choices") or (), update.get("display.form.index", 0)
    if 0 <= index < len(choices) and choices[index] in _WHOLE_FORMS:
        return None
    precision = update.get("display.precision")
    if precision is not None:
        return int(precision)
    written = _FORMAT.fullmatch(str(update.get("display.format", "")))
    return int(written[1]) if written else None


_LIMITS = {
    "display_low": "display.limitLow",
    "display_high": "display.limitHigh",
    "warning_low": "valueAlarm.lowWarningLimit",
    "warning_high": "valueAlarm.highWarningLimit",
    "alarm_low": "valueAlarm.lowAlarmLimit",
    "alarm_high": "valueAlarm.highAlarmLimit",
    "control_low": "control.limitLow",
    "control_high": "control.limitHigh",
}


def _limits(update: Any) -> Limits:
    found = {name: update.get(field) for name, field in _LIMITS.items()}
    return Limits(**{name: float(value) for name, value in found.items() if isinstance(value, int | float)})
