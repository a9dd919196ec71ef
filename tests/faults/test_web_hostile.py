"""Hostile questions to a real server: paths, names and bodies beyond measure in every parameter, by GET and by POST."""

import contextlib
import json
import os
import re
import socket
import time
from pathlib import Path

import pytest

from nualley.app.archive import open_archive_writer
from nualley.app.site import open_site
from nualley.core import to_json
from nualley.pv import Connection, Metadata, Sample, ValueType
from nualley.testing.processes import Child
from nualley.web.application import create_app
from tests.web.bench import write_experiment

pytestmark = [pytest.mark.fault, pytest.mark.enable_socket, pytest.mark.timeout(600), pytest.mark.xdist_group("demo")]

TOKEN = "0123456789abcdef" * 4
HUGE = 10_000_000
LIMIT_S = 20  # a question that takes longer is one that holds up the others
GROWTH_MiB = 150
REFUSED = range(400, 500)
NO_SUCH_METHOD = 405
PARAMETERS = (
    "pv", "from", "to", "start", "stop", "n", "exact", "limit", "regex", "at", "searchPeriod", "timeranges", "ca_count",
    "ca_how", "samplingmethod", "samplingperiod", "controllingPV",
)  # fmt: skip
WORDS = {
    "up": "../../../../etc/passwd",
    "encoded up": "%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "absolute": "/etc/passwd",
    "NUL": "P%00../../etc/passwd",
    "no UTF-8": "%ff%fe",
    "a surrogate": "%ED%A0%80",
    "ends of lines": "P%0d%0aX-Evil:%201",
    "a call": "mean_1(mean_1(P))",
    "a pattern for ever": "(a*)*" * 100,
    "a pattern of thousands": ".%7B1000%7D" * 10,
    "infinite": "1e400",
    "many digits": "9" * 30_000,
    "letters": "X" * 30_000,
    "nothing": "",
}
BODIES = {
    "letters": b"X" * HUGE,
    "a name": b'["' + b"X" * HUGE + b'"]',
    "deep": b"[" * 500_000,
    "names": b"pv=" + b"A," * 500_000,
    "fields": b"pv=x&" * 100_000,
    "no UTF-8": b"\xff\x00" * 1000,
    "null": b"null",
    "numbers": b"[1, 2]",
    "NaN": b'{"samples": [{"pv": "P", "value": NaN}]}',
    "beyond": b'{"samples": [{"pv": "P", "value": 1, "time_ns": 99999999999999999999}]}',
}


class Server:
    """The product's server over an archive with one PV, and plain sockets to it."""

    def __init__(self, folder: Path) -> None:
        tokens = folder / "tokens"
        tokens.write_text(f"zoe {TOKEN}\n")
        tokens.chmod(0o600)
        environ = {
            **os.environ,
            "NUALLEY_WEB__MANAGE_TOKENS_FILE": str(tokens),
            "NUALLEY_WEB__PUSH_TOKENS_FILE": str(tokens),
        }
        self.site = open_site(write_experiment(folder), environ)
        writer, now_ns = open_archive_writer(self.site.archive_folder), time.time_ns()
        emit = writer.recorder.receive
        emit(Connection("P", True, "ioc", now_ns, now_ns, "ca"))
        emit(Metadata("P", now_ns, ValueType.FLOAT64, unit="kW"))
        for number in range(100):
            emit(Sample("P", now_ns - (100 - number) * 10**9, float(number), ValueType.FLOAT64, 0, 0, "ca", now_ns))
        writer.close()
        self._child = Child(["tests.web.server_child", str(self.site.configuration.directory)], environ)
        host, port = self._child.wait_until_ready()["url"].removeprefix("http://").rstrip("/").split(":")
        self.address = host, int(port)
        routes = create_app(self.site).openapi()["paths"]
        forms = ("json", "qw", "raw", "csv", "txt", "pdf")
        self.paths = sorted(
            path.replace("{form}", form) for path in routes for form in (forms if "{form}" in path else ("",))
        )
        # "/events" never ends; what a path does not know at all is refused before any parameter is looked at
        asked = [(method, path) for path in self.paths if path != "/events" for method in ("GET", "POST")]
        codes = {question: self.ask(*question)[0] for question in asked}
        self.refused = [question for question in asked if codes[question] == NO_SUCH_METHOD]
        self.questions = [question for question in asked if codes[question] != NO_SUCH_METHOD]
        assert {path for _, path in self.questions} == {path for _, path in asked}

    def high_water_MiB(self) -> int:
        status = Path(f"/proc/{self._child.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) // 1024

    def ask(self, method: str, path: str, body: bytes = b"", *headers: str) -> tuple[int, bytes]:
        """Ask, and return code and body; code 0 where it hung up without a word."""
        host, port = self.address
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", "Connection: close", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        raw = b""
        with socket.create_connection(self.address, timeout=LIMIT_S) as connection:
            with contextlib.suppress(ConnectionError):  # it has seen enough; what it says may still come
                connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            with contextlib.suppress(ConnectionError):
                while part := connection.recv(2**20):
                    raw += part
        head, _, answer = raw.partition(b"\r\n\r\n")
        assert b"\r\nX-Evil" not in head, path[:200]
        return (int(head.split()[1]) if head else 0), answer

    def kill(self) -> None:
        self._child.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("hostile"))
    yield made
    made.kill()


