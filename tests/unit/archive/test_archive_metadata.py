"""What a PV's numbers meant at any time: kept over sealing and restarts, an entry for each change."""

import json
import math
import sqlite3
from contextlib import closing

import pyarrow as pa
import pytest
import xxhash

from nualley.archive.adapters.index_digest import note_digest
from nualley.archive.adapters.sql import SqliteIndex
from nualley.archive.errors import ArchiveOlderError
from nualley.archive.sealed import Level
from nualley.pv import Limits, Metadata, ValueType

SAID = {"value_type": ValueType.FLOAT64, "unit": "K", "precision": 2, "limits": Limits(alarm_high=math.nan)}


def tell(bench, **changes):
    bench.clock.advance(1)
    bench.emit(bench.connect("P"), Metadata("P", bench.clock.time_ns, **{**SAID, **changes}))
    bench.commit()


def units(bench):
    return [(entry.unit, str(entry.value_type), entry.labels) for entry in bench.reader().metadata("P")]


STORY = [("K", "float64", ()), ("degC", "float64", ()), ("", "enum", ("off", "on"))]


@pytest.mark.parametrize("is_sealed", [False, True])
def test_each_change_is_an_entry_and_what_says_nothing_new_is_none(bench, is_sealed):
    for changes in (
        {},
        {},
        {"unit": "degC"},
        {"unit": "degC"},
        {"value_type": ValueType.ENUM, "unit": "", "labels": ("off", "on")},
    ):
        tell(bench, **changes)
        if is_sealed:
            bench.seal()
    assert units(bench) == STORY
    bench.die()
    bench.start()
    assert units(bench) == STORY
    tell(bench, value_type=ValueType.ENUM, unit="", labels=("off", "on"))
    bench.seal()
    assert units(bench) == STORY


def test_what_was_changed_back_is_two_changes(bench):
    for unit in ("K", "degC", "K"):
        tell(bench, unit=unit)
    bench.seal()
    assert [unit for unit, _, _ in units(bench)] == ["K", "degC", "K"]


def test_an_index_of_version_2_is_brought_up_to_date_by_who_writes(bench):
    tell(bench)
    bench.seal()
    bench.die()
    path = bench.folder / "index.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE metadata")
        connection.execute("ALTER TABLE state DROP COLUMN is_by_receipt")
        for name in ("synced_seq", "is_silent", "refused", "refusal"):
            connection.execute(f"ALTER TABLE pvs DROP COLUMN {name}")
        connection.execute("PRAGMA user_version=2")
        connection.commit()
        note_digest(connection, path)
    connection.close()
    with pytest.raises(ArchiveOlderError, match="version 2") as refused:
        SqliteIndex(path, "0")
    assert "start the archive once" in refused.value.do
    bench.start()
    tell(bench, unit="degC")
    bench.seal()
    assert units(bench) == [STORY[1]]


def test_an_index_of_version_4_is_brought_up_to_date_by_who_writes(bench):
    tell(bench)
    bench.seal()
    bench.die()
    path = bench.folder / "index.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE pvs DROP COLUMN refusal")
        connection.execute("PRAGMA user_version=4")
        connection.commit()
        note_digest(connection, path)
    with pytest.raises(ArchiveOlderError, match="version 4"):
        SqliteIndex(path, "0")
    bench.start()
    tell(bench, unit="degC")
    bench.seal()
    assert [unit for unit, _, _ in units(bench)] == ["K", "degC"]


def without_digests(data):
    """Return a directory in the form in which it knew no digests of footers."""
    table = pa.ipc.open_stream(pa.py_buffer(data)[8:]).read_all()
    *places, _ = json.loads(table.schema.metadata[b"footer"])
    old = table.drop_columns("group_xxh3").replace_schema_metadata({b"footer": json.dumps(places)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, old.schema) as writer:
        writer.write_table(old)
    body = sink.getvalue().to_pybytes()
    return xxhash.xxh3_64_digest(body) + body


def test_files_of_version_5_are_read_without_digests_of_their_footers(bench):
    bench.emit(bench.connect("P"), bench.sample("P", 1.5))
    bench.commit()
    bench.seal()
    bench.die()
    path = bench.folder / "index.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT id, directory FROM files").fetchall()
        old = [(without_digests(data), file_id) for file_id, data in rows]
        connection.executemany("UPDATE files SET directory = ? WHERE id = ?", old)
        connection.execute("PRAGMA user_version=5")
        connection.commit()
        note_digest(connection, path)
    with pytest.raises(ArchiveOlderError, match="version 5"):
        SqliteIndex(path, "0")
    bench.start()
    assert [group.place.rest_xxh3 for group in bench.reader().snapshot().groups("P", Level.RAW, 0, 2**62)] == [0]
    assert bench.reader().read("P", 0, 2**62)["value"].to_pylist()[-1] == 1.5
