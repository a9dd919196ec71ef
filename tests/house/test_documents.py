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
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from nualley.app.backup import back_up_when_due
from nualley.app.site import open_site
from nualley.cli.main import main

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


# the tutorial plays a demo, which takes a while: once for all that go on from it
one_at_a_time = pytest.mark.xdist_group("documents")


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
Step = Callable[[pytest.MonkeyPatch], object]


def called(*words: str) -> Step:
    return lambda _: main(words)


def gone(name: str) -> Step:
    return lambda _: Path(name).unlink(missing_ok=True)


def written(name: str, text: str) -> Step:
    return lambda _: Path(name).write_text(text)


def backed_up_by_the_worker(patch: pytest.MonkeyPatch) -> None:
    folder = Path("drilled").absolute()
    folder.mkdir()
    patch.setenv("NUALLEY_CATALOG__BACKUP_FOLDER", str(folder))
    back_up_when_due(open_site())


def mistaken(_: pytest.MonkeyPatch) -> None:
    shutil.copytree("first", "mistaken")
    detector = Path("mistaken/detectors/hpge.toml")
    detector.write_text(detector.read_text().replace('"wavedump"', '"wavdump"'))
    Path("mistaken/pvs/lab.toml").write_text("[pv\n")


def cut(_: pytest.MonkeyPatch) -> None:
    shutil.copytree("first/run00001", "cut/run00001", dirs_exist_ok=True)
    file = Path("cut/run00001/wave0.dat")
    file.write_bytes(file.read_bytes()[:-100])


def kept(_: pytest.MonkeyPatch) -> None:
    Path("kept").mkdir(exist_ok=True)
    Path("kept/a.dat").write_text("text\n")
    shutil.rmtree("kept2", ignore_errors=True)


def scanned(_: pytest.MonkeyPatch) -> None:
    if not any(Path("alley/experiment/store").glob("scans/*")):
        main(["drives", "scan"])


def loose(_: pytest.MonkeyPatch) -> None:
    drive = open_site(Path("alley/experiment")).configuration.storage.to_drives()[0]
    (drive.path / "loose.dat").write_text("text\n")
    main(["drives", "scan", drive.name])


def dark(_: pytest.MonkeyPatch) -> None:
    drive = open_site(Path("alley/experiment")).configuration.storage.to_drives()[0]
    path = drive.path / "cenns-10" / "raw" / "run3" / "old.dat"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("text\n")


def with_remote(patch: pytest.MonkeyPatch) -> None:
    drives = open_site().configuration.directory / "drives.toml"
    if "[remotes" not in drives.read_text():
        drives.write_text(f'{drives.read_text()}\n[remotes.nas]\nrclone = "lab-nas:"\n')
    patch.setenv("RCLONE_CONFIG_LAB_NAS_TYPE", "local")


def untouched_for_years(_: pytest.MonkeyPatch) -> None:
    """Begin with an empty trash and one old file of a user on data1."""
    alley = Path("alley/experiment")
    drives = alley / "drives.toml"
    if "users/{owner}" not in drives.read_text():
        drives.write_text(drives.read_text() + '\n[[ownership]]\npath = "users/{owner}"\nstage = "user"\n')
    shutil.rmtree(alley / "store" / "trash", ignore_errors=True)
    drive = open_site().configuration.storage.to_drives()[0]
    shutil.rmtree(drive.path / ".nualley-trash", ignore_errors=True)
    old = drive.path / "users" / "ada" / "old.root"
    old.parent.mkdir(parents=True, exist_ok=True)
    old.write_bytes(bytes(5000))
    os.utime(old, (1.7e9, 1.7e9))
    main(["drives", "scan", drive.name])


def purged(_: pytest.MonkeyPatch) -> None:
    drives = Path("alley/experiment/drives.toml")
    text = drives.read_text()
    if "purge" not in text:
        drives.write_text(text.replace("[[drop]]\n", '[[drop]]\npurge = {min_age = "7d"}\n', 1))


