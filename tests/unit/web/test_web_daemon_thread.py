"""Threads that may hang without harm."""

import asyncio
import threading

import pytest

from nualley.web.daemon_thread import DaemonThread


async def test_work_is_done_in_one_thread_in_order() -> None:
    worker = DaemonThread("test-worker")
    done: list[int] = []
    threads = await asyncio.gather(
        *(worker.do(lambda n=n: (done.append(n), threading.current_thread())[1]) for n in range(20))
    )
    assert done == list(range(20))
    assert len(set(threads)) == 1
    assert threads[0].name == "test-worker"
    assert threads[0].daemon  # a process whose drive hangs can still end
    worker.stop()
    threads[0].join(5)
    assert not threads[0].is_alive()


async def test_what_work_raises_is_raised_here() -> None:
    worker = DaemonThread("test-worker")
    with pytest.raises(ValueError, match="no such drive"):
        await worker.do(lambda: _fail("no such drive"))
    assert await worker.do(lambda: 7) == 7
    worker.stop()


async def test_who_no_longer_waits_does_not_hinder_the_next() -> None:
    worker, gate = DaemonThread("test-worker"), threading.Event()
    given_up = asyncio.ensure_future(worker.do(gate.wait))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    gate.set()
    assert await asyncio.wait_for(worker.do(lambda: "next"), 5) == "next"
    worker.stop()


def _fail(text: str) -> None:
    raise ValueError(text)
