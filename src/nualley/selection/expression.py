"""The language of selections: what an expression is made of, and how it is written."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from nualley.core import format_time

OperandKind: TypeAlias = Literal["detector", "type", "run", "time", "settings", "pv"]
CallKind: TypeAlias = Literal["flag", "severity", "tag"]
Order: TypeAlias = Literal["==", "!=", "<=", ">=", "<", ">"]

ORDERS: tuple[Order, ...] = ("==", "!=", "<=", ">=", "<", ">")


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A time as a value.

    Parameters
    ----------
    time_ns : int
        The time [ns since 1970 UTC].
    """

    time_ns: int


Value: TypeAlias = str | int | float | Moment


@dataclass(frozen=True, slots=True)
class Span:
    """Values from one to another: whole numbers with both ends, times without the last.

    Parameters
    ----------
    first, last : Value
        The ends, of one kind.
    """

    first: Value
    last: Value


@dataclass(frozen=True, slots=True)
class Operand:
    """What is compared.

    Parameters
    ----------
    kind : str
        Whose: ``detector``, ``type``, ``run``, ``time``, ``settings`` or ``pv``.
    key : str
        Name of the setting or of the PV; empty for the others.
    """

    kind: OperandKind
    key: str = ""


@dataclass(frozen=True, slots=True)
class Everything:
    """Every moment of every run."""


@dataclass(frozen=True, slots=True)
class Compare:
    """One value beside another.

    Parameters
    ----------
    operand : Operand
        What is compared.
    order : str
        How.
    value : Value
        With what.
    """

    operand: Operand
    order: Order
    value: Value


@dataclass(frozen=True, slots=True)
class Within:
    """A value among several.

    Parameters
    ----------
    operand : Operand
        What is looked for.
    items : tuple of Value or Span
        Among what.
    """

    operand: Operand
    items: tuple[Value | Span, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """Whether a run or a stretch of time bears a word.

    Parameters
    ----------
    kind : str
        ``flag``, ``severity`` (of a flag) or ``tag``.
    word : str
        The word.
    """

    kind: CallKind
    word: str


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary.

    Parameters
    ----------
    part : Node
        Of what.
    """

    part: "Node"


@dataclass(frozen=True, slots=True)
class And:
    """All of several; none of the parts is an And itself.

    Parameters
    ----------
    parts : tuple of Node
        Two or more.
    """

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of several; none of the parts is an Or itself.

    Parameters
    ----------
    parts : tuple of Node
        Two or more.
    """

    parts: tuple["Node", ...]


Node: TypeAlias = Everything | Compare | Within | Call | Not | And | Or


def conjunction(*parts: Node) -> Node:
    """Return what is all of the parts at once."""
    flat = tuple(inner for part in parts for inner in (part.parts if isinstance(part, And) else (part,)))
    return flat[0] if len(flat) == 1 else And(flat)


def disjunction(*parts: Node) -> Node:
    """Return what is any of the parts."""
    flat = tuple(inner for part in parts for inner in (part.parts if isinstance(part, Or) else (part,)))
    return flat[0] if len(flat) == 1 else Or(flat)


def walk(node: Node) -> Iterator[Node]:
    """Go to a node and all that it is made of."""
    yield node
    if isinstance(node, Not):
        yield from walk(node.part)
    elif isinstance(node, And | Or):
        for part in node.parts:
            yield from walk(part)


def operands(node: Node, kind: OperandKind) -> list[str]:
    """Return the keys of all operands of one kind, each once, as they come."""
    found = [part.operand for part in walk(node) if isinstance(part, Compare | Within)]
    return list(dict.fromkeys(operand.key for operand in found if operand.kind == kind))


def words(node: Node, kind: CallKind) -> list[str]:
    """Return the words of all calls of one kind, each once, as they come."""
    return list(dict.fromkeys(part.word for part in walk(node) if isinstance(part, Call) and part.kind == kind))


def texts(node: Node, kind: OperandKind) -> list[str]:
    """Return the texts that an operand of one kind is compared with, each once, as they come."""
    found: list[str] = []
    for part in walk(node):
        if isinstance(part, Compare | Within) and part.operand.kind == kind:
            items = (part.value,) if isinstance(part, Compare) else part.items
            found += [item for item in items if isinstance(item, str)]
    return list(dict.fromkeys(found))


def format_expression(node: Node) -> str:  # noqa: PLR0911  # one answer for each kind of node
    """Write an expression; read again, it is the same.

    Examples
    --------
    >>> format_expression(And((Not(Call("flag", "noise")), Compare(Operand("run"), ">", 10))))
    'not flag("noise") and run > 10'
    """
    match node:
        case Everything():
            return "all"
        case Compare(operand, order, value):
            return f"{_operand(operand)} {order} {_item(value)}"
        case Within(operand, items):
            text = ", ".join(map(_item, items))
            return f"{_operand(operand)} in {text if _is_bare(items) else f'[{text}]'}"
        case Call(kind, word):
            return f"{kind}({_text(word)})"
        case Not(part):
            return f"not {_inside(part)}"
        case And(parts):
            return " and ".join(map(_inside, parts))
        case Or(parts):
            return " or ".join(_inside(part) if isinstance(part, Or) else format_expression(part) for part in parts)


def _is_bare(items: tuple[Value | Span, ...]) -> bool:
    return len(items) == 1 and isinstance(items[0], Span)


def _inside(node: Node) -> str:
    text = format_expression(node)
    return f"({text})" if isinstance(node, And | Or) else text


def _operand(operand: Operand) -> str:
    if operand.kind == "settings":
        return f"settings[{_text(operand.key)}]"
    return f"pv({_text(operand.key)})" if operand.kind == "pv" else operand.kind


def _item(item: Value | Span) -> str:
    if isinstance(item, Span):
        return f"{_item(item.first)}..{_item(item.last)}"
    if isinstance(item, Moment):
        return format_time(item.time_ns)
    return _text(item) if isinstance(item, str) else repr(item)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
