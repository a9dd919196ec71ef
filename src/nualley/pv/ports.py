"""What pv needs of the world: sources of live values, and the bus that carries them to other processes."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from nualley.pv.models import PvEvent, PvRequest

Emit: TypeAlias = Callable[[PvEvent], None]


class Source(Protocol):
    """Something that live values come from. It reads only: nothing of ours ever puts to a PV."""

    protocol: str

    async def start(self, requests: Sequence[PvRequest], emit: Emit) -> None:
        """Subscribe, and call ``emit`` with every event from now on, in the running event loop.

        Parameters
        ----------
        requests : sequence of PvRequest
            The PVs; none twice.
        emit : callable
            Takes a `PvEvent`; must only note it and return.
        """
        ...

    async def add(self, request: PvRequest) -> None:
        """Subscribe to one more PV; a PV that is subscribed already is subscribed anew."""
        ...

    async def remove(self, pv: str) -> None:
        """Unsubscribe; a PV that is not subscribed is no error."""
        ...

    async def stop(self) -> None:
        """Unsubscribe from everything; no event is emitted after it returns."""
        ...


@runtime_checkable
class Lagging(Protocol):
    """A source whose updates may wait before they are taken."""

    lag_s: float
    n_dropped: int


class Receipts(Protocol):
    """Where a source keeps, durably, when each message reached it, so that a second delivery is known again."""

    def find(self, key: str) -> int:
        """Return when a message of this key reached us first [ns since 1970 UTC]; 0: it did not."""
        ...

    def note(self, received_ns_by_key: Mapping[str, int]) -> None:
        """Keep when messages reached us; only then return.

        Raises
        ------
        OSError
            Where the drive refuses.
        """
        ...

    def close(self) -> None:
        """Close."""
        ...


class Publisher(Protocol):
    """The end of the live bus that speaks. Nothing durable depends on the bus."""

    def publish(self, topic: str, message: Mapping[str, object]) -> None:
        """Send without waiting; who is not listening or too slow misses it, and sees that it did.

        Parameters
        ----------
        topic : str
            What it is about, such as ``pv/DEMO:BEAM:POWER``.
        message : mapping
            JSON-able; NaN and inf arrive as null.
        """
        ...

    def is_heard(self, topic: str) -> bool:
        """Return whether anybody listens to a topic; what is costly to say need not be said to nobody."""
        ...

    async def close(self) -> None:
        """Close; what was sent before is still delivered to those who read."""
        ...


class Subscriber(Protocol):
    """The end of the live bus that listens: an async iterator of (topic, message)."""

    @property
    def lost_by_topic(self) -> Mapping[str, int]:
        """Messages that were sent and never arrived here, by topic, since the first that did."""
        ...

    def __aiter__(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Return the stream of (topic, message); it ends when the subscriber is closed."""
        ...

    async def close(self) -> None:
        """Close; the iterator ends."""
        ...
