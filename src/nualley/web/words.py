"""How numbers, times and values are written for a person."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from nualley.core import SECOND_NS, format_duration, format_quantity, format_size
from nualley.pv import Severity

NOTHING = "–"
"""What stands where there is nothing to say."""

_LONGEST = 120
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_THIN_SPACE = "\u202f"


def count(value: int | None) -> str:
    """Write a count with thousands set apart.

    Examples
    --------
    >>> count(1234567).replace("\u202f", " ")
    '1 234 567'
    """
    return NOTHING if value is None else f"{value:,}".replace(",", _THIN_SPACE)


def power(value_W: float | None) -> str:
    """Write a power with three decimals of its unit.

    Parameters
    ----------
    value_W : float or None
        Power [W].

    Returns
    -------
    str
        In the unit that fits.

    Examples
    --------
    >>> power(1.4e6), power(81.25e3), power(0.0)
    ('1.400 MW', '81.2 kW', '0 W')
    """
    if value_W is None or not math.isfinite(value_W):
        return NOTHING
    if abs(value_W) >= 1e6:
        return f"{value_W / 1e6:.3f} MW"
    return format_quantity(value_W, "W", digits=3)


def pot(value: float | None) -> str:
    """Write a number of protons.

    Examples
    --------
    >>> pot(1.37513e23), pot(0.0)
    ('1.375 × 10²³', '0')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def percent(fraction: float | None) -> str:
    """Write a fraction in percent.

    Examples
    --------
    >>> percent(0.974), percent(0.05), percent(None)
    ('97.4 %', '5 %', '–')
    """
    return NOTHING if fraction is None or not math.isfinite(fraction) else f"{100 * fraction:.3g} %"


def number(value: float | None, unit: str = "", digits: int = 3) -> str:
    """Write a number of ``digits`` significant digits, with its unit.

    Examples
    --------
    >>> number(19.3, "m"), number(None, "m")
    ('19.3 m', '–')
    """
    return NOTHING if value is None or not math.isfinite(value) else f"{value:.{digits}g} {unit}".rstrip()


def size(size_B: int | None) -> str:
    """Write a number of bytes."""
    return NOTHING if size_B is None else format_size(size_B)


def duration(seconds: float | None) -> str:
    """Write a duration: two units at most."""
    return NOTHING if seconds is None or not math.isfinite(seconds) else format_duration(seconds)


def moment(time_ns: int | None) -> str:
    """Write a moment in UTC, to the second.

    Examples
    --------
    >>> moment(1_500_000_000)
    '1970-01-01 00:00:01'
    """
    return NOTHING if time_ns is None else _utc(time_ns).strftime("%Y-%m-%d %H:%M:%S")


def machine_moment(time_ns: int) -> str:
    """Write a moment as the ``datetime`` attribute of HTML wants it, in UTC, to the millisecond.

    Examples
    --------
    >>> machine_moment(1_500_000_000)
    '1970-01-01T00:00:01.500Z'
    """
    return f"{_utc(time_ns).strftime('%Y-%m-%dT%H:%M:%S')}.{time_ns % SECOND_NS // 1_000_000:03d}Z"


def _utc(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns // SECOND_NS, tz=UTC)


def severity(value: int | None) -> str:
    """Write an EPICS alarm severity; nothing where there is no alarm.

    Examples
    --------
    >>> severity(2), severity(0), severity(9)
    ('MAJOR', '', 'severity 9')
    """
    if not value:
        return ""
    return Severity(value).name if value in set(Severity) else f"severity {value}"


def pv_value(value: object) -> str:
    r"""Write the value of a PV: short, and without anything that could not be seen.

    Examples
    --------
    >>> pv_value(1.25), pv_value([1.0, 2.5, 2.0]), pv_value("a\nb"), pv_value(float("nan"))
    ('1.25', '3 values, 1 to 2.5', 'a\\nb', 'NaN')
    """
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value).replace("nan", "NaN")
    if isinstance(value, str):
        return _shown(value)
    if isinstance(value, Sequence):
        return _array(value)
    return _shown(str(value))


def _shown(text: str) -> str:
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in cut)


def _array(values: Sequence[object]) -> str:
    numbers = [item for item in values if isinstance(item, int | float) and math.isfinite(item)]
    what = f"{len(values)} values"
    return f"{what}, {min(numbers):.4g} to {max(numbers):.4g}" if numbers else what
