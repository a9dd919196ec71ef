"""A full drive: the log goes on in the room that was held, and says so."""

import errno
import os

import pytest
from structlog.testing import capture_logs

from nualley.app.archive import open_archive_writer
from nualley.archive import ArchiveSettings, LogWriteError
from nualley.archive.adapters import log_files, reserve
from nualley.archive.adapters.reserve import NAME, Reserve

SIZE_B = 1 << 20


@pytest.fixture
def writer(bench):
    bench.die()
    bench.writer = open_archive_writer(bench.folder, ArchiveSettings(reserve_B=SIZE_B), bench.clock)
    return bench


def fill(monkeypatch, bench, *, is_full):
    """Refuse writes as a full drive does, for as long as the reserve stands or `is_full` says so."""
    write, path = os.pwrite, bench.folder / "wal" / "0" / NAME

    def full(descriptor, data, offset_B):
        if path.exists() or is_full():
            write(descriptor, bytes(data)[:7], offset_B)
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data, offset_B)

    monkeypatch.setattr(log_files.os, "pwrite", full)


def say(bench):
    bench.emit(bench.connect("P"), bench.sample("P", 1.5))
    bench.clock.advance(1)


def test_room_is_held_and_really_there(writer):
    path = writer.folder / "wal" / "0" / NAME
    assert path.stat().st_blocks * 512 >= SIZE_B
    assert not writer.writer.log.is_reserve_spent


def test_a_full_drive_costs_the_reserve_and_no_sample(writer, monkeypatch):
    fill(monkeypatch, writer, is_full=lambda: False)
    say(writer)
    with capture_logs() as logs:
        writer.commit()
    assert [line["event"] for line in logs if "FULL" in line["event"]]
    assert writer.writer.log.is_reserve_spent
    assert writer.reader().read("P", 0, 2**62)["value"].drop_null().to_pylist() == [1.5]
    assert not (writer.folder / "wal" / "0" / NAME).exists()


def test_without_any_room_nothing_is_acknowledged_and_nothing_is_lost(writer, monkeypatch):
    room = {"is_full": True}
    fill(monkeypatch, writer, is_full=lambda: room["is_full"])
    say(writer)
    with pytest.raises(LogWriteError, match="No space left"):
        writer.commit()
    with pytest.raises(LogWriteError, match="No space left"):
        writer.commit()
    room["is_full"] = False
    writer.commit()
    assert writer.reader().read("P", 0, 2**62)["value"].drop_null().to_pylist() == [1.5]


def test_room_is_held_again_once_there_is_some(writer, monkeypatch):
    fill(monkeypatch, writer, is_full=lambda: False)
    say(writer)
    writer.commit()
    monkeypatch.undo()
    monkeypatch.setattr(reserve, "_LOOK_S", 0.0)
    monkeypatch.setattr(reserve, "free_B", lambda _: 3 * SIZE_B - 1)
    say(writer)
    writer.commit()
    assert writer.writer.log.is_reserve_spent
    monkeypatch.setattr(reserve, "free_B", lambda _: 3 * SIZE_B)
    say(writer)
    writer.commit()
    assert not writer.writer.log.is_reserve_spent


def test_a_reserve_that_a_kill_cut_short_is_made_whole(tmp_path):
    (tmp_path / NAME).write_bytes(b"x" * 5000)
    assert Reserve(tmp_path, SIZE_B).is_held
    assert (tmp_path / NAME).stat().st_blocks * 512 >= SIZE_B


def test_another_error_than_a_full_drive_costs_no_reserve(writer, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(log_files.os, "pwrite", broken)
    say(writer)
    with pytest.raises(LogWriteError, match="Input/output error"):
        writer.commit()
    assert (writer.folder / "wal" / "0" / NAME).exists()


def test_a_drive_without_room_for_a_reserve_is_told_and_used(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(reserve.os, "posix_fallocate", full)
    with capture_logs() as logs:
        made = Reserve(tmp_path, SIZE_B)
    assert not made.is_held
    assert "no room can be held" in logs[0]["event"]
    assert not (tmp_path / NAME).exists()


def test_no_reserve_where_none_is_asked_for(tmp_path):
    assert not Reserve(tmp_path, 0).is_held
    assert list(tmp_path.iterdir()) == []
