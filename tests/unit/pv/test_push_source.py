"""Pushes as a source: who pushes is the IOC, each push its sign of life."""

import pytest

from nualley.pv import Connection, Life, Metadata, PvRequest, Sample, read_push
from nualley.pv.adapters.push import PushSource


class Clock:
    time_ns = 100

    def now_ns(self):
        self.time_ns += 1
        return self.time_ns


@pytest.fixture
async def source():
    made = PushSource(Clock())
    made.events = []
    await made.start([PvRequest("A"), PvRequest("B")], made.events.append)
    return made


def push(source, *rows, pusher="daq"):
    del source.events[:]
    source.push(read_push({"samples": [{"value": 1, "time_ns": 7, **row} for row in rows]}, 100), pusher)
    return [type(event) for event in source.events]


async def test_the_first_push_connects_tells_the_unit_and_gives_samples(source):
    assert push(source, {"pv": "A", "unit": "K"}) == [Life, Connection, Metadata, Sample]
    life, connection, metadata, sample = source.events
    assert life.ioc == connection.ioc == "push:daq"
    assert connection.is_connected
    assert metadata.unit == "K"
    assert sample.protocol == connection.protocol == "http"
    assert push(source, {"pv": "A"}) == [Life, Sample]
    assert push(source, {"pv": "A", "value": "text"}) == [Life, Metadata, Sample]
    assert source.events[1].unit == "K"


async def test_another_program_connects_anew_and_an_empty_push_is_a_sign_of_life(source):
    push(source, {"pv": "A"})
    assert push(source, {"pv": "A"}, pusher="other")[:2] == [Life, Connection]
    assert push(source) == [Life]


async def test_only_what_is_wanted_is_taken(source):
    assert push(source, {"pv": "C"}) == [Life]
    await source.add(PvRequest("C"))
    assert source.wants("C")
    assert push(source, {"pv": "C"})[-1] is Sample
    await source.remove("C")
    assert push(source, {"pv": "C"}) == [Life]
    await source.stop()
    assert not source.wants("A")
    assert push(source, {"pv": "A"}) == []
