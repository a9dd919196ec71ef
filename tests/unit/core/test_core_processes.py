"""Processes that end with the one that started them."""

import os
import select
import signal
import subprocess
import sys

from nualley.core import PARENT_PID, end_with_parent

_ASK = "import os, time; from nualley.core import end_with_parent; end_with_parent(15, os.environ); "


def test_a_process_that_was_started_alone_asks_for_nothing() -> None:
    end_with_parent(signal.SIGKILL, {})


def test_a_parent_that_went_before_is_noticed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{_ASK} time.sleep(60)"], env={**os.environ, PARENT_PID: "1"}, check=False, timeout=30
    )
    assert done.returncode == -signal.SIGTERM


def test_the_child_ends_with_its_parent() -> None:
    child = f"{_ASK} print(os.getpid(), flush=True); time.sleep(60)"
    parent = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=subprocess.PIPE,"
        f" env={{**os.environ, {PARENT_PID!r}: str(os.getpid())}})\n"
        "print(child.stdout.readline().decode(), flush=True)\n"
    )
    # the pipe that the child does not close keeps no one waiting: read the line, then the parent is gone
    done = subprocess.run([sys.executable, "-c", parent, child], capture_output=True, check=True, text=True, timeout=30)
    descriptor = _open_process(int(done.stdout))
    if descriptor is not None:
        try:
            _wait_for_end(descriptor)
        finally:
            os.close(descriptor)


def _open_process(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _wait_for_end(descriptor: int) -> None:
    assert select.select([descriptor], [], [], 20)[0], "the child outlived its parent"
