"""The PV Access source, with p4p's client played by us: what it asks for, and what it makes of updates."""

import asyncio
import threading
import time
from operator import attrgetter
from types import SimpleNamespace

import numpy as np
import pytest
from p4p import Type, Value
from p4p.client.raw import Disconnected, Finished, RemoteError
from p4p.nt import NTEnum, NTScalar, NTTable

from nualley.core import SECOND_NS
from nualley.pv import Connection, EpicsSettings, Lagging, Life, Metadata, PvRequest, Sample, Samples, Source
from nualley.pv.adapters import pva
from nualley.pv.adapters.pva_queue import QUEUE, Backlog
from tests.unit.pv.pva_fakes import SERVER, FakePva, number

pv_of = attrgetter("pv")


class Clock:
    def __init__(self):
        self.time_ns = time.time_ns()

    def now_ns(self):
        return self.time_ns


class Bench:
    """A source that looks when it is told to."""

    def __init__(self, **epics):
        self.clock, self.events, self.pva = Clock(), [], FakePva()
        self.source = pva.PvaSource(EpicsSettings(**epics), clock=self.clock, connect=self.connect)
        self.n_clients = 0
        self.raises = None

    def connect(self):
        self.n_clients += 1
        return self.pva

    async def start(self, *requests):
        await self.source.start([PvRequest(pv) if isinstance(pv, str) else pv for pv in requests], self.take)
        self.pause()

    def pause(self):
        for task in self.source._tasks:
            task.cancel()  # looked at by `look`

    def take(self, event):
        self.events.extend(event.each() if isinstance(event, Samples) else [event])
        if self.raises:
            error, self.raises = self.raises, None
            raise error

    def look(self):
        """Return what a look brings."""
        before = len(self.events)
        self.source._drain()
        return self.events[before:]

    def post(self, pv, value, **fields):
        time_ns = fields.pop("time_ns", self.clock.time_ns)
        self.pva.of(pv).put(number(value, time_ns=time_ns, **fields))

    def put(self, pv, update):
        self.pva.of(pv).put(update)

    def tick(self, now_s=0.0, awake_s=0.25):
        before = len(self.events)
        self.source._tick(now_s or time.monotonic(), round(awake_s * SECOND_NS))
        return self.events[before:]

    def values(self, pv):
        return [event.value for event in self.events if isinstance(event, Sample) and event.pv == pv]

    def rows(self, pv):
        return [event.is_connected for event in self.events if isinstance(event, Connection) and event.pv == pv]


@pytest.fixture
def environ(monkeypatch):
    found = {}
    monkeypatch.setattr(pva, "os", SimpleNamespace(environ=found))
    return found


@pytest.fixture
async def bench(environ):
    made = []

    def make(**epics):
        made.append(Bench(**epics))
        return made[-1]

    yield make
    for each in made:
        await each.source.stop()


async def test_it_is_a_source_that_may_lag(bench):
    source: Source = bench().source
    assert isinstance(source, Lagging)
    assert source.protocol == "pva"


async def test_pv_access_begins_with_the_first_pv(bench, environ):
    made = bench(pva_addr_list=("127.0.0.1:9",), heartbeats=("BEAT",))
    await made.start()
    assert made.n_clients == 0
    assert environ == {}
    await made.source.add(PvRequest("A"))
    made.pause()
    assert made.n_clients == 1
    assert environ["EPICS_PVA_ADDR_LIST"] == "127.0.0.1:9"
    assert [subscription.pv for subscription in made.pva.made] == ["BEAT", "A"]
    await made.source.stop()
    assert not made.pva.is_open
    assert not any(subscription.is_open for subscription in made.pva.made)


async def test_requests_say_which_queue_and_which_dead_band(bench):
    made = bench()
    await made.start(PvRequest("A"), PvRequest("B", "archive", queue=4000))
    assert [(each.queue, each.events) for each in made.pva.made] == [(QUEUE, "value"), (4000, "archive")]


