"""A digest for each row group of a Parquet file, in its footer: pages have checksums, what is before them has none.

A bit that flips in the header of a page can make other numbers of good bytes. So the bytes of a row group as a whole
are digested (xxh3_64) when they are written, and before they are read.
"""

import os
from typing import IO

import pyarrow.parquet as pq
import xxhash

KEY = b"nualley.row_groups"
"""Names the records in the metadata of a file: begin, size and digest of each row group, by begin, in hexadecimal."""

_PLACE = 12
_RECORD = 2 * _PLACE + 16


class GroupDigests:
    """Digests of the row groups of a file that is being written.

    Parameters
    ----------
    start_B : int
        Where the first one begins [B].
    """

    def __init__(self, start_B: int) -> None:
        self._records: list[str] = []
        self._stop_B = start_B

    def add(self, file: IO[bytes]) -> None:
        """Digest what was written since the last call, as one row group."""
        start_B, self._stop_B = self._stop_B, os.fstat(file.fileno()).st_size
        self._records.append(_record(start_B, os.pread(file.fileno(), self._stop_B - start_B, start_B)))

    def text(self) -> bytes:
        """Return what the footer is to hold under `KEY`."""
        return "".join(self._records).encode()


def _record(start_B: int, data: bytes) -> str:
    return f"{start_B:0{_PLACE}x}{len(data):0{_PLACE}x}{xxhash.xxh3_64_hexdigest(data)}"


def is_as_written(file: IO[bytes], metadata: pq.FileMetaData) -> bool:
    """Return whether the bytes of a file's first row group are those that were written.

    Parameters
    ----------
    file : file object
        The file.
    metadata : pyarrow.parquet.FileMetaData
        Its footer, or one of that row group alone.

    Returns
    -------
    bool
        True also for a file of an older nualley, which holds no digests.
    """
    text = (metadata.metadata or {}).get(KEY)
    if text is None or not metadata.num_row_groups:
        return True
    first = metadata.row_group(0).column(0)
    start_B = first.dictionary_page_offset if first.has_dictionary_page else first.data_page_offset
    record = _find(text, start_B)
    if record is None:
        return False
    size_B = int(record[_PLACE : 2 * _PLACE], 16)
    if size_B > os.fstat(file.fileno()).st_size:  # a footer that is damaged itself may say anything
        return False
    return _record(start_B, os.pread(file.fileno(), size_B, start_B)) == record


def _find(text: bytes, start_B: int) -> str | None:
    """Return the record of the row group that begins at a place: they have one size, and lie in order."""
    wanted = f"{start_B:0{_PLACE}x}".encode()
    low, high = 0, len(text) // _RECORD
    while low < high:
        middle = (low + high) // 2
        if text[middle * _RECORD : middle * _RECORD + _PLACE] < wanted:
            low = middle + 1
        else:
            high = middle
    found = text[low * _RECORD : (low + 1) * _RECORD]
    return found.decode(errors="replace") if found.startswith(wanted) and len(found) == _RECORD else None
