"""``nualley archive add`` of PVs that come over MQTT or are computed, while no archive runs."""

import json
import tomllib

import pytest

from nualley.cli.main import main

QUOTED = '"LN-AM{RadMon:1}Lvl" * 2 if DEMO:BEAM:POWER > 0.5 else -1'


def answer(capsys, *words, code=0):
    capsys.readouterr()
    assert main(["archive", *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def add(capsys, pv, *words, code=0):
    return answer(capsys, "add", pv, *words, code=code)


def test_both_are_written_into_the_repository_as_they_were_added(experiment, capsys):
    mqtt = (
        "--protocol",
        "mqtt",
        "--topic",
        "lab/t",
        "--member",
        'env."T 1"[0]',
        "--time-member",
        "at",
        "--time-unit",
        "s",
    )
    assert add(capsys, "LAB:T", *mqtt, "--availability-topic", "lab/s", "--unit", "K")["applied"] == "at-next-start"
    add(capsys, "LN-AM{RadMon:1}Lvl")
    add(capsys, "LAB:X", "--protocol", "computed", "--expression", QUOTED)
    add(capsys, "LAB:Y", "--protocol", "computed", "--expression", "LAB:X + LAB:T")
    answer(capsys, "pvs", "--write", "pvs/lab.toml")
    written = tomllib.loads((experiment / "pvs" / "lab.toml").read_text())["pv"]
    assert written["LAB:T"] == {
        "protocol": "mqtt", "topic": "lab/t", "member": 'env."T 1"[0]', "time_member": "at", "time_unit": "s",
        "availability_topic": "lab/s", "unit": "K",
    }  # fmt: skip
    assert written["LAB:X"] == {"protocol": "computed", "expression": QUOTED}
    capsys.readouterr()
    assert main(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changes"] == []


@pytest.mark.parametrize(
    ("words", "what", "do"),
    [
        (("--expression", "DEMO:BEAM:POWR"), "DEMO:BEAM:POWR is not archived", "did you mean 'DEMO:BEAM:POWER'?"),
        (("--expression", "FAR:AWAY:NAME"), "FAR:AWAY:NAME is not archived", "nualley archive add FAR:AWAY:NAME"),
        (("--expression", "LAB:X + 1"), "LAB:X is computed from itself: LAB:X <- LAB:X", "other PVs"),
        (("--expression", "LAB:Y"), "LAB:X is computed from itself: LAB:X <- LAB:Y <- LAB:X", "other PVs"),
        (("--expression", "1 +"), "it ends", ""),
        ((), "computed", ""),
        (("--topic", "a"), "topic", ""),
    ],
)
def test_what_cannot_be_computed_is_refused_and_changes_nothing(experiment, capsys, words, what, do):
    add(capsys, "LAB:X")
    add(capsys, "LAB:Y", "--protocol", "computed", "--expression", "LAB:X")
    before = (experiment / "store" / "archive" / "changes.jsonl").read_bytes()
    error = add(capsys, "LAB:X", "--protocol", "computed", *words, code=2)["error"]
    assert what in json.dumps(error)
    assert do in error["do"]
    assert (experiment / "store" / "archive" / "changes.jsonl").read_bytes() == before


def test_a_condition_names_its_pv_as_an_expression_does(experiment, capsys):
    add(capsys, "LN-AM{RadMon:1}Lvl")
    added = add(capsys, "LAB:X", "--only-while", '"LN-AM{RadMon:1}Lvl" > 0.5')
    assert added["policy"] == {"only_while": '"LN-AM{RadMon:1}Lvl" > 0.5'}
