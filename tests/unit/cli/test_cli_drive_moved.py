"""A drive that is mounted elsewhere, called as a person calls commands: what is known of it moves with it."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nualley.app.site import open_site
from nualley.catalog import Activity, Replica, ReplicaState
from nualley.cli.main import main
from nualley.ingest import RegisteredDrives
from nualley.storage.adapters.posix import PosixVolumes
from tests.unit.cli.conftest import record_of

NAMES = ("data1", "data2")
OWNERSHIP = '\n[[ownership]]\npath = "users/{owner}"\nstage = "user"\n'


def answer(capsys, *words, code=0):
    capsys.readouterr()
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def mount(experiment, data1, data2):
    """Say in ``drives.toml`` where the drives are."""
    places = {"data1": data1, "data2": data2}
    lines = [f'[drives.{name}]\npath = "{path}"\nlimit = "100 %"\n' for name, path in places.items()]
    (experiment / "drives.toml").write_text("\n".join(lines) + OWNERSHIP)


@pytest.fixture
def drives(experiment, detector):
    """Two drives with their markers, each with the same verified file of run 1 and with a file of a user."""
    folder = experiment.parent / "drives"
    mount(experiment, folder / "data1", folder / "data2")
    for number, name in enumerate(NAMES):
        for path in (folder / name / detector / "wave0.dat", folder / name / "users" / "ada" / "old.root"):
            path.parent.mkdir(parents=True)
            path.write_bytes(b"wave" * 500 if path.suffix == ".dat" else bytes([number]) * 70)
            os.utime(path, (1.6e9, 1.6e9))
    site = open_site(experiment)
    registered = RegisteredDrives(site.configuration.storage.to_drives(), PosixVolumes(), site.catalog())
    for usage in registered.usages():
        registered.register(usage)
    record = record_of(folder / "data1" / detector / "wave0.dat", f"{detector}-1")
    places = [
        Replica(drive=name, path=os.fspath(folder / name / detector / "wave0.dat"), state=ReplicaState.VERIFIED)
        for name in NAMES
    ]
    site.catalog().add_file(site.catalog().run(f"{detector}-1"), record, replicas=places)
    return folder


def assert_all_is_found(capsys, detector, places):
    """Every command finds the drives' file where the drives are now."""
    wanted = {name: os.fspath(Path(path) / detector / "wave0.dat") for name, path in places.items()}
    (found,) = answer(capsys, "files", "find", "wave0.dat")
    assert {each["drive"]: each["path"] for each in found["replicas"]} == wanted
    shown = answer(capsys, "files", "show", wanted["data2"])
    assert {each["drive"]: each["path"] for each in shown["replicas"]} == wanted
    scrubbed = answer(capsys, "drives", "scrub")
    assert (scrubbed["n_files"], scrubbed["problems"]) == (2, [])
    compared = answer(capsys, "drives", "consistency")
    assert (compared["n_known"], compared["missing"], compared["unseen"]) == (2, [], [])
    assert {Path(each["path"]).name for each in compared["dark"]} == {"old.root"}, "of users"
    assert {path for path in wanted.values() if not Path(path).exists()} == set()


def catalog_of(experiment):
    return open_site(experiment).catalog()


def rows(experiment):
    """All that is recorded of places."""
    store = open_site(experiment).configuration.store
    with closing(sqlite3.connect(store / "catalog.sqlite")) as connection:
        return connection.execute("SELECT * FROM replica ORDER BY replica_id").fetchall()


def test_a_drive_that_is_mounted_elsewhere_takes_its_replicas_along(experiment, drives, detector, capsys):
    (drives / "data2").rename(drives.parent / "elsewhere")
    mount(experiment, drives / "data1", drives.parent / "elsewhere")
    assert_all_is_found(capsys, detector, {"data1": drives / "data1", "data2": drives.parent / "elsewhere"})
    assert not (drives / "data2").exists()
    adopted = answer(capsys, "files", "adopt")
    assert adopted["files"] == [], "nothing is read and entered again"
    assert len(rows(experiment)) == 2


def test_two_drives_that_change_places(experiment, drives, detector, capsys):
    (drives / "data1").rename(drives / "aside")
    (drives / "data2").rename(drives / "data1")
    (drives / "aside").rename(drives / "data2")
    before = rows(experiment)
    assert answer(capsys, "drives", "scrub", code=4)["error"], "their markers tell: neither is where it should be"
    assert rows(experiment) == before
    mount(experiment, drives / "data2", drives / "data1")
    assert_all_is_found(capsys, detector, {"data1": drives / "data2", "data2": drives / "data1"})


def test_while_a_drive_is_not_there_nothing_happens(experiment, drives, detector, capsys):
    before = rows(experiment)
    (drives.parent / "elsewhere").mkdir()
    mount(experiment, drives / "data1", drives.parent / "elsewhere")
    assert answer(capsys, "drives", "scrub")["n_files"] == 1
    assert "marker .nualley-drive is missing" in answer(capsys, "drives", "scrub", "data2", code=4)["error"]["what"]
    answer(capsys, "drives", "consistency", "--enter")
    assert not list((drives.parent / "elsewhere").iterdir())
    assert [row[:5] for row in rows(experiment)] == [row[:5] for row in before]
    mount(experiment, drives / "data1", drives / "data2")
    assert_all_is_found(capsys, detector, {name: drives / name for name in NAMES})


