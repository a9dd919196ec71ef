r"""The write-ahead log's bytes: CRC-framed commits, each whole or not there.

A segment is a header and frames, one frame a commit::

    segment   magic "NUWALv1\n" | segment number u64 | crc32 of both u32 | 4 bytes 0
    frame     magic "NUFR" | payload length u32 | crc32 of the payload u32 | payload
    payload   sections: kind u8 | value type u8 | 2 bytes 0 | length u32 | bytes, padded to 8
    sections  note (JSON), rows (Arrow IPC record batch), quarantine (the same with ``reason``)

All integers are little endian. A frame that is cut short or fails its CRC is passed over; the commits are numbered
without a hole, so that what is missing shows.
"""

import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

import pyarrow as pa
from zlib_ng import zlib_ng

from nualley.archive.columns import log_schema
from nualley.archive.commits import Commit, Note
from nualley.archive.errors import ArchiveNewerError, LogDamagedError
from nualley.archive.progress import NOTHING_YET, Account
from nualley.pv import Limits, Metadata, ValueType

_VERSION = 1
_VERSIONED = re.compile(rb"NUWALv(\d+)\n")
SEGMENT_MAGIC = b"NUWALv%d\n" % _VERSION
FRAME_MAGIC = b"NUFR"
SEGMENT_HEADER = struct.Struct("<8sQI4x")
FRAME_HEADER = struct.Struct("<4sII")
_SECTION_HEADER = struct.Struct("<BBHI")
_ALIGNMENT_B = 8

# codes are part of the format: append, never renumber
_TYPE_CODES: Mapping[ValueType, int] = {
    ValueType.FLOAT64: 1,
    ValueType.INT64: 2,
    ValueType.STRING: 3,
    ValueType.ENUM: 4,
    ValueType.FLOAT64_ARRAY: 5,
    ValueType.FLOAT32_ARRAY: 6,
    ValueType.INT32_ARRAY: 7,
    ValueType.STRING_ARRAY: 8,
}
_TYPES_BY_CODE = {code: value_type for value_type, code in _TYPE_CODES.items()}


@dataclass(frozen=True, slots=True)
class Survey:
    """How much of a segment is whole.

    Parameters
    ----------
    intact_B : int
        Where its last whole frame ends [B]; what follows is a torn tail.
    damaged : tuple of (int, int)
        Stretches before it that are no whole frames: start and stop [B].
    """

    intact_B: int
    damaged: tuple[tuple[int, int], ...] = ()


class _Section(IntEnum):
    NOTE = 1
    ROWS = 2
    QUARANTINE = 3


def encode_segment_header(segment: int) -> bytes:
    """Return the first bytes of a segment."""
    return SEGMENT_HEADER.pack(SEGMENT_MAGIC, segment, _header_crc32(SEGMENT_MAGIC, segment))


def _header_crc32(magic: bytes, segment: int) -> int:
    return zlib_ng.crc32(magic + segment.to_bytes(8, "little"))


def check_header(head: bytes, segment: int, where: str) -> None:
    """Refuse a segment that a newer nualley wrote, or that stands under another one's name.

    Parameters
    ----------
    head : bytes
        Its first bytes; anything that is no header at all is damage, found by `survey` and by the commits' numbers.
    segment : int
        Number that its name says.
    where : str
        Its path, for the error.

    Raises
    ------
    ArchiveNewerError
        Where the version is another one.
    LogDamagedError
        Where it is another segment: read in the place of this one, its commits would be passed over and removed.
    """
    if len(head) < SEGMENT_HEADER.size:
        return
    magic, number, crc32 = SEGMENT_HEADER.unpack_from(head)
    found = _VERSIONED.fullmatch(magic)
    # one flipped bit makes another version: only a header that is whole is believed
    if not found or crc32 != _header_crc32(magic, number):
        return
    if magic == SEGMENT_MAGIC and number != segment:
        raise LogDamagedError(
            f"the file is segment {number} of the log, its name says {segment}",
            where=where,
            do=f"give every segment its own name again: this one is {number:08d}.wal",
        )
    if magic != SEGMENT_MAGIC:
        raise ArchiveNewerError(
            f"the log has version {int(found[1])}, this nualley knows {_VERSION}",
            where=where,
            do="use the nualley that wrote it, or a newer one",
        )


def encode_commit(commit: Commit) -> bytes:
    """Return a commit as one frame.

    Parameters
    ----------
    commit : Commit
        Note, rows and refused samples.

    Returns
    -------
    bytes
        Header and payload.
    """
    parts: list[bytes | memoryview] = []
    _append_section(parts, _Section.NOTE, 0, json.dumps(asdict(commit.note), separators=(",", ":")).encode())
    for section, batches in ((_Section.ROWS, commit.rows), (_Section.QUARANTINE, commit.quarantined)):
        for value_type, batch in batches.items():
            _append_section(parts, section, _TYPE_CODES[value_type], batch.serialize())
    payload = b"".join(parts)
    return FRAME_HEADER.pack(FRAME_MAGIC, len(payload), zlib_ng.crc32(payload)) + payload


