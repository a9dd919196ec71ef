"""Tests of one group run on one worker: what takes the machine runs one at a time, what is dear is made once."""

import os
import subprocess
import sys
from pathlib import Path

_TESTS = """
from pathlib import Path

import pytest


@pytest.mark.xdist_group("dear")
@pytest.mark.parametrize("number", range(6))
def test_of_a_group(number, worker_id):
    Path(worker_id).touch()
"""


def test_a_group_runs_on_one_worker(tmp_path: Path) -> None:
    (tmp_path / "test_group.py").write_text(_TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadgroup"],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
        check=True,
        timeout=100,
        capture_output=True,
    )
    assert len(list(tmp_path.glob("gw*"))) == 1
