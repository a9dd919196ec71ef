"""The manifest: one line of JSON for every file that was ever sealed or deleted, only ever appended to."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nualley.archive.sealed import IndexedFile, SealedFile
from nualley.core import Clock, make_folders

_VERSION = 1


class ManifestFile:
    """``manifest.jsonl`` of an archive.

    Parameters
    ----------
    folder : Path
        The archive.
    clock : Clock
        Says when.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._path = folder / "manifest.jsonl"
        self._clock = clock

    def note(self, files: Sequence[SealedFile], gone: Sequence[IndexedFile], why: str) -> None:
        """Add lines durably; see `nualley.archive.ports.Manifest`."""
        now_ns = self._clock.now_ns()
        added: list[dict[str, object]] = [
            {
                "action": "sealed",
                "path": file.path,
                "level": file.level,
                "sha256": file.sha256,
                "size_B": file.size_B,
                "n_rows": file.n_rows,
                "start_ns": file.start_ns,
                "stop_ns": file.stop_ns,
            }
            for file in files
        ]
        left: list[dict[str, object]] = [
            {"action": "replaced", "path": file.path, "level": file.level, "sha256": file.sha256} for file in gone
        ]
        common: dict[str, object] = {"version": _VERSION, "time_ns": now_ns, "why": why}
        self._append(common | entry for entry in (*added, *left))

    def _append(self, entries: Iterator[Mapping[str, object]]) -> None:
        text = "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries)
        if not text:
            return
        make_folders(self._path.parent)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # an importer may write beside the archive
            size_B = os.fstat(descriptor).st_size
            is_torn = size_B > 0 and os.pread(descriptor, 1, size_B - 1) != b"\n"
            data = (("\n" if is_torn else "") + text).encode()
            while data:
                data = data[os.write(descriptor, data) :]
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def sha256_by_path(self) -> dict[str, str]:
        """Return the digest that each file was last sealed with; a line cut short by a crash is passed over."""
        found: dict[str, str] = {}
        for entry in self._entries():
            if entry.get("action") == "sealed":
                found[entry["path"]] = entry["sha256"]
        return found

    def replaced(self) -> set[str]:
        """Return the paths that were replaced and not sealed again since."""
        found: set[str] = set()
        for entry in self._entries():
            if entry.get("action") == "replaced":
                found.add(entry["path"])
            elif entry.get("action") == "sealed":
                found.discard(entry["path"])
        return found

    def _entries(self) -> Iterator[dict[str, Any]]:
        try:
            file = self._path.open("rb")  # a line that is no UTF-8 any more is passed over as others that are damaged
        except FileNotFoundError:
            return
        with file:
            for line in file:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if isinstance(entry, dict) and {"action", "path", "sha256"} <= entry.keys():
                    yield entry
