"""Channel Access callbacks in machine code: every update goes straight into a ring in memory, without Python.

libca calls back from its own threads, one call at a time. What it calls here is compiled from a few lines of LLVM's
language when the process starts: a slot of the ring gets the update's first bytes as they came, an arena behind it what
does not fit (arrays, texts, metadata). Python reads what has gathered some twenty times a second.
"""

import ctypes
import mmap
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
from epicscorelibs.path import get_lib
from numpy.typing import NDArray

from nualley.core import UnreachableError

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


# struct event_handler_args is 48 bytes and passed by value: on the stack on x86-64, as an address on AArch64
_EVENT_ARGUMENTS: Mapping[str, str] = {
    "x86_64": "ptr byval([48 x i8]) align 8 %args",
    "AMD64": "ptr byval([48 x i8]) align 8 %args",
    "aarch64": "ptr %args",
    "arm64": "ptr %args",
}

_CODE = r"""
declare i32 @clock_gettime(i32, ptr)
declare ptr @ca_puser(ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

; the word of the control block with a number
define internal ptr @word(ptr %control, i64 %number) alwaysinline {{
  %at = getelementptr i64, ptr %control, i64 %number
  ret ptr %at
}}

; the next free slot, null where there is none
define internal ptr @claim(ptr %control) {{
  %head = load i64, ptr %control
  %tail_at = call ptr @word(ptr %control, i64 1)
  %tail = load atomic i64, ptr %tail_at acquire, align 8
  %n_at = call ptr @word(ptr %control, i64 2)
  %n = load i64, ptr %n_at
  %used = sub i64 %head, %tail
  %is_full = icmp uge i64 %used, %n
  br i1 %is_full, label %full, label %free
full:
  call void @drop(ptr %control)
  ret ptr null
free:
  %mask = sub i64 %n, 1
  %place = and i64 %head, %mask
  %offset = mul i64 %place, 64
  %slots_at = call ptr @word(ptr %control, i64 3)
  %slots = load ptr, ptr %slots_at
  %slot = getelementptr i8, ptr %slots, i64 %offset
  ret ptr %slot
}}

define internal void @drop(ptr %control) {{
  %at = call ptr @word(ptr %control, i64 4)
  %n = load i64, ptr %at
  %more = add i64 %n, 1
  store atomic i64 %more, ptr %at release, align 8
  ret void
}}

define internal void @publish(ptr %control) {{
  %head = load i64, ptr %control
  %next = add i64 %head, 1
  store atomic i64 %next, ptr %control release, align 8
  ret void
}}

define internal i64 @now_ns() {{
  %time = alloca [2 x i64]
  %ignored = call i32 @clock_gettime(i32 0, ptr %time)
  %seconds = load i64, ptr %time
  %rest_at = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %rest_at
  %whole = mul i64 %seconds, 1000000000
  %sum = add i64 %whole, %rest
  ret i64 %sum
}}

; where a payload goes in the arena, as a position that only grows; -1 where there is no room
define internal i64 @room(ptr %control, i64 %size_B) {{
  %head_at = call ptr @word(ptr %control, i64 5)
  %tail_at = call ptr @word(ptr %control, i64 6)
  %room_at = call ptr @word(ptr %control, i64 7)
  %head = load i64, ptr %head_at
  %tail = load atomic i64, ptr %tail_at acquire, align 8
  %arena_B = load i64, ptr %room_at
  %mask = sub i64 %arena_B, 1
  %place = and i64 %head, %mask
  %rest = sub i64 %arena_B, %place
  %is_split = icmp ugt i64 %size_B, %rest
  %skip = select i1 %is_split, i64 %rest, i64 0
  %start = add i64 %head, %skip
  %raw_stop = add i64 %start, %size_B
  %padded = add i64 %raw_stop, 7
  %stop = and i64 %padded, -8
  %used = sub i64 %stop, %tail
  %is_full = icmp ugt i64 %used, %arena_B
  br i1 %is_full, label %full, label %free
full:
  ret i64 -1
free:
  store i64 %stop, ptr %head_at
  ret i64 %start
}}

define internal i64 @size_B(ptr %control, i64 %type, i64 %count) {{
  %sizes_at = call ptr @word(ptr %control, i64 9)
  %sizes = load ptr, ptr %sizes_at
  %first_at = getelementptr i16, ptr %sizes, i64 %type
  %first16 = load i16, ptr %first_at
  %first = zext i16 %first16 to i64
  %items_at = call ptr @word(ptr %control, i64 10)
  %items = load ptr, ptr %items_at
  %item_at = getelementptr i16, ptr %items, i64 %type
  %item16 = load i16, ptr %item_at
  %item = zext i16 %item16 to i64
  %others = sub i64 %count, 1
  %more = mul i64 %others, %item
  %sum = add i64 %first, %more
  %has_many = icmp sgt i64 %count, 1
  %size = select i1 %has_many, i64 %sum, i64 %first
  ret i64 %size
}}

; struct event_handler_args {{ void *usr; chanId chid; long type; long count; const void *dbr; int status; }}
define void @on_event({event_arguments}) {{
  %user = load ptr, ptr %args
  %type_at = getelementptr i64, ptr %args, i64 2
  %type = load i64, ptr %type_at
  %count_at = getelementptr i64, ptr %args, i64 3
  %count = load i64, ptr %count_at
  %value_at = getelementptr i64, ptr %args, i64 4
  %value = load ptr, ptr %value_at
  %status_at = getelementptr i64, ptr %args, i64 5
  %status = load i32, ptr %status_at
  %control = load ptr, ptr %user
  %who_at = getelementptr i64, ptr %user, i64 1
  %who = load i64, ptr %who_at
  %slot = call ptr @claim(ptr %control)
  %is_full = icmp eq ptr %slot, null
  br i1 %is_full, label %end, label %fill
fill:
  store i64 %who, ptr %slot
  %slot_type_at = getelementptr i16, ptr %slot, i64 3
  %type16 = trunc i64 %type to i16
  store i16 %type16, ptr %slot_type_at
  %slot_count_at = getelementptr i64, ptr %slot, i64 1
  store i64 %count, ptr %slot_count_at
  %received_at = getelementptr i64, ptr %slot, i64 2
  %now = call i64 @now_ns()
  store i64 %now, ptr %received_at
  %payload_at = getelementptr i64, ptr %slot, i64 6
  store i64 -1, ptr %payload_at
  %payload_B_at = getelementptr i32, ptr %slot, i64 14
  store i32 0, ptr %payload_B_at
  %slot_status_at = getelementptr i32, ptr %slot, i64 15
  store i32 %status, ptr %slot_status_at
  %is_empty = icmp eq ptr %value, null
  br i1 %is_empty, label %done, label %head
head:
  ; every DBR_TIME value has 16 bytes; only that of a double goes on to 24
  %head_at = getelementptr i8, ptr %slot, i64 24
  call void @llvm.memcpy.p0.p0.i64(ptr %head_at, ptr %value, i64 16, i1 false)
  %is_double = icmp eq i64 %type, 20
  br i1 %is_double, label %double, label %rest
double:
  %second_at = getelementptr i8, ptr %head_at, i64 16
  %second = getelementptr i8, ptr %value, i64 16
  call void @llvm.memcpy.p0.p0.i64(ptr %second_at, ptr %second, i64 8, i1 false)
  br label %rest
rest:
  %is_scalar = icmp eq i64 %count, 1
  %is_text = icmp eq i64 %type, 14
  %is_metadata = icmp ugt i64 %type, 20
  %is_long = or i1 %is_text, %is_metadata
  %is_short = xor i1 %is_long, true
  %fits = and i1 %is_scalar, %is_short
  br i1 %fits, label %done, label %copy
copy:
  %size_B = call i64 @size_B(ptr %control, i64 %type, i64 %count)
  %position = call i64 @room(ptr %control, i64 %size_B)
  %no_room = icmp eq i64 %position, -1
  br i1 %no_room, label %lose, label %store
lose:
  call void @drop(ptr %control)
  br label %end
store:
  store i64 %position, ptr %payload_at
  %size32 = trunc i64 %size_B to i32
  store i32 %size32, ptr %payload_B_at
  %arena_B_at = call ptr @word(ptr %control, i64 7)
  %arena_B = load i64, ptr %arena_B_at
  %mask = sub i64 %arena_B, 1
  %place = and i64 %position, %mask
  %arena_at = call ptr @word(ptr %control, i64 8)
  %arena = load ptr, ptr %arena_at
  %to = getelementptr i8, ptr %arena, i64 %place
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %value, i64 %size_B, i1 false)
  br label %done
done:
  call void @publish(ptr %control)
  br label %end
end:
  ret void
}}

; struct connection_handler_args {{ chanId chid; long op; }}: two registers
define void @on_connection(ptr %channel, i64 %operation) {{
  %user = call ptr @ca_puser(ptr %channel)
  %control = load ptr, ptr %user
  %who_at = getelementptr i64, ptr %user, i64 1
  %who = load i64, ptr %who_at
  %slot = call ptr @claim(ptr %control)
  %is_full = icmp eq ptr %slot, null
  br i1 %is_full, label %end, label %fill
fill:
  %index = and i64 %who, 4294967295
  %is_up = icmp eq i64 %operation, 6
  %kind = select i1 %is_up, i64 4294967296, i64 8589934592
  %first = or i64 %index, %kind
  store i64 %first, ptr %slot
  %count_at = getelementptr i64, ptr %slot, i64 1
  store i64 0, ptr %count_at
  %received_at = getelementptr i64, ptr %slot, i64 2
  %now = call i64 @now_ns()
  store i64 %now, ptr %received_at
  %payload_at = getelementptr i64, ptr %slot, i64 6
  store i64 -1, ptr %payload_at
  %last_at = getelementptr i64, ptr %slot, i64 7
  store i64 0, ptr %last_at
  call void @publish(ptr %control)
  br label %end
end:
  ret void
}}
"""


