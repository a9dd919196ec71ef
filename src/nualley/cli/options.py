"""Options that every command has, and words of the command line as values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, Token

from nualley.core import SystemClock, UsageError, make_run_id, parse_time_ns

_MAX_DIGITS = 18
"""Digits of the largest whole numbers that are taken: int64, in which they are kept, holds all of them and the next."""


def parse_whole(text: str) -> int:
    """Return a whole number, written as such; cyclopts itself also takes ``1.5`` and ``0x10``.

    Raises
    ------
    ValueError
        Where it is none, negative, or has more than 18 digits.

    Examples
    --------
    >>> parse_whole("0042")
    42
    """
    if not (text.isascii() and text.isdecimal() and len(text.lstrip("0")) <= _MAX_DIGITS):
        raise ValueError(f"{text!r} is not a whole number from 0 to {'9' * _MAX_DIGITS}, written in digits")
    return int(text)


def _whole(_type: type, tokens: Sequence[Token]) -> int:
    return parse_whole(tokens[0].value)


def _seconds(_type: type, tokens: Sequence[Token]) -> float:
    text = tokens[0].value
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{text!r} is not a number of seconds, 0 or more, such as 60")
    return seconds


def _repository(_type: type, tokens: Sequence[Token]) -> Path | None:
    # an empty variable is one that is not set; an empty word is refused before
    return Path(tokens[0].value) if tokens[0].value else None


Time = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
Whole = Annotated[int, Parameter(converter=_whole, allow_leading_hyphen=True)]
Seconds = Annotated[float, Parameter(converter=_seconds, allow_leading_hyphen=True)]
Repository = Annotated[
    Path | None,
    Parameter(
        converter=_repository,
        env_var="NUALLEY_EXPERIMENT",
        help="The experiment repository; by default the nearest parent with an experiment.toml.",
    ),
]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Place:
    """Which experiment is meant."""

    experiment: Repository = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Answer:
    """How the answer is written."""

    format: Literal["text", "json"] = "text"
    """How the answer is written."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Short for --format json."""

    @property
    def is_json(self) -> bool:
        """Whether the answer is JSON."""
        return self.json or self.format == "json"


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Output(Answer):
    """Which experiment is meant, and how the answer is written."""

    experiment: Repository = None


def time_ns(text: str, now_ns: int | None = None, *, where: str) -> int:
    """Return a time of the command line [ns since 1970 UTC].

    Parameters
    ----------
    text : str
        As `nualley.core.parse_time_ns` reads it.
    now_ns : int, optional
        What ``now`` means [ns since 1970 UTC].
    where : str
        The option that it was given with.
    """
    return parse_time_ns(text, SystemClock().now_ns() if now_ns is None else now_ns, where)


def stretch_ns(from_: str, to: str) -> tuple[int, int]:
    """Return the stretch between two times of the command line [ns since 1970 UTC].

    Raises
    ------
    UsageError
        Where it stops before it starts.
    """
    now_ns = SystemClock().now_ns()
    start_ns, stop_ns = time_ns(from_, now_ns, where="--from"), time_ns(to, now_ns, where="--to")
    if stop_ns <= start_ns:
        raise UsageError(f"--to {to} is not after --from {from_}", where="--from, --to", do="exchange the two times")
    return start_ns, stop_ns


def bounds_ns(from_: str | None, to: str | None) -> tuple[int | None, int | None]:
    """Return the bounds of a stretch of which either may be open [ns since 1970 UTC].

    Raises
    ------
    UsageError
        Where it stops before it starts.
    """
    if from_ is not None and to is not None:
        return stretch_ns(from_, to)
    return (
        None if from_ is None else time_ns(from_, where="--from"),
        None if to is None else time_ns(to, where="--to"),
    )


def full_run_id(run: str, detector: str | None) -> str:
    """Return a run id from what was typed: ``<detector>-<number>``, or a number with ``--detector``.

    Raises
    ------
    UsageError
        Where it is neither, or the two detectors differ.
    """
    owner, hyphen, number = run.rpartition("-")
    try:
        n = parse_whole(number if owner or not hyphen else run)
    except ValueError as error:
        raise UsageError(
            f"{run!r} is not a run: {error}",
            where="RUN",
            do="write <detector>-<number>, or a number together with --detector",
        ) from None
    if not (owner or detector):
        raise UsageError(
            f"run {run} of which detector?", where="RUN", do=f"write <detector>-{run} or add --detector ID"
        )
    if owner and detector not in (None, owner):
        raise UsageError(f"{run!r} is no run of {detector!r}", where="RUN, --detector", do="leave out --detector")
    return make_run_id(owner or detector or "", n)
