"""Transfers that are left to the worker: gone on with until they are finished, whatever comes between."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from nualley.app.site import Site
from nualley.app.stopping import pause
from nualley.app.transfers import open_transfers
from nualley.catalog import Transfer
from nualley.core import SECOND_NS, NualleyError
from nualley.replicas import TransferCancelled, TransferReport, TransferRunning, TransferStopped
from nualley.storage.adapters.priority import step_back

LOOK_S = 5.0
"""The worker looks so often for transfers that were left to it [s]."""

_FIRST_PAUSE_NS, _LONGEST_PAUSE_NS = 60 * SECOND_NS, 3600 * SECOND_NS
_MOST_AT_ONCE = 4
_log = structlog.get_logger()


@dataclass(slots=True)
class _Pause:
    """When a transfer that could not be finished is tried again."""

    until_ns: int
    pause_ns: int = _FIRST_PAUSE_NS


class TransferRoutine:
    """What the worker copies, after all others at processor and drives; turns at devices and rates are as for commands.

    Parameters
    ----------
    site : Site
        The experiment; its worker's lock is held.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._host = socket.gethostname()
        self._working: dict[int, Future[None]] = {}
        self._pauses: dict[int, _Pause] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Copy until ``stop`` is set; what is under way then is gone on with after the next start.

        Parameters
        ----------
        stop : asyncio.Event
            Ends it.
        """
        with ThreadPoolExecutor(_MOST_AT_ONCE, "nualley-transfer", initializer=step_back) as threads:
            while not stop.is_set():
                await pause(stop, LOOK_S)
                for transfer in await asyncio.to_thread(self.due) if not stop.is_set() else ():
                    self._working[transfer.transfer_id] = threads.submit(self._work, transfer, stop.is_set)

    def due(self) -> list[Transfer]:
        """Return which transfers are to be worked on now."""
        self._working = {number: future for number, future in self._working.items() if not future.done()}
        now_ns = self._site.clock.now_ns()
        try:
            open_ = self._site.catalog().transfers.transfers(is_open=True)
        except NualleyError as error:  # the next look asks again
            _log.error("transfers put off", what=error.what, do=error.do)
            return []
        return [
            each
            for each in open_
            if each.is_left and each.host == self._host and each.transfer_id not in self._working
            if each.transfer_id not in self._pauses or self._pauses[each.transfer_id].until_ns <= now_ns
        ]

    def _work(self, transfer: Transfer, should_stop: Callable[[], bool]) -> None:
        number = transfer.transfer_id
        _log.info("transfer begins", transfer=number, source=transfer.source, destination=transfer.destination)
        try:
            with open_transfers(self._site) as service:
                self._tell(service.work(number, should_stop=should_stop))
        except TransferCancelled as error:
            _log.info("transfer given up", transfer=number, what=error.what)
        except TransferStopped:
            _log.info("transfer stopped", transfer=number, do="the worker goes on with it when it runs again")
        except TransferRunning:  # somebody works on it by hand
            self._put_off(number)
        except NualleyError as error:
            self._put_off(number)
            _log.error("TRANSFER NOT FINISHED", transfer=number, what=error.what, do=error.do)

    def _tell(self, report: TransferReport) -> None:
        transfer, count = report.transfer, report.count
        done = {"transfer": transfer.transfer_id, "n_done": count.n_done, "n_files": count.n_files}
        if report.is_finished:
            self._pauses.pop(transfer.transfer_id, None)
            _log.info("transfer finished", **done, destination=transfer.destination)
            return
        pause_s = self._put_off(transfer.transfer_id) // SECOND_NS
        for problem in report.problems:
            again = f"{problem.do}; tried again in {pause_s} s"
            _log.error("TRANSFER NOT FINISHED", **done, what=problem.what, where=problem.where, do=again)

    def _put_off(self, number: int) -> int:
        """Enter that a transfer is to be left alone for a while; return how long [ns]."""
        known = self._pauses.get(number)
        pause_ns = min(2 * known.pause_ns, _LONGEST_PAUSE_NS) if known else _FIRST_PAUSE_NS
        self._pauses[number] = _Pause(self._site.clock.now_ns() + pause_ns, pause_ns)
        return pause_ns
