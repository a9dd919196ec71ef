"""The catalog in memory that the unit tests use keeps the promises of the real one that ingest relies on."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nualley.catalog import (
    Activity,
    Catalog,
    FileConflict,
    FileRecord,
    Quarantined,
    Replica,
    ReplicaConflict,
    ReplicaState,
    Run,
    RunNotFound,
    Source,
    SourceState,
    TimeSource,
)
from nualley.catalog.adapters.sql import open_catalog
from nualley.catalog.settings import parse_url
from nualley.testing.postgres import PostgresServer
from tests.unit.ingest.world import NOW_NS, MemoryCatalog, StandingClock

NUMBERS = itertools.count()
RUN = Run(run_id="hpge-1", detector="hpge", number=1)
FILE = FileRecord(
    run_id="hpge-1",
    detector="hpge",
    name="wave0.dat",
    format="wavedump",
    size_B=3,
    xxh3_128="0" * 32,
    adler32="0" * 8,
    n_events=1,
    channels=(0,),
    record_length=2,
)
REPLICA = Replica(drive="data1", path="/data1/a", state=ReplicaState.VERIFIED, verified_ns=5)
ACTIVITY = Activity(kind="ingest", inputs=("/drop/a",), outputs=("file:hpge-1/wave0.dat",), start_ns=1, stop_ns=2)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    clock = StandingClock()
    if request.param == "memory":
        yield MemoryCatalog(clock)  # type: ignore[misc] # as much of it as ingest uses
        return
    location: Path | str = tmp_path / "catalog.sqlite"
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        location = parse_url(server.create(f"ingest{next(NUMBERS)}"))
    with open_catalog(location, clock=clock) as catalog:
        yield catalog


def test_a_file_is_entered_once_and_its_run_completed(catalog: Catalog) -> None:
    added = catalog.add_file(RUN, FILE, replicas=[REPLICA], activity=ACTIVITY)
    assert not added.already_there
    given = replace(RUN, start_ns=1, stop_ns=2, time_source=TimeSource.GIVEN, settings={"gain": 2})
    again = catalog.add_file(given, FILE, replicas=[replace(REPLICA, drive="data2")], activity=ACTIVITY)
    assert again.already_there
    assert again.record == added.record
    assert [replica.drive for replica in again.replicas] == ["data1", "data2"]
    same = catalog.add_file(RUN, FILE, replicas=[REPLICA], activity=ACTIVITY)
    assert len(same.replicas) == 2
    assert len(catalog.activities()) == 2
    assert catalog.run("hpge-1").start_ns == 1
    assert catalog.run("hpge-1").settings == {"gain": 2}
    assert catalog.find_file("hpge-1", "wave0.dat") == added.record == catalog.files("hpge-1")[0]
    assert catalog.files_by_digest("0" * 32) == [added.record]
    assert catalog.find_file("hpge-1", "wave1.dat") is None


def test_conflicts_enter_nothing(catalog: Catalog) -> None:
    catalog.add_file(RUN, FILE, replicas=[REPLICA])
    with pytest.raises(FileConflict):
        catalog.add_file(RUN, replace(FILE, adler32="1" * 8))
    with pytest.raises(ReplicaConflict):
        catalog.add_file(RUN, replace(FILE, name="wave1.dat"), replicas=[REPLICA])
    assert len(catalog.files("hpge-1")) == 1


def test_replicas_change_their_state(catalog: Catalog) -> None:
    (replica,) = catalog.add_file(RUN, FILE, replicas=[REPLICA]).replicas
    catalog.update_replica(replica.replica_id, state=ReplicaState.MISSING)
    (missing,) = catalog.replicas(replica.file_id)
    assert (missing.state, missing.verified_ns) == (ReplicaState.MISSING, 5)
    again = catalog.add_file(RUN, FILE, replicas=[replace(REPLICA, verified_ns=NOW_NS)]).replicas
    assert [(found.state, found.verified_ns) for found in again] == [(ReplicaState.VERIFIED, NOW_NS)]


def test_what_each_drive_holds_of_a_run(catalog: Catalog) -> None:
    assert catalog.n_held_by_drive("hpge-1") == {}
    catalog.add_file(RUN, FILE, replicas=[REPLICA, replace(REPLICA, drive="data2")])
    lost = replace(REPLICA, path="/data1/b", state=ReplicaState.MISSING)
    other = replace(FILE, name="wave1.dat", xxh3_128="1" * 32)
    catalog.add_file(RUN, other, replicas=[lost, replace(REPLICA, drive="data2", path="/data2/b")])
    assert catalog.n_held_by_drive("hpge-1") == {"data1": 1, "data2": 2}


def test_runs_and_their_times(catalog: Catalog) -> None:
    with pytest.raises(RunNotFound):
        catalog.run("hpge-1")
    catalog.add_file(RUN, FILE)
    catalog.update_run_times("hpge-1", start_ns=3, stop_ns=None, time_source=TimeSource.PV)
    assert [(run.start_ns, run.stop_ns, run.time_source) for run in catalog.runs(detector="hpge")] == [
        (3, None, TimeSource.PV)
    ]
    assert catalog.runs(detector="other") == []
    assert [run.run_id for run in catalog.runs(detector="hpge", start_ns=10, stop_ns=20)] == ["hpge-1"]
    assert catalog.runs(detector="hpge", start_ns=1, stop_ns=3) == []
    assert [run.run_id for run in catalog.runs(detector="hpge", start_ns=10)] == ["hpge-1"]
    assert catalog.runs(detector="hpge", stop_ns=3) == []
    totals = catalog.totals("hpge-1")
    assert (totals.n_files, totals.n_events) == (1, FILE.n_events)
    catalog.add_note("hpge-1", "text", author="nualley")
    assert [(note.text, note.author) for note in catalog.notes("hpge-1")] == [("text", "nualley")]


def test_quarantine_and_sources(catalog: Catalog) -> None:
    refused = Quarantined(path="/drop/a", reason="empty", detector="hpge")
    assert catalog.add_quarantined(refused) == catalog.add_quarantined(refused)
    assert len(catalog.quarantined()) == 1
    source = Source(path="/drop/a", detector="hpge", state=SourceState.QUARANTINED, size_B=0, mtime_ns=1, inode=2)
    catalog.put_source(source)
    entered = catalog.put_source(replace(source, state=SourceState.INGESTED, size_B=5))
    assert catalog.find_source("/drop/a") == entered
    assert catalog.sources("hpge") == [entered]
    assert catalog.find_source("/drop/b") is None