async def test_the_connection_and_the_metadata_are_told_before_the_sample(bench):
    made = bench()
    await made.start("A")
    made.post("A", 1.5, display__units="MW")
    made.post("A", 2.5, alarm__severity=1, alarm__status=3)
    made.put("A", Disconnected())
    connected, metadata, first, second, lost = made.look()
    assert (connected.is_connected, connected.ioc, connected.protocol) == (True, SERVER, "pva")
    assert (metadata.unit, metadata.protocol) == ("MW", "pva")
    assert (first.value, first.time_ns, second.value) == (1.5, made.clock.time_ns, 2.5)
    assert (second.severity, second.status, second.protocol) == (1, 3, "pva")
    assert (lost.is_connected, lost.ioc, lost.last_heard_ns) == (False, SERVER, made.clock.time_ns)


async def test_numbers_of_many_pvs_are_columns(bench):
    made = bench()
    taken = []
    made.take = taken.append
    await made.start("A", "B", "E")
    for pv in "AB":
        made.post(pv, 0.0)
    made.put("E", Value(NTEnum.buildType(), {"value": {"index": 1, "choices": ["a", "b"]}}))
    made.look()
    taken.clear()
    for pv, value in (("A", 1.0), ("B", 2.0), ("A", 3.0)):
        made.post(pv, value)
    update = Value(NTEnum.buildType(), {})
    update["value.index"] = 1
    made.put("E", update)
    made.source._drain()
    assert all(isinstance(event, Samples) for event in taken)
    found = {str(event.value_type): list(event.each()) for event in taken}
    assert [(sample.pv, sample.value) for sample in found["float64"]] == [("A", 1.0), ("A", 3.0), ("B", 2.0)]
    assert [(sample.pv, sample.value) for sample in found["enum"]] == [("E", 1)]


async def test_numbers_are_one_batch_also_where_many_pvs_connect(bench):
    made = bench()
    taken = []
    made.take = taken.append
    await made.start("A", "B", "C")
    for pv in "ABC":
        made.post(pv, 1.0)
        made.post(pv, 2.0)
    made.source._drain()
    assert [type(event) for event in taken] == [Connection, Metadata] * 3 + [Samples]
    assert len(taken[-1]) == 6


async def test_metadata_are_told_when_they_change_and_are_no_sample(bench):
    made = bench()
    await made.start("A")
    made.post("A", 1.0, display__units="MW")
    made.look()
    made.post("A", None, time_ns=None, display__units="kW")
    (changed,) = made.look()
    assert isinstance(changed, Metadata)
    assert changed.unit == "kW"
    made.post("A", 2.0, display__units="kW")  # a server that sends everything each time
    assert [type(event) for event in made.look()] == [Sample]
    made.put("A", Disconnected())
    made.post("A", 2.0, display__units="kW")
    assert [type(event) for event in made.look()] == [Connection, Connection, Sample], "as known before"


async def test_labels_of_an_enum_change(bench):
    made = bench()
    await made.start("E")
    made.put("E", Value(NTEnum.buildType(), {"value": {"index": 0, "choices": ["a", "b"]}}))
    made.look()
    update = Value(NTEnum.buildType(), {})
    update["value.choices"] = ["a", "b", "c"]
    made.put("E", update)
    (changed,) = made.look()
    assert changed.labels == ("a", "b", "c")


async def test_another_type_after_a_reconnection_is_read_anew(bench):
    made = bench()
    await made.start("A")
    made.post("A", 1.5)
    made.put("A", Disconnected())
    made.put("A", Value(NTScalar.buildType("as"), {"value": ["x", "y"]}))
    made.look()
    assert made.values("A") == [1.5, ["x", "y"]]
    assert [event.value_type for event in made.events if isinstance(event, Metadata)] == ["float64", "string-array"]


