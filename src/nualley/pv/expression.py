"""Expressions over PVs: numbers, names, and a short list of what may be done with them."""

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from nualley.pv.errors import ExpressionError

LONGEST = 2000
"""An expression has at most so many characters."""

DEEPEST = 100
"""Parentheses and operations stand in each other at most so deep."""

Values: TypeAlias = Mapping[str, float]
Compute: TypeAlias = Callable[[Values], float]

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | "(?P<quoted>[^"]+)"
    | (?P<word>[A-Za-z_][A-Za-z0-9_:]*(?:\.[A-Za-z][A-Za-z0-9_]*)?)
    | (?P<sign>\*\*|<=|>=|==|!=|[-+*/%(),<>])
    )""",
    re.VERBOSE | re.ASCII,
)
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}
_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
    "**": operator.pow,
}
_FUNCTIONS: Mapping[str, tuple[Callable[..., float], bool]] = {
    # and whether they take several
    "min": (min, True),
    "max": (max, True),
    "abs": (abs, False),
    "sqrt": (math.sqrt, False),
    "exp": (math.exp, False),
    "log": (math.log, False),
    "log10": (math.log10, False),
    "floor": (math.floor, False),
    "ceil": (math.ceil, False),
}
_WORDS = frozenset({"and", "or", "not", "if", "else", *_FUNCTIONS})
# how closely they bind, as in Python
_IF, _NOT, _COMPARE, _UNARY, _POWER = 1, 4, 5, 8, 9
_BINDS: Mapping[str, int] = {
    "if": _IF,
    "or": 2,
    "and": 3,
    **dict.fromkeys(_COMPARISONS, _COMPARE),
    "+": 6,
    "-": 6,
    "*": 7,
    "/": 7,
    "%": 7,
    "**": _POWER,
}
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_:]*(?:\.[A-Za-z][A-Za-z0-9_]*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression.

    Parameters
    ----------
    kind : str
        ``number``, ``name``, or what is done with the parts: a sign, a word, a function, ``negative``.
    parts : tuple of Node
        With what.
    value : float
        Of a number.
    name : str
        Of a PV.
    depth : int
        How deep its parts stand in each other.
    """

    kind: str
    parts: "tuple[Node, ...]" = ()
    value: float = 0.0
    name: str = ""
    depth: int = 0

    def __str__(self) -> str:
        if self.kind == "number":
            return repr(self.value)
        if self.kind == "name":
            is_bare = _BARE.fullmatch(self.name) is not None and self.name not in _WORDS
            return self.name if is_bare else f'"{self.name}"'
        parts = [str(part) for part in self.parts]
        if self.kind in _FUNCTIONS:
            return f"{self.kind}({', '.join(parts)})"
        if self.kind == "if":
            return f"({parts[0]} if {parts[1]} else {parts[2]})"
        if len(parts) == 1:
            return f"({'-' if self.kind == 'negative' else f'{self.kind} '}{parts[0]})"
        return f"({parts[0]} {self.kind} {parts[1]})"


@dataclass(frozen=True, slots=True)
class Expression:
    """What a PV is computed by.

    Parameters
    ----------
    root : Node
        The whole.
    inputs : tuple of str
        PVs in it, each once, in their order.

    Notes
    -----
    Numbers, ``+ - * / % **``, comparisons, ``and or not``, ``a if b else c``, parentheses, and min, max, abs, sqrt,
    exp, log, log10, floor, ceil. They bind as in Python; all is float64, and what is true is 1. A name of letters,
    digits, ``_`` and ``:``, with at most one ``.FIELD``, stands as it is; any other stands in double quotes.

    Examples
    --------
    >>> power = Expression.parse('BEAM:POWER * 1e3 / ("LN-AM{RadMon:1}Lvl" + 1)')
    >>> power.inputs
    ('BEAM:POWER', 'LN-AM{RadMon:1}Lvl')
    >>> power.compute({"BEAM:POWER": 1.4, "LN-AM{RadMon:1}Lvl": 1.0})
    700.0
    """

    root: Node
    inputs: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Expression":
        """Return the expression of a text.

        Raises
        ------
        ExpressionError
            Where it is none.
        """
        if len(text) > LONGEST:
            raise ExpressionError(
                f"{len(text)} characters", do=f"write at most {LONGEST}; name a part as a PV of its own"
            )
        reader = _Reader(text)
        root = reader.whole()
        inputs = tuple(dict.fromkeys(_names(root)))
        if not inputs:
            raise ExpressionError(f"{text!r:.80} names no PV", do='write such as "LAB:P1 - LAB:P2"')
        return cls(root, inputs)

    def compute(self, values: Values) -> float:
        """Return its value; NaN where there is none.

        Parameters
        ----------
        values : mapping of str to float
            Those of its inputs.
        """
        if any(math.isnan(values[name]) for name in self.inputs):  # NaN > 0 is no answer
            return math.nan
        try:
            found = _value(self.root, values)
            return float(found) if math.isfinite(found) else math.nan
        except (ArithmeticError, ValueError, TypeError):  # 1 / 0, the root of -1 and what is done with it
            return math.nan

    def __str__(self) -> str:
        text = str(self.root)
        return text[1:-1] if text.startswith("(") else text


