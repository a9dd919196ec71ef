"""Samples as CSV: columns pv, time, value and, where it is there, severity; or what `exporting` writes."""

import csv
import json
import math
import sys
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from nualley.archive.columns import VALUE_TYPES, is_storable
from nualley.archive.importing import BRACKET_SEQ, ImportedRows, LinkKind
from nualley.archive.layouts import NUMBERS
from nualley.archive.names import is_valid_pv_name
from nualley.core import NualleyError, UsageError, parse_time_ns
from nualley.pv import PvProtocol, ValueType

CHUNK_ROWS = 200_000
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_NEEDED = ("pv", "time", "value")
_COLUMNS = (*_NEEDED, "severity")
_OWN = ("pv", "time_ns", "value", "severity", "status", "protocol", "seq", "kind", "last_heard_ns")
"""Columns of our own files that are read; they are ours where there is no time, and a time_ns."""


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
    """How many values of each PV are numbers, arrays and words, over all files: one word does not make text of a PV.

    Parameters
    ----------
    by_pv : dict of str to collections.Counter
        Values of each PV by what they could be at best: FLOAT64, FLOAT64_ARRAY, STRING_ARRAY or STRING.
    """

    by_pv: dict[str, Counter[ValueType]] = field(default_factory=lambda: defaultdict(Counter))

    def count(self, lines: Iterable[str], source: str) -> None:
        """Count the values of a file; see `read_csv` for what it takes and raises."""
        for row in _rows_of(lines, source, None):
            if isinstance(row, _Sample):
                self.by_pv[row.pv][best_type(row.value)] += 1

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
            What the archive has, of numbers FLOAT64; of a PV that it does not know FLOAT64 or an array where at least
            half of the values are that, else STRING.
        """
        if known is not None:
            return ValueType.FLOAT64 if known in NUMBERS else known
        counts = self.by_pv.get(pv, Counter())
        for value_type in (ValueType.FLOAT64, ValueType.FLOAT64_ARRAY, ValueType.STRING_ARRAY):
            if 2 * counts[value_type] >= counts.total():
                return value_type
        return ValueType.STRING


class _Chunk:
    def __init__(self) -> None:
        self.time_ns: list[int] = []
        self.value: list[object] = []
        self.severity: list[int] = []
        self.status: list[int] = []
        self.links: list[tuple[int, LinkKind]] = []

    def add(self, sample: "_Sample", value: object) -> None:
        self.time_ns.append(sample.time_ns)
        self.value.append(value)
        self.severity.append(sample.severity)
        self.status.append(sample.status)

    def take(self, pv: str, source: str, value_type: ValueType) -> ImportedRows:
        return ImportedRows(
            pv=pv,
            value_type=value_type,
            time_ns=np.array(self.time_ns, dtype=np.int64),
            value=pa.array(self.value, VALUE_TYPES[value_type]),
            severity=np.array(self.severity, dtype=np.int8),
            status=np.array(self.status, dtype=np.int16),
            links=tuple(self.links),
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
        nanoseconds since 1970 UTC), value, and severity (0 to 3) where it is there. An array is written as in JSON.
        Or a file of ours, with a column time_ns: of it, status is read too, and its disconnects, gaps, pauses and
        reconnects.
    source : str
        Where they are from, for messages.
    refused : RefusedLines
        Takes the lines that are no samples.
    type_of : callable
        Says what the values of a PV are: see `ValueCounts`.

    Yields
    ------
    ImportedRows
        Of one PV each, of the type that was said; a value that is none where numbers or arrays are wanted is refused.

    Raises
    ------
    CsvHeaderError
        Where a column is missing, or named twice.
    """
    types: dict[str, ValueType] = {}
    chunks: dict[str, _Chunk] = defaultdict(_Chunk)
    n_waiting = 0
    for row in _rows_of(lines, source, refused):
        pv = row.pv
        if pv not in types:
            types[pv] = type_of(pv)
        if isinstance(row, _Link):
            chunks[pv].links.append((row.time_ns, row.kind))
            continue
        value = value_of(row.value, types[pv])
        if value is None:
            what = f"{row.value[:80]!r} is {_NONE.get(types[pv], 'no array')}, as the values of {pv} are"
            refused.lines.append((source, row.line, what, row.text))
            continue
        chunks[pv].add(row, value)
        n_waiting += 1
        if n_waiting >= CHUNK_ROWS:
            yield from (found.take(name, source, types[name]) for name, found in chunks.items())
            chunks.clear()
            n_waiting = 0
    yield from (found.take(name, source, types[name]) for name, found in chunks.items())


_NONE = {ValueType.FLOAT64: "no number"}


@dataclass(frozen=True, slots=True)
class _Sample:
    line: int
    text: str
    pv: str
    time_ns: int
    value: str
    severity: int
    status: int = 0


@dataclass(frozen=True, slots=True)
class _Link:
    pv: str
    time_ns: int
    kind: LinkKind


def _rows_of(lines: Iterable[str], source: str, refused: RefusedLines | None) -> Iterator[_Sample | _Link]:
    """Yield the samples of a file, values as they are written; what is none is put with the refused lines."""
    rows = _rows(iter(lines))
    head = next(rows, _Row(1, "", []))
    names = [name.strip().lower() for name in head.fields]
    is_own = "time_ns" in names and "time" not in names
    _check_names(names, f"{source}:1", is_own=is_own)
    at = {name: names.index(name) for name in (_OWN if is_own else _COLUMNS) if name in names}
    read = _own_row if is_own else _foreign_row
    for row in rows:
        if not row.fields and not row.fault:
            continue
        try:
            _check_fields(row, len(names))
            found = read(row, at)
        except (ValueError, NualleyError) as error:
            what = error.what if isinstance(error, NualleyError) else str(error)
            if refused is not None:
                refused.lines.append((source, row.number, what, row.text))
            continue
        if found is not None:
            yield found


