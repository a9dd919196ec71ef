"""What copying, reading back and taking away need of the machine."""

from nualley.app.site import Site
from nualley.replicas import Machine, NoRemotes, Remotes, SystemTimer
from nualley.replicas.adapters.trees import PosixTrees
from nualley.replicas.adapters.turns import LockedTurns
from nualley.storage.adapters.posix import PosixFiles

_NONE = NoRemotes()


def machine_of(site: Site, remotes: Remotes = _NONE) -> Machine:
    """Return its file systems, turns at its devices over all processes of the store, and what is reached from it."""
    turns = LockedTurns(site.configuration.store / "run", site.configuration.replicas.streams)
    return Machine(PosixFiles(), PosixTrees(), turns, SystemTimer(), remotes)
