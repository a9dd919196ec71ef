"""What every source of live values does alike: CA, PVA, MQTT, pushes and computed PVs."""

import asyncio
import time

import aiomqtt
import pytest

from nualley.core import SystemClock
from nualley.pv import (
    Connection,
    Metadata,
    MqttPlace,
    MqttSettings,
    PvRequest,
    Sample,
    ValueType,
    event_from_message,
    event_message,
    read_push,
)
from nualley.pv.adapters.computed import ComputedSource
from nualley.pv.adapters.mqtt import MqttSource
from nualley.pv.adapters.push import PushSource
from nualley.pv.adapters.receipts import ReceiptFile
from nualley.testing.ioc import Ioc, Record
from nualley.testing.listener import Listener

pytestmark = [pytest.mark.real_ioc, pytest.mark.enable_socket, pytest.mark.timeout(120)]

LIMIT_S = 30.0
PVS = ("A", "B", "SILENT")


class EpicsDriver:
    """A real IOC; the source is in a child process, because libca is started once a process."""

    def __init__(self, protocol, source):
        self.protocol, self.source = protocol, source
        self.ioc = Ioc([Record("A", "float", 0.0, fields={"EGU": "K"}), Record("B", "float", 0.0)])

    async def start(self, *pvs):
        await asyncio.to_thread(self.ioc.__enter__)
        settings, environ = self.ioc.settings(), self.ioc.environment
        self.listener = Listener(settings, list(pvs), environ=environ, search_s=0.5, source=self.source)

    @property
    def events(self):
        return list(self.listener.events)

    async def set(self, pv, value):
        await asyncio.to_thread(self.ioc.set, pv, value)

    async def add(self, pv):
        self.listener.add(PvRequest(pv))

    async def remove(self, pv):
        self.listener.remove(pv)

    async def stop(self):
        await asyncio.to_thread(self.listener.stop)
        await asyncio.to_thread(self.ioc.__exit__, None, None, None)


class InProcess:
    """A source in this process."""

    def __init__(self, source):
        self.source, self.events = source, []

    async def start(self, *pvs):
        await self.source.start([self.request(pv) for pv in pvs], self.events.append)

    def request(self, pv):
        return PvRequest(pv, unit="K")

    async def add(self, pv):
        await self.source.add(self.request(pv))

    async def remove(self, pv):
        await self.source.remove(pv)

    async def stop(self):
        await self.source.stop()


class MqttDriver(InProcess):
    protocol = "mqtt"

    def __init__(self, broker, folder):
        settings, receipts = MqttSettings(port=broker.port), ReceiptFile(folder / "receipts", 100)
        super().__init__(
            MqttSource(
                settings, client_id="test", known=lambda _: None, receipt=lambda: len(self.events), receipts=receipts
            )
        )
        self.port = broker.port

    def request(self, pv):
        return PvRequest(pv, unit="K", mqtt=MqttPlace(f"t/{pv}"))

    async def set(self, pv, value):
        async with aiomqtt.Client("127.0.0.1", self.port) as client:
            await client.publish(f"t/{pv}", str(value), qos=1, retain=True)


class PushDriver(InProcess):
    protocol = "http"

    def __init__(self):
        super().__init__(PushSource(SystemClock()))

    async def set(self, pv, value):
        row = {"pv": pv, "value": value, "unit": "K"}
        self.source.push(read_push({"samples": [row]}, time.time_ns()), "daq")


class ComputedDriver(InProcess):
    protocol = "computed"

    def __init__(self):
        super().__init__(ComputedSource(is_archived=lambda _: True, newest=lambda _: None))

    def request(self, pv):
        return PvRequest(pv, unit="K", expression=f"IN:{pv} + 1")

    async def set(self, pv, value):
        now_ns = time.time_ns()
        self.source.take(Connection(f"IN:{pv}", True, "ioc", now_ns, now_ns, "ca"))
        self.source.take(Sample(f"IN:{pv}", now_ns, value - 1.0, ValueType.FLOAT64, 0, 0, "ca", now_ns))


@pytest.fixture(params=["ca", "pva", "mqtt", "http", "computed"])
async def driver(request, tmp_path):
    made = {
        "ca": lambda: EpicsDriver("ca", "nualley.pv.adapters.ca:CaSource"),
        "pva": lambda: EpicsDriver("pva", "nualley.pv.adapters.pva:PvaSource"),
        "mqtt": lambda: MqttDriver(request.getfixturevalue("broker"), tmp_path),
        "http": PushDriver,
        "computed": ComputedDriver,
    }[request.param]()
    yield made
    await made.stop()


def of(driver, kind, pv):
    return [event for event in driver.events if isinstance(event, kind) and event.pv == pv]


async def until_value(driver, pv, value):
    """Set a value again and again until it is there: a source may still be on its way to whom it listens to."""
    end_s = time.monotonic() + LIMIT_S
    while value not in [sample.value for sample in of(driver, Sample, pv)]:
        assert time.monotonic() < end_s, driver.events
        await driver.set(pv, value)
        await asyncio.sleep(0.1)


async def test_a_pv_is_connected_before_its_first_sample_and_described(driver):
    await driver.start(*PVS)
    before_ns = time.time_ns()
    await until_value(driver, "A", 7.0)
    (connection,) = of(driver, Connection, "A")
    assert connection.is_connected
    assert connection.ioc
    assert before_ns - 60e9 < connection.last_heard_ns <= time.time_ns()
    # metadata of CA may come ahead: they are asked for in the same breath
    events = [event for event in driver.events if getattr(event, "pv", "") == "A" and not isinstance(event, Metadata)]
    assert isinstance(events[0], Connection)
    assert of(driver, Metadata, "A")[0].unit == "K"
    sample = of(driver, Sample, "A")[-1]
    assert (sample.value, sample.value_type, sample.severity) == (7.0, "float64", 0)
    assert abs(sample.time_ns - sample.received_ns) < 60e9
    assert {event.protocol for event in events} == {driver.protocol}
    assert of(driver, Sample, "SILENT") == []
    assert not any(event.is_connected for event in of(driver, Connection, "SILENT"))


async def test_every_event_travels_over_the_live_bus(driver):
    await driver.start("A")
    await until_value(driver, "A", 7.0)
    for event in driver.events:
        assert event_from_message(event_message(event)) == event


async def test_pvs_are_added_and_removed_while_it_runs(driver):
    await driver.start("A")
    await until_value(driver, "A", 1.0)
    await driver.remove("NEVER:ASKED:FOR")
    await driver.add("B")
    await until_value(driver, "B", 2.0)
    await driver.remove("A")
    await asyncio.sleep(0.3)
    await driver.set("A", 3.0)
    await until_value(driver, "B", 4.0)
    assert 3.0 not in [sample.value for sample in of(driver, Sample, "A")]
    n_links = len(of(driver, Connection, "A"))
    await driver.add("A")
    await until_value(driver, "A", 5.0)
    assert of(driver, Connection, "A")[n_links:][-1].is_connected, "who is added anew is connected anew"


async def test_nothing_comes_after_it_was_stopped(driver):
    await driver.start("A")
    await until_value(driver, "A", 1.0)
    if isinstance(driver, EpicsDriver):
        pytest.skip("the source ends with its process: there is nothing to hear any more")
    await driver.stop()
    n_events = len(driver.events)
    await driver.set("A", 2.0)
    await asyncio.sleep(0.2)
    assert len(driver.events) == n_events
    await driver.start("A")
    await until_value(driver, "A", 3.0)
