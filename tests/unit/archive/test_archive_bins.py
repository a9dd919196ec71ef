"""Bins and moments: from tiers, from samples, over gaps, and exact for the edges they name."""

import itertools
import shutil

import numpy as np
import pyarrow as pa
import pytest

from nualley.app.archive import open_archive_reader, open_importer
from nualley.archive import bins
from nualley.archive.decide import STALE_AFTER_S
from nualley.archive.errors import NoNumbersError
from nualley.archive.importing import ImportedRows
from nualley.archive.sealed import Level
from nualley.core import SECOND_NS, parse_time_ns
from nualley.exposure.adapters.archive import rows_from_table
from nualley.physics import history_from_rows
from nualley.pv import ValueType
from tests.unit.archive.conftest import ArchiveBench

BEGIN_NS = parse_time_ns("2026-11-22T23:59:00Z", 0)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Three hours over midnight: a value every 7 s, INVALID now and then, a hang, and segments sealed on the way."""
    bench = ArchiveBench(tmp_path_factory.mktemp("history") / "archive")
    bench.start()
    generator = np.random.default_rng(5)
    bench.emit(bench.connect("P"))
    for step in range(1500):
        bench.clock.advance(7)
        if step == 700:
            heard_ns = bench.clock.time_ns - 100 * SECOND_NS
            bench.emit(bench.disconnect("P", heard_ns))
            bench.commit()
            continue
        if 700 < step < 760:
            continue
        if step == 760:
            bench.emit(bench.connect("P"))
        severity = 3 if generator.random() < 0.02 else 0
        bench.emit(bench.sample("P", round(float(generator.normal(10, 3)), 2), severity=severity), bench.life())
        bench.commit()
        if step % 211 == 0:
            bench.seal()
    return bench


@pytest.fixture
def told(history, tmp_path):
    """The same, as a copy that a test may damage."""
    return ArchiveBench(shutil.copytree(history.folder, tmp_path / "archive"), history.clock)


def by_steps(reader, start_ns, stop_ns):
    """What the rule of knowledge says, step by step: an account of its own."""
    rows = rows_from_table(reader.history("P", start_ns, stop_ns))
    history = history_from_rows(rows, alive_until_ns=reader.alive_until_ns("P"), start_ns=start_ns, stop_ns=stop_ns)
    seconds = np.diff(np.append(history.time_ns, stop_ns)) / 1e9
    known = ~np.isnan(history.value)
    known_s = float(seconds[known].sum())
    return known_s, float((history.value[known] * seconds[known]).sum())


def assert_true(reader, table):
    for row in table.to_pylist():
        known_s, integral = by_steps(reader, row["start_ns"], row["stop_ns"])
        assert row["known_s"] == pytest.approx(known_s, abs=1e-6)
        assert row["integral"] == pytest.approx(integral, rel=1e-9, abs=1e-6)
        samples = reader.read("P", row["start_ns"], row["stop_ns"]).to_pylist()
        inside = [s for s in samples if s["kind"] == "sample" and row["start_ns"] <= s["time_ns"] < row["stop_ns"]]
        good = [s["value"] for s in inside if s["severity"] < 3]
        assert row["n"] == len(inside)
        assert row["n_good"] == len(good)
        assert row["min"] == (min(good) if good else None)
        assert row["max"] == (max(good) if good else None)
        assert row["mean"] == (pytest.approx(sum(good) / len(good)) if good else None)
        assert (row["first"], row["last"]) == ((good[0], good[-1]) if good else (None, None))
        assert row["severity"] == (max(s["severity"] for s in inside) if inside else None)


@pytest.mark.parametrize(("largest_raw", "n_bins"), [(10**9, 20), (0, 20), (0, 1)])
@pytest.mark.parametrize("is_exact", [False, True])
def test_bins_are_exact_for_the_edges_they_name(told, monkeypatch, largest_raw, n_bins, is_exact):
    monkeypatch.setattr(bins, "LARGEST_RAW_ROWS", largest_raw)
    start_ns, stop_ns = BEGIN_NS + 17 * SECOND_NS + 3, told.clock.time_ns + 999 * SECOND_NS + 1
    reader = told.reader()
    table = reader.bins("P", start_ns, stop_ns, n_bins, is_exact=is_exact)
    assert table.num_rows == n_bins
    edges = [*table["start_ns"].to_pylist(), table["stop_ns"].to_pylist()[-1]]
    if is_exact or largest_raw:
        assert edges == [start_ns + (stop_ns - start_ns) * i // n_bins for i in range(n_bins + 1)]
    else:
        assert all(edge % (60 * SECOND_NS) == 0 for edge in edges), "they snap to the rows of the tier"
    assert_true(reader, table)


@pytest.mark.parametrize(
    ("span_s", "n_rows", "expected"),
    [(3600, 10**6, Level.RAW), (7200, 10**6, Level.MINUTE), (7200 * 60, 10**6, Level.HOUR), (7200, 10**5, Level.RAW)],
)
def test_the_coarsest_tier_with_two_rows_a_bin_is_taken(span_s, n_rows, expected):
    assert bins.choose_level(0, span_s * SECOND_NS, 60, n_rows) is expected


def test_a_damaged_tier_is_told_from_the_samples(told, monkeypatch):
    monkeypatch.setattr(bins, "LARGEST_RAW_ROWS", 0)
    start_ns, stop_ns = BEGIN_NS, told.clock.time_ns
    whole = told.reader().bins("P", start_ns, stop_ns, 7)
    for path in sorted(told.folder.rglob("tier/*/*/*.parquet"))[::2]:
        path.write_bytes(b"PAR1")
    reader = told.reader()
    assert reader.bins("P", start_ns, stop_ns, 7).to_pylist() == [
        {name: pytest.approx(value) if isinstance(value, float) else value for name, value in row.items()}
        for row in whole.to_pylist()
    ]
    assert reader.damages()


@pytest.mark.parametrize(
    ("stretch", "n_bins", "said"),
    [((0, 10), 0, "0 bins"), ((10, 10), 3, "ends at 10 and begins at 10"), ((0, 10), 10**6, "1000000 bins")],
)
def test_bins_that_cannot_be_are_refused(told, stretch, n_bins, said):
    with pytest.raises(NoNumbersError, match=said):
        told.reader().bins("P", *stretch, n_bins)


def test_words_have_no_bins(bench):
    bench.emit(bench.connect("W"), bench.sample("W", "open", ValueType.STRING))
    bench.commit()
    with pytest.raises(NoNumbersError, match="W holds string"):
        bench.reader().bins("W", 0, 10, 1)


def test_what_was_at_a_moment(told):
    reader = told.reader()
    table = reader.read("P", 0, 2**62)
    samples = [row for row in table.to_pylist() if row["kind"] == "sample"]
    for row, later in itertools.pairwise(samples[:50]):
        (found,) = reader.at(["P"], later["time_ns"] - 1)
        assert (found.time_ns, found.value, found.is_known) == (row["time_ns"], row["value"], True)
    (never,) = reader.at(["P"], BEGIN_NS - 1)
    assert (never.time_ns, never.value, never.is_known) == (None, None, False)
    (gap,) = [row for row in table.to_pylist() if row["kind"] == "disconnect"]
    (found,) = reader.at([], gap["last_heard_ns"] + 1)
    assert found.value is not None
    assert not found.is_known


HOUR_NS = 3600 * SECOND_NS
MIDNIGHT_NS = parse_time_ns("2026-11-20T00:00:00Z", 0)


@pytest.mark.parametrize(
    "files",
    [
        pytest.param([{0: 1.0, 10: 9.0}, {3: 2.0}], id="a file that reaches over the time, with an older sample"),
        pytest.param([{0: 1.0}, {0: 2.0}], id="two files with a sample of one moment"),
        pytest.param([{0: 2.0}, {0: 1.0}], id="the same, the other way round"),
        pytest.param([{2: 1.0, 3: 7.0}, {3.5: 2.0, 3.6: 3.0}], id="two files with one cell"),
        pytest.param([{3.5: 2.0, 3.6: 3.0}, {2: 1.0, 3: 7.0}], id="the same, the older one last"),
    ],
)
def test_what_held_before_the_first_bin_is_what_held_then(tmp_path, monkeypatch, files):
    monkeypatch.setattr(bins, "LARGEST_RAW_ROWS", 0)
    for samples in [*files, {12: 0.0}]:
        with open_importer(tmp_path) as importer:
            importer.store(
                ImportedRows(
                    pv="P",
                    value_type=ValueType.FLOAT64,
                    time_ns=np.array([MIDNIGHT_NS + round(hour * HOUR_NS) for hour in samples]),
                    value=pa.array(samples.values()),
                    severity=np.zeros(len(samples), dtype=np.int8),
                    status=np.zeros(len(samples), dtype=np.int16),
                )
            )
    reader = open_archive_reader(tmp_path)
    start_ns = MIDNIGHT_NS + 5 * HOUR_NS
    row, other = reader.bins("P", start_ns, start_ns + 8 * HOUR_NS, 2).to_pylist()
    assert (row["start_ns"], row["n"]) == (start_ns, 0)
    assert other["n"] > 0, "there are samples: tiers are asked"
    assert row["time_mean"] == reader.at(["P"], start_ns)[0].value


@pytest.mark.parametrize(
    ("begin_s", "end_s", "numbers"),
    [
        pytest.param(10, 24 * 3600, (0, 1440), id="the first cell begins before the first edge, its samples do not"),
        pytest.param(
            0, 12 * 3600 + 10, (0, 720), id="the last cell reaches over the last edge, its samples are behind"
        ),
        pytest.param(0, 12 * 3600 + 40, (0, 721), id="the last cell has samples on both sides"),
    ],
)
def test_exact_bins_have_all_samples_of_their_stretch_and_no_others(tmp_path, monkeypatch, begin_s, end_s, numbers):
    monkeypatch.setattr(bins, "LARGEST_RAW_ROWS", 0)
    with open_importer(tmp_path) as importer:
        importer.store(
            ImportedRows(
                pv="P",
                value_type=ValueType.FLOAT64,
                time_ns=MIDNIGHT_NS + (60 * np.arange(2000) + 30) * SECOND_NS,
                value=pa.array(np.arange(2000.0)),
                severity=np.zeros(2000, dtype=np.int8),
                status=np.zeros(2000, dtype=np.int16),
            )
        )
    reader = open_archive_reader(tmp_path)
    stretch = MIDNIGHT_NS + begin_s * SECOND_NS, MIDNIGHT_NS + end_s * SECOND_NS
    (row,) = reader.bins("P", *stretch, 1, is_exact=True).to_pylist()
    first, stop = numbers
    assert (row["n"], row["first"], row["last"]) == (stop - first, first, stop - 1)


def test_what_a_living_pv_is_now_is_known_until_it_is_stale_or_gone(bench):
    bench.emit(bench.connect("P"), bench.sample("P", 1.0), bench.life())
    bench.commit()
    reader, heard_ns = bench.reader(), bench.clock.time_ns

    def is_known(time_ns: int) -> bool:
        return reader.at(["P"], time_ns)[0].is_known

    bench.clock.advance(0.03)
    assert [is_known(bench.clock.time_ns) for _ in range(3)] == [True] * 3
    assert is_known(heard_ns)
    assert not is_known(bench.clock.time_ns + 1), "nobody knows what is to come"
    bench.clock.advance(STALE_AFTER_S)
    assert not is_known(bench.clock.time_ns)
    bench.emit(bench.life())
    bench.commit()
    assert is_known(bench.clock.time_ns)
    bench.clock.advance(1)
    bench.emit(bench.disconnect("P", bench.clock.time_ns))
    bench.commit()
    bench.clock.advance(1)
    assert not is_known(bench.clock.time_ns)


@pytest.mark.parametrize("snap_ns", [1, 60 * SECOND_NS])
@pytest.mark.parametrize("n_bins", [1, 7, 1000, 50_000])
@pytest.mark.parametrize("stretch", [(0, 31_536_000 * SECOND_NS + 1), (-(2**61), 2**61), (5, 6), (2**62 - 3, 2**62)])
def test_edges_are_those_of_whole_numbers_without_end(stretch, n_bins, snap_ns):
    start_ns, stop_ns = stretch
    edges = [start_ns + (stop_ns - start_ns) * i // n_bins for i in range(n_bins + 1)]
    snapped = sorted({(edge + snap_ns // 2) // snap_ns * snap_ns for edge in edges})
    if len(snapped) == 1:
        snapped = [start_ns // snap_ns * snap_ns, -(-stop_ns // snap_ns) * snap_ns]
    assert bins.bin_edges(start_ns, stop_ns, n_bins, snap_ns).tolist() == snapped
