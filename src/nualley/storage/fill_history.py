"""How full a drive was, day by day: read from CSV, and as changes."""

import csv
import math
from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from nualley.core import nearest
from nualley.storage.errors import WrongHistory
from nualley.storage.histories import FillDay
from nualley.storage.models import FillHistory

COLUMNS = ("day", "used_B", "written_B", "capacity_B")
_LONGEST_DAYS = 100 * 366
_EXAMPLE = "2026-11-01,98765432109876,1234567890123,124000000000000"


def read_history(lines: Iterable[str], drive: str, where: str) -> FillHistory:
    """Read a history from CSV with the columns day, used_B, written_B and capacity_B.

    Parameters
    ----------
    lines : iterable of str
        The file; days in any order, each once. ``written_B`` may be empty or left out.
    drive : str
        Name of the drive.
    where : str
        The file's name, for messages.

    Returns
    -------
    FillHistory
        With every day from the first to the last: of days that are missing, the bytes in use lie on a line.

    Raises
    ------
    WrongHistory
        With the line of what cannot be.
    """
    reader = csv.DictReader(lines, skipinitialspace=True)
    reader.fieldnames = [name.strip("\ufeff ") for name in reader.fieldnames or ()]
    _check_columns(reader.fieldnames, where)
    rows: dict[date, tuple[float, float, float]] = {}
    for row in reader:
        place = f"{where}:{reader.line_num}"
        day = _day(row["day"], place)
        if day in rows:
            raise WrongHistory(f"{day} is there twice", where=place, do="leave one of the two out")
        rows[day] = (
            _size_B(row, "used_B", place),
            _size_B(row, "written_B", place) if row.get("written_B") else math.nan,
            _size_B(row, "capacity_B", place),
        )
    if not rows:
        raise WrongHistory("there is no day in it", where=where, do=f"write a line a day, such as {_EXAMPLE}")
    return _every_day(drive, rows, where)


def _check_columns(names: Sequence[str], where: str) -> None:
    missing = [name for name in COLUMNS if name not in names and name != "written_B"]
    if not missing:
        return
    near = nearest(missing[0], names)
    raise WrongHistory(
        f"the column {missing[0]} is missing, found {', '.join(names) or 'nothing'}",
        where=f"{where}:1",
        do=f"call {near!r} so" if near else f"begin the file with the line {','.join(COLUMNS)}",
    )


def _day(text: str | None, place: str) -> date:
    try:
        return date.fromisoformat((text or "").strip())
    except ValueError:
        raise WrongHistory(f"{text!r} is no day", where=place, do="write it as 2026-11-01") from None


def _size_B(row: dict[str, str], column: str, place: str) -> float:
    text = row[column] or ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0) or (column == "capacity_B" and not value):
        raise WrongHistory(f"{column} is {text!r}", where=place, do="write a number of bytes, such as 124000000000000")
    return value


def _every_day(drive: str, rows: dict[date, tuple[float, float, float]], where: str) -> FillHistory:
    days = sorted(rows)
    ordinals = np.array([day.toordinal() for day in days])
    n_days = int(ordinals[-1] - ordinals[0]) + 1
    if n_days > _LONGEST_DAYS:
        raise WrongHistory(
            f"it reaches from {days[0]} to {days[-1]}", where=where, do="correct the year of the first or the last day"
        )
    values = np.array([rows[day] for day in days])
    written_B = np.full(n_days, np.nan)
    written_B[ordinals - ordinals[0]] = values[:, 1]
    return FillHistory(
        drive=drive,
        first_day=days[0],
        used_B=np.interp(np.arange(n_days) + ordinals[0], ordinals, values[:, 0]),
        written_B=written_B,
        capacity_B=float(values[-1, 2]),
    )


def net_changes(history: FillHistory) -> NDArray[np.float64]:
    """Return by how much the bytes in use changed each day, shape (n_day - 1,) [B]."""
    return np.diff(history.used_B)


def gross_changes(history: FillHistory) -> NDArray[np.float64]:
    """Return what was written each day, shape (n_day - 1,) [B]; where nobody knows, at least what it grew by."""
    grown_B = np.maximum(net_changes(history), 0.0)
    written_B = history.written_B[1:]
    return np.where(np.isnan(written_B), grown_B, np.maximum(written_B, grown_B))


def histories_of(days: Iterable[FillDay]) -> dict[str, FillHistory]:
    """Return the histories of drives from what was noted of them, by the name of the drive.

    Parameters
    ----------
    days : iterable of FillDay
        In any order; of a day that is there twice the later row counts. Capacity is that of the last day.
    """
    rows: dict[str, dict[date, tuple[float, float, float]]] = {}
    for day in days:
        rows.setdefault(day.drive, {})[day.day] = (float(day.used_B), float(day.written_B), float(day.capacity_B))
    return {drive: _every_day(drive, found, drive) for drive, found in rows.items()}