def _append_section(
    parts: list[bytes | memoryview], section: _Section, type_code: int, body: pa.Buffer | bytes
) -> None:
    size = len(body)
    parts.append(_SECTION_HEADER.pack(section, type_code, 0, size))
    parts.append(memoryview(body))
    parts.append(bytes(-size % _ALIGNMENT_B))


def iterate_commits(buffer: bytes | memoryview, offset_B: int = 0) -> Iterator[tuple[int, Commit]]:
    """Read the frames of a segment; what is damaged between two whole frames is passed over.

    Parameters
    ----------
    buffer : bytes-like
        Frames; the segment's header, where it is in the buffer, is skipped by ``offset_B``.
    offset_B : int
        Where the first frame begins [B].

    Yields
    ------
    tuple of int and Commit
        Where the frame ends [B], and the commit.
    """
    view = memoryview(buffer)
    for start, stop in _frames(view, offset_B):
        yield stop, _decode_payload(view[start + FRAME_HEADER.size : stop])


def survey(buffer: bytes | memoryview, offset_B: int = 0) -> Survey:
    """Say how much of a segment is whole, without decoding any of it.

    Parameters
    ----------
    buffer : bytes-like
        As for `iterate_commits`.
    offset_B : int
        Where the first frame begins [B].

    Returns
    -------
    Survey
        Where the last whole frame ends, and the stretches before it that are damaged.
    """
    damaged = []
    end = offset_B
    for start, stop in _frames(memoryview(buffer), offset_B):
        if start > end:
            damaged.append((end, start))
        end = stop
    return Survey(end, tuple(damaged))


def _frames(view: memoryview, offset_B: int) -> Iterator[tuple[int, int]]:
    while (found := _next_frame(view, offset_B)) is not None:
        yield found
        offset_B = found[1]


def _next_frame(view: memoryview, offset_B: int) -> tuple[int, int] | None:
    stop = _frame_end(view, offset_B)
    if stop is not None:
        return offset_B, stop
    # torn or damaged: a whole frame further on tells which (a false one would need the magic and its CRC)
    raw = view.obj if isinstance(view.obj, bytes) else bytes(view)
    start = raw.find(FRAME_MAGIC, offset_B + 1)
    while start >= 0:
        stop = _frame_end(view, start)
        if stop is not None:
            return start, stop
        start = raw.find(FRAME_MAGIC, start + 1)
    return None


def _frame_end(view: memoryview, offset_B: int) -> int | None:
    start = offset_B + FRAME_HEADER.size
    if start > len(view):
        return None
    magic, length, crc32 = FRAME_HEADER.unpack_from(view, offset_B)
    stop: int = start + length
    if magic != FRAME_MAGIC or stop > len(view) or zlib_ng.crc32(view[start:stop]) != crc32:
        return None
    return stop


def _decode_payload(payload: memoryview) -> Commit:
    note = Note(NOTHING_YET)
    batches: dict[_Section, dict[ValueType, pa.RecordBatch]] = {_Section.ROWS: {}, _Section.QUARANTINE: {}}
    offset = 0
    while offset < len(payload):
        section, type_code, _, size = _SECTION_HEADER.unpack_from(payload, offset)
        start = offset + _SECTION_HEADER.size
        body = payload[start : start + size]
        offset = start + size + (-size % _ALIGNMENT_B)
        if section == _Section.NOTE:
            note = _decode_note(bytes(body))
        else:
            value_type = _TYPES_BY_CODE[type_code]
            schema = log_schema(value_type, is_quarantine=section == _Section.QUARANTINE)
            # a copy: the batch must outlive the segment's map, and Arrow wants its buffers aligned
            buffer = pa.py_buffer(bytes(body))
            batches[_Section(section)][value_type] = pa.ipc.read_record_batch(buffer, schema)
    return Commit(note, batches[_Section.ROWS], batches[_Section.QUARANTINE])


def _decode_note(body: bytes) -> Note:
    fields = json.loads(body)
    fields["account"] = Account(**fields["account"])
    fields["names"] = {int(code): name for code, name in fields["names"].items()}
    fields["filtered"] = {int(code): counts for code, counts in fields["filtered"].items()}
    fields["iocs"] = {int(code): ioc for code, ioc in fields["iocs"].items()}
    fields["silent"] = tuple(fields.get("silent", ()))
    fields["refused"] = {int(seq): reason for seq, reason in fields.get("refused", {}).items()}
    fields["metadata"] = tuple(metadata_from_json(entry) for entry in fields["metadata"])
    return Note(**fields)


def metadata_from_json(entry: Mapping[str, Any]) -> Metadata:
    """Return the metadata that ``dataclasses.asdict`` took apart."""
    typed = {
        "value_type": ValueType(entry["value_type"]),
        "labels": tuple(entry["labels"]),
        "limits": Limits(**entry["limits"]),
    }
    return Metadata(**{**entry, **typed})
