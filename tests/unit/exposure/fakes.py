"""A fake archive and a fake catalog, and a beam that is easy to count: 1 MW at 1000 MeV is one RATE."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nualley.core import HOUR_NS, SECOND_NS
from nualley.experiment import Beam, Detector
from nualley.exposure import Exposures, TraceRows
from nualley.exposure.models import Series
from nualley.exposure.ports import PvFooting
from nualley.exposure.rows import Rows, join_rows
from nualley.physics import FOREVER, LinkChange, PvRows, TraceSums, proton_rate

RATE = proton_rate(1e6, 1000.0)
"""Protons per second of 1 MW at 1000 MeV."""

T0 = 1_600_000_000 * SECOND_NS
"""Where tests begin: 2020-09-13T12:26:40Z."""


def at(seconds: float) -> int:
    """Return a time by seconds since `T0` [ns]."""
    return T0 + round(seconds * SECOND_NS)


@dataclass
class FakePv:
    """What a fake archive holds of one PV; times in seconds since T0."""

    samples: list[tuple[float, object]]
    links: list[tuple[float, str, float | None]] = field(default_factory=list)
    alive_until_s: float | None = None
    labels: tuple[str, ...] = ()
    severities: Mapping[float, int] = field(default_factory=dict)
    recent_s: float | None = None


class FakeArchive:
    """The port PvHistory over lists."""

    def __init__(self, pvs: Mapping[str, FakePv]) -> None:
        self.pvs = dict(pvs)
        self.minutes: dict[str, list[TraceSums]] = {}
        self.n_reads = 0
        self.asked_alive: Counter[str] = Counter()

    def read(self, pv: str, start_ns: int, stop_ns: int) -> PvRows:
        self.n_reads += 1
        found = self.pvs.get(pv, FakePv([]))
        times = np.array([at(s) for s, _ in found.samples], dtype=np.int64)
        n_before = int(np.searchsorted(times, start_ns, side="right"))
        first = max(n_before - 1, 0)
        last = max(int(np.searchsorted(times, stop_ns, side="left")), n_before)
        values = [value for _, value in found.samples[first:last]]
        is_text = any(isinstance(value, str) for value in values)
        severity = [found.severities.get(s, 0) for s, _ in found.samples[first:last]]
        return PvRows(
            times[first:last],
            np.array(values, dtype=object if is_text else np.float64),
            np.array(severity, dtype=np.int8),
            self._links(found, start_ns, stop_ns),
        )

    def _links(self, found: FakePv, start_ns: int, stop_ns: int) -> tuple[LinkChange, ...]:
        rows = [
            LinkChange(at(s), kind, None if heard is None else at(heard))  # type: ignore[arg-type]
            for s, kind, heard in found.links
        ]
        before = [row for row in rows if row.time_ns < start_ns][-1:]
        inside = [row for row in rows if start_ns <= row.time_ns < stop_ns]
        after = [row for row in rows if row.time_ns >= stop_ns][:1]
        return (*before, *inside, *after)

    def read_traces(self, pv: str, start_ns: int, stop_ns: int) -> TraceRows:
        found = self.pvs.get(pv, FakePv([]))
        rows = [(s, np.asarray(v, dtype=np.float64)) for s, v in found.samples if start_ns <= at(s) < stop_ns]
        return TraceRows(
            np.array([at(s) for s, _ in rows], dtype=np.int64),
            np.array([found.severities.get(s, 0) for s, _ in rows], dtype=np.int8),
            np.append(0, np.cumsum([v.size for _, v in rows])).astype(np.int64),
            np.concatenate([np.empty(0), *(v for _, v in rows)]),
        )

    def read_trace_minutes(self, pv: str, start_ns: int, stop_ns: int) -> list[TraceSums]:
        return [sums for sums in self.minutes.get(pv, []) if start_ns <= sums.start_ns < stop_ns]

    def count_traces(self, pv: str, start_ns: int, stop_ns: int) -> int:
        n_minutes = len(self.read_trace_minutes(pv, start_ns, stop_ns))
        return self.read_traces(pv, start_ns, stop_ns).time_ns.size + n_minutes

    def alive_until_ns(self, pv: str) -> int:
        self.asked_alive[pv] += 1
        if pv not in self.pvs:
            return FOREVER.start_ns
        alive_s = self.pvs[pv].alive_until_s
        return FOREVER.stop_ns if alive_s is None else at(alive_s)

    def labels(self, pv: str) -> tuple[str, ...]:
        return self.pvs[pv].labels if pv in self.pvs else ()

    def footing(self, pv: str, start_ns: int, stop_ns: int) -> PvFooting | None:
        found = self.pvs.get(pv, FakePv([]))
        if any(isinstance(value, str) for _, value in found.samples):
            return None
        times = np.array([at(s) for s, _ in found.samples], dtype=np.int64)
        values = np.array([value for _, value in found.samples], dtype=np.float64)
        severity = np.array([found.severities.get(s, 0) for s, _ in found.samples], dtype=np.int8)
        is_good = (severity < 3) & np.isfinite(values)
        good = np.where(is_good, values, np.nan)
        # one entry a sample: whoever reads it must put those of an hour together
        n = (times >= at(-(10**9))).astype(np.int64)
        return PvFooting(
            (pv,) if pv in self.pvs else (),
            times // HOUR_NS * HOUR_NS,
            n,
            is_good.astype(np.int64),
            times,
            times,
            good,
            good,
            severity,
            self._links(found, start_ns, stop_ns),
            self.alive_until_ns(pv),
            FOREVER.stop_ns if found.recent_s is None else at(found.recent_s),
        )


class FakeRowFiles:
    """The port RowFiles in memory."""

    def __init__(self) -> None:
        self.of_hours: dict[Series, dict[int, Rows]] = {}
        self.of_minutes: dict[Series, dict[int, Rows]] = {}
        self.damages: list[str] = []

    def hours(self, series: Series, start_ns: int, stop_ns: int) -> Rows | None:
        days = self.of_hours.get(series, {})
        return join_rows([days[day] for day in sorted(days)]).within(start_ns, stop_ns) if days else None

    def minutes(self, series: Series, day_ns: int) -> Rows | None:
        return self.of_minutes.get(series, {}).get(day_ns)

    def days(self, series: Series) -> set[int]:
        return set(self.of_minutes.get(series, {}))

    def put_minutes(self, series: Series, day_ns: int, rows: Rows) -> None:
        self.of_minutes.setdefault(series, {})[day_ns] = rows

    def put_hours(self, series: Series, rows: Mapping[int, Rows]) -> None:
        self.of_hours.setdefault(series, {}).update(rows)

    def size_B(self, series: Series) -> int:
        return 0


@dataclass(frozen=True)
class FakeRun:
    """A recorded run."""

    run_id: str
    start_ns: int | None = None
    stop_ns: int | None = None
    time_source: str = "pv"

    @property
    def detector(self) -> str:
        return self.run_id.rpartition("-")[0]


class FakeRuns:
    """The port Runs over a list."""

    def __init__(self, runs: Sequence[FakeRun]) -> None:
        self.listed = list(runs)

    def run(self, run_id: str) -> FakeRun:
        return next(run for run in self.listed if run.run_id == run_id)

    def runs(
        self, *, detector: str | None = None, start_ns: int | None = None, stop_ns: int | None = None
    ) -> list[FakeRun]:
        return [run for run in self.listed if detector in (None, run.detector) and _overlaps(run, start_ns, stop_ns)]


def _overlaps(run: FakeRun, start_ns: int | None, stop_ns: int | None) -> bool:
    if start_ns is None and stop_ns is None:
        return True
    if run.start_ns is None:
        return False
    starts_early = stop_ns is None or run.start_ns < stop_ns
    return starts_early and (start_ns is None or run.stop_ns is None or run.stop_ns > start_ns)


class FakeClock:
    """A clock that stands where it is put."""

    def __init__(self, now_ns: int) -> None:
        self.time_ns = now_ns

    def now_ns(self) -> int:
        return self.time_ns


def detector(name: str, *, live_fraction: bool = True, state: bool = True) -> Detector:
    """Return a detector whose DAQ has PVs named after it."""
    pvs = {"run": f"{name}:RUN"}
    if state:
        pvs["state"] = f"{name}:STATE"
    if live_fraction:
        pvs["live_fraction"] = f"{name}:LIVE"
    return Detector.model_validate(
        {
            "id": name,
            "name": name,
            "target": {"material": "LAr", "mass": "24 kg"},
            "distance": "27.5 m",
            "daq": {"format": "wavedump", "pvs": pvs},
        }
    )


BEAM: Mapping[str, object] = {
    "power": {"pv": "POWER", "unit": "MW"},
    "proton_energy": {"pv": "ENERGY", "unit": "GeV"},
    "rate": {"pv": "RATE", "unit": "Hz"},
    "charge_per_pulse": {"pv": "CHARGE", "unit": "uC"},
    "trace": {"pv": "TRACE", "unit": "A", "sample_period": "2 ns"},
    "beam_on_min": "50 kW",
}

STATES = ("Stopped", "Running", "Paused")


def steady(**others: FakePv) -> dict[str, FakePv]:
    """Return a beam of 1 MW, 1 GeV and 60 Hz that was posted once and never again."""
    charge_uC = RATE / 60 * 1.602176634e-19 * 1e6
    return {
        "POWER": FakePv([(-100.0, 1.0)]),
        "ENERGY": FakePv([(-100.0, 1.0)]),
        "RATE": FakePv([(-100.0, 60.0)]),
        "CHARGE": FakePv([(-100.0, charge_uC)]),
    } | others


def make_exposures(
    pvs: Mapping[str, FakePv],
    runs: Sequence[FakeRun] = (),
    *,
    detectors: Sequence[Detector] = (),
    now_s: float = 1e6,
    beam: Mapping[str, object] = BEAM,
) -> Exposures:
    """Return the service over fakes."""
    return Exposures(
        FakeArchive(pvs),
        FakeRuns(runs),
        beam=Beam.model_validate(beam),
        detectors={d.id: d for d in detectors},
        clock=FakeClock(at(now_s)),
    )
