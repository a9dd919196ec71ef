"""Computed PVs: when they are computed, by which stamp, and when they are unknown."""

import math

import numpy as np
import pytest

from nualley.core import SECOND_NS
from nualley.pv import Connection, Life, Metadata, PvRequest, Sample, Samples, ValueType
from nualley.pv.adapters.computed import ComputedSource
from nualley.pv.errors import PvRefusedError

IOC = "127.0.0.1:5064"


class Clock:
    def now_ns(self):
        return 9000


class Bench:
    def __init__(self):
        self.archived = {"A", "B", "C", "P", "Q"}
        self.newest = {}
        self.events = []
        self.source = ComputedSource(
            is_archived=self.archived.__contains__, newest=self.newest.get, future_limit_s=10.0, clock=Clock()
        )

    async def start(self, **expressions):
        requests = [PvRequest(pv, unit="K", expression=text) for pv, text in expressions.items()]
        await self.source.start(requests, self.emit)

    def emit(self, event):
        self.events.append(event)
        self.source.take(event)  # as app does it: what is computed may be an input too

    def link(self, pv, is_connected=True, time_ns=1000, heard_ns=1000, ioc=IOC):
        return self.told(Connection(pv, is_connected, ioc, time_ns, heard_ns, "ca"))

    def set(self, pv, value, time_ns=2000, received_ns=None, **fields):
        found = {"value_type": ValueType.FLOAT64, "severity": 0, "status": 0, "protocol": "ca", **fields}
        return self.told(Sample(pv, time_ns, value, received_ns=received_ns or time_ns, **found))

    def told(self, event):
        before = len(self.events)
        self.source.take(event)
        return self.events[before:]


@pytest.fixture
async def bench():
    return Bench()


def samples(events):
    return [(event.pv, event.value, event.time_ns, event.severity) for event in events if isinstance(event, Sample)]


async def test_it_is_computed_once_all_inputs_are_known_and_at_each_of_their_updates(bench):
    await bench.start(P="A - B")
    bench.link("A")
    bench.link("B")
    assert bench.set("A", 5.0) == []
    events = bench.set("B", 2.0, 2500)
    assert [type(event) for event in events] == [Connection, Metadata, Sample]
    assert samples(events) == [("P", 3.0, 2500, 0)]
    assert (events[1].unit, events[1].protocol) == ("K", "computed")
    assert samples(bench.set("A", 6.0, 3000)) == [("P", 4.0, 3000, 0)]


async def test_its_stamp_is_that_of_the_newest_input_and_never_goes_back(bench):
    await bench.start(P="A + B")
    bench.set("A", 1.0, 5000)
    assert samples(bench.set("B", 1.0, 100, 5001)) == [("P", 2.0, 5000, 0)], "before that A was not known"
    assert samples(bench.set("B", 2.0, 4000)) == [("P", 3.0, 5000, 0)]
    assert samples(bench.set("B", 3.0, 6000)) == [("P", 4.0, 6000, 0)]


async def test_a_stamp_out_of_the_future_does_not_stop_the_clock(bench):
    await bench.start(P="A")
    far_ns = 10_000 * SECOND_NS
    assert samples(bench.set("A", 1.0, far_ns, 2000)) == [("P", 1.0, 2000, 0)]
    assert samples(bench.set("A", 2.0, 3000)) == [("P", 2.0, 3000, 0)]


async def test_severity_is_the_worst_and_invalid_where_there_is_no_number(bench):
    await bench.start(P="A / B")
    bench.set("A", 1.0, severity=1)
    assert samples(bench.set("B", 2.0, severity=2)) == [("P", 0.5, 2000, 2)]
    for value, value_type in [
        (0.0, ValueType.FLOAT64),
        (math.nan, ValueType.FLOAT64),
        ("words", ValueType.STRING),
        (np.ones(2), ValueType.FLOAT64_ARRAY),
    ]:
        ((_, found, _, severity),) = samples(bench.set("B", value, value_type=value_type))
        assert math.isnan(found)
        assert severity == 3
    assert samples(bench.set("B", 2, value_type=ValueType.ENUM)) == [("P", 0.5, 2000, 1)]


async def test_it_is_lost_with_any_input_and_says_which(bench):
    await bench.start(P="A + B")
    bench.set("A", 1.0)
    bench.set("B", 1.0)
    (lost,) = bench.link("B", is_connected=False, time_ns=5000, heard_ns=3000)
    assert (lost.pv, lost.is_connected, lost.time_ns) == ("P", False, 5000)
    assert lost.last_heard_ns == 2000, "nobody knows of A since"
    assert lost.ioc == "computed:P without B"
    assert bench.set("A", 2.0, 5500) == [], "unknown as long as B is"
    events = bench.link("B", time_ns=6000)
    assert [type(event) for event in events] == [Connection, Sample], "its value holds again"
    assert samples(bench.set("B", 3.0, 6001)) == [("P", 5.0, 6001, 0)]


