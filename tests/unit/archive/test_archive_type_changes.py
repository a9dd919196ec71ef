"""A PV that changes its type and back within one commit: what was received last is what counts."""

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pytest

from nualley.app.archive import open_importer
from nualley.archive import PvState
from nualley.archive.adapters.column_files import ParquetFolder
from nualley.archive.adapters.index_digest import note_digest
from nualley.archive.importing import ImportedRows
from nualley.archive.pv_record import LastSample
from nualley.archive.registry import Registry
from nualley.core import SECOND_NS
from nualley.pv import ValueType
from tests.unit.archive.conftest import StandingClock

BURST = [(1.5, ValueType.FLOAT64), ("word", ValueType.STRING), (3.5, ValueType.FLOAT64)]


def burst(bench, pv, *, lost_before=None):
    """Emit numbers, a word and numbers again within a commit; before one of them the connection is lost and back."""
    bench.emit(bench.connect(pv))
    for number, (value, value_type) in enumerate(BURST):
        if number == lost_before:
            bench.emit(bench.disconnect(pv, bench.clock.time_ns))
            bench.clock.advance(1)
            bench.emit(bench.connect(pv))
        bench.emit(bench.sample(pv, value, value_type), bench.life())
        bench.clock.advance(1)
    bench.emit(bench.life())


@pytest.fixture(params=["log", "sealed", "restarted"])
def kept(bench, request):
    """Return what makes an archive durable in one way: open in the log, sealed, or taken up by another process."""

    def keep():
        bench.commit()
        if request.param == "sealed":
            bench.seal()
        if request.param == "restarted":
            bench.writer.close()
            bench.start()

    return keep


def test_the_last_value_is_the_one_that_was_received_last(bench, kept):
    burst(bench, "P")
    bench.emit(bench.connect("Q"), bench.sample("Q", 7.0), bench.life())
    kept()
    reader = bench.reader()
    values = {last.pv: last.value for last in reader.last()}
    assert values == {"P": 3.5, "Q": 7.0}
    record = reader.record("P")
    assert (record.value_type, record.n_stored, record.last.fingerprint) == (ValueType.FLOAT64, 3, "3.5/0/0")
    assert bench.writer.recorder.registry.by_name["P"].last == record.last, "who writes knows the same"
    assert bench.writer.recorder.registry.by_name["P"].value_type is ValueType.FLOAT64


@pytest.mark.parametrize("lost_before", [1, 2])
def test_the_state_is_that_of_the_last_change_of_the_connection(bench, lost_before):
    start_ns = bench.clock.time_ns
    burst(bench, "P", lost_before=lost_before)
    bench.commit()
    reader = bench.reader()
    assert reader.last(["P"])[0].state is PvState.CONNECTED
    assert [gap.kind for gap in reader.gaps("P", start_ns, bench.clock.time_ns)] == ["disconnect"]
    assert reader.at(["P"], bench.clock.time_ns - SECOND_NS)[0].is_known
    now_ns = bench.clock.time_ns
    (row,) = reader.bins("P", now_ns - SECOND_NS, now_ns, 1, is_exact=True).to_pylist()
    assert (row["n_good"], row["time_mean"]) == (1, 3.5)


def test_a_loss_that_comes_last_in_the_first_type_counts(bench):
    bench.emit(bench.connect("P"), bench.sample("P", 1.5))
    bench.clock.advance(1)
    bench.emit(bench.sample("P", "word", ValueType.STRING))
    # a loss and the reconnect stand among words, the loss that follows among numbers
    bench.emit(bench.disconnect("P", bench.clock.time_ns), bench.connect("P"))
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 3.5), bench.disconnect("P", bench.clock.time_ns))
    bench.commit()
    assert bench.reader().last(["P"])[0].state is PvState.DISCONNECTED


def test_what_could_not_be_read_last_counts_whatever_its_type(bench):
    def unreadable(value, value_type):
        return replace(bench.sample("P", value, value_type), unreadable="not JSON")

    bench.emit(bench.connect("P"), unreadable(0.0, ValueType.FLOAT64), unreadable("", ValueType.STRING))
    bench.emit(bench.sample("P", 1.5))
    bench.commit()
    assert bench.reader().last(["P"])[0].state is PvState.CONNECTED
    bench.clock.advance(1)
    bench.emit(unreadable(0.0, ValueType.FLOAT64), unreadable("", ValueType.STRING), bench.sample("P", 2.5))
    bench.emit(unreadable(0.0, ValueType.FLOAT64))
    bench.commit()
    assert bench.reader().last(["P"])[0].state is PvState.UNREADABLE


