"""When an expression holds in a run: its facts, flags and PVs, over the run's time."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nualley.catalog import Flag
from nualley.core import Interval, IntervalSet
from nualley.exposure import PvHistory
from nualley.physics import FOREVER, history_from_rows
from nualley.selection.expression import (
    And,
    Call,
    Compare,
    Everything,
    Moment,
    Node,
    Not,
    Operand,
    Or,
    Span,
    Value,
    Within,
    operands,
)
from nualley.selection.truth import Truth

_ORDERS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
Test: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What is known of a run.

    Parameters
    ----------
    detector : str
        Id of the detector.
    number : int
        Number of the run.
    run_type : str
        What it was taken for; empty where not known.
    tags : tuple of str
        Its tags.
    settings : mapping
        Its settings by dotted key.
    flags : sequence of Flag
        Flags of the detector that count.
    within : IntervalSet
        When it was; where that is not known, any stretch: what depends on time is unknown then.
    has_times : bool
        Whether it is known when it was.
    """

    detector: str
    number: int
    run_type: str = ""
    tags: tuple[str, ...] = ()
    settings: Mapping[str, Any]
    flags: Sequence[Flag] = ()
    within: IntervalSet
    has_times: bool = True


class Evaluator:
    """Truth of expressions over runs, as the archive has it at one moment.

    Parameters
    ----------
    archive : PvHistory
        Archived PVs.
    severities : mapping of str to str
        Severity of each flag of the vocabulary.
    """

    def __init__(self, archive: PvHistory, severities: Mapping[str, str]) -> None:
        self._archive = archive
        self._severities = severities

    def truth(  # noqa: PLR0911  # one answer for each kind of node
        self, node: Node, run: RunFacts, within: IntervalSet | None = None
    ) -> Truth:
        """Return when an expression holds in a run.

        Parameters
        ----------
        node : Node
            The expression.
        run : RunFacts
            The run.
        within : IntervalSet, optional
            Only there; the whole run by default.

        Returns
        -------
        Truth
            Its parts lie in ``within``.
        """
        there = run.within if within is None else within
        match node:
            case Everything():
                return Truth.always(is_true=True, within=there)
            case Not(part):
                return ~self.truth(part, run, there)
            case And(parts):
                return ~self._any(parts, run, there, is_negated=True)
            case Or(parts):
                return self._any(parts, run, there, is_negated=False)
            case Call():
                return self._call(node, run, there)
            case Compare(Operand("time"), order, Moment(time_ns)):
                return Truth.where(_times(order, time_ns), there) if run.has_times else Truth()
            case Within(Operand("time"), items):
                return Truth.where(_stretches(items), there) if run.has_times else Truth()
            case Compare(operand, order, value):
                return self._test(operand, _comparison(order, value), run, there, is_text=isinstance(value, str))
            case Within(operand, items):
                return self._within(operand, items, run, there)

    def _any(self, parts: Sequence[Node], run: RunFacts, within: IntervalSet, *, is_negated: bool) -> Truth:
        """Return when any part holds; negated, when any does not (then ``not any`` is ``and``)."""
        true, left, unknown = IntervalSet(), within, IntervalSet()
        # PVs are read last, and only where the rest does not decide
        for part in sorted(parts, key=_is_dear):
            if not left:
                break
            found = self.truth(part, run, left)
            found = ~found if is_negated else found
            true, unknown = true | found.true, unknown | found.unknown(left)
            left = left - found.true
        return Truth(true, left - unknown)

    def _call(self, node: Call, run: RunFacts, within: IntervalSet) -> Truth:
        if node.kind == "tag":
            return Truth.always(is_true=node.word in run.tags, within=within)
        flags = [flag for flag in run.flags if self.bears(node, flag)]
        if any(is_of_run(flag, run.number) for flag in flags):
            return Truth.always(is_true=True, within=within)
        timed = IntervalSet(stretch for flag in flags if (stretch := stretch_of(flag)) is not None)
        if not run.has_times:
            return Truth.always(is_true=None if timed else False, within=within)
        return Truth.where(timed, within)

    def bears(self, node: Call, flag: Flag) -> bool:
        """Return whether a flag is meant by a condition."""
        return (flag.name if node.kind == "flag" else self._severities.get(flag.name)) == node.word

    def _within(self, operand: Operand, items: Sequence[Value | Span], run: RunFacts, within: IntervalSet) -> Truth:
        # a PV of labels and one of numbers are read in different ways
        of_text = [item for item in items if isinstance(item, str)]
        of_numbers = [item for item in items if not isinstance(item, str)]
        found = [
            self._test(operand, _membership(part), run, within, is_text=is_text)
            for part, is_text in ((of_text, True), (of_numbers, False))
            if part
        ]
        true = IntervalSet(interval for truth in found for interval in truth.true)
        false = within
        for truth in found:
            false = false & truth.false
        return Truth(true, false)

    def _test(self, operand: Operand, test: Test, run: RunFacts, within: IntervalSet, *, is_text: bool) -> Truth:
        match operand.kind:
            case "detector":
                return Truth.always(is_true=bool(test(run.detector)), within=within)
            case "run":
                return Truth.always(is_true=bool(test(run.number)), within=within)
            case "type":
                return Truth.always(is_true=bool(test(run.run_type)) if run.run_type else None, within=within)
            case "settings":
                return Truth.always(_test_setting(run.settings.get(operand.key), test, is_text=is_text), within)
        return self._test_pv(operand.key, test, within, is_text=is_text) if run.has_times else Truth()

    def _test_pv(self, pv: str, test: Test, within: IntervalSet, *, is_text: bool) -> Truth:
        true, known = [], []
        alive_until_ns = self._archive.alive_until_ns(pv)
        for interval in within:
            rows = self._archive.read(pv, interval.start_ns, interval.stop_ns)
            if is_text:
                labels = self._archive.labels(pv)
                rows = replace(rows, value=_one_where(rows.value, labels, test, rows.is_valid))
            history = history_from_rows(
                rows, alive_until_ns=alive_until_ns, start_ns=interval.start_ns, stop_ns=interval.stop_ns
            )
            holds = history.value == 1 if is_text else np.asarray(test(history.value))
            true += list(history.where(holds & ~np.isnan(history.value)))
            known += list(history.known)
        return Truth.where(IntervalSet(true), IntervalSet(known))


