"""The appliance's own pair of files: a signal as it was, and as EPICS' ADEL let it through."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from nualley.app.archive import open_archive_reader
from nualley.app.exports import operated
from nualley.app.imports import import_files
from nualley.archive.errors import OperatorError
from nualley.archive.operators import filling, stretch
from nualley.archive.operators.calls import operate, parse_operator
from nualley.archive.operators.stretch import COLUMNS, Stretch
from nualley.core import SECOND_NS


def rows_of(tables):
    tables = list(tables)
    # repr: NaN is as it was
    columns = [[value for table in tables for value in table[name].to_pylist()] for name in COLUMNS[:3]]
    return [(time_ns, repr(value), severity) for time_ns, value, severity in zip(*columns, strict=True)]


def test_a_dead_band_makes_of_the_one_file_the_other(shared_data, tmp_path):
    files = [shared_data / "archive" / name for name in ("sig1-wo-adel.pb", "sig2-w-adel.pb")]
    assert import_files(tmp_path, files).counts.stored == 37 + 23
    reader = open_archive_reader(tmp_path)
    every, passed = "TST-CT{}Sig:1-I", "TST-CT{}Sig:2-I"  # the second with MDEL = ADEL = 2
    found = rows_of(operated(reader, every, "deadBand_2", 0, 2**62))
    table = reader.read(passed, 0, 2**62)
    expected = rows_of([table.filter(pc.equal(table["kind"].cast(pa.string()), "sample"))])
    assert len(expected) == 23
    # the first file also tells of a connection that was regained: that sample and the next one pass any dead band
    assert found[0] == expected[0]
    assert [value for _, value, _ in found[1:3]] == ["0.0", "1.0"]
    assert found[3:] == expected[1:]


def samples(n, value=None):
    return pa.table(
        {
            "time_ns": pa.array(np.arange(n, dtype=np.int64) * SECOND_NS),
            "value": pa.array(["a"] * n) if value is None else value,
            "severity": pa.array(np.zeros(n, dtype=np.int8)),
            "status": pa.array(np.zeros(n, dtype=np.int16)),
            "kind": pa.array(["sample"] * n),
            "last_heard_ns": pa.nulls(n, pa.int64()),
        }
    )


@pytest.mark.parametrize("text", ["mean", "median", "deadBand", "flyers"])
def test_text_is_no_number(text):
    with pytest.raises(OperatorError, match="the values are string") as caught:
        list(operate(parse_operator(text), [samples(3)], Stretch(0, SECOND_NS)))
    assert "firstSample" in caught.value.do


@pytest.mark.parametrize("value", [None, pa.array([0, 1, 2] * 10, pa.int32()), pa.array([[1.0]] * 30)])
def test_optimized_shows_what_is_no_number_as_it_is(value):
    found = list(operate(parse_operator("optimized_2"), [samples(30, value)], Stretch(0, 30 * SECOND_NS)))
    assert sum(map(len, found)) == 30


def test_too_many_bins_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr(filling, "MOST_BINS", 100)
    value = pa.array([1.0, 2.0])
    with pytest.raises(OperatorError, match="101 bins of 1 s"):
        list(operate(parse_operator("mean_1"), [samples(2, value)], Stretch(0, 101 * SECOND_NS)))
    assert sum(map(len, operate(parse_operator("mean_1"), [samples(2, value)], Stretch(0, 100 * SECOND_NS)))) == 100


def test_too_many_samples_in_a_bin_are_refused(monkeypatch):
    monkeypatch.setattr(stretch, "MOST_HELD", 10)
    with pytest.raises(OperatorError, match="a bin of 900 s has more than 10 samples"):
        list(operate(parse_operator("median"), [samples(11, pa.array([1.0] * 11))], Stretch(0, SECOND_NS)))
    assert len(list(operate(parse_operator("mean"), [samples(11, pa.array([1.0] * 11))], Stretch(0, SECOND_NS)))) == 1


def test_many_blocks_of_empty_bins(monkeypatch):
    monkeypatch.setattr(filling, "_BLOCK", 7)
    found = list(operate(parse_operator("mean_1"), [samples(2, pa.array([1.0, 5.0]))], Stretch(0, 50 * SECOND_NS)))
    assert [value for table in found for value in table["value"].to_pylist()] == [1.0] + [5.0] * 49
