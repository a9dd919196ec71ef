"""The process that takes in what DAQs drop, looks at the drives, copies, and keeps rows of the beam and traces."""

import asyncio

import structlog

from nualley.app.backup import back_up_when_due
from nualley.app.drive_watch import DriveWatch
from nualley.app.ingest import make_watcher
from nualley.app.purge import PurgeRoutine
from nualley.app.row_care import RowsRoutine
from nualley.app.run_traces import keep_run_traces
from nualley.app.scrub import ScrubRoutine
from nualley.app.site import Site
from nualley.app.stopping import pause
from nualley.app.transfer_care import TransferRoutine
from nualley.core import SECOND_NS, NualleyError
from nualley.ingest import PollReport, Watcher

BACKUP_LOOK_NS = 60 * SECOND_NS
"""The worker looks so often whether a backup of the catalog is due [ns]."""

_log = structlog.get_logger()


class Worker:
    """Looks at the drop directories, at the drives, and at what the archive has sealed, again and again.

    Parameters
    ----------
    site : Site
        The experiment; the caller holds the lock.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._next_backup_ns = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; a file under way is finished first.

        Parameters
        ----------
        stop : asyncio.Event
            Ends it.
        """
        # beside ingest and never in its way: years of rows to make, or a drive that hangs, keep no file waiting
        beside = [
            asyncio.create_task(DriveWatch(self._site).run(stop)),
            asyncio.create_task(RowsRoutine(self._site).run(stop)),
            asyncio.create_task(keep_run_traces(self._site, stop)),
            asyncio.create_task(ScrubRoutine(self._site).run(stop)),
            asyncio.create_task(TransferRoutine(self._site).run(stop)),
            asyncio.create_task(PurgeRoutine(self._site).run(stop)),
        ]
        try:
            await self._watch(stop)
        finally:
            stop.set()
            await asyncio.gather(*beside)
        _log.info("worker stopped")

    async def _watch(self, stop: asyncio.Event) -> None:
        watcher: Watcher | None = None
        has_archive = False
        _log.info("watching drop directories", n_drops=len(self._site.configuration.storage.drop))
        while not stop.is_set():
            # run times come from the archive: a watcher that began before it was there begins anew
            if watcher is None or (not has_archive and self._has_archive()):
                has_archive = self._has_archive()
                watcher = await asyncio.to_thread(make_watcher, self._site)
            await self._poll(watcher, stop)
            await self._back_up()
            await pause(stop, self._site.configuration.ingest.poll_s)

    def _has_archive(self) -> bool:
        return (self._site.archive_folder / "index.sqlite").is_file()

    async def _back_up(self) -> None:
        now_ns = self._site.clock.now_ns()
        if now_ns < self._next_backup_ns:
            return
        self._next_backup_ns = now_ns + BACKUP_LOOK_NS
        try:
            added = await asyncio.to_thread(back_up_when_due, self._site)
        except (NualleyError, OSError) as error:  # data are taken in all the same, and the next look tries again
            said = error if isinstance(error, NualleyError) else None
            _log.error("NO BACKUP OF THE CATALOG", what=said.what if said else str(error), do=said.do if said else "")
        else:
            if added is not None:
                backup, content = added
                _log.info("catalog backed up", file=str(backup.file), n_rows=sum(content.n_rows_by_table.values()))

    async def _poll(self, watcher: Watcher, stop: asyncio.Event) -> None:
        try:
            report = await asyncio.to_thread(watcher.poll, should_stop=stop.is_set)
        except NualleyError as error:
            # one look failed as a whole (the catalog is locked, say): it is told, and the next look tries again
            _log.error("poll failed", what=error.what, where=error.where, do=error.do)
        else:
            _tell(report)


def _tell(report: PollReport) -> None:
    for file in report.files:
        _log.info("file", **file.to_json())
    for run_id in report.completed_runs:
        _log.info("run times known", run_id=run_id)
    for problem in report.problems:
        _log.warning("problem", what=problem.what, where=problem.where, do=problem.do)
