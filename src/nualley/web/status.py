"""The status of a site as one pure function: what was seen becomes what is said."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal

from nualley.archive import LastValue
from nualley.catalog import Run, Totals
from nualley.config import Configuration
from nualley.core import DAY_NS, SECOND_NS, CheckResult, CheckState, format_duration, unit_factor
from nualley.experiment import Beam
from nualley.exposure import DefectKind, Delivered, RunExposure
from nualley.storage import DriveUsage
from nualley.web.alley import alley_part
from nualley.web.models import (
    ArchivePart,
    BeamPart,
    BeamState,
    DayBeam,
    DriveRow,
    DrivesPart,
    DriveState,
    ExperimentPart,
    LivePart,
    RunRow,
    RunsPart,
    Status,
    Trouble,
    ValuesPart,
    ValueState,
)
from nualley.web.observations import ArchiveSeen, LiveSeen, Observations, Observed, RunsSeen
from nualley.web.values import is_held, last_values, number_of, value_rows

SILENCE_S = 3.0
"""Without a message of the live bus for so long, data are not live [s]."""

_ARCHIVE = "process.archive"

LATE_S = 15.0
"""An archive whose last commit is older says so: each IOC's sign of life alone makes one every few seconds [s]."""


def status(configuration: Configuration, seen: Observations, now_ns: int) -> Status:
    """Say how a site stands.

    Parameters
    ----------
    configuration : Configuration
        What the experiment repository says.
    seen : Observations
        What was seen of the site.
    now_ns : int
        The time now [ns since 1970 UTC].

    Returns
    -------
    Status
        All that the page says.
    """
    live = _live(seen.live, now_ns)
    values = last_values(seen, is_live=live.is_live)
    experiment = configuration.experiment
    return Status(
        time_ns=now_ns,
        experiment=ExperimentPart(experiment.name, experiment.site, experiment.description, experiment.time_zone),
        live=live,
        processes=_troubles((*(seen.processes.value or ()), *(seen.files.value or ()))),
        alley=alley_part(configuration.detectors, values, seen.runs.value, now_ns),
        beam=_beam(configuration.beam, values, seen.today, now_ns),
        runs=_runs(seen.runs, seen.exposures, now_ns),
        archive=_archive(seen, values, now_ns),
        drives=_drives(seen.drives, now_ns),
        values=ValuesPart(value_rows(values, configuration.pv_groups), seen.archive.trouble(now_ns)),
    )


def day_start_ns(now_ns: int) -> int:
    """Return the start of the UTC day [ns since 1970 UTC]."""
    return now_ns - now_ns % DAY_NS


def _live(seen: LiveSeen, now_ns: int) -> LivePart:
    is_live = seen.message_ns is not None and now_ns - seen.message_ns <= SILENCE_S * SECOND_NS
    return LivePart(is_live, seen.message_ns, seen.n_lost, seen.failure)


def _troubles(found: Sequence[CheckResult]) -> tuple[Trouble, ...]:
    told = (
        Trouble(f"{check.name}: {check.detail}", check.do, is_alarm=check.name == _ARCHIVE)
        for check in found
        if check.state != CheckState.OK
    )
    return tuple(sorted(told, key=lambda trouble: not trouble.is_alarm))


# -------------------------------------------------------------- beam
def _beam(beam: Beam, values: Mapping[str, LastValue], today: Observed[Delivered], now_ns: int) -> BeamPart:
    last = values.get(beam.power.pv)
    found = number_of(last)
    last_power_W = None if found is None else found * unit_factor(beam.power.unit, "W")
    power_W = last_power_W if is_held(last) else None
    energy_MeV, origin = _proton_energy(beam, values)
    return BeamPart(
        state=_beam_state(power_W, beam.beam_on_min_W),
        pv=beam.power.pv,
        power_W=power_W,
        last_power_W=last_power_W,
        time_ns=last.time_ns if last else None,
        severity=last.severity if last else None,
        value_state=ValueState(last.state.value) if last else ValueState.NOT_ARCHIVED,
        beam_on_min_W=beam.beam_on_min_W,
        proton_energy_MeV=energy_MeV,
        energy_origin=origin,
        # before midnight's first integration, yesterday's total is not today's
        today=_day(today.value, now_ns) if today.value and today.value.start_ns == day_start_ns(now_ns) else None,
        trouble=today.trouble(now_ns),
    )


def _beam_state(power_W: float | None, beam_on_min_W: float) -> BeamState:
    if power_W is None:
        return BeamState.UNKNOWN
    return BeamState.ON if power_W >= beam_on_min_W and power_W > 0 else BeamState.OFF


def _proton_energy(
    beam: Beam, values: Mapping[str, LastValue]
) -> tuple[float | None, Literal["pv", "constant", "unknown"]]:
    energy = beam.proton_energy
    if energy is None:
        return None, "unknown"
    if energy.pv is None:
        return energy.value_MeV, "constant"
    last = values.get(energy.pv)
    found = number_of(last) if is_held(last) else None
    return (None if found is None else found * unit_factor(energy.unit or "MeV", "MeV")), "pv"


