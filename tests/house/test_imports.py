"""What a quick command does not import: start-up time is a promise (see benchmarks/startup.py)."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

# cyclopts brings rich; SQLAlchemy comes with the catalog, pydantic with the configuration
HEAVY = (
    "numpy", "pyarrow", "h5py", "matplotlib", "aioca", "epicscorelibs", "llvmlite", "zmq", "fastapi", "starlette",
    "uvicorn", "jinja2", "alembic", "structlog", "softioc", "p4p", "tree_sitter",
)  # fmt: skip
CATALOG = ("sqlalchemy", "pydantic", "asyncio", "nualley.config", "nualley.catalog")

_PROBE = """
import json, sys
from nualley.cli.main import main
try:
    code = main(sys.argv[2:])
except SystemExit as end:
    code = end.code
print("\\n" + json.dumps([int(code or 0), [name for name in json.loads(sys.argv[1]) if name in sys.modules]]))
"""


def imported(words: Sequence[str], modules: Sequence[str], folder: Path) -> list[str]:
    """Run a command in a fresh interpreter and return which of the modules it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, json.dumps(modules), *words],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if not key.startswith("NUALLEY_")},
        capture_output=True,
        text=True,
        check=True,
    )
    code, found = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return list(found)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imports") / "experiment"
    imported(["init", str(folder)], (), folder.parent)
    imported(["runs", "list"], (), folder)  # makes the catalog: the one time that a migration runs
    return folder


@pytest.mark.parametrize("words", [["--version"], ["--help"]])
def test_help_and_version_import_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    assert imported(words, (*HEAVY, *CATALOG), tmp_path) == []


def test_runs_list_imports_the_catalog_and_nothing_heavy(experiment: Path) -> None:
    assert imported(["runs", "list"], HEAVY, experiment) == []


@pytest.mark.parametrize("words", [["check"], ["doctor", "--help"], ["service", "--user", "nobody"]])
def test_what_reads_the_configuration_alone_imports_nothing_heavy(words: list[str], experiment: Path) -> None:
    assert imported(words, HEAVY, experiment) == []


_CHILD = """
import gc, runpy, sys
try:
    runpy.run_module("nualley.core.child", run_name="__main__")
except SystemExit as end:
    code = end.code
import pyarrow
pyarrow.array([1])  # looks for pandas
is_quick = gc.isenabled() and gc.get_freeze_count() > 10_000
print(code, is_quick, *sorted({"nualley.config", "pandas", "sqlalchemy"} & sys.modules.keys()), sep=",")
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["nualley.app.keeper", "0", "folder", "seal", "0"], 1),  # whoever started it is not this parent
        (["nualley.app.scan_child"], 1),
    ],
)
def test_a_child_that_seals_or_scans_loads_neither_configuration_nor_pandas(words: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *words],
        input='{"lock": "/proc/nowhere/lock"}\n',
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == f"{code},True"


def test_the_probe_sees_an_import(experiment: Path) -> None:
    assert imported(["runs", "list"], ("sqlalchemy",), experiment) == ["sqlalchemy"]
