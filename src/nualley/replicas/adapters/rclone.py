"""`replicas.ports.RemoteFiles` by rclone: sftp, S3, WebDAV and what else it can reach."""

import contextlib
import http.client
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nualley.core import SECOND_NS, Digests, format_size
from nualley.replicas.adapters.rclone_daemon import RcloneDaemon
from nualley.replicas.adapters.rclone_refusals import error_of
from nualley.replicas.adapters.remote_bytes import fetch_digests
from nualley.replicas.adapters.remote_names import listing, vanished
from nualley.replicas.errors import RemoteError, RemoteFull, RemoteUnreachable
from nualley.replicas.models import Listing, Refused, Seen

_HASH = "xxh128"
_FEW = 4
_PLAIN = {"noMimeType": True, "showHash": False}
# ours is the name that nobody looks at; verified it gets its own
_SENDING = {"Inplace": True, "IgnoreChecksum": True, "IgnoreTimes": True}


class RcloneRemote:
    """A place that rclone knows.

    Parameters
    ----------
    name : str
        Name of the remote in ``drives.toml``.
    address : str
        ``NAME:path`` as rclone knows it.
    daemon : RcloneDaemon
        Takes the calls.
    """

    def __init__(self, name: str, address: str, daemon: RcloneDaemon) -> None:
        self.name = name
        self._fs = address
        self._daemon = daemon
        self._about: dict[str, Any] | None = None

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._daemon.call(method, parameters, remote=self.name)

    def _stat(self, path: str) -> dict[str, Any] | None:
        try:
            return self._call("operations/stat", fs=self._fs, remote=path, opt=_PLAIN)["item"]  # type: ignore[no-any-return]  # JSON
        except FileNotFoundError:
            return None

    @property
    def _features(self) -> dict[str, Any]:
        if self._about is None:
            self._about = self._call("operations/fsinfo", fs=self._fs)
        return self._about

    # ------------------------------------------------------------ looking
    def home(self) -> str | None:
        """Return what holds its bytes: what rclone has under one name is one; None where that is this machine."""
        return None if self._features["Features"].get("IsLocal") else f"rclone {self._fs.partition(':')[0]}"

    def look(self, path: str) -> Listing | None:
        """Return what is at a path now: all below a directory, or one file; None where nothing is there."""
        if path:
            item = self._stat(path)
            if item is None:
                return None
            if not item["IsDir"]:
                root, _, name = path.rpartition("/")
                return listing(root, [_seen(item, name)])
        try:
            found = self._call("operations/list", fs=self._fs, remote=path, opt={**_PLAIN, "recurse": True})["list"]
        except FileNotFoundError:
            return None
        begin = len(path) + 1 if path else 0
        return listing(path, [_seen(item, item["Path"][begin:]) for item in found if not item["IsDir"]])

    def sizes(self, paths: Collection[str]) -> Mapping[str, int]:
        """Return how large those of some files are that are there [B]."""
        if len(paths) <= _FEW:
            items = {path: self._stat(path) for path in paths}
            return {path: int(item["Size"]) for path, item in items.items() if item and not item["IsDir"]}
        folders = {path.rpartition("/")[0] for path in paths}
        there = {item["Path"]: int(item["Size"]) for folder in folders for item in self._list(folder)}
        return {path: there[path] for path in paths if path in there}

    def _list(self, folder: str) -> Iterable[dict[str, Any]]:
        try:
            return self._call("operations/list", fs=self._fs, remote=folder, opt={**_PLAIN, "filesOnly": True})["list"]  # type: ignore[no-any-return]  # JSON
        except FileNotFoundError:
            return []

    # ------------------------------------------------------------ bytes
    def open(self, path: str) -> "RcloneReader":
        """Open a file for reading."""
        address = quote(f"/[{self._fs}]/{path}")
        connection, response = self._daemon.get(address, remote=self.name)
        if response.status != http.client.OK:
            said = response.read(2000).decode(errors="replace").strip()
            connection.close()
            if response.status == http.client.NOT_FOUND:
                raise vanished(self.name, path)
            raise _as_remote_error(said, self.name)
        return RcloneReader(self.name, connection, response)

    def upload(self, source: Path, path: str, *, rate_B_per_s: int | None, progress: Callable[[int], object]) -> None:
        """Send a file of this machine, in the place of what is there, and return once it was taken."""
        limit = {"BwLimitFile": f"{math.ceil(rate_B_per_s)}B"} if rate_B_per_s else {}
        with self._daemon.link(source) as (fs, name):
            parameters = {"srcFs": fs, "srcRemote": name, "dstFs": self._fs, "dstRemote": path}
            asked = {**parameters, "_config": {**_SENDING, **limit}}
            try:
                self._daemon.work("operations/copyfile", asked, remote=self.name, progress=progress)
            except FileNotFoundError as error:
                raise _as_remote_error(str(error), self.name) from None
            except RemoteError as error:
                raise self._told_by_room(error, source.stat().st_size) from error

    def _told_by_room(self, error: RemoteError, size_B: int) -> RemoteError:
        """Return an error that says more: many a server that runs full says no more than "failure"."""
        if type(error) is not RemoteError:
            return error
        free_B = self.available_B()
        if free_B is None or free_B >= size_B:
            return error
        do = "free room there, then: nualley transfer resume"
        what = f"{error.what}; it has {format_size(free_B)} free, the file needs {format_size(size_B)}"
        return RemoteFull(what, where=error.where, do=do)

    def digests(self, path: str, progress: Callable[[int], object]) -> Digests:
        """Return the digests of what the remote holds: it reckons them where it can, else the bytes are fetched."""
        if _HASH in self._features["Hashes"]:
            return self._reckoned(path, progress)
        return fetch_digests(self.open(path), progress)

    def _reckoned(self, path: str, progress: Callable[[int], object]) -> Digests:
        item = self._stat(path)
        if item is None:
            raise vanished(self.name, path)
        asked = {"fs": self._fs, "remote": path, "hashType": _HASH}
        try:
            done = self._daemon.work("operations/hashsumfile", asked, remote=self.name, progress=progress)
        except FileNotFoundError:
            raise vanished(self.name, path) from None
        progress(int(item["Size"]))
        return Digests(int(item["Size"]), str(done["hash"]), "")

    # ------------------------------------------------------------ names
    def move(self, path: str, destination: str) -> bool:
        """Give a file its final name; FileExistsError where that is taken."""
        if self._stat(destination) is not None:
            raise FileExistsError(destination)
        places = {"srcFs": self._fs, "srcRemote": path, "dstFs": self._fs, "dstRemote": destination}
        # what came there since is let be, and so is the part then: rclone has no more to say about it
        asked = {**places, "_config": {"IgnoreExisting": True}}
        try:
            self._daemon.work("operations/movefile", asked, remote=self.name, progress=lambda _: None)
        except FileNotFoundError as error:
            raise _as_remote_error(str(error), self.name) from None
        if self._stat(path) is not None:
            raise FileExistsError(destination)
        return bool(self._features["Features"]["Move"])

    def remove(self, path: str) -> None:
        """Remove a file; no error where there is none."""
        with contextlib.suppress(FileNotFoundError):
            self._call("operations/deletefile", fs=self._fs, remote=path)

    def available_B(self) -> int | None:
        """Return how much more can be written [B]; None where the remote does not say."""
        if not self._features["Features"]["About"]:
            return None
        try:
            free_B = self._call("operations/about", fs=self._fs).get("free")
        except RemoteUnreachable:
            raise
        except (FileNotFoundError, RemoteError):  # what a server does not tell, or not of what is not made yet
            return None
        return None if free_B is None else int(free_B)