async def test_a_structure_is_json_with_one_warning(bench, capsys):
    made = bench()
    await made.start("T")
    table = NTTable([("a", "d")])
    for value in (1.0, 2.0):
        made.put("T", table.wrap([{"a": value}]))
    made.look()
    assert [json[:27] for json in made.values("T")] == ['{"labels": ["a"], "value": '] * 2
    assert capsys.readouterr().out.count("epics:nt/NTTable:1.0 is archived as JSON text") == 1


async def test_a_number_that_no_column_holds_is_told_as_it_is(bench, capsys):
    made = bench()
    await made.start("U")
    for value in (5, 2**64 - 1, 6):
        made.put("U", Value(NTScalar.buildType("L"), {"value": value}))
    made.look()
    assert made.values("U") == [5, 2**64 - 1, 6]
    assert capsys.readouterr().out.count("numbers beyond 2**63") == 1


async def test_what_was_not_taken_in_time_may_have_been_merged_and_is_a_disconnect(bench, capsys):
    made = bench()
    await made.start(PvRequest("A", queue=8))
    made.post("A", 0.0)
    made.look()
    for value in range(1, 9):  # our window
        made.post("A", value)
    assert len(made.look()) == 8
    assert made.source.n_dropped == 0
    for value in range(9, 17):  # what the server kept behind it
        made.post("A", value)
    *before, lost, connected, newest = made.look()
    assert [sample.value for sample in before] == list(range(9, 16))
    assert (lost.is_connected, connected.is_connected, newest.value) == (False, True, 16.0)
    assert made.source.n_dropped == 1
    made.tick()
    made.tick()
    said = capsys.readouterr().out
    assert said.count("pva.dropped") == 1
    assert "set a larger queue of these PVs in pvs/*.toml" in said


async def test_a_window_that_was_full_once_has_lost_nothing(bench):
    made = bench()
    await made.start(PvRequest("A", queue=8))
    for _ in range(5):
        for value in range(8):
            made.post("A", value)
        made.look()
        made.post("A", 0.0)
        made.look()
    assert made.source.n_dropped == 0
    assert made.rows("A") == [True]


def test_a_backlog_counts_only_looks_in_a_row():
    backlog = Backlog(8)
    assert [backlog.took(n) for n in (5, 6, 5, 5, 2, 3)] == [False, False, True, False, False, False]
    assert Backlog(8).took(13)


async def test_a_pv_without_end_does_not_keep_the_others_waiting(bench):
    made = bench()
    await made.start(PvRequest("A", queue=4), "B")
    endless = made.pva.of("A")
    endless.pop = lambda: number(1.0, time_ns=made.clock.time_ns)
    made.source._note(0)
    made.post("B", 2.0)
    made.look()
    assert made.values("B") == [2.0]
    assert len(made.values("A")) == 4
    made.look()
    assert len(made.values("A")) == 8


async def test_a_look_ends_before_others_have_waited_long(bench):
    made = bench()
    await made.start("A", "B", "C")
    for pv in "ABC":
        for value in range(8):
            made.post(pv, value)
    assert made.source._drain(10)
    assert (len(made.values("A")), len(made.values("B")), made.values("C")) == (8, 8, [])
    assert not made.source._drain(10)
    assert len(made.values("C")) == 8


async def test_who_goes_on_sending_does_not_keep_it_from_ending(bench):
    made = bench()
    await made.start(PvRequest("A", queue=8))
    made.pva.of("A").pop = lambda: number(1.0, time_ns=made.clock.time_ns)
    made.source._note(0)
    await made.source.stop()
    assert len(made.values("A")) == 8


async def test_many_pvs_share_the_room(bench):
    made = bench()
    await made.start(*(f"P{number}" for number in range(2000)))
    assert {each.queue for each in made.pva.made} == {32}


def array(value, *, length=20, time_ns=None):
    update = Value(NTScalar.buildType("ad"), {"value": np.full(length, float(value))})
    if time_ns is not None:
        update["timeStamp.secondsPastEpoch"], update["timeStamp.nanoseconds"] = divmod(time_ns, SECOND_NS)
    return update


