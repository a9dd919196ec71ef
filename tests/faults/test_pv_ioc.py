"""IOCs that die, hang and come back: what the source says, and up to when it vouches for the last value."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from nualley.core import SECOND_NS
from nualley.pv import Connection, Life, Sample
from nualley.testing.ioc import Ioc, Record
from nualley.testing.listener import Listener

pytestmark = [pytest.mark.fault, pytest.mark.real_ioc, pytest.mark.enable_socket]

NOTICED_S = 10
PVS = ("T:A", "T:B")


@pytest.fixture
def ioc():
    with Ioc([Record("T:A", "float", 1.0), Record("T:B", "float", 2.0), Record("T:BEAT", "int", 0)]) as running:
        yield running


@dataclass(frozen=True)
class Way:
    """A source and its environment."""

    source: str
    environ: Mapping[str, str] = field(default_factory=dict)

    def address(self, ioc):
        return ioc.pva_address if "Pva" in self.source else ioc.address

    def listening(self, ioc, *pvs, **epics):
        environ = {**ioc.environment, **self.environ}
        listener = Listener(ioc.settings(**epics), pvs or PVS, environ=environ, source=self.source)
        for pv in pvs or PVS:
            listener.wait_for(Sample, pv)
        return listener


CA = Way("nualley.pv.adapters.ca:CaSource")
PVA = Way("nualley.pv.adapters.pva:PvaSource")
PATIENT = Way(PVA.source, {"EPICS_PVA_CONN_TMO": "40"})  # whom the user told to wait: our own questions find the hang


@pytest.fixture(params=[CA, PVA], ids=["ca", "pva"])
def way(request):
    return request.param


def is_down(event):
    return not event.is_connected


def test_a_killed_ioc_is_a_disconnect_at_once_and_a_restart_reconnects(ioc, way):
    with way.listening(ioc) as listener:
        listener.wait_for(Life)
        killed_ns = time.time_ns()
        ioc.kill()
        for pv in PVS:
            event = listener.wait_for(Connection, pv, is_down, limit_s=NOTICED_S)
            assert event.ioc == way.address(ioc)
            assert 0 < event.last_heard_ns <= killed_ns
            assert killed_ns - event.last_heard_ns < 5 * SECOND_NS
            assert event.last_heard_ns <= event.time_ns
        ioc.start()
        for pv in PVS:
            event = listener.wait_for(Connection, pv, after=2)
            assert event.is_connected
            # its value is sent again behind the connection
            earlier = listener.events[: listener.events.index(event)]
            n_before = sum(isinstance(found, Sample) and found.pv == pv for found in earlier)
            listener.wait_for(Sample, pv, after=n_before)
        assert [event.is_connected for event in listener.found(Connection, "T:A")] == [True, False, True]


def hang_and_return(ioc, listener, *, frozen_s):
    frozen_ns = time.time_ns()
    ioc.freeze()
    for pv in PVS:
        event = listener.wait_for(Connection, pv, is_down, limit_s=NOTICED_S)
        assert 0 < event.last_heard_ns <= frozen_ns
        assert event.time_ns - frozen_ns < NOTICED_S * SECOND_NS
    time.sleep(max(0.0, frozen_s - (time.time_ns() - frozen_ns) / SECOND_NS))
    told = len(listener.found(Life))
    assert all(life.last_heard_ns <= frozen_ns for life in listener.found(Life))
    thawed_ns = time.time_ns()
    ioc.thaw()
    for pv in PVS:
        event = listener.wait_for(Connection, pv, after=2)
        assert event.is_connected
        assert event.time_ns >= thawed_ns
        assert [event.is_connected for event in listener.found(Connection, pv)] == [True, False, True]
    listener.wait_for(Life, where=lambda life: life.last_heard_ns > thawed_ns, after=told)
    ioc.set("T:A", 42.0)
    listener.wait_for(Sample, "T:A", lambda sample: sample.value == 42.0)


@pytest.mark.parametrize("way", [CA, PVA, PATIENT], ids=["ca", "pva", "pva-patient"])
def test_a_hung_ioc_is_noticed_before_the_protocol_does_and_returns(ioc, way):
    with way.listening(ioc) as listener:
        listener.wait_for(Life, where=lambda life: life.last_heard_ns > 0, after=1)
        hang_and_return(ioc, listener, frozen_s=0)


def test_a_hung_ioc_that_the_protocol_gave_up_returns_too(ioc, way):
    with way.listening(ioc) as listener:
        hang_and_return(ioc, listener, frozen_s=13)


@pytest.mark.parametrize("is_archived", [True, False])
def test_a_declared_heartbeat_watches_its_ioc(ioc, way, is_archived):
    pvs = (*PVS, "T:BEAT") if is_archived else PVS
    with way.listening(ioc, *pvs, heartbeats=["T:BEAT"]) as listener:
        for count in range(1, 30):  # 10 Hz
            ioc.set("T:BEAT", count)
            time.sleep(0.1)
        lives = [life.last_heard_ns for life in listener.found(Life)]
        assert lives
        silent_ns = time.time_ns()  # the process lives and answers, but its heart stands still
        event = listener.wait_for(Connection, "T:A", is_down, limit_s=NOTICED_S)
        assert event.last_heard_ns <= silent_ns
        assert silent_ns - event.last_heard_ns < 2 * SECOND_NS
        ioc.set("T:BEAT", 1000)
        assert listener.wait_for(Connection, "T:A", after=2).is_connected
        assert bool(listener.found(Sample, "T:BEAT")) is is_archived


def test_an_ioc_that_comes_back_with_another_record_type_is_read_anew(ioc, way):
    with way.listening(ioc, "T:A") as listener:
        ioc.kill()
        listener.wait_for(Connection, "T:A", is_down)
        other = Ioc([Record("T:A", "string", "now a text")], ports=ioc.ports)
        with other:
            assert listener.wait_for(Sample, "T:A", after=1).value == "now a text"
