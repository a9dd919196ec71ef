"""``nualley up``: the product's processes, started together, started again when they fail, stopped together."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from nualley.app.locks import role_state
from nualley.app.stopping import Stop, pause
from nualley.app.supervision import Restarts, is_hopeless
from nualley.core import PARENT_PID, ExitCode, NualleyError, reason

STOP_S = 20.0
"""A process that was asked to stop is killed after so long [s]."""

REMIND_S = 600.0
"""That a process was given up is said again so often [s]."""

_LOOK_S = 0.05
_log = structlog.get_logger()


class Process(Protocol):
    """A process that was started, as `asyncio.subprocess.Process` is one."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        ...

    async def wait(self) -> int:
        """Wait until it ends and return how."""
        ...

    def terminate(self) -> None:
        """Ask it to stop (SIGTERM)."""
        ...

    def kill(self) -> None:
        """End it (SIGKILL)."""
        ...


Start = Callable[[str], Awaitable[Process]]
"""Starts the process of a role."""


def start_role(experiment: Path) -> Start:
    """Return what starts ``nualley up ROLE`` of an experiment.

    Parameters
    ----------
    experiment : Path
        The experiment repository.
    """

    async def start(role: str) -> Process:
        # a session of its own: Ctrl-C reaches the supervisor alone, which stops the others in order
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nualley.cli", "up", role, "--experiment", str(experiment)),
            start_new_session=True,
            env={**os.environ, PARENT_PID: str(os.getpid())},
        )

    return start


class Supervisor:
    """Keeps one process a role running.

    Parameters
    ----------
    roles : sequence of str
        They are stopped in reverse: what others rest on comes first.
    start : callable
        Starts the process of a role.
    store : Path
        The store, in which a process says why it could not go on.
    stop : Stop
        Ends it all; made in the running loop's thread.
    """

    def __init__(self, roles: Sequence[str], *, start: Start, store: Path, stop: Stop) -> None:
        self._roles = roles
        self._start = start
        self._store = store
        self._stop = stop
        self._stopping = stop.event()
        self._processes: dict[str, Process] = {}
        self._given_up: dict[str, ExitCode] = {}

    async def run(self) -> ExitCode:
        """Run all roles until the stop is asked for, or until none of them can run.

        Returns
        -------
        ExitCode
            That of a role that was given up, though all others did their work; else that of the stop.
        """
        watchers = [asyncio.create_task(self._keep(role)) for role in self._roles]
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([stopping, *watchers], return_when=asyncio.FIRST_COMPLETED)
        self._stopping.set()
        _log.info("stopping in order; asked once more, it hurries")
        for role in reversed(self._roles):
            await self._end(role)
        await asyncio.gather(stopping, *watchers)
        if self._given_up:
            _log.error("these processes did not run", processes=sorted(self._given_up))
        return max(self._given_up.values(), default=self._stop.exit_code)

    async def _keep(self, role: str) -> None:
        restarts = Restarts()
        while not self._stopping.is_set():
            began_s = time.monotonic()
            code = await self._run_once(role)
            if self._stopping.is_set():
                return
            if code is not None and is_hopeless(code):
                await self._give_up(role, ExitCode(code), self._why(role))
                return
            restarts = restarts.after_end(time.monotonic() - began_s)
            _log.warning("process ended, it is started again", process=role, exit_code=code, in_s=restarts.delay_s)
            await pause(self._stopping, restarts.delay_s)

    async def _run_once(self, role: str) -> int | None:
        """Start a role and wait for its end; None where the machine could not start it, or it was to stop by then."""
        try:
            process = self._processes[role] = await self._start(role)
        except OSError as error:  # no memory, no process: it may have some in a moment
            _log.error("process cannot be started", process=role, what=reason(error))
            return None
        _log.info("process started", process=role, pid=process.pid)
        if self._stopping.is_set():  # asked to stop while it was being started
            await self._end(role)
        return await process.wait()

    def _why(self, role: str) -> NualleyError:
        """Return why the process of a role ended, as it noted itself; it may have ended before it could."""
        ended = role_state(self._store, role).ended
        if ended is not None and ended.pid == self._processes[role].pid:
            return ended.error
        return NualleyError("its last words stand above", do="mend what they say")

    async def _give_up(self, role: str, code: ExitCode, why: NualleyError) -> None:
        """Say it loudly, again and again; the others go on: data taking first."""
        self._given_up[role] = code
        if len(self._given_up) == len(self._roles):
            self._stopping.set()  # nothing is left to run
        others = [other for other in self._roles if other not in self._given_up]
        while not self._stopping.is_set():
            if not role_state(self._store, role).is_held:  # nobody has started it beside us meanwhile
                _log.error(
                    f"{role} DOES NOT RUN and is not started again",
                    what=why.what,
                    do=f"{why.do}; then, beside this one: nualley up {role}",
                    still_run=others,
                )
            await pause(self._stopping, REMIND_S)

    async def _end(self, role: str) -> None:
        process = self._processes.get(role)
        if process is None or process.returncode is not None:
            return
        process.terminate()
        began_s = time.monotonic()
        while process.returncode is None:
            if time.monotonic() - began_s >= self._stop.patience_s(STOP_S):
                _log.error("process does not stop, killed", process=role, pid=process.pid)
                process.kill()
                await process.wait()
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _LOOK_S)
