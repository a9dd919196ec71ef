"""Reading the beam day by day and integrating it over any number of stretches in one go."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from nualley.core import DAY_NS, Interval, IntervalSet
from nualley.exposure.integral import BeamHistory, Segments, Sums, integrate, segments
from nualley.exposure.ports import PvHistory
from nualley.exposure.sources import BeamSources, ScaledPv
from nualley.physics import History, history_from_rows


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
    archive : PvHistory
        The archive.
    sources : BeamSources
        Which PVs.
    """

    def __init__(self, archive: PvHistory, sources: BeamSources) -> None:
        self._archive = archive
        self.sources = sources
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

    def days(self, within: IntervalSet) -> Iterator[tuple[Interval, BeamHistory]]:
        """Yield the beam of each UTC day that the stretches touch, no more of it than they reach over."""
        for window in day_windows(within):
            yield window, self.beam(window.start_ns, window.stop_ns)

    def integrate(self, spans: Sequence[Span]) -> list[Sums]:
        """Integrate over each span; every day is read once.

        Parameters
        ----------
        spans : sequence of Span
            They may overlap.

        Returns
        -------
        list of Sums
            One for each. Cutting at midnight changes nothing, because the sums are exact.
        """
        totals = [Sums()] * len(spans)
        everything = IntervalSet(interval for span in spans for interval in span.within)
        for window, beam in self.days(everything):
            shared = segments(beam, self.sources.beam_on_min_W)
            for index, span in enumerate(spans):
                within = span.within & IntervalSet((window,))
                if within:
                    steps = self._live_segments(span, within, beam) if span.live_fraction else shared
                    totals[index] += integrate(steps, within, span.pauses)
        return totals

    def _live_segments(self, span: Span, within: IntervalSet, beam: BeamHistory) -> Segments:
        start_ns, stop_ns = within.intervals[0].start_ns, within.intervals[-1].stop_ns
        live = self.history(ScaledPv(span.live_fraction or ""), start_ns, stop_ns)
        return segments(beam.between(start_ns, stop_ns), self.sources.beam_on_min_W, live)


def day_windows(within: IntervalSet) -> Iterator[Interval]:
    """Yield for each UTC day that the stretches touch the window that they reach over in it."""
    day_ns, start_ns, stop_ns = -1, 0, 0
    for interval in within:
        for piece in _days(interval):
            if piece.start_ns // DAY_NS != day_ns:
                if stop_ns > start_ns:
                    yield Interval(start_ns, stop_ns)
                day_ns, start_ns = piece.start_ns // DAY_NS, piece.start_ns
            stop_ns = piece.stop_ns
    if stop_ns > start_ns:
        yield Interval(start_ns, stop_ns)


def _days(interval: Interval) -> Iterator[Interval]:
    start_ns = interval.start_ns
    while start_ns < interval.stop_ns:
        stop_ns = min((start_ns // DAY_NS + 1) * DAY_NS, interval.stop_ns)
        yield Interval(start_ns, stop_ns)
        start_ns = stop_ns
