"""A frozen selection as a document: what is cited, and what its digest is made of."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from nualley.catalog import FileRecord, Flag
from nualley.core import Interval, IntervalSet, UsageError, format_time, parse_time_ns
from nualley.exposure import Amounts
from nualley.selection.canonical import canonical_json
from nualley.selection.errors import ListUnreadable
from nualley.selection.models import DetectorSum, ListedRun, Resolution, SelectedRun
from nualley.selection.parser import parse_expression

FORMAT: Literal["nualley-selection-1"] = "nualley-selection-1"
_EXACT = 2**53


def _time(text: str) -> str:
    parse_time_ns(text, 0)
    return text


def _expression(text: str | None) -> str | None:
    if text is not None:
        parse_expression(text)
    return text


Time = Annotated[str, AfterValidator(_time), Field(examples=["2026-11-23T04:00:00.000000000Z"])]
Pair = Annotated[list[Time], Field(min_length=2, max_length=2)]
BlockPair = Annotated[list[int], Field(min_length=2, max_length=2)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FrozenAmounts(_Part):
    """Beam and live time."""

    pot: float | None = Field(description="Protons on target; null where the beam was known at no moment.")
    pot_live: float | None = Field(description="The same, times the live fraction.")
    energy_GWh: float | None = Field(description="Beam energy [GWh].")
    beam_on_s: float | None = Field(description="Seconds of beam.")
    livetime_s: float | None = Field(description="Seconds less pauses and dead time.")
    unknown_s: float | None = Field(description="Seconds in which the beam is not known.")
    n_pulses: int | None = Field(description="Pulses.")
    pot_charge: float | None = Field(description="Protons by charge per pulse.")

    def to_amounts(self, duration_s: float) -> Amounts:
        """Return them as exposure has them, of a stretch so long; documents of old say 0 where the beam was unknown."""
        return Amounts(**self.model_dump()).as_known(duration_s)


class FrozenFile(_Part):
    """A file of a selected run."""

    name: str = Field(description="Its name.")
    size_B: int = Field(ge=0, description="Its size [B].")
    xxh3_128: str = Field(pattern="^[0-9a-f]{32}$", description="Digest of its bytes.")


class FrozenRun(_Part):
    """A run, or the part of it that is selected."""

    detector: str | None = Field(description="Whose run; null where the list did not say.")
    run: int | str = Field(description="Its number; text beyond 2**53.")
    period: str | None = Field(description="The part of the list that it stood in.")
    intervals: list[Pair] | None = Field(description="Selected stretches [start, stop); null where not known.")
    blocks: list[BlockPair] | None = Field(description="First and last block of each range; null for all of the run.")
    is_known: bool = Field(description="Whether the catalog knew the run.")
    is_whole: bool = Field(description="Whether all of the run is selected.")
    undecided: list[Pair] = Field(description="Stretches in which it was not known whether the expression holds.")
    amounts: FrozenAmounts = Field(description="Beam and live time of the stretches.")
    files: list[FrozenFile] = Field(description="The files that the run had.")
    remark: str | None = Field(description="What was doubtful.")


class FrozenSum(_Part):
    """Sums of one detector; each second counts once."""

    n_runs: int = Field(ge=0, description="Runs of which something is selected.")
    n_unknown: int = Field(ge=0, description="Those of them that are in no sum.")
    duration_s: float = Field(ge=0, description="Length of the stretches [s].")
    undecided_s: float = Field(ge=0, description="How long it was not known whether the expression holds [s].")
    amounts: FrozenAmounts = Field(description="Beam and live time of the detector.")


class FrozenFlag(_Part):
    """A flag that counted."""

    flag_id: int = Field(description="Number in the catalog.")
    detector: str = Field(description="Whose data.")
    name: str = Field(description="The word.")
    start: Time | None = Field(description="Begin of the stretch of time.")
    stop: Time | None = Field(description="Its end; null where it went on.")
    runs: list[int] | None = Field(description="First and last run, where runs were flagged.")
    blocks: list[int] | None = Field(description="First and last block of the run.")
    reason: str = Field(description="Why.")
    author: str = Field(description="Who said so.")
    time: Time = Field(description="When it was said.")


class FrozenSource(_Part):
    """The list that was read."""

    format: Literal["cms-golden", "legend-yaml", "csv"] = Field(description="Its format.")
    file: str = Field(description="Its name.")
    sha256: Sha256 = Field(description="Digest of its bytes.")
    detector: str | None = Field(description="Whose runs bare numbers were said to be.")


class FrozenSelection(_Part):
    """A frozen selection. Its file holds exactly the canonical JSON (RFC 8785), whose sha256 is cited."""

    format: Literal["nualley-selection-1"] = Field(description="Form of this document.")
    name: str = Field(description="Name of the selection.")
    experiment: str = Field(description="Name of the experiment.")
    expression: Annotated[str | None, AfterValidator(_expression)] = Field(
        description="What was selected; null for a list."
    )
    source: FrozenSource | None = Field(description="The list that was read; null for an expression.")
    author: str = Field(description="Who froze it.")
    frozen: Time = Field(description="When.")
    code: str = Field(description="By which version of nualley.")
    runs: list[FrozenRun] = Field(description="What is selected, by detector and run.")
    detectors: dict[str, FrozenSum] = Field(
        description="Sums by detector; the empty name stands for runs of which nobody said whose they are."
    )
    runs_without_times: list[str] = Field(description="Runs that may have been meant, whose times were not known.")
    flags: list[FrozenFlag] = Field(description="The flags that counted.")
    warnings: list[str] = Field(description="What was doubtful.")

    def to_json(self) -> str:
        """Return the canonical text."""
        return canonical_json(self.model_dump(mode="json"))

    def to_resolution(self) -> Resolution:
        """Return what it selects, as it was."""
        return Resolution(
            runs=tuple(_selected(run) for run in self.runs),
            detectors={name: _sum(found) for name, found in self.detectors.items()},
            without_times=tuple(self.runs_without_times),
            flags=tuple(_flag(flag) for flag in self.flags),
            warnings=tuple(self.warnings),
        )


def read_frozen(text: str) -> FrozenSelection:
    """Return a frozen selection from its document.

    Parameters
    ----------
    text : str
        The document.

    Returns
    -------
    FrozenSelection
        What it says.

    Raises
    ------
    ListUnreadable
        Where it is none, or not the canonical text of itself: then it was changed, and its digest means nothing.
    """
    try:
        found = FrozenSelection.model_validate_json(text)
        is_canonical = found.to_json() == text
    except (ValidationError, UsageError) as error:
        said = " ".join(str(error).split())
        raise ListUnreadable(
            f"no frozen selection: {said[:300]}", where="json", do="export it again: --format json"
        ) from None
    if not is_canonical:
        raise ListUnreadable(
            f"the document of selection {found.name} is not in its canonical form: somebody changed it",
            where="json",
            do=f"write it anew: nualley selection export {found.name} --format json",
        )
    return found


def frozen_run(run: SelectedRun, files: Sequence[FileRecord]) -> FrozenRun:
    """Return a selected run as part of the document."""
    listed = run.listed
    return FrozenRun(
        detector=listed.detector,
        run=listed.number if listed.number <= _EXACT else str(listed.number),
        period=listed.period or None,
        intervals=None if run.intervals is None else _pairs(run.intervals),
        blocks=None if listed.blocks is None else [list(block) for block in listed.blocks],
        is_known=run.is_known,
        is_whole=run.is_whole,
        undecided=_pairs(run.undecided),
        amounts=frozen_amounts(run.amounts),
        files=[FrozenFile(name=file.name, size_B=file.size_B, xxh3_128=file.xxh3_128) for file in files],
        remark=run.remark or None,
    )


def frozen_amounts(amounts: Amounts) -> FrozenAmounts:
    """Return beam and live time as part of the document."""
    return FrozenAmounts(**{name: getattr(amounts, name) for name in FrozenAmounts.model_fields})


def frozen_sum(found: DetectorSum) -> FrozenSum:
    """Return a detector's sums as part of the document."""
    names = ("n_runs", "n_unknown", "duration_s", "undecided_s")
    return FrozenSum(**{name: getattr(found, name) for name in names}, amounts=frozen_amounts(found.amounts))


