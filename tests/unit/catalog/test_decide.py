"""Policies of the catalog."""

from dataclasses import replace

import pytest

from nualley.catalog import FileConflict, SettingDifference, TimeSource, diff_settings
from nualley.catalog.decide import check_same_bytes, complete_run, count_events
from tests.unit.catalog.records import make_file, make_run


def test_times_complete_a_run_without_any() -> None:
    known = make_run()
    new = make_run(start_ns=1, stop_ns=2, time_source=TimeSource.PV)
    assert complete_run(known, new) == new


def test_times_that_are_known_stay() -> None:
    known = make_run(start_ns=1, stop_ns=2, time_source=TimeSource.GIVEN)
    assert complete_run(known, make_run(start_ns=5, stop_ns=6, time_source=TimeSource.PV)) == known
    assert complete_run(known, make_run()) == known


def test_settings_tags_and_reasons_are_completed() -> None:
    known = make_run(settings={"a": 1}, tags=("b",), start_reason="shift")
    new = make_run(settings={"a": 2, "c": 3}, tags=("a",), start_reason="other", stop_reason="trip")
    completed = complete_run(known, new)
    assert completed == replace(known, settings={"a": 1, "c": 3}, tags=("a", "b"), stop_reason="trip")


def test_an_identity_with_other_bytes_is_a_conflict() -> None:
    file = make_file(make_run())
    check_same_bytes(file, replace(file, file_id=7, n_events=None))
    with pytest.raises(FileConflict, match=r"has other bytes .* known 0{31}1"):
        check_same_bytes(file, replace(file, xxh3_128="f" * 32))


def test_settings_are_compared_by_dotted_key() -> None:
    left = {"a": {"b": 1, "same": 2}, "list": [1, 2], "gone": 5, "empty": {}}
    right = {"a": {"b": 3, "same": 2}, "list": [1, 3], "new": {"x": None}, "empty": {}}
    assert diff_settings(left, right) == [
        SettingDifference("a.b", 1, 3),
        SettingDifference("gone", 5, None),
        SettingDifference("list", [1, 2], [1, 3]),
        SettingDifference("new.x", None, None),
    ]
    assert diff_settings(left, left) == []


@pytest.mark.parametrize(
    ("files", "n_events"),
    [
        ([], 0),
        ([([0], 41), ([1], 41)], 41),  # a file for each channel
        ([([0], 41), ([1], 40)], 41),
        ([([0, 1], 100), ([0, 1], 50)], 150),  # one file after the other
        ([([0], 10), ([0], 5), ([1], 10), ([1], 5)], 15),
        ([([], 7), ([], 0), ([0], 3)], 7),
    ],
)
def test_a_trigger_counts_once(files, n_events) -> None:
    assert count_events(files) == n_events
