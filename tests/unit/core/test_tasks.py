"""Tasks end when they are told to, also those that overhear it once."""

import asyncio

import pytest

from nualley.core import end_tasks, tasks

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(tasks, "AGAIN_S", 0.02)


async def overhear(times, error=None):
    """Go on for ever; the first cancels are lost, as `asyncio.wait_for` of Python 3.11 may lose one."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if not times:
                raise error or asyncio.CancelledError from None
            times -= 1


async def begun(work):
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("times", [0, 1, 3])
async def test_a_cancel_that_is_lost_is_said_again(times):
    task = await begun(overhear(times))
    await end_tasks([task])
    assert task.cancelled()


async def test_what_they_raise_is_dropped_and_those_that_ended_may_be_among_them(recwarn):
    failed = await begun(overhear(0, OSError("gone")))
    ended = await begun(asyncio.sleep(0))
    await ended
    await end_tasks(iter([failed, ended]))
    assert isinstance(failed.exception(), OSError)
    assert ended.done()
    await end_tasks([])
    assert not recwarn.list


async def test_who_is_cancelled_meanwhile_ends_them_first():
    task = await begun(overhear(2))
    waiting = await begun(end_tasks([task]))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert task.cancelled()
