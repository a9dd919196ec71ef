"""Scans of real trees: odd names, links, mounts, things that vanish, and the file that comes of it."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nualley.cli.main import main
from nualley.core import SystemClock
from nualley.storage import DestinationConflict, Scan, SourceUnreadable
from nualley.storage.adapters import scan_rows, scanner
from nualley.storage.adapters.scan_rows import ScanWriter, read_metadata
from nualley.storage.adapters.scandir import Walk, mounts_below, open_root


def scan(root: Path, file: Path) -> Scan:
    return scanner.scan_tree(root, file, drive="data1", clock=SystemClock())


def rows(file: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(file).to_pylist())


def by_path(file: Path) -> dict[bytes, dict[str, Any]]:
    return {(row["directory"] + b"/" + row["name"]).removeprefix(b"/"): row for row in rows(file)}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "one").write_bytes(b"x" * 1000)
    (root / "a" / "b" / "two").write_bytes(b"x" * 5000)
    (root / "empty").mkdir()
    return root


def test_every_column_is_what_the_system_says(tree: Path, tmp_path: Path) -> None:
    found = scan(tree, tmp_path / "scan.parquet")
    assert (found.n_files, found.n_dirs, found.size_B, found.unreadable, found.vanished) == (2, 4, 6000, 0, 0)
    said = by_path(tmp_path / "scan.parquet")
    assert set(said) == {b".", b"a", b"a/one", b"a/b", b"a/b/two", b"empty"}
    for path, row in said.items():
        state = (tree / os.fsdecode(path)).lstat()
        assert row["kind"] == ("file" if path in (b"a/one", b"a/b/two") else "directory")
        told = [row[key] for key in ("size_B", "blocks_B", "mtime_ns", "uid", "inode", "device", "n_links")]
        assert told == [
            *(state.st_size, state.st_blocks * 512, state.st_mtime_ns, state.st_uid, state.st_ino, state.st_dev),
            state.st_nlink,
        ]
        assert row["is_counted"]
    assert found.blocks_B == sum(row["blocks_B"] for row in said.values())


def test_the_footer_tells_of_the_scan(tree: Path, tmp_path: Path) -> None:
    found = scan(tree, tmp_path / "scan.parquet")
    told = read_metadata(tmp_path / "scan.parquet")
    assert (told["drive"], told["n_files"], told["start_ns"]) == ("data1", 2, found.start_ns)
    assert told["stop_ns"] >= told["start_ns"]


def test_it_takes_what_du_takes(tree: Path, tmp_path: Path) -> None:
    os.link(tree / "a" / "one", tree / "empty" / "again")
    (tree / "link").symlink_to("a")
    found = scan(tree, tmp_path / "scan.parquet")
    du = subprocess.run(["du", "-s", "--block-size=1", tree], capture_output=True, text=True, check=True)
    assert found.blocks_B == int(du.stdout.split()[0])


@pytest.mark.parametrize("name", [b"line\nbreak", b"not utf-8 \xff\xfe", "Δ µ".encode(), b"-rf *", b"tab\t\"quote'"])
def test_names_of_any_bytes_come_back_as_they_are(tree: Path, tmp_path: Path, name: bytes) -> None:
    folder = tree / os.fsdecode(name)
    folder.mkdir()
    (folder / os.fsdecode(name)).write_bytes(b"12")
    found = scan(tree, tmp_path / "scan.parquet")
    assert found.n_files == 3
    row = by_path(tmp_path / "scan.parquet")[name + b"/" + name]
    assert (row["directory"], row["name"], row["size_B"]) == (name, name, 2)


def test_links_are_rows_and_are_never_followed(tree: Path, tmp_path: Path) -> None:
    (tree / "a" / "up").symlink_to("..")
    (tree / "self").symlink_to("self")
    (tree / "nowhere").symlink_to("/nothing/is/there")
    found = scan(tree, tmp_path / "scan.parquet")
    assert (found.n_files, found.n_dirs) == (5, 4)
    kinds = {path: row["kind"] for path, row in by_path(tmp_path / "scan.parquet").items()}
    assert [kinds[path] for path in (b"a/up", b"self", b"nowhere")] == ["link"] * 3


def test_pipes_and_sockets_are_seen_and_not_opened(tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tree / "pipe")
    scan(tree, tmp_path / "scan.parquet")
    assert by_path(tmp_path / "scan.parquet")[b"pipe"]["kind"] == "other"


def test_a_file_of_several_names_counts_once(tree: Path, tmp_path: Path) -> None:
    for number in range(3):
        os.link(tree / "a" / "b" / "two", tree / "empty" / f"{number}")
    found = scan(tree, tmp_path / "scan.parquet")
    assert (found.n_files, found.size_B) == (5, 6000)
    same = [row for row in rows(tmp_path / "scan.parquet") if row["kind"] == "file" and row["n_links"] == 4]
    assert sorted(row["is_counted"] for row in same) == [False, False, False, True]


def test_files_of_which_all_names_were_seen_are_forgotten(tmp_path: Path) -> None:
    with ScanWriter(tmp_path / "rows.parquet", 0) as writer:
        assert [writer._is_first_name(7, 3) for _ in range(3)] == [True, False, False]
        assert writer._links_left == {}
        assert writer._is_first_name(7, 2)


def test_row_groups_and_chunks_are_cut_anywhere(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(57):
        (tree / "empty" / f"file{number}").touch()
        (tree / f"folder{number}").mkdir()
        (tree / f"folder{number}" / "in it").touch()
    scan(tree, tmp_path / "whole.parquet")
    monkeypatch.setattr(scan_rows, "_GROUP_ROWS", 10)
    monkeypatch.setattr(scan_rows, "_CHUNK_ROWS", 4)
    monkeypatch.setattr("nualley.storage.adapters.scandir._CHUNK", 7)
    scan(tree, tmp_path / "cut.parquet")
    assert pq.read_metadata(tmp_path / "cut.parquet").num_row_groups > 5
    assert by_path(tmp_path / "cut.parquet") == by_path(tmp_path / "whole.parquet")


def test_inodes_of_64_bits_and_times_beyond_them(tmp_path: Path) -> None:
    class Odd(tuple[int, ...]):
        __slots__ = ()
        st_blocks = 8
        st_mtime_ns = 2**70

    odd: Any = Odd((0o100644, 2**64 - 2, 2**63 + 1, 1, 0, 0, 4096, 0, 0, 0))
    with ScanWriter(tmp_path / "rows.parquet", 2**63 + 1) as writer:
        writer.begin(b"")
        writer.add(["far"], [odd])
        writer.finish({})
    (row,) = rows(tmp_path / "rows.parquet")
    assert (row["inode"], row["device"], row["mtime_ns"]) == (2**64 - 2, 2**63 + 1, 2**63 - 1)


class Recorder:
    """Rows that are kept in memory; something may happen when a directory is begun."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.happens: dict[bytes, Any] = {}

    def begin(self, directory: bytes) -> None:
        self.happens.get(directory, lambda: None)()

    def add(self, names: Sequence[str], stats: Sequence[os.stat_result]) -> None:
        self.names += names


