"""The Channel Access source, with libca played by us: what it subscribes to, and what it makes of updates."""

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest
from epicscorelibs.ca import dbr

from nualley.pv import (
    Connection,
    EpicsSettings,
    EpicsStartedError,
    Life,
    Metadata,
    PvRefusedError,
    PvRequest,
    Sample,
    Samples,
)
from nualley.pv.adapters import ca, ca_hosts, ticks
from nualley.pv.adapters.ca_ring import Ring
from nualley.pv.adapters.ca_values import CTRL_OFFSET, TIME_OFFSET
from nualley.pv.adapters.libca import DBE_ALARM, DBE_LOG, DBE_PROPERTY, DBE_VALUE, Complaint
from tests.unit.pv.ca_fakes import ECA_DISCONN, ECA_GETFAIL, STAMP_NS, FakeCa


class Clock:
    def __init__(self):
        self.time_ns = time.time_ns()

    def now_ns(self):
        return self.time_ns


class Bench:
    """A source that looks when it is told to."""

    def __init__(self, settings=None, ring=None, **natives):
        self.clock, self.events = Clock(), []
        ring = ring or Ring(64, 1 << 16)
        self.ca = FakeCa(ring, natives=natives)
        self.source = ca.CaSource(settings or EpicsSettings(), clock=self.clock, library=self.ca, ring=ring)
        self.raises = None

    async def start(self, *requests):
        await self.source.start([PvRequest(pv) if isinstance(pv, str) else pv for pv in requests], self.take)
        for task in self.source._tasks:
            task.cancel()  # looked at by `look`

    def take(self, event):
        self.events.extend(event.each() if isinstance(event, Samples) else [event])
        if self.raises:
            error, self.raises = self.raises, None
            raise error

    def look(self):
        """Return what a look at the ring brings."""
        before = len(self.events)
        self.source._drain()
        return self.events[before:]

    def connect(self, *pvs):
        for pv in pvs:
            self.ca.connect(pv)
        self.look()

    def values(self, pv):
        return [event.value for event in self.events if isinstance(event, Sample) and event.pv == pv]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(ca.CaSource, "_environment", None)
    monkeypatch.setattr(ca, "os", SimpleNamespace(environ={}))
    return Bench


async def test_subscriptions_ask_for_alarms_stamps_and_metadata(bench):
    made = bench(WAVE=(dbr.DBR_FLOAT, 2000))
    await made.start(PvRequest("A"), PvRequest("B", "archive"), "WAVE")
    assert made.ca.made == [], "the type is not known yet"
    made.connect("A", "B", "WAVE")
    (a,), (b,), (wave,) = (made.ca.open_of(pv) for pv in ("A", "B", "WAVE"))
    assert (a.mask, b.mask) == (DBE_VALUE | DBE_ALARM, DBE_LOG | DBE_ALARM)
    assert (a.dbr_type, a.count) == (dbr.DBR_TIME_DOUBLE, 1)
    assert (wave.dbr_type, wave.count) == (dbr.DBR_TIME_FLOAT, 0)
    (metadata,) = made.ca.open_of("WAVE", metadata=True)
    assert (metadata.dbr_type, metadata.count) == (dbr.DBR_FLOAT + CTRL_OFFSET, 1)
    await made.source.stop()
    assert not any(subscription.is_open for subscription in made.ca.made)
    assert len(made.ca.cleared) == 3
    assert not made.ca.is_open


async def test_the_connection_is_told_before_the_sample_with_a_numeric_host(bench):
    made = bench()
    await made.start("A")
    made.connect("A")
    made.ca.update("A", 1.5)
    made.ca.update("A", 2.5)
    made.ca.lose("A")
    connected, first, second, lost = made.look()
    assert (connected.is_connected, connected.ioc) == (True, "127.0.0.1:5064")
    assert [type(event) for event in (connected, first, second)] == [Connection, Sample, Sample]
    assert (first.time_ns, first.value, second.value) == (STAMP_NS, 1.5, 2.5)
    assert (lost.is_connected, lost.ioc) == (False, "127.0.0.1:5064")
    assert lost.last_heard_ns == second.received_ns <= lost.time_ns
    await made.source.stop()


