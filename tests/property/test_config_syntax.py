"""Broken text never stops the reading, never goes unnoticed, and never moves a line."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nualley.config.documents import Document
from nualley.config.mistakes import KeyPath
from nualley.config.positions import key_lines
from nualley.config.syntax import parse

COHERENT = Path(__file__).resolve().parents[2] / "experiments" / "coherent"
TEXTS = [path.read_text(encoding="utf-8") for path in sorted(COHERENT.rglob("*.toml"))]

keys = st.text("abcXYZ019_-:. \"'é", max_size=6)
scalars = st.one_of(st.booleans(), st.integers(-(10**9), 10**9), st.text("ab \"\\\n#[]{}=,'é", max_size=8), st.dates())
tables = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))
documents = st.dictionaries(keys, tables, max_size=4)


def quoted(text: str) -> str:
    return '"' + "".join(f"\\u{ord(letter):04x}" if letter in '"\\\n' else letter for letter in text) + '"'


def inline(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[\n# a comment ]\n" + "".join(f"{inline(item)},\n" for item in value) + "]"
    if isinstance(value, str):
        return quoted(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from paths(item, (*path, key))


@given(documents)
def test_every_key_has_a_line_and_no_key_is_invented(values: dict[str, object]) -> None:
    text = "".join(f"{quoted(key)} = {inline(value)}  # end\n" for key, value in values.items())
    assert tomllib.loads(text) == values
    lines = key_lines(text)
    assert set(lines) == set(paths(values))
    assert all(lines[path] >= lines[path[:-1]] for path in lines if len(path) > 1)


@given(st.data())
def test_a_damaged_file_is_read_on(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 5))
    damaged = text[:start] + data.draw(st.text('"[]{}=#,\n ax.\x00', max_size=4)) + text[start + length :]
    parsed = parse(damaged)
    n_lines = damaged.count("\n") + 1
    try:
        whole = tomllib.loads(damaged)
    except tomllib.TOMLDecodeError:
        assert parsed.faults
        assert all(1 <= fault.line <= n_lines and fault.expected for fault in parsed.faults)
        assert len({fault.line for fault in parsed.faults}) == len(parsed.faults)
    else:
        assert (parsed.values, parsed.faults) == (whole, ())
    assert parsed.text.count("\n") + 1 in (n_lines, 1)


@given(st.binary(max_size=60))
def test_any_bytes_are_read(raw: bytes) -> None:
    document = Document("x.toml", raw)
    try:
        tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        assert document.is_partial
    else:
        assert not document.is_partial
    assert document.line(("a", 0, "b")) >= 1


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_one_broken_line_costs_no_other_key(text: str) -> None:
    """Whatever line of a real file gets a second '=', the keys on all other lines are still read."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith(("#", "[", " ", "]")) or " = " not in line or line.endswith(("[", "'''")):
            continue
        key, _, value = line.partition(" = ")
        parsed = parse("\n".join([*lines[:number], f"{key} = = {value}", *lines[number + 1 :]]))
        assert [fault.line for fault in parsed.faults] == [number + 1]
        assert set(key_lines(parsed.text)) == {path for path, at in key_lines(text).items() if at != number + 1}
