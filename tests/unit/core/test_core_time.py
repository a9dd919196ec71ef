"""Times at the edge: read with a zone or refused, written without loss."""

import pytest

from nualley.core import (
    SECOND_NS,
    UsageError,
    format_duration,
    format_time,
    parse_duration_ns,
    parse_quantity,
    parse_time_ns,
)

NOW_NS = 1_795_464_545_809_456_137


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("now", NOW_NS),
        ("-2h", NOW_NS - 7200 * SECOND_NS),
        ("-1h30min", NOW_NS - 5400 * SECOND_NS),
        ("-0s", NOW_NS),
        ("1970-01-01", 0),
        ("1970-01-02", 86400 * SECOND_NS),
        ("1970-01-01T00:00Z", 0),
        ("1970-01-01 00:00:01Z", SECOND_NS),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T19:00:00-0500", 0),
        ("1969-12-31T23:59:59.9Z", -100_000_000),
        ("  2026-11-23T04:00:00z ", 1_795_406_400 * SECOND_NS),
    ],
)
def test_times_are_read_to_the_nanosecond(text, time_ns):
    assert parse_time_ns(text, NOW_NS) == time_ns


@pytest.mark.parametrize(
    ("text", "what", "do"),
    [
        ("2026-11-23T04:00:00", "has no time zone", "add Z for UTC"),
        ("yesterday", "is not a time", "ISO 8601"),
        ("2026-13-01", "month must be in 1..12", "ISO 8601"),
        ("2026-11-23T04:00:00.1234567891Z", "is not a time", "ISO 8601"),
        ("-7", "'-7' is not a time: '7' is not a duration", "(2026-11-23T04:00:00Z), a date (2026-11-23, a UTC day)"),
        ("-7", "'-7' is not a time", "'now' or a time ago (-90s, -15min, -2h, -7d)"),
        ("-2parsec", "'-2parsec' is not a time: 'parsec' is not a unit", "-2h"),
        ("-2cm", "'cm' is a unit of length", "min"),
        ("", "is not a time", "ISO 8601"),
        ("2026-11-23T00:30.5Z", "is not a time", "ISO 8601"),
        ("٢٠٢٦-11-23", "is not a time", "ISO 8601"),
        ("0001-01-01", "expected a time from 1677-09-21T00:12:44Z to 2262-04-11T23:47:16Z", "in that range"),
        ("9999-12-31T23:59:59-14:00", "'9999-12-31T23:59:59-14:00' is out of range", "in that range"),
        ("1677-09-21", "out of range", "in that range"),
        ("-1e400d", "'-1e400d' is not a time: '1e400 d' is too large to be a number", "-7d"),
        ("-300000d", "'-300000d' is not a time: '300000d' is too long, expected at most 292 years", "-7d"),
    ],
)
def test_what_is_no_time_is_refused_with_what_would_be(text, what, do):
    with pytest.raises(UsageError) as caught:
        parse_time_ns(text, NOW_NS)
    assert what in caught.value.what
    assert do in caught.value.do


def test_m_is_minutes_in_a_time_and_metres_in_a_length() -> None:
    assert parse_time_ns("-5m", NOW_NS) == parse_time_ns("-5min", NOW_NS) == NOW_NS - 300 * SECOND_NS
    assert parse_duration_ns("1h30m") == 5400 * SECOND_NS
    assert parse_quantity("5 m", "m") == 5.0
    with pytest.raises(UsageError, match="is a unit of length"):
        parse_quantity("5 m", "s")


def test_an_error_names_the_option_that_the_time_was_given_with() -> None:
    for text in ("yesterday", "0001-01-01", "-2parsec"):
        with pytest.raises(UsageError) as caught:
            parse_time_ns(text, NOW_NS, "--from")
        assert caught.value.where == "--from"


def test_the_range_that_is_named_works() -> None:
    assert parse_time_ns("1677-09-21T00:12:44Z", 0) == -(2**63) + 854_775_808
    assert parse_time_ns("2262-04-11T23:47:16.854775807Z", 0) == 2**63 - 1
    with pytest.raises(UsageError, match="out of range"):
        parse_time_ns("2262-04-11T23:47:16.854775808Z", 0)


@pytest.mark.parametrize("time_ns", [0, 1, -1, NOW_NS, 2**62, -(2**61), 2**63 - 1, -(2**63)])
def test_what_is_written_is_read_as_it_was(time_ns):
    assert parse_time_ns(format_time(time_ns), 0) == time_ns


def test_cut_digits_are_dropped_and_never_rounded_into_the_next_second():
    assert format_time(999_999_999, digits=3) == "1970-01-01T00:00:00.999Z"
    assert format_time(-1, digits=0) == "1969-12-31T23:59:59Z"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90 s", 90), ("7d", 604800), ("1h30min", 5400), ("1.5 h", 5400), ("1e3s", 1000)]
)
def test_durations_are_read(text, seconds):
    assert parse_duration_ns(text) == seconds * SECOND_NS


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "0.0123 s"), (59.4, "59.4 s"), (60, "1 min"), (3661, "1 h 1 min"), (93784, "1 d 2 h"), (86400, "1 d")],
)
def test_durations_are_written_for_people(seconds, text):
    assert format_duration(seconds) == text
