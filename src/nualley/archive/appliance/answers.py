"""What the Archiver Appliance's retrieval answers, piece by piece: ``json``, ``qw``, ``raw``, ``csv`` and ``txt``."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from nualley.archive.appliance.messages import PayloadType
from nualley.archive.appliance.writing import event_lines, info_line, links_of, payload_of, years_of
from nualley.core import SECOND_NS, format_time
from nualley.pv import Metadata

SLICE_ROWS = 5000
"""Answers are made in parts of so many samples."""


@dataclass(frozen=True, slots=True)
class History:
    """Samples of a PV to be told.

    Parameters
    ----------
    pv : str
        Its name.
    headers : mapping of str to str
        As `headers` makes them.
    tables : iterable of pyarrow.Table
        Columns time_ns, value, severity and status, by time; perhaps lost_s and regained_s, see
        `nualley.archive.operators.stretch.LINKS`.
    start_ns : int
        Where the question begins [ns since 1970 UTC]; an answer without samples is of its year.
    """

    pv: str
    headers: Mapping[str, str]
    tables: Iterable[pa.Table]
    start_ns: int

    def slices(self) -> Iterator[pa.Table]:
        """Return the samples in parts of `SLICE_ROWS` at most, none of which is empty."""
        for table in self.tables:
            for begin in range(0, len(table), SLICE_ROWS):
                yield table.slice(begin, SLICE_ROWS)


def headers(metadata: Metadata | None) -> dict[str, str]:
    """Return what the appliance says of a PV beside its samples: unit, digits, limits, words of an enum.

    Parameters
    ----------
    metadata : Metadata or None
        What its IOC said last; None where it was never heard.
    """
    if metadata is None:
        return {}
    found = {"EGU": metadata.unit} if metadata.unit else {}
    if metadata.precision is not None:
        found["PREC"] = str(metadata.precision)
    limits = metadata.limits
    pairs = {
        "HOPR": limits.display_high,
        "LOPR": limits.display_low,
        "HIHI": limits.alarm_high,
        "HIGH": limits.warning_high,
        "LOW": limits.warning_low,
        "LOLO": limits.alarm_low,
        "DRVH": limits.control_high,
        "DRVL": limits.control_low,
    }
    found |= {name: repr(value) for name, value in pairs.items() if value is not None and math.isfinite(value)}
    return found | {f"ENUM_{index}": label for index, label in enumerate(metadata.labels)}


_ENDS = "\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"  # what anybody takes for the end of a line or a column
_ESCAPES = str.maketrans({letter: letter.encode("unicode_escape").decode() for letter in "\\" + _ENDS})


class Form(Protocol):
    """A form of answers."""

    @property
    def media_type(self) -> str:
        """What the answer is."""
        ...

    def parts(self, histories: Iterable[History]) -> Iterator[bytes]:
        """Return the answer in parts."""
        ...


@dataclass(frozen=True, slots=True)
class Json:
    """Strict JSON: a list with ``{meta, data}`` for each PV; NaN and infinite values are null.

    Parameters
    ----------
    is_short : bool
        Whether each sample is ``{millis, val}``, as quick charts want it, instead of ``{secs, val, nanos, severity,
        status}``.
    """

    is_short: bool = False
    media_type: str = "application/json"

    def parts(self, histories: Iterable[History]) -> Iterator[bytes]:
        """Return the answer in parts."""
        opening = "["
        for history in histories:
            begun = False
            for samples in history.slices():
                rows = _compact(self._rows(samples))[1:-1]
                yield ("," + rows if begun else opening + self._opened(history, samples) + rows).encode()
                begun = True
            yield (b"" if begun else (opening + self._opened(history, None)).encode()) + b"]}"
            opening = ","
        yield b"]" if opening == "," else b"[]"

    def _opened(self, history: History, samples: pa.Table | None) -> str:
        meta: dict[str, Any] = {"name": history.pv}
        if self.is_short:
            meta["waveform"] = samples is not None and pa.types.is_list(samples["value"].type)
        return f'{{"meta":{_compact(meta | dict(history.headers))},"data":['

    def _rows(self, samples: pa.Table) -> list[dict[str, Any]]:
        rows = self._plain_rows(samples)
        for number, fields in links_of(samples).items():
            rows[number]["fields"] = fields
        return rows

    def _plain_rows(self, samples: pa.Table) -> list[dict[str, Any]]:
        time_ns, values = samples["time_ns"].to_pylist(), _strict(samples["value"])
        if self.is_short:
            return [{"millis": time // 1_000_000, "val": value} for time, value in zip(time_ns, values, strict=True)]
        marks = (pc.fill_null(samples[name], empty).to_pylist() for name, empty in (("severity", 3), ("status", 0)))
        return [
            {"secs": time // SECOND_NS, "val": value, "nanos": time % SECOND_NS, "severity": severity, "status": status}
            for time, value, severity, status in zip(time_ns, values, *marks, strict=True)
        ]


def _strict(column: pa.ChunkedArray) -> list[Any]:
    values: list[Any] = column.to_pylist()
    kind = column.type
    if pa.types.is_floating(kind):
        return [value if value is not None and math.isfinite(value) else None for value in values]
    if pa.types.is_list(kind) and pa.types.is_floating(kind.value_type):
        return [[item if math.isfinite(item) else None for item in value] for value in values]
    return values


def _compact(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


class Raw:
    """Protocol Buffers over HTTP: chunks of one PV, year and type, with an empty line between them."""

    media_type = "application/x-protobuf"

    def parts(self, histories: Iterable[History]) -> Iterator[bytes]:
        """Return the answer in parts."""
        separator = b""
        for history in histories:
            chunk: tuple[int, PayloadType] | None = None
            for samples in history.slices():
                for year, part in years_of(samples):
                    payload = _lasting(payload_of(part), chunk)
                    opening = b""
                    if chunk != (year, payload):
                        opening, separator = separator + _info(history, year, payload, part), b"\n"
                        chunk = year, payload
                    yield opening + b"".join(event_lines(year, payload, part))
            if chunk is None:
                year = int(format_time(history.start_ns)[:4])
                yield separator + info_line(history.pv, year, PayloadType.SCALAR_DOUBLE, history.headers)
                separator = b"\n"


def _lasting(payload: PayloadType, chunk: tuple[int, PayloadType] | None) -> PayloadType:
    # integers that have outgrown 32 bits stay doubles
    has_outgrown = chunk is not None and chunk[1] is PayloadType.SCALAR_DOUBLE
    return PayloadType.SCALAR_DOUBLE if has_outgrown and payload is PayloadType.SCALAR_INT else payload


def _info(history: History, year: int, payload: PayloadType, samples: pa.Table) -> bytes:
    first = samples["value"][0].as_py()
    n_elements = len(first) if isinstance(first, list) else 1
    return info_line(history.pv, year, payload, history.headers, n_elements)


@dataclass(frozen=True, slots=True)
class Lines:
    """A line for each sample: seconds, value, severity, status, nanoseconds; in CSV a text may have lines of its own.

    Parameters
    ----------
    media_type : str
        Of the answer.
    is_csv : bool
        Whether commas part the columns and nothing else is said, or tabs do, the seconds are words, each PV begins
        with a line of its own, and what would end a line or a column of a text is escaped as in Python.
    """

    media_type: str
    is_csv: bool

    def parts(self, histories: Iterable[History]) -> Iterator[bytes]:
        """Return the answer in parts."""
        for history in histories:
            if not self.is_csv:
                yield f"Beginning data for {history.pv}\n".encode()
            for samples in history.slices():
                text = io.StringIO()
                csv.writer(text, delimiter="," if self.is_csv else "\t", lineterminator="\n").writerows(
                    self._rows(samples)
                )
                yield text.getvalue().encode()

    def _rows(self, samples: pa.Table) -> Iterator[list[object]]:
        for row in samples.to_pylist():
            seconds, nanos = divmod(row["time_ns"], SECOND_NS)
            when = seconds if self.is_csv else format_time(seconds * SECOND_NS, digits=0)
            severity = 3 if row["severity"] is None else row["severity"]
            value = _word(row["value"])
            if not self.is_csv and isinstance(row["value"], str):  # an array is JSON, which has no such letters
                value = row["value"].translate(_ESCAPES)
            yield [when, value, severity, row["status"] or 0, nanos]


def _word(value: object) -> object:
    if isinstance(value, list):
        return json.dumps(value)
    return (
        {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(word := repr(value), word)
        if isinstance(value, float)
        else value
    )


FORMS: Mapping[str, Form] = {
    "json": Json(),
    "qw": Json(is_short=True),
    "raw": Raw(),
    "csv": Lines("text/csv", is_csv=True),
    "txt": Lines("text/plain; charset=utf-8", is_csv=False),
}
"""Every form by the ending of the address."""
