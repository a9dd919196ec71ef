"""Run lists as CSV, which pandas, R and ROOT read: a line for each stretch."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nualley.core import Interval, IntervalSet, NualleyError, nearest, parse_time_ns
from nualley.selection.errors import ListUnreadable
from nualley.selection.models import ListedRun, SelectedRun

COLUMNS = ("detector", "run", "period", "start_ns", "stop_ns", "start", "stop", "first_block", "last_block")
_PAIRS = (("start_ns", "stop_ns"), ("start", "stop"), ("first_block", "last_block"))


def read_csv(text: str) -> Mapping[str, Any]:
    """Return a list in CSV as it was read.

    Parameters
    ----------
    text : str
        A line of names, then a line for each stretch. ``run`` is needed; an empty cell says nothing.

    Returns
    -------
    mapping
        ``columns`` and ``rows``, as text.

    Raises
    ------
    ListUnreadable
        Where a column is not known, a line has another number of cells, or a cell is not what its column says.
    """
    try:
        lines = [line for line in csv.reader(io.StringIO(text), strict=True) if line]
    except csv.Error as error:
        raise ListUnreadable(f"the file is no CSV: {error}", where="csv", do="mend the file") from None
    if not lines:
        raise _wrong("nothing", "a line of names", "the file")
    columns, *rows = lines
    _check_columns(columns)
    for number, row in enumerate(rows, 2):
        if len(row) != len(columns):
            raise _wrong(f"{len(row)} cells", f"{len(columns)}", f"line {number}")
    document = {"columns": columns, "rows": rows}
    csv_runs(document, None)
    return document


def _check_columns(columns: Sequence[str]) -> None:
    for name in columns:
        if name not in COLUMNS or columns.count(name) > 1:
            near = nearest(name, COLUMNS)
            hint = f" (did you mean {near}?)" if near and name not in COLUMNS else ""
            raise _wrong(f"the column {name!r}{hint}", f"each once of {', '.join(COLUMNS)}", "line 1")
    for first, last in _PAIRS:
        if (first in columns) != (last in columns):
            raise _wrong(f"one of {first} and {last}", "both or none", "line 1")
    if "run" not in columns:
        raise _wrong("no column run", "one", "line 1")


def csv_runs(document: Mapping[str, Any], detector: str | None) -> list[ListedRun]:
    """Return the runs of a list; ``detector`` says whose they are where the list does not."""
    found: dict[tuple[str | None, int, str], list[dict[str, str]]] = {}
    for number, row in enumerate(document["rows"], 2):
        cells = {name: cell for name, cell in zip(document["columns"], row, strict=True) if cell}
        cells["line"] = f"line {number}"
        key = (cells.get("detector") or detector, _number(cells, "run"), cells.get("period", ""))
        found.setdefault(key, []).append(cells)
    return [_run(key, lines) for key, lines in found.items()]


def _run(key: tuple[str | None, int, str], lines: Sequence[Mapping[str, str]]) -> ListedRun:
    detector, number, period = key
    intervals = [interval for cells in lines if (interval := _interval(cells)) is not None]
    blocks = tuple(_ends(cells, ("first_block", "last_block"), _number) for cells in lines if "first_block" in cells)
    for some in (intervals, blocks):
        if some and len(some) != len(lines):
            raise _wrong("a stretch in some lines of the run only", "in all of them or in none", lines[0]["line"])
    within = IntervalSet(intervals)
    if within.duration_ns != sum(interval.duration_ns for interval in intervals):
        raise _wrong("stretches that overlap", f"those of run {number} apart from each other", lines[0]["line"])
    return ListedRun(
        detector=detector,
        number=number,
        period=period,
        blocks=blocks or None,
        intervals=within if intervals else None,
    )


def _interval(cells: Mapping[str, str]) -> Interval | None:
    for names, read in ((("start_ns", "stop_ns"), _number), (("start", "stop"), _time_ns)):
        if names[0] in cells or names[1] in cells:
            first, last = _ends(cells, names, read)
            if first == last:
                raise _wrong("a stretch without length", "a stop after the start", cells["line"])
            return Interval(first, last)
    return None


def _ends(
    cells: Mapping[str, str], names: tuple[str, str], read: Callable[[Mapping[str, str], str], int]
) -> tuple[int, int]:
    if not all(name in cells for name in names):
        raise _wrong(f"one of {names[0]} and {names[1]}", "both", cells["line"])
    first, last = (read(cells, name) for name in names)
    if last < first:
        raise _wrong(f"{names[1]} before {names[0]}", "them in order", cells["line"])
    return first, last


def _number(cells: Mapping[str, str], name: str) -> int:
    text = cells.get(name, "")
    if not (text.removeprefix("-") if name.endswith("_ns") else text).isdecimal() or len(text) > 19:
        raise _wrong(f"{text!r} as {name}", "a whole number", cells["line"])
    return int(text)


def _time_ns(cells: Mapping[str, str], name: str) -> int:
    try:
        return parse_time_ns(cells[name], 0)
    except NualleyError as error:
        raise _wrong(error.what, "a time such as 2026-11-23T04:00:00Z", cells["line"]) from None


def _wrong(found: str, expected: str, where: str) -> ListUnreadable:
    return ListUnreadable(
        f"the list says {found}, expected {expected}", where=where, do="mend the file, and import it again"
    )


def csv_document(runs: Sequence[SelectedRun]) -> Mapping[str, Any]:
    """Return selected runs as a list: a line for each interval, or range of blocks where times are not known."""
    lines = [line for run in runs for line in _lines(run)]
    columns = [name for name in COLUMNS if name == "run" or any(line.get(name) for line in lines)]
    return {"columns": columns, "rows": [[line.get(name, "") for name in columns] for line in lines]}


def _lines(run: SelectedRun) -> list[dict[str, str]]:
    listed = run.listed
    head = {"detector": listed.detector or "", "run": str(listed.number), "period": listed.period}
    if run.intervals:
        return [{**head, "start_ns": str(each.start_ns), "stop_ns": str(each.stop_ns)} for each in run.intervals]
    if listed.blocks:
        return [{**head, "first_block": str(first), "last_block": str(last)} for first, last in listed.blocks]
    return [head]


def write_csv(document: Mapping[str, Any]) -> str:
    """Return the text of a list in CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(document["columns"])
    writer.writerows(document["rows"])
    return out.getvalue()
