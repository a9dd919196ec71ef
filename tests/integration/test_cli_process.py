"""The command as a process: what its stdout cannot hold, who stops reading it, and Ctrl-C at any moment."""

import ast
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from nualley.app.site import open_site
from nualley.catalog import Run
from nualley.cli.main import main

COMMAND = (sys.executable, "-m", "nualley.cli")
ASCII = ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})


def environment(**others: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("NUALLEY_", "PYTHON", "LC_"))}
    return kept | {"LC_ALL": "C.UTF-8"} | others


def call(words: Sequence[str], folder: Path, **others: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, env=environment(**others), capture_output=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an experiment with a run that has a note in many characters."""
    folder = tmp_path_factory.mktemp("process") / "experiment"
    assert main(["init", str(folder)]) == 0
    site = open_site(folder)
    name = next(iter(site.configuration.detectors))
    site.catalog().register_run(Run(run_id=f"{name}-1", detector=name, number=1))
    site.catalog().add_note(f"{name}-1", "Läufe bei 5 µs 🙂", author="Zoë")
    return folder


@pytest.fixture
def run(experiment: Path) -> str:
    """Return the id of its run."""
    return f"{next(iter(open_site(experiment).configuration.detectors))}-1"


# ------------------------------------------------------------------ characters
@pytest.mark.parametrize("others", ASCII, ids=["stdio", "locale"])
def test_a_stdout_without_the_character_gets_its_escape(experiment: Path, run: str, others: Mapping[str, str]) -> None:
    done = call(["runs", "show", run], experiment, **others)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(rb"Zo\xc3\xab: L\xc3\xa4ufe bei 5 \xc2\xb5s \xf0\x9f\x99\x82" + b"\n")


@pytest.mark.parametrize("others", ASCII, ids=["stdio", "locale"])
def test_json_is_json_in_every_encoding(experiment: Path, run: str, others: Mapping[str, str]) -> None:
    done = call(["runs", "show", run, "--json"], experiment, **others)
    assert done.returncode == 0
    assert json.loads(done.stdout.decode("ascii"))["notes"][0]["text"] == "Läufe bei 5 µs 🙂"
    plain = call(["runs", "show", run, "--json"], experiment)
    assert "Läufe bei 5 µs 🙂" in plain.stdout.decode("utf-8")


@pytest.mark.parametrize("others", [{}, *ASCII], ids=["utf-8", "stdio", "locale"])
def test_help_is_shown_in_every_encoding(experiment: Path, others: Mapping[str, str]) -> None:
    done = call(["--help"], experiment, **others)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"nualley init my-experiment" in done.stdout


def test_a_name_that_is_not_utf_8_is_shown_by_its_bytes(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "experiment")]) == 0
    renamed = (tmp_path / "experiment").rename(tmp_path / os.fsdecode(b"tube-\xe9"))
    done = call(["check", "--json"], renamed)
    assert done.returncode == 0
    assert json.loads(done.stdout.decode("utf-8"))["directory"].endswith(r"/tube-\xe9")
    wrong = call(["runs", "list", "--experiment", os.fsdecode(b"/no\xe9where")], tmp_path)
    assert rb"/no\xe9where" in wrong.stderr


# ------------------------------------------------------------------ a stdout that refuses
FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="this machine has no /dev/full")
@pytest.mark.parametrize("words", [["schema"], ["runs", "list", "--json"], ["runs", "list"], ["--help"], ["runs", "x"]])
def test_an_answer_that_cannot_be_written_is_one_error(experiment: Path, words: list[str]) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            [*COMMAND, *words], cwd=experiment, env=environment(), stdout=full, stderr=subprocess.PIPE, check=False
        )
    said = done.stderr.decode()
    if words == ["runs", "x"]:  # whose error goes to stderr: nothing was to be written
        assert (done.returncode, said.count("\n")) == (2, 3)
        return
    assert done.returncode == 1
    assert "the answer cannot be written: No space left on device\n  where: stdout\n" in said
    assert said.count("where:") == 1
    assert "Traceback" not in said
    assert "Exception ignored" not in said


@pytest.mark.skipif(not FULL.exists(), reason="this machine has no /dev/full")
def test_a_full_stderr_does_not_undo_a_command(experiment: Path, run: str) -> None:
    with FULL.open("wb") as full:
        words = ["runs", "note", run, "the disk is full"]
        done = subprocess.run([*COMMAND, *words], cwd=experiment, env=environment(), stderr=full, check=False)
    assert done.returncode == 0
    assert open_site(experiment).catalog().notes(run)[-1].text == "the disk is full"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["runs"],
        ["runs", "list"],
        ["schema"],
        ["runs", "list", "--json"],
        ["service", "--user", "zoe"],
    ],
)
def test_a_reader_that_is_gone_ends_a_command_quietly(experiment: Path, words: list[str], unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        env = {**environment(), "PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run(
            [*COMMAND, *words], cwd=experiment, env=env, stdout=gone, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 0
    assert b"roken" not in done.stderr
    assert b"Traceback" not in done.stderr


def test_what_failed_is_told_also_where_nobody_reads_the_answer(experiment: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        done = subprocess.run(
            [*COMMAND, "runs", "show", "x-1"], cwd=experiment, env=environment(), stdout=gone, stderr=subprocess.PIPE,
            check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert b"'x' is not a detector" in done.stderr


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_a_closed_stream_is_no_stream(experiment: Path, closed: str) -> None:
    command = f'exec "$0" -m nualley.cli runs list {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable], cwd=experiment, env=environment(), capture_output=True, check=False
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


# ------------------------------------------------------------------ a quick start
def test_what_is_loaded_is_not_looked_through_for_garbage(experiment: Path) -> None:
    at_the_end = "atexit.register(lambda: print([gc.isenabled(), gc.get_freeze_count(), len(gc.get_objects())]))"
    program = f"import atexit, gc, sys\nfrom nualley.cli import main\n{at_the_end}\nsys.exit(main())"
    words = [sys.executable, "-c", program, "check"]
    done = subprocess.run(words, cwd=experiment, env=environment(), capture_output=True, text=True, check=True)
    is_enabled, n_frozen, n_others = ast.literal_eval(done.stdout.splitlines()[-1])
    assert is_enabled, "a command that runs for months throws away what is garbage"
    assert n_frozen > n_others


def test_a_command_loads_no_pandas(experiment: Path) -> None:
    look = "import pyarrow; pyarrow.array([1]); print('pandas' in sys.modules)"
    at_the_end = f"atexit.register(lambda: exec({look!r}))"
    program = f"import atexit, sys\nfrom nualley.cli import main\n{at_the_end}\nsys.exit(main())"
    words = [sys.executable, "-c", program, "check"]
    done = subprocess.run(words, cwd=experiment, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


# ------------------------------------------------------------------ Ctrl-C
WAITING = """
import os, pathlib, time
folder = pathlib.Path(os.environ["MOMENT"])
(folder / "reached").touch()
while not (folder / "go").exists():
    time.sleep(0.01)
os._exit(7)
"""
STOPPED = {"what", "where", "do", "code"}


@pytest.fixture
def moment(tmp_path: Path) -> Path:
    """Return a folder of modules that wait in their import: a moment in the life of a command that can be hit."""
    for module in ("cyclopts", "sqlalchemy", "pyarrow"):
        (tmp_path / module).mkdir()
        (tmp_path / module / f"{module}.py").write_text(WAITING)
    return tmp_path


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(experiment: Path, moment: Path) -> Iterator[Start]:
    """Start a command and wait for its moment; none outlives its test."""
    started = []

    def start(words: Sequence[str], path: Path) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [*words], cwd=experiment, env=environment(MOMENT=str(moment), PYTHONPATH=str(path)),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        deadline = time.monotonic() + 60
        while not (moment / "reached").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the moment never came"
            time.sleep(0.01)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


MOMENTS = {
    "while it is loaded": ("cyclopts", ["runs", "list"]),
    "while a command is loaded": ("sqlalchemy", ["runs", "list"]),
    "while its archive is loaded": ("pyarrow", ["archive", "last"]),
}


@pytest.mark.parametrize("is_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize(("module", "words"), MOMENTS.values(), ids=MOMENTS)
def test_ctrl_c_is_quiet(start: Start, moment: Path, module: str, words: list[str], is_json: bool) -> None:
    process = start([*COMMAND, *words, *(["--json"] * is_json)], moment / module)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")
    if is_json:
        error = json.loads(out)["error"]
        assert error.keys() == STOPPED
        assert error["code"] == 130
    else:
        assert out == b""


def test_ctrl_c_behind_the_answer_changes_nothing(start: Start, moment: Path) -> None:
    at_the_end = f"atexit.register(lambda: exec({WAITING!r}))"
    program = f"import atexit, sys\nfrom nualley.cli import main\n{at_the_end}\nsys.exit(main())"
    words = [sys.executable, "-c", program, "runs", "list", "--json"]
    process = start(words, moment)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    (moment / "go").touch()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (7, b""), "the end of the interpreter went its way"
    assert len(json.loads(out)) == 1


def test_ctrl_c_stays_off_where_it_was_off(start: Start, moment: Path) -> None:
    # as behind nohup, or in a script with &
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start([*COMMAND, "runs", "list"], moment / "cyclopts")
    finally:
        signal.signal(signal.SIGINT, previous)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    (moment / "go").touch()
    assert process.wait(timeout=60) == 7
    process.communicate()


def test_ctrl_c_inside_of_a_command_is_answered_in_json(
    experiment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> Iterator[None]:
        raise KeyboardInterrupt

    monkeypatch.setattr("nualley.cli.runs.open_site", stop)
    capsys.readouterr()
    assert main(["runs", "list", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["error"].keys() == STOPPED
    assert main(["runs", "list"]) == 130
    assert capsys.readouterr() == ("", "")
