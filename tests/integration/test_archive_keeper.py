"""Sealing and compaction in a child: done there, told when they fail, and gone with their parent."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nualley.app.archive import open_archive_reader, open_archive_writer
from nualley.app.keeper import ChildKeeper, KeepingFailedError
from nualley.core import DAY_NS, SECOND_NS
from nualley.pv import Connection, Sample, ValueType


@pytest.fixture
def writer(tmp_path):
    opened = open_archive_writer(tmp_path)
    opened.recorder.receive(Connection("P", True, "ioc", 1, 1, "ca"))
    return opened


def write(writer, time_ns, value):
    writer.recorder.receive(Sample("P", time_ns, value, ValueType.FLOAT64, 0, 0, "ca", time_ns))
    writer.recorder.commit()


async def test_a_child_seals_while_the_parent_goes_on(tmp_path, writer):
    now_ns = time.time_ns()
    write(writer, now_ns, 1.0)
    segment = writer.recorder.rotate()
    sealing = asyncio.create_task(ChildKeeper(tmp_path).seal(segment))
    write(writer, now_ns + 1, 2.0)
    assert await sealing >= 3
    reader = open_archive_reader(tmp_path)
    assert [v for v in reader.read("P", 0, 2**62)["value"].to_pylist() if v is not None] == [1.0, 2.0]
    assert len(reader.snapshot().files) >= 3
    writer.close()


async def test_a_child_merges_what_is_over(tmp_path, writer):
    days_ago_ns = time.time_ns() - 40 * DAY_NS
    for number in range(4):
        write(writer, days_ago_ns + number * SECOND_NS, float(number))
        writer.seal()
    await ChildKeeper(tmp_path).compact()
    assert {file.path.split("/")[0] for file in open_archive_reader(tmp_path).snapshot().files} >= {"month"}
    writer.close()


async def test_why_a_child_failed_is_told(tmp_path, writer):
    with pytest.raises(KeepingFailedError, match="segment 7 is sealed before segment 0"):
        await ChildKeeper(tmp_path).seal(7)
    writer.close()


async def test_a_child_that_was_killed_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(KeepingFailedError, match="the process that was to compact ended with code 1"):
        await ChildKeeper(tmp_path).compact()


def test_a_child_dies_with_its_parent(tmp_path):
    # a parent that starts a child which waits, and is killed
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; from nualley.app import keeper; '\n"
        "    f'keeper._die_with({os.getpid()}); print(1, flush=True); time.sleep(60)'], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    stop = time.monotonic() + 10
    while _is_running(child):
        assert time.monotonic() < stop, "the child outlived its parent"
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        with Path(f"/proc/{pid}/stat").open() as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_without_its_parent_does_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "nualley.app.keeper", "1", str(tmp_path), "compact"], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")
