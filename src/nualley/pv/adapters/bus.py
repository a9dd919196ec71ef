"""The live bus on ZeroMQ PUB and SUB."""

import asyncio
import os
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import structlog
import zmq
import zmq.asyncio

from nualley.core import end_tasks
from nualley.pv.errors import BusEndpointError, BusFrameError
from nualley.pv.frames import SESSION_B, Frame, LossCounter, decode, encode

_LINGER_MS = 500
_SUBSCRIBED = b"\x01"
_log = structlog.get_logger(__name__)


class ZmqPublisher:
    """Publishes on one endpoint; never waits for anyone.

    Parameters
    ----------
    endpoint : str
        Where to listen: ``ipc:///path`` or ``tcp://127.0.0.1:port`` (port ``*``: any free one, see `endpoint`).
    high_water_mark : int
        Messages kept for a subscriber that does not read, > 0; beyond them it misses the newer ones.

    Raises
    ------
    BusEndpointError
        Where the endpoint cannot be opened.
    """

    def __init__(self, endpoint: str, *, high_water_mark: int = 10_000) -> None:
        self._session = os.urandom(SESSION_B)
        self._sequence: defaultdict[str, int] = defaultdict(int)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)  # a PUB that says who listens
        self._prefixes: set[bytes] = set()
        self._socket.set_hwm(high_water_mark)
        self._socket.setsockopt(zmq.LINGER, _LINGER_MS)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise _unusable(endpoint, "publish", error) from error
        self.endpoint: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def publish(self, topic: str, message: Mapping[str, object]) -> None:
        """Send without waiting; see `nualley.pv.Publisher`."""
        sequence = self._sequence[topic]
        parts = encode(Frame(topic, self._session, sequence, message))
        self._sequence[topic] = sequence + 1
        self._socket.send_multipart(parts)  # it never blocks: it drops for whoever is too slow

    def is_heard(self, topic: str) -> bool:
        """Return whether anybody listens to a topic; see `nualley.pv.Publisher`."""
        # the first listener of each beginning of a topic is told of, and that its last one is gone
        while self._socket.poll(0, zmq.POLLIN):
            told = self._socket.recv(zmq.NOBLOCK)
            if told[:1] == _SUBSCRIBED:
                self._prefixes.add(told[1:])
            else:
                self._prefixes.discard(told[1:])
        return any(topic.encode().startswith(prefix) for prefix in self._prefixes)

    async def close(self) -> None:
        """Close; what was sent is delivered within half a second."""
        await asyncio.to_thread(self._context.destroy)


class ZmqSubscriber:
    """Listens to one endpoint.

    Parameters
    ----------
    endpoint : str
        Where the publisher is, or will be.
    topics : sequence of str
        Beginnings of the topics wanted; the empty text means all.
    high_water_mark : int
        Messages kept for a reader that is slow, > 0; beyond them the oldest go first.

    Raises
    ------
    BusEndpointError
        Where the endpoint is no endpoint.

    Notes
    -----
    A task reads the socket all the time, so that it is the oldest that a slow reader loses; only where the whole
    process stands still does ZeroMQ itself drop, and then the newest. Either way the numbers show it
    (`lost_by_topic`).
    """

    def __init__(self, endpoint: str, *, topics: Sequence[str] = ("",), high_water_mark: int = 10_000) -> None:
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.set_hwm(high_water_mark)
        self._socket.setsockopt(zmq.LINGER, 0)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise _unusable(endpoint, "listen", error) from error
        for topic in topics:
            self._socket.setsockopt_string(zmq.SUBSCRIBE, topic)
        self._kept: deque[Frame] = deque(maxlen=high_water_mark)
        self._news = asyncio.Event()
        self._is_closed = False
        self._losses = LossCounter()
        self.n_damaged = 0
        self._reader = asyncio.get_running_loop().create_task(self._read())

    @property
    def lost_by_topic(self) -> Mapping[str, int]:
        """Messages that were sent and never arrived here, by topic."""
        return self._losses.lost_by_topic

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
        await end_tasks([self._reader])
        self._is_closed = True
        self._news.set()
        self._context.destroy(linger=0)

    async def _read(self) -> None:
        while True:
            parts = await self._socket.recv_multipart()
            try:
                self._kept.append(decode(parts))
            except BusFrameError as error:
                self.n_damaged += 1
                _log.warning("bus.damaged", what=error.what, n_damaged=self.n_damaged)
            self._news.set()


def _unusable(endpoint: str, purpose: str, error: zmq.ZMQError) -> BusEndpointError:
    return BusEndpointError(
        f"cannot {purpose} at {endpoint!r}: {error}",
        where="live bus",
        do="give ipc:///PATH (at most 107 characters, in a folder that exists) or tcp://127.0.0.1:PORT of your own",
    )
