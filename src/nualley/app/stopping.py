"""Being asked to stop: the first signal stops in order, each further one takes patience away."""

import asyncio
import contextlib
import math
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Self, TypeVar

from nualley.core import ExitCode

BURST_S = 1.0
"""Signals that come within so long [s] after one that counted are the same request: a key that was held, a shell or a
wrapper that hands on what the terminal sent already."""

HASTY_S = 3.0
"""Who is asked to stop a second time gives others at most so long [s]; from the third time on nothing."""

_T = TypeVar("_T")
_WOKEN_B = 4096
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop:
    """Requests to stop, counted.

    Attributes
    ----------
    n_asked : int
        How often, >= 0.
    exit_code : ExitCode
        What the process ends with.
    is_by_hand : bool
        Whether the first one was a Ctrl-C: somebody is there, and reads.

    Notes
    -----
    A signal only counts here: nothing is raised into the middle of what runs, so no child is left behind by an
    exception between its start and the note of it. Loops look at `is_asked`, coroutines wait for `event`.
    """

    def __init__(self) -> None:
        self.n_asked = 0
        self.exit_code = ExitCode.DONE
        self.is_by_hand = False
        self._counted_s = -math.inf
        self._listeners: list[Callable[[], None]] = []
        self._terminals: list[int] = []

    @property
    def is_asked(self) -> bool:
        """Whether it is time to stop."""
        return self.n_asked > 0

    @property
    def is_hastened(self) -> bool:
        """Whether it was asked more than once: what can be left undone is left undone."""
        return self.n_asked > 1

    @property
    def is_at_once(self) -> bool:
        """Whether patience is at its end."""
        return self.n_asked > 2

    def patience_s(self, limit_s: float) -> float:
        """Return how long somebody who was told to stop is waited for [s].

        Parameters
        ----------
        limit_s : float
            How long where nobody is in a hurry [s], >= 0.

        Examples
        --------
        >>> stop = Stop()
        >>> [stop.patience_s(20.0) for _ in range(4) if stop.ask() is None]
        [20.0, 3.0, 0.0, 0.0]
        """
        if self.is_at_once:
            return 0.0
        return min(HASTY_S, limit_s) if self.is_hastened else limit_s

    def ask(self, number: int = signal.SIGTERM) -> None:
        """Ask for the stop, once more.

        Parameters
        ----------
        number : int
            The signal that asks; the first one gives the exit code. SIGTERM is the ordinary end of a service (0),
            anything else was the user (130).
        """
        if not self.is_asked:
            self.exit_code = ExitCode.DONE if number == signal.SIGTERM else ExitCode.STOPPED
            self.is_by_hand = number == signal.SIGINT
        self.n_asked += 1
        for listener in self._listeners:
            listener()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` at every request; it may be called between any two lines, and must return at once."""
        self._listeners.append(listener)

    def end_at_third(self) -> None:
        """End the process at the third request wherever it is: what was acknowledged is durable at every moment."""
        self.subscribe(lambda: os._exit(ExitCode.STOPPED) if self.is_at_once else None)

    def event(self) -> asyncio.Event:
        """Return an event of the running loop that is set by the first request."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

        self.subscribe(tell)
        if self.is_asked:
            event.set()
        return event

    @contextlib.contextmanager
    def on_signals(self, *, is_command: bool = False) -> Iterator[Self]:
        """Be asked by SIGTERM, Ctrl-C and the end of the terminal for the length of a ``with`` block.

        Parameters
        ----------
        is_command : bool
            It is one command's work, which whoever started it in the background may have made deaf for Ctrl-C.

        Yields
        ------
        Stop
            Itself. After a stop these signals are ignored for good: the process is about to end, and one more Ctrl-C
            would only end it with a traceback.
        """
        self._terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in before.items():
            # nohup asks for SIGHUP to be ignored; a shell that ignores SIGINT for what runs in the background does not
            # mean that nobody may stop it
            if handler != signal.SIG_IGN or (number != signal.SIGHUP and not is_command):
                signal.signal(number, self._hear)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_IGN if self.is_asked else handler)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._leave_terminal()
        now_s = time.monotonic()
        if now_s - self._counted_s >= BURST_S:
            self._counted_s = now_s
            self.ask(number)

    def _leave_terminal(self) -> None:
        # every write to a terminal that is gone would fail, in the middle of the clean end
        for descriptor in self._terminals:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
        self._terminals = []


def run_coroutine(main: Coroutine[object, object, _T]) -> _T:
    """Run a coroutine as `asyncio.run`, which each signal wakes.

    Parameters
    ----------
    main : coroutine
        What is run; on the main thread.

    Returns
    -------
    object
        What it returns.

    Notes
    -----
    A signal that comes between the loop's last step and its sleep, or on another thread, only leaves a mark that the
    main thread looks at when it runs again; nothing wakes it for that. Python writes a byte for it where asked to
    (`signal.set_wakeup_fd`), which asyncio does only for handlers of its own.
    """

    async def run() -> _T:
        loop = asyncio.get_running_loop()
        woken, wakes = socket.socketpair()
        with woken, wakes:
            woken.setblocking(False)
            wakes.setblocking(False)
            loop.add_reader(woken, woken.recv, _WOKEN_B)
            before = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
            try:
                return await main
            finally:
                signal.set_wakeup_fd(before)
                loop.remove_reader(woken)

    return asyncio.run(run())


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long [s], or until somebody asks for a stop."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def run_until_stopped(work: Callable[[asyncio.Event], Coroutine[object, object, None]]) -> ExitCode:
    """Run the work of a process that has no children until it is asked to stop.

    Parameters
    ----------
    work : callable
        Takes an event; returns a coroutine that ends in order once the event is set.

    Returns
    -------
    ExitCode
        Done after SIGTERM, or where the work ends by itself; stopped by the user after Ctrl-C. The third request ends
        the process wherever it is: what was acknowledged is durable at every moment.
    """
    stop = Stop()
    stop.end_at_third()

    async def run() -> None:
        await work(stop.event())

    with stop.on_signals():
        run_coroutine(run())
    return stop.exit_code
