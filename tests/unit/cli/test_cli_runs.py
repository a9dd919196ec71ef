"""``nualley runs``: tags, corrected times, and what a list says when it is empty."""

import json

import pytest

from nualley.app.site import Site, open_site
from nualley.catalog import CatalogDamaged, Run
from nualley.cli.main import main
from nualley.core import parse_time_ns

START, STOP = "2026-11-20T04:00:00Z", "2026-11-20T05:00:00Z"


def said(capsys, *words):
    capsys.readouterr()
    assert main(words) == 0
    return capsys.readouterr()


def test_wrong_times_are_corrected_and_the_old_ones_are_kept(experiment, detector, capsys):
    words = ("--start", START, "--stop", STOP, "--reason", "typing error", "--author", "Ada")
    found = json.loads(said(capsys, "runs", "times", f"{detector}-1", *words, "--json").out)
    assert found == {
        "run_id": f"{detector}-1",
        "start_ns": parse_time_ns(START, 0),
        "stop_ns": parse_time_ns(STOP, 0),
        "time_source": "given",
    }
    (note,) = json.loads(said(capsys, "runs", "show", f"{detector}-1", "--json").out)["notes"]
    assert note["author"] == "Ada"
    assert note["text"] == (
        "times corrected from [2026-11-23T04:00:00.000Z, 2026-11-23T05:00:00.000Z), by given, to"
        " [2026-11-20T04:00:00.000Z, 2026-11-20T05:00:00.000Z): typing error"
    )
    (activity,) = open_site(experiment).catalog().activities(f"{detector}-1")
    assert activity.kind == "correct-times"
    assert activity.inputs == activity.outputs == (f"{detector}-1",)
    assert activity.code.startswith("nualley ")
    assert activity.host
    assert activity.start_ns > 0
    assert "1 h" in said(capsys, "runs", "times", f"{detector}-2", *words).err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (
            ("--start", STOP, "--stop", START, "--reason", "x"),
            "run hpge-1 would stop at 2026-11-20T04:00:00.000Z, 1 h before it starts at 2026-11-20T05:00:00.000Z",
        ),
        (
            ("--start", START, "--stop", START, "--reason", "x"),
            "run hpge-1 would stop at 2026-11-20T04:00:00.000Z, when it starts",
        ),
        (("--start", START, "--stop", STOP, "--reason", "  "), "--reason is blank: '  ', expected words"),
        (("--start", START, "--stop", STOP), "--reason is missing"),
        (("--stop", STOP, "--reason", "x"), "--start is missing"),
    ],
)
def test_times_that_cannot_be_are_refused(experiment, detector, refused, words, what):
    assert refused("runs", "times", f"{detector}-1", *words)["what"] == what
    assert open_site(experiment).catalog().notes(f"{detector}-1") == []


def test_times_of_a_run_that_is_not_there(experiment, detector, refused):
    error = refused("runs", "times", f"{detector}-9", "--start", START, "--stop", STOP, "--reason", "x")
    assert error["what"] == f"there is no run {detector}-9 among 2"
    assert "did you mean" in error["do"]


def test_tags_are_given_and_taken(experiment, detector, capsys):
    run = f"{detector}-1"
    for _ in range(2):
        assert json.loads(said(capsys, "runs", "tag", run, "co-57", "bad", "--json").out)["tags"] == ["bad", "co-57"]
    assert said(capsys, "runs", "tag", run, "bad", "never", "--remove").err == f"{run} has the tags: co-57\n"
    assert [row["run_id"] for row in json.loads(said(capsys, "runs", "list", "--tag", "co-57", "--json").out)] == [run]


@pytest.mark.parametrize("tag", ["Bad", "a b", "a--b", "-a", "ä", ""])
def test_what_cannot_be_a_tag_is_refused(experiment, detector, refused, tag):
    refused("runs", "tag", f"{detector}-1", "good", "--", tag)
    assert open_site(experiment).catalog().run(f"{detector}-1").tags == ()


def test_tag_without_any(experiment, detector, refused):
    assert refused("runs", "tag", f"{detector}-1")["what"] == "no tag is named"


def test_an_empty_list_says_whether_there_are_others(experiment, detector, capsys):
    assert said(capsys, "runs", "list").err == "2 runs\n"
    assert said(capsys, "runs", "list", "--to", "2026-11-24").err == "1 run\n"
    assert said(capsys, "runs", "list", "--tag", "never").err == "none of the 2 runs matches\n"


def test_an_only_run_that_does_not_match(experiment, capsys):
    open_site(experiment).catalog().register_run(Run(run_id="hpge-1", detector="hpge", number=1))
    assert said(capsys, "runs", "list", "--tag", "never").err == "the only run does not match\n"


def test_a_fresh_experiment_says_what_is_next(experiment, capsys):
    assert "no runs yet; next: nualley runs ingest" in said(capsys, "runs", "list").err


def test_live_time_files_and_notes_are_told_of_every_run(experiment, detector, capsys):
    listed = json.loads(said(capsys, "runs", "list", "--json").out)
    assert [(run["run_id"], run["livetime_s"]) for run in listed] == [
        (f"{detector}-1", 3600.0),
        (f"{detector}-2", None),
    ]
    assert json.loads(said(capsys, "runs", "show", f"{detector}-1", "--json").out)["livetime_s"] == 3600.0
    assert "1 h, live time 1 h" in said(capsys, "runs", "show", f"{detector}-1").out
    assert "live time unknown" in said(capsys, "runs", "show", f"{detector}-2").out
    said(capsys, "runs", "note", f"{detector}-2", "loud", "--author", "ada")
    table = open_site(experiment).catalog().runs().to_arrow()
    assert table["livetime_s"].to_pylist() == [3600.0, None]
    assert (table["n_files"].to_pylist(), table["size_B"].to_pylist()) == ([0, 0], [0, 0])
    first, second = table["notes"].to_pylist()
    assert (first, [(note["author"], note["text"]) for note in second]) == ([], [("ada", "loud")])
    assert second[0]["time_ns"] > 0


def test_runs_are_told_also_where_their_live_time_cannot_be(experiment, detector, capsys, monkeypatch):
    def refuse(_):
        raise CatalogDamaged("no index")

    monkeypatch.setattr(Site, "exposures", refuse)
    told = said(capsys, "runs", "list", "--json")
    assert [run["livetime_s"] for run in json.loads(told.out)] == [None, None]
    assert told.err == "live times are not known: no index\n"
