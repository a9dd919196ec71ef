"""The write-ahead log as files: one folder a shard, one file a segment, and a mark of what is synced."""

import mmap
import os
import struct
from pathlib import Path

from zlib_ng import zlib_ng

from nualley.archive.adapters.folders import make_folders, sync_folder
from nualley.archive.commits import Commit
from nualley.archive.errors import ArchiveBusyError, LogWriteError
from nualley.archive.models import LogPosition, Repair
from nualley.archive.wal import (
    SEGMENT_HEADER,
    Survey,
    check_segment_header,
    encode_segment_header,
    iterate_commits,
    survey,
)

_MARK = struct.Struct("<QQI")
_MARK_NAME = "synced"
_MARK_TRIES = 100


def _segment_path(folder: Path, segment: int) -> Path:
    return folder / f"{segment:08d}.wal"


class LogFolder:
    """A shard's log, for reading.

    Parameters
    ----------
    folder : Path
        ``wal/<shard>``; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def segments(self) -> list[int]:
        """Return the numbers of the segments that exist, in order."""
        return sorted(int(path.stem) for path in self._folder.glob("*.wal"))

    def read(self, segment: int, offset_B: int = 0, *, is_writer: bool = False) -> tuple[list[Commit], int]:
        """Read the commits of a segment; see `nualley.archive.ports.LogReader`."""
        path = _segment_path(self._folder, segment)
        stop_B = None if is_writer else self._synced_length(segment)
        offset_B = max(offset_B, SEGMENT_HEADER.size)
        with path.open("rb") as file:
            if not check_segment_header(file.read(SEGMENT_HEADER.size), segment, str(path)):
                return [], 0
            file.seek(offset_B)
            buffer = file.read() if stop_B is None else file.read(max(0, stop_B - offset_B))
        commits = []
        length = 0
        for length, commit in iterate_commits(buffer):  # noqa: B007  # the last end is where the next reading goes on
            commits.append(commit)
        return commits, offset_B + length

    def _synced_length(self, segment: int) -> int | None:
        """Return how much of a segment is synced [B]; None: all of it."""
        mark = read_mark(self._folder)
        return mark.offset_B if mark and mark.segment == segment else None

    def repair(self, segment: int) -> Repair:
        """Cut a torn tail off and set what is damaged aside; see `nualley.archive.ports.LogReader`."""
        path = _segment_path(self._folder, segment)
        with path.open("r+b") as file:
            buffer = file.read()
            is_begun = check_segment_header(buffer[: SEGMENT_HEADER.size], segment, str(path))
            found = survey(buffer, SEGMENT_HEADER.size) if is_begun else Survey(0)
            self._set_aside(segment, buffer, found)
            torn_B = len(buffer) - found.intact_B
            if torn_B:
                file.truncate(found.intact_B)
            os.fdatasync(file.fileno())
        return Repair(torn_B, sum(stop - start for start, stop in found.damaged))

    def _set_aside(self, segment: int, buffer: bytes, found: Survey) -> None:
        # <archive>/quarantine: nobody can read these bytes now, but nobody may say that they never were
        folder = self._folder.parent.parent / "quarantine"
        for start, stop in found.damaged:
            make_folders(folder)
            path = folder / f"log-{self._folder.name}-{segment:08d}-{start}.damaged"
            with path.open("wb") as file:
                file.write(buffer[start:stop])
                file.flush()
                os.fsync(file.fileno())
            sync_folder(folder)

    def remove(self, segment: int) -> None:
        """Delete a sealed segment."""
        _segment_path(self._folder, segment).unlink(missing_ok=True)
        sync_folder(self._folder)


def read_mark(folder: Path) -> LogPosition | None:
    """Return how far a shard's log is synced, as its writer last said; None where it never did."""
    try:
        descriptor = os.open(folder / _MARK_NAME, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        for _ in range(_MARK_TRIES):  # the writer may be in the middle of the few bytes
            raw = os.pread(descriptor, _MARK.size, 0)
            if len(raw) == _MARK.size:
                segment, offset_B, crc32 = _MARK.unpack(raw)
                if zlib_ng.crc32(raw[:16]) == crc32:
                    return LogPosition(segment, offset_B)
            elif not raw:
                return None
    finally:
        os.close(descriptor)
    raise ArchiveBusyError(
        f"the mark of what is synced was unreadable {_MARK_TRIES} times",
        where=str(folder / _MARK_NAME),
        do="try again; start the archive if it does not run: nualley up archive",
    )


class LogFileWriter:
    """A shard's log, for the one process that writes it.

    Parameters
    ----------
    folder : Path
        ``wal/<shard>``; made where it is missing.
    segment : int
        Number of the first segment to begin: above all that were ever used.

    Raises
    ------
    LogWriteError
        Where the segment cannot be begun.
    """

    def __init__(self, folder: Path, segment: int) -> None:
        make_folders(folder)
        self._folder = folder
        self._mark = self._open_mark()
        self._descriptor = -1
        self._segment = segment
        self._offset_B = 0
        self._begin(segment)

    @property
    def position(self) -> LogPosition:
        """The open segment, and how much of it is synced."""
        return LogPosition(self._segment, self._offset_B)

    def append(self, frame: bytes) -> None:
        """Write a frame and make it durable; see `nualley.archive.ports.LogWriter`."""
        try:
            _write_all(self._descriptor, frame, self._offset_B)
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._discard_tail()
            raise self._failure(error) from error
        self._offset_B += len(frame)
        self._write_mark()

    def rotate(self) -> int:
        """Close the open segment, begin the next one, and return the number of the one that was closed."""
        closed, descriptor = self._segment, self._descriptor
        self._begin(closed + 1)
        os.close(descriptor)
        return closed

    def close(self) -> None:
        """Close the open segment; it stays unsealed."""
        os.close(self._descriptor)
        self._mark.close()

    def _begin(self, segment: int) -> None:
        path = _segment_path(self._folder, segment)
        header = encode_segment_header(segment)
        try:
            # a file of this number can only be an earlier try that failed: it holds no frame
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                _write_all(descriptor, header, 0)
                os.fdatasync(descriptor)
                sync_folder(self._folder)
            except OSError:
                os.close(descriptor)
                raise
        except OSError as error:
            raise self._failure(error) from error
        self._descriptor, self._segment, self._offset_B = descriptor, segment, len(header)
        self._write_mark()

    def _discard_tail(self) -> None:
        # the next frame goes where this one began; a tail that cannot be cut is overwritten or fails its CRC
        try:
            os.ftruncate(self._descriptor, self._offset_B)
        except OSError:
            return

    def _failure(self, error: OSError) -> LogWriteError:
        free_B = _free_B(self._folder)
        return LogWriteError(
            f"the archive's log cannot be written: {error.strerror} ({free_B} B free); nothing is lost while the "
            "process runs, nothing is acknowledged",
            where=str(_segment_path(self._folder, self._segment)),
            do="make room on the store's drive or mend it; the archive goes on by itself",
        )

    def _open_mark(self) -> mmap.mmap:
        path = self._folder / _MARK_NAME
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.ftruncate(descriptor, _MARK.size)
            os.posix_fallocate(descriptor, 0, _MARK.size)
            return mmap.mmap(descriptor, _MARK.size)
        finally:
            os.close(descriptor)

    def _write_mark(self) -> None:
        # readers only see what is synced; the mark itself may be lost with the host: the next start cuts and seals
        raw = struct.pack("<QQ", self._segment, self._offset_B)
        self._mark[:] = raw + struct.pack("<I", zlib_ng.crc32(raw))


def _write_all(descriptor: int, data: bytes, offset_B: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset_B)
        view = view[written:]
        offset_B += written


def _free_B(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
