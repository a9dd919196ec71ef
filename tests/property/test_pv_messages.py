"""Whatever a source emits survives the live bus."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nualley.pv import Connection, Life, Limits, Metadata, Sample, ValueType, event_from_message, event_message
from nualley.pv.frames import Frame, decode, encode

times = st.integers(0, 2**63 - 1)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))  # EPICS ends a text at NUL
numbers = st.floats(allow_nan=False, allow_infinity=False)
limits = st.builds(Limits, *[st.none() | numbers] * 8)
values = st.one_of(
    st.tuples(st.just(ValueType.FLOAT64), numbers),
    st.tuples(st.just(ValueType.INT64), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(ValueType.ENUM), st.integers(0, 15)),
    st.tuples(st.just(ValueType.STRING), texts),
    st.tuples(st.just(ValueType.STRING_ARRAY), st.lists(texts)),
)
events = st.one_of(
    values.flatmap(
        lambda made: st.builds(
            Sample, texts, times, st.just(made[1]), st.just(made[0]), st.integers(0, 3), st.integers(0, 21),
            st.just("ca"), times,
        )
    ),
    st.builds(Connection, texts, st.booleans(), texts, times, times, texts),
    st.builds(Life, texts, times),
    st.builds(
        Metadata, texts, times, st.sampled_from(ValueType), texts, st.none() | st.integers(0, 15),
        st.lists(texts).map(tuple), limits,
    ),
)  # fmt: skip


@given(events, st.text(), st.integers(0, 2**64 - 1))
def test_events_survive_bus_and_back(event, topic, sequence):
    frame = Frame(topic, b"12345678", sequence, event_message(event))
    there = decode(encode(frame))
    assert (there.topic, there.sequence) == (topic, sequence)
    assert event_from_message(there.message) == event


@given(hnp.arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32, allow_infinity=False)))
def test_arrays_survive_bit_by_bit_nan_included(array):
    sample = Sample("A", 1, array, ValueType.FLOAT32_ARRAY, 0, 0, "ca", 2)
    there = event_from_message(decode(encode(Frame("t", b"12345678", 0, event_message(sample)))).message)
    np.testing.assert_array_equal(there.value, array)
    assert there.value.dtype == array.dtype
