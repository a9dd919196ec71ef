"""Options that every command has, and words of the command line as values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from nualley.core import SystemClock, UsageError, make_run_id, parse_time_ns, split_run_id

Time = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Place:
    """Which experiment is meant."""

    experiment: Annotated[Path | None, Parameter(env_var="NUALLEY_EXPERIMENT")] = None
    """The experiment repository; by default the nearest parent with an experiment.toml."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Output(Place):
    """Which experiment is meant, and how the answer is written."""

    format: Literal["text", "json"] = "text"
    """How the answer is written."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Short for --format json."""

    @property
    def is_json(self) -> bool:
        """Whether the answer is JSON."""
        return self.json or self.format == "json"


def time_ns(text: str, now_ns: int | None = None) -> int:
    """Return a time of the command line [ns since 1970 UTC].

    Parameters
    ----------
    text : str
        As `nualley.core.parse_time_ns` reads it.
    now_ns : int, optional
        What ``now`` means [ns since 1970 UTC].
    """
    return parse_time_ns(text, SystemClock().now_ns() if now_ns is None else now_ns)


def stretch_ns(from_: str, to: str) -> tuple[int, int]:
    """Return the stretch between two times of the command line [ns since 1970 UTC].

    Raises
    ------
    UsageError
        Where it stops before it starts.
    """
    now_ns = SystemClock().now_ns()
    start_ns, stop_ns = time_ns(from_, now_ns), time_ns(to, now_ns)
    if stop_ns <= start_ns:
        raise UsageError(f"--to {to} is not after --from {from_}", where="--from, --to", do="exchange the two times")
    return start_ns, stop_ns


def full_run_id(run: str, detector: str | None) -> str:
    """Return a run id from what was typed: ``<detector>-<number>``, or a number with ``--detector``.

    Raises
    ------
    UsageError
        Where it is neither, or the two detectors differ.
    """
    if run.isdecimal():
        if detector is None:
            raise UsageError(
                f"run {run} of which detector?", where="RUN", do=f"write <detector>-{run} or add --detector ID"
            )
        return make_run_id(detector, int(run))
    found, number = split_run_id(run)
    if detector not in (None, found):
        raise UsageError(f"{run!r} is no run of {detector!r}", where="RUN, --detector", do="leave out --detector")
    return make_run_id(found, number)
