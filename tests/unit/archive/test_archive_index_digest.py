"""One flipped bit of the index is damage, wherever it is: it says which value held when."""

import random
import sqlite3

import pytest

from nualley.app.archive import restore_index
from nualley.archive.adapters import index_digest
from nualley.archive.adapters.sql import SqliteIndex
from nualley.archive.errors import IndexDamagedError, ShardTakenError
from nualley.core import UsageError


def story(bench, n=6):
    for value in range(n):
        bench.emit(bench.connect("P"), bench.life(), bench.sample("P", float(value)))
        bench.clock.advance(7)
        if value == 2:
            bench.emit(bench.disconnect("P", bench.clock.time_ns - 5))
        bench.commit()
        bench.seal()


def told(bench):
    reader = bench.reader()
    return repr(reader.history("P", 0, 2**62).to_pylist()), reader.ledger(), reader.last(["P"])


@pytest.fixture
def written(bench):
    story(bench)
    bench.die()
    return bench


def test_every_flipped_bit_is_told(written, seed):
    path = written.folder / "index.sqlite"
    whole, expected = path.read_bytes(), told(written)
    chosen = random.Random(seed)
    for _ in range(150):
        at = chosen.randrange(len(whole))
        if 24 <= at < 28:  # the count of changes itself: says no more than that the digest is of another time
            continue
        bits = bytearray(whole)
        bits[at] ^= 1 << chosen.randrange(8)
        path.write_bytes(bytes(bits))
        with pytest.raises(IndexDamagedError):
            told(written)
    path.write_bytes(whole)
    assert told(written) == expected


def test_a_reader_that_is_open_notices_it_too(written):
    reader = written.reader()
    assert reader.history("P", 0, 2**62).num_rows
    path = written.folder / "index.sqlite"
    bits = bytearray(path.read_bytes())
    bits[-5] ^= 1
    path.write_bytes(bytes(bits))
    with pytest.raises(IndexDamagedError, match="its digest is"):
        reader.history("P", 0, 2**62)


def test_the_next_writer_does_not_go_on_with_it(written):
    path = written.folder / "index.sqlite"
    bits = bytearray(path.read_bytes())
    bits[len(bits) // 2] ^= 1
    path.write_bytes(bytes(bits))
    with pytest.raises(IndexDamagedError):
        written.start()


@pytest.mark.parametrize("what", ["absent", "older", "nonsense"])
def test_a_digest_of_another_time_is_no_damage(written, what):
    # the writer was killed between its transaction and the digest
    path = written.folder / "index.sqlite.digest"
    counter, digest = path.read_text().split()
    if what == "absent":
        path.unlink()
    else:
        path.write_text(f"{int(counter) - 1} {digest[::-1]}\n" if what == "older" else "?")
    expected = told(written)
    written.start()
    story(written, 1)
    assert len(path.read_text().split()) == 2
    assert int(path.read_text().split()[0]) > int(counter)
    written.die()
    assert told(written) != expected


def test_without_its_digest_an_index_that_does_not_hang_together_is_told(written):
    path = written.folder / "index.sqlite"
    (written.folder / "index.sqlite.digest").unlink()
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + bytes(4096) + whole[12288:])
    with pytest.raises(IndexDamagedError):
        told(written)


# ------------------------------------------------------------------ the copy
def damage(path):
    bits = bytearray(path.read_bytes())
    bits[len(bits) // 2] ^= 1
    path.write_bytes(bytes(bits))


def test_the_copy_takes_the_place_of_a_damaged_index(written):
    expected, path = told(written), written.folder / "index.sqlite"
    damage(path)
    damaged = path.read_bytes()
    with pytest.raises(IndexDamagedError) as caught:
        told(written)
    assert "nualley archive restore-index" in caught.value.do
    found = restore_index(written.folder)
    assert told(written) == expected
    assert found.kept is not None
    assert found.kept.read_bytes() == damaged
    assert (found.n_files, found.unindexed) == (18, ())
    written.start()
    story(written, 1)
    written.die()
    assert told(written) != expected


def test_the_copy_takes_the_place_of_an_index_that_is_gone(written):
    expected = told(written)
    (written.folder / "index.sqlite").unlink()
    with pytest.raises(IndexDamagedError, match="the archive's index is missing"):
        told(written)
    assert restore_index(written.folder).kept is None
    assert told(written) == expected


def test_an_index_that_is_whole_is_not_replaced(written):
    with pytest.raises(UsageError, match="there is nothing to restore"):
        restore_index(written.folder)


def test_a_damaged_copy_is_told_and_changes_nothing(written):
    path = written.folder / "index.sqlite"
    damage(path)
    damage(written.folder / "index.sqlite.copy")
    damaged = path.read_bytes()
    with pytest.raises(IndexDamagedError, match="the copy of the index is missing, or is not as it was written"):
        restore_index(written.folder)
    assert path.read_bytes() == damaged


def test_an_index_is_not_replaced_under_a_running_archive(written):
    written.start()
    damage(written.folder / "index.sqlite")
    with pytest.raises(ShardTakenError):
        restore_index(written.folder)


def test_what_was_sealed_after_the_copy_is_named(written):
    copy = written.folder / "index.sqlite.copy"
    old = copy.read_bytes(), (written.folder / "index.sqlite.copy.digest").read_bytes()
    written.start()
    story(written, 1)
    written.die()
    copy.write_bytes(old[0])
    (written.folder / "index.sqlite.copy.digest").write_bytes(old[1])
    damage(written.folder / "index.sqlite")
    unindexed = restore_index(written.folder).unindexed
    assert unindexed
    assert all(path.endswith(".parquet") for path in unindexed)


def test_the_next_writer_makes_the_copy_that_a_killed_one_could_not(written):
    copy = written.folder / "index.sqlite.copy"
    whole = copy.read_bytes()
    copy.unlink()
    (written.folder / "index.sqlite.copy.digest").unlink()
    SqliteIndex(written.folder / "index.sqlite", "0", is_writer=True)  # as the archive opens it, before it seals
    assert copy.read_bytes() == whole


def test_a_journal_of_a_killed_writer_does_not_spoil_what_is_restored(written):
    expected, path = told(written), written.folder / "index.sqlite"
    path.unlink()
    journal = written.folder / "index.sqlite-journal"  # SQLite would roll it back into the restored index
    journal.write_bytes(b"whatever a killed writer left")
    restore_index(written.folder)
    assert not journal.exists()
    assert [kept.read_bytes() for kept in written.folder.glob("*.damaged-journal")] == [
        b"whatever a killed writer left"
    ]
    assert told(written) == expected


def test_a_copy_that_cannot_be_written_stops_no_sealing(written, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    written.start()
    monkeypatch.setattr(index_digest, "write_digested", full)
    story(written, 1)
    written.die()
    assert told(written)


def test_what_lies_in_a_free_page_is_no_damage(written):
    # SQLite does not put such a page back when it takes a killed writer's changes back
    path = written.folder / "index.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE crowd (name TEXT)")
        connection.executemany("INSERT INTO crowd VALUES (?)", [("x" * 900,)] * 3000)  # more than one trunk page holds
        connection.execute("DROP TABLE crowd")
        connection.commit()
        index_digest.note_digest(connection, path)
    expected = told(written)
    data = bytearray(path.read_bytes())
    free = index_digest._free_stretches(bytes(data))
    assert len(free) > 600
    for start, stop in free:
        data[start:stop] = random.randbytes(stop - start)
    path.write_bytes(bytes(data))
    assert told(written) == expected
    assert index_digest.read_digested(path) is not None
    data[200] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IndexDamagedError):
        told(written)
