"""When a process that ended is started again, and how units for systemd read."""

import configparser
from pathlib import Path

import pytest

from nualley.app.supervision import HEALTHY_S, LONGEST_DELAY_S, Restarts, is_hopeless
from nualley.app.systemd import units
from nualley.core import UsageError


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


def test_units_start_each_role_and_escape_what_systemd_expands():
    texts = units(experiment=Path("/data/my 100% $exp"), name="50% done", user="coherent", roles=("archive", "web"))
    assert list(texts) == ["nualley-archive.service", "nualley-web.service"]
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(texts["nualley-archive.service"])
    assert unit["Service"]["User"] == "coherent"
    assert unit["Service"]["ExecStart"].endswith("up archive --experiment '/data/my 100%% $$exp'")
    assert unit["Unit"]["Description"] == "nualley archive of 50%% done"


def test_units_do_not_run_as_root():
    with pytest.raises(UsageError, match="would run as root") as caught:
        units(experiment=Path("/x"), name="x", user="root", roles=("archive",))
    assert "--user" in caught.value.do
