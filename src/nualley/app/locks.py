"""One lock per store and role: two writers are impossible, and the second is told who the first is."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nualley.app.errors import RoleTakenError
from nualley.core import Clock, SystemClock, format_time

_TRIES = 5
_TRY_S = 0.02


@contextmanager
def hold_role(store: Path, role: str, clock: Clock | None = None) -> Iterator[None]:
    """Hold a role of a store for the length of a ``with`` block.

    Parameters
    ----------
    store : Path
        The store; made where it is missing.
    role : str
        ``archive``, ``worker``, ``web`` or ``up``.
    clock : Clock, optional
        Says since when.

    Yields
    ------
    None
        While the role is held. The kernel gives it back when the process ends, however it ends.

    Raises
    ------
    RoleTakenError
        Where another process holds it.
    """
    folder = store / "run"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{role}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(descriptor, path, role)
        now = format_time((clock or SystemClock()).now_ns(), digits=0)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, role: str) -> None:
    # somebody who only looks (`role_state`) has it for a moment: try again before giving up
    for tries_left in reversed(range(_TRIES)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not tries_left:
                raise _taken(path, role, os.pread(descriptor, 4096, 0)) from None
            time.sleep(_TRY_S)
        else:
            return


@dataclass(frozen=True, slots=True)
class RoleState:
    """Who holds a role of a store.

    Parameters
    ----------
    role : str
        The role.
    is_held : bool
        Whether a process holds it.
    holder : str
        Which one, in words; empty where none does.
    pid : int or None
        Its process id; None where none does or it has not said yet.
    """

    role: str
    is_held: bool
    holder: str = ""
    pid: int | None = None


def role_state(store: Path, role: str) -> RoleState:
    """Return who holds a role, without taking it.

    Parameters
    ----------
    store : Path
        The store; may not exist.
    role : str
        ``archive``, ``worker``, ``web`` or ``up``.
    """
    path = store / "run" / f"{role}.lock"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return RoleState(role, is_held=False)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raw = os.pread(descriptor, 4096, 0)
        return RoleState(role, is_held=True, holder=_in_words(raw), pid=_fields(raw).get("pid"))
    finally:
        os.close(descriptor)
    return RoleState(role, is_held=False)


def _fields(raw: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(raw))
    except ValueError:  # not written yet
        return {}


def _in_words(raw: bytes) -> str:
    fields = _fields(raw)
    if not fields:
        return "a process that has just started"
    return f"process {fields['pid']} on {fields['host']} since {fields['since']}"


def _taken(path: Path, role: str, raw: bytes) -> RoleTakenError:
    return RoleTakenError(
        f"the role {role!r} of this store is held by {_in_words(raw)}",
        where=str(path),
        do="use the one that runs, or stop it with SIGTERM",
    )
