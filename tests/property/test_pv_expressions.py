"""Expressions over PVs: written and read again they are the same, and no text gives any error but theirs."""

import math

from hypothesis import given
from hypothesis import strategies as st

from nualley.pv import Expression, ExpressionError
from nualley.pv.expression import Node

NAMES = ("A", "LAB:P_1", "A:B.VAL", "LN-AM{RadMon:1}Lvl:Raw-I", "min", "if", "2ND")

leaves = st.one_of(
    st.sampled_from(NAMES).map(lambda name: Node("name", name=name)),
    st.floats(min_value=0, max_value=1e300).map(lambda value: Node("number", value=value)),
)
binary = ("+", "-", "*", "/", "%", "**", "<", "<=", "==", "!=", ">=", ">", "and", "or", "min", "max")
unary = ("negative", "not", "abs", "sqrt", "exp", "log", "log10", "floor", "ceil")


def node(kind, *parts):
    return Node(kind, parts, depth=1 + max(part.depth for part in parts))


nodes = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(binary), inner, inner).map(lambda found: node(*found)),
        st.tuples(st.sampled_from(unary), inner).map(lambda found: node(*found)),
        st.tuples(inner, inner, inner).map(lambda found: node("if", *found)),
    ),
    max_leaves=20,
)


@given(nodes, st.lists(st.floats(), min_size=len(NAMES), max_size=len(NAMES)))
def test_an_expression_is_the_same_when_it_is_read_again_and_is_worth_a_number_or_nan(root, values):
    text = f"{root} + A"
    expression = Expression.parse(text)
    assert expression.root.parts[0] == root
    assert Expression.parse(str(expression)) == expression
    found = expression.compute(dict(zip(NAMES, values, strict=True)))
    assert isinstance(found, float)
    assert math.isfinite(found) or math.isnan(found)


pieces = st.one_of(
    st.sampled_from([*NAMES, "(", ")", ",", '"', "and", "not", "else", "sqrt", "1e3", *binary]), st.text(max_size=3)
)


@given(st.one_of(st.text(max_size=200), st.lists(pieces, max_size=40).map(" ".join), st.lists(pieces).map("".join)))
def test_any_text_is_an_expression_or_refused_as_none(text):
    try:
        expression = Expression.parse(text)
    except ExpressionError:
        return
    assert expression.inputs
    assert Expression.parse(str(expression)).inputs
