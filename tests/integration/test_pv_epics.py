"""Real Channel Access and real PV Access against real IOCs: what the source emits is what the records did."""

import math
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nualley.core import SECOND_NS
from nualley.pv import Connection, Life, Metadata, PvRequest, Sample, ValueType
from nualley.testing.ioc import Ioc, Record
from nualley.testing.listener import Listener

pytestmark = [pytest.mark.real_ioc, pytest.mark.enable_socket]

REPOSITORY = Path(__file__).resolve().parents[2]
NS = 1_700_000_000_123_456_789
RECORDS = [
    Record("T:FLOAT", "float", 1.5, fields={"EGU": "MW", "PREC": 3}),
    Record("T:INT", "int", -7),
    Record("T:ENUM", "enum", 1, labels=("Stopped", "Running", "Paused")),
    Record("T:STRING", "string", "beam on, é"),
    Record("T:WAVE", "float32-array", [1.0, 2.0], length=2000),
    Record("T:DOUBLES", "float64-array", [0.1], length=8),
    Record("T:INTS", "int32-array", [-1, 2**31 - 1], length=8),
]
OTHERS = [
    Record("T:LENGTH", "float32-array", [1.0, 2.0], length=2000),
    Record("T:REMOVED", "float", 1.5),
    Record("T:ADDED", "int", -7),
]
BASE_RECORDS = [
    Record("T:DEAD", "float", 0.0, fields={"MDEL": 5.0, "ADEL": 20.0}),
    Record("T:DEAD2", "float", 0.0, fields={"MDEL": 5.0, "ADEL": 20.0}),
    Record("T:LIMIT", "float", 0.0, fields={"HIHI": 5.0, "HHSV": "MAJOR", "HIGH": 3.0, "HSV": "MINOR"}),
    Record("T:LIMIT2", "float", 0.0, fields={"HIHI": 5.0, "HHSV": "MAJOR", "HIGH": 3.0, "HSV": "MINOR"}),
    Record("T:COUNTER", "float", 0.0, fields={"HIHI": 5.0, "HHSV": "MAJOR", "HIGH": 3.0, "HSV": "MINOR"}),
    Record("T:NEVER", "never"),
    Record("T:LONG", "long-string", "text " * 100, fields={"DESC": "forty characters, more than a string ok"}),
    Record("T:STRINGS", "string-array", ["a", "bc"], length=4),
    Record("T:LABELS", "enum", 0, labels=("Off", "On")),
]
BASE_REQUESTS = [
    PvRequest("T:DEAD", "value"), PvRequest("T:DEAD2", "archive"), "T:LIMIT", "T:LIMIT2", "T:COUNTER", "T:NEVER",
    "T:LONG.VAL$", "T:LONG.DESC$", "T:STRINGS", "T:LABELS",
]  # fmt: skip


@dataclass(frozen=True)
class Way:
    """A source, and how it finds an IOC."""

    source: str
    protocol: str

    def address(self, ioc):
        return ioc.pva_address if self.protocol == "pva" else ioc.address


OURS = Way("nualley.pv.adapters.ca:CaSource", "ca")
IN_PYTHON = Way("tests.integration.python_ca_source:PythonCaSource", "ca")
AIOCA = Way("tests.integration.aioca_source:AiocaSource", "ca")
PVA = Way("nualley.pv.adapters.pva:PvaSource", "pva")
WAYS_TO_BASE = (OURS, AIOCA, PVA, IN_PYTHON)
WAYS = {"softioc": WAYS_TO_BASE, "caproto": (OURS, AIOCA), "p4p": (PVA,)}


@dataclass(frozen=True)
class Heard:
    """An IOC, and what listens to it in each way at once: each is to hear the same of what is done once."""

    ioc: Ioc
    by_way: dict[Way, Listener]

    @property
    def listeners(self):
        return list(self.by_way.values())


@contextmanager
def heard(records, ways, requests, *, implementation="softioc"):
    with ExitStack() as ending:
        ioc = ending.enter_context(Ioc(records, implementation=implementation))
        environ = {**ioc.environment, "PYTHONPATH": str(REPOSITORY)}
        settings = ioc.settings(life_s=1.0)
        yield Heard(
            ioc,
            {
                way: ending.enter_context(
                    Listener(settings, requests, environ=environ, source=way.source, search_s=0.5)
                )
                for way in ways
            },
        )


