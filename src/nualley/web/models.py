"""What the status page says, as values: the page, the stream and the JSON are all rendered from these."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from nualley.archive import PvState
from nualley.storage import DriveRole


class DetectorState(StrEnum):
    """What a detector does now."""

    TAKING = "taking data"
    PAUSED = "paused"
    STOPPED = "stopped"
    UNCLEAR = "state not told"
    STALE = "stale"
    DISCONNECTED = "disconnected"
    NOT_ARCHIVED = "not heard yet"
    NO_PVS = "no DAQ PVs"
    NO_DAQ = "no DAQ known"
    PLANNED = "not yet in operation"
    RETIRED = "retired"


_UNTOLD = frozenset({DetectorState.NO_PVS, DetectorState.NO_DAQ, DetectorState.PLANNED, DetectorState.RETIRED})


class BeamState(StrEnum):
    """Whether there is beam."""

    ON = "beam on"
    OFF = "beam off"
    UNKNOWN = "beam unknown"


class DriveState(StrEnum):
    """How a drive stands."""

    OK = "in use"
    ABOVE_LIMIT = "above its limit"
    READ_ONLY = "read-only"
    MISSING = "not there"


class ValueState(StrEnum):
    """How a PV stands: as the archive says, or not archived yet at all."""

    CONNECTED = PvState.CONNECTED.value
    DISCONNECTED = PvState.DISCONNECTED.value
    STALE = PvState.STALE.value
    NEVER_CONNECTED = PvState.NEVER_CONNECTED.value
    QUARANTINED = PvState.QUARANTINED.value
    UNREADABLE = PvState.UNREADABLE.value
    PAUSED = PvState.PAUSED.value
    REMOVED = PvState.REMOVED.value
    IMPORTED = PvState.IMPORTED.value
    NOT_ARCHIVED = "not-archived"

    @property
    def is_wrong(self) -> bool:
        """Whether it ought to have a value of now, and has none."""
        return self not in {ValueState.CONNECTED, ValueState.PAUSED, ValueState.REMOVED, ValueState.IMPORTED}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a part of the page cannot say more.

    Parameters
    ----------
    what : str
        What happened.
    do : str
        What to do about it; empty where nothing is to be done.
    is_alarm : bool
        Whether data are lost while it lasts.
    """

    what: str
    do: str = ""
    is_alarm: bool = False


@dataclass(frozen=True, slots=True)
class ExperimentPart:
    """Which experiment this is.

    Parameters
    ----------
    name, site, description : str
        As ``experiment.toml`` says.
    time_zone : str
        IANA time zone of the people there.
    """

    name: str
    site: str
    description: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class LivePart:
    """Whether live data arrive at this server.

    Parameters
    ----------
    is_live : bool
        A message came within the last seconds.
    message_ns : int or None
        When the last one came [ns since 1970 UTC]; None where none has come since this server started.
    n_lost : int
        Messages that were sent and never arrived here.
    trouble : Trouble or None
        Why the live bus cannot be listened to.
    """

    is_live: bool
    message_ns: int | None
    n_lost: int = 0
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRow:
    """One detector and what it does.

    Parameters
    ----------
    id, name, material : str
        As the experiment repository says.
    state : DetectorState
        What it does now.
    mass_kg, distance_m : float or None
        Mass of the target [kg] and distance from it [m] as they are now; of a retired detector as they were last.
        None: unknown.
    run : str
        Number of the run it is in; empty where not known.
    since_ns : int or None
        Since when [ns since 1970 UTC]: the run, the pause, or the last sign of life.
    live_fraction : float or None
        Live fraction, 0 to 1; None where it is not told.
    rate_Hz : float or None
        Events per second over ``rate_run_id``, its last ingested run.
    rate_run_id : str
        The run that the rate is of; empty where there is none.
    detail : str
        What the state rests on: the PV and its word, or the end of its operation.
    """

    id: str
    name: str
    state: DetectorState
    material: str = ""
    mass_kg: float | None = None
    distance_m: float | None = None
    run: str = ""
    since_ns: int | None = None
    live_fraction: float | None = None
    rate_Hz: float | None = None
    rate_run_id: str = ""
    detail: str = ""

    @property
    def is_told(self) -> bool:
        """Whether a DAQ is there to tell what it does."""
        return self.state not in _UNTOLD


