"""libca, as far as we call it: reading only, every call from the thread that opened it."""

import ctypes
from collections import deque
from dataclasses import dataclass

from epicscorelibs.path import get_lib

from nualley.pv.errors import PvRefusedError

DBE_VALUE, DBE_LOG, DBE_ALARM, DBE_PROPERTY = 1, 2, 4, 8
_ECA_NORMAL = 1
_PREEMPTIVE = 1
_PRIORITY = 0
_N_COMPLAINTS = 100


class _ExceptionArguments(ctypes.Structure):
    _fields_ = (
        ("user", ctypes.c_void_p),
        ("channel", ctypes.c_void_p),
        ("type", ctypes.c_long),
        ("count", ctypes.c_long),
        ("address", ctypes.c_void_p),
        ("status", ctypes.c_long),
        ("operation", ctypes.c_long),
        ("context", ctypes.c_char_p),
        ("file", ctypes.c_char_p),
        ("line", ctypes.c_uint),
    )


_ON_EXCEPTION = ctypes.CFUNCTYPE(None, _ExceptionArguments)


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something that libca found wrong by itself, such as two servers with one name.

    Parameters
    ----------
    what : str
        In libca's words.
    about : str
        The channel or the server that it is about.
    """

    what: str
    about: str


class LibCa:
    """One client of Channel Access.

    Attributes
    ----------
    complaints : deque of Complaint
        What libca found wrong; the newest hundred, to be taken from the left.
    """

    def __init__(self) -> None:
        self.complaints: deque[Complaint] = deque(maxlen=_N_COMPLAINTS)
        self._library = _load()
        self._on_exception = _ON_EXCEPTION(self._complain)

    def open(self) -> None:
        """Begin: libca reads its environment now, and calls back from threads of its own."""
        self._check(self._library.ca_context_create(_PREEMPTIVE), "ca_context_create")
        # without it, libca writes to stderr
        self._check(self._library.ca_add_exception_event(self._on_exception, None), "ca_add_exception_event")

    def close(self) -> None:
        """End all channels; no callback comes any more."""
        self._library.ca_context_destroy()

    def create_channel(self, pv: str, on_connection: int, user: int) -> int:
        """Search for a PV, now and whenever it is lost; return the channel.

        Raises
        ------
        PvRefusedError
            Where Channel Access does not take the name.
        """
        channel = ctypes.c_void_p()
        status = self._library.ca_create_channel(
            pv.encode(errors="surrogateescape"), on_connection, user, _PRIORITY, ctypes.byref(channel)
        )
        if status != _ECA_NORMAL:
            raise PvRefusedError(
                f"Channel Access does not take the PV name {pv!r}: {self._message(status)}",
                where=pv,
                do="correct the name in pvs/*.toml, beam.toml or detectors/*.toml",
            )
        return channel.value or 0

    def clear_channel(self, channel: int) -> None:
        """End a channel and what hangs on it."""
        self._check(self._library.ca_clear_channel(channel), "ca_clear_channel")

    def subscribe(  # what libca wants
        self, channel: int, *, dbr_type: int, count: int, mask: int, on_event: int, user: int
    ) -> int:
        """Ask for updates; count 0 means as many elements as there are each time. Return the subscription."""
        subscription = ctypes.c_void_p()
        status = self._library.ca_create_subscription(
            dbr_type, count, channel, mask, on_event, user, ctypes.byref(subscription)
        )
        self._check(status, "ca_create_subscription")
        return subscription.value or 0

    def unsubscribe(self, subscription: int) -> None:
        """End a subscription; a callback that runs has returned by then."""
        self._check(self._library.ca_clear_subscription(subscription), "ca_clear_subscription")

    def get(self, channel: int, *, dbr_type: int, count: int, on_event: int, user: int) -> bool:
        """Ask for a value once; return whether the question could be sent."""
        status = self._library.ca_array_get_callback(dbr_type, count, channel, on_event, user)
        return bool(status == _ECA_NORMAL)

    def native(self, channel: int) -> tuple[int, int]:
        """Return DBF type (-1: not connected) and element count of a channel."""
        return self._library.ca_field_type(channel), self._library.ca_element_count(channel)

    def host(self, channel: int) -> str:
        """Return ``HOST:PORT`` of the channel's server: first the number, and once DNS has answered the name."""
        found: bytes = self._library.ca_host_name(channel)
        return found.decode(errors="replace")

    def flush(self) -> None:
        """Send what was asked for."""
        self._library.ca_flush_io()

    def _complain(self, arguments: _ExceptionArguments) -> None:
        about = self._library.ca_name(arguments.channel).decode(errors="replace") if arguments.channel else ""
        context = (arguments.context or b"").decode(errors="replace")
        self.complaints.append(Complaint(self._message(arguments.status), about or context))

    def _message(self, status: int) -> str:
        text: bytes = self._library.ca_message(status)
        return text.decode(errors="replace")

    def _check(self, status: int, call: str) -> None:
        if status != _ECA_NORMAL:
            raise PvRefusedError(
                f"{call} failed: {self._message(status)}",
                where="libca",
                do="start the process anew; tell the developers",
            )


def _load() -> ctypes.CDLL:
    # a handle of our own: the prototypes of others stay as they are
    library = ctypes.CDLL(get_lib("ca"))
    address, whole = ctypes.c_void_p, ctypes.c_long
    for name, result, arguments in (
        ("ca_context_create", ctypes.c_int, (ctypes.c_int,)),
        ("ca_context_destroy", None, ()),
        ("ca_add_exception_event", ctypes.c_int, (_ON_EXCEPTION, address)),
        ("ca_create_channel", ctypes.c_int, (ctypes.c_char_p, address, address, ctypes.c_uint, address)),
        ("ca_clear_channel", ctypes.c_int, (address,)),
        ("ca_create_subscription", ctypes.c_int, (whole, ctypes.c_ulong, address, whole, address, address, address)),
        ("ca_clear_subscription", ctypes.c_int, (address,)),
        ("ca_array_get_callback", ctypes.c_int, (whole, ctypes.c_ulong, address, address, address)),
        ("ca_field_type", ctypes.c_short, (address,)),
        ("ca_element_count", ctypes.c_ulong, (address,)),
        ("ca_host_name", ctypes.c_char_p, (address,)),
        ("ca_name", ctypes.c_char_p, (address,)),
        ("ca_message", ctypes.c_char_p, (whole,)),
        ("ca_flush_io", ctypes.c_int, ()),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
