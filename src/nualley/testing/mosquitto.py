"""A real MQTT broker in a child process, on loopback and on a port of its own: Debian's mosquitto."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from nualley.core import NualleyError

INSTALL = "sudo apt-get install mosquitto"
"""What installs it."""

_LOOPBACK = "127.0.0.1"
_READY_S = 20.0


class BrokerError(NualleyError, RuntimeError):
    """A broker of the test kit is not installed, or does not start."""


class Broker:
    """A broker in a child process; it keeps sessions and what is retained over a restart.

    Parameters
    ----------
    folder : Path
        A folder of its own, for its configuration and what it keeps.
    options : sequence of str
        Further lines of its configuration.

    Examples
    --------
    >>> with Broker(Path("/tmp/broker")) as broker:  # doctest: +SKIP
    ...     print(broker.port)
    """

    def __init__(self, folder: Path, *, options: Sequence[str] = ("allow_anonymous true",)) -> None:
        self.folder = folder
        self.port = _free_port()
        self._options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id; 0 where it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises
        ------
        BrokerError
            Where it is not installed, or does not start.
        """
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if program is None:
            raise BrokerError("mosquitto is not installed", where="PATH", do=INSTALL)
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text("\n".join(self._lines()) + "\n")
        with (self.folder / "log").open("ab") as log:
            # it dies with whoever started it, also where that is killed
            self._process = subprocess.Popen(  # noqa: S603  # our own configuration
                ["setpriv", "--pdeathsig", "KILL", program, "-c", str(configuration)],  # noqa: S607  # util-linux
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait()

    def stop(self) -> None:
        """Stop it; it keeps what it is to keep."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it; what it has not written is gone."""
        self._end(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Send it a signal: SIGSTOP makes it hang, SIGUSR1 makes it write what it keeps."""
        if self._process is not None:
            os.kill(self._process.pid, number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(ProcessLookupError):
            self.signal(signal.SIGCONT)
        self.kill()

    def _lines(self) -> list[str]:
        return [
            f"listener {self.port} {_LOOPBACK}",
            "persistence true",
            f"persistence_location {self.folder}/",
            "max_queued_messages 0",
            "autosave_interval 1",
            "autosave_on_changes true",
            "log_type error",
            "log_type warning",
            *(["user root"] if os.getuid() == 0 else []),
            *self._options,
        ]

    def _wait(self) -> None:
        end_s = time.monotonic() + _READY_S
        while self._process is not None:
            with suppress(OSError), socket.create_connection((_LOOPBACK, self.port), timeout=1):
                return
            if self._process.poll() is not None or time.monotonic() > end_s:
                self.kill()
                text = (self.folder / "log").read_text(errors="replace")
                raise BrokerError(f"mosquitto does not start:\n{text}", where=str(self.folder), do="look at its log")
            time.sleep(0.02)

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
        self._process.wait()
        self._process = None


def _free_port() -> int:
    with socket.create_server((_LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])
