"""The quarantine is read in pieces, however much is in it."""

import pytest

from nualley.app.quarantine import receipt_bounds_ns
from nualley.archive import PvNotArchivedError
from nualley.archive.adapters.column_files import ParquetFolder
from nualley.pv import ValueType
from tests.kept_aside import kept_aside

EVER = receipt_bounds_ns(None, None)


@pytest.fixture
def filled(bench):
    """Keep numbers 0 to 39 of two PVs aside, in four sealed segments and the log; return them."""
    bench.emit(bench.connect("P"), bench.connect("Q"))
    for number in range(40):
        bench.clock.advance(1)
        for pv in ("P", "Q"):
            bench.emit(bench.sample(pv, float(number), time_ns=5 + number % 3))
        bench.emit(bench.life())
        bench.commit()
        if number % 8 == 7 and number < 39:
            bench.seal()
    bench.emit(bench.connect("W"), bench.sample("W", "word", ValueType.STRING, time_ns=5))
    bench.commit()
    return [float(number) for number in range(40)]


def test_no_piece_is_larger_than_it_may_be_and_no_more_is_read_than_that(bench, filled, monkeypatch):
    n_read, groups = [0], []
    read = ParquetFolder.read

    def counted(self, group, columns=None):
        n_read[0] += group.n_rows
        groups.append(group.n_rows)
        return read(self, group, columns)

    monkeypatch.setattr(ParquetFolder, "read", counted)
    ahead, values, n_seen = [], {"P": [], "Q": [], "W": []}, 0
    for _, piece in bench.reader().refused.pieces([], *EVER, 5):
        assert 0 < piece.num_rows <= 5
        ahead.append(n_read[0] - n_seen)
        n_seen += piece.num_rows
        for row in piece.to_pylist():
            values[row["pv"]].append(row["value"])
    assert {pv: sorted(found) for pv, found in values.items()} == {"P": filled, "Q": filled, "W": ["word"]}
    assert len(groups) == 8
    assert max(ahead) <= 4 + max(groups)


def test_what_is_sealed_meanwhile_comes_once(bench, filled):
    pieces = bench.reader().refused.pieces(["P"], *EVER, 3)
    rows = next(pieces)[1].to_pylist()
    bench.seal()
    bench.emit(bench.sample("P", 99.0, time_ns=5))
    bench.commit()
    rows += [row for _, piece in pieces for row in piece.to_pylist()]
    assert sorted(row["value"] for row in rows) == filled
    assert [row["value"] for row in kept_aside(bench.reader(), "P")] == [*filled, 99.0]


def test_a_file_that_is_gone_is_told_and_the_rest_is_read(bench, filled):
    reader = bench.reader()
    pieces = reader.refused.pieces(["P"], *EVER, 3)
    n_rows = next(pieces)[1].num_rows
    bench.seal()
    (*_, path, _, _) = sorted((bench.folder / "quarantine").rglob("*.parquet"))
    path.unlink()
    n_rows += sum(piece.num_rows for _, piece in pieces)
    assert n_rows == len(filled) - 8
    assert any(path.name in damage and "missing" in damage for damage in reader.damages())


def test_only_what_was_received_then_and_of_whom_is_asked_for(bench, filled):
    stop_ns = bench.clock.time_ns
    pieces = list(bench.reader().refused.pieces(["Q"], stop_ns - 2 * 10**9, stop_ns))
    assert sorted(value for _, piece in pieces for value in piece["value"].to_pylist()) == [37.0, 38.0]
    assert list(bench.reader().refused.pieces(["Q"], 0, 1)) == []
    with pytest.raises(PvNotArchivedError):
        bench.reader().refused.pieces(["NOBODY"], *EVER)
