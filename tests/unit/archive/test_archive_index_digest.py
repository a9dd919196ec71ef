"""One flipped bit of the index is damage, wherever it is: it says which value held when."""

import random

import pytest

from nualley.archive.errors import IndexDamagedError


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
