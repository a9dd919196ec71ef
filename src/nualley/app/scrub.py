"""Replicas that are read again: so many bytes of each drive, the longest unread first; by hand, or every night."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import structlog

from nualley.app.origins import origin_of
from nualley.app.remotes import open_remotes
from nualley.app.scanning import drives_to_scan
from nualley.app.site import Site
from nualley.app.stopping import pause
from nualley.catalog import Activity
from nualley.core import DAY_NS, Digests, NualleyError
from nualley.replicas import Scrubbed, Scrubber, ScrubResult, TransferStopped, split_remote
from nualley.storage import Progress, is_due
from nualley.storage.adapters.posix import PosixFiles
from nualley.storage.adapters.priority import step_back

LOOK_S = 600.0
"""The worker looks so often whether replicas are to be read again [s]."""

_KIND = "scrub"
_log = structlog.get_logger()

Told = Callable[[str, int, int], None]
"""Told the drive, and bytes that were read and are to be read [B]."""


def scrub_drives(
    site: Site,
    drive: str | None = None,
    *,
    budget_B: int | None = None,
    repairs: bool = False,
    told: Told = lambda _drive, _done_B, _size_B: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Scrubbed]:
    """Read replicas of drives again, and yield each once what was found is in the catalog.

    Parameters
    ----------
    site : Site
        The experiment.
    drive : str, optional
        Only this one; by default all that are there, one after the other.
    budget_B : int, optional
        About so much of each drive [B]; by default all.
    repairs : bool
        Put a verified replica from elsewhere in the place of one that is damaged or missing.
    told : callable
        Told how far it is.
    should_stop : callable
        Asked often; where it says yes, the work ends.

    Raises
    ------
    UnknownDrive, DriveMissing
        Where there is no such drive, or none is there.
    TransferStopped
        Where somebody asked for a stop.
    """
    scrubber = Scrubber(
        site.catalog(),
        PosixFiles(),
        clock=site.clock,
        origin=origin_of(site),
        is_there=lambda name: any(usage.is_mounted for usage in site.drive_usages() if usage.drive.name == name),
        should_stop=should_stop,
    )
    for name in [usage.drive.name for usage in drives_to_scan(site, drive)]:
        yield from _scrub_one(site, scrubber, name, budget_B=budget_B, repairs=repairs, told=told)


def scrub_remote(
    site: Site,
    remote: str,
    *,
    budget_B: int | None = None,
    told: Told = lambda _remote, _done_B, _size_B: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Scrubbed]:
    """Fetch replicas of a remote again, and yield each once what was found is in the catalog.

    Parameters
    ----------
    site : Site
        The experiment.
    remote : str
        Its name.
    budget_B, told, should_stop
        As for `scrub_drives`.

    Raises
    ------
    UnknownRemote, RemoteError
        Where there is no such remote, or it cannot be asked.
    TransferStopped
        Where somebody asked for a stop.
    """
    with open_remotes(site) as remotes:
        files = remotes.open(remote)

        def read(path: str, progress: Progress) -> Digests:
            place = split_remote(path)
            return files.digests(place.path if place else path, lambda done_B: progress(done_B, 0))

        scrubber = Scrubber(
            site.catalog(),
            PosixFiles(),
            clock=site.clock,
            origin=origin_of(site),
            is_there=lambda _: True,
            should_stop=should_stop,
            read=read,
        )
        yield from _scrub_one(site, scrubber, remote, budget_B=budget_B, repairs=False, told=told)


def _scrub_one(
    site: Site, scrubber: Scrubber, name: str, *, budget_B: int | None, repairs: bool, told: Told
) -> Iterator[Scrubbed]:
    chosen = scrubber.plan(site.catalog().placed_files(name), budget_B, repairs=repairs)
    size_B, done_B = sum(placed.size_B for placed in chosen), 0

    def count(read_B: int) -> None:
        nonlocal done_B
        done_B += read_B
        told(name, done_B, size_B)

    begun_ns, origin = site.clock.now_ns(), origin_of(site)
    yield from scrubber.run(name, chosen, repairs=repairs, progress=count)
    site.catalog().add_activity(
        Activity(
            kind=_KIND,
            inputs=(f"drive:{name}",),
            code=origin.code,
            configuration=origin.configuration,
            host=origin.host,
            start_ns=begun_ns,
            stop_ns=site.clock.now_ns(),
        )
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
            for each in self._read(drive, should_stop):
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

    def _read(self, name: str, should_stop: Callable[[], bool]) -> Iterator[Scrubbed]:
        if name in self._site.configuration.storage.remotes:
            return scrub_remote(self._site, name, budget_B=self._remotes_B, should_stop=should_stop)
        return scrub_drives(self._site, name, budget_B=self._budget_B, should_stop=should_stop)


def _remedy(name: str, found: Scrubbed, *, is_remote: bool) -> str:
    if not found.n_others:
        return "look for another copy of it"
    return "move it away there, then: nualley transfer place" if is_remote else f"nualley drives scrub {name} --repair"
