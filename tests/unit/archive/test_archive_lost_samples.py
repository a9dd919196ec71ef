"""Samples in a damaged file are unknown, not what was before them; cells tell of them where these are whole."""

import shutil
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from nualley.app import exports
from nualley.app.archive import open_archive_reader, open_importer
from nualley.archive import bins
from nualley.archive.bins import moved_edges
from nualley.archive.importing import ImportedRows
from nualley.archive.operators import quick
from nualley.core import DAY_NS, SECOND_NS, IntervalSet, parse_time_ns
from nualley.exposure.adapters.archive import rows_from_table
from nualley.physics import history_from_rows
from nualley.pv import ValueType

BEGIN_NS, MARCH_NS, APRIL_NS, END_NS = (parse_time_ns(f"2020-{month:02}-01T00:00:00Z", 0) for month in (2, 3, 4, 5))
STEP_NS = 7200 * SECOND_NS
FIRST_NS = BEGIN_NS + 1810 * SECOND_NS
"""Each sample has another one 20 s behind it: both are in one minute."""
N = (END_NS - BEGIN_NS) // STEP_NS


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported") / "archive"
    time_ns = (FIRST_NS + np.arange(N) * STEP_NS)[:, None] + np.array([0, 20 * SECOND_NS])
    with open_importer(folder) as importer:
        importer.store(
            ImportedRows(
                pv="P",
                value_type=ValueType.FLOAT64,
                time_ns=time_ns.ravel(),
                value=pa.array(np.repeat(np.arange(float(N)), 2) + np.tile([0.0, 0.25], N)),
                severity=np.zeros(2 * N, dtype=np.int8),
                status=np.zeros(2 * N, dtype=np.int16),
            )
        )
    return folder


@pytest.fixture
def folder(imported, tmp_path):
    return shutil.copytree(imported, tmp_path / "archive")


def damage(folder, pattern):
    paths = sorted(folder.glob(pattern))
    assert paths
    for path in paths:
        path.write_bytes(b"PAR1" * 50)
    return [str(path.relative_to(folder)) for path in paths]


RAW, CELLS = "month/2020-03/*.parquet", "tier/*/2020-03/*.parquet"


def approx(rows):
    return [{k: pytest.approx(v) if isinstance(v, float) else v for k, v in row.items()} for row in rows]


@pytest.mark.parametrize("largest_raw", [10**6, 0])
def test_cells_tell_what_a_damaged_file_held(folder, monkeypatch, largest_raw):
    monkeypatch.setattr(bins, "LARGEST_RAW_ROWS", largest_raw)
    stretch = BEGIN_NS, END_NS, 90
    whole = open_archive_reader(folder).bins("P", *stretch).to_pylist()
    (path,) = damage(folder, RAW)
    reader = open_archive_reader(folder)
    assert reader.bins("P", *stretch).to_pylist() == approx(whole)
    if largest_raw:
        assert [path in damage for damage in reader.damages()] == [True]
        assert list(reader.rot.files("P", MARCH_NS, APRIL_NS)) == [path]
        assert reader.rot.files("P", BEGIN_NS, MARCH_NS - DAY_NS) == {}


@pytest.mark.parametrize("largest_raw", [10**6, 0])
def test_what_no_cell_tells_of_is_unknown_up_to_the_next_sample(folder, monkeypatch, largest_raw):
    monkeypatch.setattr(bins, "LARGEST_RAW_ROWS", largest_raw)
    damage(folder, RAW)
    damage(folder, CELLS)
    rows = open_archive_reader(folder).bins("P", BEGIN_NS, END_NS, 90).to_pylist()
    march = [row for row in rows if MARCH_NS < row["start_ns"] < APRIL_NS]
    assert len(march) == 30
    assert {(row["n"], row["known_s"], row["time_mean"]) for row in march} == {(0, 0.0, None)}
    first = next(row for row in rows if row["start_ns"] == MARCH_NS)
    assert first["known_s"] == pytest.approx(1810, abs=60), "up to its first sample the one of February held"
    april = [row for row in rows if row["start_ns"] >= APRIL_NS]
    assert april[0]["known_s"] == pytest.approx(86400 - 1810), "from its first sample on"
    assert all(row["known_s"] == pytest.approx(86400) for row in april[1:-1])


