"""Channel Access on aioca: the second implementation, which says what a source does; only tests use it."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import aioca
import numpy as np
import structlog
from epicscorelibs.ca import cadef, dbr

from nualley.core import SECOND_NS, Clock, SystemClock
from nualley.pv.adapters.ca_hosts import Hosts
from nualley.pv.adapters.ticks import awake_ticks
from nualley.pv.decide import Connections, Question, proof_ns
from nualley.pv.environment import epics_environment
from nualley.pv.errors import EpicsStartedError, PvRefusedError
from nualley.pv.models import (
    Life,
    Limits,
    Metadata,
    PvEvent,
    PvProtocol,
    PvRequest,
    PvValue,
    Sample,
    ValueType,
)
from nualley.pv.ports import Emit
from nualley.pv.settings import EpicsSettings

# ALARM always: a severity that changes while the value rests is news (EPICS posts it under no other mask)
_MASKS = {"value": cadef.DBE_VALUE | cadef.DBE_ALARM, "archive": cadef.DBE_LOG | cadef.DBE_ALARM}
_REOPEN_TICKS = (4, 240)  # a subscription that aioca ended is opened anew after 1 s, then ever later, to 1 min
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Update:
    """An update as it came, and over what where it may be the first of a connection."""

    value: Any
    now_ns: int
    host: str = ""
    native: tuple[int, bool] | None = None  # DBR code and whether it is an array


@dataclass(slots=True)
class _Channel:
    """One PV that is listened to."""

    request: PvRequest
    monitor: Any = None
    properties: Any = None
    native: tuple[int, bool] | None = None  # when the monitor was made
    waiting: deque[_Update] = field(default_factory=deque)  # for the IOC's address
    metadata: Metadata | None = None
    n_reopened: int = 0
    ticks_closed: int = 0
    ioc: str = ""

    @property
    def is_closed(self) -> bool:
        """Whether aioca ended a subscription by itself, as it does after one update with a bad status."""
        return any(made is not None and made.state == made.CLOSED for made in (self.monitor, self.properties))

    def close(self) -> None:
        """End both subscriptions."""
        for subscription in (self.monitor, self.properties):
            if subscription is not None:
                subscription.close()


class AiocaSource:
    """Listens to PVs over Channel Access; reads only.

    Parameters
    ----------
    settings : EpicsSettings
        Where to search, and how to watch IOCs. They are written to this process's environment on `start`.
    clock : Clock, optional
        Our clock, for the times of receipt.
    search_s : float
        After this time [s] without an answer a PV is reported as not connected, > 0; the search goes on.

    Notes
    -----
    libca reads its environment once a process, so all `CaSource` of a process must agree on it, and only one may
    run at a time: `stop` closes every channel of the process.
    """

    protocol: str = PvProtocol.CA
    _environment: ClassVar[dict[str, str] | None] = None

    def __init__(self, settings: EpicsSettings, *, clock: Clock | None = None, search_s: float = 5.0) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._search_s = search_s
        self._channels: dict[str, _Channel] = {}
        self._silent: frozenset[str] = frozenset()  # heartbeats that nobody asked for
        self._connections = self._new_connections()
        self._hosts = Hosts(self._take_all_waiting)
        self._questions: dict[str, asyncio.Task[None]] = {}
        self._ticker: asyncio.Task[None] | None = None
        self._emit: Emit = _drop
        self.n_failed = 0

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
        self._emit = emit
        wanted = {request.pv for request in requests}
        self._silent = frozenset(pv for pv in self._settings.heartbeats if pv not in wanted)
        for request in (*requests, *(PvRequest(pv) for pv in sorted(self._silent))):
            self._open(request)
        self._ticker = asyncio.get_running_loop().create_task(self._tick_for_ever())

    async def add(self, request: PvRequest) -> None:
        """Subscribe to one more PV; see `nualley.pv.Source`."""
        self._close(request.pv)
        self._silent -= {request.pv}
        self._open(request)

    async def remove(self, pv: str) -> None:
        """Unsubscribe from a PV; a declared heartbeat is still listened to, without samples."""
        self._close(pv)
        if pv in self._settings.heartbeats:
            self._silent |= {pv}
            self._open(PvRequest(pv))

    async def stop(self) -> None:
        """Unsubscribe from everything and close every channel of the process."""
        self._emit = _drop
        tasks = [task for task in (self._ticker, *self._questions.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._hosts.stop()
        for pv in list(self._channels):
            self._close(pv)
        aioca.purge_channel_caches()
        self._ticker = None
        self._questions.clear()
        self._connections = self._new_connections()

    def _new_connections(self) -> Connections:
        return Connections(
            protocol=self.protocol,
            life_ns=round(self._settings.life_s * SECOND_NS),
            heartbeats=self._settings.heartbeats,
        )

    def _apply_environment(self) -> None:
        found = epics_environment(self._settings, os.environ)
        os.environ.update(found)
        now = {key: value for key, value in os.environ.items() if key.startswith("EPICS_CA_")}
        before = AiocaSource._environment
        if before is not None and before != now:
            changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
            raise EpicsStartedError(
                "Channel Access runs in this process with "
                + ", ".join(f"{key}={before.get(key, '')!r}, now {now.get(key, '')!r}" for key in changed),
                where="experiment.toml [epics]",
                do="start the process anew: libca reads its environment once",
            )
        AiocaSource._environment = now

    # ---------------------------------------------------------------- subscriptions
    def _open(self, request: PvRequest, n_reopened: int = 0) -> None:
        channel = _Channel(request, n_reopened=n_reopened)
        monitor = partial(
            aioca.camonitor, request.pv, all_updates=True, notify_disconnect=True, connect_timeout=self._search_s
        )
        try:
            channel.monitor = monitor(
                callback=partial(self._guarded, self._on_update, channel),
                events=_MASKS[request.events],
                format=aioca.FORMAT_TIME,
                count=0,  # as many elements as the array has now
            )
            if request.pv not in self._silent:
                channel.properties = monitor(
                    callback=partial(self._guarded, self._on_properties, channel),
                    events=cadef.DBE_PROPERTY,
                    format=aioca.FORMAT_CTRL,
                    count=1,  # metadata come with a value: no need to send a whole waveform along
                )
        except cadef.CAException as error:
            raise PvRefusedError(
                f"Channel Access does not take the PV name {request.pv!r}: {error}",
                where=request.pv,
                do="correct the name in pvs/*.toml, beam.toml or detectors/*.toml",
            ) from error
        self._channels[request.pv] = channel

    def _close(self, pv: str) -> None:
        channel = self._channels.pop(pv, None)
        if channel is not None:
            channel.close()
            self._connections.remove(pv)

    def _reopen(self, channel: _Channel, n_reopened: int = 0) -> None:
        """Subscribe anew, without forgetting what was told of the PV's connection."""
        channel.close()
        self._open(channel.request, n_reopened)

    # ---------------------------------------------------------------- what comes in
    def _guarded(self, handler: Callable[..., None], channel: _Channel, *values: Any) -> None:
        # The outermost boundary: aioca ends a subscription whose callback raises, and that PV would be silent from
        # then on. So it is logged and counted here, and the next update is taken.
        if self._channels.get(channel.request.pv) is not channel:
            return  # was queued before we unsubscribed
        try:
            handler(channel, *values)
        except Exception:  # noqa: BLE001  # see above
            self.n_failed += 1
            _log.exception("ca.update_failed", pv=channel.request.pv, n_failed=self.n_failed)

    def _on_update(self, channel: _Channel, value: Any) -> None:
        update = _Update(value, self._clock.now_ns())
        if value.ok and (channel.waiting or not self._connections.is_up(channel.request.pv)):
            ca_channel = channel.monitor.channel
            update.host, update.native = cadef.ca_host_name(ca_channel), _native(ca_channel)
        channel.waiting.append(update)
        self._take_waiting(channel)

    def _take_waiting(self, channel: _Channel) -> None:
        """Take a PV's updates in their order, up to one that has to wait for the address of its IOC."""
        pv = channel.request.pv
        while channel.waiting and self._channels.get(pv) is channel:
            update = channel.waiting[0]
            address = ""
            if update.value.ok and not self._connections.is_up(pv):
                found = self._hosts.address(update.host)
                if found is None:
                    return
                address = found
            channel.waiting.popleft()
            self._take(channel, update, address)

    def _take_all_waiting(self) -> None:
        for channel in list(self._channels.values()):
            self._guarded(self._take_waiting, channel)

    def _take(self, channel: _Channel, update: _Update, address: str) -> None:
        """Take one update; ``address`` is that of the IOC where the update is the first of a connection."""
        pv = channel.request.pv
        if not update.value.ok:
            self._send(self._connections.lost(pv, update.now_ns))
            return
        if address:
            if channel.native not in (None, update.native):  # the IOC came back with another record type
                self._reopen(channel)
                return
            channel.native, channel.ioc = update.native, address
            self._send(self._connections.connected(pv, address, update.now_ns))
        ioc = channel.ioc
        self._send(self._connections.heard(ioc, proof_ns(stamp_ns(update.value), update.now_ns), update.now_ns))
        if pv in self._settings.heartbeats:
            self._connections.beat(pv, update.now_ns)
        if pv not in self._silent:
            self._emit(to_sample(pv, update.value, update.now_ns))

    def _on_properties(self, channel: _Channel, value: Any) -> None:
        if not value.ok:
            return  # the other subscription tells of connections
        pv = channel.request.pv
        found = to_metadata(pv, value, self._clock.now_ns())
        known = channel.metadata
        # a connection brings them again; NaN limits are equal here, which == would deny
        if known is None or repr(replace(found, time_ns=0)) != repr(replace(known, time_ns=0)):
            channel.metadata = found
            self._emit(found)

    def _send(self, events: Sequence[PvEvent]) -> None:
        for event in events:
            if isinstance(event, Life) or event.pv not in self._silent:
                self._emit(event)

    # ---------------------------------------------------------------- life
    async def _tick_for_ever(self) -> None:
        async for _, awake_ns in awake_ticks():
            try:
                tick = self._connections.tick(self._clock.now_ns(), awake_ns)
                self._send(tick.events)
                for question in tick.questions:
                    self._ask(question)
                self._reopen_what_ended()
            except Exception:  # noqa: BLE001  # the watch over IOCs must outlive whatever an upper part raises
                self.n_failed += 1
                _log.exception("ca.life_failed", n_failed=self.n_failed)

    def _reopen_what_ended(self) -> None:
        first, last = _REOPEN_TICKS
        for channel in [channel for channel in self._channels.values() if channel.is_closed]:
            pv = channel.request.pv
            self._send(self._connections.lost(pv, self._clock.now_ns()))
            channel.ticks_closed += 1
            if channel.ticks_closed >= min(first << channel.n_reopened, last):
                _log.warning("ca.reopened", pv=pv, n_reopened=channel.n_reopened + 1)
                self._reopen(channel, min(channel.n_reopened + 1, 10))

    def _ask(self, question: Question) -> None:
        if question.ioc not in self._questions:
            task = asyncio.get_running_loop().create_task(self._question(question))
            self._questions[question.ioc] = task

    async def _question(self, question: Question) -> None:
        asked_ns = self._clock.now_ns()
        try:
            answer = await aioca.caget(
                question.pv, format=dbr.FORMAT_RAW, count=1, timeout=self._settings.life_s, throw=False
            )
        finally:
            self._questions.pop(question.ioc, None)
        if answer.ok:
            self._send(self._connections.answered(question.ioc, asked_ns, self._clock.now_ns()))


