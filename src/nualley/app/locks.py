"""One lock per store and role: two writers are impossible, and the second is told who the first is."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nualley.app.errors import RoleTakenError
from nualley.core import CheckResult, CheckState, Clock, NualleyError, SystemClock, format_time

ROLES = ("archive", "worker", "web")
"""The product's processes; what others rest on comes first."""

_TRIES = 5
_TRY_S = 0.02
_LONGEST_B = 1 << 16


class Holding:
    """A role that is held; what is noted here, others read with `role_state`.

    Parameters
    ----------
    descriptor : int
        The lock file, locked.
    holder : mapping of str to str or int
        Who holds it.
    """

    def __init__(self, descriptor: int, holder: Mapping[str, str | int]) -> None:
        self._descriptor = descriptor
        self._noted: dict[str, object] = dict(holder)
        self._write()

    def note_address(self, url: str) -> None:
        """Say at which address this process answers, now that it does."""
        self._noted["url"] = url
        self._write()

    def note_control(self, path: Path) -> None:
        """Say at which socket this process takes orders, now that it does: others may have another environment."""
        self._noted["control"] = str(path)
        self._write()

    def note_end(self, error: NualleyError) -> None:
        """Say why this process cannot go on."""
        self._noted["ended"] = error.to_json()
        self._write()

    def _write(self) -> None:
        text = json.dumps(self._noted).encode()
        # the lock is what counts, the note tells people: a full drive must not keep a process from its work
        with suppress(OSError):
            os.pwrite(self._descriptor, text, 0)
            os.ftruncate(self._descriptor, len(text))


@contextmanager
def hold_role(store: Path, role: str, clock: Clock | None = None) -> Iterator[Holding]:
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
    Holding
        While the role is held. The kernel gives it back when the process ends, however it ends; where an error ended
        it, the reason stays readable.

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
        holding = Holding(descriptor, {"pid": os.getpid(), "host": socket.gethostname(), "since": now})
        try:
            yield holding
        except NualleyError as error:
            holding.note_end(error)
            raise
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, role: str) -> None:
    # somebody who only looks (`role_state`) has it for a moment: try again before giving up
    for tries_left in reversed(range(_TRIES)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not tries_left:
                raise _taken(path, role, _read(descriptor)) from None
            time.sleep(_TRY_S)
        else:
            return


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a holder could not go on.

    Parameters
    ----------
    pid : int
        Its process id.
    error : NualleyError
        What happened, where, and what to do.
    """

    pid: int
    error: NualleyError


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
    url : str
        The address at which it answers; empty where it does not, or not yet.
    ended : Ending or None
        Why the last holder could not go on; None while one holds it, and where the last one was stopped or killed.
    control : str
        The socket at which it takes orders; empty where it takes none, or not yet.
    """

    role: str
    is_held: bool
    holder: str = ""
    pid: int | None = None
    url: str = ""
    ended: Ending | None = None
    control: str = ""


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
        noted = _read(descriptor)
        url, control = noted.get("url", ""), noted.get("control", "")
        return RoleState(role, True, _in_words(noted), noted.get("pid"), url, control=control)
    else:
        return RoleState(role, is_held=False, ended=_ending(_read(descriptor)))
    finally:
        os.close(descriptor)


def check_role(state: RoleState) -> CheckResult:
    """Say in words whether a role's process runs, and what to do where it does not."""
    name = f"process.{state.role}"
    if state.is_held:
        address = f" at {state.url}" if state.url else ""
        return CheckResult(name, CheckState.OK, f"runs as {state.holder}{address}")
    if state.ended:
        error = state.ended.error
        do = f"{error.do}; then: nualley up {state.role}".removeprefix("; then: ")
        return CheckResult(name, CheckState.FAILED, f"could not go on: {error.what}", do)
    return CheckResult(name, CheckState.WARNING, "does not run", f"nualley up, or nualley up {state.role}")


def _read(descriptor: int) -> dict[str, Any]:
    try:
        return dict(json.loads(os.pread(descriptor, _LONGEST_B, 0)))
    except ValueError:  # not written yet
        return {}


def _ending(noted: Mapping[str, Any]) -> Ending | None:
    ended = noted.get("ended")
    if ended is None:
        return None
    return Ending(noted["pid"], NualleyError(ended["what"], where=ended["where"], do=ended["do"]))


def _in_words(noted: Mapping[str, Any]) -> str:
    if not noted:
        return "a process that has just started"
    return f"process {noted['pid']} on {noted['host']} since {noted['since']}"


def _taken(path: Path, role: str, noted: Mapping[str, Any]) -> RoleTakenError:
    return RoleTakenError(
        f"the role {role!r} is held by {_in_words(noted)}",
        where=str(path),
        do="use the one that runs, or stop it with SIGTERM",
    )
