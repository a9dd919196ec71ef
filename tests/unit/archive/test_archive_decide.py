"""What happens to a sample, and how a PV stands."""

from dataclasses import replace

import numpy as np
import pytest

from nualley.archive.decide import EARLIEST_NS, EPICS_EPOCH_NS, QUARANTINED, Reason, fingerprint, judge, pv_state
from nualley.archive.models import PvState
from nualley.archive.pv_record import Tail
from nualley.core import SECOND_NS, parse_time_ns
from nualley.pv import Sample, ValueType

NOW_NS = parse_time_ns("2026-11-23T04:00:00Z", 0)
LIMIT_NS = 1800 * SECOND_NS


def sample(time_ns: int, value: float = 1.0, severity: int = 0) -> Sample:
    return Sample("P", time_ns, value, ValueType.FLOAT64, severity, 0, "ca", NOW_NS)


def tail(time_ns: int, value: object = 1.0) -> Tail:
    return Tail(time_ns, fingerprint(value, 0, 0))


@pytest.mark.parametrize(
    ("stamp_ns", "before", "reason"),
    [
        (EPICS_EPOCH_NS, None, Reason.UNDEFINED_TIME),
        (EARLIEST_NS - 1, None, Reason.BEFORE_1991),
        (0, None, Reason.BEFORE_1991),
        (-1, None, Reason.BEFORE_1991),
        (EARLIEST_NS, None, None),
        (NOW_NS - 9 * 365 * 86400 * SECOND_NS, None, None),
        (NOW_NS + LIMIT_NS, None, None),
        (NOW_NS + LIMIT_NS + 1, None, Reason.FUTURE),
        (NOW_NS - 1, tail(NOW_NS), Reason.BACKWARD),
        (NOW_NS, tail(NOW_NS), Reason.REPEAT),
        (NOW_NS, tail(NOW_NS, 2.0), None),
        (NOW_NS + 1, tail(NOW_NS), None),
    ],
)
def test_a_sample_is_judged_by_its_stamp_and_the_one_before(stamp_ns, before, reason):
    assert judge(sample(stamp_ns), before, LIMIT_NS) is reason


def test_a_changed_alarm_is_no_repeat():
    assert judge(sample(NOW_NS, severity=2), tail(NOW_NS), LIMIT_NS) is None


@pytest.mark.parametrize("stamp_ns", [EPICS_EPOCH_NS, NOW_NS - 1, NOW_NS])
def test_what_its_source_could_not_read_is_kept_aside_whatever_its_stamp(stamp_ns):
    unreadable = replace(sample(stamp_ns), unreadable="no JSON")
    assert judge(unreadable, tail(NOW_NS), LIMIT_NS) is Reason.UNREADABLE
    assert Reason.UNREADABLE in QUARANTINED


def test_repeats_are_left_out_and_never_kept_aside():
    assert Reason.REPEAT not in QUARANTINED
    assert Reason.PAUSED not in QUARANTINED


@pytest.mark.parametrize(
    ("left", "right", "is_same"),
    [
        (float("nan"), float("nan"), True),
        (1, 1.0, False),
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), True),
        (np.array([1.0]), np.array([1.0], dtype="f4"), False),
        (np.array([]), np.array([0.0]), False),
        (["a"], ["a"], True),
        ("0", 0, False),
    ],
)
def test_fingerprints_are_equal_for_equal_values_only(left, right, is_same):
    assert (fingerprint(left, 0, 0) == fingerprint(right, 0, 0)) is is_same


@pytest.mark.parametrize(
    ("has_connected", "is_connected", "silent_s", "state"),
    [
        (False, False, 0, PvState.NEVER_CONNECTED),
        (True, False, 0, PvState.DISCONNECTED),
        (True, True, 10, PvState.CONNECTED),
        (True, True, 10.1, PvState.STALE),
    ],
)
def test_a_pv_is_stale_when_its_ioc_is_silent(has_connected, is_connected, silent_s, state):
    heard_ns = NOW_NS - round(silent_s * SECOND_NS)
    found = pv_state(has_connected=has_connected, is_connected=is_connected, last_heard_ns=heard_ns, now_ns=NOW_NS)
    assert found is state
