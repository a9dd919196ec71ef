"""Passwords, encryption, refusals and floods of a real MQTT broker."""

import asyncio
import subprocess
import time

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from nualley.pv import Connection, Life, MqttPlace, MqttSettings, PvRequest, Sample
from nualley.pv.adapters import mqtt as adapter
from nualley.pv.adapters.mqtt import MqttSource
from nualley.pv.adapters.mqtt_client import MqttClient
from nualley.pv.adapters.receipts import ReceiptFile
from nualley.testing.mosquitto import Broker

pytestmark = [pytest.mark.enable_socket, pytest.mark.timeout(120)]

LIMIT_S = 30.0


@pytest.fixture
def guarded(broker, tmp_path):
    """A broker with a password, certificates, and a topic that nobody may read."""
    broker.stop()
    folder = tmp_path / "guarded"
    folder.mkdir()
    run("mosquitto_passwd", "-b", "-c", str(folder / "passwords"), "ada", "secret")
    run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem"),
    )  # fmt: skip
    options = [
        "allow_anonymous false",
        f"password_file {folder}/passwords",
        f"certfile {folder}/ca.pem",
        f"keyfile {folder}/key.pem",
    ]
    with Broker(folder, options=options) as made:
        yield made


def run(*words):
    subprocess.run(words, check=True, capture_output=True)


@pytest.fixture
def settings(guarded, tmp_path):
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)

    def make(**others):
        fields = {
            "host": "localhost", "port": guarded.port, "tls": True, "ca_file": guarded.folder / "ca.pem",
            "username": "ada", "password_file": password,
        }  # fmt: skip
        return MqttSettings(**{**fields, **others})

    return make


@pytest.fixture
async def listen(tmp_path):
    open_ = []

    async def start(settings, *topics):
        events = []
        source = MqttSource(
            settings,
            client_id="test",
            known=lambda _pv: None,
            receipt=lambda: len(events),
            receipts=ReceiptFile(tmp_path / "receipts", 100),
        )
        open_.append(source)
        await source.start([PvRequest(topic, mqtt=MqttPlace(topic)) for topic in topics], events.append)
        return events

    async def stop():
        while open_:
            await open_.pop().stop()

    start.stop = stop
    yield start
    await stop()


async def until(is_so):
    end_s = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.02)


async def test_a_password_and_a_certificate_open_the_broker(guarded, settings, listen):
    events = await listen(settings(), "lab/t")
    await until(lambda: any(isinstance(event, Life) for event in events))
    tls = aiomqtt.TLSParameters(ca_certs=str(guarded.folder / "ca.pem"))
    async with aiomqtt.Client("localhost", guarded.port, username="ada", password="secret", tls_params=tls) as client:
        await client.publish("lab/t", "2", qos=1)
    await until(lambda: [event.value for event in events if isinstance(event, Sample)] == [2.0])


async def test_a_topic_that_the_broker_refuses_is_told_and_the_others_are_listened_to(
    broker, listen, monkeypatch, capsys
):
    real = MqttClient.subscribe

    async def subscribe(client, topic, **options):
        answers = await real(client, topic, **options)
        if not isinstance(topic, list):
            return answers
        refused = ReasonCode(PacketTypes.SUBACK, "Not authorized")
        return [refused if name == "lab/secret" else answer for (name, _), answer in zip(topic, answers, strict=True)]

    # mosquitto's own list of rights lets everybody subscribe, and delivers nothing; others refuse
    monkeypatch.setattr(MqttClient, "subscribe", subscribe)
    events = await listen(MqttSettings(port=broker.port), "lab/t", "lab/secret")
    await until(lambda: any(isinstance(event, Life) for event in events))
    said = capsys.readouterr().out
    assert "PVS NOT ARCHIVED: the broker refuses their topic" in said
    assert "lab/secret" in said
    assert "lab/t" not in said


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("wrong", "ot authorized"),
        ("open", "others than its owner can read the password (mode 644)"),
        ("missing", "the password cannot be read"),
        ("empty", "the password's file is empty"),
        # paho leaves the socket to the collector of garbage
        pytest.param(
            "foreign",
            "certificate verify failed",
            marks=pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning"),
        ),
    ],
)
async def test_what_keeps_us_out_is_told_once_and_tried_again(settings, listen, tmp_path, caplog, capsys, broken, why):
    path = tmp_path / "password"
    words = {"wrong": "guess", "empty": ""}
    path.write_text(words.get(broken, "secret"))
    path.chmod(0o644 if broken == "open" else 0o600)
    if broken == "missing":
        path.unlink()
    others = {"ca_file": None} if broken == "foreign" else {}
    events = await listen(settings(**others), "lab/t")
    await until(lambda: any(isinstance(event, Connection) for event in events))
    await asyncio.sleep(0.8)  # it has tried again by now
    said = capsys.readouterr().out
    assert said.count("NO MQTT BROKER") == 1
    assert why in said
    assert [event.is_connected for event in events] == [False]
    path.unlink(missing_ok=True)
    path.write_text("secret")
    path.chmod(0o600)
    if broken != "foreign":
        await until(lambda: any(isinstance(event, Life) for event in events))


async def test_a_flood_without_duty_is_bounded_and_what_was_dropped_is_told(broker, listen, monkeypatch):
    monkeypatch.setattr(adapter, "MOST_WAITING", 1)
    events = await listen(MqttSettings(port=broker.port), "lab/t")
    await until(lambda: any(isinstance(event, Life) for event in events))
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.publish("lab/t", "-1", qos=1)
        await until(lambda: any(isinstance(event, Sample) for event in events))
        while sum(isinstance(event, Connection) for event in events) < 2:
            client._client.publish("lab/t", "0", qos=1)  # its receipt is on its way to disk while the others come
            for number in range(1000):
                client._client.publish("lab/t", str(number), qos=0)
            await asyncio.sleep(0.05)
        await client.publish("lab/t", "-2", qos=1)
    await until(lambda: [event.value for event in events if isinstance(event, Sample)][-1] == -2.0)
    links = [event for event in events if isinstance(event, Connection)]
    assert [link.is_connected for link in links[:2]] == [True, False]
    assert links[-1].is_connected


async def test_stopping_ends_a_source_that_overheard_it_once(broker, listen, monkeypatch):
    overheard = []

    async def ask(_client, topic):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:  # as wait_for of Python 3.11 does when the answer comes at that moment
            if overheard:
                raise
            overheard.append(topic)

    monkeypatch.setattr(adapter, "LIFE_S", 0.05)
    monkeypatch.setattr(MqttClient, "ask", ask)
    before = asyncio.all_tasks()
    events = await listen(MqttSettings(port=broker.port), "lab/t")
    await until(lambda: any(isinstance(event, Life) for event in events))
    await asyncio.sleep(0.2)
    await listen.stop()
    assert overheard == ["lab/t"]
    assert asyncio.all_tasks() == before