@pytest.fixture(scope="module", params=WAYS.items(), ids=WAYS.keys())
def served(request):
    """Return an IOC of one implementation and every way to listen to it; each PV is used by one test."""
    implementation, ways = request.param
    names = [record.name for record in [*RECORDS, *OTHERS] if record.name != "T:ADDED"]
    with heard([*RECORDS, *OTHERS], ways, [*names, "T:NO:SUCH"], implementation=implementation) as found:
        yield found


def values(listener, pv, n):
    """Return the values of so many stamps: what a new subscription repeats counts once, as it does in the archive."""
    by_stamp = {}
    n_needed = n
    while len(by_stamp) < n:
        listener.wait_for(Sample, pv, after=n_needed - 1)
        samples = listener.found(Sample, pv)
        by_stamp = {sample.time_ns: sample.value for sample in samples}
        n_needed = len(samples) + 1
    return list(by_stamp.values())


def test_every_type_arrives_with_its_exact_stamp_from_every_implementation(served):
    for listener in served.listeners:
        for record in RECORDS:
            listener.wait_for(Sample, record.name)
    written = {
        "T:FLOAT": 2.25,
        "T:INT": 2**31 - 1,
        "T:ENUM": 2,
        "T:STRING": "trip",
        "T:WAVE": [0.5] * 2000,
        "T:DOUBLES": [0.1, 0.2, 0.3],
        "T:INTS": [5],
    }
    for number, (pv, value) in enumerate(written.items()):
        served.ioc.set(pv, value, time_ns=NS + number * SECOND_NS)
    for way, listener in served.by_way.items():
        for number, (record, value) in enumerate(zip(RECORDS, written.values(), strict=True)):
            sample = listener.wait_for(Sample, record.name, after=1)
            assert sample.time_ns == NS + number * SECOND_NS
            assert np.array_equal(sample.value, value)
            assert (sample.severity, sample.status, sample.protocol) == (0, 0, way.protocol)
        kinds = [listener.found(Sample, record.name)[0].value_type for record in RECORDS]
        assert kinds == ["float64", "int64", "enum", "string", "float32-array", "float64-array", "int32-array"]
        connections = [event for record in RECORDS for event in listener.found(Connection, record.name)]
        assert {event.ioc for event in connections} == {way.address(served.ioc)}
        assert all(event.is_connected for event in connections)
        assert len(connections) == len(RECORDS)


def test_arrays_change_their_length_and_may_be_empty(served):
    for listener in served.listeners:
        listener.wait_for(Sample, "T:LENGTH")
    for value in ([1.0], [], list(range(2000)), [], [7.0]):
        served.ioc.set("T:LENGTH", value)
    for listener in served.listeners:
        got = values(listener, "T:LENGTH", 6)
        assert [len(value) for value in got] == [2, 1, 0, 2000, 0, 1]
        assert all(value.dtype == np.float32 for value in got)


def test_labels_and_units_arrive_and_their_change_in_flight_too(served):
    for listener in served.listeners:
        assert listener.wait_for(Metadata, "T:ENUM").labels == ("Stopped", "Running", "Paused")
        first = listener.wait_for(Metadata, "T:FLOAT")
        assert (first.unit, first.precision, first.value_type) == ("MW", 3, ValueType.FLOAT64)
    served.ioc.set_field("T:FLOAT", "EGU", "kW")
    for listener in served.listeners:
        assert listener.wait_for(Metadata, "T:FLOAT", after=1).unit == "kW"


def test_an_alive_ioc_says_so_every_life_s(served):
    for way, listener in served.by_way.items():
        listener.wait_for(Life, after=2)
        lives = listener.found(Life)
        assert {life.ioc for life in lives} == {way.address(served.ioc)}
        said = [life.last_heard_ns for life in lives]
        assert said == sorted(said)
        assert said[-1] > said[0]


def test_an_unreachable_pv_is_said_to_be_and_found_when_it_appears_elsewhere_it_is_not(served):
    for listener in served.listeners:
        event = listener.wait_for(Connection, "T:NO:SUCH")
        assert (event.is_connected, event.ioc, event.last_heard_ns) == (False, "", 0)
        assert listener.wait_for(Connection, "T:FLOAT").is_connected


