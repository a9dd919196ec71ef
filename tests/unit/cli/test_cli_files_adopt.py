"""``nualley files adopt``, called as a person calls it: what a rule names becomes known where it lies, nothing else."""

import json
import os
import time
from pathlib import Path

import pytest

from nualley.app.site import open_site
from nualley.catalog import Replica, ReplicaState
from nualley.cli.main import main
from nualley.core import digest_file
from nualley.storage import MARKER_NAME
from nualley.testing.wavedump import WaveDumpWriter
from tests.unit.cli.conftest import record_of, write_drives


@pytest.fixture
def drives(experiment: Path, detector: str) -> Path:
    """Two drives with a rule for processed files beside the one that replica_path implies."""
    folder = experiment.parent / "drives"
    rule = '[[ownership]]\npath = "{detector}/{stage:hit|evt}/{run}"\n[[ownership]]\npath = "users"\nstage = "user"\n'
    write_drives(experiment, rule, folder=folder)
    for name in ("data1", "data2"):
        (folder / name).mkdir(parents=True)
    return folder


def put(path: Path, data: bytes = b"wave" * 1000, *, age_s: float = 3600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def put_events(path: Path, n_events: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with WaveDumpWriter(path, channel=1) as writer:
        writer.write([[100 + event] * 50 for event in range(n_events)])
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def answer(capsys, *words, code=0):
    capsys.readouterr()
    assert main(["files", "adopt", *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_what_a_rule_names_becomes_known_where_it_lies(experiment, drives, detector, capsys):
    raw = put_events(drives / "data1" / detector / "raw" / "7" / "wave0.dat")
    hit = put(drives / "data1" / detector / "hit" / "7" / "hits.h5")
    copy = put(drives / "data2" / detector / "hit" / "7" / "hits.h5")
    put(drives / "data1" / "users" / "me" / "thesis.pdf")
    before = {path: path.read_bytes() for path in (raw, hit, copy)}
    found = answer(capsys)
    assert found["counts"] == {"adopted": 2, "replica": 1}
    assert found["unnamed"] == {"n_files": 1, "size_B": 4000}
    assert {path: path.read_bytes() for path in before} == before
    catalog = open_site(experiment).catalog()
    file = catalog.find_file(f"{detector}-7", "wave0.dat")
    assert file is not None
    assert (file.stage, file.format, file.n_events, file.digests) == ("raw", "wavedump", 4, digest_file(raw))
    hits = catalog.find_file(f"{detector}-7", "hits.h5")
    assert hits is not None
    assert (hits.stage, hits.n_events, hits.digests) == ("hit", None, digest_file(hit))
    places = catalog.replicas(hits.file_id)
    assert [(each.drive, each.path, each.state) for each in places] == [
        ("data1", os.fspath(hit), ReplicaState.VERIFIED),
        ("data2", os.fspath(copy), ReplicaState.VERIFIED),
    ]
    assert all(each.verified_ns for each in places)
    (activity,) = catalog.activities(f"file:{detector}-7/hits.h5")
    assert (activity.kind, activity.inputs) == ("adopt", (os.fspath(hit), os.fspath(copy)))
    assert {(drives / name / MARKER_NAME).exists() for name in ("data1", "data2")} == {True}
    assert set(catalog.drive_ids()) == {"data1", "data2"}


def test_what_is_known_is_not_read_again(experiment, drives, detector, capsys):
    put(drives / "data1" / detector / "hit" / "7" / "hits.h5")
    assert answer(capsys)["counts"] == {"adopted": 1}
    again = answer(capsys)
    assert (again["n_known"], again["files"]) == (1, [])
    assert len(open_site(experiment).catalog().activities()) == 1
    assert main(["files", "adopt"]) == 0
    assert "every file is known (1)" in capsys.readouterr().err
    assert main(["drives", "consistency"]) == 0


def test_a_dry_run_reads_and_enters_nothing(experiment, drives, detector, capsys):
    put(drives / "data1" / detector / "hit" / "7" / "hits.h5")
    found = answer(capsys, "--dry-run")
    assert (found["is_dry_run"], found["counts"]) == (True, {"adopted": 1})
    assert open_site(experiment).catalog().find_file(f"{detector}-7", "hits.h5") is None
    assert not (drives / "data1" / MARKER_NAME).exists()
    assert main(["files", "adopt", "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "would become known" in said.out
    assert "without --dry-run it is" in said.err


def test_other_bytes_under_a_known_name_are_refused(experiment, drives, detector, capsys):
    known = put(experiment.parent / "elsewhere" / "hits.h5", b"a" * 100)
    catalog = open_site(experiment).catalog()
    record = record_of(known, f"{detector}-1", format="unknown", stage="hit")
    catalog.add_file(catalog.run(f"{detector}-1"), record, replicas=[Replica(drive="tape", path="/tape/hits.h5")])
    put(drives / "data1" / detector / "hit" / "1" / "hits.h5", b"b" * 100)
    put(drives / "data2" / detector / "hit" / "1" / "hits.h5", b"c" * 101)
    found = answer(capsys, code=5)
    assert found["counts"] == {"refused": 2}
    first, second = (each["detail"] for each in found["files"])
    assert first.startswith("it holds xxh3_128 ")
    assert f"{detector}-1/hits.h5 of the catalog (hit) holds {record.xxh3_128}" in first
    assert second == f"it has 101 B, {detector}-1/hits.h5 of the catalog (hit) has 100 B"
    assert len(catalog.replicas(1)) == 1
    good = put(drives / "data2" / detector / "evt" / "1" / "hits.h5", b"a" * 100)
    found = answer(capsys, os.fspath(good))
    assert found["counts"] == {"replica": 1}


def test_of_two_that_differ_none_is_taken_until_somebody_says_which(experiment, drives, detector, capsys):
    one = put(drives / "data1" / detector / "hit" / "1" / "hits.h5", b"b" * 100)
    put(drives / "data2" / detector / "hit" / "1" / "hits.h5", b"c" * 100)
    found = answer(capsys, code=5)
    assert found["counts"] == {"refused": 2}
    assert f"could be this one or {one}, which has other bytes: name the right one" in found["files"][1]["detail"]
    assert answer(capsys, os.fspath(one))["counts"] == {"adopted": 1}
    assert answer(capsys, code=5)["counts"] == {"refused": 1}


def test_a_name_of_two_stages_is_refused_before_anything_is_read_too(drives, detector, capsys):
    one = put(drives / "data1" / detector / "hit" / "1" / "part0.h5", b"b" * 100)
    put(drives / "data1" / detector / "evt" / "1" / "part0.h5", b"c" * 90)
    for words in (("--dry-run",), ()):
        found = answer(capsys, *words, code=5)
        assert found["counts"] == {"refused": 2}
        (detail,) = [each["detail"] for each in found["files"] if each["path"] != os.fspath(one)]
        assert f"could be this one or {one}, which is of stage hit and has other bytes: " in detail
        assert "rename one of them, such as with its stage in the name" in detail


def test_a_file_of_a_moment_ago_waits_unless_it_is_named(drives, detector, capsys):
    path = put(drives / "data1" / detector / "hit" / "1" / "hits.h5", age_s=1)
    put(drives / "data1" / detector / "hit" / "1" / "ahead.h5", age_s=-3600)
    found = answer(capsys)
    assert found["counts"] == {"written": 2}
    assert "in the future, by this machine's clock: it may still be written" in found["files"][0]["detail"]
    assert answer(capsys, os.fspath(path.parent))["counts"] == {"adopted": 2}


def test_what_was_set_aside_or_is_hidden_is_never_taken(drives, detector, capsys):
    names = {"wave0.dat.1795467640871441385.damaged", "wave0.dat.damaged-20261128T171602Z", ".w.dat.mended", "x.tmp"}
    for name in names:
        put(drives / "data1" / detector / "raw" / "1" / name)
    put(drives / "data1" / detector / "raw" / "1" / ".trash" / "wave0.dat")
    found = answer(capsys, os.fspath(drives / "data1"))
    assert found["files"] == []
    assert {Path(each["path"]).name for each in found["left"]} == {*names, "wave0.dat"}


def test_nothing_of_the_store_is_taken(experiment, drives, detector, capsys):
    with (experiment / "experiment.toml").open() as file:
        lines = file.read()
    store = drives / "data1" / detector / "raw" / "5" / "store"
    (experiment / "experiment.toml").write_text(lines.replace('store = "store"', f'store = "{store}"'))
    put(store / "scans" / "x.parquet")
    found = answer(capsys, os.fspath(drives / "data1"))
    assert found["files"] == []
    assert {each["detail"] for each in found["left"]} == {"it lies in the store"}


def test_a_directory_that_cannot_be_read_is_told(drives, detector, capsys, monkeypatch):
    closed = drives / "data1" / detector / "hit" / "1"
    put(closed / "hits.h5")
    real = os.scandir

    def scandir(path):
        if os.fspath(path).rstrip("/").endswith("hit/1"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = answer(capsys, os.fspath(drives / "data1"), code=1)
    assert found["unread"] == [{"drive": "data1", "path": os.fspath(closed), "detail": "Permission denied"}]


@pytest.mark.parametrize("words", [("nothing-there",), (".",), ("x", "--drive", "data1"), ("--rate", "fast")])
def test_what_cannot_be_looked_at_is_refused(drives, refused, words):
    refused("files", "adopt", *words)


def test_names_that_are_no_text_stay_what_they_are(experiment, drives, detector, capsys):
    path = Path(os.fsdecode(os.fsencode(drives / "data1" / detector / "hit" / "1") + b"/no-\xff\n.h5"))
    put(path)
    (file,) = answer(capsys)["files"]
    assert file["name"] == "no-\\xff\\x0a.h5"
    assert open_site(experiment).catalog().find_file(f"{detector}-1", "no-\\xff\\x0a.h5") is not None


def test_more_than_are_shown_are_counted(drives, detector, capsys):
    for number in range(3):
        put(drives / "data1" / detector / "hit" / "1" / f"{number}.tmp")
    assert main(["files", "adopt", "--limit", "1"]) == 0
    said = capsys.readouterr()
    assert "2 more: --limit 0" in said.err
    assert said.out.count(".tmp") == 1


def test_a_drive_that_cannot_be_marked_keeps_its_files_dark(experiment, drives, detector, capsys, monkeypatch):
    path = put(drives / "data1" / detector / "hit" / "1" / "hits.h5")

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("nualley.storage.adapters.posix.PosixVolumes.mark", refuse)
    found = answer(capsys, os.fspath(path), code=1)
    assert found["files"][0]["detail"] == "drive data1 cannot be marked: Read-only file system"
    assert found["counts"] == {"failed": 1}
    assert open_site(experiment).catalog().find_file(f"{detector}-1", "hits.h5") is None
