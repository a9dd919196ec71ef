"""What can be wrong with ingest."""

import pytest

from nualley.core import SECOND_NS, CheckResult, CheckState
from nualley.ingest import QuarantineCheck, RunTimesCheck, WaitingCheck
from tests.unit.ingest.world import DROP, NOW_NS, World, drop_problem

DAY_S = 86_400


def waiting(world: World) -> CheckResult:
    check = WaitingCheck(world.catalog, world.drop_files, world.drops, settings=world.settings, clock=world.clock)
    (result,) = check()
    return result


def test_files_that_wait_too_long_are_told(world: World) -> None:
    world.put("run1/new.dat", mtime_ns=NOW_NS - (DAY_S - 1) * SECOND_NS)
    assert waiting(world).state is CheckState.OK
    world.put("run1/old\n.dat", mtime_ns=NOW_NS - 3 * DAY_S * SECOND_NS)
    result = waiting(world)
    assert result.state is CheckState.WARNING
    assert result.name == "ingest.drop.cenns-10"
    assert result.detail.startswith("1 files in /drop were not taken in; the oldest, run1/old\\x0a.dat, rests since 3")
    assert "nualley up worker" in result.do


@pytest.mark.parametrize("name", ["run1/.hidden", "WaveDumpConfig.txt"])
def test_files_that_are_not_meant_do_not_wait(world: World, name: str) -> None:
    world.put(name, mtime_ns=1)
    assert waiting(world).state is CheckState.OK


def test_done_files_do_not_wait(world: World) -> None:
    world.put("run1/wave0.dat", mtime_ns=1)
    world.settle()
    assert waiting(world).state is CheckState.OK


def test_a_drop_directory_that_cannot_be_read_fails(world: World) -> None:
    world.drop_files.problem_by_folder[DROP] = drop_problem(DROP)
    result = waiting(world)
    assert (result.state, result.detail) == (CheckState.FAILED, "/drop cannot be read: Permission denied")


def test_quarantined_files_are_told_until_they_are_taken(world: World) -> None:
    def check() -> CheckResult:
        (result,) = QuarantineCheck(world.catalog, world.drops)()
        return result

    assert check().state is CheckState.OK
    world.put("run1/wave0.dat", b"")
    world.settle()
    assert check().state is CheckState.WARNING
    assert check().detail.startswith("1 files are in quarantine, the last: /drop/run1/wave0.dat is refused: empty")
    world.put("run1/wave0.dat")
    world.settle()
    assert check().state is CheckState.OK


def test_runs_without_times_are_told(world: World) -> None:
    def check() -> CheckResult:
        (result,) = RunTimesCheck(world.catalog)()
        return result

    assert check().state is CheckState.OK
    for number in (1, 2, 3, 4):
        world.ingest.ingest_paths([world.put(f"run{number}/wave0.dat")], "cenns-10")
    assert check().state is CheckState.WARNING
    assert check().detail == "4 runs have no times, so no exposure: cenns-10-1, cenns-10-2, cenns-10-3, ..."
