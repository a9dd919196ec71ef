"""Tasks of the event loop that end when they are told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

AGAIN_S = 1.0
"""A task that goes on is told again after so long [s]."""


async def end_tasks(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks, and wait until each has ended; what they raise meanwhile is dropped.

    Parameters
    ----------
    tasks : iterable of asyncio.Future
        Those that ended already may be among them.

    Raises
    ------
    asyncio.CancelledError
        Where the caller was cancelled meanwhile; the tasks have ended even then.

    Notes
    -----
    One cancel is not enough: `asyncio.wait_for` of Python 3.11 drops one that comes together with what it waits for
    (python/cpython#86296, mended in 3.12), and a library that cleans up may raise an error of its own in its place.
    """
    import asyncio  # noqa: PLC0415  # heavy: a command that has no tasks does without

    every = tuple(tasks)
    pending: set[asyncio.Future[Any]] = {task for task in every if not task.done()}
    is_cancelled = False
    while pending:
        for task in pending:
            task.cancel()
        try:
            _, pending = await asyncio.wait(pending, timeout=AGAIN_S)
        except asyncio.CancelledError:
            is_cancelled = True
            pending = {task for task in pending if not task.done()}
    await asyncio.gather(*every, return_exceptions=True)
    if is_cancelled:
        raise asyncio.CancelledError
