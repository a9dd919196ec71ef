"""Every block of code in the documents runs, in order, and answers what the document says it answers.

Blocks in ``bash``, ``python`` and ``r`` are executed; of a ``console`` block the lines behind ``$`` are, and the lines
below must be the answer (``...`` stands for anything). A comment on the line before a block changes that:

``<!-- skip: REASON -->``  it is not executed;  ``<!-- exit: 3 -->``  its last command must end with this code.
``<!-- after: tutorials/x.md -->``  at the top of a file: it goes on in the folder that the other document left.
"""

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
ALL = [
    *sorted(REPOSITORY.glob("*.md")),
    *(path for path in sorted(DOCS.rglob("*.md")) if not {"_build", "api"} & set(path.relative_to(DOCS).parts)),
]
EXECUTED = [
    REPOSITORY / "README.md",
    *sorted((DOCS / "tutorials").glob("*.md")),
    *sorted((DOCS / "how-to").glob("*.md")),
    DOCS / "reference" / "archive-files.md",
    DOCS / "reference" / "scan-files.md",
]
LONGEST_S = 110
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE
)
_DIRECTIVE = re.compile(r"<!-- (skip|exit|after): (.+?) -->")
# (reticulate is not ours: it may warn)
_INTERPRETERS = {"python": "python -", "r": "PYTHONWARNINGS=default Rscript --vanilla -"}
_SAME = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block, where it stands, and what the comment before it says."""

    language: str
    text: str
    line: int
    skip: str = ""
    exit_code: int = 0


def blocks(path: Path) -> Iterator[Block]:
    document = path.read_text()
    for match in _FENCE.finditer(document):
        before = document[: match.start()].rstrip().splitlines()
        found = _DIRECTIVE.fullmatch(before[-1].strip()) if before else None
        word, value = found.groups() if found else ("", "")
        indent = match["indent"]
        text = "\n".join(line.removeprefix(indent) for line in match["text"].splitlines())
        line = document.count("\n", 0, match.start()) + 1
        yield Block(match["language"], text, line, value if word == "skip" else "", int(value) if word == "exit" else 0)


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Split a console block into commands and the answers that it shows."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        n_lines = 1
        while lines[n_lines - 1].endswith("\\"):
            n_lines += 1
        yield "\n".join(lines[:n_lines]), "\n".join(lines[n_lines:]).strip()


def script(path: Path, answers: Path) -> tuple[str, list[tuple[str, str, Path]]]:
    """Return one shell script for all blocks of a document, and the answers to look at afterwards."""
    lines = ["set -eu -o pipefail"]
    expected: list[tuple[str, str, Path]] = []
    for block in blocks(path):
        if block.skip or block.language not in ("bash", "console", *_INTERPRETERS):
            continue
        lines.append(f"echo '@@ {path.name}:{block.line}' >&2")
        if block.exit_code:
            lines += ["set +e"]
        if block.language == "bash":
            lines.append(block.text)
        elif block.language in _INTERPRETERS:
            lines.append(f"{_INTERPRETERS[block.language]} <<'END_OF_BLOCK'\n{block.text}\nEND_OF_BLOCK")
        else:
            for command, answer in commands(block):
                file = answers / f"{len(expected)}.txt"
                expected.append((f"{path.name}:{block.line}: {command}", answer, file))
                lines.append(f"{{ {command}\n}} > {file} 2>&1 || {{ code=$?; cat {file} >&2; (exit $code); }}")
        if block.exit_code:
            lines += ["code=$?", "set -e", f"test $code = {block.exit_code} || {{ echo exit $code >&2; exit 99; }}"]
    return "\n".join(lines), expected


def environment(home: Path) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("NUALLEY_", "EPICS_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
    return {
        **clean,
        "PATH": path,
        "HOME": str(home),
        "COLUMNS": "120",
        "NO_COLOR": "1",
        "PYTHONWARNINGS": "error",
        "RETICULATE_PYTHON": sys.executable,
    }


class Runner:
    """Runs documents, each once, and keeps the folders they leave for those that go on there."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._left: dict[Path, Path | AssertionError] = {}

    def run(self, path: Path) -> Path:
        if path not in self._left:
            try:
                self._left[path] = self._run(path)
            except AssertionError as failure:
                self._left[path] = failure
        left = self._left[path]
        if isinstance(left, AssertionError):
            raise left
        return left

    def _run(self, path: Path) -> Path:
        home, folder, answers = (self._base / path.stem / name for name in ("home", "folder", "answers"))
        for made in (home, answers):
            made.mkdir(parents=True)
        before = re.search(r"<!-- after: (\S+) -->", path.read_text())
        if before:
            shutil.copytree(self.run(DOCS / before[1]), folder, symlinks=True)
        else:
            folder.mkdir()
        text, expected = script(path, answers)
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=folder,
            env=environment(home),
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        assert done.returncode == 0, f"{path.name} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        for where, answer, file in expected:
            got = file.read_text()
            is_same = doctest.OutputChecker().check_output(f"{answer}\n", got, _SAME)
            assert not answer or is_same, f"{where}\n--- document\n{answer}\n--- answer\n{got}"
        return folder


