"""Folders that stay, the room in them, and why the machine refuses."""

import os
import stat
from pathlib import Path

import pytest

from nualley.core import free_B, make_folders, plain_path, reason, replacing, sync_folder


def test_the_folder_above_is_the_one_that_the_system_means(tmp_path: Path) -> None:
    """Above a link is what is above its end; a link that is not left again stays in the path."""
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "inner")
    (tmp_path / "real" / "loop").symlink_to("loop")
    for written, expected in {
        "real/../link/x": "link/x",
        "link/../x": "real/x",
        "link/a/../b": "link/b",
        "absent/x/../../y": "y",
        "real/loop/../x": "real/x",
        "link/..": "real",
    }.items():
        assert plain_path(tmp_path / written) == tmp_path / expected
    assert plain_path(Path("/../..")) == Path("/")
    written = tmp_path / "link" / ".." / "inner"
    assert written.samefile(plain_path(written))


def test_each_folder_is_durable_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []

    def fsync(descriptor: int) -> None:
        assert stat.S_ISDIR(os.fstat(descriptor).st_mode)
        folder = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((folder, sorted(entry.name for entry in folder.iterdir())))

    monkeypatch.setattr(os, "fsync", fsync)
    make_folders(tmp_path / "a" / "b")
    assert synced == [(tmp_path, ["a"]), (tmp_path / "a", ["b"])]
    make_folders(tmp_path / "a" / "b")
    assert len(synced) == 2


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(FileExistsError):
        make_folders(tmp_path / "a")
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "a")


def test_a_file_is_replaced_once_it_is_durable_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, order = tmp_path / "a", []
    path.write_text("old")
    monkeypatch.setattr(os, "fdatasync", lambda _file: order.append(f"synced, {path.read_text()}"))
    monkeypatch.setattr(os, "fsync", lambda _folder: order.append(f"named, {path.read_text()}"))
    with replacing(path, check=lambda part: order.append(f"checked {part.read_text()}, {path.read_text()}")) as part:
        part.write_text("new")
    assert order == ["synced, old", "checked new, old", "named, new"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("trouble", ["write", "sync", "check"])
def test_a_file_that_cannot_be_replaced_stays_and_keeps_its_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    def fail(_what: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a"
    path.write_text("old")
    if trouble == "sync":
        monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="No space left"), replacing(path, fail if trouble == "check" else None) as part:
        part.write_text("new")
        if trouble == "write":
            fail(part)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_room_is_that_of_the_nearest_folder_that_is_there(tmp_path: Path) -> None:
    volume = os.statvfs(tmp_path)
    assert free_B(tmp_path / "not" / "there") == pytest.approx(volume.f_bavail * volume.f_frsize, rel=0.1)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "No space left on device", "/data"), "No space left on device"),
        (OSError(28, None), "No space left on device"),
        (OSError("the filter is not there"), "the filter is not there"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_the_reason_is_never_none(error: OSError, expected: str) -> None:
    assert reason(error) == expected
