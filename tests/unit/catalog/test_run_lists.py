"""Flags and selections in a real SQLite file: entered, never changed, by anybody."""

import sqlite3
import threading
from contextlib import closing
from itertools import pairwise

import pytest

from nualley.catalog import (
    CatalogDamaged,
    Flag,
    FlagNotFound,
    FlagSuperseded,
    RunNotFound,
    RunType,
    SelectionChanged,
    SelectionFrozen,
    SelectionRevision,
)
from nualley.catalog.adapters.sql import open_catalog
from nualley.core import UsageError
from tests.unit.catalog.records import NOW_NS, make_activity, make_file, make_replica, make_run

CONTENT = '{"a":1}'
SHA256 = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


def make_flag(**changes):
    values = {"detector": "cenns-10", "name": "noise", "first_run": 1, "last_run": 1, "reason": "loud", "author": "ada"}
    return Flag(**(values | changes))


def draft(name="ar", expression="all", author="ada"):
    return SelectionRevision(name=name, expression=expression, author=author)


def frozen(number=0, name="ar"):
    return SelectionRevision(name=name, number=number, expression="all", author="ada", content=CONTENT, sha256=SHA256)


def execute(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


# ---------------------------------------------------------------- flags
def test_a_flag_gets_number_and_time_and_stays(catalog):
    entered = catalog.run_lists.add_flag(make_flag())
    assert entered.flag_id == 1
    assert entered.time_ns > NOW_NS
    assert entered.counts
    assert catalog.run_lists.flags() == [entered]
    assert catalog.run_lists.flags("d2o-1") == []


def test_a_superseded_flag_counts_no_more_and_is_there(catalog):
    first = catalog.run_lists.add_flag(make_flag())
    second = catalog.run_lists.add_flag(make_flag(name="beam-trip", supersedes=first.flag_id))
    third = catalog.run_lists.add_flag(make_flag(name="beam-trip", supersedes=second.flag_id, is_withdrawal=True))
    found = catalog.run_lists.flags()
    assert [flag.superseded_by for flag in found] == [second.flag_id, third.flag_id, None]
    assert [flag.counts for flag in found] == [False, False, False]


def test_a_flag_is_superseded_once(catalog):
    first = catalog.run_lists.add_flag(make_flag())
    second = catalog.run_lists.add_flag(make_flag(supersedes=first.flag_id))
    with pytest.raises(FlagSuperseded, match=f"flag 1 is superseded by flag {second.flag_id} already"):
        catalog.run_lists.add_flag(make_flag(supersedes=first.flag_id))


@pytest.mark.parametrize("changes", [{"supersedes": 7}, {"supersedes": 1, "detector": "d2o-1"}])
def test_only_a_flag_of_the_detector_can_be_superseded(catalog, changes):
    catalog.run_lists.add_flag(make_flag())
    with pytest.raises(FlagNotFound, match="that could be superseded"):
        catalog.run_lists.add_flag(make_flag(**changes))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"name": "Noise"}, "cannot be the name of a flag"),
        ({"reason": "  "}, "a flag has no reason"),
        ({"author": ""}, "a flag has no author"),
        ({"first_run": None, "last_run": None}, "says of no stretch, or of two"),
        ({"start_ns": 1}, "says of no stretch, or of two"),
        ({"first_run": None, "last_run": None, "stop_ns": 5}, "says of no stretch, or of two"),
        ({"first_run": None, "last_run": None, "start_ns": 5, "stop_ns": 5}, "when it starts"),
        ({"last_run": 0}, "runs 1 to 0 are none"),
        ({"last_run": 2, "first_block": 1, "last_block": 2}, "blocks of which run"),
        ({"first_block": 2, "last_block": 1}, "blocks 2 to 1 are none"),
        ({"first_block": 2}, "blocks 2 to None are none"),
    ],
)
def test_a_flag_that_says_nothing_is_refused(changes, what):
    with pytest.raises(UsageError, match=what):
        make_flag(**changes)


# ---------------------------------------------------------------- selections
def test_definitions_are_revisions_and_the_same_one_is_entered_once(catalog):
    run_lists = catalog.run_lists
    assert [run_lists.define(draft(expression=text)).number for text in ("all", "all", "run == 1", "all")] == [
        1,
        1,
        2,
        3,
    ]
    assert [each.expression for each in run_lists.revisions("ar")] == ["all", "run == 1", "all"]
    run_lists.define(SelectionRevision(name="cms", imported={"list": {"2": [[1, 2]], "1": []}}, author="bo"))
    assert [(each.name, each.number) for each in run_lists.selections()] == [("ar", 3), ("cms", 1)]
    assert list(run_lists.revisions("cms")[0].imported["list"]) == ["2", "1"]
    assert run_lists.revisions("xe") == []


