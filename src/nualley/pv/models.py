"""What a live value is: samples, connections, metadata and the proof that an IOC lives."""

from dataclasses import KW_ONLY, dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:  # numpy is heavy: whoever only names these types does not load it
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

PvValue: TypeAlias = "float | int | str | list[str] | NDArray[Any]"
Events: TypeAlias = Literal["value", "archive"]


class ValueType(StrEnum):
    """What a PV's values are; an enum's value is its index, the labels are metadata."""

    FLOAT64 = "float64"
    INT64 = "int64"
    STRING = "string"
    ENUM = "enum"
    FLOAT64_ARRAY = "float64-array"
    FLOAT32_ARRAY = "float32-array"
    INT32_ARRAY = "int32-array"
    STRING_ARRAY = "string-array"


class PvProtocol(StrEnum):
    """How a value reached us. A plug-in source may bring a word of its own."""

    CA = "ca"
    PVA = "pva"
    MQTT = "mqtt"
    HTTP = "http"
    COMPUTED = "computed"
    IMPORT = "import"


class Severity(IntEnum):
    """EPICS alarm severities: the same numbers over CA and PVA."""

    NO_ALARM = 0
    MINOR = 1
    MAJOR = 2
    INVALID = 3


@dataclass(frozen=True, slots=True)
class MqttPlace:
    """Where an MQTT broker has the values of a PV.

    Parameters
    ----------
    topic : str
        Topic, without wildcards.
    member : str
        Path of the value in a payload that is JSON, such as ``a.b[0]``; empty: the whole payload is the value.
    time_member : str
        Path of its time stamp; empty: the time of receipt.
    time_unit : str
        What a stamp that is a number counts since 1970 UTC: ``ns``, ``us``, ``ms`` or ``s``.
    availability_topic : str
        Topic that says whether the device is there; empty: none.
    payload_available, payload_not_available : str
        What it says then, in letters of any size.
    """

    topic: str
    member: str = ""
    time_member: str = ""
    time_unit: str = "ns"
    availability_topic: str = ""
    payload_available: str = "online"
    payload_not_available: str = "offline"


@dataclass(frozen=True, slots=True)
class PvRequest:
    """A PV that someone wants to hear.

    Parameters
    ----------
    pv : str
        Its name.
    events : {"value", "archive"}
        Which dead band of the record applies: MDEL (``value``) or ADEL (``archive``). Alarms always arrive.
    unit : str
        Its unit, where its source cannot know; empty where it can, or there is none.
    mqtt : MqttPlace or None
        Where an MQTT broker has it.
    expression : str
        What it is computed by; see `nualley.pv.Expression`.
    queue : int or None
        PV Access: how many updates may wait for us, and as many again at the IOC, before the IOC merges them, >= 4.
        None: by the size of an update.
    """

    pv: str
    events: Events = "value"
    _: KW_ONLY
    unit: str = ""
    mqtt: MqttPlace | None = None
    expression: str = ""
    queue: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One update of a PV, as the IOC sent it.

    Parameters
    ----------
    pv : str
        Name of the PV.
    time_ns : int
        The IOC's time stamp [ns since 1970 UTC], exact. A record that was never processed has
        631152000000000000 (the EPICS epoch, 1990): whoever stores it judges.
    value : float, int, str, ndarray or list of str
        As ``value_type`` says; an enum's index; may be NaN; an array may have length 0.
    value_type : ValueType
        What the value is.
    severity : int
        EPICS alarm severity, 0 to 3.
    status : int
        Alarm status in the words of ``protocol``: never compare it across protocols.
    protocol : str
        One of `PvProtocol`, or a plug-in's own word.
    received_ns : int
        When it reached us, by our clock [ns since 1970 UTC].
    unreadable : str
        Why its source could not read it: the value is then what came, as text. Empty: it could.

    Notes
    -----
    Two samples with arrays cannot be compared with ``==``; compare their fields.
    """

    pv: str
    time_ns: int
    value: PvValue
    value_type: ValueType
    severity: int
    status: int
    protocol: str
    received_ns: int
    unreadable: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Updates of many PVs with one number each, as columns in the order of their receipt: what fast sources emit.

    Parameters
    ----------
    pvs : sequence of str
        Names that ``index`` counts in. A source hands out one list that only grows.
    index : ndarray of int32, shape (n,)
        Which PV.
    time_ns : ndarray of int64, shape (n,)
        The IOC's time stamps [ns since 1970 UTC], exact; see `Sample`.
    value : ndarray of float64 or int64, shape (n,)
        Numbers, or indices of an enum; may be NaN.
    value_type : ValueType
        ``float64``, ``int64`` or ``enum``.
    severity : ndarray of int8, shape (n,)
        EPICS alarm severities, 0 to 3.
    status : ndarray of int16, shape (n,)
        Alarm status in the words of ``protocol``.
    protocol : str
        One of `PvProtocol`, or a plug-in's own word.
    received_ns : ndarray of int64, shape (n,)
        When each reached us, by our clock [ns since 1970 UTC].
    """

    pvs: "Sequence[str]"
    index: "NDArray[np.int32]"
    time_ns: "NDArray[np.int64]"
    value: "NDArray[Any]"
    value_type: ValueType
    severity: "NDArray[np.int8]"
    status: "NDArray[np.int16]"
    protocol: str
    received_ns: "NDArray[np.int64]"

    def __len__(self) -> int:
        return len(self.index)

    def only(self, is_wanted: "NDArray[np.bool_]") -> "Samples":
        """Return some of them, in their order."""
        return Samples(
            self.pvs,
            self.index[is_wanted],
            self.time_ns[is_wanted],
            self.value[is_wanted],
            self.value_type,
            self.severity[is_wanted],
            self.status[is_wanted],
            self.protocol,
            self.received_ns[is_wanted],
        )

    def each(self) -> "Iterator[Sample]":
        """Yield them one by one."""
        columns = (self.index, self.time_ns, self.value, self.severity, self.status, self.received_ns)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for index, time_ns, value, severity, status, received_ns in rows:
            yield Sample(self.pvs[index], time_ns, value, self.value_type, severity, status, self.protocol, received_ns)


