"""Selections as values: which runs, when, why, and what they got of the beam."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nualley.catalog import Flag, Json
from nualley.core import IntervalSet
from nualley.exposure import Amounts

Blocks = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """A run as a list from outside names it.

    Parameters
    ----------
    detector : str or None
        Whose run; None where the list does not say.
    number : int
        Its number.
    period : str
        The part of the list that it stands in; empty where there are none.
    blocks : tuple of tuple of int or None
        First and last block of each range, both included, as they were read; None: all of it.
    intervals : IntervalSet or None
        Stretches of time; None: all of it.
    """

    detector: str | None
    number: int
    period: str = ""
    blocks: Blocks | None = None
    intervals: IntervalSet | None = None

    @property
    def run_id(self) -> str | None:
        """``<detector>-<number>``; None where it is not known whose it is."""
        return None if self.detector is None else f"{self.detector}-{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedRun:
    """A run, or a part of it, that is selected.

    Parameters
    ----------
    listed : ListedRun
        Which run; its intervals are those that were asked for.
    intervals : IntervalSet or None
        When; None where that is not known.
    is_known : bool
        Whether the catalog knows the run.
    is_whole : bool
        Whether all of it is selected.
    is_open : bool
        Whether it goes on.
    amounts : Amounts
        Beam and live time of the intervals; all None where they are not known.
    undecided : IntervalSet
        When it is not known whether the expression holds; not selected.
    remark : str
        What is doubtful; empty where nothing is.
    """

    listed: ListedRun
    intervals: IntervalSet | None
    is_known: bool
    is_whole: bool
    is_open: bool = False
    amounts: Amounts = field(default_factory=Amounts)
    undecided: IntervalSet = field(default_factory=IntervalSet)
    remark: str = ""

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return {
            "run_id": self.listed.run_id,
            "detector": self.listed.detector,
            "run": self.listed.number,
            "period": self.listed.period or None,
            "intervals_ns": pairs(self.intervals),
            "blocks": None if self.listed.blocks is None else [list(block) for block in self.listed.blocks],
            "is_known": self.is_known,
            "is_whole": self.is_whole,
            "is_open": self.is_open,
            **self.amounts.to_json(),
            "undecided_s": self.undecided.duration_s,
            "remark": self.remark or None,
        }


def pairs(intervals: IntervalSet | None) -> list[list[int]] | None:
    """Return intervals as JSON has them: ``[start_ns, stop_ns]`` each, None for none."""
    return None if intervals is None else [[piece.start_ns, piece.stop_ns] for piece in intervals]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSum:
    """What a selection has of one detector.

    Parameters
    ----------
    n_runs : int
        Runs of which something is selected.
    n_unknown : int
        How many of them are in no sum, because their times are not known.
    duration_s : float
        Length of the intervals [s]; where runs overlap, each second once.
    undecided_s : float
        How long it is not known whether the expression holds [s].
    amounts : Amounts
        Beam and live time, each second once.
    """

    n_runs: int
    n_unknown: int
    duration_s: float
    undecided_s: float
    amounts: Amounts

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        head = {"n_runs": self.n_runs, "n_unknown": self.n_unknown, "duration_s": self.duration_s}
        return {**head, "undecided_s": self.undecided_s, **self.amounts.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a selection is: at this moment, or when it was frozen.

    Parameters
    ----------
    runs : tuple of SelectedRun
        By detector and number.
    detectors : mapping of str to DetectorSum
        Sums, by detector; the empty name stands for runs of which nobody says whose they are.
    without_times : tuple of str
        Runs that may be meant, whose times are not known: nothing of them is selected.
    flags : tuple of Flag
        Flags that counted.
    warnings : tuple of str
        What is doubtful.
    """

    runs: tuple[SelectedRun, ...] = ()
    detectors: Mapping[str, DetectorSum] = field(default_factory=dict)
    without_times: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return {
            "detectors": {name: found.to_json() for name, found in self.detectors.items()},
            "runs": [run.to_json() for run in self.runs],
            "runs_without_times": list(self.without_times),
            "flags": [flag.to_json() for flag in self.flags],
            "warnings": list(self.warnings),
        }


