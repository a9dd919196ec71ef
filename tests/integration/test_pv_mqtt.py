"""Real MQTT against a real broker: what the source emits, and what it acknowledges."""

import asyncio
import contextlib
import json
import signal
import time

import aiomqtt
import numpy as np
import pytest

from nualley.core import SECOND_NS
from nualley.pv import Connection, Life, Metadata, MqttPlace, MqttSettings, PvRequest, Sample, ValueType
from nualley.pv.adapters.mqtt import MqttSource
from nualley.pv.adapters.receipts import ReceiptFile
from nualley.pv.feed import Known

pytestmark = [pytest.mark.enable_socket, pytest.mark.timeout(120)]

LIMIT_S = 30.0


class Listening:
    """A source and what it emitted; what is emitted is durable when the test says so."""

    def __init__(self, port, folder, *, client_id="test", **settings):
        self.events = []
        self.known = {}
        self.source = MqttSource(
            MqttSettings(port=port, **settings),
            client_id=client_id,
            known=self.known.get,
            receipt=lambda: len(self.events),
            receipts=ReceiptFile(folder / "receipts", 1000),
        )

    async def start(self, *requests):
        await self.source.start(requests, self.events.append)

    def sync(self):
        for sample in self.found(Sample):
            self.known[sample.pv] = Known(sample.time_ns, sample.value)
        self.source.durable(len(self.events))

    def found(self, kind, pv=None):
        return [event for event in self.events if isinstance(event, kind) and (pv is None or event.pv == pv)]

    def values(self, pv):
        return [sample.value for sample in self.found(Sample, pv)]

    async def until(self, is_so):
        end_s = time.monotonic() + LIMIT_S
        while not is_so():
            assert time.monotonic() < end_s, self.events
            await asyncio.sleep(0.02)

    async def is_listening(self):
        await self.until(lambda: self.found(Life))  # which comes when it has subscribed

    async def is_up(self, *pvs):
        await self.until(
            lambda: all(self.found(Connection, pv) and self.found(Connection, pv)[-1].is_connected for pv in pvs)
        )


def mqtt(pv, topic, unit="", **place):
    return PvRequest(pv, unit=unit, mqtt=MqttPlace(topic, **place))


@contextlib.asynccontextmanager
async def publisher(broker, **options):
    async with aiomqtt.Client("127.0.0.1", broker.port, **options) as client:
        yield client


async def publish(broker, topic, *payloads, qos=1, retain=False):
    async with publisher(broker) as client:
        for payload in payloads:
            await client.publish(topic, payload, qos=qos, retain=retain)


@pytest.fixture
async def listen(broker, tmp_path):
    """Listen to the broker; every source is stopped after the test."""
    open_ = []

    async def start(*requests, **options):
        made = Listening(broker.port, tmp_path, **options)
        open_.append(made.source)
        await made.start(*requests)
        if requests:
            await made.is_listening()
        return made

    yield start
    for source in open_:
        await source.stop()


