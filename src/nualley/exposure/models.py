"""Exposure as values: of runs, of detectors, the ledger of protons, cumulative curves, average traces."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from nualley.core import Interval, IntervalSet

JsonObject = dict[str, object]

QUANTITIES = ("pot", "pot_live", "energy_GWh", "beam_on_s", "livetime_s", "unknown_s", "n_pulses")
"""What is told of every run and, summed, of every detector."""

_OF_BEAM = ("pot", "pot_live", "energy_GWh", "beam_on_s", "n_pulses", "pot_charge")


class DefectKind(StrEnum):
    """What may be doubtful about an exposure."""

    BEAM_UNKNOWN = "beam-unknown"
    CHARGE_DIFFERS = "charge-differs"
    CHARGE_UNKNOWN = "charge-unknown"
    RATE_UNKNOWN = "rate-unknown"
    DEAD_TIME_UNKNOWN = "dead-time-unknown"
    OVERLAP = "overlap"


@dataclass(frozen=True, slots=True)
class ExposureDefect:
    """Something doubtful about a run's exposure.

    Parameters
    ----------
    kind : DefectKind
        What it is.
    detail : str
        The numbers found and expected.
    """

    kind: DefectKind
    detail: str

    def to_json(self) -> JsonObject:
        """Return it as a JSON object."""
        return {"kind": str(self.kind), "detail": self.detail}


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """Beam and time, of a run or summed over runs.

    Parameters
    ----------
    pot : float or None
        Protons delivered while the beam was on and power and proton energy were known; not dead-time corrected.
    pot_live : float or None
        The same, times the live fraction of the moment, 0 in DAQ pauses; None while dead time is unknown.
    energy_GWh : float or None
        Beam energy over the same seconds [GWh].
    beam_on_s : float or None
        Seconds of beam.
    livetime_s : float or None
        Seconds less DAQ pauses and dead time, whatever the beam did; where dead time is unknown throughout, less
        pauses only.
    unknown_s : float or None
        Seconds in which power or proton energy has no valid value.
    n_pulses : int or None
        Pulses over the seconds of beam; None where no rate is archived.
    pot_charge : float or None
        Protons by charge per pulse over the seconds of beam; None where it is not archived.
    """

    pot: float | None = None
    pot_live: float | None = None
    energy_GWh: float | None = None
    beam_on_s: float | None = None
    livetime_s: float | None = None
    unknown_s: float | None = None
    n_pulses: int | None = None
    pot_charge: float | None = None

    def is_beam_unknown(self, duration_s: float) -> bool:
        """Return whether the beam was known at no moment: sums of 0 are no statement then.

        Parameters
        ----------
        duration_s : float
            How long it is that the amounts are of [s].
        """
        # sums of seconds are rounded
        return bool(self.unknown_s) and math.isclose(self.unknown_s or 0, duration_s, rel_tol=1e-12)

    def as_known(self, duration_s: float) -> "Amounts":
        """Return what may be said of them: nothing of a beam that was known at no moment, where all sums are 0.

        Parameters
        ----------
        duration_s : float
            How long it is that the amounts are of [s].
        """
        return replace(self, **dict.fromkeys(_OF_BEAM)) if self.is_beam_unknown(duration_s) else self

    def to_json(self) -> JsonObject:
        """Return the quantities as a JSON object."""
        return {name: getattr(self, name) for name in QUANTITIES}


def sum_of_amounts(amounts: Iterable[Amounts]) -> Amounts:
    """Add up what several runs got.

    Parameters
    ----------
    amounts : iterable of Amounts
        One of each run that has times.

    Returns
    -------
    Amounts
        The sums. None in one run makes that sum None: a part of a sum would pass for the whole. Of no runs: all None.
    """
    rows = list(amounts)
    n_pulses = [row.n_pulses for row in rows if row.n_pulses is not None]
    return Amounts(
        pot=_sum([row.pot for row in rows]),
        pot_live=_sum([row.pot_live for row in rows]),
        energy_GWh=_sum([row.energy_GWh for row in rows]),
        beam_on_s=_sum([row.beam_on_s for row in rows]),
        livetime_s=_sum([row.livetime_s for row in rows]),
        unknown_s=_sum([row.unknown_s for row in rows]),
        n_pulses=sum(n_pulses) if rows and len(n_pulses) == len(rows) else None,
        pot_charge=_sum([row.pot_charge for row in rows]),
    )


def _sum(column: list[float | None]) -> float | None:
    known = [value for value in column if value is not None]
    return math.fsum(known) if column and len(known) == len(column) else None


@dataclass(frozen=True, slots=True)
class RunExposure:
    """What a run got of the beam.

    Parameters
    ----------
    run_id : str
        ``<detector>-<number>``.
    detector : str
        Id of the detector.
    start_ns, stop_ns : int or None
        Bounds that were integrated [ns since 1970 UTC]; of a run that goes on, up to where the beam is known.
    amounts : Amounts
        Beam and time; all None where the run has no times.
    is_open : bool
        Whether the run goes on.
    defects : tuple of ExposureDefect
        What is doubtful.
    reason : str
        Why there is no exposure; empty where there is one.
    """

    run_id: str
    detector: str
    start_ns: int | None
    stop_ns: int | None
    amounts: Amounts
    is_open: bool = False
    defects: tuple[ExposureDefect, ...] = ()
    reason: str = ""

    @property
    def has_times(self) -> bool:
        """Whether it could be integrated."""
        return not self.reason

    @property
    def interval(self) -> Interval | None:
        """What was integrated; None where there are no times."""
        if self.reason or self.start_ns is None or self.stop_ns is None:
            return None
        return Interval(self.start_ns, self.stop_ns)

    @property
    def known_amounts(self) -> Amounts:
        """What may be said of the amounts; see `Amounts.as_known`."""
        return self.amounts if self.interval is None else self.amounts.as_known(self.interval.duration_ns / 1e9)

    def to_json(self) -> JsonObject:
        """Return it as a JSON object."""
        amounts = self.known_amounts
        return {
            "run_id": self.run_id,
            "detector": self.detector,
            "start_ns": self.start_ns,
            "stop_ns": self.stop_ns,
            **amounts.to_json(),
            "pot_charge": amounts.pot_charge,
            "is_open": self.is_open,
            "defects": [defect.to_json() for defect in self.defects],
            "reason": self.reason or None,
        }


@dataclass(frozen=True, slots=True)
class ExposureReport:
    """Exposure of runs and, summed over them, of detectors.

    Parameters
    ----------
    runs : tuple of RunExposure
        By start; each whole, never clipped.
    detectors : mapping of str to Amounts
        Detector -> sum over its listed runs that have times; where runs overlap, their beam counts once.
    """

    runs: tuple[RunExposure, ...]
    detectors: Mapping[str, Amounts]

    @property
    def n_runs_without_times(self) -> int:
        """Listed runs that no sum contains."""
        return sum(not run.has_times for run in self.runs)

    @property
    def known_sums(self) -> Mapping[str, Amounts]:
        """What may be said of the sums of each detector; see `Amounts.as_known`."""
        within: dict[str, list[Interval]] = {}
        for run in self.runs:
            within.setdefault(run.detector, []).extend([run.interval] if run.interval else [])
        return {name: found.as_known(IntervalSet(within[name]).duration_s) for name, found in self.detectors.items()}

    def to_json(self) -> JsonObject:
        """Return it as a JSON object."""
        return {
            "detectors": {detector: amounts.to_json() for detector, amounts in self.known_sums.items()},
            "runs": [run.to_json() for run in self.runs],
            "n_runs_without_times": self.n_runs_without_times,
        }


@dataclass(frozen=True, slots=True)
class Delivered:
    """What the accelerator delivered in an interval, whoever recorded it.

    Parameters
    ----------
    start_ns, stop_ns : int
        The interval [ns since 1970 UTC]; never beyond what can be known yet.
    amounts : Amounts
        Beam; live time does not apply.
    """

    start_ns: int
    stop_ns: int
    amounts: Amounts

    @property
    def known_amounts(self) -> Amounts:
        """What may be said of the amounts; see `Amounts.as_known`."""
        return self.amounts.as_known((self.stop_ns - self.start_ns) / 1e9)

    def to_json(self) -> JsonObject:
        """Return it as a JSON object."""
        names = ("pot", "energy_GWh", "beam_on_s", "unknown_s", "n_pulses", "pot_charge")
        amounts = self.known_amounts
        return {
            "start_ns": self.start_ns,
            "stop_ns": self.stop_ns,
            **{name: getattr(amounts, name) for name in names},
        }


@dataclass(frozen=True, slots=True)
class Series:
    """Rows of one kind: of the beam alone, or of the beam together with the live fraction of one detector.

    Parameters
    ----------
    name : str
        Name of its folder: ``beam``, or ``live-`` and the detector's id.
    live_fraction : str or None
        PV of the live fraction; None for the beam alone.
    """

    name: str
    live_fraction: str | None = None


BEAM_SERIES = Series("beam")


class Fate(StrEnum):
    """What became of a proton, as far as one detector is concerned."""

    RECORDED = "recorded"
    NO_RUN = "no_run"
    DAQ_PAUSED = "daq_paused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LedgerPart:
    """Protons of one fate.

    Parameters
    ----------
    pot : int
        Whole protons.
    duration_ns : int
        Length of the stretches [ns].
    beam_on_ns : int
        How much of it had beam [ns].
    unknown_ns : int
        How much of it has no valid power or proton energy [ns]: protons there cannot be counted.
    """

    pot: int
    duration_ns: int
    beam_on_ns: int
    unknown_ns: int

    def to_json(self) -> JsonObject:
        """Return it as a JSON object, with seconds."""
        return {
            "pot": self.pot,
            "duration_s": self.duration_ns / 1e9,
            "beam_on_s": self.beam_on_ns / 1e9,
            "unknown_s": self.unknown_ns / 1e9,
        }


@dataclass(frozen=True, slots=True)
class DetectorLedger:
    """The account of all protons of an interval, for one detector.

    Parameters
    ----------
    delivered : LedgerPart
        All of them, integrated over the whole interval at once.
    parts : mapping of Fate to LedgerPart
        Where they went, integrated over the stretches of each fate.
    n_runs_without_times : int
        Runs of the detector that no interval can hold: if they were in this one, their protons stand under "no run".
    """

    delivered: LedgerPart
    parts: Mapping[Fate, LedgerPart]
    n_runs_without_times: int = 0

    @property
    def is_balanced(self) -> bool:
        """Whether protons and nanoseconds of the parts add up to what was delivered, without a remainder."""
        names = ("pot", "duration_ns", "beam_on_ns", "unknown_ns")
        return all(
            sum(getattr(part, name) for part in self.parts.values()) == getattr(self.delivered, name) for name in names
        )

    def to_json(self) -> JsonObject:
        """Return it as a JSON object."""
        return {
            "delivered": self.delivered.to_json(),
            "recorded": self.parts[Fate.RECORDED].to_json(),
            "not_recorded": {str(fate): part.to_json() for fate, part in self.parts.items() if fate != Fate.RECORDED},
            "is_balanced": self.is_balanced,
            "n_runs_without_times": self.n_runs_without_times,
        }


@dataclass(frozen=True, slots=True)
class ProtonLedger:
    """The account of all protons of an interval.

    Parameters
    ----------
    start_ns, stop_ns : int
        The interval [ns since 1970 UTC]; never beyond what can be known yet.
    detectors : mapping of str to DetectorLedger
        One account for each.
    """

    start_ns: int
    stop_ns: int
    detectors: Mapping[str, DetectorLedger]

    def to_json(self) -> JsonObject:
        """Return it as a JSON object."""
        return {
            "start_ns": self.start_ns,
            "stop_ns": self.stop_ns,
            "detectors": {name: ledger.to_json() for name, ledger in self.detectors.items()},
        }


@dataclass(frozen=True, slots=True, eq=False)
class CumulativeBeam:
    """Beam that a detector's runs got, against time.

    Parameters
    ----------
    detector : str
        Its id.
    time_ns : ndarray of int64, shape (n,)
        Vertices [ns since 1970 UTC], rising.
    pot : ndarray of float64, shape (n,)
        Protons from the first vertex to each; the curve is straight between vertices.
    energy_GWh : ndarray of float64, shape (n,)
        Beam energy likewise [GWh].
    duration_s : float
        Seconds of the runs, each once.
    unknown_s : float
        Seconds of the runs in which the beam is not known.
    unknown : IntervalSet
        When that was, to a point of the curve; stretches that lie close together for the length of the whole are
        joined.
    """

    detector: str
    time_ns: NDArray[np.int64]
    pot: NDArray[np.float64]
    energy_GWh: NDArray[np.float64]
    duration_s: float
    unknown_s: float
    unknown: IntervalSet = field(default_factory=IntervalSet)

    @property
    def is_known(self) -> bool:
        """Whether anything is known of the beam during the runs."""
        return self.unknown_s < self.duration_s

    @property
    def total_pot(self) -> float:
        """Protons by the end."""
        return float(self.pot[-1]) if self.pot.size else 0.0

    @property
    def total_GWh(self) -> float:
        """Beam energy by the end [GWh]."""
        return float(self.energy_GWh[-1]) if self.energy_GWh.size else 0.0

    def to_json(self) -> JsonObject:
        """Return it as a JSON object of columns."""
        return {
            "detector": self.detector,
            "time_ns": self.time_ns.tolist(),
            "pot": self.pot.tolist(),
            "energy_GWh": self.energy_GWh.tolist(),
            "unknown_s": self.unknown_s,
            "unknown_ns": [[interval.start_ns, interval.stop_ns] for interval in self.unknown],
        }


class TraceSource(StrEnum):
    """What the average trace of a run was made of."""

    RAW = "raw"
    MINUTES = "minutes"
    KEPT = "kept"


@dataclass(frozen=True, slots=True, eq=False)
class RunTrace:
    """The average POT trace of a run.

    Parameters
    ----------
    run_id : str
        ``<detector>-<number>``.
    unit : str
        Unit of the samples.
    time_us : ndarray of float64, shape (n_sample,)
        Time since the first sample [us].
    mean, rms : ndarray of float64, shape (n_sample,)
        Mean, and root mean square deviation from it; empty where no trace was used.
    n, n_vetoed : int
        Traces of the run that were averaged, and those that were not: no beam, a trip, INVALID, another length.
    source : TraceSource
        Whether it was made of the traces, of averages over minutes where these are gone, or was kept.
    n_cut : int
        Traces in minutes that an end of the run cuts, of which only the average of the whole minute is left; not used.
    start_ns, stop_ns : int
        The times it is of [ns since 1970 UTC].
    """

    run_id: str
    unit: str
    time_us: NDArray[np.float64]
    mean: NDArray[np.float64]
    rms: NDArray[np.float64]
    n: int
    n_vetoed: int
    source: TraceSource = TraceSource.RAW
    n_cut: int = 0
    start_ns: int = 0
    stop_ns: int = 0

    @property
    def n_all(self) -> int:
        """Traces it tells of."""
        return self.n + self.n_vetoed

    def told_by(self, source: TraceSource) -> "RunTrace":
        """Return the same from another source."""
        return replace(self, source=source)

    def to_json(self) -> JsonObject:
        """Return it as a JSON object of columns."""
        return {
            "run_id": self.run_id,
            "unit": self.unit,
            "time_us": self.time_us.tolist(),
            "mean": self.mean.tolist(),
            "rms": self.rms.tolist(),
            "n": self.n,
            "n_vetoed": self.n_vetoed,
            "n_cut": self.n_cut,
            "source": str(self.source),
            "start_ns": self.start_ns,
            "stop_ns": self.stop_ns,
        }
