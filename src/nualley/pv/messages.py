"""Events of live values as plain mappings that JSON carries, and back."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nualley.core import to_json
from nualley.pv.errors import BusMessageError
from nualley.pv.models import Connection, Life, Limits, Metadata, PvEvent, PvValue, Sample, ValueType

if TYPE_CHECKING:  # numpy is heavy: loaded only where an array arrives
    from numpy.typing import NDArray

_KINDS = {"sample": Sample, "connection": Connection, "metadata": Metadata, "life": Life}
_NAMES = {cls: name for name, cls in _KINDS.items()}
_DTYPES = {
    ValueType.FLOAT64_ARRAY: "float64",
    ValueType.FLOAT32_ARRAY: "float32",
    ValueType.INT32_ARRAY: "int32",
}


def event_message(event: PvEvent) -> dict[str, Any]:
    """Return an event as a mapping for the live bus.

    Parameters
    ----------
    event : PvEvent
        Anything a source emits.

    Returns
    -------
    dict
        The event's fields and its ``kind``: ``sample``, ``connection``, ``metadata`` or ``life``.

    Examples
    --------
    >>> event_message(Life("127.0.0.1:5064", 7))
    {'kind': 'life', 'ioc': '127.0.0.1:5064', 'last_heard_ns': 7}
    """
    return {"kind": _NAMES[type(event)], **to_json(event)}


def event_from_message(message: Mapping[str, Any]) -> PvEvent:
    """Return the event that `event_message` made a mapping of.

    Parameters
    ----------
    message : mapping
        As `event_message` returns it; null where NaN or inf was gives NaN.

    Returns
    -------
    PvEvent
        The event.

    Raises
    ------
    BusMessageError
        Where it is no such mapping.
    """
    fields = dict(message)
    kind = fields.pop("kind", None)
    try:
        if "value_type" in fields:
            fields["value_type"] = ValueType(fields["value_type"])
        if kind == "sample":
            fields["value"] = _value(fields["value"], fields["value_type"])
        elif kind == "metadata":
            fields["labels"] = tuple(fields["labels"])
            fields["limits"] = Limits(**fields["limits"])
        event: PvEvent = _KINDS[str(kind)](**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise BusMessageError(
            f"{dict(message)!r} is no event of a live value ({error!r})", do="expected what event_message returns"
        ) from error
    return event


def _value(value: Any, value_type: ValueType) -> PvValue:
    if value_type in _DTYPES:
        return _array(value, _DTYPES[value_type])
    if value_type is ValueType.FLOAT64:
        return math.nan if value is None else float(value)
    return value  # type: ignore[no-any-return]  # a str, an int or a list of str, as JSON gave it


def _array(value: list[Any], dtype: str) -> "NDArray[Any]":
    import numpy as np  # noqa: PLC0415  # heavy: only where an array arrives

    return np.array([np.nan if item is None else item for item in value], dtype=dtype)