def test_a_directory_that_goes_before_it_is_entered_is_counted(tree: Path) -> None:
    recorder = Recorder()
    # the last one listed is entered first: both of these are gone when their turn comes
    recorder.happens[b""] = lambda: None
    walk = Walk(recorder)
    real = recorder.add

    def add(names: Sequence[str], stats: Sequence[os.stat_result]) -> None:
        real(names, stats)
        if "empty" in names:
            (tree / "empty").rmdir()

    recorder.add = add  # type: ignore[method-assign]  # it happens between list and entry
    walk.run(open_root(tree))
    assert (walk.vanished, walk.unreadable) == (1, 0)
    assert "two" in recorder.names


def test_a_directory_that_becomes_a_link_is_not_entered(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    recorder = Recorder()
    real = recorder.add

    def add(names: Sequence[str], stats: Sequence[os.stat_result]) -> None:
        real(names, stats)
        if "empty" in names:
            (tree / "empty").rmdir()
            (tree / "empty").symlink_to(outside)

    recorder.add = add  # type: ignore[method-assign]  # it happens between list and entry
    walk = Walk(recorder)
    walk.run(open_root(tree))
    assert "secret" not in recorder.names
    assert walk.vanished == 1


class Entry:
    """An entry of a directory as os.scandir gives it, whose state cannot be told."""

    def __init__(self, name: str, error: OSError | None = None, state: os.stat_result | None = None) -> None:
        self.name, self._error, self._state = name, error, state

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        if self._error:
            raise self._error
        assert self._state is not None
        return self._state

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        return False


class Listing:
    """What os.scandir gives: entries, and possibly an error in the middle."""

    def __init__(self, entries: Sequence[Entry], error: OSError | None = None) -> None:
        self._entries, self._error = entries, error

    def __enter__(self) -> Iterator[Entry]:
        return self._read()

    def __exit__(self, *_: object) -> None: ...

    def _read(self) -> Iterator[Entry]:
        yield from self._entries
        if self._error:
            raise self._error


def walked(monkeypatch: pytest.MonkeyPatch, root: Path, listing: Listing) -> tuple[Walk, list[str]]:
    monkeypatch.setattr("nualley.storage.adapters.scandir.os.scandir", lambda _descriptor: listing)
    recorder = Recorder()
    walk = Walk(recorder)
    walk.run(open_root(root))
    return walk, recorder.names


def test_files_that_vanish_between_list_and_look_are_counted(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = FileNotFoundError(errno.ENOENT, "gone")
    listing = Listing([Entry("one", state=tree.stat()), Entry("two", gone), Entry("three", gone)])
    walk, names = walked(monkeypatch, tree, listing)
    assert (walk.vanished, walk.unreadable, names) == (2, 0, ["one"])


def test_a_failing_drive_costs_what_cannot_be_read_and_no_more(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = OSError(errno.EIO, os.strerror(errno.EIO))
    walk, names = walked(monkeypatch, tree, Listing([Entry("one", state=tree.stat()), Entry("two", failing)]))
    assert (walk.unreadable, names, walk.refused) == (1, ["one"], [("", "Input/output error")])
    walk, _ = walked(monkeypatch, tree, Listing([], failing))
    assert walk.unreadable == 1


def test_mount_points_are_read_from_what_the_kernel_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = os.fsencode(tmp_path) + b"/a\\040b\\134"
    line = b"36 35 98:0 / %s rw,noatime master:1 - ext3 /dev/root rw\n"
    told = tmp_path / "mountinfo"
    told.write_bytes(line % inside + line % b"/elsewhere" + line % (os.fsencode(tmp_path) + b"x"))
    monkeypatch.setattr("nualley.storage.adapters.scandir._MOUNTINFO", told)
    assert mounts_below(tmp_path) == {b"a b\\"}
    monkeypatch.setattr("nualley.storage.adapters.scandir._MOUNTINFO", tmp_path / "none")
    assert mounts_below(tmp_path) == frozenset()


def test_a_tree_deeper_than_a_path_may_be_long(tmp_path: Path) -> None:
    root, name = tmp_path / "deep", "d" * 200
    root.mkdir()
    here = os.open(root, os.O_RDONLY)
    for _ in range(30):  # 6 000 characters
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    found = scan(root, tmp_path / "scan.parquet")
    assert (found.n_dirs, found.unreadable) == (31, 0)


def test_a_scan_never_takes_the_place_of_a_file(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(DestinationConflict, match="taken"):
        scan(tree, tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def test_what_is_no_directory_is_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="cannot be scanned: Not a directory"):
        scan(tree / "a" / "one", tmp_path / "scan.parquet")
    assert not (tmp_path / "scan.parquet").exists()


# ---------------------------------------------------------------- the command
KEYS = ["drive", "n_files", "n_dirs", "size_B", "blocks_B", "unreadable", "vanished", "cpu_s", "wall_s"]


def test_a_folder_is_scanned_without_an_experiment(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NUALLEY_EXPERIMENT", raising=False)
    before = sorted(tmp_path.rglob("*"))
    assert main(["drives", "scan", "--path", "nowhere", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["where"] == str(tmp_path / "nowhere")
    assert main(["drives", "scan", "--path", "tree", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == KEYS
    assert (answer["n_files"], answer["size_B"]) == (2, 6000)
    assert 0 < answer["cpu_s"] < 60
    assert sorted(tmp_path.rglob("*")) == before
    assert main(["drives", "scan", "--path", "tree", "--out", "kept.parquet"]) == 0
    assert len(rows(tmp_path / "kept.parquet")) == 6


@pytest.mark.parametrize(
    ("words", "what"),
    [(["data1", "--path", "."], "are two places"), (["--out", "x"], "--out goes with --path")],
)
def test_places_that_exclude_each_other(words: list[str], what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drives", "scan", *words]) == 2
    assert what in capsys.readouterr().err


def test_the_scanning_process_stands_back() -> None:
    script = (
        "import os, ctypes; os.geteuid() or os.setpriority(os.PRIO_PROCESS, 0, 0); "
        "from nualley.storage.adapters.priority import step_back; "
        "print(step_back(), os.nice(0), ctypes.CDLL(None).syscall(252, 1, 0) >> 13)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert int(said[1]) >= 10
    if os.uname().machine == "x86_64":
        assert said == ["True", said[1], "3"]
