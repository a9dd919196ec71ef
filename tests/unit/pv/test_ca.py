"""The Channel Access source, with aioca played by us: what it subscribes to, and what it makes of updates."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from epicscorelibs.ca import cadef, dbr

from nualley.pv import Connection, EpicsSettings, EpicsStartedError, Metadata, PvRefusedError, PvRequest, Sample
from nualley.pv.adapters import ca, ca_hosts


class Value(float):
    """An update as aioca delivers it."""

    ok, datatype, severity, status, raw_stamp = True, dbr.DBR_DOUBLE, 0, 0, (100, 5)
    units, precision = "MW", 2
    lower_disp_limit = upper_disp_limit = lower_warning_limit = upper_warning_limit = float("nan")
    lower_alarm_limit = upper_alarm_limit = lower_ctrl_limit = upper_ctrl_limit = 0.0


class Text(dbr.ca_str):
    ok, datatype, severity, status, raw_stamp = True, dbr.DBR_STRING, 0, 0, (100, 5)


LOST = SimpleNamespace(ok=False)


class Aioca:
    """The part of aioca that we call."""

    FORMAT_TIME, FORMAT_CTRL = dbr.FORMAT_TIME, dbr.FORMAT_CTRL

    def __init__(self):
        self.made = []
        self.n_purged = 0
        self.native = dbr.DBR_DOUBLE
        self.host = "127.0.0.1:5064"
        self.answers_ok = True
        self.asked = []

    def camonitor(self, pv, callback, **options):
        if not pv:
            raise cadef.CAException(186, len)
        subscription = SimpleNamespace(
            pv=pv,
            callback=callback,
            **options,
            channel=self,
            is_open=True,
            close=lambda: self.close(subscription),
            state=1,
            CLOSED=2,
        )
        self.made.append(subscription)
        return subscription

    def close(self, subscription):
        subscription.is_open = False

    async def caget(self, pv, **options):
        self.asked.append((pv, options))
        return SimpleNamespace(ok=self.answers_ok)

    def purge_channel_caches(self):
        self.n_purged += 1

    def open(self, pv):
        return [made for made in self.made if made.pv == pv and made.is_open]


class Clock:
    now = 100_000_000_007

    def now_ns(self):
        return self.now


@pytest.fixture
def aioca(monkeypatch):
    fake = Aioca()
    monkeypatch.setattr(ca, "aioca", fake)
    monkeypatch.setattr(ca.cadef, "ca_host_name", lambda channel: channel.host)
    monkeypatch.setattr(ca.cadef, "ca_field_type", lambda channel: channel.native)
    monkeypatch.setattr(ca.cadef, "ca_element_count", lambda _: 1)
    monkeypatch.setattr(ca.CaSource, "_environment", None)
    monkeypatch.setattr(ca, "os", SimpleNamespace(environ={}))
    return fake


async def started(requests, settings=None, events=None):
    source = ca.CaSource(settings or EpicsSettings(), clock=Clock())
    found = [] if events is None else events
    await source.start([PvRequest(pv) if isinstance(pv, str) else pv for pv in requests], found.append)
    return source, found


async def test_subscriptions_ask_for_all_updates_alarms_stamps_and_metadata(aioca):
    source, _ = await started([PvRequest("A"), PvRequest("B", "archive")])
    a, a_meta, b, _ = aioca.made
    assert a.events == cadef.DBE_VALUE | cadef.DBE_ALARM
    assert b.events == cadef.DBE_LOG | cadef.DBE_ALARM
    assert (a.format, a.count, a.all_updates, a.notify_disconnect) == (dbr.FORMAT_TIME, 0, True, True)
    assert (a_meta.events, a_meta.format, a_meta.count) == (cadef.DBE_PROPERTY, dbr.FORMAT_CTRL, 1)
    await source.stop()
    assert aioca.open("A") == []
    assert aioca.n_purged == 1


async def test_the_connection_is_told_before_the_sample_with_a_numeric_host(aioca):
    source, events = await started(["A"])
    aioca.made[0].callback(Value(1.5))
    assert [type(event) for event in events] == [Connection, Sample]
    assert events[0].ioc == "127.0.0.1:5064"
    assert events[1].time_ns == 100_000_000_005
    aioca.made[0].callback(LOST)
    assert events[2] == Connection("A", False, "127.0.0.1:5064", Clock.now, Clock.now, "ca")
    await source.stop()


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


async def test_a_slow_dns_holds_up_neither_the_loop_nor_other_pvs(aioca, monkeypatch):
    dns = Dns(monkeypatch)
    source, events = await started(["A", "B", "C"])
    a, b, c = (made.callback for made in (aioca.made[0], aioca.made[2], aioca.made[4]))
    aioca.host = "ioc:5064"
    a(Value(1.0))
    a(Value(2.0))
    c(Value(7.0))
    a(LOST)
    a(Value(3.0))
    assert events == []
    aioca.host = "127.0.0.1:5064"
    b(Value(9.0))
    assert [event.pv for event in events] == ["B", "B"]
    del events[:]
    aioca.host = "<disconnected>"  # what libca says of both by the time that DNS answers
    await dns.answer(source)
    told = [event for event in events if event.pv == "A"]
    said = [event.is_connected if isinstance(event, Connection) else event.value for event in told]
    assert said == [True, 1.0, 2.0, False, True, 3.0]
    assert [event.ioc for event in told if isinstance(event, Connection)] == ["10.0.0.7:5064"] * 3
    assert [event.pv for event in events if event not in told] == ["C", "C"]
    assert dns.asked == ["ioc"]  # once for all PVs
    aioca.host = "ioc:5064"
    c(LOST)
    c(Value(8.0))
    assert dns.asked == ["ioc"]
    await source.stop()


async def test_a_host_that_cannot_be_resolved_keeps_its_name(aioca, monkeypatch):
    dns = Dns(monkeypatch)
    source, events = await started(["A"])
    aioca.host = "one-way:5064"
    aioca.made[0].callback(Value(1.5))
    await dns.answer(source)
    assert events[0].ioc == "one-way:5064"
    await source.stop()


async def test_who_stops_does_not_wait_for_dns(aioca, monkeypatch):
    dns = Dns(monkeypatch)
    source, events = await started(["A"])
    aioca.host = "ioc:5064"
    aioca.made[0].callback(Value(1.5))
    await asyncio.sleep(0)
    await source.stop()
    assert not dns.may_answer.is_set()
    assert events == []
    dns.may_answer.set()


async def test_metadata_are_told_when_they_change_only(aioca):
    source, events = await started(["A"])
    properties = aioca.made[1].callback
    properties(Value(1.0))
    properties(LOST)
    properties(Value(2.0))  # a reconnection brings them again
    assert [(type(event), event.unit) for event in events] == [(Metadata, "MW")]
    other = Value(2.0)
    other.units = "kW"
    properties(other)
    assert events[-1].unit == "kW"
    await source.stop()


async def test_an_error_of_whoever_takes_the_events_does_not_end_the_subscription(aioca):
    source = ca.CaSource(EpicsSettings(), clock=Clock())
    taken = []

    def emit(event):
        taken.append(event)
        if len(taken) == 2:
            raise RuntimeError("the disc is full")

    await source.start([PvRequest("A")], emit)
    aioca.made[0].callback(Value(1.0))
    aioca.made[0].callback(Value(2.0))
    assert taken[-1].value == 2.0
    assert source.n_failed == 1
    await source.stop()


async def test_a_declared_heartbeat_that_nobody_asked_for_is_heard_but_not_told(aioca):
    source, events = await started(["A"], EpicsSettings(heartbeats=("H",)))
    (heartbeat,) = aioca.open("H")
    heartbeat.callback(Value(1.0))
    heartbeat.callback(LOST)
    assert events == []
    await source.add(PvRequest("H"))
    aioca.open("H")[0].callback(Value(2.0))
    assert [type(event) for event in events] == [Connection, Sample]
    await source.remove("H")
    aioca.open("H")[0].callback(Value(3.0))
    assert len(events) == 2
    await source.stop()


async def test_a_pv_that_comes_back_as_another_type_is_subscribed_anew(aioca):
    source, events = await started(["A"])
    first = aioca.made[0]
    first.callback(Value(1.0))
    first.callback(LOST)
    aioca.native = dbr.DBR_STRING
    first.callback(Value(2.0))
    assert not first.is_open
    first.callback(Value(3.0))  # was queued already
    aioca.open("A")[0].callback(Text("x"))
    assert [event.value for event in events if isinstance(event, Sample)] == [1.0, "x"]
    await source.stop()


async def test_a_subscription_that_aioca_ends_is_said_and_opened_anew_ever_more_slowly(aioca, monkeypatch):
    # aioca ends a subscription for ever after one update with a bad status, such as a value that the IOC cannot convert
    monkeypatch.setattr(ca, "_TICK_S", 0.0)
    source, events = await started(["A"])
    aioca.made[0].callback(Value(1.0))
    n_ticks = []
    for _ in range(3):
        aioca.open("A")[0].state = 2
        n_made = len(aioca.made)
        for tick in range(100_000):
            await asyncio.sleep(0)
            if len(aioca.made) > n_made:
                n_ticks.append(tick)
                break
    assert n_ticks == sorted(n_ticks)
    assert n_ticks[0] < n_ticks[2]
    assert [event.is_connected for event in events if isinstance(event, Connection)] == [True, False]
    aioca.open("A")[0].callback(Value(2.0))
    assert [type(event) for event in events[-2:]] == [Connection, Sample]
    await source.stop()


async def test_what_was_queued_for_a_removed_pv_is_not_told(aioca):
    source, events = await started(["A"])
    await source.remove("A")
    await source.remove("A")
    aioca.made[0].callback(Value(1.0))
    assert events == []
    await source.stop()


async def test_a_name_that_channel_access_refuses_is_said(aioca):
    source = ca.CaSource(EpicsSettings())
    with pytest.raises(PvRefusedError, match="does not take the PV name ''"):
        await source.start([PvRequest("")], print)
    await source.stop()


async def test_two_environments_in_one_process_are_refused(aioca):
    source, _ = await started(["A"], EpicsSettings(addr_list=("10.0.0.1",)))
    await source.stop()
    with pytest.raises(EpicsStartedError, match=r"EPICS_CA_ADDR_LIST='10.0.0.1', now '10.0.0.2'"):
        await started(["A"], EpicsSettings(addr_list=("10.0.0.2",)))


async def test_an_ioc_is_asked_and_an_answer_is_its_life(aioca, monkeypatch):
    monkeypatch.setattr(ca, "_TICK_S", 0.0)
    monkeypatch.setattr(
        ca, "time", SimpleNamespace(monotonic=iter(range(10**9)).__next__)
    )  # half a second (the cap) a tick
    source, events = await started(["A"])
    aioca.made[0].callback(Value(1.0))
    Clock.now += 10**9
    for _ in range(200):
        await asyncio.sleep(0)
    assert aioca.asked[0][0] == "A"
    assert aioca.asked[0][1]["timeout"] == 2.0
    assert events[-1].last_heard_ns == Clock.now
    aioca.answers_ok = False
    for _ in range(200):
        await asyncio.sleep(0)
    assert isinstance(events[-1], Connection)
    assert not events[-1].is_connected
    await source.stop()


async def test_a_process_that_was_suspended_blames_no_ioc(aioca, monkeypatch):
    monkeypatch.setattr(ca, "_TICK_S", 0.0)
    monkeypatch.setattr(ca, "time", SimpleNamespace(monotonic=iter(range(0, 10**9, 3600)).__next__))
    source, events = await started(["A"])
    aioca.made[0].callback(Value(1.0))
    for _ in range(8):  # a few ticks, an hour between them
        await asyncio.sleep(0)
    assert all(event.is_connected for event in events if isinstance(event, Connection))
    await source.stop()
