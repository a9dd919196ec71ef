"""Three rhythms at which the worker looks at drives, beside ingest and never in its way."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import structlog

from nualley.app.scanning import quick_jobs, run_scans, scan_jobs, scans_of
from nualley.app.site import Site
from nualley.app.stopping import pause
from nualley.core import SECOND_NS, NualleyError, reason
from nualley.storage import DriveUsage, Scan, is_due, notes_of
from nualley.storage.adapters.fill_files import FillFolder

SETTLE_S = 300.0
"""The first scan waits so long [s]: who starts the product looks at it, and the drives are busy with what waited."""

_LOOK_S = 60.0
_AGAIN_NS = 3600 * SECOND_NS
_NAME = "%Y%m%dT%H%M%S"
_log = structlog.get_logger()


class DriveWatch:
    """Notes how full drives are, and scans them when it is time.

    Parameters
    ----------
    site : Site
        The experiment; its worker's lock is held.
    settle_s : float
        The first scan waits so long [s].
    """

    def __init__(self, site: Site, settle_s: float = SETTLE_S) -> None:
        self._site = site
        self._settle_s = settle_s
        self._settings = site.configuration.storage.scan
        self._history = FillFolder(site.fill_folder)
        self._tried_ns: dict[str, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until ``stop`` is set; a scan under way is given up, and leaves nothing half.

        Parameters
        ----------
        stop : asyncio.Event
            Ends it.
        """
        fill_s = self._settings.fill_ns / SECOND_NS
        rhythms = [_repeat(self.scan, stop, _LOOK_S, first_s=self._settle_s)]
        if fill_s:
            rhythms.append(_repeat(self.note, stop, fill_s))
        if quick_s := self._settings.quick_ns / SECOND_NS:
            rhythms.append(_repeat(self.look_quickly, stop, quick_s, first_s=self._settle_s + quick_s))
        await asyncio.gather(*rhythms)

    async def note(self) -> None:
        """Note how full drives are now."""
        try:
            usages = await asyncio.to_thread(self._site.drive_usages)
            self._history.note(notes_of(usages, self._site.clock.now_ns()))
        except OSError as error:  # the next round tries again
            _log.error("how full drives are cannot be noted", what=reason(error), where=str(error.filename or ""))

    async def scan(self) -> None:
        """Scan the drives whose last scan is old enough, devices side by side."""
        usages = await asyncio.to_thread(self._site.drive_usages)
        due = [usage for usage in usages if usage.is_mounted and self._is_due(usage.drive.name)]
        if not due:
            return
        now_ns = self._site.clock.now_ns()
        self._tried_ns |= {usage.drive.name: now_ns for usage in due}
        await self._scan(due)

    async def _scan(self, due: Sequence[DriveUsage]) -> None:
        _log.info("scanning", drives=[usage.drive.name for usage in due])
        scans, errors = await run_scans(scan_jobs(self._site, due), _tell_nobody)
        for scan in scans:
            if isinstance(scan, Scan):
                _tell(scan)
        for error in errors:
            _log.error("scan failed", what=error.what, where=error.where, do=error.do)

    async def look_quickly(self) -> None:
        """Look at what changed since the last full scans; a drive that is being scanned is left alone."""
        usages = await asyncio.to_thread(self._site.drive_usages)
        there = [usage for usage in usages if usage.is_mounted]
        _, errors = await run_scans(quick_jobs(self._site, there), _tell_nobody)
        for error in errors:
            _log.warning("quick look failed", what=error.what, where=error.where, do=error.do)

    def _is_due(self, drive: str) -> bool:
        now_ns = self._site.clock.now_ns()
        newest = next(scans_of(self._site, drive), None)
        last_ns = None if newest is None else _begin_ns(newest.name)
        # what failed is not tried at every look
        return is_due(last_ns, self._settings.every_ns, now_ns) and is_due(self._tried_ns.get(drive), _AGAIN_NS, now_ns)


def _tell(scan: Scan) -> None:
    _log.info(
        "scanned",
        drive=scan.drive,
        n_files=scan.n_files,
        n_dirs=scan.n_dirs,
        size_B=scan.size_B,
        unreadable=scan.unreadable,
        vanished=scan.vanished,
        cpu_s=round(scan.cpu_s, 2),
        wall_s=round(scan.wall_s, 1),
    )


def _begin_ns(name: str) -> int:
    moment = datetime.strptime(name.partition(".")[0], _NAME).replace(tzinfo=UTC)
    return round(moment.timestamp()) * SECOND_NS


def _tell_nobody(_drive: str, _n_files: int, _n_dirs: int) -> None:
    """Say nothing: nobody looks at a worker."""


async def _repeat(
    look: Callable[[], Awaitable[None]], stop: asyncio.Event, every_s: float, *, first_s: float = 0.0
) -> None:
    """Look again and again; what goes wrong as a whole is told, and the next round tries again."""
    wait_s = first_s
    while not stop.is_set():
        if wait_s:
            await pause(stop, wait_s)
        if stop.is_set():
            return
        # ended with the process: a look under way must not keep it
        looking, stopping = asyncio.ensure_future(look()), asyncio.ensure_future(stop.wait())
        await asyncio.wait((looking, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not looking.done():
            looking.cancel()
        try:
            await looking
        except asyncio.CancelledError:
            return
        except (NualleyError, OSError) as error:
            _log.error("looking at drives failed", what=str(error))
        wait_s = every_s
