"""Policies of the catalog as pure functions: what completes a run, what is in conflict, what differs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from nualley.catalog.errors import FileConflict, stops_too_early
from nualley.catalog.models import FileRecord, Json, Run, SettingDifference, TimeSource
from nualley.core import SECOND_NS, UsageError, format_time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def complete_run(known: Run, new: Run) -> Run:
    """Return what is known of a run, completed by what is new.

    Parameters
    ----------
    known : Run
        As the catalog holds it.
    new : Run
        The same run as somebody sees it now.

    Returns
    -------
    Run
        Every field that was empty or unknown is taken from ``new``; settings are completed key by key, tags joined.
    """
    times = known if known.time_source != TimeSource.UNKNOWN else new
    return replace(
        known,
        start_ns=times.start_ns if known.start_ns is None else known.start_ns,
        stop_ns=times.stop_ns if known.stop_ns is None else known.stop_ns,
        time_source=times.time_source,
        run_type=known.run_type or new.run_type,
        start_reason=known.start_reason or new.start_reason,
        stop_reason=known.stop_reason or new.stop_reason,
        settings={**new.settings, **known.settings},
        tags=tuple(sorted({*known.tags, *new.tags})),
    )


def month_of(start_ns: int | None, created_ns: int) -> str:
    """Return the month that a run's files are counted in.

    Parameters
    ----------
    start_ns : int or None
        When the run began [ns since 1970 UTC]; None where not known.
    created_ns : int
        When it was entered [ns since 1970 UTC].

    Returns
    -------
    str
        ``YYYY-MM`` in UTC.

    Examples
    --------
    >>> month_of(None, 1_795_000_000_000_000_000)
    '2026-11'
    """
    moment_ns = created_ns if start_ns is None else start_ns
    return (_EPOCH + timedelta(seconds=moment_ns // SECOND_NS)).strftime("%Y-%m")


def check_correction(run_id: str, *, start_ns: int, stop_ns: int, reason: str) -> None:
    """Refuse a correction of a run's times that corrects nothing.

    Raises
    ------
    UsageError
        Where the run would not stop after it starts, or nobody says why its times were wrong.
    """
    if stop_ns <= start_ns:
        raise stops_too_early(f"run {run_id}", start_ns, stop_ns)
    if not reason.strip():
        raise UsageError(
            f"the reason is empty: {reason!r}, expected why the times of run {run_id} were wrong",
            where=run_id,
            do='write how the right ones are known, such as "logbook 3, page 12"',
        )


def correction_note(before: Run, after: Run, reason: str) -> str:
    """Return what is kept in a run's notes where a person corrects its times."""
    return f"times corrected from {_bounds(before)}, by {before.time_source}, to {_bounds(after)}: {reason}"


def _bounds(run: Run) -> str:
    start, stop = ("unknown" if ns is None else format_time(ns, digits=3) for ns in (run.start_ns, run.stop_ns))
    return f"[{start}, {stop})"


def count_events(files: Iterable[tuple[Iterable[Json], int]]) -> int:
    """Return how many events a run has.

    Parameters
    ----------
    files : iterable of (iterable, int)
        The channels in a file, none where it does not say, and the events counted in it.

    Returns
    -------
    int
        Those of the channel that has most: where a DAQ writes a file for each channel, every one holds the same
        triggers.
    """
    by_channel: Counter[str] = Counter()
    for channels, n_events in files:
        for channel in {str(channel) for channel in channels} or {""}:
            by_channel[channel] += n_events
    return max(by_channel.values(), default=0)


def check_same_bytes(known: FileRecord, new: FileRecord) -> None:
    """Raise FileConflict where two files of one identity hold different bytes.

    Parameters
    ----------
    known : FileRecord
        As the catalog holds it.
    new : FileRecord
        The newcomer of the same run and name.

    Raises
    ------
    FileConflict
        Names both digests.
    """
    if known.digests != new.digests:
        raise FileConflict(
            f"{new.name} of run {new.run_id} has other bytes than the file of that name in the catalog: "
            f"xxh3_128 {new.xxh3_128} ({new.size_B} B), known {known.xxh3_128} ({known.size_B} B)",
            where=f"{new.run_id}/{new.name} (file {known.file_id})",
            do="look at both files; if the newcomer belongs to another run, ingest it with --run",
        )


def diff_settings(left: Mapping[str, Json], right: Mapping[str, Json]) -> list[SettingDifference]:
    """Return the settings in which two runs differ.

    Parameters
    ----------
    left, right : mapping
        Settings, nested as the files name them.

    Returns
    -------
    list of SettingDifference
        By dotted key, sorted; lists are compared as a whole.

    Examples
    --------
    >>> diff_settings({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2})
    [SettingDifference(key='a.b', left=1, right=3)]
    """
    mine, theirs = flat_settings(left), flat_settings(right)
    return [
        SettingDifference(key, mine.get(key), theirs.get(key))
        for key in sorted(mine.keys() | theirs.keys())
        if key not in mine or key not in theirs or mine[key] != theirs[key]
    ]


def flat_settings(settings: Mapping[str, Json]) -> dict[str, Json]:
    """Return settings by dotted key.

    Examples
    --------
    >>> flat_settings({"a": {"b": 1}, "c": 2})
    {'a.b': 1, 'c': 2}
    """
    return dict(_flatten(settings))


def _flatten(settings: Mapping[str, Json], prefix: str = "") -> Iterator[tuple[str, Json]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
