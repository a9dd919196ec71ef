"""A ring in memory into which callbacks of Channel Access put every update, and out of which Python reads.

A slot gets the update's first bytes as they came, an arena behind it what does not fit (arrays, texts, metadata).
Python reads what has gathered some twenty times a second.
"""

import ctypes
from enum import IntEnum

import numpy as np
from epicscorelibs.path import get_lib
from numpy.typing import NDArray

SLOT = np.dtype(
    [
        ("index", "<i4"),
        ("kind", "<i2"),
        ("type", "<i2"),
        ("count", "<i8"),
        ("received_ns", "<i8"),
        ("head", "V24"),
        ("payload", "<i8"),
        ("payload_B", "<i4"),
        ("status", "<i4"),
    ]
)
"""One entry of the ring: which subscription, what happened, DBR type and count, when we got it, the first 24 bytes of
the DBR value, where the rest is in the arena (-1: nowhere) and libca's own status."""

N_SLOTS = 1 << 18
ARENA_B = 1 << 25
"""Room for 6 s at 40,000 updates a second, and for 3 s of twenty waveforms of 8 kB at 60 Hz."""


class SlotKind(IntEnum):
    """What a slot tells."""

    UPDATE = 0
    CONNECTED = 1
    LOST = 2
    ANSWER = 3
    PROPERTIES = 4


class Control(IntEnum):
    """Words of the control block that Python and the callbacks share."""

    HEAD = 0
    TAIL = 1
    N_SLOTS = 2
    SLOTS = 3
    N_DROPPED = 4
    ARENA_HEAD = 5
    ARENA_TAIL = 6
    ARENA_B = 7
    ARENA = 8
    DBR_SIZE = 9
    DBR_VALUE_SIZE = 10


class Ring:
    """Slots and arena, written by the callbacks and read here.

    Parameters
    ----------
    n_slots : int
        Updates that may wait, a power of two.
    arena_B : int
        Room for what does not fit into a slot [B], a power of two.
    """

    def __init__(self, n_slots: int = N_SLOTS, arena_B: int = ARENA_B) -> None:
        library = ctypes.CDLL(get_lib("ca"))
        self._slots = np.zeros(n_slots, dtype=SLOT)
        self._arena = np.zeros(arena_B, dtype=np.uint8)
        self._control = np.zeros(len(Control), dtype=np.int64)
        for word, value in (
            (Control.N_SLOTS, n_slots),
            (Control.SLOTS, self._slots.ctypes.data),
            (Control.ARENA_B, arena_B),
            (Control.ARENA, self._arena.ctypes.data),
            (Control.DBR_SIZE, ctypes.addressof(ctypes.c_ushort.in_dll(library, "dbr_size"))),
            (Control.DBR_VALUE_SIZE, ctypes.addressof(ctypes.c_ushort.in_dll(library, "dbr_value_size"))),
        ):
            self._control[word] = value
        self._n_dropped = 0

    def user(self, index: int, kind: SlotKind) -> NDArray[np.int64]:
        """Return what a callback needs to know of its subscription; its address is the user argument of libca's calls.

        It must live as long as the subscription.
        """
        return np.array([self._control.ctypes.data, index | (kind << 32)], dtype=np.int64)

    def waiting(self) -> NDArray[np.void]:
        """Return the slots that have gathered, oldest first, as a copy; `release` gives their room back."""
        head, tail = int(self._control[Control.HEAD]), int(self._control[Control.TAIL])
        size = self._slots.size
        first, last = tail % size, tail % size + head - tail
        if last <= size:
            return self._slots[first:last].copy()
        return np.concatenate([self._slots[first:], self._slots[: last - size]])

    def payload(self, slot: np.void) -> memoryview:
        """Return what a slot has in the arena; good until `release`."""
        start = int(slot["payload"]) % self._arena.size
        return self._arena.data[start : start + int(slot["payload_B"])]

    def release(self, slots: NDArray[np.void]) -> None:
        """Give back the room of slots that `waiting` returned."""
        if not slots.size:
            return
        filled = slots[slots["payload"] >= 0]
        if filled.size:
            stop = int(filled["payload"][-1]) + int(filled["payload_B"][-1])
            self._control[Control.ARENA_TAIL] = -(-stop // 8) * 8
        self._control[Control.TAIL] += slots.size

    def take_dropped(self) -> int:
        """Return how many updates found no room since the last call."""
        now = int(self._control[Control.N_DROPPED])
        found, self._n_dropped = now - self._n_dropped, now
        return found
