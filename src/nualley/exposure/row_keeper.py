"""Keeping rows: made day by day from samples, made anew where what they rest on has changed, compared with samples."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from nualley.core import DAY_NS, Clock, Interval
from nualley.exposure.beam_reader import BeamReader
from nualley.exposure.footing import SeriesFooting, rows_stop_ns
from nualley.exposure.integral import segments
from nualley.exposure.models import BEAM_SERIES, Series
from nualley.exposure.ports import ScalarHistory
from nualley.exposure.row_reader import KeptRows, read_footing, row_days
from nualley.exposure.rows import Rows, hours_of, make_rows
from nualley.exposure.sources import BeamSources, ScaledPv
from nualley.physics import FOREVER, PvRows

_N_AT_ONCE = 16
"""Days whose hours are written together: a year is one file."""

Progress = Callable[[str, int, int], None]


class Look(Enum):
    """How closely rows that are there are looked at before they are believed."""

    AT_NAMES = "names"
    """Hours are read, of minutes there must be a file."""
    INTO_FILES = "files"
    """Both are read."""
    AT_NOTHING = "nothing"
    """Not at all: they are made anew, as far as samples are left."""


@dataclass(frozen=True, slots=True)
class SeriesReport:
    """How the rows of a series stand.

    Parameters
    ----------
    series : Series
        Which.
    n_days : int
        UTC days that have samples, and hours that are over and sealed.
    n_current : int
        Days whose rows count.
    n_made : int
        Days of these whose rows were made now.
    n_without : int
        Days whose rows cannot be made, because samples are gone or damaged: what is left of them is read.
    n_differing : int
        Days whose rows are not what their samples say; only `RowKeeper.verify` looks.
    start_ns, stop_ns : int or None
        Begin of the first and end of the last row that counts [ns since 1970 UTC].
    size_B : int
        Bytes of the files [B].
    """

    series: Series
    n_days: int = 0
    n_current: int = 0
    n_made: int = 0
    n_without: int = 0
    n_differing: int = 0
    start_ns: int | None = None
    stop_ns: int | None = None
    size_B: int = 0

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        names = ("n_days", "n_current", "n_made", "n_without", "n_differing", "start_ns", "stop_ns", "size_B")
        found: dict[str, object] = {"series": self.series.name, "live_fraction": self.series.live_fraction}
        return found | {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class RowsReport:
    """How the rows stand.

    Parameters
    ----------
    series : tuple of SeriesReport
        The beam alone first.
    damages : tuple of str
        Files that were found damaged: not used, and written anew where samples are left.
    """

    series: tuple[SeriesReport, ...]
    damages: tuple[str, ...] = ()

    @property
    def is_intact(self) -> bool:
        """Whether no file was damaged and no row is wrong."""
        return not self.damages and not any(found.n_differing for found in self.series)

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return {"series": [found.to_json() for found in self.series], "damages": list(self.damages)}


@dataclass(slots=True)
class _Tally:
    days: list[Interval] = field(default_factory=list)
    n_days: int = 0
    n_made: int = 0
    n_without: int = 0
    n_differing: int = 0


class RowKeeper:
    """Makes rows and looks after them; one at a time for a store.

    Parameters
    ----------
    archive : ScalarHistory
        Archived PVs.
    sources : BeamSources
        What ``beam.toml`` says.
    kept : KeptRows
        Rows, and what tells whether they count.
    clock : Clock
        Says which hours are over.
    """

    def __init__(self, archive: ScalarHistory, sources: BeamSources, kept: KeptRows, clock: Clock) -> None:
        self._archive, self._sources, self._kept, self._clock = archive, sources, kept, clock

    @property
    def _series(self) -> list[Series]:
        return [BEAM_SERIES, *dict.fromkeys(self._kept.series.values())]

    def update(
        self,
        look: Look = Look.AT_NAMES,
        *,
        should_stop: Callable[[], bool] = bool,
        progress: Progress | None = None,
    ) -> RowsReport:
        """Make the rows that are missing or rest on something that has changed; what is made stays if it is stopped.

        Parameters
        ----------
        look : Look
            How closely those are looked at that are there.
        should_stop : callable
            Asked between days.
        progress : callable, optional
            Takes the name of a series, days done and days in all.

        Returns
        -------
        RowsReport
            How they stand now.
        """
        told = progress or _tell_nobody
        found = [self._updated(series, look, should_stop=should_stop, progress=told) for series in self._series]
        return RowsReport(tuple(found), tuple(self._kept.files.damages))

    def verify(self, progress: Progress | None = None) -> RowsReport:
        """Read all rows, and compare those that count with the samples, where all of them are left.

        Parameters
        ----------
        progress : callable, optional
            Takes the name of a series, days done and days in all.
        """
        told = progress or _tell_nobody
        found = [self._verified(series, told) for series in self._series]
        return RowsReport(tuple(found), tuple(self._kept.files.damages))

    # -------------------------------------------------------------- making
    def _updated(
        self, series: Series, look: Look, *, should_stop: Callable[[], bool], progress: Progress
    ) -> SeriesReport:
        tally, hours = _Tally(), dict[int, Rows]()
        for day, footing, is_current in self._days(series, tally, progress):
            if should_stop():
                break
            left = self._left(series, day, footing) if look is Look.INTO_FILES or not is_current else None
            if is_current and (look is Look.AT_NAMES or left is not None):
                tally.days.append(day)
                continue
            made = left if look is not Look.AT_NOTHING and left else self._make(series, day, footing)
            if made is None:
                tally.n_without += not is_current
                tally.days += [day] if is_current else []
                continue
            minutes, hours[day.start_ns] = made
            self._kept.files.put_minutes(series, day.start_ns, minutes)
            tally.n_made += 1
            tally.days.append(day)
            if len(hours) >= _N_AT_ONCE:
                self._kept.files.put_hours(series, hours)
                hours = {}
        if hours:
            self._kept.files.put_hours(series, hours)
        return self._report(series, tally)

    def _days(
        self, series: Series, tally: "_Tally", progress: Progress
    ) -> Iterator[tuple[Interval, SeriesFooting, bool]]:
        """Yield what of each day can have rows, what they rest on, and whether they are there and count."""
        footing = read_footing(self._kept.footings, self._sources, series, FOREVER)
        if footing is None:
            return
        hours = self._kept.files.hours(series, FOREVER.start_ns, FOREVER.stop_ns)
        known = {day_ns: (stop_ns, said) for day_ns, stop_ns, said in (row_days(hours) if hours is not None else ())}
        with_minutes = self._kept.files.days(series)
        until_ns = min(footing.settled_ns, self._clock.now_ns())
        days = [Interval(day_ns, rows_stop_ns(day_ns, until_ns)) for day_ns in footing.days()]
        days = [day for day in days if day.duration_ns]
        tally.n_days = len(days)
        for done, day in enumerate(days):
            progress(series.name, done, len(days))
            is_current = day.start_ns in with_minutes and known.get(day.start_ns) == (
                day.stop_ns,
                footing.digest(day.start_ns, day.stop_ns),
            )
            yield day, footing, is_current
        progress(series.name, len(days), len(days))

    def _left(self, series: Series, day: Interval, footing: SeriesFooting) -> tuple[Rows, Rows] | None:
        """Return what a kill, or damage to the hours, left whole: the minutes, and the hours that they add up to."""
        minutes = self._kept.files.minutes(series, day.start_ns)
        said = footing.digest(day.start_ns, day.stop_ns)
        if minutes is None or row_days(minutes) != [(day.start_ns, day.stop_ns, said)]:
            return None
        return minutes, hours_of(minutes)

    def _make(self, series: Series, day: Interval, footing: SeriesFooting) -> tuple[Rows, Rows] | None:
        """Make rows from samples; None where samples are missing, or where something changed meanwhile."""
        counted = _CountedHistory(self._archive, footing, day)
        reader = BeamReader(counted, self._sources)
        beam = reader.beam(day.start_ns, day.stop_ns)
        live = (
            reader.history(ScaledPv(series.live_fraction), day.start_ns, day.stop_ns) if series.live_fraction else None
        )
        said = footing.digest(day.start_ns, day.stop_ns)
        if counted.missing or self._said_now(series, day) != said:
            return None
        return make_rows(segments(beam, self._sources.beam_on_min_W, live), day.start_ns, day.stop_ns, said)

    def _said_now(self, series: Series, day: Interval) -> str | None:
        footing = read_footing(
            self._kept.footings, self._sources, series, Interval(day.start_ns, day.start_ns + DAY_NS)
        )
        if footing is None or footing.settled_ns < day.stop_ns:
            return None
        return footing.digest(day.start_ns, day.stop_ns)

    # -------------------------------------------------------------- looking
    def _verified(self, series: Series, progress: Progress) -> SeriesReport:
        tally = _Tally()
        for day, footing, is_current in self._days(series, tally, progress):
            if not is_current:
                continue
            kept = self._left(series, day, footing)
            if kept is None:  # damaged, or not of one making with the hours
                continue
            hours = self._kept.files.hours(series, day.start_ns, day.stop_ns)
            tally.days.append(day)
            made = self._make(series, day, footing)
            if made is None:
                tally.n_without += 1
            elif hours is None or not _are_same((kept[0], hours), made):
                tally.n_differing += 1
        return self._report(series, tally)

    def _report(self, series: Series, tally: _Tally) -> SeriesReport:
        return SeriesReport(
            series,
            n_days=tally.n_days,
            n_current=len(tally.days),
            n_made=tally.n_made,
            n_without=tally.n_without,
            n_differing=tally.n_differing,
            start_ns=min((day.start_ns for day in tally.days), default=None),
            stop_ns=max((day.stop_ns for day in tally.days), default=None),
            size_B=self._kept.files.size_B(series),
        )


class _CountedHistory:
    """The port `ScalarHistory` that notes of which PVs it could not give all samples that were ever stored.

    Parameters
    ----------
    archive : ScalarHistory
        The archive.
    footing : SeriesFooting
        How many samples there should be.
    day : Interval
        What is read.
    """

    def __init__(self, archive: ScalarHistory, footing: SeriesFooting, day: Interval) -> None:
        self._archive = archive
        self._n_samples = footing.n_samples(day.start_ns, day.stop_ns)
        self._held_ns = footing.held_ns(day.start_ns)
        self.missing: set[str] = set()

    def read(self, pv: str, start_ns: int, stop_ns: int) -> PvRows:
        """Return samples and connection changes, and count them."""
        rows = self._archive.read(pv, start_ns, stop_ns)
        n_inside = int((rows.time_ns >= start_ns).sum())
        held_ns = rows.time_ns[rows.time_ns < start_ns]
        # a sample at the very start hides the one before it, which does not matter then
        is_held = (rows.time_ns.size > 0 and int(rows.time_ns[0]) == start_ns) or (
            int(held_ns[-1]) if held_ns.size else None
        ) == self._held_ns[pv]
        if n_inside != self._n_samples[pv] or not is_held:
            self.missing.add(pv)
        return rows

    def alive_until_ns(self, pv: str) -> int:
        """Return up to when the last value is known to have held [ns since 1970 UTC]."""
        return self._archive.alive_until_ns(pv)


def _are_same(one: Sequence[Rows], other: Sequence[Rows]) -> bool:
    return all(a.is_same_as(b) for a, b in zip(one, other, strict=True))


def _tell_nobody(_name: str, _done: int, _all: int) -> None:
    """Tell nobody how far it is."""
