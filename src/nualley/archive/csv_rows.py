"""Samples as CSV: columns pv, time, value and, where it is there, severity."""

import csv
import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from nualley.archive.columns import VALUE_TYPES
from nualley.archive.importing import ImportedRows
from nualley.archive.layouts import NUMBERS
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


@dataclass(slots=True)
class ValueCounts:
    """How many values of each PV are numbers, over all files of an import: one word does not make text of a PV.

    Parameters
    ----------
    n_numbers, n_words : collections.Counter
        Values of each PV that are numbers, and those that are not.
    """

    n_numbers: Counter[str] = field(default_factory=Counter)
    n_words: Counter[str] = field(default_factory=Counter)

    def count(self, lines: Iterable[str], source: str) -> None:
        """Count the values of a file; see `read_csv` for what it takes and raises."""
        for sample in _samples(lines, source, None):
            counts = self.n_words if _number(sample.value) is None else self.n_numbers
            counts[sample.pv] += 1

    def value_type(self, pv: str, known: ValueType | None) -> ValueType:
        """Say what a PV's values are to be.

        Parameters
        ----------
        pv : str
            Its name.
        known : ValueType or None
            What the archive has them as.

        Returns
        -------
        ValueType
            FLOAT64 or STRING: what the archive has; of a PV that it does not know FLOAT64 where at least half of the
            values are numbers.
        """
        if known is ValueType.STRING:
            return ValueType.STRING
        is_numeric = known in NUMBERS or self.n_numbers[pv] >= self.n_words[pv]
        return ValueType.FLOAT64 if is_numeric else ValueType.STRING


class _Chunk:
    def __init__(self) -> None:
        self.time_ns: list[int] = []
        self.value: list[str] = []
        self.severity: list[int] = []

    def take(self, pv: str, source: str, value_type: ValueType) -> ImportedRows:
        found = [_number(text) for text in self.value] if value_type is ValueType.FLOAT64 else self.value
        return ImportedRows(
            pv=pv,
            value_type=value_type,
            time_ns=np.array(self.time_ns, dtype=np.int64),
            value=pa.array(found, VALUE_TYPES[value_type]),
            severity=np.array(self.severity, dtype=np.int8),
            status=np.zeros(len(self.time_ns), dtype=np.int16),
            source=source,
        )


def read_csv(
    lines: Iterable[str], source: str, refused: RefusedLines, type_of: Callable[[str], ValueType]
) -> Iterator[ImportedRows]:
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
    type_of : callable
        Says what the values of a PV are, FLOAT64 or STRING: see `ValueCounts`.

    Yields
    ------
    ImportedRows
        Of one PV each, of the type that was said; a value that is no number where numbers are wanted is refused.

    Raises
    ------
    CsvHeaderError
        Where a column is missing, or named twice.
    """
    types: dict[str, ValueType] = {}
    chunks: dict[str, _Chunk] = defaultdict(_Chunk)
    n_waiting = 0
    for sample in _samples(lines, source, refused):
        pv = sample.pv
        if pv not in types:
            types[pv] = type_of(pv)
        if types[pv] is ValueType.FLOAT64 and _number(sample.value) is None:
            what = f"{sample.value[:80]!r} is no number, as the values of {pv} are"
            refused.lines.append((source, sample.line, what, sample.text))
            continue
        chunk = chunks[pv]
        chunk.time_ns.append(sample.time_ns)
        chunk.value.append(sample.value)
        chunk.severity.append(sample.severity)
        n_waiting += 1
        if n_waiting >= CHUNK_ROWS:
            yield from (found.take(name, source, types[name]) for name, found in chunks.items())
            chunks.clear()
            n_waiting = 0
    yield from (found.take(name, source, types[name]) for name, found in chunks.items())


@dataclass(frozen=True, slots=True)
class _Sample:
    line: int
    text: str
    pv: str
    time_ns: int
    value: str
    severity: int


def _samples(lines: Iterable[str], source: str, refused: RefusedLines | None) -> Iterator[_Sample]:
    """Yield the samples of a file, values as they are written; what is none is put with the refused lines."""
    rows = _rows(iter(lines))
    head = next(rows, _Row(1, "", []))
    names = [name.strip().lower() for name in head.fields]
    _check_names(names, f"{source}:1")
    at = {name: names.index(name) for name in _COLUMNS if name in names}
    for row in rows:
        if not row.fields and not row.fault:
            continue
        try:
            yield _Sample(row.number, row.text, *_sample(row, at, len(names)))
        except (ValueError, NualleyError) as error:
            what = error.what if isinstance(error, NualleyError) else str(error)
            if refused is not None:
                refused.lines.append((source, row.number, what, row.text))


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
