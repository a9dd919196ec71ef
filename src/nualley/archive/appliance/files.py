"""Files of the Archiver Appliance (``.pb``): a line that says what follows, then one event a line."""

import base64
import calendar
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError

from nualley.archive.appliance.messages import EVENTS, PayloadInfo, PayloadType, unescape_line
from nualley.archive.columns import VALUE_TYPES
from nualley.archive.importing import ImportedRows
from nualley.archive.names import is_valid_pv_name
from nualley.core import SECOND_NS
from nualley.pv import ValueType

CHUNK_EVENTS = 1_000_000
"""A file is handed on in pieces of so many events."""

_LATEST_NS = 2**63 - 1 - SECOND_NS  # what is behind a sample by a little must fit too
_DIGITS = re.compile(r"[0-9]{1,2}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)  # up to the year 2286; what is said of a link later is not believed

_TYPES: Mapping[PayloadType, ValueType] = {
    PayloadType.SCALAR_STRING: ValueType.STRING,
    PayloadType.SCALAR_SHORT: ValueType.INT64,
    PayloadType.SCALAR_FLOAT: ValueType.FLOAT64,
    PayloadType.SCALAR_ENUM: ValueType.ENUM,
    PayloadType.SCALAR_BYTE: ValueType.INT64,
    PayloadType.SCALAR_INT: ValueType.INT64,
    PayloadType.SCALAR_DOUBLE: ValueType.FLOAT64,
    PayloadType.WAVEFORM_STRING: ValueType.STRING_ARRAY,
    PayloadType.WAVEFORM_SHORT: ValueType.INT32_ARRAY,
    PayloadType.WAVEFORM_FLOAT: ValueType.FLOAT32_ARRAY,
    PayloadType.WAVEFORM_ENUM: ValueType.INT32_ARRAY,
    PayloadType.WAVEFORM_BYTE: ValueType.INT32_ARRAY,
    PayloadType.WAVEFORM_INT: ValueType.INT32_ARRAY,
    PayloadType.WAVEFORM_DOUBLE: ValueType.FLOAT64_ARRAY,
    PayloadType.V4_GENERIC_BYTES: ValueType.STRING,
}


def _signed(value: bytes) -> int:
    return int.from_bytes(value[:1], "big", signed=True)


def _text(value: str | bytes) -> str:
    # protobuf hands out bytes where text is no UTF-8
    if isinstance(value, bytes):
        raise ValueError(f"{value[:80]!r} is no UTF-8")  # noqa: TRY004  # a damaged file, not a wrong call
    return value


_FROM_WIRE: Mapping[PayloadType, Callable[[Any], Any]] = {
    PayloadType.SCALAR_STRING: _text,
    PayloadType.SCALAR_BYTE: _signed,
    PayloadType.WAVEFORM_BYTE: lambda value: np.array(list(value), dtype=np.uint8).astype(np.int8).tolist(),
    PayloadType.V4_GENERIC_BYTES: lambda value: base64.b64encode(value).decode(),
    **{payload: list for payload in PayloadType if payload.name.startswith("WAVEFORM_") and payload.name[9:] != "BYTE"},
    PayloadType.WAVEFORM_STRING: lambda value: [_text(word) for word in value],
}


@dataclass(slots=True)
class Damage:
    """Lines that could not be read.

    Parameters
    ----------
    n_lines : int
        How many.
    places : list of str
        The first of them: file, line, and what is wrong.
    lines : list of (str, int, str, bytes)
        All of them: file, number of the line, what is wrong, and its bytes.
    """

    n_lines: int = 0
    places: list[str] = field(default_factory=list)
    lines: list[tuple[str, int, str, bytes]] = field(default_factory=list)

    def note(self, source: str, line: int, what: str, raw: bytes = b"") -> None:
        """Count and keep a line, and remember where it was while there are few."""
        self.n_lines += 1
        self.lines.append((source, line, what, raw))
        if len(self.places) < 20:
            self.places.append(f"{source}:{line}: {what}")


class _Chunk:
    """Events of one PV and year that wait to be handed on."""

    def __init__(self, info: Any, source: str) -> None:
        if not is_valid_pv_name(_text(info.pvname)):
            raise ValueError(f"{info.pvname[:80]!r} cannot be the name of a PV")
        self.payload = PayloadType(info.type)
        self.year_s = calendar.timegm((info.year, 1, 1, 0, 0, 0))
        self._info, self._source = info, source
        self._labels = {_text(header.name): _text(header.val) for header in info.headers}
        self._clear()

    def _clear(self) -> None:
        self.time_ns: list[int] = []
        self.values: list[Any] = []
        self.severity: list[int] = []
        self.status: list[int] = []
        self._links: list[tuple[int, Literal["disconnect", "reconnect"]]] = []

    def add(self, event: Any, convert: Callable[[Any], Any] | None) -> None:
        time_ns = (self.year_s + event.secondsintoyear) * SECOND_NS + event.nano
        value = event.val if convert is None else convert(event.val)
        if abs(time_ns) > _LATEST_NS or not -(2**15) <= event.status < 2**15:
            raise ValueError(f"{time_ns} ns with status {event.status} are beyond what can be stored")
        fields = {_text(pair.name): _text(pair.val) for pair in event.fieldvalues}
        # all of it could be read: nothing is added of a line that is damaged
        self.time_ns.append(time_ns)
        self.values.append(value)
        self.severity.append(event.severity)
        self.status.append(event.status)
        if fields:
            self._note_fields(fields)

    def _note_fields(self, values: Mapping[str, str]) -> None:
        # when the appliance lost and regained the PV: it writes both into the first event after that
        lost_ns, regained_ns = (_epoch_ns(values.get(name)) for name in ("cnxlostepsecs", "cnxregainedepsecs"))
        if lost_ns and regained_ns and lost_ns <= regained_ns:
            self._links += [(lost_ns, "disconnect"), (regained_ns, "reconnect")]
        self._labels.update({name: values[name] for name in ("EGU", "PREC") if name in values})

    def take(self) -> ImportedRows:
        value_type = _TYPES[self.payload]
        precision = self._labels.get("PREC", "").partition(".")[0]
        rows = ImportedRows(
            pv=self._info.pvname,
            value_type=value_type,
            time_ns=np.array(self.time_ns, dtype=np.int64),
            value=pa.array(self.values, VALUE_TYPES[value_type]),
            severity=np.clip(np.array(self.severity, dtype=np.int64), 0, 3).astype(np.int8),
            status=np.array(self.status, dtype=np.int64).astype(np.int16),
            links=tuple(self._links),
            unit=self._labels.get("EGU", ""),
            precision=int(precision) if _DIGITS.fullmatch(precision) else None,
            source=self._source,
        )
        self._clear()
        return rows


def _epoch_ns(text: str | None) -> int:
    return int(text) * SECOND_NS if text and _SECONDS.fullmatch(text) else 0


def read_events(lines: Iterable[bytes], source: str, damage: Damage) -> Iterator[ImportedRows]:
    """Read a file of the appliance, or what it sends as ``raw``.

    Parameters
    ----------
    lines : iterable of bytes
        Its lines with their ends; an empty one begins a new chunk with a line of its own that says what follows.
    source : str
        Where they are from, for messages.
    damage : Damage
        Takes the lines that cannot be read; the others are read all the same.

    Yields
    ------
    ImportedRows
        Some hundred thousand events at most.
    """
    chunk: _Chunk | None = None
    wants_info = True
    parse, convert = None, None
    for number, raw in enumerate(lines, start=1):
        line = raw.rstrip(b"\n")
        if not line:
            wants_info = True
            continue
        if not raw.endswith(b"\n"):
            damage.note(source, number, "the last line is cut short", raw)
            break
        if wants_info and chunk is not None and chunk.time_ns:
            yield chunk.take()
        try:
            if wants_info:
                wants_info, chunk = False, None  # where this line is damaged, nobody knows what those behind it are
                chunk = _Chunk(PayloadInfo.FromString(unescape_line(line)), source)
                parse, convert = EVENTS[chunk.payload].FromString, _FROM_WIRE.get(chunk.payload)
            elif chunk is None or parse is None:
                damage.note(source, number, "no line before it says what it is", line)
            else:
                chunk.add(parse(unescape_line(line)), convert)
        except (DecodeError, ValueError, OverflowError) as error:
            damage.note(source, number, str(error) or type(error).__name__, line)
        if chunk is not None and len(chunk.time_ns) >= CHUNK_EVENTS:
            yield chunk.take()
    if chunk is not None and chunk.time_ns:
        yield chunk.take()
