"""Lines of keys in every form that TOML has."""

import pytest

from nualley.config.mistakes import KeyPath
from nualley.config.positions import first_broken_line, key_lines

TEXT = """# a comment
name = "x"
a.b."c d" = 3
'lit eral' = 1
"DEMO:\\u0058" = {}

[t.u]
k = { q = 1, r = [1, { s = 2 }] }

[[drop]]
path = "x"
[[drop]]
path = "y"
sub.key = 1
[drop.deep] # comment
z = 1
many = [
  # first
  { value = 1 },

  { value = 2 },  # second
  3, # third
] # end
text = '''
not = "a key"
'''
after = 1
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 2),
        (("a",), 3),
        (("a", "b", "c d"), 3),
        (("lit eral",), 4),
        (("DEMO:X",), 5),
        (("t",), 7),
        (("t", "u"), 7),
        (("t", "u", "k", "q"), 8),
        (("t", "u", "k", "r", 1, "s"), 8),
        (("drop",), 10),
        (("drop", 0), 10),
        (("drop", 0, "path"), 11),
        (("drop", 1), 12),
        (("drop", 1, "path"), 13),
        (("drop", 1, "sub", "key"), 14),
        (("drop", 1, "deep"), 15),
        (("drop", 1, "deep", "z"), 16),
        (("drop", 1, "deep", "many", 0, "value"), 19),
        (("drop", 1, "deep", "many", 1, "value"), 21),
        (("drop", 1, "deep", "many", 2), 22),
        (("drop", 1, "deep", "after"), 27),
    ],
)
def test_line_of(path: KeyPath, line: int) -> None:
    assert key_lines(TEXT)[path] == line


def test_text_that_looks_like_a_key_is_none() -> None:
    assert ("drop", 1, "deep", "not") not in key_lines(TEXT)


def test_nested_lists_of_tables() -> None:
    lines = key_lines("[[a]]\n[[a.b]]\nx = 1\n[[a.b]]\nx = 2\n[[a]]\n[[a.b]]\nx = 3\n")
    assert [lines["a", i, "b", j, "x"] for i, j in ((0, 0), (0, 1), (1, 0))] == [3, 5, 8]


def test_a_broken_text_has_a_first_broken_line() -> None:
    assert first_broken_line('a = 1\nb = """ open\nc = 2\n') == 2
    assert first_broken_line("a = 1\n") is None


def test_lines_of_an_empty_text() -> None:
    assert key_lines("") == {}
