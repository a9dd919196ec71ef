"""The command line: words as values, errors as three lines or one object, exit codes."""

import json
import math
from pathlib import Path

import pytest

from nualley.cli.main import main
from nualley.cli.options import full_run_id, stretch_ns
from nualley.cli.output import own_command, print_json, print_table
from nualley.cli.stopping import wants_json
from nualley.core import UsageError


@pytest.mark.parametrize(
    ("words", "is_json"),
    [
        (["runs", "list", "--json"], True),
        (["runs", "list", "--format", "json"], True),
        (["runs", "list", "--format=json"], True),
        (["runs", "list", "--format", "text"], False),
        (["runs", "note", "x-1", "json"], False),
        ([], False),
    ],
)
def test_json_is_asked_for_in_three_ways(words, is_json):
    assert wants_json(words) is is_json


def test_json_is_strict(capsys):
    print_json({"power_W": math.nan, "path": Path("/x")})
    assert capsys.readouterr().out == '{"power_W": null, "path": "/x"}\n'


def test_a_run_is_named_whole_or_by_its_number_and_detector():
    assert full_run_id("coh-ar-750-12", None) == "coh-ar-750-12"
    assert full_run_id("12", "coh-ar-750") == "coh-ar-750-12"
    for run, detector, what in (
        ("12", None, "of which detector"),
        ("csi-12", "mars", "no run of 'mars'"),
        ("-12", "csi", "'-12' is not a run"),
        ("csi-0x10", None, "'0x10' is not a whole number from 0 to 999999999999999999"),
        ("csi-9223372036854775808", None, "'9223372036854775808' is not a whole number"),
        ("csi-" + "9" * 5000, None, "is not a whole number"),
        ("٢", "csi", "is not a whole number"),
        ("csi", None, "'csi' is not a run"),
    ):
        with pytest.raises(UsageError, match=what):
            full_run_id(run, detector)


def test_a_stretch_does_not_stop_before_it_starts():
    start_ns, stop_ns = stretch_ns("2026-11-01", "2026-11-02T00:00:00Z")
    assert stop_ns - start_ns == 86_400_000_000_000
    with pytest.raises(UsageError, match="--to -2h is not after --from -1h"):
        stretch_ns("-1h", "-2h")


def test_a_table_is_as_wide_as_it_needs_to_be(capsys):
    print_table(("name", "n"), [["a", 1], ["long", None]], right=(1,))
    assert capsys.readouterr().out == "name  n\na     1\nlong  -\n"


# ------------------------------------------------------------------ the command
def test_an_error_is_three_lines_on_stderr_and_an_exit_code(tmp_path, capsys):
    assert main(["runs", "list", "--experiment", str(tmp_path)]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    what, where, do = captured.err.splitlines()
    assert "has no experiment.toml" in what
    assert where == f"  where: {tmp_path}"
    assert do.startswith("  do:    nualley init")


def test_an_error_under_json_is_one_object_on_stdout(tmp_path, capsys):
    assert main(["runs", "list", "--experiment", str(tmp_path), "--json"]) == 3
    captured = capsys.readouterr()
    assert captured.err == ""
    error = json.loads(captured.out)["error"]
    assert error.keys() == {"what", "where", "do", "code"}
    assert error["code"] == 3


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["archve", "last"], 'Did you mean "archive"?'),
        (["runs", "list", "--detectr", "x"], "Did you mean --detector?"),
        (["runs", "show"], "RUN"),
        (["demo", "--seconds", "many"], "seconds"),
        (["demo", "--seconds", "1"], "too short"),
        (["demo", "--seed", "-1", "--seconds", "20"], "--seed: '-1' is not a whole number"),
    ],
)
def test_a_wrong_call_is_usage_and_names_what_is_near(words, what, capsys):
    assert main(words) == 2
    assert what in capsys.readouterr().err
    assert main([*words, "--json"]) == 2
    assert what in json.loads(capsys.readouterr().out)["error"]["what"]