def _native(channel: Any) -> tuple[int, bool]:
    return cadef.ca_field_type(channel), cadef.ca_element_count(channel) != 1


def _drop(_event: PvEvent) -> None:
    """Take nothing: the source does not run."""


_SCALARS = {
    dbr.DBR_SHORT: ValueType.INT64,
    dbr.DBR_LONG: ValueType.INT64,
    dbr.DBR_CHAR: ValueType.INT64,
    dbr.DBR_FLOAT: ValueType.FLOAT64,
    dbr.DBR_DOUBLE: ValueType.FLOAT64,
    dbr.DBR_ENUM: ValueType.ENUM,
}
_ARRAYS = {
    dbr.DBR_SHORT: ValueType.INT32_ARRAY,
    dbr.DBR_LONG: ValueType.INT32_ARRAY,
    dbr.DBR_CHAR: ValueType.INT32_ARRAY,
    dbr.DBR_ENUM: ValueType.INT32_ARRAY,
    dbr.DBR_FLOAT: ValueType.FLOAT32_ARRAY,
    dbr.DBR_DOUBLE: ValueType.FLOAT64_ARRAY,
    dbr.DBR_STRING: ValueType.STRING_ARRAY,
}
_DTYPES = {
    ValueType.INT32_ARRAY: np.int32,
    ValueType.FLOAT32_ARRAY: np.float32,
    ValueType.FLOAT64_ARRAY: np.float64,
}


