"""Flags: what somebody says of a stretch of a detector's data, for good; a later flag may take its place."""

import re
from dataclasses import dataclass

from nualley.catalog.errors import stops_too_early
from nualley.core import UsageError

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)


def check_flag_name(name: str) -> str:
    """Return the name of a flag; UsageError where it has another form."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a flag", where="NAME", do="use lower-case letters, digits, single hyphens"
        )
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A word about a stretch of a detector's data: of time, of runs, or of blocks of a run.

    Parameters
    ----------
    flag_id : int
        Number in the catalog; 0 until stored.
    detector : str
        Id of the detector.
    name : str
        A word of the vocabulary.
    start_ns, stop_ns : int or None
        Stretch of time [ns since 1970 UTC], half-open; ``stop_ns`` None: it goes on. Both None where runs are flagged.
    first_run, last_run : int or None
        Numbers of the runs, both included; None where time is flagged.
    first_block, last_block : int or None
        Blocks (subruns) of the one run, both included; None: all of it.
    reason, author : str
        Why, and who says so; never empty.
    time_ns : int
        When it was said [ns since 1970 UTC]; 0 until stored.
    supersedes : int or None
        The flag in whose place this one stands.
    is_withdrawal : bool
        Whether it only takes that flag back and says nothing itself.
    superseded_by : int or None
        The flag that stands in its place now.

    Raises
    ------
    UsageError
        Where it names no stretch, or more than one kind, or has no reason or author.
    """

    flag_id: int = 0
    detector: str
    name: str
    start_ns: int | None = None
    stop_ns: int | None = None
    first_run: int | None = None
    last_run: int | None = None
    first_block: int | None = None
    last_block: int | None = None
    reason: str
    author: str
    time_ns: int = 0
    supersedes: int | None = None
    is_withdrawal: bool = False
    superseded_by: int | None = None

    def __post_init__(self) -> None:
        check_flag_name(self.name)
        for key in ("reason", "author"):
            if not getattr(self, key).strip():
                raise UsageError(f"a flag has no {key}", where=f"--{key}", do="say it: flags stay for good")
        self._check_stretch()

    def _check_stretch(self) -> None:
        has_time, has_runs = self.start_ns is not None, self.first_run is not None
        is_whole = (self.first_run is None) == (self.last_run is None) and (has_time or self.stop_ns is None)
        if has_time == has_runs or not is_whole:
            raise UsageError(
                f"flag {self.name} of {self.detector} says of no stretch, or of two",
                where="RUN, --from, --to, --runs",
                do="name a run, --runs 10-50, or --from and --to",
            )
        if self.start_ns is not None and self.stop_ns is not None and self.stop_ns <= self.start_ns:
            raise stops_too_early(f"flag {self.name} of {self.detector}", self.start_ns, self.stop_ns)
        if self.first_run is not None and self.last_run is not None and self.last_run < self.first_run:
            raise UsageError(f"runs {self.first_run} to {self.last_run} are none", where="--runs", do="exchange them")
        self._check_blocks()

    def _check_blocks(self) -> None:
        if self.first_block is None and self.last_block is None:
            return
        if self.first_block is None or self.last_block is None or self.last_block < self.first_block:
            raise UsageError(
                f"blocks {self.first_block} to {self.last_block} are none", where="--blocks", do="write 3-7"
            )
        if self.first_run is None or self.first_run != self.last_run:
            raise UsageError("blocks of which run?", where="--blocks", do="name one run beside --blocks")

    @property
    def counts(self) -> bool:
        """Whether it says something now: neither superseded nor a withdrawal."""
        return self.superseded_by is None and not self.is_withdrawal

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return {
            "flag_id": self.flag_id,
            "detector": self.detector,
            "name": self.name,
            "start_ns": self.start_ns,
            "stop_ns": self.stop_ns,
            "runs": None if self.first_run is None else [self.first_run, self.last_run],
            "blocks": None if self.first_block is None else [self.first_block, self.last_block],
            "reason": self.reason,
            "author": self.author,
            "time_ns": self.time_ns,
            "supersedes": self.supersedes,
            "superseded_by": self.superseded_by,
            "is_withdrawal": self.is_withdrawal,
        }
