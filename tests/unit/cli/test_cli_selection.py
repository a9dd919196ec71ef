"""``nualley selection`` and the flags of ``nualley runs``, called as a person calls them."""

import hashlib
import json
from pathlib import Path

import pytest

from nualley.app.site import open_site
from nualley.catalog import Run, TimeSource
from nualley.cli.main import main
from nualley.core import SECOND_NS
from tests.unit.cli.conftest import RUN_START_NS

HOUR_NS = 3600 * SECOND_NS


@pytest.fixture
def vocabulary(experiment: Path) -> None:
    (experiment / "flags.toml").write_text(
        '[flag.noise]\nseverity = "bad"\nmeaning = "loud"\n[flag.trip]\nseverity = "caution"\nmeaning = "no beam"\n'
    )


def call(capsys, *words, code=0):
    capsys.readouterr()
    assert main(words) == code
    return capsys.readouterr()


def answer(capsys, *words, code=0):
    return json.loads(call(capsys, *words, "--json", code=code).out)


# ---------------------------------------------------------------- flags
@pytest.mark.usefixtures("vocabulary")
def test_flags_of_a_run_of_runs_and_of_a_stretch(detector, capsys):
    flag = ("runs", "flag")
    one = answer(capsys, *flag, f"{detector}-1", "noise", "--reason", "loud", "--author", "ada", "--blocks", "3-7")
    assert (one["runs"], one["blocks"], one["author"], one["start_ns"]) == ([1, 1], [3, 7], "ada", None)
    several = answer(capsys, *flag, "noise", "--detector", detector, "--runs", "10-50", "--reason", "loud")
    assert (several["runs"], several["superseded_by"]) == ([10, 50], None)
    stretch = answer(
        capsys, *flag, "--detector", detector, "--from", "2026-11-23T04:00Z", "--to", "-1h", "trip", "--reason", "x"
    )
    assert stretch["start_ns"] == RUN_START_NS
    again = answer(capsys, *flag, "2", "trip", "--detector", detector, "--reason", "x", "--supersedes", "1")
    assert again["supersedes"] == 1
    found = answer(capsys, "runs", "flags")
    assert [each["flag_id"] for each in found] == [2, 3, 4]
    assert [each["flag_id"] for each in answer(capsys, "runs", "flags", "--all", "--name", "noise")] == [1, 2]
    taken = answer(capsys, "runs", "unflag", "2", "--reason", "the wrong runs")
    assert (taken["is_withdrawal"], taken["supersedes"], taken["name"]) == (True, 2, "noise")
    said = call(capsys, "runs", "unflag", "4", "--reason", "no trip").err
    assert said == f"flag 6: trip (taken back), {detector} run 2; in the place of flag 4\n"
    text = call(capsys, "runs", "flags", "--all").out
    assert "runs 10 to 50" in text
    assert "run 1, blocks 3 to 7" in text
    assert "noise (taken back)" in text


@pytest.mark.usefixtures("vocabulary")
@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("hpge-1", "nois", "--reason", "x"), "'nois' is no flag of this experiment, expected one of noise, trip"),
        (("hpge-7", "noise", "--reason", "x"), "there is no run hpge-7 among 2"),
        (("noise", "--reason", "x"), "1 words, expected RUN NAME, or NAME with --detector"),
        (("noise", "--detector", "hpgee", "--reason", "x"), "'hpgee' is not a detector of this experiment"),
        (("noise", "--detector", "hpge", "--reason", "x"), "flag noise of hpge says of no stretch, or of two"),
        (("noise", "--detector", "hpge", "--runs", "a", "--reason", "x"), "'a' is no range"),
        (("hpge-1", "noise", "--runs", "1-2", "--reason", "x"), "run hpge-1 and --runs 1-2: which?"),
        (("hpge-1", "noise", "--reason", " "), "a flag has no reason"),
        (("hpge-1", "noise"), "--reason is missing"),
    ],
)
def test_a_flag_that_cannot_be_meant_is_refused(experiment, detector, refused, words, what):
    assert refused("runs", "flag", *words)["what"] == what
    assert open_site(experiment).catalog().run_lists.flags() == []


def test_the_type_of_a_run_is_shown(detector, capsys):
    assert answer(capsys, "runs", "type", f"{detector}-1", "physics") == {
        "run_id": f"{detector}-1",
        "run_type": "physics",
    }
    assert [row["run_type"] for row in answer(capsys, "runs", "list")] == ["physics", None]


