"""``nualley archive add`` and its likes while no archive runs, and what ``check`` and ``pvs --write`` make of them."""

import json
import time

import pytest

from nualley.app.archive import open_archive_writer
from nualley.app.archive_changes import change_from
from nualley.app.archive_plan import read_plan, settle
from nualley.app.locks import hold_role
from nualley.app.site import open_site
from nualley.archive import PvPolicy
from nualley.cli.main import main
from nualley.core import SystemClock
from nualley.pv import Connection, Sample, ValueType


def call(capsys, *words):
    capsys.readouterr()
    code = main(["archive", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def answer(capsys, *words):
    code, out, _ = call(capsys, *words, "--json")
    assert code == 0, out
    return json.loads(out)


def checked(capsys):
    capsys.readouterr()
    assert main(["check", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_pv_is_added_for_the_next_start_and_written_into_the_repository(experiment, capsys):
    code, out, err = call(capsys, "add", "LAB:T3", "--events", "archive", "--note", "third sensor")
    assert (code, out) == (0, "LAB:T3 is archived\n")
    assert "at its next start" in err
    assert "--write" in err
    (found,) = checked(capsys)["changes"]
    assert (found["pv"], found["what"], found["verb"], found["note"]) == (
        "LAB:T3", "archived, but not declared", "add", "third sensor",
    )  # fmt: skip
    before = {path.name: path.read_bytes() for path in (experiment / "pvs").iterdir()}
    written = answer(capsys, "pvs", "--write", "pvs/lab.toml")
    assert (written["path"], written["pvs"], written["left"]) == ("pvs/lab.toml", ["LAB:T3"], [])
    assert 'events = "archive"' in (experiment / "pvs" / "lab.toml").read_text()
    assert {name: (experiment / "pvs" / name).read_bytes() for name in before} == before
    assert checked(capsys)["changes"] == []
    site = open_site(experiment)
    with hold_role(site.configuration.store, "archive", SystemClock()):
        settle(read_plan(site), 1)
    assert read_plan(site).plan.settled() == []


def test_check_says_it_in_words(experiment, capsys):
    assert answer(capsys, "add", "LAB:T3")["applied"] == "at-next-start"
    capsys.readouterr()
    assert main(["check"]) == 0
    said = capsys.readouterr().err
    assert "1 PV is archived otherwise than this repository says" in said
    assert "LAB:T3: archived, but not declared (add by " in said
    assert "--write pvs/NAME.toml" in said


def test_a_file_that_is_there_is_written_anew_only_by_force_and_keeps_what_it_declares(experiment, capsys):
    group = next((experiment / "pvs").glob("*.toml"))
    declared = read_plan(open_site(experiment)).plan.declared
    answer(capsys, "add", "LAB:T3")
    code, _, err = call(capsys, "pvs", "--write", f"pvs/{group.name}")
    assert code == 2
    assert "is there already" in err
    answer(capsys, "pvs", "--write", f"pvs/{group.name}", "--force")
    assert read_plan(open_site(experiment)).plan.declared == {**declared, "LAB:T3": PvPolicy()}


def test_what_is_declared_by_the_name_of_its_value_stays_declared(experiment, capsys):
    answer(capsys, "add", "LAB:T3")
    (experiment / "pvs" / "lab.toml").write_text('[pv]\n"LAB:T3.VAL" = { events = "archive" }\n')
    plan = read_plan(open_site(experiment)).plan
    assert {"LAB:T3", "LAB:T3.VAL"} & plan.archived().keys() == {"LAB:T3"}
    answer(capsys, "pvs", "--write", "pvs/lab.toml", "--force")
    assert read_plan(open_site(experiment)).plan.declared["LAB:T3"] == PvPolicy()


@pytest.mark.parametrize("path", ["pvs/x.txt", "nowhere/x.toml"])
def test_a_place_that_is_none(experiment, capsys, path):
    answer(capsys, "add", "LAB:T3")
    code, _, err = call(capsys, "pvs", "--write", path)
    assert code == 2
    assert "no place for a group" in err


def test_nothing_to_write(experiment, capsys):
    code, _, err = call(capsys, "pvs", "--write", "pvs/x.toml")
    assert code == 2
    assert "declared already" in err


def test_pause_resume_rename_alias_remove(experiment, capsys):
    pv = next(iter(read_plan(open_site(experiment)).plan.declared))
    assert answer(capsys, "pause", pv)["verb"] == "pause"
    assert [change["what"] for change in checked(capsys)["changes"]] == ["paused"]
    assert answer(capsys, "resume", pv)["verb"] == "resume"
    assert checked(capsys)["changes"] == []
    renamed = answer(capsys, "rename", pv, "LAB:NEW")
    assert (renamed["pv"], renamed["name"], renamed["was_alias"]) == (pv, "LAB:NEW", False)
    assert [change["pv"] for change in checked(capsys)["changes"]] == sorted([pv, "LAB:NEW"])
    assert answer(capsys, "alias", "BOTTOM", "LAB:NEW")["name"] == "BOTTOM"
    code, out, _ = call(capsys, "remove", "BOTTOM")
    assert (code, out) == (0, "BOTTOM is no longer another name of anything\n")
    code, out, _ = call(capsys, "remove", "LAB:NEW")
    assert "what is stored of it stays readable" in out


@pytest.fixture
def door(experiment):
    """Return a PV that is declared with a policy of its own."""
    text = '[pv]\n"LAB:DOOR" = { protocol = "mqtt", topic = "lab/door", member = "open", dead_band = 0.5 }\n'
    (experiment / "pvs" / "door.toml").write_text(text)
    return "LAB:DOOR"


def policy_of(experiment, pv):
    return read_plan(open_site(experiment)).plan.policy(pv).model_dump(exclude_defaults=True)


def test_a_pv_that_is_archived_is_not_reset_by_an_add_without_options(experiment, door, refused):
    before = policy_of(experiment, door)
    error = refused("archive", "add", door, "--note", "x")
    assert error["what"] == f"{door} is archived already: " + ", ".join(f"{k} = {v}" for k, v in before.items())
    assert f"archive add {door} --events" in error["do"]
    assert policy_of(experiment, door) == before
    assert main(["archive", "pause", door]) == 0
    error = refused("archive", "add", door)
    assert error["what"].endswith("(paused)")
    assert error["do"] == f"nualley archive resume {door}"


def test_only_options_that_are_given_change_and_the_answer_says_which(experiment, door, capsys):
    before = policy_of(experiment, door)
    code, out, _ = call(capsys, "add", door, "--member", "is_open")
    assert (code, out) == (0, f"{door} is archived otherwise: member: open -> is_open\n")
    assert policy_of(experiment, door) == before | {"member": "is_open"}
    # a default that is named is an option that is given
    made = answer(capsys, "add", door, "--dead-band", "0")
    assert made["changed"] == {"dead_band": {"was": 0.5, "is": 0.0}}
    assert answer(capsys, "add", "LAB:T9")["changed"] == {}
    assert main(["archive", "pause", door]) == 0
    assert answer(capsys, "add", door, "--dead-band", "2")["changed"]["paused"] == {"was": True, "is": False}


def test_another_protocol_takes_what_only_the_one_before_knows(experiment, door, capsys):
    changed = answer(capsys, "add", door, "--protocol", "pva")["changed"]
    assert changed["protocol"] == {"was": "mqtt", "is": "pva"}
    assert changed["topic"] == {"was": "lab/door", "is": ""}
    assert policy_of(experiment, door) == {"protocol": "pva", "dead_band": 0.5}
    answer(capsys, "add", door, "--mode", "scan", "--period-s", "5")
    assert answer(capsys, "add", door, "--mode", "monitor")["changed"]["period_s"] == {"was": 5.0, "is": None}


def test_a_removed_pv_comes_back_as_it_is_declared(experiment, door, capsys):
    before = policy_of(experiment, door)
    answer(capsys, "remove", door)
    assert answer(capsys, "add", door)["policy"] == before


def test_a_protocol_before_a_name_is_an_option_and_no_part_of_it(experiment, refused, capsys):
    code, out, _ = call(capsys, "add", "pva://LAB:I{3}")
    assert (code, out) == (0, "LAB:I{3} is archived\n")
    assert policy_of(experiment, "LAB:I{3}") == {"protocol": "pva"}
    answer(capsys, "add", "ca://LAB:Z", "--events", "archive")
    assert policy_of(experiment, "LAB:Z") == {"events": "archive"}
    assert "LAB:I" in (answer(capsys, "pvs", "--write", "pvs/lab.toml"), (experiment / "pvs/lab.toml").read_text())[1]
    assert "://" not in (experiment / "pvs/lab.toml").read_text()
    made = answer(capsys, "add", "ca://LAB:I{3}")
    assert (made["pv"], made["changed"]) == ("LAB:I{3}", {"protocol": {"was": "pva", "is": "ca"}})
    assert call(capsys, "pause", "pva://LAB:Z")[1] == "LAB:Z is paused\n"
    assert call(capsys, "rename", "ca://LAB:Z", "LAB:{pv}")[1] == "LAB:Z is archived as LAB:{pv}\n"
    for words in (("rename", "LAB:{pv}", "pva://LAB:Y"), ("alias", "ca://LAB:Y", "LAB:{pv}")):
        assert "a name with a protocol before it" in refused("archive", *words)["what"]
    error = refused("archive", "add", "pva://LAB:Q", "--protocol", "ca")
    assert error["what"] == "pva://LAB:Q asks for pva, and protocol for ca"
    assert (error["where"], error["do"]) == ("archive add pva://LAB:Q", "leave one of them out")
    assert answer(capsys, "add", "pva://LAB:Q", "--protocol", "pva")["policy"] == {"protocol": "pva"}


def test_a_pv_and_its_value_are_one_pv(experiment, capsys):
    answer(capsys, "add", "LAB:Z")
    assert call(capsys, "add", "ca://LAB:Z.VAL", "--dead-band", "2")[1] == (
        "LAB:Z is archived otherwise: dead_band: 0.0 -> 2.0\n"
    )
    assert call(capsys, "pause", "LAB:Z.VAL")[1] == "LAB:Z is paused\n"
    # a PV that goes by the longer name may be given the shorter one
    answer(capsys, "add", "LAB:Y.VAL")
    assert call(capsys, "rename", "LAB:Y.VAL", "LAB:Y")[1] == "LAB:Y.VAL is archived as LAB:Y\n"
    assert answer(capsys, "add", "LAB:Y.VAL", "--events", "archive")["pv"] == "LAB:Y"
    plan = read_plan(open_site(experiment)).plan
    assert {"LAB:Z", "LAB:Y"} <= plan.archived().keys()
    assert not {"LAB:Z.VAL", "LAB:Y.VAL"} & plan.archived().keys()


def test_a_name_that_was_kept_with_its_protocol_can_be_taken_away(experiment, capsys):
    kept = read_plan(open_site(experiment))
    change = change_from({"verb": "add", "pv": "pva://LAB:I", "who": "zoe"}, 1, kept.plan)
    alias = change_from({"verb": "alias", "pv": "pva://LAB:I", "name": "ca://B", "who": "zoe"}, 1, kept.plan)
    kept.file.append([change, alias])
    answer(capsys, "add", "LAB:I")
    assert answer(capsys, "remove", "ca://B")["was_alias"]
    assert answer(capsys, "remove", "pva://LAB:I")["pv"] == "pva://LAB:I"
    plan = read_plan(open_site(experiment)).plan
    assert (plan.policy("pva://LAB:I"), plan.policy("LAB:I")) == (None, PvPolicy())


def test_what_makes_no_sense_is_refused(experiment, refused, capsys):
    assert "not archived" in refused("archive", "pause", "LAB:GONE")["what"]
    assert "cannot be the name" in refused("archive", "add", "../x")["what"]
    assert "--events" in refused("archive", "add", "LAB:X", "--events", "often")["what"]
    assert "1000 characters" in refused("archive", "add", "LAB:X", "--note", "x" * 1001)["what"]
    assert checked(capsys)["changes"] == []


def test_an_archive_that_takes_no_orders_is_told(experiment, capsys, monkeypatch):
    monkeypatch.setattr("nualley.app.archive_changes.START_S", 0.1)
    site = open_site(experiment)
    with hold_role(site.configuration.store, "archive", SystemClock()):
        code, _, err = call(capsys, "add", "LAB:X")
    assert code == 4
    assert "takes no orders" in err
    assert checked(capsys)["changes"] == []


def test_a_damaged_line_is_told_by_check(experiment, capsys):
    answer(capsys, "add", "LAB:T3")
    path = open_site(experiment).archive_folder / "changes.jsonl"
    path.write_text("{broken\n" + path.read_text())
    (damage,) = checked(capsys)["damages"]
    assert damage.startswith(f"{path}:1: ")
    capsys.readouterr()
    assert main(["check"]) == 0
    assert "cannot be read and does not count" in capsys.readouterr().err


def test_the_history_is_found_under_the_new_name(experiment, capsys):
    pv = next(iter(read_plan(open_site(experiment)).plan.declared))
    writer = open_archive_writer(open_site(experiment).archive_folder)
    now_ns = time.time_ns()
    writer.recorder.receive(Connection(pv, True, "127.0.0.1:5064", now_ns, now_ns, "ca"))
    writer.recorder.receive(Sample(pv, now_ns, 1.5, ValueType.FLOAT64, 0, 0, "ca", now_ns))
    writer.close()
    answer(capsys, "rename", pv, "LAB:NEW")
    answer(capsys, "alias", "BOTTOM", "LAB:NEW")
    for name in (pv, "LAB:NEW", "BOTTOM"):
        assert 1.5 in answer(capsys, "get", name)["columns"]["value"]
