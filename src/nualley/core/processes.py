"""Processes that end with the one that started them, however it went: the supervisor's, the demo's, the test kit's."""

import ctypes
import os
from collections.abc import Mapping

PARENT_PID = "NUALLEY_PARENT_PID"
"""Variable of the environment in which a process that starts others leaves them its process id."""

_PR_SET_PDEATHSIG = 1


def end_with_parent(signal_number: int, environ: Mapping[str, str]) -> None:
    """Ask the kernel to send this process a signal when its parent ends (Linux).

    Parameters
    ----------
    signal_number : int
        The signal: ``SIGTERM`` where there is something to put in order, else ``SIGKILL``.
    environ : mapping of str to str
        The environment; without `PARENT_PID` in it the process was started alone, and nothing is asked for.

    Notes
    -----
    The kernel means the parent's *thread*: start children from a thread that stays.
    """
    parent = environ.get(PARENT_PID)
    if parent is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
    if os.getppid() != int(parent):  # it went before we asked
        os.kill(os.getpid(), signal_number)
