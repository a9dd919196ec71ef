"""The header that CAEN WaveDump writes before each waveform, and how to tell it from samples.

Six little-endian unsigned 32-bit words: size of the event in bytes with the header, board, pattern, channel, event
counter, trigger time tag. Source: CAEN UM2091 (WaveDump user manual), binary output with header.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HEADER_B = 24
HEADER = np.dtype([(name, "<u4") for name in ("event_B", "board", "pattern", "channel", "event_id", "t_raw")])

# Bounds that no digitizer of the family passes: they tell headers from samples.
MAX_EVENT_B = 1 << 28  # a 751 holds at most 28.8 MS per channel
_N_BOARDS = 32  # a geographical address has 5 bits
_N_CHANNELS = 64
_N_PATTERNS = 1 << 24
_N_EVENT_IDS = 1 << 24  # the boards count with 22 to 24 bits

_WORDS = struct.Struct("<6I")


class Header(NamedTuple):
    """One header, as it stands in the file.

    Parameters
    ----------
    event_B : int
        Size of the event with this header [B].
    board, pattern, channel : int
        Where it comes from and what triggered it.
    event_id : int
        The board's event counter.
    t_raw : int
        Trigger time tag [clock ticks], rolls over.
    """

    event_B: int
    board: int
    pattern: int
    channel: int
    event_id: int
    t_raw: int

    @classmethod
    def parse(cls, raw: bytes) -> "Header":
        """Return the header in the first 24 bytes."""
        return cls._make(_WORDS.unpack_from(raw))

    def is_plausible(self, sample_B: int) -> bool:
        """Whether a digitizer may have written it, with samples of ``sample_B`` bytes."""
        return (
            HEADER_B < self.event_B <= MAX_EVENT_B
            and (self.event_B - HEADER_B) % sample_B == 0
            and self.board < _N_BOARDS
            and self.pattern < _N_PATTERNS
            and self.channel < _N_CHANNELS
            and self.event_id < _N_EVENT_IDS
        )


@dataclass(frozen=True, slots=True)
class Family:
    """What the headers of one file have in common: WaveDump writes one file per channel.

    Parameters
    ----------
    board, channel : int
        The same in every header.
    event_B : int
        The usual size of an event [B]; single events may differ.
    sample_B : int
        Bytes per sample, 1 or 2.
    """

    board: int
    channel: int
    event_B: int
    sample_B: int

    @property
    def record_length(self) -> int:
        """Samples of an event of the usual size."""
        return (self.event_B - HEADER_B) // self.sample_B

    def has(self, header: Header) -> bool:
        """Whether a header is plausible and of this family, whatever its size."""
        return header.board == self.board and header.channel == self.channel and header.is_plausible(self.sample_B)

    def n_matching(self, header: Header) -> int:
        """How many of size, board and channel are as expected, 0 to 3."""
        found = (header.event_B, header.board, header.channel)
        expected = (self.event_B, self.board, self.channel)
        return sum(one == other for one, other in zip(found, expected, strict=True))

    def may_begin(self, raw: bytes) -> bool:
        """Whether fewer than 24 bytes may be the beginning of a header of this family."""
        return self.has(_completed(raw, Header(self.event_B, self.board, 0, self.channel, 0, 0)))

    def n_leading(self, headers: NDArray[np.void]) -> int:
        """How many of the first headers are of this family and of the usual size."""
        fits = (
            (headers["event_B"] == self.event_B)
            & (headers["board"] == self.board)
            & (headers["channel"] == self.channel)
            & (headers["pattern"] < _N_PATTERNS)
            & (headers["event_id"] < _N_EVENT_IDS)
        )
        return len(headers) if fits.all() else int(fits.argmin())

    def describe(self, header: Header) -> str:
        """Return what was found and what was expected, for a header that does not fit."""
        return (
            f"header says {header.event_B} B, board {header.board}, pattern {header.pattern:#x}, channel "
            f"{header.channel}, event {header.event_id}; expected {self.event_B} B, board {self.board}, "
            f"channel {self.channel} as in the others"
        )


def may_begin_header(raw: bytes, sample_B: int) -> bool:
    """Whether fewer than 24 bytes may be the beginning of a header of any family."""
    return _completed(raw, Header(HEADER_B + sample_B, 0, 0, 0, 0, 0)).is_plausible(sample_B)


def _completed(raw: bytes, usual: Header) -> Header:
    """Return a header whose first words are those that a cut one has."""
    words = np.frombuffer(raw[: len(raw) // 4 * 4], dtype="<u4").tolist()
    return Header._make([*words, *usual[len(words) :]])


def header_places(block: bytes, sample_B: int, family: Family | None = None) -> list[int]:
    """Return where in a block headers may begin.

    Parameters
    ----------
    block : bytes
        Bytes from anywhere in a file; headers that lie in it whole are found at any byte.
    sample_B : int
        Bytes per sample.
    family : Family, optional
        The file's board and channel, where they are known.

    Returns
    -------
    list of int
        Places [B from the start of the block], ascending, of plausible headers (of the family).
    """
    n_places = len(block) - HEADER_B + 1
    if n_places <= 0:
        return []
    data = np.frombuffer(block, dtype=np.uint8)
    boards, channels = data[4 : 4 + n_places], data[12 : 12 + n_places]
    if family is None:
        places = np.flatnonzero((boards < _N_BOARDS) & (channels < _N_CHANNELS))
    else:
        places = np.flatnonzero((boards == family.board) & (channels == family.channel))
    for byte in (5, 6, 7, 11, 13, 14, 15, 19):  # the high bytes of board, pattern, channel and event counter
        places = places[data[places + byte] == 0]
    sizes = sum(data[places + byte].astype(np.int64) << 8 * byte for byte in range(4))
    places = places[(sizes > HEADER_B) & (sizes <= MAX_EVENT_B)]
    return [int(place) for place in places if Header.parse(block[place : place + HEADER_B]).is_plausible(sample_B)]
