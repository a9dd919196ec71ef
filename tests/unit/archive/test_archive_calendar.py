"""Turns of the calendar and of a PV's life: years, leap days, edges of files, another type or unit in mid-life."""

import io

import pytest

from nualley.app.archive import open_archive_writer, open_compactor
from nualley.app.exports import export_appliance, export_rows
from nualley.archive.appliance.files import Damage, read_events
from nualley.core import DAY_NS, SECOND_NS, UsageError, parse_time_ns
from nualley.pv import Metadata, ValueType
from tests.unit.archive.conftest import ArchiveBench, StandingClock

# turns of years (of 2016 with a leap second), leap days and none, a day of 23 h in Europe
TURNS = (
    "2023-12-31T00:00:00Z",
    "2016-12-31T00:00:00Z",
    "2024-02-28T00:00:00Z",
    "2028-02-28T00:00:00Z",
    "2023-02-28T00:00:00Z",
    "2026-03-29T00:00:00Z",
)


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


# ------------------------------------------------------------------ months without a sample
LAST_NS = parse_time_ns("2023-11-30T23:59:59.999999999Z", 0)  # the last moment of a month
NEXT_NS = parse_time_ns("2025-02-01T00:00:00Z", 0)  # the first of another
HOUR_NS = 3600 * SECOND_NS
EDGES = [
    parse_time_ns(text, 0)
    for text in (
        "2023-12-01T00:00:00Z",
        "2023-12-31T23:59:59.999999999Z",
        "2024-01-01T00:00:00Z",
        "2024-02-29T00:00:00Z",
        "2024-02-29T23:59:59.999999999Z",
        "2024-03-01T00:00:00Z",
        "2025-01-01T00:00:00Z",
        "2025-01-31T23:59:59.999999999Z",
    )
]


@pytest.fixture(params=["log", "days", "months"])
def sparse(tmp_path, request):
    """Return an archive of a PV that said nothing for fourteen months, and lived."""
    bench = ArchiveBench(tmp_path / "archive", StandingClock(LAST_NS - 10))
    bench.start()
    bench.emit(bench.connect("P"), bench.sample("P", 1.0))
    for time_ns, value in ((LAST_NS, 2.0), (NEXT_NS, 3.0), (NEXT_NS + 10, 4.0)):
        bench.clock.time_ns = time_ns
        bench.emit(bench.sample("P", value), bench.life())
        bench.commit()
        if request.param != "log":
            bench.seal()
    bench.clock.advance(40 * 86_400)
    bench.emit(bench.life())
    bench.commit()
    if request.param == "months":
        compactor = open_compactor(bench.folder, bench.clock)
        for _ in range(2):
            for job in compactor.due():
                assert not compactor.run(job).damage
        assert {path.parent.name for path in bench.folder.glob("month/*/*")} == {"2023-11", "2025-02"}
    return bench


@pytest.mark.parametrize("edge_ns", EDGES)
def test_the_sample_before_is_found_over_months_and_at_their_edges(sparse, edge_ns):
    assert samples(sparse, edge_ns, edge_ns + HOUR_NS)[0] == (LAST_NS, 2.0)
    (found,) = sparse.reader().at(["P"], edge_ns)
    assert (found.time_ns, found.value, found.is_known) == (LAST_NS, 2.0, True)
    bins = sparse.reader().bins("P", edge_ns - HOUR_NS, edge_ns, 2, is_exact=True)
    n_before = 1 if edge_ns - HOUR_NS <= LAST_NS else 0
    assert sum(bins["n"].to_pylist()) == n_before + (edge_ns - HOUR_NS <= LAST_NS - 10)
    if not n_before:
        assert bins["time_mean"].to_pylist() == [2.0, 2.0], "it holds though nothing came"


