"""Sources side by side in the product's own process: CA, MQTT and what is computed from both."""

import asyncio
import json
import os
import subprocess
import sys
import time

import aiomqtt
import pytest

from nualley.app.site import open_site
from nualley.cli.main import main
from nualley.testing.ioc import Ioc, Record
from tests.archive_child import ArchiveChild
from tests.kept_aside import kept_aside

pytestmark = [pytest.mark.real_ioc, pytest.mark.enable_socket, pytest.mark.timeout(300)]


@pytest.fixture
def ioc():
    with Ioc([Record("T:A", "float", 1.0), Record("T:B", "float", 2.0)]) as running:
        yield running


@pytest.fixture
def archive(tmp_path, broker, ioc):
    folder = tmp_path / "e"
    assert main(["init", str(folder)]) == 0
    (folder / "pvs" / "lab.toml").write_text(
        """[pv]
"T:A" = {}
"M" = { protocol = "mqtt", topic = "lab/m", member = "v", unit = "K" }
"SUM" = { protocol = "computed", expression = "T:A + M", unit = "K" }
"""
    )
    path = folder / "experiment.toml"
    text = path.read_text().replace('addr_list = ["127.0.0.1"]', f'addr_list = ["{ioc.address}"]')
    path.write_text(f"{text}\n[mqtt]\nport = {broker.port}\n")
    with ArchiveChild(folder, ioc.environment) as running:
        yield running


def publish(broker, topic, *payloads):
    async def send():
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            for payload in payloads:
                await client.publish(topic, payload, qos=1)

    asyncio.run(send())


def call(archive, *words, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "nualley.cli", "archive", *words, "--json", "--experiment", str(archive.folder)],
        env={**os.environ}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def kinds(archive, pv):
    return [row["kind"] for row in archive.rows(pv)]


def test_what_comes_over_both_is_computed_stored_and_told(archive, broker, ioc):
    archive.until(lambda: archive.values("T:A") == [1.0])
    archive.until(lambda: "mqtt.connected" in archive.log)
    time.sleep(0.2)
    publish(broker, "lab/m", '{"v": 10}', "junk", '{"v": 20}')
    archive.until(lambda: archive.values("M") == [10.0, 20.0])
    archive.until(lambda: archive.values("SUM") == [11.0, 21.0])
    ioc.set("T:A", 5.0)
    archive.until(lambda: archive.values("SUM")[-1:] == [25.0])
    site = open_site(archive.folder)
    (row,) = kept_aside(site.archive())
    assert (row["reason"].partition(": ")[0], row["value"]) == ("unreadable", "junk")
    assert site.archive().ledger().is_balanced
    info = call(archive, "info", "SUM")
    assert (info["state"], info["protocol"], info["metadata"][0]["unit"]) == ("connected", "computed", "K")
    assert info["policy"] == {"protocol": "computed", "expression": "T:A + M", "unit": "K"}
    assert call(archive, "info", "M")["ioc"] == f"mqtt:127.0.0.1:{broker.port}"

    broker.stop()
    archive.until(lambda: kinds(archive, "SUM")[-1] == "disconnect")
    assert call(archive, "info", "SUM")["ioc"] == "computed:SUM without M"
    broker.start()
    archive.until(lambda: kinds(archive, "SUM")[-1] == "reconnect")
    call(archive, "pause", "T:A")
    archive.until(lambda: kinds(archive, "SUM")[-1] == "disconnect")
    call(archive, "resume", "T:A")
    archive.until(lambda: kinds(archive, "SUM")[-1] != "disconnect")


def test_pvs_of_both_are_added_live_and_what_cannot_be_is_refused(archive, broker):
    archive.until(lambda: archive.values("T:A") == [1.0])
    added = call(archive, "add", "TWICE", "--protocol", "computed", "--expression", "T:A * 2", "--unit", "K")
    assert added["applied"] == "now"
    assert added["policy"] == {"protocol": "computed", "expression": "T:A * 2", "unit": "K"}
    archive.until(lambda: archive.values("TWICE") == [2.0])
    assert call(archive, "add", "N", "--protocol", "mqtt", "--topic", "lab/n")["applied"] == "now"
    publish(broker, "lab/n", "7")
    archive.until(lambda: archive.values("N") == [7.0])
    for words, what in [
        (["X", "--protocol", "computed", "--expression", "NOT:THERE"], "NOT:THERE is not archived"),
        (["T:A", "--protocol", "computed", "--expression", "TWICE"], "computed from itself"),
    ]:
        assert what in call(archive, "add", *words, code=2)["error"]["what"]
    for words in (["X", "--topic", "a"], ["X", "--protocol", "mqtt"], ["X", "--protocol", "mqtt", "--topic", "a/#"]):
        assert call(archive, "add", *words, code=2)["error"]["code"] == 2
    assert archive.values("T:A") == [1.0]
    call(archive, "remove", "N")
    archive.kill()
    archive.start()
    archive.until(lambda: kinds(archive, "TWICE")[-1] == "reconnect")
    assert archive.values("TWICE") == [2.0]
