"""How far the log is written and synced, and what of it is lost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """How far an archive had come with a commit, counted from its first one on.

    Commits are numbered without a hole: where a number is missing, a commit was acknowledged and is lost.

    Parameters
    ----------
    number : int
        Number of the commit; 0 before the first one.
    n_received : int
        Samples received since the archive began.
    seq : int
        Last receipt number.
    time_ns : int
        When the commit was made [ns since 1970 UTC].
    """

    number: int = 0
    n_received: int = 0
    seq: int = 0
    time_ns: int = 0


NOTHING_YET = Account()
"""The account of an archive that is about to begin."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a shard's log is synced: what was acknowledged, kept beside the log so that a loss shows.

    Parameters
    ----------
    segment : int
        Number of the open segment.
    offset_B : int
        Bytes of that segment that are durable.
    account : Account
        Of the last synced commit.
    """

    segment: int
    offset_B: int
    account: Account


@dataclass(frozen=True, slots=True)
class Loss:
    """Commits that were acknowledged and cannot be read any more.

    Parameters
    ----------
    n_commits : int
        How many; at least so many where the whole log is gone.
    start_ns, stop_ns : int
        Times of the commits around them that are whole [ns since 1970 UTC]; what PVs did between is unknown.
    """

    n_commits: int
    start_ns: int
    stop_ns: int


@dataclass(frozen=True, slots=True)
class Repair:
    """What was wrong with the bytes of a segment of the log.

    Parameters
    ----------
    torn_B : int
        Bytes behind the last whole frame, cut off [B].
    damaged_B : int
        Bytes between whole frames that were once synced and cannot be read now; kept in ``quarantine/`` [B].
    """

    torn_B: int = 0
    damaged_B: int = 0