@dataclass(frozen=True, slots=True)
class Connection:
    """A PV was connected or lost.

    Parameters
    ----------
    pv : str
        Name of the PV.
    is_connected : bool
        Whether it is from now on. False with ``last_heard_ns`` 0 means: never connected.
    ioc : str
        ``host:port`` of the IOC that serves it; empty where it was never connected.
    time_ns : int
        When we noticed [ns since 1970 UTC].
    last_heard_ns : int
        Last proof that its IOC was alive [ns since 1970 UTC], by our clock; 0: never. For a hung IOC it lies
        seconds before ``time_ns``: only up to here is the last value known to have held.
    protocol : str
        One of `PvProtocol`, or a plug-in's own word.
    """

    pv: str
    is_connected: bool
    ioc: str
    time_ns: int
    last_heard_ns: int
    protocol: str


@dataclass(frozen=True, slots=True)
class Limits:
    """A record's limits in its unit; None where the record has none, NaN where it left one unset.

    Parameters
    ----------
    display_low, display_high : float or None
        LOPR and HOPR: the range that a display shows.
    warning_low, warning_high : float or None
        LOW and HIGH.
    alarm_low, alarm_high : float or None
        LOLO and HIHI.
    control_low, control_high : float or None
        DRVL and DRVH: the range that may be set.
    """

    display_low: float | None = None
    display_high: float | None = None
    warning_low: float | None = None
    warning_high: float | None = None
    alarm_low: float | None = None
    alarm_high: float | None = None
    control_low: float | None = None
    control_high: float | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a PV's numbers mean, from now on.

    Parameters
    ----------
    pv : str
        Name of the PV.
    time_ns : int
        When we learned it [ns since 1970 UTC]: CA gives metadata no time stamp of its own.
    value_type : ValueType
        What its values are.
    unit : str
        EGU as the IOC says it; empty where there is none.
    precision : int or None
        Digits after the point; None where the record has none.
    labels : tuple of str
        Words of an enum by index; empty otherwise.
    limits : Limits
        Its limits.
    protocol : str
        One of `PvProtocol`, or a plug-in's own word.
    """

    pv: str
    time_ns: int
    value_type: ValueType
    unit: str = ""
    precision: int | None = None
    labels: tuple[str, ...] = ()
    limits: Limits = field(default=Limits())
    protocol: str = PvProtocol.CA

    def says_same(self, other: "Metadata | None") -> bool:
        """Say whether others say the same, of whatever name and learned whenever."""
        # as text: a limit that is not set is NaN, which equals nothing
        return other is not None and repr(replace(self, pv="", time_ns=0)) == repr(replace(other, pv="", time_ns=0))


@dataclass(frozen=True, slots=True)
class Life:
    """An IOC was proven alive.

    Parameters
    ----------
    ioc : str
        ``host:port`` of the IOC.
    last_heard_ns : int
        When [ns since 1970 UTC], by our clock.
    """

    ioc: str
    last_heard_ns: int


PvEvent: TypeAlias = Sample | Samples | Connection | Metadata | Life
