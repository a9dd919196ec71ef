"""What stands in the repository: our own text, nothing of one machine, nothing that is made."""

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LONGEST_LINE = 2000
_MACHINE = re.compile(rb"/(?:home|root|Users|work|mnt|media)/[A-Za-z0-9._-]+/")
_TEXT = {".py", ".md", ".toml", ".txt", ".sh", ".js", ".css", ".html", ".json", ".yaml", ".yml", ".cff", ""}
# a path of this kind that is nobody's: it stands in a text that explains or tests paths
_EXAMPLES = (b"/home/ada/", b"/mnt/data1/")


def tracked() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("not a git checkout: git ls-files cannot say what belongs to the repository")
    paths = [REPOSITORY / name.decode() for name in done.stdout.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_minified_code_of_others() -> None:
    found = [
        path for path in tracked() if ".min." in path.name or "vendor" in path.parts or "node_modules" in path.parts
    ]
    assert not found
    for path in tracked():
        if path.suffix in (".js", ".css"):
            longest = max(map(len, path.read_text().splitlines()), default=0)
            assert longest < LONGEST_LINE, f"{path} has a line of {longest} characters: minified?"


def test_no_path_of_a_machine() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}: {match[0].decode()}"
        for path in tracked()
        if path.suffix in _TEXT
        for match in _MACHINE.finditer(path.read_bytes())
        if not match[0].startswith(_EXAMPLES)
    ]
    assert not found


def test_one_way_of_pinning() -> None:
    names = {path.name for path in tracked()}
    assert not names & {"uv.lock", "poetry.lock", "Pipfile.lock", "yarn.lock", "pnpm-lock.yaml", "environment.yml"}


def test_nothing_that_is_made_is_tracked() -> None:
    made = [path for path in tracked() if {"_build", "__pycache__", ".venv", "dist"} & set(path.parts)]
    assert not [path for path in made if path.is_relative_to(REPOSITORY)]


def test_no_large_file() -> None:
    large = [path for path in tracked() if path.stat().st_size > 1_000_000]
    assert not large, f"data belong into the store: {large}"
