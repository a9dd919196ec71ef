"""The use cases: exposure of runs, ledger of protons, cumulative beam, average traces."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nualley.core import Clock, Interval, IntervalSet, format_time
from nualley.experiment import Beam, Detector
from nualley.exposure.beam_reader import BeamReader, Span
from nualley.exposure.curves import CurveBuilder
from nualley.exposure.daq_state import read_daq_state
from nualley.exposure.decide import (
    beam_amounts,
    fates,
    known_until_ns,
    ledger_parts,
    ledger_total,
    overlap_defects,
    run_amounts,
    run_defects,
    run_interval,
)
from nualley.exposure.errors import EmptyIntervalError, KeptTraceDamagedError, NoTracePvError, RunWithoutTimesError
from nualley.exposure.integral import Sums, segments
from nualley.exposure.kept_trace import KeptTrace, better_answer
from nualley.exposure.models import (
    Amounts,
    CumulativeBeam,
    Delivered,
    DetectorLedger,
    ExposureDefect,
    ExposureReport,
    Fate,
    ProtonLedger,
    RunExposure,
    RunTrace,
    sum_of_amounts,
)
from nualley.exposure.ports import KeptTraces, PvHistory, RecordedRun, Runs
from nualley.exposure.row_reader import KeptRows, RowReader
from nualley.exposure.rows import Rows
from nualley.exposure.run_trace import average_run_trace
from nualley.exposure.sources import DaqSources, beam_sources, daq_sources
from nualley.physics import TraceRule

_PLAIN = TraceRule()
N_POINTS = 2000
"""Vertices of a cumulative curve, unless asked for otherwise: as many as a screen has columns."""


class Exposures:
    """Protons, energy and live time of runs and intervals.

    Parameters
    ----------
    archive : PvHistory
        Archived PVs.
    runs : Runs
        Recorded runs.
    beam : Beam
        Which PVs tell the beam.
    detectors : mapping of str to Detector
        Id -> detector; of one that is recorded but not described, the DAQ's PVs are not known.
    clock : Clock
        Cuts runs that go on.
    trace_rule : TraceRule
        What counts as a trip among the traces, and how these are aligned.
    rows : KeptRows, optional
        Rows, which spare reading samples.
    """

    def __init__(
        self,
        archive: PvHistory,
        runs: Runs,
        *,
        beam: Beam,
        detectors: Mapping[str, Detector],
        clock: Clock,
        trace_rule: TraceRule = _PLAIN,
        rows: KeptRows | None = None,
    ) -> None:
        self._trace_rule = trace_rule
        self._archive = archive
        self._runs = runs
        self._beam = beam
        self._sources = beam_sources(beam)
        self._detectors = detectors
        self._clock = clock
        self._rows = rows

    # -------------------------------------------------------------- runs
    def run_exposure(self, run: RecordedRun) -> RunExposure:
        """Return what a run got of the beam.

        Parameters
        ----------
        run : RecordedRun
            The run.

        Returns
        -------
        RunExposure
            With all amounts None, and the reason, where the run has no times.
        """
        return self._run_exposures([run])[0]

    def exposures(
        self, detector: str | None = None, *, start_ns: int | None = None, stop_ns: int | None = None
    ) -> ExposureReport:
        """Return what runs got of the beam, and the sum of each detector.

        Parameters
        ----------
        detector : str, optional
            Only its runs.
        start_ns, stop_ns : int, optional
            Only runs that overlap this interval [ns since 1970 UTC]. They are counted whole; for the beam of an
            interval see `ledger`.

        Returns
        -------
        ExposureReport
            Detectors that have no run among them do not occur.
        """
        return self.summed(self._run_exposures(self._runs.runs(detector=detector, start_ns=start_ns, stop_ns=stop_ns)))

    def summed(self, rows: Sequence[RunExposure]) -> ExposureReport:
        """Return the sums over some runs of which is known already what they got.

        Parameters
        ----------
        rows : sequence of RunExposure
            Runs of an earlier answer of `exposures`.
        """
        by_detector: dict[str, list[RunExposure]] = {}
        for row in rows:
            by_detector.setdefault(row.detector, []).append(row)
        sums = {name: self._sum(name, by_detector[name]) for name in sorted(by_detector, key=self._order)}
        return ExposureReport(tuple(rows), sums)

    def _sum(self, detector: str, rows: Sequence[RunExposure]) -> Amounts:
        intervals = [row.interval for row in rows if row.interval]
        within = IntervalSet(intervals)
        if within.duration_ns == sum(interval.duration_ns for interval in intervals):
            return sum_of_amounts(row.amounts for row in rows if row.has_times)
        # runs that overlap share their protons: each second counts once
        spans = [self._run_span(detector, interval) for interval in intervals]
        pauses = IntervalSet(pause for span in spans for pause in span.pauses)
        (sums,) = self._reader().integrate([Span(within, pauses, self._daq(detector).live_fraction)])
        return self._run_amounts(detector, sums)

    def _run_exposures(self, runs: Sequence[RecordedRun]) -> list[RunExposure]:
        reader = self._reader()
        until_ns = self._until_ns(reader)
        intervals = [run_interval(run, until_ns) for run in runs]
        spans = [
            self._run_span(run.detector, interval) if interval else Span(IntervalSet())
            for run, (interval, _) in zip(runs, intervals, strict=True)
        ]
        sums = reader.integrate(spans)
        overlaps = self._overlaps({run.detector for run in runs}, [interval for interval, _ in intervals], until_ns)
        return [
            self._run_row(run, interval, total, overlaps) if interval else _without_times(run, reason)
            for run, (interval, reason), total in zip(runs, intervals, sums, strict=True)
        ]

    def _overlaps(
        self, detectors: Iterable[str], intervals: Sequence[Interval | None], until_ns: int
    ) -> dict[str, tuple[ExposureDefect, ...]]:
        """Compare runs with all of their detector's, also those that were not asked for."""
        timed = [interval for interval in intervals if interval]
        if not timed:
            return {}
        start_ns, stop_ns = min(span.start_ns for span in timed), max(span.stop_ns for span in timed)
        found: dict[str, tuple[ExposureDefect, ...]] = {}
        for detector in detectors:
            runs = self._runs.runs(detector=detector, start_ns=start_ns, stop_ns=stop_ns)
            times = ((run.run_id, run_interval(run, until_ns)[0]) for run in runs)
            found |= overlap_defects({run_id: interval for run_id, interval in times if interval})
        return found

    def _run_span(self, detector: str, interval: Interval) -> Span:
        daq = self._daq(detector)
        pauses = read_daq_state(self._archive, daq, interval.start_ns, interval.stop_ns).paused
        return Span(IntervalSet((interval,)), pauses, daq.live_fraction)

    def _run_amounts(self, detector: str, sums: Sums) -> Amounts:
        has_live_fraction = self._daq(detector).live_fraction is not None
        return run_amounts(sums, self._sources, has_live_fraction=has_live_fraction)

    def _run_row(
        self, run: RecordedRun, interval: Interval, sums: Sums, overlaps: Mapping[str, tuple[ExposureDefect, ...]]
    ) -> RunExposure:
        return RunExposure(
            run_id=run.run_id,
            detector=run.detector,
            start_ns=interval.start_ns,
            stop_ns=interval.stop_ns,
            amounts=self._run_amounts(run.detector, sums),
            is_open=run.stop_ns is None,
            defects=(*run_defects(sums), *overlaps.get(run.run_id, ())),
        )

    def times(self, runs: Sequence[RecordedRun]) -> list[tuple[Interval | None, str]]:
        """Return when each run was, one that goes on up to where the beam is known; or why that is not known."""
        until_ns = self._until_ns(self._reader())
        return [run_interval(run, until_ns) for run in runs]

    # -------------------------------------------------------------- intervals
    def amounts(self, stretches: Sequence[tuple[str, IntervalSet]]) -> list[Amounts]:
        """Return what detectors got of the beam in stretches of time; each day is read once.

        Parameters
        ----------
        stretches : sequence of tuple of str and IntervalSet
            A detector and when; they may overlap.

        Returns
        -------
        list of Amounts
            One for each.
        """
        spans = [self._span(detector, within) for detector, within in stretches]
        sums = self._reader().integrate(spans)
        return [self._run_amounts(detector, found) for (detector, _), found in zip(stretches, sums, strict=True)]

    def _span(self, detector: str, within: IntervalSet) -> Span:
        spans = [self._run_span(detector, interval) for interval in within]
        pauses = IntervalSet(pause for span in spans for pause in span.pauses)
        return Span(within, pauses, self._daq(detector).live_fraction)

    def delivered(self, start_ns: int, stop_ns: int) -> Delivered:
        """Return what the accelerator delivered in an interval, whoever recorded it.

        Parameters
        ----------
        start_ns, stop_ns : int
            The interval [ns since 1970 UTC]; cut where nothing can be known yet.

        Returns
        -------
        Delivered
            Beam of the interval.

        Raises
        ------
        EmptyIntervalError
            Where nothing of it has passed.
        """
        reader = self._reader()
        whole = self._past(reader, start_ns, stop_ns)
        (sums,) = reader.integrate([Span(IntervalSet((whole,)))])
        return Delivered(whole.start_ns, whole.stop_ns, beam_amounts(sums, self._sources))

    def ledger(self, start_ns: int, stop_ns: int, detector: str | None = None) -> ProtonLedger:
        """Account for every proton of an interval: recorded, or why not.

        Parameters
        ----------
        start_ns, stop_ns : int
            The interval [ns since 1970 UTC]; cut where nothing can be known yet.
        detector : str, optional
            Only for it; else for each that is described or has a run.

        Returns
        -------
        ProtonLedger
            Recorded plus not recorded is what was delivered, to the proton and to the nanosecond.

        Raises
        ------
        EmptyIntervalError
            Where nothing of it has passed.
        """
        reader = self._reader()
        whole = self._past(reader, start_ns, stop_ns)
        runs = self._runs.runs(detector=detector)
        names = [detector] if detector else sorted({*self._detectors, *(run.detector for run in runs)}, key=self._order)
        intervals = [(run.detector, run_interval(run, self._until_ns(reader))[0]) for run in runs]
        shares = {
            name: self._fates(name, whole, [interval for owner, interval in intervals if owner == name and interval])
            for name in names
        }
        total, *parts = reader.integrate(
            [Span(IntervalSet((whole,))), *(Span(within) for share in shares.values() for within in share.values())]
        )
        ledgers = {}
        remaining = iter(parts)
        for name, share in shares.items():
            sums = {fate: next(remaining) for fate in share}
            n_without = sum(owner == name and interval is None for owner, interval in intervals)
            ledgers[name] = DetectorLedger(ledger_total(total), ledger_parts(sums), n_without)
        return ProtonLedger(whole.start_ns, whole.stop_ns, ledgers)

    def _fates(self, detector: str, whole: Interval, runs: Sequence[Interval]) -> dict[Fate, IntervalSet]:
        state = read_daq_state(self._archive, self._daq(detector), whole.start_ns, whole.stop_ns)
        return fates(whole, runs=IntervalSet(runs), paused=state.paused, taking=state.taking, dark=state.dark)

    def cumulative(
        self,
        detector: str | None = None,
        *,
        start_ns: int | None = None,
        stop_ns: int | None = None,
        n_points: int = N_POINTS,
    ) -> list[CumulativeBeam]:
        """Return the beam that detectors' runs got, against time.

        Parameters
        ----------
        detector : str, optional
            Only its runs.
        start_ns, stop_ns : int, optional
            Only runs that overlap this interval [ns since 1970 UTC]; they are counted whole.
        n_points : int
            Vertices of each curve at most, >= 2; its end is always exact.

        Returns
        -------
        list of CumulativeBeam
            One for each detector that has a run with times; where runs overlap, their beam counts once.
        """
        reader = self._reader()
        until_ns = self._until_ns(reader)
        times: dict[str, list[Interval]] = {}
        for run in self._runs.runs(detector=detector, start_ns=start_ns, stop_ns=stop_ns):
            interval, _ = run_interval(run, until_ns)
            if interval and interval.duration_ns:
                times.setdefault(run.detector, []).append(interval)
        stretches = {name: IntervalSet(times[name]) for name in sorted(times, key=self._order)}
        rows = reader.rows(IntervalSet(interval for part in stretches.values() for interval in part))
        pieces = {name: _drawn(rows, part, n_points) if rows else [] for name, part in stretches.items()}
        curves = {name: CurveBuilder(name, n_points, pieces[name]) for name in stretches}
        left = {name: part - IntervalSet(piece for _, piece in pieces[name]) for name, part in stretches.items()}
        for window, beam in reader.beams(IntervalSet(interval for part in left.values() for interval in part)):
            steps = segments(beam, self._sources.beam_on_min_W)
            for name, part in left.items():
                if within := part & IntervalSet((window,)):
                    curves[name].add(steps, within)
        return [curve.curve() for curve in curves.values()]

    # -------------------------------------------------------------- traces
    def trace(self, run_id: str, kept: KeptTraces | None = None) -> RunTrace:
        """Return the average POT trace of a run.

        Parameters
        ----------
        run_id : str
            ``<detector>-<number>``; must be recorded.
        kept : KeptTraces, optional
            What was kept of runs that ended; it answers where the archive can tell less.

        Returns
        -------
        RunTrace
            Mean and spread of the traces while the beam was on, without trips.

        Raises
        ------
        NoTracePvError
            Where the experiment declares no trace.
        RunWithoutTimesError
            Where it is not known when the run was.
        KeptTraceDamagedError
            Where the archive can tell nothing and what is kept is damaged.
        """
        found = self.live_trace(run_id)
        try:
            return better_answer(found, kept.find(run_id) if kept else None)
        except KeptTraceDamagedError:
            if not found.trace.n_all:
                raise
            return found.trace

    def live_trace(self, run_id: str) -> KeptTrace:
        """Return the average POT trace of a run as the archive tells it now; see `trace`."""
        source = self._beam.trace
        if source is None:
            raise NoTracePvError(
                f"there is no POT trace for run {run_id}: no PV of it is declared, expected one",
                where="beam.toml: trace",
                do='add [trace] with pv, unit and sample_period = "1 ns"',
            )
        run = self._runs.run(run_id)
        reader = self._reader()
        interval, reason = run_interval(run, self._until_ns(reader))
        if interval is None:
            raise RunWithoutTimesError(
                f"run {run_id} has no times: {reason}", where=run_id, do="give --start and --stop when it is ingested"
            )
        within = IntervalSet((interval,))
        average, told_by, n_cut = average_run_trace(
            self._archive, source.pv, run=within, beam_on=self._beam_on(reader, within), rule=self._trace_rule
        )
        trace = RunTrace(
            run_id=run_id,
            unit=source.unit,
            time_us=np.arange(average.mean.size) * source.sample_period_ns / 1000,
            mean=average.mean,
            rms=average.rms,
            n=average.n,
            n_vetoed=average.n_vetoed,
            source=told_by,
            n_cut=n_cut,
            start_ns=interval.start_ns,
            stop_ns=interval.stop_ns,
        )
        return KeptTrace(trace, source.pv, source.sample_period_ns, self._trace_rule)

    def _beam_on(self, reader: BeamReader, within: IntervalSet) -> IntervalSet:
        on = IntervalSet()
        for _, beam in reader.beams(within):
            power = beam.power_W
            on = on | power.where((power.value >= self._sources.beam_on_min_W) & (power.value > 0))
        return on

    # -------------------------------------------------------------- what can be known
    def _reader(self) -> BeamReader:
        return BeamReader(self._archive, self._sources, self._rows)

    def _until_ns(self, reader: BeamReader) -> int:
        return known_until_ns(self._clock.now_ns(), reader.alive_until_ns)

    def _past(self, reader: BeamReader, start_ns: int, stop_ns: int) -> Interval:
        until_ns = min(stop_ns, self._until_ns(reader))
        if start_ns >= until_ns:
            raise EmptyIntervalError(
                f"nothing is known between {format_time(start_ns, 3)} and {format_time(stop_ns, 3)}: the interval is"
                f" empty or has not passed; the beam is known until {format_time(self._until_ns(reader), 3)}",
                do="choose an earlier start",
            )
        return Interval(start_ns, until_ns)

    def _daq(self, detector: str) -> DaqSources:
        return daq_sources(self._detectors.get(detector))

    def _order(self, detector: str) -> tuple[int, str]:
        names = list(self._detectors)
        return (names.index(detector) if detector in names else len(names), detector)


def _drawn(rows: RowReader, within: IntervalSet, n_points: int) -> list[tuple[Rows, Interval]]:
    grain_ns = (within.intervals[-1].stop_ns - within.intervals[0].start_ns) // n_points
    return rows.of(None).drawn(within, grain_ns)


def _without_times(run: RecordedRun, reason: str) -> RunExposure:
    return RunExposure(
        run_id=run.run_id,
        detector=run.detector,
        start_ns=run.start_ns,
        stop_ns=run.stop_ns,
        amounts=Amounts(),
        reason=reason,
    )
