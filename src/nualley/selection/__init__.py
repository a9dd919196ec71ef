"""Selections of runs: expressions resolved to stretches, live time and protons; frozen, compared, exported."""

from nualley.selection.canonical import canonical_json
from nualley.selection.errors import (
    ExpressionError,
    ListUnreadable,
    NotExpressible,
    SelectionInText,
    SelectionNotFound,
)
from nualley.selection.expression import Call, Node, Operand, format_expression
from nualley.selection.formats import ListFormat
from nualley.selection.names import DescribedNames, unknown_names
from nualley.selection.parser import parse_expression
from nualley.selection.settings import SelectionFile

__all__ = [
    "Call",
    "DescribedNames",
    "ExpressionError",
    "ListFormat",
    "ListUnreadable",
    "Node",
    "NotExpressible",
    "Operand",
    "SelectionFile",
    "SelectionInText",
    "SelectionNotFound",
    "canonical_json",
    "format_expression",
    "parse_expression",
    "unknown_names",
]
