"""The trash: a file goes there, comes back or is deleted in steps that a kill or a power cut leaves whole."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from nualley.catalog import Activity, Catalog, Origin, ReplicaState
from nualley.core import Clock, NualleyError, escape_name, reason, unescape_name
from nualley.replicas.errors import JournalUnwritable, RemovalFailed, RemovalRefused
from nualley.replicas.journal import UNFINISHED, begin_entry, replay, stage_entry
from nualley.replicas.ports import Journal
from nualley.replicas.removals import Ground, Removal, TrashItem, TrashStage
from nualley.storage import TRASH_NAME, RemovalFiles

_NAME_MAX_B = 255


@dataclass(frozen=True, slots=True)
class Bin:
    """Where files go, and what is written about it.

    Parameters
    ----------
    files : RemovalFiles
        The file systems.
    journal : Journal
        What was taken away.
    """

    files: RemovalFiles
    journal: Journal


class Trash:
    """Takes files away so that they can be put back, and deletes them later.

    Parameters
    ----------
    catalog : Catalog
        The record.
    bin_ : Bin
        File systems and journal.
    clock : Clock
        Dates each step.
    origin : Origin
        Who does it.
    is_there : callable
        Takes the name of a drive; whether it is there now, and is the one that was registered.
    roots : mapping of str to str
        Where the drives are, escaped, by name.

    Notes
    -----
    The order is: entry in the journal -> the catalog's commit that the replica is one no longer -> rename into the
    trash of the same file system, both folders synced -> entry. Back: entry -> link, unlink, folders synced -> the
    catalog's commit -> entry. Whoever begins next finishes, or takes back, what a dead process left in between.
    Every method but `alone` and `items` is called where `alone` is held.
    """

    def __init__(
        self,
        catalog: Catalog,
        bin_: Bin,
        *,
        clock: Clock,
        origin: Origin,
        is_there: Callable[[str], bool],
        roots: Mapping[str, str],
    ) -> None:
        self._catalog = catalog
        self._files = bin_.files
        self._journal = bin_.journal
        self._clock = clock
        self._origin = origin
        self._is_there = is_there
        self._roots = roots
        self._items: dict[int, TrashItem] = {}

    def alone(self) -> AbstractContextManager[None]:
        """Be the only one who takes away and puts back; RemovalRunning where another process is."""
        return self._journal.alone()

    def items(self) -> list[TrashItem]:
        """Return all that ever was to go, the oldest first; JournalDamaged where nobody can say."""
        self._items = replay(self._journal.entries(), self._roots)
        return list(self._items.values())

    # ------------------------------------------------------------ taking away
    def put(self, removal: Removal, root: Path, *, kept: tuple[int, ...], plan_id: str) -> TrashItem:
        """Move a file to the trash.

        Parameters
        ----------
        removal : Removal
            The file, which every rule allows to go.
        root : Path
            The folder whose trash it goes to, on the same file system.
        kept : tuple of int
            Replicas of the same file that it rests on.
        plan_id : str
            By which plan.

        Raises
        ------
        RemovalRefused
            Where it is not the very file that was meant.
        RemovalFailed, ReplicaNeeded, CatalogUnreachable
            Where it cannot be done; it is in its place, or the next who begins takes it there.
        """
        path = Path(unescape_name(removal.path))
        self._check_still(removal, path)
        with _machine(path, "moved to the trash"):
            self._files.make_folder(root / TRASH_NAME)
        item_id = len(self._items) + 1
        trash = root / TRASH_NAME / _name_in_trash(item_id, path.name)
        item = TrashItem(
            item_id=item_id,
            removal=removal,
            trash=_shown(trash),
            moved_ns=self._clock.now_ns(),
            plan_id=plan_id,
            state=str(ReplicaState.VERIFIED) if removal.replica_id is not None else "",
        )
        self._write(item, begin_entry(item))
        try:
            kind = "purge" if removal.ground is Ground.PURGE else "reclaim"
            activity = self._activity(item, kind, (removal.path,), (item.trash,))
            if removal.replica_id is None:
                self._catalog.add_activity(activity)
            else:
                self._catalog.removals.remove(removal.replica_id, kept=kept, activity=activity)
            with _machine(path, "moved to the trash"):
                self._files.take(path, trash)
            self._check_moved(removal, trash)
        except BaseException:
            self._settle(item)
            raise
        return self._reach(item, TrashStage.IN_TRASH)

    def _check_moved(self, removal: Removal, trash: Path) -> None:
        """Refuse what took the name in the last moment: it was renamed in the place of the file that was meant."""
        if not removal.is_still(self._files.look(trash), is_moved=True):
            raise _changed(removal)

    def _check_still(self, removal: Removal, path: Path) -> None:
        with _machine(path, "looked at"):
            look = self._files.look(path)
        if not removal.is_still(look):
            raise _changed(removal)
        if look is not None and look.n_names > 1:
            raise RemovalRefused(
                f"{removal.path} has {look.n_names} names: nothing becomes free where one of them goes",
                where=removal.path,
                do="look for the other ones: find DRIVE -samefile FILE",
            )

    # ------------------------------------------------------------ back, and away for good
    def restore(self, item: TrashItem) -> None:
        """Put a file back in its place.

        Raises
        ------
        RemovalRefused
            Where it is not the file that went there.
        RemovalFailed
            Where something lies in its place by now, or the machine refuses.
        """
        item = self._now(item)
        trash, path = (Path(unescape_name(each)) for each in (item.trash, item.removal.path))
        self._check_in_trash(item, trash)
        self._reach(item, TrashStage.RESTORING)
        try:
            with _machine(path, "put back"):
                for folder in reversed(path.parents):
                    if self._files.look(folder) is None:  # what was empty without it may have been taken away
                        self._files.make_folder(folder)
                self._files.give_back(trash, path)
        except BaseException:
            self._settle(self._now(item))
            raise
        self._finish_restore(self._now(item))

    def _finish_restore(self, item: TrashItem) -> None:
        self._put_back(item)
        self._reach(item, TrashStage.RESTORED)

    def delete(self, item: TrashItem) -> None:
        """Delete a file for good.

        Raises
        ------
        RemovalRefused
            Where it is not the file that went there.
        RemovalFailed
            Where the machine refuses.
        """
        item = self._now(item)
        trash = Path(unescape_name(item.trash))
        self._check_in_trash(item, trash)
        self._reach(item, TrashStage.DELETING)
        try:
            with _machine(trash, "deleted"):
                self._files.delete(trash)
        except BaseException:
            self._settle(self._now(item))
            raise
        self._reach(self._now(item), TrashStage.DELETED)

    def _now(self, item: TrashItem) -> TrashItem:
        return self._items.get(item.item_id, item)

    def _check_in_trash(self, item: TrashItem, trash: Path) -> None:
        if item.stage is not TrashStage.IN_TRASH:
            raise RemovalRefused(
                f"{item.removal.path} is {item.stage}, not in the trash", where=item.trash, do="nualley drives trash"
            )
        with _machine(trash, "looked at"):
            look = self._files.look(trash)
        if not item.removal.is_still(look, is_moved=True):
            if not self._is_there(item.removal.drive):
                raise RemovalRefused(
                    f"{item.trash} cannot be looked at: {item.removal.drive} is not there",
                    where=item.trash,
                    do="mount it, or correct its path in drives.toml; nothing was touched",
                )
            raise RemovalRefused(
                f"{item.trash} is not the file that went to the trash: it was changed, or is gone",
                where=item.trash,
                do="look who did it; nothing was touched",
            )

    # ------------------------------------------------------------ after a kill
    def recover(self) -> list[NualleyError]:
        """Finish, or take back, what a dead process left in the middle; return what cannot be settled now."""
        problems: list[NualleyError] = []
        for item in self.items():
            if item.stage in UNFINISHED:
                problems += self._settle(item)
        return problems

    def _settle(self, item: TrashItem) -> list[NualleyError]:
        """Bring an item from the middle to where its file is; what fails is told, and tried again by the next."""
        try:
            if not self._is_there(item.removal.drive):
                return [_unsettled(item, "its drive is not there")]
            self._settle_found(item)
        except NualleyError as error:
            return [_unsettled(item, error.what)]
        except OSError as error:
            return [_unsettled(item, reason(error))]
        return []

    def _settle_found(self, item: TrashItem) -> None:
        path, trash = (Path(unescape_name(each)) for each in (item.removal.path, item.trash))
        if self._files.look(trash.parent) is None:
            raise RemovalRefused("its trash folder is not there", where=item.trash, do="mount its drive")
        look = self._files.look(trash)
        in_trash = item.removal.is_still(look, is_moved=True)
        in_place = item.removal.is_still(self._files.look(path), is_moved=True)
        if in_place and in_trash:  # between link and unlink of a file that came back
            self._files.give_back(trash, path)
            in_trash = False
        if in_trash:
            self._reach(item, TrashStage.IN_TRASH)
        elif in_place:
            self._finish_in_place(item, item.state)
        elif look is not None and item.stage is TrashStage.MOVING:
            # another file took the name in the last moment, and was renamed in its place: it gets it back
            self._files.give_back(trash, path)
            self._finish_in_place(item, str(ReplicaState.UNVERIFIED))
        elif look is None:
            self._finish_gone(item)
        else:
            raise RemovalRefused(f"{item.trash} is another file", where=item.trash, do="look who put it there")

    def _finish_in_place(self, item: TrashItem, state: str) -> None:
        if item.stage is TrashStage.RESTORING:
            self._finish_restore(item)
            return
        self._put_back(replace(item, state=state))
        self._reach(item, TrashStage.KEPT)

    def _finish_gone(self, item: TrashItem) -> None:
        if item.stage is TrashStage.DELETING:
            self._reach(item, TrashStage.DELETED)
            return
        if item.removal.replica_id is not None:
            self._catalog.update_replica(item.removal.replica_id, state=ReplicaState.MISSING)
        self._reach(item, TrashStage.LOST)
        raise RemovalRefused(
            "it is neither in its place nor in the trash, and none of ours took it", where=item.trash, do="look who did"
        )

    def _put_back(self, item: TrashItem) -> None:
        activity = self._activity(item, "restore", (item.trash,), (item.removal.path,))
        if item.removal.replica_id is None:
            self._catalog.add_activity(activity)
        else:
            state = ReplicaState(item.state)
            self._catalog.removals.put_back(item.removal.replica_id, state=state, activity=activity)

    # ------------------------------------------------------------ what is written
    def _reach(self, item: TrashItem, stage: TrashStage) -> TrashItem:
        self._write(item, stage_entry(item, stage, self._clock.now_ns()))
        reached = replace(item, stage=stage)
        self._items[item.item_id] = reached
        return reached

    def _write(self, item: TrashItem, entry: dict[str, object]) -> None:
        try:
            self._journal.append(entry)
        except OSError as error:
            raise JournalUnwritable(
                f"the journal of removals cannot be written: {reason(error)}; {item.removal.path} is left as it is",
                where="trash/journal.jsonl",
                do="make room in the store, then give the command again: it begins with what was left",
            ) from error
        self._items.setdefault(item.item_id, item)

    def _activity(self, item: TrashItem, kind: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Activity:
        now_ns = self._clock.now_ns()
        return self._origin.activity(
            kind=kind,
            inputs=(*inputs, f"plan:{item.plan_id}"),
            outputs=outputs,
            start_ns=now_ns,
            stop_ns=now_ns,
        )


class _machine:  # noqa: N801 - a context manager, read as a word
    """Turn what the system says into RemovalFailed."""

    def __init__(self, path: Path, done: str) -> None:
        self._path = path
        self._done = done

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, NualleyError):
            raise RemovalFailed(
                f"{_shown(self._path)} cannot be {self._done}: {reason(error)}",
                where=_shown(self._path),
                do="look at the drive, its room and this user's rights, then give the command again",
            ) from error


def _name_in_trash(item_id: int, name: str) -> str:
    """Return a name that no other file in the trash has: flat, so that a full drive need not hold new folders."""
    number = f"{item_id:08d}-".encode()
    return os.fsdecode(number + os.fsencode(name)[: _NAME_MAX_B - len(number)])


def _changed(removal: Removal) -> RemovalRefused:
    return RemovalRefused(
        f"{removal.path} is not the file that was meant: it was written to, replaced or moved since",
        where=removal.path,
        do="make a new plan: nualley drives reclaim",
    )


def _unsettled(item: TrashItem, why: str) -> RemovalFailed:
    return RemovalFailed(
        f"{item.removal.path} was {item.stage} when a process died, and cannot be settled: {why}",
        where=item.trash,
        do="mount its drive, or make room in the store; then: nualley drives trash --recover",
    )


def _shown(path: Path) -> str:
    return escape_name(os.fspath(path))
