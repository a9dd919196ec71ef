"""What was taken away, step by step: each step is on record before it is done and after it, and is told from there."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from nualley.replicas.errors import JournalDamaged
from nualley.replicas.removals import Removal, TrashItem, TrashStage

# what may be said of an item, and of which stage it can follow
_FOLLOWS: Mapping[TrashStage, frozenset[TrashStage]] = {
    TrashStage.IN_TRASH: frozenset({TrashStage.MOVING, TrashStage.RESTORING, TrashStage.DELETING}),
    TrashStage.KEPT: frozenset({TrashStage.MOVING}),
    TrashStage.RESTORING: frozenset({TrashStage.IN_TRASH}),
    TrashStage.RESTORED: frozenset({TrashStage.RESTORING}),
    TrashStage.DELETING: frozenset({TrashStage.IN_TRASH}),
    TrashStage.DELETED: frozenset({TrashStage.DELETING}),
    TrashStage.LOST: frozenset({TrashStage.MOVING, TrashStage.RESTORING, TrashStage.DELETING, TrashStage.IN_TRASH}),
}
UNFINISHED = frozenset({TrashStage.MOVING, TrashStage.RESTORING, TrashStage.DELETING})
"""Stages that only a process that died in the middle leaves."""


def begin_entry(item: TrashItem) -> dict[str, Any]:
    """Return what is written before a file is moved to the trash."""
    return {
        "item": item.item_id,
        "stage": str(TrashStage.MOVING),
        "time_ns": item.moved_ns,
        "trash": item.trash,
        "plan": item.plan_id,
        "state": item.state,
        "removal": item.removal.to_json(),
    }


def stage_entry(item: TrashItem, stage: TrashStage, time_ns: int) -> dict[str, Any]:
    """Return what is written before and after every other step."""
    return {"item": item.item_id, "stage": str(stage), "time_ns": time_ns}


def replay(entries: Iterable[Mapping[str, Any]], roots: Mapping[str, str]) -> dict[int, TrashItem]:
    """Return every file that ever was to go, by its number, as the last entry leaves it.

    Parameters
    ----------
    entries : iterable of mapping
        The journal, from its beginning.
    roots : mapping of str to str
        Where the drives are now, escaped, by name: what lies in their trash moved with them.

    Raises
    ------
    JournalDamaged
        Where an entry cannot follow the one before.
    """
    items: dict[int, TrashItem] = {}
    for number, entry in enumerate(entries, 1):
        try:
            item_id, stage = int(entry["item"]), TrashStage(entry["stage"])
            if stage is TrashStage.MOVING:
                _check_new(item_id, len(items) + 1)
                items[item_id] = _begun(item_id, entry)
            else:
                items[item_id] = _next(items[item_id], stage)
        except (KeyError, TypeError, ValueError):
            raise _damaged(number, "it cannot be understood, or cannot follow the one before") from None
    return {number: _where_it_is(item, roots) for number, item in items.items()}


def _where_it_is(item: TrashItem, roots: Mapping[str, str]) -> TrashItem:
    root = roots.get(item.removal.drive)
    return item if root is None else item.below(root)


def _check_new(item_id: int, wanted: int) -> None:
    if item_id != wanted:
        raise ValueError(item_id)


def _begun(item_id: int, entry: Mapping[str, Any]) -> TrashItem:
    return TrashItem(
        item_id=item_id,
        removal=Removal.from_json(entry["removal"]),
        trash=str(entry["trash"]),
        moved_ns=int(entry["time_ns"]),
        plan_id=str(entry["plan"]),
        state=str(entry["state"]),
    )


def _next(item: TrashItem, stage: TrashStage) -> TrashItem:
    if item.stage not in _FOLLOWS[stage]:
        raise ValueError(stage)
    return replace(item, stage=stage)


def _damaged(number: int, what: str) -> JournalDamaged:
    return JournalDamaged(
        f"entry {number} of the journal of removals: {what}; nothing is taken away or deleted until it is looked at",
        where=f"trash/journal.jsonl:{number}",
        do="look at the store's drive; what lies in the trash folders of the drives is untouched",
    )
