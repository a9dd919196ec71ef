"""Looking at a site again and again, each part at its own pace and in its own thread."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from nualley.catalog import Run, Totals
from nualley.core import SECOND_NS, unit_factor
from nualley.exposure import Delivered, RunExposure
from nualley.web.daemon_thread import DaemonThread
from nualley.web.live import LiveFeed, trouble_of
from nualley.web.observations import ArchiveSeen, Observations, Observed, RunsSeen
from nualley.web.ports import Site
from nualley.web.power import SPAN_NS, PowerCurve, power_curve
from nualley.web.status import day_start_ns

N_RUNS = 20
"""So many of the last runs are shown."""

SETTLED_NS = 60 * SECOND_NS
"""A run that stopped longer ago than this has its exposure for good [ns]."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Look:
    """How one part of the site is looked at."""

    part: str
    thread: DaemonThread
    every_s: float
    work: Callable[[], Any]
    after: str = ""  # the part whose first look it needs


class Observer:
    """What is seen of a site.

    Parameters
    ----------
    site : Site
        The site.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._archive = DaemonThread("nualley-web-archive")
        self._catalog = DaemonThread("nualley-web-catalog")
        self._drives = DaemonThread("nualley-web-drives")
        self._processes = DaemonThread("nualley-web-processes")
        self._settled: dict[tuple[str, int | None, int | None], RunExposure] = {}
        self._observed: dict[str, Observed[Any]] = {}
        self.feed = LiveFeed(site.live, site.clock)
        # the archive's reader belongs to one thread: all that reads it waits in one line
        self._looks = (
            _Look("archive", self._archive, 1.0, self._look_at_archive),
            _Look("power", self._archive, 10.0, self._look_at_power),
            _Look("today", self._archive, 10.0, self._look_at_today),
            _Look("files", self._archive, 10.0, self._look_at_files),
            _Look("runs", self._catalog, 5.0, self._look_at_runs),
            _Look("exposures", self._archive, 10.0, self._look_at_exposures, after="runs"),
            _Look("drives", self._drives, 10.0, self._look_at_drives),
            _Look("processes", self._processes, 2.0, self._look_at_processes),
        )
        self._first = {look.part: asyncio.Event() for look in self._looks}

    def seen(self) -> Observations:
        """Return all that was seen so far."""
        part = self._part
        return Observations(
            live=self.feed.seen,
            archive=part("archive"),
            today=part("today"),
            runs=part("runs"),
            exposures=part("exposures"),
            drives=part("drives"),
            processes=part("processes"),
            files=part("files"),
        )

    def power(self) -> Observed[PowerCurve]:
        """Return the beam power of the last hour."""
        return self._part("power")

    def _part(self, name: str) -> Observed[Any]:
        return self._observed.get(name, Observed())

    async def first_looks(self, timeout_s: float) -> None:
        """Wait until every part was looked at once, but not for long.

        Parameters
        ----------
        timeout_s : float
            How long at most [s].
        """
        waits = [asyncio.create_task(event.wait()) for event in self._first.values()]
        _, late = await asyncio.wait(waits, timeout=timeout_s)
        for wait in late:
            wait.cancel()

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """Return what has to run for as long as the site is looked at."""
        return [self.feed.run(), *(self._repeat(look) for look in self._looks)]

    def stop(self) -> None:
        """Let the threads end; does not wait for one that hangs."""
        for thread in (self._archive, self._catalog, self._drives, self._processes):
            thread.stop()

    async def _repeat(self, look: _Look) -> None:
        if look.after:
            await self._first[look.after].wait()
        while True:
            took_s = await self._look(look)
            self._first[look.part].set()
            # a slow part is looked at less often: a look takes a tenth of the time at most
            await asyncio.sleep(max(look.every_s, 9 * took_s))

    async def _look(self, look: _Look) -> float:
        now_ns = self._site.clock.now_ns
        begun_ns = now_ns()
        held = self._part(look.part)
        self._observed[look.part] = replace(held, busy_since_ns=begun_ns)
        try:
            value = await look.thread.do(look.work)
            self._observed[look.part] = Observed(value, now_ns())
        except Exception as error:  # noqa: BLE001  # the outermost loop: whatever a part says is shown on the page
            failure = trouble_of(error)
            if held.failure != failure:
                _log.warning("a part of the site cannot be seen", part=look.part, what=failure.what, do=failure.do)
            self._observed[look.part] = replace(held, failure=failure, busy_since_ns=None)
        return max(0, now_ns() - begun_ns) / SECOND_NS

    # -------------------------------------------------------------- the looks; each runs in its own thread
    def _look_at_archive(self) -> ArchiveSeen:
        reader = self._site.archive()
        return ArchiveSeen(tuple(self._site.last_values()), reader.ledger(), reader.account().time_ns)

    def _look_at_power(self) -> PowerCurve:
        reader, source = self._site.archive(), self._site.configuration.beam.power
        stop_ns = self._site.clock.now_ns()
        start_ns = stop_ns - SPAN_NS
        return power_curve(
            source.pv,
            reader.history(source.pv, start_ns, stop_ns),
            alive_until_ns=reader.alive_until_ns(source.pv),
            start_ns=start_ns,
            stop_ns=stop_ns,
            factor=unit_factor(source.unit, "W"),
        )

    def _look_at_today(self) -> Delivered:
        now_ns = self._site.clock.now_ns()
        return self._site.exposures().delivered(day_start_ns(now_ns), now_ns)

    def _look_at_runs(self) -> RunsSeen:
        catalog = self._site.catalog()
        return runs_seen(catalog.runs(), catalog.totals_by_run())

    def _look_at_exposures(self) -> Mapping[str, RunExposure]:
        seen: RunsSeen | None = self._part("runs").value
        if seen is None:
            return {}
        exposures, now_ns = self._site.exposures(), self._site.clock.now_ns()
        found = {}
        for run in seen.last:
            key = (run.run_id, run.start_ns, run.stop_ns)
            exposure = self._settled.get(key) or exposures.run_exposure(run)
            if run.stop_ns is not None and now_ns - run.stop_ns > SETTLED_NS:
                self._settled[key] = exposure
            found[run.run_id] = exposure
        self._settled = {key: kept for key, kept in self._settled.items() if key[0] in found}
        return found

    def _look_at_drives(self) -> Any:
        return tuple(self._site.drive_usages())

    def _look_at_files(self) -> Any:
        return tuple(self._site.archive_files())

    def _look_at_processes(self) -> Any:
        return tuple(self._site.processes())


def runs_seen(runs: list[Run], totals: Mapping[str, Totals], n_runs: int = N_RUNS) -> RunsSeen:
    """Choose the last runs, and of each detector the last that tells a rate.

    Parameters
    ----------
    runs : list of Run
        All runs.
    totals : mapping of str to Totals
        Run id -> counts.
    n_runs : int
        How many are shown.

    Returns
    -------
    RunsSeen
        Newest first: by start, and where that is not known, by when the run was entered.
    """
    newest = sorted(runs, key=lambda run: run.created_ns if run.start_ns is None else run.start_ns, reverse=True)
    last = tuple(newest[:n_runs])
    counted: dict[str, Run] = {}
    for run in newest:
        is_timed = run.start_ns is not None and run.stop_ns is not None and run.stop_ns > run.start_ns
        if is_timed and totals.get(run.run_id, Totals()).n_events:
            counted.setdefault(run.detector, run)
    return RunsSeen(
        last,
        {run.run_id: totals[run.run_id] for run in last if run.run_id in totals},
        len(runs),
        counted,
        {run.run_id: totals[run.run_id].n_events for run in counted.values()},
    )
