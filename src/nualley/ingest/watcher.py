"""The drop directories, looked at again and again: what is finished is taken in, what is done is not read twice."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nualley.catalog import Catalog, Run
from nualley.core import SECOND_NS, Clock, NualleyError, unescape_name
from nualley.ingest import decide
from nualley.ingest.intake import Intake
from nualley.ingest.models import (
    FoundFile,
    IngestedFile,
    Item,
    PollReport,
    Readiness,
    Rest,
    RunTime,
    Stamp,
)
from nualley.ingest.ports import DropFiles, Progress
from nualley.ingest.service import Ingest, make_run
from nualley.ingest.settings import IngestSettings
from nualley.storage import DropSettings

_REFRESH_NS = 300 * SECOND_NS  # how often the catalog is asked for runs that others entered without times


@dataclass(slots=True)
class _Tries:
    """Failures in a row, and when the next try may be."""

    n_failures: int
    next_ns: int
    stamp: Stamp | None = None


@dataclass(slots=True)
class _Poll:
    """What one look gathers."""

    now_ns: int
    n_files: int = 0
    n_done: int = 0
    n_ignored: int = 0
    n_deferred: int = 0
    n_left: int = 0
    waiting: Counter[Readiness] = field(default_factory=Counter)
    files: list[IngestedFile] = field(default_factory=list)
    problems: list[NualleyError] = field(default_factory=list)

    def report(self, completed_runs: Sequence[str]) -> PollReport:
        return PollReport(
            n_files=self.n_files,
            n_done=self.n_done,
            n_ignored=self.n_ignored,
            n_waiting_by_readiness=dict(self.waiting),
            n_deferred=self.n_deferred,
            n_left=self.n_left,
            files=tuple(self.files),
            completed_runs=tuple(completed_runs),
            problems=tuple(self.problems),
        )


class Watcher:
    """Looks after the drop directories of an experiment.

    Parameters
    ----------
    catalog : Catalog
        The record; it also remembers which files are done.
    ingest : Ingest
        Knows when runs were.
    intake : Intake
        Takes one file in.
    drops : sequence of DropSettings
        The drop directories.
    drop_files : DropFiles
        Walks through them.
    settings : IngestSettings
        When a file is finished, and when to retry.
    clock : Clock
        Measures how long files rest.
    """

    def __init__(
        self,
        catalog: Catalog,
        ingest: Ingest,
        intake: Intake,
        *,
        drops: Sequence[DropSettings],
        drop_files: DropFiles,
        settings: IngestSettings,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._ingest = ingest
        self._intake = intake
        self._drops = drops
        self._drop_files = drop_files
        self._settings = settings
        self._clock = clock
        self._settle_ns = round(settings.settle_s * SECOND_NS)
        # one look may add at most half of what finishes a file, so that a jump of the clock alone finishes none
        self._step_limit_ns = max(self._settle_ns // 2, round(2 * settings.poll_s * SECOND_NS))
        self._longest_wait_ns = round(max(settings.retry_limit_s, settings.poll_s) * SECOND_NS)
        self._stamp_by_done_path: dict[str, Stamp] = {}
        self._is_done_loaded = False
        self._rest_by_path: dict[str, Rest] = {}
        self._tries_by_path: dict[str, _Tries] = {}
        self._tries_by_run: dict[tuple[str, int], _Tries] = {}
        self._last_poll_ns: int | None = None
        self._refreshed_ns: int | None = None

    def poll(self, *, should_stop: Callable[[], bool] = lambda: False, progress: Progress | None = None) -> PollReport:
        """Look once at every drop directory and take in what is finished.

        Parameters
        ----------
        should_stop : callable
            Asked before each file; the rest is left for the next look.
        progress : callable, optional
            Told name, bytes done and bytes to do.

        Returns
        -------
        PollReport
            What was found and done; a file that is refused or fails blocks no other.

        Raises
        ------
        CatalogError, CatalogUnreachable, CatalogDamaged
            Where the record cannot be used; the next look goes on where this one stopped.
        """
        poll = _Poll(self._clock.now_ns())
        self._load_done()
        pending = self._pending(poll)
        elapsed_ns = 0 if self._last_poll_ns is None else poll.now_ns - self._last_poll_ns
        self._last_poll_ns = poll.now_ns
        stamp_by_path = {path: item.stamp for path, item in pending.items() if item.stamp is not None}
        self._observe(stamp_by_path, elapsed_ns)
        for (detector, number), items in _by_run(pending):
            self._poll_run(poll, detector, number, items, should_stop=should_stop, progress=progress)
        return poll.report(self._complete_runs(poll.now_ns))

    # ------------------------------------------------------------ what is there
    def _load_done(self) -> None:
        if not self._is_done_loaded:
            detectors = {drop.detector for drop in self._drops}
            self._stamp_by_done_path = {
                unescape_name(source.path): Stamp(source.size_B, source.mtime_ns, source.inode)
                for detector in sorted(detectors)
                for source in self._catalog.sources(detector)
            }
            self._is_done_loaded = True

    def _pending(self, poll: _Poll) -> dict[str, Item]:
        """Return the files that are not done, by path."""
        done = self._stamp_by_done_path
        pending: dict[str, Item] = {}
        for drop in self._drops:
            found = self._drop_files.walk(drop.path)
            poll.problems += found.problems
            poll.n_ignored += len(found.skipped)
            for file in found.files:
                if self._is_ignored(file):
                    poll.n_ignored += 1
                    continue
                poll.n_files += 1
                if done.get(file.path) == file.stamp:
                    poll.n_done += 1
                else:
                    number = decide.run_number(file.part)
                    pending[file.path] = Item(path=file.path, detector=drop.detector, number=number, stamp=file.stamp)
        return pending

    def _is_ignored(self, file: FoundFile) -> bool:
        """Whether a file is not meant: temporary, or the DAQ's configuration for whatever run comes."""
        if self._intake.is_ignored(file.path):
            return True
        return decide.run_number(file.part) is None and self._intake.is_sidecar(file.path)

    def _observe(self, stamp_by_path: Mapping[str, Stamp], elapsed_ns: int) -> None:
        """Follow how long each pending file rests, and forget what is gone or changed."""
        self._rest_by_path = {
            path: decide.observe(
                self._rest_by_path.get(path), stamp, elapsed_ns=elapsed_ns, limit_ns=self._step_limit_ns
            )
            for path, stamp in stamp_by_path.items()
        }
        self._tries_by_path = {
            path: tries for path, tries in self._tries_by_path.items() if stamp_by_path.get(path) == tries.stamp
        }

    # ------------------------------------------------------------ the files of one run
    def _poll_run(
        self,
        poll: _Poll,
        detector: str,
        number: int | None,
        items: Sequence[Item],
        *,
        should_stop: Callable[[], bool],
        progress: Progress | None,
    ) -> None:
        found = None if number is None else self._ingest.find_times(detector, number)
        run = None if number is None else make_run(detector, number, found)
        ready = [item for item in items if self._is_ready(poll, item, found)]
        is_news = False
        for item in ready:
            if should_stop():
                poll.n_left += 1
            elif not self._is_done_by_others(poll, item):
                taken = self._take(item, run, progress)
                self._keep_in_mind(item, taken)
                poll.files.append(taken)
                poll.problems += taken.problems
                is_news = is_news or taken.is_recorded
        if is_news and number is not None:
            self._tries_by_run.setdefault((detector, number), _Tries(0, poll.now_ns))

    def _is_ready(self, poll: _Poll, item: Item, found: RunTime | None) -> bool:
        readiness = decide.judge(self._rest_by_path[item.path], found, settle_ns=self._settle_ns, now_ns=poll.now_ns)
        if readiness is not Readiness.READY:
            poll.waiting[readiness] += 1
            return False
        tries = self._tries_by_path.get(item.path)
        if tries and not self._is_due(tries, poll.now_ns):
            poll.n_deferred += 1
            return False
        return True

    def _is_done_by_others(self, poll: _Poll, item: Item) -> bool:
        """Whether somebody took the file in by hand since this process began."""
        source = self._catalog.find_source(item.shown)
        if source is None:
            return False
        stamp = Stamp(source.size_B, source.mtime_ns, source.inode)
        if stamp != self._rest_by_path[item.path].stamp:
            return False
        self._stamp_by_done_path[item.path] = stamp
        poll.n_done += 1
        return True

    def _take(self, item: Item, run: Run | None, progress: Progress | None) -> IngestedFile:
        if run is None:
            return self._intake.refuse(item, decide.no_number(item))
        return self._intake.take(item, run, progress, rereads=False)

    def _keep_in_mind(self, item: Item, taken: IngestedFile) -> None:
        stamp = self._rest_by_path[item.path].stamp
        if taken.is_settled:
            self._stamp_by_done_path[item.path] = stamp
            self._tries_by_path.pop(item.path, None)
            return
        before = self._tries_by_path.get(item.path)
        self._tries_by_path[item.path] = self._next_try(before.n_failures + 1 if before else 1, stamp)

    def _is_due(self, tries: _Tries, now_ns: int) -> bool:
        """Whether the next try may be; a wait longer than any that is given means that the clock was set back."""
        return tries.next_ns <= now_ns or tries.next_ns - now_ns > self._longest_wait_ns

    def _next_try(self, n_failures: int, stamp: Stamp | None = None) -> _Tries:
        delay_ns = decide.retry_delay_ns(n_failures, poll_s=self._settings.poll_s, limit_s=self._settings.retry_limit_s)
        return _Tries(n_failures, self._clock.now_ns() + delay_ns, stamp)

    # ------------------------------------------------------------ times that come later
    def _complete_runs(self, now_ns: int) -> list[str]:
        """Ask for the times of runs that are open or unknown, each less often the longer nothing comes."""
        self._refresh_runs(now_ns)
        completed = []
        for key, tries in list(self._tries_by_run.items()):
            if not self._is_due(tries, now_ns):
                continue
            run = self._ingest.complete_run(*key)
            if run is None or not decide.wants_times(run):
                del self._tries_by_run[key]
                if run is not None:
                    completed.append(run.run_id)
            else:
                self._tries_by_run[key] = self._next_try(tries.n_failures + 1)
        return completed

    def _refresh_runs(self, now_ns: int) -> None:
        if self._refreshed_ns is not None and 0 <= now_ns - self._refreshed_ns < _REFRESH_NS:
            return
        self._refreshed_ns = now_ns
        for run in self._catalog.runs():
            if decide.wants_times(run):
                self._tries_by_run.setdefault((run.detector, run.number), _Tries(0, now_ns))


def _by_run(pending: dict[str, Item]) -> Iterable[tuple[tuple[str, int | None], list[Item]]]:
    """Return the files by run, the lowest numbers first, those without a number last."""
    by_run: dict[tuple[str, int | None], list[Item]] = {}
    for item in pending.values():
        by_run.setdefault((item.detector, item.number), []).append(item)
    return sorted(by_run.items(), key=lambda run: (run[0][1] is None, run[0][1] or 0, run[0][0]))