async def test_it_lives_as_long_as_the_input_that_was_heard_the_longest_ago(bench):
    await bench.start(P="A + B")
    bench.link("A")
    bench.link("B", ioc="other:5064")
    bench.set("A", 1.0)
    bench.set("B", 1.0)
    assert bench.told(Life(IOC, 7000)) == [Life("computed:P", 2000)]
    assert bench.told(Life(IOC, 7500)) == []
    assert bench.told(Life("other:5064", 6000)) == [Life("computed:P", 6000)]
    assert bench.told(Life("nobody:1", 9000)) == []


async def test_columns_of_fast_sources_are_looked_at_for_inputs_only(bench):
    await bench.start(P="B * 10")
    pvs = ["X", "A", "B"]

    def columns(index, value):
        n = len(index)
        times_ns = np.arange(n, dtype=np.int64) + 2000
        zeros = np.zeros(n, dtype=np.int16)
        return Samples(
            pvs, np.array(index, np.int32), times_ns, np.array(value), ValueType.FLOAT64, zeros.astype(np.int8), zeros,
            "ca", times_ns,
        )  # fmt: skip

    assert samples(bench.told(columns([0, 2, 1, 2], [1.0, 2.0, 3.0, 4.0]))) == [
        ("P", 20.0, 2001, 0),
        ("P", 40.0, 2003, 0),
    ]
    assert bench.told(columns([0, 1], [1.0, 2.0])) == []
    pvs.append("C")
    await bench.source.add(PvRequest("Q", expression="C"))
    assert samples(bench.told(columns([3], [7.0]))) == [("Q", 7.0, 2000, 0)]
    await bench.source.remove("P")
    assert bench.told(columns([2], [9.0])) == []


async def test_a_computed_pv_may_be_computed_from_another(bench):
    await bench.start(Q="2 * P", P="A + 1")
    assert [found[:2] for found in samples(bench.set("A", 1.0))] == [("P", 2.0), ("Q", 4.0)]
    assert [event.pv for event in bench.link("A", is_connected=False)] == ["P", "Q"]


async def test_one_that_begins_later_takes_what_is_known(bench):
    await bench.start()
    bench.newest["A"] = (Sample("A", 50, 4.0, ValueType.FLOAT64, 0, 0, "ca", 60), IOC)
    await bench.source.add(PvRequest("P", expression="A"))
    assert samples(bench.events) == [("P", 4.0, 50, 0)]
    assert bench.told(Life(IOC, 70)) == [Life("computed:P", 70)]


async def test_an_input_that_is_archived_no_more_is_lost(bench):
    await bench.start(P="A")
    bench.set("A", 1.0)
    bench.source.lose("A")
    assert not bench.events[-1].is_connected
    bench.source.lose("NOBODY")


async def test_what_makes_no_sense_is_refused_and_the_one_before_stays(bench):
    await bench.start(P="A", Q="2 * P")
    for request, what in [
        (PvRequest("P", expression="NOT:THERE"), "NOT:THERE is not archived"),
        (PvRequest("P", expression="A + Q"), "P is computed from itself: P <- Q <- P"),
        (PvRequest("P"), "has no expression"),
    ]:
        with pytest.raises(PvRefusedError, match=what):
            await bench.source.add(request)
    assert [found[:2] for found in samples(bench.set("A", 1.0))] == [("P", 1.0), ("Q", 2.0)]


async def test_at_the_start_the_others_go_on(bench, capsys):
    await bench.start(P="NOT:THERE", Q="A")
    assert [found[:2] for found in samples(bench.set("A", 1.0))] == [("Q", 1.0)]


async def test_what_could_not_be_read_changes_nothing(bench):
    await bench.start(P="A")
    bench.set("A", 1.0)
    assert bench.set("A", "junk", value_type=ValueType.STRING, unreadable="no JSON") == []


async def test_whoever_takes_the_events_cannot_end_it(bench):
    await bench.start(P="A")

    def fail(_event):
        raise RuntimeError

    bench.source._out.emit = fail
    bench.set("A", 1.0)
    assert bench.source.n_failed == 3
    await bench.source.stop()
    assert bench.set("A", 2.0) == []
