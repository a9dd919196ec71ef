"""Listening to the live bus: one subscriber for all browsers of this server."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from nualley.archive import LastValue, Ledger, PvState
from nualley.core import Clock, NualleyError
from nualley.pv import Subscriber
from nualley.web.models import Trouble
from nualley.web.observations import LiveSeen

TOPIC = "archive"
RETRY_S = 2.0
"""A bus that cannot be listened to is tried again after so long [s]."""

_log = structlog.get_logger()


class LiveFeed:
    """What the live bus has said since this server started.

    Parameters
    ----------
    listen : callable
        Returns a new `Subscriber`; called in the running event loop.
    clock : Clock
        Says when messages came.
    """

    def __init__(self, listen: Callable[[], Subscriber], clock: Clock) -> None:
        self._listen = listen
        self._clock = clock
        self.seen = LiveSeen()
        self.news = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                subscriber = self._listen()
            except (NualleyError, OSError) as error:
                self.seen = replace(self.seen, failure=trouble_of(error))
                _log.warning("live bus cannot be heard", what=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            try:
                await self._follow(subscriber)
            finally:
                await subscriber.close()

    async def _follow(self, subscriber: Subscriber) -> None:
        async for topic, message in subscriber:
            if topic == TOPIC:
                self.seen = take(self.seen, message, self._clock.now_ns(), sum(subscriber.lost_by_topic.values()))
                self.news.set()


def take(seen: LiveSeen, message: Mapping[str, Any], now_ns: int, n_lost: int) -> LiveSeen:
    """Return what is known after one more message of the archive.

    Parameters
    ----------
    seen : LiveSeen
        What was known before.
    message : mapping
        As the archive publishes it.
    now_ns : int
        When it came [ns since 1970 UTC].
    n_lost : int
        Messages that never arrived here.

    Returns
    -------
    LiveSeen
        With a failure in place of news where the message is not what this version of nualley sends.
    """
    try:
        values = dict(map(_last_value, message["values"]))
        ledger = Ledger(**message["ledger"])
        synced_ns = int(message["synced_ns"])
    except (KeyError, TypeError, ValueError) as error:
        what = f"a message of the live bus cannot be read ({error!r})"
        return replace(
            seen,
            message_ns=now_ns,
            n_messages=seen.n_messages + 1,
            failure=Trouble(what, "archive and web must be of one version of nualley: start both again"),
        )
    return LiveSeen(
        message_ns=now_ns,
        n_messages=seen.n_messages + 1,
        synced_ns=synced_ns,
        ledger=ledger,
        values={**seen.values, **values},
        n_lost=n_lost,
    )


def _last_value(fields: Mapping[str, Any]) -> tuple[str, LastValue]:
    return fields["pv"], LastValue(**{**fields, "state": PvState(fields["state"])})


def trouble_of(error: BaseException) -> Trouble:
    """Return what an error says to a person."""
    if isinstance(error, NualleyError):
        where = f" ({error.where})" if error.where else ""
        return Trouble(f"{error.what}{where}", error.do)
    return Trouble(str(error) or type(error).__name__)
