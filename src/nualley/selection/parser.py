"""From the text of an expression to what it means: recursive descent, with the place of each mistake."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, cast

from nualley.core import UsageError, nearest, parse_time_ns
from nualley.selection.errors import ExpressionError
from nualley.selection.expression import (
    ORDERS,
    Call,
    CallKind,
    Compare,
    Everything,
    Moment,
    Node,
    Not,
    Operand,
    OperandKind,
    Order,
    Span,
    Value,
    Within,
    conjunction,
    disjunction,
)

LONGEST = 10_000
"""Characters of an expression at most."""

DEEPEST = 60
"""Brackets and ``not`` inside of each other at most."""

_PLAIN: tuple[OperandKind, ...] = ("detector", "type", "run", "time")
_CALLS: tuple[CallKind, ...] = ("flag", "severity", "tag")
_STARTS = (*_PLAIN, "settings", "pv", *_CALLS, "not", "all")
_SEVERITIES = ("good", "caution", "bad")
_LARGEST = 2**63 - 1
_TOKEN = re.compile(
    r"(?P<time>\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?)"
    r'|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>[A-Za-z_][A-Za-z0-9_-]*)'
    r"|(?P<sign>==|!=|<=|>=|<|>|\.\.|[()\[\],])",
    re.ASCII,
)
# which values an operand may be compared with, in words
_FITTING: dict[OperandKind, tuple[tuple[type, ...], str]] = {
    "detector": ((str,), 'a text, such as "cenns-10"'),
    "type": ((str,), 'a text, such as "physics"'),
    "run": ((int,), "a whole number, such as 42"),
    "time": ((Moment,), "a time with its zone, such as 2026-01-01T00:00:00Z"),
    "settings": ((int, float, str), "a number or a text"),
    "pv": ((int, float, str), "a number or a text"),
}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def parse_expression(text: str) -> Node:
    """Read an expression.

    Parameters
    ----------
    text : str
        Such as ``detector == "cenns-10" and not flag("beam-trip")``; the grammar is in docs/reference/selections.md.

    Returns
    -------
    Node
        What it means.

    Raises
    ------
    ExpressionError
        Where it cannot be understood; with the position, and the nearest word.

    Examples
    --------
    >>> parse_expression('run in 10..50')
    Within(operand=Operand(kind='run', key=''), items=(Span(first=10, last=50),))
    """
    if len(text) > LONGEST:
        raise ExpressionError(
            f"an expression of {len(text)} characters, expected at most {LONGEST}",
            where="the whole of it",
            do="make several selections, or import a list",
            position=LONGEST,
        )
    return _Parser(text).whole()


class _Parser:
    """One text, and how far it is read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._tokenize()
        self._index = 0
        self._depth = 0

    # -------------------------------------------------------------- words
    def _tokenize(self) -> list[_Token]:
        found: list[_Token] = []
        position = 0
        while position < len(self._text):
            if self._text[position].isspace():
                position += 1
                continue
            match = _TOKEN.match(self._text, position)
            if match is None:
                self._refuse_character(position)
            found.append(_Token(cast("str", match.lastgroup), match[0], position))
            position = match.end()
        return [*found, _Token("end", "", len(self._text))]

    def _refuse_character(self, position: int) -> NoReturn:
        character = self._text[position]
        advice = {"'": 'put text into double quotes: "..."', '"': 'close the text with "', "=": "write == to compare"}
        advice |= {"&": "write and", "|": "write or", "!": "write not, or != to compare"}
        self._fail(f"{character!r} begins nothing", position, advice.get(character, "take it away"))

    @property
    def _token(self) -> _Token:
        return self._tokens[self._index]

    def _next(self) -> _Token:
        token = self._token
        self._index += token.kind != "end"
        return token

    def _takes(self, text: str) -> bool:
        is_there = self._token.text == text and self._token.kind in ("word", "sign")
        self._index += is_there
        return is_there

    def _needs(self, text: str, why: str) -> None:
        if not self._takes(text):
            self._fail(f"{self._shown()}, expected {text} {why}", self._token.position, f"write {text} here")

    def _shown(self) -> str:
        return repr(self._token.text) if self._token.text else "the expression ends"

    def _fail(self, what: str, position: int, do: str) -> NoReturn:
        before = self._text[:position]
        line, column = before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1
        place = f"line {line}, column {column}" if "\n" in self._text.strip() else f"column {column}"
        rest = self._text[position : position + 24].partition("\n")[0]
        where = f"{place}, at {rest!r}" if rest else f"{place}, at the end"
        raise ExpressionError(what, where=where, do=do, position=position)

    # -------------------------------------------------------------- grammar
    def whole(self) -> Node:
        node = self._or()
        if self._token.kind != "end":
            near = nearest(self._token.text, ("and", "or")) if self._token.kind == "word" else ""
            hint = f"did you mean '{near}'? " if near else ""
            self._fail(
                f"{self._shown()} follows what is complete", self._token.position, f"{hint}join parts by and, or"
            )
        return node

    def _or(self) -> Node:
        parts = [self._and()]
        while self._takes("or"):
            parts.append(self._and())
        return disjunction(*parts)

    def _and(self) -> Node:
        parts = [self._not()]
        while self._takes("and"):
            parts.append(self._not())
        return conjunction(*parts)

    def _not(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(f"more than {DEEPEST} brackets and nots inside of each other", self._token.position, "simplify")
        if self._takes("not"):
            found: Node = Not(self._not())
        elif self._takes("("):
            found = self._or()
            self._needs(")", "that closes the bracket")
        else:
            found = self._condition()
        self._depth -= 1
        return found

    def _condition(self) -> Node:
        token = self._next()
        if token.kind != "word" or token.text not in _STARTS or token.text == "not":
            self._index -= token.kind != "end"
            near = nearest(token.text, _STARTS) if token.text else ""
            hint = f"did you mean '{near}'? " if near else ""
            self._fail(
                f"{self._shown()}, expected a condition", token.position, f"{hint}a condition begins with {_list()}"
            )
        if token.text == "all":
            return Everything()
        if token.text in _CALLS:
            return self._call(token.text)
        return self._comparison(self._operand(cast("OperandKind", token.text)))

    def _call(self, kind: CallKind) -> Node:
        self._needs("(", f"and a text behind {kind}")
        position = self._token.position
        word = self._text_value(f"{kind}(...) takes")
        if kind == "severity" and word not in _SEVERITIES:
            near = nearest(word, _SEVERITIES)
            self._fail(
                f"{word!r} is no severity of a flag",
                position,
                (f"did you mean '{near}'? " if near else "") + f"one of {', '.join(_SEVERITIES)}",
            )
        self._needs(")", f"behind the text of {kind}")
        return Call(kind, word)

    def _operand(self, kind: OperandKind) -> Operand:
        if kind in _PLAIN:
            return Operand(kind)
        begin, end = ("[", "]") if kind == "settings" else ("(", ")")
        self._needs(begin, f"and a text behind {kind}")
        key = self._text_value(f"{kind}{begin}...{end} takes")
        self._needs(end, f"behind the name in {kind}")
        return Operand(kind, key)

    def _text_value(self, who: str) -> str:
        if self._token.kind != "text":
            self._fail(f"{self._shown()}, {who} a text", self._token.position, 'put it into double quotes: "..."')
        position = self._token.position
        text = self._literal(self._next())
        if not text:
            self._fail(f"an empty text, {who} some", position, "write its name")
        return str(text)

    def _comparison(self, operand: Operand) -> Node:
        if self._takes("in"):
            return Within(operand, tuple(self._items(operand)))
        token = self._token
        if token.text not in ORDERS:
            near = "did you mean 'in'? " if token.text.lower() in ("is", "within", "inside") else ""
            expected = f"expected one of {', '.join(ORDERS)} or in behind {operand.kind}"
            self._fail(f"{self._shown()}, {expected}", token.position, f"{near}compare {operand.kind} with something")
        order = cast("Order", self._next().text)
        position = self._token.position
        value = self._value(operand)
        if order not in ("==", "!=") and isinstance(value, str):
            self._fail(f"{order} compares numbers and times, found a text", position, "write == or !=")
        return Compare(operand, order, value)

    def _items(self, operand: Operand) -> Sequence[Value | Span]:
        if not self._takes("["):
            position = self._token.position
            only = self._item(operand)
            if not isinstance(only, Span):
                self._fail("in needs several values", position, "write 10..50 or [10, 12, 20..30], else ==")
            return [only]
        items = [self._item(operand)]
        while self._takes(","):
            items.append(self._item(operand))
        self._needs("]", "that closes the list")
        return items

    def _item(self, operand: Operand) -> Value | Span:
        position = self._token.position
        first = self._value(operand)
        if not self._takes(".."):
            if isinstance(first, Moment):
                self._fail("time in ... needs a stretch", position, "write 2026-01-01..2026-02-01")
            return first
        last = self._value(operand)
        if isinstance(first, str) or isinstance(last, str):
            self._fail("a text has no range", position, 'list the texts: ["a", "b"]')
        if last < first:  # type: ignore[operator]  # both are numbers, or both are times
            self._fail("a range that ends before it begins", position, "exchange its ends")
        return Span(first, last)

    def _value(self, operand: Operand) -> Value:
        token = self._next()
        kinds, expected = _FITTING[operand.kind]
        if token.kind not in ("text", "number", "time"):
            self._index -= token.kind != "end"
            self._fail(f"{self._shown()}, {operand.kind} is compared with {expected}", token.position, "write a value")
        value = self._literal(token)
        if not isinstance(value, kinds):
            self._fail(f"{token.text} beside {operand.kind}", token.position, f"compare it with {expected}")
        return value

    def _literal(self, token: _Token) -> Value:
        try:
            if token.kind == "time":
                return Moment(parse_time_ns(token.text, 0))
            return str(json.loads(token.text)) if token.kind == "text" else _number(token.text)
        except UsageError as error:
            self._fail(error.what, token.position, error.do)
        except ValueError:
            self._fail(f"{token.text} cannot be read", token.position, r'write \\ for \, and \" for " inside of text')


def _number(text: str) -> int | float:
    number = int(text) if text.lstrip("-").isdigit() else float(text)
    if not math.isfinite(number) or (isinstance(number, int) and abs(number) > _LARGEST):
        raise UsageError(f"{text} is too large", do="write a smaller number")
    return number


def _list() -> str:
    return ", ".join(_STARTS[:-1]) + " or all"