def _day(delivered: Delivered, now_ns: int) -> DayBeam:
    amounts = delivered.amounts
    beam_on_s = amounts.beam_on_s or 0.0
    # after the end of what is known nothing is known either; the last seconds merely have not been counted yet
    uncounted_s = (now_ns - delivered.stop_ns) / 1e9
    unknown_s = (amounts.unknown_s or 0.0) + (uncounted_s if uncounted_s > LATE_S else 0.0)
    known_s = (delivered.stop_ns - delivered.start_ns) / 1e9 - (amounts.unknown_s or 0.0)
    return DayBeam(
        start_ns=delivered.start_ns,
        stop_ns=delivered.stop_ns,
        pot=amounts.pot,
        energy_MWh=None if amounts.energy_GWh is None else amounts.energy_GWh * 1000,
        beam_on_s=beam_on_s,
        unknown_s=unknown_s,
        beam_on_fraction=min(1.0, beam_on_s / known_s) if known_s > 0 else None,
        is_mostly_unknown=unknown_s > 0.5 * (now_ns - delivered.start_ns) / 1e9,
    )


# -------------------------------------------------------------- runs
def _runs(seen: Observed[RunsSeen], exposures: Observed[Mapping[str, RunExposure]], now_ns: int) -> RunsPart:
    found = seen.value
    if found is None:
        return RunsPart((), 0, seen.trouble(now_ns))
    by_run = exposures.value or {}
    trouble = exposures.trouble(now_ns)
    missing = trouble.what if trouble else "being counted"
    rows = [
        _run_row(run, found.totals.get(run.run_id, Totals()), by_run.get(run.run_id), missing) for run in found.last
    ]
    return RunsPart(tuple(rows), found.n_runs, seen.trouble(now_ns))


def _run_row(run: Run, totals: Totals, exposure: RunExposure | None, missing: str) -> RunRow:
    has_bounds = run.start_ns is not None and run.stop_ns is not None
    return RunRow(
        run_id=run.run_id,
        detector=run.detector,
        start_ns=run.start_ns,
        duration_s=((run.stop_ns or 0) - (run.start_ns or 0)) / 1e9 if has_bounds else None,
        is_open=run.start_ns is not None and run.stop_ns is None,
        n_files=totals.n_files,
        n_events=totals.n_events,
        n_verified_replicas=totals.n_verified_replicas,
        n_defects=totals.n_defects,
        pot=exposure.known_amounts.pot if exposure else None,
        pot_words=_pot_words(exposure, missing),
    )


def _pot_words(exposure: RunExposure | None, missing: str) -> str:
    if exposure is None:
        return missing
    if exposure.reason:
        return exposure.reason
    # what is doubtful about pulses or live time says nothing about these protons
    kinds = {defect.kind for defect in exposure.defects}
    doubts = ["charge per pulse disagrees"] if DefectKind.CHARGE_DIFFERS in kinds else []
    if DefectKind.OVERLAP in kinds:
        doubts.append("overlaps another run of the detector")
    if exposure.amounts.unknown_s:
        doubts.append(f"beam unknown for {format_duration(exposure.amounts.unknown_s)}")
    if exposure.amounts.pot is None:
        doubts.append("proton energy is not declared")
    return "; ".join(doubts)


# -------------------------------------------------------------- archive
def _archive(seen: Observations, values: Mapping[str, LastValue], now_ns: int) -> ArchivePart:
    held, live = seen.archive.value, seen.live
    is_bus_newer = live.ledger is not None and live.synced_ns > (held.synced_ns if held else 0)
    ledger = live.ledger if is_bus_newer or held is None else held.ledger
    synced_ns = max(live.synced_ns, held.synced_ns if held else 0) or None
    trouble = seen.archive.trouble(now_ns)
    # where every IOC is silent, there is nothing to sync
    is_heard = any(last.state.is_connected for last in values.values())
    if ledger is None:
        return ArchivePart(trouble=trouble)
    return ArchivePart(
        received=ledger.received,
        stored=ledger.stored,
        quarantined=ledger.quarantined,
        filtered=ledger.filtered,
        gaps=ledger.gaps,
        is_balanced=ledger.is_balanced,
        difference=ledger.received - ledger.stored - ledger.quarantined - ledger.filtered,
        synced_ns=synced_ns,
        is_late=is_heard and (synced_ns is None or now_ns - synced_ns > LATE_S * SECOND_NS),
        n_pvs=_n_pvs(held, live),
        trouble=trouble,
    )


def _n_pvs(held: ArchiveSeen | None, live: LiveSeen) -> int:
    return len({*(last.pv for last in held.last if last.time_ns), *live.values} if held else live.values)


# -------------------------------------------------------------- drives
def _drives(seen: Observed[Sequence[DriveUsage]], now_ns: int) -> DrivesPart:
    return DrivesPart(tuple(_drive_row(usage) for usage in seen.value or ()), seen.trouble(now_ns))


def _drive_row(usage: DriveUsage) -> DriveRow:
    drive, noted = usage.drive, usage.drive.noted
    there = usage.is_mounted
    return DriveRow(
        name=drive.name,
        path=str(drive.path).encode("utf-8", "backslashreplace").decode(),
        role=drive.role,
        state=_drive_state(usage),
        fill_fraction=usage.fill_fraction if there else None,
        limit_fraction=drive.limit_fraction,
        used_B=usage.used_B if there else None,
        capacity_B=usage.capacity_B if there else None,
        available_B=usage.available_B if there else None,
        noted_fraction=noted.used_fraction if noted and not there else None,
        noted_on=_day_or_nothing(noted.on) if noted and not there else "",
        noted_source=noted.source if noted and not there else "",
        words=usage.error,
    )


def _day_or_nothing(day: date | None) -> str:
    return day.isoformat() if day else ""


def _drive_state(usage: DriveUsage) -> DriveState:
    if not usage.is_mounted:
        return DriveState.MISSING
    if not usage.is_writable:
        return DriveState.READ_ONLY
    is_above = usage.fill_fraction >= usage.drive.limit_fraction
    return DriveState.ABOVE_LIMIT if is_above else DriveState.OK
