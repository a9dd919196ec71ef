"""What every catalog promises, on SQLite and on PostgreSQL."""

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nualley.catalog import (
    DriveConflict,
    FileAdded,
    FileConflict,
    FileEntry,
    Quarantined,
    ReplicaConflict,
    ReplicaState,
    Run,
    RunNotFound,
    Source,
    SourceState,
    TimeSource,
    Totals,
)
from nualley.catalog.adapters.sql import SqlCatalog
from nualley.catalog.errors import CatalogDamaged, FileNotInCatalog
from nualley.core import ExitCode, UsageError, escape_name
from tests.unit.catalog.records import NOW_NS, make_activity, make_file, make_replica, make_run


@pytest.fixture
def catalog(any_catalog: SqlCatalog) -> SqlCatalog:
    return any_catalog


# ---------------------------------------------------------------- runs
def test_a_run_comes_back_as_it_was_entered(catalog: SqlCatalog) -> None:
    run = make_run(
        start_ns=10,
        stop_ns=20,
        time_source=TimeSource.PV,
        run_type="physics",
        start_reason="shift",
        stop_reason="end of shift",
        settings={"RECORD_LENGTH": 10_000, "channels": [{"id": 3, "dc": 0.5}], "µ": None},
        tags=("b", "a"),
    )
    entered = catalog.register_run(run)
    assert entered == replace(run, tags=("a", "b"), created_ns=NOW_NS + 1)
    assert catalog.run("cenns-10-42") == entered


def test_a_run_is_entered_once_and_completed_not_overwritten(catalog: SqlCatalog) -> None:
    first = catalog.register_run(make_run(settings={"a": 1}, run_type="physics"))
    again = make_run(settings={"a": 2, "b": 3}, run_type="calibration", start_reason="shift", tags=("x",))
    second = catalog.register_run(again)
    assert second == replace(first, settings={"b": 3, "a": 1}, start_reason="shift", tags=("x",))
    assert catalog.register_run(again) == second
    assert catalog.runs() == [second]


def test_settings_hold_what_json_can(catalog: SqlCatalog) -> None:
    run = make_run(settings={"nan": math.nan, "inf": -math.inf, "tuple": (1, 2), "text": "\udcff\0"})
    expected = {"nan": None, "inf": None, "tuple": [1, 2], "text": "\\xff\\x00"}
    assert catalog.register_run(run).settings == expected
    assert catalog.register_run(run).settings == expected


@pytest.mark.parametrize("value", [1j, object()])
def test_settings_that_json_cannot_hold_are_refused(catalog: SqlCatalog, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"settings\.a\[0\]\.b is a {type(value).__name__}"):
        catalog.register_run(make_run(settings={"a": [{"b": value}]}))
    assert catalog.runs() == []


def test_runs_that_start_at_once_are_ordered_by_the_bytes_of_their_detector(catalog: SqlCatalog) -> None:
    for detector in ("a", "B", "a_", "a-b", "A"):
        catalog.register_run(make_run(1, detector, start_ns=5))
    assert [run.detector for run in catalog.runs()] == ["A", "B", "a", "a-b", "a_"]


def test_a_run_that_is_not_there_is_told_with_the_nearest(catalog: SqlCatalog) -> None:
    catalog.register_run(make_run(4711))
    with pytest.raises(RunNotFound) as caught:
        catalog.run("cenns-10-471")
    assert str(caught.value).startswith("there is no run cenns-10-471 among 1")
    assert "did you mean cenns-10-4711?" in caught.value.do
    assert isinstance(caught.value, KeyError)
    with pytest.raises(RunNotFound, match="'nualley runs list' shows them"):
        catalog.run("zzz-1")


@pytest.mark.parametrize(
    "call",
    [
        lambda catalog: catalog.update_run_times("x-1", start_ns=1, stop_ns=2, time_source=TimeSource.PV),
        lambda catalog: catalog.update_run("x-1", run_type="physics"),
        lambda catalog: catalog.add_note("x-1", "text"),
        lambda catalog: catalog.add_tag("x-1", "tag"),
        lambda catalog: catalog.remove_tag("x-1", "tag"),
        lambda catalog: catalog.totals("x-1"),
    ],
)
def test_a_call_for_a_run_that_is_not_there(catalog: SqlCatalog, call: Any) -> None:
    with pytest.raises(RunNotFound):
        call(catalog)


