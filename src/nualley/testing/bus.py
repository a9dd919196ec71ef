"""A live bus inside one process, for tests of whoever speaks or listens on it."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from nualley.pv.frames import SESSION_B, Frame, LossCounter, decode, encode


class MemoryBus:
    """Publisher of a live bus without sockets; `subscribe` gives its subscribers."""

    def __init__(self) -> None:
        self._session = os.urandom(SESSION_B)
        self._sequence: dict[str, int] = {}
        self._subscribers: list[MemorySubscriber] = []

    def subscribe(self, *, topics: Sequence[str] = ("",), high_water_mark: int = 10_000) -> "MemorySubscriber":
        """Return a new subscriber of the topics that begin with one of ``topics``."""
        subscriber = MemorySubscriber(topics, high_water_mark)
        self._subscribers.append(subscriber)
        return subscriber

    def publish(self, topic: str, message: Mapping[str, object]) -> None:
        """Send without waiting; see `nualley.pv.Publisher`."""
        sequence = self._sequence.get(topic, 0)
        frame = decode(encode(Frame(topic, self._session, sequence, message)))  # as strict as the real one
        self._sequence[topic] = sequence + 1
        for subscriber in self._subscribers:
            subscriber.take(frame)

    def is_heard(self, topic: str) -> bool:
        """Return whether anybody listens to a topic; see `nualley.pv.Publisher`."""
        return any(subscriber.wants(topic) for subscriber in self._subscribers)

    async def close(self) -> None:
        """Close; subscribers keep what they have."""
        self._subscribers.clear()


class MemorySubscriber:
    """Subscriber of a `MemoryBus`.

    Parameters
    ----------
    topics : sequence of str
        Beginnings of the topics wanted; the empty text means all.
    high_water_mark : int
        Messages kept for a slow reader, > 0; beyond them the oldest go first.
    """

    def __init__(self, topics: Sequence[str], high_water_mark: int) -> None:
        self._topics = tuple(topics)
        self._kept: deque[Frame] = deque(maxlen=high_water_mark)
        self._news = asyncio.Event()
        self._is_closed = False
        self._losses = LossCounter()

    @property
    def lost_by_topic(self) -> Mapping[str, int]:
        """Messages that were sent and never arrived here, by topic."""
        return self._losses.lost_by_topic

    def wants(self, topic: str) -> bool:
        """Return whether messages of a topic are taken in."""
        return not self._is_closed and topic.startswith(self._topics)

    def take(self, frame: Frame) -> None:
        """Take in a message of the bus."""
        if self.wants(frame.topic):
            self._kept.append(frame)
            self._news.set()

    async def __aiter__(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Return the stream of (topic, message)."""
        while True:
            while self._kept:
                frame = self._kept.popleft()
                self._losses.take(frame)
                yield frame.topic, dict(frame.message)
            if self._is_closed:
                return
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        """Close; the iterator ends after what was received already."""
        self._is_closed = True
        self._news.set()
