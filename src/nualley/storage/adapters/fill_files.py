"""How full drives were: notes of today, and a row for each day that is over; text that anything reads."""

import csv
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from nualley.core import SECOND_NS, make_folders, sync_folder
from nualley.storage.decide import sum_up_day
from nualley.storage.histories import FillDay, FillNote

_NOTE_HEAD = "time_ns,drive,used_B,available_B"
_DAY_HEAD = "day,drive,used_B,available_B,capacity_B,written_B"
_DAYS = "days.csv"


class FillFolder:
    """The folder ``store/fill``.

    Parameters
    ----------
    folder : Path
        The folder; made with the first note.

    Notes
    -----
    Notes are lines that are only appended, each durable before the next round. When a day is over its notes become one
    row for each drive in ``days.csv``, and then they go. Killed in between, the rows come twice, and the later ones
    count.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, notes: Sequence[FillNote]) -> None:
        """Keep notes of one round.

        Parameters
        ----------
        notes : sequence of FillNote
            One for each device.

        Raises
        ------
        OSError
            Where they cannot be written.
        """
        if not notes:
            return
        make_folders(self._folder)
        today = _day(notes[0].time_ns)
        for path in self._note_files():
            if path.stem != today.isoformat():
                self._close(path)
        lines = [f"{note.time_ns},{note.drive},{note.used_B},{note.available_B}" for note in notes]
        _append(self._folder / f"{today}.csv", _NOTE_HEAD, lines)

    def days(self) -> list[FillDay]:
        """Return what is known of each day and drive, the oldest first; today is as it was last noted."""
        found = {(day.drive, day.day): day for day in self._closed_days()}
        for path in self._note_files():
            for day in self._day_of(path, list(found.values())):
                found[day.drive, day.day] = day
        return sorted(found.values(), key=lambda day: (day.day, day.drive))

    def _note_files(self) -> list[Path]:
        return sorted(self._folder.glob("2*-*-*.csv"))

    def _close(self, path: Path) -> None:
        lines = [
            f"{day.day},{day.drive},{day.used_B},{day.available_B},{day.capacity_B},{day.written_B}"
            for day in self._day_of(path, list(self._closed_days()))
        ]
        _append(self._folder / _DAYS, _DAY_HEAD, lines)
        path.unlink()

    def _day_of(self, path: Path, before: Sequence[FillDay]) -> list[FillDay]:
        day = date.fromisoformat(path.stem)
        last_B = {known.drive: known.used_B for known in before if known.day < day}
        rows = (row for row in _rows(path, _NOTE_HEAD))
        return sum_up_day(day, [FillNote(int(row[0]), row[1], int(row[2]), int(row[3])) for row in rows], last_B)

    def _closed_days(self) -> Iterator[FillDay]:
        for row in _rows(self._folder / _DAYS, _DAY_HEAD):
            yield FillDay(date.fromisoformat(row[0]), row[1], int(row[2]), int(row[3]), int(row[5]))


def _day(time_ns: int) -> date:
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC).date()


def _append(path: Path, head: str, lines: Sequence[str]) -> None:
    """Append lines in one write, durably; behind a line that a kill cut off begins a new one."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        size_B = os.fstat(descriptor).st_size
        begin = f"{head}\n" if not size_B else "" if os.pread(descriptor, 1, size_B - 1) == b"\n" else "\n"
        os.write(descriptor, (begin + "".join(f"{line}\n" for line in lines)).encode())
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    if not size_B:
        sync_folder(path.parent)


def _rows(path: Path, head: str) -> Iterator[list[str]]:
    """Go to the whole lines of a file; one that a kill cut off is left out."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return
    whole, _, _ = text.rpartition("\n")
    n_columns = head.count(",") + 1
    for row in csv.reader(whole.splitlines()):
        if len(row) == n_columns and row[2].isdecimal() and all(cell.isdecimal() for cell in row[3:]):
            yield row
