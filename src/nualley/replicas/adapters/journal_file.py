"""The journal of removals as a file: a line for each entry, durable before anything is done."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xxhash

from nualley.core import dump_json, make_folders, sync_folder, try_lock
from nualley.replicas.errors import JournalDamaged, RemovalRunning

_NAME = "journal.jsonl"


class JournalFile:
    """`replicas.ports.Journal` in a folder.

    Parameters
    ----------
    folder : Path
        ``trash`` of the store; made where missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / _NAME

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one who takes away and puts back.

        Raises
        ------
        RemovalRunning
            Where another process is.
        """
        make_folders(self._folder)
        descriptor = try_lock(self._folder / "lock")
        if descriptor is None:
            raise RemovalRunning(
                "another process takes files away, or puts them back",
                where=str(self._folder),
                do="wait until it is done; the worker is, for a moment, where a drop directory is purged",
            )
        try:
            yield
        finally:
            os.close(descriptor)

    def entries(self) -> list[Mapping[str, Any]]:
        """Return all entries, the oldest first; one that was cut at the end is none.

        Raises
        ------
        JournalDamaged
            Where a line is not as it was written.
        """
        try:
            lines = self._path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        return [self._entry(number, line) for number, line in enumerate(lines, 1)]

    def _entry(self, number: int, line: bytes) -> Mapping[str, Any]:
        digest, _, text = line.partition(b" ")
        if xxhash.xxh3_64_hexdigest(text).encode() != digest:
            raise JournalDamaged(
                f"line {number} of the journal of removals is not as it was written; nothing is taken away or deleted",
                where=f"{self._path}:{number}",
                do="look at the store's drive; what lies in the trash folders of the drives is untouched",
            )
        return dict(json.loads(text))

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write an entry, durably, or nothing of it."""
        text = dump_json(entry).encode()
        line = b"%s %s\n" % (xxhash.xxh3_64_hexdigest(text).encode(), text)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            whole_B = _whole_B(descriptor)
            try:  # over what a kill or a power cut left of an entry, which is none
                _write_all(descriptor, line, whole_B)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, whole_B)
                raise
        finally:
            os.close(descriptor)
        if whole_B == 0:
            sync_folder(self._folder)


def _whole_B(descriptor: int) -> int:
    """Return where the last whole line ends [B]."""
    size_B = os.fstat(descriptor).st_size
    step_B = 1 << 16
    while size_B:
        start_B = max(0, size_B - step_B)
        found = os.pread(descriptor, size_B - start_B, start_B).rfind(b"\n")
        if found >= 0:
            return start_B + found + 1
        size_B = start_B
    return 0


def _write_all(descriptor: int, line: bytes, offset_B: int) -> None:
    n_written = 0
    while n_written < len(line):
        n_written += os.pwrite(descriptor, line[n_written:], offset_B + n_written)
