"""A PostgreSQL server for tests: a real one in a temporary folder, gone when its user goes."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from nualley.core import NualleyError

PASSWORD = "not-a-secret"  # noqa: S105  # it guards a server on loopback that lives as long as a test
USER = "nualley"

_START_S = 60.0
_SOCKET_PORT = 5432  # only a part of the socket's name, in a folder of its own
_LOOK_S = 0.02
_SUPERUSERS = ("postgres", "nobody")
_FOLDERS = "/usr/lib/postgresql"
_OPTIONS = {
    "fsync": "off",  # what a test enters need not survive a power cut
    "full_page_writes": "off",
    "listen_addresses": "",
    "logging_collector": "off",
    "max_connections": "40",
    "shared_buffers": "32MB",
}


class NoServerError(NualleyError, RuntimeError):
    """PostgreSQL is not installed, or does not start."""


def find_programs() -> Path | None:
    """Return the folder of ``initdb`` and ``postgres``, the newest version of Debian's, None where there is none."""
    found = sorted(Path(_FOLDERS).glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    there = found[-1] if found else shutil.which("initdb")
    return Path(there).resolve().parent if there else None


class PostgresServer:
    """A server of its own, at a Unix socket that asks for no password.

    Parameters
    ----------
    is_on_loopback : bool
        Whether it also listens at a free port of loopback, where it asks for `PASSWORD`.
    **options : str
        Further settings of the server, such as ``synchronous_commit="off"``.

    Raises
    ------
    NoServerError
        Where PostgreSQL is not installed or does not start.

    Notes
    -----
    PostgreSQL refuses to run as root: then its files and its processes belong to the user postgres, or to nobody. It
    ends with the thread that started it, however that ends.
    """

    def __init__(self, *, is_on_loopback: bool = False, **options: str) -> None:
        programs = find_programs()
        if programs is None:
            raise NoServerError("PostgreSQL is not installed", do="sudo apt-get install postgresql")
        self._programs = programs
        self._options = _OPTIONS | ({"listen_addresses": "127.0.0.1"} if is_on_loopback else {}) | options
        self.port = _free_port() if is_on_loopback else _SOCKET_PORT
        self._folder = Path(tempfile.mkdtemp(prefix="nualley-postgres-"))
        self._as_user: tuple[str, ...] = ()
        if os.getuid() == 0:
            account = _account()
            os.chown(self._folder, account.pw_uid, account.pw_gid)
            self._as_user = ("--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups")
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._make()
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database at the server's Unix socket, as a person writes it."""
        return f"postgresql://{USER}@/{database}?host={self._folder}&port={self.port}"

    def host_url(self, database: str = "postgres", *, password: str = "") -> str:
        """Return the address of a database at the server's port, where a password is asked for."""
        return f"postgresql://{USER}{':' * bool(password)}{password}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, *, encoding: str = "UTF8", language: str = "") -> str:
        """Make a database and return its address at the socket.

        Parameters
        ----------
        database : str
            Its name.
        encoding : str
            How it holds text.
        language : str
            By whose rules it orders text, such as ``en-US``; by bytes where empty.
        """
        at = ("--host", str(self._folder), "--port", str(self.port), "--username", USER)
        rules = ("--locale-provider", "icu", "--icu-locale", language) if language else ()
        made = ("--template", "template0", "--encoding", encoding, "--locale", "C", *rules, database)
        self._run("createdb", *at, *made)
        return self.url(database)

    def start(self) -> None:
        """Start the server, and return once it lets others in."""
        settings = [word for name, value in self._options.items() for word in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # Debian's program, our own arguments
                self._command(
                    "postgres",
                    *("-D", str(self._data), "-p", str(self.port), "-k", str(self._folder)),
                    *settings,
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Stop the server at once, as a power cut would: what was committed is there when it starts again."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(3)  # SIGQUIT: immediate shutdown
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop it and take its files away."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            "initdb",
            *("-D", str(self._data), "--no-sync", "--username", USER, "--pwfile", str(secret)),
            *("--encoding", "UTF8", "--locale", "C", "--auth-local", "trust", "--auth-host", "scram-sha-256"),
        )

    def _command(self, program: str, *arguments: str) -> list[str]:
        # the signal is set after the user is changed, which would take it back
        return ["setpriv", *self._as_user, "--pdeathsig", "QUIT", "--", str(self._programs / program), *arguments]

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603  # Debian's program, our own arguments
            self._command(program, *arguments), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise NoServerError(f"{program} failed: {done.stderr.strip()}", where=str(self._folder))

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        state = self._data / "postmaster.pid"
        end_s = time.monotonic() + _START_S
        while True:
            lines = state.read_text().splitlines() if state.exists() else []
            # the last line says how it stands; the first, whose file it is
            if len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return
            if process.poll() is not None or time.monotonic() > end_s:
                log = (self._folder / "log").read_text(errors="replace")
                raise NoServerError(f"PostgreSQL does not start:\n{log}", where=str(self._folder))
            time.sleep(_LOOK_S)


def _account() -> pwd.struct_passwd:
    by_name = {account.pw_name: account for account in pwd.getpwall()}
    return next(by_name[name] for name in _SUPERUSERS if name in by_name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