@pytest.mark.parametrize("is_exact", [False, True])
def test_an_edge_that_would_cut_a_cell_whose_samples_are_lost_moves_and_says_so(folder, is_exact):
    damage(folder, RAW)
    edge_ns = FIRST_NS + 400 * STEP_NS + 17 * SECOND_NS
    minute_ns = edge_ns // (60 * SECOND_NS) * 60 * SECOND_NS
    table = open_archive_reader(folder).bins("P", edge_ns - DAY_NS, edge_ns + DAY_NS, 2, is_exact=is_exact)
    before, behind = table.to_pylist()
    assert (before["start_ns"], behind["start_ns"], behind["stop_ns"]) == (
        minute_ns - DAY_NS,
        minute_ns,
        minute_ns + DAY_NS,
    )
    assert (before["n"], behind["n"]) == (24, 24)
    assert (before["known_s"], behind["known_s"]) == (pytest.approx(86400), pytest.approx(86400))
    asked_ns = [edge_ns - DAY_NS, edge_ns, edge_ns + DAY_NS]
    assert moved_edges(table) == [(ns, ns - edge_ns + minute_ns) for ns in asked_ns]


@pytest.mark.parametrize("has_cells", [True, False])
@pytest.mark.parametrize("largest_raw", [10**6, 0])
def test_what_held_before_the_first_bin_lies_in_a_damaged_file(folder, monkeypatch, largest_raw, has_cells):
    monkeypatch.setattr(bins, "LARGEST_RAW_ROWS", largest_raw)
    damage(folder, RAW)
    if not has_cells:
        damage(folder, CELLS)
    reader = open_archive_reader(folder)
    for begin_ns in (APRIL_NS, APRIL_NS + 600 * SECOND_NS + 1):
        (row,) = reader.bins("P", begin_ns, begin_ns + 600 * SECOND_NS, 1, is_exact=True).to_pylist()
        number = (APRIL_NS - BEGIN_NS) // STEP_NS - 1
        assert row["time_mean"] == (pytest.approx(number + 0.25) if has_cells else None)
    # inside of a minute: which of its two samples was the last one before, only its cell could tell
    table = reader.bins("P", FIRST_NS + 400 * STEP_NS + 1, FIRST_NS + 400 * STEP_NS + 9, 1, is_exact=True)
    (row,) = table.to_pylist()
    assert (row["n"], row["stop_ns"] - row["start_ns"]) == ((2, 60 * SECOND_NS) if has_cells else (0, 8))
    assert (row["time_mean"] is None, len(moved_edges(table))) == ((False, 2) if has_cells else (True, 0))


def test_a_moment_in_a_damaged_file_is_not_known(folder):
    damage(folder, RAW)
    reader = open_archive_reader(folder)
    said = {time_ns: reader.at(["P"], time_ns)[0].is_known for time_ns in (MARCH_NS - 1, MARCH_NS + DAY_NS, APRIL_NS)}
    assert said == {MARCH_NS - 1: True, MARCH_NS + DAY_NS: False, APRIL_NS: False}
    assert reader.at(["P"], APRIL_NS + DAY_NS)[0].is_known


