"""One lock per store and role."""

import os
import subprocess
import sys

import pytest

from nualley.app.errors import RoleTakenError
from nualley.app.locks import hold_role, role_state

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
            pytest.raises(RoleTakenError, match=rf"'archive' .* is held by process {os.getpid()} on") as caught,
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


def test_a_store_that_does_not_exist_has_no_holders(tmp_path):
    assert not role_state(tmp_path / "none", "archive").is_held