@pytest.mark.usefixtures("vocabulary")
def test_validate_tells_all_at_once_and_stops_at_nothing(experiment, detector, capsys):
    site = open_site(experiment)
    catalog = site.catalog()
    catalog.register_run(
        Run(
            run_id=f"{detector}-3",
            detector=detector,
            number=3,
            run_type="fun",
            start_ns=RUN_START_NS + HOUR_NS // 2,
            stop_ns=RUN_START_NS + 2 * HOUR_NS,
            time_source=TimeSource.GIVEN,
        )
    )
    call(capsys, "runs", "flag", "noise", "--detector", detector, "--runs", "70-80", "--reason", "x")
    (experiment / "flags.toml").unlink()
    found = answer(capsys, "runs", "validate", code=5)
    assert (found["n_runs"], found["n_flags"]) == (3, 1)
    kinds = {(problem["kind"], problem["subject"]) for problem in found["problems"]}
    assert kinds == {
        *(("no-files", f"{detector}-{number}") for number in (1, 2, 3)),
        ("no-times", f"{detector}-2"),
        ("overlap", f"{detector}-1"),
        ("overlap", f"{detector}-3"),
        ("unknown-type", f"{detector}-3"),
        ("unknown-flag", "flag 1"),
        ("unknown-run", "flag 1"),
    }
    assert all(problem["detail"] and problem["do"] for problem in found["problems"])
    assert "3 runs, 1 flags: 9 problems" in call(capsys, "runs", "validate", code=5).err


@pytest.mark.parametrize(("kinds", "code"), [([], 0), (["no-times"], 1), (["no-times", "overlap"], 5)])
def test_how_validate_ends(kinds, code):
    from nualley.app.run_checks import RunProblem, exit_code

    assert exit_code([RunProblem(kind, "", "", "") for kind in kinds]) == code


# ---------------------------------------------------------------- selections
@pytest.mark.usefixtures("vocabulary")
def test_a_selection_from_definition_to_citation(experiment, detector, capsys):
    run = f"{detector}-1"
    expression = f'detector == "{detector}" and not flag("trip")'
    defined = answer(capsys, "selection", "define", "ar", expression)
    assert (defined["state"], defined["revision"], defined["expression"]) == ("draft", 1, expression)
    shown = answer(capsys, "selection", "show", "ar")
    assert [row["run_id"] for row in shown["runs"]] == [run]
    assert shown["runs"][0]["livetime_s"] == 3600
    assert shown["runs_without_times"] == [f"{detector}-2"]
    assert shown["today"] is None
    frozen = answer(capsys, "selection", "freeze", "ar")
    assert any(f"{detector}-2" in warning for warning in frozen["warnings"])
    for words in (("freeze", "ar"), ("define", "ar", "all"), ("define", "ar", expression)):
        assert answer(capsys, "selection", *words, code=1)["error"]["code"] == 1
        assert frozen["sha256"] in call(capsys, "selection", *words, code=1).err
    call(capsys, "runs", "flag", run, "trip", "--reason", "two trips")
    call(capsys, "selection", "define", "ar-v2", expression)
    shown = answer(capsys, "selection", "show", "ar")
    assert [row["run_id"] for row in shown["runs"]] == [run]
    assert shown["today"]["only_left"][0]["reasons"][0]["flags"][0]["reason"] == "two trips"
    found = answer(capsys, "selection", "diff", "ar", "ar-v2")
    assert (found["is_same"], found["only_right"]) == (False, [])
    assert found["only_left"][0]["livetime_s"] == 3600
    assert found["detectors"][detector]["left"]["n_runs"] == 1
    listed = answer(capsys, "selection", "list")
    assert [(each["name"], each["state"]) for each in listed] == [("ar", "frozen"), ("ar-v2", "draft")]
    for words in (("show", "ar"), ("diff", "ar", "ar-v2")):
        said = next(line for line in call(capsys, "selection", *words).out.splitlines() if line.startswith(run))
        assert "1 h 1 h -" in " ".join(said.split()), "of a beam that nobody knew, 0 protons would be a statement"
    text = call(capsys, "selection", "export", "ar").out
    assert hashlib.sha256(text.encode()).hexdigest() == frozen["sha256"]
    assert "Today it would be another one" in call(capsys, "selection", "show", "ar").out
    assert "two trips" in call(capsys, "selection", "diff", "ar", "ar-v2").out
    assert "ar-v2" in call(capsys, "selection", "list").out


def test_mistakes_of_an_expression_are_told_with_their_place(experiment, refused):
    error = refused("selection", "define", "x", 'detektor == "hpge"')
    assert (error["what"], error["where"]) == (
        "'detektor', expected a condition",
        "column 1, at 'detektor == \"hpge\"'",
    )
    assert error["do"].startswith("did you mean 'detector'?")
    assert refused("selection", "show", "nothing")["what"] == "there is no selection nothing among 0"


