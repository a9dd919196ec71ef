"""From a definition to stretches of runs, as the record and the archive are at one moment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from nualley.catalog import Flag, Run, Vocabulary, flat_settings
from nualley.core import Interval, IntervalSet, format_duration
from nualley.exposure import Amounts, PvHistory
from nualley.selection.evaluation import Evaluator, RunFacts
from nualley.selection.expression import Call, Node, walk, words
from nualley.selection.models import Blocks, DetectorSum, ListedRun, Resolution, SelectedRun
from nualley.selection.ports import Beam, Record

_SOMEWHEN = IntervalSet.of(0, 1)
"""Stands for the time of a run that has none: what does not depend on time is decided all the same."""

_N_SHOWN = 5


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A run of the catalog, and when it was.

    Parameters
    ----------
    run : Run
        The run.
    interval : Interval or None
        When it was; of one that goes on, so far.
    reason : str
        Why that is not known.
    """

    run: Run
    interval: Interval | None
    reason: str


class Resolver:
    """Runs, flags and PVs at one moment; make a new one for every question.

    Parameters
    ----------
    record : Record
        The catalog.
    archive : PvHistory
        Archived PVs.
    beam : Beam
        Exposures.
    vocabulary : Vocabulary
        The words of flags.
    """

    def __init__(self, record: Record, archive: PvHistory, beam: Beam, vocabulary: Vocabulary) -> None:
        self._record = record
        self._beam = beam
        self._vocabulary = vocabulary
        self.evaluator = Evaluator(archive, {name: word.severity for name, word in vocabulary.flag.items()})

    @cached_property
    def known(self) -> Mapping[str, KnownRun]:
        """Every run of the catalog, by its id."""
        runs = sorted(self._record.runs(), key=lambda run: (run.detector, run.number))
        times = self._beam.times(runs)
        return {run.run_id: KnownRun(run, *found) for run, found in zip(runs, times, strict=True)}

    @cached_property
    def flags(self) -> Sequence[Flag]:
        """Flags that count."""
        return [flag for flag in self._record.run_lists.flags() if flag.counts]

    def facts(self, known: KnownRun, flags: Sequence[Flag]) -> RunFacts:
        """Return what is known of a run, with these flags."""
        run = known.run
        return RunFacts(
            detector=run.detector,
            number=run.number,
            run_type=run.run_type,
            tags=run.tags,
            settings=flat_settings(run.settings),
            flags=[flag for flag in flags if flag.detector == run.detector],
            within=IntervalSet((known.interval,)) if known.interval else _SOMEWHEN,
            has_times=known.interval is not None,
        )

    def amounts(self, asked: Sequence[tuple[str, IntervalSet]]) -> list[Amounts]:
        """Return what detectors got in stretches; nothing is said of a beam that was known at no moment of one."""
        found = self._beam.amounts(asked) if asked else []
        return [each.as_known(within.duration_s) for each, (_, within) in zip(found, asked, strict=True)]

    # -------------------------------------------------------------- expressions
    def resolve(self, node: Node) -> Resolution:
        """Return what an expression selects."""
        found, without_times = [], []
        for run_id, known in self.known.items():
            facts = self.facts(known, self.flags)
            truth = self.evaluator.truth(node, facts)
            if known.interval is None:
                without_times += [] if truth.false else [run_id]
                continue
            undecided = truth.unknown(facts.within)
            if truth.true or undecided:
                listed = ListedRun(detector=facts.detector, number=facts.number)
                found.append(_part(listed, known, truth.true, undecided))
        used = [flag for flag in self.flags if self._is_used(node, flag)]
        remarks = [
            f"flag {word} is not in the vocabulary (flags.toml)"
            for word in words(node, "flag")
            if word not in self._vocabulary.flag
        ]
        return self._summed(found, flags=used, without_times=without_times, warnings=remarks)

    def _is_used(self, node: Node, flag: Flag) -> bool:
        return any(
            self.evaluator.bears(part, flag) for part in walk(node) if isinstance(part, Call) and part.kind != "tag"
        )

    # -------------------------------------------------------------- lists
    def resolve_list(self, listed: Sequence[ListedRun]) -> Resolution:
        """Return what a list selects; runs that the catalog does not know are kept."""
        counts: dict[str, int] = {}
        for run in listed:
            counts[run.run_id or ""] = counts.get(run.run_id or "", 0) + 1
        found = [self._listed(run, is_single=counts[run.run_id or ""] == 1) for run in listed]
        without_times = [
            run.listed.run_id or ""
            for run in found
            if run.is_known and run.intervals is None and self.known[run.listed.run_id or ""].interval is None
        ]
        return self._summed(found, without_times=without_times)

    def _listed(self, listed: ListedRun, *, is_single: bool) -> SelectedRun:
        known = self.known.get(listed.run_id or "")
        if known is None:
            remark = "whose run it is was not said" if listed.detector is None else "the catalog does not know the run"
            return SelectedRun(listed=listed, intervals=listed.intervals, is_known=False, is_whole=False, remark=remark)
        if not is_single:
            remark = "its number stands in several periods of the list: which of them is meant is not known"
            return SelectedRun(listed=listed, intervals=listed.intervals, is_known=False, is_whole=False, remark=remark)
        if known.interval is None:
            return SelectedRun(listed=listed, intervals=None, is_known=True, is_whole=False, remark=known.reason)
        if listed.blocks is not None and listed.intervals is None:
            return _of_blocks(listed, known, listed.blocks)
        whole = IntervalSet((known.interval,))
        asked = whole if listed.intervals is None else listed.intervals
        beyond = asked - whole
        remark = f"{format_duration(beyond.duration_s)} of the list lie outside of the run" if beyond else ""
        return replace(_part(listed, known, asked & whole, IntervalSet()), remark=remark)

    # -------------------------------------------------------------- sums
    def _summed(
        self,
        found: Sequence[SelectedRun],
        *,
        flags: Sequence[Flag] = (),
        without_times: Sequence[str] = (),
        warnings: Sequence[str] = (),
    ) -> Resolution:
        counted = [index for index, run in enumerate(found) if run.is_known and run.intervals]
        by_detector: dict[str, list[SelectedRun]] = {}
        for run in found:
            by_detector.setdefault(run.listed.detector or "", []).append(run)
        within = {name: _joined(runs) for name, runs in sorted(by_detector.items())}
        asked = [(found[index].listed.detector or "", found[index].intervals or IntervalSet()) for index in counted]
        asked += [(name, stretch) for name, stretch in within.items() if stretch]
        amounts = self.amounts(asked)
        rows = list(found)
        for index, amount in zip(counted, amounts, strict=False):
            rows[index] = replace(rows[index], amounts=amount)
        of_detectors = dict(zip((name for name in within if within[name]), amounts[len(counted) :], strict=True))
        sums = {
            name: _sum(runs, within[name], of_detectors.get(name, Amounts()))
            for name, runs in sorted(by_detector.items())
        }
        # a run of which nothing is known to be selected is no part of the list, but of the account
        selected = tuple(run for run in rows if run.intervals is None or run.intervals or run.listed.blocks is not None)
        said = (*warnings, *self._warnings(selected, sums, without_times))
        return Resolution(
            runs=selected,
            detectors=sums,
            without_times=tuple(without_times),
            flags=tuple(flags),
            warnings=said,
        )

    def _warnings(
        self, runs: Sequence[SelectedRun], sums: Mapping[str, DetectorSum], without_times: Sequence[str]
    ) -> Iterable[str]:
        if not any(found.n_runs for found in sums.values()):
            yield "nothing is selected: it holds in no run whose times are known"
        if without_times:
            yield f"runs whose times are not known, of which nothing is selected: {_several(without_times)}"
        lost = [str(run.listed.run_id or run.listed.number) for run in runs if not run.is_known]
        unknown = [name for name in lost if name not in self.known]
        if unknown:
            yield f"runs that the catalog does not know, without live time and protons: {_several(unknown)}"
        unclear = dict.fromkeys(name for name in lost if name in self.known)
        if unclear:
            yield f"runs that stand in several periods, without live time and protons: {_several(list(unclear))}"
        for name, found in sums.items():
            if found.undecided_s:
                yield f"{name}: not known for {format_duration(found.undecided_s)} whether the expression holds"
            if found.amounts.unknown_s:
                yield f"{name}: the beam is not known for {_unknown(found)}"
        is_open = [run.listed.run_id or "" for run in runs if run.is_open]
        if is_open:
            yield f"runs that go on, taken as far as they are known: {_several(is_open)}"
        yield from self._doubts(runs)

    def _doubts(self, runs: Sequence[SelectedRun]) -> Iterable[str]:
        known = [run.listed.run_id or "" for run in runs if run.is_known]
        totals = self._record.totals_by_run()
        bare = [run_id for run_id in known if run_id in totals and not totals[run_id].n_verified_replicas]
        if bare:
            yield f"runs without a verified replica: {_several(bare)}"
        overlapping = _overlapping(runs)
        if overlapping:
            yield f"runs that overlap another one of their detector: {_several(overlapping)}"


