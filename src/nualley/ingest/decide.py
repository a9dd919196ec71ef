"""Policies of ingest as pure functions: whose run a file is, whether it is finished, what is refused, when to retry."""

import math
import os
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from nualley.catalog import FileRecord, Run, TimeSource
from nualley.core import SECOND_NS, Digests, NualleyError, escape_name
from nualley.daq import DefectKind, FileSummary
from nualley.experiment import RunStretch
from nualley.ingest.errors import FileRefused, OtherBytes, OwnFile, Skipped
from nualley.ingest.models import SIDECAR, Item, OwnPlaces, Readiness, Rest, RunTime, Stamp
from nualley.storage import placed_detector

# nine digits: no DAQ counts further, and a date with a time of day is no run number
_FOLDER = re.compile(r"run[-_]?([0-9]{1,9})", re.IGNORECASE)
_FILE = re.compile(r"run[-_]?([0-9]{1,9})(?![0-9A-Za-z])", re.IGNORECASE)

SILENCE_NS = 10 * SECOND_NS
"""A run PV that was not heard for so long says nothing about now: a hung IOC is noticed within this [ns]."""

_REFUSED = (DefectKind.EMPTY, DefectKind.UNKNOWN_FORMAT)


def run_number(path: str) -> int | None:
    """Return the run number that a path names.

    Parameters
    ----------
    path : str
        A file's path, as the file system gave it.

    Returns
    -------
    int or None
        Of the part nearest to the file: a folder ``run<digits>``, or a file name that begins so.

    Examples
    --------
    >>> run_number("run00042/wave0.dat"), run_number("run7/run_8.h5"), run_number("rerun9/wave0.dat")
    (42, 8, None)
    """
    parent, _, name = path.rpartition(os.sep)
    found = _FILE.match(name) or next(filter(None, map(_FOLDER.fullmatch, reversed(Path(parent).parts))), None)
    return int(found[1]) if found else None


