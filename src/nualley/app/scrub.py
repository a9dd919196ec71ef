"""Replicas that are read again: so many bytes of each drive, the longest unread first; by hand, or every night."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from nualley.app.machine import machine_of
from nualley.app.origins import origin_of
from nualley.app.remotes import open_remotes
from nualley.app.scanning import drives_to_scan
from nualley.app.site import Site
from nualley.app.stopping import pause
from nualley.catalog import Activity
from nualley.core import DAY_NS, NualleyError, unescape_name
from nualley.replicas import Progress, Scrubbed, Scrubber, ScrubResult, ShouldStop, TransferStopped, lies_on
from nualley.storage import is_due
from nualley.storage.adapters.priority import step_back

LOOK_S = 600.0
"""The worker looks so often whether replicas are to be read again [s]."""

_KIND = "scrub"
_log = structlog.get_logger()


def scrub(
    site: Site,
    name: str | None = None,
    *,
    budget_B: int | None = None,
    rate_B_per_s: int | None = None,
    repairs: bool = False,
    told: Progress | None = None,
    should_stop: ShouldStop = lambda: False,
) -> Iterator[Scrubbed]:
    """Read replicas again, and yield each once what was found is in the catalog.

    Parameters
    ----------
    site : Site
        The experiment.
    name : str, optional
        Only those of this drive, or of this remote; by default of all drives that are there, one after the other.
    budget_B : int, optional
        About so much of each [B]; by default all.
    rate_B_per_s : int, optional
        Most bytes that are read in a second [B/s]; by default as ``[replicas] scrub_rate`` says.
    repairs : bool
        Put a verified replica from another drive in the place of one that is damaged or missing on a drive.
    told : callable, optional
        Told the name, bytes that were read and bytes to be read [B].
    should_stop : callable
        Asked often; where it says yes, the work ends.

    Raises
    ------
    UnknownDrive, DriveMissing
        Where there is no such drive, or none is there.
    RemoteError
        Where the remote cannot be asked.
    TransferStopped
        Where somebody asked for a stop.
    """
    is_remote = name in site.configuration.storage.remotes
    drives = site.configuration.storage.drives
    with open_remotes(site) as remotes:
        machine = machine_of(site, remotes)
        scrubber = Scrubber(
            site.catalog(),
            machine,
            clock=site.clock,
            origin=origin_of(site),
            is_there=lambda each: is_remote or _is_mounted(site, each),
            is_on=lambda each, path: is_remote or lies_on(Path(unescape_name(path)), drives[each].path, machine.trees),
            should_stop=should_stop,
            rate_B_per_s=rate_B_per_s or site.configuration.replicas.scrub_rate_B_per_s,
        )
        names = [name] if name and is_remote else [usage.drive.name for usage in drives_to_scan(site, name)]
        for each in names:
            chosen = scrubber.plan(site.catalog().placed_files(each), budget_B, repairs=repairs)
            begun_ns = site.clock.now_ns()
            yield from scrubber.run(each, chosen, repairs=repairs, told=told)
            site.catalog().add_activity(_activity(site, each, begun_ns))


def _is_mounted(site: Site, drive: str) -> bool:
    return any(usage.is_mounted for usage in site.drive_usages() if usage.drive.name == drive)


def _activity(site: Site, name: str, begun_ns: int) -> Activity:
    origin = origin_of(site)
    return origin.activity(
        kind=_KIND,
        inputs=(f"drive:{name}",),
        start_ns=begun_ns,
        stop_ns=site.clock.now_ns(),
    )


class ScrubRoutine:
    """What the worker reads again, once a day, after all others at processor and drives.

    Parameters
    ----------
    site : Site
        The experiment; its worker's lock is held.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._budget_B = site.configuration.replicas.scrub_B
        self._remotes_B = site.configuration.replicas.scrub_remotes_B

    async def run(self, stop: asyncio.Event) -> None:
        """Read until ``stop`` is set; a file under way is given up, and read first the next time."""
        if not (self._budget_B or self._remotes_B):
            return
        with ThreadPoolExecutor(1, "nualley-scrub", initializer=step_back) as thread:
            while not stop.is_set():
                # who starts the product looks at it first
                await pause(stop, LOOK_S)
                await asyncio.get_running_loop().run_in_executor(thread, self._scrub_due, stop.is_set)

    def _scrub_due(self, should_stop: Callable[[], bool]) -> None:
        drives = [usage.drive.name for usage in self._site.drive_usages() if usage.is_mounted] if self._budget_B else []
        remotes = list(self._site.configuration.storage.remotes) if self._remotes_B else []
        for name in (*drives, *remotes):
            if should_stop():
                return
            if self._is_due(name):
                self._scrub(name, should_stop)

    def _is_due(self, drive: str) -> bool:
        try:
            done = [each for each in self._site.catalog().activities(f"drive:{drive}") if each.kind == _KIND]
        except NualleyError as error:  # the next look asks again
            _log.error("scrub put off", drive=drive, what=error.what, do=error.do)
            return False
        return is_due(done[-1].start_ns if done else None, DAY_NS, self._site.clock.now_ns())

    def _scrub(self, drive: str, should_stop: Callable[[], bool]) -> None:
        results: Counter[str] = Counter()
        try:
            budget_B = self._remotes_B if drive in self._site.configuration.storage.remotes else self._budget_B
            for each in scrub(self._site, drive, budget_B=budget_B, should_stop=should_stop):
                results[str(each.result)] += 1
                if each.result is not ScrubResult.INTACT:
                    do = _remedy(drive, each, is_remote=drive in self._site.configuration.storage.remotes)
                    _log.error(f"REPLICA {each.result.upper()}", path=each.path, what=each.detail, do=do)
        except TransferStopped:
            return
        except NualleyError as error:
            _log.error("scrub failed", drive=drive, what=error.what, do=error.do)
        if results:
            _log.info("scrubbed", drive=drive, **results)


def _remedy(name: str, found: Scrubbed, *, is_remote: bool) -> str:
    if not found.n_others:
        return "look for another copy of it"
    return "move it away there, then: nualley transfer place" if is_remote else f"nualley drives scrub {name} --repair"
