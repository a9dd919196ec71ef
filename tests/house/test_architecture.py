"""Pages that name files and functions: all of them exist, and ARCHITECTURE.md's picture is the one that is enforced."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "ARCHITECTURE.md").read_text()
FAULTS = "".join(
    (REPOSITORY / "docs" / "explanations" / page).read_text() for page in ("archive-faults.md", "file-faults.md")
)
_FILE = re.compile(r"`((?:src/nualley/|tests/|tools/|docs/|benchmarks/|experiments/)?[\w./-]+\.(?:py|toml|md|sh))`")
_NAMED = re.compile(r"`([\w./-]+\.py)::([\w.]+)`")
# files of an experiment repository or of a store, which are in no folder of ours
_OF_USERS = {"experiment.toml", "beam.toml", "drives.toml", "people.toml"}


def found_file(name: str) -> Path | None:
    ours = REPOSITORY / "src" / "nualley"
    # a name alone is one that every domain may have
    candidates = (REPOSITORY / name, ours / name) if "/" in name else (REPOSITORY / name, *ours.glob(f"*/{name}"))
    return next((path for path in candidates if path.is_file()), None)


@cache
def defined(path: Path) -> frozenset[str]:
    """Return what a module defines: functions, classes, ``Class.method`` and names at the top."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{part.name}" for part in node.body if hasattr(part, "name")}
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(names)


def test_they_name_files_and_functions() -> None:
    assert len(_NAMED.findall(TEXT)) >= 12
    assert len(_NAMED.findall(FAULTS)) >= 110


@pytest.mark.parametrize("name", sorted({*_FILE.findall(TEXT), *_FILE.findall(FAULTS)} - _OF_USERS))
def test_a_named_file_exists(name: str) -> None:
    assert found_file(name), f"a page names {name}, which does not exist"


@pytest.mark.parametrize(("file", "name"), sorted({*_NAMED.findall(TEXT), *_NAMED.findall(FAULTS)}))
def test_a_named_function_exists(file: str, name: str) -> None:
    path = found_file(file)
    assert path, f"a page names {file}, which does not exist"
    assert name in defined(path), f"a page names {file}::{name}, which does not exist"


def test_the_picture_shows_every_floor_in_order() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors = next(contract for contract in contracts if contract.get("containers") == ["nualley"])["layers"]
    picture = re.search(r"```text\n(cli .*?)```", TEXT, re.DOTALL)
    assert picture, "no picture of the floors"
    drawn = [re.findall(r"[a-z]+", line.split("  ")[0]) for line in picture[1].splitlines() if line.strip()]
    built = {path.parent.name for path in (REPOSITORY / "src" / "nualley").glob("*/__init__.py")}
    enforced = [[name for name in re.findall(r"[a-z]+", floor) if name in built] for floor in floors]
    assert [sorted(line) for line in drawn] == [sorted(floor) for floor in enforced if floor]