def value_type(value: Any) -> ValueType:
    """Return what kind of value Channel Access sent."""
    if isinstance(value, str):
        return ValueType.STRING
    kinds = _ARRAYS if isinstance(value, np.ndarray) else _SCALARS
    return kinds[value.datatype]


def to_value(value: Any, kind: ValueType) -> PvValue:
    """Return the bare value, without aioca's attributes."""
    if kind is ValueType.FLOAT64:
        return float(value)
    if kind is ValueType.STRING:
        return str(value)
    if kind is ValueType.STRING_ARRAY:
        return [str(item) for item in value]
    if kind in _DTYPES:
        return np.asarray(value).astype(_DTYPES[kind])
    return int(value)


def stamp_ns(value: Any) -> int:
    """Return the IOC's time stamp [ns since 1970 UTC], exact: aioca's float stamp loses the nanoseconds."""
    seconds, nanoseconds = value.raw_stamp
    return int(seconds) * SECOND_NS + int(nanoseconds)


def to_sample(pv: str, value: Any, received_ns: int) -> Sample:
    """Return an update as a sample."""
    kind = value_type(value)
    return Sample(
        pv, stamp_ns(value), to_value(value, kind), kind, value.severity, value.status, PvProtocol.CA, received_ns
    )


def to_metadata(pv: str, value: Any, now_ns: int) -> Metadata:
    """Return what a PROPERTY update says about a PV's numbers."""
    kind = value_type(value)
    has_limits = hasattr(value, "upper_disp_limit") and kind is not ValueType.STRING
    return Metadata(
        pv,
        now_ns,
        kind,
        unit=getattr(value, "units", ""),
        precision=getattr(value, "precision", None),
        labels=tuple(getattr(value, "enums", ())),
        limits=_limits(value) if has_limits else Limits(),
        protocol=PvProtocol.CA,
    )


def _limits(value: Any) -> Limits:
    return Limits(
        display_low=float(value.lower_disp_limit),
        display_high=float(value.upper_disp_limit),
        warning_low=float(value.lower_warning_limit),
        warning_high=float(value.upper_warning_limit),
        alarm_low=float(value.lower_alarm_limit),
        alarm_high=float(value.upper_alarm_limit),
        control_low=float(value.lower_ctrl_limit),
        control_high=float(value.upper_ctrl_limit),
    )
