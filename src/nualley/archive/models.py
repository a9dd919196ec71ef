"""The archive's values: kinds of rows, what is known of a PV, files, and the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from nualley.pv import Metadata, ValueType


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


@dataclass(frozen=True, slots=True)
class Ledger:
    """The account of samples: ``received = stored + quarantined + filtered``.

    Parameters
    ----------
    received, stored, quarantined, filtered : int
        Samples since the archive began. It begins at receipt: what a server merges or drops before it sends is
        invisible to the protocol.
    gaps : int
        Stretches in which a value is not known: rows of kind disconnect, gap and pause.
    """

    received: int = 0
    stored: int = 0
    quarantined: int = 0
    filtered: int = 0
    gaps: int = 0

    @property
    def is_balanced(self) -> bool:
        """Whether every sample received is accounted for."""
        return self.received == self.stored + self.quarantined + self.filtered


@dataclass(slots=True)
class Tail:
    """The newest stored sample of a PV: what the next one is judged by.

    Parameters
    ----------
    time_ns : int
        Its time [ns since 1970 UTC].
    fingerprint : str
        What a repeat of it would have.
    """

    time_ns: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class LastSample:
    """The newest stored sample of a PV.

    Parameters
    ----------
    time_ns, seq : int
        Its time [ns since 1970 UTC] and receipt number.
    value : object
        Number, text or list of them.
    severity, status : int
        EPICS alarm severity and status.
    fingerprint : str
        What a repeat of it would have.
    """

    time_ns: int
    seq: int
    value: object
    severity: int
    status: int
    fingerprint: str


@dataclass(slots=True)
class PvRecord:
    """One PV, as the log tells it up to some commit.

    Parameters
    ----------
    code : int
        Number of the PV in the log.
    name : str
        Its name.
    in_doubt_since_ns : int or None
        Since when its value is unknown because commits are lost [ns since 1970 UTC]; None where it is not.
    """

    code: int
    name: str
    value_type: ValueType | None = None
    protocol: str = ""
    ioc: str = ""
    metadata: Metadata | None = None
    has_connected: bool = False
    is_connected: bool = False
    last: LastSample | None = None
    last_heard_ns: int = 0
    in_doubt_since_ns: int | None = None
    n_stored: int = 0
    n_quarantined: int = 0
    n_gaps: int = 0
    filtered: dict[str, int] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        """The account of this PV's samples."""
        filtered = sum(self.filtered.values())
        return Ledger(
            received=self.n_stored + self.n_quarantined + filtered,
            stored=self.n_stored,
            quarantined=self.n_quarantined,
            filtered=filtered,
            gaps=self.n_gaps,
        )

    @property
    def tail(self) -> Tail | None:
        """What the next sample is judged by."""
        return Tail(self.last.time_ns, self.last.fingerprint) if self.last else None

    def shown(self, value: object) -> object:
        """Return an enum's label; any other value as it is."""
        labels = self.metadata.labels if self.metadata else ()
        if self.value_type is ValueType.ENUM and isinstance(value, int) and 0 <= value < len(labels):
            return labels[value]
        return value


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
        Whether it is live.
    last_heard_ns : int
        Last proof of life of its IOC [ns since 1970 UTC]; 0 where there is none.
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


@dataclass(frozen=True, slots=True)
class Account:
    """How far an archive had come with a commit, counted from its first one on.

    Commits are numbered without a hole: where a number is missing, a commit was acknowledged and is lost.

    Parameters
    ----------
    number : int
        Number of the commit; 0 before the first one.
    n_received : int
        Samples received since the archive began.
    seq : int
        Last receipt number.
    time_ns : int
        When the commit was made [ns since 1970 UTC].
    """

    number: int = 0
    n_received: int = 0
    seq: int = 0
    time_ns: int = 0


NOTHING_YET = Account()
"""The account of an archive that is about to begin."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a shard's log is synced: what was acknowledged, kept beside the log so that a loss shows.

    Parameters
    ----------
    segment : int
        Number of the open segment.
    offset_B : int
        Bytes of that segment that are durable.
    account : Account
        Of the last synced commit.
    """

    segment: int
    offset_B: int
    account: Account


@dataclass(frozen=True, slots=True)
class Loss:
    """Commits that were acknowledged and cannot be read any more.

    Parameters
    ----------
    n_commits : int
        How many; at least so many where the whole log is gone.
    start_ns, stop_ns : int
        Times of the commits around them that are whole [ns since 1970 UTC]; what PVs did between is unknown.
    """

    n_commits: int
    start_ns: int
    stop_ns: int


@dataclass(frozen=True, slots=True)
class Repair:
    """What was wrong with the bytes of a segment of the log.

    Parameters
    ----------
    torn_B : int
        Bytes behind the last whole frame, cut off [B].
    damaged_B : int
        Bytes between whole frames that were once synced and cannot be read now; kept in ``quarantine/`` [B].
    """

    torn_B: int = 0
    damaged_B: int = 0


@dataclass(frozen=True, slots=True)
class RowGroup:
    """One PV's run of rows in a Parquet file.

    Parameters
    ----------
    path : str
        The file, relative to the archive.
    value_type : ValueType
        What its values are.
    row_group : int
        Number of the row group in the file.
    n_rows : int
        Rows in it.
    start_ns, stop_ns : int
        Times of the first and the last row, both inside.
    first_sample_ns : int or None
        Time of the first row that is a sample; None where none is.
    """

    path: str
    value_type: ValueType
    row_group: int
    n_rows: int
    start_ns: int
    stop_ns: int
    first_sample_ns: int | None


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A Parquet file that took over rows from the log.

    Parameters
    ----------
    path : str
        Relative to the archive.
    value_type : ValueType
        What its values are.
    is_quarantine : bool
        Whether it holds refused samples.
    n_rows, size_B : int
        Rows and bytes.
    sha256 : str
        Digest of the file.
    groups : tuple of (str, RowGroup)
        PV and its row group.
    """

    path: str
    value_type: ValueType
    is_quarantine: bool
    n_rows: int
    size_B: int
    sha256: str
    groups: tuple[tuple[str, RowGroup], ...]


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


@dataclass(frozen=True, slots=True)
class SealedState:
    """What the index knows: everything up to the last sealed segment.

    Parameters
    ----------
    segment : int
        Number of that segment; -1 where none is.
    records : tuple of PvRecord
        Every PV and its account.
    account : Account
        Of the last commit by then.
    life_by_ioc : mapping of str to int
        IOC -> last proof of life [ns since 1970 UTC].
    has_log : bool
        Whether the log ever began: where it is not there then, it was taken away.
    """

    segment: int = -1
    records: tuple[PvRecord, ...] = ()
    account: Account = NOTHING_YET
    life_by_ioc: Mapping[str, int] = field(default_factory=dict)
    has_log: bool = False


@dataclass(frozen=True, slots=True)
class SealedContents:
    """What became of a segment's rows.

    Parameters
    ----------
    files : tuple of SealedFile
        Where they are.
    connections : tuple of ConnectionRow
        Those that are no samples.
    losses : tuple of Loss
        Commits that were missing.
    """

    files: tuple[SealedFile, ...] = ()
    connections: tuple[ConnectionRow, ...] = ()
    losses: tuple[Loss, ...] = ()
