"""PV Access into Parquet: a server of every normative type, the product's own process, and files that others read."""

import json
import math
import time

import pyarrow.parquet as pq
import pytest

from nualley.app.site import open_site
from nualley.cli.main import main
from nualley.pv import Connection, Life, Metadata, Sample
from nualley.testing.ioc import Ioc, Record
from nualley.testing.listener import Listener
from tests.integration.test_archive_changes import Archive, has_value, samples

pytestmark = [pytest.mark.real_ioc, pytest.mark.enable_socket, pytest.mark.timeout(300)]

RECORDS = [
    Record("P:FLOAT", "float", 1.5, fields={"EGU": "MW", "PREC": 3, "HIHI": 5.0}),
    Record("P:ENUM", "enum", 1, labels=("Off", "On")),
    Record("P:WAVE", "float64-array", [0.5, 1.5]),
    Record("P:BOOL", "bool", True),
    Record("P:UINT64", "uint64", 5),
    Record("P:INTS64", "int64-array", [2**40, -1]),
    Record("P:TABLE", "table", [{"name": "a", "value": 1.0}]),
    Record("P:IMAGE", "image", [[1, 2], [3, 4]]),
    Record("P:STRUCT", "structure", {"x": 1.5, "names": ["a"], "inner": {"on": True, "n": [2**60]}}),
]


@pytest.fixture
def server():
    with Ioc(RECORDS, implementation="p4p") as running:
        yield running


@pytest.fixture
def listen(server):
    open_ = []

    def start(*pvs, **options):
        options.setdefault("epics", {})
        settings = server.settings(**options.pop("epics"))
        source = "nualley.pv.adapters.pva:PvaSource"
        open_.append(Listener(settings, pvs, environ=server.environment, source=source, **options))
        return open_[-1]

    yield start
    for each in open_:
        each.stop()


def test_structures_that_no_record_has(server, listen):
    listener = listen("P:BOOL", "P:INTS64", "P:TABLE", "P:IMAGE", "P:STRUCT")
    assert listener.wait_for(Sample, "P:BOOL").value == 1
    wide = listener.wait_for(Sample, "P:INTS64")
    assert (wide.value.tolist(), wide.value_type) == ([2.0**40, -1.0], "float64-array")
    table = json.loads(listener.wait_for(Sample, "P:TABLE").value)
    assert table["value"] == {"name": ["a"], "value": [1.0]}
    image = json.loads(listener.wait_for(Sample, "P:IMAGE").value)
    assert image["value"] == [1, 2, 3, 4]
    began_ns = time.time_ns()
    server.set("P:STRUCT", {"x": math.inf})
    struct = listener.wait_for(Sample, "P:STRUCT", after=1)
    assert json.loads(struct.value)["x"] is None
    assert began_ns <= struct.time_ns == struct.received_ns, "it has no stamp of its own"
    server.set("P:TABLE", [{"name": "b", "value": math.nan}])
    table = json.loads(listener.wait_for(Sample, "P:TABLE", after=1).value)
    assert table["value"] == {"name": ["b"], "value": [None]}
    assert listener.output.count("epics:nt/NTTable:1.0 is archived as JSON text") == 1


def test_metadata_change_without_a_sample(server, listen):
    listener = listen("P:FLOAT", "P:ENUM")
    first = listener.wait_for(Metadata, "P:FLOAT")
    assert (first.unit, first.precision, first.limits.alarm_high) == ("MW", 3, 5.0)
    assert listener.wait_for(Metadata, "P:ENUM").labels == ("Off", "On")
    server.set_field("P:FLOAT", "EGU", "kW")
    server.set_field("P:ENUM", "labels", ["Off", "On", "Trip"])
    assert listener.wait_for(Metadata, "P:FLOAT", after=1).unit == "kW"
    assert listener.wait_for(Metadata, "P:ENUM", after=1).labels == ("Off", "On", "Trip")
    server.set("P:FLOAT", 2.0)
    server.set_alarm("P:ENUM", 2, 3)
    assert listener.wait_for(Sample, "P:FLOAT", after=1).value == 2.0
    alarm = listener.wait_for(Sample, "P:ENUM", after=1)
    assert (alarm.value, alarm.severity, alarm.status) == (1, 2, 3)


