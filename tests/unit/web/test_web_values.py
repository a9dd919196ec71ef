"""Last values from the archive and the live bus together."""

import math

import pytest

from nualley.archive import PvGroup, PvState
from nualley.core import SECOND_NS
from nualley.web.models import Trouble, ValuesPart, ValueState
from nualley.web.observations import LiveSeen, Observations, Observed
from nualley.web.values import is_held, last_values, number_of, rank, value_rows
from tests.unit.web.fakes import NOW_NS, POWER, last_value, seen


def told(*values: object) -> LiveSeen:
    return LiveSeen(message_ns=NOW_NS, n_messages=1, values={value.pv: value for value in values})  # type: ignore[attr-defined]


def test_the_newer_sample_wins() -> None:
    held = last_value(POWER, 1.4)
    newer = last_value(POWER, 1.5, time_ns=NOW_NS, last_heard_ns=NOW_NS)
    older = last_value(POWER, 1.3, time_ns=NOW_NS - 60 * SECOND_NS)
    assert last_values(seen(held, live=told(newer)), is_live=True)[POWER].value == 1.5
    assert last_values(seen(held, live=told(older)), is_live=True)[POWER].value == 1.4


def test_of_a_silent_pv_the_archive_knows_how_it_stands() -> None:
    # the bus named it once, long ago; its IOC hangs since, which the archive sees and the bus does not say
    stale = last_value(POWER, 1.4, state=PvState.STALE, last_heard_ns=NOW_NS - 20 * SECOND_NS)
    once = last_value(POWER, 1.4, state=PvState.CONNECTED, last_heard_ns=NOW_NS - 30 * SECOND_NS)
    assert last_values(seen(stale, live=told(once)), is_live=True)[POWER].state is PvState.STALE


def test_whoever_heard_the_ioc_last_knows_how_it_stands() -> None:
    held = last_value(POWER, 1.4, state=PvState.DISCONNECTED, last_heard_ns=NOW_NS - 20 * SECOND_NS)
    back = last_value(POWER, 1.4, state=PvState.CONNECTED, last_heard_ns=NOW_NS)
    assert last_values(seen(held, live=told(back)), is_live=True)[POWER].state is PvState.CONNECTED


def test_what_came_last_and_was_quarantined_is_told_with_its_reason_and_is_no_loss_of_the_connection() -> None:
    held = last_value(POWER, 1.4)
    bad = last_value(POWER, 1.4, state=PvState.QUARANTINED, reason="future", last_heard_ns=NOW_NS)
    found = last_values(seen(held, live=told(bad)), is_live=True)
    assert (found[POWER].state, found[POWER].reason) == (PvState.QUARANTINED, "future")
    assert not is_held(found[POWER])
    (row,) = value_rows(found, {})
    assert (row.state, row.reason, row.state.is_wrong) == (ValueState.QUARANTINED, "future", True)
    alone = Observations(live=told(bad))
    assert last_values(alone, is_live=False)[POWER].state is PvState.STALE


def test_without_bus_and_archive_nothing_is_known_to_be_connected() -> None:
    alone = Observations(live=told(last_value(POWER, 1.4)))
    assert last_values(alone, is_live=True)[POWER].state is PvState.CONNECTED
    assert last_values(alone, is_live=False)[POWER].state is PvState.STALE


def test_an_archive_that_can_no_longer_be_read_does_not_vouch_for_anything() -> None:
    failed = seen(last_value(POWER, 1.4))
    broken = seen(archive=Observed(failed.archive.value, NOW_NS, Trouble("gone")))
    assert last_values(broken, is_live=False)[POWER].state is PvState.STALE


def test_every_declared_pv_is_listed_and_what_is_wrong_comes_first() -> None:
    groups = {"beam": PvGroup.model_validate({"pv": {"A": {"description": "first"}, "Z": {}}})}
    values = {
        "A": last_value("A", 1.0),
        "B": last_value("B", 1.0, severity=1),
        "C": last_value("C", 1.0, state=PvState.STALE),
        "D": last_value("D", None, time_ns=None, severity=None, state=PvState.NEVER_CONNECTED),
        "E": last_value("E", 1.0, state=PvState.DISCONNECTED),
        "F": last_value("F", 1.0, severity=3),
    }
    rows = value_rows(values, groups)
    assert [row.pv for row in rows] == ["E", "C", "D", "Z", "F", "B", "A"]
    assert [rank(row) for row in rows] == sorted(rank(row) for row in rows)
    assert rows[3].state is ValueState.NOT_ARCHIVED
    assert (rows[-1].group, rows[-1].description) == ("beam", "first")
    assert (rows[2].value, rows[2].time_ns) == ("", None)


def test_what_nobody_expects_to_be_connected_is_not_wrong_and_what_is_gone_is_not_shown() -> None:
    groups = {"beam": PvGroup.model_validate({"pv": {"DECLARED": {}, "PAUSED": {}}})}
    values = {
        "DECLARED": last_value("DECLARED", 1.0, state=PvState.REMOVED, severity=3),
        "GONE": last_value("GONE", 1.0, state=PvState.REMOVED),
        "IMPORTED": last_value("IMPORTED", 1.0, state=PvState.IMPORTED),
        "OK": last_value("OK", 1.0),
        "PAUSED": last_value("PAUSED", 1.0, state=PvState.PAUSED),
    }
    part = ValuesPart(value_rows(values, groups))
    assert [row.pv for row in part.rows] == ["OK", "PAUSED", "DECLARED", "IMPORTED"]
    assert part.n_wrong == 0
    # the alarm of its last sample is none of now
    assert part.rows[2].severity is None


@pytest.mark.parametrize(
    ("last", "found"),
    [
        (None, None),
        (last_value("X", 3), 3.0),
        (last_value("X", 3.5, severity=2), 3.5),
        (last_value("X", 3.5, severity=3), None),
        (last_value("X", "Running"), None),
        (last_value("X", None), None),
        (last_value("X", [1.0, 2.0]), None),
    ],
)
def test_number_of_a_value(last: object, found: float | None) -> None:
    assert number_of(last) == found  # type: ignore[arg-type]


def test_nan_stays_nan() -> None:
    found = number_of(last_value("X", math.nan))
    assert found is not None
    assert math.isnan(found)


def test_only_a_connected_pv_holds() -> None:
    assert is_held(last_value("X", 1.0))
    assert not is_held(last_value("X", 1.0, state=PvState.STALE))
    assert not is_held(None)
