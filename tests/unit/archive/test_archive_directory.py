"""Where row groups are: directories as bytes, snapshots of files, and footers of one row group."""

import io
from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nualley.archive.adapters.footers import FooterError, footer_start, metadata_of_one, plan_footer
from nualley.archive.adapters.sql import decode_directory, encode_directory
from nualley.archive.directory import Directory, DirectoryCache, Snapshot, directory_of
from nualley.archive.sealed import FooterPlace, IndexedFile, Level, RowGroup, SealedFile
from nualley.pv import ValueType

PLACE = FooterPlace(1000, 1010, 1020, 1050, 1100, 1200, -5, 2**63 - 1)


def group(path, start_ns, stop_ns, n_rows=10, last_sample_ns=None):
    last_ns = stop_ns if last_sample_ns is None else last_sample_ns
    return RowGroup(path, Level.RAW, ValueType.FLOAT64, n_rows, start_ns, stop_ns, start_ns, last_ns, PLACE)


def snapshot(*files):
    """Build a snapshot of files, each a list of (pv, row group)."""
    numbers, directories, indexed = {"P": 1, "Q": 2}, {}, []
    for number, groups in enumerate(files, start=1):
        path = groups[0][1].path
        sealed = SealedFile(path, Level.RAW, ValueType.FLOAT64, 10, 100, "", tuple(groups))
        directories[number] = directory_of(sealed, numbers)
        indexed.append(
            IndexedFile(number, path, Level.RAW, ValueType.FLOAT64, "0", sealed.start_ns, sealed.stop_ns, 10, 100, "")
        )
    loads = []

    def load(file_id):
        loads.append(file_id)
        return directories[file_id]

    found = Snapshot(indexed, numbers, load, DirectoryCache())
    return found, loads


def test_a_directory_is_the_same_after_its_bytes():
    sealed = SealedFile("x", Level.RAW, ValueType.FLOAT64, 2, 9, "", (("P", group("x", 5, 7)), ("Q", group("x", 1, 2))))
    made = directory_of(sealed, {"P": 9, "Q": 3})
    read = decode_directory(encode_directory(made))
    assert made.pv.tolist() == read.pv.tolist() == [3, 9]
    for field in fields(Directory):
        np.testing.assert_array_equal(getattr(made, field.name), getattr(read, field.name))


def test_every_flipped_bit_of_a_directory_is_told():
    whole = encode_directory(directory_of(SealedFile("x", Level.RAW, ValueType.FLOAT64, 1, 9, "", ()), {}))
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        with pytest.raises(ValueError, match="checksum"):
            decode_directory(bytes(damaged))


def test_groups_that_reach_into_a_stretch_and_the_one_before():
    found, _ = snapshot(
        [("P", group("a", 0, 9)), ("Q", group("a", 0, 99))],
        [("P", group("b", 10, 19))],
        [("P", group("c", 20, 29, last_sample_ns=22))],
    )
    assert [g.path for g in found.groups("P", Level.RAW, 9, 11)] == ["a", "b"]
    assert found.groups("P", Level.RAW, 30, 40) == []
    assert found.groups("UNKNOWN", Level.RAW, 0, 40) == []
    assert found.before("P", Level.RAW, 30).path == "c"
    assert found.before("P", Level.RAW, 20).path == "b"
    assert found.before("P", Level.RAW, 9) is None, "a group that reaches over the time is among the others"


def test_the_last_sample_before_counts_and_not_the_last_row():
    """An import may lie between the samples of a file: what is asked for is the newest sample."""
    found, _ = snapshot([("P", group("a", 0, 50))], [("P", group("b", 20, 60, last_sample_ns=30))])
    assert found.before("P", Level.RAW, 100).path == "a"


def test_rows_are_counted_from_where_they_are():
    found, loads = snapshot([("P", group("a", 0, 100, n_rows=1000))], [("P", group("b", 150, 150, n_rows=1))])
    assert found.count_rows("P", Level.RAW, 0, 50) == 500
    assert found.count_rows("P", Level.RAW, 140, 160) == 1
    assert found.count_rows("Q", Level.RAW, 0, 1000) == 0
    assert loads == [1, 2], "a directory is loaded once"


def test_the_bytes_of_a_file_are_shared_by_rows():
    found, _ = snapshot([("P", group("a", 0, 9, n_rows=9)), ("Q", group("a", 0, 9, n_rows=1))])
    assert found.bytes_by_pv(Level.RAW) == {"P": 90.0, "Q": 10.0}


def parquet_bytes(n_groups):
    sink = io.BytesIO()
    schema = pa.schema([("pv", pa.dictionary(pa.int32(), pa.string())), ("value", pa.list_(pa.float64()))])
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for number in range(n_groups):
            rows = {"pv": pa.array([f"P{number}"] * 3).dictionary_encode(), "value": [[float(number)], [], None]}
            writer.write_table(pa.table(rows, schema=schema))
    return sink.getvalue()


@pytest.mark.parametrize("n_groups", [1, 14, 15, 300])
def test_each_row_group_can_be_read_alone(n_groups):
    data = parquet_bytes(n_groups)
    start = footer_start(data[-8:], len(data))
    footer = data[start:-8]
    plan = plan_footer(footer, start, n_groups)
    for number in {0, n_groups // 2, n_groups - 1}:
        part = footer[plan.groups_B[number] : plan.groups_B[number + 1]]
        metadata = metadata_of_one(footer[: plan.list_B], part, footer[plan.groups_B[-1] :])
        table = pq.ParquetFile(io.BytesIO(data), metadata=metadata).read_row_group(0)
        assert table["pv"].to_pylist() == [f"P{number}"] * 3
        assert table["value"].to_pylist() == [[float(number)], [], None]


@pytest.mark.parametrize(
    ("footer", "said"),
    [(b"", "cut short"), (b"\x15\x04\x00", "lists no row groups"), (b"\x49\x1c\x00", "1 row groups, 2")],
)
def test_bytes_that_are_no_footer_are_told(footer, said):
    with pytest.raises(FooterError, match=said):
        plan_footer(footer, 0, 2)


def test_a_file_that_does_not_end_as_parquet_is_told():
    with pytest.raises(FooterError, match="does not end"):
        footer_start(b"\xff\xff\xff\x7fPAR1", 100)
    with pytest.raises(FooterError, match="does not end"):
        footer_start(b"\x00\x00\x00\x00PARX", 100)


def test_the_cache_forgets_what_was_not_asked_for():
    cache = DirectoryCache()
    empty = np.zeros(2_000_000, dtype=np.int64)  # 16 MB a column

    def load(_file_id):
        return Directory(empty.astype(np.int32), *[empty] * 9, footer=empty[:4])

    first = cache.get(1, load)
    assert cache.get(1, load) is first
    cache.get(2, load)
    assert cache.get(1, load) is not first
