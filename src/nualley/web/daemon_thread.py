"""Threads that look at the world: a drive that hangs stops its own look and nothing else."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_Job = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class DaemonThread:
    """One thread that does one thing after the other.

    It is a daemon, unlike the threads of an executor: a process whose drive hangs in the kernel can still end.

    Parameters
    ----------
    name : str
        Of the thread, for those who look from outside.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def do(self, work: Callable[[], T]) -> T:
        """Do the work in the thread, after all that it was given before.

        Parameters
        ----------
        work : callable
            Takes nothing; what it raises is raised here.

        Returns
        -------
        object
            What the work returned.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((work, future, loop))
        return await future

    def stop(self) -> None:
        """End the thread once it has done what it was given; returns at once."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, future, loop = job
            try:
                result, error = work(), None
            except BaseException as raised:  # noqa: BLE001  # it belongs to whoever waits for the future
                result, error = None, raised
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, future, result, error)


def _settle(future: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
