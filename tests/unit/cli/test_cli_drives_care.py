"""``nualley drives consistency`` and ``scrub``, called as a person calls them, and what the worker reads by itself."""

import asyncio
import errno
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from nualley.app.scrub import ScrubRoutine
from nualley.app.site import open_site
from nualley.catalog import Replica, ReplicaState
from nualley.catalog.adapters.sql import open_catalog
from nualley.cli.main import main
from nualley.core import DAY_NS
from tests.unit.cli.conftest import record_of, write_drives


@pytest.fixture
def drives(experiment, detector):
    """Two drives, the second below a mount of its own in this test's world, with a file of run 1 on each."""
    folder = experiment.parent / "drives"
    for name in ("data1", "data2"):
        (folder / name / detector).mkdir(parents=True)
        (folder / name / detector / "wave0.dat").write_bytes(b"wave" * 5000)
    write_drives(experiment, folder=folder)
    catalog = open_site(experiment).catalog()
    record = record_of(folder / "data1" / detector / "wave0.dat", f"{detector}-1")
    places = [
        Replica(drive=name, path=os.fspath(folder / name / detector / "wave0.dat"), state=ReplicaState.VERIFIED)
        for name in ("data1", "data2")
    ]
    catalog.add_file(catalog.run(f"{detector}-1"), record, replicas=places)
    return folder


def answer(capsys, *words, code=0):
    capsys.readouterr()
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def states(experiment):
    catalog = open_site(experiment).catalog()
    return {name: [placed.state.value for placed in catalog.placed_files(name)] for name in ("data1", "data2")}


def test_all_is_as_the_catalog_says(drives, capsys):
    found = answer(capsys, "drives", "consistency")
    assert found == {
        "drives": ["data1", "data2"],
        "n_files": 2,
        "n_known": 2,
        "n_entered": 0,
        **{name: [] for name in ("dark", "missing", "wrong_size", "unseen", "returned", "unread")},
    }


def test_what_differs_is_listed_and_entered_only_when_asked_for(experiment, drives, detector, capsys):
    (drives / "data1" / detector / "wave0.dat").unlink()
    (drives / "data2" / detector / "wave0.dat").write_bytes(b"short")
    (drives / "data1" / "left").mkdir()
    (drives / "data1" / "left" / "ov\ner.dat").write_bytes(b"x" * 70)
    with (experiment / "drives.toml").open("a") as file:
        file.write('[[ownership]]\npath = "left"\nstage = "user"\n')
    found = answer(capsys, "drives", "consistency", code=5)
    (dark,) = found["dark"]
    assert (dark["path"], dark["size_B"], dark["stage"]) == (f"{drives}/data1/left/ov\\x0aer.dat", 70, "user")
    (missing,), (wrong,) = found["missing"], found["wrong_size"]
    assert (missing["drive"], missing["run_id"], missing["n_others"]) == ("data1", f"{detector}-1", 1)
    assert (wrong["drive"], wrong["detail"]) == ("data2", "it has 5 B, 20000 B were written")
    assert states(experiment) == {"data1": ["verified"], "data2": ["verified"]}
    assert main(["drives", "consistency", "--enter"]) == 5
    said = capsys.readouterr()
    assert "entered into the catalog: 2 replicas" in said.err
    assert "wave0.dat" in said.out
    assert states(experiment) == {"data1": ["missing"], "data2": ["damaged"]}
    (drives / "data1" / detector / "wave0.dat").write_bytes(b"wave" * 5000)
    (returned,) = answer(capsys, "drives", "consistency", "data1", "--enter")["returned"]
    assert returned["drive"] == "data1"
    assert states(experiment)["data1"] == ["unverified"]


def test_what_a_link_leads_away_from_its_drive_is_told(experiment, drives, detector, capsys):
    (drives / "data1" / detector).rename(drives / "data2" / "moved")
    (drives / "data1" / detector).symlink_to(drives / "data2" / "moved")
    found = answer(capsys, "drives", "consistency")
    (unseen,) = found["unseen"]
    assert (unseen["drive"], unseen["path"]) == ("data1", f"{drives}/data1/{detector}/wave0.dat")
    assert unseen["detail"] == "a link leads to it outside of data1: it is no copy there"
    assert states(experiment)["data1"] == ["verified"]


def test_a_link_that_cannot_be_read_is_told(experiment, drives, detector, capsys, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "")

    (drives / "data1" / detector).rename(drives / "data2" / "moved")
    (drives / "data1" / detector).symlink_to(drives / "data2" / "moved")
    # the link goes or fails just when it is followed
    monkeypatch.setattr("nualley.replicas.adapters.trees.PosixTrees.real", fail)
    (unseen,) = answer(capsys, "drives", "consistency")["unseen"]
    assert unseen["detail"] == "it cannot be looked at: Input/output error"


def test_a_drive_that_is_away_has_nothing_missing(experiment, drives, capsys):
    shutil.rmtree(drives / "data2")
    found = answer(capsys, "drives", "consistency")
    assert (found["drives"], found["missing"]) == (["data1"], [])
    assert main(["drives", "consistency", "data2"]) != 0
    assert states(experiment)["data2"] == ["verified"]


