"""Numbers, times and values as a person reads them."""

import doctest
import math

import pytest

import nualley.web.hub
import nualley.web.pages
import nualley.web.security
from nualley.web import words


@pytest.mark.parametrize("module", [words, nualley.web.hub, nualley.web.pages, nualley.web.security])
def test_examples_in_docstrings_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("write", [words.power, words.pot, words.percent, words.number, words.duration])
def test_what_is_not_known_is_a_dash(write: object) -> None:
    assert write(None) == words.NOTHING  # type: ignore[operator]
    assert write(math.nan) == words.NOTHING  # type: ignore[operator]


def test_nothing_else_is_a_dash() -> None:
    assert (words.count(None), words.size(None), words.moment(None), words.pv_value(None)) == ("–",) * 4
    assert (words.count(0), words.pot(0.0), words.percent(0.0)) == ("0", "0", "0 %")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1.3849999, "1.385"),
        (1.4e-12, "1.4e-12"),
        (math.inf, "inf"),
        (12, "12"),
        (True, "True"),
        ([], "0 values"),
        ([1, 2, math.nan], "3 values, 1 to 2"),
        (["a", "b"], "2 values"),
        ("tab\there\x1b[31m\u202eevil", "tab\\there\\x1b[31m\\u202eevil"),
        ("x" * 500, "x" * 120 + "…"),
    ],
)
def test_values_of_pvs(value: object, written: str) -> None:
    assert words.pv_value(value) == written


def test_a_time_before_1970_can_be_written() -> None:
    assert words.moment(-1) == "1969-12-31 23:59:59"
    assert words.machine_moment(-1) == "1969-12-31T23:59:59.999Z"
