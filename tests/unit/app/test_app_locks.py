"""One lock per store and role."""

import errno
import os
import subprocess
import sys

import pytest

from nualley.app.errors import RoleTakenError
from nualley.app.locks import hold_role, role_state
from nualley.core import ConfigurationError

HOLDER = """
import sys
from pathlib import Path
from nualley.app.locks import hold_role
with hold_role(Path(sys.argv[1]), "archive"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_is_refused_and_told_who_the_first_is(tmp_path):
    with hold_role(tmp_path, "archive"), hold_role(tmp_path, "worker"):
        with (
            pytest.raises(RoleTakenError, match=rf"'archive' is held by process {os.getpid()} on") as caught,
            hold_role(tmp_path, "archive"),
        ):
            pass
        assert caught.value.where == str(tmp_path / "run" / "archive.lock")
        assert str(os.getpid()) in role_state(tmp_path, "archive").holder
    assert not role_state(tmp_path, "archive").is_held
    with hold_role(tmp_path, "archive"):
        assert role_state(tmp_path, "archive").is_held


def test_a_killed_holder_gives_its_role_back(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert f"process {process.pid} on" in role_state(tmp_path, "archive").holder
        process.kill()
        process.wait()
    with hold_role(tmp_path, "archive"):
        pass


def test_a_holder_says_where_it_answers_until_it_ends(tmp_path):
    with hold_role(tmp_path, "web") as held:
        assert role_state(tmp_path, "web").url == ""
        held.note_address("http://127.0.0.1:9/")
        assert role_state(tmp_path, "web").url == "http://127.0.0.1:9/"
    assert role_state(tmp_path, "web").url == "", "nobody answers there any more"


def test_why_the_last_holder_could_not_go_on_is_readable_until_the_next_one(tmp_path):
    with pytest.raises(ConfigurationError), hold_role(tmp_path, "web"):
        raise ConfigurationError("port 9 is taken", where="web.port", do="choose another")
    ended = role_state(tmp_path, "web").ended
    assert ended is not None
    assert (ended.pid, ended.error.what, ended.error.do) == (os.getpid(), "port 9 is taken", "choose another")
    with hold_role(tmp_path, "web"):
        assert role_state(tmp_path, "web").ended is None
    assert role_state(tmp_path, "web").ended is None


def test_a_note_that_finds_no_room_does_not_cost_the_role(tmp_path, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nualley.app.locks.os.pwrite", full)
    with hold_role(tmp_path, "archive"):
        assert role_state(tmp_path, "archive").is_held
        assert role_state(tmp_path, "archive").holder == "a process that has just started"


def test_a_store_that_does_not_exist_has_no_holders(tmp_path):
    assert not role_state(tmp_path / "none", "archive").is_held
