"""Everything that is installed is pinned by a hash, and from no address."""

import json
import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PINS = sorted((REPOSITORY / "requirements").glob("*.txt"))


def canonical(requirement: str) -> str:
    """Return the name in a requirement as indexes compare it."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def pinned(path: Path) -> dict[str, str]:
    """Return name -> the whole entry, its hashes included."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"(?m)^\s*#.*\n", "", path.read_text()))
    return {canonical(entry): entry for entry in entries if entry.strip()}


def wanted() -> list[str]:
    project = PROJECT["project"]
    lists = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
    ]
    return [canonical(requirement) for found in lists for requirement in found]


def test_every_dependency_is_pinned() -> None:
    missing = sorted(set(wanted()) - set(pinned(REPOSITORY / "requirements" / "dev.txt")))
    assert not missing, f"not in requirements/dev.txt: {missing}; do: make pins"


def test_the_build_needs_nothing_that_is_not_pinned() -> None:
    needed = {canonical(requirement) for requirement in PROJECT["build-system"]["requires"]}
    assert needed <= set(pinned(REPOSITORY / "requirements" / "dev.txt"))


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.name)
def test_every_pin_has_one_version_and_a_hash(path: Path) -> None:
    for name, entry in pinned(path).items():
        assert re.search(r"(?i)^[a-z0-9._-]+(\[[a-z0-9,_-]+\])?==[^\s;]+", entry), f"{name} is not pinned: {entry[:80]}"
        assert "--hash=sha256:" in entry, f"{name} has no hash"


@pytest.mark.parametrize(
    "path", [*PINS, REPOSITORY / "package-lock.json", REPOSITORY / "pyproject.toml"], ids=lambda p: p.name
)
def test_no_pin_names_an_address(path: Path) -> None:
    found = [line for line in path.read_text().splitlines() if re.search(r"://|--index|--find-links|git\+", line)]
    # the sponsors that npm copies out of packages are no place to install from
    assert [line for line in found if '"url": "https://opencollective' not in line] == []


def test_browser_code_is_pinned_by_integrity() -> None:
    packages = json.loads((REPOSITORY / "package-lock.json").read_text())["packages"]
    named = json.loads((REPOSITORY / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in named.values()), named
    for name, version in named.items():
        locked = packages[f"node_modules/{name}"]
        assert locked["version"] == version
        assert locked["integrity"].startswith("sha512-")
