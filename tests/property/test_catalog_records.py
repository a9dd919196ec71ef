"""Entering files in any order, any number of times, gives one and the same catalog."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nualley.catalog import FileConflict, diff_settings
from nualley.catalog.adapters.sql import SqlCatalog, open_catalog
from nualley.catalog.decide import complete_run
from nualley.core import escape_name, strict_text
from tests.unit.catalog.records import make_activity, make_file, make_replica, make_run

names = st.binary(min_size=1, max_size=8).map(escape_name)
additions = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from("ab"), st.integers(1, 2), st.sampled_from(["data1", "data2"])),
    min_size=1,
    max_size=12,
)


def enter(catalog: SqlCatalog, addition: tuple[int, str, int, str]) -> None:
    number, name, content, drive = addition
    run = make_run(number)
    replica = make_replica(drive, f"/{drive}/{number}/{name}")
    catalog.add_file(run, make_file(run, name, content), replicas=[replica], activity=make_activity())


@given(additions)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_the_first_bytes_stay_and_repeating_changes_nothing(sequence: list[tuple[int, str, int, str]]) -> None:
    content_by_file: dict[tuple[int, str], int] = {}
    drives_by_file: dict[tuple[int, str], set[str]] = {}
    with tempfile.TemporaryDirectory() as folder, open_catalog(Path(folder) / "catalog.sqlite") as catalog:
        for addition in (*sequence, *reversed(sequence)):
            number, name, content, drive = addition
            is_same = content_by_file.setdefault((number, name), content) == content
            try:
                enter(catalog, addition)
            except FileConflict:
                assert not is_same
            else:
                assert is_same
                drives_by_file.setdefault((number, name), set()).add(drive)
        totals = catalog.totals()
        assert totals.n_files == len(content_by_file)
        assert totals.n_runs == len({number for number, _ in content_by_file})
        assert totals.n_verified_replicas == sum(map(len, drives_by_file.values()))
        # one activity for each new file or replica, none for a repetition
        assert len(catalog.activities()) == totals.n_replicas
        for (number, name), content in content_by_file.items():
            found = catalog.find_file(f"cenns-10-{number}", name)
            assert found is not None
            assert found.xxh3_128 == f"{content:032x}"
            drives = {replica.drive for replica in catalog.replicas(found.file_id)}
            assert drives == drives_by_file[number, name]


@given(names)
def test_every_file_name_can_be_stored(name: str) -> None:
    assert make_file(make_run(), name).name == name
    assert strict_text(name) == name


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
mappings = st.dictionaries(st.sampled_from("abcd"), json, max_size=4)


@given(mappings, mappings)
def test_settings_differ_exactly_where_they_are_not_equal(left: dict, right: dict) -> None:
    assert diff_settings(left, left) == []
    assert bool(diff_settings(left, right)) == bool(diff_settings(right, left))
    assert [item.key for item in diff_settings(left, right)] == [item.key for item in diff_settings(right, left)]


@given(mappings, mappings, st.none() | st.integers(0, 9), st.text(max_size=3))
def test_completing_a_run_is_idempotent_and_never_overwrites(
    known: dict, new: dict, start_ns: int | None, run_type: str
) -> None:
    first = make_run(settings=known, run_type="physics")
    second = make_run(settings=new, start_ns=start_ns, run_type=run_type)
    completed = complete_run(first, second)
    assert complete_run(completed, second) == completed
    assert known.items() <= completed.settings.items()
    assert completed.run_type == "physics"