def test_options_may_stand_before_the_command(experiment, capsys):
    capsys.readouterr()
    assert main(["--experiment", str(experiment), "--json", "runs", "list"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main([f"--experiment={experiment}", "--format", "json", "drives", "list"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["drive"] == "data1"


def test_the_nearest_parent_is_the_experiment(experiment, monkeypatch, capsys):
    monkeypatch.chdir(experiment / "pvs")
    assert main(["runs", "list", "--json"]) == 0
    monkeypatch.chdir("/")
    monkeypatch.setenv("NUALLEY_EXPERIMENT", str(experiment))
    assert main(["runs", "list", "--json"]) == 0


def test_an_archive_that_never_ran_is_not_reachable(experiment, capsys):
    assert main(["archive", "last", "--experiment", str(experiment), "--json"]) == 4
    assert "nualley up archive" in capsys.readouterr().out


def test_init_refuses_a_folder_that_holds_something(experiment, capsys):
    assert main(["init", str(experiment)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_check_reports_every_mistake_with_its_line(experiment, capsys):
    path = experiment / "beam.toml"
    path.write_text(path.read_text().replace("beam_on_min =", "beam_on_mim ="))
    toml = experiment / "experiment.toml"
    toml.write_text(toml.read_text().replace('time_zone = "UTC"', 'time_zone = "Mars"'))
    capsys.readouterr()
    assert main(["check", str(experiment), "--json"]) == 3
    mistakes = json.loads(capsys.readouterr().out)["mistakes"]
    assert {(mistake["file"], mistake["key"]) for mistake in mistakes} == {
        ("beam.toml", "beam_on_mim"),
        ("experiment.toml", "time_zone"),
    }
    assert all(mistake["line"] > 0 for mistake in mistakes)
    assert next(m for m in mistakes if m["file"] == "beam.toml")["nearest"] == "beam_on_min"


def test_doctor_says_what_does_not_run(experiment, capsys):
    capsys.readouterr()
    assert main(["doctor", "--experiment", str(experiment), "--json"]) == 0
    found = {result["name"]: result for result in json.loads(capsys.readouterr().out)}
    assert found["process.archive"]["state"] == "warning"
    assert found["store"]["state"] == "ok"
    assert found["catalog"]["detail"] == "0 runs, 0 files"


def test_a_backup_is_verified_and_restored(experiment, tmp_path, capsys):
    backup = tmp_path / "backup.sqlite"
    place = ["--experiment", str(experiment)]
    assert main(["runs", "list", *place]) == 0
    assert main(["catalog", "backup", str(backup), *place]) == 0
    assert main(["catalog", "backup", str(backup), *place]) == 2, "a backup never replaces another file"
    (experiment / "store" / "catalog.sqlite").unlink()
    assert main(["catalog", "restore", str(backup), *place]) == 0
    assert main(["runs", "list", *place]) == 0


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (
            ["runs", "note", "x-1", "two", "words"],
            "nualley runs note takes no 'words' here; if it is part of a text of several words, that stands in quotes",
        ),
        (["runs", "note", "x-1"], "TEXT is missing"),
        (["archive", "get"], "PV is missing"),
    ],
)
def test_too_few_and_too_many_words_are_told_in_plain_ones(words, what, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err.splitlines()[0] == what


def test_what_to_type_next_can_be_typed_where_the_caller_is(tmp_path, monkeypatch):
    command = tmp_path / "an env" / "bin" / "nualley"
    command.parent.mkdir(parents=True)
    command.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    for called in (str(command), "an env/bin/nualley"):
        monkeypatch.setattr("sys.argv", [called])
        assert own_command() == "'an env/bin/nualley'"
    monkeypatch.setenv("PATH", str(command.parent))
    assert own_command() == "nualley"
    monkeypatch.setattr("sys.argv", ["/lib/nualley/cli/__main__.py"])
    assert own_command() == "nualley"
