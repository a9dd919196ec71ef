"""The watch over IOCs: when it looks, four times a second, and what it may count of the time between."""

import asyncio
import time
from collections.abc import AsyncIterator

from nualley.core import SECOND_NS
from nualley.pv.decide import Connections
from nualley.pv.settings import EpicsSettings

TICK_S = 0.25
_SUSPENDED_S = 2 * TICK_S  # a tick that comes later than this found us asleep: no silence of an IOC


async def awake_ticks() -> AsyncIterator[tuple[float, int]]:
    """Wait for one tick after the other, for ever.

    Yields
    ------
    now_s : float
        The clock that only grows [s].
    awake_ns : int
        Time since the tick before that this process was awake, as far as is known [ns].
    """
    before_s = time.monotonic()
    while True:
        await asyncio.sleep(TICK_S)
        now_s = time.monotonic()
        awake_ns = round(min(now_s - before_s, _SUSPENDED_S) * SECOND_NS)
        before_s = now_s
        yield now_s, awake_ns


def new_connections(protocol: str, settings: EpicsSettings) -> Connections:
    """Return the watch over the IOCs of a source, which nobody was heard of yet.

    Parameters
    ----------
    protocol : str
        How the source reaches them.
    settings : EpicsSettings
        How long they may be silent, and which PVs are heartbeats.
    """
    return Connections(protocol=protocol, life_ns=round(settings.life_s * SECOND_NS), heartbeats=settings.heartbeats)