def test_a_word_between_numbers_of_lost_commits_is_one_reconnect(bench):
    """What came first after lost commits says from when on a PV is known again, whatever its type."""
    burst(bench, "P")
    bench.commit()
    frames = []
    append = bench.writer.log.append
    bench.writer.log.append = frames.append
    bench.emit(bench.sample("P", 9.0))
    bench.commit()  # acknowledged, and never in the log
    bench.writer.log.append = append
    bench.clock.advance(1)
    back_ns = bench.clock.time_ns
    bench.emit(bench.sample("Q", "word", ValueType.STRING))  # words stand before numbers
    for value, value_type in BURST[:2]:
        bench.emit(bench.sample("P", value, value_type))
        bench.clock.advance(1)
    bench.commit()
    assert len(frames) == 1
    rows = bench.reader().connections("P", back_ns - SECOND_NS // 2, 2**62)
    assert [(row.kind.name, row.time_ns) for row in rows if row.time_ns >= back_ns] == [("RECONNECT", back_ns)]


def test_pvs_of_one_type_each_wait_for_who_asks(bench, monkeypatch):
    """A commit with several types in which no PV has two is folded as quickly as ever."""
    monkeypatch.setattr(Registry, "_fold_mixed", None)
    monkeypatch.setattr(Registry, "_catch_up", lambda _: pytest.fail("looked at before anybody asks"))
    recorder = bench.writer.recorder
    bench.emit(bench.sample("P", 1.0), bench.sample("Q", "word", ValueType.STRING))
    frame = recorder.prepare()
    bench.writer.log.append(frame)
    recorder.confirm()
    monkeypatch.undo()
    assert recorder.registry.by_name["Q"].last.value == "word"


def old_index(bench, **fields):
    """Make of the index one that the version before wrote, with what it then held of a PV."""
    path = bench.folder / "index.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE state DROP COLUMN is_by_receipt")
        for name in ("synced_seq", "is_silent", "refused", "refusal"):
            connection.execute(f"ALTER TABLE pvs DROP COLUMN {name}")
        for name, value in fields.items():
            connection.execute(f"UPDATE pvs SET {name} = ? WHERE name = 'P'", (value,))
        connection.execute("PRAGMA user_version=3")
        connection.commit()
        note_digest(connection, path)


@pytest.fixture
def mixed(bench):
    """Return a sealed archive as the version before left it: it took the word for the last value, and P for lost."""
    burst(bench, "P", lost_before=2)
    bench.emit(bench.connect("Q"), bench.sample("Q", 7.0), bench.disconnect("Q", bench.clock.time_ns))
    bench.emit(bench.connect("R"), bench.sample("R", 1.5), bench.sample("R", "word", ValueType.STRING))
    bench.commit()
    bench.seal()
    right = bench.reader().registry().by_name["P"]
    word = LastSample(right.last.time_ns - SECOND_NS, right.last.seq - 1, "word", 0, 0, "'word'/0/0")
    bench.die()
    old_index(bench, is_connected=0, value_type="string", last=json.dumps(asdict(word)))
    return bench, right


def test_what_the_version_before_kept_is_mended_at_the_next_start(mixed):
    bench, right = mixed
    died_ns = bench.clock.time_ns
    bench.start()
    record = bench.reader().registry().by_name["P"]
    assert (record.last, record.value_type, record.is_connected) == (right.last, ValueType.FLOAT64, True)
    assert record.synced_seq == right.synced_seq
    lost = bench.reader().registry().by_name["Q"]
    assert (lost.synced_seq, lost.is_connected) == (lost.last.seq + 1, False)
    assert bench.reader().last(["R"])[0].value == "word", "of one moment, what was received last"
    bench.clock.advance(1)
    bench.emit(bench.connect("P"), bench.sample("P", 3.5, time_ns=right.last.time_ns))
    bench.clock.advance(1)
    bench.emit(bench.life())
    bench.commit()
    reader = bench.reader()
    assert reader.registry().by_name["P"].filtered == {"repeat": 1}, "it is judged by what it was"
    # 3.5 held up to the last proof of life, and does so again; between is a gap, as after every stop
    gaps = reader.gaps("P", died_ns - 3 * SECOND_NS, bench.clock.time_ns)
    assert [gap.kind for gap in gaps][-1:] == ["gap"]
    (row,) = reader.bins("P", died_ns - SECOND_NS, died_ns, 1, is_exact=True).to_pylist()
    assert row["time_mean"] == 3.5


def test_what_is_mended_is_so_for_readers_and_looked_at_once(mixed, monkeypatch):
    bench, right = mixed
    bench.start()
    bench.die()
    assert bench.reader().last(["P"])[0].value == 3.5
    monkeypatch.setattr("nualley.archive.mending._mended", lambda *_: pytest.fail("looked at again"))
    bench.start()
    assert bench.writer.recorder.registry.by_name["P"].last == right.last


def test_of_a_pv_of_one_type_nothing_is_read_to_mend_it(mixed, monkeypatch):
    bench, _ = mixed
    read = []
    before = ParquetFolder.read
    monkeypatch.setattr(ParquetFolder, "read", lambda *args: read.append(args[1]) or before(*args))
    bench.start()
    assert {group.value_type for group in read} == {ValueType.FLOAT64}
    assert bench.reader().last(["P"])[0].value == 3.5


def test_what_was_imported_is_not_taken_for_what_was_received_last(mixed):
    bench, right = mixed
    later_ns = bench.clock.time_ns + 3600 * SECOND_NS
    none = np.zeros(1, dtype=np.int8)
    rows = ImportedRows("P", ValueType.INT64, np.array([later_ns]), pa.array([9]), none, none.astype(np.int16))
    with open_importer(bench.folder, clock=StandingClock(later_ns + SECOND_NS)) as importer:
        importer.store(rows)
    bench.start()
    assert bench.writer.recorder.registry.by_name["P"].last == right.last
