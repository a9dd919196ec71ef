"""Live values over PV Access: p4p's threads note which PVs have news, forty times a second these are taken."""

import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from nualley.core import Clock, SystemClock, end_tasks
from nualley.pv.adapters.outlet import HasOutlet, Outlet, drop
from nualley.pv.adapters.pva_channel import Channel
from nualley.pv.adapters.pva_handover import Handover
from nualley.pv.adapters.pva_questions import Questions
from nualley.pv.adapters.pva_rows import Rows
from nualley.pv.adapters.pva_values import Form, alarm_of, form_of, is_column, metadata_of, sample_of, stamp_ns
from nualley.pv.adapters.ticks import new_connections
from nualley.pv.decide import proof_ns
from nualley.pv.environment import epics_environment
from nualley.pv.models import Life, Metadata, PvEvent, PvProtocol, PvRequest
from nualley.pv.ports import Emit
from nualley.pv.settings import EpicsSettings

if TYPE_CHECKING:
    from nualley.pv.adapters.pva_client import PvaClient

_DRAIN_S = 0.025
_RETRY_S = 10.0  # a server that refuses a subscription, or ends it, is asked again after this time
_SAY_S, _N_SAID = 1.0, 5
_LOOK = 2000  # updates, in 50 ms
_log = structlog.get_logger(__name__)


def _connect() -> "PvaClient":
    # heavy (20 MB): only where a PV comes over it
    from nualley.pv.adapters.pva_client import PvaClient  # noqa: PLC0415

    return PvaClient()


