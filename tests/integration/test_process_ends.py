"""However ``nualley up`` and ``nualley demo`` end, they end in order, say so, and leave nothing behind."""

import contextlib
import json
import os
import pty
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nualley.app.locks import role_state
from nualley.app.site import Site
from nualley.config import load, write_template
from nualley.testing.ioc import EpicsPorts

pytestmark = [
    pytest.mark.xdist_group("demo"),  # one at a time: each takes the machine
    pytest.mark.real_ioc,
    pytest.mark.enable_socket,
    pytest.mark.timeout(600),
]

LIMIT_S = 180  # a busy machine takes its time


def until(is_so: Callable[[], object], what: str) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < end_s, f"waited in vain: {what}"
        time.sleep(0.05)


class Command:
    """``nualley`` in a process of its own, all of whose processes can be found by a mark in their environment."""

    def __init__(self, folder: Path, *words: str, **environ: str) -> None:
        self.mark = f"ENDS_{secrets.token_hex(8)}"
        self.temporary = folder / "temporary"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.runtime = Path(tempfile.mkdtemp(prefix="nualley-ends-"))  # short: a socket is in it
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nualley.cli", *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={
                    **os.environ,
                    "TMPDIR": str(self.temporary),
                    "XDG_RUNTIME_DIR": str(self.runtime),
                    self.mark: "1",
                    **environ,
                },
                start_new_session=True,
            )

    def said(self) -> str:
        return self.err.read_text()

    def answer(self) -> dict:
        return json.loads(self.out.read_text())

    def signal(self, *numbers: int, pause_s: float = 0.0) -> None:
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)
            time.sleep(pause_s)

    def wait(self) -> int:
        return self.process.wait(LIMIT_S)

    def pids(self) -> list[int]:
        """Process ids of all that runs because of it."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in path.read_bytes() and path.parent.joinpath("cmdline").read_bytes():
                    found.append(int(path.parent.name))
        return found

    def end(self) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.runtime)


@pytest.fixture
def nualley(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    started: list[Command] = []

    def start(*words: str, **environ: str) -> Command:
        started.append(Command(tmp_path / f"command-{len(started)}", *words, **environ))
        return started[-1]

    yield start
    for command in started:
        command.end()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    write_template(tmp_path / "experiment")
    return Site(load(tmp_path / "experiment", {}))


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def free_port() -> int:
    return EpicsPorts.free().ca  # the kernel gives it to nobody else before the page is there


def up(nualley: Callable[..., Command], site: Site, *roles: str, port: int) -> Command:
    place = ("--experiment", str(site.configuration.directory))
    return nualley("up", *roles, *place, NUALLEY_WEB__PORT=str(port))


def running_up(nualley: Callable[..., Command], site: Site) -> Command:
    command = up(nualley, site, port=free_port())
    until(lambda: role_state(site.configuration.store, "web").url and '"archiving"' in command.said(), "it runs")
    return command


@pytest.fixture
def rng(seed: int) -> random.Random:
    return random.Random(seed)


def check_quiet_end(command: Command, code: int) -> None:
    assert command.wait() == code, command.said()
    assert not list(command.runtime.rglob("*.bus")), "a socket stays"
    assert command.pids() == [], "something still runs"
    assert "Traceback" not in command.said()


# ---------------------------------------------------------------- nualley up
def test_a_taken_port_costs_the_page_and_not_the_archive(nualley, site, taken_port):
    command = up(nualley, site, port=taken_port)
    store = site.configuration.store
    until(lambda: "DOES NOT RUN" in command.said() and '"archiving"' in command.said(), "web is given up")
    logs = [json.loads(line) for line in command.said().splitlines() if line.startswith("{")]
    (loud,) = (log for log in logs if "DOES NOT RUN" in log["event"])
    assert loud["level"] == "error"
    assert loud["what"].startswith(f"port {taken_port} of 127.0.0.1 is taken by")
    assert f"ss -ltnp 'sport = :{taken_port}'" in loud["do"]
    assert "NUALLEY_WEB__PORT" in loud["do"]
    assert loud["do"].endswith("nualley up web")
    assert [log["process"] for log in logs if log["event"] == "process started"].count("web") == 1
    assert role_state(store, "archive").is_held
    assert role_state(store, "worker").is_held
    # the way out that it names: the page beside the processes that run
    beside = up(nualley, site, "web", port=free_port())
    until(lambda: role_state(store, "web").url, "the page answers")
    beside.signal(signal.SIGTERM)
    check_quiet_end(beside, 0)
    command.signal(signal.SIGTERM)
    check_quiet_end(command, 3)


def test_the_page_alone_ends_at_once_where_its_port_is_taken(nualley, site, taken_port):
    command = up(nualley, site, "web", port=taken_port)
    check_quiet_end(command, 3)
    assert f"port {taken_port} of 127.0.0.1 is taken" in command.said()


BY_HAND = [
    ([signal.SIGINT], 0.0),
    ([signal.SIGHUP], 0.0),
    ([signal.SIGINT] * 40, 0.05),
    ([signal.SIGINT] * 4, 1.1),
]


@pytest.mark.fault
def test_up_ends_in_order_however_often_it_is_asked(nualley, site, rng, is_soak):
    asked = [([signal.SIGTERM], 0.0, 0), *((*how, 130) for how in (BY_HAND if is_soak else [rng.choice(BY_HAND)]))]
    for numbers, pause_s, code in asked:
        command = running_up(nualley, site)
        command.signal(*numbers, pause_s=pause_s)
        check_quiet_end(command, code)
        assert "archive stopped" in command.said(), "the archive was drained"


@pytest.mark.fault
def test_up_that_kills_a_hung_archive_takes_its_socket_away(nualley, site):
    command = running_up(nualley, site)
    os.kill(role_state(site.configuration.store, "archive").pid, signal.SIGSTOP)
    command.signal(*[signal.SIGINT] * 3, pause_s=1.1)
    check_quiet_end(command, 130)
    assert "process does not stop, killed" in command.said()


def test_a_role_alone_ends_in_order_too(nualley, site):
    ready = {"archive": '"archiving"', "worker": '"watching drop directories"', "web": '"status page"'}
    commands = {role: up(nualley, site, role, port=free_port()) for role in ready}
    for role, command in commands.items():
        until(lambda command=command, role=role: ready[role] in command.said(), f"{role} runs")
    for command in commands.values():
        command.signal(*[signal.SIGINT] * 20, pause_s=0.02)
        check_quiet_end(command, 130)


def test_up_in_a_terminal_that_is_closed_ends_in_order(site, tmp_path):
    pid, terminal = pty.fork()
    if pid == 0:
        command = [sys.executable, "-m", "nualley.cli", "up", "--experiment", str(site.configuration.directory)]
        os.execve(sys.executable, command, {**os.environ, "NUALLEY_WEB__PORT": str(free_port())})
    store = site.configuration.store
    roles = ("archive", "worker", "web", "up")
    until(lambda: all(role_state(store, role).is_held for role in roles), "it runs")
    pids = [role_state(store, role).pid for role in roles]
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(role_state(store, role).is_held for role in roles)


@pytest.mark.fault
@pytest.mark.parametrize("roles", [("up",), ("archive", "worker", "web")])
def test_ctrl_c_while_it_begins_is_quiet(nualley, site, roles, rng, is_soak):
    def interrupt(command, role, pause_s):
        # before it holds its role nothing was begun: what the command line does then is tested with the command line
        until(lambda: role_state(site.configuration.store, role).is_held, f"{role} begins")
        time.sleep(pause_s)
        command.signal(signal.SIGINT)

    for _ in range(12 if is_soak else 2):
        commands = [up(nualley, site, *({role} - {"up"}), port=free_port()) for role in roles]
        pauses_s = [rng.uniform(0.0, 0.5) for _ in roles]
        with ThreadPoolExecutor(len(roles)) as side_by_side:
            list(side_by_side.map(interrupt, commands, roles, pauses_s))
        for command in commands:
            check_quiet_end(command, 130)


# ---------------------------------------------------------------- nualley demo
def page_of(command: Command) -> str:
    until(lambda: "\n  stop" in command.said(), "the demo runs")
    (url,) = re.findall(r"^  status page   (.+)$", command.said(), re.MULTILINE)
    return url


def pvs_of(url: str) -> str:
    with urllib.request.urlopen(f"{url}api/status", timeout=10) as answer:
        return answer.read().decode()


def test_two_demos_at_once_have_a_page_each(nualley):
    demos = [nualley("demo", "--json"), nualley("demo", "--json")]
    urls = [page_of(demo) for demo in demos]
    assert len(set(urls)) == 2
    for demo, url in zip(demos, urls, strict=True):
        # the page shows this demo's own drives, which lie in its own folder
        (folder,) = demo.temporary.glob("nualley-demo-*")
        assert str(folder) in pvs_of(url)
    for demo in demos:
        demo.signal(signal.SIGINT)
    for demo, url in zip(demos, urls, strict=True):
        check_quiet_end(demo, 0)
        assert demo.answer()["web"] == {"url": url}
        assert not list(demo.temporary.glob("nualley-demo-*"))


def test_a_demo_leaves_files_alone_that_no_demo_wrote(nualley, site):
    before = sorted(site.configuration.directory.rglob("*"))
    command = nualley("demo", "--json", "--directory", str(site.configuration.directory))
    check_quiet_end(command, 2)
    assert command.answer()["error"]["where"] == "--directory"
    assert sorted(site.configuration.directory.rglob("*")) == before


STOPPED = [
    (("--seconds", "600"), signal.SIGINT),
    ((), signal.SIGTERM),
    ((), signal.SIGHUP),
]


@pytest.mark.fault
def test_a_demo_that_is_stopped_says_so_and_leaves_nothing(nualley, rng, is_soak):
    for words, number in STOPPED if is_soak else [rng.choice(STOPPED)]:
        command = nualley("demo", "--json", *words)
        page_of(command)
        command.signal(number)
        check_quiet_end(command, 130)
        error = command.answer()["error"]
        assert error["code"] == 130
        assert "the demo was stopped" in error["what"]
        assert "--seconds" in error["do"]
        assert not list(command.temporary.glob("nualley-demo-*"))


@pytest.mark.fault
def test_a_demo_that_is_asked_again_and_again_leaves_nothing(nualley, rng, is_soak):
    for pause_s in (0.05, 1.1) if is_soak else [rng.choice((0.05, 1.1))]:
        command = nualley("demo", "--json")
        page_of(command)
        command.signal(*[signal.SIGINT] * round(5 / pause_s), pause_s=pause_s)
        command.wait()
        # it may be done with its account before it is asked a second time
        check_quiet_end(command, 0 if "archive" in command.answer() else 130)
        assert not list(command.temporary.glob("nualley-demo-*"))


@pytest.mark.fault
def test_ctrl_c_while_a_demo_begins_leaves_nothing(nualley, rng, is_soak):
    for _ in range(12 if is_soak else 2):
        command = nualley("demo", "--json")
        until(lambda command=command: "starting" in command.said(), "it begins")
        time.sleep(rng.uniform(0.0, 2.4))
        command.signal(signal.SIGINT)
        check_quiet_end(command, 130)
        assert command.answer()["error"]["code"] == 130
        assert not list(command.temporary.glob("nualley-demo-*"))


@pytest.mark.fault
def test_nothing_outlives_a_demo_that_is_killed(nualley):
    command = nualley("demo")
    page_of(command)
    assert len(command.pids()) >= 7, "demo, IOC, two DAQs, up and its three"
    command.signal(signal.SIGKILL)
    until(lambda: command.pids() == [], "all have ended")