class Changing:
    """A PV whose first update is so large that a subscription with a shorter queue is asked for."""

    def __init__(self, made):
        self.made = made
        self.start_ns = made.clock.time_ns

    async def begin(self):
        await self.made.start("W")
        self.old = self.made.pva.of("W")
        self.put(self.old, 0, length=10_000)
        self.made.look()
        self.new = self.made.pva.of("W")
        assert self.new is not self.old
        return self

    def put(self, subscription, *numbers, length=20):
        """Let values wait, each with the stamp of its own second."""
        for value in numbers:
            subscription.put(array(value, length=length, time_ns=self.start_ns + round(value) * SECOND_NS))

    def look(self):
        """Return the values of a look, and of the next one, which is told to come at once."""
        before = len(self.made.values("W"))
        self.made.look()
        self.made.look()
        return [value[0] for value in self.made.values("W")[before:]]


@pytest.fixture
async def changing(bench):
    return await Changing(bench()).begin()


async def test_large_arrays_wait_in_a_shorter_queue(bench):
    made = bench()
    await made.start("W", PvRequest("X", queue=1000))
    for pv in "WX":
        made.put(pv, array(0, length=10_000))
    made.look()
    assert made.pva.of("W").queue == 51, "of 4 MiB"
    assert made.pva.of("X").queue == 1000, "as its policy says"


async def test_the_old_subscription_is_read_until_the_new_one_has_begun(changing):
    changing.put(changing.old, 1, 2)
    assert changing.look() == [1, 2], "the new one has brought nothing yet"
    assert changing.old.is_open
    changing.put(changing.old, 3)
    changing.put(changing.new, 3, 4)
    changing.put(changing.old, 4)
    assert changing.look() == [3, 3, 4], "3 is repeated, as after a reconnection; 4 came twice and is told once"
    assert not changing.old.is_open
    changing.put(changing.new, 5)
    assert changing.look() == [5]
    assert changing.made.rows("W") == [True]


async def test_what_the_new_subscription_begins_with_waits_for_what_was_before_it(changing):
    changing.put(changing.new, 3, 4)
    assert changing.look() == []
    changing.put(changing.old, 1, 2)
    assert changing.look() == [1, 2]
    changing.put(changing.old, 3)
    assert changing.look() == [3, 3, 4]
    assert not changing.old.is_open


async def test_what_the_old_subscription_was_quicker_to_bring_is_told_once(changing):
    changing.put(changing.old, 1, 2, 3)
    assert changing.look() == [1, 2, 3]
    changing.put(changing.new, 1, 2, 3, 4)
    assert changing.look() == [3, 4]
    changing.put(changing.new, 2)
    assert changing.look() == [2], "a clock that steps back is told"


async def test_no_more_is_taken_for_a_repeat_than_came(changing):
    changing.put(changing.old, 3)
    assert changing.look() == [3]
    changing.put(changing.new, 1, 2)
    assert changing.look() == [2], "a clock that steps back while subscriptions change"


async def test_an_array_that_rests_is_handed_over_at_once(changing):
    changing.put(changing.new, 0)
    assert changing.look() == [0]
    assert not changing.old.is_open


async def test_what_the_old_subscription_never_brings_is_waited_for_5_s(changing, monkeypatch):
    handover = changing.made.source._channels["W"].subscription
    changing.put(changing.new, 1)
    assert changing.look() == []
    changing.made.tick()
    assert changing.look() == []
    monkeypatch.setattr(handover, "_now_s", lambda: time.monotonic() + 5.1)
    changing.made.tick()
    assert changing.look() == [1]
    assert not changing.old.is_open


async def test_a_connection_that_is_lost_between_two_subscriptions_is_told_and_comes_back(changing):
    changing.put(changing.old, 1)
    changing.old.put(Disconnected())
    changing.new.put(Disconnected())
    changing.put(changing.new, 2)
    assert changing.look() == [1, 2]
    assert changing.made.rows("W") == [True, False, True]
    assert not changing.old.is_open