def test_corrected_times_keep_the_old_ones_in_a_note(catalog: SqlCatalog) -> None:
    catalog.register_run(make_run(start_ns=0, stop_ns=10**9, time_source=TimeSource.PV))
    run = catalog.correct_run_times("cenns-10-42", start_ns=0, stop_ns=2 * 10**9, reason="clock", author="Ada")
    assert (run.start_ns, run.stop_ns, run.time_source) == (0, 2 * 10**9, TimeSource.GIVEN)
    (note,) = catalog.notes("cenns-10-42")
    assert note.author == "Ada"
    assert note.text == (
        "times corrected from [1970-01-01T00:00:00.000Z, 1970-01-01T00:00:01.000Z), by pv, to"
        " [1970-01-01T00:00:00.000Z, 1970-01-01T00:00:02.000Z): clock"
    )
    assert catalog.activities() == []
    with pytest.raises(RunNotFound):
        catalog.correct_run_times("cenns-10-43", start_ns=1, stop_ns=2, reason="x", author="")


@pytest.mark.parametrize(
    ("start_ns", "stop_ns", "reason", "what"),
    [
        (9 * 10**9, 5 * 10**9, "x", "run cenns-10-42 would stop at 1970-01-01T00:00:05.000Z, 4 s before it starts at"),
        (5, 5, "x", "run cenns-10-42 would stop at 1970-01-01T00:00:00.000Z, when it starts"),
        (5, 9, " ", "the reason is empty: ' ', expected why the times of run cenns-10-42 were wrong"),
    ],
)
def test_a_correction_that_corrects_nothing_is_refused(
    catalog: SqlCatalog, start_ns: int, stop_ns: int, reason: str, what: str
) -> None:
    run = catalog.register_run(make_run(start_ns=0, stop_ns=10**9, time_source=TimeSource.PV))
    with pytest.raises(UsageError, match=what):
        catalog.correct_run_times(
            "cenns-10-42", start_ns=start_ns, stop_ns=stop_ns, reason=reason, author="", activity=make_activity()
        )
    assert (catalog.run("cenns-10-42"), catalog.notes("cenns-10-42"), catalog.activities()) == (run, [], [])


def test_times_note_and_activity_of_a_correction_are_one_transaction(
    sql_catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = sql_catalog
    run = catalog.register_run(make_run(start_ns=0, stop_ns=10**9, time_source=TimeSource.PV))
    activity = make_activity(kind="correct-times", inputs=("cenns-10-42",))

    def correct() -> Run:
        return catalog.correct_run_times(
            "cenns-10-42", start_ns=0, stop_ns=2, reason="clock", author="Ada", activity=activity
        )

    def fail(*_: object) -> None:
        raise OSError("pulled")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="pulled"):
        patch.setattr("nualley.catalog.adapters.records.put_activity", fail)
        correct()
    assert (catalog.run("cenns-10-42"), catalog.notes("cenns-10-42"), catalog.activities()) == (run, [], [])
    corrected = correct()
    assert corrected.stop_ns == 2
    (entered,) = catalog.activities("cenns-10-42")
    assert replace(entered, activity_id=0) == activity


def test_times_are_set_and_checked(catalog: SqlCatalog) -> None:
    catalog.register_run(make_run())
    run = catalog.update_run_times("cenns-10-42", start_ns=NOW_NS, stop_ns=None, time_source=TimeSource.PV)
    assert (run.start_ns, run.stop_ns, run.time_source) == (NOW_NS, None, TimeSource.PV)
    run = catalog.update_run_times("cenns-10-42", start_ns=5, stop_ns=9, time_source=TimeSource.GIVEN)
    assert (run.start_ns, run.stop_ns, run.time_source) == (5, 9, TimeSource.GIVEN)
    with pytest.raises(UsageError, match="before it starts at"):
        catalog.update_run_times("cenns-10-42", start_ns=9, stop_ns=5, time_source=TimeSource.GIVEN)
    assert catalog.run("cenns-10-42") == run