def test_a_drive_that_is_away_is_named(drives, capsys):
    shutil.rmtree(drives / "data2")
    for words, done in ((("consistency",), "compared"), (("scrub",), "read"), (("scan",), "scanned")):
        capsys.readouterr()
        assert main(["drives", *words]) == 0
        assert f"data2 is not {done}: " in capsys.readouterr().err
    assert main(["drives", "list"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("data2")]
    assert row.split()[:5] == ["data2", "raw", "-", "-", "-"]


def test_files_adopt_is_named_only_where_it_would_enter_something(drives, detector, capsys):
    loose = drives / "data1" / "loose.dat"
    loose.write_bytes(b"x")
    with Path("drives.toml").open("a") as file:
        file.write('\n[[ownership]]\npath = "{detector}/hit/{run}"\nstage = "hit"\n')
    folder = drives / "data1" / detector / "hit" / "7"
    folder.mkdir(parents=True)
    (folder / "hits.h5.damaged-20261129T021609Z").write_bytes(b"x")
    for is_named in (False, True):
        capsys.readouterr()
        assert main(["drives", "consistency"]) == 0
        said = capsys.readouterr()
        assert ("nualley files adopt" in said.err) is is_named
        assert f"{detector} hit, set aside as damaged" in said.out
        (folder / "hits.h5").write_bytes(b"x")


def test_scrub_names_rot_and_mends_it(experiment, drives, detector, capsys):
    rotten = drives / "data2" / detector / "wave0.dat"
    rotten.write_bytes(b"wavE" + b"wave" * 4999)
    found = answer(capsys, "drives", "scrub", code=5)
    assert (found["n_files"], found["results"]) == (2, {"intact": 1, "damaged": 1})
    assert states(experiment) == {"data1": ["verified"], "data2": ["damaged"]}
    assert main(["drives", "scrub", "data2", "--repair"]) == 0
    assert "REPAIRED" in capsys.readouterr().err
    assert rotten.read_bytes() == b"wave" * 5000
    assert states(experiment)["data2"] == ["verified"]
    assert len(list(rotten.parent.iterdir())) == 2, "the damaged file is kept beside it"


def test_what_an_earlier_run_found_missing_is_mended_later(experiment, drives, detector, capsys):
    lost = drives / "data2" / detector / "wave0.dat"
    lost.unlink()
    assert answer(capsys, "drives", "scrub", code=5)["results"] == {"intact": 1, "missing": 1}
    assert answer(capsys, "drives", "scrub")["results"] == {"intact": 1}
    assert answer(capsys, "drives", "scrub", "--repair")["results"] == {"intact": 1, "repaired": 1}
    assert lost.read_bytes() == b"wave" * 5000
    assert states(experiment)["data2"] == ["verified"]


def test_nothing_is_made_anew_outside_of_its_drive(experiment, drives, capsys):
    """A row of an older version: the drive moved before what lies on it was recorded below it."""
    with open_catalog(open_site(experiment).configuration.store / "catalog.sqlite") as catalog:
        (placed,) = catalog.placed_files("data2")
        catalog.add_replica(placed.file_id, Replica(drive="data2", path=f"{drives}/old/wave0.dat"))
    found = answer(capsys, "drives", "scrub", "data2", "--repair", code=5)
    assert [each["result"] for each in found["problems"]] == ["missing"]
    assert "it lies outside of data2; nualley files adopt" in found["problems"][0]["detail"]
    assert not (drives / "old").exists()


def test_a_budget_reads_the_longest_unread(experiment, drives, capsys):
    assert answer(capsys, "drives", "scrub", "--budget", "1 kB")["n_files"] == 2, "one of each drive"


@pytest.mark.parametrize("words", [("--budget", "0 B"), ("--budget", "5 s"), ("--budget", "much"), ("data9",)])
def test_what_cannot_be_read_is_refused(drives, refused, words):
    refused("drives", "scrub", *words)


def test_the_worker_reads_every_drive_once_a_day(experiment, drives, detector, monkeypatch):
    monkeypatch.setattr("nualley.app.scrub.LOOK_S", 0.01)
    (drives / "data2" / detector / "wave0.dat").write_bytes(b"rot")
    site = open_site(experiment)

    async def work() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(ScrubRoutine(site).run(stop))
        while states(experiment)["data2"] != ["damaged"]:
            await asyncio.to_thread(time.sleep, 0.02)
        await asyncio.to_thread(time.sleep, 0.2)  # further looks find nothing due
        stop.set()
        await running

    asyncio.run(asyncio.wait_for(work(), 60))
    done = [each for each in site.catalog().activities() if each.kind == "scrub"]
    assert sorted(each.inputs for each in done) == [("drive:data1",), ("drive:data2",)]
    assert ScrubRoutine(site)._is_due("data1") is False
    monkeypatch.setattr(type(site.clock), "now_ns", lambda _: done[0].start_ns + DAY_NS)
    assert ScrubRoutine(site)._is_due("data1") is True


def test_a_budget_of_nothing_lets_the_worker_read_nothing(experiment, drives):
    with (experiment / "experiment.toml").open("a") as file:
        file.write('\n[replicas]\nscrub = "0 B"\n')
    asyncio.run(asyncio.wait_for(ScrubRoutine(open_site(experiment)).run(asyncio.Event()), 5))


def test_paths_in_answers_are_text(drives, detector, capsys):
    Path(os.fsdecode(os.fsencode(drives / "data1") + b"/no-\xff-utf8")).write_bytes(b"x")
    (dark,) = answer(capsys, "drives", "consistency")["dark"]
    assert dark["path"].endswith("no-\\xff-utf8")
