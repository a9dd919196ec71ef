"""The remotes of an experiment, each reached as drives.toml says, and what runs for them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from threading import Lock

from nualley.app.site import Site
from nualley.catalog import ReplicaState
from nualley.replicas import RemoteError, RemoteFiles, unknown_remote
from nualley.replicas.adapters.rclone import RcloneRemote
from nualley.replicas.adapters.rclone_daemon import RcloneDaemon
from nualley.replicas.adapters.rclone_program import check_rclone, find_rclone
from nualley.replicas.adapters.xrootd import XrootdRemote
from nualley.storage import Remote, RemoteKind

_NO_FILE = ".nualley-is-it-there"


class ExperimentRemotes:
    """`replicas.ports.Remotes` of an experiment.

    Parameters
    ----------
    site : Site
        The experiment.
    """

    def __init__(self, site: Site) -> None:
        configuration = site.configuration
        self._remotes = {remote.name: remote for remote in configuration.storage.to_remotes()}
        self._opened: dict[str, RemoteFiles] = {}
        self._daemons: dict[Path | None, RcloneDaemon] = {}
        self._lock = Lock()
        said, known = configuration.replicas.rclone, configuration.store / "run" / "rclone.json"

        @cache
        def program() -> Path:
            found = find_rclone(said.expanduser() if said else None)
            check_rclone(found, known)
            return found

        self._program = program

    def names(self) -> Sequence[str]:
        """Return their names."""
        return tuple(self._remotes)

    def open(self, name: str) -> RemoteFiles:
        """Return one; UnknownRemote where none is called so. Nothing is asked of it yet."""
        if name not in self._remotes:
            raise unknown_remote(name, self.names())
        with self._lock:
            if name not in self._opened:
                self._opened[name] = self._reach(name)
            return self._opened[name]

    def _reach(self, name: str) -> RemoteFiles:
        remote = self._remotes[name]
        if remote.kind is RemoteKind.XROOTD:
            return XrootdRemote(name, remote.address)
        daemon = self._daemons.setdefault(remote.rclone_config, RcloneDaemon(self._program, remote.rclone_config))
        return RcloneRemote(name, remote.address, daemon)

    def close(self) -> None:
        """End what was started for them."""
        with self._lock:
            for daemon in self._daemons.values():
                daemon.close()


@dataclass(frozen=True, slots=True)
class RemoteState:
    """A remote, what the catalog knows on it, and whether it answers.

    Parameters
    ----------
    remote : Remote
        As drives.toml names it.
    n_files : int
        Replicas that are not missing.
    size_B : int
        Their bytes [B].
    n_verified : int
        Those of them that were read back and found right.
    available_B : int or None
        How much more can be written [B]; None where it does not say or was not asked.
    error : str
        Why it does not answer; empty where it does, or was not asked.
    """

    remote: Remote
    n_files: int
    size_B: int
    n_verified: int
    available_B: int | None = None
    error: str = ""

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return {
            "remote": self.remote.name,
            "kind": str(self.remote.kind),
            "address": self.remote.address,
            "n_files": self.n_files,
            "size_B": self.size_B,
            "n_verified": self.n_verified,
            "available_B": self.available_B,
            "error": self.error or None,
        }


def remote_states(site: Site, *, asks: bool = True) -> list[RemoteState]:
    """Return the remotes of an experiment and how they are.

    Parameters
    ----------
    site : Site
        The experiment.
    asks : bool
        Ask each whether it answers; else only the catalog.
    """
    with open_remotes(site) as remotes:
        return [_state(site, remotes, remote, asks=asks) for remote in site.configuration.storage.to_remotes()]


def _state(site: Site, remotes: ExperimentRemotes, remote: Remote, *, asks: bool) -> RemoteState:
    placed = [each for each in site.catalog().placed_files(remote.name) if each.state.is_there]
    n_verified = sum(each.state is ReplicaState.VERIFIED for each in placed)
    known = RemoteState(remote, len(placed), sum(each.size_B for each in placed), n_verified)
    if not asks:
        return known
    try:
        files = remotes.open(remote.name)
        files.sizes([_NO_FILE])  # what answers nothing else may still say how full it is
        return replace(known, available_B=files.available_B())
    except RemoteError as error:
        return replace(known, error=error.what)


@contextmanager
def open_remotes(site: Site) -> Iterator[ExperimentRemotes]:
    """Have the remotes of an experiment; what is started for them ends with the block.

    Parameters
    ----------
    site : Site
        The experiment.
    """
    remotes = ExperimentRemotes(site)
    try:
        yield remotes
    finally:
        remotes.close()