def test_lists_go_in_and_out_as_they_are(experiment, detector, capsys):
    files = {
        "cms-golden": '{"1": [[1, 1]], "190645": [[10, 110], [112, 120]]}\n',
        "legend-yaml": "valid:\n  phy:\n    p02: r001..r003\n",
        "csv": f"detector,run,start_ns,stop_ns\n{detector},1,{RUN_START_NS},{RUN_START_NS + 5}\n",
    }
    for format_, text in files.items():
        path = experiment / f"list.{format_}"
        path.write_text(text)
        words = ("selection", "import", str(path), "--format", format_, "--name", format_, "--detector", detector)
        assert answer(capsys, *words)["imported"]["format"] == format_
        assert call(capsys, "selection", "export", format_, "--format", format_).out == text
        out = experiment / "out"
        call(capsys, "selection", "export", format_, "--format", format_, "--out", str(out))
        assert out.read_text() == text
    one, far = answer(capsys, "selection", "show", "cms-golden")["runs"]
    assert (one["livetime_s"], one["is_known"]) == (3600, True)
    assert (far["run"], far["livetime_s"], far["pot"], far["is_known"]) == (190645, None, None, False)
    frozen = answer(capsys, "selection", "freeze", "cms-golden")
    assert any("hpge-190645" in warning for warning in frozen["warnings"])
    path = experiment / "list.cms-golden"
    words = ("selection", "import", str(path), "--format", "cms-golden", "--name", "cms-golden")
    assert answer(capsys, *words, code=1)["error"]["what"].startswith("selection cms-golden was frozen by ")
    assert call(capsys, "selection", "export", "cms-golden", "--format", "cms-golden").out == files["cms-golden"]


def test_a_list_that_is_none_is_not_intact(experiment, detector, capsys):
    path = experiment / "bad.json"
    path.write_text('{"1": [[5, 2]]}')
    words = ("selection", "import", str(path), "--format", "cms-golden", "--name", "x")
    error = answer(capsys, *words, code=5)["error"]
    assert "[5, 2]" in error["what"]
    assert error["where"].startswith("bad.json (")
    missing = ("selection", "import", "nowhere.json", "--format", "cms-golden", "--name", "x")
    assert answer(capsys, *missing, code=2)["error"]["what"] == "there is no file nowhere.json"
    assert answer(capsys, "selection", "list") == []


def test_what_a_format_cannot_say_ends_with_1(experiment, detector, capsys):
    call(capsys, "selection", "define", "x", "time < 2026-11-23T04:30:00Z")
    assert "knows whole runs only" in call(capsys, "selection", "export", "x", "--format", "cms-golden", code=1).err
    assert "is a draft" in call(capsys, "selection", "export", "x", code=1).err


def test_the_mirror_is_text_that_git_can_follow(experiment, detector, capsys):
    (experiment / "flags.toml").write_text('[flag.noise]\nseverity = "bad"\nmeaning = "loud"\n')
    for number in (1, 2):
        call(capsys, "runs", "flag", f"{detector}-{number}", "noise", "--reason", "x")
        call(capsys, "selection", "define", f"s{number}", f"run == {number}")
    frozen = answer(capsys, "selection", "freeze", "s1")
    found = answer(capsys, "selection", "mirror")
    folder = experiment / "selections" / "record"
    assert (Path(found["folder"]), found["written"]) == (folder, ["flags.json", "s1.json", "s2.json"])
    assert hashlib.sha256((folder / "s1.json").read_bytes()).hexdigest() == frozen["sha256"]
    assert [flag["flag_id"] for flag in json.loads((folder / "flags.json").read_text())] == [1, 2]
    assert answer(capsys, "selection", "mirror")["written"] == []
    call(capsys, "check")
    files = [str(path) for path in sorted(folder.iterdir())]
    assert answer(capsys, "selection", "validate", *files, "flags.toml") == {"n_files": 4, "mistakes": []}
    for name, old, new in (
        ("flags.json", '"noise"', '"No ise"'),
        ("flags.json", '"author"', '"who"'),
        ("s2.json", "run ==", "rum =="),
    ):
        sound = (folder / name).read_text()
        (folder / name).write_text(sound.replace(old, new, 1))
        (mistake,) = answer(capsys, "selection", "validate", *files, code=3)["mistakes"]
        assert mistake["file"] == str(folder / name)
        (folder / name).write_text(sound)


