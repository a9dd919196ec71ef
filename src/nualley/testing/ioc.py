"""A real IOC in a child process, on loopback and on ports of its own, in three implementations.

libca reads its environment once a process. A test therefore listens through `nualley.testing.listener.Listener`, which
is a child process, or hands `Ioc.environment` to the program that it starts; it never opens Channel Access itself.
"""

import os
import random
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Literal, Self, TypeAlias

from nualley.pv import EpicsSettings
from nualley.testing.processes import Child, ChildError

Kind: TypeAlias = Literal[
    "float", "int", "string", "enum", "long-string", "float64-array", "float32-array", "int32-array", "string-array",
    "never", "bool", "uint64", "int64-array", "table", "image", "structure",
]  # fmt: skip
Implementation: TypeAlias = Literal["softioc", "caproto", "p4p"]

_LOOPBACK = "127.0.0.1"
_ATTEMPTS = 100
# Linux gives 32768 and above to whoever asks for any port: one of these would be another's before the IOC has it
_PORTS = range(12_000, 32_768)
_RANDOM = random.SystemRandom()  # a test that seeds the common one gets no ports twice


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a test IOC.

    Parameters
    ----------
    name : str
        Its PV.
    kind : str
        What it holds; ``never`` is a number that was never processed (softioc only), ``long-string`` an lso record
        whose whole text is at ``NAME.VAL$`` (softioc only); from ``bool`` on p4p only.
    value : object
        Its first value, JSON-able.
    labels : tuple of str
        Words of an enum.
    length : int
        Largest number of elements of an array, > 1.
    fields : mapping of str to str, int or float
        EPICS fields, such as EGU, PREC, HIHI, HHSV, MDEL, ADEL (softioc; of them caproto takes EGU and PREC,
        p4p EGU, PREC and HIHI).
    """

    name: str
    kind: Kind
    value: object = None
    labels: tuple[str, ...] = ()
    length: int = 16
    fields: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EpicsPorts:
    """Ports of one IOC on loopback.

    Parameters
    ----------
    ca : int
        Channel Access, TCP and UDP.
    repeater : int
        Beacons of Channel Access, UDP: no other IOC's.
    pva : int
        PV Access, TCP.
    pva_broadcast : int
        Search of PV Access, UDP.
    """

    ca: int
    repeater: int
    pva: int
    pva_broadcast: int

    @classmethod
    def free(cls) -> "EpicsPorts":
        """Return four ports that were free, for TCP and UDP both, a moment ago, and that the kernel gives to nobody."""
        with ExitStack() as held:
            return cls(*(held.enter_context(_free_port()) for _ in range(4)))

    def server_environment(self) -> dict[str, str]:
        """Return the variables that keep a server on loopback and on these ports."""
        return {
            "EPICS_CAS_INTF_ADDR_LIST": _LOOPBACK,
            "EPICS_CAS_SERVER_PORT": str(self.ca),
            "EPICS_CA_SERVER_PORT": str(self.ca),
            "EPICS_CA_REPEATER_PORT": str(self.repeater),
            "EPICS_CAS_BEACON_PORT": str(self.repeater),
            "EPICS_CAS_BEACON_ADDR_LIST": _LOOPBACK,
            "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
            "EPICS_PVAS_INTF_ADDR_LIST": _LOOPBACK,
            "EPICS_PVAS_SERVER_PORT": str(self.pva),
            "EPICS_PVA_SERVER_PORT": str(self.pva),
            "EPICS_PVAS_BROADCAST_PORT": str(self.pva_broadcast),
            "EPICS_PVA_BROADCAST_PORT": str(self.pva_broadcast),
            "EPICS_PVAS_BEACON_ADDR_LIST": _LOOPBACK,
            "EPICS_PVAS_AUTO_BEACON_ADDR_LIST": "NO",
        }

    def client_environment(self) -> dict[str, str]:
        """Return the variables by which a client finds this IOC and no other."""
        return {
            "EPICS_CA_ADDR_LIST": f"{_LOOPBACK}:{self.ca}",
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CA_REPEATER_PORT": str(self.repeater),
            "EPICS_PVA_ADDR_LIST": _LOOPBACK,
            "EPICS_PVA_AUTO_ADDR_LIST": "NO",
            "EPICS_PVA_SERVER_PORT": str(self.pva),
            "EPICS_PVA_BROADCAST_PORT": str(self.pva_broadcast),
        }


@contextmanager
def _free_port() -> Iterator[int]:
    for _ in range(_ATTEMPTS):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            port = _RANDOM.choice(_PORTS)
            try:
                tcp.bind((_LOOPBACK, port))
                udp.bind((_LOOPBACK, port))
            except OSError:
                continue
            yield port
            return
    raise OSError(f"no port is free for TCP and UDP both on {_LOOPBACK} after {_ATTEMPTS} attempts")


def without_epics(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without anyone's EPICS settings."""
    return {key: value for key, value in environ.items() if not key.startswith("EPICS_")}


