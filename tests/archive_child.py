"""The product's archive process as a child, for tests that kill it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from nualley.app.locks import role_state
from nualley.app.site import open_site
from nualley.archive import ArchiveMissingError, PvNotArchivedError
from nualley.core import PARENT_PID, to_json
from nualley.testing.ioc import without_epics
from nualley.testing.processes import ChildError

_LIMIT_S = 60.0


class ArchiveChild:
    """``nualley up archive`` of an experiment, as a process of its own; a context manager.

    Parameters
    ----------
    folder : Path
        The experiment directory.
    environ : mapping of str to str, optional
        Its environment; ours without anybody's EPICS settings by default.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._environ = {**(environ or without_epics(os.environ)), PARENT_PID: str(os.getpid())}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it wrote."""
        path = self._log
        return path.read_text(errors="replace") if path.is_file() else ""

    @property
    def _log(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.log")

    def start(self) -> None:
        """Start it, and wait until it takes orders."""
        command = [sys.executable, "-m", "nualley.cli", "up", "archive", "--experiment", str(self.folder)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log)  # ours
        store = open_site(self.folder).configuration.store
        self.until(lambda: role_state(store, "archive").control)

    def stop(self) -> None:
        """Stop it; what it received is durable then."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    def until(self, is_so: Callable[[], object]) -> None:
        """Wait until something is so.

        Raises
        ------
        ChildError
            Where it ends meanwhile, or a minute passes.
        """
        end_s = time.monotonic() + _LIMIT_S
        while not is_so():
            if self._process is None or self._process.poll() is not None or time.monotonic() > end_s:
                raise ChildError(f"it did not come about:\n{self.log[-4000:]}", where=str(self.folder))
            time.sleep(0.05)

    def rows(self, pv: str) -> list[dict[str, Any]]:
        """Return the durable rows of a PV, by time; none where nothing is known of it."""
        try:
            table = open_site(self.folder).archive().read(pv, 0, 2**62)
        except (ArchiveMissingError, PvNotArchivedError):
            return []
        found: list[dict[str, Any]] = to_json(table.to_pylist())
        return found

    def values(self, pv: str) -> list[Any]:
        """Return the values of the durable samples of a PV, by time."""
        return [row["value"] for row in self.rows(pv) if row["kind"] == "sample"]

    def _end(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
        if self._process is not None:
            self._process.wait(_LIMIT_S)
