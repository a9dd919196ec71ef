"""What a command prints: data to stdout, everything else to stderr."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from enum import Enum
from typing import Any

from nualley.core import NualleyError, escape_name, format_time


def wants_json(words: Sequence[str]) -> bool:
    """Say whether a command line asks for JSON, before it is parsed."""
    pairs = zip(words, [*words[1:], ""], strict=False)
    return any(word in ("--json", "--format=json") or (word, after) == ("--format", "json") for word, after in pairs)


def plain(value: object) -> Any:
    """Return a value as strict JSON has it: NaN and inf become null, dataclasses objects, ns stay integers."""
    for kind, convert in _CONVERTERS:
        if isinstance(value, kind):
            return convert(value)
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    # an array or a number of numpy, without loading numpy to know
    return plain(value.tolist()) if hasattr(value, "tolist") else str(value)


def _plain_items(items: Iterable[object]) -> list[object]:
    return [plain(item) for item in items]


_CONVERTERS: tuple[tuple[Any, Callable[[Any], object]], ...] = (
    (Enum, lambda value: plain(value.value)),
    (Mapping, lambda value: {str(key): plain(item) for key, item in value.items()}),
    ((list, tuple, set, frozenset), _plain_items),
    (float, lambda value: value if math.isfinite(value) else None),
    ((str, int, type(None)), lambda value: value),
)


def print_json(value: object) -> None:
    """Print one strict JSON object or list."""
    print(json.dumps(plain(value), ensure_ascii=False, allow_nan=False))


def print_error(error: NualleyError, is_json: bool) -> None:  # the one thing that differs
    """Print an error: one object on stdout under ``--json``, else three lines on stderr."""
    if is_json:
        print_json({"error": error.to_json()})
    else:
        is_coloured = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        mark, end = ("\x1b[1;31m", "\x1b[0m") if is_coloured else ("", "")
        first, *rest = str(error).splitlines()
        print("\n".join([f"{mark}{first}{end}", *rest]), file=sys.stderr)


def print_note(text: str) -> None:
    """Say something that is no data, on stderr."""
    print(text, file=sys.stderr)


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> None:
    """Print a table in plain columns, as wide as it needs to be.

    Parameters
    ----------
    head : sequence of str
        Names of the columns, with units.
    rows : sequence of sequences
        Cells; None is shown as a dash.
    right : sequence of int
        Columns that are written to the right: numbers.
    """
    # a PV or a file may hold anything, the terminal must not obey it
    cells = [["-" if cell is None else _shown(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    for row in [list(head), *cells]:
        fields = [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(fields).rstrip())


def _shown(text: str) -> str:
    return text if text.isprintable() else escape_name(text.encode("utf-8", errors="surrogateescape"))


def shown_time(time_ns: int | None) -> str | None:
    """Return a time for a table: UTC, whole seconds."""
    return None if time_ns is None else format_time(time_ns, digits=0)


def shown_number(value: float | None, digits: int = 4) -> str | None:
    """Return a number for a table, None where there is none."""
    return None if value is None or not math.isfinite(value) else f"{value:.{digits}g}"
