"""Transfers in the catalog, on SQLite and on PostgreSQL."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from nualley.catalog import (
    CatalogDamaged,
    CopyState,
    ReplicaConflict,
    ReplicaState,
    Transfer,
    TransferCount,
    TransferFile,
    TransferNotFound,
    TransferState,
)
from nualley.catalog.adapters.sql import SqlCatalog, open_catalog
from nualley.core import UsageError
from tests.unit.catalog.records import FakeClock, make_activity, make_file, make_replica, make_run

TRANSFER = Transfer(source="/data1/cenns-10/raw/42", destination="/data2/cenns-10/raw/42", drive="data2", host="here")


def make_files(n_files: int = 3) -> list[TransferFile]:
    return [TransferFile(path=f"sub/wave{n}.dat", size_B=10 + n, mtime_ns=7, inode=n) for n in range(n_files)]


def test_a_transfer_comes_back_as_it_was_entered(any_catalog: SqlCatalog) -> None:
    begun = any_catalog.transfers.begin(TRANSFER, make_files())
    assert begun == replace(TRANSFER, transfer_id=1, created_ns=begun.created_ns)
    assert begun.created_ns
    assert any_catalog.transfers.transfer(1) == begun
    files = any_catalog.transfers.files(1)
    assert [replace(file, transfer_id=0, changed_ns=0) for file in files] == make_files()
    assert all(file.changed_ns for file in files)
    assert any_catalog.transfers.count(1) == TransferCount({CopyState.QUEUED: 3}, {CopyState.QUEUED: 33}, 0)


def test_many_files_are_entered_at_once(any_catalog: SqlCatalog) -> None:
    any_catalog.transfers.begin(TRANSFER, make_files(2500))
    assert any_catalog.transfers.count(1).n_files == 2500
    any_catalog.transfers.put_files(1, [replace(file, size_B=1) for file in make_files(2400)])
    assert any_catalog.transfers.count(1).size_B == 2400 + sum(10 + n for n in range(2400, 2500))


def test_open_and_finished_transfers(any_catalog: SqlCatalog) -> None:
    transfers = any_catalog.transfers
    first, second = transfers.begin(TRANSFER, make_files()), transfers.begin(TRANSFER, [])
    assert transfers.transfers(is_open=True) == [first, second]
    failed = transfers.finish(1, problem="the drive is full")
    assert (failed.finished_ns, failed.problem) == (None, "the drive is full")
    done = transfers.finish(2)
    assert done.finished_ns
    assert [found.transfer_id for found in transfers.transfers(is_open=True)] == [1]
    assert transfers.transfers() == [failed, done]


def test_a_transfer_that_is_given_up_stays_so_and_one_that_is_finished_too(any_catalog: SqlCatalog) -> None:
    transfers = any_catalog.transfers
    for _ in range(2):
        transfers.begin(replace(TRANSFER, is_left=True), make_files())
    given_up = transfers.cancel(1)
    assert given_up.cancelled_ns
    assert (given_up.state, given_up.is_left) == (TransferState.CANCELLED, False)
    assert transfers.cancel(1) == transfers.finish(1) == transfers.finish(1, problem="late") == given_up
    assert transfers.leave(1, is_left=True) == given_up
    assert [found.transfer_id for found in transfers.transfers(is_open=True)] == [2]
    assert transfers.transfer(2).state is TransferState.LEFT
    done = transfers.finish(2)
    assert transfers.cancel(2) == done
    assert done.state is TransferState.FINISHED
    with pytest.raises(TransferNotFound):
        transfers.cancel(3)


def test_stages_below_a_folder_and_what_each_drive_holds_of_a_run(any_catalog: SqlCatalog) -> None:
    run = make_run()
    places = {"a": ("data1", "data2"), "b": ("data1",), "c": ("data2",)}
    for number, (name, drives) in enumerate(places.items()):
        replicas = [make_replica(drive=drive, path=f"/{drive}/{name}/f") for drive in drives]
        stage = "raw" if number else "hit"
        any_catalog.add_file(run, replace(make_file(run, name, number), stage=stage), replicas=replicas)
    transfers = any_catalog.transfers
    assert transfers.stages_below("data1", "/data1") == ["hit", "raw"]
    assert transfers.stages_below("data1", "/data1/b") == ["raw"]
    assert transfers.stages_below("data1", "/data1/c") == []
    assert any_catalog.n_held_by_drive(run.run_id) == {"data1": 2, "data2": 2}
    (lost, _) = any_catalog.replicas(1)
    any_catalog.update_replica(lost.replica_id, state=ReplicaState.MISSING)
    assert any_catalog.n_held_by_drive(run.run_id) == {"data1": 1, "data2": 2}
    assert any_catalog.n_held_by_drive("hpge-1") == {}


def test_a_file_that_is_settled_and_its_replica_are_one_transaction(any_catalog: SqlCatalog) -> None:
    run = make_run()
    known = any_catalog.add_file(run, make_file(run)).record
    other = any_catalog.add_file(run, make_file(run, "wave1.dat", 2), replicas=[make_replica(path="/taken")]).record
    any_catalog.transfers.begin(TRANSFER, make_files(1))
    (file,) = any_catalog.transfers.files(1)
    done = replace(file, state=CopyState.CATALOGUED, xxh3_128="a" * 32, adler32="b" * 8, file_id=known.file_id)
    with pytest.raises(ReplicaConflict):
        any_catalog.transfers.settle(done, make_replica(path="/taken"), make_activity(kind="transfer"))
    assert any_catalog.transfers.files(1) == [file]
    assert not any_catalog.activities()
    any_catalog.transfers.settle(done, make_replica(path="/free"), make_activity(kind="transfer"))
    (found,) = any_catalog.transfers.files(1)
    assert replace(found, changed_ns=0) == replace(done, changed_ns=0)
    assert found.digests == replace(known.digests, size_B=10, xxh3_128="a" * 32, adler32="b" * 8)
    assert [replica.path for replica in any_catalog.replicas(known.file_id)] == ["/free"]
    assert [activity.kind for activity in any_catalog.activities()] == ["transfer"]
    assert [replica.path for replica in any_catalog.replicas(other.file_id)] == ["/taken"]
    any_catalog.transfers.settle(done, make_replica(path="/free"), make_activity(kind="transfer"))
    assert len(any_catalog.activities()) == 1


def test_a_file_whose_row_is_gone_is_entered_again(any_catalog: SqlCatalog) -> None:
    any_catalog.transfers.begin(TRANSFER, [])
    any_catalog.transfers.settle(replace(make_files(1)[0], transfer_id=1), None)
    assert any_catalog.transfers.count(1).n_files == 1


def test_what_is_known_below_a_folder(any_catalog: SqlCatalog) -> None:
    run = make_run()
    paths = ["/d/a", "/d/a/b", "/d/a/c/d", "/d/a0", "/d/a-b", "/d/ab", "/d/a/\\xff", "/d/A/b", "/e/a/b"]
    places = [make_replica(path=path) for path in paths]
    lost = make_replica(path="/d/a/lost", state=ReplicaState.MISSING)
    any_catalog.add_file(run, make_file(run), replicas=[*places, lost, make_replica("data9", "/d/a/other")])
    found = any_catalog.transfers.known_below("data1", "/d/a")
    assert [replica.path for replica in found] == ["/d/a", "/d/a/\\xff", "/d/a/b", "/d/a/c/d"]
    assert len(any_catalog.transfers.known_below("data1", "/")) == len(paths)
    assert any_catalog.transfers.known_below("data1", "/d/a/b/") == found[2:3]


def test_what_is_not_there_is_told(any_catalog: SqlCatalog) -> None:
    with pytest.raises(TransferNotFound, match="there was none yet"):
        any_catalog.transfers.transfer(3)
    any_catalog.transfers.begin(TRANSFER, [])
    with pytest.raises(TransferNotFound, match="the last one is 1"):
        any_catalog.transfers.put_files(3, [])


def test_paths_are_escaped() -> None:
    with pytest.raises(UsageError, match="not an escaped name"):
        Transfer(source="/a\nb", destination="/c")
    with pytest.raises(UsageError, match="not an escaped name"):
        TransferFile(path="a\nb", size_B=1, mtime_ns=1, inode=1)


def test_a_row_that_stands_for_nothing_is_damage(catalog: SqlCatalog, location: Path, clock: FakeClock) -> None:
    catalog.transfers.begin(TRANSFER, make_files(1))
    catalog._database.write(lambda connection: connection.execute(text("UPDATE transfer_file SET state = 'copyinh'")))
    with pytest.raises(CatalogDamaged, match="copyinh"):
        catalog.transfers.files(1)
    with pytest.raises(CatalogDamaged, match="copyinh"):
        catalog.transfers.count(1)


def test_transfers_survive_the_process(location: Path, clock: FakeClock) -> None:
    with open_catalog(location, clock=clock) as catalog:
        begun = catalog.transfers.begin(TRANSFER, make_files())
    with open_catalog(location, clock=clock) as catalog:
        assert catalog.transfers.transfers() == [begun]
        assert catalog.transfers.count(1).n_files == 3


def test_a_transfer_is_left_to_the_worker_and_taken_back(any_catalog: SqlCatalog) -> None:
    transfers = any_catalog.transfers
    transfers.begin(TRANSFER, [])
    left = transfers.begin(replace(TRANSFER, is_left=True), [])
    assert left.is_left
    assert transfers.leave(1, is_left=True) == replace(transfers.transfer(1), is_left=True)
    assert [each.is_left for each in transfers.transfers()] == [True, True]
    assert not transfers.leave(2, is_left=False).is_left
    with pytest.raises(TransferNotFound):
        transfers.leave(3, is_left=True)
