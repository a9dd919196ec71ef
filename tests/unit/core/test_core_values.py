"""Quantities, names, digests, errors and events."""

import zlib

import pytest

from nualley.core import (
    ConfigurationError,
    Digester,
    Event,
    ExitCode,
    Interval,
    NualleyError,
    UnreachableError,
    UsageError,
    digest_file,
    escape_name,
    format_quantity,
    format_size,
    make_run_id,
    nearest,
    parse_quantity,
    split_run_id,
    unit_factor,
)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1.4 MW", "W", 1.4e6),
        ("14.6kg", "kg", 14.6),
        ("19.3 m", "m", 19.3),
        ("5 TiB", "B", 5 * 2**40),
        ("124 TB", "B", 124e12),
        ("97 %", "1", 0.97),
        ("1000 MeV", "GeV", 1.0),
        ("-3.5e2 mV", "V", -0.35),
        ("1 protons", "C", 1.602176634e-19),
        ("4 ns", "s", 4e-9),
    ],
)
def test_quantities_are_read_in_the_unit_asked_for(text, unit, value):
    assert parse_quantity(text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "what", "do"),
    [
        ("1.4", "has no unit", "'1.4 W'"),
        ("much", "is not a quantity", "1.5 W"),
        ("1.4 MeV", "unit of energy, expected one of power", "kW"),
        ("1.4 MWatt", "not a unit", "MW"),
        ("1e999 W", "too large", "finite"),
        ("", "is not a quantity", "W"),
    ],
)
def test_what_is_no_quantity_is_refused(text, what, do):
    with pytest.raises(UsageError) as caught:
        parse_quantity(text, "W")
    assert what in caught.value.what
    assert do in caught.value.do


def test_a_unit_is_its_own_factor_even_where_it_is_unknown():
    assert unit_factor("uSv/h", "uSv/h") == 1.0


def test_numbers_are_written_for_people():
    assert [format_quantity(value, "W") for value in (1.4e6, 0.0, 5e-4, -2e3)] == ["1.4 MW", "0 W", "500 uW", "-2 kW"]
    assert [format_size(size_B) for size_B in (0, 1023, 1024, 5 * 2**40, 2**60)] == [
        "0 B", "1023 B", "1.0 KiB", "5.0 TiB", "1024.0 PiB",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"wave0.dat", "wave0.dat"),
        (b"run\n1.dat", "run\\x0a1.dat"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("ν-alley".encode(), "ν-alley"),
        (b"back\\slash", "back\\x5cslash"),
        (b"\x7f\x1b[31m", "\\x7f\\x1b[31m"),
        ("a\u202eb".encode(), "a\\xe2\\x80\\xaeb"),
        ("\u2028\x85".encode(), "\\xe2\\x80\\xa8\\xc2\\x85"),
    ],
)
def test_names_are_shown_so_that_nothing_can_break(raw, shown):
    assert escape_name(raw) == shown


def test_run_ids_are_split_at_their_last_hyphen():
    assert split_run_id("coh-ar-750-12") == ("coh-ar-750", 12)
    assert make_run_id("coh-ar-750", 12) == "coh-ar-750-12"
    for wrong in ("12", "CsI-3", "csi-", "-3", "csi--", "csi-3x"):
        with pytest.raises(UsageError, match="is not a run"):
            split_run_id(wrong)


def test_digests_of_a_file_are_zero_padded_lower_case_and_right(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"")
    empty = digest_file(path)
    assert (empty.size_B, empty.adler32, empty.xxh3_128) == (0, "00000001", "99aa06d3014798d86001c324468d497f")
    data = bytes(range(256)) * 8192
    path.write_bytes(data)
    assert digest_file(path).adler32 == f"{zlib.adler32(data):08x}"
    digester = Digester()
    for start in range(0, len(data), 1000):
        digester.update(data[start : start + 1000])
    assert digester.digests() == digest_file(path)


def test_an_error_says_what_where_and_what_to_do():
    error = NualleyError("1 of 2 drives is full", where="drives.data3", do="nualley drives list")
    assert str(error).splitlines() == [
        "1 of 2 drives is full", "  where: drives.data3", "  do:    nualley drives list",
    ]  # fmt: skip
    assert error.to_json() == {
        "what": "1 of 2 drives is full", "where": "drives.data3", "do": "nualley drives list", "code": 1,
    }  # fmt: skip
    assert str(NualleyError("short")) == "short"
    assert isinstance(UnreachableError("x"), TimeoutError)
    assert ConfigurationError("x").exit_code == ExitCode.CONFIGURATION


def test_the_nearest_word_is_found_whatever_its_case():
    assert nearest("demo:beam:powr", ["DEMO:BEAM:POWER", "DEMO:BEAM:RATE"]) == "DEMO:BEAM:POWER"
    assert nearest("x", []) == ""


def test_handlers_are_called_in_their_order():
    event: Event[int] = Event()
    seen = []
    event.subscribe(lambda value: seen.append(("first", value)))
    event.subscribe(lambda value: seen.append(("second", value)))
    event.publish(3)
    assert seen == [("first", 3), ("second", 3)]


def test_an_interval_is_half_open_and_never_backward():
    interval = Interval(10, 20)
    assert 10 in interval
    assert 20 not in interval
    with pytest.raises(UsageError, match="5 ns before it starts"):
        Interval(10, 5)
