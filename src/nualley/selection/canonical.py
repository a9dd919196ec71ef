"""JSON of which there is one text only, so that a digest of it means something."""

import json
import math
from collections.abc import Mapping
from hashlib import sha256

from nualley.core import UsageError

_LARGEST = 2**53
"""Whole numbers beyond this are not exact in every reader of JSON: they are written as text."""


def canonical_json(value: object) -> str:
    """Return the canonical text of a value.

    Parameters
    ----------
    value : object
        Made of None, bool, int, float, str, lists and mappings with keys of text.

    Returns
    -------
    str
        Without spaces, keys sorted, numbers as ECMAScript writes them.

    Raises
    ------
    UsageError
        Where a part has no canonical form: NaN, infinity, whole numbers that are not exact in float64, anything else.

    Notes
    -----
    Source: A. Rundgren, B. Jordan, S. Erdtman, *JSON Canonicalization Scheme (JCS)*, RFC 8785 (2020).

    Examples
    --------
    >>> canonical_json({"b": [1.0, 1e-7], "a": None})
    '{"a":null,"b":[1,1e-7]}'
    """
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(canonical_json, value))}]"
    if isinstance(value, Mapping):
        # keys in the order of their UTF-16 code units
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{_text(key)}:{canonical_json(value[key])}" for key in keys) + "}"
    raise UsageError(f"a {type(value).__name__} has no canonical JSON: {value!r}", do="write it as text")


def digest(text: str) -> str:
    """Return the sha256 of a text in UTF-8: 64 lower-case hex digits."""
    return sha256(text.encode()).hexdigest()


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{text!r} is no text in UTF-8", do="escape it first") from error
    return json.dumps(text, ensure_ascii=False)


def _number(value: float) -> str:
    if isinstance(value, int):
        # beyond 2**53 a number stands only where it is what ECMAScript itself would write
        if abs(value) > _LARGEST and not (abs(value) < 10**21 and _positive(float(abs(value))) == str(abs(value))):
            raise UsageError(f"{value} is not exact in JSON", do="write it as text")
        return str(value)
    if not math.isfinite(value):
        raise UsageError(f"{value} has no canonical JSON", do="write null")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    return sign + _positive(abs(value))


def _positive(value: float) -> str:
    """Write a number > 0 as ECMA-262 says (Number::toString): the shortest digits that read back as the same."""
    mantissa, _, exponent = f"{value!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    # value = 0.digits * 10**point
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    power = point - 1
    head = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{head}e{'+' if power > 0 else '-'}{abs(power)}"
