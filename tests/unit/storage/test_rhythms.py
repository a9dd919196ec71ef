"""What is noted of drives, what a day makes of it, and when something is due."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from nualley.core import DAY_NS, SECOND_NS
from nualley.storage import Drive, DriveUsage, FillDay, FillNote, is_due, notes_of
from nualley.storage.adapters.fill_files import FillFolder
from nualley.storage.decide import sum_up_day

MIDNIGHT_NS = 1_795_392_000 * SECOND_NS
"""2026-11-23T00:00:00Z."""
MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


def usage(name: str, device: int, used_B: int = 10) -> DriveUsage:
    # a tenth is kept for root, as file systems do
    return DriveUsage(
        Drive(name, Path(f"/{name}")),
        size_B=100,
        used_B=used_B,
        available_B=90 - used_B,
        is_mounted=True,
        device=device,
    )


def test_devices_count_once_under_the_first_drive_on_them() -> None:
    usages = [usage("a", 1), usage("b", 2), usage("c", 1), replace(usage("d", 3), is_mounted=False)]
    assert [note.drive for note in notes_of(usages, 5)] == ["a", "b"]
    assert notes_of(usages, 5)[0] == FillNote(5, "a", 10, 80)


def test_the_capacity_is_what_users_can_fill_and_never_the_size() -> None:
    (note,) = notes_of([usage("a", 1)], 5)
    (day,) = sum_up_day(MONDAY, [note], {})
    assert day.capacity_B == 90


def test_what_was_written_is_not_lessened_by_what_was_deleted() -> None:
    notes = [FillNote(number, "a", used_B, 0) for number, used_B in enumerate((110, 150, 50, 60))]
    assert sum_up_day(MONDAY, notes, {"a": 100}) == [FillDay(MONDAY, "a", 60, 0, written_B=10 + 40 + 10)]
    assert sum_up_day(MONDAY, notes, {})[0].written_B == 50  # nobody knows how it was before


@pytest.mark.parametrize(
    ("last_ns", "every_ns", "expected"),
    [(None, 10, True), (91, 10, False), (90, 10, True), (None, 0, False), (0, 0, False), (150, 10, True)],
)
def test_when_something_is_due(last_ns: int | None, every_ns: int, expected: bool) -> None:
    assert is_due(last_ns, every_ns, 100) is expected


# ---------------------------------------------------------------- the folder
def note(history: FillFolder, second: int, used_B: int, day: int = 0) -> None:
    time_ns = MIDNIGHT_NS + day * DAY_NS + second * SECOND_NS
    history.note([FillNote(time_ns, "data1", used_B, 1000 - used_B)])


def test_notes_become_a_row_a_day(tmp_path: Path) -> None:
    history = FillFolder(tmp_path / "fill")
    for second, used_B in ((0, 100), (60, 130), (120, 120)):
        note(history, second, used_B)
    assert history.days() == [FillDay(MONDAY, "data1", 120, 880, 30)]
    note(history, 0, 150, day=1)
    assert history.days() == [FillDay(MONDAY, "data1", 120, 880, 30), FillDay(TUESDAY, "data1", 150, 850, 30)]
    names = sorted(path.name for path in (tmp_path / "fill").iterdir())
    assert names == ["2026-11-24.csv", "days.csv"]
    assert (tmp_path / "fill" / "days.csv").read_text() == (
        "day,drive,used_B,available_B,capacity_B,written_B\n2026-11-23,data1,120,880,1000,30\n"
    )


def test_without_notes_nothing_is_known_and_nothing_made(tmp_path: Path) -> None:
    history = FillFolder(tmp_path / "fill")
    history.note([])
    assert history.days() == []
    assert not (tmp_path / "fill").exists()


def test_a_line_that_a_kill_cut_off_costs_that_line_alone(tmp_path: Path) -> None:
    history = FillFolder(tmp_path / "fill")
    note(history, 0, 100)
    file = tmp_path / "fill" / "2026-11-23.csv"
    with file.open("a") as torn:
        torn.write(f"{MIDNIGHT_NS + SECOND_NS},data1,9")
    assert history.days()[0].used_B == 100
    note(history, 60, 110)
    assert history.days() == [FillDay(MONDAY, "data1", 110, 890, 10)]


def test_killed_between_the_row_of_a_day_and_the_end_of_its_notes(tmp_path: Path) -> None:
    history = FillFolder(tmp_path / "fill")
    note(history, 0, 100)
    file = tmp_path / "fill" / "2026-11-23.csv"
    kept = file.read_bytes()
    note(history, 0, 150, day=1)
    file.write_bytes(kept)  # as if it had not been removed
    note(history, 60, 160, day=1)
    assert [day.used_B for day in history.days()] == [100, 160]
    assert [day.written_B for day in history.days()] == [0, 60]