@pytest.fixture(autouse=True)
def lives_within_its_memory(server):
    before = server.high_water_MiB()
    yield
    assert server.ask("GET", "/api/health")[0] == 200
    assert server.high_water_MiB() - before < GROWTH_MiB


def check(code: int, answer: bytes, told: object) -> None:
    assert code == 200 or code in REFUSED, (told, code, answer[:300])
    assert b"root:" not in answer, told
    if answer[:1] in (b"{", b"["):

        def refuse(word):
            raise AssertionError(f"{told}: {word} is no JSON")

        json.loads(answer, parse_constant=refuse)


@pytest.mark.parametrize("word", WORDS)
def test_every_word_in_every_parameter(server, word):
    for method, path in server.questions:
        for name in PARAMETERS:
            others = "" if name == "pv" else "&pv=P"
            code, answer = server.ask(method, f"{path}?{name}={WORDS[word]}{others}")
            check(code, answer, (method, path, name, word))
    for method, path in server.refused:
        code, answer = server.ask(method, f"{path}?pv={WORDS[word]}")
        check(code, answer, (method, path, word))
        assert code in REFUSED


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_question_of_ten_megabytes_is_refused_at_once(server, method):
    for path in server.paths:
        code, answer = server.ask(method, f"{path}?pv={'X' * HUGE}")
        assert code == 0 or code in REFUSED, (path, code)
        assert len(answer) < 10_000


@pytest.mark.parametrize("body", BODIES)
def test_bodies_beyond_measure_are_refused(server, body):
    for path in server.paths:
        for kind in ("application/json", "application/x-www-form-urlencoded"):
            if path == "/events":
                continue
            head = (f"Authorization: Bearer {TOKEN}", f"Content-Type: {kind}")
            code, answer = server.ask("POST", path, BODIES[body], *head)
            assert code in {0, 200} or code in REFUSED, (path, body, code, answer[:300])
            assert len(answer) < 100_000


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../../../../../etc/passwd",
        "/static/..%2f..%2f..%2f..%2fetc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/vendor/../../../../../../../etc/passwd",
        "/static//etc/passwd",
        "//etc/passwd",
        "/static/%00",
        "/static/..%5c..%5cetc",
        "/retrieval/data/getData.json/../../../etc/passwd",
        "/retrieval/data/getData.%2e%2e%2fetc",
        f"/static/{'a/' * 20_000}",
        f"/static/{'a' * 5_000}",
        "/%ff",
        "*",
        "http://elsewhere/etc/passwd",
    ],
)
def test_no_path_leads_outside(server, path):
    code, answer = server.ask("GET", path)
    assert code in {0, *REFUSED}
    assert b"root:" not in answer


def contents(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in folder.rglob("*")}


def test_nothing_is_written_without_a_token(server):
    """No question makes a file, a change or a sample."""
    folder = server.site.archive_folder
    before = contents(folder)
    for path in server.paths:
        for word in ("../../x", "/tmp/x", "Y"):
            if path != "/events":
                server.ask("POST", f"{path}?pv={word}", b'["Y"]')
    assert contents(folder) == before
    assert to_json(server.site.archive().ledger())["received"] == 100


def test_what_is_too_long_is_refused_for_its_length_before_it_is_looked_at(server):
    code, answer = server.ask("POST", "/retrieval/data/getDataAtTime", b"X" * HUGE)
    assert code in {0, 400}
    assert not code or b"more than 1048576 B" in answer
    code, answer = server.ask("GET", f"/retrieval/bpl/searchForPVsRegex?regex={'X' * 30_000}")
    assert (code, b"a pattern of 30000 characters" in answer) == (400, True)
