"""What parts promise each other: a clock, and a check that can fail."""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from; tests hand in their own."""

    def now_ns(self) -> int:
        """Return the time now [ns since 1970 UTC]."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Return the time now [ns since 1970 UTC]."""
        return time.time_ns()


class CheckState(StrEnum):
    """What a check found."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found, and what to do about it.

    Parameters
    ----------
    name : str
        What was checked, ``<domain>.<thing>``.
    state : CheckState
        How it stands.
    detail : str
        The value found and the value expected.
    do : str
        The next command or key; empty where nothing is to be done.
    """

    name: str
    state: CheckState
    detail: str
    do: str = ""


class Check(Protocol):
    """Something that can be wrong in a domain."""

    def __call__(self) -> list[CheckResult]:
        """Look, and return what was found; never raise for what is being checked."""
        ...
