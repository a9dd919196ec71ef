"""A running rclone that takes calls over a socket of this user's own, and ends with this process."""

import base64
import contextlib
import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nualley.core import socket_base
from nualley.replicas.adapters.rclone_refusals import error_of
from nualley.replicas.errors import RemoteNotSetUp, RemoteUnreachable

_FOLDER, _SOCKET = "nualley-rclone-", "rc.sock"
_RANDOM = 8  # letters that mkdtemp adds
_START_S = 30.0
_CALL_S = 300.0
_FIRST_LOOK_S, _LOOK_S = 0.002, 0.1
_END_S = 5.0
# the kernel kills the process when the thread that started it ends, also where this one is killed
_SHIM = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)\n"
    "os.getppid() == int(sys.argv[1]) or os._exit(1)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)
# a remote that is away is told within a minute, not after rclone's many tries
_FLAGS = ("--low-level-retries", "3", "--contimeout", "10s", "--timeout", "30s", "--retries", "1")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _sweep(folder: Path) -> None:
    """Remove what processes of this user left that were killed."""
    for path in folder.glob(f"{_FOLDER}*-*"):
        pid = path.name.removeprefix(_FOLDER).partition("-")[0]
        with contextlib.suppress(OSError):  # another one sweeps too
            if pid.isdecimal() and path.stat().st_uid == os.geteuid() and not Path("/proc", pid).exists():
                shutil.rmtree(path)


