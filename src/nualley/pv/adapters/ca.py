"""Live values over Channel Access: libca calls back into a ring, whose content is taken forty times a second."""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import structlog
from numpy.typing import NDArray

from nualley.core import Clock, SystemClock, end_tasks
from nualley.pv.adapters.ca_callbacks import Callbacks
from nualley.pv.adapters.ca_hosts import Hosts
from nualley.pv.adapters.ca_python import ca_callbacks
from nualley.pv.adapters.ca_ring import Ring, SlotKind
from nualley.pv.adapters.ca_values import (
    CTRL_OFFSET,
    TIME_OFFSET,
    is_long_string,
    long_sample,
    metadata_of,
    proofs_ns,
    scalar_samples,
    stamps_ns,
    value_type,
)
from nualley.pv.adapters.libca import DBE_ALARM, DBE_LOG, DBE_PROPERTY, DBE_VALUE, LibCa
from nualley.pv.adapters.outlet import HasOutlet, Outlet, drop
from nualley.pv.adapters.ticks import new_connections
from nualley.pv.decide import Question
from nualley.pv.environment import epics_environment
from nualley.pv.errors import EpicsStartedError
from nualley.pv.models import Life, Metadata, PvEvent, PvProtocol, PvRequest, Sample, ValueType
from nualley.pv.ports import Emit
from nualley.pv.settings import EpicsSettings

# ALARM always: a severity that changes while the value rests is news (EPICS posts it under no other mask)
_MASKS = {"value": DBE_VALUE | DBE_ALARM, "archive": DBE_LOG | DBE_ALARM}
_DRAIN_S = 0.025
_ECA_NORMAL = 1
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Channel:
    """One PV that is listened to."""

    request: PvRequest
    index: int
    opened_s: float
    channel: int = 0
    users: list[NDArray[np.int64]] = field(default_factory=list)  # what callbacks read: lives as long as the channel
    subscriptions: list[int] = field(default_factory=list)
    native: tuple[int, int] | None = None  # DBF type and number of elements that were subscribed to
    kind: ValueType | None = None
    metadata: Metadata | None = None
    waiting: list[Sample | int] | None = None  # for the IOC's address: samples, and times at which it was lost
    host: str = ""

    @property
    def pv(self) -> str:
        return self.request.pv


