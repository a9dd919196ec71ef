"""Time as int64 nanoseconds since 1970, UTC: parsing and writing it at the edges."""

import re
from datetime import UTC, date, datetime, timedelta, timezone

from nualley.core.errors import UsageError
from nualley.core.quantities import parse_quantity

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS

_MIN_NS, _MAX_NS = -(2**63), 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<clock>\d{2}:\d{2}(?::\d{2}(?:\.(?P<fraction>\d{1,9}))?)?)(?P<zone>Z|z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([a-zA-Zµ]+)", re.ASCII)
_MINUTES = {"m": "min"}
"""In a time, m is minutes: only a length has metres."""

_FORMS = (
    "ISO 8601 with a zone (2026-11-23T04:00:00Z), a date (2026-11-23, a UTC day), 'now' or a time ago"
    " (-90s, -15min, -2h, -7d)"
)


def parse_duration_ns(text: str) -> int:
    """Parse a duration such as ``7d``, ``1h30min`` or ``90 s``.

    Parameters
    ----------
    text : str
        One or more numbers with the units ns, us, ms, s, min (or m), h, d or week.

    Returns
    -------
    int
        Duration [ns], 0 to 2**63 - 1.

    Raises
    ------
    UsageError
        Where a part has no unit of time, or it is longer than 292 years: int64 nanoseconds hold no more.

    Examples
    --------
    >>> parse_duration_ns("1h30min") == 5_400_000_000_000
    True
    """
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text).strip():
        raise UsageError(f"{text!r} is not a duration", do="write a number with a unit: 90s, 15min, 2h, 7d")
    duration_ns = sum(round(parse_quantity(f"{number} {_MINUTES.get(unit, unit)}", "ns")) for number, unit in parts)
    if duration_ns > _MAX_NS:
        raise UsageError(f"{text!r} is too long, expected at most 292 years", do="write a shorter time, such as 7d")
    return duration_ns


def parse_time_ns(text: str, now_ns: int, where: str = "") -> int:
    """Parse a time as the command line and the experiment repository write it.

    Parameters
    ----------
    text : str
        ISO 8601 with a zone, a date (the start of that UTC day), ``now`` or a time ago such as ``-2h``.
    now_ns : int
        What ``now`` means [ns since 1970 UTC].
    where : str
        The option or parameter that it was given with, for the error.

    Returns
    -------
    int
        Time [ns since 1970 UTC], within int64.

    Raises
    ------
    UsageError
        Where the text is none of these, a clock time has no zone, or int64 nanoseconds do not reach so far.

    Examples
    --------
    >>> parse_time_ns("1970-01-01T00:00:01.5Z", 0)
    1500000000
    """
    try:
        time_ns = _time_ns(text, now_ns)
    except UsageError as error:
        raise UsageError(error.what, where=where, do=error.do) from error
    if not _MIN_NS <= time_ns <= _MAX_NS:
        first, last = (format_time(bound_ns, digits=0) for bound_ns in (_MIN_NS + SECOND_NS, _MAX_NS))
        raise UsageError(
            f"{text!r} is out of range, expected a time from {first} to {last}",
            where=where,
            do="write a time in that range",
        )
    return time_ns


def _time_ns(text: str, now_ns: int) -> int:
    word = text.strip()
    if word == "now":
        return now_ns
    if word.startswith("-") and word[1:2].isdigit():
        try:
            return now_ns - parse_duration_ns(word[1:])
        except UsageError as error:
            raise UsageError(f"{text!r} is not a time: {error.what}", do=f"write {_FORMS}") from error
    match = _ISO.fullmatch(word)
    if match is None:
        raise UsageError(f"{text!r} is not a time", do=f"write {_FORMS}")
    if match["clock"] and not match["zone"]:
        raise UsageError(
            f"{text!r} has no time zone", do=f"add Z for UTC or an offset such as -05:00: {word.replace(' ', 'T')}Z"
        )
    return _iso_ns(match, text)


def _iso_ns(match: re.Match[str], text: str) -> int:
    try:
        day = date.fromisoformat(match["date"])
        hours, minutes, seconds = (*(int(part) for part in (match["clock"] or "00:00").split(".")[0].split(":")), 0)[:3]
        moment = datetime(day.year, day.month, day.day, hours, minutes, seconds, tzinfo=_zone(match["zone"]))
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is not a time: {error}", do=f"write {_FORMS}") from None
    whole = (moment - _EPOCH) // timedelta(seconds=1)
    return whole * SECOND_NS + int((match["fraction"] or "").ljust(9, "0"))


def _zone(text: str | None) -> timezone:
    if text in (None, "Z", "z"):
        return UTC
    sign = -1 if text[0] == "-" else 1
    digits = text[1:].replace(":", "")
    return timezone(sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))


def format_time(time_ns: int, digits: int = 9) -> str:
    """Write a time as ISO 8601 in UTC.

    Parameters
    ----------
    time_ns : int
        Time [ns since 1970 UTC].
    digits : int
        Digits after the second, 0 to 9; what is cut off is dropped, not rounded. Nine digits lose nothing.

    Returns
    -------
    str
        ISO 8601 with ``Z``.

    Examples
    --------
    >>> format_time(1_500_000_000, digits=3)
    '1970-01-01T00:00:01.500Z'
    >>> format_time(0, digits=0)
    '1970-01-01T00:00:00Z'
    """
    seconds, rest = divmod(time_ns, SECOND_NS)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{rest:09d}"[: digits + 1] if digits else ""
    return f"{text}{fraction}Z"


def format_duration(duration_s: float) -> str:
    """Write a duration for a person: two units at most.

    Examples
    --------
    >>> format_duration(93_784)
    '1 d 2 h'
    >>> format_duration(4.2)
    '4.2 s'
    """
    if duration_s < 60:
        return f"{duration_s:.3g} s"
    whole = round(duration_s)
    for unit, size_s, lower, lower_s in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size_s:
            rest = whole % size_s // lower_s
            return f"{whole // size_s} {unit}" + (f" {rest} {lower}" if rest else "")
    return f"{whole} s"
