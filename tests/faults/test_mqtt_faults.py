"""Kills of the archive, and a broker that goes: what a device published with QoS 1 is there, once."""

import asyncio
import contextlib
import json
import random
import time

import aiomqtt
import pytest
from paho.mqtt import publish

from nualley.app.site import open_site
from nualley.cli.main import main
from tests.archive_child import ArchiveChild
from tests.kept_aside import kept_aside

pytestmark = [pytest.mark.fault, pytest.mark.enable_socket, pytest.mark.timeout(900)]

LIMIT_S = 120


@pytest.fixture
def archive(tmp_path, broker):
    folder = tmp_path / "e"
    assert main(["init", str(folder)]) == 0
    (folder / "pvs" / "lab.toml").write_text(
        """[pv]
"N" = { protocol = "mqtt", topic = "lab/n" }
"STAMPED" = { protocol = "mqtt", topic = "lab/stamped", member = "n", time_member = "at", time_unit = "ns" }
"TWICE" = { protocol = "computed", expression = "2 * N" }
"PROBE" = { protocol = "mqtt", topic = "lab/probe" }
"""
    )
    with (folder / "experiment.toml").open("a") as file:
        file.write(f"\n[mqtt]\nport = {broker.port}\n")
    with ArchiveChild(folder) as running:
        running.until(lambda: is_subscribed(running, broker.port))
        yield running


def is_subscribed(archive, port):
    """Publish something, and say whether something that was published is there: a broker keeps it for whom it knows."""
    publish.single("lab/probe", "1", qos=1, port=port)
    return bool(archive.values("PROBE"))


class Device:
    """Publishes counters, one after the other, each until the broker has it."""

    def __init__(self, port):
        self.port, self.n, self.is_done = port, 0, False
        self.is_half = False  # one topic may have the number, and the other not yet

    async def run(self):
        while self.is_half or not self.is_done:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", self.port, timeout=10) as client:
                    while self.is_half or not self.is_done:
                        self.is_half = True
                        at = {"n": self.n, "at": time.time_ns()}
                        await client.publish("lab/n", str(self.n), qos=1)
                        await client.publish("lab/stamped", json.dumps(at), qos=1)
                        self.n += 1
                        self.is_half = False
            await asyncio.sleep(0.1)


async def settled(archive, device, running):
    """Wait until the last value of both counters is there."""
    device.is_done = True
    await running
    last = float(device.n - 1)

    def is_there():
        return archive.values("N")[-1:] == [last] and archive.values("STAMPED")[-1:] == [last]

    end_s = time.monotonic() + LIMIT_S
    while not await asyncio.to_thread(is_there):
        assert time.monotonic() < end_s, (last, archive.values("N")[-5:], archive.log[-3000:])
        await asyncio.sleep(0.2)


def is_balanced(archive):
    ledger = open_site(archive.folder).archive().ledger()
    return ledger.is_balanced and ledger.received == ledger.stored + ledger.quarantined + ledger.filtered


async def test_kills_of_the_archive_lose_and_double_nothing(archive, broker, seed, is_soak):
    rng = random.Random(seed)
    device = Device(broker.port)
    running = asyncio.create_task(device.run())
    for _ in range(30 if is_soak else 4):
        await asyncio.sleep(rng.uniform(0.2, 1.0))
        await asyncio.to_thread(archive.kill)
        await asyncio.sleep(rng.uniform(0, 0.5))
        await asyncio.to_thread(archive.start)
    await asyncio.sleep(1)
    await settled(archive, device, running)
    assert device.n > 100
    expected = [float(number) for number in range(device.n)]
    assert archive.values("N") == expected
    assert archive.values("STAMPED") == expected
    assert is_balanced(archive)
    assert not kept_aside(open_site(archive.folder).archive())
    doubled = archive.values("TWICE")
    assert doubled == sorted(set(doubled))
    assert {value / 2 for value in doubled} <= set(expected)


async def test_a_long_queue_that_a_kill_cuts_is_there_once(archive, broker):
    # a broker that is asked for a thousand under way may send all it has: what it sends again is as much
    n = 6000
    await asyncio.to_thread(archive.kill)
    async with aiomqtt.Client("127.0.0.1", broker.port, timeout=30) as client:
        for first in range(0, n, 500):
            batch = range(first, first + 500)
            await asyncio.gather(*(client.publish("lab/n", str(number), qos=1) for number in batch))
    await asyncio.to_thread(archive.start)
    await asyncio.to_thread(archive.until, lambda: len(archive.values("N")) > 0.9 * n)
    await asyncio.to_thread(archive.kill)
    await asyncio.to_thread(archive.start)
    await asyncio.to_thread(archive.until, lambda: archive.values("N")[-1:] == [n - 1])
    assert archive.values("N") == list(range(n))
    assert is_balanced(archive)


async def test_a_broker_that_is_stopped_and_started_loses_and_doubles_nothing(archive, broker, seed, is_soak):
    rng = random.Random(seed)
    device = Device(broker.port)
    running = asyncio.create_task(device.run())
    for _ in range(10 if is_soak else 2):
        await asyncio.sleep(rng.uniform(0.5, 1.0))
        await asyncio.to_thread(broker.stop)
        await asyncio.sleep(rng.uniform(0, 0.5))
        await asyncio.to_thread(broker.start)
    await asyncio.sleep(1)
    await settled(archive, device, running)
    # what the device publishes again after a lost answer is another message: the broker may have both
    values = archive.values("N")
    assert sorted(set(values)) == [float(number) for number in range(device.n)]
    assert values == sorted(values)
    rows = archive.rows("N")
    kinds = [row["kind"] for row in rows]
    assert kinds.count("disconnect") == kinds.count("reconnect") - 1 >= 1
    assert all(row["last_heard_ns"] <= row["time_ns"] for row in rows if row["kind"] == "disconnect")
    assert is_balanced(archive)
