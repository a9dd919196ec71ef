"""Values as strict JSON."""

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from nualley.core import UsageError, dump_json, strict_text, to_json


class Word(StrEnum):
    A = "a"


class Number(IntEnum):
    ONE = 1


@dataclass(frozen=True, slots=True)
class Inner:
    value: float
    word: Word = Word.A


@dataclass(frozen=True, slots=True)
class Outer:
    inners: tuple[Inner, ...]
    by_word: Any


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**63 + 1, 2**63 + 1),
        (1.5, 1.5),
        (math.nan, None),
        (-math.inf, None),
        ("é", "é"),
        (Word.A, "a"),
        (Number.ONE, 1),
        (Fraction(1, 4), 0.25),
        (b"VX2740\xff\0", "VX2740\\xff\\x00"),
        (Path("/data/run\udcff"), "/data/run\\xff"),
        ((1, [2, math.nan]), [1, [2, None]]),
        (range(3), [0, 1, 2]),
        (frozenset({"b", "a", "c"}), ["a", "b", "c"]),
        (MappingProxyType({Word.A: 1, 3: 2, "x\0": 3}), {"a": 1, "3": 2, "x\\x00": 3}),
        (Outer((Inner(math.inf),), {Word.A: Inner(1.0)}), {
            "inners": [{"value": None, "word": "a"}], "by_word": {"a": {"value": 1.0, "word": "a"}},
        }),
        (np.array([[1.0, np.nan]]), [[1.0, None]]),
        (np.array(["a"]), ["a"]),
        (np.int64(3), 3),
        (np.float32(np.inf), None),
        (np.longdouble(1.5), 1.5),  # its .tolist() gives it back as it is
        (np.bool_(True), True),
        (np.bytes_(b"a"), "a"),
    ],
)  # fmt: skip
def test_values_as_strict_json_has_them(value: object, expected: object) -> None:
    found = to_json(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"a": [{"b": object()}]}, r"settings\.a\[0\]\.b is a object: .*, expected what JSON can hold"),
        ([1j], r"settings\[0\] is a complex: 1j"),
        (Inner, r"settings is a type"),
        ({1.5: "a"}, r"a key of settings is a float: 1\.5, expected text, a whole number or an enum"),
        (np.array([1j]), r"settings\[0\] is a complex"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_its_name(value: object, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        to_json(value, "settings")


@pytest.mark.parametrize(("text", "expected"), [("a\udcff\0b", "a\\xff\\x00b"), ("\ud800", "\\ud800"), ("é\n", "é\n")])
def test_text_that_every_encoding_holds(text: str, expected: str) -> None:
    assert strict_text(text) == expected
    assert json.loads(dump_json([text]).encode()) == [expected]


def test_numpy_is_not_loaded_to_ask() -> None:
    code = "import sys; from nualley.core import dump_json; dump_json([1, 'a', {2}]); assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
