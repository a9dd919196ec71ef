"""Events inside one process: the upper floor subscribes, the lower one publishes without knowing it."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Event(Generic[T]):
    """Something that happens, and those who want to be told.

    Examples
    --------
    >>> synced: Event[int] = Event()
    >>> synced.subscribe(print)
    >>> synced.publish(7)
    7
    """

    def __init__(self) -> None:
        self._handlers: list[Callable[[T], object]] = []

    def subscribe(self, handler: Callable[[T], object]) -> None:
        """Call ``handler`` with every value from now on."""
        self._handlers.append(handler)

    def publish(self, value: T) -> None:
        """Call every handler with ``value``, in the order in which they subscribed; an error stops the caller."""
        for handler in self._handlers:
            handler(value)
