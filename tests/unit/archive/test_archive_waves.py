"""Averages of arrays over minutes: exact over any cut, kept when the samples go, verified, readable beside damage."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nualley.app.archive import open_archive_reader, open_archive_writer, open_compactor, open_importer, verify_archive
from nualley.archive.importing import ImportedRows
from nualley.archive.settings import PvPolicy
from nualley.core import DAY_NS, SECOND_NS
from nualley.physics import VETO_FRACTION, TraceRule, TraceSums
from nualley.pv import ValueType
from tests.unit.archive.conftest import START_NS, ArchiveBench

HOUR_NS = 3600 * SECOND_NS
MINUTE_NS = 60 * SECOND_NS
RULES = {"TRACE": TraceRule()}
SHAPE = np.array([0, 1, 4, 2], dtype=np.float32)


class WaveBench(ArchiveBench):
    """A bench whose archive averages TRACE."""

    rules = RULES

    def start(self):
        self.writer = open_archive_writer(self.folder, clock=self.clock, rules=self.rules)
        return self.writer

    def post(self, value: object, value_type: ValueType = ValueType.FLOAT32_ARRAY, pv: str = "TRACE", **changes: int):
        self.emit(self.sample(pv, value, value_type, **changes))

    def minutes(self, *, recent: TraceRule | None = None) -> list[TraceSums]:
        return self.reader().traces.minutes("TRACE", 0, 2**62, recent=recent)

    def compact(self, kept_ns=None, *, is_all=False):
        compactor = open_compactor(self.folder, self.clock, kept_ns, rules=self.rules)
        return [compactor.run(job) for job in compactor.due(is_all=is_all)]

    def files(self, level="wave"):
        return [file.path for file in self.reader().snapshot().files if file.level == level]


@pytest.fixture
def waves(tmp_path: Path) -> Iterator[WaveBench]:
    bench = WaveBench(tmp_path / "archive")
    bench.start()
    bench.emit(bench.connect("TRACE"))
    yield bench
    if bench.writer:
        bench.writer.close()


def fill(bench: WaveBench, n: int, *, step_s: float = 1.0, seal_every: int = 0, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    posted = []
    for number in range(n):
        bench.clock.advance(step_s)
        posted.append((SHAPE * random.normal(1, 0.1)).astype(np.float32))
        bench.post(posted[-1])
        bench.commit()
        if seal_every and number % seal_every == seal_every - 1:
            bench.seal()
    bench.seal()
    return np.array(posted, dtype=np.float64)


def total(minutes: list[TraceSums]) -> tuple[int, np.ndarray]:
    n = sum(one.n for one in minutes)
    return n, sum(one.n * one.mean for one in minutes) / n


def assert_same(found: list[TraceSums], expected: list[TraceSums]) -> None:
    assert [(one.start_ns, one.length, one.is_low, one.n, one.n_bad) for one in found] == [
        (one.start_ns, one.length, one.is_low, one.n, one.n_bad) for one in expected
    ]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.mean, other.mean, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(one.squares, other.squares, rtol=1e-11, atol=1e-13)
        assert one.integral_squares == pytest.approx(other.integral_squares, rel=1e-11)
        assert (one.first_ns, one.last_ns, one.severity) == (other.first_ns, other.last_ns, other.severity)
        assert (one.integral_min, one.integral_max) == (other.integral_min, other.integral_max)


def test_a_minute_is_averaged_when_its_segment_is_sealed(waves):
    posted = fill(waves, 59)
    (found,) = waves.minutes()
    assert (found.start_ns, found.length, found.n, found.n_bad, found.is_low) == (START_NS, 4, 59, 0, False)
    np.testing.assert_allclose(found.mean, posted.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.rms, posted.std(axis=0), rtol=1e-12)
    assert found.integral_mean == pytest.approx(posted.sum(axis=1).mean(), rel=1e-12)
    assert (found.first_ns, found.last_ns) == (START_NS + SECOND_NS, START_NS + 59 * SECOND_NS)
    (path,) = waves.files()
    assert path == "wave/2026-11-22/float32-array-0-00000000.parquet"
    assert waves.files("raw"), "the samples are there as before"


def test_a_minute_that_lies_in_several_files_is_one(waves, tmp_path):
    fill(waves, 150, seal_every=7)
    whole = WaveBench(tmp_path / "other")
    whole.start()
    whole.emit(whole.connect("TRACE"))
    fill(whole, 150)
    whole.writer.close()
    assert_same(waves.minutes(), whole.minutes())
    assert len(waves.files()) > 20
    waves.clock.advance(50 * 86_400)
    waves.compact()
    assert waves.files() == [path for path in waves.files() if path.startswith("wave/2026-11/")]
    assert len(waves.files()) == 1
    assert_same(waves.minutes(), whole.minutes())
    table = pq.read_table(waves.folder / waves.files()[0])
    assert table.num_rows == 3, "merged: a minute is a row"


def test_what_is_not_sealed_yet_is_averaged_when_it_is_asked_for(waves):
    fill(waves, 20)
    waves.clock.advance(1)
    waves.post(SHAPE)
    waves.commit()
    assert [one.n for one in waves.minutes()] == [20]
    assert [one.n for one in waves.minutes(recent=TraceRule())] == [21]


def test_averages_stay_when_the_samples_go(waves):
    fill(waves, 300, step_s=60, seal_every=10)
    before = waves.minutes()
    assert len(before) == 300
    waves.clock.advance(3600)
    waves.compact({"TRACE": 2 * HOUR_NS})
    kept = waves.reader().read("TRACE", 0, 2**62)["kind"].to_pylist().count("sample")
    assert 0 < kept < 200
    assert_same(waves.minutes(), before)
    waves.clock.advance(70 * 86_400)
    waves.compact({"TRACE": 2 * HOUR_NS})
    assert not waves.files("raw")
    assert_same(waves.minutes(), before)
    assert {path.split("/")[1] for path in waves.files()} == {"2026-11"}
    assert verify_archive(waves.folder).is_intact


def test_the_averages_of_a_day_are_merged_though_its_samples_went_before(waves):
    fill(waves, 40, step_s=60, seal_every=8)
    before = waves.minutes()
    waves.clock.advance(2 * 86_400)
    waves.compact({"TRACE": HOUR_NS})  # the samples go, as whole files
    waves.compact({"TRACE": HOUR_NS})
    assert all("-m" in path for path in waves.files())
    assert_same(waves.minutes(), before)


def test_samples_for_ever_and_averages_are_merged_together(waves):
    fill(waves, 30, step_s=60, seal_every=5)
    before = waves.minutes()
    waves.compact(is_all=True)
    assert_same(waves.minutes(), before)
    assert waves.reader().read("TRACE", 0, 2**62)["kind"].to_pylist().count("sample") == 30


def test_trips_bad_ones_and_other_lengths_stand_apart(waves):
    good = [(SHAPE, 0), (SHAPE * 2, 1), (SHAPE * 0.1, 0), (SHAPE[:2], 2)]
    bad = [(SHAPE * np.nan, 0), ([np.inf, -np.inf, 0, 0], 0), (SHAPE * 99, 3), ([], 0)]
    for value, severity in (*good, *bad):
        waves.clock.advance(1)
        waves.post(value, severity=severity)
    waves.commit()
    waves.seal()
    empty, short, high, low = waves.minutes()
    assert (empty.length, empty.n, empty.n_bad, empty.mean.size) == (0, 0, 1, 0)
    assert (short.length, short.n, short.severity) == (2, 1, 2)
    assert (high.n, high.n_bad, high.is_low, high.severity) == (2, 3, False, 3)
    np.testing.assert_allclose(high.mean, SHAPE * 1.5)
    assert (low.n, low.n_bad, low.is_low, low.severity) == (1, 0, True, 0)
    np.testing.assert_allclose(low.mean, SHAPE * 0.1, rtol=1e-6)


def test_a_part_of_a_minute_that_is_all_trips_does_not_join_the_others(waves):
    for factor in (1.0, 1.1, 1.0, 0.1, 0.1):
        waves.clock.advance(1)
        waves.post(SHAPE * factor)
        waves.commit()
        waves.seal()
    high, low = waves.minutes()
    assert [(high.n, high.is_low), (low.n, low.is_low)] == [(3, False), (2, True)]
    waves.compact(is_all=True)
    assert [(one.n, one.is_low) for one in waves.minutes()] == [(3, False), (2, True)]


@pytest.mark.parametrize(
    ("value_type", "values"),
    [(ValueType.FLOAT64_ARRAY, [[1.5, 2.5], [2.5, 4.5]]), (ValueType.INT32_ARRAY, [[2, 3], [3, 4]])],
)
def test_arrays_of_every_kind_of_number(waves, value_type, values):
    for value in values:
        waves.clock.advance(1)
        waves.post(value, value_type)
    waves.commit()
    waves.seal()
    (found,) = waves.minutes()
    np.testing.assert_array_equal(found.mean, np.mean(values, axis=0))


def test_only_what_a_rule_names_is_averaged(waves):
    waves.emit(waves.connect("OTHER"))
    waves.clock.advance(1)
    waves.post(SHAPE, pv="OTHER")
    waves.post(["a"], ValueType.STRING_ARRAY)
    waves.commit()
    waves.seal()
    assert waves.files() == []
    assert waves.reader().traces.minutes("OTHER", 0, 2**62) == []


def test_imported_and_late_samples_join_their_minute(waves):
    fill(waves, 10)
    times_ns = START_NS + np.array([500, 1500, 70_000], dtype=np.int64) * 1_000_000
    rows = ImportedRows(
        "TRACE",
        ValueType.FLOAT32_ARRAY,
        times_ns,
        pa.array([SHAPE.tolist()] * 3, pa.list_(pa.float32())),
        np.zeros(3, dtype=np.int8),
        np.zeros(3, dtype=np.int16),
        source="test",
    )
    waves.clock.advance(300)
    with open_importer(waves.folder, waves.clock, rules=RULES) as importer:
        importer.store(rows)
    assert [one.n for one in waves.minutes()] == [12, 1]
    waves.compact(is_all=True)
    assert [one.n for one in waves.minutes()] == [12, 1]


def test_samples_that_went_and_are_imported_again_count_once(waves):
    posted = fill(waves, 180, seal_every=30)
    before = waves.minutes()
    waves.clock.advance(86_400)
    waves.compact({"TRACE": HOUR_NS})
    assert not waves.files("raw")
    n = len(posted)
    again = ImportedRows(
        "TRACE",
        ValueType.FLOAT32_ARRAY,
        START_NS + SECOND_NS * np.arange(1, n + 1),
        pa.array(posted.tolist(), pa.list_(pa.float32())),
        np.zeros(n, dtype=np.int8),
        np.zeros(n, dtype=np.int16),
        source="test",
    )
    for _ in range(2):
        with open_importer(waves.folder, waves.clock, rules=RULES) as importer:
            importer.store(again)
        assert_same(waves.minutes(), before)


def test_bit_rot_is_named_and_the_rest_is_answered(waves):
    fill(waves, 180, seal_every=60)
    # the middle of a file of averages
    path = sorted(waves.folder.glob("wave/*/*.parquet"))[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x10
    path.write_bytes(bytes(data))
    found = verify_archive(waves.folder)
    assert [named for named, _ in found.damaged] == [str(path.relative_to(waves.folder))]
    reader = waves.reader()
    minutes = reader.traces.minutes("TRACE", 0, 2**62)
    assert 60 < sum(one.n for one in minutes) < 180
    assert any(str(path) in damage for damage in reader.damages())


def test_sealing_that_was_killed_is_repeated_with_the_same_minutes(waves):
    fill(waves, 30)
    waves.clock.advance(1)
    waves.post(SHAPE)
    waves.commit()
    segment = waves.writer.recorder.rotate()

    def die(*args: object) -> None:
        raise KeyboardInterrupt

    sealer = waves.writer.sealer
    index, sealer._index = sealer._index, type("Dead", (), {"load": sealer._index.load, "seal": die})()
    with pytest.raises(KeyboardInterrupt):
        sealer.seal(segment)
    sealer._index = index
    assert len(list(waves.folder.glob("wave/*/*.parquet"))) == 2, "written, and not in the index"
    assert sum(one.n for one in waves.minutes()) == 30
    waves.die()
    waves.start()
    assert sum(one.n for one in waves.minutes()) == 31
    assert verify_archive(waves.folder).unindexed == ()


def test_a_year_of_days_is_merged_in_pieces(waves, monkeypatch):
    monkeypatch.setattr("nualley.archive.waves._GROUP_B", 200)
    fill(waves, 60, step_s=30, seal_every=6)
    before = waves.minutes()
    waves.clock.advance(DAY_NS // SECOND_NS * 60)
    waves.compact()
    (path,) = waves.files()
    assert pq.ParquetFile(waves.folder / path).num_row_groups > 5
    assert_same(waves.minutes(), before)


def test_columns_are_those_of_the_page(waves):
    fill(waves, 5)
    table = pq.read_table(waves.folder / waves.files()[0])
    page = (Path(__file__).parents[3] / "docs" / "reference" / "archive-files.md").read_text()
    section = page.partition("## Averages of arrays")[2].partition("\n## ")[0]
    assert all(f"`{name}`" in section for name in table.schema.names)


def test_the_policy_says_whether(bench):
    assert not PvPolicy().is_averaged
    assert PvPolicy(retention_h=6).is_averaged
    assert not PvPolicy(retention_h=6, average=False).is_averaged
    assert PvPolicy(average=True).is_averaged
    assert PvPolicy().veto_fraction == VETO_FRACTION
    for wrong in ({"veto_fraction": 1.5}, {"align_to_sample": -1.0}):
        with pytest.raises(ValueError, match=json.dumps(next(iter(wrong))).strip('"')):
            PvPolicy(**wrong)


def test_a_reader_that_nobody_told_of_rules_sees_what_is_kept(waves):
    fill(waves, 5)
    assert total(open_archive_reader(waves.folder, waves.clock).traces.minutes("TRACE", 0, 2**62))[0] == 5