async def test_a_new_subscription_that_is_refused_is_asked_for_again(changing, capsys):
    changing.new.put(RemoteError("no access"))
    assert changing.look() == []
    assert changing.made.rows("W") == [True, False]
    assert not changing.old.is_open
    changing.made.tick(time.monotonic() + 11)
    changing.put(changing.made.pva.of("W"), 1)
    assert changing.look() == [1]
    assert "no access" in capsys.readouterr().out


async def test_arrays_without_a_stamp_are_handed_over_when_nothing_waits(bench):
    made = bench()
    await made.start("W")
    old = made.pva.of("W")
    kind = Type([("value", "ad")], id="epics:nt/NTScalarArray:1.0")
    old.put(Value(kind, {"value": np.zeros(10_000)}))
    made.look()
    old.put(Value(kind, {"value": np.ones(1)}))
    made.look()
    assert old.is_open
    made.put("W", Value(kind, {"value": np.ones(1)}))
    made.put("W", Value(kind, {"value": np.ones(2)}))
    made.look()
    made.look()
    assert [len(value) for value in made.values("W")] == [10_000, 1, 1, 2]
    assert not old.is_open


async def test_the_end_takes_what_a_new_subscription_has_brought(changing):
    changing.put(changing.new, 2, 3)
    await changing.made.source.stop()
    assert [value[0] for value in changing.made.values("W")] == [0, 2, 3]
    assert not changing.old.is_open
    assert not changing.new.is_open


async def test_a_refused_subscription_is_said_and_tried_again(bench, capsys):
    made = bench()
    await made.start("A")
    first = made.pva.of("A")
    made.put("A", RemoteError("no access"))
    (lost,) = made.look()
    assert (lost.is_connected, lost.last_heard_ns) == (False, 0)
    assert "no access" in capsys.readouterr().out
    now_s = time.monotonic()
    made.tick(now_s + 1)
    assert made.pva.of("A") is first
    made.tick(now_s + 11)
    assert made.pva.of("A") is not first
    assert not first.is_open
    made.post("A", 1.0)
    assert made.look()[0].is_connected
    made.put("A", Finished())
    assert not made.look()[0].is_connected
    made.tick(now_s + 40)
    made.post("A", 1.0)
    assert made.look()[0].is_connected


async def test_a_pv_that_is_not_found_is_told_once(bench):
    made = bench()
    await made.start("A")
    now_s = time.monotonic()
    assert made.tick(now_s + 4) == []
    assert made.tick(now_s + 6) == [Connection("A", False, "", made.clock.time_ns, 0, "pva")]
    assert made.tick(now_s + 7) == []


async def test_servers_are_asked_for_once_a_look(bench):
    made = bench()
    await made.start("A", "B")
    made.pva.server_by_pv["B"] = "10.0.0.2:5075"
    for pv in "AB":
        made.post(pv, 1.0)
    made.look()
    assert made.pva.n_reports == 1
    assert {event.pv: event.ioc for event in made.events if isinstance(event, Connection)} == {
        "A": SERVER, "B": "10.0.0.2:5075",
    }  # fmt: skip
    made.post("A", 2.0)
    made.look()
    assert made.pva.n_reports == 1


async def test_a_silent_ioc_is_asked_and_hangs_when_it_does_not_answer(bench):
    made = bench(life_s=2.0)
    await made.start("A", "B")
    for pv in "AB":
        made.post(pv, 1.0)
    made.look()
    heard_ns = made.clock.time_ns
    made.clock.time_ns += 2 * SECOND_NS
    told = made.tick(awake_s=2.0)
    assert told == [Life(SERVER, heard_ns)]
    (question,) = made.pva.questions
    made.clock.time_ns += SECOND_NS
    question.answer(True)
    assert made.look() == []
    assert made.tick(awake_s=2.0) == [Life(SERVER, heard_ns + 2 * SECOND_NS)], "it lived when it was asked"
    assert not question.is_open, "one at a time"
    made.pva.questions[-1].answer(False)  # cancelled, or the connection went: no answer
    made.look()
    made.tick(awake_s=2.0)
    lost = made.tick(awake_s=2.0)
    assert [(event.pv, event.is_connected, event.last_heard_ns) for event in sorted(lost, key=pv_of)] == [
        ("A", False, heard_ns + 2 * SECOND_NS), ("B", False, heard_ns + 2 * SECOND_NS),
    ]  # fmt: skip
    made.post("A", 2.0)
    back = made.look()
    assert {event.pv for event in back[:2]} == {"A", "B"}
    assert [type(event) for event in back] == [Connection, Connection, Sample]


