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
