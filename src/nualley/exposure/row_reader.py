"""Answering from rows: whole hours and whole minutes of a stretch, as far as what they rest on is still the same."""

from collections.abc import Mapping
from dataclasses import dataclass

from nualley.core import DAY_NS, HOUR_NS, MINUTE_NS, Interval, IntervalSet
from nualley.exposure.footing import SeriesFooting, sources_pvs
from nualley.exposure.integral import Sums
from nualley.exposure.models import BEAM_SERIES, Series
from nualley.exposure.ports import Footings, PvFooting, RowFiles
from nualley.exposure.rows import Rows
from nualley.exposure.sources import BeamSources


@dataclass(frozen=True, slots=True)
class KeptRows:
    """Rows, and what tells whether they count.

    Parameters
    ----------
    files : RowFiles
        Where they are.
    footings : Footings
        The archive.
    series : mapping of str to Series
        PV of a live fraction -> the rows that are kept of it.
    """

    files: RowFiles
    footings: Footings
    series: Mapping[str, Series]


class RowReader:
    """The rows that count for one question; make a new one for every question.

    Parameters
    ----------
    kept : KeptRows
        Rows, and what tells whether they count.
    sources : BeamSources
        What ``beam.toml`` says.
    hull : Interval
        From the first to the last moment that the question is about.
    """

    def __init__(self, kept: KeptRows, sources: BeamSources, hull: Interval) -> None:
        self._kept, self._sources = kept, sources
        self._hull = Interval(hull.start_ns // DAY_NS * DAY_NS, -(-hull.stop_ns // DAY_NS) * DAY_NS)
        self._footings: dict[str, PvFooting | None] = {}
        self._by_series: dict[Series, _CountingRows] = {}

    def of(self, live_fraction: str | None) -> "_CountingRows":
        """Return the rows that count of the beam, alone or together with a live fraction."""
        series = self._kept.series.get(live_fraction) if live_fraction else BEAM_SERIES
        if series is None:
            return _CountingRows(self._kept.files, BEAM_SERIES, None, {})
        if series not in self._by_series:
            self._by_series[series] = self._counting(series)
        return self._by_series[series]

    def last_sample_ns(self, pv: str, time_ns: int) -> int | None:
        """Return the time of a sample of a PV at or before a time, on the day of the last one [ns since 1970 UTC].

        None where it is not known without reading samples.
        """
        footing = self._footings.get(pv)
        if footing is None or time_ns >= min(footing.recent_ns, self._hull.stop_ns):
            return None
        earlier_ns = footing.first_ns[footing.first_ns <= time_ns]
        return int(earlier_ns.max()) if earlier_ns.size else None

    def _counting(self, series: Series) -> "_CountingRows":
        hours = self._kept.files.hours(series, self._hull.start_ns, self._hull.stop_ns)
        footing = self._footing(series) if hours is not None else None
        days = counting_days(hours, footing) if hours is not None and footing is not None else {}
        return _CountingRows(self._kept.files, series, hours, days)

    def _footing(self, series: Series) -> SeriesFooting | None:
        return read_footing(self._kept.footings, self._sources, series, self._hull, self._footings)


def read_footing(
    footings: Footings,
    sources: BeamSources,
    series: Series,
    hull: Interval,
    known: dict[str, PvFooting | None] | None = None,
) -> SeriesFooting | None:
    """Return what rows of a series rest on over a stretch; None where that cannot be told.

    Parameters
    ----------
    footings : Footings
        The archive.
    sources : BeamSources
        What ``beam.toml`` says.
    series : Series
        Which rows.
    hull : Interval
        The stretch; whole UTC days.
    known : dict, optional
        What was read of PVs over the same stretch before; what is read now is added.
    """
    known = {} if known is None else known
    pvs: dict[str, PvFooting] = {}
    for pv in sources_pvs(sources, series.live_fraction):
        if pv not in known:
            known[pv] = footings.footing(pv, hull.start_ns, hull.stop_ns)
        found = known[pv]
        if found is None:
            return None
        pvs[pv] = found
    return SeriesFooting(series, sources, pvs)


def counting_days(hours: Rows, footing: SeriesFooting) -> dict[int, tuple[int, str]]:
    """Return the days of which rows of an hour count.

    Parameters
    ----------
    hours : Rows
        Rows of an hour.
    footing : SeriesFooting
        What they should rest on.

    Returns
    -------
    dict of int to tuple of (int, str)
        Begin of the UTC day -> where its rows end [ns since 1970 UTC], and what they rest on.
    """
    found: dict[int, tuple[int, str]] = {}
    settled_ns = footing.settled_ns
    for day_ns, stop_ns, said in row_days(hours):
        if stop_ns <= settled_ns and said == footing.digest(day_ns, stop_ns):
            found[day_ns] = stop_ns, said
    return found


def row_days(rows: Rows) -> list[tuple[int, int, str]]:
    """Return the UTC days that rows cover from their begin on: begin and end [ns since 1970 UTC], and their footing."""
    found: list[tuple[int, int, str]] = []
    days = (rows.start_ns // DAY_NS * DAY_NS).tolist()
    for day_ns, start_ns, said in zip(days, rows.start_ns.tolist(), rows.footing, strict=True):
        if found and found[-1] == (day_ns, start_ns, said):
            found[-1] = day_ns, start_ns + rows.width_ns, said
        elif start_ns == day_ns:
            found.append((day_ns, start_ns + rows.width_ns, said))
    return found


class _CountingRows:
    """Rows of one series, of days whose footing was compared."""

    def __init__(
        self, files: RowFiles, series: Series, hours: Rows | None, days: Mapping[int, tuple[int, str]]
    ) -> None:
        self._files, self._series, self._hours, self._days = files, series, hours, days
        self.stretches = IntervalSet(Interval(day_ns, stop_ns) for day_ns, (stop_ns, _) in days.items())
        self._minutes: dict[int, Rows | None] = {}

    def pieces(self, within: IntervalSet, *, most_ns: int = HOUR_NS) -> list[tuple[Rows, Interval]]:
        """Return rows that cover as much of some stretches as they can, the widest first.

        Parameters
        ----------
        within : IntervalSet
            The stretches.
        most_ns : int
            Width of the widest rows that are wanted [ns].

        Returns
        -------
        list of tuple of (Rows, Interval)
            Disjoint intervals, and the rows that cover each.
        """
        found: list[tuple[Rows, Interval]] = []
        covered = within & self.stretches
        if self._hours is not None and most_ns >= HOUR_NS:
            whole = [inner for part in covered if (inner := _shrunk(part, HOUR_NS))]
            found += [(self._hours, part) for part in whole]
            covered -= IntervalSet(whole)
        for part in covered:
            if inner := _shrunk(part, MINUTE_NS):
                found += self._of_minutes(inner)
        return found

    def _of_minutes(self, part: Interval) -> list[tuple[Rows, Interval]]:
        found = []
        for day_ns in range(part.start_ns // DAY_NS * DAY_NS, part.stop_ns, DAY_NS):
            rows = self._minutes_of(day_ns)
            piece = Interval(max(part.start_ns, day_ns), min(part.stop_ns, day_ns + DAY_NS))
            if rows is not None:
                found.append((rows, piece))
        return found

    def _minutes_of(self, day_ns: int) -> Rows | None:
        if day_ns not in self._minutes:
            rows = self._files.minutes(self._series, day_ns)
            # written apart from the hours: a kill may have come in between
            is_same = rows is not None and row_days(rows) == [(day_ns, *self._days[day_ns])]
            self._minutes[day_ns] = rows if is_same else None
        return self._minutes[day_ns]

    def sums(self, within: IntervalSet) -> tuple[Sums, IntervalSet]:
        """Integrate over as much of some stretches as rows cover.

        Returns
        -------
        sums : Sums
            Of what is covered, as if there were no pauses.
        left : IntervalSet
            What is not.
        """
        total, used = Sums(), []
        for rows, part in self.pieces(within):
            sums = rows.between(part.start_ns, part.stop_ns)
            if sums is not None:
                total += sums
                used.append(part)
        return total, within - IntervalSet(used)

    def drawn(self, within: IntervalSet, grain_ns: int) -> list[tuple[Rows, Interval]]:
        """Return rows for a curve whose vertices may lie a grain apart.

        Parameters
        ----------
        within : IntervalSet
            The stretches of the curve.
        grain_ns : int
            Rows that are wider are not taken [ns].

        Returns
        -------
        list of tuple of (Rows, Interval)
            Disjoint intervals, and the rows that cover each.
        """
        return self.pieces(within, most_ns=grain_ns) if grain_ns >= MINUTE_NS else []


def _shrunk(part: Interval, width_ns: int) -> Interval | None:
    """Return what whole rows cover of a stretch."""
    start_ns, stop_ns = -(-part.start_ns // width_ns) * width_ns, part.stop_ns // width_ns * width_ns
    return Interval(start_ns, stop_ns) if start_ns < stop_ns else None
