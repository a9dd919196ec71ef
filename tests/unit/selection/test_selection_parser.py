"""The language of selections: what it means, and where it says that it does not understand."""

import pytest

from nualley.core import parse_time_ns
from nualley.selection import (
    Call,
    ExpressionError,
    Operand,
    format_expression,
    parse_expression,
)
from nualley.selection.expression import And, Compare, Everything, Moment, Not, Or, Span, Within, operands, texts, words

NEW_YEAR = Moment(parse_time_ns("2026-01-01", 0))
HALF_A_SECOND = Span(NEW_YEAR, Moment(NEW_YEAR.time_ns + 500_000_000))


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("all", Everything()),
        ('detector == "cenns-10"', Compare(Operand("detector"), "==", "cenns-10")),
        ("run in 10..50", Within(Operand("run"), (Span(10, 50),))),
        ("run in [1, 5..7]", Within(Operand("run"), (1, Span(5, 7)))),
        ('type in ["physics", "test"]', Within(Operand("type"), ("physics", "test"))),
        ('settings["BOARD0.RECORD_LENGTH"] == 2000', Compare(Operand("settings", "BOARD0.RECORD_LENGTH"), "==", 2000)),
        ('pv("DEMO:BEAM:POWER") > 0.5', Compare(Operand("pv", "DEMO:BEAM:POWER"), ">", 0.5)),
        ('pv("A:B") > -1.5e-3', Compare(Operand("pv", "A:B"), ">", -1.5e-3)),
        ('pv("A:STATE") == "On \\"1\\""', Compare(Operand("pv", "A:STATE"), "==", 'On "1"')),
        ("time >= 2026-01-01T00:00:00Z", Compare(Operand("time"), ">=", NEW_YEAR)),
        ("time >= 2025-12-31T19:00:00-05:00", Compare(Operand("time"), ">=", NEW_YEAR)),
        ("time in 2026-01-01..2026-01-01T00:00:00.5Z", Within(Operand("time"), (HALF_A_SECOND,))),
        ('not flag("noise")', Not(Call("flag", "noise"))),
        ('severity("bad") or tag("x")', Or((Call("severity", "bad"), Call("tag", "x")))),
        # not binds tighter than and, and than or
        ("not all and all or all", Or((And((Not(Everything()), Everything())), Everything()))),
        ("not (all and (all or all))\n", Not(And((Everything(), Or((Everything(), Everything())))))),
        ("(all and all) and all", And((Everything(),) * 3)),
    ],
)  # fmt: skip
def test_an_expression_means_what_it_says(text, node):
    assert parse_expression(text) == node
    assert parse_expression(format_expression(node)) == node


@pytest.mark.parametrize(
    ("text", "position", "what", "do"),
    [
        ("", 0, "the expression ends, expected a condition", "a condition begins with"),
        ('detektor == "x"', 0, "'detektor', expected a condition", "did you mean 'detector'?"),
        ('flags("x")', 0, "'flags', expected a condition", "did you mean 'flag'?"),
        ('detector = "x"', 9, "'=' begins nothing", "write == to compare"),
        ("detector == 'x'", 12, "\"'\" begins nothing", "double quotes"),
        ('detector == "x', 12, "'\"' begins nothing", "close the text"),
        ("run == 1 && all", 9, "'&' begins nothing", "write and"),
        ("run == 1 anb all", 9, "'anb' follows what is complete", "did you mean 'and'?"),
        ("(run == 1", 9, "the expression ends, expected ) that closes", "write ) here"),
        ("run == 1)", 8, "')' follows what is complete", "join parts"),
        ('run == "1"', 7, '"1" beside run', "a whole number"),
        ("run == 1.5", 7, "1.5 beside run", "a whole number"),
        ("detector == 1", 12, "1 beside detector", 'such as "cenns-10"'),
        ("time > 5", 7, "5 beside time", "a time with its zone"),
        ("time > 2026-01-01T00:00:00", 7, "has no time zone", "add Z for UTC"),
        ("time > 2026-13-01", 7, "is not a time", "write ISO 8601"),
        ("time in [2026-01-01]", 9, "time in ... needs a stretch", "write 2026-01-01..2026-02-01"),
        ("run in 5", 7, "in needs several values", "write 10..50"),
        ("run in 50..10", 7, "a range that ends before it begins", "exchange its ends"),
        ('type in ["a".."b"]', 9, "a text has no range", "list the texts"),
        ('type > "a"', 7, "> compares numbers and times, found a text", "write == or !="),
        ("run is 5", 4, "'is', expected one of ==", "did you mean 'in'?"),
        ("flag(noise)", 5, "'noise', flag(...) takes a text", "double quotes"),
        ('flag("")', 5, "an empty text", "write its name"),
        ('severity("bat")', 9, "'bat' is no severity", "did you mean 'bad'?"),
        ('pv("A") >', 9, "the expression ends, pv is compared with a number", "write a value"),
        ('pv["A"] > 1', 2, "'[', expected ( and a text behind pv", "write ( here"),
        ("run == 99999999999999999999", 7, "is too large", "smaller number"),
        ('pv("A") > 1e999', 10, "is too large", "smaller number"),
        ('tag("a\\q")', 4, "cannot be read", "inside of text"),
        ("not " * 61 + "all", 240, "more than 60 brackets and nots", "simplify"),
        ("(" * 10_001, 10_000, "expected at most 10000", "several selections"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_the_nearest_word(text, position, what, do):
    with pytest.raises(ExpressionError) as found:
        parse_expression(text)
    assert what in found.value.what
    assert do in found.value.do
    assert found.value.position == position


def test_the_place_is_a_column_and_in_long_texts_a_line():
    with pytest.raises(ExpressionError, match="where: column 10, at 'anb all'"):
        parse_expression("run == 1 anb all")
    with pytest.raises(ExpressionError, match="where: line 2, column 5, at 'flagx"):
        parse_expression('run == 1\nand flagx("x")')
    with pytest.raises(ExpressionError, match="where: column 8, at the end"):
        parse_expression("run == ")


def test_what_an_expression_names():
    node = parse_expression(
        'detector in ["a", "b"] and (flag("x") or not flag("y")) and pv("P") > 1 and pv("P") < 2 and severity("bad")'
    )
    assert texts(node, "detector") == ["a", "b"]
    assert words(node, "flag") == ["x", "y"]
    assert operands(node, "pv") == ["P"]
