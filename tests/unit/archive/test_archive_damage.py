"""Damage to what was acknowledged: it is told, it is a gap, and no value is taken to hold over it."""

from pathlib import Path

import pytest

from nualley.app.archive import open_archive_reader
from nualley.archive import ArchiveMissingError, LogDamagedError, Loss
from nualley.archive.errors import ArchiveNewerError, IndexDamagedError
from nualley.archive.wal import SEGMENT_HEADER, encode_segment_header
from nualley.core import SECOND_NS


def log_file(bench) -> Path:
    """Return the one segment of the log."""
    (path,) = (bench.folder / "wal" / "0").glob("*.wal")
    return path


def write_story(bench, n_commits: int = 6) -> list[int]:
    """Write a connected PV with a new value every second, a commit each; return where the commits begin [B]."""
    bench.emit(bench.connect("P"), bench.life())
    bench.commit()
    edges_B = []
    for value in range(n_commits):
        bench.clock.advance(1)
        bench.emit(bench.sample("P", float(value)), bench.life())
        edges_B.append(bench.writer.log.position.offset_B)
        bench.commit()
    return edges_B


def restart(bench) -> None:
    bench.die()
    bench.clock.advance(10)
    bench.start()
    bench.commit()


def seal(bench) -> None:
    bench.seal()


def only_read(_bench) -> None:
    """A reader tells what is lost before the archive does."""


def flip_a_bit(path: Path, offset_B: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[offset_B] ^= 0x10
    path.write_bytes(raw)


def rows(bench) -> list[tuple[str, float | None]]:
    table = bench.reader().read("P", 0, 2**62)
    return list(zip(table["kind"].to_pylist(), table["value"].to_pylist(), strict=True))


@pytest.mark.parametrize("then", [restart, seal, only_read])
def test_bit_rot_in_the_log_is_a_gap_up_to_the_next_sample(bench, then):
    edges_B = write_story(bench)
    begin_ns = bench.clock.time_ns - 5 * SECOND_NS
    flip_a_bit(log_file(bench), edges_B[2] + 40)
    then(bench)
    assert rows(bench)[:8] == [
        ("reconnect", None),
        ("sample", 0.0),
        ("sample", 1.0),
        ("gap", None),
        ("reconnect", None),
        ("sample", 3.0),
        ("sample", 4.0),
        ("sample", 5.0),
    ]
    reader = bench.reader()
    assert reader.losses() == [Loss(1, begin_ns + SECOND_NS, begin_ns + 3 * SECOND_NS)]
    assert (reader.ledger().received, reader.ledger().stored) == (6, 5), "the account shows the loss"
    table = reader.read("P", 0, 2**62)
    gap, back = (
        table.filter(table["kind"].cast("string").to_numpy() == kind).to_pylist() for kind in ("gap", "reconnect")
    )
    assert gap[0]["last_heard_ns"] == gap[0]["time_ns"] == begin_ns + SECOND_NS
    assert back[1]["time_ns"] == begin_ns + 3 * SECOND_NS
    assert bool(reader.new_losses()) == (then is only_read), "taken into the index, it is no news any more"


def test_what_was_damaged_is_kept(bench):
    edges_B = write_story(bench)
    flip_a_bit(log_file(bench), edges_B[2] + 40)
    seal(bench)
    (kept,) = (bench.folder / "quarantine").glob("*.damaged")
    assert kept.name == f"log-0-00000000-{edges_B[2]}.damaged"
    assert kept.stat().st_size == edges_B[3] - edges_B[2]


@pytest.mark.parametrize("left_B", [None, 0, 12, 24, "middle of the fourth"])
@pytest.mark.parametrize("then", [restart, only_read])
def test_a_log_shorter_than_its_mark_is_a_loss(bench, left_B, then):
    edges_B = write_story(bench)
    last_ns = bench.clock.time_ns
    path = log_file(bench)
    if left_B is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: edges_B[3] + 20 if isinstance(left_B, str) else left_B])
    n_left = 3 if isinstance(left_B, str) else 0
    if then is restart:
        restart(bench)
    reader = bench.reader()
    (loss,) = reader.losses()
    assert (loss.n_commits, loss.stop_ns) == (6 - n_left + (n_left == 0), last_ns)
    assert (reader.ledger().received, reader.ledger().stored) == (6, n_left)
    if n_left:
        assert reader.alive_until_ns("P") == last_ns - 3 * SECOND_NS, "the last value holds to the last whole commit"
        assert "gap" in [kind for kind, _ in rows(bench)]


def test_numbers_of_receipt_are_not_given_again_after_a_loss(bench):
    edges_B = write_story(bench)
    seq = bench.reader().account().seq
    log_file(bench).write_bytes(log_file(bench).read_bytes()[: edges_B[1]])
    restart(bench)
    bench.emit(bench.sample("P", 9.0))
    bench.commit()
    assert bench.reader().read("P", 0, 2**62)["seq"].to_pylist()[-1] > seq


def test_a_value_that_did_not_change_stays_unknown_after_a_loss(bench):
    """The lost commit may have held a change of a quiet PV: it counts again once it says something."""
    bench.emit(bench.connect("Q"), bench.sample("Q", 1.0), bench.life())
    bench.commit()
    edges_B = write_story(bench)
    flip_a_bit(log_file(bench), edges_B[2] + 40)
    seal(bench)
    bench.clock.advance(5)
    bench.emit(bench.life())
    bench.commit()
    assert bench.reader().alive_until_ns("Q") == bench.clock.time_ns - 9 * SECOND_NS
    kinds = bench.reader().read("Q", 0, 2**62)["kind"].to_pylist()
    assert kinds == ["reconnect", "sample", "gap"]
    bench.emit(bench.sample("Q", 2.0))
    bench.seal()
    assert bench.reader().read("Q", 0, 2**62)["kind"].to_pylist()[3:] == ["reconnect", "sample"]
    assert bench.reader().alive_until_ns("Q") == bench.clock.time_ns