async def test_a_heartbeat_that_nobody_asked_for_is_listened_to_in_silence(bench):
    made = bench(heartbeats=("BEAT",))
    await made.start("A")
    made.post("A", 1.0)
    made.post("BEAT", 1.0)
    made.look()
    for count in range(2, 8):
        made.clock.time_ns += SECOND_NS
        made.post("BEAT", count)
        assert made.look() == []
    assert made.source._connections._iocs[SERVER].is_watched_by_heartbeat
    made.tick(awake_s=6.0)
    assert made.rows("A") == [True, False]
    assert made.rows("BEAT") == []
    await made.source.add(PvRequest("BEAT"))
    made.post("BEAT", 9.0)
    made.look()
    assert made.values("BEAT") == [9.0]
    await made.source.remove("BEAT")
    made.post("BEAT", 10.0)
    made.look()
    assert made.values("BEAT") == [9.0]
    assert made.pva.of("BEAT").is_open


async def test_pvs_are_added_anew_and_removed(bench):
    made = bench()
    await made.start("A")
    made.post("A", 1.0)
    first = made.pva.of("A")
    await made.source.add(PvRequest("A", "archive"))
    assert not first.is_open
    assert made.look() == [], "what was noted before is nobody's"
    made.post("A", 2.0)
    made.look()
    assert made.values("A") == [2.0]
    await made.source.remove("A")
    await made.source.remove("NEVER")
    assert not made.pva.of("A").is_open


async def test_one_odd_value_takes_no_other_along(bench, capsys):
    made = bench()
    await made.start("A", "B")
    made.put("A", SimpleNamespace())
    made.post("A", 2.0)
    made.post("B", 3.0)
    made.look()
    assert (made.values("A"), made.values("B")) == ([2.0], [3.0])
    assert made.source.n_failed == 1
    assert "pva.update_failed" in capsys.readouterr().out


async def test_who_takes_events_and_fails_does_not_end_the_listening(bench, capsys):
    made = bench()
    await made.start("A")
    made.raises = ValueError("upstairs")
    made.post("A", 1.0)
    made.look()
    assert made.source.n_failed == 1
    assert made.values("A") == [1.0]
    assert "pva.event_failed" in capsys.readouterr().out


async def test_updates_that_waited_long_are_said(bench, capsys):
    made = bench()
    await made.start("A")
    made.post("A", 1.0)
    made.clock.time_ns += 3 * SECOND_NS
    made.look()
    assert made.source.lag_s == 3.0
    assert "pva.late" in capsys.readouterr().out
    made.post("A", 2.0)
    made.look()
    assert made.source.lag_s == 0.0


async def test_it_listens_in_the_event_loop_and_ends_with_everything_taken(environ):
    made = Bench()
    is_taken = asyncio.Event()
    loop = asyncio.get_running_loop()

    def take(event):
        made.take(event)
        loop.call_soon_threadsafe(is_taken.set)

    await made.source.start([PvRequest("A")], take)
    thread = threading.Thread(target=made.post, args=("A", 1.0))  # as p4p does
    thread.start()
    thread.join()
    await asyncio.wait_for(is_taken.wait(), 30)
    made.post("A", 2.0)
    await made.source.stop()
    assert made.values("A") == [1.0, 2.0]
    made.pva.made[0].put(number(3.0, time_ns=1))
    assert made.values("A") == [1.0, 2.0]
