"""The import floors hold, and each kind of contract is seen to break on a planted fault."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).with_name("lint-imports")

# what is planted where, and the contract that must break
FAULTS = {
    "layers: core from above": ("core/time.py", "import nualley.archive", "Domains stand on floors"),
    "layers: neighbours": ("storage/models.py", "import nualley.daq", "Domains stand on floors"),
    "layers: shape of a domain": ("archive/models.py", "import nualley.archive.settings", "Inside a domain"),
    "circle": ("daq/models.py", "import nualley.daq.service", "No import circles"),
    "protected: adapters": ("web/status.py", "import nualley.archive.adapters.sql", "Only app and the test kit"),
    "protected: face": ("catalog/decide.py", "import nualley.storage.models", "storage is entered by its face"),
    "forbidden: EPICS": ("archive/service.py", "import aioca", "Only pv's adapters speak EPICS"),
    "forbidden: serving PVs": ("app/site.py", "import softioc", "Only the demo and the test kit serve PVs"),
    "forbidden: SQL": ("catalog/decide.py", "import sqlalchemy", "SQL"),
    "forbidden: web": ("app/site.py", "import fastapi", "Only web knows"),
    "forbidden: command line": ("web/status.py", "import rich", "Only cli knows"),
    "forbidden: raw files": ("exposure/decide.py", "import h5py", "Raw-file libraries"),
}


def lint(repository: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(repository / "src"), "COLUMNS": "200"}
    return subprocess.run(
        [LINT, "--no-cache"], cwd=repository, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("floors")
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    shutil.copytree(
        REPOSITORY / "src" / "nualley", folder / "src" / "nualley", ignore=shutil.ignore_patterns("__pycache__")
    )
    return folder


def test_floors_hold() -> None:
    found = lint(REPOSITORY)
    assert found.returncode == 0, found.stdout.partition("Broken contracts")[2] + found.stderr


def test_every_package_with_a_face_is_protected() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text()
    tops = ("app", "cli", "core", "demo", "testing", "web")  # entered from above only, or by everyone
    faces = [path.parent.name for path in (REPOSITORY / "src" / "nualley").glob("*/__init__.py")]
    missing = [name for name in faces if name not in tops and f'"nualley.{name}.*"' not in text]
    assert not missing, f"no contract protects the face of {missing}"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_breaks_its_contract(copy: Path, fault: str) -> None:
    file, line, contract = FAULTS[fault]
    path = copy / "src" / "nualley" / file
    sound = path.read_text()
    path.write_text(f"{sound}\n{line}\n")
    try:
        found = lint(copy)
    finally:
        path.write_text(sound)
    broken = [line for line in found.stdout.splitlines() if "BROKEN" in line]
    assert found.returncode != 0
    assert any(contract in line for line in broken), found.stdout
