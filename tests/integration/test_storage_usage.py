"""From the drives of an experiment to who takes what: the commands, as a person calls them, on real trees."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nualley.cli.main import main
from nualley.core import SystemClock
from nualley.storage import MARKER_NAME, TRASH_NAME, Owner, Ownership, OwnershipRule
from nualley.storage.adapters.posix import PosixVolumes
from nualley.storage.adapters.scanner import scan_tree
from nualley.storage.adapters.usage_files import find_unowned, measure_usage

RULES = """
[[ownership]]
path = "{detector}/{stage:hit|evt}/run{run}"

[[ownership]]
path = "users/{owner}"
stage = "user"
"""
NOVEMBER_S = 1_795_406_400


def put(path: Path, size_B: int, time_s: int = NOVEMBER_S) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size_B)
    os.utime(path, (time_s, time_s))


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the drive of a new experiment with files on it; the experiment is the working directory."""
    monkeypatch.delenv("NUALLEY_EXPERIMENT", raising=False)
    folder = tmp_path / "experiment"
    assert main(["init", str(folder)]) == 0
    monkeypatch.chdir(folder)
    with Path("drives.toml").open("a") as file:
        file.write(RULES)
    root = folder / "drives" / "data1"
    put(root / "hpge" / "hit" / "run000007" / "f", 100)
    put(root / "hpge" / "hit" / "run000007" / "inner" / "f", 20)
    put(root / "hpge" / "raw" / "8" / "wave0.dat", 3000, NOVEMBER_S - 40 * 86_400)
    put(root / "users" / "ada" / "f", 7)
    put(root / "hpge" / "scratch" / "f", 50)
    put(root / "old" / "deep" / "er" / "f", 600)
    put(root / "old" / "f", 1)
    os.link(root / "old" / "f", root / "old" / "again")
    return root


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert main(["drives", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_who_takes_what(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drives", "scan", "data1"]) == 0
    said = answer(capsys, "usage")
    sizes = {(row["detector"], row["stage"], row["drive"]): (row["n_files"], row["size_B"]) for row in said}
    assert sizes == {
        ("hpge", "raw", "data1"): (1, 3000),
        (None, None, "data1"): (3, 651),
        ("hpge", "hit", "data1"): (2, 120),
        (None, "user", "data1"): (1, 7),
    }
    assert [row["size_B"] for row in said] == sorted((row["size_B"] for row in said), reverse=True)
    by_run = answer(capsys, "usage", "--by", "run,month,owner")
    assert {(row["run"], row["month"], row["owner"], row["size_B"]) for row in by_run} == {
        (7, "2026-11", None, 120),
        (8, "2026-10", None, 3000),
        (None, "2026-11", "ada", 7),
        (None, "2026-11", None, 651),
    }


def test_all_bytes_of_a_scan_are_somebodys_or_nobodys(drive: Path, tmp_path: Path) -> None:
    found = scan_tree(drive, tmp_path / "scan.parquet", drive="data1", clock=SystemClock())
    ownership = Ownership([OwnershipRule("hpge", detector="hpge")], "data1", ["hpge"])
    usages = measure_usage(tmp_path / "scan.parquet", ownership)
    assert sum(usage.size_B for usage in usages) == found.size_B
    assert sum(usage.blocks_B for usage in usages) == found.blocks_B
    nobodys = sum(usage.size_B for usage in usages if usage.owner == Owner())
    assert sum(directory.size_B for directory in find_unowned(tmp_path / "scan.parquet", ownership)) == nobodys


def test_trash_and_marker_are_nualleys_own(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(drive / TRASH_NAME / "1-f", 4000)
    put(drive / "users" / "ada" / "drop" / TRASH_NAME / "2-f", 300)
    PosixVolumes().mark(drive, "data1")
    put(drive / "loose", 5)
    put(drive / "old" / MARKER_NAME, 11)
    assert main(["drives", "scan"]) == 0
    rows = answer(capsys, "usage", "--by", "detector,stage,owner")
    sizes = {(row["detector"], row["stage"], row["owner"]): row["size_B"] for row in rows}
    assert sizes[None, "trash", "nualley"] == 4300
    assert sizes[None, None, "nualley"] == (drive / MARKER_NAME).stat().st_size
    assert sizes[None, "user", "ada"] == 7
    assert sizes[None, None, None] == 651 + 5 + 11
    (said,) = answer(capsys, "unowned")
    assert [(entry["path"], entry["size_B"]) for entry in said["directories"]] == [
        ("old", 612), ("hpge/scratch", 50), ("", 5),
    ]  # fmt: skip
    assert said["total_B"] == sum(sizes.values())


def test_what_nobody_owns_is_named_by_its_highest_directory(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(drive / "loose", 5)
    assert main(["drives", "scan"]) == 0
    (said,) = answer(capsys, "unowned")
    assert (said["drive"], said["size_B"], said["total_B"]) == ("data1", 656, 3783)
    directories = [(entry["path"], entry["n_files"], entry["size_B"]) for entry in said["directories"]]
    assert directories == [("old", 2, 601), ("hpge/scratch", 1, 50), ("", 1, 5)]
    assert said["directories"][0]["newest_ns"] == NOVEMBER_S * 10**9
    (first,) = answer(capsys, "unowned", "--limit", "1")
    assert (len(first["directories"]), first["n_directories"]) == (1, 3)


def test_rules_of_today_count_also_for_scans_of_yesterday(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drives", "scan"]) == 0
    with Path("drives.toml").open("a") as file:
        file.write('\n[[ownership]]\npath = "old"\nowner = "bob"\n')
    assert {row["owner"]: row["size_B"] for row in answer(capsys, "usage", "--by", "owner")} == {
        None: 3170, "ada": 7, "bob": 601,
    }  # fmt: skip
    history = answer(capsys, "usage", "--by", "owner", "--history")
    assert {row["owner"] for row in history} == {None, "ada", "bob"}
    assert len({row["scan_ns"] for row in history}) == 1
    assert {row["drive"] for row in history} == {"data1"}, "drives are scanned at moments of their own"


def test_the_history_outlives_the_scans(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for size_B in (1000, 2000):
        put(drive / "users" / "ada" / "more", size_B)
        assert main(["drives", "scan"]) == 0
    scans = sorted(Path("store/scans/data1").glob("*.parquet"))
    assert len(scans) == 2
    scans[0].unlink()
    history = answer(capsys, "usage", "--by", "stage", "--history")
    assert [row["size_B"] for row in history if row["stage"] == "user"] == [1007, 2007]


def test_runs_are_not_in_the_history(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drives", "usage", "--by", "run", "--history"]) == 2
    assert "runs are not kept in the history" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["usage"], ["usage", "--history"], ["unowned"]])
def test_before_the_first_scan_it_says_what_to_do(
    drive: Path, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    assert main(["drives", *verb]) == 1
    said = capsys.readouterr().err
    assert "no drive was scanned yet" in said
    assert "nualley drives scan" in said


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["usage", "--by", "detecto"], "did you mean 'detector'?"),
        (["usage", "--by", "stage,stage"], "'stage' stands twice"),
        (["usage", "--drive", "dat1"], "did you mean 'data1'?"),
        (["unowned", "--drive", "dat1"], "did you mean 'data1'?"),
        (["scan", "dat1"], "did you mean 'data1'?"),
    ],
)
def test_words_that_are_not_known(drive: Path, capsys: pytest.CaptureFixture[str], words: list[str], what: str) -> None:
    assert main(["drives", *words]) == 2
    assert what in capsys.readouterr().err


def test_a_drive_that_is_not_there_is_told_and_the_others_are_scanned(
    drive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("drives.toml").open("a") as file:
        file.write('\n[drives.data2]\npath = "drives/none"\n')
    (one,) = answer(capsys, "scan")
    assert one["drive"] == "data1"
    assert main(["drives", "scan", "data2"]) == 4
    assert "no drive can be scanned: data2" in capsys.readouterr().err


def test_drives_of_one_device_are_scanned_one_after_the_other(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (drive.parent / "data2").mkdir()
    with Path("drives.toml").open("a") as file:
        file.write('\n[drives.data2]\npath = "drives/data2"\n')
    # both at once would meet at the device's lock
    assert [found["drive"] for found in answer(capsys, "scan")] == ["data1", "data2"]


def test_a_drive_is_not_scanned_twice_at_once(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drives", "scan"]) == 0
    (lock,) = Path("store/run").glob("scan-*.lock")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main(["drives", "scan", "data1"]) == 1
        assert "another process is scanning this drive" in capsys.readouterr().err
    assert main(["drives", "scan", "data1"]) == 0


def test_what_a_killed_scan_left_is_taken_away_by_the_next(drive: Path) -> None:
    folder = Path("store/scans/data1")
    folder.mkdir(parents=True)
    (folder / ".20200101T000000.000Z.parquet.nualley.part").write_bytes(b"half")
    assert main(["drives", "scan"]) == 0
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_scan_that_is_damaged_is_told(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drives", "scan"]) == 0
    (scan,) = Path("store/scans/data1").glob("*.parquet")
    scan.chmod(0o644)
    raw = bytearray(scan.read_bytes())
    raw[40] ^= 0xFF
    scan.write_bytes(raw)
    assert main(["drives", "unowned"]) == 5
    assert "nualley drives scan" in capsys.readouterr().err


def test_what_is_kept_is_small_and_plain(drive: Path) -> None:
    assert main(["drives", "scan"]) == 0
    (kept,) = Path("store/scans/data1/usage").iterdir()
    assert pq.read_schema(kept).names == ["detector", "stage", "owner", "month", "n_files", "size_B", "blocks_B"]
