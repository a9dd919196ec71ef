"""What rows rest on, and how it is told that they do no longer.

A sample that is stored is never changed, and one that comes later makes its hour have more of them. So the number of
samples of each hour, with the times of the first and the last one, the extremes and the worst severity, tells whether
an hour is what it was. The archive keeps these numbers for good, also where the samples were kept for a while only.
What was heard of an IOC, up to when it is known to have lived, the names under which the history of a PV stands, and
what ``beam.toml`` says come in as they are now. A row counts only where the digest of all this is the one that was
written with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import xxhash
from numpy.typing import NDArray

from nualley.core import DAY_NS, HOUR_NS
from nualley.exposure.models import Series
from nualley.exposure.ports import PvFooting
from nualley.exposure.sources import BeamSources, ScaledPv
from nualley.physics import LinkChange, blackouts

ROWS_VERSION = 1
"""Raised whenever the same samples would give other rows: those that are there are made anew then."""


def sources_pvs(sources: BeamSources, live_fraction: str | None = None) -> list[str]:
    """Return the PVs that rows are made of; those without which nothing is known come first."""
    wanted = (sources.power_W, sources.proton_energy_MeV, sources.rate_Hz, sources.charge_C)
    pvs = [source.pv for source in wanted if isinstance(source, ScaledPv)]
    return [*pvs, live_fraction] if live_fraction else pvs


class SeriesFooting:
    """What the rows of one series rest on, day by day, over one stretch of time.

    Parameters
    ----------
    series : Series
        Which.
    sources : BeamSources
        What ``beam.toml`` says.
    pvs : mapping of str to PvFooting
        What the archive holds of each PV over the stretch.
    """

    def __init__(self, series: Series, sources: BeamSources, pvs: Mapping[str, PvFooting]) -> None:
        self._said = f"{ROWS_VERSION} {sources!r} {series.live_fraction!r}"
        self._pvs = [_Footing(pv, pvs[pv]) for pv in sources_pvs(sources, series.live_fraction)]
        needed = [source.pv for source in (sources.power_W, sources.proton_energy_MeV) if isinstance(source, ScaledPv)]
        self._needed = [footing for footing in self._pvs if footing.pv in needed]

    @property
    def settled_ns(self) -> int:
        """From here on samples are not sealed yet, or may be missing [ns since 1970 UTC]."""
        return min(footing.archived.recent_ns for footing in self._pvs)

    def days(self) -> list[int]:
        """Return where the UTC days begin that have samples, as long as power and proton energy may be known."""
        firsts_ns = [footing.first_ns for footing in self._needed]
        if None in firsts_ns:
            return []
        known_ns = max((first_ns or 0 for first_ns in firsts_ns), default=0)
        days = {int(day) for footing in self._pvs for day in np.unique(footing.archived.start_ns // DAY_NS)}
        return [day * DAY_NS for day in sorted(days) if (day + 1) * DAY_NS > known_ns]

    def digest(self, start_ns: int, stop_ns: int) -> str:
        """Return what rows of ``[start_ns, stop_ns)`` rest on, as 32 hexadecimal digits."""
        found = xxhash.xxh3_128(f"{self._said} {start_ns} {stop_ns}".encode())
        for footing in self._pvs:
            footing.add(found, start_ns, stop_ns)
        return found.hexdigest()

    def n_samples(self, start_ns: int, stop_ns: int) -> dict[str, int]:
        """Return how many samples of each PV were ever stored in a stretch of whole hours."""
        return {footing.pv: footing.n_samples(start_ns, stop_ns) for footing in self._pvs}

    def held_ns(self, time_ns: int) -> dict[str, int | None]:
        """Return the time of each PV's last sample before an hour [ns since 1970 UTC]; None where there is none."""
        return {footing.pv: footing.held_ns(time_ns) for footing in self._pvs}


