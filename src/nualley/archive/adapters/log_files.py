"""The write-ahead log as files: one folder a shard, one file a segment, and a mark of what is synced."""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from nualley.archive.adapters.mark import MarkFile, read_mark
from nualley.archive.adapters.reserve import Reserve, is_full
from nualley.archive.commits import Commit, Frame
from nualley.archive.errors import LogDamagedError, LogRemovedError, LogWriteError, ShardTakenError
from nualley.archive.progress import Account, Mark, Repair
from nualley.archive.wal import (
    SEGMENT_HEADER,
    check_header,
    encode_segment_header,
    iterate_commits,
    survey,
)
from nualley.core import free_B, make_folders, reason, sync_folder


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

    def mark(self) -> Mark | None:
        """Return how far the log is synced; see `nualley.archive.ports.LogReader`."""
        return read_mark(self._folder)

    def segments(self) -> list[int]:
        """Return the numbers of the segments that exist, in order."""
        return sorted(int(path.stem) for path in self._folder.glob("*.wal") if path.stem.isdecimal())

    def read(self, segment: int, offset_B: int = 0, stop_B: int | None = None) -> tuple[list[Commit], int]:
        """Read the commits of a segment; see `nualley.archive.ports.LogReader`."""
        path = _segment_path(self._folder, segment)
        _check_regular(path)
        with path.open("rb") as file:
            check_header(file.read(SEGMENT_HEADER.size), segment, str(path))
            offset_B = max(offset_B, SEGMENT_HEADER.size)
            file.seek(offset_B)
            buffer = file.read() if stop_B is None else file.read(max(0, stop_B - offset_B))
        commits = []
        length = 0
        for length, commit in iterate_commits(buffer):  # noqa: B007  # the last end is where the next reading goes on
            commits.append(commit)
        return commits, offset_B + length

    def repair(self, segment: int) -> Repair:
        """Cut a torn tail off and set what is damaged aside; see `nualley.archive.ports.LogReader`."""
        path = _segment_path(self._folder, segment)
        _check_regular(path)
        with path.open("r+b") as file:
            buffer = file.read()
            check_header(buffer[: SEGMENT_HEADER.size], segment, str(path))
            found = survey(buffer, min(SEGMENT_HEADER.size, len(buffer)))
            tail = (found.intact_B, len(buffer))
            # a tail that was never synced is nobody's; one that was is evidence
            mark = None if tail[0] == tail[1] else self._mark_or_none()
            is_lost = mark is not None and mark.segment == segment and mark.offset_B > found.intact_B
            damaged = (*found.damaged, tail) if is_lost else found.damaged
            self._set_aside(segment, buffer, damaged)
            file.truncate(found.intact_B)
            os.fdatasync(file.fileno())
        return Repair(tail[1] - tail[0], sum(stop - start for start, stop in damaged))

    def _mark_or_none(self) -> Mark | None:
        try:
            return read_mark(self._folder)
        except LogDamagedError:
            return None

    def _set_aside(self, segment: int, buffer: bytes, damaged: Sequence[tuple[int, int]]) -> None:
        # <archive>/quarantine: nobody can read these bytes now, but nobody may say that they never were
        folder = self._folder.parent.parent / "quarantine"
        for start, stop in damaged:
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


