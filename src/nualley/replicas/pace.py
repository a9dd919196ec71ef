"""How fast work on files goes: how far it is, no faster than was said, and stopped when somebody asks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nualley.replicas import decide
from nualley.replicas.errors import TransferStopped
from nualley.replicas.ports import Progress, ShouldStop, Timer

_LONGEST_PAUSE_S = 0.2  # a stop is heard so soon


class Pace:
    """Tells how far work is, keeps its rate, and hears a stop.

    Parameters
    ----------
    name : str
        What the work is called.
    rate_B_per_s : int or None
        Most bytes to go through in a second [B/s]; None: no limit.
    timer : Timer
        Time.
    progress : callable or None
        Told name, bytes done and bytes to do [B].
    should_stop : callable
        Asked at each step.
    again : str
        The command that goes on with the work after a stop.
    """

    def __init__(
        self,
        name: str,
        rate_B_per_s: int | None,
        *,
        timer: Timer,
        progress: Progress | None,
        should_stop: ShouldStop,
        again: str,
    ) -> None:
        self._name = name
        self._rate_B_per_s = rate_B_per_s
        self._timer = timer
        self._progress = progress
        self._should_stop = should_stop
        self._again = again
        self._start_s = timer.now_s()
        self._before_B = 0
        self._all_B = 0

    def expect(self, size_B: int) -> None:
        """Take in that so many bytes more are to be gone through, or less [B]."""
        self._all_B += size_B

    def file(self, size_B: int) -> Callable[[int, int], None]:
        """Return what is told how far a file is, of which so many bytes are gone through [B]."""
        before_B = self._before_B
        self._before_B += size_B

        def advance(done_B: int, _file_B: int) -> None:
            self._wait(before_B + done_B)
            if self._progress:
                self._progress(self._name, before_B + done_B, max(self._all_B, before_B + done_B))

        return advance

    def _wait(self, done_B: int) -> None:
        while not self.check_stop():
            left_s = decide.pause_s(done_B, self._timer.now_s() - self._start_s, self._rate_B_per_s)
            if not left_s:
                return
            self._timer.sleep(min(left_s, _LONGEST_PAUSE_S))

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let time pass that is none of the work's: it is not made up for by going faster afterwards."""
        begun_s = self._timer.now_s()
        try:
            yield
        finally:
            self._start_s += self._timer.now_s() - begun_s

    def check_stop(self) -> bool:
        """Raise TransferStopped where a stop was asked; else return False."""
        if self._should_stop():
            raise TransferStopped(
                "stopped: what was finished stays", where=self._name, do=f"go on with it: {self._again}"
            )
        return False
