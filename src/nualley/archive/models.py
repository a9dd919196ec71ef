"""The archive's values: kinds of rows, what is known of a PV, files, and the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from nualley.core import HOUR_NS, MINUTE_NS
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


@dataclass(frozen=True, slots=True)
class Refusal:
    """That a sample of a PV was quarantined, and none was taken since.

    Parameters
    ----------
    seq : int
        Receipt number of the sample, or of the gap row that tells of it.
    reason : str
        Why it was quarantined.
    has_gap : bool
        Whether a gap row tells of it: the PV is connected all the same.
    """

    seq: int
    reason: str
    has_gap: bool


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
    linked_seq : int
        Receipt number of the last change of the connection, since the last sealed segment; -1 where there is none.
    synced_seq : int
        Receipt number of its last durable row: a sample, a quarantined one, or a change of the connection; -1 where
        there is none.
    is_silent : bool
        Whether it is connected and periodic, and gave no sample for too long.
    refused : Tail or None
        The sample of it that was quarantined last.
    refused_seq : int
        Its receipt number, since the last sealed segment; -1 where there is none.
    refusal : Refusal or None
        Why its last value holds no longer, or why it never had one, since a sample was quarantined; what came behind it
        by its receipt number counts.
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
    linked_seq: int = -1
    synced_seq: int = -1
    is_silent: bool = False
    refused: Tail | None = None
    refused_seq: int = -1
    refusal: Refusal | None = None
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


class Level(StrEnum):
    """What a sealed file holds: rows, refused rows, cells of a width, or averages of arrays over minutes."""

    RAW = "raw"
    QUARANTINE = "quarantine"
    MINUTE = "1min"
    HOUR = "1h"
    WAVE = "wave"


TIERS: Mapping[Level, int] = {Level.MINUTE: MINUTE_NS, Level.HOUR: HOUR_NS}
"""Width of the cells of each tier [ns]."""


class Encoding(StrEnum):
    """How values are written: as a dictionary of the distinct ones, or byte by byte (BYTE_STREAM_SPLIT)."""

    DICTIONARY = "dict"
    SPLIT = "split"


@dataclass(frozen=True, slots=True)
class FooterPlace:
    """Where the parts of a Parquet footer are that speak of one row group: offsets in the file [B].

    Parameters
    ----------
    start_B, list_B : int
        Where the footer and its list of row groups begin.
    group_B, group_stop_B : int
        The row group in it.
    tail_B, stop_B : int
        What follows the list, and where the footer ends.
    """

    start_B: int
    list_B: int
    group_B: int
    group_stop_B: int
    tail_B: int
    stop_B: int


@dataclass(frozen=True, slots=True)
class RowGroup:
    """One PV's run of rows, or of cells, in a Parquet file.

    Parameters
    ----------
    path : str
        The file, relative to the archive.
    level : Level
        What its rows are.
    value_type : ValueType
        What its values are.
    n_rows : int
        Rows in it.
    start_ns, stop_ns : int
        Times of the first and the last row, both inside.
    first_sample_ns, last_sample_ns : int or None
        Times of the first and the last row that is a sample; None where none is.
    place : FooterPlace
        Where the file's footer speaks of it.
    skip_rows : int
        Rows of other PVs before it in the same row group of Parquet, >= 0.
    """

    path: str
    level: Level
    value_type: ValueType
    n_rows: int
    start_ns: int
    stop_ns: int
    first_sample_ns: int | None
    last_sample_ns: int | None
    place: FooterPlace
    skip_rows: int = 0


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A Parquet file of the archive.

    Parameters
    ----------
    path : str
        Relative to the archive.
    level : Level
        What its rows are.
    value_type : ValueType
        What its values are.
    n_rows, size_B : int
        Rows and bytes.
    sha256 : str
        Digest of the file.
    groups : tuple of (str, RowGroup)
        PV and its row group, by PV and time.
    """

    path: str
    level: Level
    value_type: ValueType
    n_rows: int
    size_B: int
    sha256: str
    groups: tuple[tuple[str, RowGroup], ...]

    @property
    def start_ns(self) -> int:
        """Time of its first row [ns since 1970 UTC]."""
        return min((group.start_ns for _, group in self.groups), default=0)

    @property
    def stop_ns(self) -> int:
        """Time of its last row [ns since 1970 UTC]."""
        return max((group.stop_ns for _, group in self.groups), default=0)


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file as the index lists it.

    Parameters
    ----------
    file_id : int
        Its number, never given again.
    path : str
        Relative to the archive.
    level : Level
        What its rows are.
    value_type : ValueType
        What its values are.
    shard : str
        Who wrote it; empty where it was joined from several.
    start_ns, stop_ns : int
        Times of the first and the last row, both inside [ns since 1970 UTC].
    n_rows, size_B : int
        Rows and bytes.
    sha256 : str
        Digest of the file.
    """

    file_id: int
    path: str
    level: Level
    value_type: ValueType
    shard: str
    start_ns: int
    stop_ns: int
    n_rows: int
    size_B: int
    sha256: str


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
    imported : tuple of PvRecord
        What was taken in beside the log: a PV may be in both.
    is_by_receipt : bool
        Whether the records are in the order of receipt also where a PV changed its type within a commit: an older
        nualley folded them type by type.
    """

    segment: int = -1
    records: tuple[PvRecord, ...] = ()
    account: Account = NOTHING_YET
    life_by_ioc: Mapping[str, int] = field(default_factory=dict)
    has_log: bool = False
    imported: tuple[PvRecord, ...] = ()
    is_by_receipt: bool = True


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
    metadata : tuple of Metadata
        What was learned of PVs, by time; also what says nothing new.
    """

    files: tuple[SealedFile, ...] = ()
    connections: tuple[ConnectionRow, ...] = ()
    losses: tuple[Loss, ...] = ()
    metadata: tuple[Metadata, ...] = ()


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
