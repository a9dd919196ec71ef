"""In what two selections differ, and why."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from nualley.catalog import Flag
from nualley.core import Interval, IntervalSet
from nualley.selection.evaluation import Evaluator, RunFacts, is_of_run, stretch_of
from nualley.selection.expression import And, Call, Node, Not, format_expression, walk
from nualley.selection.models import Blocks, ListedRun, Piece, Reason, SelectedRun

Key = tuple[str, int, str]
Reasons = Sequence[tuple[IntervalSet, Reason]]


def key_of(run: ListedRun) -> Key:
    """Return what makes two listed runs the same."""
    return (run.detector or "", run.number, run.period)


def why_not(evaluator: Evaluator, node: Node, run: RunFacts, within: IntervalSet) -> list[tuple[IntervalSet, Reason]]:
    """Return which parts of an expression keep stretches of a run out.

    Parameters
    ----------
    evaluator : Evaluator
        Says when a part holds.
    node : Node
        The expression.
    run : RunFacts
        The run.
    within : IntervalSet
        The stretches.

    Returns
    -------
    list of tuple of IntervalSet and Reason
        They may overlap: several parts may keep the same stretch out. Empty where the expression holds.
    """
    if isinstance(node, And):
        return [found for part in node.parts for found in why_not(evaluator, part, run, within)]
    truth = evaluator.truth(node, run, within)
    text = format_expression(node)
    found: list[tuple[IntervalSet, Reason]] = []
    for kind, stretch in (("condition", truth.false), ("undecided", truth.unknown(within))):
        rest = stretch
        # a flag keeps out what it lies on; what is left has another cause
        for flag in _flags(evaluator, node, run, stretch) if isinstance(node, Not) else ():
            lies = _lies(flag, run) & stretch
            found.append((lies, Reason(kind="flag", text=text, flags=(flag,))))
            rest = rest - lies
        if rest:
            found.append((rest, Reason(kind=kind, text=text)))
    return found


def _flags(evaluator: Evaluator, node: Node, run: RunFacts, stretch: IntervalSet) -> list[Flag]:
    calls = [part for part in walk(node) if isinstance(part, Call) and part.kind != "tag"]
    meant = [flag for flag in run.flags if any(evaluator.bears(call, flag) for call in calls)]
    return [flag for flag in meant if _lies(flag, run) & stretch]


def _lies(flag: Flag, run: RunFacts) -> IntervalSet:
    if is_of_run(flag, run.number):
        return run.within
    timed = stretch_of(flag)
    return IntervalSet() if timed is None else IntervalSet((timed,))


def pieces_of(run: ListedRun, within: IntervalSet, reasons: Reasons, otherwise: Reason) -> list[Piece]:
    """Cut stretches so that each piece has one set of reasons.

    Parameters
    ----------
    run : ListedRun
        The run.
    within : IntervalSet
        The stretches.
    reasons : sequence of tuple of IntervalSet and Reason
        When there is which reason.
    otherwise : Reason
        Why, where there is none of them.

    Returns
    -------
    list of Piece
        Disjoint; together the stretches.
    """
    edges = {edge for stretch in (within, *(found for found, _ in reasons)) for each in stretch for edge in _ends(each)}
    ordered = sorted(edges)
    by_reasons: dict[tuple[Reason, ...], list[Interval]] = {}
    for start_ns, stop_ns in pairwise(ordered):
        piece = Interval(start_ns, stop_ns)
        if not IntervalSet((piece,)) & within:
            continue
        there = tuple(reason for stretch, reason in reasons if IntervalSet((piece,)) & stretch)
        by_reasons.setdefault(there or (otherwise,), []).append(piece)
    return [Piece(run=run, intervals=IntervalSet(found), reasons=why) for why, found in by_reasons.items()]


def _ends(interval: Interval) -> tuple[int, int]:
    return interval.start_ns, interval.stop_ns


def only_in(
    mine: Sequence[SelectedRun],
    theirs: Sequence[SelectedRun],
    explain: Callable[[ListedRun, IntervalSet | None], tuple[Reasons, Reason]],
) -> list[Piece]:
    """Return what is in one selection and not in the other.

    Parameters
    ----------
    mine, theirs : sequence of SelectedRun
        The one, and the other.
    explain : callable
        Takes a run and stretches of it (None where they are not known), and gives the reasons why they are not in the
        other selection, and the reason where there is none of these.

    Returns
    -------
    list of Piece
        By run; without amounts.
    """
    others: Mapping[Key, SelectedRun] = {key_of(run.listed): run for run in theirs}
    found: list[Piece] = []
    for run in mine:
        other = others.get(key_of(run.listed))
        if run.intervals is not None and (other is None or other.intervals is not None):
            left = run.intervals - (other.intervals or IntervalSet() if other else IntervalSet())
            if left:
                found += pieces_of(run.listed, left, *explain(run.listed, left))
        elif (blocks := _blocks_left(run, other)) != ():
            reasons, otherwise = explain(run.listed, None)
            why = tuple(reason for _, reason in reasons) or (otherwise,)
            found.append(Piece(run=run.listed, intervals=run.intervals, blocks=blocks, reasons=why))
    return found


def _blocks_left(run: SelectedRun, other: SelectedRun | None) -> Blocks | None:
    """Return the blocks that the other one lacks: none where it lacks nothing, None where all of the run is meant."""
    if other is None:
        return run.listed.blocks
    if run.intervals == other.intervals and run.listed.blocks == other.listed.blocks:
        return ()
    if run.listed.blocks is None or other.listed.blocks is None:
        return run.listed.blocks if other.listed.blocks is not None or run.intervals != other.intervals else ()
    left = _as_set(run.listed.blocks) - _as_set(other.listed.blocks)
    return tuple((each.start_ns, each.stop_ns - 1) for each in left)


def _as_set(blocks: Blocks) -> IntervalSet:
    # whole numbers have the same algebra as nanoseconds
    return IntervalSet(Interval(first, last + 1) for first, last in blocks)