def is_of_run(flag: Flag, number: int) -> bool:
    """Return whether a flag lies on a run by its number; one of blocks counts for the whole run."""
    # the record has no times of blocks: a flag that may lie anywhere in a run lies on all of it
    return flag.first_run is not None and flag.first_run <= number <= (flag.last_run or 0)


def stretch_of(flag: Flag) -> Interval | None:
    """Return the stretch of time of a flag, None where it lies on runs."""
    if flag.start_ns is None:
        return None
    return Interval(flag.start_ns, FOREVER.stop_ns if flag.stop_ns is None else flag.stop_ns)


def _is_dear(node: Node) -> bool:
    return bool(operands(node, "pv"))


def _plain(value: Value) -> Any:
    return value.time_ns if isinstance(value, Moment) else value


def _comparison(order: str, value: Value) -> Test:
    compare, other = _ORDERS[order], _plain(value)
    return lambda found: compare(found, other)


def _membership(items: Sequence[Value | Span]) -> Test:
    def test(found: Any) -> Any:
        is_in = np.zeros(np.shape(found), dtype=bool)
        for item in items:
            if isinstance(item, Span):
                is_in = is_in | ((found >= _plain(item.first)) & (found <= _plain(item.last)))
            else:
                is_in = is_in | (found == _plain(item))
        return is_in

    return test


def _test_setting(found: object, test: Test, *, is_text: bool) -> bool | None:
    """Return whether a setting passes; None where there is none, or where it is no number and one is asked for."""
    if found is None or isinstance(found, Mapping | list):
        return None
    if is_text:
        return bool(test(str(found)))
    try:
        # the files of a DAQ write numbers as text
        number = float(str(found).strip())
    except ValueError:
        return None
    return None if np.isnan(number) else bool(test(number))


def _times(order: str, time_ns: int) -> IntervalSet:
    """Return the moments that stand in an order to another one."""
    at = IntervalSet.of(time_ns, time_ns + 1)
    before, after = IntervalSet.of(FOREVER.start_ns, time_ns), IntervalSet.of(time_ns + 1, FOREVER.stop_ns)
    return {"==": at, "!=": before | after, "<": before, "<=": before | at, ">": after, ">=": at | after}[order]


def _stretches(items: Sequence[Value | Span]) -> IntervalSet:
    spans = ((item.first, item.last) for item in items if isinstance(item, Span))
    return IntervalSet(Interval(_plain(first), _plain(last)) for first, last in spans)


def _one_where(
    values: NDArray[Any], labels: Sequence[str], test: Test, is_valid: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return 1 where the label of a value passes, else 0; NaN where there is no value."""
    found = np.full(values.shape, np.nan)
    for index in np.flatnonzero(is_valid).tolist():
        found[index] = float(bool(test(_label(values[index], labels))))
    return found


def _label(value: object, labels: Sequence[str]) -> str:
    if isinstance(value, str):
        return value
    number = float(str(value))
    if not number.is_integer():  # no index of a label
        return repr(number)
    index = int(number)
    return labels[index] if 0 <= index < len(labels) else str(index)