State = Literal["draft", "frozen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """How a selection is defined.

    Parameters
    ----------
    name : str
        The selection.
    state : {"draft", "frozen"}
        Whether it may still change.
    source : str
        Where it is defined: ``catalog``, or the file of the experiment repository.
    revision : int
        Number of its last revision in the catalog; 0 where there is none.
    expression : str or None
        What it selects; None for a list.
    imported : mapping or None
        The list as it was read.
    author : str
        Who defined or froze it; empty for a file.
    time_ns : int or None
        When [ns since 1970 UTC]; None for a file.
    sha256, content : str or None
        Digest and canonical JSON of what was frozen.
    remark : str
        What is to be known of it; empty where there is nothing.
    """

    name: str
    state: State
    source: str
    revision: int = 0
    expression: str | None = None
    imported: Mapping[str, Json] | None = None
    author: str = ""
    time_ns: int | None = None
    sha256: str | None = None
    content: str | None = None
    remark: str = ""

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object, without the content."""
        origin = None
        if self.imported is not None:
            origin = {key: self.imported.get(key) for key in ("format", "file", "sha256", "detector")}
        return {
            "name": self.name,
            "state": self.state,
            "source": self.source,
            "revision": self.revision,
            "expression": self.expression,
            "imported": origin,
            "author": self.author or None,
            "time_ns": self.time_ns,
            "sha256": self.sha256,
            "remark": self.remark or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a stretch is in one selection and not in the other.

    Parameters
    ----------
    kind : str
        ``condition`` (part of the expression is false), ``undecided`` (it is not known), ``flag``, ``list`` (not in the
        list that was read), ``record`` (the record was another one when it was frozen), ``unknown-run``.
    text : str
        Which part, or what is to be said.
    flags : tuple of Flag
        The flags that it is about.
    """

    kind: str
    text: str
    flags: tuple[Flag, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        keys = ("flag_id", "name", "reason", "author")
        flags = [{key: getattr(flag, key) for key in keys} for flag in self.flags]
        return {"kind": self.kind, "text": self.text, "flags": flags}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a run that is in one selection only.

    Parameters
    ----------
    run : ListedRun
        Which run.
    intervals : IntervalSet or None
        When; None where that is not known.
    blocks : tuple of tuple of int or None
        Which blocks, where the lists speak of blocks.
    reasons : tuple of Reason
        Why it is not in the other one.
    amounts : Amounts
        Beam and live time of it.
    """

    run: ListedRun
    intervals: IntervalSet | None
    blocks: Blocks | None = None
    reasons: tuple[Reason, ...] = ()
    amounts: Amounts = field(default_factory=Amounts)

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return {
            "run_id": self.run.run_id,
            "detector": self.run.detector,
            "run": self.run.number,
            "period": self.run.period or None,
            "intervals_ns": pairs(self.intervals),
            "blocks": None if self.blocks is None else [list(block) for block in self.blocks],
            "livetime_s": self.amounts.livetime_s,
            "pot": self.amounts.pot,
            "reasons": [reason.to_json() for reason in self.reasons],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """In what two selections differ.

    Parameters
    ----------
    left, right : str
        Their names.
    only_left, only_right : tuple of Piece
        What is in one only.
    left_sums, right_sums : mapping of str to DetectorSum
        Sums of either, by detector.
    """

    left: str
    right: str
    only_left: Sequence[Piece]
    only_right: Sequence[Piece]
    left_sums: Mapping[str, DetectorSum]
    right_sums: Mapping[str, DetectorSum]

    @property
    def is_same(self) -> bool:
        """Whether they select the same."""
        return not (self.only_left or self.only_right)

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        names = sorted({*self.left_sums, *self.right_sums})
        return {
            "left": self.left,
            "right": self.right,
            "is_same": self.is_same,
            "only_left": [piece.to_json() for piece in self.only_left],
            "only_right": [piece.to_json() for piece in self.only_right],
            "detectors": {
                name: {
                    side: sums[name].to_json() if name in sums else None
                    for side, sums in (("left", self.left_sums), ("right", self.right_sums))
                }
                for name in names
            },
        }
