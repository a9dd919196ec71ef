"""Processes are started again when they fail, and stopped whenever they are asked to."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from nualley.app import supervisor
from nualley.app.supervisor import Supervisor
from nualley.core import ExitCode


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Let the supervisor start small programs instead of the product; return when each was started."""
    log = tmp_path / "started"
    real = asyncio.create_subprocess_exec
    scripts = {"sleep": "import time; time.sleep(600)", "fail": "raise SystemExit(1)", "wrong": "raise SystemExit(3)"}

    async def start(*command: str, **options: object):
        role = command[command.index("up") + 1]
        with log.open("a") as file:
            file.write(f"{role}\n")
        await asyncio.sleep(0.05)
        return await real(sys.executable, "-c", scripts[role], **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    return lambda: log.read_text().split() if log.exists() else []


async def until(is_so) -> None:
    for _ in range(1000):
        if is_so():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not come about")


async def test_what_fails_is_started_again_and_stopped_with_the_rest(started, monkeypatch, tmp_path):
    monkeypatch.setattr("nualley.app.supervision.FIRST_DELAY_S", 0.01)
    stop = asyncio.Event()
    task = asyncio.create_task(Supervisor(tmp_path, ("sleep", "fail")).run(stop))
    await until(lambda: started().count("fail") >= 3)
    stop.set()
    assert await asyncio.wait_for(task, 20) is ExitCode.DONE
    assert started().count("sleep") == 1


async def test_a_stop_while_a_process_is_being_started_stops_it_too(started, tmp_path):
    stop = asyncio.Event()
    task = asyncio.create_task(Supervisor(tmp_path, ("sleep",)).run(stop))
    await until(lambda: started() == ["sleep"])
    stop.set()  # the process is not there yet
    assert await asyncio.wait_for(task, 10) is ExitCode.DONE


async def test_a_wrong_configuration_ends_it_all_with_that_code(started, tmp_path):
    code = await asyncio.wait_for(Supervisor(tmp_path, ("sleep", "wrong")).run(asyncio.Event()), 20)
    assert code == ExitCode.CONFIGURATION


async def test_a_process_that_does_not_stop_is_killed(started, monkeypatch, tmp_path):
    monkeypatch.setattr(supervisor, "STOP_S", 0.2)
    stop = asyncio.Event()
    running = Supervisor(tmp_path, ("sleep",))
    task = asyncio.create_task(running.run(stop))
    await until(lambda: "sleep" in running._processes)
    os.kill(running._processes["sleep"].pid, 19)  # SIGSTOP: it hears of nothing
    stop.set()
    assert await asyncio.wait_for(task, 10) is ExitCode.DONE