@pytest.mark.parametrize("width_s", [86400, 3600])
@pytest.mark.parametrize("most_rows", [10**6, 60])
def test_operators_say_that_what_they_fill_is_not_known(folder, monkeypatch, width_s, most_rows):
    monkeypatch.setattr(exports, "history_source", partial(exports.history_source, most_rows=most_rows))
    damage(folder, RAW)
    damage(folder, CELLS)
    known = {}
    for table in exports.operated(open_archive_reader(folder), "P", f"mean_{width_s}", BEGIN_NS, END_NS):
        numbers = (table["time_ns"].to_numpy() - BEGIN_NS) // (width_s * SECOND_NS)
        known.update(zip(numbers.tolist(), table["known"].to_pylist(), strict=True))
    first, stop = ((month_ns - BEGIN_NS) // STEP_NS * STEP_NS + FIRST_NS for month_ns in (MARCH_NS, APRIL_NS))
    end_ns = FIRST_NS + (N - 1) * STEP_NS + 1800 * SECOND_NS
    # what is filled stands in the middle of its bin
    middles = {number: BEGIN_NS + (2 * number + 1) * width_s * SECOND_NS // 2 for number in known}
    expected = {number for number, time_ns in middles.items() if first <= time_ns < stop - 3600 * SECOND_NS}
    expected |= {number for number, time_ns in middles.items() if time_ns > end_ns}
    assert {number for number, is_known in known.items() if not is_known} == expected


def operated(folder, text, start_ns=BEGIN_NS, stop_ns=END_NS):
    """Return what an operator says, which bins are from cells, and what it lacks."""
    told = exports.operated(open_archive_reader(folder), "P", text, start_ns, stop_ns)
    rows = [row for table in told for row in table.to_pylist()]
    return rows, told.from_cells(), told.lacking()


BY_CELLS = ["mean", "min", "max", "count", "std", "variance", "popvariance", "jitter", "meanSample", "optimized"]


@pytest.mark.parametrize("worth", [10**9, 1])
@pytest.mark.parametrize("most_rows", [10**6, 60])
@pytest.mark.parametrize("name", BY_CELLS)
def test_operators_that_cells_can_answer_say_the_same_of_damaged_files(folder, monkeypatch, name, most_rows, worth):
    monkeypatch.setattr(exports, "history_source", partial(exports.history_source, most_rows=most_rows))
    monkeypatch.setattr(quick, "WORTH_ROWS", worth)
    text = "optimized_60" if name == "optimized" else f"{name}_86400"
    whole, from_cells, lacking = operated(folder, text)
    assert (from_cells.duration_ns, lacking.duration_ns) == (0, 0)
    damage(folder, RAW)
    rows, from_cells, lacking = operated(folder, text)
    assert len(rows) == len(whole)
    for row, before in zip(rows, whole, strict=True):
        assert row["value"] == pytest.approx(before["value"], rel=1e-6)
        assert row | {"value": None} == before | {"value": None}
    assert lacking.duration_ns == 0
    if name in ("std", "variance", "popvariance", "jitter"):
        assert from_cells & IntervalSet.of(MARCH_NS, APRIL_NS) == IntervalSet.of(MARCH_NS, APRIL_NS)


@pytest.mark.parametrize(
    "text", ["median_86400", "lastSample_86400", "deadBand_0", "ncount", "nth_2", "ignoreflyers_86400_3"]
)
def test_other_operators_say_what_they_lack(folder, text):
    damage(folder, RAW)
    rows, from_cells, lacking = operated(folder, text)
    assert rows
    assert from_cells.duration_ns == 0
    first_ns = FIRST_NS + (MARCH_NS - BEGIN_NS) // STEP_NS * STEP_NS
    assert lacking == IntervalSet.of(first_ns, FIRST_NS + (APRIL_NS - BEGIN_NS) // STEP_NS * STEP_NS)


def test_a_shape_that_cells_do_not_tell_is_no_number_and_part_of_a_bin_is_lacking(folder):
    damage(folder, RAW)
    rows, _, lacking = operated(folder, "kurtosis_86400")
    march = [row["value"] for row in rows if MARCH_NS <= row["time_ns"] < APRIL_NS]
    assert len(march) == 31
    assert np.isnan(march).all()
    assert lacking.duration_ns == 0
    # a bin of which the stretch asks for a part only, and one of no whole minutes
    _, from_cells, lacking = operated(folder, "mean_86400", MARCH_NS + 12 * STEP_NS + 1, MARCH_NS + 30 * STEP_NS)
    assert from_cells == IntervalSet.of(MARCH_NS + 2 * DAY_NS, MARCH_NS + 2 * DAY_NS)
    assert lacking


def test_with_damaged_cells_operators_lack_what_these_held_as_well(folder):
    damage(folder, RAW)
    damage(folder, CELLS)
    rows, _, lacking = operated(folder, "std_86400")
    assert {row["known"] for row in rows if MARCH_NS + DAY_NS <= row["time_ns"] < APRIL_NS} == {False}
    assert lacking.duration_ns >= 30 * DAY_NS


def test_a_backup_that_was_put_back_is_no_damage(folder):
    (path,) = (folder / "month" / "2020-03").glob("*.parquet")
    whole = path.read_bytes()
    damage(folder, RAW)
    reader = open_archive_reader(folder)
    reader.read("P", MARCH_NS, APRIL_NS)
    assert reader.damages()
    path.write_bytes(whole)
    assert reader.rot.files("P", MARCH_NS, APRIL_NS) == {}
    assert reader.damages() == []


def test_a_connection_that_came_back_in_a_damaged_file_makes_nothing_known(bench):
    start_ns = bench.clock.time_ns
    bench.emit(bench.connect("P"), bench.sample("P", 0.0))
    bench.commit()
    bench.seal()
    whole = set((bench.folder / "day").rglob("*.parquet"))
    lost_ns = bench.clock.advance(10)
    bench.emit(bench.sample("P", 1.0))
    bench.commit()
    bench.clock.advance(10)
    bench.emit(bench.disconnect("P", bench.clock.time_ns))
    bench.commit()
    bench.clock.advance(10)
    bench.emit(bench.connect("P"), bench.sample("P", 2.0))
    bench.commit()
    bench.seal()
    for path in set((bench.folder / "day").rglob("*.parquet")) - whole:
        path.write_bytes(b"PAR1")
    bench.clock.advance(20)
    behind_ns = bench.clock.time_ns
    bench.emit(bench.sample("P", 3.0), bench.life())
    bench.commit()
    bench.clock.advance(10)
    bench.emit(bench.life())
    bench.commit()
    reader = bench.reader()
    stop_ns = bench.clock.time_ns
    rows = rows_from_table(reader.history("P", start_ns, stop_ns))
    told = history_from_rows(rows, alive_until_ns=reader.alive_until_ns("P"), start_ns=start_ns, stop_ns=stop_ns)
    is_known = ~np.isnan(told.value)
    assert told.time_ns[is_known].tolist() == [start_ns, behind_ns]
    assert told.time_ns[~is_known].tolist()[0] == lost_ns
