"""The live bus: ZeroMQ and the one in memory keep the same contract."""

import asyncio

import pytest
import zmq

from nualley.core import UsageError
from nualley.pv import BusEndpointError
from nualley.pv.adapters.bus import ZmqPublisher, ZmqSubscriber
from nualley.testing.bus import MemoryBus

LIMIT_S = 20


@pytest.fixture(params=["memory", "zmq"])
async def bus(request, tmp_path):
    """A publisher, and a function that gives subscribers that are connected."""
    closing = []

    async def subscribe(**options):
        if request.param == "memory":
            subscriber = publisher.subscribe(**options)
        else:
            subscriber = ZmqSubscriber(publisher.endpoint, **options)
            await connected(publisher, subscriber, options.get("topics", ("",)))
        closing.append(subscriber)
        return subscriber

    publisher = MemoryBus() if request.param == "memory" else ZmqPublisher(f"ipc://{tmp_path}/bus")
    yield publisher, subscribe
    for subscriber in closing:
        await subscriber.close()
    await publisher.close()


async def connected(publisher, subscriber, topics):
    """ZeroMQ connects when it likes: call until the subscriber hears it."""
    async with asyncio.timeout(LIMIT_S):
        stream = aiter(subscriber)
        hello = asyncio.ensure_future(anext(stream))
        while not hello.done():
            publisher.publish(f"{topics[0]}hello", {})
            await asyncio.wait([hello], timeout=0.02)
        await asyncio.sleep(0.05)
        subscriber._kept.clear()


async def take(subscriber, n):
    found = []
    async with asyncio.timeout(LIMIT_S):
        async for item in subscriber:
            found.append(item)
            if len(found) == n:
                return found
    return found


async def test_messages_arrive_in_order_with_their_topics(bus):
    publisher, subscribe = bus
    subscriber = await subscribe()
    for number in range(100):
        publisher.publish(f"pv/{number % 2}", {"number": number, "nan": float("nan")})
    got = await take(subscriber, 100)
    assert got == [(f"pv/{number % 2}", {"number": number, "nan": None}) for number in range(100)]
    assert not {topic: n for topic, n in subscriber.lost_by_topic.items() if topic.startswith("pv/")}


async def test_a_publisher_knows_who_listens(bus):
    publisher, subscribe = bus
    assert not publisher.is_heard("pv/A")
    one, other = await subscribe(topics=("pv/",)), await subscribe(topics=("pv/",))
    assert publisher.is_heard("pv/A")
    assert not publisher.is_heard("archive")
    await one.close()
    await asyncio.sleep(0.1)
    assert publisher.is_heard("pv/A")
    await other.close()
    async with asyncio.timeout(LIMIT_S):
        while publisher.is_heard("pv/A"):  # noqa: ASYNC110  # the socket has no event to wait for
            await asyncio.sleep(0.01)


async def test_only_the_topics_that_were_asked_for_arrive(bus):
    publisher, subscribe = bus
    subscriber = await subscribe(topics=("pv/",))
    publisher.publish("ingest/run", {})
    publisher.publish("pv/A", {"value": 1})
    assert await take(subscriber, 1) == [("pv/A", {"value": 1})]


async def test_a_slow_reader_loses_the_oldest_and_sees_how_many(bus):
    publisher, subscribe = bus
    subscriber = await subscribe(high_water_mark=10)
    publisher.publish("n", {"number": 0})
    assert await take(subscriber, 1) == [("n", {"number": 0})]
    for number in range(1, 101):
        publisher.publish("n", {"number": number})
        await asyncio.sleep(0.001)  # ZeroMQ's own queue of 10 must not overflow: that would lose the newest
    async with asyncio.timeout(LIMIT_S):
        while not subscriber._kept or subscriber._kept[-1].message["number"] != 100:  # noqa: ASYNC110  # must not read
            await asyncio.sleep(0.01)
    assert [message["number"] for _, message in await take(subscriber, 10)] == list(range(91, 101))
    assert subscriber.lost_by_topic["n"] == 90


async def test_what_json_cannot_carry_is_refused_and_takes_no_number(bus):
    publisher, subscribe = bus
    subscriber = await subscribe()
    publisher.publish("n", {"number": 0})
    with pytest.raises(UsageError, match="what JSON can hold"):
        publisher.publish("n", {"bad": object()})
    publisher.publish("n", {"number": 1})
    await take(subscriber, 2)
    assert "n" not in subscriber.lost_by_topic


async def test_a_closed_subscriber_ends(bus):
    publisher, subscribe = bus
    subscriber = await subscribe()
    publisher.publish("n", {"number": 0})
    first = await take(subscriber, 1)
    await subscriber.close()
    assert first == [("n", {"number": 0})]
    assert await take(subscriber, 1) == []


async def test_nobody_listening_does_not_stop_the_publisher(bus):
    publisher, _ = bus
    for number in range(20_000):
        publisher.publish("n", {"number": number})


async def test_a_damaged_message_is_counted_and_the_next_one_taken(tmp_path):
    publisher = ZmqPublisher(f"ipc://{tmp_path}/bus")
    subscriber = ZmqSubscriber(publisher.endpoint)
    await connected(publisher, subscriber, ("",))
    publisher._socket.send_multipart([b"n", b"nonsense"])
    publisher.publish("n", {"number": 1})
    assert await take(subscriber, 1) == [("n", {"number": 1})]
    assert subscriber.n_damaged == 1
    await subscriber.close()
    await publisher.close()


async def test_a_publisher_that_starts_anew_at_the_same_place_is_heard(tmp_path):
    endpoint = f"ipc://{tmp_path}/bus"
    first = ZmqPublisher(endpoint)
    subscriber = ZmqSubscriber(endpoint)
    await connected(first, subscriber, ("",))
    await first.close()
    second = ZmqPublisher(endpoint)
    await connected(second, subscriber, ("",))
    await subscriber.close()
    await second.close()


async def test_an_endpoint_that_cannot_be_is_said(tmp_path):
    with pytest.raises(BusEndpointError, match="cannot publish at 'ipc:///no/such/folder/bus'"):
        ZmqPublisher("ipc:///no/such/folder/bus")
    with pytest.raises(BusEndpointError, match="cannot listen at 'nonsense'"):
        ZmqSubscriber("nonsense")
    assert zmq.zmq_version_info() >= (4, 3)
