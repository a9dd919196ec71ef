"""One lock per store and role: two writers are impossible, and the second is told who the first is."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nualley.app.errors import RoleTakenError
from nualley.core import Clock, SystemClock, format_time


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
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _taken(path, role, os.pread(descriptor, 4096, 0)) from None
        now = format_time((clock or SystemClock()).now_ns(), digits=0)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _taken(path: Path, role: str, raw: bytes) -> RoleTakenError:
    try:
        holder = json.loads(raw)
        who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        do = f"use the one that runs, or stop it: kill {holder['pid']}"
    except (ValueError, KeyError):
        who, do = "a process that has just started", "try again in a moment"
    return RoleTakenError(f"the role {role!r} of this store is held by {who}", where=str(path), do=do)
