"""Reading the beam day by day, where there are days of data, and integrating it over many stretches in one go."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from nualley.core import DAY_NS, HOUR_NS, Interval, IntervalSet
from nualley.exposure.integral import BeamHistory, Segments, Sums, integrate, segments
from nualley.exposure.ports import ScalarHistory
from nualley.exposure.row_reader import KeptRows, RowReader
from nualley.exposure.sources import BeamSources, ScaledPv
from nualley.physics import History, history_from_rows

_LONGEST_NS = 2**62
"""Window at most [ns]: half of what int64 holds, so that no difference of times in it overflows."""

_HOLE_NS = 6 * HOUR_NS
"""Stretches of one day that lie farther apart are read one by one [ns]; closer ones cost more than what is between."""


@dataclass(frozen=True, slots=True)
class Span:
    """Stretches to integrate over.

    Parameters
    ----------
    within : IntervalSet
        The stretches.
    pauses : IntervalSet
        When the DAQ held.
    live_fraction : str or None
        PV of the detector's live fraction.
    """

    within: IntervalSet
    pauses: IntervalSet = field(default_factory=IntervalSet)
    live_fraction: str | None = None


class BeamReader:
    """The beam as the archive has it at one moment; make a new one for every question.

    Parameters
    ----------
    archive : ScalarHistory
        The archive.
    sources : BeamSources
        Which PVs.
    kept : KeptRows, optional
        Rows, which spare reading samples; without them, all is read.
    """

    def __init__(self, archive: ScalarHistory, sources: BeamSources, kept: KeptRows | None = None) -> None:
        self._archive = archive
        self.sources = sources
        self._kept = kept
        self._rows: RowReader | None = None
        # one answer for all days: a beam that is heard of meanwhile must not make the second day begin before the first
        self._alive_until_ns = cache(archive.alive_until_ns)

    @property
    def alive_until_ns(self) -> int:
        """Up to when power and proton energy are known to have held [ns since 1970 UTC]."""
        needed = (self.sources.power_W, self.sources.proton_energy_MeV)
        return min(self._alive_until_ns(source.pv) for source in needed if isinstance(source, ScaledPv))

    def history(self, source: ScaledPv, start_ns: int, stop_ns: int) -> History:
        """Return one quantity over an interval."""
        return history_from_rows(
            self._archive.read(source.pv, start_ns, stop_ns),
            alive_until_ns=self._alive_until_ns(source.pv),
            start_ns=start_ns,
            stop_ns=stop_ns,
            factor=source.factor,
        )

    def beam(self, start_ns: int, stop_ns: int) -> BeamHistory:
        """Return the beam over an interval; it is held in memory, so ask for days, not for years."""
        sources, energy = self.sources, self.sources.proton_energy_MeV
        return BeamHistory(
            power_W=self.history(sources.power_W, start_ns, stop_ns),
            proton_energy_MeV=self.history(energy, start_ns, stop_ns)
            if isinstance(energy, ScaledPv)
            else History.constant(float("nan") if energy is None else energy, start_ns, stop_ns),
            rate_Hz=self.history(sources.rate_Hz, start_ns, stop_ns) if sources.rate_Hz else None,
            charge_C=self.history(sources.charge_C, start_ns, stop_ns) if sources.charge_C else None,
        )

    def beams(self, within: IntervalSet, *further: str) -> Iterator[tuple[Interval, BeamHistory]]:
        """Yield the beam of each of the stretches' windows, by time.

        Parameters
        ----------
        within : IntervalSet
            The stretches.
        *further : str
            PVs that are read in the same windows.

        Yields
        ------
        window : Interval
            See `windows`.
        beam : BeamHistory
            The beam over it.
        """
        sources = self.sources
        wanted = (sources.power_W, sources.proton_energy_MeV, sources.rate_Hz, sources.charge_C)
        pvs = [source.pv for source in wanted if isinstance(source, ScaledPv)]
        for window in windows(within, lambda time_ns: self._last_samples_ns([*pvs, *further], time_ns)):
            yield window, self.beam(window.start_ns, window.stop_ns)

    def _last_samples_ns(self, pvs: Sequence[str], time_ns: int) -> Iterator[int]:
        for pv in pvs:
            # rows had to know of each day whether it has samples
            last_ns = self._rows.last_sample_ns(pv, time_ns) if self._rows else None
            if last_ns is not None:
                yield last_ns
                continue
            times_ns = self._archive.read(pv, time_ns, time_ns).time_ns
            if times_ns.size:
                yield int(times_ns[0])

    def integrate(self, spans: Sequence[Span]) -> list[Sums]:
        """Integrate over each span: whole hours and minutes from rows that count, the rest from samples, read once.

        Parameters
        ----------
        spans : sequence of Span
            They may overlap.

        Returns
        -------
        list of Sums
            One for each. Cutting at midnight, or into rows, changes nothing, because the sums are exact.
        """
        totals, spans = self._from_rows(spans)
        everything = IntervalSet(interval for span in spans for interval in span.within)
        live = {span.live_fraction for span in spans if span.live_fraction}
        for window, beam in self.beams(everything, *sorted(live)):
            shared = segments(beam, self.sources.beam_on_min_W)
            for index, span in enumerate(spans):
                within = span.within & IntervalSet((window,))
                if within:
                    steps = self._live_segments(span, within, beam) if span.live_fraction else shared
                    totals[index] += integrate(steps, within, span.pauses)
        return totals

    def rows(self, within: IntervalSet) -> RowReader | None:
        """Return the rows that count over some stretches; None where none are kept."""
        if self._kept is None or not within:
            return None
        hull = Interval(within.intervals[0].start_ns, within.intervals[-1].stop_ns)
        self._rows = RowReader(self._kept, self.sources, hull)
        return self._rows

    def _from_rows(self, spans: Sequence[Span]) -> tuple[list[Sums], Sequence[Span]]:
        """Return what rows tell of each span, and what is left of it."""
        rows = self.rows(IntervalSet(interval for span in spans for interval in span.within))
        if rows is None:
            return [Sums()] * len(spans), spans
        totals, rest = [], []
        for span in spans:
            held = span.within & span.pauses
            counted, left = rows.of(span.live_fraction).sums(span.within - held)
            paused, left_of_held = rows.of(None).sums(held)
            # a row of the beam alone knows of no pause
            totals.append(counted + replace(paused, counted_ns=0))
            rest.append(replace(span, within=left | left_of_held))
        return totals, rest

    def _live_segments(self, span: Span, within: IntervalSet, beam: BeamHistory) -> Segments:
        start_ns, stop_ns = within.intervals[0].start_ns, within.intervals[-1].stop_ns
        live = self.history(ScaledPv(span.live_fraction or ""), start_ns, stop_ns)
        return segments(beam.between(start_ns, stop_ns), self.sources.beam_on_min_W, live)


def windows(within: IntervalSet, last_samples_ns: Callable[[int], Iterable[int]]) -> list[Interval]:
    """Cut stretches into windows that fit into memory: UTC days with samples, and what lies between such days.

    Parameters
    ----------
    within : IntervalSet
        The stretches.
    last_samples_ns : callable
        Takes a time [ns since 1970 UTC] and gives, for each PV that has one, the time of its last sample at or before.

    Returns
    -------
    list of Interval
        By time. Each reaches from the first to the last of the stretches in it; years without a sample are one window,
        so that the number of windows goes with the data and not with the time.
    """
    found: list[Interval] = []
    left = list(within)
    while left:
        start_ns = stop_ns = left[-1].stop_ns
        earliest_ns = _earliest_ns(stop_ns, last_samples_ns(stop_ns - 1))
        # where there are samples, those between stretches that lie far apart need not be read
        longest_ns = _HOLE_NS if earliest_ns == (stop_ns - 1) // DAY_NS * DAY_NS else _LONGEST_NS
        while left and left[-1].stop_ns > earliest_ns and start_ns - left[-1].stop_ns < longest_ns:
            piece = left.pop()
            start_ns = max(piece.start_ns, earliest_ns)
            if piece.start_ns < earliest_ns:
                left.append(Interval(piece.start_ns, earliest_ns))
        found.append(Interval(start_ns, stop_ns))
    return found[::-1]


def _earliest_ns(stop_ns: int, last_samples_ns: Iterable[int]) -> int:
    day_ns = (stop_ns - 1) // DAY_NS * DAY_NS
    latest_ns = stop_ns - _LONGEST_NS
    for sample_ns in last_samples_ns:
        if sample_ns >= day_ns:
            return day_ns
        latest_ns = max(latest_ns, (sample_ns // DAY_NS + 1) * DAY_NS)
    return latest_ns