def unfinished(_: pytest.MonkeyPatch) -> None:
    open_site().catalog().transfers.finish(2, problem="stopped")


def history() -> str:
    lines = (f"{date(2026, 1, 1) + timedelta(days=day)},{day * 1000},1000,99000\n" for day in range(90))
    return "day,used_B,written_B,capacity_B\n" + "".join(lines)


_FLAG = called("runs", "flag", "cenns-10-1", "beam-trip", "--reason", "three trips")
_CUT_RUN = (cut, called("runs", "ingest", "cut/run00001", "--detector", "cenns-10", "--run", "77"))
# commands, as a pattern -> what is done before them, in this order, so that there is something to answer
_BEFORE: dict[str, tuple[Step, ...]] = {
    r"check mistaken": (mistaken,),
    r"runs ingest": (cut,),
    r"runs (list|show|diff)": (*_CUT_RUN, called("runs", "tag", "cenns-10-77", "calibration")),
    r"runs show": (called("runs", "note", "cenns-10-77", "quiet beam"),),
    r"runs unflag": (_FLAG,),
    r"selection (show|diff)": (
        *_CUT_RUN,
        _FLAG,
        called("selection", "define", "argon", 'detector == "cenns-10" or flag("beam-trip")'),
    ),
    r"selection export": (called("selection", "freeze", "ar-steady-state"),),
    r"selection mirror": (called("selection", "mirror"), _FLAG),
    r"golden\.json": (written("golden.json", '{"1": [[1, 1]]}\n'),),
    r"mistaken\.json": (written("mistaken.json", '{"1": [[1, '),),
    # each change of what is archived begins with none
    r"archive (add|pause|resume|rename|alias|remove)": (gone("alley/experiment/store/archive/changes.jsonl"),),
    r"archive (alias|remove)": (called("archive", "add", "LAB:T3"),),
    r"archive resume": (called("archive", "pause", "DEMO:BEAM:ENERGY"),),
    r"archive import": (written("old.csv", "pv,time,value\nOLD,2025-01-01,1\n"),),
    r"archive quarantine": (
        written("unset.csv", "pv,time,value\nUNSET,1990-01-01T00:00:00Z,0\nUNSET,yesterday,0\nUNSET,2025-01-01,0\n"),
        called("archive", "import", "unset.csv"),
    ),
    r"archive restore-index": (gone("alley/experiment/store/archive/index.sqlite"),),
    r"drives (usage|unowned|scans|consistency)|report": (scanned,),
    r"drives unowned": (loose,),
    r"files adopt": (dark,),
    r"drives (reclaim|trash|untrash|empty-trash)": (scanned, untouched_for_years, gone("plan.jsonl")),
    r"drives (trash|untrash)": (
        called("drives", "reclaim", "--drive", "data1", "--out", "plan.jsonl"),
        called("drives", "reclaim", "--apply", "plan.jsonl", "--yes"),
    ),
    r"drives purges": (purged,),
    r"files checksum": (written("cenns.dat", "text\n"),),
    r"transfer": (kept, called("transfer", "copy", "kept", "kept2/")),
    r"transfer cancel": (called("transfer", "copy", "kept", "kept3/"), unfinished),
    r"drives remotes": (with_remote,),
    r"drives forecast": (written("data3.csv", history()),),
    # a backup is never written over another, and what is restored has to be there
    r"catalog (backup|restore)": (gone("backup.sqlite"),),
    r"catalog restore": (called("catalog", "backup", "backup.sqlite"),),
    r"catalog drill": (backed_up_by_the_worker,),
    r"catalog pull": (gone("copy.sqlite"),),
}
# command -> why its answer is compared elsewhere
_ELSEWHERE = {"demo": "tests/integration/test_demo_account.py looks at the account of a demo"}


_MAY_BE_EMPTY = re.compile(r"^(`.+`) may be empty\.", re.MULTILINE)


