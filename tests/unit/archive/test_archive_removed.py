"""Parts of an archive that somebody took away, put back from before, or writes a second time."""

import os
import shutil
import sqlite3

import pytest

from nualley.app.archive import open_archive_reader
from nualley.archive.adapters.sql import SqliteIndex
from nualley.archive.errors import IndexDamagedError, LogDamagedError, LogRemovedError, ShardTakenError
from nualley.core import IntegrityError


def write(bench, *values):
    for value in values:
        bench.emit(bench.connect("P"), bench.life(), bench.sample("P", float(value)))
        bench.commit()
        bench.clock.advance(1)


def values(bench):
    found = bench.reader().read("P", 0, 2**62)["value"].to_pylist()
    return [value for value in found if value is not None]


def sealed(bench):
    return {path.name: path.read_bytes() for path in (bench.folder / "day").rglob("*.parquet")}


@pytest.fixture
def told(bench):
    """Return an archive with three sealed samples and two in the log, closed."""
    write(bench, 1, 2, 3)
    bench.seal()
    write(bench, 4, 5)
    bench.die()
    return bench


def test_a_log_that_is_gone_is_a_loss_for_readers_and_for_the_next_writer(told):
    shutil.rmtree(told.folder / "wal")
    told.clock.advance(60)
    reader = told.reader()
    assert values(told) == [1.0, 2.0, 3.0]
    (loss,) = reader.new_losses()
    assert loss.stop_ns == told.clock.time_ns
    assert len(reader.new_losses()) == 1, "said once"
    kinds = reader.read("P", 0, 2**62)["kind"].to_pylist()
    assert kinds[-1] == "gap", "what P was afterwards is not known"
    told.start()
    (kept,) = told.reader().losses()
    assert kept.n_commits == 1
    assert told.reader().new_losses() == []
    write(told, 6)
    assert values(told) == [1.0, 2.0, 3.0, 6.0]
    told.seal()
    assert values(told) == [1.0, 2.0, 3.0, 6.0]
    assert len(told.reader().losses()) == 1


def test_a_log_that_is_gone_before_anything_was_sealed_is_a_loss(bench):
    write(bench, 1, 2)
    bench.die()
    shutil.rmtree(bench.folder / "wal")
    assert len(bench.reader().new_losses()) == 1
    bench.start()
    assert len(bench.reader().losses()) == 1
    write(bench, 3)
    assert values(bench) == [3.0]


def test_an_archive_that_was_killed_before_its_log_began_has_lost_nothing(bench):
    bench.die()
    shutil.rmtree(bench.folder)
    SqliteIndex(bench.folder / "index.sqlite", "0", is_writer=True)
    assert bench.reader().losses() == []
    bench.start()
    assert bench.reader().losses() == []


def test_nothing_that_is_sealed_is_written_over_after_an_old_index_came_back(bench):
    write(bench, 1)
    bench.seal()
    old = (bench.folder / "index.sqlite").read_bytes()
    for value in (2, 3):
        write(bench, value)
        bench.seal()
    bench.die()
    before = sealed(bench)
    (bench.folder / "index.sqlite").write_bytes(old)
    shutil.rmtree(bench.folder / "wal")
    bench.start()
    for value in (7, 8, 9):
        write(bench, value)
        bench.seal()
    after = sealed(bench)
    assert {name: after[name] for name in before} == before
    assert values(bench) == [1.0, 7.0, 8.0, 9.0]
    assert bench.reader().losses() != []


def test_other_bytes_under_a_name_that_is_to_be_sealed_are_kept(told):
    folder = next((told.folder / "day").iterdir())
    name = next(path.name for path in folder.iterdir())
    stranger = folder / name.replace("00000000", "00000001")
    stranger.write_bytes(b"somebody's samples")
    told.start()
    assert values(told) == [1.0, 2.0, 3.0, 4.0, 5.0]
    (kept,) = folder.glob("*.unindexed")
    assert kept.read_bytes() == b"somebody's samples"


def test_a_stray_segment_does_not_make_a_million(told):
    (told.folder / "wal" / "0" / "99999999.wal").write_bytes(b"")
    told.start()
    assert told.writer.log.position.segment < 10
    assert values(told) == [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize("what", ["segment", "mark", "all"])
def test_a_log_that_is_deleted_under_its_writer_acknowledges_nothing(bench, what):
    write(bench, 1)
    folder = bench.folder / "wal" / "0"
    if what == "all":
        shutil.rmtree(bench.folder)
    else:
        next(folder.glob("*.wal") if what == "segment" else folder.glob("synced")).unlink()
    seq = bench.writer.recorder.registry.account.seq
    bench.emit(bench.sample("P", 2.0))
    with pytest.raises(LogRemovedError, match="was deleted while the archive runs"):
        bench.commit()
    assert bench.writer.recorder.registry.account.seq == seq


def test_two_writers_are_impossible_without_any_lock_file(bench):
    write(bench, 1)
    first = bench.writer
    with pytest.raises(ShardTakenError, match="another process writes this archive"):
        bench.start()
    bench.writer = first
    write(bench, 2)
    assert values(bench) == [1.0, 2.0]
    bench.die()
    bench.start()
    write(bench, 3)
    assert values(bench) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE pvs SET value_type = 'floau64'",
        "UPDATE pvs SET last = '{'",
        "UPDATE pvs SET metadata = '[]'",
        "UPDATE state SET life_by_ioc = 'x'",
        "UPDATE files SET value_type = 'x'",
        "UPDATE connections SET kind = 77",
    ],
)
def test_a_row_of_the_index_that_stands_for_nothing_is_damage(told, change):
    with sqlite3.connect(told.folder / "index.sqlite") as connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(IndexDamagedError, match="a row cannot be read"):
        open_archive_reader(told.folder, clock=told.clock).history("P", 0, 2**62)


def test_segments_under_each_others_names_are_told_and_kept(bench):
    write(bench, 1)
    bench.writer.recorder.rotate()
    write(bench, 2)
    bench.die()
    first, second = sorted((bench.folder / "wal" / "0").glob("*.wal"))
    first.rename(bench.folder / "x")
    second.rename(first)
    (bench.folder / "x").rename(second)
    before = first.read_bytes(), second.read_bytes()
    with pytest.raises(LogDamagedError, match="the file is segment 1 of the log, its name says 0"):
        bench.reader().ledger()
    with pytest.raises(LogDamagedError, match="the file is segment 1"):
        bench.start()
    assert (first.read_bytes(), second.read_bytes()) == before


@pytest.mark.parametrize("what", ["wal/0/*.wal", "wal/0/synced", "day/*/*.parquet"])
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_pipe_or_a_folder_in_place_of_a_file_is_damage_and_no_wait(told, what, kind):
    (path,) = told.folder.glob(what)
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    reader = told.reader()
    if what.startswith("day"):  # the rest is served, the damage named
        reader.read("P", 0, 2**62)
        assert "no regular file" in reader.damages()[0]
    else:
        with pytest.raises(IntegrityError):
            reader.read("P", 0, 2**62)
