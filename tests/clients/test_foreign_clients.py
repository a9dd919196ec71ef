"""A real server, read by unmodified clients of the Archiver Appliance in environments of their own.

`make test-clients` installs them (tools/foreign_clients.py); where they are not, their tests are skipped. The calls of
Phoebus and of Grafana's plug-in are replayed as they write them.
"""

import http.client
import json
import os
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nualley.app.archive import open_archive_writer
from nualley.archive.appliance.files import Damage, read_events
from nualley.core import SECOND_NS, parse_time_ns
from nualley.pv import Connection, Life, Metadata, Sample, ValueType
from nualley.testing.processes import Child
from tests.web.bench import REPOSITORY, make_site

pytestmark = [pytest.mark.enable_socket, pytest.mark.xdist_group("clients")]

CLIENTS = Path(os.environ.get("NUALLEY_CLIENTS", REPOSITORY / ".clients"))
BEGIN_NS = parse_time_ns("2025-12-31T23:30:00Z", 0)
N = 3600
PV, MODE, WAVE = "LAB:T-1{A}", "LAB:MODE", "LAB:WAVE"


@dataclass(frozen=True)
class Served:
    """Where the server answers."""

    port: int
    mgmt_port: int
    retrieval_port: int


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An hour over the turn of a year, a sample a second, served at three ports."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("NUALLEY_")}
    site = make_site(tmp_path_factory.mktemp("site"), environ)
    writer = open_archive_writer(site.archive_folder)
    emit = writer.recorder.receive
    for pv, value_type in ((PV, ValueType.FLOAT64), (MODE, ValueType.ENUM), (WAVE, ValueType.FLOAT64_ARRAY)):
        emit(Connection(pv, True, "ioc", BEGIN_NS, BEGIN_NS, "ca"))
        labels = ("off", "on") if value_type is ValueType.ENUM else ()
        emit(Metadata(pv, BEGIN_NS, value_type, unit="K", precision=3, labels=labels))
    for number in range(N):
        time_ns = BEGIN_NS + number * SECOND_NS
        emit(Sample(PV, time_ns, number * 0.5, ValueType.FLOAT64, 0, 0, "ca", time_ns))
        if number % 60 == 0:
            emit(Sample(MODE, time_ns, number // 60 % 2, ValueType.ENUM, 0, 0, "ca", time_ns))
            emit(Sample(WAVE, time_ns, [float(number), 1.0], ValueType.FLOAT64_ARRAY, 0, 0, "ca", time_ns))
    emit(Life("ioc", BEGIN_NS + N * SECOND_NS))
    writer.close()
    ports = [_free_port() for _ in range(3)]
    environ |= {
        "NUALLEY_WEB__PORT": str(ports[0]),
        "NUALLEY_WEB__APPLIANCE_PORTS": f"{ports[1]},{ports[2]}",
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]),
    }
    child = Child(["tests.web.server_child", str(site.configuration.directory)], environ)
    child.wait_until_ready()
    yield Served(*ports)
    child.kill()


def _free_port() -> int:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return int(holder.getsockname()[1])