def test_the_type_changes_while_the_server_runs(server, listen):
    listener = listen("P:FLOAT")
    listener.wait_for(Sample, "P:FLOAT")
    server.open(Record("P:FLOAT", "string-array", ["now", "texts"]))
    text = listener.wait_for(Sample, "P:FLOAT", after=1)
    assert (text.value, text.value_type) == (["now", "texts"], "string-array")
    assert listener.wait_for(Metadata, "P:FLOAT", after=1).value_type == "string-array"
    rows = [event.is_connected for event in listener.found(Connection, "P:FLOAT")]
    assert rows == [True, False, True]


def test_a_question_is_answered_also_where_there_is_no_stamp_to_ask_for(server, listen):
    # each by itself: of several PVs of one server it is enough to ask for one
    pvs = ("P:FLOAT", "P:STRUCT")
    listeners = [listen(pv, epics={"life_s": 0.3}) for pv in pvs]
    for pv, listener in zip(pvs, listeners, strict=True):
        listener.wait_for(Sample, pv)
        listener.wait_for(Life, after=8)  # a hang is 3 questions without answer
        assert [event.is_connected for event in listener.found(Connection, pv)] == [True]


# ---------------------------------------------------------------- the whole way
@pytest.fixture
def archive(tmp_path, server):
    folder = tmp_path / "e"
    assert main(["init", str(folder)]) == 0
    lines = [f'"{record.name}" = {{ protocol = "pva" }}' for record in RECORDS if record.name != "P:WAVE"]
    (folder / "pvs" / "lab.toml").write_text("[pv]\n" + "\n".join(lines) + "\n")
    path = folder / "experiment.toml"
    address = f'pva_addr_list = ["127.0.0.1:{server.ports.pva_broadcast}"]'
    path.write_text(path.read_text().replace('pva_addr_list = ["127.0.0.1"]', address))
    made = Archive(folder, {**server.environment, "NUALLEY_ARCHIVE__ROTATE_S": "2"})
    made.start()
    yield made
    if made.process.poll() is None:
        made.stop()


def test_pv_access_into_parquet(archive, server, capsys):
    archive.until(lambda: has_value(archive, "P:FLOAT", 1.5) and archive.last("P:STRUCT").value)
    now_ns = time.time_ns() // 1000 * 1000 + 123
    server.set("P:FLOAT", 2.5, time_ns=now_ns)
    server.set("P:UINT64", 2**64 - 1)
    assert archive.call("add", "P:WAVE", "--protocol", "pva", "--queue", "16")["applied"] == "now"
    archive.until(lambda: has_value(archive, "P:FLOAT", 2.5) and samples(archive, "P:WAVE"))
    folder = open_site(archive.folder).archive_folder
    archive.until(lambda: list(folder.glob("day/*/float64-*.parquet")))
    archive.stop()
    assert samples(archive, "P:WAVE") == [[0.5, 1.5]]
    tables = [pq.read_table(path) for path in folder.glob("day/*/float64-*.parquet")]
    rows = [row for table in tables for row in table.to_pylist() if row["value"] == 2.5]
    assert [(row["time_ns"], row["protocol"], row["severity"]) for row in rows] == [(now_ns, "pva", 0)]
    assert str(2**64 - 1) in json.dumps(archive.call("quarantine", "P:UINT64"))
    told = archive.call("info", "P:ENUM")
    assert (told["protocol"], told["ioc"]) == ("pva", server.pva_address)
    assert ["Off", "On"] in [found["labels"] for found in told["metadata"]]