# the tutorial plays a demo, which takes the machine: one at a time, and once for all that go on from it
one_at_a_time = pytest.mark.xdist_group("demo")


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(tmp_path_factory.mktemp("documents"))


@one_at_a_time
@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: path.name)
def test_blocks_run_and_answer_as_written(path: Path, runner: Runner) -> None:
    runner.run(path)


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_block_says_what_it_is(path: Path) -> None:
    known = {"bash", "console", "python", "r", "toml", "json", "text", "mermaid", "eval-rst", "toctree", "ini"}
    for block in blocks(path):
        where = f"{path.name}:{block.line}"
        assert block.language in known or "{" in path.read_text().splitlines()[block.line - 1], f"{where}: no language"
        if block.language == "toml":
            tomllib.loads(block.text)
        if block.language == "json":
            json.loads(block.text)


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_to_a_file_leads_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) if "://" not in link]
    made = ("docs/_build/",)
    missing = [link for link in links if not link.startswith(made) and not (path.parent / link).exists()]
    assert not missing


# ---------------------------------------------------------------- the answers in JSON
_JSON = DOCS / "reference" / "json.md"
# command -> why its answer is compared elsewhere
_CHANGES = ("add", "pause", "resume", "rename", "alias", "remove")
_ADD = "nualley archive add LAB:T3 2>/dev/null >&2 && "
# as the worker does when one is due
_BACK_UP = "from nualley.app.backup import *; from nualley.app.site import open_site; back_up_when_due(open_site())"
_HISTORY = "printf 'day,used_B,written_B,capacity_B\\n' > data3.csv; for day in $(seq 0 89); do "
_HISTORY += 'echo "$(date -d "2026-01-01 + $day days" +%F),$((day * 1000)),1000,99000" >> data3.csv; done; '
_BEFORE = {
    "unflag": "nualley runs flag cenns-10-1 noise --reason x >/dev/null 2>&1; ",
    "alias": _ADD,
    "remove": _ADD,
    "resume": "nualley archive pause DEMO:BEAM:ENERGY 2>/dev/null >&2 && ",
    "drill": f"mkdir -p drilled; export NUALLEY_CATALOG__BACKUP_FOLDER=$PWD/drilled; python -c '{_BACK_UP}' && ",
    "pull": "rm -f copy.sqlite; ",
    "forecast": _HISTORY,
}
_SCANNED = ("usage", "unowned", "scans")
_ELSEWHERE = {"demo": "tests/integration/test_demo_account.py looks at the account of a demo"}