def test_a_frozen_selection_refuses_every_change(catalog):
    run_lists = catalog.run_lists
    run_lists.define(draft())
    run_lists.freeze(frozen(1), activity=make_activity(kind="freeze-selection", outputs=("selection ar",)))
    for change in (lambda: run_lists.define(draft(expression="run == 1")), lambda: run_lists.freeze(frozen(2))):
        with pytest.raises(SelectionFrozen, match=f"frozen by ada .* never changed .sha256 {SHA256}"):
            change()
    assert run_lists.revisions("ar")[-1].content == CONTENT
    assert [activity.kind for activity in catalog.activities("selection ar")] == ["freeze-selection"]


def test_what_was_defined_anew_meanwhile_is_not_frozen(catalog):
    catalog.run_lists.define(draft())
    catalog.run_lists.define(draft(expression="run == 1", author="bo"))
    with pytest.raises(SelectionChanged, match="defined anew by bo .* revision 2, expected 1"):
        catalog.run_lists.freeze(frozen(1), activity=make_activity())
    assert catalog.activities() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE selection_revision SET content = 'x' WHERE number = 2",
        "UPDATE selection_revision SET expression = 'x' WHERE number = 1",
        "DELETE FROM selection_revision",
        "INSERT INTO selection_revision (name, number, expression, author, time_ns) VALUES ('ar', 3, 'all', 'x', 1)",
        "UPDATE flag SET name = 'x'",
        "DELETE FROM flag",
    ],
)
def test_the_database_itself_refuses_changes(catalog, location, statement):
    catalog.run_lists.define(draft())
    catalog.run_lists.freeze(frozen(1))
    catalog.run_lists.add_flag(make_flag())
    with pytest.raises(sqlite3.IntegrityError, match="never changed"):
        execute(location, statement)
    assert catalog.run_lists.revisions("ar")[-1].sha256 == SHA256
    assert len(catalog.run_lists.flags()) == 1


def test_a_frozen_content_that_does_not_fit_its_digest_is_damage(catalog, location):
    catalog.run_lists.freeze(frozen())
    execute(location, "DROP TRIGGER selection_revision_no_update")
    execute(location, "UPDATE selection_revision SET content = '{\"a\":2}'")
    for read in (lambda: catalog.run_lists.revisions("ar"), catalog.run_lists.selections):
        with pytest.raises(CatalogDamaged, match="frozen selection ar has the sha256 .*, recorded is 015abd7f"):
            read()


def test_of_two_who_define_at_once_both_are_kept(catalog, location, clock):
    start = threading.Barrier(2)
    errors = []

    def define(author):
        with open_catalog(location, clock=clock) as own:
            start.wait(10)
            for number in range(20):
                own.run_lists.define(draft(expression=f"run == {number}", author=author))

    def run(author):
        try:
            define(author)
        except (OSError, ValueError, RuntimeError) as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("ada", "bo")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    revisions = catalog.run_lists.revisions("ar")
    assert [each.number for each in revisions] == list(range(1, len(revisions) + 1))
    # each of either's definitions is there, unless the one before it said the same
    for before, after in pairwise(revisions):
        assert before.expression != after.expression
    assert {each.expression for each in revisions} == {f"run == {number}" for number in range(20)}


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "-x", "a" * 101, "ä"])
def test_a_name_that_could_be_no_file_is_refused(name):
    with pytest.raises(UsageError, match="cannot be the name of a selection"):
        draft(name=name)


# ---------------------------------------------------------------- runs
def test_the_type_of_a_run_is_set_and_a_note_keeps_what_it_was(catalog):
    catalog.register_run(make_run(run_type="test"))
    assert catalog.run_lists.set_type("cenns-10-42", RunType.PHYSICS, author="ada").run_type == "physics"
    catalog.run_lists.set_type("cenns-10-42", RunType.PHYSICS, author="bo")
    (note,) = catalog.notes("cenns-10-42")
    assert (note.author, note.text) == ("ada", "type set to physics, was test")
    with pytest.raises(RunNotFound):
        catalog.run_lists.set_type("cenns-10-41", RunType.PHYSICS, author="ada")


def test_runs_become_a_table_that_loses_no_nanosecond(catalog):
    start_ns = 1_794_467_640_871_441_385
    catalog.register_run(
        make_run(1, start_ns=start_ns, stop_ns=start_ns + 1, tags=("a", "b"), settings={"0": {"X": 5}})
    )
    run = catalog.register_run(make_run(2))
    catalog.add_file(run, make_file(run), replicas=[make_replica()])
    table = catalog.runs(detector="cenns-10").to_arrow()
    assert table["start_ns"].to_pylist() == [start_ns, None]
    assert str(table.schema.field("start").type) == "timestamp[ns, tz=UTC]"
    assert table["tags"].to_pylist() == [["a", "b"], []]
    assert table["settings"].to_pylist() == ['{"0": {"X": 5}}', "{}"]
    assert table["livetime_s"].to_pylist() == [None, None], "the catalog alone does not know it"
    assert [table[name].to_pylist() for name in ("n_files", "size_B", "n_events")] == [[0, 1], [0, 160_192], [0, 8]]
    assert table["notes"].to_pylist() == [[], []]
    frame = catalog.runs().to_pandas()
    assert str(frame["start_ns"].dtype) == "Int64"
    assert int(frame["start_ns"][0]) == start_ns
    assert frame["start"][0].value == start_ns
