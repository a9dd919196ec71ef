"""What the command line does not take: exit code 2, the value that was found, and what is expected."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nualley.app.site import open_site
from nualley.catalog import Run, TimeSource
from nualley.cli.main import main
from nualley.core import parse_time_ns

Refused = Callable[..., dict[str, Any]]
TOO_LARGE = str(2**63)


# ------------------------------------------------------------------ numbers
@pytest.mark.parametrize("number", ["1.5", "0x10", "0b1", "-3", "+3", "1_0", "1e3", "²", "٣", TOO_LARGE, "9" * 5000])
def test_a_whole_number_is_written_as_one(number: str, detector: str, experiment: Path, refused: Refused) -> None:
    raw = experiment / "wave0.dat"
    raw.write_bytes(bytes(48))
    error = refused("runs", "ingest", str(raw), "--detector", detector, "--run", number)
    assert f"--run: {number!r} is not a whole number from 0 to 999999999999999999" in error["what"]
    error = refused("demo", "--seconds", "20", "--seed", number)
    assert f"--seed: {number!r} is not a whole number" in error["what"]
    assert len(open_site(experiment).catalog().runs()) == 2, "nothing was taken in"


@pytest.mark.parametrize("seconds", ["inf", "nan", "-1", "-inf", "1e400", "many"])
def test_seconds_are_finite(seconds: str, refused: Refused) -> None:
    assert f"--seconds: {seconds!r} is not a number of seconds" in refused("demo", "--seconds", seconds)["what"]


# ------------------------------------------------------------------ times
TIMED = {
    "runs list --from": ["runs", "list", "--from"],
    "runs list --to": ["runs", "list", "--to"],
    "beam exposure": ["beam", "exposure", "--from"],
    "beam ledger": ["beam", "ledger", "--from"],
    "beam plot": ["beam", "plot", "--out", "beam.svg", "--to"],
    "archive get": ["archive", "get", "X", "--from"],
}


@pytest.mark.parametrize("words", TIMED.values(), ids=TIMED)
@pytest.mark.parametrize("time", ["0001-01-01", "9999-12-31", "1677-09-20", "2262-04-12"])
def test_a_time_that_int64_does_not_reach_is_refused(
    words: list[str], time: str, detector: str, refused: Refused
) -> None:
    error = refused(*words, time)
    assert error["where"] == words[-1]
    what = error["what"]
    assert what == f"{time!r} is out of range, expected a time from 1677-09-21T00:12:44Z to 2262-04-11T23:47:16Z"


def test_a_run_does_not_begin_where_int64_does_not_reach(detector: str, experiment: Path, refused: Refused) -> None:
    raw = experiment / "wave0.dat"
    raw.write_bytes(bytes(48))
    words = ["runs", "ingest", str(raw), "--detector", detector, "--start", "9999-01-01", "--stop", "9999-01-02"]
    error = refused(*words)
    assert "'9999-01-01' is out of range" in error["what"]
    assert error["where"] == "--start"
    assert len(open_site(experiment).catalog().runs()) == 2, "nothing was taken in"


@pytest.mark.parametrize("words", [["runs", "list"], ["beam", "exposure"], ["beam", "plot", "--out", "b.svg"]])
def test_the_ends_of_the_range_are_taken_and_not_exchanged(words: list[str], detector: str, refused: Refused) -> None:
    bounds = ["--from", "1677-09-22", "--to", "2262-04-11"]
    assert main([*words[:2], *bounds, *words[2:]]) == 0
    assert "is not after --from" in refused(*words, "--from", "2262-04-11", "--to", "1677-09-22")["what"]


def test_a_ledger_of_three_centuries_adds_up(detector: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["beam", "ledger", "--from", "1677-09-22", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["detectors"][detector]
    assert found["recorded"]["duration_s"] == 3600
    assert found["delivered"]["unknown_s"] > 349 * 365 * 86400


@pytest.mark.parametrize("words", [["exposure"], ["ledger", "--from", "1677-09-22"], ["plot", "--out", "beam.svg"]])
def test_a_run_of_six_centuries_is_counted(
    words: list[str], detector: str, experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bounds = {name: parse_time_ns(text, 0) for name, text in (("start_ns", "1677-09-22"), ("stop_ns", "2262-04-11"))}
    run = Run(run_id=f"{detector}-3", detector=detector, number=3, time_source=TimeSource.GIVEN, **bounds)
    open_site(experiment).catalog().register_run(run)
    capsys.readouterr()
    assert main(["beam", *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


# ------------------------------------------------------------------ empty words
@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["runs", "ingest", "", "--detector", "x"], "ingest"),
        (["runs", "list", "--experiment", ""], "--experiment"),
        (["runs", "list", "--experiment="], "--experiment"),
        (["--experiment", "", "runs", "list"], "--experiment"),
        (["catalog", "backup", ""], "backup"),
        (["catalog", "restore", ""], "restore"),
        (["beam", "plot", "--out", ""], "--out"),
        (["beam", "plot", "--out="], "--out"),
        (["demo", "--directory", ""], "--directory"),
        (["service", "--directory", ""], "--directory"),
        (["init", ""], "init"),
        (["check", ""], "check"),
        (["runs", "note", "x-1", ""], "x-1"),
        (["runs", "list", "--detector", ""], "--detector"),
        ([""], "nualley"),
    ],
)
def test_an_empty_word_is_not_the_working_directory(
    words: list[str], where: str, detector: str, refused: Refused
) -> None:
    error = refused(*words)
    assert error["what"].endswith("is empty, expected some text")
    assert error["where"] == where


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["runs", "note", "hpge-1", ""], "TEXT, the word after hpge-1, is empty, expected some text"),
        (["runs", "note", "", "said"], "RUN, the word after note, is empty, expected some text"),
        (["runs", "tag", "hpge-1", ""], "TAG, the word after hpge-1, is empty, expected some text"),
        (["runs", "list", ""], "the word after list is empty, expected some text"),
        (["transfer", "verify", ""], "the word after verify is empty, expected some text"),
    ],
)
def test_an_empty_word_is_called_as_help_calls_it(words: list[str], what: str, refused: Refused) -> None:
    assert refused(*words)["what"] == what


def test_an_empty_variable_is_one_that_is_not_set(
    experiment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NUALLEY_EXPERIMENT", "")
    monkeypatch.chdir(experiment / "pvs")
    assert main(["runs", "list", "--json"]) == 0


@pytest.mark.parametrize("text", [" ", "\t\n"])
def test_a_note_says_something(text: str, detector: str, experiment: Path, refused: Refused) -> None:
    assert refused("runs", "note", f"{detector}-1", text)["what"] == f"TEXT is blank: {text!r}, expected words"
    error = refused("runs", "note", f"{detector}-1", "words", "--author", text)
    assert error["where"] == "--author"
    assert open_site(experiment).catalog().notes(f"{detector}-1") == []


# ------------------------------------------------------------------ detectors and runs
@pytest.mark.parametrize(
    "words",
    [
        ["runs", "list"],
        ["runs", "ingest", "."],
        ["beam", "exposure"],
        ["beam", "ledger"],
        ["beam", "plot", "--out", "beam.svg"],
    ],
    ids=" ".join,
)
def test_an_unknown_detector_is_refused_with_the_nearest(words: list[str], detector: str, refused: Refused) -> None:
    error = refused(*words, "--detector", f"{detector}x")
    assert error["what"] == f"'{detector}x' is not a detector of this experiment"
    assert error["where"] == "--detector"
    assert error["do"] == f"did you mean {detector!r}?"
    assert detector in refused(*words, "--detector", "zzz")["do"]


@pytest.mark.parametrize(
    "words",
    [
        ["runs", "show", "RUN"],
        ["runs", "settings", "RUN"],
        ["runs", "diff", "KNOWN", "RUN"],
        ["runs", "note", "RUN", "words"],
        ["beam", "trace", "RUN"],
    ],
    ids=" ".join,
)
def test_an_unknown_run_is_refused_with_the_nearest(words: list[str], detector: str, refused: Refused) -> None:
    known = [f"{detector}-1" if word == "KNOWN" else word for word in words]
    error = refused(*(f"{detector}-17" if word == "RUN" else word for word in known))
    assert error["what"] == f"there is no run {detector}-17 among 2"
    assert f"did you mean {detector}-1?" in error["do"]
    error = refused(*("zzz-1" if word == "RUN" else word for word in known))
    assert error["what"] == "'zzz' is not a detector of this experiment"


def test_a_detector_that_is_no_longer_described_is_known_by_its_runs(
    detector: str, experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (experiment / "detectors" / f"{detector}.toml").read_text()
    (experiment / "detectors" / f"{detector}.toml").rename(experiment / "gone")
    (experiment / "detectors" / "other.toml").write_text(text.replace(f'"{detector}"', '"other"'))
    drives = experiment / "drives.toml"
    drives.write_text(drives.read_text().replace(f'"{detector}"', '"other"'))
    capsys.readouterr()
    assert main(["runs", "list", "--detector", detector, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


# ------------------------------------------------------------------ pictures
def test_a_picture_is_a_file_in_a_directory_that_is_there(detector: str, experiment: Path, refused: Refused) -> None:
    (experiment / "folder.svg").mkdir()
    for out, what in (
        ("folder.svg", "folder.svg is a directory, expected the name of a picture"),
        (str(experiment), "is a directory"),
        ("beam.gif", "beam.gif does not end like a picture, expected .svg, .png, .pdf"),
        ("beam", "beam does not end like a picture"),
        (".svg", ".svg does not end like a picture"),
        ("nowhere/beam.svg", "there is no directory nowhere for the picture"),
    ):
        assert what in refused("beam", "plot", "--out", out)["what"]
    before = set(experiment.parent.iterdir())
    assert main(["beam", "plot", "--out", "beam.SVG"]) == 0
    assert (experiment / "beam.SVG").read_text().startswith("<?xml")
    assert set(experiment.parent.iterdir()) == before


# ------------------------------------------------------------------ commands and their verbs
VERBS = {"runs": "ingest", "archive": "pvs", "beam": "ledger", "drives": "list", "catalog": "backup"}


@pytest.mark.parametrize("command", VERBS)
def test_a_command_without_its_verb_shows_its_verbs(
    command: str, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: nualley {command} COMMAND" in shown
    assert VERBS[command] in shown
    for words in ([command, "--format", "text"], ["--experiment", "x", command], [command, "--bogus"]):
        error = refused(*words)
        assert "names no command" in error["what"]
        assert VERBS[command] in error["what"]
        assert error["do"] == f"nualley {command} --help"
    assert main([command, "--help"]) == 0


def test_no_command_at_all_shows_the_commands(refused: Refused, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "Usage: nualley COMMAND" in capsys.readouterr().out
    error = refused("--bogus")
    assert error["what"].startswith("nualley --bogus names no command, expected one of init, check,")
    assert main(["--version"]) == 0


def test_options_may_stand_before_the_verb(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["drives", "--json", "--experiment", str(experiment), "list"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["drive"] == "data1"


# ------------------------------------------------------------------ texts
def test_a_run_without_times_is_shown_as_such(detector: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["runs", "show", f"{detector}-2"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{detector}-2  start and duration unknown, live time unknown"
    assert main(["runs", "show", f"{detector}-1"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{detector}-1  2026-11-23T04:00:00Z  1 h, live time 1 h"


def test_what_was_written_cannot_command_the_terminal(detector: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "note", f"{detector}-1", "red \x1b[31m\nand Läufe"]) == 0
    capsys.readouterr()
    assert main(["runs", "show", f"{detector}-1"]) == 0
    assert capsys.readouterr().out.endswith(": red \\x1b[31m\nand Läufe\n")
    assert main(["runs", "show", "\x1b[31m-1"]) == 2
    assert "\x1b" not in capsys.readouterr().err


# ------------------------------------------------------------------ our own words
@pytest.mark.parametrize(
    ("words", "what", "do"),
    [
        (["--topic", "a/b"], "--topic a/b: protocol is ca", "topic only with protocol mqtt"),
        (["--protocol", "mqtt"], "--topic: protocol is mqtt, which needs one", "topic: a topic of the broker"),
        (
            ["--protocol", "computed", "--expression", "a +"],
            "--expression a +: it ends, expected a number, a name or (",
            "write a name with - + / < > [ ] { } in double quotes",
        ),
    ],
)
def test_what_is_refused_is_said_once_and_in_our_words(
    words: list[str], what: str, do: str, experiment: Path, refused: Refused
) -> None:
    error = refused("archive", "add", "X", *words)
    assert (error["what"], error["where"], error["do"]) == (what, "nualley archive add", do)


def test_check_says_what_a_table_lacks_and_how_an_expression_is_written(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = experiment / "pvs" / "beam.toml"
    lines = ['"LAB:X" = { protocol = "mqtt" }', '"LAB:Y" = { protocol = "computed", expression = "a +" }']
    path.write_text("\n".join([path.read_text(), *lines]))
    assert main(["check"]) == 3
    said = capsys.readouterr().out
    assert "found:    nothing\n  expected: topic: a topic of the broker" in said
    assert "expected: write a name with" in said
    assert "mend it" not in said


def test_check_says_what_it_left_out_where_a_file_could_not_be_read(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == []
    path = experiment / "pvs" / "beam.toml"
    path.write_text(path.read_text() + '\n"LAB:X = {}\n')
    assert main(["check"]) == 3
    said = capsys.readouterr().err
    assert "whether PVs that other files name are archived (pvs/beam.toml)" in said
    assert "which keys are missing in pvs/beam.toml" in said
    assert main(["check", "--json"]) == 3
    assert len(json.loads(capsys.readouterr().out)["left_out"]) == 2
