"""Values of the catalog: runs, files, replicas, notes, activities, quarantined files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple, TypeAlias

from typing_extensions import TypeAliasType  # pydantic brings it; in typing from Python 3.12 on

from nualley.catalog.errors import stops_too_early
from nualley.core import Digests, UsageError, escape_name, make_run_id, split_run_id, unescape_name

Json = TypeAliasType("Json", "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None")


class TimeSource(StrEnum):
    """How the start and stop of a run are known."""

    PV = "pv"
    GIVEN = "given"
    UNKNOWN = "unknown"


class RunType(StrEnum):
    """What a run was taken for."""

    PHYSICS = "physics"
    CALIBRATION = "calibration"
    BACKGROUND = "background"
    TEST = "test"


class ReplicaState(StrEnum):
    """How a replica stands."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    DAMAGED = "damaged"
    MISSING = "missing"
    REMOVED = "removed"  # on purpose: in the trash, or deleted from it

    @property
    def is_there(self) -> bool:
        """Whether something should lie at its place."""
        return self not in (ReplicaState.MISSING, ReplicaState.REMOVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of one detector.

    Parameters
    ----------
    run_id : str
        ``<detector>-<number>``.
    detector : str
        Id of the detector.
    number : int
        Number of the run, >= 0.
    start_ns, stop_ns : int or None
        Bounds [ns since 1970 UTC], half-open; None where not known.
    time_source : TimeSource
        How they are known.
    run_type : str
        Such as ``physics`` or ``calibration``; empty where not known.
    start_reason, stop_reason : str
        Why it began and ended; empty where nobody said.
    settings : mapping
        Settings of the DAQ as the files name them.
    tags : tuple of str
        Sorted.
    created_ns : int
        When it was entered [ns since 1970 UTC]; 0 until stored.

    Raises
    ------
    UsageError
        Where the id does not belong to detector and number, or the run stops before it starts.
    """

    run_id: str
    detector: str
    number: int
    start_ns: int | None = None
    stop_ns: int | None = None
    time_source: TimeSource = TimeSource.UNKNOWN
    run_type: str = ""
    start_reason: str = ""
    stop_reason: str = ""
    settings: Mapping[str, Json] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    created_ns: int = 0

    def __post_init__(self) -> None:
        if self.run_id != make_run_id(self.detector, self.number):
            raise UsageError(
                f"run {self.run_id!r} is not run {self.number} of {self.detector!r}",
                do=f"name it {make_run_id(self.detector, self.number)!r}",
            )
        if self.start_ns is not None and self.stop_ns is not None and self.stop_ns < self.start_ns:
            raise stops_too_early(f"run {self.run_id}", self.start_ns, self.stop_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    r"""A file of a run: its identity is (detector, run, name), its bytes are told by the digests.

    Parameters
    ----------
    file_id : int
        Number in the catalog; 0 until stored.
    run_id, detector : str
        The run it belongs to.
    name : str
        File name, escaped as by `core.escape_name`.
    format : str
        Name of the reader that understood it.
    size_B : int
        Size [B], >= 0.
    xxh3_128, adler32 : str
        Digests of its bytes, 32 and 8 lower-case hex digits.
    n_events : int or None
        Events in it; None where not counted.
    channels : tuple
        Channels in it, as the reader names them.
    record_length : int or None
        Samples per waveform; None where there is no single one.
    defects : tuple of mapping
        What is wrong with it: ``kind``, ``offset_B``, ``detail``.
    created_ns : int
        When it was entered [ns since 1970 UTC]; 0 until stored.
    stage : str
        How far its bytes are from the detector: ``raw``, or a tier of processing or simulation.

    Raises
    ------
    UsageError
        Where the name is not escaped, or the run is not the detector's.
    """

    file_id: int = 0
    run_id: str
    detector: str
    name: str
    format: str
    size_B: int
    xxh3_128: str
    adler32: str
    n_events: int | None = None
    channels: tuple[Json, ...] = ()
    record_length: int | None = None
    defects: tuple[Mapping[str, Json], ...] = ()
    created_ns: int = 0
    stage: str = "raw"

    def __post_init__(self) -> None:
        check_escaped(self.name)
        if split_run_id(self.run_id)[0] != self.detector:
            raise UsageError(f"run {self.run_id!r} is not a run of {self.detector!r}", where=self.name)

    @property
    def digests(self) -> Digests:
        """What tells its bytes."""
        return Digests(self.size_B, self.xxh3_128, self.adler32)


def check_escaped(text: str) -> None:
    """Raise UsageError where a text is no name or path as `core.escape_name` writes it."""
    try:
        is_escaped = escape_name(unescape_name(text)) == text
    except UnicodeEncodeError:  # surrogate escapes, as the file system gave them
        is_escaped = False
    if not is_escaped:
        raise UsageError(f"{text!r} is not an escaped name", do=f"store core.escape_name of it: {escape_name(text)!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One place where the bytes of a file lie.

    Parameters
    ----------
    replica_id, file_id : int
        Numbers in the catalog; 0 until stored.
    drive : str
        Name of the drive.
    path : str
        Path on this machine, escaped as by `core.escape_name`.
    state : ReplicaState
        How it stands.
    verified_ns : int or None
        When its bytes were last read back and found right [ns since 1970 UTC]; None where never.
    created_ns : int
        When it was entered [ns since 1970 UTC]; 0 until stored.

    Raises
    ------
    UsageError
        Where the path is not escaped.
    """

    replica_id: int = 0
    file_id: int = 0
    drive: str
    path: str
    state: ReplicaState = ReplicaState.UNVERIFIED
    verified_ns: int | None = None
    created_ns: int = 0

    def __post_init__(self) -> None:
        check_escaped(self.path)


class PlacedFile(NamedTuple):
    """A replica with what a check of its drive needs of its file.

    Parameters
    ----------
    path : str
        Where it lies on this machine, escaped.
    state : ReplicaState
        How it stands.
    size_B : int
        Size of the file [B].
    verified_ns : int or None
        When its bytes were last found right [ns since 1970 UTC]; None where never.
    replica_id, file_id : int
        Numbers in the catalog.
    run_id : str
        The run of the file.
    xxh3_128 : str
        Digest of the file.
    """

    path: str
    state: ReplicaState
    size_B: int
    verified_ns: int | None
    replica_id: int
    file_id: int
    run_id: str
    xxh3_128: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What somebody wrote about a run; notes are never changed.

    Parameters
    ----------
    note_id : int
        Number in the catalog.
    run_id : str
        The run.
    time_ns : int
        When it was written [ns since 1970 UTC].
    author : str
        Who wrote it; empty where not known.
    text : str
        What it says.
    """

    note_id: int
    run_id: str
    time_ns: int
    author: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Something that was done: what it took, what it made, and by what.

    Parameters
    ----------
    activity_id : int
        Number in the catalog; 0 until stored.
    kind : str
        Such as ``ingest`` or ``transfer``.
    inputs, outputs : tuple of str
        Names of things: a run id, ``file:<run>/<name>``, a path, a dataset id.
    code : str
        Version of the code.
    configuration : str
        Digest or version of the experiment repository.
    host : str
        Where it ran.
    start_ns, stop_ns : int
        When [ns since 1970 UTC].
    """

    activity_id: int = 0
    kind: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    code: str = ""
    configuration: str = ""
    host: str = ""
    start_ns: int
    stop_ns: int


@dataclass(frozen=True, slots=True)
class Origin:
    """By what and where something is done, for the record.

    Parameters
    ----------
    code : str
        Version of the code.
    configuration : str
        Digest of the experiment repository.
    host : str
        Name of the machine.
    """

    code: str = ""
    configuration: str = ""
    host: str = ""

    def activity(
        self, *, kind: str, inputs: tuple[str, ...], outputs: tuple[str, ...] = (), start_ns: int, stop_ns: int
    ) -> Activity:
        """Return what was done from here, with what it took and made, and when [ns since 1970 UTC]."""
        return Activity(
            kind=kind,
            inputs=inputs,
            outputs=outputs,
            code=self.code,
            configuration=self.configuration,
            host=self.host,
            start_ns=start_ns,
            stop_ns=stop_ns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A file that was refused, with the reason.

    Parameters
    ----------
    quarantine_id : int
        Number in the catalog; 0 until stored.
    path : str
        Where it came from, escaped.
    reason : str
        Why it was refused.
    detector, run_id : str or None
        Whose it would have been; None where not known.
    size_B : int
        Size [B], >= 0.
    xxh3_128, adler32 : str
        Digests of its bytes; empty where they could not be read.
    kept_at : str
        Where it is kept, escaped; empty where it was left in its place.
    time_ns : int
        When it was refused [ns since 1970 UTC]; 0 until stored.

    Raises
    ------
    UsageError
        Where a path is not escaped.
    """

    quarantine_id: int = 0
    path: str
    reason: str
    detector: str | None = None
    run_id: str | None = None
    size_B: int = 0
    xxh3_128: str = ""
    adler32: str = ""
    kept_at: str = ""
    time_ns: int = 0

    def __post_init__(self) -> None:
        check_escaped(self.path)
        check_escaped(self.kept_at)


class SourceState(StrEnum):
    """What became of a file in a drop directory."""

    INGESTED = "ingested"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file in a drop directory that was dealt with: while it looks the same, nobody has to read it again.

    Parameters
    ----------
    path : str
        Where it lies, escaped.
    detector : str
        Whose drop directory it is.
    run_id : str or None
        The run that it was taken into or would have been; None where not known.
    state : SourceState
        What became of it.
    size_B : int
        Size [B], >= 0.
    mtime_ns : int
        Last change of its bytes [ns since 1970 UTC].
    inode : int
        Number of the file on its device, >= 0.
    time_ns : int
        When it was dealt with [ns since 1970 UTC]; 0 until stored.

    Raises
    ------
    UsageError
        Where the path is not escaped.
    """

    path: str
    detector: str
    run_id: str | None = None
    state: SourceState
    size_B: int
    mtime_ns: int
    inode: int
    time_ns: int = 0

    def __post_init__(self) -> None:
        check_escaped(self.path)


@dataclass(frozen=True, slots=True)
class FileAdded:
    """What `Catalog.add_file` did.

    Parameters
    ----------
    record : FileRecord
        The file as the catalog holds it.
    replicas : tuple of Replica
        All its replicas.
    already_there : bool
        The file was known before.
    """

    record: FileRecord
    replicas: tuple[Replica, ...]
    already_there: bool


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file that `Catalog.add_files` is to enter.

    Parameters
    ----------
    run : Run
        Its run; entered or completed.
    file : FileRecord
        The file.
    replicas : tuple of Replica
        Where its bytes lie.
    activity : Activity or None
        What brought it here; entered only where file or a replica is new.
    """

    run: Run
    file: FileRecord
    replicas: tuple[Replica, ...] = ()
    activity: Activity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts over the catalog or over one run.

    Parameters
    ----------
    n_runs, n_files : int
        Runs and files.
    n_events : int
        Events: a trigger counts once, also where the DAQ writes a file for each channel; where the channels differ, as
        many as the fullest has.
    n_defects : int
        Defects found in them.
    size_B : int
        Summed size of the files, each once [B].
    n_replicas, n_verified_replicas : int
        Places where they lie, and those of state ``verified``.
    n_quarantined : int
        Files that were refused.
    """

    n_runs: int = 0
    n_files: int = 0
    n_events: int = 0
    n_defects: int = 0
    size_B: int = 0
    n_replicas: int = 0
    n_verified_replicas: int = 0
    n_quarantined: int = 0


UsageKey: TypeAlias = Literal["detector", "stage", "month", "drive"]

USAGE_KEYS: tuple[UsageKey, ...] = ("detector", "stage", "month", "drive")


class FileUsage(NamedTuple):
    """What lies on drives, summed over files and replicas that are not missing.

    Parameters
    ----------
    detector, stage, month, drive : str or None
        Whose, how far processed, when taken (``YYYY-MM`` in UTC, of the run's start; of its entry where that is not
        known) and where; None where summed over all.
    n_files : int
        Replicas.
    size_B : int
        Their bytes [B].
    """

    detector: str | None = None
    stage: str | None = None
    month: str | None = None
    drive: str | None = None
    n_files: int = 0
    size_B: int = 0


class SettingDifference(NamedTuple):
    """A setting in which two runs differ.

    Parameters
    ----------
    key : str
        Dotted name of the setting.
    left, right : Json
        Its value in either run; None where the run lacks it.
    """

    key: str
    left: Json
    right: Json


@dataclass(frozen=True, slots=True)
class CatalogContent:
    """What a database holds, as one comparable value.

    Parameters
    ----------
    version : str
        Version of its schema.
    n_rows_by_table : mapping of str to int
        Rows of each table.
    xxh3_128 : str
        Digest over all rows of all tables, the same on SQLite and PostgreSQL.
    xxh3_128_by_table : mapping of str to str
        Digest of each table.
    """

    version: str
    n_rows_by_table: Mapping[str, int]
    xxh3_128: str
    xxh3_128_by_table: Mapping[str, str]

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been recorded yet."""
        return not any(self.n_rows_by_table.values())


@dataclass(frozen=True, slots=True)
class Drill:
    """A backup that was restored to see whether it can be.

    Parameters
    ----------
    file : str
        The backup.
    time_ns : int
        When [ns since 1970 UTC].
    trouble : str
        Why it could not be; empty where all came back.
    content : CatalogContent
        What came back; where there was trouble, what should have.
    """

    file: str
    time_ns: int
    trouble: str
    content: CatalogContent