def test_type_and_reasons_are_set(catalog: SqlCatalog) -> None:
    catalog.register_run(make_run(run_type="physics"))
    assert catalog.update_run("cenns-10-42", stop_reason="trip").stop_reason == "trip"
    run = catalog.update_run("cenns-10-42", run_type="test", start_reason="by hand")
    assert (run.run_type, run.start_reason, run.stop_reason) == ("test", "by hand", "trip")
    assert catalog.update_run("cenns-10-42") == run


def test_runs_are_listed_by_start_and_chosen(catalog: SqlCatalog) -> None:
    catalog.register_run(make_run(1, start_ns=100, stop_ns=200, tags=("good",)))
    catalog.register_run(make_run(2, start_ns=200, stop_ns=300))
    catalog.register_run(make_run(3, start_ns=300))
    catalog.register_run(make_run(4))
    catalog.register_run(make_run(1, "coh-ar-750", start_ns=150, stop_ns=160, tags=("good", "bad")))

    def names(**choice: Any) -> list[str]:
        return [run.run_id for run in catalog.runs(**choice)]

    assert names() == ["cenns-10-1", "coh-ar-750-1", "cenns-10-2", "cenns-10-3", "cenns-10-4"]
    assert names(detector="coh-ar-750") == ["coh-ar-750-1"]
    assert names(start_ns=200) == ["cenns-10-2", "cenns-10-3"]
    assert names(start_ns=10**9) == ["cenns-10-3"]
    assert names(stop_ns=200) == ["cenns-10-1", "coh-ar-750-1"]
    assert names(start_ns=199, stop_ns=201) == ["cenns-10-1", "cenns-10-2"]
    assert names(tag="good") == ["cenns-10-1", "coh-ar-750-1"]
    assert names(tag="good", detector="cenns-10") == ["cenns-10-1"]
    assert names(tag="none") == []
    assert [run.tags for run in catalog.runs(tag="bad")] == [("bad", "good")]


def test_tags_come_and_go(catalog: SqlCatalog) -> None:
    catalog.register_run(make_run())
    for tag in ("good", "good", "á"):
        catalog.add_tag("cenns-10-42", tag)
    assert catalog.run("cenns-10-42").tags == ("good", "á")
    for _ in range(2):
        catalog.remove_tag("cenns-10-42", "good")
    assert catalog.run("cenns-10-42").tags == ("á",)


def test_notes_are_kept_in_order(catalog: SqlCatalog) -> None:
    catalog.register_run(make_run())
    first = catalog.add_note("cenns-10-42", "beam\ntripped", author="shifter")
    second = catalog.add_note("cenns-10-42", "and came \udcff back")
    assert (first.text, first.author, first.time_ns) == ("beam\ntripped", "shifter", NOW_NS + 2)
    assert catalog.notes("cenns-10-42") == [first, second]
    assert second.text == "and came \\xff back"
    assert catalog.notes("x-1") == []


# ---------------------------------------------------------------- files
def test_a_file_is_entered_with_run_replicas_and_activity(catalog: SqlCatalog) -> None:
    run = make_run()
    file = make_file(run, defects=({"kind": "truncated-event", "offset_B": 7, "detail": "3 B lack"},))
    activity = make_activity(inputs=("/drop/wave0.dat",), outputs=("file:cenns-10-42/wave0.dat", "cenns-10-42"))
    added = catalog.add_file(run, file, replicas=[make_replica()], activity=activity)
    assert not added.already_there
    assert added.record == replace(file, file_id=1, created_ns=added.record.created_ns)
    assert added.replicas == (make_replica(replica_id=1, file_id=1, created_ns=added.replicas[0].created_ns),)
    assert catalog.find_file("cenns-10-42", "wave0.dat") == added.record
    assert catalog.file(1) == added.record
    assert catalog.files("cenns-10-42") == [added.record]
    assert catalog.replicas(1) == list(added.replicas)
    assert catalog.activities() == [replace(activity, activity_id=1)]
    assert catalog.activities("cenns-10-42") == catalog.activities("/drop/wave0.dat") == catalog.activities()
    assert catalog.activities("other") == []


