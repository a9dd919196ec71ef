"""Remotes for tests: a folder that stands for one, and real servers on loopback."""

import contextlib
import errno
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from nualley.core import Digests
from nualley.replicas.adapters.remote_bytes import fetch_digests
from nualley.replicas.adapters.remote_names import listing, vanished
from nualley.replicas.errors import RemoteFull, RemoteUnreachable
from nualley.replicas.models import Listing, Seen
from nualley.replicas.places import unknown_remote
from nualley.replicas.ports import RemoteFiles

_CHUNK_B = 1 << 16
_START_S = 20.0
_PASSWORD = "secret"  # noqa: S105 - of servers on loopback that live as long as a test


class FolderRemote:
    """`replicas.ports.RemoteFiles` on a folder of this machine.

    Parameters
    ----------
    name : str
        Name of the remote.
    folder : Path
        Where its files are.
    capacity_B : int, optional
        What it takes in all [B].
    """

    def __init__(self, name: str, folder: Path, capacity_B: int | None = None) -> None:
        self.name = name
        self.folder = folder
        self.capacity_B = capacity_B
        self.is_up = True

    def _place(self, path: str) -> Path:
        if not self.is_up:
            raise RemoteUnreachable(f"remote {self.name} is not reachable", where=self.name, do="switch it on")
        return self.folder / path

    def home(self) -> str | None:
        """Return what holds its bytes: the folder stands for another machine."""
        return str(self.folder)

    def look(self, path: str) -> Listing | None:
        """Return what is at a path now."""
        place = self._place(path)
        if place.is_file():
            return listing(path.rpartition("/")[0], [_seen(place, place.name)])
        if not place.is_dir():
            return None
        files = sorted(found for found in place.rglob("*") if found.is_file())
        return listing(path, [_seen(found, os.fspath(found.relative_to(place))) for found in files])

    def sizes(self, paths: Collection[str]) -> Mapping[str, int]:
        """Return how large those of some files are that are there [B]."""
        places = {path: self._place(path) for path in paths}
        return {path: place.stat().st_size for path, place in places.items() if place.is_file()}

    def open(self, path: str) -> "FolderReader":
        """Open a file for reading."""
        place = self._place(path)
        if not place.is_file():
            raise vanished(self.name, path)
        return FolderReader(place)

    def upload(self, source: Path, path: str, *, rate_B_per_s: int | None, progress: Callable[[int], object]) -> None:
        """Write a file, in the place of what is there."""
        _ = rate_B_per_s  # a folder is as fast as it is
        place = self._place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        done_B = 0
        with source.open("rb") as file, place.open("wb") as target:
            while chunk := file.read(_CHUNK_B):
                self._place(path)
                if self.capacity_B is not None and self._used_B() + len(chunk) > self.capacity_B:
                    text = os.strerror(errno.ENOSPC)
                    raise RemoteFull(f"remote {self.name} has no room: {text}", where=self.name, do="free room there")
                target.write(chunk)
                target.flush()
                done_B += len(chunk)
                progress(done_B)

    def _used_B(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def digests(self, path: str, progress: Callable[[int], object]) -> Digests:
        """Return the digests of what is there."""
        return fetch_digests(self.open(path), progress, _CHUNK_B)

    def move(self, path: str, destination: str) -> bool:
        """Give a file its final name; FileExistsError where that is taken."""
        place = self._place(destination)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(self._place(path), place)
        self._place(path).unlink()
        return True

    def remove(self, path: str) -> None:
        """Remove a file; no error where there is none."""
        self._place(path).unlink(missing_ok=True)

    def available_B(self) -> int | None:
        """Return how much more can be written [B]."""
        self._place("")
        return None if self.capacity_B is None else max(0, self.capacity_B - self._used_B())


class FolderReader:
    """A file of a `FolderRemote`.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        found = path.stat()
        self.size_B = found.st_size
        self.mtime_ns = found.st_mtime_ns

    def close(self) -> None:
        """Let go of it."""
        self._file.close()

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer with the next bytes; return their number, 0 at the end."""
        return self._file.readinto(buffer)


def _seen(place: Path, path: str) -> Seen:
    found = place.stat()
    return Seen(path, found.st_size, found.st_mtime_ns, 0)


class SomeRemotes:
    """`replicas.ports.Remotes` of a test.

    Parameters
    ----------
    *remotes : RemoteFiles
        All that there are.
    """

    def __init__(self, *remotes: RemoteFiles) -> None:
        self._remotes = {remote.name: remote for remote in remotes}

    def names(self) -> Sequence[str]:
        """Return their names."""
        return tuple(self._remotes)

    def open(self, name: str) -> RemoteFiles:
        """Return one."""
        if name not in self._remotes:
            raise unknown_remote(name, self.names())
        return self._remotes[name]


# ---------------------------------------------------------------- servers
def free_port() -> int:
    """Return a TCP port of loopback that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Server:
    """A server on loopback with files in a folder, which can be killed and started again at the same port.

    Parameters
    ----------
    command : callable
        Takes the port and returns what is started.
    """

    def __init__(self, command: Callable[[int], Sequence[str | Path]]) -> None:
        self.port = free_port()
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        words = ["setpriv", "--pdeathsig", "KILL", "--", *(os.fspath(word) for word in self._command(self.port))]
        self._process = subprocess.Popen(  # noqa: S603 - a server of a test
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until_s = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            if self._process.poll() is not None or time.monotonic() > until_s:
                raise RuntimeError(f"{words} does not listen at port {self.port}: {self._process.returncode}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def serve(program: Path, kind: str, folder: Path) -> Server:
    """Return a server of rclone over a folder: ``sftp``, ``webdav`` or ``s3``, which has folders as buckets.

    Parameters
    ----------
    program : Path
        The rclone.
    kind : str
        What it serves.
    folder : Path
        Where its files are.
    """
    logins = {"s3": ["--auth-key", f"key,{_PASSWORD}"]}.get(kind, ["--user", "user", "--pass", _PASSWORD])
    more = {"s3": ["--vfs-cache-mode", "off"], "webdav": ["--vfs-cache-mode", "off"]}.get(kind, [])
    return Server(
        lambda port: [
            *(program, "serve", kind, folder, "--addr", f"127.0.0.1:{port}"),
            *logins,
            *more,
            *("--config", os.devnull, "--dir-cache-time", "10ms"),
        ]
    )


def rclone_section(program: Path, kind: str, port: int, *, is_known: bool = True) -> str:
    """Return the section ``[there]`` of rclone's file that reaches such a server.

    Parameters
    ----------
    program : Path
        The rclone, which hides passwords.
    kind : str
        What is served.
    port : int
        Where.
    is_known : bool
        Whether the password is the right one.
    """
    password = _PASSWORD if is_known else "wrong"
    if kind == "s3":
        return (
            "[there]\ntype = s3\nprovider = Rclone\naccess_key_id = key\n"
            f"secret_access_key = {password}\nendpoint = http://127.0.0.1:{port}\nforce_path_style = true\n"
        )
    hidden = subprocess.run(  # noqa: S603 - the rclone of a test
        [program, "obscure", password], capture_output=True, text=True, check=True
    ).stdout.strip()
    if kind == "sftp":
        return (
            f"[there]\ntype = sftp\nhost = 127.0.0.1\nport = {port}\nuser = user\npass = {hidden}\nshell_type = none\n"
        )
    return f"[there]\ntype = webdav\nurl = http://127.0.0.1:{port}\nvendor = rclone\nuser = user\npass = {hidden}\n"


def find_xrootd() -> Path | None:
    """Return XRootD's server; None where it is not installed (Debian: xrootd-server)."""
    found = shutil.which("xrootd")
    return Path(found) if found else None


@contextlib.contextmanager
def xrootd_server(program: Path) -> Iterator[tuple[Server, Path]]:
    """Serve a new folder by XRootD as ``root://127.0.0.1:PORT//data``; yields the server and the folder.

    Parameters
    ----------
    program : Path
        The server.
    """
    own = Path(tempfile.mkdtemp(prefix="nualley-xrootd-"))
    folder, configuration = own / "data", own / "xrootd.cfg"
    folder.mkdir()
    is_root = os.geteuid() == 0  # it refuses to run as root, and may look into no folder of root's
    if is_root:
        for path in (own, folder):
            shutil.chown(path, "nobody")
    configuration.write_text(
        f"all.export /data\noss.localroot {own}\nall.adminpath {own}\nall.pidpath {own}\nxrd.network nodnr\n"
    )
    user = ["-R", "nobody"] if is_root else []
    server = Server(lambda port: [program, "-c", configuration, "-p", str(port), "-l", own / "log", *user])
    try:
        server.start()
        yield server, folder
    finally:
        server.kill()
        shutil.rmtree(own, ignore_errors=True)
