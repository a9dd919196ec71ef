"""One row group of a Parquet file without parsing the footer of all of them.

A Parquet footer lists every column chunk of every row group; with a row group per PV, parsing it takes longer than
reading the one that is wanted. Here the places of the row groups inside of the footer are found once, when the file is
written; later a footer that speaks of one row group only is put together from these bytes.

The footer is Thrift's compact protocol (Apache Thrift, ``thrift-compact-protocol.md``) of the struct FileMetaData
(Apache Parquet, ``parquet.thrift``): field 4 is the list of row groups.
"""

import struct
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

_MAGIC = b"PAR1"
_LENGTH = struct.Struct("<I4s")
_STRUCT, _LIST, _SET, _MAP, _BINARY = 12, 9, 10, 11, 8
_FIXED_B = {1: 0, 2: 0, 3: 1, 7: 8}
_ROW_GROUPS_FIELD = 4
_LONG_LIST = 15


@dataclass(frozen=True, slots=True)
class FooterPlan:
    """Where the parts of a footer are.

    Parameters
    ----------
    start_B : int
        Where the footer begins in the file [B].
    groups_B : tuple of int
        Where each row group begins inside of the footer, and where the last one ends [B].
    list_B : int
        Where the header of their list begins inside of the footer [B].
    size_B : int
        Size of the footer [B].
    """

    start_B: int
    groups_B: tuple[int, ...]
    list_B: int
    size_B: int


class FooterError(ValueError):
    """A footer that cannot be read."""


def plan_footer(footer: bytes, start_B: int, n_groups: int) -> FooterPlan:
    """Find the row groups in a footer.

    Parameters
    ----------
    footer : bytes
        The footer, without its length and magic.
    start_B : int
        Where it begins in the file [B].
    n_groups : int
        Row groups of the file.

    Raises
    ------
    FooterError
        Where the bytes are no such footer.
    """
    list_B, first_B = _find_list(footer, n_groups)
    return FooterPlan(start_B, _walk_groups(footer, first_B, n_groups), list_B, len(footer))


def footer_start(tail: bytes, size_B: int) -> int:
    """Return where the footer of a file begins, from its last 8 bytes and its size [B]."""
    length, magic = _LENGTH.unpack(tail)
    if magic != _MAGIC or length + _LENGTH.size > size_B:
        raise FooterError("the file does not end as a Parquet file")
    return int(size_B - _LENGTH.size - length)


def metadata_of_one(head: bytes, group: bytes, tail: bytes) -> pq.FileMetaData:
    """Put the footer of one row group together.

    Parameters
    ----------
    head, tail : bytes
        The footer up to the list of row groups, and behind it.
    group : bytes
        The row group.
    """
    footer = b"".join((head, bytes([1 << 4 | _STRUCT]), group, tail))
    file = b"".join((_MAGIC, footer, _LENGTH.pack(len(footer), _MAGIC)))
    return pq.read_metadata(pa.BufferReader(file))


def footer_digest(*parts: bytes) -> int:
    """Return the digest (xxh3_64, signed) of parts of a footer, one behind the other; never 0, which is for none."""
    digest = xxhash.xxh3_64()
    for part in parts:
        digest.update(part)
    return int.from_bytes(digest.digest(), "big", signed=True) or 1


def _walk_groups(footer: bytes, first_B: int, n_groups: int) -> tuple[int, ...]:
    places = [first_B]
    for _ in range(n_groups):
        places.append(_skip(footer, places[-1], _STRUCT))
    return tuple(places)


def _find_list(footer: bytes, n_groups: int) -> tuple[int, int]:
    position, field = 0, 0
    try:
        while footer[position]:
            field, kind, position = _field(footer, position, field)
            if field == _ROW_GROUPS_FIELD and kind == _LIST:
                size, item, first = _list_header(footer, position)
                if size != n_groups or item != _STRUCT:
                    raise FooterError(f"the footer lists {size} row groups, {n_groups} were written")
                return position, first
            position = _skip(footer, position, kind)
    except IndexError:
        raise FooterError("the footer is cut short") from None
    raise FooterError("the footer lists no row groups")


def _field(data: bytes, position: int, last: int) -> tuple[int, int, int]:
    head = data[position]
    if head >> 4:
        return last + (head >> 4), head & 15, position + 1
    number, position_after = _varint(data, position + 1)
    return number >> 1 ^ -(number & 1), head & 15, position_after


def _list_header(data: bytes, position: int) -> tuple[int, int, int]:
    head = data[position]
    if head >> 4 < _LONG_LIST:
        return head >> 4, head & 15, position + 1
    size, position = _varint(data, position + 1)
    return size, head & 15, position


def _varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position
        shift += 7


def _skip(data: bytes, position: int, kind: int) -> int:
    if kind in _FIXED_B:
        return position + _FIXED_B[kind]
    if kind == _BINARY:
        size, position = _varint(data, position)
        return position + size
    if kind in (_LIST, _SET):
        size, item, position = _list_header(data, position)
        for _ in range(size):
            # in a list, a truth value has a byte of its own
            position = position + 1 if item in (1, 2) else _skip(data, position, item)
        return position
    if kind == _STRUCT:
        while data[position]:
            _, inner, position = _field(data, position, 0)
            position = _skip(data, position, inner)
        return position + 1
    if kind == _MAP:
        raise FooterError("a Parquet footer has no maps")
    return _varint(data, position)[1]