class _Footing:
    def __init__(self, pv: str, archived: PvFooting) -> None:
        self.pv = pv
        self.archived = archived
        # of several files one hour may have several entries: put together, however the files are cut
        self._link_times_ns = np.array([link.time_ns for link in archived.links], dtype=np.int64)

    @cached_property
    def _hours(self) -> PvFooting:
        return merged_hours(self.archived)

    @property
    def first_ns(self) -> int | None:
        hours = self._hours
        return int(hours.first_ns[0]) if hours.start_ns.size else None

    def _between(self, start_ns: int, stop_ns: int) -> slice:
        first, stop = np.searchsorted(self._hours.start_ns, [start_ns, stop_ns])
        return slice(int(first), int(stop))

    def n_samples(self, start_ns: int, stop_ns: int) -> int:
        return int(self._hours.n[self._between(start_ns, stop_ns)].sum())

    def held_ns(self, time_ns: int) -> int | None:
        before = int(np.searchsorted(self._hours.start_ns, time_ns))
        return int(self._hours.last_ns[before - 1]) if before else None

    def add(self, digest: xxhash.xxh3_128, start_ns: int, stop_ns: int) -> None:
        alive_ns = min(max(self.archived.alive_until_ns, start_ns), stop_ns)
        dark = [
            (max(part.start_ns, start_ns), min(part.stop_ns, stop_ns))
            for part in blackouts(self._links(start_ns, stop_ns))
            if part.start_ns < stop_ns and part.stop_ns > start_ns
        ]
        said = (self.pv, self.archived.names, self.held_ns(start_ns), alive_ns, dark)
        digest.update(repr(said).encode())
        rows = self._between(start_ns, stop_ns)
        for column in _columns(self._hours):
            digest.update(column[rows].tobytes())

    def _links(self, start_ns: int, stop_ns: int) -> Sequence[LinkChange]:
        """Return the changes inside, the last one before and the first one behind: what reading the stretch gives."""
        first, stop = np.searchsorted(self._link_times_ns, [start_ns, stop_ns])
        return self.archived.links[max(int(first) - 1, 0) : int(stop) + 1]


def _columns(hours: PvFooting) -> list[NDArray[np.int64] | NDArray[np.float64] | NDArray[np.int8]]:
    return [
        hours.start_ns,
        hours.n,
        hours.n_good,
        hours.first_ns,
        hours.last_ns,
        hours.lowest,
        hours.highest,
        hours.severity,
    ]


def merged_hours(found: PvFooting) -> PvFooting:
    """Put together what several files say of one hour, in an order that does not matter.

    Parameters
    ----------
    found : PvFooting
        Hours in any order, some of them several times.

    Returns
    -------
    PvFooting
        Each hour once, by time.
    """
    order = np.argsort(found.start_ns, kind="stable")
    start_ns = found.start_ns[order]
    firsts = np.flatnonzero(np.append(True, start_ns[1:] != start_ns[:-1])[: start_ns.size])
    if not firsts.size:
        return found
    return replace(
        found,
        start_ns=start_ns[firsts],
        n=np.add.reduceat(found.n[order], firsts),
        n_good=np.add.reduceat(found.n_good[order], firsts),
        first_ns=np.minimum.reduceat(found.first_ns[order], firsts),
        last_ns=np.maximum.reduceat(found.last_ns[order], firsts),
        # of two zeros with different signs, which one is the smaller depends on the order
        lowest=np.fmin.reduceat(found.lowest[order], firsts) + 0.0,
        highest=np.fmax.reduceat(found.highest[order], firsts) + 0.0,
        severity=np.maximum.reduceat(found.severity[order], firsts),
    )


def rows_stop_ns(day_ns: int, settled_ns: int) -> int:
    """Return up to where the hours of a day are over and settled [ns since 1970 UTC]; the day's begin where none is."""
    return max(day_ns, min(day_ns + DAY_NS, settled_ns // HOUR_NS * HOUR_NS))
