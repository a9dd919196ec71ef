"""The mark of what is synced: a small file beside the log, written in turns into two places."""

import os
import struct
import time
from pathlib import Path

from zlib_ng import zlib_ng

from nualley.archive.errors import LogDamagedError
from nualley.archive.progress import Account, Mark
from nualley.core import make_folders, sync_folder

NAME = "synced"
_FIELDS = struct.Struct("<QQQQQq")
_CRC = struct.Struct("<I")
# one is always whole: also after a write that was cut short, and both lie in one sector
_PLACE_B = 64
_PLACES = 2
_TRIES = 100
_PAUSE_S = 0.001


def read_mark(folder: Path) -> Mark | None:
    """Return how far a shard's log is synced, as its writer last said.

    Parameters
    ----------
    folder : Path
        ``wal/<shard>``.

    Returns
    -------
    Mark or None
        None where the log never began.

    Raises
    ------
    LogDamagedError
        Where there is a log and no mark that could be read: nobody can say whether the log is whole.
    """
    path = folder / NAME
    for _ in range(_TRIES):
        try:
            # a pipe in its place would be waited for without end
            raw = b"" if path.exists() and not path.is_file() else path.read_bytes()
        except FileNotFoundError:
            # the writer makes the mark first
            if not any(folder.glob("*.wal")):
                return None
            raw = b""
        found = [mark for place in range(_PLACES) if (mark := _decode(raw[place * _PLACE_B :]))]
        if found:
            return max(found, key=lambda mark: (mark.segment, mark.account.number))
        time.sleep(_PAUSE_S)  # a reader so slow that the writer came round to both places
    raise LogDamagedError(
        f"the mark of what is synced is unreadable ({len(raw)} B): nobody can say whether the log is whole",
        where=str(path),
        do="start the archive, it takes over what is whole: nualley up archive",
    )


class MarkFile:
    """The mark, for the one process that writes it.

    Parameters
    ----------
    folder : Path
        ``wal/<shard>``; made where it is missing.
    mark : Mark
        What it says from now on.
    """

    def __init__(self, folder: Path, mark: Mark) -> None:
        make_folders(folder)
        # never there without content: who reads it may come at any moment
        part = folder / f".{NAME}.part"
        part.write_bytes(_encode(mark).ljust(_PLACE_B * _PLACES, b"\0"))
        self._descriptor = os.open(part, os.O_RDWR)
        os.fsync(self._descriptor)
        part.replace(folder / NAME)
        sync_folder(folder)
        self._place = 0

    def write(self, mark: Mark) -> None:
        """Say a new mark.

        It is not synced: what it promises is durable already, and one that is lost with the host only says less.

        Raises
        ------
        OSError
            Where the drive refuses.
        """
        place = (self._place + 1) % _PLACES
        os.pwrite(self._descriptor, _encode(mark), place * _PLACE_B)
        self._place = place

    def is_still_there(self) -> bool:
        """Return whether the mark's file still has a name."""
        return os.fstat(self._descriptor).st_nlink > 0

    def close(self) -> None:
        """Make the mark durable and let go of it."""
        os.fdatasync(self._descriptor)
        os.close(self._descriptor)


def _encode(mark: Mark) -> bytes:
    account = mark.account
    fields = _FIELDS.pack(
        mark.segment, mark.offset_B, account.number, account.n_received, account.seq, account.time_ns
    )  # fmt: skip
    return fields + _CRC.pack(zlib_ng.crc32(fields))


def _decode(raw: bytes) -> Mark | None:
    if len(raw) < _FIELDS.size + _CRC.size:
        return None
    segment, offset_B, *account = _FIELDS.unpack_from(raw)
    (crc32,) = _CRC.unpack_from(raw, _FIELDS.size)
    if zlib_ng.crc32(raw[: _FIELDS.size]) != crc32:
        return None
    return Mark(segment, offset_B, Account(*account))
