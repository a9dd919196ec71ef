"""``nualley files``: found by what one knows of them, shown with all that is known, and every checksum of any file."""

import hashlib
import json
import os
import zlib
from pathlib import Path

import pytest

from nualley.app.site import open_site
from nualley.catalog import Activity, Replica, ReplicaState
from nualley.cli.main import main
from nualley.core import digest_file
from tests.unit.cli.conftest import record_of


def answer(capsys, *words):
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def files(experiment, detector):
    """Three files of two runs; two hold the same bytes."""
    catalog = open_site(experiment).catalog()
    catalog.register_drive("data2", "an id")
    made = {}
    for number, (run, name, data) in enumerate(
        [(1, "wave0.dat", b"a" * 100), (1, "Wave%_1.dat", b"b" * 50), (2, "wave0.dat", b"a" * 100)]
    ):
        path = experiment / "raw" / str(run) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        found = digest_file(path)
        defects = ({"kind": "truncated", "offset_B": 7, "detail": "cut"},) if number == 1 else ()
        record = record_of(path, f"{detector}-{run}", defects=defects)
        places = [Replica(drive="data1", path=os.fspath(path), state=ReplicaState.VERIFIED)]
        if number == 0:
            places.append(Replica(drive="data2", path="/elsewhere/wave0.dat", state=ReplicaState.MISSING))
        activity = Activity(
            kind="ingest", inputs=("x",), outputs=(f"file:{detector}-{run}/{name}",), start_ns=1, stop_ns=2
        )
        catalog.add_file(catalog.run(record.run_id), record, replicas=places, activity=activity)
        made[run, name] = (path, found)
    return made


def names(found):
    return [(each["run_id"].rpartition("-")[2], each["name"]) for each in found]


def test_files_are_found_by_whatever_is_known_of_them(files, detector, capsys):
    digests = files[1, "wave0.dat"][1]
    same = [("1", "wave0.dat"), ("2", "wave0.dat")]
    for words, expected in {
        ("wave*",): same,
        ("*%_?.dat",): [("1", "Wave%_1.dat")],
        ("wave_.dat",): [],
        ("[w]ave0.dat",): [],
        ("--digest", digests.xxh3_128.upper()): same,
        ("--digest", digests.adler32): same,
        ("--run", f"{detector}-2"): [("2", "wave0.dat")],
        ("--detector", detector, "--drive", "data1"): [("1", "Wave%_1.dat"), *same],
        ("--drive", "data2"): [],
        ("wave0.dat", "--run", f"{detector}-1"): [("1", "wave0.dat")],
    }.items():
        assert names(answer(capsys, "files", "find", *words)) == expected, words
    assert len(answer(capsys, "files", "find", "*", "--limit", "2")) == 2
    assert main(["files", "find", "*", "--limit", "2"]) == 0
    assert "more than 2" in capsys.readouterr().err


def test_a_file_is_shown_however_it_is_named(files, detector, capsys):
    path, digests = files[1, "Wave%_1.dat"]
    number = answer(capsys, "files", "find", "Wave%_1.dat")[0]["file_id"]
    relative = f"./raw/../raw/1/{path.name}"
    for word in (f"{detector}-1/Wave%_1.dat", str(number), str(path), relative, digests.xxh3_128):
        found = answer(capsys, "files", "show", word)
        assert (found["file_id"], found["size_B"]) == (number, 50)
        assert [replica["path"] for replica in found["replicas"]] == [str(path)]
        assert [activity["kind"] for activity in found["activities"]] == ["ingest"]
    assert main(["files", "show", str(number)]) == 0
    said = capsys.readouterr().out
    assert all(
        word in said
        for word in (digests.adler32, "format wavedump", "truncated at byte 7: cut", "verified", "ingest by unknown")
    )


def test_a_drive_that_nobody_knows_is_no_drive_without_files(experiment, files, refused):
    (experiment / "drives.toml").write_text('[drives.data3]\npath = "drives/data3"\n[remotes.nas]\nrclone = "nas:"\n')
    said = refused("files", "find", "--drive", "data33")
    assert (said["what"], said["where"]) == ("'data33' is not a drive of this experiment", "--drive")
    assert said["do"] == "did you mean 'data3'?"
    for known in ("data1", "data2", "data3", "nas"):
        assert main(["files", "find", "--drive", known]) == 0


def test_bytes_of_two_files_name_neither(files, refused):
    digests = files[1, "wave0.dat"][1]
    assert "2 files have these bytes" in refused("files", "show", digests.xxh3_128)["what"]


def test_every_checksum_is_what_others_say_it_is(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = os.urandom(3_000_001)
    Path("sub").mkdir()
    Path("sub/b.dat").write_bytes(data)
    Path("sub/a.dat").write_bytes(b"")
    Path("sub/link").symlink_to("b.dat")
    empty, full = answer(capsys, "files", "checksum", "sub")
    assert (empty["path"], empty["size_B"], empty["md5"]) == ("sub/a.dat", 0, "d41d8cd98f00b204e9800998ecf8427e")
    assert full == {
        "path": "sub/b.dat",
        "size_B": 3_000_001,
        "xxh3_128": digest_file(Path("sub/b.dat")).xxh3_128,
        "adler32": f"{zlib.adler32(data):08x}",
        "crc32": f"{zlib.crc32(data):08x}",
        **{name: hashlib.new(name, data).hexdigest() for name in ("md5", "sha1", "sha256", "sha512")},
    }
    assert main(["files", "checksum", "sub/b.dat"]) == 0
    assert f"sha256    {full['sha256']}" in capsys.readouterr().out


def test_a_file_that_changes_while_it_is_read_has_no_checksums(tmp_path, capsys, monkeypatch):
    path = tmp_path / "growing.dat"
    path.write_bytes(b"x" * 2_000_000)
    real = hashlib.new

    def grow(*words, **options):
        with path.open("ab") as file:
            file.write(b"y")
        return real(*words, **options)

    monkeypatch.setattr(
        "nualley.app.checksums.os.fstat", lambda number, fstat=os.fstat: (fstat(number), grow("md5"))[0]
    )
    assert main(["files", "checksum", str(path)]) == 1
    assert "changed while it was read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("find",),
        ("find", "--digest", "abc"),
        ("find", "--run", "hpge-99"),
        ("find", "x", "--limit", "-1"),
        ("show", "nothing"),
        ("checksum",),
        ("checksum", "absent"),
        ("checksum", "/dev/null"),
    ],
)
def test_what_cannot_be_meant_is_refused(files, refused, words):
    refused("files", *words)
