"""What MQTT messages mean for PVs: samples, and who is connected; pure functions of what came in."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import xxhash

from nualley.pv.errors import PayloadError
from nualley.pv.models import (
    Connection,
    Life,
    Metadata,
    MqttPlace,
    PvEvent,
    PvProtocol,
    PvRequest,
    PvValue,
    Sample,
    Severity,
    ValueType,
)
from nualley.pv.payloads import (
    LABELS,
    Reading,
    places_by_topic,
    read_availability,
    read_payload,
    shown_payload,
)


@dataclass(frozen=True, slots=True)
class Known:
    """The newest sample of a PV that is stored.

    Parameters
    ----------
    time_ns : int
        Its stamp [ns since 1970 UTC].
    value : object
        Its value.
    """

    time_ns: int
    value: object


AskKnown: TypeAlias = Callable[[str], Known | None]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a broker.

    Parameters
    ----------
    topic : str
        Its topic.
    payload : bytes
        What it holds.
    received_ns : int
        When it reached us [ns since 1970 UTC].
    qos : int
        0: nobody would send it again.
    mid : int
        The packet identifier, for the acknowledgement.
    is_retained : bool
        Whether the broker had it already when we subscribed.
    is_again : bool
        Whether the broker sent it before.
    first_ns : int
        When it reached us then, and may be stored already [ns since 1970 UTC]; 0: it did not.
    """

    topic: str
    payload: bytes
    received_ns: int
    qos: int = 1
    mid: int = 0
    is_retained: bool = False
    is_again: bool = False
    first_ns: int = 0

    @property
    def key(self) -> str:
        """What tells it from others that are under way."""
        # a packet identifier is used again after 65535 others: content tells it apart from what had it before
        return f"{self.mid}-{xxhash.xxh3_64_hexdigest(self.topic.encode() + bytes(1) + self.payload)}"


@dataclass(slots=True)
class _Pv:
    """One PV: where it is, and what was told of it."""

    place: MqttPlace
    unit: str
    is_up: bool | None = None
    is_away: bool = False  # its device said so
    heard_ns: int = 0
    value_type: ValueType | None = None
    value: object = None
    is_safe: bool = False  # its last message would have been kept for us while we were away
    refused: bytes | None = None  # the last payload, where it could not be read


