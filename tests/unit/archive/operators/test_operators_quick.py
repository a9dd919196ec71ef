"""Statistics from cells are those from samples, wherever the stretch begins and ends and whatever is invalid."""

import math

import numpy as np
import pyarrow as pa
import pytest

from nualley.app.archive import open_archive_reader, open_importer
from nualley.app.exports import history_source
from nualley.archive import bins as archive_bins
from nualley.archive.importing import ImportedRows
from nualley.archive.operators import quick
from nualley.archive.operators.calls import operate, parse_operator
from nualley.archive.operators.stretch import Stretch
from nualley.core import SECOND_NS, parse_time_ns
from nualley.pv import ValueType

BEGIN_NS = parse_time_ns("2026-03-01T00:00:00Z", 0)
HOUR_NS = 3600 * SECOND_NS
N = 50_000


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A sample every two seconds over a day and more; one hour is empty, one has what is no number or invalid."""
    folder = tmp_path_factory.mktemp("archive")
    rng = np.random.default_rng(3)
    time_ns = BEGIN_NS + np.arange(N, dtype=np.int64) * 2 * SECOND_NS + rng.integers(0, SECOND_NS, N)
    value = np.round(77 + rng.normal(0, 0.1, N), 3)
    value[:1000] = 77.0
    severity = (rng.random(N) < 0.01).astype(np.int8)
    hour = (time_ns - BEGIN_NS) // HOUR_NS
    value[(hour == 5) & (rng.random(N) < 0.1)] = math.nan
    severity[(hour == 6) & (rng.random(N) < 0.1)] = 3
    keep = hour != 10
    with open_importer(folder) as importer:
        importer.store(
            ImportedRows(
                pv="P",
                value_type=ValueType.FLOAT64,
                time_ns=time_ns[keep],
                value=pa.array(value[keep]),
                severity=severity[keep],
                status=np.zeros(int(keep.sum()), dtype=np.int16),
            )
        )
    return open_archive_reader(folder)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(quick, "WORTH_ROWS", 1)
    monkeypatch.setattr(archive_bins, "LARGEST_RAW_ROWS", 1)


def both(reader, text, start_ns, stop_ns):
    """Return the answer from cells, that from samples, and how many rows were read for the first."""
    stretch, operator = Stretch(start_ns, stop_ns), parse_operator(text)
    source = history_source(reader, "P", stretch)
    read = []

    def pieces(*part):
        for piece in source.pieces(*part):
            read.append(len(piece))
            yield piece

    counted = quick.Source(source.n_rows, source.bins, pieces, has_cells=source.has_cells)
    quickly = [row for table in quick.work(operator, counted, stretch) for row in table.to_pylist()]
    slowly = [
        row for table in operate(operator, source.pieces(start_ns, stop_ns), stretch) for row in table.to_pylist()
    ]
    return quickly, slowly, sum(read)


@pytest.mark.parametrize(
    "text",
    ["mean_600", "min_7200", "max_120", "count_3600", "meanSample_3600", "optimized_100", "optimLastSample_10"],
)
@pytest.mark.parametrize(
    ("start_ns", "stop_ns"),
    [
        (BEGIN_NS, BEGIN_NS + 27 * HOUR_NS),
        (BEGIN_NS + 1, BEGIN_NS + 27 * HOUR_NS + 1),
        (BEGIN_NS + 1_234_567_890_123, BEGIN_NS + 25 * HOUR_NS + 98_765_432_101),
        (BEGIN_NS - 30 * HOUR_NS, BEGIN_NS + 60 * HOUR_NS),
        (BEGIN_NS + 2 * HOUR_NS, BEGIN_NS + 24 * HOUR_NS),
    ],
)
def test_cells_say_what_samples_say(reader, text, start_ns, stop_ns):
    quickly, slowly, n_read = both(reader, text, start_ns, stop_ns)
    assert n_read < N * 0.7  # wide bins hold much where one sample is invalid
    assert len(quickly) == len(slowly)
    for one, other in zip(quickly, slowly, strict=True):
        assert (one["time_ns"], one["severity"]) == (other["time_ns"], other["severity"])
        assert np.allclose(one["value"], other["value"], rtol=1e-6, atol=1e-12, equal_nan=True), (one, other)


@pytest.mark.parametrize("text", ["std_3600", "mean_90", "mean_7260", "median_3600", "nth_5", "deadBand_1"])
def test_what_cells_do_not_tell_is_read_from_samples(reader, text):
    quickly, slowly, n_read = both(reader, text, BEGIN_NS, BEGIN_NS + 27 * HOUR_NS)
    assert n_read > N * 0.9
    assert str(quickly) == str(slowly)


def test_where_much_is_invalid_all_is_read_from_samples(reader, monkeypatch):
    monkeypatch.setattr(quick, "MOST_RUNS", 0)
    quickly, slowly, n_read = both(reader, "mean_600", BEGIN_NS, BEGIN_NS + 27 * HOUR_NS)
    assert n_read > N * 0.9
    assert str(quickly) == str(slowly)


def test_few_samples_are_read_themselves(reader, monkeypatch):
    monkeypatch.setattr(quick, "WORTH_ROWS", N)
    assert both(reader, "mean_600", BEGIN_NS, BEGIN_NS + 27 * HOUR_NS)[2] > N * 0.9
