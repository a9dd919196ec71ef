"""Samples as CSV: columns pv, time, value and, where it is there, severity."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
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


class CsvHeaderError(UsageError):
    """A CSV file whose first line does not name the columns."""


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
        Where a column is missing.
    """
    reader = csv.reader(lines)
    head = [name.strip().lower() for name in next(reader, [])]
    missing = [name for name in _NEEDED if name not in head]
    if missing:
        raise CsvHeaderError(
            f"the first line names no column {', '.join(missing)}: {','.join(head)[:80]!r}",
            where=f"{source}:1",
            do="write pv,time,value or pv,time,value,severity above the samples",
        )
    at = {name: head.index(name) for name in (*_NEEDED, "severity") if name in head}
    chunks: dict[str, _Chunk] = defaultdict(_Chunk)
    n_waiting = 0
    for row in reader:
        if not row:
            continue
        try:
            pv, time_ns, value, severity = _sample(row, at)
        except (ValueError, IndexError, NualleyError) as error:
            what = error.what if isinstance(error, NualleyError) else str(error)
            refused.lines.append((source, reader.line_num, what, ",".join(row)))
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


def _sample(row: list[str], at: dict[str, int]) -> tuple[str, int, str, int]:
    pv, time, value = (row[at[name]].strip() for name in _NEEDED)
    if not is_valid_pv_name(pv):
        raise ValueError(f"{pv!r} cannot be the name of a PV")
    if not value:
        raise ValueError("there is no value")
    time_ns = int(time) if time.lstrip("-").isdigit() else parse_time_ns(time, 0)
    if not -(2**63) <= time_ns < 2**63:
        raise ValueError(f"{time} ns are beyond the times that can be stored")
    severity = int(row[at["severity"]] or 0) if "severity" in at else 0
    if not 0 <= severity <= 3:
        raise ValueError(f"{severity} is no severity: 0 none, 1 minor, 2 major, 3 invalid")
    return pv, time_ns, value, severity


def _typed(values: list[str]) -> tuple[ValueType, pa.Array]:
    try:
        return ValueType.FLOAT64, pa.array([float(value) for value in values], VALUE_TYPES[ValueType.FLOAT64])
    except ValueError:
        return ValueType.STRING, pa.array(values, VALUE_TYPES[ValueType.STRING])
