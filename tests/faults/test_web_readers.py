"""A thousand readers at once while the archive takes in: each is answered, and no update is missing."""

import asyncio
import json
import os
import resource
import time

import pytest

from nualley.app.site import open_site
from nualley.core import SECOND_NS
from nualley.pv import Metadata, Sample, ValueType
from nualley.testing.processes import Child
from tests.web.bench import POWER, PlayedArchive, connected, write_experiment

pytestmark = [pytest.mark.fault, pytest.mark.enable_socket, pytest.mark.timeout(300), pytest.mark.xdist_group("demo")]

N_READERS = 1000
RATE_HZ = 2000
SECONDS = 6


PASSWORDS = (
    "/static/../../../etc/passwd",
    "/static/%2e%2e/%2e%2e/etc/passwd",
    "/retrieval/data/getData.raw?pv=../../etc/passwd",
)


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def ask(host, port, path):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    raw = await reader.read()
    writer.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def read_for_all(host, port, archive):
    """Let every reader ask once, while counters come at their rate; return the answers and the last counter."""
    sent = 0

    async def send():
        nonlocal sent
        begin_s = time.monotonic()
        while sent < RATE_HZ * SECONDS:
            due = min(int((time.monotonic() - begin_s) * RATE_HZ), RATE_HZ * SECONDS)
            now_ns = time.time_ns()
            archive.say(
                *(
                    Sample(POWER, now_ns + number, float(number), ValueType.FLOAT64, 0, 0, "ca", now_ns)
                    for number in range(sent, due)
                )
            )
            sent = due
            await asyncio.sleep(0.02)

    sending = asyncio.create_task(send())
    await asyncio.sleep(1)
    paths = (f"/api/archive/bins?pv={POWER}&n=50", f"/api/archive/rows?pv={POWER}&start=-1s", "/api/status")
    answers = await asyncio.gather(*(ask(host, port, paths[number % 3]) for number in range(N_READERS)))
    await sending
    return answers, sent


def test_a_thousand_readers_cost_no_update(tmp_path, many_files):
    site = open_site(write_experiment(tmp_path), {})
    archive = PlayedArchive(site)
    try:
        now_ns = time.time_ns()
        archive.say(connected(POWER), Metadata(POWER, now_ns, ValueType.FLOAT64))
        archive.say(Sample(POWER, now_ns - SECOND_NS, -1.0, ValueType.FLOAT64, 0, 0, "ca", now_ns))
        time.sleep(0.5)
        server = Child(["tests.web.server_child", str(site.configuration.directory)], dict(os.environ))
        try:
            host, port = server.wait_until_ready()["url"].removeprefix("http://").rstrip("/").split(":")
            answers, sent = asyncio.run(read_for_all(host, int(port), archive))
        finally:
            server.kill()
    finally:
        archive.stop()
    assert [code for code, _ in answers if code != 200] == []
    assert all(json.loads(body) for _, body in answers)
    table = site.archive().read(POWER, 0, 2**62)
    values = [value for value in table["value"].to_pylist() if value is not None]
    assert values == [-1.0, *map(float, range(sent))]


def test_names_and_questions_beyond_all_measure_are_refused_and_the_server_lives(tmp_path):
    site = open_site(write_experiment(tmp_path), {})
    server = Child(["tests.web.server_child", str(site.configuration.directory)], dict(os.environ))
    try:
        host, port = server.wait_until_ready()["url"].removeprefix("http://").rstrip("/").split(":")

        async def attack():
            for path in ("/api/archive/bins?pv=" + "X" * 10_000_000, "/" + "a/" * 3_000_000):
                try:
                    code, _ = await ask(host, int(port), path)
                except ConnectionError:  # it hung up before all of it was sent
                    continue
                assert 400 <= code < 500
            for path in PASSWORDS:
                code, body = await ask(host, int(port), path)
                assert code in {400, 404}
                assert b"root:" not in body
            return await ask(host, int(port), "/api/health")

        code, _ = asyncio.run(attack())
        assert code == 200
    finally:
        server.kill()
