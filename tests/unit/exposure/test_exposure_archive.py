"""The archive's tables become samples, connection changes and traces."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nualley.archive import PvNotArchivedError
from nualley.exposure.adapters.archive import ArchiveHistory, rows_from_table, traces_from_table
from nualley.physics import FOREVER, LinkChange

SMALL = pa.dictionary(pa.int8(), pa.string())


def table(value_type: pa.DataType, *rows: tuple[int, object, int | None, str, int | None]) -> pa.Table:
    columns: tuple[Any, ...] = tuple(zip(*rows, strict=True)) or ((),) * 5
    kinds = pa.array(columns[3], pa.string()).dictionary_encode().cast(SMALL)
    return pa.table(
        {
            "time_ns": pa.array(columns[0], pa.int64()),
            "value": pa.array(columns[1], value_type),
            "severity": pa.array(columns[2], pa.int8()),
            "kind": kinds,
            "last_heard_ns": pa.array(columns[4], pa.int64()),
        }
    )


MIXED = (
    (10, 1, 0, "sample", None),
    (20, None, None, "disconnect", 15),
    (30, None, None, "reconnect", None),
    (40, 2, 3, "sample", None),
    (50, None, None, "sample", None),
)


@pytest.mark.parametrize("value_type", [pa.float64(), pa.int64(), pa.int32()])
def test_numbers(value_type: pa.DataType) -> None:
    found = rows_from_table(table(value_type, *MIXED))
    assert found.time_ns.tolist() == [10, 40, 50]
    assert found.value.dtype == np.float64
    assert found.value[:2].tolist() == [1.0, 2.0]
    assert found.severity.tolist() == [0, 3, 3]
    assert found.is_valid.tolist() == [True, False, False]
    assert found.links == (LinkChange(20, "disconnect", 15), LinkChange(30, "reconnect", None))


def test_text() -> None:
    found = rows_from_table(table(pa.string(), (1, "Running", 0, "sample", None), (2, None, 3, "sample", None)))
    assert found.value.tolist() == ["Running", ""]
    assert found.is_valid.tolist() == [True, False]


def test_an_array_is_no_number() -> None:
    found = rows_from_table(table(pa.list_(pa.float64()), (10, [1.0, 2.0], 0, "sample", None)))
    assert np.isnan(found.value).tolist() == [True]
    assert found.is_valid.tolist() == [False]


def test_integers_beyond_2_53_are_read() -> None:
    found = rows_from_table(table(pa.int64(), (10, 2**63 - 1, 0, "sample", None)))
    assert found.value.tolist() == [2.0**63]


@pytest.mark.parametrize("value_type", [pa.float64(), pa.string(), pa.list_(pa.string())])
def test_what_is_no_array_of_numbers_is_no_trace(value_type: pa.DataType) -> None:
    found = traces_from_table(table(value_type, (10, None, 0, "sample", None)), 0, 100)
    assert (found.time_ns.size, found.offsets.tolist()) == (0, [0])


def test_empty_table() -> None:
    found = rows_from_table(table(pa.float64()))
    assert found.time_ns.size == found.value.size == 0
    assert found.time_ns.dtype == np.int64
    assert found.links == ()


@pytest.mark.parametrize("item_type", [pa.float32(), pa.float64(), pa.int32()])
def test_traces(item_type: pa.DataType) -> None:
    rows = table(
        pa.list_(item_type),
        (5, [9, 9], 0, "sample", None),  # stood at the start, posted before
        (10, [1, 2, 3], 0, "sample", None),
        (11, None, None, "gap", 8),
        (12, [], 1, "sample", None),
        (13, None, 3, "sample", None),
        (14, [4, 5, 6], 0, "sample", None),
        (20, [7], 0, "sample", None),
    )
    for sliced in (rows, pa.concat_tables([rows.slice(0, 2), rows.slice(2)])):
        found = traces_from_table(sliced, 10, 20)
        assert found.time_ns.tolist() == [10, 12, 13, 14]
        assert found.severity.tolist() == [0, 1, 3, 0]
        assert found.offsets.tolist() == [0, 3, 3, 3, 6]
        assert found.samples.tolist() == [1, 2, 3, 4, 5, 6]


def test_no_traces() -> None:
    found = traces_from_table(table(pa.list_(pa.float32())), 0, 10)
    assert (found.offsets.tolist(), found.samples.size) == ([0], 0)


class FakeReader:
    """An archive that knows the PVs it was given."""

    def __init__(self, tables: Mapping[str, pa.Table], labels: tuple[str, ...] | None = None) -> None:
        self.tables = tables
        self.metadata = None if labels is None else SimpleNamespace(labels=labels)

    def read(self, pv: str, start_ns: int, stop_ns: int) -> pa.Table:
        if pv not in self.tables:
            raise PvNotArchivedError(f"{pv!r} is not archived")
        return self.tables[pv]

    history = read

    def complete_since_ns(self, pv: str) -> int | None:
        return None

    def alive_until_ns(self, pv: str) -> int:
        self.read(pv, 0, 0)
        return 77

    def record(self, pv: str) -> Any:
        self.read(pv, 0, 0)
        return SimpleNamespace(metadata=self.metadata)


def test_the_port_over_a_reader() -> None:
    traces = table(pa.list_(pa.float32()), (10, [1, 2], 0, "sample", None))
    port = ArchiveHistory(FakeReader({"A": table(pa.float64(), *MIXED), "T": traces}, ("Stopped", "Running")))
    assert port.read("A", 0, 100).time_ns.tolist() == [10, 40, 50]
    assert port.read_traces("T", 0, 100).samples.tolist() == [1, 2]
    assert port.alive_until_ns("A") == 77
    assert port.labels("A") == ("Stopped", "Running")
    assert ArchiveHistory(FakeReader({"A": traces})).labels("A") == ()


def test_a_pv_that_is_not_archived_has_no_rows_and_never_lived() -> None:
    port = ArchiveHistory(FakeReader({}))
    assert port.read("A", 0, 100).time_ns.size == 0
    assert port.read_traces("A", 0, 100).offsets.tolist() == [0]
    assert port.alive_until_ns("A") == FOREVER.start_ns
    assert port.labels("A") == ()
