"""Samples as CSV: columns pv, time, value and, where it is there, severity."""

import csv
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from nualley.archive.columns import VALUE_TYPES
from nualley.archive.importing import ImportedRows
from nualley.archive.names import is_valid_pv_name
from nualley.core import NualleyError, UsageError, parse_time_ns
from nualley.pv import ValueType

CHUNK_ROWS = 200_000
_NEEDED = ("pv", "time", "value")
_COLUMNS = (*_NEEDED, "severity")


class CsvHeaderError(UsageError):
    """A CSV file whose first line does not name the columns, each once."""


@dataclass(slots=True)
class RefusedLines:
    """Lines that are no samples.

    Parameters
    ----------
    lines : list of (str, int, str, str)
        File, number of the line, what is wrong, and its text.
    """

    lines: list[tuple[str, int, str, str]] = field(default_factory=list)


class _Chunk:
    def __init__(self) -> None:
        self.time_ns: list[int] = []
        self.value: list[str] = []
        self.severity: list[int] = []

    def take(self, pv: str, source: str) -> ImportedRows:
        value_type, values = _typed(self.value)
        return ImportedRows(
            pv=pv,
            value_type=value_type,
            time_ns=np.array(self.time_ns, dtype=np.int64),
            value=values,
            severity=np.array(self.severity, dtype=np.int8),
            status=np.zeros(len(self.time_ns), dtype=np.int16),
            source=source,
        )


def read_csv(lines: Iterable[str], source: str, refused: RefusedLines) -> Iterator[ImportedRows]:
    """Read samples.

    Parameters
    ----------
    lines : iterable of str
        Lines of the file; the first names the columns, in any order: pv, time (ISO 8601 with a zone, or whole
        nanoseconds since 1970 UTC), value, and severity (0 to 3) where it is there.
    source : str
        Where they are from, for messages.
    refused : RefusedLines
        Takes the lines that are no samples.

    Yields
    ------
    ImportedRows
        Of one PV each; numbers are float64, anything else is text.

    Raises
    ------
    CsvHeaderError
        Where a column is missing, or named twice.
    """
    rows = _rows(iter(lines))
    head = next(rows, _Row(1, "", []))
    names = [name.strip().lower() for name in head.fields]
    _check_names(names, f"{source}:1")
    at = {name: names.index(name) for name in _COLUMNS if name in names}
    chunks: dict[str, _Chunk] = defaultdict(_Chunk)
    n_waiting = 0
    for row in rows:
        if not row.fields and not row.fault:
            continue
        try:
            pv, time_ns, value, severity = _sample(row, at, len(names))
        except (ValueError, NualleyError) as error:
            what = error.what if isinstance(error, NualleyError) else str(error)
            refused.lines.append((source, row.number, what, row.text))
            continue
        chunk = chunks[pv]
        chunk.time_ns.append(time_ns)
        chunk.value.append(value)
        chunk.severity.append(severity)
        n_waiting += 1
        if n_waiting >= CHUNK_ROWS:
            yield from (found.take(name, source) for name, found in chunks.items())
            chunks.clear()
            n_waiting = 0
    yield from (found.take(name, source) for name, found in chunks.items())


def _check_names(names: Sequence[str], where: str) -> None:
    do = "write pv,time,value or pv,time,value,severity above the samples"
    missing = [name for name in _NEEDED if name not in names]
    shown = ascii(",".join(names))[:80]
    if missing:
        raise CsvHeaderError(f"the first line names no column {', '.join(missing)}: {shown}", where=where, do=do)
    twice = [name for name in _COLUMNS if names.count(name) > 1]
    if twice:
        raise CsvHeaderError(f"the first line names {', '.join(twice)} more than once: {shown}", where=where, do=do)


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    text: str
    fields: list[str]
    fault: str = ""


def _rows(lines: Iterator[str]) -> Iterator[_Row]:
    """Yield rows; of what is no CSV its first line alone, however many a quote that is never closed would swallow."""
    again: deque[str] = deque()
    read: list[str] = []
    number = 0

    def taken() -> Iterator[str]:
        while True:
            line = again.popleft() if again else next(lines, None)
            if line is None:
                return
            read.append(line)
            yield line

    reader = csv.reader(taken(), strict=True)
    while True:
        read.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            first, *rest = read
            again.extendleft(reversed(rest))
            number += 1
            yield _Row(number, first.rstrip("\r\n"), [], str(error))
            reader = csv.reader(taken(), strict=True)
            continue
        yield _Row(number + 1, "".join(read).rstrip("\r\n"), fields)
        number += len(read)


def _sample(row: _Row, at: Mapping[str, int], n_columns: int) -> tuple[str, int, str, int]:
    if row.fault:
        raise ValueError(f"this is no CSV: {row.fault}")
    if len(row.fields) != n_columns:
        raise ValueError(f"{len(row.fields)} fields, the first line names {n_columns} columns")
    pv, time, value = (row.fields[at[name]].strip() for name in _NEEDED)
    if not is_valid_pv_name(pv):
        raise ValueError(f"{pv[:80]!r} cannot be the name of a PV")
    return pv, _time_ns(time), _checked(value), _severity(row.fields[at["severity"]] if "severity" in at else "")


def _time_ns(text: str) -> int:
    if text.isascii() and text.removeprefix("-").isdigit():
        time_ns = int(text)
    elif text[:1].isdigit():  # never "now" or a time ago: a file says the same whenever it is read
        time_ns = parse_time_ns(text, 0)
    else:
        raise ValueError(f"{text[:80]!r} is no time: ISO 8601 with a zone, or whole nanoseconds since 1970 UTC")
    if not -(2**63) <= time_ns < 2**63 - 1:  # stretches are half-open: the last moment is in none
        raise ValueError(f"{text[:80]} ns are beyond the times that can be stored")
    return time_ns


def _severity(text: str) -> int:
    word = text.strip() or "0"
    if word not in ("0", "1", "2", "3"):
        raise ValueError(f"{word[:80]!r} is no severity: 0 none, 1 minor, 2 major, 3 invalid")
    return int(word)


def _checked(text: str) -> str:
    if not text:
        raise ValueError("there is no value")
    if not text.isascii():
        _check_utf8(text)
    number = _number(text)
    if number is not None and math.isinf(number) and "inf" not in text.lower():
        raise ValueError(f"{text[:80]} is beyond the numbers that a float64 can hold")
    return text


def _check_utf8(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{text[error.start]!a} is no UTF-8: convert the file, such as with iconv") from None


def _number(text: str) -> float | None:
    # Python also reads 1_000 and the digits of other scripts, which no other reader of CSV takes for numbers
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _typed(values: list[str]) -> tuple[ValueType, pa.Array]:
    numbers = [number for text in values if (number := _number(text)) is not None]
    if len(numbers) == len(values):
        return ValueType.FLOAT64, pa.array(numbers, VALUE_TYPES[ValueType.FLOAT64])
    return ValueType.STRING, pa.array(values, VALUE_TYPES[ValueType.STRING])
