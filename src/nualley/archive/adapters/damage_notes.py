"""Notes of damage: which sealed files somebody found damaged or missing, and when all of them were read last."""

import contextlib
import json
import os
from pathlib import Path
from typing import TypeAlias

import xxhash

from nualley.archive.errors import SealedFileDamagedError
from nualley.archive.verifying import LastVerified, NotedDamage, Verified
from nualley.core import make_folders, replacing

MISSING = "a sealed file is missing"
_FOLDER = "damaged"
_VERIFIED = "verified.json"

Stamp: TypeAlias = tuple[int, int, int]
"""What tells one file from another that was put in its place: size [B], change of its inode [ns], inode."""


def stamp_of(status: os.stat_result) -> Stamp:
    """Return what tells a file from another that is put in its place."""
    return status.st_size, status.st_ctime_ns, status.st_ino


class DamageNotes:
    """Small files below ``damaged`` in an archive, one for each sealed file that was found damaged.

    Processes that read the archive write them, and who looks after it reads them: no file is read for that.

    Parameters
    ----------
    folder : Path
        The archive.
    """

    def __init__(self, folder: Path) -> None:
        self._archive, self._folder = folder, folder / _FOLDER
        self._told: set[tuple[str, Stamp | None]] = set()

    def note(self, path: str, what: str, stamp: Stamp | None) -> None:
        """Note that a sealed file is damaged, once for each file that stands there.

        Parameters
        ----------
        path : str
            Relative to the archive.
        what : str
            What is wrong.
        stamp : tuple of int or None
            `stamp_of` the file; None where it is missing.
        """
        if (path, stamp) in self._told:
            return
        self._told.add((path, stamp))
        # an account that only reads, or a full drive: who asked is told all the same
        with contextlib.suppress(OSError):
            self._write(_note_name(path), {"path": path, "what": what, "stamp": stamp})

    def note_missing(self, path: str) -> None:
        """Note that a sealed file is not there."""
        self.note(path, MISSING, None)

    def noted(self) -> list[NotedDamage]:
        """Return what is noted, by path.

        Raises
        ------
        SealedFileDamagedError
            Where a note cannot be read.
        """
        found = [self._read(note) for note in self._notes()]
        return sorted((damage for damage in found if damage is not None), key=lambda damage: damage.path)

    def note_verified(self, found: Verified) -> None:
        """Note what a look at every byte found: what it found whole is no longer noted as damaged.

        Parameters
        ----------
        found : Verified
            What it found.
        """
        bad = {**dict(found.damaged), **dict.fromkeys(found.missing, MISSING)}
        kept = {_note_name(path) for path in bad}
        with contextlib.suppress(OSError):  # as above
            for note in self._notes():
                if note.name not in kept:
                    note.unlink(missing_ok=True)
            self._told.clear()
            for path, what in bad.items():
                self.note(path, what, self._stamp(path))
            self._write(_VERIFIED, {"n_files": found.n_files, "size_B": found.size_B})

    def last_verified(self) -> LastVerified | None:
        """Return when all files were read last; None where that never was.

        Raises
        ------
        SealedFileDamagedError
            Where the note of it cannot be read.
        """
        path = self._folder / _VERIFIED
        try:
            told = json.loads(path.read_bytes())
            return LastVerified(path.stat().st_mtime_ns, told["n_files"], told["size_B"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise _unreadable(path) from error

    def _notes(self) -> list[Path]:
        return [path for path in self._folder.glob("[!.]*.json") if path.name != _VERIFIED]

    def _read(self, note: Path) -> NotedDamage | None:
        try:
            told, found_ns = json.loads(note.read_bytes()), note.stat().st_mtime_ns
            stamp = told["stamp"] and tuple(told["stamp"])
            return NotedDamage(told["path"], told["what"], found_ns, is_as_found=self._stamp(told["path"]) == stamp)
        except FileNotFoundError:  # found whole meanwhile
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise _unreadable(note) from error

    def _stamp(self, path: str) -> Stamp | None:
        try:
            return stamp_of((self._archive / path).stat())
        except FileNotFoundError:
            return None

    def _write(self, name: str, told: dict[str, object]) -> None:
        make_folders(self._folder)
        with replacing(self._folder / name) as part:
            part.write_text(json.dumps(told))


def _note_name(path: str) -> str:
    return f"{xxhash.xxh3_64_hexdigest(path.encode())}.json"


def _unreadable(note: Path) -> SealedFileDamagedError:
    return SealedFileDamagedError(
        "a note of damaged files cannot be read", where=str(note), do="delete it, then: nualley archive verify"
    )
