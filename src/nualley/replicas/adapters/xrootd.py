"""`replicas.ports.RemoteFiles` by the XRootD client: sites of the grid."""

import contextlib
import importlib
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from nualley.core import SECOND_NS, Digests, escape_name
from nualley.replicas.adapters.remote_bytes import fetch_digests
from nualley.replicas.adapters.remote_names import listing, vanished
from nualley.replicas.errors import RemoteError, RemoteFull, RemoteNotSetUp, RemoteRefused, RemoteUnreachable
from nualley.replicas.models import Listing, Refused, Seen

_CHUNK_B = 4 * 2**20
_MIB = 2**20
_MODE = 0o755
# kXR errors (XProtocol.hh) and the client's own codes (XrdClStatus.hh)
_NOT_FOUND, _NO_SPACE, _EXISTS = 3011, 3009, 3018
_REFUSED = (3010, 3030, 3031, 3016)
_AUTHENTICATION_FAILED = 204
_SERVER_SAID = 400
_LIMITS = {  # an address without a server is told within seconds, not after the client's ten minutes
    "ConnectionWindow": 5,
    "ConnectionRetry": 2,
    "StreamErrorWindow": 0,
    "RequestTimeout": 60,
    "StreamTimeout": 30,
}
_ready = threading.Lock()


def _client() -> Any:
    try:
        client: Any = importlib.import_module("XRootD.client")  # an extra, with few types
    except ImportError as error:
        raise RemoteNotSetUp(
            "XRootD's client is not installed", where="storage.remotes", do="pip install 'nualley[xrootd]'"
        ) from error
    with _ready:
        for name, value in _LIMITS.items():
            client.EnvPutInt(name, value)
    return client


