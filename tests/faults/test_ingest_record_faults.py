"""Ingest beside a record that is locked or wrong, a clock that jumps and names that are taken: each file once."""

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from nualley.catalog import CatalogUnreachable, ReplicaState
from nualley.core import SECOND_NS
from nualley.ingest import IngestSettings, Outcome
from nualley.storage import DestinationConflict
from tests.faults.interfering import Interfering
from tests.faults.test_ingest_faults import MortalCatalog, only, write_events
from tests.faults.test_transfer_faults import JumpingClock
from tests.unit.ingest.site import DETECTOR, RealSite
from tests.unit.ingest.world import World

pytestmark = pytest.mark.fault

TWO_COPIES = IngestSettings(settle_s=0, poll_s=0.01, copies=2)


# ---------------------------------------------------------------- the destination
@pytest.mark.parametrize("is_same", [True, False])
def test_a_destination_that_appears_while_it_is_copied_is_never_overwritten(tmp_path: Path, is_same: bool) -> None:
    source = write_events(tmp_path / "drop" / "run1" / "wave0.dat")
    taken = tmp_path / "data1" / DETECTOR / "raw" / "1" / "wave0.dat"

    left = [source.read_bytes() if is_same else b"somebody's"]

    def before(step: str) -> None:
        if step == "link" and left:
            taken.write_bytes(left.pop())

    with RealSite(tmp_path, files=Interfering(before)) as site:
        other = write_events(site.drop / "run2" / "wave0.dat")
        files = {file.run_id: file for file in site.watcher.poll().files}
        assert files["hpge-2"].outcome is Outcome.INGESTED, "one that is in the way stops no other"
        found = files["hpge-1"]
        if is_same:
            assert found.outcome is Outcome.INGESTED
            assert site.check_replicas() == {"hpge-1/wave0.dat": 1, "hpge-2/wave0.dat": 1}
            return
        assert isinstance(found.error, DestinationConflict)
        assert taken.read_bytes() == b"somebody's"
        assert site.catalog.find_file("hpge-1", "wave0.dat") is None
        taken.unlink()
        assert only(site.ingest.ingest_paths([source], DETECTOR).files).outcome is Outcome.INGESTED
        assert site.check_replicas() == {"hpge-1/wave0.dat": 1, "hpge-2/wave0.dat": 1}
        assert other.exists()


# ---------------------------------------------------------------- clock and age
def test_a_clock_that_jumps_costs_nothing(tmp_path: Path, seed: int) -> None:
    with RealSite(tmp_path, n_drives=2, settings=TWO_COPIES, clock=JumpingClock(seed)) as site:
        for number in range(4):
            write_events(site.drop / f"run{number}" / "wave0.dat")
        for _ in range(20):
            site.watcher.poll()
        assert site.check_replicas() == {f"hpge-{number}/wave0.dat": 2 for number in range(4)}
        assert site.catalog.quarantined() == []


@pytest.mark.parametrize("age_s", [-400 * 86400, 0, 40 * 365 * 86400])
def test_a_file_of_the_wrong_age_is_taken_once(tmp_path: Path, age_s: int) -> None:
    with RealSite(tmp_path) as site:
        path = write_events(site.drop / "run1" / "wave0.dat")
        then_ns = time.time_ns() - age_s * SECOND_NS
        os.utime(path, ns=(then_ns, then_ns))
        site.watcher.poll()
        site.watcher.poll()
        assert site.check_replicas() == {"hpge-1/wave0.dat": 1}
        assert site.watcher.poll().is_idle
        assert len(site.catalog.activities()) == 1


# ---------------------------------------------------------------- the record
@pytest.mark.parametrize("step", ["open", "open_part", "write", "sync", "link", "sync_directory"])
def test_a_record_that_is_locked_costs_nothing(tmp_path: Path, step: str) -> None:
    source = write_events(tmp_path / "drop" / "run1" / "wave0.dat")
    locks: list[sqlite3.Connection] = []

    def before(name: str) -> None:
        if name == step and not locks:
            locks.append(sqlite3.connect(tmp_path / "catalog.sqlite", isolation_level=None))
            locks[0].execute("BEGIN IMMEDIATE")

    # the drive is marked and registered before the record is locked
    with RealSite(tmp_path) as site:
        write_events(site.drop / "run0" / "wave0.dat")
        site.ingest.ingest_paths([site.drop / "run0"], DETECTOR)
    with RealSite(tmp_path, files=Interfering(before), busy_timeout_ms=50) as site:
        with pytest.raises(CatalogUnreachable):
            site.ingest.ingest_paths([source], DETECTOR)
        with closing(locks[0]):
            locks[0].execute("ROLLBACK")
        copy = tmp_path / "data1" / DETECTOR / "raw" / "1" / "wave0.dat"
        assert not copy.exists() or copy.read_bytes() == source.read_bytes()
        assert site.catalog.find_file("hpge-1", "wave0.dat") is None
        site.watcher.poll()
        assert site.check_replicas() == {"hpge-0/wave0.dat": 1, "hpge-1/wave0.dat": 1}


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM source",
        "UPDATE source SET size_B = size_B + 1",
        "UPDATE source SET mtime_ns = 1, inode = 1",
        "UPDATE source SET state = 'quarantined', size_B = 3",
        "UPDATE source SET run_id = NULL, inode = 2",
    ],
)
def test_a_list_of_what_was_taken_that_is_wrong_doubles_nothing(tmp_path: Path, statement: str) -> None:
    with RealSite(tmp_path, n_drives=2, settings=TWO_COPIES) as site:
        for number in range(3):
            write_events(site.drop / f"run{number}" / "wave0.dat")
        site.watcher.poll()
        with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
            connection.execute(statement)
            connection.commit()
        for _ in range(3):
            site.watcher.poll()
        assert site.check_replicas() == {f"hpge-{number}/wave0.dat": 2 for number in range(3)}
        assert len(site.catalog.activities()) == 3
        assert site.catalog.quarantined() == []