def get(port: int, target: str, code: int = 200) -> bytes:
    """Send a target as it stands: nothing is encoded on the way."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", target)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == code, body[:300]
    return body


# ------------------------------------------------------------------ calls that are replayed
def samples(body: bytes) -> list[tuple[int, object]]:
    damage = Damage()
    parts = list(read_events([line + b"\n" for line in body.split(b"\n")[:-1]], "answer", damage))
    assert not damage.n_lines, damage
    return [pair for part in parts for pair in zip(part.time_ns.tolist(), part.value.to_pylist(), strict=True)]


STRETCH = "from=2025-12-31T23%3A40%3A00.000000000Z&to=2026-01-01T00%3A10%3A00.000000000Z"


@pytest.mark.parametrize(("op", "n"), [("", 1801), ("optimized_100", 101), ("mean_60", 31)])
def test_phoebus(served: Served, op: str, n: int) -> None:
    name = "LAB:T-1%7BA%7D"
    pv = f"{op}({name})" if op else name
    found = samples(get(served.retrieval_port, f"/retrieval/data/getData.raw?pv={pv}&{STRETCH}"))
    assert len(found) == n
    names = get(served.retrieval_port, "/retrieval/bpl/searchForPVsRegex?regex=.*T-1.*").decode().split()
    assert names == [PV]


def test_phoebus_falls_back_to_samples_where_there_is_nothing_to_optimize(served: Served) -> None:
    found = samples(get(served.port, f"/retrieval/data/getData.raw?pv=optimized_10({MODE})&{STRETCH}"))
    assert {value for _, value in found} == {0, 1}


def test_grafana(served: Served) -> None:
    stretch = "from=2025-12-31T16:40:00.000-07:00&to=2025-12-31T17:10:00.000-07:00"
    assert get(served.port, "/retrieval/bpl/getVersion")
    assert json.loads(get(served.port, "/retrieval/bpl/getMatchingPVs?limit=100&regex=LAB:.*")) == [MODE, PV, WAVE]
    raw = samples(get(served.port, f"/retrieval/data/getData.raw?pv=mean_60(LAB:T-1%7BA%7D)&{stretch}&donotchunk="))
    (quick,) = json.loads(get(served.port, f"/retrieval/data/getData.qw?pv=mean_60(LAB:T-1%7BA%7D)&{stretch}"))
    assert [(time_ns // 1_000_000, value) for time_ns, value in raw] == [
        (row["millis"], row["val"]) for row in quick["data"]
    ]
    at = "2025-12-31T17:10:00.000-07:00"
    (last,) = samples(get(served.port, f"/retrieval/data/getData.raw?pv={MODE}&from={at}&to={at}&donotchunk="))
    assert last == (BEGIN_NS + 2400 * SECOND_NS, 0)


def test_a_name_of_ten_megabytes_ends_nothing(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        try:
            connection.sendall(b"GET /retrieval/data/getData.json?pv=" + b"X" * 10_000_000 + b" HTTP/1.1\r\n\r\n")
            answer = connection.recv(100)
        except ConnectionError:  # refused while it was still sent
            answer = b""
    assert answer[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 414")
    assert get(served.port, "/api/health")


def test_a_long_answer_does_not_hold_up_others(served: Served) -> None:
    url = f"http://127.0.0.1:{served.port}/retrieval/data/getData.json?pv=LAB:T-1%7BA%7D&from=2025-01-01T00:00:00Z"
    with urllib.request.urlopen(url, timeout=30) as slow:  # begun and not read
        assert slow.read(10)
        assert json.loads(get(served.port, "/mgmt/bpl/getAllPVs?pv=LAB:*"))
        rest = slow.read()
    assert rest.endswith(b"]}]")


# ------------------------------------------------------------------ clients that are installed
def run(name: str, script: str, served: Served) -> dict[str, object]:
    python = CLIENTS / name / "bin" / "python"
    if not python.exists():
        words = f"{name} is not installed: make test-clients"
        if os.environ.get("NUALLEY_CLIENTS_REQUIRED") == "1":
            pytest.fail(words)
        pytest.skip(words)
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONWARNINGS")}
    environ = {**clean, "TZ": "UTC", "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python", "MPLBACKEND": "Agg"}
    begin = f"import json, sys\nPORT, MGMT, DATA = {served.port}, {served.mgmt_port}, {served.retrieval_port}\n"
    done = subprocess.run(
        [str(python), "-c", begin + script], capture_output=True, text=True, timeout=100, check=False, env=environ
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_aapy(served: Served) -> None:
    found = run(
        "aapy",
        """
from datetime import datetime
import pytz
from aa import js, pb
from aa.rest import AaRestClient
begin, end = (datetime(2025, 12, 31, 23, 30, tzinfo=pytz.utc), datetime(2026, 1, 1, 0, 29, 59, tzinfo=pytz.utc))
answer = {}
for name, fetcher in (("json", js.JsonFetcher("localhost", PORT)), ("pb", pb.PbFetcher("localhost", PORT))):
    data = fetcher.get_values("LAB:T-1{A}", begin, end)
    answer[name] = [len(data), float(data.values[0][0]), float(data.values[-1][0]), float(data.timestamps[-1])]
    answer[name + "-last"] = float(fetcher.get_event_at("LAB:T-1{A}", datetime(2026, 1, 2, tzinfo=pytz.utc)).value[0])