class RcloneDaemon:
    """``rclone rcd`` of this process, started at the first call.

    Parameters
    ----------
    program : callable
        Returns the rclone, tried; raises RemoteNotSetUp.
    config : Path or None
        rclone's file with addresses and passwords; None for its own.
    """

    def __init__(self, program: Callable[[], Path], config: Path | None = None) -> None:
        self._find = program
        self._config = config
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._login = ""
        self._n_links = 0

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    # ------------------------------------------------------------ starting
    def _ensure(self) -> Path:
        """Return the folder with its socket, after it answers."""
        with self._lock:
            if self._folder is None or self.pid is None:
                self._end()
                self._start()
            assert self._folder is not None
            return self._folder

    def _start(self) -> None:
        program = self._find()
        prefix = f"{_FOLDER}{os.getpid()}-"
        base = socket_base(Path(tempfile.gettempdir()), f"{prefix}{'x' * _RANDOM}/{_SOCKET}")
        _sweep(base)
        folder = self._folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))  # for this user alone
        user, password = secrets.token_hex(16), secrets.token_hex(32)
        self._login = base64.b64encode(f"{user}:{password}".encode()).decode()
        # in the environment: a command line can be read by anybody
        environ = {**os.environ, "RCLONE_RC_USER": user, "RCLONE_RC_PASS": password}
        if self._config is not None:
            environ["RCLONE_CONFIG"] = os.fspath(self._config)
        words = [os.fspath(program), "rcd", "--rc-addr", f"unix://{folder / _SOCKET}", "--rc-serve", *_FLAGS]
        started = threading.Event()

        def keep() -> None:  # its thread lives as long as the process: see _SHIM
            try:
                with (folder / "log").open("wb") as log:
                    process = self._process = subprocess.Popen(  # noqa: S603 - rclone, as it was found and tried
                        [sys.executable, "-I", "-S", "-c", _SHIM, str(os.getpid()), *words],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        env=environ,
                        start_new_session=True,  # Ctrl-C is ours to hear: we end it in our order
                    )
            finally:
                started.set()
            process.wait()

        threading.Thread(target=keep, daemon=True, name="nualley-rclone").start()
        started.wait()
        self._await_answer(folder)

    def _await_answer(self, folder: Path) -> None:
        until_s = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._request(folder, "rc/noop", {}, 5.0)
                return
            if self.pid is None or time.monotonic() > until_s:
                said = self._last_words()
                self._end()
                raise RemoteNotSetUp(
                    f"rclone does not start: {said}",
                    where="replicas.rclone",
                    do="try it by hand: rclone rcd --rc-no-auth",
                )
            time.sleep(0.02)

    def _last_words(self) -> str:
        try:
            lines = (self._folder / "log").read_text(errors="replace").splitlines() if self._folder else []
        except OSError:
            lines = []
        return lines[-1] if lines else "it says nothing"

    # ------------------------------------------------------------ calls
    def _connection(self, folder: Path, timeout_s: float) -> _UnixConnection:
        return _UnixConnection(os.fspath(folder / _SOCKET), timeout_s)

    def _request(
        self, folder: Path, method: str, parameters: Mapping[str, Any], timeout_s: float
    ) -> tuple[int, dict[str, Any]]:
        connection = self._connection(folder, timeout_s)
        with contextlib.closing(connection):
            headers = {"Content-Type": "application/json", "Authorization": f"Basic {self._login}"}
            connection.request("POST", f"/{method}", json.dumps(parameters).encode(), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def call(self, method: str, parameters: Mapping[str, Any], *, remote: str = "") -> dict[str, Any]:
        """Call a function of it and return its answer.

        Parameters
        ----------
        method : str
            Such as ``operations/stat``.
        parameters : mapping
            As it takes them.
        remote : str
            Name of the remote, for the text of an error.

        Raises
        ------
        RemoteError
            What it means that it did not do it; FileNotFoundError where something is not there.
        """
        return self._ask(self._ensure(), method, parameters, remote=remote)

    def _ask(self, folder: Path, method: str, parameters: Mapping[str, Any], *, remote: str) -> dict[str, Any]:
        """Call a function of the one that has this folder, and of no other that was started since."""
        with self._alive(remote):
            status, answer = self._request(folder, method, parameters, _CALL_S)
        if status != http.client.OK:
            raise error_of(str(answer.get("error", answer)), remote)
        return answer

    @contextlib.contextmanager
    def _alive(self, remote: str) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException, ValueError) as error:
            how = "does not answer" if self.pid else "ended in the middle"
            raise RemoteUnreachable(
                f"rclone {how}: {str(error) or type(error).__name__}",
                where=f"storage.remotes.{remote}" if remote else "replicas.rclone",
                do="go on: nualley transfer resume",
            ) from error

    def work(
        self, method: str, parameters: Mapping[str, Any], *, remote: str, progress: Callable[[int], object]
    ) -> dict[str, Any]:
        """Call a function of it that takes long, tell how many bytes it has moved, and return its answer.

        What ``progress`` raises stops it, and is raised again once it has stopped.
        """
        folder, group = self._ensure(), f"nualley-{secrets.token_hex(8)}"

        def ask(asked_for: str, **named: Any) -> dict[str, Any]:
            return self._ask(folder, asked_for, named, remote=remote)  # the numbers of jobs are those of one process

        job = int(ask(method, **parameters, _async=True, _group=group)["jobid"])
        wait_s = _FIRST_LOOK_S  # small files take milliseconds
        try:
            while not (state := ask("job/status", jobid=job))["finished"]:
                progress(int(ask("core/stats", group=group, short=True).get("bytes", 0)))
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, _LOOK_S)
        except BaseException:
            self._stop(folder, job)
            raise
        with contextlib.suppress(RemoteUnreachable):
            ask("core/stats-delete", group=group)
        if not state["success"]:
            raise error_of(str(state["error"]), remote)
        return dict(state["output"] or {})

    def _stop(self, folder: Path, job: int) -> None:
        """Stop a job, and wait until it has: what comes next may write to the same name."""
        until_s, named = time.monotonic() + _END_S, {"jobid": job}
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError):
            self._request(folder, "job/stop", named, _END_S)
            while time.monotonic() < until_s and not self._request(folder, "job/status", named, _END_S)[1]["finished"]:
                time.sleep(_LOOK_S)

    # ------------------------------------------------------------ bytes
    def get(self, address: str, *, remote: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Ask for a file, and return the connection and the answer, which is to be read and closed.

        Parameters
        ----------
        address : str
            ``[NAME:path]/file``, quoted.
        remote : str
            Name of the remote, for the text of an error.
        """
        connection = self._connection(self._ensure(), _CALL_S)
        with self._alive(remote):
            connection.request("GET", address, headers={"Authorization": f"Basic {self._login}"})
            response = connection.getresponse()
        return connection, response

    @contextlib.contextmanager
    def link(self, source: Path) -> Iterator[tuple[str, str]]:
        """Give a file of this machine a plain name while it is sent: names on drives are bytes, rclone's are UTF-8."""
        folder = self._ensure()
        with self._lock:
            self._n_links += 1
            name = f"{self._n_links}"
        (folder / "links").mkdir(exist_ok=True)
        path = folder / "links" / name
        path.symlink_to(source)
        try:
            yield f":local,copy_links:{path.parent}", name
        finally:
            path.unlink(missing_ok=True)
