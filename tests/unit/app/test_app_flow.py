"""Whether the archive keeps up, as the doctor is told."""

import asyncio
import threading

import pytest

from nualley.app.control import control_socket
from nualley.app.flow import check_flow
from nualley.app.locks import RoleState
from nualley.core import CheckState

GOOD = {"lag_s": 0.01, "n_dropped": 0, "unsynced_s": 0.05, "n_unsealed": 0, "is_reserve_spent": False}


@pytest.fixture
def asked(tmp_path):
    """Return what asks a process that says these things."""

    def ask(**changes):
        path, ready, stop = tmp_path / "c.ctl", threading.Event(), threading.Event()

        async def serve():
            async def flow(_fields):
                return {**GOOD, **changes}

            async with control_socket(path, {"flow": flow}):
                ready.set()
                await asyncio.to_thread(stop.wait)

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        assert ready.wait(10)
        try:
            (result,) = check_flow(RoleState("archive", True, "process 1", 1, control=str(path)))
        finally:
            stop.set()
            thread.join()
        return result

    return ask


@pytest.mark.parametrize(
    ("changes", "state", "said"),
    [
        ({}, CheckState.OK, "updates wait 0.010 s, what came is durable after 0.05 s"),
        ({"n_dropped": 7}, CheckState.OK, "7 updates were asked for again"),
        ({"lag_s": 3.0}, CheckState.WARNING, "updates wait 3.0 s"),
        ({"unsynced_s": 9.0}, CheckState.FAILED, "in the last 9 s is not durable"),
        ({"is_reserve_spent": True, "unsynced_s": 9.0}, CheckState.FAILED, "drive was full"),
        ({"n_unsealed": 2}, CheckState.WARNING, "2 segments"),
    ],
)
def test_what_the_archive_says_is_judged(asked, changes, state, said):
    result = asked(**changes)
    assert (result.name, result.state) == ("archive.flow", state)
    assert said in result.detail
    assert bool(result.do) == (state is not CheckState.OK)


def test_who_does_not_answer_has_failed_and_who_does_not_run_is_not_asked(tmp_path):
    (result,) = check_flow(RoleState("archive", True, "process 1", 1, control=str(tmp_path / "gone.ctl")))
    assert result.state is CheckState.FAILED
    assert check_flow(RoleState("archive", is_held=False)) == []
