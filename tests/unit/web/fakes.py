"""Fakes of what the pages need, with words to tell their story."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from nualley.archive import Account, ArchiveMissingError, LastValue, Ledger, PvState
from nualley.catalog import Run, TimeSource, Totals
from nualley.config import Configuration
from nualley.core import DAY_NS, SECOND_NS, CheckResult, make_run_id, parse_time_ns
from nualley.experiment import Detector
from nualley.exposure import Amounts, Delivered, RunExposure
from nualley.pv import Push
from nualley.storage import DriveUsage
from nualley.testing.bus import MemoryBus, MemorySubscriber
from nualley.web.observations import ArchiveSeen, LiveSeen, Observations, Observed

NOW_NS = parse_time_ns("2026-11-23T04:00:00Z", 0)
POWER = "DEMO:BEAM:POWER"
STATE, RUN, LIVE = "DEMO:CENNS10:DAQ:STATE", "DEMO:CENNS10:DAQ:RUN", "DEMO:CENNS10:DAQ:LIVE"
LEDGER = Ledger(received=1000, stored=990, quarantined=4, filtered=6, gaps=2)


@dataclass
class FakeClock:
    """A clock that stands still until it is told."""

    time_ns: int = NOW_NS

    def now_ns(self) -> int:
        return self.time_ns


def last_value(pv: str, value: object, **changes: Any) -> LastValue:
    """Return the last value of a PV: connected, ten seconds old."""
    made = LastValue(
        pv=pv,
        time_ns=NOW_NS - 10 * SECOND_NS,
        value=value,
        severity=0,
        status=0,
        unit="MW" if pv == POWER else "",
        age_s=10.0,
        state=PvState.CONNECTED,
        last_heard_ns=NOW_NS - SECOND_NS,
    )
    return replace(made, **changes)


def detector(name: str = "cenns-10", **changes: Any) -> Detector:
    """Return a detector as a file would describe it."""
    fields: dict[str, Any] = {
        "id": name,
        "name": name.upper(),
        "target": {"material": "LAr", "mass": "24.4 kg"},
        "distance": "27.5 m",
        "daq": {"format": "wavedump", "pvs": {"run": RUN, "state": STATE, "live_fraction": LIVE}},
    }
    return Detector.model_validate({**fields, **changes})


def run_of(number: int, *, detector: str = "cenns-10", stop_ns: int | None = None, duration_s: int = 100) -> Run:
    """Return a run that stopped before now."""
    end_ns = NOW_NS - 600 * SECOND_NS if stop_ns is None else stop_ns
    return Run(
        run_id=make_run_id(detector, number),
        detector=detector,
        number=number,
        start_ns=end_ns - duration_s * SECOND_NS,
        stop_ns=end_ns,
        time_source=TimeSource.PV,
        created_ns=end_ns,
    )


def exposure_of(run: Run, **changes: Any) -> RunExposure:
    amounts = Amounts(pot=1.5e18, beam_on_s=100.0, unknown_s=0.0)
    made = RunExposure(run.run_id, run.detector, run.start_ns, run.stop_ns, amounts)
    return replace(made, **changes)


def delivered(**changes: Any) -> Delivered:
    amounts = Amounts(pot=4.2e20, energy_GWh=0.0189, beam_on_s=13_000.0, unknown_s=0.0)
    return Delivered(NOW_NS - NOW_NS % DAY_NS, NOW_NS - SECOND_NS, replace(amounts, **changes))


def seen(*values: LastValue, **changes: Any) -> Observations:
    """Return what was seen of a site whose archive holds ``values`` and whose bus speaks."""
    archive = ArchiveSeen(values, LEDGER, NOW_NS - SECOND_NS)
    made = Observations(live=LiveSeen(message_ns=NOW_NS, n_messages=1), archive=Observed(archive, NOW_NS))
    return replace(made, **changes)


@dataclass
class FakeArchive:
    """An archive's reader with the values that it is given."""

    values: dict[str, LastValue] = field(default_factory=dict)
    ledger_now: Ledger = LEDGER

    def account(self) -> Account:
        return Account(number=1, n_received=LEDGER.received, seq=1000, time_ns=NOW_NS - SECOND_NS)

    def last(self, pvs: Sequence[str] = ()) -> list[LastValue]:
        return [self.values[pv] for pv in pvs or sorted(self.values)]

    def ledger(self) -> Ledger:
        return self.ledger_now

    def history(self, pv: str, start_ns: int, stop_ns: int) -> pa.Table:
        return table([(start_ns, 1.4, 0), (stop_ns - 60 * SECOND_NS, 1.3, 0)])

    def alive_until_ns(self, pv: str) -> int:
        return NOW_NS