async def test_numbers_of_many_pvs_are_columns(bench):
    made = bench(I=(dbr.DBR_LONG, 1))
    taken = []
    await made.source.start([PvRequest(pv) for pv in ("A", "B", "I")], taken.append)
    for pv in ("A", "B", "I"):
        made.ca.connect(pv)
    made.source._drain()
    for pv, value in (("A", 1.0), ("B", 2.0), ("I", 3), ("A", 4.0)):
        made.ca.update(pv, value)
    made.source._drain()
    found = {event.value_type: event for event in taken if isinstance(event, Samples)}
    doubles, whole = found["float64"], found["int64"]
    assert [(doubles.pvs[index], value) for index, value in zip(doubles.index, doubles.value, strict=True)] == [
        ("A", 1.0),
        ("B", 2.0),
        ("A", 4.0),
    ]
    assert whole.value.tolist() == [3]
    await made.source.stop()


async def test_what_came_before_a_loss_is_told_before_it(bench):
    made = bench()
    await made.start("A", "B")
    made.connect("A", "B")
    made.ca.update("A", 1.0)
    made.ca.update("B", 1.0)
    made.look()
    made.ca.update("A", 2.0)
    made.ca.lose("A")
    made.ca.update("B", 2.0)
    told = made.look()
    assert [(event.pv, type(event)) for event in told] == [("A", Sample), ("A", Connection), ("B", Sample)]
    made.ca.connect("A")
    made.ca.update("A", 3.0)
    assert [type(event) for event in made.look()] == [Connection, Sample]
    await made.source.stop()


class Dns:
    """Answers when it is told to."""

    def __init__(self, monkeypatch):
        self.asked = []
        self.may_answer = threading.Event()
        monkeypatch.setattr(ca_hosts.socket, "gethostbyname", self.gethostbyname)

    def gethostbyname(self, host):
        self.asked.append(host)
        assert self.may_answer.wait(10)
        if host == "one-way":
            raise OSError("no such host")
        return {"ioc": "10.0.0.7"}[host]

    async def answer(self, source):
        self.may_answer.set()
        await asyncio.gather(*source._hosts._lookups.values())


async def test_a_slow_dns_holds_up_neither_the_loop_nor_other_pvs(bench, monkeypatch):
    dns, made = Dns(monkeypatch), bench(C=(dbr.DBR_FLOAT, 10))
    await made.start("A", "B", "C")
    made.connect("A", "B", "C")
    made.ca.host_name = "ioc:5064"
    for value in (1.0, 2.0):
        made.ca.update("A", value)
    made.ca.update("C", 7.0, 8.0)
    made.ca.lose("A")
    assert made.look() == []
    made.ca.connect("A")
    made.ca.update("A", 3.0)
    made.ca.host_name = "127.0.0.1:5064"
    made.ca.update("B", 9.0)
    assert [event.pv for event in made.look()] == ["B", "B"]
    made.ca.host_name = "<disconnected>"  # what libca may say by the time that DNS answers
    del made.events[:]
    await dns.answer(made.source)
    told = [event for event in made.events if event.pv == "A"]
    said = [event.is_connected if isinstance(event, Connection) else event.value for event in told]
    assert said == [True, 1.0, 2.0, False, True, 3.0]
    assert [event.ioc for event in told if isinstance(event, Connection)] == ["10.0.0.7:5064"] * 3
    assert made.values("C")[0].tolist() == [7.0, 8.0]
    assert dns.asked == ["ioc"]  # once for all PVs
    made.ca.host_name = "ioc:5064"
    made.ca.lose("C")
    made.ca.connect("C")
    made.ca.update("C", 8.0)
    made.look()
    assert dns.asked == ["ioc"]
    await made.source.stop()


async def test_a_host_that_cannot_be_resolved_keeps_its_name(bench, monkeypatch):
    dns, made = Dns(monkeypatch), bench()
    await made.start("A")
    made.connect("A")
    made.ca.host_name = "one-way:5064"
    made.ca.update("A", 1.5)
    made.look()
    await dns.answer(made.source)
    assert made.events[0].ioc == "one-way:5064"
    await made.source.stop()


async def test_who_stops_does_not_wait_for_dns(bench, monkeypatch):
    dns, made = Dns(monkeypatch), bench()
    await made.start("A")
    made.connect("A")
    made.ca.host_name = "ioc:5064"
    made.ca.update("A", 1.5)
    made.look()
    await asyncio.sleep(0)
    await made.source.stop()
    assert not dns.may_answer.is_set()
    assert made.events == []
    dns.may_answer.set()


async def test_what_has_gathered_is_told_before_it_stops(bench):
    made = bench()
    await made.start("A")
    made.connect("A")
    made.ca.update("A", 1.5)
    await made.source.stop()
    assert made.values("A") == [1.5]