def test_a_list_that_calls_done_what_is_not_is_found_out_by_hand(tmp_path: Path) -> None:
    """The list of the watcher is for speed; who asks for a file has it looked for in the record and on the drive."""
    with RealSite(tmp_path) as site:
        path = write_events(site.drop / "run1" / "wave0.dat")
        site.watcher.poll()
        source = site.catalog.find_source(os.fspath(path))
        assert source is not None
        other = write_events(site.drop / "run2" / "wave0.dat")
        state = other.stat()
        site.catalog.put_source(
            replace(
                source,
                path=os.fspath(other),
                run_id="hpge-2",
                size_B=state.st_size,
                mtime_ns=state.st_mtime_ns,
                inode=state.st_ino,
            )
        )
        assert site.watcher.poll().is_idle
        assert only(site.ingest.ingest_paths([other], DETECTOR).files).outcome is Outcome.INGESTED
        assert site.check_replicas() == {"hpge-1/wave0.dat": 1, "hpge-2/wave0.dat": 1}


def test_a_row_of_the_catalog_without_bytes_is_made_good_from_the_source(tmp_path: Path) -> None:
    with RealSite(tmp_path) as site:
        path = write_events(site.drop / "run1" / "wave0.dat")
        replica = only(site.watcher.poll().files).replicas[0]
        Path(replica.path).unlink()
        found = only(site.ingest.ingest_paths([path], DETECTOR).files)
        assert found.outcome is Outcome.ALREADY_THERE
        assert [each.state for each in found.replicas] == [ReplicaState.VERIFIED]
        assert site.check_replicas() == {"hpge-1/wave0.dat": 1}


def test_no_source_is_called_done_before_its_file_is_in_the_record(tmp_path: Path) -> None:
    """Two commits stand before a source may go: the copies on their drives, and the file in the catalog."""
    calls: list[str] = []
    with RealSite(tmp_path, wrap_catalog=lambda catalog: Told(catalog, calls)) as site:
        write_events(site.drop / "run1" / "wave0.dat")
        site.watcher.poll()
        assert calls.index("add_file") < calls.index("put_source")


class Told(MortalCatalog):
    """The real catalog; each call is noted."""

    def __init__(self, catalog, calls: list[str]) -> None:
        super().__init__(catalog, lambda: None)
        self.calls = calls

    def __getattr__(self, name: str):
        self.calls.append(name)
        return getattr(self.catalog, name)


# ---------------------------------------------------------------- a power cut
def test_the_record_is_entered_only_after_all_that_a_power_cut_needs() -> None:
    """Every call towards durability is recorded: when a file is entered, all its copies survive a power cut."""
    world = World(settings=IngestSettings(copies=2))
    data = b"RAWee" * 10
    path = world.put("run1/wave0.dat", data)
    real = world.catalog.add_file
    entered: list[bool] = []

    def add_file(run, file, *, replicas=(), activity=None):
        places = [Path(replica.path) for replica in replicas]
        entered.append(all(world.files.get(each) == data and world.files.is_durable(each) for each in places))
        assert len(places) == 2
        return real(run, file, replicas=replicas, activity=activity)

    world.catalog.add_file = add_file  # type: ignore[method-assign]  # listened to
    assert only(world.ingest.ingest_paths([path], "cenns-10").files).outcome is Outcome.INGESTED
    assert entered == [True]
    part = world.files.part_path(Path("/data1/cenns-10/raw/1/wave0.dat"))
    calls = world.files.calls
    order = [
        calls.index(("write", part)),
        calls.index(("sync", part)),
        calls.index(("drop_cache", part)),
        max(number for number, call in enumerate(calls) if call == ("read", part)),
        calls.index(("link", Path("/data1/cenns-10/raw/1/wave0.dat"))),
    ]
    assert order == sorted(order)
