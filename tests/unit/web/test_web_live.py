"""Listening to the live bus."""

import asyncio

import pytest

from nualley.archive import PvState
from nualley.core import UnreachableError
from nualley.pv import Subscriber
from nualley.testing.bus import MemoryBus
from nualley.web.live import LiveFeed, take, trouble_of
from nualley.web.observations import LiveSeen
from tests.unit.web.fakes import NOW_NS, POWER, FakeClock, last_value, message


def test_a_message_is_taken_in() -> None:
    seen = take(LiveSeen(), message(last_value(POWER, 1.4)), NOW_NS, 0)
    assert (seen.message_ns, seen.n_messages, seen.synced_ns) == (NOW_NS, 1, NOW_NS)
    assert seen.values[POWER] == last_value(POWER, 1.4)
    assert seen.values[POWER].state is PvState.CONNECTED
    assert seen.ledger is not None
    assert seen.ledger.is_balanced


def test_values_that_a_message_does_not_name_stay() -> None:
    seen = take(take(LiveSeen(), message(last_value("A", 1)), 1, 0), message(last_value("B", 2)), 2, 3)
    assert set(seen.values) == {"A", "B"}
    assert (seen.n_messages, seen.n_lost) == (2, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"values": [{"pv": "A"}]},
        {"values": [{**message(last_value("A", 1))["values"][0], "state": "asleep"}]},
        {"values": None},
        {"ledger": {"received": 1, "lost": 1}},
        {"synced_ns": None},
    ],
)
def test_a_message_of_another_version_is_told_of_and_still_proves_life(changes: dict[str, object]) -> None:
    seen = take(LiveSeen(), message(**changes), NOW_NS, 0)
    assert seen.failure is not None
    assert "cannot be read" in seen.failure.what
    assert "one version" in seen.failure.do
    assert (seen.message_ns, seen.n_messages) == (NOW_NS, 1)
    assert take(seen, message(), NOW_NS, 0).failure is None


async def test_the_feed_follows_one_topic_and_stamps_by_its_own_clock() -> None:
    bus, clock = MemoryBus(), FakeClock(NOW_NS + 5)
    feed = LiveFeed(bus.subscribe, clock)
    task = asyncio.create_task(feed.run())
    await asyncio.sleep(0)
    bus.publish("elsewhere", {"values": 1})
    bus.publish("archive", message(last_value(POWER, 1.4), time_ns=1))
    await asyncio.wait_for(feed.news.wait(), 5)
    assert (feed.seen.message_ns, feed.seen.n_messages, feed.seen.failure) == (NOW_NS + 5, 1, None)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_bus_that_cannot_be_heard_is_told_of_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nualley.web.live.RETRY_S", 0.0)
    bus = MemoryBus()
    answers: list[Subscriber | Exception] = [
        UnreachableError("the folder of the bus belongs to another user", do="set XDG_RUNTIME_DIR"),
        bus.subscribe(),
    ]

    def listen() -> Subscriber:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    feed = LiveFeed(listen, FakeClock())
    task = asyncio.create_task(feed.run())
    await asyncio.sleep(0)
    assert feed.seen.failure == trouble_of(
        UnreachableError("the folder of the bus belongs to another user", do="set XDG_RUNTIME_DIR")
    )
    bus.publish("archive", message())
    await asyncio.wait_for(feed.news.wait(), 5)
    assert feed.seen.failure is None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_words_of_an_error() -> None:
    ours = trouble_of(UnreachableError("what", "where", "do"))
    assert (ours.what, ours.do) == ("what (where)", "do")
    assert trouble_of(OSError("disk on fire")).what == "disk on fire"
    assert trouble_of(ValueError()).what == "ValueError"
