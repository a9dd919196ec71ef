"""How a demo DAQ tells the demo IOC its state: JSON datagrams on a local socket, no put to any PV."""

import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass

_LARGEST_B = 4096


@dataclass(frozen=True, slots=True)
class DaqState:
    """What a DAQ says of itself.

    Parameters
    ----------
    prefix : str
        The detector's part of the PV name, such as ``CENNS10``.
    state : str
        ``Stopped``, ``Running`` or ``Paused``.
    run : int
        Number of the current or last run, >= 0.
    live : float
        Fraction of time in which a trigger would be taken, 0 to 1.
    rate_Hz : float
        Triggers per second, >= 0.
    """

    prefix: str
    state: str
    run: int
    live: float
    rate_Hz: float


def control_address(name: str) -> str:
    """Return the address of a world's control socket: in Linux' abstract space, so that no file stays behind."""
    return f"\0{name}"


class ControlSender:
    """The DAQ's end: never waits for the IOC, which may hang or be gone.

    Parameters
    ----------
    name : str
        Name of the world's control socket.
    """

    def __init__(self, name: str) -> None:
        self._address = control_address(name)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def send(self, state: DaqState) -> bool:
        """Send a state; return whether the IOC was there to take it. It is to be sent again every second."""
        try:
            self._socket.sendto(json.dumps(asdict(state)).encode(), self._address)
        except OSError:  # refused (no IOC) or full (a hung one): the next one will tell
            return False
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class ControlReceiver:
    """The IOC's end.

    Parameters
    ----------
    name : str
        Name of the world's control socket.
    """

    def __init__(self, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(control_address(name))

    def receive(self, limit_s: float) -> Mapping[str, DaqState]:
        """Return the newest state of each DAQ that sent one.

        Parameters
        ----------
        limit_s : float
            How long to wait for the first [s], >= 0.

        Returns
        -------
        mapping of str to DaqState
            By prefix; of several that waited, as after a hang, only the newest still holds.
        """
        found: dict[str, DaqState] = {}
        self._socket.settimeout(limit_s)
        try:
            while True:
                state = DaqState(**json.loads(self._socket.recv(_LARGEST_B)))
                found[state.prefix] = state
                self._socket.settimeout(0)
        except (TimeoutError, BlockingIOError):
            return found

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def is_listening(name: str) -> bool:
    """Return whether an IOC listens on a world's control socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(control_address(name))
        except OSError:
            return False
        return True
