"""When a process that ended is started again."""

import pytest

from nualley.app.supervision import HEALTHY_S, LONGEST_DELAY_S, Restarts, is_hopeless


def test_quick_ends_wait_longer_each_time():
    restarts = Restarts()
    delays = []
    for _ in range(9):
        restarts = restarts.after_end(0.1)
        delays.append(restarts.delay_s)
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert delays[-1] == LONGEST_DELAY_S


def test_a_long_run_makes_the_next_end_the_first_again():
    restarts = Restarts(n_quick=8).after_end(HEALTHY_S)
    assert restarts == Restarts(1)


@pytest.mark.parametrize(
    ("code", "hopeless"), [(0, False), (1, False), (2, True), (3, True), (-9, False), (-15, False)]
)
def test_a_wrong_configuration_is_not_mended_by_starting_again(code, hopeless):
    assert is_hopeless(code) is hopeless