def test_an_experiment_that_goes_elsewhere_with_its_drives(experiment, drives, detector, capsys, monkeypatch):
    mount(experiment, "../drives/data1", "../drives/data2")
    assert_all_is_found(capsys, detector, {name: drives / name for name in NAMES})
    assert ".." not in answer(capsys, "drives", "list")[0]["path"]
    clone = experiment.parent / "deeper" / "clone"
    clone.mkdir(parents=True)
    experiment.rename(clone / "experiment")
    drives.rename(clone / "drives")
    monkeypatch.chdir(clone / "experiment")
    assert_all_is_found(capsys, detector, {name: clone / "drives" / name for name in NAMES})


def test_the_trash_of_a_drive_moves_with_it(experiment, drives, capsys):
    assert main(["drives", "scan"]) == 0
    assert main(["drives", "reclaim", "--drive", "data1", "--out", "plan.jsonl"]) == 0
    assert main(["drives", "reclaim", "--drive", "data2", "--out", "late.jsonl"]) == 0
    assert main(["drives", "reclaim", "--apply", "plan.jsonl", "--yes"]) == 0
    old = drives / "data1" / "users" / "ada" / "old.root"
    assert not old.exists()
    for name in NAMES:
        (drives / name).rename(drives / f"{name}-moved")
    mount(experiment, drives / "data1-moved", drives / "data2-moved")
    (item,) = answer(capsys, "drives", "trash")
    moved = drives / "data1-moved" / "users" / "ada" / "old.root"
    assert item["path"] == os.fspath(moved)
    assert item["trash"].startswith(f"{drives}/data1-moved/.nualley-trash/")
    late = answer(capsys, "drives", "reclaim", "--apply", "late.jsonl", "--yes", code=1)
    assert "does not lie on data2" in late["files"][0]["error"]["what"], "a plan of before is made anew"
    assert answer(capsys, "drives", "untrash", item["path"])["n_done"] == 1
    assert moved.read_bytes() == b"\x00" * 70
    assert not (drives / "data1").exists()


def test_a_replica_in_the_trash_comes_back_where_its_drive_is(experiment, drives, detector, capsys):
    catalog = open_site(experiment).catalog()
    path = drives / "data1" / detector / "hits.h5"
    path.write_bytes(b"hits" * 100)
    record = record_of(path, f"{detector}-1", format="hdf5", stage="hit")
    made = Activity(kind="simulate", outputs=(f"file:{detector}-1/{path.name}",), start_ns=1, stop_ns=2)
    place = Replica(drive="data1", path=os.fspath(path), state=ReplicaState.VERIFIED)
    catalog.add_file(catalog.run(f"{detector}-1"), record, replicas=[place], activity=made)
    assert main(["drives", "reclaim", "--drive", "data1", "--out", "plan.jsonl"]) == 0
    assert main(["drives", "reclaim", "--apply", "plan.jsonl", "--yes"]) == 0
    (drives / "data1").rename(drives / "moved")
    mount(experiment, drives / "moved", drives / "data2")
    (item,) = answer(capsys, "drives", "trash")
    assert answer(capsys, "drives", "untrash", item["path"])["n_done"] == 1
    (back,) = catalog_of(experiment).find_files(name="hits.h5")
    (replica,) = catalog_of(experiment).replicas(back.file_id)
    assert (replica.path, replica.state) == (f"{drives}/moved/{detector}/hits.h5", "verified")
    assert Path(replica.path).read_bytes() == b"hits" * 100


def test_a_removal_that_died_in_the_middle_is_settled_where_its_drive_is(experiment, drives, capsys):
    assert main(["drives", "scan"]) == 0
    assert main(["drives", "reclaim", "--drive", "data1", "--out", "plan.jsonl"]) == 0
    assert main(["drives", "reclaim", "--apply", "plan.jsonl", "--yes"]) == 0
    journal = open_site(experiment).configuration.store / "trash" / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:1]))
    (drives / "data1").rename(drives / "moved")
    mount(experiment, drives / "moved", drives / "data2")
    answer(capsys, "drives", "trash", "--recover")
    (item,) = answer(capsys, "drives", "trash")
    assert (item["stage"], Path(item["trash"]).exists()) == ("in trash", True)


def test_what_older_versions_recorded_moves_too(experiment, drives, detector, capsys):
    store = open_site(experiment).configuration.store
    with closing(sqlite3.connect(store / "catalog.sqlite")) as connection:
        connection.execute("UPDATE drive SET path = NULL")
        connection.execute("UPDATE replica SET path = ? || substr(path, 6)", (f"{drives}/data",))
        connection.execute("UPDATE replica SET path = replace(path, 'data:', drive)")
        connection.commit()
    assert [row[3] for row in rows(experiment)] == [f"{drives}/{name}/{detector}/wave0.dat" for name in NAMES]
    assert main(["files", "find", "wave0.dat"]) == 0
    assert [row[3] for row in rows(experiment)] == [f"{name}:/{detector}/wave0.dat" for name in NAMES]
    (drives / "data2").rename(drives / "moved")
    mount(experiment, drives / "data1", drives / "moved")
    assert_all_is_found(capsys, detector, {"data1": drives / "data1", "data2": drives / "moved"})
