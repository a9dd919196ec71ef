"""Broken TOML: each fault on its line, and everything whole is still read."""

import pytest

from nualley.config.syntax import Fault, parse


def test_whole_toml_has_no_faults() -> None:
    parsed = parse('a = 1\r\nb = "x"\r\n[c]\nd = [1,\n 2]\n')
    assert parsed.values == {"a": 1, "b": "x", "c": {"d": [1, 2]}}
    assert parsed.faults == ()


CASES = [
    ("a = \nb = 2\n", [1], {"b": 2}, "a value"),
    ("a 1\nb = 2\n", [1], {"b": 2}, "KEY = VALUE"),
    ("a: 1\nb = 2\n", [1], {"b": 2}, "KEY = VALUE"),
    ("a = unknown\nb = 2\n", [1], {"b": 2}, "text in quotes"),
    ("mass = 14.6 kg\nb = 2\n", [1], {"b": 2}, "text and numbers with a unit stand in quotes"),
    ('a = 1\nb = "open\nc = 3\n', [2], {"a": 1, "c": 3}, "text that ends on its line"),
    ("a = 'it's'\nb = 2\n", [1], {"b": 2}, "the end of the line"),
    ('a = "C:\\data"\nb = 2\n', [1], {"b": 2}, "a backslash written twice"),
    ("a = [1, 2\nb = 2\nc = 3\n", [1], {"b": 2, "c": 3}, "a ] that closes the list"),
    ("a = [\n  1,\n  2\nb = 2\n", [1], {"b": 2}, "a ] that closes the list"),
    ("a = [\n  1,\n  2 kg,\n]\nb = 2\n", [1], {"b": 2}, "a ] that closes the list"),
    ("p = { a = 1, b = 2\nq = 3\n", [1], {"q": 3}, "a } that closes the table"),
    ("a = 1\na = 2\nb = 2\n", [2], {"a": 1, "b": 2}, "each key only once"),
    (
        "[a]\nx = 1\n[b]\ny = 1\n[a]\nz = 1\n[c]\nw = 1\n",
        [5],
        {"a": {"x": 1}, "b": {"y": 1}, "c": {"w": 1}},
        "only once",
    ),
    ("a = 1\n[x\ny = 2\nz = 3\n[w]\nq = 1\n", [2], {"a": 1, "w": {"q": 1}}, "a header"),
    ('a = 1\nb = """ open\nc = 2\n', [2], {"a": 1}, "quotes that close the text"),
    ("a = 1\nb = [1, 2\n", [2], {"a": 1}, "a ] that closes the list"),
    ("[pv]\nDEMO:X = {}\nY = {}\n", [2], {"pv": {"Y": {}}}, '"DEMO:BEAM:POWER" = {}'),
    ("a = = 1\nb = 2\nc = [1,,2]\nd = 4\n", [1, 3], {"b": 2, "d": 4}, "a value"),
    ("p = {\n  a = 1,\n  b = { c = 1 },\n}\nq = 3\n", [1], {"q": 3}, "a table in braces stands on one line"),
    ("p = { a = 1, }\nq = 3\n[t]\nr = 1\n", [1], {"q": 3, "t": {"r": 1}}, "no comma at its end"),
    ("a 1\nb 2\nc = 3\n", [1, 2], {"c": 3}, "KEY = VALUE"),
]


@pytest.mark.parametrize(("text", "lines", "values", "expected"), CASES, ids=[case[0][:20] for case in CASES])
def test_faults_are_on_their_line_and_the_rest_is_read(
    text: str, lines: list[int], values: dict[str, object], expected: str
) -> None:
    parsed = parse(text)
    assert [fault.line for fault in parsed.faults] == lines
    assert parsed.values == values
    assert expected in parsed.faults[0].expected


def test_a_fault_shows_its_line() -> None:
    assert parse("mass = 14.6 kg\n").faults[0] == Fault(
        1,
        "mass = 14.6 kg",
        'the end of the line; text and numbers with a unit stand in quotes, such as "14.6 kg"',
    )


def test_lines_stay_where_they_were() -> None:
    parsed = parse("a = [1,\n x\n]\nb = 2")
    assert parsed.text.split("\n") == ["", "", "", "b = 2"]


def test_what_is_not_toml_at_all_ends() -> None:
    parsed = parse("<html>\n" * 500)
    assert parsed.values == {}
    assert len(parsed.faults) == 100


@pytest.mark.parametrize(
    ("deep", "line"),
    [
        ("[" * 20000 + "]" * 20000, 2),
        ("[" * 20000, 2),
        ("[" * 65 + "]" * 65, 2),
        ("[\n" * 100 + "]\n" * 100, 2),
        ("{ b = " * 70 + "1" + " }" * 70, 2),
    ],
)
def test_what_lies_too_deep_is_a_fault_on_its_line(deep: str, line: int) -> None:
    parsed = parse(f"[x.y]\na = {deep}\n[z]\nc = 1\n")
    assert [(fault.line, fault.expected) for fault in parsed.faults] == [
        (line, "tables and lists in each other, at most 64 deep")
    ]
    assert parsed.values == {"x": {"y": {}}, "z": {"c": 1}}


def test_keys_that_are_too_deep_are_a_fault_on_their_line() -> None:
    parsed = parse(f"a = 1\n{'b.' * 2000}c = 1\nd = 2\n")
    assert [fault.line for fault in parsed.faults] == [2]
    assert parsed.values == {"a": 1, "d": 2}


def test_as_deep_as_allowed() -> None:
    assert parse(f"a = {'[' * 62 + ']' * 62}\n").faults == ()


def test_a_number_that_python_does_not_take() -> None:
    parsed = parse(f"a = 1\nb = {'9' * 5000}\nc = 2\n")
    assert [(fault.line, fault.expected) for fault in parsed.faults] == [(2, "a number of at most 4000 digits")]
    assert parsed.values == {"a": 1, "c": 2}