class Ioc:
    """A real IOC in a child process.

    Parameters
    ----------
    records : sequence of Record
        What it serves.
    implementation : {"softioc", "caproto", "p4p"}
        EPICS base with Channel Access and PV Access, a server in Python with Channel Access only, or one with PV Access
        only and structures that no record has.
    ports : EpicsPorts, optional
        Its ports; free ones otherwise. They stay the same over a `restart`.

    Examples
    --------
    >>> with Ioc([Record("T:A", "float", 1.0)]) as ioc:  # doctest: +SKIP
    ...     ioc.set("T:A", 2.5, time_ns=1_700_000_000_123_456_789)
    """

    def __init__(
        self,
        records: Sequence[Record],
        *,
        implementation: Implementation = "softioc",
        ports: EpicsPorts | None = None,
    ) -> None:
        self.records = tuple(records)
        self.implementation = implementation
        self.ports = ports or EpicsPorts.free()
        self._child: Child | None = None

    @property
    def address(self) -> str:
        """``host:port`` as connection events of Channel Access say it."""
        return f"{_LOOPBACK}:{self.ports.ca}"

    @property
    def pva_address(self) -> str:
        """``host:port`` as connection events of PV Access say it."""
        return f"{_LOOPBACK}:{self.ports.pva}"

    @property
    def environment(self) -> dict[str, str]:
        """Our own environment with what a client needs to find this IOC and no other."""
        return {**without_epics(os.environ), **self.ports.client_environment()}

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running.pid

    def settings(self, **others: object) -> EpicsSettings:
        """Return the table ``[epics]`` by which the product finds it, with ``others`` beside."""
        found = {
            "addr_list": [self.address],
            "auto_addr_list": False,
            "pva_addr_list": [f"{_LOOPBACK}:{self.ports.pva_broadcast}"],
            "pva_auto_addr_list": False,
        }
        return EpicsSettings.model_validate({**found, **others})

    def start(self) -> Self:
        """Start it and wait until it serves."""
        module = f"nualley.testing.{self.implementation}_server"
        self._child = Child([module], {**without_epics(os.environ), **self.ports.server_environment()})
        try:
            self._child.call(records=[asdict(record) for record in self.records])
        except ChildError:
            self.stop()
            raise
        return self

    def set(self, pv: str, value: object, *, time_ns: int | None = None) -> None:
        """Set a value, with this time stamp [ns since 1970 UTC] or the time now; returns when it is posted."""
        self._running.call(do="set", pv=pv, value=value, time_ns=time_ns)

    def set_alarm(self, pv: str, severity: int, status: int) -> None:
        """Set severity and status while the value rests (softioc and p4p)."""
        self._running.call(do="alarm", pv=pv, severity=severity, status=status)

    def set_field(self, pv: str, name: str, value: object) -> None:
        """Set a field such as EGU (softioc; caproto: EGU and PREC; p4p: these, HIHI and the ``labels`` of an enum)."""
        self._running.call(do="field", pv=pv, field=name, value=value)

    def open(self, record: Record) -> None:
        """Serve a PV as another record from now on, while the server runs (p4p only)."""
        self._running.call(do="open", pv=record.name, record=asdict(record))

    def kill(self) -> None:
        """End it at once, as ``kill -9`` does."""
        self._running.kill()
        self._child = None

    def freeze(self) -> None:
        """Stop it in the middle (SIGSTOP): it hangs, its sockets stay open."""
        self._running.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._running.signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it and start it anew on the same ports."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """End it if it runs."""
        if self._child is not None:
            self.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _running(self) -> Child:
        if self._child is None:
            raise ChildError("the IOC does not run", where=self.implementation, do="start it first: Ioc.start()")
        return self._child
