"""Samples that are kept for a while only: they go, their cells and everybody else's samples stay."""

import numpy as np
import pytest

from nualley.app.archive import open_compactor, verify_archive
from nualley.core import DAY_NS, SECOND_NS
from nualley.pv import ValueType
from tests.unit.archive.conftest import START_NS

HOUR_NS = 3600 * SECOND_NS
KEPT = {"SHORT": 6 * HOUR_NS, "TRACE": 2 * HOUR_NS}


@pytest.fixture
def told(bench):
    """A number that is kept for ever, one for 6 hours and a waveform for 2, each 10 min, for 40 hours."""
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
