"""Compaction: fewer files, the same history; killed anywhere, nothing is lost and nothing is there twice."""

import numpy as np
import pytest

from nualley.app.archive import open_compactor, verify_archive
from nualley.archive import bins
from nualley.archive.adapters.column_files import ParquetFolder
from nualley.archive.adapters.manifest import ManifestFile
from nualley.archive.adapters.sql import SqliteIndex
from nualley.core import DAY_NS, SECOND_NS
from nualley.pv import ValueType
from tests.unit.archive.conftest import ArchiveBench

COLUMNS = ["pv", "time_ns", "value", "severity", "status", "protocol", "kind", "last_heard_ns"]


class Killed(BaseException):
    """What a process feels of kill -9: nothing after it runs."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two and a half days of three PVs of different kinds, sealed every few hours."""
    bench = ArchiveBench(tmp_path_factory.mktemp("recorded") / "archive")
    bench.start()
    generator = np.random.default_rng(3)
    names = {"P": ValueType.FLOAT64, "Q": ValueType.FLOAT64, "W": ValueType.STRING, "A": ValueType.FLOAT32_ARRAY}
    for name in names:
        bench.emit(bench.connect(name))
    for step in range(300):
        bench.clock.advance(720)
        if step == 140:
            bench.emit(bench.disconnect("P", bench.clock.time_ns - 50 * SECOND_NS))
        if step == 143:
            bench.emit(bench.connect("P"))
        bench.emit(
            bench.sample("P", round(float(generator.normal(10, 1)), 1), severity=int(step % 50 == 3) * 3),
            bench.sample("Q", float(generator.normal())),
            bench.sample("W", f"word {step % 7}", ValueType.STRING),
            bench.sample("A", generator.normal(size=step % 4).astype(np.float32), ValueType.FLOAT32_ARRAY),
            bench.life(),
        )
        bench.commit()
        if step % 20 == 0:
            bench.seal()
    bench.seal()
    return bench


@pytest.fixture
def told(recorded, tmp_path):
    return recorded.copied(tmp_path / "archive")


def history(bench):
    reader = bench.reader()
    stretch = (bench.clock.time_ns - 10 * DAY_NS, bench.clock.time_ns + DAY_NS)
    tables = [reader.history(pv, *stretch).select(COLUMNS).to_pylist() for pv in "PQWA"]
    cells = [reader.bins(pv, *stretch, n).to_pylist() for pv in "PQ" for n in (3, 40)]
    assert reader.damages() == []
    return tables, cells


def assert_told_as_before(bench, before):
    tables, cells = history(bench)
    for found, expected in zip(tables, before[0], strict=True):
        assert [row for row in found if row not in expected] == []
        assert [row for row in expected if row not in found] == []
        assert found == expected
    for found, expected in zip(cells, before[1], strict=True):
        # sums and integrals of parts are rounded in another order
        assert found == [
            {name: pytest.approx(value) if isinstance(value, float) else value for name, value in row.items()}
            for row in expected
        ]


def compact(bench, *, is_all=False):
    compactor = open_compactor(bench.folder, bench.clock)
    return [compactor.run(job) for job in compactor.due(is_all=is_all)]


def files_on_disk(bench):
    return {str(path.relative_to(bench.folder)) for path in bench.folder.rglob("*.parquet")}


def indexed(bench):
    return {file.path for file in bench.reader().snapshot().files}


def test_days_become_one_file_and_months_another(told, monkeypatch):
    monkeypatch.setattr(bins, "LARGEST_RAW_ROWS", 0)
    before = history(told)
    done = compact(told)
    assert {found.job.folder for found in done} == {"day/2026-11-23", "day/2026-11-24"}
    assert_told_as_before(told, before)
    told.clock.advance(40 * 86_400)
    assert {found.job.folder for found in compact(told)} == {"month/2026-11"}
    told.clock.advance(-40 * 86_400)
    assert_told_as_before(told, before)
    assert all(path.split("/")[-2] == "2026-11" for path in indexed(told))
    assert files_on_disk(told) == indexed(told)
    assert compact(told, is_all=True) == [], "nothing is left to do"


def test_what_is_kept_for_good_is_written_in_what_is_smaller(told):
    compact(told, is_all=True)
    raw = sorted(path for path in indexed(told) if path.startswith("month/") and "float64-" in path)
    assert [path.split("/")[-1].rsplit("-", 1)[0] for path in raw] == ["float64-dict", "float64-split"]
    table = told.reader().read("Q", 0, 2**62)
    assert table["received_ns"].to_pylist()[-1] == table["time_ns"].to_pylist()[-1]


@pytest.mark.parametrize("at", ["finish", "note", "replace", "remove"])
def test_killed_at_any_step_nothing_is_lost_or_doubled(told, monkeypatch, at):
    monkeypatch.setattr(bins, "LARGEST_RAW_ROWS", 0)
    before = history(told)
    owner = {"finish": ParquetFolder, "note": ManifestFile, "replace": SqliteIndex, "remove": ParquetFolder}[at]
    name = {"finish": "begin"}.get(at, at)
    step, calls = getattr(owner, name), []

    def die(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 3 or at in ("note", "replace"):
            raise Killed
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, die)
        with pytest.raises(Killed):
            compact(told, is_all=True)
    assert_told_as_before(told, before)
    compact(told, is_all=True)
    assert_told_as_before(told, before)
    assert files_on_disk(told) == indexed(told), "what a killed process left behind is gone"


def test_a_damaged_file_keeps_its_period_as_it_is(told):
    path = next(iter(sorted((told.folder / "day" / "2026-11-23").glob("float64-*.parquet"))))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    done = compact(told)
    assert [found.job.folder for found in done if str(path) in found.damage] == ["day/2026-11-23"]
    path.write_bytes(whole)
    assert [found.damage for found in compact(told)] == [""]


def test_a_file_that_another_process_replaced_is_left_to_it(told):
    from nualley.archive.errors import ReplacedError

    compactor = open_compactor(told.folder, told.clock)
    job = compactor.due()[0]
    compact(told)
    with pytest.raises((ReplacedError, FileNotFoundError)):
        compactor.run(job)
    assert files_on_disk(told) >= indexed(told)


def test_what_is_merged_or_sealed_while_it_is_verified_is_not_missing(told):
    """Reading every byte takes hours; the archive goes on meanwhile."""
    told.start()
    steps = []

    def go_on(_done_B, _all_B):
        if not steps:
            compact(told, is_all=True)
            told.emit(told.sample("P", 1.0))
            told.seal()
        steps.append(1)

    found = verify_archive(told.folder, go_on)
    assert (found.damaged, found.missing, found.unindexed) == ((), (), ())
    (path, *_) = sorted(told.folder.glob("month/*/float64-*.parquet"))
    path.unlink()
    assert verify_archive(told.folder).missing == (str(path.relative_to(told.folder)),)