@dataclass
class FakeCatalog:
    """A record of runs."""

    recorded: list[Run] = field(default_factory=list)

    def runs(self) -> list[Run]:
        return self.recorded

    def totals_by_run(self) -> Mapping[str, Totals]:
        totals = Totals(n_files=2, n_events=5000, n_replicas=2, n_verified_replicas=2)
        return {run.run_id: totals for run in self.recorded}


@dataclass
class FakeExposures:
    """Exposures that count how often they are asked."""

    n_asked: int = 0

    def run_exposure(self, run: Run) -> RunExposure:
        self.n_asked += 1
        return exposure_of(run)

    def delivered(self, start_ns: int, stop_ns: int) -> Delivered:
        return delivered()


@dataclass
class FakeSite:
    """A site of fakes; a part that is an exception is raised."""

    configuration: Configuration
    clock: FakeClock = field(default_factory=FakeClock)
    bus: MemoryBus = field(default_factory=MemoryBus)
    archive_part: FakeArchive | Exception = field(default_factory=FakeArchive)
    opened_part: Any = None
    catalog_part: FakeCatalog | Exception = field(default_factory=FakeCatalog)
    copy_part: Any = None
    exposures_part: FakeExposures | Exception = field(default_factory=FakeExposures)
    drives_part: list[DriveUsage] | Exception = field(default_factory=list)
    processes_part: list[CheckResult] | Exception = field(default_factory=list)
    files_part: list[CheckResult] | Exception = field(default_factory=list)
    push_part: Any = None
    pushed: list[tuple[Push, str]] = field(default_factory=list)

    def archive(self) -> FakeArchive:
        return _given(self.archive_part)

    def last_values(self, pvs: Sequence[str] = ()) -> list[LastValue]:
        return self.archive().last(pvs)

    def open_archive(self) -> Any:
        return _given(self.opened_part)

    def catalog_copy(self) -> Any:
        return _given(self.copy_part)

    def catalog(self) -> FakeCatalog:
        return _given(self.catalog_part)

    def exposures(self) -> FakeExposures:
        return _given(self.exposures_part)

    def drive_usages(self) -> list[DriveUsage]:
        return _given(self.drives_part)

    def archive_files(self) -> list[CheckResult]:
        return _given(self.files_part)

    def processes(self) -> list[CheckResult]:
        return _given(self.processes_part)

    async def push(self, push: Push, pusher: str) -> Mapping[str, Any]:
        self.pushed.append((push, pusher))
        return _given(self.push_part)

    def live(self) -> MemorySubscriber:
        return self.bus.subscribe()


def _given(part: Any) -> Any:
    if isinstance(part, Exception):
        raise part
    return part


def missing_archive() -> ArchiveMissingError:
    return ArchiveMissingError("nothing was archived yet", where="store/archive", do="nualley up archive")


def message(*values: LastValue, **changes: Any) -> dict[str, Any]:
    """Return a message of the archive process."""
    fields = {
        "time_ns": NOW_NS,
        "synced_seq": 1000,
        "synced_ns": NOW_NS,
        "ledger": {"received": 1000, "stored": 990, "quarantined": 4, "filtered": 6, "gaps": 2},
        "last_heard_by_ioc": {},
        "values": [{**_fields(value)} for value in values],
    }
    return {**fields, **changes}


def _fields(value: LastValue) -> dict[str, Any]:
    names = ("pv", "time_ns", "value", "severity", "status", "unit", "age_s", "last_heard_ns")
    return {**{name: getattr(value, name) for name in names}, "state": str(value.state)}


def table(samples: Sequence[tuple[int, float | None, int]], links: Sequence[tuple[int, str, int]] = ()) -> pa.Table:
    """Return the rows of a PV as the archive's reader does."""
    rows = [
        *({"time_ns": t, "value": v, "severity": s, "kind": "sample", "last_heard_ns": None} for t, v, s in samples),
        *({"time_ns": t, "value": None, "severity": None, "kind": k, "last_heard_ns": h} for t, k, h in links),
    ]
    schema = pa.schema(
        [
            ("time_ns", pa.int64()),
            ("value", pa.float64()),
            ("severity", pa.int8()),
            ("kind", pa.dictionary(pa.int8(), pa.string())),
            ("last_heard_ns", pa.int64()),
        ]
    )
    return pa.Table.from_pylist(sorted(rows, key=lambda row: int(str(row["time_ns"]))), schema=schema)