def hold_shard(folder: Path) -> int:
    """Be the one writer of a shard's log for as long as the returned descriptor is open.

    The lock is on the log's own folder: unlike a lock file, nobody takes that away as stale.

    Parameters
    ----------
    folder : Path
        ``wal/<shard>``; made where it is missing.

    Raises
    ------
    ShardTakenError
        Where another process writes it.
    """
    make_folders(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ShardTakenError(
            "another process writes this archive", where=str(folder), do="end it first: ps ax | grep 'nualley.*archive'"
        ) from None
    return descriptor


class LogFileWriter:
    """A shard's log, for the one process that writes it.

    Parameters
    ----------
    folder : Path
        ``wal/<shard>``; made where it is missing.
    segment : int
        Number of the first segment to begin: above all that were ever used.
    account : Account
        How far the archive had come before.
    hold : int
        What `hold_shard` returned; closed with the log.
    reserve_B : int
        Room that is held on the drive for when it is full [B].

    Raises
    ------
    LogWriteError
        Where the segment cannot be begun.
    """

    def __init__(self, folder: Path, segment: int, account: Account, hold: int, *, reserve_B: int = 0) -> None:
        self._folder = folder
        self._hold = hold
        self._descriptor = -1
        self._position = Mark(segment, 0, account)
        try:
            make_folders(folder)
            self._mark = MarkFile(folder, self._position)
        except OSError as error:
            raise self._failure(error) from error
        self._begin(segment)
        self._reserve = Reserve(folder, reserve_B)

    @property
    def is_reserve_spent(self) -> bool:
        """Whether the drive was full, and the room that is held for that is used."""
        return not self._reserve.is_held

    @property
    def position(self) -> Mark:
        """The open segment, how much of it is synced, and the account by then."""
        return self._position

    def append(self, frame: Frame) -> None:
        """Write a frame and make it durable; see `nualley.archive.ports.LogWriter`."""
        begin_B = self._position.offset_B
        position = Mark(self._position.segment, begin_B + len(frame.data), frame.account)
        self._check_still_there()
        try:
            self._write(frame.data, begin_B, position)
        except OSError as error:
            self._discard_tail()
            raise self._failure(error) from error
        self._position = position
        self._reserve.restore()

    def _write(self, data: bytes, begin_B: int, position: Mark) -> None:
        try:
            _write_all(self._descriptor, data, begin_B)
            os.fdatasync(self._descriptor)
        except OSError as error:
            if not (is_full(error) and self._reserve.spend()):
                raise
            _write_all(self._descriptor, data, begin_B)
            os.fdatasync(self._descriptor)
        # readers only see what the mark says
        self._mark.write(position)

    def _check_still_there(self) -> None:
        # a file without a name takes every write, and is gone with this process
        if os.fstat(self._descriptor).st_nlink == 0 or not self._mark.is_still_there():
            raise LogRemovedError(
                "the archive's log was deleted while the archive runs: what comes now cannot be kept",
                where=str(_segment_path(self._folder, self._position.segment)),
                do="put the store back from where it went, and start the archive: nualley up archive",
            )

    def rotate(self) -> int:
        """Close the open segment, begin the next one, and return the number of the one that was closed."""
        closed, descriptor = self._position.segment, self._descriptor
        self._begin(closed + 1)
        os.close(descriptor)
        return closed

    def close(self) -> None:
        """Close the open segment; it stays unsealed."""
        os.close(self._descriptor)
        self._mark.close()
        os.close(self._hold)

    def _begin(self, segment: int) -> None:
        path = _segment_path(self._folder, segment)
        header = encode_segment_header(segment)
        try:
            # a file of this number can only be an earlier try that failed: it holds no frame
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            position = Mark(segment, len(header), self._position.account)
            try:
                _write_all(descriptor, header, 0)
                os.fdatasync(descriptor)
                sync_folder(self._folder)
                self._mark.write(position)
            except OSError:
                os.close(descriptor)
                raise
        except OSError as error:
            raise self._failure(error) from error
        self._descriptor, self._position = descriptor, position

    def _discard_tail(self) -> None:
        # the next frame goes where this one began; a tail that cannot be cut is overwritten or fails its CRC
        try:
            os.ftruncate(self._descriptor, self._position.offset_B)
        except OSError:
            return

    def _failure(self, error: OSError) -> LogWriteError:
        return LogWriteError(
            f"the archive's log cannot be written: {reason(error)} ({free_B(self._folder)} B free); nothing is lost "
            "while the process runs, nothing is acknowledged",
            where=str(_segment_path(self._folder, self._position.segment)),
            do="make room on the store's drive or mend it; the archive goes on by itself",
        )


def _check_regular(path: Path) -> None:
    # a pipe in its place would be waited for without end
    if path.exists() and not path.is_file():
        raise LogDamagedError(
            "a segment of the log is no regular file", where=str(path), do="look who put it there, and take it away"
        )


def _write_all(descriptor: int, data: bytes, offset_B: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset_B)
        view = view[written:]
        offset_B += written