@dataclass(frozen=True, slots=True)
class AlleyPart:
    """The detectors.

    Parameters
    ----------
    placed : tuple of DetectorRow
        Those whose distance is known, nearest to the target first.
    unplaced : tuple of DetectorRow
        Those whose distance is unknown.
    """

    placed: tuple[DetectorRow, ...]
    unplaced: tuple[DetectorRow, ...]

    @property
    def rows(self) -> tuple[DetectorRow, ...]:
        """All of them."""
        return (*self.placed, *self.unplaced)

    @property
    def n_taking(self) -> int:
        """How many take data."""
        return sum(row.state is DetectorState.TAKING for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayBeam:
    """What the accelerator delivered today (UTC).

    Parameters
    ----------
    start_ns, stop_ns : int
        Midnight, and up to when the beam is known [ns since 1970 UTC].
    pot : float or None
        Protons on target; None where the proton energy is not known.
    energy_MWh : float or None
        Beam energy [MWh].
    beam_on_s, unknown_s : float
        Seconds of beam, and seconds in which power or proton energy is not known.
    beam_on_fraction : float or None
        Seconds of beam over the seconds that are known, 0 to 1; None where none is.
    is_mostly_unknown : bool
        Whether less than half of today so far is known: its total says little.
    """

    start_ns: int
    stop_ns: int
    pot: float | None
    energy_MWh: float | None
    beam_on_s: float
    unknown_s: float
    beam_on_fraction: float | None
    is_mostly_unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamPart:
    """The beam now and today.

    Parameters
    ----------
    state : BeamState
        Whether there is beam.
    pv : str
        PV of the power.
    power_W : float or None
        Power on the target [W]; None where it is not known now.
    last_power_W : float or None
        The last value that was known [W], however old.
    time_ns : int or None
        When that was taken [ns since 1970 UTC].
    severity : int or None
        EPICS alarm severity of it, 0 to 3.
    value_state : ValueState
        How the PV stands.
    beam_on_min_W : float
        Power from which on the beam counts as on [W].
    proton_energy_MeV : float or None
        Kinetic energy of a proton now [MeV]; None where it is not known.
    energy_origin : {"pv", "constant", "unknown"}
        Where that comes from.
    today : DayBeam or None
        What was delivered today.
    trouble : Trouble or None
        Why that is not known.
    """

    state: BeamState
    pv: str
    power_W: float | None
    last_power_W: float | None
    time_ns: int | None
    severity: int | None
    value_state: ValueState
    beam_on_min_W: float
    proton_energy_MeV: float | None
    energy_origin: Literal["pv", "constant", "unknown"]
    today: DayBeam | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One recorded run.

    Parameters
    ----------
    run_id, detector : str
        Which run.
    start_ns : int or None
        When it began [ns since 1970 UTC]; None where not known.
    duration_s : float or None
        How long it took [s]; None where it goes on or is not known.
    is_open : bool
        Whether it began and is not known to have stopped.
    n_files, n_events, n_verified_replicas, n_defects : int
        Its files, their events, verified replicas and defects.
    pot : float or None
        Protons on target; None where not known.
    pot_words : str
        Why the protons are not known, or how doubtful they are; empty where all is well.
    """

    run_id: str
    detector: str
    start_ns: int | None
    duration_s: float | None
    is_open: bool
    n_files: int
    n_events: int
    n_verified_replicas: int
    n_defects: int
    pot: float | None = None
    pot_words: str = ""


@dataclass(frozen=True, slots=True)
class RunsPart:
    """The last runs.

    Parameters
    ----------
    rows : tuple of RunRow
        Newest first.
    n_runs : int
        How many runs there are in all.
    trouble : Trouble or None
        Why they are not known.
    """

    rows: tuple[RunRow, ...]
    n_runs: int
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePart:
    """The account of samples.

    Parameters
    ----------
    received, stored, quarantined, filtered, gaps : int or None
        As the archive counts; None where nothing was archived yet.
    is_balanced : bool or None
        Whether received = stored + quarantined + filtered.
    difference : int
        Samples received that nothing accounts for.
    synced_ns : int or None
        When the last commit was made [ns since 1970 UTC].
    is_late : bool
        The last commit is older than it should be.
    n_pvs : int
        PVs that are archived.
    trouble : Trouble or None
        Why it is not known.
    """

    received: int | None = None
    stored: int | None = None
    quarantined: int | None = None
    filtered: int | None = None
    gaps: int | None = None
    is_balanced: bool | None = None
    difference: int = 0
    synced_ns: int | None = None
    is_late: bool = False
    n_pvs: int = 0
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveRow:
    """One drive and how full it is.

    Parameters
    ----------
    name, path : str
        Its name and where it is mounted.
    role : DriveRole
        What may be written there.
    state : DriveState
        How it stands.
    fill_fraction : float or None
        Filled part of its capacity, 0 to 1; None where it is not there.
    limit_fraction : float
        Filled part above which nothing more is written, 0 to 1.
    used_B, capacity_B, available_B : int or None
        Bytes in use, that users can fill, and that are free [B]; None where it is not there.
    noted_fraction : float or None
        Filled part as somebody wrote it down, 0 to 1.
    noted_on : str
        The day on which that was so, ISO 8601; empty where not known.
    noted_source : str
        Where that is written.
    words : str
        Why it is not there; empty where it is.
    """

    name: str
    path: str
    role: DriveRole
    state: DriveState
    fill_fraction: float | None
    limit_fraction: float
    used_B: int | None = None
    capacity_B: int | None = None
    available_B: int | None = None
    noted_fraction: float | None = None
    noted_on: str = ""
    noted_source: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class DrivesPart:
    """The drives.

    Parameters
    ----------
    rows : tuple of DriveRow
        In the order of ``drives.toml``.
    trouble : Trouble or None
        Why they are not known.
    """

    rows: tuple[DriveRow, ...]
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueRow:
    """One archived PV.

    Parameters
    ----------
    pv, group, description : str
        Its name, group and description.
    value : str
        Its last value, written for a person.
    unit : str
        Its unit, as the IOC says.
    time_ns : int or None
        When it was taken [ns since 1970 UTC].
    severity : int or None
        EPICS alarm severity, 0 to 3.
    state : ValueState
        How it stands.
    reason : str
        Why what came last was quarantined; empty where it was not.
    """

    pv: str
    state: ValueState
    group: str = ""
    description: str = ""
    value: str = ""
    unit: str = ""
    time_ns: int | None = None
    severity: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ValuesPart:
    """Every PV that is archived or ought to be.

    Parameters
    ----------
    rows : tuple of ValueRow
        What is wrong comes first, then by name.
    trouble : Trouble or None
        Why the archive cannot be read.
    """

    rows: tuple[ValueRow, ...]
    trouble: Trouble | None = None

    @property
    def n_wrong(self) -> int:
        """How many ought to be connected and are not."""
        return sum(row.state.is_wrong for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All that the status page says.

    Parameters
    ----------
    time_ns : int
        When it was so [ns since 1970 UTC].
    experiment : ExperimentPart
        Which experiment.
    live : LivePart
        Whether live data arrive.
    processes : tuple of Trouble
        Those of the experiment's processes that do not run, and what they found damaged of the archive's files.
    alley : AlleyPart
        The detectors.
    beam : BeamPart
        The beam now and today.
    runs : RunsPart
        The last runs.
    archive : ArchivePart
        The account of samples.
    drives : DrivesPart
        The drives.
    values : ValuesPart
        Every PV.
    """

    time_ns: int
    experiment: ExperimentPart
    live: LivePart
    processes: tuple[Trouble, ...]
    alley: AlleyPart
    beam: BeamPart
    runs: RunsPart
    archive: ArchivePart
    drives: DrivesPart
    values: ValuesPart
