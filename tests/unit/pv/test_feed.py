"""What MQTT messages mean for PVs, without a broker."""

import math

import numpy as np
import pytest

from nualley.pv import Connection, Life, Metadata, MqttPlace, PvRequest, Sample
from nualley.pv.feed import Feed, Known, Message

BROKER = "mqtt:b:1883"


class Bench:
    def __init__(self):
        self.stored = {}
        self.feed = Feed(BROKER, self.stored.get)
        self.now_ns = 1000

    def add(self, pv, topic="t", **place):
        self.feed.add(PvRequest(pv, mqtt=MqttPlace(topic, **place)))

    def take(self, payload, topic="t", **flags):
        self.now_ns += 10
        return self.feed.take(Message(topic, payload, self.now_ns, **flags))

    def values(self, payload, **flags):
        return [event.value for event in self.take(payload, **flags) if isinstance(event, Sample)]


@pytest.fixture
def bench():
    made = Bench()
    made.add("A")
    return made


def links(events):
    return [
        (event.pv, event.is_connected, event.time_ns, event.last_heard_ns)
        for event in events
        if isinstance(event, Connection)
    ]


def test_the_first_message_connects_then_describes_then_tells(bench):
    events = bench.take(b"1")
    assert [type(event) for event in events] == [Connection, Metadata, Sample]
    assert links(events) == [("A", True, 1010, 1010)]
    assert [type(event) for event in bench.take(b"2")] == [Sample]
    assert [type(event) for event in bench.take(b"words")] == [Metadata, Sample]


def test_a_lost_broker_loses_what_was_connected_once(bench):
    bench.add("NEVER", "other")
    bench.take(b"1")
    assert links(bench.feed.lost(2000, 1500)) == [("A", False, 2000, 1500), ("NEVER", False, 2000, 0)]
    assert bench.feed.lost(3000, 1500) == []
    assert links(bench.take(b"1")) == [("A", True, 1020, 1020)]


def test_a_session_that_was_kept_tells_that_values_hold_whose_device_publishes_so(bench):
    bench.add("QOS0", "loose")
    bench.take(b"1", qos=1)
    bench.take(b"1", topic="loose", qos=0)
    bench.feed.lost(2000, 1500)
    events = bench.feed.resumed(3000)
    assert events[0] == Life(BROKER, 3000)
    assert links(events) == [("A", True, 3000, 3000)]


def test_dropped_messages_make_their_pvs_unknown_until_the_next(bench):
    bench.take(b"1")
    assert links(bench.feed.missed({"t", "unknown"}, 2000)) == [("A", False, 2000, 2000)]
    assert links(bench.take(b"2")) == [("A", True, 1020, 1020)]


@pytest.mark.parametrize(("payload", "value"), [(b"5", 5.0), (b"nan", math.nan), (b"[1, 2]", [1.0, 2.0]), (b"true", 1)])
def test_what_is_retained_is_stored_once(bench, payload, value):
    bench.stored["A"] = Known(500, value)
    events = bench.take(payload, is_retained=True)
    assert links(events) == [("A", True, 1010, 1010)]
    assert not any(isinstance(event, Sample) for event in events)
    assert bench.feed.n_repeated == 1
    assert bench.values(b"7", is_retained=True) == [7.0]
    assert bench.values(b"7", is_retained=True) == [], "the value that was told last counts before what is durable"
    assert bench.values(b"7") == [7.0], "a message that is not retained is news, also with the same value"


def test_what_is_retained_and_stamped_is_judged_by_its_stamp(bench):
    bench.add("S", "s", member="v", time_member="at")
    bench.stored["S"] = Known(100, 1.0)
    assert bench.values(b'{"v": 1, "at": 100}', topic="s", is_retained=True) == []
    assert bench.values(b'{"v": 9, "at": 99}', topic="s", is_retained=True) == []
    assert bench.values(b'{"v": 1, "at": 101}', topic="s", is_retained=True) == [1.0]


def test_a_message_that_came_before_has_its_first_stamp_and_is_stored_once(bench):
    bench.stored["A"] = Known(700, 2.0)
    assert bench.values(b"1", is_again=True, first_ns=600) == []
    assert bench.values(b"2", is_again=True, first_ns=700) == []
    (sample,) = [event for event in bench.take(b"3", is_again=True, first_ns=800) if isinstance(event, Sample)]
    assert (sample.time_ns, sample.received_ns) == (800, bench.now_ns)
    # sent again after it never reached us: as good as new
    assert bench.values(b"2", is_again=True) == [2.0]


def test_what_an_earlier_process_did_not_make_durable_is_news_whatever_its_stamp():
    bench = Bench()
    bench.feed = Feed(BROKER, bench.stored.get, (650, 900))
    bench.add("S", "s", member="v", time_member="at")
    bench.stored["S"] = Known(100, 1.0)
    old = b'{"v": 9, "at": 50}'
    assert bench.values(old, topic="s", is_again=True, first_ns=600) == []
    assert bench.values(old, topic="s", is_again=True, first_ns=700) == [9.0], "the recorder says that it is backward"
    assert bench.values(old, topic="s", is_again=True, first_ns=950) == []


def test_what_cannot_be_read_is_told_once_where_it_is_retained(bench):
    (sample,) = bench.take(b"\xff")
    assert (sample.value, sample.value_type, sample.unreadable) == ("\\xff", "string", "byte 0 is not UTF-8")
    assert bench.take(b"\xff", is_retained=True) == []
    assert len(bench.take(b"\xff")) == 1
    assert bench.feed.n_unreadable == 2


def test_a_device_that_is_away_is_disconnected_since_its_last_message():
    bench = Bench()
    bench.add("A", availability_topic="s")
    assert bench.feed.topics == ("s", "t"), "who is away is asked first"
    bench.take(b"online", topic="s")
    bench.take(b"1")
    assert links(bench.take(b"offline", topic="s")) == [("A", False, 1030, 1020)]
    assert links(bench.take(b"1", is_retained=True)) == [], "what is retained of it is what it was"
    assert links(bench.take(b"nonsense", topic="s")) == []
    assert links(bench.take(b"online", topic="s")) == [("A", True, 1060, 1060)]
    bench.take(b"offline", topic="s")
    assert links(bench.take(b"2")) == [("A", True, 1080, 1080)], "who speaks is there"
    bench.take(b"offline", topic="s")
    assert links(bench.feed.resumed(2000)) == []


def test_a_device_that_was_never_heard_is_not_connected_by_its_word_alone():
    bench = Bench()
    bench.add("A", availability_topic="s")
    assert bench.take(b"online", topic="s") == []
    assert links(bench.take(b"offline", topic="s")) == [("A", False, 1020, 0)]


def test_one_message_is_of_many_pvs(bench):
    bench.add("X", member="x")
    bench.add("Y", member="y.z[1]")
    events = [event for event in bench.take(b'{"x": 1, "y": {"z": [0, 2]}}') if isinstance(event, Sample)]
    assert [(event.pv, event.value, bool(event.unreadable)) for event in events][1:] == [
        ("X", 1.0, False),
        ("Y", 2.0, False),
    ]
    assert events[0].unreadable.startswith("an object")
    bench.feed.remove("X")
    assert bench.feed.pvs("t") == ["A", "Y"]


def test_arrays_arrive(bench):
    assert np.array_equal(bench.values(b"[1.5, 2]")[0], [1.5, 2.0])
