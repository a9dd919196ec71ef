"""What the log tells of one PV, and the account of its samples."""

from dataclasses import dataclass, field

from nualley.pv import Metadata, ValueType


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
    unreadable_seq, linked_seq : int
        Receipt numbers of what last could not be read, and of the last change of the connection, since the last sealed
        segment; -1 where there is none.
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
    unreadable_seq: int = -1
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
