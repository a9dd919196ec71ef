"""Taking in: nothing twice, nothing believed that cannot be, and known only where somebody recorded."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nualley.app.archive import open_archive_reader, open_compactor, open_importer
from nualley.archive import reader as reader_module
from nualley.archive import taking_in
from nualley.archive.adapters.column_files import ParquetFolder
from nualley.archive.columns import VALUE_TYPES
from nualley.archive.errors import ShardTakenError
from nualley.archive.importing import Bridged, ImportedRows
from nualley.archive.reader import ArchiveReader
from nualley.core import DAY_NS, SECOND_NS, UsageError, format_time, parse_time_ns
from nualley.exposure.adapters.archive import rows_from_table
from nualley.physics import history_from_rows
from nualley.pv import ValueType

JANUARY_NS = parse_time_ns("2024-01-01T00:00:00Z", 0)
_ALL_NS = (-(2**62), 2**62)


def rows_of(pv, times_ns, values, value_type=ValueType.FLOAT64, links=(), **changes):
    n = len(times_ns)
    return ImportedRows(
        pv=pv,
        value_type=value_type,
        time_ns=np.array(times_ns, dtype=np.int64),
        value=pa.array(values, VALUE_TYPES[value_type]),
        severity=np.zeros(n, dtype=np.int8),
        status=np.zeros(n, dtype=np.int16),
        links=tuple(links),
        **changes,
    )


def take_in(folder, clock, *parts):
    with open_importer(folder, clock) as importer:
        for part in parts:
            importer.store(part)
    counts = importer.counts
    assert counts.received == counts.stored + counts.quarantined + counts.filtered
    return counts


def samples(reader, pv):
    return [row["value"] for row in reader.read(pv, 0, 2**62).to_pylist() if row["kind"] == "sample"]


def known_s(reader, pv, start_ns, stop_ns):
    rows = rows_from_table(reader.history(pv, start_ns, stop_ns))
    history = history_from_rows(rows, alive_until_ns=reader.alive_until_ns(pv), start_ns=start_ns, stop_ns=stop_ns)
    return history.known.duration_ns / SECOND_NS


def test_a_year_of_another_archive(tmp_path, bench):
    folder = tmp_path / "other"
    times_ns = JANUARY_NS + np.arange(366) * DAY_NS  # a leap year
    counts = take_in(folder, bench.clock, rows_of("OLD", times_ns, np.arange(366.0), unit="kW", precision=1))
    assert (counts.stored, counts.pvs) == (366, {"OLD"})
    reader = open_archive_reader(folder, bench.clock)
    table = reader.read("OLD", JANUARY_NS, JANUARY_NS + 400 * DAY_NS)
    assert samples(reader, "OLD") == list(range(366))
    assert set(table["protocol"].to_pylist()) == {"import"}
    assert reader.record("OLD").metadata.unit == "kW"
    assert reader.ledger().received == reader.ledger().stored == 366
    # a value holds to the next sample, however long, and is known no longer than it was recorded
    assert known_s(reader, "OLD", JANUARY_NS - DAY_NS, JANUARY_NS + 400 * DAY_NS) == pytest.approx(365 * 86_400)
    assert {path.parent.name for path in folder.glob("month/*/*")} == {f"2024-{month:02d}" for month in range(1, 13)}


def test_what_is_stored_already_is_filtered(bench):
    bench.emit(bench.connect("P"), bench.sample("P", 1.0))
    bench.commit()
    t0 = bench.clock.time_ns
    rows = rows_of("P", [t0, t0, t0 - SECOND_NS, t0 - SECOND_NS], [1.0, 2.0, 0.5, 0.5])
    counts = take_in(bench.folder, bench.clock, rows)
    assert (counts.received, counts.stored, counts.filtered) == (4, 2, 2)
    again = take_in(bench.folder, bench.clock, rows)
    assert (again.stored, again.filtered) == (0, 4)
    assert samples(bench.reader(), "P") == [0.5, 2.0, 1.0], "of one moment, what was heard live is the last"
    ledger = bench.reader().ledger()
    assert ledger.is_balanced
    assert (ledger.stored, ledger.filtered) == (3, 6)


def test_stamps_that_no_archive_should_believe_are_quarantined(bench):
    now_ns = bench.clock.time_ns
    times_ns = [631_152_000 * SECOND_NS, 100 * SECOND_NS, now_ns + 7200 * SECOND_NS, now_ns]
    counts = take_in(bench.folder, bench.clock, rows_of("X", times_ns, [1.0, 2.0, 3.0, 4.0]))
    assert (counts.stored, counts.quarantined) == (1, 3)
    (path,) = [p for p in bench.folder.glob("quarantine/*/*.parquet") if "1970-" in str(p)]
    assert "import" in path.name
    assert samples(bench.reader(), "X") == [4.0]


def test_imported_gaps_are_rows(bench):
    at = [JANUARY_NS + i * SECOND_NS for i in range(10)]
    links = [(at[3] + 1, "disconnect"), (at[6] - 1, "reconnect")]
    take_in(bench.folder, bench.clock, rows_of("L", [*at[:4], *at[6:]], [0.0] * 8, links=links))
    reader = bench.reader()
    kinds = reader.read("L", at[0], at[9] + 1)["kind"].to_pylist()
    assert kinds.count("disconnect") == kinds.count("reconnect") - 1 == 1
    # from the first sample to the last, without the time between: a nanosecond behind and before is the links' own
    assert known_s(reader, "L", at[0], at[9] + 1) == pytest.approx(3 + 3 + 1e-9 * 2, abs=1e-6)


def test_of_several_samples_of_one_stamp_none_is_taken_in_again(bench):
    rows = rows_of("P", [JANUARY_NS] * 3 + [JANUARY_NS + 5] * 2, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert take_in(bench.folder, bench.clock, rows).stored == 5
    again = take_in(bench.folder, bench.clock, rows)
    assert (again.stored, again.filtered) == (0, 5)


@pytest.mark.parametrize("most_rows", [1, 2, 3])
def test_of_several_samples_of_one_stamp_each_is_in_one_piece(bench, most_rows):
    times_ns = [JANUARY_NS + 4 * number for number in range(4) for _ in range(3)]
    values = [float(number) for number in range(12)]
    take_in(bench.folder, bench.clock, rows_of("P", times_ns, values))
    reader = open_archive_reader(bench.folder, bench.clock)
    pieces = list(reader.pieces("P", JANUARY_NS - 4, JANUARY_NS + 16, most_rows))
    assert len(pieces) == -(-12 // most_rows)
    found = [row["value"] for piece in pieces for row in piece.to_pylist() if row["kind"] == "sample"]
    assert found == values


def test_a_second_import_says_of_a_lost_connection_nothing_again(bench):
    at = [JANUARY_NS + i * SECOND_NS for i in range(10)]
    links = [(at[3] + 1, "disconnect"), (at[6] - 1, "reconnect"), (at[6] - 1, "reconnect")]
    rows = rows_of("L", [*at[:4], *at[6:]], [0.0] * 8, links=links)
    take_in(bench.folder, bench.clock, rows)
    before = bench.reader().read("L", *_ALL_NS).to_pylist(), bench.reader().record("L").n_gaps
    assert (before[1], [row["kind"] for row in before[0]].count("reconnect")) == (1, 2)
    for _ in range(2):
        take_in(bench.folder, bench.clock, rows)
        assert (bench.reader().read("L", *_ALL_NS).to_pylist(), bench.reader().record("L").n_gaps) == before
    # of the same source, more came meanwhile: what it says of that alone is new
    more = rows_of("L", [at[9] + 90], [1.0], links=[*links, (at[9] + 50, "disconnect"), (at[9] + 60, "reconnect")])
    take_in(bench.folder, bench.clock, more)
    assert bench.reader().record("L").n_gaps == 2
    kinds = [row.kind.name for row in bench.reader().connections("L", *_ALL_NS)]
    assert kinds == ["RECONNECT", *["DISCONNECT", "RECONNECT"] * 2, "GAP"]


def test_a_reconnect_that_only_an_import_implied_is_told_by_one_that_says_it(bench):
    at = [JANUARY_NS + i * SECOND_NS for i in range(10)]
    take_in(bench.folder, bench.clock, rows_of("L", at[5:], [0.0] * 5))
    links = [(at[2], "disconnect"), (at[5], "reconnect")]
    take_in(bench.folder, bench.clock, rows_of("L", at[:2], [0.0] * 2, links=links))
    assert known_s(bench.reader(), "L", at[0], at[9] + 1) == pytest.approx(2 + 4, abs=1e-6)


def test_import_fills_a_gap_and_nothing_else(bench):
    t0 = bench.clock.time_ns
    bench.emit(bench.connect("P"), bench.sample("P", 1.0), bench.life())
    bench.clock.advance(100)
    bench.emit(bench.disconnect("P", t0 + 50 * SECOND_NS))
    bench.clock.advance(1000)
    bench.emit(bench.connect("P"), bench.sample("P", 2.0), bench.life())
    bench.commit()
    span = t0, bench.clock.time_ns
    assert known_s(bench.reader(), "P", *span) == pytest.approx(50)
    inside = [t0 + s * SECOND_NS for s in (300, 400, 600)]
    take_in(bench.folder, bench.clock, rows_of("P", inside, [5.0, 6.0, 7.0]))
    assert known_s(bench.reader(), "P", *span) == pytest.approx(50 + 300)
    # what comes later in the same stretch goes on where the first import ended
    take_in(bench.folder, bench.clock, rows_of("P", [t0 + 800 * SECOND_NS], [8.0]))
    assert known_s(bench.reader(), "P", *span) == pytest.approx(50 + 500)
    take_in(bench.folder, bench.clock, rows_of("P", [t0 + 200 * SECOND_NS], [4.0]))
    assert known_s(bench.reader(), "P", *span) == pytest.approx(50 + 600)


def gaps_of(reader, pv, start_ns, stop_ns):
    return [(gap.start_ns, gap.stop_ns, gap.kind) for gap in reader.gaps(pv, start_ns, stop_ns)]


def test_between_an_import_and_what_was_heard_live_the_value_is_unknown(bench):
    t0 = bench.clock.time_ns
    bench.emit(bench.connect("P"), bench.sample("P", 1.0), bench.life())
    bench.commit()
    first, second = ([JANUARY_NS + day * DAY_NS for day in days] for days in ((0, 1), (30, 31)))
    assert take_in(bench.folder, bench.clock, rows_of("P", first, [1.0, 2.0])).bridged == []
    assert gaps_of(bench.reader(), "P", JANUARY_NS, t0) == [(first[1] + 1, t0, "gap")]
    # a later import goes on: the gap moves behind it, and that is said
    counts = take_in(bench.folder, bench.clock, rows_of("P", second, [3.0, 4.0]))
    assert counts.bridged == [Bridged("P", first[1] + 1, second[0])]
    assert gaps_of(bench.reader(), "P", JANUARY_NS, t0) == [(second[1] + 1, t0, "gap")]
    again = take_in(bench.folder, bench.clock, rows_of("P", [*first, *second], [1.0, 2.0, 3.0, 4.0]))
    assert again.bridged == []
    # and one that comes before
    counts = take_in(bench.folder, bench.clock, rows_of("P", [JANUARY_NS - DAY_NS], [0.0]))
    assert counts.bridged == [Bridged("P", JANUARY_NS - DAY_NS + 1, JANUARY_NS)]
    assert gaps_of(bench.reader(), "P", JANUARY_NS - DAY_NS, t0) == [(second[1] + 1, t0, "gap")]
    # what follows at once bridges nothing
    assert take_in(bench.folder, bench.clock, rows_of("P", [second[1] + 1], [5.0])).bridged == []


def test_one_import_in_pieces_bridges_nothing(bench, monkeypatch):
    monkeypatch.setattr(taking_in, "_FLUSH_ROWS", 2)
    parts = [rows_of("P", [JANUARY_NS + 2 * n, JANUARY_NS + 2 * n + 1], [1.0, 2.0]) for n in (0, 2, 1)]
    assert take_in(bench.folder, bench.clock, *parts).bridged == []
    assert gaps_of(bench.reader(), "P", JANUARY_NS, JANUARY_NS + 7) == [(JANUARY_NS + 6, JANUARY_NS + 7, "gap")]


def test_a_pv_whose_type_changed_within_an_import_is_one_recording(bench):
    at = [JANUARY_NS + i * SECOND_NS for i in range(4)]
    words = rows_of("P", at[2:], ["on", "off"], ValueType.STRING)
    take_in(bench.folder, bench.clock, rows_of("P", at[:2], [0.0, 1.0]), words)
    assert gaps_of(bench.reader(), "P", at[0], at[3] + 1) == []


def test_behind_an_imported_reconnect_without_a_later_sample_there_is_one_gap(bench):
    at = [JANUARY_NS + i * SECOND_NS for i in range(10)]
    links = [(at[3], "disconnect"), (at[6], "reconnect")]
    take_in(bench.folder, bench.clock, rows_of("L", at[:3], [0.0] * 3, links=links))
    gaps = gaps_of(bench.reader(), "L", at[0], at[9])
    assert gaps == [(at[3], at[6], "disconnect"), (at[6] + 1, at[9], "gap")]


@settings(max_examples=30)
@given(cut=st.integers(1, 19), order=st.permutations(range(3)))
def test_imports_in_any_order_are_one_history(tmp_path_factory, cut, order):
    folder = tmp_path_factory.mktemp("import")
    clock = _Clock()
    at = [JANUARY_NS + i * 7 * SECOND_NS for i in range(20)]
    edges = sorted({0, cut // 2 or 1, cut, 20})
    parts = [slice(a, b) for a, b in itertools.pairwise(edges)]
    for number in [n for n in order if n < len(parts)]:
        part = parts[number]
        take_in(folder, clock, rows_of("P", at[part], [float(i) for i in range(20)][part]))
    reader = open_archive_reader(folder, clock)
    assert samples(reader, "P") == [float(i) for i in range(20)]
    assert known_s(reader, "P", at[0] - DAY_NS, at[-1] + DAY_NS) == pytest.approx(19 * 7)


class _Clock:
    def now_ns(self):
        return JANUARY_NS + 900 * DAY_NS


def test_words_and_arrays_are_taken_in_and_compacted(bench):
    at = [JANUARY_NS + i * SECOND_NS for i in range(3)]
    words = rows_of("W", at, ["a", "ν", ""], ValueType.STRING)
    arrays = rows_of("A", at, [[1.0], [], [2.0, 3.0]], ValueType.FLOAT32_ARRAY)
    take_in(bench.folder, bench.clock, words, arrays)
    take_in(bench.folder, bench.clock, rows_of("W", [at[2] + 1], ["z"], ValueType.STRING))
    compactor = open_compactor(bench.folder, bench.clock)
    for job in compactor.due(is_all=True):
        assert compactor.run(job).damage == ""
    reader = bench.reader()
    assert {pv: samples(reader, pv) for pv in "WA"} == {"W": ["a", "ν", "", "z"], "A": [[1.0], [], [2.0, 3.0]]}


def test_of_the_quarantine_an_import_reads_what_has_its_stamps(bench, monkeypatch):
    days_ns = [bench.clock.time_ns + day * DAY_NS for day in (10, 20, 30)]
    parts = [rows_of("P", [day_ns, day_ns + 2 * SECOND_NS], [1.0, 2.0]) for day_ns in days_ns]
    take_in(bench.folder, bench.clock, *parts, rows_of("Q", [days_ns[1] + SECOND_NS], [9.0]))
    read = []
    whole = ParquetFolder.read

    def noted(self, group, columns=None):
        read.append((group.path.split("/")[1], columns))
        return whole(self, group, columns)

    monkeypatch.setattr(ParquetFolder, "read", noted)
    day = format_time(days_ns[1])[:10]
    # a new stamp between those that are there: of that day, the stamps tell it; the values of none are read
    between = take_in(bench.folder, bench.clock, rows_of("P", [days_ns[1] + SECOND_NS], [9.0]))
    assert (between.quarantined, between.filtered) == (1, 0)
    assert read == [(day, ["time_ns"])]
    read.clear()
    again = take_in(bench.folder, bench.clock, parts[1])
    assert (again.quarantined, again.filtered) == (0, 2)
    assert read == [(day, ["time_ns"]), (day, ["time_ns", "value", "severity"])]
    # stamps around a file of which none is in it
    read.clear()
    around = [days_ns[0] - SECOND_NS, days_ns[2] + 9 * SECOND_NS]
    assert take_in(bench.folder, bench.clock, rows_of("P", around, [3.0, 3.0])).quarantined == 2
    assert read == []


def test_a_stamp_that_is_doubted_is_no_reason_to_read_what_is_stored(bench, monkeypatch):
    take_in(bench.folder, bench.clock, rows_of("P", [JANUARY_NS, JANUARY_NS + 90 * DAY_NS], [1.0, 2.0]))
    asked = []
    whole = ArchiveReader.read

    def noted(self, pv, *stretch):
        asked.append(stretch)
        return whole(self, pv, *stretch)

    monkeypatch.setattr(ArchiveReader, "read", noted)
    ahead_ns = bench.clock.time_ns + DAY_NS
    rows = rows_of("P", [JANUARY_NS, 631_152_000 * SECOND_NS, ahead_ns], [1.0, 0.0, 0.0])
    assert take_in(bench.folder, bench.clock, rows).filtered == 1
    assert asked == [(JANUARY_NS - 1, JANUARY_NS + 1)]
    asked.clear()
    assert take_in(bench.folder, bench.clock, rows_of("P", [ahead_ns], [5.0])).quarantined == 1
    assert asked == []


def test_what_was_heard_and_kept_aside_is_not_kept_aside_again(bench):
    future_ns = bench.clock.time_ns + DAY_NS
    bench.emit(bench.connect("P"), bench.sample("P", 1.0), bench.connect("Q"), bench.sample("Q", 1.0))
    bench.emit(bench.sample("P", 2.0, time_ns=future_ns))
    bench.commit()
    # of another PV, which is none of its own
    assert take_in(bench.folder, bench.clock, rows_of("Q", [future_ns], [2.0])).quarantined == 1
    for _ in ("in the log", "sealed"):
        counts = take_in(bench.folder, bench.clock, rows_of("P", [future_ns, future_ns], [2.0, 3.0]))
        assert counts.filtered >= 1
        bench.seal()
    assert (counts.filtered, counts.quarantined) == (2, 0)


def test_one_import_at_a_time(bench):
    with (
        open_importer(bench.folder, bench.clock),
        pytest.raises(ShardTakenError),
        open_importer(bench.folder, bench.clock),
    ):
        pass


def test_a_name_that_cannot_be_is_refused(bench):
    with open_importer(bench.folder, bench.clock) as importer, pytest.raises(UsageError, match=r"'\.\./x' cannot"):
        importer.store(rows_of("../x", [JANUARY_NS], [1.0], source="x.csv"))


def test_a_late_sample_in_a_file_that_ends_before_is_the_one_that_holds(tmp_path, bench):
    folder = tmp_path / "other"
    second = [JANUARY_NS + number * SECOND_NS for number in range(101)]
    take_in(folder, bench.clock, rows_of("OLD", [second[1], second[100]], [1.0, 100.0]))
    take_in(folder, bench.clock, rows_of("OLD", [second[50]], [50.0]))
    reader = open_archive_reader(folder, bench.clock)
    assert reader.read("OLD", second[60], second[70])["value"].to_pylist()[0] == 50.0
    assert reader.at(["OLD"], second[60])[0].value == 50.0
    assert reader.read("OLD", second[40], second[45])["value"].to_pylist()[0] == 1.0


def test_a_long_answer_is_read_in_pieces_and_is_the_same(tmp_path, bench, monkeypatch):
    folder = tmp_path / "other"
    times_ns = JANUARY_NS + np.arange(400) * 3600 * SECOND_NS
    take_in(folder, bench.clock, rows_of("OLD", times_ns[::2], np.arange(200.0)))
    take_in(folder, bench.clock, rows_of("OLD", times_ns[1::2], np.arange(200.0) + 0.5))  # between the others
    reader = open_archive_reader(folder, bench.clock)
    stretch = int(times_ns[10]) + 1, int(times_ns[390])
    whole = reader.read("OLD", *stretch)
    parts = []
    monkeypatch.setattr(reader_module, "MOST_ROWS", 50)
    monkeypatch.setattr(reader, "pieces", lambda *asked: parts.append(asked) or ArchiveReader.pieces(reader, *asked))
    assert reader.read("OLD", *stretch).equals(whole)
    assert parts == [("OLD", *stretch, 25)]
