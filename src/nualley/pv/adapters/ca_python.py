"""Channel Access callbacks in Python, for machines that the compiled ones are not known for: the same ring, slower."""

import ctypes
import struct
import time
from functools import cache

import structlog
from epicscorelibs.ca import dbr
from epicscorelibs.path import get_lib

from nualley.pv.adapters.ca_callbacks import Callbacks, NoMachineCodeError, compile_callbacks
from nualley.pv.adapters.ca_ring import SLOT, Control, SlotKind

_log = structlog.get_logger(__name__)
_CONNECTED = 6  # CA_OP_CONN_UP
_WORD_B = 8


class _EventArguments(ctypes.Structure):
    """``struct event_handler_args``, passed by value."""

    _fields_ = (
        ("user", ctypes.c_void_p),
        ("channel", ctypes.c_void_p),
        ("type", ctypes.c_long),
        ("count", ctypes.c_long),
        ("value", ctypes.c_void_p),
        ("status", ctypes.c_int),
    )


class _ConnectionArguments(ctypes.Structure):
    """``struct connection_handler_args``, passed by value."""

    _fields_ = (("channel", ctypes.c_void_p), ("operation", ctypes.c_long))


_ON_EVENT = ctypes.CFUNCTYPE(None, _EventArguments)
_ON_CONNECTION = ctypes.CFUNCTYPE(None, _ConnectionArguments)
_Words = ctypes.c_int64 * len(Control)
_SLOT = struct.Struct("=qqq24sqii")  # who and type in one word
assert _SLOT.size == SLOT.itemsize


@cache
def ca_callbacks() -> Callbacks:
    """Return callbacks for libca: compiled where that is known for this machine, otherwise in Python."""
    try:
        return compile_callbacks()
    except NoMachineCodeError as error:
        _log.warning("callbacks of Channel Access run in Python, 30 times slower", what=error.what, where=error.where)
        return python_callbacks()


def python_callbacks() -> Callbacks:
    """Return callbacks in Python, which do what the compiled ones do, at a higher price."""
    on_event, on_connection = _ON_EVENT(_take_event), _ON_CONNECTION(_take_connection)
    addresses = [ctypes.cast(function, ctypes.c_void_p).value or 0 for function in (on_event, on_connection)]
    return Callbacks(addresses[0], addresses[1], (on_event, on_connection))


def _take_event(arguments: _EventArguments) -> None:
    control, who = _user(arguments.user)
    if control[Control.HEAD] - control[Control.TAIL] >= control[Control.N_SLOTS]:
        control[Control.N_DROPPED] += 1
        return
    head, position, size_B = b"", -1, 0
    if arguments.value:
        # every DBR_TIME value has 16 bytes; only that of a double goes on to 24
        head = ctypes.string_at(arguments.value, 24 if arguments.type == dbr.DBR_TIME_DOUBLE else 16)
        is_short = arguments.type <= dbr.DBR_TIME_DOUBLE and arguments.type != dbr.DBR_TIME_STRING
        if arguments.count != 1 or not is_short:
            size_B = _size_B(control, arguments.type, arguments.count)
            position = _room(control, size_B)
            if position < 0:
                control[Control.N_DROPPED] += 1
                return
            place = position & (control[Control.ARENA_B] - 1)
            ctypes.memmove(control[Control.ARENA] + place, arguments.value, size_B)
    first = (who & 0xFFFF_FFFF_FFFF) | (arguments.type << 48)
    _publish(control, (first, arguments.count, time.time_ns(), head, position, size_B, arguments.status))


def _take_connection(arguments: _ConnectionArguments) -> None:
    control, who = _user(_puser()(arguments.channel))
    if control[Control.HEAD] - control[Control.TAIL] >= control[Control.N_SLOTS]:
        control[Control.N_DROPPED] += 1
        return
    kind = SlotKind.CONNECTED if arguments.operation == _CONNECTED else SlotKind.LOST
    _publish(control, ((who & 0xFFFF_FFFF) | (kind << 32), 0, time.time_ns(), b"", -1, 0, 0))


@cache
def _puser() -> "ctypes._NamedFuncPointer":
    function = ctypes.CDLL(get_lib("ca")).ca_puser
    function.restype, function.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
    return function


def _user(user: int) -> tuple["ctypes.Array[ctypes.c_int64]", int]:
    """Return the control block, and which subscription of which kind; see `Ring.user`."""
    control = ctypes.c_int64.from_address(user).value
    return _Words.from_address(control), ctypes.c_int64.from_address(user + _WORD_B).value


def _publish(control: "ctypes.Array[ctypes.c_int64]", slot: tuple[int | bytes, ...]) -> None:
    head = control[Control.HEAD]
    place = head & (control[Control.N_SLOTS] - 1)
    ctypes.memmove(control[Control.SLOTS] + place * SLOT.itemsize, _SLOT.pack(*slot), SLOT.itemsize)
    control[Control.HEAD] = head + 1


def _size_B(control: "ctypes.Array[ctypes.c_int64]", dbr_type: int, count: int) -> int:
    at = dbr_type * ctypes.sizeof(ctypes.c_ushort)
    first = ctypes.c_ushort.from_address(control[Control.DBR_SIZE] + at).value
    item = ctypes.c_ushort.from_address(control[Control.DBR_VALUE_SIZE] + at).value
    return first + (count - 1) * item if count > 1 else first


def _room(control: "ctypes.Array[ctypes.c_int64]", size_B: int) -> int:
    """Return where a payload goes in the arena, as a position that only grows; -1 where there is no room."""
    start, arena_B = control[Control.ARENA_HEAD], control[Control.ARENA_B]
    rest = arena_B - (start & (arena_B - 1))
    if size_B > rest:
        start += rest
    stop = (start + size_B + 7) & -8
    if stop - control[Control.ARENA_TAIL] > arena_B:
        return -1
    control[Control.ARENA_HEAD] = stop
    return int(start)