async def test_metadata_are_told_when_they_change_only(bench):
    made = bench()
    await made.start("A")
    made.connect("A")
    for _ in range(2):  # a reconnection brings them again
        made.ca.describe("A", units=b"MW", limits=[float("nan")] * 8)
    assert [(type(event), event.unit) for event in made.look()] == [(Metadata, "MW")]
    made.ca.describe("A", units=b"kW", limits=[float("nan")] * 8)
    (changed,) = made.look()
    assert changed.unit == "kW"
    await made.source.stop()


async def test_an_error_of_whoever_takes_the_events_does_not_end_anything(bench):
    made = bench(S=(dbr.DBR_STRING, 1))
    await made.start("A", "S")
    made.connect("A", "S")
    made.ca.update("A", 1.0)
    made.raises = RuntimeError("the disc is full")
    made.look()
    assert made.source.n_failed == 1
    assert made.values("A") == [1.0]
    made.ca.update("S", b"x")
    made.look()
    made.raises = RuntimeError("again")
    made.ca.update("S", b"y")
    made.ca.update("S", b"z")
    made.ca.update("A", 2.0)
    made.look()
    assert made.source.n_failed == 2
    made.ca.update("A", 3.0)
    made.look()
    assert made.values("A")[-1] == 3.0
    assert made.values("S")[-1] == "z"
    await made.source.stop()


async def test_a_declared_heartbeat_that_nobody_asked_for_is_heard_but_not_told(bench):
    made = bench(EpicsSettings(heartbeats=("H",)))
    await made.start("A")
    made.connect("A", "H")
    assert made.ca.open_of("H", metadata=True) == []
    for _ in range(5):
        made.ca.update("H", 1.0)
    made.ca.lose("H")
    assert made.look() == []
    await made.source.add(PvRequest("H"))
    made.connect("H")
    made.ca.update("H", 2.0)
    assert [type(event) for event in made.look()] == [Connection, Sample]
    await made.source.remove("H")
    made.connect("H")
    made.ca.update("H", 3.0)
    assert made.look() == []
    await made.source.stop()


async def test_a_pv_that_comes_back_as_another_type_is_subscribed_anew(bench):
    made = bench()
    await made.start("A")
    made.connect("A")
    first = made.ca.open_of("A")[0]
    made.ca.update("A", 1.0)
    made.ca.lose("A")
    made.ca.natives["A"] = (dbr.DBR_STRING, 1)
    made.ca.connect("A")
    made.look()
    assert not first.is_open
    made.ca.update("A", b"x")
    made.look()
    assert made.values("A") == [1.0, "x"]
    made.ca.lose("A")
    made.ca.connect("A")
    n_made = len(made.ca.made)
    made.look()
    assert len(made.ca.made) == n_made, "libca subscribes anew by itself where nothing changed"
    await made.source.stop()


async def test_an_update_with_a_bad_status_is_a_loss_until_the_next_good_one(bench):
    made = bench()
    await made.start("A")
    made.connect("A")
    made.ca.update("A", 1.0)
    made.look()
    made.ca.update("A", status=ECA_GETFAIL)
    made.ca.update("A", status=ECA_GETFAIL)
    (lost,) = made.look()
    assert not lost.is_connected
    made.ca.update("A", 2.0)
    assert [type(event) for event in made.look()] == [Connection, Sample]
    await made.source.stop()


async def test_what_was_queued_for_a_removed_pv_is_not_told(bench):
    made = bench()
    await made.start("A", "B")
    made.connect("A", "B")
    made.ca.update("A", 1.0)
    made.look()
    made.ca.update("A", 2.0)
    await made.source.remove("A")
    await made.source.remove("A")
    await made.source.add(PvRequest("A"))
    made.ca.connect("A")
    assert made.look() == []
    made.ca.update("A", 3.0)
    made.look()
    assert made.values("A") == [1.0, 3.0]
    await made.source.stop()


async def test_a_name_that_channel_access_refuses_is_said(bench):
    made = bench()
    with pytest.raises(PvRefusedError, match="does not take the PV name ''"):
        await made.start("")
    await made.source.stop()


async def test_two_environments_in_one_process_are_refused(bench):
    made = bench(EpicsSettings(addr_list=("10.0.0.1",)))
    await made.start("A")
    await made.source.stop()
    with pytest.raises(EpicsStartedError, match=r"EPICS_CA_ADDR_LIST='10.0.0.1', now '10.0.0.2'"):
        await bench(EpicsSettings(addr_list=("10.0.0.2",))).start("A")