def test_validate_names_what_is_wrong_with_files(experiment, detector, capsys):
    call(capsys, "selection", "define", "x", "all")
    call(capsys, "selection", "freeze", "x")
    folder = experiment / "selections"
    folder.mkdir()
    call(capsys, "selection", "export", "x", "--out", "x.json")
    Path("y.json").write_text(Path("x.json").read_text())
    Path("z.json").write_text(Path("x.json").read_text().replace(",", ", "))
    (folder / "bad.toml").write_text('expression = "detektor == 1"\n')
    (folder / "odd.toml").write_text('expresion = "all"\n')
    Path("list.yaml").write_text("valid: {phy: {p02: five}}")
    Path("list.xml").write_text("")
    names = [
        "x.json",
        "y.json",
        "z.json",
        "selections/bad.toml",
        "selections/odd.toml",
        "list.yaml",
        "list.xml",
        "no.csv",
    ]
    found = answer(capsys, "selection", "validate", *names, code=3)
    told = {mistake["file"]: mistake for mistake in found["mistakes"]}
    assert set(told) == set(names) - {"x.json"}
    assert "not in its canonical form" in told["z.json"]["found"]
    assert told["selections/bad.toml"]["nearest"] == "detector"
    assert told["selections/odd.toml"]["line"] == 1
    assert "lies under the name y.json" in told["y.json"]["found"]


def test_check_looks_at_what_selections_name(experiment, capsys):
    (experiment / "selections").mkdir()
    (experiment / "flags.toml").write_text('[flag.noise]\nseverity = "bad"\nmeaning = "loud"\n')
    (experiment / "selections" / "x.toml").write_text(
        'expression = \'detector == "hpgee" and type == "fysics" and flag("nois") and pv("NOBODY") > 1\'\n'
    )
    found = answer(capsys, "check", code=3)["mistakes"]
    assert [(each["file"], each["line"], each["found"], each["nearest"]) for each in found] == [
        ("selections/x.toml", 1, '"hpgee"', "hpge"),
        ("selections/x.toml", 1, '"fysics"', "physics"),
        ("selections/x.toml", 1, '"nois"', "noise"),
        ("selections/x.toml", 1, '"NOBODY"', ""),
    ]
    # the hook before a commit finds what loading finds, also of words that go
    assert answer(capsys, "selection", "validate", "selections/x.toml", code=3)["mistakes"] == found
    for words in (["flags.toml"], ["flags.toml", "selections/x.toml"]):
        assert answer(capsys, "selection", "validate", *words, code=3)["mistakes"] == found
    assert main(["selection", "list"]) == 3
    (experiment / "flags.toml").write_text('[flag.noise]\nseverity = "awful"\nmeaning = ""\n[flag.Noise]\n')
    keys = {each["key"] for each in answer(capsys, "check", code=3)["mistakes"] if each["file"] == "flags.toml"}
    assert keys >= {"flag.noise.severity", "flag.noise.meaning", "flag.Noise"}


def test_validate_says_what_it_cannot_look_at(experiment, tmp_path, capsys):
    (tmp_path / "selections").mkdir()
    lone = tmp_path / "selections" / "x.toml"
    lone.write_text("expression = 'flag(\"who-knows\")'\n")
    said = call(capsys, "selection", "validate", str(lone)).err
    assert f"{lone}: no experiment repository reads it; what it names is compared with nothing" in said
    assert call(capsys, "selection", "validate", code=2).err.startswith("no file is named")
    found = answer(capsys, "selection", "validate", "gone.toml", ".", code=3)["mistakes"]
    assert [(each["file"], each["found"]) for each in found] == [
        ("gone.toml", "no such file"),
        (".", "a folder, no file"),
    ]
    error = answer(capsys, "selection", "import", ".", "--format", "csv", "--name", "x", code=2)["error"]
    assert error["what"] == ". is a folder, no file"


def test_a_key_that_stands_twice_is_told_once(experiment, capsys):
    Path("golden.json").write_text('{"1": [[1, 2]], "1": [[3, 4]]}')
    (mistake,) = answer(capsys, "selection", "validate", "golden.json", code=3)["mistakes"]
    assert mistake["found"] == "the list says '1' twice, expected each run once"
    error = call(capsys, "selection", "import", "golden.json", "--format", "cms-golden", "--name", "x", code=5).err
    assert (error.count("where:"), error.count("do:")) == (1, 1)


def test_a_text_defines_and_is_found(experiment, detector, capsys):
    (experiment / "selections").mkdir()
    (experiment / "selections" / "x.toml").write_text("expression = 'run == 1'\ndescription = 'one'\n")
    (listed,) = answer(capsys, "selection", "list")
    assert (listed["name"], listed["source"]) == ("x", "selections/x.toml")
    assert [row["run"] for row in answer(capsys, "selection", "show", "x")["runs"]] == [1]
    assert answer(capsys, "selection", "define", "x", "all", code=1)["error"]["where"] == "selections/x.toml"
    assert answer(capsys, "selection", "freeze", "x")["expression"] == "run == 1"


def test_schema_has_the_document_of_a_frozen_selection(experiment, capsys):
    schemas = json.loads(call(capsys, "schema").out)
    assert schemas["selections/record/*.json"]["properties"]["runs"]["description"]
    assert set(schemas) >= {"flags.toml", "selections/*.toml"}