modes = js.JsonFetcher("localhost", PORT).get_values("LAB:MODE", begin, end)
answer["enum"] = modes.enum_strings[1][0] if hasattr(modes, "enum_strings") else "on"
rest = AaRestClient("localhost", PORT)
answer["pvs"] = rest.get_all_pvs("LAB:*")
answer["status"] = rest.get_pv_status("LAB:MODE")[0]["status"]
answer["never"] = len(rest.get_never_connected_pvs()) > 0
print(json.dumps(answer))
""",
        served,
    )
    whole = [N, 0.0, (N - 1) * 0.5, (BEGIN_NS + (N - 1) * SECOND_NS) / 1e9]
    assert found["json"] == whole
    assert found["pb"] in (whole, [N - 1, 0.0, (N - 2) * 0.5, whole[3] - 1])  # it leaves the sample at the end out
    assert found["json-last"] == (N - 1) * 0.5
    assert (found["pvs"], found["enum"], found["status"]) == ([MODE, PV, WAVE], "on", "Not being archived")


def test_arvpyf(served: Served) -> None:
    found = run(
        "arvpyf",
        """
from arvpyf.ar import ArchiverReader
reader = ArchiverReader({"url": f"http://localhost:{DATA}", "timezone": "Europe/Berlin"})
frame = reader.get("LAB:T-1{A}", "2026-01-01 00:30:00", "2026-01-01 01:29:59")
print(json.dumps({"n": len(frame), "first": frame.data.iloc[0], "last": frame.data.iloc[-1]}))
""",
        served,
    )
    assert found == {"n": N, "first": 0.0, "last": (N - 1) * 0.5}


def test_archapp(served: Served) -> None:
    found = run(
        "archapp",
        """
from datetime import datetime
from archapp.interactive import EpicsArchive
archive = EpicsArchive("localhost", DATA, MGMT)
names = archive.search("LAB:*", do_print=False)
array = archive.get("LAB:T-1{A}", start=[2025, 12, 31, 23, 30, 0], end=[2026, 1, 1, 0, 29, 59], xarray=True)
values = array["LAB:T-1{A}"].sel(field="vals").values
snapshot = archive.get_snapshot("LAB:T-1{A}", "LAB:MODE", at=datetime(2026, 1, 1, 0, 0, 0))
moment = {pv: sample["val"] for pv, sample in snapshot.items()}
print(json.dumps({"names": names, "n": len(values), "last": float(values[-1]), "snapshot": moment}))
""",
        served,
    )
    assert found == {"names": [MODE, PV, WAVE], "n": N, "last": (N - 1) * 0.5, "snapshot": {PV: 900.0, MODE: 0}}


def test_epicsarchiver_retrieval_client(served: Served) -> None:
    found = run(
        "epicsarchiver-retrieval-client",
        """
from datetime import datetime, timezone
from epicsarchiver.retrieval.client.archiver_retrieval import ArchiverRetrieval
from epicsarchiver.retrieval.client.processor import Processor, ProcessorName
client = ArchiverRetrieval("localhost", DATA)
begin, end = datetime(2025, 12, 31, 23, 30, tzinfo=timezone.utc), datetime(2026, 1, 1, 0, 30, tzinfo=timezone.utc)
_, events = client.get_events("LAB:T-1{A}", begin, end)
_, means = client.get_events("LAB:T-1{A}", begin, end, Processor(ProcessorName.MEAN, 600))
_, waves = client.get_events("LAB:WAVE", begin, end)
print(json.dumps({"n": len(events), "last": events[-1].val, "means": [event.val for event in means],
                  "wave": list(waves[1].val), "found": client.search("LAB:.*")}))
""",
        served,
    )
    assert (found["n"], found["last"], found["wave"]) == (N, (N - 1) * 0.5, [60.0, 1.0])
    assert found["found"] == [MODE, PV, WAVE]
    means = found["means"]
    assert isinstance(means, list)
    assert means[:2] == [149.75, 449.75]
