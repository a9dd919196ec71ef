"""``nualley up``: the product's processes, started together, started again when they fail, stopped together."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from nualley.app.supervision import Restarts, is_hopeless
from nualley.core import ExitCode

STOP_S = 20.0
"""A process that was asked to stop is killed after so long [s]."""

SUPERVISED = "NUALLEY_SUPERVISED_BY"
_PR_SET_PDEATHSIG = 1
_log = structlog.get_logger()


def end_with_supervisor(environ: Mapping[str, str]) -> None:
    """Ask the kernel for a SIGTERM when the supervisor that started this process is gone, however it went.

    Parameters
    ----------
    environ : mapping of str to str
        The environment; a process that was started alone has no supervisor in it.
    """
    supervisor = environ.get(SUPERVISED)
    if supervisor is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(supervisor):  # it went before we asked
        os.kill(os.getpid(), signal.SIGTERM)


class Supervisor:
    """Keeps one process a role running.

    Parameters
    ----------
    experiment : Path
        The experiment repository.
    roles : sequence of str
        In the order in which they are stopped in reverse: what others rest on comes first.
    """

    def __init__(self, experiment: Path, roles: Sequence[str]) -> None:
        self._experiment = experiment
        self._roles = roles
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    async def run(self, stop: asyncio.Event) -> ExitCode:
        """Run all roles until ``stop`` is set.

        Returns
        -------
        ExitCode
            Done after a stop; configuration where a role cannot be started at all.
        """
        watchers = [asyncio.create_task(self._keep(role, stop)) for role in self._roles]
        stopping = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopping, *watchers], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        for role in reversed(self._roles):
            await self._stop(role)
        codes = await asyncio.gather(*watchers)
        stopping.cancel()
        return max(codes, default=ExitCode.DONE) if stopping not in done else ExitCode.DONE

    async def _keep(self, role: str, stop: asyncio.Event) -> ExitCode:
        restarts = Restarts()
        while not stop.is_set():
            began_s = time.monotonic()
            process = self._processes[role] = await self._start(role)
            if stop.is_set():  # asked to stop while it was being started
                await self._stop(role)
                break
            code = await process.wait()
            if stop.is_set():
                break
            if is_hopeless(code):
                _log.error("process cannot run", process=role, exit_code=code)
                return ExitCode(code)
            restarts = restarts.after_end(time.monotonic() - began_s)
            _log.warning("process ended", process=role, exit_code=code, again_in_s=restarts.delay_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), restarts.delay_s)
        return ExitCode.DONE

    async def _start(self, role: str) -> asyncio.subprocess.Process:
        # a session of its own: Ctrl-C reaches the supervisor alone, which stops the others in order
        command = [sys.executable, "-m", "nualley.cli", "up", role, "--experiment", str(self._experiment)]
        process = await asyncio.create_subprocess_exec(
            *command, start_new_session=True, env={**os.environ, SUPERVISED: str(os.getpid())}
        )
        _log.info("process started", process=role, pid=process.pid)
        return process

    async def _stop(self, role: str) -> None:
        process = self._processes.get(role)
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            _log.error("process does not stop, killed", process=role, pid=process.pid)
            process.kill()
            await process.wait()


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set ``stop`` on SIGTERM and SIGINT, in the running loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
