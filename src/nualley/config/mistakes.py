"""A mistake in the experiment repository: where it is, what was found, what is expected, and the nearest valid word."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from nualley.core import escape_name

ENVIRONMENT = "environment"
"""What stands for a file where a value came from the environment."""

NOTHING = "nothing"
"""What was found where a key is missing."""

KeyPath = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]+(?=@)|([?&](?:ssl)?password=)[^&\s\"]+")
_LONGEST = 80
_MOST_BITS = 256


def format_key(path: KeyPath) -> str:
    """Write the place of a value as TOML would.

    Parameters
    ----------
    path : tuple of str and int
        Keys and indices, from the top.

    Returns
    -------
    str
        Such as ``drop[0].detector``.

    Examples
    --------
    >>> format_key(("pv", "DEMO:X", "mode"))
    'pv."DEMO:X".mode'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False))
    return text


def format_value(value: object) -> str:
    """Write a value as it stands in the file, shortened; a table or a long list is only named."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, str):
        return _shorten(json.dumps(value, ensure_ascii=False))
    if isinstance(value, Sequence):
        return _shorten(f"[{', '.join(format_value(item) for item in value)}]")
    return _shorten(_format_scalar(value))


def _format_scalar(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:  # its digits may be more than Python writes
        return f"a whole number of {value.bit_length()} bits"
    return str(value)


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _shown(text: str) -> str:
    return text if text.isprintable() else escape_name(text)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in the experiment repository.

    Parameters
    ----------
    file : str
        Path below the experiment directory, or ``environment``.
    line : int or None
        Line in the file, from 1; None where there is none (a file that is missing, the environment).
    key : str
        The key, such as ``drop[0].detector``; empty where the whole file is meant.
    found : str
        What stands there.
    expected : str
        What should stand there.
    nearest : str
        The valid word that comes nearest; empty where none comes near.

    Notes
    -----
    Passwords inside addresses are blotted out: mistakes are shown, logged and mailed. A file's name, and what a
    terminal would obey or could not show, is written as `core.escape_name` does.
    """

    file: str
    line: int | None
    key: str
    found: str
    expected: str
    nearest: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "file", escape_name(self.file))
        for name in ("key", "found", "expected", "nearest"):
            object.__setattr__(self, name, _shown(_PASSWORD.sub(r"\1\2***", getattr(self, name))))

    def to_json(self) -> dict[str, str | int | None]:
        """Return what a command prints under ``--json``."""
        return {
            "file": self.file,
            "line": self.line,
            "key": self.key,
            "found": self.found,
            "expected": self.expected,
            "nearest": self.nearest,
        }

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        lines = [f"{place}: {self.key}" if self.key else place]
        lines.append(f"  found:    {self.found}")
        lines.append(f"  expected: {self.expected}")
        if self.nearest:
            lines.append(f"  did you mean {self.nearest}?")
        return "\n".join(lines)


def order(mistakes: Sequence[Mistake]) -> list[Mistake]:
    """Return mistakes by file and line, each once."""
    return sorted(dict.fromkeys(mistakes), key=lambda mistake: (mistake.file, mistake.line or 0, mistake.key))
