"""From one subscription of a PV to the next: what the old one brings until the new one has begun."""

import time
from collections.abc import Callable
from typing import Any

_WAIT_S = 5.0  # for the old one to bring what the new one began with; then its server will not send it any more


class Handover:
    """Two subscriptions of one PV that follow each other, as one: every update comes once, and none is missed.

    The new one begins with what the PV holds when its server has made it, later than it was asked for: until then
    updates come by the old one alone. It is read up to that first update of the new one, and then closed.

    Parameters
    ----------
    old, new : p4p.client.raw.Subscription
        The one that was, and the one that has been asked for.
    queue : int
        How many updates may wait in the new one, >= 4.
    last : p4p.Value
        The update that was taken last.
    stamp_ns : callable
        Returns the stamp of an update [ns since 1970 UTC], or None where it has none of its server's: then the old one
        is read until nothing waits in it.
    now_s : callable
        A clock that only grows [s].
    """

    def __init__(
        self,
        old: Any,
        new: Any,
        queue: int,
        last: Any,
        stamp_ns: Callable[[Any], int | None],
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.new = new
        self.queue = queue
        self._old = old
        self._stamp_ns = stamp_ns
        self._now_s = now_s
        self._end_s = 0.0
        self._first: Any = None
        self._n_old = 0  # updates that the new one may bring again
        self._last_ns = stamp_ns(last)

    @property
    def is_done(self) -> bool:
        """Whether the old one is closed; the next update is the new one's."""
        return self._old is None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left but what the new one will bring."""
        return self.is_done and self._first is None and not self._n_old

    def close(self) -> None:
        """End both."""
        self.end_old()
        self.new.close()

    def end_old(self) -> None:
        """Close the old one, whether or not it has brought all that the new one does not."""
        if self._old is not None:
            self._old.close()
            self._old = None

    def pop(self) -> Any:
        """Return what comes next: an update, an exception, or None where nothing waits or the old one just ended."""
        if self.is_done:
            return self._next_new()
        if self._first is None:
            self._first = self.new.pop()
            self._end_s = self._now_s() + _WAIT_S
        update = self._old.pop()
        if isinstance(update, Exception):  # both are lost: what comes then is no repeat
            self.end_old()
            self._n_old = 0
            return update
        if self._first is not None and self._is_after_first(update):
            self.end_old()
            return None
        if update is not None:
            self._n_old, self._last_ns = self._n_old + 1, self._stamp_ns(update)
        return update

    def _is_after_first(self, update: Any) -> bool:
        """Say whether the old one has brought all that came before the first update of the new one."""
        first_ns = None if isinstance(self._first, Exception) else self._stamp_ns(self._first)
        if first_ns is None or self._last_ns is None:
            return update is None
        if update is None:
            return self._last_ns >= first_ns or self._now_s() >= self._end_s
        stamp_ns = self._stamp_ns(update)
        return stamp_ns is not None and stamp_ns > first_ns

    def _next_new(self) -> Any:
        """Return the next update of the new one that the old one has not brought."""
        while True:
            update, self._first = self.new.pop() if self._first is None else self._first, None
            if update is None or not self._is_repeat(update):
                return update

    def _is_repeat(self, update: Any) -> bool:
        """Say whether the old one has brought an update: those are the first ones, and no more than it brought."""
        if self._n_old and self._last_ns is not None and not isinstance(update, Exception):
            self._n_old -= 1
            stamp_ns = self._stamp_ns(update)
            # of one stamp there may be several values: what repeats one is told, and is known by its value
            if stamp_ns is not None and stamp_ns < self._last_ns:
                return True
        self._n_old = 0
        return False
