"""The frames of the live bus: topic, sender and number, JSON."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nualley.core import dump_json
from nualley.pv.errors import BusFrameError

_HEADER = struct.Struct("<2s8sQ")
_MAGIC = b"n1"
SESSION_B = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """One message on the bus.

    Parameters
    ----------
    topic : str
        What it is about.
    session : bytes
        8 random bytes of the publisher's life: after a restart the numbers begin anew.
    sequence : int
        Number of the message within its topic and session, from 0.
    message : mapping
        Its content.
    """

    topic: str
    session: bytes
    sequence: int
    message: Mapping[str, Any]


def encode(frame: Frame) -> list[bytes]:
    """Return the three parts in which a message travels.

    Parameters
    ----------
    frame : Frame
        The message.

    Returns
    -------
    list of bytes
        Topic, header and strict JSON.

    Raises
    ------
    UsageError
        Where the message holds something that JSON cannot carry.
    """
    header = _HEADER.pack(_MAGIC, frame.session, frame.sequence)
    return [frame.topic.encode(), header, dump_json(frame.message).encode()]


def decode(parts: Sequence[bytes]) -> Frame:
    """Return the message that travelled in three parts.

    Parameters
    ----------
    parts : sequence of bytes
        As `encode` made them.

    Returns
    -------
    Frame
        The message.

    Raises
    ------
    BusFrameError
        Where they are not what `encode` makes.
    """
    try:
        topic, header, text = parts
        magic, session, sequence = _HEADER.unpack(header)
        message = json.loads(text)
        name = topic.decode()
    except (ValueError, struct.error) as error:
        raise BusFrameError(
            f"{len(parts)} parts of {[len(part) for part in parts]} B are no message of the live bus ({error})",
            do="nothing but nualley may publish at this endpoint",
        ) from error
    if magic != _MAGIC or not isinstance(message, dict):
        raise BusFrameError(
            f"a message of {name!r} begins with {magic!r} and holds a {type(message).__name__}, expected {_MAGIC!r} "
            "and a mapping",
            do="both ends of the live bus must be of one version of nualley",
        )
    return Frame(name, session, sequence, message)


class LossCounter:
    """Counts what a subscriber missed, by the numbers of what it got."""

    def __init__(self) -> None:
        self.lost_by_topic: dict[str, int] = {}
        self._expected: dict[str, tuple[bytes, int]] = {}

    def take(self, frame: Frame) -> int:
        """Note a message that arrived; return how many of its topic were lost before it."""
        session, expected = self._expected.get(frame.topic, (frame.session, frame.sequence))
        # another session is another publisher: its numbers say nothing about what the last one still sent
        n_lost = max(0, frame.sequence - expected) if session == frame.session else 0
        self._expected[frame.topic] = (frame.session, frame.sequence + 1)
        if n_lost:
            self.lost_by_topic[frame.topic] = self.lost_by_topic.get(frame.topic, 0) + n_lost
        return n_lost