class CaSource(HasOutlet):
    """Listens to PVs over Channel Access; reads only.

    Parameters
    ----------
    settings : EpicsSettings
        Where to search, and how to watch IOCs. They are written to this process's environment on `start`.
    clock : Clock, optional
        Our clock, for the times of connections; updates are stamped by the callback itself.
    search_s : float
        After this time [s] without an answer a PV is reported as not connected, > 0; the search goes on.
    library : LibCa, optional
        libca; another one in tests.
    ring : Ring, optional
        Where updates wait for us.
    callbacks : Callbacks, optional
        What libca calls; those for this machine otherwise: compiled where that is known, else in Python.

    Attributes
    ----------
    n_failed : int
        Updates that could not be taken, because of a mistake of ours: logged each.
    n_dropped : int
        Updates that found no room, because this process did not run for seconds: what was missed is told as a
        disconnect of every PV.
    lag_s : float
        How long the oldest update of the last look had waited [s].

    Notes
    -----
    libca is told where to search through its process's environment, so all `CaSource` of a process must agree on it.
    """

    protocol: str = PvProtocol.CA
    _environment: ClassVar[dict[str, str] | None] = None

    def __init__(
        self,
        settings: EpicsSettings,
        *,
        clock: Clock | None = None,
        search_s: float = 5.0,
        library: LibCa | None = None,
        ring: Ring | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._search_s = search_s
        self._library = library or LibCa()
        self._ring = ring or Ring()
        self._given_callbacks = callbacks
        self._channels: dict[str, _Channel] = {}
        self._silent: frozenset[str] = frozenset()  # heartbeats that nobody asked for
        self._connections = new_connections(self.protocol, self._settings)
        self._hosts = Hosts(self._take_all_waiting)
        self._questions: dict[int, tuple[str, int, NDArray[np.int64]]] = {}
        self._n_asked = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._out = Outlet("ca")
        # by index: a channel keeps its own for ever, so that what is still in the ring is never taken for another's
        self._names: list[str] = []
        self._by_index: list[_Channel | None] = []
        self._is_up = np.zeros(0, dtype=bool)
        self._is_plain = np.zeros(0, dtype=bool)  # one number, and nothing else to do than to take it
        self._ioc_of = np.zeros(0, dtype=np.int32)
        self._iocs: list[str] = []
        self.n_dropped = 0

    async def start(self, requests: Sequence[PvRequest], emit: Emit) -> None:
        """Subscribe to every PV; see `nualley.pv.Source`.

        Raises
        ------
        EpicsStartedError
            Where Channel Access runs in this process already, with another environment.
        PvRefusedError
            Where Channel Access does not take a name.
        """
        self._apply_environment()
        self._out.emit = emit
        self._library.open()
        wanted = {request.pv for request in requests}
        self._silent = frozenset(pv for pv in self._settings.heartbeats if pv not in wanted)
        for request in (*requests, *(PvRequest(pv) for pv in sorted(self._silent))):
            self._open(request)
        self._library.flush()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._drain_for_ever()), loop.create_task(self._out.watch(self._tick))]

    async def add(self, request: PvRequest) -> None:
        """Subscribe to one more PV; see `nualley.pv.Source`."""
        self._close(request.pv)
        self._silent -= {request.pv}
        self._open(request)
        self._library.flush()

    async def remove(self, pv: str) -> None:
        """Unsubscribe from a PV; a declared heartbeat is still listened to, without samples."""
        self._close(pv)
        if pv in self._settings.heartbeats:
            self._silent |= {pv}
            self._open(PvRequest(pv))
        self._library.flush()

    async def stop(self) -> None:
        """Take what has gathered, and unsubscribe from everything."""
        await end_tasks(self._tasks)
        if self._tasks:
            self._drain()
        self._out.emit = drop
        await self._hosts.stop()
        for pv in list(self._channels):
            self._close(pv)
        if self._tasks:
            self._library.close()
        self._tasks = []
        self._questions.clear()
        self._connections = new_connections(self.protocol, self._settings)

    @cached_property
    def _callbacks(self) -> Callbacks:
        return self._given_callbacks or ca_callbacks()

    def _apply_environment(self) -> None:
        found = epics_environment(self._settings, os.environ)
        os.environ.update(found)
        now = {key: value for key, value in os.environ.items() if key.startswith("EPICS_CA_")}
        before = CaSource._environment
        if before is not None and before != now:
            changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
            raise EpicsStartedError(
                "Channel Access runs in this process with "
                + ", ".join(f"{key}={before.get(key, '')!r}, now {now.get(key, '')!r}" for key in changed),
                where="experiment.toml [epics]",
                do="start the process anew: libca reads its environment once",
            )
        CaSource._environment = now

    # ---------------------------------------------------------------- subscriptions
    def _open(self, request: PvRequest) -> None:
        index = len(self._names)
        channel = _Channel(request, index, time.monotonic())
        self._names.append(request.pv)
        self._by_index.append(channel)
        if index >= self._is_up.size:
            more = max(64, self._is_up.size)
            self._is_up = np.concatenate([self._is_up, np.zeros(more, dtype=bool)])
            self._is_plain = np.concatenate([self._is_plain, np.zeros(more, dtype=bool)])
            self._ioc_of = np.concatenate([self._ioc_of, np.full(more, -1, dtype=np.int32)])
        user = self._user(channel, SlotKind.UPDATE)
        channel.channel = self._library.create_channel(request.pv, self._callbacks.on_connection, user)
        self._channels[request.pv] = channel

    def _user(self, channel: _Channel, kind: SlotKind) -> int:
        channel.users.append(self._ring.user(channel.index, kind))
        return int(channel.users[-1].ctypes.data)

    def _subscribe(self, channel: _Channel) -> None:
        """Ask for updates as the channel is now; after a reconnect libca does so by itself, unless its type changed."""
        native = self._library.native(channel.channel)
        if native[0] < 0 or native == channel.native:
            return
        self._unsubscribe(channel)
        dbf_type, n_elements = native
        channel.native, channel.kind = native, value_type(channel.pv, dbf_type, n_elements)
        is_text = channel.kind is ValueType.STRING or is_long_string(channel.pv, dbf_type, n_elements)
        self._is_plain[channel.index] = n_elements == 1 and not is_text and channel.pv not in self._silent
        channel.subscriptions.append(
            self._library.subscribe(
                channel.channel,
                dbr_type=dbf_type + TIME_OFFSET,
                count=1 if n_elements == 1 else 0,  # as many elements as the array has now
                mask=_MASKS[channel.request.events],
                on_event=self._callbacks.on_event,
                user=self._user(channel, SlotKind.UPDATE),
            )
        )
        if channel.pv not in self._silent:
            channel.subscriptions.append(
                self._library.subscribe(
                    channel.channel,
                    dbr_type=dbf_type + CTRL_OFFSET,
                    count=1,  # metadata come with a value: no need to send a whole waveform along
                    mask=DBE_PROPERTY,
                    on_event=self._callbacks.on_event,
                    user=self._user(channel, SlotKind.PROPERTIES),
                )
            )

    def _unsubscribe(self, channel: _Channel) -> None:
        for subscription in channel.subscriptions:
            self._library.unsubscribe(subscription)
        channel.subscriptions.clear()
        channel.native = None

    def _close(self, pv: str) -> None:
        channel = self._channels.pop(pv, None)
        if channel is None:
            return
        self._by_index[channel.index] = None
        self._is_up[channel.index] = self._is_plain[channel.index] = False
        self._unsubscribe(channel)
        self._library.clear_channel(channel.channel)
        self._connections.remove(pv)

    # ---------------------------------------------------------------- what comes in
    async def _drain_for_ever(self) -> None:
        while True:
            self._drain()
            await asyncio.sleep(_DRAIN_S)

    def _drain(self) -> None:
        slots = self._ring.waiting()
        try:
            if slots.size:
                self._out.note_lag(int(slots["received_ns"][0]), self._clock.now_ns())
                self._take(slots)
        except Exception:  # noqa: BLE001  # the outermost loop: listening goes on whatever was odd in here
            self._out.note_failure("updates_failed", slots.size)
        finally:
            self._ring.release(slots)
        if n_dropped := self._ring.take_dropped():
            self._recover(n_dropped)

    def _take(self, slots: NDArray[np.void]) -> None:
        """Take what has gathered in its order; connections come between the updates before and after them."""
        kinds = slots["kind"]
        edges = np.flatnonzero((kinds == SlotKind.CONNECTED) | (kinds == SlotKind.LOST)).tolist()
        start = 0
        for edge in edges:
            self._take_updates(slots[start:edge])
            self._take_connection(slots[edge])
            start = edge + 1
        self._take_updates(slots[start:])
        if edges:
            self._library.flush()

    def _take_connection(self, slot: np.void) -> None:
        channel = self._by_index[int(slot["index"])]
        if channel is None:  # was queued before we unsubscribed
            return
        if int(slot["kind"]) == SlotKind.CONNECTED:
            self._subscribe(channel)
        else:
            self._lose(channel, int(slot["received_ns"]))

    def _lose(self, channel: _Channel, now_ns: int) -> None:
        if channel.waiting is not None:
            channel.waiting.append(now_ns)
            return
        self._is_up[channel.index] = False
        self._send(self._connections.lost(channel.pv, now_ns))

    def _take_updates(self, slots: NDArray[np.void]) -> None:
        if not slots.size:
            return
        is_update, is_good = slots["kind"] == SlotKind.UPDATE, slots["status"] == _ECA_NORMAL
        for slot in slots[is_update & ~is_good]:
            if channel := self._by_index[int(slot["index"])]:
                self._lose(channel, int(slot["received_ns"]))
        updates = slots[is_update & is_good]
        if updates.size:
            self._note_life(updates)
            is_plain = self._is_plain[updates["index"]] & self._is_up[updates["index"]]
            for samples in scalar_samples(updates[is_plain], self._names):
                self._out.tell(samples)
            self._each(updates[~is_plain], self._take_long)
        self._each(slots[~is_update], self._take_other)

    def _each(self, slots: NDArray[np.void], handler: Callable[[_Channel, NDArray[np.void]], None]) -> None:
        for number in range(slots.size):
            slot = slots[number : number + 1]
            try:
                if slot["kind"][0] == SlotKind.ANSWER:
                    self._take_answer(slot)
                elif channel := self._by_index[int(slot["index"][0])]:
                    handler(channel, slot)
            except Exception:  # noqa: BLE001  # one odd value must not take the others along
                self._out.note_failure("update_failed", pv=self._names[int(slot["index"][0])])

    def _take_long(self, channel: _Channel, slot: NDArray[np.void]) -> None:
        """Take an update that is no plain number of a connected PV."""
        is_expected = self._is_up[channel.index] or channel.waiting is not None
        if channel.kind is None or channel.pv in self._silent or not is_expected:
            return
        if self._is_plain[channel.index]:
            (samples,) = scalar_samples(slot, self._names)
            (sample,) = samples.each()
        else:
            sample = long_sample(slot, channel.pv, channel.kind, self._ring.payload(slot[0]))
        if channel.waiting is not None:
            channel.waiting.append(sample)
        else:
            self._out.tell(sample)

    def _take_other(self, channel: _Channel, slot: NDArray[np.void]) -> None:
        """Take metadata."""
        if slot["status"][0] != _ECA_NORMAL or channel.kind is None or slot["payload"][0] < 0:
            return  # the other subscription tells of connections
        found, known = metadata_of(slot, channel.pv, channel.kind, self._ring.payload(slot[0])), channel.metadata
        if not found.says_same(known):  # a connection brings them again
            channel.metadata = found
            self._out.tell(found)

    # ---------------------------------------------------------------- who is connected, and who lives
    def _note_life(self, updates: NDArray[np.void]) -> None:
        """Tell of PVs that were found and of IOCs that came back to life, before their updates are told."""
        indices = updates["index"]
        for index in np.unique(indices[~self._is_up[indices]]).tolist():
            channel = self._by_index[index]
            if channel is not None and channel.waiting is None:
                self._find(channel, int(updates["received_ns"][indices == index][0]))
        known = updates[self._is_up[indices]]
        iocs, received_ns = self._ioc_of[known["index"]], known["received_ns"]
        proven_ns = proofs_ns(stamps_ns(known), received_ns)
        for ioc in np.unique(iocs).tolist():
            mine = iocs == ioc
            back = self._connections.heard(self._iocs[ioc], int(proven_ns[mine].max()), int(received_ns[mine].max()))
            self._send(back)
        for pv in self._settings.heartbeats:
            channel = self._channels.get(pv)
            if channel is not None:
                for beat_ns in received_ns[known["index"] == channel.index].tolist():
                    self._connections.beat(pv, beat_ns)

    def _find(self, channel: _Channel, now_ns: int) -> None:
        channel.host = self._library.host(channel.channel)  # the number at first, later the name
        address = self._hosts.address(channel.host)
        if address is None:
            channel.waiting = []
        else:
            self._connect(channel, address, now_ns)

    def _connect(self, channel: _Channel, address: str, now_ns: int) -> None:
        if address not in self._iocs:
            self._iocs.append(address)
        self._ioc_of[channel.index] = self._iocs.index(address)
        self._is_up[channel.index] = True
        self._send(self._connections.connected(channel.pv, address, now_ns))

    def _take_all_waiting(self) -> None:
        for channel in list(self._channels.values()):
            address = self._hosts.address(channel.host) if channel.waiting is not None else None
            if address is not None:
                self._take_waiting(channel, address)

    def _take_waiting(self, channel: _Channel, address: str) -> None:
        """Tell, in its order, what came while nobody knew the IOC's address."""
        waiting, channel.waiting = channel.waiting or [], None
        for item in waiting:
            if isinstance(item, int):
                self._lose(channel, item)
                continue
            if not self._is_up[channel.index]:
                self._connect(channel, address, item.received_ns)
            self._out.tell(item)

    def _recover(self, n_dropped: int) -> None:
        """Say that updates were missed, and ask every PV for its value anew."""
        self.n_dropped += n_dropped
        _log.error(
            "ca.dropped", n=n_dropped, do="look what else this machine does: the archive did not run for seconds"
        )
        now_ns = self._clock.now_ns()
        for channel in self._channels.values():
            self._lose(channel, now_ns)
            self._unsubscribe(channel)
            self._subscribe(channel)
        self._library.flush()

    def _send(self, events: Iterable[PvEvent]) -> None:
        for event in events:
            if isinstance(event, Life) or getattr(event, "pv", "") not in self._silent:
                self._out.tell(event)

    # ---------------------------------------------------------------- life
    def _tick(self, now_s: float, awake_ns: int) -> None:
        now_ns = self._clock.now_ns()
        for channel in self._channels.values():
            if channel.native is None and now_s - channel.opened_s >= self._search_s:
                self._send(self._connections.lost(channel.pv, now_ns))  # told once
        tick = self._connections.tick(now_ns, awake_ns)
        self._send(tick.events)
        for question in tick.questions:
            self._ask(question)
        self._library.flush()
        while self._library.complaints:
            complaint = self._library.complaints.popleft()
            _log.warning("ca.complaint", what=complaint.what, about=complaint.about)

    def _ask(self, question: Question) -> None:
        channel = self._channels.get(question.pv)
        if channel is None or channel.native is None:
            return
        self._n_asked += 1
        user = self._ring.user(self._n_asked, SlotKind.ANSWER)
        self._questions[self._n_asked] = (question.ioc, self._clock.now_ns(), user)
        is_sent = self._library.get(
            channel.channel,
            dbr_type=channel.native[0] + TIME_OFFSET,
            count=1,
            on_event=self._callbacks.on_event,
            user=int(user.ctypes.data),
        )
        if not is_sent:
            del self._questions[self._n_asked]

    def _take_answer(self, slot: NDArray[np.void]) -> None:
        ioc, asked_ns, _ = self._questions.pop(int(slot["index"][0]), ("", 0, None))
        if ioc and slot["status"][0] == _ECA_NORMAL:
            self._send(self._connections.answered(ioc, asked_ns, int(slot["received_ns"][0])))
