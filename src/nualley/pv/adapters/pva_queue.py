"""How many updates may wait for us, and whether the server has run out of room because we were slow.

Subscriptions are pipelined: the server sends at most a window of updates that we have not taken, and keeps as many
again itself. Then it merges. A server of pvxs does not tell (its overrun bits are always 0), and p4p would not show it;
but it is seen by what waits: first our window was full, and behind it came all that the server had room for.
"""

QUEUE = 1024
"""The most updates that wait of one PV where its policy says nothing."""

QUEUE_MIN = 4
"""The least that a server takes for a queue that flows."""

QUEUE_B = 1 << 22
"""What may wait for us of one PV [B], and as much again at its server."""

TOTAL_B = 1 << 27
"""What may wait for us of all PVs together [B]."""

_STRUCTURE_B = 2048  # what a number takes with its alarm, stamp and limits, each time


def queue_for(update_B: int, n_pvs: int) -> int:
    """Return how many updates of a PV may wait.

    Parameters
    ----------
    update_B : int
        What the value of one holds [B], >= 0.
    n_pvs : int
        How many PVs share the room, >= 1.

    Examples
    --------
    >>> queue_for(8, 10), queue_for(8, 2000), queue_for(400_000, 10), queue_for(8_000_000, 10)
    (1024, 32, 10, 4)
    """
    each_B = min(QUEUE_B, TOTAL_B // max(n_pvs, 1))
    return max(QUEUE_MIN, min(QUEUE, each_B // (update_B + _STRUCTURE_B)))


class Backlog:
    """Whether the server may have merged updates of one PV.

    Parameters
    ----------
    queue : int
        The window, >= 4.

    Examples
    --------
    >>> backlog = Backlog(64)
    >>> backlog.took(64), backlog.took(30), backlog.took(64), backlog.took(64)
    (False, False, False, True)
    """

    __slots__ = ("_full", "_run", "_window")

    def __init__(self, queue: int) -> None:
        # what was taken is acknowledged in halves of the window: it may have been used up with half of it here
        self._window = queue // 2 + 1
        self._full = self._window + queue
        self._run = 0

    def took(self, n_updates: int) -> bool:
        """Note how many updates a look found; return whether the server may have merged some that came after these.

        A full window alone merges nothing: that is so only where what the server kept behind it was full as well.
        """
        is_window_full = n_updates >= self._window
        self._run = self._run + n_updates if is_window_full or self._run else 0
        is_merged = self._run >= self._full
        if is_merged or not is_window_full:
            self._run = 0
        return is_merged
