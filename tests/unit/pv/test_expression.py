"""Expressions over PVs: what they are worth, and what is none."""

import math

import pytest

from nualley.pv import Expression, ExpressionError, input_faults


def worth(text, **values):
    expression = Expression.parse(text)
    return expression.compute({name: float(value) for name, value in {"A": 2, "B": 3, **values}.items()})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A * 1e3 / (B + 1)", 500.0),
        ("-A ** 2", -4.0),
        ("2 ** -A", 0.25),
        ("2 ** A ** B", 256.0),
        ("A - B - 1", -2.0),
        ("7 % A", 1.0),
        ("-7 % B", 2.0),
        ("1 < A < 3", 1.0),
        ("3 > A > 2", 0.0),
        ("A if B > 5 else -B", -3.0),
        ("1 if A > 5 else 2 if A > 1 else 3", 2.0),
        ("not A == 2 or B", 1.0),
        ("A and 0 * B", 0.0),
        ("min(A, B, 1) + max(A, B)", 4.0),
        ("abs(-A) + sqrt(A * 8) + floor(2.7) + ceil(B / 2)", 10.0),
        ("log(exp(A)) + log10(1000 * A / A)", 5.0),
        ("A+B-+1", 4.0),
        (".5*A", 1.0),
    ],
)
def test_it_computes_as_python_does(text, expected):
    assert worth(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    ["A / (B - 3)", "(0 - A) ** 0.5", "sqrt(-A)", "log(0 * A)", "exp(1000 * A)", "1e300 * 1e300 * A", "(-A) ** .5 > 1"],
)
def test_what_has_no_value_is_nan(text):
    assert math.isnan(worth(text))


def test_nan_in_an_input_is_nan_also_where_it_would_not_be_looked_at():
    assert math.isnan(worth("1 if A > 0 else B", B=math.nan))
    assert math.isnan(worth("A > 0 or B > 0", B=math.nan))


def test_a_part_that_does_not_count_is_not_computed():
    assert worth("A / B if B != 0 else -1", B=0) == -1
    assert worth("B != 0 and A / B > 1", B=0) == 0


def test_names_with_other_marks_stand_in_quotes():
    expression = Expression.parse('"LN-AM{RadMon:1}Lvl:Raw-I" - A:B.RVAL + "min" + LAB:P_1')
    assert expression.inputs == ("LN-AM{RadMon:1}Lvl:Raw-I", "A:B.RVAL", "min", "LAB:P_1")
    assert Expression.parse(str(expression)) == expression


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "it ends, expected a number"),
        ("1 + 2", "names no PV"),
        ("A +", "it ends, expected a number"),
        ("A B", "'B' at character 3, expected an operator"),
        ("2A", "'A' at character 2"),
        ("(A", "it ends, expected ')'"),
        ("A)", "')' at character 2"),
        ("LN-AM{RadMon:1}Lvl", "'{' at character 6"),
        ("A if B", "it ends, expected 'else'"),
        ("min(A)", "min of one number"),
        ("sqrt(A, B)", "sqrt of 2 numbers"),
        ("A = 2", "'=' at character 3"),
        ("__import__('os')", "at character 12 belongs to no expression"),
        ("A.b.c", "'.' at character 4"),
        ("A; B", "';' at character 2"),
        ('"A', "'\"' at character 1"),
        ("1e999 * A", "larger than any number"),
        ("A + " * 101 + "A", "more than 100 operations"),
        ("(" * 101 + "A" + ")" * 101, "more than 100 operations"),
        ("-" * 1500 + "A", "more than 100 operations"),
        ("A + 1" + " " * 2000, "2005 characters"),
    ],
)
def test_what_is_none_is_refused_with_its_place(text, what):
    with pytest.raises(ExpressionError) as caught:
        Expression.parse(text)
    assert what in caught.value.what
    assert caught.value.do


def test_inputs_that_are_missing_and_circles_are_found():
    inputs = {"A": ["B", "X"], "B": ["C"], "C": ["A"], "D": ["A"], "E": ["E", "Y"], "F": ["X"]}
    archived = {"X", *"ABCDF"}.__contains__
    assert input_faults("A", inputs, archived).circle == ("A", "B", "C", "A")
    assert input_faults("A", inputs, archived).what == "A is computed from itself: A <- B <- C <- A"
    assert not input_faults("D", inputs, archived)
    assert not input_faults("F", inputs, archived)
    assert input_faults("E", inputs, archived).circle == ("E", "E")
    assert input_faults("E", inputs, archived).missing == ("Y",)
    assert input_faults("E", inputs, archived).what == "Y is not archived, and E is computed from it"