class Feed:
    """The PVs of one broker.

    Parameters
    ----------
    broker : str
        What stands in the place of an IOC: ``mqtt:host:port``.
    known : callable
        Returns what is stored of a PV.
    unsaved_ns : tuple of (int, int)
        From when to when what reached an earlier process of ours was not made durable [ns since 1970 UTC].

    Attributes
    ----------
    n_repeated : int
        Samples that the broker sent again and that are stored already.
    n_unreadable : int
        Samples that could not be read.
    """

    def __init__(self, broker: str, known: AskKnown, unsaved_ns: tuple[int, int] = (0, 0)) -> None:
        self._broker = broker
        self._known = known
        self._unsaved_ns = unsaved_ns
        self._pvs: dict[str, _Pv] = {}
        self._topics: dict[str, list[str]] = {}
        self.n_repeated = 0
        self.n_unreadable = 0

    @property
    def topics(self) -> tuple[str, ...]:
        """What is to be subscribed to: availabilities first, so that a device that is away is known to be."""
        availabilities = {pv.place.availability_topic for pv in self._pvs.values()}
        return tuple(sorted(self._topics, key=lambda topic: (topic not in availabilities, topic)))

    def pvs(self, topic: str) -> list[str]:
        """Return the PVs that hang on a topic."""
        return self._topics.get(topic, [])

    def add(self, request: PvRequest) -> None:
        """Take one more PV, or one anew."""
        if request.mqtt is not None:
            self._pvs[request.pv] = _Pv(request.mqtt, request.unit)
            self._sort()

    def remove(self, pv: str) -> None:
        """Forget a PV."""
        self._pvs.pop(pv, None)
        self._sort()

    def take(self, message: Message) -> list[PvEvent]:
        """Return what a message tells, in the order in which it is to be told."""
        told: list[PvEvent] = []
        for name in self._topics.get(message.topic, ()):
            pv = self._pvs[name]
            if message.topic == pv.place.availability_topic:
                told += self._availability(name, pv, message)
            if message.topic == pv.place.topic:
                told += self._sample(name, pv, message)
        return told

    def resumed(self, now_ns: int) -> list[PvEvent]:
        """Note that the broker is back and kept what came meanwhile: values hold again whose devices send so."""
        told: list[PvEvent] = [Life(self._broker, now_ns)]
        for name, pv in self._pvs.items():
            if pv.is_safe and not pv.is_away and pv.is_up is False:
                told += self._tell(name, pv, is_connected=True, now_ns=now_ns, heard_ns=now_ns)
        return told

    def lost(self, now_ns: int, heard_ns: int) -> list[PvEvent]:
        """Note that the broker is gone.

        Parameters
        ----------
        now_ns : int
            When we noticed [ns since 1970 UTC].
        heard_ns : int
            The last proof that it lived [ns since 1970 UTC]; 0: never.
        """
        return [
            event
            for name, pv in self._pvs.items()
            for event in self._tell(
                name, pv, is_connected=False, now_ns=now_ns, heard_ns=heard_ns if pv.is_up is not None else 0
            )
        ]

    def missed(self, topics: Iterable[str], now_ns: int) -> list[PvEvent]:
        """Note that messages of topics were dropped: what their PVs are is unknown until the next one."""
        names = dict.fromkeys(name for topic in topics for name in self._topics.get(topic, ()))
        return [
            event
            for name in names
            for event in self._tell(name, self._pvs[name], is_connected=False, now_ns=now_ns, heard_ns=now_ns)
        ]

    def _sort(self) -> None:
        self._topics = places_by_topic([(name, pv.place) for name, pv in self._pvs.items()])

    def _tell(self, name: str, pv: _Pv, *, is_connected: bool, now_ns: int, heard_ns: int) -> list[PvEvent]:
        if pv.is_up is is_connected:
            return []
        pv.is_up = is_connected
        return [Connection(name, is_connected, self._broker, now_ns, heard_ns, PvProtocol.MQTT)]

    def _availability(self, name: str, pv: _Pv, message: Message) -> list[PvEvent]:
        is_there, now_ns = read_availability(message.payload, pv.place), message.received_ns
        if is_there is None:
            return []
        pv.is_away = not is_there
        if is_there and pv.heard_ns:
            return self._tell(name, pv, is_connected=True, now_ns=now_ns, heard_ns=now_ns)
        if is_there:
            return []  # nothing is known of its value yet
        # the broker sends a last will late: what is sure is the last message of the device
        return self._tell(name, pv, is_connected=False, now_ns=now_ns, heard_ns=pv.heard_ns)

    def _sample(self, name: str, pv: _Pv, message: Message) -> list[PvEvent]:
        try:
            reading = read_payload(message.payload, pv.place)
        except PayloadError as error:
            return self._unreadable(name, pv, message, error.what)
        pv.refused = None
        told = self._heard(name, pv, message, reading)
        time_ns = reading.time_ns or message.first_ns or message.received_ns
        if self._is_stored(name, pv, message, reading, time_ns):
            self.n_repeated += 1
            return told
        pv.value = reading.value
        return [*told, _sample(name, message, reading.value, reading.value_type, time_ns)]

    def _unreadable(self, name: str, pv: _Pv, message: Message, why: str) -> list[PvEvent]:
        if message.is_retained and message.payload == pv.refused:
            return []
        pv.refused = message.payload
        self.n_unreadable += 1
        shown = shown_payload(message.payload)
        return [_sample(name, message, shown, ValueType.STRING, message.received_ns, unreadable=why)]

    def _heard(self, name: str, pv: _Pv, message: Message, reading: Reading) -> list[PvEvent]:
        """Say what a readable message tells of the connection and of the meaning of the numbers."""
        now_ns = message.received_ns
        told: list[PvEvent] = []
        if not message.is_retained:
            pv.is_away, pv.is_safe = False, message.qos > 0
        if not message.is_retained or not pv.heard_ns:
            pv.heard_ns = now_ns
        if not pv.is_away:  # what is retained of a device that is away is what it was
            told += self._tell(name, pv, is_connected=True, now_ns=now_ns, heard_ns=now_ns)
        if pv.value_type is not reading.value_type:
            pv.value_type = reading.value_type
            labels = LABELS if reading.value_type is ValueType.ENUM else ()
            told.append(Metadata(name, now_ns, reading.value_type, pv.unit, None, labels, protocol=PvProtocol.MQTT))
        return told

    def _is_stored(self, name: str, pv: _Pv, message: Message, reading: Reading, time_ns: int) -> bool:
        """Say whether a message that is retained or sent again brings nothing new."""
        begin_ns, end_ns = self._unsaved_ns
        if not message.is_retained and (not message.first_ns or begin_ns < message.first_ns < end_ns):
            return False
        known = self._known(name)
        if known is not None and (message.first_ns or reading.time_ns is not None):
            is_older, is_now = time_ns < known.time_ns, time_ns == known.time_ns
            return is_older or (is_now and _is_same(reading.value, known.value))
        if not message.is_retained or reading.time_ns is not None:
            return False
        before = pv.value if pv.value is not None else known.value if known else None
        return before is not None and _is_same(reading.value, before)


def _sample(
    name: str, message: Message, value: PvValue, value_type: ValueType, time_ns: int, *, unreadable: str = ""
) -> Sample:
    return Sample(
        pv=name,
        time_ns=time_ns,
        value=value,
        value_type=value_type,
        severity=Severity.NO_ALARM,
        status=0,
        protocol=PvProtocol.MQTT,
        received_ns=message.received_ns,
        unreadable=unreadable,
    )


def _is_same(value: object, other: object) -> bool:
    # NaN is NaN here, and an array that was stored comes back as a list
    return repr(_plain(value)) == repr(_plain(other))


def _plain(value: object) -> object:
    return value.tolist() if hasattr(value, "tolist") else value