class RcloneReader:
    """A file of a remote, as rclone hands it on.

    Parameters
    ----------
    remote : str
        Name of the remote.
    connection : HTTPConnection
        To rclone.
    response : HTTPResponse
        Its answer, of which nothing was read.
    """

    def __init__(self, remote: str, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._remote = remote
        self._connection = connection
        self._response = response
        self.size_B = int(response.headers["Content-Length"] or 0)
        self.mtime_ns = int(parsedate_to_datetime(response.headers["Last-Modified"]).timestamp()) * SECOND_NS
        self._left_B = self.size_B

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer with the next bytes; RemoteUnreachable where they do not come."""
        try:
            n_read = self._response.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(str(error) or type(error).__name__) from error
        self._left_B -= n_read
        if n_read == 0 and self._left_B:
            raise self._broken("the answer ends early")
        return n_read

    def _broken(self, what: str) -> RemoteUnreachable:
        return RemoteUnreachable(
            f"remote {self._remote} went away with {self._left_B} B to read: {what}",
            where=f"storage.remotes.{self._remote}",
            do="look whether it runs, then: nualley transfer resume",
        )


def _as_remote_error(text: str, remote: str) -> RemoteError:
    error = error_of(text, remote)
    if isinstance(error, RemoteError):
        return error
    where = f"storage.remotes.{remote}"
    return RemoteError(f"remote {remote}: {text}", where=where, do="look at the remote, then: nualley transfer resume")


def _seen(item: Mapping[str, Any], path: str) -> Seen | Refused:
    if item["Size"] < 0:
        return Refused(path, "a document without a size")
    moment = datetime.fromisoformat(item["ModTime"])
    return Seen(path, int(item["Size"]), round(moment.timestamp()) * SECOND_NS, 0)