def test_the_same_file_again_changes_nothing_but_adds_a_missing_replica(catalog: SqlCatalog) -> None:
    run, activity = make_run(), make_activity()
    first = catalog.add_file(run, make_file(run), replicas=[make_replica()], activity=activity)
    again = catalog.add_file(run, make_file(run), replicas=[make_replica()], activity=activity)
    assert again.already_there
    assert (again.record, again.replicas) == (first.record, first.replicas)
    assert len(catalog.activities()) == 1
    second = make_replica("data2", "/data2/wave0.dat")
    more = catalog.add_file(run, make_file(run), replicas=[make_replica(), second], activity=activity)
    assert more.already_there
    assert [replica.drive for replica in more.replicas] == ["data1", "data2"]
    assert len(catalog.activities()) == 2


def test_other_bytes_under_the_same_name_are_a_conflict_and_enter_nothing(catalog: SqlCatalog) -> None:
    run = make_run()
    catalog.add_file(run, make_file(run), replicas=[make_replica()])
    newcomer = make_file(run, content=0xBAD)
    with pytest.raises(FileConflict) as caught:
        catalog.add_file(
            replace(run, tags=("x",)), newcomer, replicas=[make_replica("data2")], activity=make_activity()
        )
    assert newcomer.xxh3_128 in str(caught.value)
    assert f"{1:032x}" in str(caught.value)
    assert caught.value.exit_code == ExitCode.NOT_INTACT
    assert len(catalog.replicas(1)) == 1
    assert catalog.activities() == []
    assert catalog.run(run.run_id).tags == ()


@pytest.mark.parametrize("changes", [{"size_B": 1}, {"adler32": "ffffffff"}, {"xxh3_128": "f" * 32}])
def test_every_digest_counts(catalog: SqlCatalog, changes: dict[str, Any]) -> None:
    run = make_run()
    catalog.add_file(run, make_file(run))
    with pytest.raises(FileConflict):
        catalog.add_file(run, make_file(run, **changes))


def test_equal_bytes_in_two_runs_stay_two_files(catalog: SqlCatalog) -> None:
    for number in (1, 2):
        catalog.add_file(make_run(number), make_file(make_run(number)))
    assert [file.run_id for file in catalog.files_by_digest(f"{1:032x}")] == ["cenns-10-1", "cenns-10-2"]
    assert catalog.files_by_digest("f" * 32) == []


def test_files_are_listed_by_name_and_misses_are_none_or_told(catalog: SqlCatalog) -> None:
    run = make_run()
    for name in ("b", "a", "C"):
        catalog.add_file(run, make_file(run, name))
    assert [file.name for file in catalog.files(run.run_id)] == ["C", "a", "b"]
    assert catalog.find_file(run.run_id, "absent") is None
    with pytest.raises(FileNotInCatalog, match="there is no file 99"):
        catalog.file(99)


def test_a_file_of_another_run_is_refused(catalog: SqlCatalog) -> None:
    with pytest.raises(UsageError, match="is of run cenns-10-2, not of cenns-10-1"):
        catalog.add_file(make_run(1), make_file(make_run(2)))


def test_many_files_are_entered_together_and_a_conflict_keeps_only_its_own_out(catalog: SqlCatalog) -> None:
    run = make_run()
    catalog.add_file(run, make_file(run, "a"), replicas=[make_replica(path="/a")])
    entries = [
        FileEntry(run, make_file(run, "b", 2), (make_replica(path="/b"),), make_activity()),
        FileEntry(replace(run, tags=("x",)), make_file(run, "a", 3), (make_replica("data2"),), make_activity()),
        FileEntry(run, make_file(run, "c", 4), (make_replica(path="/c"), make_replica(path="/a"))),
        FileEntry(make_run(43), make_file(make_run(43), "d", 5)),
    ]
    came = catalog.add_files(entries)
    assert [type(each) for each in came] == [FileAdded, FileConflict, ReplicaConflict, FileAdded]
    assert [file.name for file in catalog.files(run.run_id)] == ["a", "b"]
    assert catalog.replica_at("data1", "/c") is None
    assert catalog.run(run.run_id).tags == ()
    assert len(catalog.activities()) == 1
    assert catalog.usage(["drive"])[0].n_files == 2
    assert catalog.add_files([]) == []