def _part(listed: ListedRun, known: KnownRun, true: IntervalSet, undecided: IntervalSet) -> SelectedRun:
    interval = known.interval or Interval(0, 0)
    return SelectedRun(
        listed=listed,
        intervals=true,
        is_known=True,
        is_whole=true == IntervalSet((interval,)) and bool(interval.duration_ns),
        is_open=known.run.stop_ns is None,
        undecided=undecided,
    )


def _of_blocks(listed: ListedRun, known: KnownRun, blocks: Blocks) -> SelectedRun:
    """Return a run of which a list names blocks: the catalog has none, so that the run is one block, number 1."""
    whole = IntervalSet((known.interval,)) if known.interval else IntervalSet()
    if not blocks:
        return _part(listed, known, IntervalSet(), IntervalSet())
    if not any(first <= 1 <= last for first, last in blocks):
        remark = "the catalog does not know when its blocks were: it has one, number 1"
        return SelectedRun(listed=listed, intervals=None, is_known=True, is_whole=False, remark=remark)
    is_more = any(last > 1 for _, last in blocks)
    remark = "taken whole: the catalog knows no blocks of it, the list names more than number 1" if is_more else ""
    return replace(_part(listed, known, whole, IntervalSet()), remark=remark)


def _joined(runs: Sequence[SelectedRun]) -> IntervalSet:
    return IntervalSet(piece for run in runs if run.is_known and run.intervals for piece in run.intervals)