def documented_answers() -> dict[str, object]:
    """Return the example that stands under each heading of the page."""
    parts = re.split(r"^## `nualley (.+)`$", _JSON.read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for command, text in zip(parts[::2], parts[1::2], strict=True):
        example = re.search(r"```json\n(.*?)```", text, re.DOTALL)
        assert example, command
        found[command] = json.loads(example[1])
    return found


def differences(documented: object, got: object, where: str = "$") -> Iterator[str]:
    """Compare keys and kinds of values; null stands for any value, a key in <> for any key."""
    if documented is None or got is None:
        return
    if isinstance(documented, dict) and isinstance(got, dict):
        free = [key for key in documented if key.startswith("<")]
        pairs = [(documented[free[0]], value, key) for key, value in got.items()] if free else []
        if not free:
            yield from (f"{where}.{key} is not documented" for key in got.keys() - documented.keys())
            yield from (f"{where}.{key} is not in the answer" for key in documented.keys() - got.keys())
            pairs = [(documented[key], got[key], key) for key in documented.keys() & got.keys()]
        for expected, value, key in pairs:
            yield from differences(expected, value, f"{where}.{key}")
    elif isinstance(documented, list) and isinstance(got, list):
        for value in got[:50] if documented else ():
            yield from differences(documented[0], value, f"{where}[]")
    elif _kind(documented) != _kind(got):
        yield f"{where} is {_kind(got)}, documented as {_kind(documented)}"


def _kind(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if is_number else type(value).__name__


def test_the_comparison_of_answers_can_fail() -> None:
    assert list(differences({"a": 1}, {"a": 1, "b": 2})) == ["$.b is not documented"]
    assert list(differences({"a": [{"b": ""}]}, {"a": [{}]})) == ["$.a[].b is not in the answer"]
    assert list(differences({"<id>": {"a": 1}}, {"x": {"a": "1"}})) == ["$.x.a is str, documented as number"]


def test_every_command_with_json_has_its_answer_documented() -> None:
    from tools.reference import commands as all_commands  # the product is slow to import
    from tools.reference import make_app, options

    with_json = {
        " ".join(words)
        for words, command in all_commands(make_app())
        if any("--json" in option["name"] for option in options(command))
    }
    found = {name for name in with_json for heading in documented_answers() if f"{heading} ".startswith(f"{name} ")}
    assert with_json - found == set()


@one_at_a_time
@pytest.mark.parametrize("command", documented_answers())
def test_an_answer_in_json_is_as_documented(command: str, runner: Runner) -> None:
    if command.split(maxsplit=1)[0] in _ELSEWHERE:
        return
    left = runner.run(DOCS / "tutorials" / "first-evening.md")
    # a backup is never written over another, and what is restored has to be there
    first = "rm -f backup.sqlite; " if " backup" in command else ""
    first += "nualley catalog backup backup.sqlite && " if " restore" in command else ""
    first += "printf 'pv,time,value\\nOLD,2025-01-01,1\\n' > old.csv && " if " import" in command else ""
    first += "nualley drives scan >/dev/null 2>&1; " if command.split()[1] in _SCANNED else ""
    # each change of what is archived begins with none
    first += "rm -f alley/experiment/store/archive/changes.jsonl; " if command.split()[1] in _CHANGES else ""
    first += "echo '{\"1\": [[1, 1]]}' > golden.json; " if "golden.json" in command else ""
    first += "nualley selection freeze ar-steady-state >/dev/null 2>&1; " if "selection export" in command else ""
    first += "rm alley/experiment/store/archive/index.sqlite; " if "restore-index" in command else ""
    first += _BEFORE.get(command.split()[1], "")
    done = subprocess.run(
        ["bash", "-c", f"{first}nualley {command}"],
        cwd=left,
        env={**environment(left), "NUALLEY_EXPERIMENT": str(left / "alley" / "experiment")},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert done.stdout, done.stderr
    assert list(differences(documented_answers()[command], json.loads(done.stdout))) == [], done.stdout
