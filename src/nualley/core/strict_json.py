"""Values as strict JSON, which every parser and database reads: no NaN, no lone surrogates."""

import dataclasses
import json
import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any

from nualley.core.errors import UsageError


def to_json(value: object, name: str = "value") -> Any:
    r"""Return a value as strict JSON has it.

    Parameters
    ----------
    value : object
        Dataclasses (their fields), mappings with keys of text, whole numbers or enums, sequences, sets (sorted), enums
        (their values), numbers, text, bytes, paths, None; arrays and scalars of NumPy, which is not imported for it.
    name : str
        What the value is called, for the text of an error.

    Returns
    -------
    object
        Made of None, bool, int, float, str, list and dict only. NaN and inf are None; whole numbers stay exact; in text
        and bytes, NUL and what is not UTF-8 is written as ``\xNN``, as `core.escape_name` does.

    Raises
    ------
    UsageError
        Where a part is something else, by its name.

    Examples
    --------
    >>> to_json({"power_W": float("nan"), "labels": ("on", "off")})
    {'power_W': None, 'labels': ['on', 'off']}
    """
    # the bulk of what is sent, before the table of what is rare
    if value is None or value is True or value is False or type(value) is int:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else None
    if type(value) is str:
        return strict_text(value)
    for kind, convert in _CONVERTERS:
        if isinstance(value, kind):
            return convert(value, name)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name), f"{name}.{field.name}") for field in _fields(value)}
    if hasattr(value, "tolist"):
        return to_json(value.tolist(), name)
    raise UsageError(
        f"{name} is a {type(value).__name__}: {value!r}, expected what JSON can hold",
        do="turn it into a number, text, a list or a mapping",
    )


def dump_json(value: object) -> str:
    """Return the text of a value in strict JSON, on one line; see `to_json`.

    Examples
    --------
    >>> dump_json({"time_ns": 1700000000123456789, "value": float("inf")})
    '{"time_ns": 1700000000123456789, "value": null}'
    """
    return json.dumps(to_json(value), ensure_ascii=False, allow_nan=False)


def strict_text(text: str) -> str:
    r"""Return text that every encoding and database can hold: NUL and what is not UTF-8 as ``\xNN``.

    Examples
    --------
    >>> strict_text("a\udcff\0b")
    'a\\xff\\x00b'
    """
    if text.isascii() and "\0" not in text:
        return text
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a pair, which stands for no byte
        raw = text.encode("utf-8", "backslashreplace")
    return _text_of(raw)


def _text_of(raw: bytes) -> str:
    return raw.replace(b"\0", b"\\x00").decode("utf-8", "backslashreplace")


def _fields(value: Any) -> tuple["dataclasses.Field[Any]", ...]:
    return dataclasses.fields(value)


def _key(key: object, name: str) -> str:
    if isinstance(key, str | int | Enum):
        return str(to_json(key))
    raise UsageError(
        f"a key of {name} is a {type(key).__name__}: {key!r}, expected text, a whole number or an enum",
        do="turn it into text",
    )


def _mapping(value: Mapping[object, object], name: str) -> dict[str, Any]:
    found = {}
    for key, item in value.items():
        text = strict_text(key) if type(key) is str else _key(key, name)
        found[text] = to_json(item, f"{name}.{text}")
    return found


def _items(value: Sequence[object], name: str) -> list[Any]:
    return [to_json(item, f"{name}[{index}]") for index, item in enumerate(value)]


def _sorted_items(value: AbstractSet[object], name: str) -> list[Any]:
    return sorted((to_json(item, f"{name}[]") for item in value), key=json.dumps)


def _float(value: Any, name: str) -> float | None:
    del name
    return float(value) if math.isfinite(value) else None


_CONVERTERS: tuple[tuple[Any, Callable[[Any, str], object]], ...] = (
    (Enum, lambda value, name: to_json(value.value, name)),
    (str, lambda value, _: strict_text(value)),
    (Mapping, _mapping),
    ((bytes, bytearray, memoryview), lambda value, _: _text_of(bytes(value))),
    (Sequence, _items),
    (AbstractSet, _sorted_items),
    (os.PathLike, lambda value, _: _text_of(os.fsencode(value))),
    # NumPy's scalars are of these too, also those that .tolist() gives back as they are
    (numbers.Integral, lambda value, _: int(value)),
    (numbers.Real, _float),
)