def is_named(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a file name fits one of the patterns, capitals counting."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def sidecar_summary() -> FileSummary:
    """Return what a sidecar holds: no events and no defects."""
    return FileSummary(SIDECAR, 0, (), None, ())


def observe(rest: Rest | None, stamp: Stamp, *, elapsed_ns: int, limit_ns: int) -> Rest:
    """Return for how long a file has been seen unchanged.

    Parameters
    ----------
    rest : Rest or None
        What was seen until now; None at first sight.
    stamp : Stamp
        Its state now.
    elapsed_ns : int
        Time since the last look [ns].
    limit_ns : int
        What one look may add at most [ns]: a clock that jumps ahead must not finish a file.

    Returns
    -------
    Rest
        From the start again where the file changed.
    """
    if rest is None or rest.stamp != stamp:
        return Rest(stamp)
    return Rest(stamp, rest.n_seen + 1, rest.rested_ns + min(max(elapsed_ns, 0), limit_ns))


def judge(rest: Rest, run: RunTime | None, *, settle_ns: int, now_ns: int) -> Readiness:
    """Say whether a file is finished.

    Parameters
    ----------
    rest : Rest
        For how long it has been unchanged.
    run : RunTime or None
        Its run as the run PVs tell it; None where they do not.
    settle_ns : int
        Rest that finishes a file where the PVs do not decide [ns].
    now_ns : int
        Now [ns since 1970 UTC].

    Returns
    -------
    Readiness
        Finished where the run is over and the file did not change since the last look (a DAQ flushes after it changed
        its PV), or where it has rested. While the run is known to be open, never.
    """
    if run and run.stop_ns is not None and rest.n_seen > 1:
        return Readiness.READY
    if run and run.stop_ns is None and now_ns - run.heard_until_ns <= max(settle_ns, SILENCE_NS):
        return Readiness.RUN_OPEN
    return Readiness.READY if rest.rested_ns >= settle_ns else Readiness.GROWING


def join_stretches(stretches: Sequence[RunStretch], *, heard_until_ns: int) -> RunTime | None:
    """Return when a run was, from first start to last stop.

    Parameters
    ----------
    stretches : sequence of RunStretch
        All stretches of one run number, by time.
    heard_until_ns : int
        Up to when the PVs were heard [ns since 1970 UTC].

    Returns
    -------
    RunTime or None
        None where there is no stretch.
    """
    if not stretches:
        return None
    first, last = stretches[0], stretches[-1]
    return RunTime(
        start_ns=first.start_ns,
        stop_ns=last.stop_ns,
        heard_until_ns=heard_until_ns,
        start_uncertain_s=first.start_uncertain_s,
        stop_uncertain_s=last.stop_uncertain_s,
    )


def wants_times(run: Run) -> bool:
    """Return whether the archive may still complete the times of a run: unknown, or open by the PVs' word."""
    return run.time_source is TimeSource.UNKNOWN or (run.time_source is TimeSource.PV and run.stop_ns is None)


def is_news(run: Run, found: RunTime) -> bool:
    """Return whether the run PVs say more of a run than the catalog knows."""
    if not wants_times(run):
        return False
    return (run.start_ns, run.stop_ns, run.time_source) != (found.start_ns, found.stop_ns, TimeSource.PV)


def uncertainty_notes(found: RunTime) -> list[str]:
    """Return what is to be noted of a run whose PVs were not heard at its start or stop."""
    bounds = (("start", found.start_uncertain_s), ("stop", found.stop_uncertain_s))
    return [f"its {bound} {_earlier(uncertain_s)}" for bound, uncertain_s in bounds if uncertain_s > 0]


def _earlier(uncertain_s: float) -> str:
    if math.isinf(uncertain_s):
        return "may lie earlier: nothing was heard of the run PV before"
    return f"may lie up to {uncertain_s:.3f} s earlier: the run PV was not heard for so long"


def refusal(item: Item, summary: FileSummary) -> NualleyError | None:
    """Return why a file is not taken in, None where it is.

    Parameters
    ----------
    item : Item
        The file.
    summary : FileSummary
        What it holds.

    Returns
    -------
    NualleyError or None
        For a file that is empty, or of which no reader understands anything.
    """
    wrong = next((defect for defect in summary.defects if defect.kind in _REFUSED), None)
    if wrong is None:
        return None
    return FileRefused(
        f"{item.shown} is refused: {wrong.kind.value}: {wrong.detail}",
        where=item.shown,
        do=f"look at it; name its format in [daq] of detectors/{item.detector}.toml, or move it away",
    )


def own_place(path: Path, own: OwnPlaces) -> str:
    """Say which of nualley's own places a file lies in; empty where in none.

    Parameters
    ----------
    path : Path
        Absolute, links resolved.
    own : OwnPlaces
        The places.

    Returns
    -------
    str
        Such as ``the replicas on drive data1``.
    """
    if own.store is not None and path.is_relative_to(own.store):
        return f"the store {escape_name(os.fspath(own.store))}"
    for drive in own.drives:
        if placed_detector(own.template, drive, path) in own.detectors:
            return f"the replicas on drive {drive.name}"
    return ""


def own_file(shown: str, place: str) -> NualleyError:
    """Return why a file in one of nualley's own places is not taken in."""
    return OwnFile(
        f"{shown} lies in {place}: what nualley keeps is not taken in again",
        where=shown,
        do="name the files that the DAQ wrote; 'nualley runs show RUN' lists what is there already",
    )


def why_skipped(shown: str, name: str) -> NualleyError:
    """Return the row of a file that is not taken from a directory because of its name."""
    if name.startswith("."):
        why = "hidden"
    elif name.endswith((".part", ".tmp")):
        why = "still being written"
    else:
        why = "named by ignored in [ingest] of experiment.toml"
    return Skipped(f"skipped: {shown} is {why}", where=shown, do="name the file itself to take it in")


def no_number(item: Item) -> NualleyError:
    """Return why a file of no run is refused."""
    return FileRefused(
        f"{item.shown} names no run: expected a folder or a file name that begins with run<digits>, such as run00042",
        where=item.shown,
        do=f"ingest it by hand: nualley runs ingest {item.shown} --detector {item.detector} --run N",
    )


def conflict(item: Item, known: FileRecord, digests: Digests) -> NualleyError | None:
    """Return why a file may not take a known file's name, None where its bytes are the same."""
    if known.digests == digests:
        return None
    return OtherBytes(
        f"{item.shown} has other bytes than {known.name} of run {known.run_id}: xxh3_128 {digests.xxh3_128} "
        f"({digests.size_B} B), known {known.xxh3_128} ({known.size_B} B)",
        where=f"{known.run_id}/{known.name}",
        do="compare both; if the newcomer grew after it was taken in, or belongs to another run, ingest it with --run",
    )


def retry_delay_ns(n_failures: int, *, poll_s: float, limit_s: float) -> int:
    """Return how long to wait before the next try.

    Parameters
    ----------
    n_failures : int
        Tries that failed in a row, >= 1.
    poll_s, limit_s : float
        First and longest wait [s].

    Returns
    -------
    int
        Twice as long after each failure [ns].

    Examples
    --------
    >>> [retry_delay_ns(n, poll_s=2, limit_s=300) // 10**9 for n in (1, 2, 3, 20)]
    [2, 4, 8, 300]
    """
    delay_s = poll_s * 2.0 ** min(n_failures - 1, 60)
    return round(min(delay_s, max(limit_s, poll_s)) * SECOND_NS)


def shown_name(path: str) -> str:
    """Return the last part of a path, escaped: the name under which the catalog knows a file."""
    return escape_name(path.rpartition(os.sep)[2])
