"""What a command prints: data to stdout, everything else to stderr."""

import codecs
import io
import json
import math
import os
import select
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from nualley.core import NualleyError, dump_json, escape_name, format_time, to_json

_ESCAPES = "nualley.escapes"
_ARRAY_SHOWN = 3


class AnswerLost(OSError):  # noqa: N818  # named by what happened
    """Nobody reads stdout any more, or where it goes is full."""


def prepare_streams() -> None:
    r"""Let stdout and stderr be there, and write what they cannot hold as ``\xNN``, as `core.escape_name` does."""
    codecs.register_error(_ESCAPES, _escapes)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by who started us; the next file opened would be taken for it
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # it is never closed
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPES)


def _escapes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(f"\\x{byte:02x}" for byte in _raw(error.object[error.start : error.end])), error.end


def _raw(text: str) -> bytes:
    try:
        return text.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:  # half of a pair, which stands for no byte
        return text.encode("utf-8", errors="surrogatepass")


def own_command() -> str:
    """Return what to type to call this command again, from the folder the caller is in."""
    called = Path(sys.argv[0])
    if called.name != "nualley":
        return "nualley"
    found = shutil.which("nualley")
    if found is not None and Path(found).resolve() == called.resolve():
        return "nualley"
    # make calls it in its virtual environment, which is not on the caller's PATH
    return shlex.quote(os.path.relpath(called)) if called.is_absolute() else shlex.quote(str(called))


def print_json(value: object) -> None:
    """Print one strict JSON object or list, in pure ASCII where stdout cannot hold more."""
    text = dump_json(value)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(to_json(value), allow_nan=False)
    _answer(text)


def print_text(text: str) -> None:
    """Print lines of text; what a terminal would obey is written as an escape."""
    _answer(_shown_lines(text))


def print_exact(text: str) -> None:
    """Print the content of a file as it is, without a line's end of ours: its digest must stay the same."""
    _answer(text, end="")


def _answer(text: str, end: str = "\n") -> None:
    try:
        print(text, end=end)
    except OSError as error:
        raise AnswerLost(error.errno, error.strerror) from error


def print_error(error: NualleyError, is_json: bool) -> None:  # the one thing that differs
    """Print an error: one object on stdout under ``--json``, else three lines on stderr."""
    if is_json:
        print_json({"error": error.to_json()})
    else:
        is_coloured = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        mark, end = ("\x1b[1;31m", "\x1b[0m") if is_coloured else ("", "")
        first, *rest = _shown_lines(str(error)).splitlines()
        _tell("\n".join([f"{mark}{first}{end}", *rest]))


def print_note(text: str) -> None:
    """Say something that is no data, on stderr."""
    _tell(_shown_lines(text))


def _tell(text: str) -> None:
    # a stderr that is full or closed does not undo what a command did
    try:
        print(text, file=sys.stderr)
    except OSError:
        discard(sys.stderr)


def is_unread(stream: TextIO) -> bool:
    """Say whether a stream is a pipe that nobody reads any more."""
    try:
        state = select.poll()
        state.register(stream.fileno(), 0)
    except (OSError, ValueError):  # no file of the system, or closed
        return False
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in state.poll(0))


def discard(stream: TextIO) -> None:
    """Let a stream end in nothing: what it still holds would be tried again at the interpreter's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
        _answer("  ".join(fields).rstrip())


def _shown_lines(text: str) -> str:
    return "\n".join(map(_shown, text.split("\n")))


def _shown(text: str) -> str:
    return text if text.isprintable() else escape_name(_raw(text))


def shown_time(time_ns: int | None) -> str | None:
    """Return a time for a table: UTC, whole seconds."""
    return None if time_ns is None else format_time(time_ns, digits=0)


def shown_number(value: float | None, digits: int = 4) -> str | None:
    """Return a number for a table, None where there is none."""
    return None if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def shown_value(value: object) -> str | None:
    """Return a PV's value for a table: of an array, how it begins and how long it is."""
    if isinstance(value, list):
        items = ", ".join(f"{item:.4g}" if isinstance(item, float) else str(item) for item in value[:_ARRAY_SHOWN])
        return f"[{items}, … {len(value)}]" if len(value) > _ARRAY_SHOWN else f"[{items}]"
    return None if value is None else str(value)
