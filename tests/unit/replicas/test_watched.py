"""Age as time that was seen to pass: no clock that is set makes anything older."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nualley.core import DAY_NS, HOUR_NS, SECOND_NS
from nualley.replicas import ClockJumped, SteadyMoment, WatchedTime, check_clock
from nualley.replicas.adapters.steady import SystemSteadyClock

T = 1_800_000_000 * SECOND_NS


def at(steady_ns: int, boot: str = "boot") -> SteadyMoment:
    return SteadyMoment(boot, steady_ns)


def test_what_both_clocks_saw_counts() -> None:
    watched = WatchedTime().seen(T, at(0)).seen(T + HOUR_NS, at(HOUR_NS)).seen(T + 2 * HOUR_NS, at(2 * HOUR_NS))
    assert watched.stretches == ((T, T + 2 * HOUR_NS),)
    assert watched.age_ns(T + HOUR_NS) == HOUR_NS
    assert watched.age_ns(T - DAY_NS) == 2 * HOUR_NS, "of what was before, nobody knows"
    assert watched.age_ns(T + DAY_NS) == 0


@pytest.mark.parametrize("by_ns", [10 * DAY_NS, 365 * DAY_NS, 60 * SECOND_NS, -60 * SECOND_NS, -10 * DAY_NS])
def test_a_jump_is_no_age(by_ns: int) -> None:
    watched = WatchedTime().seen(T, at(0)).seen(T + HOUR_NS, at(HOUR_NS))
    watched = watched.seen(T + 2 * HOUR_NS + by_ns, at(2 * HOUR_NS))
    assert watched.age_ns(T) <= HOUR_NS
    watched = watched.seen(T + 3 * HOUR_NS + by_ns, at(3 * HOUR_NS))
    assert watched.age_ns(T - 400 * DAY_NS) <= 2 * HOUR_NS


def test_a_slow_correction_is_no_jump_and_another_start_of_the_machine_begins_anew() -> None:
    watched = WatchedTime().seen(T, at(0)).seen(T + HOUR_NS + SECOND_NS, at(HOUR_NS))
    assert len(watched.stretches) == 1
    watched = watched.seen(T + DAY_NS, at(5, "another"))
    assert len(watched.stretches) == 2
    assert watched.age_ns(T) == HOUR_NS + SECOND_NS


STEPS = st.tuples(st.integers(0, 40 * DAY_NS), st.integers(-100 * DAY_NS, 100 * DAY_NS), st.booleans())


@given(st.lists(STEPS, max_size=20), st.integers(-200 * DAY_NS, 200 * DAY_NS))
def test_nothing_is_ever_older_than_the_time_that_passed(steps: list[tuple[int, int, bool]], since_ns: int) -> None:
    watched, true_ns, ahead_ns = WatchedTime().seen(T, at(0)), 0, 0
    for passes_ns, jump_ns, jumps in steps:
        true_ns += passes_ns
        ahead_ns += jump_ns if jumps else 0
        watched = watched.seen(T + true_ns + ahead_ns, at(true_ns))
        # a hundredth is what the tolerance may add
        assert watched.age_ns(T + since_ns) <= true_ns + true_ns // 100 + 2 * SECOND_NS * len(steps)
    assert watched.age_ns(-(2**62)) <= true_ns + true_ns // 100 + 2 * SECOND_NS * len(steps)


def test_a_clock_behind_the_record_is_refused_whoever_speaks() -> None:
    check_clock(T, None)
    check_clock(T, T + SECOND_NS)
    check_clock(T, T - DAY_NS)
    for is_trusted in (False, True):
        with pytest.raises(ClockJumped, match="no age is known") as found:
            check_clock(T, T + HOUR_NS, is_trusted=is_trusted)
    assert "set the clock right" in str(found.value)


def test_a_clock_far_ahead_of_the_record_is_asked_about() -> None:
    with pytest.raises(ClockJumped, match="nothing was recorded for 31 d: is the clock right") as found:
        check_clock(T + 31 * DAY_NS, T)
    assert "--trust-clock" in str(found.value)
    check_clock(T + 31 * DAY_NS, T, is_trusted=True)


def test_the_real_steady_clock_goes_on() -> None:
    clock = SystemSteadyClock()
    first, second = clock.now(), clock.now()
    assert first.boot == second.boot
    assert second.steady_ns - first.steady_ns >= 0