async def test_every_kind_of_payload_arrives_with_its_unit_and_stamp(broker, listen):
    listening = await listen(
        mqtt("T", "lab/t", "K"),
        mqtt("JSON:T", "lab/json", "C", member="env.T[1]", time_member="at", time_unit="s"),
        mqtt("JSON:RH", "lab/json", "%", member="env.RH"),
        mqtt("ON", "lab/on"),
        mqtt("TEXT", "lab/text"),
        mqtt("WAVE", "lab/wave"),
    )
    document = {"env": {"T": [0, 21.25], "RH": 40}, "at": 1_700_000_000.5}
    for topic, payload in {
        "lab/t": "77.5",
        "lab/json": json.dumps(document),
        "lab/on": "true",
        "lab/text": "beam on, é",
        "lab/wave": "[1, 2]",
    }.items():
        await publish(broker, topic, payload)
    await listening.is_up("T", "JSON:T", "JSON:RH", "ON", "TEXT", "WAVE")
    values = {sample.pv: sample.value for sample in listening.found(Sample)}
    assert np.array_equal(values.pop("WAVE"), [1.0, 2.0])
    assert values == {"T": 77.5, "JSON:T": 21.25, "JSON:RH": 40.0, "ON": 1, "TEXT": "beam on, é"}
    (stamped,) = listening.found(Sample, "JSON:T")
    assert stamped.time_ns == 1_700_000_000 * SECOND_NS + SECOND_NS // 2
    assert stamped.protocol == "mqtt"
    (received,) = listening.found(Sample, "JSON:RH")
    assert received.time_ns == received.received_ns
    (metadata,) = listening.found(Metadata, "ON")
    assert (metadata.value_type, metadata.labels) == (ValueType.ENUM, ("false", "true"))
    assert listening.found(Metadata, "T")[0].unit == "K"
    assert {event.ioc for event in listening.found(Connection)} == {f"mqtt:127.0.0.1:{broker.port}"}


async def test_what_cannot_be_read_is_told_with_its_reason_and_nothing_else_suffers(broker, listen):
    listening = await listen(mqtt("A", "lab/a", member="x"), mqtt("B", "lab/a", member="y"))
    await publish(
        broker, "lab/a", '{"x": 1', "", b"\xff\x00", '{"y": 2}', '{"x": {"y": 1}, "y": 3}', '{"x": 4, "y": 5}'
    )
    await listening.until(lambda: listening.values("A")[-1:] == [4.0])
    assert [bool(sample.unreadable) for sample in listening.found(Sample, "A")] == [True] * 5 + [False]
    assert listening.values("B")[3:] == [2.0, 3.0, 5.0]
    reasons = [sample.unreadable for sample in listening.found(Sample, "A")][:-1]
    assert [reason.split(":")[0] for reason in reasons] == [
        "no JSON", "it is empty", "byte 0 is not UTF-8", "it has no x", "an object with ['y']",
    ]  # fmt: skip


async def test_a_message_is_acknowledged_when_it_is_durable_and_comes_again_otherwise(broker, listen, tmp_path):
    first = await listen(mqtt("A", "lab/a"))
    await publish(broker, "lab/a", *map(str, range(10)))
    await first.until(lambda: len(first.values("A")) == 10)
    first.source._running.cancel()  # as if it was killed: nothing is acknowledged any more
    await asyncio.gather(first.source._running, return_exceptions=True)
    # of the ten only six became durable
    six = first.found(Sample, "A")[:6]
    await publish(broker, "lab/a", "10", "11")
    second = Listening(broker.port, tmp_path)
    second.known["A"] = Known(six[-1].time_ns, six[-1].value)
    await second.start(mqtt("A", "lab/a"))
    await second.until(lambda: second.values("A")[-1:] == [11.0])
    assert second.values("A") == [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]
    again = second.found(Sample, "A")[:4]
    assert [sample.time_ns for sample in again] == [sample.time_ns for sample in first.found(Sample, "A")[6:]]
    second.sync()
    await asyncio.sleep(0.2)
    await second.source.stop()
    third = await listen(mqtt("A", "lab/a"))
    await publish(broker, "lab/a", "12")
    await third.until(lambda: third.values("A"))
    assert third.values("A") == [12.0], "what is acknowledged does not come again"


async def test_a_broker_that_is_killed_is_told_and_found_again(broker, listen):
    listening = await listen(mqtt("A", "lab/a"), mqtt("OTHER", "lab/b"))
    await publish(broker, "lab/a", "1")
    await listening.is_up("A")
    listening.sync()
    before_ns = time.time_ns()
    broker.kill()
    await listening.until(lambda: not listening.found(Connection, "A")[-1].is_connected)
    lost = listening.found(Connection, "A")[-1]
    assert (
        listening.found(Connection, "A")[0].last_heard_ns
        <= lost.last_heard_ns
        <= before_ns + SECOND_NS
        <= lost.time_ns + SECOND_NS
    )
    broker.start()
    await listening.until(lambda: listening.found(Life)[-1].last_heard_ns > lost.time_ns)
    await publish(broker, "lab/a", "2")
    await listening.until(lambda: listening.values("A") == [1.0, 2.0])
    assert listening.found(Connection, "A")[-1].is_connected