def documented_answers() -> dict[str, object]:
    """Return the example that stands under each heading of the page."""
    parts = re.split(r"^## `nualley (.+)`$", _JSON.read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for command, text in zip(parts[::2], parts[1::2], strict=True):
        example = re.search(r"```json\n(.*?)```", text, re.DOTALL)
        assert example, command
        found[command] = json.loads(example[1])
    return found


def may_be_empty(command: str) -> set[str]:
    """Return the keys of which the page says under a heading that their lists may be empty."""
    _, _, text = _JSON.read_text().partition(f"## `nualley {command}`\n")
    return {
        f"$.{key}"
        for line in _MAY_BE_EMPTY.findall(text.partition("\n## ")[0])
        for key in re.findall(r"`([^`]+)`", line)
    }


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


def unseen(documented: object, got: object) -> set[str]:
    """Return the lists that are documented with elements and have none anywhere in the answer."""
    found = list(_lists(documented, got, "$"))
    return {where for where, _ in found} - {where for where, has_elements in found if has_elements}


def _lists(documented: object, got: object, where: str) -> Iterator[tuple[str, bool]]:
    if isinstance(documented, dict) and isinstance(got, dict):
        for key, value in got.items():
            free = next((name for name in documented if name.startswith("<")), key)
            yield from _lists(documented.get(free), value, f"{where}.{free}")
    elif documented and isinstance(documented, list) and isinstance(got, list):
        yield where, bool(got)
        for value in got[:50]:
            yield from _lists(documented[0], value, f"{where}[]")


def _kind(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if is_number else type(value).__name__


def test_the_comparison_of_answers_can_fail() -> None:
    assert list(differences({"a": 1}, {"a": 1, "b": 2})) == ["$.b is not documented"]
    assert list(differences({"a": [{"b": ""}]}, {"a": [{}]})) == ["$.a[].b is not in the answer"]
    assert list(differences({"<id>": {"a": 1}}, {"x": {"a": "1"}})) == ["$.x.a is str, documented as number"]
    assert unseen({"a": [1], "b": []}, {"a": [], "b": []}) == {"$.a"}
    assert unseen({"<id>": [{"a": [""]}]}, {"x": [{"a": []}, {"a": ["b"]}]}) == set()
    assert unseen({"<id>": [{"a": [""]}]}, {"x": [{"a": []}], "y": [{"a": []}]}) == {"$.<id>[].a"}


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


@pytest.fixture
def evening(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand where the tutorial ended."""
    left = runner.run(DOCS / "tutorials" / "first-evening.md")
    for key in os.environ.keys() - environment(left).keys():
        monkeypatch.delenv(key)
    for key, value in environment(left).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("NUALLEY_EXPERIMENT", str(left / "alley" / "experiment"))
    monkeypatch.chdir(left)
    return left


@one_at_a_time
@pytest.mark.enable_socket
@pytest.mark.parametrize("command", documented_answers())
def test_an_answer_in_json_is_as_documented(
    command: str, evening: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if command.split(maxsplit=1)[0] in _ELSEWHERE:
        return
    for pattern, steps in _BEFORE.items():
        if re.search(pattern, command):
            for step in steps:
                step(monkeypatch)
    capsys.readouterr()
    main(shlex.split(command))
    said = capsys.readouterr()
    assert said.out, said.err
    documented, got = documented_answers()[command], json.loads(said.out)
    assert list(differences(documented, got)) == [], said.out
    assert unseen(documented, got) - may_be_empty(command) == set(), said.out


@one_at_a_time
@pytest.mark.parametrize("command", ["runs list --json", "archive last DEMO:BEAM:POWR --json"])
def test_a_process_of_its_own_gives_the_same_answer(
    command: str, evening: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = subprocess.run(
        ["bash", "-c", f"nualley {command}"], capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    assert main(shlex.split(command)) == done.returncode
    assert capsys.readouterr() == (done.stdout, done.stderr)
    assert json.loads(done.stdout)
