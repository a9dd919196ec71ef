"""``nualley transfer copy`` as a process of its own that is stopped and killed in the middle of a file."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nualley.app.site import open_site
from nualley.catalog import CopyState
from nualley.cli.main import main

COMMAND = [sys.executable, "-m", "nualley.cli", "transfer"]
LONGEST_S = 60.0


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """Return an experiment with a folder of two files, which take some seconds at the rate that is asked for."""
    folder = tmp_path / "experiment"
    assert main(["init", str(folder)]) == 0
    (folder / "usb").mkdir()
    (folder / "usb" / "a.dat").write_bytes(b"abc")
    (folder / "usb" / "b.dat").write_bytes(os.urandom(4 * 2**20 + 5))
    return folder


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("NUALLEY_")}
    return subprocess.run(
        [*COMMAND, *words, "--json"], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def part_of(folder: Path, child: "subprocess.Popen[str]") -> Path:
    """Return the part of the second file once some of it is there."""
    part = folder / "copy" / ".b.dat.nualley.part"
    until_s = time.monotonic() + LONGEST_S
    while not (part.exists() and part.stat().st_size >= 2**20):
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < until_s
        time.sleep(0.01)
    return part


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_copy_that_was_stopped_goes_on_in_the_middle_of_the_file(
    experiment: Path, number: signal.Signals, code: int
) -> None:
    words = [*COMMAND, "copy", "usb", "./copy", "--rate", "4 MB/s", "--json"]
    with subprocess.Popen(
        words, cwd=experiment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        part = part_of(experiment, child)
        inode = part.stat().st_ino
        child.send_signal(number)
        said, errors = child.communicate(timeout=LONGEST_S)
    assert child.returncode == code, (said, errors)
    if code == 130:
        assert "stopped by the user" in json.loads(said)["error"]["what"]
    assert [path.name for path in (experiment / "copy").glob("*.dat") if path.name[0] != "."] == ["a.dat"]
    (listed,) = json.loads(call(experiment, "list", "--unfinished").stdout)
    assert (listed["n_files"], listed["n_done"], listed["finished_ns"]) == (2, 1, None)
    states = {file.path: file.state for file in open_site(experiment).catalog().transfers.files(1)}
    assert states["a.dat"] is CopyState.CATALOGUED
    assert states["b.dat"] is not CopyState.CATALOGUED
    done = call(experiment, "resume")
    assert done.returncode == 0, done
    (report,) = json.loads(done.stdout)
    assert (report["is_finished"], report["n_done"]) == (True, 2)
    copy = experiment / "copy" / "b.dat"
    assert copy.read_bytes() == (experiment / "usb" / "b.dat").read_bytes()
    assert copy.stat().st_ino == inode, "the part was gone on with"


def start(experiment: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, *words, "--json"], cwd=experiment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_commands_share_a_device_and_refuse_the_same_transfer(experiment: Path) -> None:
    with start(experiment, "copy", "usb", "./copy", "--rate", "4 MB/s") as first:
        part_of(experiment, first)
        first.send_signal(signal.SIGSTOP)
        refused = call(experiment, "resume", "1")
        assert refused.returncode == 1
        assert "another process works on transfer 1" in json.loads(refused.stdout)["error"]["what"]
        with start(experiment, "copy", "usb", "./other") as second:
            first.send_signal(signal.SIGCONT)
            for child in (first, second):
                said, errors = child.communicate(timeout=LONGEST_S)
                assert child.returncode == 0, errors
                assert json.loads(said)["is_finished"]
    for folder in ("copy", "other"):
        assert sorted(path.name for path in (experiment / folder).iterdir()) == ["a.dat", "b.dat"]


def test_a_copy_that_is_given_up_by_another_command_ends(experiment: Path) -> None:
    with start(experiment, "copy", "usb", "./copy", "--rate", "1 MB/s") as child:
        part_of(experiment, child)
        given_up = call(experiment, "cancel", "1")
        assert given_up.returncode == 0, given_up
        said, errors = child.communicate(timeout=LONGEST_S)
    assert child.returncode == 1, (said, errors)
    assert "transfer 1 was cancelled" in json.loads(said)["error"]["what"]
    answer = json.loads(given_up.stdout)
    assert (answer["state"], answer["n_done"], answer["problems"]) == ("cancelled", 1, [])
    assert [path.name for path in (experiment / "copy").iterdir()] == ["a.dat"]
    assert json.loads(call(experiment, "list", "--unfinished").stdout) == []
    for words in (("resume", "1"), ("resume", "1", "--queue")):
        refused = call(experiment, *words)
        assert refused.returncode == 1
        assert "nualley transfer copy" in json.loads(refused.stdout)["error"]["do"]


def test_what_was_left_to_the_worker_survives_it(experiment: Path) -> None:
    left = call(experiment, "copy", "usb", "./copy", "--rate", "2 MB/s", "--queue")
    assert left.returncode == 0, left
    assert [each["is_left"] for each in json.loads(left.stdout)] == [True]
    assert not (experiment / "copy").exists()
    worker = [sys.executable, "-m", "nualley.cli", "up", "worker"]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("NUALLEY_")}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(worker, cwd=experiment, env=environ, **streams) as child:  # type: ignore[call-overload]  # as it takes them
        part_of(experiment, child)
        child.kill()
        child.communicate(timeout=LONGEST_S)
    with subprocess.Popen(worker, cwd=experiment, env=environ, **streams) as child:  # type: ignore[call-overload]  # as it takes them
        until_s = time.monotonic() + LONGEST_S
        while json.loads(call(experiment, "list", "--unfinished").stdout):
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < until_s
            time.sleep(0.2)
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=LONGEST_S)
    assert child.returncode == 0, errors
    assert "transfer finished" in errors
    assert (experiment / "copy" / "b.dat").read_bytes() == (experiment / "usb" / "b.dat").read_bytes()
