"""Numbers with units, parsed once at the edge: "1.4 MW", "19.3 m", "5 TiB"."""

import math
import re

from nualley.core.errors import UsageError, nearest

_SI = {"n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}


def _prefixed(unit: str, dimension: str, prefixes: str) -> dict[str, tuple[str, float]]:
    return {f"{prefix}{unit}": (dimension, _SI[prefix]) for prefix in prefixes.split(",")}


# unit -> (dimension, factor to the dimension's first unit)
_UNITS: dict[str, tuple[str, float]] = {
    **_prefixed("W", "power", ",m,k,M,G"),
    **_prefixed("eV", "energy", ",k,M,G,T"),
    **{name: ("energy_bulk", factor) for name, factor in (("J", 1.0), ("kJ", 1e3), ("MJ", 1e6), ("GJ", 1e9))},
    **{name: ("energy_bulk", 3600 * factor) for name, factor in (("kWh", 1e3), ("MWh", 1e6), ("GWh", 1e9))},
    **_prefixed("g", "mass", ",m,u,k"),
    "t": ("mass", 1e6),
    **_prefixed("m", "length", ",m,u,k"),
    "cm": ("length", 1e-2),
    **_prefixed("s", "time", ",n,u,µ,m"),
    "min": ("time", 60.0),
    "h": ("time", 3600.0),
    "d": ("time", 86400.0),
    "day": ("time", 86400.0),
    "days": ("time", 86400.0),
    "w": ("time", 604800.0),
    "week": ("time", 604800.0),
    "weeks": ("time", 604800.0),
    **_prefixed("Hz", "frequency", ",m,k,M,G"),
    **_prefixed("C", "charge", ",n,u,µ,m"),
    "e": ("charge", 1.602176634e-19),
    "protons": ("charge", 1.602176634e-19),
    **_prefixed("B", "size", ",k,M,G,T,P"),
    **{f"{prefix}B": ("size", float(factor)) for prefix, factor in _BINARY.items()},
    **_prefixed("V", "voltage", ",u,m,k"),
    **_prefixed("A", "current", ",u,m,k"),
    "%": ("fraction", 0.01),
    "1": ("fraction", 1.0),
}
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)\s*")


def unit_factor(unit: str, to: str) -> float:
    """Return the number that turns a value in ``unit`` into one in ``to``.

    Parameters
    ----------
    unit, to : str
        Units of one dimension, such as ``MW`` and ``W``.

    Returns
    -------
    float
        ``value_in_to = factor * value_in_unit``.

    Raises
    ------
    UsageError
        Where a unit is not known or the two do not measure the same thing.

    Examples
    --------
    >>> unit_factor("MW", "W")
    1000000.0
    """
    if unit == to:
        return 1.0
    dimension, factor = _unit(unit)
    wanted, divisor = _unit(to)
    if dimension != wanted:
        fitting = ", ".join(name for name, (kind, _) in _UNITS.items() if kind == wanted)
        raise UsageError(f"{unit!r} is a unit of {dimension}, expected one of {wanted}", do=f"use one of {fitting}")
    return factor / divisor


def _unit(unit: str) -> tuple[str, float]:
    try:
        return _UNITS[unit]
    except KeyError:
        near = nearest(unit, _UNITS)
        hint = f"did you mean {near!r}? " if near else ""
        raise UsageError(f"{unit!r} is not a unit that nualley knows", do=f"{hint}units: {', '.join(_UNITS)}") from None


def parse_quantity(text: str, unit: str) -> float:
    """Parse a number with a unit and return it in ``unit``.

    Parameters
    ----------
    text : str
        Such as ``1.4 MW`` or ``5TiB``. A bare number is refused: its unit would be a guess.
    unit : str
        The unit to return it in.

    Returns
    -------
    float
        The value in ``unit``; finite.

    Raises
    ------
    UsageError
        Where the text is no quantity or of another dimension.

    Examples
    --------
    >>> parse_quantity("1.4 MW", "W")
    1400000.0
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a quantity", do=f"write a number and its unit, such as '1.5 {unit}'")
    number, found = match.groups()
    if not found:
        raise UsageError(f"{text!r} has no unit", do=f"write '{number} {unit}' if that is what it is")
    value = float(number) * unit_factor(found, unit)
    if not math.isfinite(value):
        raise UsageError(f"{text!r} is too large to be a number", do=f"write a finite number of {unit}")
    return value


def format_quantity(value: float, unit: str, digits: int = 4) -> str:
    """Write a value with the SI prefix that fits.

    Examples
    --------
    >>> format_quantity(1.4e6, "W")
    '1.4 MW'
    """
    size = abs(value)
    for prefix in ("P", "T", "G", "M", "k", "", "m", "u", "n"):
        if size >= _SI[prefix] or (prefix == "n"):
            break
    if size == 0 or not math.isfinite(value):
        prefix = ""
    return f"{value / _SI[prefix]:.{digits}g} {prefix}{unit}"


def format_size(size_B: int) -> str:
    """Write a number of bytes with binary prefixes.

    Examples
    --------
    >>> format_size(5 * 2**40)
    '5.0 TiB'
    >>> format_size(160192)
    '156.4 KiB'
    """
    size = float(size_B)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"
