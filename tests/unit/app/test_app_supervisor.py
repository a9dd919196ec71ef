"""Processes are started again when they fail, given up when that cannot help, and stopped when they are asked to."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nualley.app import supervisor
from nualley.app.locks import hold_role
from nualley.app.stopping import Stop
from nualley.app.supervisor import Supervisor
from nualley.core import ConfigurationError, ExitCode


class FakeProcess:
    """A process that ends when it is told; a deaf one only when it is killed."""

    def __init__(self, pid: int, *, is_deaf: bool = False) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.told: list[str] = []
        self._is_deaf = is_deaf
        self._ended = asyncio.Event()

    def end(self, code: int) -> None:
        self.returncode = code
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def terminate(self) -> None:
        self.told.append("terminate")
        if not self._is_deaf:
            self.end(0)

    def kill(self) -> None:
        self.told.append("kill")
        self.end(-9)


class Bench:
    """A supervisor of roles that end at once with a code, or run until they are told: ``None``."""

    def __init__(self, store: Path, codes: dict[str, int | None], *, deaf: tuple[str, ...] = ()) -> None:
        self.codes, self.deaf = codes, deaf
        self.stop = Stop()
        self.started: list[str] = []
        self.processes: dict[str, FakeProcess] = {}
        self.before_start = asyncio.Event()
        self.before_start.set()
        self.supervisor = Supervisor(tuple(codes), start=self.start, store=store, stop=self.stop)

    async def start(self, role: str) -> FakeProcess:
        self.started.append(role)
        await self.before_start.wait()
        process = self.processes[role] = FakeProcess(100 + len(self.started), is_deaf=role in self.deaf)
        code = self.codes[role]
        if code is not None:
            process.end(code)
        return process

    async def until(self, is_so) -> None:
        for _ in range(10_000):
            if is_so():
                return
            await asyncio.sleep(0)
        pytest.fail("it did not come about")


@pytest.fixture(autouse=True)
def without_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nualley.app.supervision.FIRST_DELAY_S", 0.0)
    monkeypatch.setattr(supervisor, "_LOOK_S", 0.0)


async def finish(task: asyncio.Task[ExitCode]) -> ExitCode:
    return await asyncio.wait_for(task, 10)


async def test_what_fails_is_started_again_and_stopped_with_the_rest(tmp_path):
    bench = Bench(tmp_path, {"sleep": None, "fail": 1})
    task = asyncio.create_task(bench.supervisor.run())
    await bench.until(lambda: bench.started.count("fail") >= 3)
    bench.stop.ask()
    assert await finish(task) is ExitCode.DONE
    assert bench.started.count("sleep") == 1
    assert bench.processes["sleep"].told == ["terminate"]


async def test_a_machine_that_starts_nothing_for_a_moment_is_asked_again(tmp_path):
    bench = Bench(tmp_path, {"sleep": None})
    n_refused = 0

    async def refuse_twice(role: str) -> FakeProcess:
        nonlocal n_refused
        if n_refused < 2:
            n_refused += 1
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return await bench.start(role)

    bench.supervisor._start = refuse_twice
    with capture_logs() as logs:
        task = asyncio.create_task(bench.supervisor.run())
        await bench.until(lambda: bench.started)
        bench.stop.ask()
        assert await finish(task) is ExitCode.DONE
    refusals = [log for log in logs if log["event"] == "process cannot be started"]
    assert [(log["process"], log["what"]) for log in refusals] == [("sleep", "Resource temporarily unavailable")] * 2


async def test_a_stop_while_a_process_is_being_started_stops_it_too(tmp_path):
    bench = Bench(tmp_path, {"sleep": None})
    bench.before_start.clear()
    task = asyncio.create_task(bench.supervisor.run())
    await bench.until(lambda: bench.started == ["sleep"])
    bench.stop.ask()
    await asyncio.sleep(0)
    bench.before_start.set()  # the process is there only now
    assert await finish(task) is ExitCode.DONE
    assert bench.processes["sleep"].told == ["terminate"]


def given_up(logs: list) -> list:
    return [log for log in logs if "DOES NOT RUN" in log["event"]]


@pytest.mark.parametrize("code", [2, 3])
async def test_what_cannot_run_is_given_up_loudly_and_the_others_go_on(tmp_path, monkeypatch, code):
    monkeypatch.setattr(supervisor, "REMIND_S", 0.001)
    bench = Bench(tmp_path, {"archive": None, "web": code})
    with capture_logs() as logs:
        task = asyncio.create_task(bench.supervisor.run())
        await bench.until(lambda: len(given_up(logs)) >= 1)
        for _ in range(1000):
            if len(given_up(logs)) >= 3:
                break
            await asyncio.sleep(0.001)
        assert not task.done()
        assert bench.processes["archive"].returncode is None
        bench.stop.ask()
        assert await finish(task) == code
    assert bench.started == ["archive", "web"]
    said = given_up(logs)
    assert len(said) >= 3, "it is said again and again"
    assert said[0]["event"] == "web DOES NOT RUN and is not started again"
    assert said[0]["still_run"] == ["archive"]
    assert said[0]["do"].endswith("nualley up web")
    assert logs[-1] == {"event": "these processes did not run", "processes": ["web"], "log_level": "error"}


async def test_the_reason_is_what_that_process_noted_and_no_earlier_one(tmp_path):
    def note(pid: int) -> None:
        with pytest.raises(ConfigurationError), hold_role(tmp_path, "web") as held:
            held._noted["pid"] = pid
            raise ConfigurationError("port 9 is taken", where="web.port", do="choose another")

    for pid, what in ((102, "port 9 is taken"), (7, "its last words stand above")):
        note(pid)
        bench = Bench(tmp_path, {"archive": None, "web": 3})
        with capture_logs() as logs:
            task = asyncio.create_task(bench.supervisor.run())
            await bench.until(lambda logs=logs: given_up(logs))
            bench.stop.ask()
            await finish(task)
        assert given_up(logs)[0]["what"] == what


async def test_nobody_is_reminded_of_what_was_started_beside_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "REMIND_S", 0.0)
    bench = Bench(tmp_path, {"archive": None, "web": 3})
    with capture_logs() as logs:
        task = asyncio.create_task(bench.supervisor.run())
        await bench.until(lambda: given_up(logs))
        with hold_role(tmp_path, "web"):
            n_said = len(given_up(logs))
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(given_up(logs)) == n_said
            bench.stop.ask()
            await finish(task)


async def test_it_ends_where_nothing_is_left_that_can_run(tmp_path):
    bench = Bench(tmp_path, {"archive": 3, "web": 2})
    assert await finish(asyncio.create_task(bench.supervisor.run())) is ExitCode.CONFIGURATION
    assert bench.started == ["archive", "web"]


async def test_a_process_that_does_not_stop_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "STOP_S", 0.0)
    bench = Bench(tmp_path, {"archive": None, "web": None}, deaf=("web",))
    task = asyncio.create_task(bench.supervisor.run())
    await bench.until(lambda: len(bench.processes) == 2)
    bench.stop.ask()
    await finish(task)
    assert bench.processes["web"].told == ["terminate", "kill"]


async def test_further_requests_hasten_the_stop(tmp_path):
    bench = Bench(tmp_path, {"archive": None, "web": None}, deaf=("archive", "web"))
    task = asyncio.create_task(bench.supervisor.run())
    await bench.until(lambda: len(bench.processes) == 2)
    bench.stop.ask(2)
    await bench.until(lambda: bench.processes["web"].told == ["terminate"])
    bench.stop.ask(2)
    assert not task.done()
    bench.stop.ask(2)
    assert await finish(task) is ExitCode.STOPPED
    assert bench.processes["web"].told == bench.processes["archive"].told == ["terminate", "kill"]
