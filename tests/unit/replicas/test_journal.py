"""The journal of removals: durable lines, a torn end that is none, and no story that cannot be."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from nualley.replicas import JournalDamaged, RemovalRunning, TrashItem, TrashStage, replay
from nualley.replicas.adapters.journal_file import JournalFile
from nualley.replicas.journal import begin_entry, stage_entry
from tests.unit.replicas.test_plans import make_removal

ITEM = TrashItem(item_id=1, removal=make_removal(), trash="/data1/.nualley-trash/1-a", moved_ns=7, plan_id="p")


def entries(*stages: TrashStage) -> list[dict[str, object]]:
    return [begin_entry(ITEM), *(stage_entry(ITEM, stage, 8) for stage in stages)]


def test_items_are_what_the_last_entry_leaves() -> None:
    items = replay([*entries(TrashStage.IN_TRASH), begin_entry(replace(ITEM, item_id=2))], {})
    assert items == {1: replace(ITEM, stage=TrashStage.IN_TRASH), 2: replace(ITEM, item_id=2)}


@pytest.mark.parametrize(
    "stages",
    [
        (TrashStage.DELETED,),
        (TrashStage.RESTORED,),
        (TrashStage.DELETING,),
        (TrashStage.IN_TRASH, TrashStage.DELETED),
        (TrashStage.IN_TRASH, TrashStage.KEPT),
        (TrashStage.KEPT, TrashStage.DELETING),
        (TrashStage.IN_TRASH, TrashStage.DELETING, TrashStage.DELETED, TrashStage.IN_TRASH),
    ],
)
def test_a_story_that_cannot_be_is_damage(stages: tuple[TrashStage, ...]) -> None:
    with pytest.raises(JournalDamaged, match="nothing is taken away or deleted"):
        replay(entries(*stages), {})


@pytest.mark.parametrize(
    "entry", [{}, {"item": 1, "stage": "flying"}, {"item": 9, "stage": "kept"}, {"item": "x", "stage": "moving"}]
)
def test_an_entry_that_cannot_be_understood_is_damage(entry: dict[str, object]) -> None:
    with pytest.raises(JournalDamaged, match="entry 2"):
        replay([begin_entry(ITEM), entry], {})


def test_a_number_is_given_once() -> None:
    with pytest.raises(JournalDamaged):
        replay([begin_entry(ITEM), begin_entry(ITEM)], {})
    with pytest.raises(JournalDamaged):
        replay([begin_entry(replace(ITEM, item_id=3))], {})


# ---------------------------------------------------------------- the file
@pytest.fixture
def journal(tmp_path: Path) -> JournalFile:
    found = JournalFile(tmp_path / "trash")
    with found.alone():
        for entry in entries(TrashStage.IN_TRASH):
            found.append(entry)
    return found


def test_entries_come_back(journal: JournalFile, tmp_path: Path) -> None:
    assert journal.entries() == entries(TrashStage.IN_TRASH)
    assert JournalFile(tmp_path / "none").entries() == []


def test_an_end_that_was_cut_anywhere_is_none_and_goes_with_the_next(journal: JournalFile, tmp_path: Path) -> None:
    path = tmp_path / "trash" / "journal.jsonl"
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        assert journal.entries() == entries()
        journal.append(stage_entry(ITEM, TrashStage.KEPT, 9))
        assert [entry["stage"] for entry in journal.entries()] == ["moving", "kept"]


def test_a_flipped_bit_anywhere_is_damage(journal: JournalFile, tmp_path: Path) -> None:
    path = tmp_path / "trash" / "journal.jsonl"
    whole = path.read_bytes()
    for place in range(0, len(whole) - 1, 7):
        broken = bytearray(whole)
        broken[place] ^= 1
        path.write_bytes(bytes(broken))
        try:
            found = journal.entries()
        except JournalDamaged as error:
            assert "trash/journal.jsonl:" in str(error)  # noqa: PT017 - some flips make the last line a cut one
        else:
            assert found == entries(), "the last line has lost its end"


def test_a_full_store_leaves_nothing_of_an_entry(
    journal: JournalFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite

    def short(descriptor: int, data: bytes, offset: int) -> int:
        real(descriptor, data[:5], offset)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = (tmp_path / "trash" / "journal.jsonl").read_bytes()
    monkeypatch.setattr(os, "pwrite", short)
    with pytest.raises(OSError, match="No space left"):
        journal.append(stage_entry(ITEM, TrashStage.RESTORING, 9))
    assert (tmp_path / "trash" / "journal.jsonl").read_bytes() == before


def test_one_at_a_time(journal: JournalFile, tmp_path: Path) -> None:
    other = JournalFile(tmp_path / "trash")
    with journal.alone(), pytest.raises(RemovalRunning, match="another process takes files away"), other.alone():
        raise AssertionError
    with other.alone():
        pass
