"""Turns of the calendar and of a PV's life: years, leap days, edges of files, another type or unit in mid-life."""

import pytest

from nualley.app.archive import open_archive_writer, open_compactor
from nualley.core import DAY_NS, SECOND_NS, parse_time_ns
from nualley.pv import Metadata, ValueType
from tests.unit.archive.conftest import ArchiveBench, StandingClock

TURNS = ("2023-12-31T00:00:00Z", "2024-02-28T00:00:00Z", "2023-02-28T00:00:00Z", "2026-03-29T00:00:00Z")


@pytest.fixture(params=TURNS)
def turned(tmp_path, request):
    """Return an archive with a sample each 6 h over three days, one exactly at each midnight, and their begin."""
    begin_ns = parse_time_ns(request.param, 0)
    bench = ArchiveBench(tmp_path / "archive", StandingClock(begin_ns))
    bench.start()
    bench.emit(bench.connect("P"))
    for number in range(13):
        bench.clock.time_ns = begin_ns + number * 6 * 3600 * SECOND_NS
        bench.emit(bench.sample("P", float(number)), bench.life())
        bench.commit()
        if number % 3 == 2:
            bench.seal()
    bench.seal()
    return bench, begin_ns


def samples(bench, start_ns, stop_ns):
    table = bench.reader().read("P", start_ns, stop_ns)
    columns = zip(table["kind"].to_pylist(), table["time_ns"].to_pylist(), table["value"].to_pylist(), strict=True)
    return [(time_ns, value) for kind, time_ns, value in columns if kind == "sample"]


@pytest.mark.parametrize("is_compacted", [False, True])
def test_turns_of_the_calendar_lose_and_double_nothing(turned, is_compacted):
    bench, begin_ns = turned
    if is_compacted:
        bench.clock.advance(70 * 86400)
        compactor = open_compactor(bench.folder, bench.clock)
        for _ in range(3):
            for job in compactor.due():
                compactor.run(job)
        assert not list((bench.folder / "day").rglob("*.parquet"))
    assert [value for _, value in samples(bench, begin_ns, begin_ns + 4 * DAY_NS)] == [float(n) for n in range(13)]
    for day in range(1, 3):
        edge_ns = begin_ns + day * DAY_NS
        assert samples(bench, edge_ns, edge_ns + 1) == [(edge_ns, 4.0 * day)], "it is in what it begins"
        assert samples(bench, edge_ns - 1, edge_ns)[-1] == (edge_ns - 6 * 3600 * SECOND_NS, 4.0 * day - 1)
        before = samples(bench, edge_ns + SECOND_NS, edge_ns + 2 * SECOND_NS)
        assert before == [(edge_ns, 4.0 * day)], "the one before comes first"
        bins = bench.reader().bins("P", edge_ns - DAY_NS, edge_ns + DAY_NS, 2, is_exact=True)
        assert bins["n"].to_pylist() == [4, 4 if day < 3 else 1]
        assert bins["first"].to_pylist() == [4.0 * day - 4, 4.0 * day]


def test_a_pv_that_changes_its_type_and_unit_in_mid_life(bench):
    bench.emit(bench.connect("P"), Metadata("P", bench.clock.time_ns, ValueType.FLOAT64, unit="mbar"))
    story = [(1.5, ValueType.FLOAT64), ("open", ValueType.STRING), (3, ValueType.INT64), (2.5, ValueType.FLOAT64)]
    start_ns = bench.clock.time_ns
    for value, value_type in story:
        if value_type is not ValueType.FLOAT64:
            bench.emit(Metadata("P", bench.clock.time_ns, value_type))
        bench.emit(bench.sample("P", value, value_type), bench.life())
        bench.clock.advance(60)
        bench.seal()
    bench.emit(Metadata("P", bench.clock.time_ns, ValueType.FLOAT64, unit="hPa"))
    bench.commit()
    bench.die()
    bench.writer = open_archive_writer(bench.folder, clock=bench.clock)
    reader = bench.reader()
    values = [value for _, value in samples(bench, start_ns, bench.clock.time_ns)]
    assert values == ["1.5", "open", "3", "2.5"], "all of it, as text"
    numbers = reader.read("P", start_ns + 120 * SECOND_NS, bench.clock.time_ns)
    assert numbers["value"].drop_null().to_pylist() == [3.0, 2.5]
    bins = reader.bins("P", start_ns, bench.clock.time_ns, 4, is_exact=True)
    assert bins["n"].to_pylist() == [1, 1, 1, 1]
    assert bins["n_good"].to_pylist() == [1, 0, 1, 1], "text is no number"
    assert bins["mean"].to_pylist() == [1.5, None, 3.0, 2.5]
    assert [entry.unit for entry in reader.metadata("P")] == ["mbar", "", "", "hPa"]
    compactor = open_compactor(bench.folder, bench.clock)
    for job in compactor.due(is_all=True):
        assert not compactor.run(job).damage
    assert [value for _, value in samples(bench, start_ns, bench.clock.time_ns)] == values