class XrootdRemote:
    """A directory of an XRootD server.

    Parameters
    ----------
    name : str
        Name of the remote in ``drives.toml``.
    url : str
        ``root://HOST:1094//path``.
    """

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("//")
        self._server = f"{scheme}://{host}"
        self._root = f"/{path}".rstrip("/")
        self._client = _client()
        self._files = self._client.FileSystem(self._server)

    def _path(self, path: str) -> str:
        if "?" in path:  # there begins what the server is told beside the path
            what = f"remote {self.name} cannot hold a name with a '?': {path}"
            raise RemoteError(what, where=f"{self.name}:/{path}", do="give the file another name, or pack it")
        return f"{self._root}/{path}" if path else self._root or "/"

    def _url(self, path: str) -> str:
        return f"{self._server}/{self._path(path)}"

    def check(self, status: Any, path: str) -> None:
        """Raise what a status of the client means; FileNotFoundError where nothing is there.

        Parameters
        ----------
        status : XRootDStatus
            As the client gave it.
        path : str
            Of what.
        """
        if status.ok:
            return
        where = f"{self.name}:/{path}"
        said = " ".join(str(status.message).split())
        if status.errno == _NOT_FOUND:
            raise FileNotFoundError(said)
        if status.errno == _EXISTS:
            raise FileExistsError(said)
        if status.errno == _NO_SPACE or "space" in said.lower():
            do = "free room there, then: nualley transfer resume"
            raise RemoteFull(f"remote {self.name} has no room: {said}", where=where, do=do)
        if status.errno in _REFUSED or status.code == _AUTHENTICATION_FAILED:
            do = "look at the login (X509_USER_PROXY, BEARER_TOKEN_FILE) and the rights there"
            raise RemoteRefused(f"remote {self.name} refuses: {said}", where=where, do=do)
        if status.code != _SERVER_SAID:
            do = "look whether it runs and this machine has a way there, then: nualley transfer resume"
            raise RemoteUnreachable(f"remote {self.name} is not reachable: {said}", where=where, do=do)
        raise RemoteError(f"remote {self.name}: {said}", where=where, do="look at the remote")

    def _stat(self, path: str) -> Any | None:
        status, found = self._files.stat(self._path(path))
        try:
            self.check(status, path)
        except FileNotFoundError:
            return None
        return found

    def _is_folder(self, found: Any) -> bool:
        return bool(found.flags & self._client.flags.StatInfoFlags.IS_DIR)

    # ------------------------------------------------------------ looking
    def home(self) -> str | None:
        """Return what holds its bytes: the server."""
        return self._server

    def look(self, path: str) -> Listing | None:
        """Return what is at a path now: all below a directory, or one file; None where nothing is there."""
        found = self._stat(path)
        if found is None:
            return None
        if not self._is_folder(found):
            root, _, name = path.rpartition("/")
            return listing(root, [Seen(name, found.size, found.modtime * SECOND_NS, 0)])
        files: list[Seen | Refused] = []
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            for entry in self._entries("/".join(filter(None, (path, folder)))):
                below = "/".join(filter(None, (folder, entry.name)))
                if self._is_folder(entry.statinfo):
                    waiting.append(below)
                else:
                    files.append(Seen(below, entry.statinfo.size, entry.statinfo.modtime * SECOND_NS, 0))
        return listing(path, files)

    def _entries(self, folder: str) -> list[Any]:
        status, found = self._files.dirlist(self._path(folder), self._client.flags.DirListFlags.STAT)
        try:
            self.check(status, folder)
        except FileNotFoundError:
            return []
        return list(found)

    def sizes(self, paths: Collection[str]) -> Mapping[str, int]:
        """Return how large those of some files are that are there [B]."""
        found = {path: self._stat(path) for path in paths}
        return {path: info.size for path, info in found.items() if info is not None and not self._is_folder(info)}

    # ------------------------------------------------------------ bytes
    def open(self, path: str) -> "XrootdReader":
        """Open a file for reading."""
        found = self._stat(path)
        if found is None:
            raise vanished(self.name, path)
        file = self._client.File()
        status, _ = file.open(self._url(path), self._client.flags.OpenFlags.READ)
        try:
            self.check(status, path)
        except FileNotFoundError:
            raise vanished(self.name, path) from None
        return XrootdReader(self, path, file, found)

    def upload(self, source: Path, path: str, *, rate_B_per_s: int | None, progress: Callable[[int], object]) -> None:
        """Send a file of this machine, in the place of what is there, and return once it was taken."""
        flags, modes = self._client.flags.OpenFlags, self._client.flags.AccessMode
        target = self._client.File()
        mode = modes.UR | modes.UW | modes.GR | modes.OR
        with source.open("rb", buffering=0) as file:
            status, _ = target.open(self._url(path), flags.DELETE | flags.MAKEPATH, mode)
            self._check_upload(status, path)
            try:
                self._send(file, target, path, rate_B_per_s, progress)
                status, _ = target.sync()
                self._check_upload(status, path)
            except BaseException:
                target.close()
                raise
            status, _ = target.close()
            self._check_upload(status, path)

    def _send(
        self, file: Any, target: Any, path: str, rate_B_per_s: int | None, progress: Callable[[int], object]
    ) -> None:
        done_B, begun_s = 0, time.monotonic()
        while chunk := file.read(_CHUNK_B):
            status, _ = target.write(chunk, done_B)
            self._check_upload(status, path)
            done_B += len(chunk)
            progress(done_B)
            if rate_B_per_s:
                time.sleep(max(0.0, done_B / rate_B_per_s - (time.monotonic() - begun_s)))

    def _check_upload(self, status: Any, path: str) -> None:
        try:
            self.check(status, path)
        except (FileNotFoundError, FileExistsError) as error:
            raise RemoteError(f"remote {self.name}: {error}", where=f"{self.name}:/{path}") from None

    def digests(self, path: str, progress: Callable[[int], object]) -> Digests:
        """Return the digests of what the remote gives back."""
        return fetch_digests(self.open(path), progress, _CHUNK_B)

    # ------------------------------------------------------------ names
    def move(self, path: str, destination: str) -> bool:
        """Give a file its final name; FileExistsError where that is taken."""
        if self._stat(destination) is not None:  # a server renames over what is there
            raise FileExistsError(destination)
        folder = destination.rpartition("/")[0]
        status, _ = self._files.mkdir(self._path(folder), self._client.flags.MkDirFlags.MAKEPATH, _MODE)
        with contextlib.suppress(FileExistsError):
            self.check(status, folder)
        status, _ = self._files.mv(self._path(path), self._path(destination))
        try:
            self.check(status, path)
        except FileNotFoundError as error:
            raise RemoteError(f"remote {self.name}: {error}", where=f"{self.name}:/{escape_name(path)}") from None
        return True

    def remove(self, path: str) -> None:
        """Remove a file; no error where there is none."""
        status, _ = self._files.rm(self._path(path))
        try:
            self.check(status, path)
        except FileNotFoundError:
            return

    def available_B(self) -> int | None:
        """Return how much more can be written [B]; None where the remote does not say."""
        status, found = self._files.statvfs(self._root or "/")
        return int(found.free_rw) * _MIB if status.ok and found.nodes_rw else None


class XrootdReader:
    """A file of a server, read from its start.

    Parameters
    ----------
    remote : XrootdRemote
        Where it is.
    path : str
        Which it is.
    file : XRootD.client.File
        Open.
    found : StatInfo
        Its size and time.
    """

    def __init__(self, remote: XrootdRemote, path: str, file: Any, found: Any) -> None:
        self._remote = remote
        self._path = path
        self._file = file
        self.size_B = int(found.size)
        self.mtime_ns = int(found.modtime) * SECOND_NS
        self._done_B = 0

    def close(self) -> None:
        """Let go of it."""
        self._file.close()

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer with the next bytes; return their number, 0 at the end."""
        status, chunk = self._file.read(self._done_B, len(buffer))
        try:
            self._remote.check(status, self._path)
        except FileNotFoundError:
            raise vanished(self._remote.name, self._path) from None
        buffer[: len(chunk)] = chunk
        self._done_B += len(chunk)
        if not chunk and self._done_B < self.size_B:
            raise RemoteUnreachable(
                f"remote {self._remote.name} ends {self._path} after {self._done_B} of {self.size_B} B",
                where=f"storage.remotes.{self._remote.name}",
                do="nualley transfer resume",
            )
        return len(chunk)
