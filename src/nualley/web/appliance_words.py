"""Words of Archiver Appliance clients as values: times, stretches, names, numbers."""

import json
import re
from collections.abc import Sequence
from urllib.parse import parse_qs

from starlette.datastructures import QueryParams

from nualley.app.appliance import MOST_PVS, DataQuestion, Stretch
from nualley.core import DAY_NS, SECOND_NS, UsageError, parse_time_ns

_LONGEST = 64
_MOST_STRETCHES = 100
_PLUS = re.compile(r"([^ ]*T[^ ]*) (\d\d:?\d\d)")
_NAME = re.compile(r"(?:[^,(]|\([^)]*\)?)+")  # between commas, but for those of a call: mean(PV,600)
_PERIOD = re.compile(r"P(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,9})S)?)?")


def time_of(text: str, now_ns: int, where: str = "") -> int:
    """Return a time [ns since 1970 UTC].

    Parameters
    ----------
    text : str
        ISO 8601 with Z or an offset, whose plus may have become a space on the way; fractions of any length.
    now_ns : int
        What ``now`` means [ns since 1970 UTC].
    where : str
        The parameter that it was given with.

    Raises
    ------
    UsageError
        Where it is no time.

    Examples
    --------
    >>> time_of("1970-01-01T02:00:01.5 02:00", 0)
    1500000000
    """
    if len(text) > _LONGEST:
        raise UsageError(f"{text[:40]!r} is not a time", where=where, do="write 2026-11-23T04:00:00.000Z")
    match = _PLUS.fullmatch(text)
    return parse_time_ns(f"{match[1]}+{match[2]}" if match else text, now_ns, where)


def question_of(query: QueryParams, now_ns: int, posted: Sequence[str] = ()) -> DataQuestion:
    """Return what getData is asked for.

    Parameters
    ----------
    query : QueryParams
        ``pv`` (once or more), ``from``, ``to`` (inside), ``timeranges``, ``pp``, ``ca_count``, ``ca_how``; what an
        appliance needs and this archive does not (donotchunk, fetchLatestMetadata, retiredPVTemplate, usereduced) is
        passed over.
    now_ns : int
        The time now [ns since 1970 UTC].
    posted : sequence of str, optional
        Further PVs, from a body.

    Raises
    ------
    UsageError
        Where a word makes no sense.
    """
    pvs = (*posted, *(_unspaced(pv) for pv in query.getlist("pv")))
    if not pvs:
        raise UsageError("no pv", where="getData", do="add ?pv=NAME&from=2026-11-23T04:00:00.000Z&to=...")
    stretches = _ranges(query["timeranges"], now_ns) if query.get("timeranges") else (_stretch(query, now_ns),)
    return DataQuestion(pvs, stretches, query.get("pp") or _channel_archiver(query, stretches))


def _unspaced(pv: str) -> str:
    return pv.replace(" ", "+")  # a plus that was not written as %2B; no name has a space


def _stretch(query: QueryParams, now_ns: int) -> Stretch:
    # as the appliance: up to an hour from now, and a day of it
    stop_ns = time_of(query["to"], now_ns, "to") if query.get("to") else now_ns + 3600 * SECOND_NS
    start_ns = time_of(query["from"], now_ns, "from") if query.get("from") else stop_ns - DAY_NS
    if stop_ns < start_ns:
        raise UsageError(
            f"to {query.get('to', 'now')} is before from {query.get('from')}", where="from, to", do="exchange them"
        )
    return Stretch(start_ns, stop_ns + 1)  # the end is inside


def _ranges(text: str, now_ns: int) -> tuple[Stretch, ...]:
    words = text.split(",", 2 * _MOST_STRETCHES + 1)
    if len(words) % 2 or len(words) > 2 * _MOST_STRETCHES:
        raise UsageError(
            f"{len(words)} times", where="timeranges", do=f"write at most {_MOST_STRETCHES} pairs BEGIN,END,BEGIN,END"
        )
    times = [time_of(word.strip(), now_ns, "timeranges") for word in words]
    if times != sorted(times):
        raise UsageError("times that go back", where="timeranges", do="write BEGIN,END,BEGIN,END in the order of time")
    return tuple(Stretch(start_ns, stop_ns + 1) for start_ns, stop_ns in zip(times[::2], times[1::2], strict=True))


def _channel_archiver(query: QueryParams, stretches: Sequence[Stretch]) -> str:
    """Return the operator that the Channel Archiver's way to ask for fewer samples means."""
    if not query.get("ca_count"):
        return ""
    count = number_of(query["ca_count"], "ca_count", least=1, most=1_000_000)
    how = number_of(query.get("ca_how", "0"), "ca_how", least=0, most=4)
    names = {1: "lastFill", 2: "mean", 4: "linear"}
    if how == 3:
        raise UsageError("ca_how=3, plot binning", where="ca_how", do=f"ask for optimized_{count}(PV)")
    seconds = (stretches[-1].stop_ns - stretches[0].start_ns) // SECOND_NS
    return f"{names[how]}_{max(1, seconds // count)}" if how in names else ""


def number_of(text: str, where: str, *, least: int, most: int) -> int:
    """Return a whole number.

    Raises
    ------
    UsageError
        Where it is none, or outside of the limits.
    """
    try:
        value = int(text[:20])
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        expected = f"a whole number from {least} to {most}"
        raise UsageError(f"{where} is {text[:40]!r}, expected {expected}", where=where, do=f"write {expected}")
    return value


def period_ns(text: str) -> int:
    """Return a duration such as ``P30D`` or ``PT12H`` [ns].

    Raises
    ------
    UsageError
        Where it is none.

    Examples
    --------
    >>> period_ns("P1DT1S") // SECOND_NS
    86401
    """
    match = _PERIOD.fullmatch(text) if len(text) < _LONGEST else None
    if match is None or not any(match.groups()):
        raise UsageError(f"{text[:40]!r} is no duration", where="searchPeriod", do="write P30D or PT12H")
    parts = (int(part or 0) for part in match.groups())
    return sum(part * size_s for part, size_s in zip(parts, (86_400, 3600, 60, 1), strict=True)) * SECOND_NS


def names_of(body: bytes, text: str = "") -> list[str]:
    """Return the PVs that were posted, and those of a parameter.

    Parameters
    ----------
    body : bytes
        A JSON list of names, ``pv=A,B`` as a form, or names with commas between them.
    text : str
        The parameter pv; names with commas between them.

    Raises
    ------
    UsageError
        Where they cannot be read, or are too many.
    """
    told = body.decode("utf-8", "replace").strip()
    words: list[str] = []
    if told.startswith("["):
        try:
            found = json.loads(told)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{told[:40]!r} is no JSON", where="body", do='post ["PV1", "PV2"]') from error
        if not all(isinstance(word, str) for word in found):
            raise UsageError("a list of other things than names", where="body", do='post ["PV1", "PV2"]')
        words = found
    elif told:
        listed = parse_qs(told).get("pv", []) if told.startswith("pv=") else [told]
        words = [word for part in listed for word in _NAME.findall(part)]
    words += _NAME.findall(text)
    names = [_unspaced(word.strip()) for word in words if word.strip()]
    if len(names) > MOST_PVS:
        raise UsageError(f"{len(names)} PVs", where="pv", do=f"ask for {MOST_PVS} at most")
    return names
