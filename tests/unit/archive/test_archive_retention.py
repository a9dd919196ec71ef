"""Samples that are kept for a while only: they go, their cells and everybody else's samples stay."""

import numpy as np
import pytest

from nualley.app.archive import open_compactor, verify_archive
from nualley.archive.bins import moved_edges
from nualley.core import DAY_NS, SECOND_NS
from nualley.pv import ValueType
from tests.unit.archive.conftest import START_NS, ArchiveBench

HOUR_NS = 3600 * SECOND_NS
KEPT = {"SHORT": 6 * HOUR_NS, "TRACE": 2 * HOUR_NS}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A number that is kept for ever, one for 6 hours and a waveform for 2, each 10 min, for 40 hours."""
    bench = ArchiveBench(tmp_path_factory.mktemp("recorded") / "archive")
    bench.start()
    names = {"LONG": ValueType.FLOAT64, "SHORT": ValueType.FLOAT64, "TRACE": ValueType.FLOAT32_ARRAY}
    for name in names:
        bench.emit(bench.connect(name))
    for step in range(240):
        bench.clock.advance(600)
        bench.emit(
            bench.sample("LONG", float(step)),
            bench.sample("SHORT", float(step)),
            bench.sample("TRACE", np.full(4, step, dtype=np.float32), ValueType.FLOAT32_ARRAY),
            bench.life(),
        )
        bench.commit()
        if step % 6 == 5:
            bench.seal()
    bench.seal()
    return bench


@pytest.fixture
def told(recorded, tmp_path):
    return recorded.copied(tmp_path / "archive")


def compact(bench, kept=KEPT, *, is_all=False):
    compactor = open_compactor(bench.folder, bench.clock, kept)
    return [compactor.run(job) for job in compactor.due(is_all=is_all)]


def n_samples(bench, pv):
    table = bench.reader().read(pv, 0, 2**62)
    return table["kind"].to_pylist().count("sample")


def cells(bench, pv):
    midnight_ns = START_NS + 60 * SECOND_NS
    return bench.reader().bins(pv, midnight_ns, midnight_ns + 38 * HOUR_NS, 19).to_pydict()


def test_files_with_nothing_to_keep_go_and_merged_days_lose_what_is_too_old(told):
    before = cells(told, "SHORT")
    compact(told)
    assert n_samples(told, "LONG") == 240
    assert 6 * 6 <= n_samples(told, "SHORT") < 240
    assert 2 * 6 <= n_samples(told, "TRACE") <= 3 * 6 + 6
    after = cells(told, "SHORT")
    for name in ("n", "min", "mean", "max", "first", "last"):
        assert after[name] == before[name], "its cells tell of all samples"
    assert verify_archive(told.folder).is_intact
    assert told.reader().damages() == []


def test_what_is_older_goes_also_from_files_that_were_merged(told):
    compact(told, {})
    assert n_samples(told, "SHORT") == 240
    before = cells(told, "SHORT")
    told.clock.advance(20 * 3600)
    for _ in range(3):
        compact(told)
    assert n_samples(told, "SHORT") <= 1, "the last one holds still"
    assert n_samples(told, "TRACE") == 0
    assert n_samples(told, "LONG") == 240
    told.clock.advance(40 * 86400)
    for _ in range(2):
        compact(told)
    assert cells(told, "SHORT")["n"] == before["n"]
    assert compact(told) == [], "and it is done once"
    assert verify_archive(told.folder).is_intact


def test_without_a_retention_nothing_goes(told):
    told.clock.advance(400 * 86400)
    compact(told, {})
    assert [n_samples(told, pv) for pv in ("LONG", "SHORT", "TRACE")] == [240, 240, 240]


def test_what_is_not_that_old_stays(told):
    compact(told, {"SHORT": 100 * DAY_NS, "TRACE": 100 * DAY_NS})
    assert [n_samples(told, pv) for pv in ("LONG", "SHORT", "TRACE")] == [240, 240, 240]


def test_the_manifest_says_what_went_and_why(told):
    compact(told)
    assert "kept no longer" in (told.folder / "manifest.jsonl").read_text()


# ------------------------------------------------------------------ cells that are cut and whose samples are gone
MINUTE_NS = 60 * SECOND_NS


@pytest.fixture
def gone(bench):
    """Three samples a minute for two hours, at :10, :30 and :50; of the first hour only cells are left."""
    bench.clock.advance(60)
    bench.emit(bench.connect("P"))
    begin_ns = bench.clock.time_ns
    for step in range(360):
        bench.clock.advance(10 if step == 0 else 20)
        bench.emit(bench.sample("P", float(step)), bench.life())
        if step == 100:  # lost and regained within a minute, between two of its samples
            heard_ns = bench.clock.advance(2)
            bench.emit(bench.disconnect("P", heard_ns))
            bench.clock.advance(8)
            bench.emit(bench.connect("P"), bench.sample("P", -1.0), bench.life())
            bench.clock.advance(-10)
    bench.clock.advance(20)
    bench.emit(bench.life())
    bench.seal()
    whole = {name: at.to_pylist() for name, at in asked(bench, begin_ns).items()}
    bench.clock.advance(40 * 86400)
    for _ in range(3):
        compact(bench, {"P": 1})
    assert n_samples(bench, "P") <= 1
    return bench, begin_ns, whole


def asked(bench, begin_ns):
    """Return bins of a stretch whose edges cut minutes at :20 and :40, exact; of whole minutes; and of seconds."""
    reader, stretch = bench.reader(), (begin_ns + 20 * SECOND_NS, begin_ns + 100 * SECOND_NS)
    return {
        "exact": reader.bins("P", *stretch, 1, is_exact=True),
        "minutes": reader.bins("P", begin_ns, begin_ns + 60 * MINUTE_NS, 6),
        "short": reader.bins("P", begin_ns + 35 * SECOND_NS, begin_ns + 37 * SECOND_NS, 2, is_exact=True),
    }


def test_an_exact_edge_in_a_minute_whose_samples_are_gone_moves_and_says_so(gone):
    bench, begin_ns, whole = gone
    found = asked(bench, begin_ns)
    ((start_ns, stop_ns),) = zip(*(found["exact"][name].to_pylist() for name in ("start_ns", "stop_ns")), strict=True)
    assert (start_ns, stop_ns) == (begin_ns, begin_ns + 2 * MINUTE_NS)
    assert moved_edges(found["exact"]) == [
        (begin_ns + 20 * SECOND_NS, begin_ns),
        (begin_ns + 100 * SECOND_NS, begin_ns + 2 * MINUTE_NS),
    ]
    (row,) = found["exact"].to_pylist()
    assert (row["n"], row["min"], row["max"], row["sum"]) == (6, 0.0, 5.0, 15.0), "exact for the edges that are given"
    assert whole["exact"][0]["n"] == 4
    # a bin shorter than a minute is that minute
    (row,) = found["short"].to_pylist()
    assert (row["start_ns"], row["stop_ns"], row["n"]) == (begin_ns, begin_ns + MINUTE_NS, 3)
    assert len(moved_edges(found["short"])) == 3


def test_an_edge_that_cuts_no_sample_stays_where_it_is(gone):
    bench, begin_ns, _ = gone
    edges_ns = begin_ns + 5 * SECOND_NS, begin_ns + MINUTE_NS + 55 * SECOND_NS
    found = bench.reader().bins("P", *edges_ns, 1, is_exact=True)
    (row,) = found.to_pylist()
    assert ((row["start_ns"], row["stop_ns"]), row["n"], moved_edges(found)) == (edges_ns, 6, [])


def test_a_minute_that_a_loss_of_the_connection_cuts_is_told_whole(gone):
    bench, begin_ns, whole = gone
    rows = asked(bench, begin_ns)["minutes"].to_pylist()
    assert moved_edges(asked(bench, begin_ns)["minutes"]) == []
    for row, before in zip(rows, whole["minutes"], strict=True):
        for name in ("n", "min", "max", "sum", "first", "last", "start_ns", "stop_ns"):
            assert row[name] == before[name], "its cells tell of all samples"
        lost_s = before["known_s"] - row["known_s"]
        assert lost_s == pytest.approx(0) if row["min"] != -1.0 else 0 < lost_s <= 60, (
            "of that minute, not for how long"
        )


def test_what_held_at_a_begin_inside_of_a_minute_is_told_by_cells(bench):
    bench.clock.advance(60)
    begin_ns = bench.clock.time_ns
    bench.emit(bench.connect("P"), bench.sample("P", 7.0))
    bench.clock.advance(7200)
    bench.emit(bench.sample("P", 8.0), bench.life())
    bench.seal()
    bench.clock.advance(40 * 86400)
    for _ in range(3):
        compact(bench, {"P": 1})
    stretch = begin_ns + 3600 * SECOND_NS + 1, begin_ns + 3660 * SECOND_NS
    (row,) = bench.reader().bins("P", *stretch, 1, is_exact=True).to_pylist()
    assert (row["n"], row["time_mean"]) == (0, 7.0)
