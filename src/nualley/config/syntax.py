"""TOML that may be broken: every syntax error is found, and what is whole is still read."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from nualley.config.positions import first_broken_line

DEEPEST = 64
"""Tables and lists may lie in each other so deep, which no settings need: beyond, Python's stack may end."""

_LONGEST_NUMBER = 4000  # digits; Python itself refuses a little later, without saying where
_NUMBER = re.compile(rf"[0-9_]{{{_LONGEST_NUMBER},}}")
_MOST_FAULTS = 100  # a file with more is not TOML at all
_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_KEY = r"""(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)"""
_STATEMENT = re.compile(rf"\s*(?:\[|{_KEY}(?:\s*\.\s*{_KEY})*\s*=)")
_HEADER = re.compile(r"\s*\[\[?\s*[\w\"'-]")
_AT_ONCE = ("Expected '='", "Invalid statement")  # noticed on the line that is wrong
_BRACES = "Invalid initial character"  # a key cannot begin so: mostly a table in braces over several lines

_EXPECTED = {
    "Invalid value": 'a value: text in quotes, a number, true or false, a date, [...] or {...}; "14.6 kg" is text',
    "Expected newline": 'the end of the line; text and numbers with a unit stand in quotes, such as "14.6 kg"',
    "Expected '='": 'KEY = VALUE; a key with other marks than _ and - stands in quotes: "DEMO:BEAM:POWER" = {}',
    "Invalid statement": "KEY = VALUE, [table] or a comment after #",
    "Cannot overwrite": "each key only once in its table",
    "Cannot declare": "each table only once",
    "Cannot mutate": "a table that is written in one place only",
    "Unclosed array": "a ] that closes the list",
    _BRACES: "a key after { or a comma; a table in braces stands on one line and has no comma at its end",
    "Unclosed inline table": "a } that closes the table; a table in braces stands on one line",
    "Expected ']'": "a header [table] or [[list of tables]] on one line",
    "Illegal character": "text that ends on its line, without control characters",
    "Unterminated string": "quotes that close the text",
    "Unescaped": "a backslash written twice, or the text in single quotes",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A place where a text is not TOML: its line (from 1), what stands there, what is expected."""

    line: int
    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """What could be read: values, the text without its broken parts (same lines), and the faults."""

    values: dict[str, object]
    text: str
    faults: tuple[Fault, ...]


def parse(text: str) -> Parsed:
    """Read TOML; where it is broken, note the fault, leave the broken part out and go on.

    Parameters
    ----------
    text : str
        What a file holds.

    Returns
    -------
    Parsed
        All that is whole, and every fault.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    faults: list[Fault] = []
    while len(faults) < _MOST_FAULTS:
        current = "\n".join(lines)
        try:
            values = tomllib.loads(current)
            if not _is_deep(values):
                return Parsed(values, current, tuple(faults))
            fault, stop = _too_deep(lines)
        except tomllib.TOMLDecodeError as error:
            fault, stop = _fault(str(error), lines)
        except RecursionError:
            fault, stop = _too_deep(lines)
        except ValueError:  # what TOML allows and Python does not
            fault, stop = _too_long(lines)
        faults.append(fault)
        lines[fault.line - 1 : stop] = [""] * (stop - fault.line + 1)
    return Parsed({}, "", tuple(faults))


def _is_deep(values: dict[str, object]) -> bool:
    """Say whether anything lies deeper than `DEEPEST`, without going there by recursion."""
    level: list[object] = [values]
    for _ in range(DEEPEST):
        level = [item for value in level for item in _inner(value)]
    return bool(level)


def _inner(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _too_deep(lines: list[str]) -> tuple[Fault, int]:
    depths = [0, *accumulate(_n_opened(line) - _n_closed(line) for line in lines)]
    reached = (depth + _n_opened(line) for depth, line in zip(depths, lines, strict=False))
    dots = (line.partition("=")[0].count(".") for line in lines)
    deep = next((number for number, pair in enumerate(zip(reached, dots, strict=True)) if max(pair) >= DEEPEST), 0)
    start = next(number for number in range(deep, -1, -1) if depths[number] <= 0) + 1
    is_closed = (number for number in range(deep + 1, len(depths)) if depths[number] <= 0)
    stop = next(is_closed, None) or _statement_end(start, deep + 1, lines)
    return Fault(start, _shown(lines, start), f"tables and lists in each other, at most {DEEPEST} deep"), stop


def _n_opened(line: str) -> int:
    return line.count("[") + line.count("{")


def _n_closed(line: str) -> int:
    return line.count("]") + line.count("}")


def _too_long(lines: list[str]) -> tuple[Fault, int]:
    line = next((number for number, text in enumerate(lines, 1) if _NUMBER.search(text)), 1)
    return Fault(line, _shown(lines, line), f"a number of at most {_LONGEST_NUMBER} digits"), line


def _shown(lines: list[str], line: int) -> str:
    return lines[line - 1].strip()[:80]


def _fault(message: str, lines: list[str]) -> tuple[Fault, int]:
    match = _PLACE.fullmatch(message)
    reason = match[1] if match else message
    if match is None or match[2] is None:
        start, stop = _open_end(lines), len(lines)
    else:
        start, stop = _damage(reason, int(match[2]), int(match[3]), lines)
    expected = next((text for prefix, text in _EXPECTED.items() if reason.startswith(prefix)), reason)
    return Fault(start, _shown(lines, start), expected), stop


def _open_end(lines: list[str]) -> int:
    # something stays open to the end: only the tree knows where it began
    written = max((number for number, line in enumerate(lines, 1) if line.strip()), default=1)
    return min(first_broken_line("\n".join(lines)) or written, written)


def _damage(reason: str, line: int, column: int, lines: list[str]) -> tuple[int, int]:
    """Return the first and last line of the statement that is wrong, from 1."""
    line = min(line, len(lines))
    text = lines[line - 1]
    is_at_start = not text[: column - 1].strip()
    if reason.startswith("Unclosed") and is_at_start and _STATEMENT.match(text):
        return _statement_start(line - 1, lines), line - 1  # noticed where the next statement begins
    start = line if reason.startswith(_AT_ONCE) else _statement_start(line, lines)
    if _HEADER.match(lines[start - 1]) and start == line:
        return start, _table_end(start, lines)
    if reason.startswith(_BRACES):
        return start, _brace_end(line, lines)
    return start, _statement_end(start, line, lines)


def _statement_start(line: int, lines: list[str]) -> int:
    return next((number for number in range(line, 0, -1) if _STATEMENT.match(lines[number - 1])), max(line, 1))


def _statement_end(start: int, line: int, lines: list[str]) -> int:
    text = "".join(lines[start - 1 : line])
    depth = _n_opened(text) - _n_closed(text)
    while depth > 0 and line < len(lines) and not _STATEMENT.match(lines[line]):
        depth += _n_opened(lines[line]) - _n_closed(lines[line])
        line += 1
    return line


def _brace_end(line: int, lines: list[str]) -> int:
    for number in range(line, len(lines)):
        if _HEADER.match(lines[number]):
            break
        if lines[number].count("}") > lines[number].count("{"):
            return number + 1
    return line


def _table_end(start: int, lines: list[str]) -> int:
    # the keys below a broken header belong to no table: they would be taken for keys of the one above
    return next((number for number in range(start, len(lines)) if _HEADER.match(lines[number])), len(lines))
