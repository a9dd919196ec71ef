"""Where the command begins: from its first moment on Ctrl-C ends it quietly, also while it is being loaded."""

import gc
import os
import signal
import sys
from contextlib import suppress

from nualley.cli.stopping import STOPPED, STOPPED_JSON, wants_json


def main() -> int:
    """Run the process's own command line and return its exit code."""
    # where nohup or a shell's & has switched Ctrl-C off, it stays off
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heard:
        signal.signal(signal.SIGINT, _end_at_once)
    gc.disable()  # nothing that is loaded is thrown away again: to look through it takes a quarter of a short command
    from nualley.cli.main import main as run  # takes a while, and Ctrl-C may come meanwhile
    from nualley.core import keep_pandas_out

    keep_pandas_out()

    def begin() -> None:
        gc.freeze()
        gc.enable()
        if is_heard:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    try:
        return run(begin=begin)
    except KeyboardInterrupt:  # between the command's own care and here
        return STOPPED
    finally:
        gc.freeze()  # nor at the end, where Python would look through all of it once more
        # the answer is given: what is left is the interpreter's own end, which Ctrl-C would only make ugly
        if is_heard:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_at_once(_number: int, _frame: object) -> None:
    # nothing was begun, so nothing is left to tidy up; an exception could get lost inside of an import
    if wants_json(sys.argv[1:]):
        with suppress(OSError):  # whoever wanted to read it is gone
            os.write(1, f"{STOPPED_JSON}\n".encode())
    os._exit(STOPPED)