def _sum(runs: Sequence[SelectedRun], within: IntervalSet, amounts: Amounts) -> DetectorSum:
    undecided = IntervalSet(piece for run in runs for piece in run.undecided)
    unknown = [run for run in runs if run.intervals is None or not run.is_known]
    return DetectorSum(
        n_runs=sum(bool(run.intervals) for run in runs if run.is_known) + len(unknown),
        n_unknown=len(unknown),
        duration_s=within.duration_s,
        undecided_s=undecided.duration_s,
        amounts=amounts,
    )


def _overlapping(runs: Sequence[SelectedRun]) -> list[str]:
    found: list[str] = []
    last: dict[str, SelectedRun] = {}
    pieces = [(piece, run) for run in runs if run.intervals for piece in run.intervals]
    stop_ns: dict[str, int] = {}
    for piece, run in sorted(pieces, key=lambda item: item[0]):
        detector = run.listed.detector or ""
        if detector in last and piece.start_ns < stop_ns[detector] and last[detector] is not run:
            found.append(run.listed.run_id or str(run.listed.number))
        if piece.stop_ns >= stop_ns.get(detector, piece.stop_ns):
            last[detector], stop_ns[detector] = run, piece.stop_ns
    return list(dict.fromkeys(found))


def _unknown(found: DetectorSum) -> str:
    unknown, whole = format_duration(found.amounts.unknown_s or 0), format_duration(found.duration_s)
    if found.amounts.pot is None:
        return f"{unknown}, which is all of it: protons are not known"
    return f"{unknown} of {whole}: protons of then are in no sum"


def _several(names: Sequence[str]) -> str:
    more = f" and {len(names) - _N_SHOWN} more" if len(names) > _N_SHOWN else ""
    return ", ".join(names[:_N_SHOWN]) + more