@dataclass(frozen=True, slots=True)
class InputFaults:
    """Why a PV cannot be computed from others; false where it can.

    Parameters
    ----------
    pv : str
        The PV.
    missing : tuple of str
        Its inputs that are not archived.
    circle : tuple of str
        How it is computed from itself: from the PV to the PV; empty where it is not.
    """

    pv: str
    missing: tuple[str, ...]
    circle: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.circle)

    @property
    def what(self) -> str:
        """The first of them in words."""
        if self.missing:
            return f"{self.missing[0]} is not archived, and {self.pv} is computed from it"
        return f"{self.pv} is computed from itself: {' <- '.join(self.circle)}"


def input_faults(pv: str, inputs_by_pv: Mapping[str, Sequence[str]], is_archived: Callable[[str], bool]) -> InputFaults:
    """Say whether a PV can be computed: its inputs are archived, and none of them is computed from it.

    Parameters
    ----------
    pv : str
        The PV.
    inputs_by_pv : mapping of str to sequence of str
        What each computed PV is computed from, this one too.
    is_archived : callable
        Says whether a PV is archived; of the PV itself it is not asked.

    Examples
    --------
    >>> input_faults("A", {"A": ["B", "C"]}, {"C"}.__contains__).what
    'B is not archived, and A is computed from it'
    """
    missing = tuple(name for name in inputs_by_pv[pv] if name != pv and not is_archived(name))
    return InputFaults(pv, missing, _circle(pv, inputs_by_pv))


