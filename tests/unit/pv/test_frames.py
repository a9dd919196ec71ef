"""Frames of the live bus."""

import pytest

from nualley.pv import BusFrameError
from nualley.pv.frames import Frame, LossCounter, decode, encode

SESSION = b"12345678"


def frame(sequence, topic="pv/A", session=SESSION):
    return Frame(topic, session, sequence, {"value": 1})


def test_a_frame_survives():
    assert decode(encode(frame(7))) == frame(7)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"topic"],
        [b"topic", b"short", b"{}"],
        [b"topic", encode(frame(0))[1], b"{"],
        [b"\xff", encode(frame(0))[1], b"{}"],
    ],
)
def test_parts_that_are_not_ours_are_refused(parts):
    with pytest.raises(BusFrameError, match="are no message of the live bus"):
        decode(parts)


def test_another_version_and_another_content_are_refused():
    topic, header, text = encode(frame(0))
    with pytest.raises(BusFrameError, match="begins with b'n9'"):
        decode([topic, b"n9" + header[2:], text])
    with pytest.raises(BusFrameError, match="holds a list"):
        decode([topic, header, b"[]"])


def test_losses_are_counted_by_topic_from_the_first_message_seen():
    losses = LossCounter()
    assert losses.take(frame(5)) == 0
    assert losses.take(frame(6)) == 0
    assert losses.take(frame(9)) == 2
    assert losses.take(frame(3, topic="pv/B")) == 0
    assert losses.lost_by_topic == {"pv/A": 2}


def test_another_publisher_begins_anew():
    losses = LossCounter()
    losses.take(frame(100))
    assert losses.take(frame(0, session=b"87654321")) == 0
    assert losses.take(frame(2, session=b"87654321")) == 1
