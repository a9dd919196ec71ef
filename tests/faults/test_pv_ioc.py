"""IOCs that die, hang and come back: what the source says, and up to when it vouches for the last value."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from nualley.core import SECOND_NS
from nualley.pv import Connection, Life, Sample
from nualley.testing.ioc import Ioc, Record
from nualley.testing.listener import Listener

pytestmark = [pytest.mark.fault, pytest.mark.real_ioc, pytest.mark.enable_socket]

NOTICED_S = 10
BACK_S = 60  # a client that lost its IOC searches it ever more seldom
PVS = ("T:A", "T:B")
RECORDS = [Record("T:A", "float", 1.0), Record("T:B", "float", 2.0), Record("T:BEAT", "int", 0)]


@pytest.fixture
def ioc():
    with Ioc([*RECORDS, Record("T:OTHER", "float", 3.0)]) as running:
        yield running


@pytest.fixture
def other_ioc():
    with Ioc(RECORDS) as running:
        yield running


@dataclass(frozen=True)
class Way:
    """A source and its environment."""

    source: str
    environ: Mapping[str, str] = field(default_factory=dict)

    def address(self, ioc):
        return ioc.pva_address if "Pva" in self.source else ioc.address

    def listener(self, ioc, *pvs, **epics):
        environ = {**ioc.environment, **self.environ}
        return Listener(ioc.settings(**epics), pvs, environ=environ, source=self.source)


CA = Way("nualley.pv.adapters.ca:CaSource")
PVA = Way("nualley.pv.adapters.pva:PvaSource")
PATIENT = Way(PVA.source, {"EPICS_PVA_CONN_TMO": "40"})  # whom the user told to wait: our own questions find the hang


@pytest.fixture
def listening():
    """Let several listen to one IOC, each in its way: what happens to it happens to all of them at once."""
    with ExitStack() as ending:

        def start(ioc, *ways, pvs=PVS, **epics):
            listeners = [ending.enter_context(way.listener(ioc, *pvs, **epics)) for way in ways]
            for listener in listeners:
                for pv in pvs:
                    listener.wait_for(Sample, pv)
            return listeners

        yield start


def is_down(event):
    return not event.is_connected


def test_a_killed_ioc_is_a_disconnect_at_once_and_a_restart_reconnects(ioc, listening):
    ways = (CA, PVA)
    listeners = listening(ioc, *ways, pvs=(*PVS, "T:OTHER"))
    for listener in listeners:
        listener.wait_for(Life)
    killed_ns = time.time_ns()
    ioc.kill()
    for way, listener in zip(ways, listeners, strict=True):
        for pv in PVS:
            event = listener.wait_for(Connection, pv, is_down, limit_s=NOTICED_S)
            assert event.ioc == way.address(ioc)
            assert 0 < event.last_heard_ns <= killed_ns
            assert killed_ns - event.last_heard_ns < 5 * SECOND_NS
            assert event.last_heard_ns <= event.time_ns
    ioc.records = (*RECORDS, Record("T:OTHER", "string", "now a text"))
    ioc.start()
    for listener in listeners:
        # what comes back with another record type is read anew
        assert listener.wait_for(Sample, "T:OTHER", after=1, limit_s=BACK_S).value == "now a text"
        for pv in PVS:
            event = listener.wait_for(Connection, pv, after=2, limit_s=BACK_S)
            assert event.is_connected
            # its value is sent again behind the connection
            earlier = listener.events[: listener.events.index(event)]
            n_before = sum(isinstance(found, Sample) and found.pv == pv for found in earlier)
            listener.wait_for(Sample, pv, after=n_before)
        assert [event.is_connected for event in listener.found(Connection, "T:A")] == [True, False, True]


def hang_and_return(ioc, listeners, *, frozen_s):
    frozen_ns = time.time_ns()
    ioc.freeze()
    for listener in listeners:
        for pv in PVS:
            event = listener.wait_for(Connection, pv, is_down)
            assert 0 < event.last_heard_ns <= frozen_ns
            assert event.time_ns - frozen_ns < NOTICED_S * SECOND_NS
    time.sleep(max(0.0, frozen_s - (time.time_ns() - frozen_ns) / SECOND_NS))
    told = [len(listener.found(Life)) for listener in listeners]
    for listener in listeners:
        assert all(life.last_heard_ns <= frozen_ns for life in listener.found(Life))
    thawed_ns = time.time_ns()
    ioc.thaw()
    for listener, n_told in zip(listeners, told, strict=True):
        for pv in PVS:
            event = listener.wait_for(Connection, pv, after=2, limit_s=BACK_S)
            assert event.is_connected
            assert event.time_ns >= thawed_ns
            assert [event.is_connected for event in listener.found(Connection, pv)] == [True, False, True]
        listener.wait_for(Life, where=lambda life: life.last_heard_ns > thawed_ns, after=n_told)
    ioc.set("T:A", 42.0)
    for listener in listeners:
        listener.wait_for(Sample, "T:A", lambda sample: sample.value == 42.0)


def test_a_hung_ioc_is_noticed_before_the_protocol_does_and_returns_also_when_that_gave_up(ioc, other_ioc, listening):
    briefly, long = listening(ioc, CA, PVA, PATIENT), listening(other_ioc, CA, PVA)
    for listener in briefly:
        listener.wait_for(Life, where=lambda life: life.last_heard_ns > 0, after=1)
    with ThreadPoolExecutor(2) as side_by_side:
        hangs = [
            side_by_side.submit(hang_and_return, ioc, briefly, frozen_s=0),
            side_by_side.submit(hang_and_return, other_ioc, long, frozen_s=13),
        ]
        for hang in hangs:
            hang.result()


def test_a_declared_heartbeat_watches_its_ioc(ioc, listening):
    archived = listening(ioc, CA, PVA, pvs=(*PVS, "T:BEAT"), heartbeats=["T:BEAT"])
    watched = listening(ioc, CA, PVA, heartbeats=["T:BEAT"])
    for count in range(1, 30):  # 10 Hz
        ioc.set("T:BEAT", count)
        time.sleep(0.1)
    for listener in archived + watched:
        assert listener.found(Life)
    silent_ns = time.time_ns()  # the process lives and answers, but its heart stands still
    for listener in archived + watched:
        event = listener.wait_for(Connection, "T:A", is_down, limit_s=NOTICED_S)
        assert event.last_heard_ns <= silent_ns
        assert silent_ns - event.last_heard_ns < 2 * SECOND_NS
    ioc.set("T:BEAT", 1000)
    for listener in archived + watched:
        assert listener.wait_for(Connection, "T:A", after=2).is_connected
        assert bool(listener.found(Sample, "T:BEAT")) is (listener in archived)
