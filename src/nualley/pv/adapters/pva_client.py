"""p4p, as far as we call it: reading only. Its callbacks run in its own threads and must only note and return."""

from collections.abc import Callable
from typing import Any

from p4p import _gw
from p4p.client.raw import Cancelled, Context, Disconnected, Finished

from nualley.pv.errors import PvRefusedError

# alarms always arrive; the record's dead band is MDEL unless QSRV is asked otherwise (any other server has none)
_EVENTS = {"value": "", "archive": ",DBE=ARCHIVE_ALARM"}


class PvaClient:
    """One client of PV Access; it reads ``EPICS_PVA_*`` of the environment when it is made."""

    def __init__(self) -> None:
        self._context = Context("pva", nt=False, useenv=True)
        # the one part of p4p that tells which server a PV lives on; its own gateway is built on it
        self._report = _gw.Provider("nualley", self._context, object())

    def close(self) -> None:
        """End everything; no callback comes any more."""
        del self._report  # it holds the context
        self._context.close()

    def monitor(self, pv: str, on_news: Callable[[], None], *, queue: int, events: str) -> Any:
        """Search for a PV, now and whenever it is lost, and ask for updates.

        Parameters
        ----------
        pv : str
            Its name.
        on_news : callable
            Called where something waits and nothing did before.
        queue : int
            How many updates may wait here. The server sends no more before some are taken: pipelining.
        events : {"value", "archive"}
            Which dead band of the record applies.

        Returns
        -------
        p4p.client.raw.Subscription
            Its ``pop`` returns an update, an exception or None where nothing waits; its ``close`` ends it.

        Raises
        ------
        PvRefusedError
            Where PV Access does not take the name.
        """
        request = f"record[pipeline=true,queueSize={queue}{_EVENTS[events]}]field()"
        try:
            return self._context.monitor(pv, on_news, request=request)
        except (RuntimeError, UnicodeError) as error:
            raise PvRefusedError(
                f"PV Access does not take the PV name {pv!r}: {error}",
                where=pv,
                do="correct the name in pvs/*.toml, beam.toml or detectors/*.toml",
            ) from error

    def ask(self, pv: str, on_answer: Callable[[bool], None]) -> Any:
        """Ask for the stamp of a PV once; ``on_answer`` is told whether its server answered.

        Returns
        -------
        object
            Must be kept; its ``close`` ends the question.
        """

        def take(found: object) -> None:
            # a refusal of the server is an answer too: it lives
            on_answer(not isinstance(found, Cancelled | Disconnected))

        return self._context.get(pv, take, request="field(timeStamp)")

    def servers(self) -> dict[str, str]:
        """Return ``HOST:PORT`` of the server of every PV that is connected now."""
        return {name: peer for name, _, _, peer, _, _ in self._report.report()}

    def is_lost(self, trouble: Exception) -> bool:
        """Say whether a subscription that brought this goes on by itself; otherwise it has ended."""
        return isinstance(trouble, Disconnected) and not isinstance(trouble, Finished)