def test_where_one_of_many_cannot_be_entered_at_all_none_is(catalog: SqlCatalog) -> None:
    run, entries = make_run(), []
    entries.append(FileEntry(run, make_file(run, "a")))
    entries.append(FileEntry(run, make_file(make_run(43), "b")))
    with pytest.raises(UsageError):
        catalog.add_files(entries)
    assert catalog.runs() == []


def test_names_that_are_no_text_are_kept_escaped(catalog: SqlCatalog) -> None:
    run, raw = make_run(), os.fsdecode(b"run\n\xff.dat")
    added = catalog.add_file(
        run, make_file(run, escape_name(raw)), replicas=[make_replica(path=escape_name("/d/" + raw))]
    )
    assert added.record.name == "run\\x0a\\xff.dat"
    assert catalog.find_file(run.run_id, escape_name(raw)) == added.record
    assert catalog.replica_at("data1", "/d/run\\x0a\\xff.dat") == added.replicas[0]


# ---------------------------------------------------------------- replicas
def test_a_later_proof_of_a_replica_is_taken_an_earlier_one_not(catalog: SqlCatalog) -> None:
    run = make_run()
    catalog.add_file(run, make_file(run), replicas=[make_replica(state=ReplicaState.UNVERIFIED, verified_ns=None)])
    known = catalog.add_replica(1, make_replica(verified_ns=50))
    assert (known.replica_id, known.state, known.verified_ns) == (1, ReplicaState.VERIFIED, 50)
    assert catalog.add_replica(1, make_replica(verified_ns=40)).verified_ns == 50
    assert catalog.add_replica(1, make_replica(state=ReplicaState.UNVERIFIED, verified_ns=None)) == known


def test_a_place_holds_one_file(catalog: SqlCatalog) -> None:
    run = make_run()
    catalog.add_file(run, make_file(run), replicas=[make_replica()])
    with pytest.raises(ReplicaConflict, match=r"known to hold file 1 \(cenns-10-42/wave0.dat\)"):
        catalog.add_file(run, make_file(run, "other"), replicas=[make_replica()])
    assert catalog.find_file(run.run_id, "other") is None


def test_a_replica_is_added_with_its_activity_once(catalog: SqlCatalog) -> None:
    run = make_run()
    catalog.add_file(run, make_file(run))
    for _ in range(2):
        catalog.add_replica(1, make_replica(), activity=make_activity(kind="transfer"))
    assert [activity.kind for activity in catalog.activities()] == ["transfer"]
    with pytest.raises(FileNotInCatalog):
        catalog.add_replica(2, make_replica(path="/elsewhere"))


def test_the_state_of_a_replica_is_set(catalog: SqlCatalog) -> None:
    run = make_run()
    catalog.add_file(run, make_file(run), replicas=[make_replica()])
    catalog.update_replica(1, state=ReplicaState.DAMAGED)
    (found,) = catalog.replicas(1)
    assert (found.state, found.verified_ns) == (ReplicaState.DAMAGED, 5)
    catalog.update_replica(1, state=ReplicaState.VERIFIED, verified_ns=60)
    assert catalog.replicas(1)[0].verified_ns == 60
    with pytest.raises(FileNotInCatalog, match="there is no replica 9"):
        catalog.update_replica(9, state=ReplicaState.MISSING)


# ---------------------------------------------------------------- activities, quarantine, counts
def test_activities_are_found_by_what_they_took_or_made(catalog: SqlCatalog) -> None:
    late = catalog.add_activity(make_activity(start_ns=9, inputs=("a", "b"), outputs=("c",)))
    early = catalog.add_activity(make_activity(start_ns=3, inputs=("c", "c"), outputs=()))
    assert catalog.activities() == [early, late]
    assert catalog.activities("c") == [early, late]
    assert catalog.activities("b") == [late]
    assert early.inputs == ("c", "c")


