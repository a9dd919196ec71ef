"""Why stretches are not in a selection."""

from collections.abc import Callable, Sequence

from nualley.catalog import Flag
from nualley.core import IntervalSet
from nualley.selection.differences import Reasons, why_not
from nualley.selection.expression import Node
from nualley.selection.models import Definition, ListedRun, Reason, Resolution
from nualley.selection.parser import parse_expression
from nualley.selection.resolving import Resolver


def explainer(
    resolver: Resolver, other: Definition, found: Resolution
) -> Callable[[ListedRun, IntervalSet | None], tuple[Reasons, Reason]]:
    """Return what says why stretches are not in a selection.

    Parameters
    ----------
    resolver : Resolver
        Runs, flags and PVs at this moment.
    other : Definition
        The selection.
    found : Resolution
        What it selects.

    Returns
    -------
    callable
        Takes a run and stretches of it (None where they are not known); gives when there is which reason, and the
        reason where there is none of these.
    """
    record = Reason(
        kind="record",
        text=f"the record was another one when {other.name} was frozen"
        if other.content
        else "the record and the list are not of the same moment",
    )

    def explain(run: ListedRun, within: IntervalSet | None) -> tuple[Reasons, Reason]:
        if other.imported is not None:
            return (), Reason(kind="list", text=f"not in the list that was read from {other.imported['file']}")
        known = resolver.known.get(run.run_id or "")
        if known is None:
            return (), Reason(kind="unknown-run", text="the catalog does not know the run")
        if known.interval is None or within is None:
            return (), Reason(kind="unknown-run", text=known.reason or "it is not known when its blocks were")
        flags: Sequence[Flag] = found.flags if other.content else resolver.flags
        node: Node = parse_expression(other.expression or "")
        return why_not(resolver.evaluator, node, resolver.facts(known, flags), within), record

    return explain