class NoMachineCodeError(UnreachableError):
    """Callbacks cannot be compiled for this machine."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Addresses of the compiled callbacks, good for as long as this object lives.

    Parameters
    ----------
    on_event, on_connection : int
        For ``ca_create_subscription`` and ``ca_array_get_callback``, and for ``ca_create_channel``.
    engine : object
        Owns the code.
    """

    on_event: int
    on_connection: int
    engine: object


def compile_callbacks(machine: str = "") -> Callbacks:
    """Compile the callbacks for this machine; takes a tenth of a second.

    Parameters
    ----------
    machine : str
        As `platform.machine` names it; this one by default.

    Raises
    ------
    NoMachineCodeError
        Where it is not known how this kind of machine passes arguments.
    """
    name = machine or platform.machine()
    if name not in _EVENT_ARGUMENTS:
        raise NoMachineCodeError(
            f"no callbacks of Channel Access can be compiled for {name!r}, expected one of "
            + ", ".join(sorted(_EVENT_ARGUMENTS)),
            where="this machine",
            do="use callbacks in Python: nualley.pv.adapters.ca_python",
        )
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.add_symbol("clock_gettime", _address(ctypes.CDLL(None).clock_gettime))
    llvm.add_symbol("ca_puser", _address(ctypes.CDLL(get_lib("ca")).ca_puser))
    module = llvm.parse_assembly(_CODE.format(event_arguments=_EVENT_ARGUMENTS[name]))
    module.verify()
    engine = llvm.create_mcjit_compiler(module, llvm.Target.from_default_triple().create_target_machine(opt=2))
    engine.finalize_object()
    _let_go_of_compiler()
    return Callbacks(engine.get_function_address("on_event"), engine.get_function_address("on_connection"), engine)


def _let_go_of_compiler() -> None:
    """Give back the memory in which the compiler's code lies (45 MB): it is read from its file again where needed."""
    maps = Path("/proc/self/maps")
    madvise = getattr(ctypes.CDLL(None), "madvise", None)
    if madvise is None or not maps.exists():
        return
    for line in maps.read_text().splitlines():
        place, rights, *_ = line.split(maxsplit=5)
        if rights == "r-xp" and "libllvmlite" in line:  # code is never written: nothing of it is lost
            start, stop = (int(edge, 16) for edge in place.split("-"))
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), mmap.MADV_DONTNEED)


def _address(function: "ctypes._FuncPointer") -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


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
