"""Work that others do not notice: last for the processor, and idle for the drive."""

import ctypes
import os
import platform

_NICENESS = 10
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "ppc64le": 273, "riscv64": 30, "s390x": 282}
_WHO_PROCESS = 1
_CLASS_IDLE = 3
_CLASS_SHIFT = 13


def step_back() -> bool:
    """Let this process and those it starts wait for all others.

    Returns
    -------
    bool
        Whether the system took the idle class for the drive too; some schedulers know none.
    """
    os.nice(max(0, _NICENESS - os.getpriority(os.PRIO_PROCESS, 0)))
    number = _IOPRIO_SET.get(platform.machine())
    if number is None:
        return False
    # the C library has no function for it
    return not ctypes.CDLL(None).syscall(number, _WHO_PROCESS, 0, _CLASS_IDLE << _CLASS_SHIFT)
