"""Walks through real directories: names of any bytes, links, kinds of files, bounds."""

import os
import socket
from pathlib import Path

import pytest

from nualley.ingest.adapters.posix import PosixDropFiles
from nualley.ingest.errors import OwnFile
from nualley.ingest.models import Found
from tests.unit.ingest.site import DETECTOR, RealSite


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


def put(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def parts(found: Found) -> list[str]:
    return [file.part for file in found.files]


def test_files_come_sorted_with_their_state(drop: Path) -> None:
    put(drop / "run2" / "b.dat", b"abc")
    put(drop / "run1" / "deep" / "a.dat")
    os.utime(drop / "run2" / "b.dat", ns=(5, 123_456_789))
    found = PosixDropFiles().walk(drop)
    assert parts(found) == ["run1/deep/a.dat", "run2/b.dat"]
    assert found.problems == ()
    last = found.files[-1]
    assert last.path == os.path.realpath(drop / "run2" / "b.dat")
    assert last.stamp == (3, 123_456_789, (drop / "run2" / "b.dat").stat().st_ino)


def test_names_keep_their_bytes(drop: Path) -> None:
    raw = os.fsencode(drop) + b"/run1\n/a\xff\\.dat"
    Path(os.fsdecode(raw)).parent.mkdir()
    Path(os.fsdecode(raw)).write_bytes(b"x")
    (file,) = PosixDropFiles().walk(drop).files
    assert os.fsencode(file.part) == b"run1\n/a\xff\\.dat"
    single = PosixDropFiles().find(Path(os.fsdecode(raw)))
    assert single is not None
    assert single.files[0].path == file.path


def test_a_link_inside_is_left_out_for_its_file_is_found(drop: Path) -> None:
    put(drop / "run1" / "wave0.dat")
    (drop / "latest.dat").symlink_to(drop / "run1" / "wave0.dat")
    (drop / "latest").symlink_to("run1")
    found = PosixDropFiles().walk(drop)
    assert (parts(found), found.problems) == (["run1/wave0.dat"], ())
    root = os.path.realpath(drop)
    assert [row.what for row in found.skipped] == [
        f"skipped: {root}/latest is a link to {root}/run1, which is found itself",
        f"skipped: {root}/latest.dat is a link to {root}/run1/wave0.dat, which is found itself",
    ]


def test_links_that_lead_out_or_nowhere_are_told_and_not_followed(drop: Path, tmp_path: Path) -> None:
    outside = put(tmp_path / "secret" / "wave0.dat")
    (drop / "a").symlink_to(outside.parent)
    (drop / "b.dat").symlink_to(outside)
    (drop / "c.dat").symlink_to(drop / "absent")
    (drop / "d").symlink_to("d")
    (drop / "e").symlink_to(tmp_path / "drop2")
    (tmp_path / "drop2").mkdir()
    found = PosixDropFiles().walk(drop)
    assert found.files == ()
    assert [problem.what.split(" is a link to ")[0] for problem in found.problems] == [
        os.path.realpath(drop) + name for name in ("/a", "/b.dat", "/c.dat", "/d", "/e")
    ]
    assert "outside of the drop directory or not there" in found.problems[0].what


def test_a_drop_directory_may_be_a_link_itself(drop: Path, tmp_path: Path) -> None:
    put(drop / "run1" / "wave0.dat")
    link = tmp_path / "link"
    link.symlink_to(drop)
    assert PosixDropFiles().walk(link) == PosixDropFiles().walk(drop)


def test_what_is_no_file_is_told(drop: Path) -> None:
    os.mkfifo(drop / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(drop / "s"))
    found = PosixDropFiles().walk(drop)
    assert [problem.what.rpartition("/")[2] for problem in found.problems] == ["pipe is a pipe", "s is a socket"]
    single = PosixDropFiles().find(drop / "pipe")
    assert single is not None
    assert single.problems[0].what.endswith("pipe is a pipe")


def test_folders_are_looked_into_only_so_deep(drop: Path) -> None:
    put(drop / "a" / "b" / "c.dat")
    put(drop / "a" / "c.dat")
    found = PosixDropFiles(max_depth=2).walk(drop)
    assert parts(found) == ["a/c.dat"]
    assert "a/b lies 2 folders deep and is not looked into" in found.problems[0].what
    assert PosixDropFiles(max_depth=3).walk(drop).problems == ()


def test_only_so_many_files_are_listed_and_that_is_told(drop: Path) -> None:
    for number in range(5):
        put(drop / f"run{number}" / "wave0.dat")
    found = PosixDropFiles(max_files=3).walk(drop)
    assert len(found.files) == 3
    assert [problem.what.rpartition("/")[2] for problem in found.problems] == [
        "drop holds more than 3 files; those behind them are not looked at"
    ]
    assert PosixDropFiles(max_files=5).walk(drop).problems == ()


def test_a_missing_drop_directory_is_told(drop: Path) -> None:
    found = PosixDropFiles().walk(drop / "absent")
    assert found.problems[0].what.endswith("drop/absent cannot be read: No such file or directory")


def test_a_file_as_drop_directory_is_told(drop: Path) -> None:
    found = PosixDropFiles().walk(put(drop / "a.dat"))
    assert found.problems[0].what.endswith("a.dat cannot be read: Not a directory")


def test_one_path_is_found_as_it_is_named(drop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(drop / "run1" / "wave0.dat")
    (drop / "link.dat").symlink_to(drop / "run1" / "wave0.dat")
    monkeypatch.chdir(drop)
    files = PosixDropFiles()
    found = files.find(Path("link.dat"))
    assert found is not None
    assert not found.is_directory
    assert found.files[0].path == os.path.realpath(drop) + "/link.dat"
    assert found.files[0].stamp.size_B == 1
    whole = files.find(Path("run1"))
    assert whole is not None
    assert whole.is_directory
    assert parts(whole) == ["wave0.dat"]
    assert files.find(drop / "absent") is None
    assert files.find(drop / "run1" / "wave0.dat" / "below") is None


def test_a_path_that_cannot_be_looked_at_is_a_problem(drop: Path) -> None:
    found = PosixDropFiles().find(drop / ("x" * 300))
    assert found is not None
    assert "File name too long" in found.problems[0].what


def test_a_link_to_a_replica_is_what_nualley_keeps_and_one_to_another_file_is_taken(tmp_path: Path) -> None:
    with RealSite(tmp_path) as site:
        replica = put(site.drives[0].path / DETECTOR / "raw" / "1" / "wave0.dat")
        link = tmp_path / "link.dat"
        link.symlink_to(replica)
        folder = tmp_path / "folder"
        folder.symlink_to(replica.parent)
        for named in (link, folder / "wave0.dat", folder):
            with pytest.raises(OwnFile, match=f"{replica} lies in the replicas on drive data1"):
                site.ingest.ingest_paths([named], DETECTOR, run=2)
        assert not site.catalog.runs()
        other = tmp_path / "other.dat"
        other.symlink_to(put(tmp_path / "elsewhere" / "wave1.dat"))
        (found,) = site.ingest.ingest_paths([other], DETECTOR, run=2).files
        assert not isinstance(found.error, OwnFile)
