"""Settings of the archive and of what it archives."""

import pytest
from pydantic import ValidationError

from nualley.archive import ArchiveSettings, PvGroup


def test_defaults() -> None:
    settings = ArchiveSettings()
    assert (settings.sync_interval_ms, settings.rotate_s) == (50.0, 600.0)
    assert (settings.rotate_size_B, settings.future_limit_s) == (64 * 2**20, 1800.0)


@pytest.mark.parametrize(("found", "size_B"), [(4096, 4096), ("64 MiB", 64 * 2**20), ("1 MB", 10**6), ("8192", 8192)])
def test_a_size_is_a_number_of_bytes_or_text_with_a_unit(found: object, size_B: int) -> None:
    assert ArchiveSettings.model_validate({"rotate_size_B": found}).rotate_size_B == size_B


@pytest.mark.parametrize(
    "wrong",
    [
        {"rotate_size_B": 1},
        {"rotate_size_B": "64 s"},
        {"rotate_size_B": "large"},
        {"sync_interval_ms": 0},
        {"sync_interval_ms": 60_000},
        {"rotate_s": float("inf")},
        {"future_limit_s": -1},
        {"future_limit_s": float("nan")},
        {"rotate": 3},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ArchiveSettings.model_validate(wrong)


def test_a_group_has_policies_by_name() -> None:
    group = PvGroup.model_validate({"description": "x", "pv": {"A": {}, "B": {"events": "archive"}}})
    assert (group.pv["A"].mode, group.pv["A"].events, group.pv["B"].events) == ("monitor", "value", "archive")


@pytest.mark.parametrize(
    ("pv", "location"),
    [
        ({"a b": {}}, ("pv", "a b", "[key]")),
        ({"A": {"mode": "often"}}, ("pv", "A", "mode")),
        ({"A": {"events": "all"}}, ("pv", "A", "events")),
        ({"A": {"evnts": "value"}}, ("pv", "A", "evnts")),
        ({"A": 3}, ("pv", "A")),
    ],
)
def test_wrong_policies_are_located(pv: dict[str, object], location: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        PvGroup.model_validate({"pv": pv})
    assert [error["loc"] for error in caught.value.errors()] == [location]


def test_a_group_has_defaults_that_an_entry_of_its_own_goes_before() -> None:
    group = PvGroup.model_validate(
        {"defaults": {"retention_h": 6, "events": "archive"}, "pv": {"A": {}, "B": {"retention_h": 48}}}
    )
    assert (group.pv["A"].retention_h, group.pv["A"].events) == (6, "archive")
    assert (group.pv["B"].retention_h, group.pv["B"].events) == (48, "archive")


def test_wrong_defaults_are_told_once_and_where_they_stand() -> None:
    with pytest.raises(ValidationError) as caught:
        PvGroup.model_validate({"defaults": {"retention_h": -1}, "pv": {"A": {}, "B": {}}})
    assert [error["loc"] for error in caught.value.errors()] == [("defaults", "retention_h")]


def test_a_protocol_before_a_name_is_the_entry_s_and_no_part_of_the_name() -> None:
    group = PvGroup.model_validate(
        {
            "defaults": {"protocol": "mqtt", "dead_band": 2},
            "pv": {"pva://A": {"queue": 8}, "ca://B": {"protocol": "ca"}},
        }
    )
    assert {pv: (policy.protocol, policy.dead_band) for pv, policy in group.pv.items()} == {
        "A": ("pva", 2),
        "B": ("ca", 2),
    }
    assert PvGroup.model_validate({"pv": {"pva://A": {}}}).pv["A"].protocol == "pva"


def test_what_is_wrong_with_entries_is_told_together_and_where_they_stand() -> None:
    entries = {
        "pva://A": {"protocol": "ca", "queue": 1},
        "A.VAL": {},
        "ca://..": {"evnts": "value"},
        "ca://A": 3,
        "B": {"topic": "lab/b"},
    }
    with pytest.raises(ValidationError) as caught:
        PvGroup.model_validate({"pv": entries})
    assert [error["loc"][1:] for error in caught.value.errors()] == [
        ("pva://A", "protocol"),
        ("A.VAL",),
        ("ca://A",),
        ("pva://A", "queue"),
        ("ca://..", "[key]"),
        ("ca://..", "evnts"),
        ("ca://A",),
        ("B", "topic"),
    ]


def test_defaults_and_an_entry_that_do_not_go_together_are_told_at_the_entry() -> None:
    with pytest.raises(ValidationError) as caught:
        PvGroup.model_validate({"defaults": {"mode": "scan", "period_s": 60}, "pv": {"A": {"mode": "monitor"}}})
    assert [error["loc"] for error in caught.value.errors()] == [("pv", "A")]
