"""libca played by us: the callbacks are the real, compiled ones."""

import ctypes
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from epicscorelibs.ca import dbr

from nualley.pv import PvRefusedError
from nualley.pv.adapters.ca_ring import Ring, SlotKind
from nualley.pv.adapters.ca_values import CTRL_OFFSET, TIME_OFFSET
from nualley.pv.adapters.libca import DBE_PROPERTY

ECA_NORMAL, ECA_DISCONN, ECA_GETFAIL = 1, 192, 152
STAMP = (1_700_000_000 - 631_152_000, 123_456_789)
STAMP_NS = 1_700_000_000_123_456_789


class EventArguments(ctypes.Structure):
    """``struct event_handler_args``, which libca passes by value."""

    _fields_ = (
        ("user", ctypes.c_void_p),
        ("channel", ctypes.c_void_p),
        ("type", ctypes.c_long),
        ("count", ctypes.c_long),
        ("value", ctypes.c_void_p),
        ("status", ctypes.c_int),
    )


ON_EVENT = ctypes.CFUNCTYPE(None, EventArguments)


def call(on_event: int, user: int, dbr_type: int, count: int, value: bytes | None, status: int = ECA_NORMAL) -> None:
    """Call a compiled callback as libca does."""
    buffer = None if value is None else ctypes.create_string_buffer(value, max(len(value), 24))
    address = None if buffer is None else ctypes.addressof(buffer)
    ON_EVENT(on_event)(EventArguments(user, 0, dbr_type, count, address, status))


def timed(native: int, *values, severity: int = 0, status: int = 0, stamp=STAMP) -> bytes:
    """Return the bytes of a DBR_TIME value."""
    head = np.array([status, severity], "<i2").tobytes() + np.array(stamp, "<u4").tobytes()
    item, padding = {
        dbr.DBR_STRING: ("S40", 0), dbr.DBR_SHORT: ("<i2", 2), dbr.DBR_FLOAT: ("<f4", 0), dbr.DBR_ENUM: ("<u2", 2),
        dbr.DBR_CHAR: ("u1", 3), dbr.DBR_LONG: ("<i4", 0), dbr.DBR_DOUBLE: ("<f8", 4),
    }[native]  # fmt: skip
    return head + bytes(padding) + np.array(values, item).tobytes()


def control(native: int, *, units: bytes = b"MW", limits=range(8), precision: int = 2, labels=()) -> bytes:
    """Return the bytes of a DBR_CTRL value."""
    if native == dbr.DBR_STRING:  # status, severity and the text
        return bytes(4 + 40)
    made = dbr.DbrCodeToType[native + CTRL_OFFSET]()
    if native == dbr.DBR_ENUM:
        made.no_str = len(labels)
        for number, label in enumerate(labels):
            made.raw_strs[number].value = label
        return bytes(made)
    made.units = units
    if hasattr(made, "precision"):
        made.precision = precision
    names = (
        "lower_disp_limit", "upper_disp_limit", "lower_warning_limit", "upper_warning_limit",
        "lower_alarm_limit", "upper_alarm_limit", "lower_ctrl_limit", "upper_ctrl_limit",
    )  # fmt: skip
    for name, limit in zip(names, limits, strict=True):
        setattr(made, name, limit)
    return bytes(made)


@dataclass
class Subscription:
    channel: int
    dbr_type: int
    count: int
    mask: int
    on_event: int
    user: int
    is_open: bool = True


@dataclass
class FakeCa:
    """What `LibCa` does, without any network."""

    ring: Ring
    host_name: str = "127.0.0.1:5064"
    natives: dict[str, tuple[int, int]] = field(default_factory=dict)
    complaints: deque = field(default_factory=deque)
    pvs: list[str] = field(default_factory=list)
    users: list[int] = field(default_factory=list)
    made: list[Subscription] = field(default_factory=list)
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    cleared: set[int] = field(default_factory=set)
    is_open: bool = False
    n_flushed: int = 0
    can_send: bool = True

    def open(self):
        self.is_open = True

    def close(self):
        self.is_open = False

    def create_channel(self, pv, on_connection, user):
        if not pv:
            raise PvRefusedError(f"Channel Access does not take the PV name {pv!r}")
        self.pvs.append(pv)
        self.users.append(user)
        return len(self.pvs)

    def clear_channel(self, channel):
        self.cleared.add(channel)

    def subscribe(self, channel, *, dbr_type, count, mask, on_event, user):
        self.made.append(Subscription(channel, dbr_type, count, mask, on_event, user))
        return len(self.made)

    def unsubscribe(self, subscription):
        self.made[subscription - 1].is_open = False

    def get(self, channel, *, dbr_type, count, on_event, user):
        self.asked.append((self.pvs[channel - 1], on_event, user))
        return self.can_send

    def native(self, channel):
        return self.natives.get(self.pvs[channel - 1], (dbr.DBR_DOUBLE, 1))

    def host(self, channel):
        return self.host_name

    def flush(self):
        self.n_flushed += 1

    # ------------------------------------------------------------ what the world does
    def channel_of(self, pv):
        found = [number for number, name in enumerate(self.pvs, start=1) if name == pv and number not in self.cleared]
        return found[-1]

    def connect(self, pv, kind=SlotKind.CONNECTED):
        # as on_connection does it, which asks libca for the user of a real channel
        _, who = np.ctypeslib.as_array((ctypes.c_int64 * 2).from_address(self.users[self.channel_of(pv) - 1]))
        head = int(self.ring._control[0])
        slot = self.ring._slots[head % self.ring._slots.size]
        slot["index"], slot["kind"], slot["payload"], slot["status"] = who & 0xFFFFFFFF, kind, -1, 0
        slot["received_ns"] = time.time_ns()
        self.ring._control[0] += 1

    def lose(self, pv):
        self.connect(pv, SlotKind.LOST)

    def open_of(self, pv, *, metadata=False):
        channel = self.channel_of(pv)
        mine = [made for made in self.made if made.channel == channel and made.is_open]
        return [made for made in mine if (made.mask == DBE_PROPERTY) == metadata]

    def update(self, pv, *values, status=ECA_NORMAL, made=None, **attributes):
        """Send an update of a PV over its open subscription, or over one that is named."""
        made = made or self.open_of(pv)[-1]
        native = made.dbr_type - TIME_OFFSET
        value = timed(native, *values, **attributes) if status == ECA_NORMAL else None
        call(made.on_event, made.user, made.dbr_type, len(values), value, status)

    def describe(self, pv, **attributes):
        """Send metadata of a PV."""
        (made,) = self.open_of(pv, metadata=True)
        call(made.on_event, made.user, made.dbr_type, 1, control(made.dbr_type - CTRL_OFFSET, **attributes))

    def answer(self, number=-1, status=ECA_NORMAL):
        """Answer a question."""
        _, on_event, user = self.asked[number]
        value = timed(dbr.DBR_DOUBLE, 1.0) if status == ECA_NORMAL else None
        call(on_event, user, dbr.DBR_TIME_DOUBLE, 1, value, status)
