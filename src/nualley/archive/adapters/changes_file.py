"""Run-time changes on disk: one line of JSON each, only ever appended to, durable before it is answered."""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nualley.archive.changes import Aliases, Change, Verb
from nualley.archive.errors import ChangesReadError, ChangesWriteError
from nualley.archive.settings import PvPolicy
from nualley.core import make_folders, reason, sync_folder

NAME = "changes.jsonl"
_VERSION = 1
_TEXTS = ("pv", "who", "note", "name")


@dataclass(frozen=True, slots=True)
class KeptChanges:
    """What the file says.

    Parameters
    ----------
    changes : tuple of Change
        In their order.
    damages : tuple of str
        Lines that cannot be read, each as ``FILE:LINE: why``; the others count all the same.
    """

    changes: tuple[Change, ...] = ()
    damages: tuple[str, ...] = ()


class ChangesFile:
    """``changes.jsonl`` of an archive.

    Parameters
    ----------
    folder : Path
        The archive.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def read(self) -> KeptChanges:
        """Return every change that was ever acknowledged; none where the file is missing.

        Raises
        ------
        ChangesReadError
            Where it cannot be read.
        """
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return KeptChanges()
        except OSError as error:
            raise self._unreadable(error) from error
        changes, damages = [], []
        # what stands behind the last newline was cut short by a crash, and never acknowledged
        for number, line in enumerate(raw.split(b"\n")[:-1], start=1):
            try:
                changes.append(_change_from(json.loads(line)))
            except (ValueError, TypeError, KeyError) as error:
                damages.append(f"{self.path}:{number}: {_why(error)}")
        return KeptChanges(tuple(changes), tuple(damages))

    def stamp(self) -> tuple[int, int, int] | None:
        """Return what differs once there is a further change; None where there was none ever.

        Raises
        ------
        ChangesReadError
            Where it cannot be looked at.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error) from error
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _unreadable(self, error: OSError) -> ChangesReadError:
        return ChangesReadError(
            f"the run-time changes cannot be read: {reason(error)}",
            where=str(self.path),
            do="mend its rights: without it nobody knows what is archived",
        )

    def append(self, changes: Sequence[Change]) -> None:
        """Keep changes; they are durable when it returns.

        Parameters
        ----------
        changes : sequence of Change
            In their order; none of them is kept where it fails.

        Raises
        ------
        ChangesWriteError
            Where the drive refuses.
        """
        data = "".join(json.dumps(_fields(change), ensure_ascii=False) + "\n" for change in changes).encode()
        try:
            make_folders(self.path.parent)
            is_new = not self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                _write_behind(descriptor, data)
            finally:
                os.close(descriptor)
            if is_new:
                sync_folder(self.path.parent)
        except OSError as error:
            raise ChangesWriteError(
                f"the change could not be kept, and was not made: {reason(error)}",
                where=str(self.path),
                do="make room on the store's drive, or mend its rights, and ask again",
            ) from error


class KeptNames:
    """The names under which the history of a PV stands, as the changes say now.

    Parameters
    ----------
    file : ChangesFile
        The changes.
    """

    def __init__(self, file: ChangesFile) -> None:
        self._file = file
        self._stamp: tuple[int, int, int] | None = None
        self._names: Mapping[str, tuple[str, ...]] = {}

    def __call__(self) -> Mapping[str, tuple[str, ...]]:
        """Return the names of each PV that has several, by time, given any of them.

        Raises
        ------
        ChangesReadError
            Where the changes cannot be read.
        """
        stamp = self._file.stamp()
        if stamp != self._stamp:
            self._names, self._stamp = Aliases(self._file.read().changes).names, stamp
        return self._names


def _write_behind(descriptor: int, data: bytes) -> None:
    """Write behind the last whole line, or leave the file as it was."""
    end_B = _end_of_last_line(descriptor)
    os.ftruncate(descriptor, end_B)
    try:
        n_written = 0
        while n_written < len(data):
            n_written += os.pwrite(descriptor, data[n_written:], end_B + n_written)
        os.fdatasync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end_B)
        raise


def _end_of_last_line(descriptor: int) -> int:
    end_B, step_B = os.fstat(descriptor).st_size, 4096
    while end_B > 0:
        start_B = max(0, end_B - step_B)
        newline = os.pread(descriptor, end_B - start_B, start_B).rfind(b"\n")
        if newline >= 0:
            return start_B + newline + 1
        end_B = start_B
    return 0


def _fields(change: Change) -> dict[str, object]:
    policy = None if change.policy is None else change.policy.model_dump(mode="json", exclude_defaults=True)
    fields: dict[str, object] = {
        "version": _VERSION,
        "time_ns": change.time_ns,
        "verb": change.verb,
        "pv": change.pv,
        "name": change.name,
        "policy": policy,
        "who": change.who,
        "note": change.note,
    }
    return {key: value for key, value in fields.items() if value not in ("", None)}


def _change_from(fields: Mapping[str, Any]) -> Change:
    if fields["version"] != _VERSION:
        raise ValueError(f"version {fields['version']!r}, expected {_VERSION}: written by another nualley")
    texts = {key: fields.get(key, "") for key in _TEXTS}
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(fields["time_ns"], int):
        raise TypeError(f"expected text in {', '.join(_TEXTS)} and a whole number in time_ns")
    verb, policy = Verb(fields["verb"]), fields.get("policy")
    if (policy is not None) != (verb in {Verb.ADD, Verb.RENAME}):
        raise ValueError(f"{verb} {'with' if policy is not None else 'without'} a policy")
    made = None if policy is None else PvPolicy.model_validate(policy)
    return Change(verb=verb, time_ns=fields["time_ns"], policy=made, **texts)


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"policy.{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return str(error)