def test_rows_whose_names_are_lost_are_kept_under_their_number(bench):
    begin_B = bench.writer.log.position.offset_B
    bench.emit(bench.sample("P", 1.0))
    bench.commit()
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 2.0))
    bench.commit()
    flip_a_bit(log_file(bench), begin_B + 40)
    assert [value.pv for value in bench.reader().last()] == ["unnamed-0"]
    assert bench.reader().last(["unnamed-0"])[0].value == 2.0
    bench.seal()
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 3.0))
    bench.commit()
    assert [(value.pv, value.value) for value in bench.reader().last()] == [("P", 3.0)], "a new segment names all"


def test_a_commit_that_is_there_twice_counts_once(bench):
    write_story(bench)
    path = log_file(bench)
    bench.die()
    mark = path.parent / "synced"
    kept = mark.read_bytes()
    again = bytearray(path.read_bytes())
    again[: SEGMENT_HEADER.size] = encode_segment_header(1)
    path.with_name("00000001.wal").write_bytes(bytes(again))
    bench.start()
    assert bench.reader().ledger().stored == 6
    assert kept != mark.read_bytes()


# ------------------------------------------------------------------ the mark
@pytest.mark.parametrize("content", [None, b"", b"x" * 128])
def test_a_log_without_its_mark_is_refused_until_the_archive_wrote_a_new_one(bench, content):
    write_story(bench)
    mark = bench.folder / "wal" / "0" / "synced"
    bench.die()
    if content is None:
        mark.unlink()
    else:
        mark.write_bytes(content)
    with pytest.raises(LogDamagedError, match="nobody can say whether the log is whole") as caught:
        bench.reader().last()
    assert caught.value.exit_code == 5
    assert "nualley up archive" in caught.value.do
    bench.start()
    assert bench.reader().ledger().stored == 6


def test_a_torn_mark_leaves_the_one_before(bench):
    from nualley.archive.adapters.mark import read_mark

    write_story(bench, 3)
    folder = bench.folder / "wal" / "0"
    newest = read_mark(folder)
    raw = bytearray((folder / "synced").read_bytes())
    for place in (0, 64):
        torn = raw.copy()
        torn[place + 8] ^= 1
        (folder / "synced").write_bytes(torn)
        assert read_mark(folder).account.number in (newest.account.number, newest.account.number - 1)


# ------------------------------------------------------------------ the index
def test_an_archive_without_its_index_is_not_an_empty_one(bench):
    write_story(bench)
    bench.die()
    (bench.folder / "index.sqlite").unlink()
    for opening in (bench.reader, bench.start):
        with pytest.raises(IndexDamagedError, match="index is missing") as caught:
            opening()
        assert caught.value.exit_code == 5
    with pytest.raises(ArchiveMissingError):
        open_archive_reader(bench.folder / "nothing")


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100, "cut"])
def test_a_damaged_index_is_told_as_damage(bench, content):
    write_story(bench)
    bench.seal()
    bench.die()
    path = bench.folder / "index.sqlite"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if isinstance(content, str) else content)
    for opening in (lambda: bench.reader().last(), bench.start):
        with pytest.raises(IndexDamagedError, match="not as it was written") as caught:
            opening()
        assert caught.value.exit_code == 5
        assert caught.value.where == str(path)


def test_an_index_of_a_newer_nualley_is_refused(bench):
    import sqlite3
    from contextlib import closing

    bench.die()
    with closing(sqlite3.connect(bench.folder / "index.sqlite")) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(ArchiveNewerError, match="version 99"):
        bench.reader()


# ------------------------------------------------------------------ sealed files
@pytest.mark.parametrize("content", [None, b"", b"PAR1" * 50])
def test_a_damaged_parquet_file_is_named(bench, content):
    write_story(bench)
    bench.seal()
    (path,) = (bench.folder / "day").rglob("*.parquet")
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    bench.clock.advance(5)
    bench.emit(bench.sample("P", 9.0))
    bench.commit()
    reader = bench.reader()
    table = reader.read("P", 0, 2**62)
    (damage,) = reader.damages()
    assert str(path.relative_to(bench.folder)) in damage
    # the rest is still served, and what the file held is unknown
    assert table["kind"].to_pylist()[0] == "gap"
    assert table["value"].to_pylist()[-1] == 9.0


def test_a_flipped_bit_in_a_parquet_file_is_told_or_does_no_harm(bench):
    write_story(bench)
    bench.seal()
    (path,) = (bench.folder / "day").rglob("*.parquet")
    whole, expected = path.read_bytes(), rows(bench)
    n_told = 0
    for position in range(0, len(whole), 5):
        path.write_bytes(whole)
        flip_a_bit(path, position)
        reader = bench.reader()
        table = reader.read("P", 0, 2**62)
        if reader.damages():
            n_told += 1
        else:
            found = list(zip(table["kind"].to_pylist(), table["value"].to_pylist(), strict=True))
            assert found == expected, f"byte {position} changed the values and nobody said so"
    assert n_told > len(whole) // 20
