"""Values of taking files away: why one may go, what it was when that was said, and where it lies in the trash."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from nualley.core import NualleyError
from nualley.storage import TRASH_NAME, FileLook


class Ground(StrEnum):
    """Why a file may go, the safest first."""

    COPIES = "copies"
    PURGE = "purge"
    DERIVABLE = "derivable"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A verified replica on another device.

    Parameters
    ----------
    drive, path : str
        Where; the path escaped.
    verified_ns : int or None
        When it was last read back [ns since 1970 UTC].
    """

    drive: str
    path: str
    verified_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A file that may go, as it was when that was said.

    Parameters
    ----------
    ground : Ground
        Why.
    drive : str
        The drive; of a drop directory, its path, escaped.
    path : str
        Where it lies, escaped.
    size_B, mtime_ns, ctime_ns, inode : int
        What it was: size [B], last changes [ns since 1970 UTC], number on its device.
    replica_id, file_id : int or None
        Numbers in the catalog; None of a file that it does not know.
    run_id : str or None
        Its run.
    xxh3_128 : str
        Digest that it should have; empty of a file that the catalog does not know.
    elsewhere : tuple of Elsewhere
        Where else its bytes are; empty: this is their only home.
    owner : str or None
        Whose it is.
    derived_by : str or None
        What made it, and can make it again.
    cost_s : float or None
        How long that took [s].
    """

    ground: Ground
    drive: str
    path: str
    size_B: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    replica_id: int | None = None
    file_id: int | None = None
    run_id: str | None = None
    xxh3_128: str = ""
    elsewhere: tuple[Elsewhere, ...] = ()
    owner: str | None = None
    derived_by: str | None = None
    cost_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        values = asdict(self) | {"ground": str(self.ground), "elsewhere": [asdict(each) for each in self.elsewhere]}
        return values | {"has_second_home": bool(self.elsewhere)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Removal":
        """Return one from its JSON object; TypeError, KeyError or ValueError where it is none."""
        known = {key: value for key, value in values.items() if key != "has_second_home"}
        elsewhere = tuple(Elsewhere(**each) for each in known.pop("elsewhere"))
        return cls(**(known | {"ground": Ground(known["ground"]), "elsewhere": elsewhere}))

    def is_still(self, look: FileLook | None, *, is_moved: bool = False) -> bool:
        """Return whether a look finds the very same file, unchanged.

        Parameters
        ----------
        look : FileLook or None
            What is there.
        is_moved : bool
            It was renamed since, which changes its inode's time.
        """
        if look is None or not look.is_regular:
            return False
        same = (look.inode, look.size_B, look.mtime_ns) == (self.inode, self.size_B, self.mtime_ns)
        return same and (is_moved or look.ctime_ns == self.ctime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalPlan:
    """What was proposed at one moment; a list, which nobody believes.

    Parameters
    ----------
    plan_id : str
        Names it: 16 hex digits.
    experiment : str
        Name of the experiment.
    created_ns : int
        When it was made [ns since 1970 UTC].
    removals : tuple of Removal
        The files, the safest first.
    """

    plan_id: str
    experiment: str
    created_ns: int
    removals: tuple[Removal, ...] = ()

    @property
    def size_B(self) -> int:
        """Bytes of all [B]."""
        return sum(each.size_B for each in self.removals)

    @property
    def single_B(self) -> int:
        """Bytes that have no second home [B]."""
        return sum(each.size_B for each in self.removals if not each.elsewhere)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What could go, and what is held back.

    Parameters
    ----------
    plan : RemovalPlan
        What is proposed.
    available_B_by_ground : mapping of Ground to int
        Bytes that could go, whether they are needed or not [B].
    held_B_by_reason : mapping of str to int
        Bytes of replicas that may not go, by why [B].
    problems : tuple of NualleyError
        What could not be looked at.
    """

    plan: RemovalPlan
    available_B_by_ground: Mapping[Ground, int] = field(default_factory=dict)
    held_B_by_reason: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[NualleyError, ...] = ()


class TrashStage(StrEnum):
    """How far a file is between its place and its end."""

    MOVING = "moving"
    IN_TRASH = "in trash"
    RESTORING = "restoring"
    RESTORED = "restored"
    DELETING = "deleting"
    DELETED = "deleted"
    KEPT = "kept"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrashItem:
    """A file that was taken away, or was to be.

    Parameters
    ----------
    item_id : int
        Number in the journal.
    removal : Removal
        What it was.
    trash : str
        Where it lies in the trash, escaped.
    moved_ns : int
        When it went there [ns since 1970 UTC].
    plan_id : str
        By which plan; ``purge`` where a drop directory's opt-in did it.
    state : str
        State of the replica before; empty of a file that the catalog does not know.
    stage : TrashStage
        How far it is.
    """

    item_id: int
    removal: Removal
    trash: str
    moved_ns: int
    plan_id: str
    state: str = ""
    stage: TrashStage = TrashStage.MOVING

    def below(self, root: str) -> "TrashItem":
        """Return it where its drive is now: the trash is in the drive's root, and moves with it.

        Parameters
        ----------
        root : str
            Path of the drive, escaped.
        """
        old, trash, name = self.trash.rpartition(f"/{TRASH_NAME}/")
        folder = root.rstrip("/")
        if not trash or old == folder:
            return self
        path = self.removal.path
        if path.startswith(f"{old}/"):
            path = folder + path[len(old) :]
        return replace(self, trash=folder + trash + name, removal=replace(self.removal, path=path))

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "item": self.item_id,
            "ground": str(self.removal.ground),
            "drive": self.removal.drive,
            "path": self.removal.path,
            "size_B": self.removal.size_B,
            "run_id": self.removal.run_id,
            "owner": self.removal.owner,
            "trash": self.trash,
            "moved_ns": self.moved_ns,
            "plan": self.plan_id,
            "stage": str(self.stage),
        }


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a file that was to go, to come back or to be deleted.

    Parameters
    ----------
    removal : Removal
        The file.
    error : NualleyError or None
        Why nothing was done; None where it was.
    """

    removal: Removal
    error: NualleyError | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        said = {"path": self.removal.path, "drive": self.removal.drive, "size_B": self.removal.size_B}
        return {**said, "is_done": self.error is None, "error": self.error.to_json() if self.error else None}
