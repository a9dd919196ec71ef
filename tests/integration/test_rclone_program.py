"""The rclone that is used is tried first: what a kill leaves, and which checksums it knows."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from nualley.replicas import RcloneUnfit, RemoteNotSetUp, RemoteUnreachable
from nualley.replicas.adapters import rclone_program
from nualley.replicas.adapters.rclone_daemon import RcloneDaemon, _UnixConnection
from nualley.replicas.adapters.rclone_program import check_rclone, find_rclone
from tests.remotes import RCLONE

pytestmark = pytest.mark.enable_socket

# what Debian's 1.60 does: it writes under the final name
BAD = """#!/bin/sh
case "$1" in
  version) echo "rclone v1.60.1-DEV";;
  hashsum) printf '%s\\n' {hashes};;
  copyto) head -c 100000 "$2" > "$3"; exec sleep 60;;
esac
"""


def bad(folder: Path, hashes: str) -> Path:
    path = folder / "rclone"
    path.write_text(BAD.format(hashes=hashes))
    path.chmod(0o755)
    return path


def test_the_one_that_is_installed_is_fit_and_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = tmp_path / "run" / "rclone.json"
    assert check_rclone(RCLONE, known).startswith("rclone v1.")
    (found,) = json.loads(known.read_text()).values()
    assert found["unfit"] == ""
    monkeypatch.setattr(rclone_program, "_unfit", lambda _: pytest.fail("it was tried before"))
    check_rclone(RCLONE, known)


def test_one_that_leaves_partial_files_is_refused(tmp_path: Path) -> None:
    known = tmp_path / "rclone.json"
    for _ in range(2):  # the second time as it is remembered
        with pytest.raises(
            RcloneUnfit, match=r"rclone v1\.60\.1-DEV leaves a partial file under its final name"
        ) as caught:
            check_rclone(bad(tmp_path, "md5 xxh128"), known)
        assert "pip install 'nualley[remotes]'" in caught.value.do


def test_one_that_does_not_know_the_checksum_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RcloneUnfit, match="does not know the checksum xxh128"):
        check_rclone(bad(tmp_path, "md5 sha1"), tmp_path / "rclone.json")


def test_a_torn_memory_is_made_anew(tmp_path: Path) -> None:
    known = tmp_path / "rclone.json"
    known.write_text('{"a": 3, "b')
    with pytest.raises(RcloneUnfit):
        check_rclone(bad(tmp_path, "md5"), known)
    assert json.loads(known.read_text())


def test_debians_is_refused(tmp_path: Path) -> None:
    program = Path("/usr/bin/rclone")
    if not program.exists():
        pytest.skip("Debian's rclone 1.60 is not installed, and nothing needs it: sudo apt-get install rclone")
    with pytest.raises(RcloneUnfit, match="it is not used"):
        check_rclone(program, tmp_path / "rclone.json")


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_rclone() == RCLONE
    assert find_rclone(bad(tmp_path, "")) == tmp_path / "rclone"
    with pytest.raises(RemoteNotSetUp, match="is no program"):
        find_rclone(tmp_path / "none")
    monkeypatch.setattr(rclone_program.sysconfig, "get_path", lambda _: str(tmp_path / "nowhere"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_rclone() == tmp_path / "rclone"
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(RemoteNotSetUp, match="rclone is not installed"):
        find_rclone()


def test_a_program_that_is_no_rclone(tmp_path: Path) -> None:
    with pytest.raises(RemoteNotSetUp, match="is no rclone: it says"):
        check_rclone(Path("/bin/true"), tmp_path / "rclone.json")
    daemon = RcloneDaemon(lambda: Path("/bin/false"))
    with pytest.raises(RemoteNotSetUp, match="rclone does not start"):
        daemon.call("rc/noop", {})


# ---------------------------------------------------------------- the daemon
def test_it_takes_calls_of_this_process_alone_and_ends_with_it(tmp_path: Path) -> None:
    daemon = RcloneDaemon(lambda: RCLONE, tmp_path / "rclone.conf")
    daemon.call("rc/noop", {})
    pid = daemon.pid
    assert pid is not None
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    assert "--rc-addr unix://" in command
    assert "pass" not in command, "nobody reads a password from the list of processes"
    folder = Path(command.partition("unix://")[2].split()[0]).parent
    assert folder.stat().st_mode & 0o077 == 0
    stranger = _UnixConnection(os.fspath(folder / "rc.sock"), 10.0)
    stranger.request("POST", "/core/version", b"{}", {"Content-Type": "application/json"})
    assert stranger.getresponse().status in (401, 403)
    stranger.close()
    daemon.close()
    assert not folder.exists()
    assert not is_alive(pid)
    daemon.call("rc/noop", {})
    assert daemon.pid not in (None, pid), "it starts again when it is asked again"
    daemon.close()


def test_one_that_was_killed_is_told_and_started_again(tmp_path: Path) -> None:
    daemon = RcloneDaemon(lambda: RCLONE, tmp_path / "rclone.conf")
    daemon.call("rc/noop", {})
    pid = daemon.pid
    assert pid is not None

    (tmp_path / "source").write_bytes(bytes(2**20))

    def kill(_done_B: int) -> None:
        """Kill it, and have another one do a job of the same number."""
        os.kill(pid, signal.SIGKILL)
        until_s = time.monotonic() + 30
        while daemon.pid == pid:
            assert time.monotonic() < until_s
            time.sleep(0.01)
        daemon.call("operations/stat", {"fs": str(tmp_path), "remote": "source", "_async": True})

    copied = {"srcFs": str(tmp_path), "srcRemote": "source", "dstFs": str(tmp_path / "there"), "dstRemote": "copy"}
    slowly = {**copied, "_config": {"BwLimitFile": "1K"}}
    with pytest.raises(RemoteUnreachable, match="rclone"):
        daemon.work("operations/copyfile", slowly, remote="nas", progress=kill)
    assert daemon.pid not in (None, pid)
    daemon.close()


CHILD = """
import sys, time
from pathlib import Path
from nualley.replicas.adapters.rclone_daemon import RcloneDaemon, _UnixConnection
daemon = RcloneDaemon(lambda: Path(sys.argv[1]))
daemon.call("rc/noop", {})
print(daemon.pid, flush=True)
time.sleep(60)
"""


def test_it_starts_where_the_folder_for_temporary_files_is_too_long_a_path_for_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("a-job-of-the-batch-system-" * 4)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    daemon = RcloneDaemon(lambda: RCLONE)
    daemon.call("rc/noop", {})
    daemon.close()
    assert list(deep.iterdir()) == []


def test_it_ends_when_this_process_is_killed(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    place = tempfile.TemporaryDirectory(dir="/tmp")  # a short path: its sockets stand in it
    request.addfinalizer(place.cleanup)
    tmp_path = Path(place.name)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    words = [sys.executable, "-c", CHILD, RCLONE]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environ) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        assert is_alive(pid)
        child.kill()
    until_s = time.monotonic() + 30
    while is_alive(pid):
        assert time.monotonic() < until_s
        time.sleep(0.01)
    (left,) = tmp_path.iterdir()
    daemon = RcloneDaemon(lambda: RCLONE)
    daemon.call("rc/noop", {})
    assert not left.exists(), "the next one puts in order what a kill left"
    other = RcloneDaemon(lambda: RCLONE)
    other.call("rc/noop", {})
    assert len(list(tmp_path.iterdir())) == 2, "and leaves alone what is in use"
    daemon.call("rc/noop", {})
    daemon.close()
    other.close()
    assert list(tmp_path.iterdir()) == []


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
