"""What lies in sealed files and in the index: levels, row groups, files, and the state up to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nualley.archive.models import ConnectionRow
from nualley.archive.progress import NOTHING_YET, Account, Loss
from nualley.archive.pv_record import PvRecord
from nualley.core import HOUR_NS, MINUTE_NS
from nualley.pv import Metadata, ValueType


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
    """Where the parts of a Parquet footer are that speak of one row group, and what they are: offsets in the file [B].

    Parameters
    ----------
    start_B, list_B : int
        Where the footer and its list of row groups begin.
    group_B, group_stop_B : int
        The row group in it.
    tail_B, stop_B : int
        What follows the list, and where the footer ends.
    group_xxh3, rest_xxh3 : int
        Digests (xxh3_64, signed) of the row group in it, and of what is before and behind the list; 0 where an older
        nualley kept none.
    """

    start_B: int
    list_B: int
    group_B: int
    group_stop_B: int
    tail_B: int
    stop_B: int
    group_xxh3: int = 0
    rest_xxh3: int = 0


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
