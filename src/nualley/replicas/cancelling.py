"""Transfers that are given up: whoever works on one hears of it, and nobody goes on with it."""

from contextlib import suppress

from nualley.catalog import Catalog, CatalogError, CatalogUnreachable, Transfer, TransferState
from nualley.core import format_time
from nualley.replicas.errors import TransferCancelled, TransferFinished
from nualley.replicas.ports import ShouldStop, Timer

_ASKED_EACH_S = 1.0


class CancelWatch:
    """`ShouldStop` of who works on a transfer: also asks the record, now and then, whether it was given up.

    Parameters
    ----------
    catalog : Catalog
        The record.
    transfer_id : int
        The transfer.
    timer : Timer
        Says when to ask again.
    should_stop : callable
        Whether a stop was asked for otherwise.
    """

    def __init__(self, catalog: Catalog, transfer_id: int, timer: Timer, should_stop: ShouldStop) -> None:
        self._catalog = catalog
        self._transfer_id = transfer_id
        self._timer = timer
        self._should_stop = should_stop
        self._is_cancelled = False
        self._next_s = timer.now_s()

    def __call__(self) -> bool:
        """Return whether to stop now."""
        now_s = self._timer.now_s()
        if not self._is_cancelled and now_s >= self._next_s:
            self._next_s = now_s + _ASKED_EACH_S
            # a record that cannot be used is told where a file is to be entered
            with suppress(CatalogError, CatalogUnreachable):
                state = self._catalog.transfers.transfer(self._transfer_id).state
                self._is_cancelled = state is TransferState.CANCELLED
        return self._is_cancelled or self._should_stop()


def check_not_cancelled(transfer: Transfer) -> None:
    """Raise TransferCancelled where a transfer was given up."""
    if transfer.cancelled_ns is not None:
        raise TransferCancelled(
            f"transfer {transfer.transfer_id} was cancelled {format_time(transfer.cancelled_ns, digits=0)}: "
            "what it had copied stays, and nobody goes on with it",
            where=f"transfer {transfer.transfer_id}",
            do=f"begin anew, what is there is not copied twice: nualley transfer copy {transfer.source} "
            f"{transfer.destination}",
        )


def finished(transfer: Transfer) -> TransferFinished:
    """Return the error of one who gives a finished transfer up."""
    return TransferFinished(
        f"transfer {transfer.transfer_id} is finished: nothing of it is left to give up",
        where=f"transfer {transfer.transfer_id}",
        do="leave it; copies that are not wanted any more go by nualley drives reclaim",
    )
