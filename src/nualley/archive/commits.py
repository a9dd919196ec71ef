"""What becomes durable together: a commit of the log."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from nualley.archive.progress import Account
from nualley.pv import Metadata, ValueType


@dataclass(frozen=True, slots=True)
class Note:
    """What a commit says beside its rows.

    Parameters
    ----------
    account : Account
        How far the archive has come with it.
    names : mapping of int to str
        PVs that are new in this segment: their code and name.
    filtered : mapping of int to (mapping of str to int)
        Samples left out on purpose, by PV code and reason.
    metadata : tuple of Metadata
        Units, precision, labels and types that arrived.
    last_heard : mapping of str to int
        IOC -> last proof of its life [ns since 1970 UTC].
    iocs : mapping of int to str
        PV code -> the IOC it was found on.
    silent : tuple of int
        Receipt numbers of those gap rows that are of PVs which stay connected and gave no sample for too long.
    refused : mapping of int to str
        Receipt numbers of those gap rows that are of PVs which stay connected and of which a sample was refused: why.
    is_start : bool
        Whether it is the first one of a process, to which nothing is connected yet.
    """

    account: Account
    names: Mapping[int, str] = field(default_factory=dict)
    filtered: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    metadata: tuple[Metadata, ...] = ()
    last_heard: Mapping[str, int] = field(default_factory=dict)
    iocs: Mapping[int, str] = field(default_factory=dict)
    silent: tuple[int, ...] = ()
    refused: Mapping[int, str] = field(default_factory=dict)
    is_start: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """What becomes durable together: a note, rows by type, and refused samples by type.

    Parameters
    ----------
    note : Note
        What is said beside the rows.
    rows : mapping of ValueType to pyarrow.RecordBatch
        Rows in the order of their receipt.
    quarantined : mapping of ValueType to pyarrow.RecordBatch
        Refused samples, with the column ``reason``.
    """

    note: Note
    rows: Mapping[ValueType, pa.RecordBatch] = field(default_factory=dict)
    quarantined: Mapping[ValueType, pa.RecordBatch] = field(default_factory=dict)

    @property
    def account(self) -> Account:
        """How far the archive has come with it."""
        return self.note.account


@dataclass(frozen=True, slots=True)
class Frame:
    """A commit as it is appended to the log.

    Parameters
    ----------
    account : Account
        Of the commit.
    data : bytes
        The commit, encoded.
    """

    account: Account
    data: bytes
