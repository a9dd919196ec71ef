"""Channel Access callbacks in machine code: every update goes straight into the ring, without Python.

libca calls back from its own threads, one call at a time. What it calls here is compiled from a few lines of LLVM's
language when the process starts, by a process of its own (`nualley.pv.adapters.ca_machine_code`).
"""

import ctypes
import json
import mmap
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from epicscorelibs.path import get_lib

from nualley.core import UnreachableError

COMPILER = "nualley.pv.adapters.ca_machine_code"

# struct event_handler_args is 48 bytes and passed by value: on the stack on x86-64, as an address on AArch64
_EVENT_ARGUMENTS: Mapping[str, str] = {
    "x86_64": "ptr byval([48 x i8]) align 8 %args",
    "AMD64": "ptr byval([48 x i8]) align 8 %args",
    "aarch64": "ptr %args",
    "arm64": "ptr %args",
}
_ALIGNED_B = 64


class NoMachineCodeError(UnreachableError):
    """Callbacks cannot be compiled for this machine."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Addresses of callbacks, good for as long as this object lives.

    Parameters
    ----------
    on_event, on_connection : int
        For ``ca_create_subscription`` and ``ca_array_get_callback``, and for ``ca_create_channel``.
    owner : object
        Owns the code.
    """

    on_event: int
    on_connection: int
    owner: object


def compile_callbacks(machine: str = "") -> Callbacks:
    """Compile the callbacks for this machine; takes a third of a second.

    Parameters
    ----------
    machine : str
        As `platform.machine` names it; this one by default.

    Raises
    ------
    NoMachineCodeError
        Where it is not known how this kind of machine passes arguments, or where it lets no new code run.
    """
    name = machine or platform.machine()
    if name not in _EVENT_ARGUMENTS:
        raise _no_code(f"for {name!r}, expected one of " + ", ".join(sorted(_EVENT_ARGUMENTS)))
    libc, libca = ctypes.CDLL(None, use_errno=True), ctypes.CDLL(get_lib("ca"))
    addresses = [str(_address(function)) for function in (libc.clock_gettime, libca.ca_puser, libc.memcpy)]
    words = [sys.executable, "-m", COMPILER, _EVENT_ARGUMENTS[name], *addresses]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603  # our own module, by our own interpreter
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        raise _no_code(f"by {COMPILER}: {said}")
    code = {part: bytes.fromhex(digits) for part, digits in json.loads(done.stdout).items()}
    return _load(code["on_event"], code["on_connection"], libc)


def _load(on_event: bytes, on_connection: bytes, libc: ctypes.CDLL) -> Callbacks:
    """Put code where it can run, and can no longer be written."""
    second = -(-len(on_event) // _ALIGNED_B) * _ALIGNED_B
    size_B = -(-(second + len(on_connection)) // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, size_B, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    memory[: len(on_event)] = on_event
    memory[second : second + len(on_connection)] = on_connection
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(size_B), mmap.PROT_READ | mmap.PROT_EXEC):
        raise _no_code(f"that may run: mprotect, errno {ctypes.get_errno()}")
    return Callbacks(start, start + second, memory)


def _no_code(why: str) -> NoMachineCodeError:
    return NoMachineCodeError(
        f"no callbacks of Channel Access can be compiled {why}",
        where="this machine",
        do="use callbacks in Python: nualley.pv.adapters.ca_python",
    )


def _address(function: "ctypes._FuncPointer") -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0