def frozen_flag(flag: Flag) -> FrozenFlag:
    """Return a flag as part of the document."""
    return FrozenFlag(
        flag_id=flag.flag_id,
        detector=flag.detector,
        name=flag.name,
        start=None if flag.start_ns is None else format_time(flag.start_ns),
        stop=None if flag.stop_ns is None else format_time(flag.stop_ns),
        runs=None if flag.first_run is None or flag.last_run is None else [flag.first_run, flag.last_run],
        blocks=None if flag.first_block is None or flag.last_block is None else [flag.first_block, flag.last_block],
        reason=flag.reason,
        author=flag.author,
        time=format_time(flag.time_ns),
    )


def _pairs(intervals: IntervalSet) -> list[list[str]]:
    # int64 nanoseconds are more than a number in JSON holds exactly
    return [[format_time(each.start_ns), format_time(each.stop_ns)] for each in intervals]


def _intervals(found: Sequence[Sequence[str]]) -> IntervalSet:
    return IntervalSet(Interval(parse_time_ns(start, 0), parse_time_ns(stop, 0)) for start, stop in found)


def _selected(run: FrozenRun) -> SelectedRun:
    intervals = None if run.intervals is None else _intervals(run.intervals)
    return SelectedRun(
        listed=ListedRun(
            detector=run.detector,
            number=int(run.run),
            period=run.period or "",
            blocks=None if run.blocks is None else tuple((first, last) for first, last in run.blocks),
        ),
        intervals=intervals,
        is_known=run.is_known,
        is_whole=run.is_whole,
        amounts=run.amounts.to_amounts(0.0 if intervals is None else intervals.duration_s),
        undecided=_intervals(run.undecided),
        remark=run.remark or "",
    )


def _sum(found: FrozenSum) -> DetectorSum:
    values = {name: getattr(found, name) for name in ("n_runs", "n_unknown", "duration_s", "undecided_s")}
    return DetectorSum(**values, amounts=found.amounts.to_amounts(found.duration_s))


def _flag(flag: FrozenFlag) -> Flag:
    first_run, last_run = flag.runs or (None, None)
    first_block, last_block = flag.blocks or (None, None)
    return Flag(
        flag_id=flag.flag_id,
        detector=flag.detector,
        name=flag.name,
        start_ns=None if flag.start is None else parse_time_ns(flag.start, 0),
        stop_ns=None if flag.stop is None else parse_time_ns(flag.stop, 0),
        first_run=first_run,
        last_run=last_run,
        first_block=first_block,
        last_block=last_block,
        reason=flag.reason,
        author=flag.author,
        time_ns=parse_time_ns(flag.time, 0),
    )