async def test_a_pv_that_is_not_found_in_time_is_told_once(bench):
    made = bench()
    await made.start("A")
    opened_s = made.source._channels["A"].opened_s
    made.source._tick(opened_s + 4.9, 250_000_000)
    assert made.events == []
    for _ in range(2):
        made.source._tick(opened_s + 5.1, 250_000_000)
    assert made.events == [Connection("A", False, "", made.clock.time_ns, 0, "ca")]
    await made.source.stop()


def tick(made, n):
    before = len(made.events)
    for _ in range(n):
        made.clock.time_ns += 250_000_000
        made.source._tick(0.0, 250_000_000)
    return made.events[before:]


async def test_an_ioc_is_asked_and_an_answer_is_its_life(bench):
    made = bench()
    await made.start("A")
    made.connect("A")
    made.ca.update("A", 1.0)
    made.look()
    tick(made, 8)
    assert [pv for pv, _, _ in made.ca.asked] == ["A"]
    asked_ns = made.clock.time_ns
    tick(made, 4)
    made.ca.answer()
    made.look()
    assert tick(made, 4)[-1] == Life("127.0.0.1:5064", asked_ns)
    silent = tick(made, 40)
    (lost,) = [event for event in silent if isinstance(event, Connection)]
    assert (lost.is_connected, lost.last_heard_ns) == (False, asked_ns)
    made.ca.answer(status=ECA_DISCONN)
    assert made.look() == []
    made.ca.answer(-2)
    (back,) = made.look()
    assert back.is_connected
    made.ca.answer(-2)
    assert made.look() == [], "an answer counts once"
    await made.source.stop()


async def test_a_question_that_cannot_be_sent_is_forgotten(bench):
    made = bench()
    await made.start("A")
    made.connect("A")
    made.ca.update("A", 1.0)
    made.look()
    made.ca.can_send = False
    tick(made, 20)
    assert made.source._questions == {}
    await made.source.stop()


async def test_a_process_that_was_suspended_blames_no_ioc(bench, monkeypatch):
    monkeypatch.setattr(ticks, "TICK_S", 0.0)
    monkeypatch.setattr(ticks, "time", SimpleNamespace(monotonic=iter(range(0, 10**9, 3600)).__next__))
    made = bench()
    await made.start("A")
    made.connect("A")
    made.ca.update("A", 1.0)
    made.look()
    task = asyncio.create_task(made.source._out.watch(made.source._tick))
    for _ in range(8):  # a few ticks, an hour between them
        await asyncio.sleep(0)
    task.cancel()
    assert all(event.is_connected for event in made.events if isinstance(event, Connection))
    await made.source.stop()


async def test_updates_that_found_no_room_are_a_loss_and_every_pv_is_asked_anew(bench):
    made = bench(ring=Ring(8, 4096))
    await made.start("A", "B")
    made.connect("A", "B")
    for pv in ("A", "B"):
        made.ca.update(pv, 1.0)
    made.look()
    for number in range(12):
        made.ca.update("A", float(number))
    n_made = len(made.ca.made)
    told = made.look()
    assert made.source.n_dropped == 4
    assert [event.value for event in told if isinstance(event, Sample)] == [float(number) for number in range(8)]
    assert [(event.pv, event.is_connected) for event in told if isinstance(event, Connection)] == [
        ("A", False),
        ("B", False),
    ]
    assert len(made.ca.made) == n_made + 4, "a steady PV sends its value only to a new subscription"
    made.ca.update("B", 1.0)
    assert [type(event) for event in made.look()] == [Connection, Sample]
    await made.source.stop()


async def test_lag_is_measured(bench):
    made = bench()
    await made.start("A")
    made.connect("A")
    made.ca.update("A", 1.0)
    made.look()
    assert made.source.lag_s == 0.0, "the bench's clock stands"
    made.ca.update("A", 1.0)
    made.clock.time_ns = time.time_ns() + 3 * 10**9
    made.look()
    assert 3.0 <= made.source.lag_s < 30.0
    await made.source.stop()


async def test_what_libca_complains_of_is_logged(bench, capsys):
    made = bench()
    await made.start("A")
    made.ca.complaints.append(Complaint("Identical process variable names on multiple servers", "A"))
    made.source._tick(0.0, 0)
    assert "Identical process variable names" in capsys.readouterr().out
    assert not made.ca.complaints
    await made.source.stop()


def test_masks_are_those_of_epics():
    assert (DBE_VALUE, DBE_LOG, DBE_ALARM, DBE_PROPERTY) == (1, 2, 4, 8)
    assert dbr.DBR_TIME_STRING == TIME_OFFSET
