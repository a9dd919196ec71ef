"""The text and the JSON of a mistake."""

from datetime import date

import pytest

from nualley.config import Mistake
from nualley.config.mistakes import format_key, format_value, order


def test_text_says_place_found_expected_nearest() -> None:
    mistake = Mistake("beam.toml", 4, "power.unit", '"Mw"', "one of W, kW, MW", "MW")
    assert str(mistake) == (
        'beam.toml:4: power.unit\n  found:    "Mw"\n  expected: one of W, kW, MW\n  did you mean MW?'
    )


def test_text_without_line_key_and_nearest() -> None:
    assert str(Mistake("beam.toml", None, "", "no such file", "a file")) == (
        "beam.toml\n  found:    no such file\n  expected: a file"
    )


def test_json_has_every_field() -> None:
    assert Mistake("f", 1, "k", "x", "y").to_json() == {
        "file": "f",
        "line": 1,
        "key": "k",
        "found": "x",
        "expected": "y",
        "nearest": "",
    }


def test_passwords_are_blotted_out() -> None:
    url = "postgresql://ada:secret@db/x"
    mistake = Mistake("f", 1, "k", url, f"not {url}")
    assert "secret" not in str(mistake)
    assert mistake.found == "postgresql://ada:***@db/x"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'),
        ("tab\t", '"tab\\t"'),
        (True, "true"),
        (3, "3"),
        (1.5, "1.5"),
        (date(2020, 1, 1), "2020-01-01"),
        ({"a": 1}, "a table"),
        ([1, "x"], '[1, "x"]'),
        ("x" * 200, '"' + "x" * 78 + "…"),
    ],
)
def test_values_are_shown_as_in_the_file(value: object, text: str) -> None:
    assert format_value(value) == text


def test_keys_that_need_quotes_get_them() -> None:
    assert format_key(("drop", 1, "a b", "c-d_1")) == 'drop[1]."a b".c-d_1'


def test_order_is_by_file_and_line_without_doubles() -> None:
    a1, a10, b = (Mistake(file, line, "", "", "") for file, line in (("a", 1), ("a", 10), ("b", None)))
    assert order([b, a10, a1, a10]) == [a1, a10, b]


def test_a_number_of_many_digits_is_described() -> None:
    assert format_value(1 << 20000) == "a whole number of 20001 bits"


def test_a_terminal_is_told_nothing() -> None:
    mistake = Mistake("a\x1b.toml", 1, "k\n", "\x1b[2J\udcff", "\x07", "\u202e")
    assert (mistake.file, mistake.key, mistake.found) == ("a\\x1b.toml", "k\\x0a", "\\x1b[2J\\xff")
    assert (mistake.expected, mistake.nearest) == ("\\x07", "\\xe2\\x80\\xae")