def test_edges_are_half_open_to_the_nanosecond(sparse):
    for time_ns, value, before in ((LAST_NS, 2.0, (LAST_NS - 10, 1.0)), (NEXT_NS, 3.0, (LAST_NS, 2.0))):
        assert samples(sparse, time_ns, time_ns + 1) == [(time_ns, value)]
        assert samples(sparse, time_ns - 1, time_ns) == [before]
        assert samples(sparse, time_ns - 1, time_ns + 1) == [before, (time_ns, value)]
        assert samples(sparse, time_ns + 1, time_ns + 2) == [(time_ns, value)]
        for shift_ns in (-1, 0, 1):
            (found,) = sparse.reader().at(["P"], time_ns + shift_ns)
            assert (found.time_ns, found.value) == (before if shift_ns < 0 else (time_ns, value))
        for edge_ns, counts in ((time_ns, [0, 1]), (time_ns + 1, [1, 0])):
            bins = sparse.reader().bins("P", edge_ns - 5, edge_ns + 5, 2, is_exact=True)
            assert bins["n"].to_pylist() == counts
    everything = sparse.reader().bins("P", LAST_NS - 10, NEXT_NS + 11, 7, is_exact=True)
    assert sum(everything["n"].to_pylist()) == 4


def test_a_leap_second_is_told_what_to_write_instead():
    with pytest.raises(UsageError, match="23:59:60") as caught:
        parse_time_ns("2016-12-31T23:59:60Z", 0)
    assert caught.value.do


# ------------------------------------------------------------------ everything that a PV can become
STORY = [
    (1.5, ValueType.FLOAT64, "mbar", 1.5),
    ("open", ValueType.STRING, "", "open"),
    ([1.0, 2.0], ValueType.FLOAT64_ARRAY, "V", [1.0, 2.0]),
    (1, ValueType.ENUM, "", "on"),
    (7, ValueType.INT64, "", 7),
    (2.5, ValueType.FLOAT64, "hPa", 2.5),
]


@pytest.mark.parametrize("state", ["log", "sealed", "merged"])
def test_each_type_in_turn_is_read_binned_and_exported(bench, state):
    bench.emit(bench.connect("P"))
    start_ns = bench.clock.time_ns
    for value, value_type, unit, shown in STORY:
        labels = ("off", "on") if value_type is ValueType.ENUM else ()
        now_ns = bench.clock.time_ns
        bench.emit(Metadata("P", now_ns, value_type, unit=unit, labels=labels), bench.sample("P", value, value_type))
        bench.emit(bench.life())
        bench.commit()
        (found,) = bench.reader().at(["P"], now_ns)
        assert found.value == shown
        assert bench.reader().last(["P"])[0].value == shown
        bench.clock.advance(60)
        if state != "log":
            bench.seal()
    if state == "merged":
        compactor = open_compactor(bench.folder, bench.clock)
        for job in compactor.due(is_all=True):
            assert not compactor.run(job).damage
    stop_ns, reader = bench.clock.time_ns, bench.reader()
    texts = ["1.5", "open", "[1.0, 2.0]", "1", "7", "2.5"]
    assert [value for _, value in samples(bench, start_ns, stop_ns)] == texts
    assert [entry.unit for entry in reader.metadata("P")] == ["mbar", "", "V", "", "", "hPa"]
    bins = reader.bins("P", start_ns, stop_ns, 6, is_exact=True)
    assert bins["n"].to_pylist() == [1] * 6
    assert bins["n_good"].to_pylist() == [1, 0, 0, 1, 1, 1], "text and arrays are no numbers"
    for file_format in ("csv", "arrow", "parquet"):
        sink = io.BytesIO()
        pieces = list(reader.pieces("P", start_ns, stop_ns, most_rows=1))
        assert export_rows(reader, "P", pieces, file_format=file_format, sink=sink) == len(texts) + 1
    ((path, n),) = export_appliance(reader, "P", start_ns, stop_ns, bench.folder / "pb")
    assert n == len(texts)
    damage = Damage()
    with path.open("rb") as file:
        (rows,) = read_events(file, "x", damage)
    assert (rows.value.to_pylist(), damage.n_lines) == (texts, 0)
    numbers = samples(bench, start_ns + 200 * SECOND_NS, stop_ns)
    assert [value for _, value in numbers] == [1.0, 7.0, 2.5], "where all are numbers they are read as numbers"
