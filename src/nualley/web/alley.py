"""What each detector does now, by distance from the target."""

from collections.abc import Mapping

from nualley.archive import LastValue, PvState
from nualley.experiment import BEGINNING_NS, Daq, DaqPvs, Detector
from nualley.web.models import AlleyPart, DetectorRow, DetectorState
from nualley.web.observations import RunsSeen
from nualley.web.values import is_held, number_of
from nualley.web.words import moment, pv_value

_LOST = {
    PvState.DISCONNECTED: DetectorState.DISCONNECTED,
    PvState.STALE: DetectorState.STALE,
    PvState.NEVER_CONNECTED: DetectorState.NOT_ARCHIVED,
}


def alley_part(
    detectors: Mapping[str, Detector], values: Mapping[str, LastValue], runs: RunsSeen | None, now_ns: int
) -> AlleyPart:
    """Return all detectors.

    Parameters
    ----------
    detectors : mapping of str to Detector
        Id -> detector.
    values : mapping of str to LastValue
        What is known of every PV.
    runs : RunsSeen or None
        The last recorded runs: rates come from them.
    now_ns : int
        The time now [ns since 1970 UTC].

    Returns
    -------
    AlleyPart
        Those whose distance is known by distance, the others in the order of the repository.
    """
    rows = [_row(detector, values, runs, now_ns) for detector in detectors.values()]
    placed = sorted((row for row in rows if row.distance_m is not None), key=lambda row: (row.distance_m, row.id))
    return AlleyPart(tuple(placed), tuple(row for row in rows if row.distance_m is None))


def _row(detector: Detector, values: Mapping[str, LastValue], runs: RunsSeen | None, now_ns: int) -> DetectorRow:
    state, since_ns, detail = _state(detector, values, now_ns)
    pvs = detector.daq.pvs if detector.daq else DaqPvs()
    run = values.get(pvs.run or "")
    live = values.get(pvs.live_fraction or "")
    is_in_run = state in (DetectorState.TAKING, DetectorState.PAUSED, DetectorState.UNCLEAR)
    rate_Hz, rate_run_id = _rate(detector.id, runs)
    at_ns = _described_at_ns(detector, now_ns)
    return DetectorRow(
        id=detector.id,
        name=detector.name,
        state=state,
        material=detector.target.material,
        mass_kg=detector.target.mass_kg.at(at_ns),
        distance_m=detector.distance_m.at(at_ns),
        run=pv_value(run.value) if is_in_run and run is not None and is_held(run) else "",
        since_ns=since_ns,
        live_fraction=number_of(live) if is_in_run and is_held(live) else None,
        rate_Hz=rate_Hz,
        rate_run_id=rate_run_id,
        detail=detail,
    )


def _described_at_ns(detector: Detector, now_ns: int) -> int:
    # of a detector that is gone, the description is that of its last moment
    ends = [interval.stop_ns for interval in detector.operated]
    return max(ends) - 1 if ends and max(ends) <= now_ns else now_ns


def _state(detector: Detector, values: Mapping[str, LastValue], now_ns: int) -> tuple[DetectorState, int | None, str]:
    """Return what a detector does, since when, and what that rests on."""
    operated = detector.operated
    if operated and all(interval.stop_ns <= now_ns for interval in operated):
        return DetectorState.RETIRED, max(interval.stop_ns for interval in operated), _years(detector)
    if operated and all(interval.start_ns > now_ns for interval in operated):
        starts_ns = min(interval.start_ns for interval in operated)
        return DetectorState.PLANNED, None, f"from {moment(starts_ns)[:10]}"
    if detector.daq is None:
        return DetectorState.NO_DAQ, None, ""
    return _daq_state(detector.daq, values)


def _years(detector: Detector) -> str:
    begins_ns = min(interval.start_ns for interval in detector.operated)
    ends_ns = max(interval.stop_ns for interval in detector.operated)
    first = "" if begins_ns == BEGINNING_NS else moment(begins_ns)[:10]
    return f"{first} to {moment(ends_ns - 1)[:10]}".strip()


def _daq_state(daq: Daq, values: Mapping[str, LastValue]) -> tuple[DetectorState, int | None, str]:
    pvs = daq.pvs
    if pvs.state is None and pvs.run is None:
        return DetectorState.NO_PVS, None, f"format {daq.format}"
    deciding = pvs.state or pvs.run or ""
    last = values.get(deciding)
    if last is None:
        return DetectorState.NOT_ARCHIVED, None, deciding
    if last.state in _LOST:
        return _LOST[last.state], last.last_heard_ns or None, deciding
    if last.state is not PvState.CONNECTED:
        return DetectorState.UNCLEAR, None, f"{deciding} {last.standing}"
    if pvs.state is None or last.time_ns is None or (last.severity or 0) >= 3:
        return DetectorState.UNCLEAR, _run_since_ns(daq, values), deciding
    return _told_state(daq, last, values)


def _told_state(daq: Daq, last: LastValue, values: Mapping[str, LastValue]) -> tuple[DetectorState, int | None, str]:
    word = str(last.value)
    detail = f"{last.pv} = {pv_value(last.value)}"
    if word in daq.running:
        return DetectorState.TAKING, _run_since_ns(daq, values) or last.time_ns, detail
    state = DetectorState.PAUSED if word in daq.paused else DetectorState.STOPPED
    return state, last.time_ns, detail


def _run_since_ns(daq: Daq, values: Mapping[str, LastValue]) -> int | None:
    # a run number is posted when it changes: its time is the start of the run
    run = values.get(daq.pvs.run or "")
    return run.time_ns if run is not None and is_held(run) else None


def _rate(detector: str, runs: RunsSeen | None) -> tuple[float | None, str]:
    run = runs.newest_counted.get(detector) if runs else None
    if runs is None or run is None or run.start_ns is None or run.stop_ns is None:
        return None, ""
    return runs.events_of[run.run_id] / ((run.stop_ns - run.start_ns) / 1e9), run.run_id