def test_a_refused_file_is_entered_once(catalog: SqlCatalog) -> None:
    refused = Quarantined(
        path="/drop/a", reason="empty", detector="cenns-10", run_id="cenns-10-42", kept_at="/store/quarantine/a"
    )
    first = catalog.add_quarantined(refused)
    assert first == replace(refused, quarantine_id=1, time_ns=NOW_NS + 1)
    assert catalog.add_quarantined(refused) == first
    others = [
        replace(refused, reason="unknown format"),
        replace(refused, xxh3_128="f" * 32),
        replace(refused, size_B=3),
    ]
    for other in others:
        catalog.add_quarantined(other)
    assert len(catalog.quarantined()) == 4
    assert catalog.quarantined()[0] == first


def test_what_became_of_a_source_replaces_what_was_known(catalog: SqlCatalog) -> None:
    values = {"detector": "cenns-10", "size_B": 3, "mtime_ns": NOW_NS, "inode": 2**63 - 1}
    refused = Source(path="/drop/b", state=SourceState.QUARANTINED, run_id="cenns-10-42", **values)
    entered = catalog.put_source(refused)
    assert entered == replace(refused, time_ns=NOW_NS + 1)
    assert catalog.find_source("/drop/b") == entered
    assert catalog.find_source("/drop") is None
    taken = catalog.put_source(replace(refused, state=SourceState.INGESTED, size_B=4))
    other = catalog.put_source(replace(refused, path="/drop/a", run_id=None))
    catalog.put_source(replace(refused, path="/drop/c", detector="coh-ar-750"))
    assert catalog.sources("cenns-10") == [other, taken]
    assert catalog.sources("absent") == []


def test_inodes_of_64_bits_are_kept(any_catalog: SqlCatalog) -> None:
    # some network file systems use all of them; databases have a sign in the first one
    values = {"detector": "cenns-10", "run_id": "cenns-10-42", "size_B": 3, "mtime_ns": NOW_NS}
    source = Source(path="/drop/b", state=SourceState.INGESTED, inode=2**64 - 2, **values)
    assert any_catalog.put_source(source).inode == 2**64 - 2
    found = any_catalog.find_source("/drop/b")
    assert found is not None
    assert found.inode == 2**64 - 2


def test_a_number_that_no_database_holds_is_refused(any_catalog: SqlCatalog) -> None:
    with pytest.raises(UsageError, match="a number does not fit into the catalog's 64 bits"):
        any_catalog.register_run(make_run(start_ns=0, stop_ns=2**63))
    assert list(any_catalog.runs()) == []


def test_counts_over_all_and_by_run(catalog: SqlCatalog) -> None:
    assert catalog.totals() == Totals()
    run = make_run()
    catalog.add_file(run, make_file(run, "a", defects=({"kind": "garbage"},) * 2), replicas=[make_replica(path="/1")])
    catalog.add_file(
        run,
        make_file(run, "b", n_events=None),
        replicas=[make_replica(path="/2"), make_replica(path="/3", state=ReplicaState.UNVERIFIED, verified_ns=None)],
    )
    catalog.register_run(make_run(43))
    catalog.add_quarantined(Quarantined(path="/x", reason="empty", run_id="cenns-10-42"))
    catalog.add_quarantined(Quarantined(path="/y", reason="empty"))
    counts = Totals(
        n_runs=1,
        n_files=2,
        n_events=8,
        n_defects=2,
        size_B=2 * 160_192,
        n_replicas=3,
        n_verified_replicas=2,
        n_quarantined=1,
    )
    assert catalog.totals("cenns-10-42") == counts
    assert catalog.totals("cenns-10-43") == Totals(n_runs=1)
    assert catalog.totals_by_run() == {"cenns-10-42": counts, "cenns-10-43": Totals(n_runs=1)}
    assert catalog.totals() == replace(counts, n_runs=2, n_quarantined=2)


