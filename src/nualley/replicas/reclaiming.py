"""A plan that somebody agreed to is executed, each file judged anew; the trash is listed, given back and emptied."""

from collections.abc import Callable, Iterator, Sequence

from nualley.catalog import Catalog, ReplicaNeeded
from nualley.core import SECOND_NS, Clock, NualleyError, format_duration, nearest
from nualley.replicas.errors import (
    NotInTrash,
    RemovalFailed,
    RemovalRefused,
    TransferStopped,
)
from nualley.replicas.judging import Judge
from nualley.replicas.ports import Drives
from nualley.replicas.removals import Done, Ground, RemovalPlan, TrashItem, TrashStage
from nualley.replicas.trash import Trash
from nualley.replicas.watched import check_clock
from nualley.storage import SourceUnreadable, SourceVanished

ONE_FILE = (RemovalRefused, RemovalFailed, ReplicaNeeded, SourceUnreadable, SourceVanished)
"""What is wrong with one file and stops no other; anything else ends the work, and all else stays as it is."""


class Reclaimer:
    """Executes plans, and looks after the trash.

    Parameters
    ----------
    catalog : Catalog
        The record.
    drives : Drives
        The drives as they are now.
    judge : Judge
        Says of each file whether it may go now.
    trash : Trash
        Where they go.
    clock : Clock
        Says how long something lies there.
    trash_ns : int
        How long it has to [ns].
    """

    def __init__(
        self, catalog: Catalog, drives: Drives, *, judge: Judge, trash: Trash, clock: Clock, trash_ns: int
    ) -> None:
        self._catalog = catalog
        self._drives = drives
        self._judge = judge
        self._trash = trash
        self._clock = clock
        self._trash_ns = trash_ns

    def apply(
        self,
        plan: RemovalPlan,
        *,
        trusts_clock: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Done]:
        """Take the files of a plan to the trash, as far as each may go now.

        Parameters
        ----------
        plan : RemovalPlan
            What somebody agreed to; nothing of it is believed.
        trusts_clock : bool
            A person says that the clock is right.
        should_stop : callable
            Asked before each file.

        Yields
        ------
        Done
            In the order of the plan, each once it is durable.

        Raises
        ------
        ClockJumped, RemovalRunning, JournalDamaged, RemovalFailed
            Before anything is touched.
        TransferStopped
            Where somebody asked for a stop.
        CatalogError, CatalogUnreachable, CatalogDamaged
            Where the record cannot be used.
        """
        check_clock(self._clock.now_ns(), self._catalog.removals.newest_ns(), is_trusted=trusts_clock)
        with self._trash.alone():
            self._recover()
            for removal in plan.removals:
                if should_stop():
                    raise TransferStopped("stopped: what went is in the trash", do="give the command again")
                try:
                    kept = self._judge.check(removal)
                    root = next(each.drive.path for each in self._drives.usages() if each.drive.name == removal.drive)
                    self._trash.put(removal, root, kept=kept, plan_id=plan.plan_id)
                except ONE_FILE as error:
                    yield Done(removal, error)
                else:
                    yield Done(removal)

    def _recover(self) -> None:
        problems = self._trash.recover()
        if problems:
            raise problems[0]

    def recover(self) -> list[NualleyError]:
        """Settle what a dead process left in the middle; return what cannot be settled now."""
        with self._trash.alone():
            return self._trash.recover()

    # ------------------------------------------------------------ the trash
    def items(self) -> list[TrashItem]:
        """Return what is in the trash, and what a dead process left, the oldest first."""
        over = (TrashStage.RESTORED, TrashStage.DELETED, TrashStage.KEPT, TrashStage.LOST)
        return [item for item in self._trash.items() if item.stage not in over]

    def restore(self, words: Sequence[str]) -> Iterator[Done]:
        """Put files back in their places.

        Parameters
        ----------
        words : sequence of str
            Numbers of items, paths as they were (escaped), or plans: all of it.

        Yields
        ------
        Done
            In the order of the trash.

        Raises
        ------
        NotInTrash
            Where nothing in the trash is called so; before anything is touched.
        """
        with self._trash.alone():
            self._recover()
            there = [item for item in self._trash.items() if item.stage is TrashStage.IN_TRASH]
            for item in _meant(there, words):
                yield self._do(item, self._trash.restore)

    def expired(self) -> list[TrashItem]:
        """Return what a person put into the trash so long ago that it may be deleted for good, the oldest first."""
        now_ns = self._clock.now_ns()
        return [
            item
            for item in self.items()
            if item.stage is TrashStage.IN_TRASH
            and item.removal.ground is not Ground.PURGE
            and now_ns - item.moved_ns >= self._trash_ns
        ]

    def empty(self, *, trusts_clock: bool = False) -> Iterator[Done]:
        """Delete for good what lay in the trash long enough, as far as it may still go.

        Parameters
        ----------
        trusts_clock : bool
            A person says that the clock is right.

        Yields
        ------
        Done
            The oldest first.

        Raises
        ------
        ClockJumped
            Where no age is known.
        """
        now_ns = self._clock.now_ns()
        newest_ns = [each.moved_ns for each in self.items()]
        known_ns = self._catalog.removals.newest_ns()
        check_clock(now_ns, max([*newest_ns, known_ns or 0]) or None, is_trusted=trusts_clock)
        with self._trash.alone():
            self._recover()
            for item in self.expired():
                yield self._do(item, self._delete)

    def _delete(self, item: TrashItem) -> None:
        if item.removal.ground is not Ground.STALE:  # of a user's file, its age was all there is to judge
            self._judge.check(item.removal, in_trash=True)
        self._trash.delete(item)

    def _do(self, item: TrashItem, work: Callable[[TrashItem], None]) -> Done:
        try:
            work(item)
        except ONE_FILE as error:
            return Done(item.removal, error)
        return Done(item.removal)


def _meant(items: Sequence[TrashItem], words: Sequence[str]) -> list[TrashItem]:
    """Return the items that words mean."""
    meant: dict[int, TrashItem] = {}
    for word in words:
        found = [each for each in items if word in (str(each.item_id), each.removal.path, each.plan_id)]
        if not found:
            near = nearest(word, [each.removal.path for each in items])
            raise NotInTrash(
                f"nothing in the trash is called {word!r}",
                where="WHAT",
                do=f"did you mean {near}?" if near else "nualley drives trash lists numbers, paths and plans",
            )
        meant |= {each.item_id: each for each in found}
    return [meant[number] for number in sorted(meant)]


def waits_until(item: TrashItem, trash_ns: int, now_ns: int) -> str:
    """Return in words how long a file still has to lie in the trash; empty where it may be deleted.

    Parameters
    ----------
    item : TrashItem
        The file.
    trash_ns, now_ns : int
        How long it has to lie there, and what the clock says [ns].
    """
    left_ns = item.moved_ns + trash_ns - now_ns
    return format_duration(left_ns / SECOND_NS) if left_ns > 0 else ""