def _circle(pv: str, inputs_by_pv: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    ways: list[tuple[str, ...]] = [(pv,)]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for name in inputs_by_pv.get(way[-1], ()):
            if name == pv:
                return (*way, pv)
            if name not in seen:
                seen.add(name)
                ways.append((*way, name))
    return ()


def _names(node: Node) -> Iterator[str]:
    if node.kind == "name":
        yield node.name
    for part in node.parts:
        yield from _names(part)


def _value(node: Node, values: Values) -> float:
    if node.kind == "number":
        return node.value
    if node.kind == "name":
        return values[node.name]
    return _OPERATIONS[node.kind](node.parts, values)


def _arithmetic(function: Callable[[float, float], float]) -> Callable[[tuple[Node, ...], Values], float]:
    return lambda parts, values: function(_value(parts[0], values), _value(parts[1], values))


def _function(function: Callable[..., float]) -> Callable[[tuple[Node, ...], Values], float]:
    return lambda parts, values: function(*(_value(part, values) for part in parts))


def _choice(parts: tuple[Node, ...], values: Values) -> float:
    return _value(parts[0] if _value(parts[1], values) else parts[2], values)


_OPERATIONS: Mapping[str, Callable[[tuple[Node, ...], Values], float]] = {
    **{sign: _arithmetic(function) for sign, function in {**_ARITHMETIC, **_COMPARISONS}.items()},
    **{name: _function(function) for name, (function, _) in _FUNCTIONS.items()},
    "negative": lambda parts, values: -_value(parts[0], values),
    "not": lambda parts, values: not _value(parts[0], values),
    # the second part counts only where it has to: B != 0 and A / B > 1
    "and": lambda parts, values: bool(_value(parts[0], values) and _value(parts[1], values)),
    "or": lambda parts, values: bool(_value(parts[0], values) or _value(parts[1], values)),
    "if": _choice,
}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    place: int


def _tokens(text: str) -> Iterator[_Token]:
    end, stop = 0, len(text.rstrip())
    while end < stop:
        found = _TOKEN.match(text, end)
        if found is None:
            place = end + len(text[end:]) - len(text[end:].lstrip())
            raise ExpressionError(
                f"{text[place]!r} at character {place + 1} belongs to no expression",
                do="write numbers, + - * / % **, comparisons, functions, and names with other marks in double quotes",
            )
        kind = str(found.lastgroup)
        yield _Token(kind, found[kind], found.start(kind))
        end = found.end()
    yield _Token("end", "", stop)


class _Reader:
    """Reads an expression from left to right, by how closely things bind."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        found = self._expression(0)
        if self._next.kind != "end":
            raise self._unexpected("an operator or the end")
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _is(self, text: str) -> bool:
        return self._next.text == text and self._next.kind in {"sign", "word"}

    def _expect(self, text: str) -> None:
        if not self._is(text):
            raise self._unexpected(repr(text))
        self._at += 1

    def _unexpected(self, expected: str) -> ExpressionError:
        token = self._next
        found = f"{token.text!r:.40} at character {token.place + 1}" if token.kind != "end" else "it ends"
        hint = "write a name with - + / < > [ ] { } in double quotes"
        return ExpressionError(f"{found}, expected {expected}", do=hint)

    def _expression(self, binds: int) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _too_deep()
        left = self._first()
        while self._next.kind in {"sign", "word"} and _BINDS.get(self._next.text, -1) >= max(binds, 1):
            left = self._joined(left)
        self._depth -= 1
        return left

    def _joined(self, left: Node) -> Node:
        sign = self._next.text
        self._at += 1
        if sign == "if":
            condition = self._expression(_IF + 1)
            self._expect("else")
            return _node("if", left, condition, self._expression(_IF))
        if sign in _COMPARISONS:
            return self._compared(left, sign)
        # a ** b ** c is a ** (b ** c), and its right side may have a sign
        right = self._expression(_UNARY if sign == "**" else _BINDS[sign] + 1)
        return _node(sign, left, right)

    def _compared(self, left: Node, sign: str) -> Node:
        right = self._expression(_COMPARE + 1)
        found = _node(sign, left, right)
        while self._next.text in _COMPARISONS and self._next.kind == "sign":  # 0 < A < 5
            sign, left = self._next.text, right
            self._at += 1
            right = self._expression(_COMPARE + 1)
            found = _node("and", found, _node(sign, left, right))
        return found

    def _first(self) -> Node:
        token = self._next
        if token.kind == "number":
            self._at += 1
            return self._number(token)
        if token.kind == "quoted" or (token.kind == "word" and token.text not in _WORDS):
            self._at += 1
            return Node("name", name=token.text)
        if token.text in _FUNCTIONS:
            return self._call(token.text)
        if token.text in {"-", "+", "not"}:
            self._at += 1
            inner = self._expression(_NOT if token.text == "not" else _UNARY)
            return inner if token.text == "+" else _node("negative" if token.text == "-" else "not", inner)
        self._expect_operand()
        found = self._expression(0)
        self._expect(")")
        return found

    def _expect_operand(self) -> None:
        if not self._is("("):
            raise self._unexpected("a number, a name or (")
        self._at += 1

    def _number(self, token: _Token) -> Node:
        value = float(token.text)
        if not math.isfinite(value):
            raise ExpressionError(f"{token.text!r:.40} is larger than any number", do="write a smaller one")
        return Node("number", value=value)

    def _call(self, name: str) -> Node:
        self._at += 1
        self._expect("(")
        parts = [self._expression(0)]
        while self._is(","):
            self._at += 1
            parts.append(self._expression(0))
        self._expect(")")
        if not _FUNCTIONS[name][1] and len(parts) != 1:
            raise ExpressionError(f"{name} of {len(parts)} numbers", do=f"{name} takes one")
        if _FUNCTIONS[name][1] and len(parts) < 2:
            raise ExpressionError(f"{name} of one number", do=f"{name} takes two or more")
        return _node(name, *parts)


def _node(kind: str, *parts: Node) -> Node:
    depth = 1 + max(part.depth for part in parts)
    if depth > DEEPEST:
        raise _too_deep()
    return Node(kind, parts, depth=depth)


def _too_deep() -> ExpressionError:
    return ExpressionError(
        f"more than {DEEPEST} operations in each other", do="name a part of it as a computed PV of its own"
    )