class PvaSource(HasOutlet):
    """Listens to PVs over PV Access; reads only.

    Parameters
    ----------
    settings : EpicsSettings
        Where to search, and how to watch IOCs. They are written to this process's environment when the first PV is
        listened to.
    clock : Clock, optional
        Our clock. Updates are stamped with the time of the look that takes them, up to 25 ms after they came.
    search_s : float
        After this time [s] without an answer a PV is reported as not connected, > 0; the search goes on.
    connect : callable, optional
        Makes the client; another one in tests.

    Attributes
    ----------
    n_failed : int
        Updates that could not be taken, because of a mistake of ours: logged each.
    n_dropped : int
        How often a PV's updates may have been merged by its server, because ours waited too long: what was missed is
        told as a disconnect of this PV.
    lag_s : float
        How long the oldest update of the last look had waited [s].

    Notes
    -----
    What waits is bounded by the protocol: a server sends a window of updates, and more only when we have taken some.
    Where the server itself cannot send fast enough it merges before us, and nothing tells; see `pva_queue`.
    """

    protocol: str = PvProtocol.PVA

    def __init__(
        self,
        settings: EpicsSettings,
        *,
        clock: Clock | None = None,
        search_s: float = 5.0,
        connect: Callable[[], "PvaClient"] = _connect,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._search_s = search_s
        self._connect = connect
        self._client: PvaClient | None = None
        self._channels: dict[str, Channel] = {}
        self._n_pvs = 0
        self._silent: frozenset[str] = frozenset()  # heartbeats that nobody asked for
        self._connections = new_connections(self.protocol, self._settings)
        self._tasks: list[asyncio.Task[None]] = []
        self._out = Outlet("pva")
        # by index: a channel keeps its own for ever, so that what was noted is never taken for another's
        self._names: list[str] = []
        self._by_index: list[Channel | None] = []
        self._rows = Rows(self._names)
        # written by p4p's threads; a PV is noted again only after it was emptied
        self._news: deque[tuple[int, int]] = deque()
        self._questions = Questions()
        self._servers: dict[str, str] | None = None
        self._proven_ns: dict[str, int] = {}
        self._merged: list[str] = []
        self._said_s = 0.0
        self.n_dropped = 0

    async def start(self, requests: Sequence[PvRequest], emit: Emit) -> None:
        """Subscribe to every PV; see `nualley.pv.Source`. PV Access itself begins with the first PV.

        Raises
        ------
        PvRefusedError
            Where PV Access does not take a name.
        """
        self._out.emit = emit
        self._n_pvs = len(requests)
        if requests:
            self._begin({request.pv for request in requests})
        for request in requests:
            self._open(request)

    async def add(self, request: PvRequest) -> None:
        """Subscribe to one more PV; see `nualley.pv.Source`."""
        self._begin({request.pv})
        self._close(request.pv)
        self._silent -= {request.pv}
        self._open(request)

    async def remove(self, pv: str) -> None:
        """Unsubscribe from a PV; a declared heartbeat is still listened to, without samples."""
        was_open = pv in self._channels
        self._close(pv)
        if was_open and pv in self._settings.heartbeats:
            self._silent |= {pv}
            self._open(PvRequest(pv))

    async def stop(self) -> None:
        """Take what has gathered, and unsubscribe from everything."""
        await end_tasks(self._tasks)
        self._drain(most=sys.maxsize)  # once: who goes on sending does not keep us
        self._end_handovers()
        self._out.emit = drop
        self._questions.close()
        for pv in list(self._channels):
            self._close(pv)
        if self._client is not None:
            self._client.close()
            self._client, self._tasks = None, []
        self._connections = new_connections(self.protocol, self._settings)

    def _end_handovers(self) -> None:
        """Take what new subscriptions have brought that were not listened to yet."""
        changing = [each for each in self._channels.values() if isinstance(each.subscription, Handover)]
        for channel in changing:
            channel.subscription.end_old()
            self._note(channel.index)
        if changing:
            self._drain(most=sys.maxsize)

    def _begin(self, wanted: set[str]) -> None:
        if self._client is not None:
            return
        os.environ.update(epics_environment(self._settings, os.environ))
        self._client = self._connect()
        self._silent = frozenset(self._settings.heartbeats) - wanted
        for pv in sorted(self._silent):
            self._open(PvRequest(pv))
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._drain_for_ever()), loop.create_task(self._out.watch(self._tick))]

    @property
    def _running(self) -> "PvaClient":
        assert self._client is not None  # `_begin` comes before every channel
        return self._client

    # ---------------------------------------------------------------- subscriptions
    def _open(self, request: PvRequest) -> None:
        channel = Channel(request, len(self._names), time.monotonic())
        self._n_pvs = max(self._n_pvs, len(self._channels) + 1)
        self._names.append(request.pv)
        self._by_index.append(channel)
        self._subscribe(channel)
        self._channels[request.pv] = channel

    def _subscribe(self, channel: Channel) -> None:
        queue = channel.wanted_queue(self._n_pvs)
        channel.begin(self._subscription(channel, queue), queue)

    def _subscription(self, channel: Channel, queue: int) -> Any:
        note, events = partial(self._note, channel.index), channel.request.events
        return self._running.monitor(channel.pv, note, queue=queue, events=events)

    def _note(self, index: int) -> None:
        """Note that a PV has news (in a thread of p4p)."""
        self._news.append((index, self._clock.now_ns()))

    def _hand_over(self, channel: Channel, form: Form, last: Any) -> None:
        """Begin another subscription, in which fewer updates wait."""

        def stamp(update: Any) -> int | None:
            return stamp_ns(update, form, 0) if form.has_time else None

        queue = channel.wanted_queue(self._n_pvs)
        new = self._subscription(channel, queue)
        channel.subscription = Handover(channel.subscription, new, queue, last, stamp)

    def _follow(self, channel: Channel, handover: Handover) -> None:
        """Go on with the new subscription where the old one has ended."""
        if handover.is_done and channel.queue != handover.queue:
            channel.begin(handover, handover.queue)
            self._note(channel.index)  # it waits since before it was listened to
        if handover.is_empty:
            channel.subscription = handover.new

    def _close(self, pv: str) -> None:
        channel = self._channels.pop(pv, None)
        if channel is None:
            return
        self._by_index[channel.index] = None
        channel.subscription.close()
        self._connections.remove(pv)

    # ---------------------------------------------------------------- what comes in
    async def _drain_for_ever(self) -> None:
        while True:
            has_more = self._drain()
            await asyncio.sleep(0 if has_more else _DRAIN_S)

    def _drain(self, most: int = _LOOK) -> bool:
        """Take what waits, but not for long, as others wait for the loop; return whether there is more."""
        now_ns = self._clock.now_ns()
        self._servers = None
        self._proven_ns.clear()
        if self._news:
            self._out.note_lag(self._news[0][1], now_ns)
        n_noted, n_taken = len(self._news), 0
        while n_noted and n_taken < most:
            index, noted_ns = self._news.popleft()
            channel, n_noted = self._by_index[index], n_noted - 1
            if channel is not None:  # None: was noted before we unsubscribed
                n_taken += self._empty(channel, noted_ns, now_ns)
        self._flush()
        for ioc, asked_ns in self._questions.answers():
            self._send(self._connections.answered(ioc, asked_ns, now_ns))
        return n_noted > 0

    def _empty(self, channel: Channel, noted_ns: int, now_ns: int) -> int:
        """Take what waits of a PV, and return how many updates that was."""
        taken, last = 0, None
        while (update := channel.subscription.pop()) is not None:
            if last is not None:
                self._take_or_log(channel, last, now_ns)
            taken, last = taken + 1, update
            if taken >= channel.queue:  # it may send without end: the others' turn
                self._news.append((channel.index, noted_ns))
                break
        if channel.backlog.took(taken):
            self._tell_merged(channel, now_ns)
        # the newest one is what the PV holds, whatever was merged before it
        if last is not None:
            self._take_or_log(channel, last, now_ns)
        if isinstance(channel.subscription, Handover):
            self._follow(channel, channel.subscription)
        elif channel.form is not None and last is not None and channel.is_queue_too_large(self._n_pvs):
            self._hand_over(channel, channel.form, last)
        return taken

    def _take_or_log(self, channel: Channel, update: Any, now_ns: int) -> None:
        try:
            self._take(channel, update, now_ns)
        except Exception:  # noqa: BLE001  # the outermost loop: one odd value must not take the others along
            self._out.note_failure("update_failed", pv=channel.pv)

    def _take(self, channel: Channel, update: Any, now_ns: int) -> None:
        if isinstance(update, Exception):
            self._lose(channel, update, now_ns)
            return
        form, is_first = channel.form, channel.form is None
        if form is None:
            form = channel.form = form_of(update, channel.pv)
            self._tell_connected(channel, now_ns)
        time_ns = stamp_ns(update, form, now_ns)
        self._prove(channel, time_ns, now_ns)
        if channel.pv in self._silent:
            return
        changed = update.changedSet()
        if is_first or not form.is_plain(changed):
            self._take_metadata(channel, metadata_of(update, channel.pv, form, now_ns))
            if not is_first and not form.has_value(changed):
                return
        if form.loses:
            channel.warn_once(form.loses)
        if not form.is_number:
            sample = sample_of(update, channel.pv, form, now_ns)
            channel.measure(sample.value)
            self._tell(sample)
        elif is_column(value := form.read(update)):
            self._rows.add(form.kind, (channel.index, time_ns, value, *alarm_of(update, form), now_ns))
        else:
            channel.warn_once("numbers beyond 2**63 are quarantined: no column holds them")
            self._tell(sample_of(update, channel.pv, form, now_ns))

    def _take_metadata(self, channel: Channel, found: Metadata) -> None:
        known = channel.metadata
        if not found.says_same(known):  # a connection brings them again
            channel.metadata = found
            self._tell(found)

    # ---------------------------------------------------------------- who is connected, and who lives
    def _tell_connected(self, channel: Channel, now_ns: int) -> None:
        if self._servers is None:
            self._servers = self._running.servers()
        # it is missing where the connection has ended by now: that is told next, of the IOC that was known
        channel.ioc = self._servers.get(channel.pv, channel.ioc)
        self._send(self._connections.connected(channel.pv, channel.ioc, now_ns))

    def _prove(self, channel: Channel, time_ns: int, now_ns: int) -> None:
        """Tell of an IOC that came back to life before its updates are told."""
        proven_ns = proof_ns(time_ns, now_ns)
        if proven_ns > self._proven_ns.get(channel.ioc, 0):
            self._proven_ns[channel.ioc] = proven_ns
            self._send(self._connections.heard(channel.ioc, proven_ns, now_ns))
        if channel.pv in self._settings.heartbeats:
            self._connections.beat(channel.pv, now_ns)

    def _lose(self, channel: Channel, trouble: Exception, now_ns: int) -> None:
        channel.form = None
        self._send(self._connections.lost(channel.pv, now_ns))
        if not self._running.is_lost(trouble):
            channel.retry_s = time.monotonic() + _RETRY_S
            do = f"look at its server's rules of access; it is asked again every {_RETRY_S:g} s"
            _log.warning("pva.refused", pv=channel.pv, what=str(trouble), do=do)

    def _tell_merged(self, channel: Channel, now_ns: int) -> None:
        """Say that updates were missed."""
        self.n_dropped += 1
        self._merged.append(channel.pv)
        if channel.form is not None:
            self._send(self._connections.lost(channel.pv, now_ns))
            self._send(self._connections.connected(channel.pv, channel.ioc, now_ns))

    def _say_merged(self, now_s: float) -> None:
        """Say which PVs that was, at most once a second: where one is late, all soon are."""
        if self._merged and now_s - self._said_s >= _SAY_S:
            self._said_s = now_s
            do = "set a larger queue of these PVs in pvs/*.toml, or look what else this machine does"
            _log.error("pva.dropped", n=len(self._merged), pvs=self._merged[:_N_SAID], do=do)
            self._merged.clear()

    def _send(self, events: Iterable[PvEvent]) -> None:
        for event in events:
            if isinstance(event, Life) or getattr(event, "pv", "") not in self._silent:
                self._tell(event)

    def _tell(self, event: PvEvent) -> None:
        channel = self._channels.get(getattr(event, "pv", ""))
        if channel is not None and self._rows.has(channel.index):
            self._flush()  # what came before it is told before it
        self._out.tell(event)

    def _flush(self) -> None:
        """Tell the numbers that have gathered."""
        for samples in self._rows.take():
            self._out.tell(samples)

    # ---------------------------------------------------------------- life
    def _tick(self, now_s: float, awake_ns: int) -> None:
        now_ns = self._clock.now_ns()
        for channel in self._channels.values():
            if channel.form is None and now_s - channel.opened_s >= self._search_s:
                self._send(self._connections.lost(channel.pv, now_ns))  # told once
            if channel.retry_s is not None and now_s >= channel.retry_s:
                channel.retry_s = None
                channel.subscription.close()  # it has ended
                self._subscribe(channel)
            if isinstance(channel.subscription, Handover) and not channel.subscription.is_done:
                self._note(channel.index)  # it does not wait for ever for what the old one does not bring
        self._say_merged(now_s)
        tick = self._connections.tick(now_ns, awake_ns)
        self._send(tick.events)
        for question in tick.questions:
            asked = self._channels.get(question.pv)
            if asked is not None and asked.form is not None:
                self._questions.ask(self._running, question, now_ns)
