"""Child processes that speak JSON lines, and that never outlive who started them."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, cast

from nualley.core import PARENT_PID, NualleyError

_MARK = "@"  # EPICS prints banners on the same pipe: only marked lines are ours
_TAIL_LINES = 40


class ChildError(NualleyError, RuntimeError):
    """A child process of the test kit ended, did not answer or refused."""


def say(reply: Mapping[str, object]) -> None:
    """Write one line to the parent (in a child process)."""
    sys.stdout.write(f"{_MARK}{json.dumps(reply)}\n")
    sys.stdout.flush()


class Child:
    """A child process that is told things in JSON lines and answers in marked JSON lines.

    Parameters
    ----------
    arguments : sequence of str
        Module to run (``python -m``) and its arguments.
    environ : mapping of str to str
        Its whole environment.
    on_line : callable, optional
        Takes each object that it says, in a thread; otherwise they are kept for `call`.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        on_line: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._replies: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._on_line = on_line or self._replies.put
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.name = arguments[0]
        self.process = subprocess.Popen(  # noqa: S603  # our own module, by our own interpreter
            [sys.executable, "-m", "nualley.core.child", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            env={**environ, PARENT_PID: str(os.getpid()), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        # pipes, as asked for above
        self._commands = cast("IO[str]", self.process.stdin)
        self._answers = cast("IO[str]", self.process.stdout)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def output(self) -> str:
        """The last lines that it wrote beside its answers."""
        return "\n".join(self._tail)

    def wait_until_ready(self, limit_s: float = 60.0) -> dict[str, Any]:
        """Return the first thing that it says.

        Raises
        ------
        ChildError
            Where it ends or says nothing within ``limit_s`` [s].
        """
        return self._reply("to be ready", limit_s)

    def call(self, limit_s: float = 30.0, **command: object) -> dict[str, Any]:
        """Send a command and return the answer.

        Parameters
        ----------
        limit_s : float
            How long to wait for it [s], > 0.
        **command : object
            What to send; JSON-able.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        ChildError
            Where it ends, does not answer or answers with an error.
        """
        self.send(**command)
        return self._reply(f"to answer {command!r}", limit_s)

    def send(self, **command: object) -> None:
        """Send a command that has no answer."""
        self._commands.write(json.dumps(command) + "\n")
        self._commands.flush()

    def signal(self, signal_number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal_number)

    def kill(self) -> None:
        """Kill it and close its pipes; also when it is stopped or has ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(timeout=5)
        for pipe in (self._commands, self._answers):
            with suppress(BrokenPipeError):  # unsent commands die with it
                pipe.close()

    def _reply(self, purpose: str, limit_s: float) -> dict[str, Any]:
        try:
            reply = self._replies.get(timeout=limit_s)
        except queue.Empty:
            reply = {"error": f"it says nothing for {limit_s} s"}
        if reply is None:
            reply = {"error": f"it ended with status {self.process.wait(timeout=5)}"}
        if "error" in reply:
            raise ChildError(
                f"{self.name} was expected {purpose}: {reply['error']}\n{self.output}", where=f"process {self.pid}"
            )
        return reply

    def _read(self) -> None:
        for line in self._answers:
            if line.startswith(_MARK):
                self._on_line(json.loads(line[len(_MARK) :]))
            else:
                self._tail.append(line.rstrip("\n"))
        self._replies.put(None)
