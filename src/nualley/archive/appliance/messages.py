"""The Archiver Appliance's Protocol Buffers messages, declared here: their public field numbers, no generated code.

Source: EPICS Archiver Appliance, ``EPICSEvent.proto`` (field numbers and types).
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "nualley.appliance"
_FIELD = descriptor_pb2.FieldDescriptorProto


class PayloadType(IntEnum):
    """What a file's values are."""

    SCALAR_STRING = 0
    SCALAR_SHORT = 1
    SCALAR_FLOAT = 2
    SCALAR_ENUM = 3
    SCALAR_BYTE = 4
    SCALAR_INT = 5
    SCALAR_DOUBLE = 6
    WAVEFORM_STRING = 7
    WAVEFORM_SHORT = 8
    WAVEFORM_FLOAT = 9
    WAVEFORM_ENUM = 10
    WAVEFORM_BYTE = 11
    WAVEFORM_INT = 12
    WAVEFORM_DOUBLE = 13
    V4_GENERIC_BYTES = 14


# type of `val`, and whether it is repeated
_VALUES: Mapping[PayloadType, tuple[int, bool]] = {
    PayloadType.SCALAR_STRING: (_FIELD.TYPE_STRING, False),
    PayloadType.SCALAR_SHORT: (_FIELD.TYPE_SINT32, False),
    PayloadType.SCALAR_FLOAT: (_FIELD.TYPE_FLOAT, False),
    PayloadType.SCALAR_ENUM: (_FIELD.TYPE_SINT32, False),
    PayloadType.SCALAR_BYTE: (_FIELD.TYPE_BYTES, False),
    PayloadType.SCALAR_INT: (_FIELD.TYPE_SFIXED32, False),
    PayloadType.SCALAR_DOUBLE: (_FIELD.TYPE_DOUBLE, False),
    PayloadType.WAVEFORM_STRING: (_FIELD.TYPE_STRING, True),
    PayloadType.WAVEFORM_SHORT: (_FIELD.TYPE_SINT32, True),
    PayloadType.WAVEFORM_FLOAT: (_FIELD.TYPE_FLOAT, True),
    PayloadType.WAVEFORM_ENUM: (_FIELD.TYPE_SINT32, True),
    PayloadType.WAVEFORM_BYTE: (_FIELD.TYPE_BYTES, False),
    PayloadType.WAVEFORM_INT: (_FIELD.TYPE_SFIXED32, True),
    PayloadType.WAVEFORM_DOUBLE: (_FIELD.TYPE_DOUBLE, True),
    PayloadType.V4_GENERIC_BYTES: (_FIELD.TYPE_BYTES, False),
}


def _add(message: Any, name: str, number: int, kind: int, *, label: int = _FIELD.LABEL_OPTIONAL, of: str = "") -> Any:
    field = message.field.add(name=name, number=number, type=kind, label=label)
    if of:
        field.type_name = f".{_PACKAGE}.{of}"
    return field


def _declare() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="nualley_appliance.proto", package=_PACKAGE, syntax="proto2")
    repeated = _FIELD.LABEL_REPEATED
    pair = file.message_type.add(name="FieldValue")
    _add(pair, "name", 1, _FIELD.TYPE_STRING)
    _add(pair, "val", 2, _FIELD.TYPE_STRING)
    info = file.message_type.add(name="PayloadInfo")
    _add(info, "type", 1, _FIELD.TYPE_INT32)  # an enum on the wire
    _add(info, "pvname", 2, _FIELD.TYPE_STRING)
    _add(info, "year", 3, _FIELD.TYPE_INT32)
    _add(info, "elementCount", 4, _FIELD.TYPE_INT32)
    _add(info, "headers", 15, _FIELD.TYPE_MESSAGE, label=repeated, of="FieldValue")
    for payload, (kind, is_repeated) in _VALUES.items():
        event = file.message_type.add(name=payload.name)
        _add(event, "secondsintoyear", 1, _FIELD.TYPE_UINT32)
        _add(event, "nano", 2, _FIELD.TYPE_UINT32)
        value = _add(event, "val", 3, kind, label=repeated if is_repeated else _FIELD.LABEL_OPTIONAL)
        if is_repeated and kind != _FIELD.TYPE_STRING:
            value.options.packed = True
        _add(event, "severity", 4, _FIELD.TYPE_INT32)
        _add(event, "status", 5, _FIELD.TYPE_INT32)
        _add(event, "repeatcount", 6, _FIELD.TYPE_UINT32)
        _add(event, "fieldvalues", 7, _FIELD.TYPE_MESSAGE, label=repeated, of="FieldValue")
        _add(event, "fieldactualchange", 8, _FIELD.TYPE_BOOL)
        if payload is PayloadType.V4_GENERIC_BYTES:
            _add(event, "userTag", 9, _FIELD.TYPE_UINT32)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{message.name}"))
        for message in file.message_type
    }


_MESSAGES = _declare()
PayloadInfo: Any = _MESSAGES["PayloadInfo"]
"""The line that begins a file or a chunk."""

EVENTS: Mapping[PayloadType, Any] = {payload: _MESSAGES[payload.name] for payload in PayloadType}
"""The message of an event, by what its value is."""


def escape_line(data: bytes) -> bytes:
    r"""Return a message as one line: ESC, LF and CR are written as two bytes each.

    Examples
    --------
    >>> escape_line(b"a\nb")
    b'a\x1b\x02b'
    """
    return data.replace(b"\x1b", b"\x1b\x01").replace(b"\n", b"\x1b\x02").replace(b"\r", b"\x1b\x03")


def unescape_line(line: bytes) -> bytes:
    r"""Return the message that a line stands for.

    Examples
    --------
    >>> unescape_line(b"a\x1b\x02b")
    b'a\nb'
    """
    if b"\x1b" not in line:
        return line
    return line.replace(b"\x1b\x02", b"\n").replace(b"\x1b\x03", b"\r").replace(b"\x1b\x01", b"\x1b")
