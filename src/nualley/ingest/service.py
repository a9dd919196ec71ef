"""Taking files in by hand: whose run they are, when it was, and a report of each."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nualley.catalog import Catalog, Run, RunNotFound, TimeSource, stops_too_early
from nualley.core import (
    NualleyError,
    UnreachableError,
    UsageError,
    escape_name,
    format_time,
    make_run_id,
    split_run_id,
)
from nualley.ingest import decide
from nualley.ingest.errors import NothingToIngest, PathMissing, RunNumberUnknown
from nualley.ingest.intake import Intake
from nualley.ingest.models import FoundFile, IngestedFile, IngestReport, Item, NumberSource, RunTime
from nualley.ingest.ports import DropFiles, Progress, RunTimes
from nualley.storage import SourceUnreadable, SourceVanished

_AUTHOR = "nualley"
_N_NAMED = 3


@dataclass(frozen=True, slots=True)
class GivenTimes:
    """Times of a run as a person gives them.

    Parameters
    ----------
    start_ns, stop_ns : int
        The bounds [ns since 1970 UTC], half-open.
    """

    start_ns: int
    stop_ns: int


class Ingest:
    """Takes raw files into the store and the record.

    Parameters
    ----------
    catalog : Catalog
        The record.
    intake : Intake
        Takes one file in.
    run_times : RunTimes
        When runs were.
    drop_files : DropFiles
        Finds files.
    """

    def __init__(self, catalog: Catalog, intake: Intake, *, run_times: RunTimes, drop_files: DropFiles) -> None:
        self._catalog = catalog
        self._intake = intake
        self._run_times = run_times
        self._drop_files = drop_files

    def ingest_paths(
        self,
        paths: Sequence[Path],
        detector: str,
        *,
        run: int | None = None,
        start_ns: int | None = None,
        stop_ns: int | None = None,
        progress: Progress | None = None,
    ) -> IngestReport:
        """Take files in, finished or not: a person says that they are.

        Parameters
        ----------
        paths : sequence of Path
            Files, or directories of which all files are taken.
        detector : str
            Whose they are.
        run : int, optional
            Number of the run. By default what the path of each file names (``run00042/wave0.dat``); where no path
            names one, the run of this detector that holds the same file already, else the next after its highest.
        start_ns, stop_ns : int, optional
            When the run was [ns since 1970 UTC], both or none; used where no archived run PV tells.
        progress : callable, optional
            Told name, bytes done and bytes to do.

        Returns
        -------
        IngestReport
            What became of each file, and the exit code.

        Raises
        ------
        PathMissing, NothingToIngest, OwnFile, RunNumberUnknown, UsageError
            Before anything is done.
        CatalogError, CatalogUnreachable, CatalogDamaged
            Where the record cannot be used.
        """
        given = _given(start_ns, stop_ns)
        files, problems = self._find(paths)
        numbers, source = self._numbers(files, detector, run)
        runs = {
            number: make_run(detector, number, self.find_times(detector, number), given)
            for number in sorted(set(numbers))
        }
        taken = []
        for file, number in zip(files, numbers, strict=True):
            item = Item(path=file.path, detector=detector, number=number)
            taken.append(self._intake.take(item, runs[number], progress))
        notes: list[str] = []
        for number, entered in runs.items():
            self.complete_run(detector, number)
            notes += self._run_notes(entered.run_id, given)
        notes += self._twin_notes(taken)
        run_ids = {entered.run_id for entered in runs.values()}
        run_id = run_ids.pop() if len(run_ids) == 1 else None
        return IngestReport(
            run_id=run_id,
            number_source=source,
            files=tuple(taken),
            n_events=self._catalog.totals(run_id).n_events
            if run_id and any(file.is_recorded for file in taken)
            else None,
            notes=tuple(notes),
            problems=(*problems, *(problem for file in taken for problem in file.problems)),
        )

    # ------------------------------------------------------------ when a run was
    def find_times(self, detector: str, number: int) -> RunTime | None:
        """Return when a run was by its archived PVs; None where they do not tell or cannot be asked."""
        try:
            return self._run_times.find(detector, number)
        except UnreachableError:
            return None

    def complete_run(self, detector: str, number: int) -> Run | None:
        """Give a recorded run the times that its archived PVs tell, and note what is uncertain of them.

        Parameters
        ----------
        detector : str
            The detector.
        number : int
            The number.

        Returns
        -------
        Run or None
            As the catalog has it now; None where it has no such run.
        """
        try:
            known = self._catalog.run(make_run_id(detector, number))
        except RunNotFound:
            return None
        found = self.find_times(detector, number)
        if found is None:
            return known
        if decide.is_news(known, found):
            known = self._catalog.update_run_times(
                known.run_id, start_ns=found.start_ns, stop_ns=found.stop_ns, time_source=TimeSource.PV
            )
        if known.time_source is TimeSource.PV:
            self._note_uncertainty(known.run_id, found)
        return known

    def _note_uncertainty(self, run_id: str, found: RunTime) -> None:
        texts = decide.uncertainty_notes(found)
        known = {note.text for note in self._catalog.notes(run_id)} if texts else set()
        for text in texts:
            if text not in known:
                self._catalog.add_note(run_id, text, author=_AUTHOR)

    def _run_notes(self, run_id: str, given: GivenTimes | None) -> list[str]:
        try:
            run = self._catalog.run(run_id)
        except RunNotFound:
            return []
        return [*_time_notes(run, given), *self._overlap_notes(run)]

    def _overlap_notes(self, run: Run) -> list[str]:
        if run.start_ns is None:
            return []
        others = self._catalog.runs(detector=run.detector, start_ns=run.start_ns, stop_ns=run.stop_ns)
        names = [_named(other) for other in others if other.run_id != run.run_id]
        if not names:
            return []
        return [
            f"run {_named(run)} overlaps {', '.join(names[:_N_NAMED])}: nualley runs times RUN corrects wrong times"
        ]

    def _twin_notes(self, taken: Sequence[IngestedFile]) -> list[str]:
        """Name other runs with the same bytes: by design they stay two files, and it is rarely meant."""
        found = []
        for file in taken:
            if file.digests is None or not file.is_recorded or not (file.summary and file.summary.n_events):
                continue
            twins = [
                twin for twin in self._catalog.files_by_digest(file.digests.xxh3_128) if twin.run_id != file.run_id
            ]
            if twins:
                places = ", ".join(f"{twin.run_id}/{twin.name}" for twin in twins[:_N_NAMED])
                found.append(f"{file.path} holds the same bytes as {places}")
        return found

    # ------------------------------------------------------------ which files, and whose run they are
    def _find(self, paths: Sequence[Path]) -> tuple[list[FoundFile], list[NualleyError]]:
        files: dict[str, FoundFile] = {}
        problems: list[NualleyError] = []
        missing = []
        for path in paths:
            found = self._drop_files.find(path)
            if found is None:
                missing.append(escape_name(os.fspath(path)))
                continue
            problems += (*found.problems, *found.skipped)
            for file in found.files:
                self._intake.refuse_own(file.path, file.target)
                if found.is_directory and self._intake.is_ignored(file.path):
                    problems.append(decide.why_skipped(escape_name(file.path), file.path.rpartition(os.sep)[2]))
                else:
                    files[file.path] = file
        if missing:
            raise PathMissing(
                f"there is nothing at {', '.join(missing)}", where=missing[0], do="name files or directories that exist"
            )
        if not files:
            raise _nothing(paths, problems)
        return list(files.values()), problems

    def _numbers(self, files: Sequence[FoundFile], detector: str, given: int | None) -> tuple[list[int], NumberSource]:
        if given is not None:
            if given < 0:
                raise UsageError(f"run number {given} is negative", where="--run", do="give a number from 0 on")
            return [given] * len(files), NumberSource.GIVEN
        named = [decide.run_number(file.path) for file in files]
        numbers = [number for number in named if number is not None]
        if len(numbers) == len(files):
            return numbers, NumberSource.PATH
        if numbers:
            lacking = [escape_name(file.path) for file, number in zip(files, named, strict=True) if number is None][:5]
            raise RunNumberUnknown(
                f"{named.count(None)} of {len(files)} files name no run in their path: {', '.join(lacking)}",
                where=lacking[0],
                do="give --run, or ingest them one run at a time",
            )
        known = self._known_number(files, detector)
        if known is not None:
            return [known] * len(files), NumberSource.KNOWN
        highest = max((run.number for run in self._catalog.runs(detector=detector)), default=0)
        return [highest + 1] * len(files), NumberSource.NEXT

    def _known_number(self, files: Sequence[FoundFile], detector: str) -> int | None:
        """Return the run that holds the first raw file already: giving a command twice must not make two runs."""
        first = next((file for file in files if not self._intake.is_sidecar(file.path)), files[0])
        try:
            digests = self._intake.digest(first.path)
        except (SourceUnreadable, SourceVanished):
            return None
        name = decide.shown_name(first.path)
        same = [
            split_run_id(record.run_id)[1]
            for record in self._catalog.files_by_digest(digests.xxh3_128)
            if (record.detector, record.name, record.digests) == (detector, name, digests)
        ]
        return min(same, default=None)


def _nothing(paths: Sequence[Path], problems: Sequence[NualleyError]) -> NualleyError:
    failed = next((problem for problem in problems if problem.exit_code), None)
    shown = ", ".join(escape_name(os.fspath(path)) for path in paths)
    skipped = "".join(f"; {problem.what}" for problem in problems[:_N_NAMED])
    return failed or NothingToIngest(
        f"there is no file to take in {shown}{skipped}", where=shown, do="name a directory that holds files"
    )


def _given(start_ns: int | None, stop_ns: int | None) -> GivenTimes | None:
    if start_ns is None and stop_ns is None:
        return None
    if start_ns is None or stop_ns is None:
        lacking = "--start" if start_ns is None else "--stop"
        raise UsageError(f"{lacking} is missing: a run has both bounds", where=lacking, do="give --start and --stop")
    if stop_ns <= start_ns:
        raise stops_too_early("the run", start_ns, stop_ns)
    return GivenTimes(start_ns, stop_ns)


def _named(run: Run) -> str:
    return run.run_id if run.stop_ns is not None else f"{run.run_id} (not ended)"


def _time_notes(run: Run, given: GivenTimes | None) -> list[str]:
    if run.time_source is TimeSource.UNKNOWN:
        return [
            f"the times of run {run.run_id} are unknown: no archived run PV tells, and no --start and --stop were given"
        ]
    if given is None:
        return []
    start, stop = ("unknown" if ns is None else format_time(ns, digits=3) for ns in (run.start_ns, run.stop_ns))
    times = f"{start} to {stop} (UTC, by {run.time_source.value})"
    if (run.start_ns, run.stop_ns) == (given.start_ns, given.stop_ns):
        return [f"run {run.run_id} has the times {times}"]
    correct = f"nualley runs times {run.run_id} --start T --stop T --reason TEXT"
    return [f"--start and --stop were not used: run {run.run_id} has the times {times}; to correct them: {correct}"]


def make_run(detector: str, number: int, found: RunTime | None, given: GivenTimes | None = None) -> Run:
    """Return a run with its times: by its archived PVs, else as given, else unknown.

    Parameters
    ----------
    detector : str
        The detector.
    number : int
        The number.
    found : RunTime or None
        What the archived PVs tell.
    given : GivenTimes, optional
        What a person says.

    Returns
    -------
    Run
        As it is to be entered.
    """
    bounds, source = (found, TimeSource.PV) if found else (given, TimeSource.GIVEN if given else TimeSource.UNKNOWN)
    return Run(
        run_id=make_run_id(detector, number),
        detector=detector,
        number=number,
        start_ns=bounds.start_ns if bounds else None,
        stop_ns=bounds.stop_ns if bounds else None,
        time_source=source,
    )