def test_a_trigger_that_is_in_a_file_for_each_channel_counts_once(catalog: SqlCatalog) -> None:
    run = make_run()
    for name, channel, n_events in (("a0", 0, 8), ("a1", 1, 8), ("b0", 0, 5), ("b1", 1, None)):
        catalog.add_file(run, make_file(run, name, channels=(channel,), n_events=n_events))
    other = make_run(43)
    catalog.add_file(other, make_file(other, "a", channels=(0, 1), n_events=3))
    assert catalog.totals("cenns-10-42").n_events == 13
    assert {name: found.n_events for name, found in catalog.totals_by_run().items()} == {
        "cenns-10-42": 13,
        "cenns-10-43": 3,
    }
    assert catalog.totals().n_events == 16


def test_what_is_entered_is_there_after_closing(sql_catalog: SqlCatalog, any_location: Path | str) -> None:
    run: Run = sql_catalog.register_run(make_run())
    sql_catalog.close()
    from nualley.catalog.adapters.sql import open_catalog

    with open_catalog(any_location, create=False) as again:
        assert again.runs() == [run]


# ---------------------------------------------------------------- drives
def test_drives_are_registered_once(catalog: SqlCatalog) -> None:
    assert catalog.drive_ids() == {}
    for _ in range(2):
        catalog.register_drive("data1", "i1")
    catalog.register_drive("data2", "i2")
    assert catalog.drive_ids() == {"data1": "i1", "data2": "i2"}


@pytest.mark.parametrize(("name", "drive_id"), [("data1", "i9"), ("data9", "i1")])
def test_a_name_or_an_id_of_another_drive_is_refused(catalog: SqlCatalog, name: str, drive_id: str) -> None:
    catalog.register_drive("data1", "i1")
    with pytest.raises(DriveConflict, match=f"drive {name} has the id {drive_id}; registered is") as caught:
        catalog.register_drive(name, drive_id)
    assert caught.value.exit_code == 5
    assert catalog.drive_ids() == {"data1": "i1"}


def test_a_replica_that_is_mended_is_verified_though_the_clock_went_back(catalog: SqlCatalog) -> None:
    run = make_run()
    catalog.add_file(run, make_file(run), replicas=[make_replica(verified_ns=50)])
    catalog.update_replica(1, state=ReplicaState.DAMAGED)
    (mended,) = catalog.add_file(run, make_file(run), replicas=[make_replica(verified_ns=40)]).replicas
    assert (mended.state, mended.verified_ns) == (ReplicaState.VERIFIED, 40)


def test_an_activity_is_entered_where_a_replica_was_mended(catalog: SqlCatalog) -> None:
    run = make_run()
    for state in (ReplicaState.VERIFIED, ReplicaState.VERIFIED, ReplicaState.MISSING):
        catalog.add_file(run, make_file(run), replicas=[make_replica()], activity=make_activity(outputs=("x",)))
        catalog.update_replica(1, state=state)
    assert len(catalog.activities("x")) == 1
    catalog.add_file(run, make_file(run), replicas=[make_replica()], activity=make_activity(outputs=("x",)))
    assert len(catalog.activities("x")) == 2


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE run SET time_source = 'pw'",
        "UPDATE file SET channels = '{'",
        "UPDATE replica SET state = 'verifjed'",
    ],
)
def test_a_row_that_stands_for_nothing_is_damage(
    sql_catalog: SqlCatalog, any_location: Path | str, change: str
) -> None:
    catalog = sql_catalog
    if isinstance(any_location, str) and "channels" in change:
        return  # PostgreSQL takes no text into a JSON column that is none
    run = make_run()
    record = catalog.add_file(run, make_file(run, "a"), replicas=[make_replica(path="/1")]).record
    catalog._database.write(lambda connection: connection.exec_driver_sql(change))
    with pytest.raises(CatalogDamaged, match="a row of the catalog cannot be read"):
        for read in (
            catalog.runs,
            catalog.totals_by_run,
            lambda: catalog.files(run.run_id),
            lambda: catalog.replicas(record.file_id),
        ):
            read()
