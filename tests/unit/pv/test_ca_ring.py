"""The compiled callbacks and the ring that they write: nothing is lost, mixed up, or written where it should not be."""

import time

import numpy as np
import pytest
from epicscorelibs.ca import dbr

from nualley.pv.adapters.ca_callbacks import NoMachineCodeError, compile_callbacks
from nualley.pv.adapters.ca_python import ca_callbacks, python_callbacks
from nualley.pv.adapters.ca_ring import Ring, SlotKind
from nualley.pv.adapters.ca_values import CTRL_OFFSET, TIME_OFFSET, long_sample, scalar_samples
from nualley.pv.models import ValueType
from tests.unit.pv.ca_fakes import ECA_DISCONN, call, control, timed

KINDS = {"compiled": compile_callbacks(), "python": python_callbacks()}  # their code lives as long as they do
CALLBACKS = KINDS["compiled"]


@pytest.fixture(params=KINDS, autouse=True)
def callbacks(request, monkeypatch):
    """Let every test call both, as libca does."""
    monkeypatch.setitem(globals(), "CALLBACKS", KINDS[request.param])


def send(ring, user, native, *values, status=1):
    value = timed(native, *values) if status == 1 else None
    call(CALLBACKS.on_event, user.ctypes.data, native + TIME_OFFSET, len(values), value, status)


def test_an_update_is_in_its_slot_with_our_time():
    ring, before_ns = Ring(8, 4096), time.time_ns()
    user = ring.user(5, SlotKind.UPDATE)
    send(ring, user, dbr.DBR_DOUBLE, 1.25)
    (slot,) = ring.waiting()
    assert (slot["index"], slot["kind"], slot["type"], slot["count"]) == (5, SlotKind.UPDATE, dbr.DBR_TIME_DOUBLE, 1)
    assert (slot["status"], slot["payload"], slot["payload_B"]) == (1, -1, 0)
    assert before_ns <= slot["received_ns"] <= time.time_ns()


def test_an_error_has_no_value():
    ring = Ring(8, 4096)
    user = ring.user(5, SlotKind.ANSWER)
    send(ring, user, dbr.DBR_DOUBLE, status=ECA_DISCONN)
    (slot,) = ring.waiting()
    assert (slot["kind"], slot["status"], slot["payload"]) == (SlotKind.ANSWER, ECA_DISCONN, -1)


def test_slots_go_round_for_ever():
    ring = Ring(8, 4096)
    user = ring.user(0, SlotKind.UPDATE)
    found = []
    for number in range(50):
        send(ring, user, dbr.DBR_DOUBLE, float(number))
        if number % 7 == 6:
            slots = ring.waiting()
            found += [value for samples in scalar_samples(slots, ["A"]) for value in samples.value.tolist()]
            ring.release(slots)
    assert found == [float(number) for number in range(49)]
    assert ring.take_dropped() == 0


def test_arrays_of_every_length_go_round_in_the_arena():
    ring = Ring(64, 2048)
    user = ring.user(0, SlotKind.UPDATE)
    random = np.random.default_rng(1)
    for _ in range(200):
        sent = [random.normal(size=length) for length in random.integers(0, 40, size=3)]
        for array in sent:
            send(ring, user, dbr.DBR_DOUBLE, *array)
        slots = ring.waiting()
        got = [
            long_sample(slots[n : n + 1], "A", ValueType.FLOAT64_ARRAY, ring.payload(slots[n])).value for n in range(3)
        ]
        for array, found in zip(sent, got, strict=True):
            np.testing.assert_array_equal(array, found)
        ring.release(slots)
    assert ring.take_dropped() == 0


def test_what_finds_no_slot_is_counted_and_what_is_there_stays():
    ring = Ring(4, 1024)
    user = ring.user(0, SlotKind.UPDATE)
    for number in range(7):
        send(ring, user, dbr.DBR_DOUBLE, float(number))
    (samples,) = scalar_samples(ring.waiting(), ["A"])
    assert samples.value.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert (ring.take_dropped(), ring.take_dropped()) == (3, 0)
    ring.release(ring.waiting())
    send(ring, user, dbr.DBR_DOUBLE, 9.0)
    assert len(ring.waiting()) == 1


@pytest.mark.parametrize("n_items", [100, 130, 10_000])
def test_what_finds_no_room_in_the_arena_is_counted(n_items):
    ring = Ring(64, 1024)
    user = ring.user(0, SlotKind.UPDATE)
    send(ring, user, dbr.DBR_LONG, *range(150))
    send(ring, user, dbr.DBR_LONG, *range(n_items))
    assert len(ring.waiting()) == 1
    assert ring.take_dropped() == 1
    ring.release(ring.waiting())
    send(ring, user, dbr.DBR_LONG, 1, 2, 3)
    slots = ring.waiting()
    assert long_sample(slots, "A", ValueType.INT32_ARRAY, ring.payload(slots[0])).value.tolist() == [1, 2, 3]


def test_metadata_come_whole():
    ring = Ring(8, 4096)
    user = ring.user(1, SlotKind.PROPERTIES)
    sent = control(dbr.DBR_ENUM, labels=(b"Stopped", b"Running"))
    call(CALLBACKS.on_event, user.ctypes.data, dbr.DBR_ENUM + CTRL_OFFSET, 1, sent)
    (slot,) = ring.waiting()
    assert bytes(ring.payload(slot))[: len(sent)] == sent[: slot["payload_B"]]


def test_a_machine_that_is_not_known_has_callbacks_in_python(monkeypatch):
    with pytest.raises(NoMachineCodeError, match="'vax'"):
        compile_callbacks("vax")
    monkeypatch.setattr("nualley.pv.adapters.ca_callbacks.platform.machine", lambda: "vax")
    ca_callbacks.cache_clear()
    ring, made = Ring(8, 4096), ca_callbacks()
    ca_callbacks.cache_clear()
    call(made.on_event, ring.user(3, SlotKind.UPDATE).ctypes.data, dbr.DBR_TIME_DOUBLE, 1, timed(dbr.DBR_DOUBLE, 2.5))
    (samples,) = scalar_samples(ring.waiting(), ["A"] * 4)
    assert samples.value.tolist() == [2.5]