async def test_a_broker_that_hangs_is_noticed_within_ten_seconds(broker, listen):
    listening = await listen(mqtt("A", "lab/a"))
    await publish(broker, "lab/a", "1")
    await listening.is_up("A")
    broker.signal(signal.SIGSTOP)
    stopped_ns = time.time_ns()
    await listening.until(lambda: not listening.found(Connection, "A")[-1].is_connected)
    lost = listening.found(Connection, "A")[-1]
    assert lost.time_ns - stopped_ns < 10 * SECOND_NS
    assert lost.last_heard_ns <= stopped_ns


async def test_what_is_retained_is_no_fresh_sample_but_tells_that_the_value_holds(broker, listen):
    await publish(broker, "lab/a", "5", retain=True)
    listening = await listen(mqtt("A", "lab/a"))
    await listening.until(lambda: listening.values("A"))
    listening.sync()
    broker.stop()
    await listening.until(lambda: not listening.found(Connection, "A")[-1].is_connected)
    broker.start()
    await listening.is_up("A")
    assert listening.values("A") == [5.0]
    await listening.source.stop()
    again = await listen(mqtt("A", "lab/a"))
    again.known.update(listening.known)
    other = await listen(mqtt("A", "lab/a"), client_id="other")
    await other.is_up("A")
    assert other.values("A") == [5.0], "who has nothing stored stores it"
    await publish(broker, "lab/a", "6", retain=True)
    await again.until(lambda: again.values("A")[-1:] == [6.0])


async def test_the_last_will_of_a_device_is_a_disconnect(broker, listen):
    place = {"availability_topic": "lab/status"}
    listening = await listen(mqtt("A", "lab/a", **place), mqtt("B", "lab/b"))
    will = aiomqtt.Will("lab/status", "offline", qos=1, retain=True)
    device = aiomqtt.Client("127.0.0.1", broker.port, will=will, keepalive=5)
    async with device:
        await device.publish("lab/status", "online", qos=1, retain=True)
        await device.publish("lab/a", "1", qos=1)
        await device.publish("lab/b", "1", qos=1)
        await listening.is_up("A", "B")
        device._client._sock_close()  # it dies without a word
        with contextlib.suppress(aiomqtt.MqttError):
            await listening.until(lambda: not listening.found(Connection, "A")[-1].is_connected)
        device._disconnected.set_result(None)
    lost = listening.found(Connection, "A")[-1]
    assert lost.last_heard_ns == listening.found(Sample, "A")[-1].received_ns
    assert listening.found(Connection, "B")[-1].is_connected, "B has no availability"
    await publish(broker, "lab/status", "online", retain=True)
    await listening.is_up("A")


async def test_pvs_are_added_and_removed_while_it_runs(broker, listen):
    listening = await listen()
    await listening.source.add(mqtt("A", "lab/a"))
    await listening.is_listening()
    await listening.source.add(mqtt("B", "lab/a"))
    await publish(broker, "lab/a", "1")
    await listening.is_up("A", "B")
    await listening.source.remove("A")
    await publish(broker, "lab/a", "2")
    await listening.until(lambda: listening.values("B") == [1.0, 2.0])
    assert listening.values("A") == [1.0]
    await listening.source.remove("B")
    await listening.source.add(mqtt("C", "lab/c"))
    await publish(broker, "lab/a", "3")
    await publish(broker, "lab/c", "4")
    await listening.until(lambda: listening.values("C") == [4.0])
    assert listening.values("B") == [1.0, 2.0]