def test_pvs_are_added_and_removed_while_it_runs(served):
    for listener in served.listeners:
        listener.wait_for(Sample, "T:REMOVED")
        listener.add(PvRequest("T:ADDED"))
    for listener in served.listeners:
        listener.wait_for(Sample, "T:ADDED")
        listener.remove("T:REMOVED")
    time.sleep(0.5)
    served.ioc.set("T:REMOVED", 99.0)
    served.ioc.set("T:ADDED", 99)
    for listener in served.listeners:
        listener.wait_for(Sample, "T:ADDED", lambda sample: sample.value == 99)
        assert [sample.value for sample in listener.found(Sample, "T:REMOVED")] == [1.5]
        listener.add(PvRequest("T:REMOVED"))
    for listener in served.listeners:
        assert listener.wait_for(Sample, "T:REMOVED", after=1).value == 99.0


# ---------------------------------------------------------------- what only EPICS base does
@pytest.fixture(scope="module")
def base():
    """Return an IOC of EPICS base and every way to listen to it; each PV is used by one test."""
    with heard(BASE_RECORDS, WAYS_TO_BASE, BASE_REQUESTS) as found:
        yield found


def test_dead_bands_are_those_of_the_events_asked_for(base):
    for pv in ("T:DEAD", "T:DEAD2"):
        for listener in base.listeners:
            listener.wait_for(Sample, pv)
        for value in range(1, 50):
            base.ioc.set(pv, float(value))
        base.ioc.set_alarm(pv, 2, 7)  # an alarm passes every dead band
        for listener in base.listeners:
            listener.wait_for(Sample, pv, lambda sample: sample.severity == 2)
    for listener in base.listeners:
        by_value = [sample.value for sample in listener.found(Sample, "T:DEAD")]
        by_archive = [sample.value for sample in listener.found(Sample, "T:DEAD2")]
        assert by_value == [0, 6, 12, 18, 24, 30, 36, 42, 48, 49]
        assert by_archive == [0, 21, 42, 49]


# status: Channel Access has the kind of alarm, PV Access where it comes from (1 device, 3 record, 6 UDF ...)
STATUS = {"ca": (4, 3, 17, 0, 9), "pva": (1, 1, 2, 0, 2)}


def test_severity_and_status_arrive_also_while_the_value_rests(base):
    for listener in base.listeners:
        listener.wait_for(Sample, "T:LIMIT")
    for value in (4.0, 6.0, math.nan, 1.0):
        base.ioc.set("T:LIMIT", value)
    base.ioc.set_alarm("T:LIMIT", 3, 9)
    for way, listener in base.by_way.items():
        samples = [listener.wait_for(Sample, "T:LIMIT", after=number) for number in range(1, 6)]
        assert [sample.severity for sample in samples] == [1, 2, 3, 0, 3]
        assert tuple(sample.status for sample in samples) == STATUS[way.protocol]
        assert math.isnan(samples[2].value)
        assert samples[4].value == 1.0


def test_a_record_that_was_never_processed_is_passed_on_as_it_is(base):
    for way, listener in base.by_way.items():
        sample = listener.wait_for(Sample, "T:NEVER")
        assert (sample.time_ns, sample.severity, sample.status) == (
            631_152_000 * SECOND_NS,
            3,
            STATUS[way.protocol][2],
        )


def test_long_texts_arrive_whole(base):
    for listener in base.listeners:
        sample = listener.wait_for(Sample, "T:LONG.VAL$")
        assert (sample.value, sample.value_type) == ("text " * 100, "string")
        assert listener.wait_for(Sample, "T:LONG.DESC$").value == "forty characters, more than a string ok"
        sample = listener.wait_for(Sample, "T:STRINGS")
        assert (sample.value, sample.value_type) == (["a", "bc"], "string-array")


def test_labels_and_limits_change_in_flight(base):
    for listener in base.listeners:
        listener.wait_for(Metadata, "T:LABELS")
        assert listener.wait_for(Metadata, "T:LIMIT2").limits.alarm_high == 5.0
    base.ioc.set_field("T:LABELS", "ONST", "Running")
    base.ioc.set_field("T:LIMIT2", "HIHI", 8.0)
    for listener in base.listeners:
        assert listener.wait_for(Metadata, "T:LABELS", after=1).labels == ("Off", "Running")
        assert listener.wait_for(Metadata, "T:LIMIT2", after=1).limits.alarm_high == 8.0


def test_nothing_is_lost_of_a_quick_counter(base):
    for listener in base.listeners:
        listener.wait_for(Sample, "T:COUNTER")
    for value in range(1, 1001):
        base.ioc.set("T:COUNTER", value / 1000)
    for listener in base.listeners:
        assert values(listener, "T:COUNTER", 1001) == [value / 1000 for value in range(1001)]
