"""What the archive tells: kinds of rows, how a PV stands, last values, gaps."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from nualley.archive.pv_record import Ledger
from nualley.pv import ValueType


class RowKind(IntEnum):
    """What a row says: a sample, or something that happened to the connection."""

    SAMPLE = 0
    DISCONNECT = 1
    RECONNECT = 2
    PAUSE = 3
    GAP = 4


class PvState(StrEnum):
    """How a PV stands."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    NEVER_CONNECTED = "never-connected"
    STALE = "stale"
    QUARANTINED = "quarantined"  # connected, and what came last was kept aside
    UNREADABLE = "unreadable"  # the same: it could not be read
    # nobody expects these to be connected
    PAUSED = "paused"
    REMOVED = "removed"
    IMPORTED = "imported"

    @property
    def is_expected(self) -> bool:
        """Whether a PV that stands so ought to be connected."""
        return self not in {PvState.PAUSED, PvState.REMOVED, PvState.IMPORTED}

    @property
    def is_connected(self) -> bool:
        """Whether a PV that stands so is connected, whatever its last value is worth."""
        return self in {PvState.CONNECTED, PvState.QUARANTINED, PvState.UNREADABLE}


@dataclass(frozen=True, slots=True)
class LastValue:
    """The last value of a PV and how it stands.

    Parameters
    ----------
    pv : str
        Its name.
    time_ns : int or None
        The sample's time [ns since 1970 UTC]; None where there never was one.
    value : object
        Number, text or list; an enum's label.
    severity, status : int or None
        EPICS alarm severity (0 to 3) and status; the meaning of the status depends on the protocol.
    unit : str
        Engineering unit, as the IOC says.
    age_s : float or None
        How long ago the sample was taken [s].
    state : PvState
        Whether it is live, and whether it is to be.
    last_heard_ns : int
        Last proof of life of its IOC [ns since 1970 UTC]; 0 where there is none.
    reason : str
        Why what came last was quarantined; empty where it was not. The value is then that from before.
    """

    pv: str
    time_ns: int | None
    value: object
    severity: int | None
    status: int | None
    unit: str
    age_s: float | None
    state: PvState
    last_heard_ns: int
    reason: str = ""

    @property
    def why(self) -> str:
        """The reason, without the word that the state says already."""
        return self.reason.removeprefix(f"{self.state}: ")

    @property
    def standing(self) -> str:
        """How it stands, in words: ``quarantined (future)``."""
        return f"{self.state} ({self.why})" if self.why else str(self.state)


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch in which nothing was known of a PV.

    Parameters
    ----------
    start_ns, stop_ns : int
        Half-open stretch [ns since 1970 UTC].
    kind : str
        ``disconnect``, ``gap`` or ``pause`` as the row says; ``not-archived`` before the first row, and behind the last
        one of a PV that was only imported; ``archive-not-running``; ``silent`` where a connected PV gives no sign of
        life; ``never-connected``.
    last_heard_ns : int or None
        Last proof of life of the IOC before it [ns since 1970 UTC].
    """

    start_ns: int
    stop_ns: int
    kind: str
    last_heard_ns: int | None


@dataclass(frozen=True, slots=True)
class PvSummary:
    """A PV over all of its names.

    Parameters
    ----------
    now : LastValue
        Its last value, under its present name.
    value_type : ValueType or None
        What its values are; None until one came.
    protocol, ioc : str
        Where it comes from.
    ledger : Ledger
        The account of its samples.
    """

    now: LastValue
    value_type: ValueType | None
    protocol: str
    ioc: str
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a PV is stored.

    Parameters
    ----------
    samples_Hz : float
        Samples a second [Hz].
    over_s : float
        The time that this is of: the part of the last hour in which the PV was archived [s].
    """

    samples_Hz: float
    over_s: float


@dataclass(frozen=True, slots=True)
class ValueAt:
    """What a PV was at a moment.

    Parameters
    ----------
    pv : str
        Its name.
    time_ns : int or None
        Time of its last sample by then [ns since 1970 UTC]; None where there was none.
    value : object
        Number, text or list; an enum's label.
    severity, status : int or None
        EPICS alarm severity (0 to 3) and status.
    is_known : bool
        Whether the value still held: not where nothing was heard of the PV.
    """

    pv: str
    time_ns: int | None
    value: object
    severity: int | None
    status: int | None
    is_known: bool


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A row that is no sample: what happened to a PV's connection.

    A row that stands for lost commits carries the receipt number of the row before or behind them.

    Parameters
    ----------
    pv : str
        Its name.
    time_ns : int
        When it was noticed [ns since 1970 UTC].
    kind : RowKind
        Disconnect, reconnect, pause or gap.
    last_heard_ns : int
        Last proof of life of the IOC before it [ns since 1970 UTC].
    seq : int
        Receipt number.
    protocol : str
        How the PV is reached.
    """

    pv: str
    time_ns: int
    kind: RowKind
    last_heard_ns: int
    seq: int
    protocol: str


BIN_COLUMNS = (
    "start_ns",
    "stop_ns",
    "n",
    "n_good",
    "min",
    "mean",
    "max",
    "first",
    "last",
    "time_mean",
    "severity",
)
"""What is shown of a bin."""


TRACE_COLUMNS = (
    *("start_ns", "length", "n", "n_vetoed", "n_bad", "mean", "rms", "integral_mean", "integral_rms", "integral_min"),
    *("integral_max", "shift_mean", "shift_rms", "severity"),
)
"""What is shown of the arrays of a minute."""
