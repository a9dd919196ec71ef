"""One file of the repository: its values, its lines, and what is wrong with its text."""

import codecs
import stat
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from nualley.config.mistakes import ENVIRONMENT, KeyPath, Mistake, format_key, format_value
from nualley.config.positions import key_lines
from nualley.config.syntax import parse
from nualley.core import reason


class Document:
    """A TOML file as it was read.

    Parameters
    ----------
    file : str
        Path below the experiment directory.
    raw : bytes
        What it holds.
    """

    def __init__(self, file: str, raw: bytes) -> None:
        self.file = file
        text, encoding = _decode(file, raw)
        parsed = parse(text)
        self.values: dict[str, object] = parsed.values
        self._text = parsed.text
        self._variables: dict[KeyPath, str] = {}
        faults = [Mistake(file, fault.line, "", fault.found, fault.expected) for fault in parsed.faults]
        self.mistakes: tuple[Mistake, ...] = (*encoding, *faults)

    @property
    def is_partial(self) -> bool:
        """Whether something could not be read, so that a missing key may only seem to be missing."""
        return bool(self.mistakes)

    @cached_property
    def _lines(self) -> dict[KeyPath, int]:
        return key_lines(self._text)

    def line(self, path: KeyPath) -> int:
        """Return the line of a key, or that of the nearest table around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 1

    def origin(self, path: KeyPath) -> str:
        """Return who said a value: ``FILE:LINE``, or the variable of the environment."""
        return self._variables.get(path) or f"{self.file}:{self.line(path)}"

    def find(self, pattern: Sequence[str | int]) -> Iterator[tuple[KeyPath, object]]:
        """Go to every value at a place, where ``*`` stands for any key or index; what has another shape is passed."""
        yield from _walk(self.values, tuple(pattern), ())

    def override(self, path: KeyPath, value: str, variable: str) -> None:
        """Put a value of the environment over that of the file, unless the file has no table there."""
        table: object = self.values
        for part in path[:-1]:
            if not isinstance(table, dict):
                return  # the file's own mistake is reported
            table = table.setdefault(part, {})
        if isinstance(table, dict):
            table[path[-1]] = value
            self._variables[path] = variable

    def mistake(self, path: KeyPath, *, found: object, expected: str, nearest: str = "", key: str = "") -> Mistake:
        """Return a mistake at a place.

        Parameters
        ----------
        path : tuple of str and int
            Keys and indices; those that the file lacks are left away from the end to find the line.
        found : object
            The value that stands there; text of its own in an instance of `Words`.
        expected : str
            What should stand there.
        nearest : str, optional
            The nearest valid word.
        key : str, optional
            What to show instead of the path.

        Returns
        -------
        Mistake
            With its file and line, or the variable of the environment that the value came from.
        """
        shown = found if isinstance(found, Words) else format_value(found)
        if path in self._variables:
            return Mistake(ENVIRONMENT, None, self._variables[path], str(shown), expected, nearest)
        return Mistake(self.file, self.line(path), key or format_key(path), str(shown), expected, nearest)


class Words(str):
    """Words that describe what was found, to be shown as they are."""

    __slots__ = ()


def _decode(file: str, raw: bytes) -> tuple[str, list[Mistake]]:
    # a byte order mark at the start is what some editors write, and no mistake
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return raw.decode("utf-8"), []
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = f"the byte 0x{raw[error.start]:02x}"
        return raw.decode("utf-8", errors="replace"), [Mistake(file, line, "", found, "text in UTF-8")]


def _walk(value: object, pattern: KeyPath, path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    if not pattern:
        yield path, value
        return
    part, rest = pattern[0], pattern[1:]
    for key, item in items(value):
        if part in ("*", key):
            yield from _walk(item, rest, (*path, key))


def items(value: object) -> Iterator[tuple[str | int, object]]:
    """Go to the values of a table by key, or of a list by index; anything else has none."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def read(file: str, path: Path) -> Document | Mistake:
    """Read one file.

    Parameters
    ----------
    file : str
        Its name below the experiment directory, for mistakes.
    path : Path
        Where it is.

    Returns
    -------
    Document or Mistake
        What it holds, or why it cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            # a pipe or a device would keep whoever reads it waiting for ever
            return Mistake(file, None, "", "a pipe or a device", "a file that can be read")
        return Document(file, path.read_bytes())
    except OSError as error:
        return Mistake(file, None, "", reason(error).lower(), "a file that can be read")
