"""Changes of what is archived while it runs: live, over restarts; and pushes, which are durable when answered."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

from nualley.app.flow import check_flow
from nualley.app.locks import role_state
from nualley.app.site import open_site
from nualley.cli.main import main
from nualley.core import CheckState
from nualley.testing.ioc import Ioc, Record

pytestmark = [pytest.mark.real_ioc, pytest.mark.enable_socket, pytest.mark.timeout(300)]

LIMIT_S = 40
TOKEN = "0123456789abcdef" * 4


@pytest.fixture
def ioc():
    with Ioc([Record("T:A", "float", 1.0), Record("T:B", "float", 2.0), Record("T:NEW", "float", 3.0)]) as running:
        yield running


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def experiment(tmp_path, ioc):
    folder = tmp_path / "e"
    assert main(["init", str(folder)]) == 0
    tokens = tmp_path / "tokens"
    tokens.write_text(f"daq {TOKEN}\n")
    tokens.chmod(0o600)
    (folder / "pvs" / "lab.toml").write_text('[pv]\n"T:A" = {}\n')
    path = folder / "experiment.toml"
    text = path.read_text().replace('addr_list = ["127.0.0.1"]', f'addr_list = ["{ioc.address}"]')
    path.write_text(text.replace("[web]\n", f'[web]\nport = {free_port()}\npush_tokens_file = "{tokens}"\n'))
    return folder


class Archive:
    """The product's process, and its command."""

    def __init__(self, folder, environ):
        self.folder, self.environ = folder, {**os.environ, **environ}
        self.process = None

    def start(self):
        command = [sys.executable, "-m", "nualley.cli", "up", "archive", "--experiment", str(self.folder)]
        with (self.folder.parent / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environ, stdout=log, stderr=log)
        store = open_site(self.folder).configuration.store
        self.until(lambda: role_state(store, "archive").control)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(LIMIT_S)

    def call(self, *words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "nualley.cli", "archive", *words, "--json", "--experiment", str(self.folder)],
            env=self.environ, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def last(self, pv):
        found = {value.pv: value for value in open_site(self.folder).archive().last()}
        return found.get(pv)

    def until(self, is_so):
        end_s = time.monotonic() + LIMIT_S
        while not is_so():
            assert self.process.poll() is None, (self.folder.parent / "log").read_text()
            assert time.monotonic() < end_s, (self.folder.parent / "log").read_text()
            time.sleep(0.05)


@pytest.fixture
def archive(experiment, ioc):
    made = Archive(experiment, ioc.environment)
    made.start()
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.stop()


def has_value(archive, pv, value):
    last = archive.last(pv)
    return last is not None and last.value == value


def samples(archive, pv):
    rows = open_site(archive.folder).archive().read(pv, 0, 2**62)
    return [
        value
        for value, kind in zip(rows["value"].to_pylist(), rows["kind"].to_pylist(), strict=True)
        if kind == "sample"
    ]


def test_changes_reach_the_running_archive_and_stay_over_restarts(archive, ioc):
    archive.until(lambda: has_value(archive, "T:A", 1.0))
    (flow,) = check_flow(role_state(open_site(archive.folder).configuration.store, "archive"))
    assert flow.state is CheckState.OK, flow
    assert archive.call("add", "T:B")["applied"] == "now"
    archive.until(lambda: has_value(archive, "T:B", 2.0))

    assert archive.call("pause", "T:A")["applied"] == "now"
    ioc.set("T:A", 7.0)
    ioc.set("T:B", 8.0)
    archive.until(lambda: has_value(archive, "T:B", 8.0))
    assert 7.0 not in samples(archive, "T:A")
    archive.stop(signal.SIGKILL)
    archive.start()
    ioc.set("T:A", 9.0)
    ioc.set("T:B", 10.0)
    archive.until(lambda: has_value(archive, "T:B", 10.0))
    assert 9.0 not in samples(archive, "T:A"), "a pause must outlive a kill"
    archive.call("resume", "T:A")
    archive.until(lambda: has_value(archive, "T:A", 9.0))

    archive.call("rename", "T:B", "T:NEW")
    ioc.set("T:NEW", 3.5)
    archive.until(lambda: has_value(archive, "T:NEW", 3.5))
    assert samples(archive, "T:B")[-2:] == samples(archive, "T:NEW")[-2:] == [10.0, 3.5]
    assert archive.call("alias", "ALIAS", "T:NEW")["applied"] == "now"
    archive.call("remove", "T:NEW")
    ioc.set("T:NEW", 11.0)
    ioc.set("T:A", 12.0)
    archive.until(lambda: has_value(archive, "T:A", 12.0))
    assert samples(archive, "ALIAS")[-1] == 3.5
    error = archive.call("pause", "T:NEW", code=2)["error"]
    assert "not archived" in error["what"]


def test_a_pushed_sample_that_was_answered_survives_a_kill(archive):
    assert archive.call("add", "LAB:P", "--protocol", "http")["applied"] == "now"
    with web(archive) as client:
        rows = [{"pv": "LAB:P", "value": 1.5, "unit": "K"}, {"pv": "T:A", "value": 1}, {"pv": "LAB:Q", "value": 1}]
        answer = client.post("/api/archive/push", json={"samples": rows})
        assert answer.status_code == 422
        found = answer.json()
        assert {key: found[key] for key in ("received", "stored", "filtered", "quarantined")} == {
            "received": 1, "stored": 1, "filtered": 0, "quarantined": 0,
        }  # fmt: skip
        assert {each["pv"]: each["why"].split(":")[0] for each in found["refused"]} == {
            "T:A": "archived by ca, not by http",
            "LAB:Q": "not archived",
        }
        archive.stop(signal.SIGKILL)
        assert samples(archive, "LAB:P") == [1.5]
        assert open_site(archive.folder).archive().record("LAB:P").metadata.unit == "K"
        answer = client.post("/api/archive/push", json={"samples": rows[:1]})
        assert answer.status_code == 503
        archive.start()
        row = {**rows[0], "time_ns": time.time_ns()}
        assert client.post("/api/archive/push", json={"samples": [row]}).status_code == 200
        found = client.post("/api/archive/push", json={"samples": [row]}).json()
        assert (found["stored"], found["filtered"]) == (0, 1)


@contextmanager
def web(archive):
    command = [sys.executable, "-m", "nualley.cli", "up", "web", "--experiment", str(archive.folder)]
    process = subprocess.Popen(command, env=archive.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        archive.until(lambda: role_state(open_site(archive.folder).configuration.store, "web").url)
        url = role_state(open_site(archive.folder).configuration.store, "web").url
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=LIMIT_S) as client:
            yield client
    finally:
        process.terminate()
        process.wait(LIMIT_S)
