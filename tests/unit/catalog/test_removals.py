"""Replicas that are taken away on purpose, on SQLite and on PostgreSQL."""

import threading

import pytest

from nualley.catalog import FileUsage, ReplicaNeeded, ReplicaState, Source, SourceState
from nualley.catalog.adapters.sql import SqlCatalog
from tests.unit.catalog.records import make_activity, make_file, make_replica, make_run

REMOVAL = make_activity(kind="reclaim", inputs=("/data1/a",), outputs=("/data1/.nualley-trash/1-a",))


def enter(catalog: SqlCatalog, n_drives: int = 2, **changes: object) -> list[int]:
    """Enter a file with replicas on drives, and return their numbers."""
    run = make_run()
    replicas = [make_replica(f"data{n}", f"/data{n}/a", **changes) for n in range(1, n_drives + 1)]
    return [each.replica_id for each in catalog.add_file(run, make_file(run), replicas=replicas).replicas]


def states(catalog: SqlCatalog) -> list[str]:
    return [str(each.state) for each in catalog.replicas(1)]


def test_a_replica_that_went_counts_nowhere_and_what_was_done_is_on_record(any_catalog: SqlCatalog) -> None:
    first, second = enter(any_catalog)
    any_catalog.removals.remove(first, kept=[second], activity=REMOVAL)
    assert states(any_catalog) == ["removed", "verified"]
    assert any_catalog.replicas(1)[0].verified_ns == 5
    assert [each.kind for each in any_catalog.activities("/data1/a")] == ["reclaim"]
    assert any_catalog.usage(["drive"]) == [FileUsage(drive="data2", n_files=1, size_B=160_192)]
    totals = any_catalog.totals()
    assert (totals.n_replicas, totals.n_verified_replicas) == (1, 1)
    assert any_catalog.find_files(drive="data1") == []
    assert any_catalog.transfers.known_below("data1", "/data1") == []


@pytest.mark.parametrize("state", [each for each in ReplicaState if each is not ReplicaState.VERIFIED])
@pytest.mark.parametrize("which", [0, 1])
def test_nothing_goes_where_it_or_what_it_rests_on_is_not_verified(
    any_catalog: SqlCatalog, state: ReplicaState, which: int
) -> None:
    replicas = enter(any_catalog)
    any_catalog.update_replica(replicas[which], state=state)
    with pytest.raises(ReplicaNeeded, match="not verified any more"):
        any_catalog.removals.remove(replicas[0], kept=replicas[1:], activity=REMOVAL)
    assert states(any_catalog)[which] == state
    assert states(any_catalog).count("verified") == 1
    assert any_catalog.activities("/data1/a") == []


def test_a_replica_does_not_rest_on_itself_nor_on_another_file(any_catalog: SqlCatalog) -> None:
    first, _ = enter(any_catalog)
    run = make_run()
    other = any_catalog.add_file(run, make_file(run, "b", 2), replicas=[make_replica("data1", "/data1/b")]).replicas[0]
    for kept in ([first], [other.replica_id], [999]):
        with pytest.raises(ReplicaNeeded):
            any_catalog.removals.remove(first, kept=kept)
    with pytest.raises(ReplicaNeeded):
        any_catalog.removals.remove(999, kept=[])


def test_of_two_that_each_rest_on_the_other_one_goes(any_catalog: SqlCatalog) -> None:
    """Two machines, each with a plan of its own, at the same time."""
    first, second = enter(any_catalog)
    refused: list[int] = []
    start = threading.Barrier(2)

    def remove(replica: int, kept: int) -> None:
        start.wait()
        try:
            any_catalog.removals.remove(replica, kept=[kept])
        except ReplicaNeeded:
            refused.append(replica)

    threads = [threading.Thread(target=remove, args=pair) for pair in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert sorted(states(any_catalog)) == ["removed", "verified"]


def test_what_was_read_before_it_went_does_not_call_it_good_again(any_catalog: SqlCatalog) -> None:
    first, second = enter(any_catalog)
    any_catalog.removals.remove(first, kept=[second])
    for state in (ReplicaState.VERIFIED, ReplicaState.MISSING, ReplicaState.DAMAGED):
        any_catalog.update_replica(first, state=state, verified_ns=9)
        assert states(any_catalog) == ["removed", "verified"]
    any_catalog.update_replica(first, state=ReplicaState.UNVERIFIED)  # that something lies there again may be said
    assert states(any_catalog) == ["unverified", "verified"]


def test_back_as_it_was(any_catalog: SqlCatalog) -> None:
    first, second = enter(any_catalog)
    any_catalog.removals.put_back(first, state=ReplicaState.DAMAGED)
    assert states(any_catalog) == ["verified", "verified"], "it was not removed"
    any_catalog.removals.remove(first, kept=[second])
    any_catalog.removals.put_back(first, state=ReplicaState.VERIFIED, activity=make_activity(kind="restore"))
    assert states(any_catalog) == ["verified", "verified"]
    assert any_catalog.usage(["drive"])[0].size_B == 160_192


def test_a_new_copy_at_its_place_is_a_replica_again(any_catalog: SqlCatalog) -> None:
    first, second = enter(any_catalog)
    any_catalog.removals.remove(first, kept=[second])
    any_catalog.add_replica(1, make_replica("data1", "/data1/a", verified_ns=7))
    assert states(any_catalog) == ["verified", "verified"]


def test_the_newest_time_on_record(any_catalog: SqlCatalog) -> None:
    assert any_catalog.removals.newest_ns() is None
    enter(any_catalog, verified_ns=2 * 10**18)
    assert any_catalog.removals.newest_ns() == 2 * 10**18
    any_catalog.add_activity(make_activity(stop_ns=3 * 10**18))
    assert any_catalog.removals.newest_ns() == 3 * 10**18
    source = Source(path="/d/a", detector="hpge", state=SourceState.INGESTED, size_B=1, mtime_ns=1, inode=1)
    entered = any_catalog.put_source(source)
    assert (any_catalog.removals.newest_ns() or 0) >= entered.time_ns


def test_stages_by_file(any_catalog: SqlCatalog) -> None:
    run = make_run()
    any_catalog.add_file(run, make_file(run, stage="hit"), replicas=[make_replica()])
    assert any_catalog.removals.stages("data1") == {1: "hit"}
    assert any_catalog.removals.stages("data2") == {}
