"""Keeping the average trace of each run that ended, before its traces go."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nualley.core import DAY_NS, HOUR_NS, Clock, NualleyError
from nualley.exposure.errors import KeptTraceDamagedError
from nualley.exposure.kept_trace import KeptTrace, is_better
from nualley.exposure.ports import KeptTraces, PvHistory, RecordedRun, Runs
from nualley.exposure.service import Exposures

_SETTLED_NS = DAY_NS
"""A run that ended so long ago is looked at now and then only: of years there are many [ns]."""

RARELY_NS = HOUR_NS
"""Traces of such runs that come late, by an import, are found within this time [ns]."""


@dataclass(frozen=True, slots=True)
class Unkept:
    """A run of which nothing could be kept.

    Parameters
    ----------
    run_id : str
        Which.
    error : NualleyError
        Why.
    """

    run_id: str
    error: NualleyError


class TraceKeeping:
    """Looks at runs that ended, and keeps their average traces.

    Parameters
    ----------
    exposures : Exposures
        Makes the averages.
    archive : PvHistory
        Says whether there is something new to average.
    runs : Runs
        Recorded runs.
    kept : KeptTraces
        Where the averages go.
    pv : str
        The PV of the trace.
    clock : Clock
        Says which runs are over.
    """

    def __init__(
        self, exposures: Exposures, archive: PvHistory, runs: Runs, kept: KeptTraces, *, pv: str, clock: Clock
    ) -> None:
        self._exposures, self._archive, self._runs, self._kept = exposures, archive, runs, kept
        self._pv, self._clock = pv, clock
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._all_looked_at_ns: int | None = None

    def keep(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[KeptTrace | Unkept]:
        """Keep what is new: runs that ended, times that were corrected, traces that came late.

        Parameters
        ----------
        should_stop : callable
            Asked before each run.

        Yields
        ------
        KeptTrace or Unkept
            Each average that took its place, and each that could not be made.
        """
        now_ns = self._clock.now_ns()
        is_all = self._all_looked_at_ns is None or abs(now_ns - self._all_looked_at_ns) >= RARELY_NS
        for run in self._runs.runs():
            if should_stop():
                return
            if not is_all and self._is_settled(run, now_ns):
                continue
            told = self._told(run)
            if told is None or self._seen.get(run.run_id) == told:
                continue
            try:
                found, is_kept = self._keep(run.run_id)
            except NualleyError as error:
                yield Unkept(run.run_id, error)
            else:
                if is_kept:
                    yield found
                if found.trace.stop_ns < told[1] and told[1] > self._clock.now_ns() - _SETTLED_NS:
                    continue  # the beam is not known up to its end yet
            # asked again only when the archive tells more or less than now, or after the next start
            self._seen[run.run_id] = told
        if is_all:
            self._all_looked_at_ns = now_ns

    def _is_settled(self, run: RecordedRun, now_ns: int) -> bool:
        seen = self._seen.get(run.run_id, (None, None, 0))
        return seen[:2] == (run.start_ns, run.stop_ns) and (run.stop_ns or now_ns) < now_ns - _SETTLED_NS

    def _told(self, run: RecordedRun) -> tuple[int, int, int] | None:
        """Return the times of a run that is over and about how much the archive tells of it; None where nothing."""
        if run.start_ns is None or run.stop_ns is None or run.stop_ns > self._clock.now_ns():
            return None
        n_told = self._archive.count_traces(self._pv, run.start_ns, run.stop_ns)
        return (run.start_ns, run.stop_ns, n_told) if n_told else None

    def _keep(self, run_id: str) -> tuple[KeptTrace, bool]:
        found = self._exposures.live_trace(run_id)
        try:
            kept = self._kept.find(run_id)
        except KeptTraceDamagedError:
            if not found.trace.n_all:
                raise
            kept = None  # what the archive tells is better than what cannot be read
        if is_kept := is_better(found, kept):
            self._kept.keep(found)
        return found, is_kept