def _check_names(names: Sequence[str], where: str, *, is_own: bool) -> None:
    do = "write pv,time,value or pv,time,value,severity above the samples"
    missing = [name for name in _NEEDED if name not in names and not (is_own and name == "time")]
    shown = ascii(",".join(names))[:80]
    if missing:
        raise CsvHeaderError(f"the first line names no column {', '.join(missing)}: {shown}", where=where, do=do)
    twice = [name for name in (_OWN if is_own else _COLUMNS) if names.count(name) > 1]
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


def _check_fields(row: _Row, n_columns: int) -> None:
    if row.fault:
        raise ValueError(f"this is no CSV: {row.fault}")
    if len(row.fields) != n_columns:
        raise ValueError(f"{len(row.fields)} fields, the first line names {n_columns} columns")


def _foreign_row(row: _Row, at: Mapping[str, int]) -> _Sample:
    pv, time, value = (row.fields[at[name]].strip() for name in _NEEDED)
    _check_pv(pv)
    severity = _severity(row.fields[at["severity"]] if "severity" in at else "")
    time_ns = _time_ns(time)
    if not value:
        raise ValueError("there is no value")
    return _Sample(row.number, row.text, pv, time_ns, _checked(value), severity)


def _own_row(row: _Row, at: Mapping[str, int]) -> _Sample | _Link | None:
    """Return a row of a file of ours; None where it says how far an earlier import reached: this one says its own."""

    def told(name: str) -> str:
        return row.fields[at[name]].strip() if name in at else ""

    pv, time_ns, kind = told("pv"), _time_ns(told("time_ns")), told("kind") or "sample"
    _check_pv(pv)
    if kind == "sample":
        # a text may be empty, and begin with a space
        value = _checked(row.fields[at["value"]])
        return _Sample(row.number, row.text, pv, time_ns, value, _severity(told("severity")), _status(told("status")))
    if kind not in _LINKS:
        raise ValueError(f"{kind[:80]!r} is no kind of row: sample, {', '.join(_LINKS)}")
    if told("protocol") == PvProtocol.IMPORT and told("seq") == str(BRACKET_SEQ):
        return None
    if kind in _NOTICED and told("last_heard_ns"):
        time_ns = min(time_ns, _time_ns(told("last_heard_ns")))
    return _Link(pv, time_ns, _LINKS[kind])


_LINKS: Mapping[str, LinkKind] = {
    "disconnect": "disconnect",
    "gap": "disconnect",
    "pause": "disconnect",
    "reconnect": "reconnect",
}
_NOTICED = ("disconnect", "gap")
"""Rows that stand where a silence was noticed, which began before."""


def _check_pv(pv: str) -> None:
    if not is_valid_pv_name(pv):
        raise ValueError(f"{pv[:80]!r} cannot be the name of a PV")


def _status(text: str) -> int:
    status = int(text or "0") if text.removeprefix("-").isdigit() or not text else 2**15
    if not -(2**15) <= status < 2**15:
        raise ValueError(f"{text[:80]!r} is no alarm status")
    return status


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


def best_type(text: str) -> ValueType:
    """Return what a value could be at best.

    Examples
    --------
    >>> [str(best_type(text)) for text in ("1.5", "[1, 2.5]", '["a"]', "[1", "on")]
    ['float64', 'float64-array', 'string-array', 'string', 'string']
    """
    if _number(text) is not None:
        return ValueType.FLOAT64
    array = _array(text)
    if array is None or not (_are_numbers(array) or _are_words(array)):
        return ValueType.STRING
    return ValueType.FLOAT64_ARRAY if _are_numbers(array) else ValueType.STRING_ARRAY


def value_of(text: str, value_type: ValueType) -> object:
    """Return a value of a type as it is written; None where it cannot be that.

    Examples
    --------
    >>> value_of("1.5", ValueType.FLOAT64), value_of("[1, 2]", ValueType.FLOAT64_ARRAY)
    (1.5, [1, 2])
    """
    if value_type is ValueType.STRING:
        return text
    if value_type is ValueType.FLOAT64:
        return _number(text)
    array = _array(text)
    return array if array is not None and _FITS[value_type](array) else None


def _array(text: str) -> list[object] | None:
    if not text.lstrip().startswith("["):
        return None
    try:
        found = json.loads(text, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:80]} is beyond the numbers that a float64 can hold")
    return number


def _are_numbers(items: Sequence[object], largest: float = sys.float_info.max) -> bool:
    return all(
        isinstance(item, int | float)
        and not isinstance(item, bool)
        and (abs(item) <= largest or (isinstance(item, float) and not math.isfinite(item)))
        for item in items
    )


def _are_words(items: Sequence[object]) -> bool:
    return is_storable(items, ValueType.STRING_ARRAY)


_FITS: Mapping[ValueType, Callable[[Sequence[object]], bool]] = {
    ValueType.FLOAT64_ARRAY: _are_numbers,
    ValueType.FLOAT32_ARRAY: lambda items: _are_numbers(items, _LARGEST_FLOAT32),
    ValueType.INT32_ARRAY: lambda items: all(type(item) is int and -(2**31) <= item < 2**31 for item in items),
    ValueType.STRING_ARRAY: _are_words,
}
