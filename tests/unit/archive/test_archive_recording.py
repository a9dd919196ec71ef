"""Recording and reading: nothing is lost, doubled or invented, in memory, in the log and in sealed files."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from nualley.archive import Ledger, LogWriteError, PvNotArchivedError, PvState, RowKind
from nualley.archive.errors import SealOrderError
from nualley.core import SECOND_NS
from nualley.pv import Metadata, ValueType
from tests.kept_aside import kept_aside


def test_a_sample_is_acknowledged_only_when_its_frame_is_synced(bench):
    acknowledged = []
    recorder = bench.writer.recorder
    recorder.synced.subscribe(acknowledged.append)
    bench.emit(bench.sample("P", 1.0))
    frame = recorder.prepare()
    assert frame is not None
    assert not acknowledged
    assert "P" not in bench.reader().registry().by_name, "readers see synced frames only"
    bench.writer.log.append(frame)
    recorder.confirm()
    assert [(synced.seq, synced.changed) for synced in acknowledged] == [(1, frozenset({"P"}))]
    assert bench.reader().last(["P"])[0].value == 1.0


def test_a_frame_that_is_written_and_not_yet_synced_is_not_seen(bench, column):
    bench.emit(bench.sample("P", 1.0))
    bench.commit()
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 2.0))
    frame = bench.writer.recorder.prepare()
    (path,) = (bench.folder / "wal" / "0").glob("*.wal")
    with path.open("ab") as file:  # as far as a drive may be while it syncs
        file.write(frame.data)
    assert column(bench, "P", "value") == [1.0]
    bench.writer.log.append(frame)
    bench.writer.recorder.confirm()
    assert column(bench, "P", "value") == [1.0, 2.0]


def test_what_cannot_be_synced_waits_and_is_written_once(bench, monkeypatch, column):
    log = bench.writer.log
    bench.emit(bench.sample("P", 1.0))

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fdatasync", fail)
        for _ in range(3):
            with pytest.raises(LogWriteError, match="No space left on device .* nothing is acknowledged") as caught:
                bench.commit()
    assert caught.value.do.startswith("make room")
    position = log.position
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 2.0))
    bench.commit()
    assert log.position.offset_B > position.offset_B
    assert column(bench, "P", "value") == [1.0, 2.0]
    assert bench.reader().ledger() == Ledger(received=2, stored=2)


def test_the_ledger_accounts_for_every_sample(bench):
    now_ns = bench.clock.time_ns
    bench.emit(
        bench.connect("P"),
        bench.sample("P", 1.0),
        bench.sample("P", 1.0),  # the same again: filtered
        bench.sample("P", 5.0, time_ns=now_ns - 1),  # backward: kept aside
        bench.sample("P", 6.0, time_ns=now_ns + 3600 * SECOND_NS),  # future
        bench.sample("Q", 0, ValueType.INT64, time_ns=631_152_000 * SECOND_NS, severity=3),  # never processed
        bench.sample("Q", 0, ValueType.INT64, time_ns=5),  # before 1991
    )
    bench.commit()
    expected = Ledger(received=6, stored=1, quarantined=4, filtered=1, gaps=1)  # what P was after it is not known
    assert bench.reader().ledger() == expected
    assert expected.is_balanced
    bench.seal()
    assert bench.reader().ledger() == expected
    registry = bench.reader().registry()
    assert registry.by_name["P"].ledger == Ledger(received=4, stored=1, quarantined=2, filtered=1, gaps=1)
    assert registry.by_name["P"].filtered == {"repeat": 1}


def test_what_is_refused_is_kept_with_its_reason(bench):
    bench.emit(bench.sample("P", 1.0), bench.sample("P", 5.0, time_ns=bench.clock.time_ns - 1))
    bench.seal()
    import pyarrow.parquet as pq

    (path,) = (bench.folder / "quarantine").rglob("*.parquet")
    rows = pq.read_table(path).to_pylist()
    assert [(row["pv"], row["value"], row["reason"]) for row in rows] == [("P", 5.0, "backward")]


def test_a_first_sample_is_stored_however_old(bench, column):
    old_ns = bench.clock.time_ns - 3 * 365 * 86400 * SECOND_NS
    bench.emit(bench.sample("P", 1.0, time_ns=old_ns))
    bench.commit()
    assert column(bench, "P", "time_ns") == [old_ns]


def test_a_range_begins_with_the_sample_that_holds_there(bench, column):
    for value in range(10):
        bench.emit(bench.sample("P", float(value)))
        bench.clock.advance(1)
        if value in (3, 6):
            bench.seal()
    bench.commit()
    start_ns = bench.clock.time_ns - 10 * SECOND_NS
    half_ns = SECOND_NS // 2
    assert column(bench, "P", "value", start_ns + 2 * SECOND_NS + half_ns, start_ns + 8 * SECOND_NS) == [
        2,
        3,
        4,
        5,
        6,
        7,
    ]
    assert column(bench, "P", "value", start_ns + 5 * SECOND_NS, start_ns + 6 * SECOND_NS) == [5]
    assert column(bench, "P", "value", bench.clock.time_ns, 2**62) == [9], "the last sample holds"
    assert column(bench, "P", "value", start_ns - 5, start_ns) == []


def test_rows_of_both_sides_of_midnight_land_in_their_day(bench, column):
    for value in range(4):
        bench.emit(bench.sample("P", float(value)))
        bench.clock.advance(40)
    bench.seal()
    days = sorted(path.parent.name for path in (bench.folder / "day").rglob("*.parquet"))
    assert days == ["2026-11-22", "2026-11-23"]
    assert column(bench, "P", "value") == [0.0, 1.0, 2.0, 3.0]


def test_short_runs_of_pvs_share_a_row_group_and_are_read_apart(bench, column):
    for value in range(5):
        for number, pv in enumerate(("Z", "A", "M")):
            bench.emit(bench.sample(pv, float(10 * number + value)))
        bench.clock.advance(1)
    bench.seal()
    import pyarrow.parquet as pq

    (path,) = (bench.folder / "day").rglob("*.parquet")
    assert path.name == "float64-0-00000000.parquet"
    file = pq.ParquetFile(path)
    assert file.num_row_groups == 1
    table = file.read_row_group(0)
    assert table["pv"].to_pylist() == ["A"] * 5 + ["M"] * 5 + ["Z"] * 5
    assert table["time_ns"].to_pylist() == 3 * sorted(set(table["time_ns"].to_pylist()))
    for number, pv in enumerate(("Z", "A", "M")):
        assert column(bench, pv, "value") == [float(10 * number + value) for value in range(5)]
    assert file.schema_arrow.names == [
        "pv", "time_ns", "value", "severity", "status", "protocol", "received_ns", "seq", "kind", "last_heard_ns",
    ]  # fmt: skip


def test_long_runs_have_row_groups_of_their_own(bench, column):
    for value in range(700):
        for number, pv in enumerate(("Z", "A", "M")):
            bench.emit(bench.sample(pv, float(1000 * number + value)))
        bench.clock.advance(1)
    bench.seal()
    import pyarrow.parquet as pq

    found = [
        [group["pv"].unique().to_pylist() for group in map(file.read_row_group, range(file.num_row_groups))]
        for file in map(pq.ParquetFile, sorted((bench.folder / "day").rglob("*.parquet")))
    ]
    assert found == [[["A", "M", "Z"]], [["A"], ["M"], ["Z"]]]
    for number, pv in enumerate(("Z", "A", "M")):
        assert column(bench, pv, "value") == [float(1000 * number + value) for value in range(700)]


def test_arrays_come_back_whole_and_a_resent_one_is_a_repeat(bench, column):
    trace = np.linspace(0, 1, 2000, dtype="f4")
    bench.emit(bench.sample("W", trace, ValueType.FLOAT32_ARRAY))
    bench.clock.advance(1)
    bench.emit(bench.sample("W", np.array([], dtype="f4"), ValueType.FLOAT32_ARRAY))
    bench.seal()
    bench.die()
    bench.start()
    bench.emit(bench.sample("W", np.array([], dtype="f4"), ValueType.FLOAT32_ARRAY))
    bench.commit()
    values = column(bench, "W", "value")
    assert np.array_equal(np.array(values[0], dtype="f4"), trace)
    assert values[1] == []
    assert bench.reader().ledger().filtered == 1


def test_enums_are_shown_by_their_label(bench):
    labels = ("Stopped", "Running", "Paused")
    bench.emit(
        Metadata("S", bench.clock.time_ns, ValueType.ENUM, labels=labels),
        bench.sample("S", 1, ValueType.ENUM),
    )
    bench.seal()
    assert bench.reader().last(["S"])[0].value == "Running"
    bench.clock.advance(1)
    bench.emit(bench.sample("S", 7, ValueType.ENUM))
    bench.commit()
    assert bench.reader().last(["S"])[0].value == 7, "a state without a label is shown as its number"


def test_a_pv_that_changes_its_type_stays_readable(bench, column):
    bench.emit(bench.sample("P", 1, ValueType.INT64))
    bench.seal()
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 2.5))
    bench.commit()
    assert column(bench, "P", "value") == [1.0, 2.5]
    bench.clock.advance(1)
    bench.emit(bench.sample("P", "broken", ValueType.STRING))
    bench.commit()
    assert column(bench, "P", "value") == ["1", "2.5", "broken"]


# ------------------------------------------------------------------ connection
def test_a_pv_that_never_connected_is_listed(bench):
    bench.writer.recorder.register(["SILENT"])
    bench.commit()
    (last,) = bench.reader().last(["SILENT"])
    assert (last.state, last.value, last.time_ns) == (PvState.NEVER_CONNECTED, None, None)


def test_a_disconnect_keeps_when_the_ioc_was_last_heard(bench):
    bench.emit(bench.connect("P"), bench.sample("P", 1.0), bench.life())
    heard_ns = bench.clock.time_ns
    bench.clock.advance(8)
    bench.emit(bench.disconnect("P", heard_ns))
    bench.commit()
    rows = bench.reader().connections("P", 0, 2**62)
    assert [(row.kind, row.last_heard_ns) for row in rows] == [
        (RowKind.RECONNECT, heard_ns),
        (RowKind.DISCONNECT, heard_ns),
    ]
    assert bench.reader().last(["P"])[0].state is PvState.DISCONNECTED
    assert bench.reader().ledger().gaps == 1


def test_a_resent_value_after_a_reconnect_is_a_repeat(bench, column):
    stamp_ns = bench.clock.time_ns
    bench.emit(bench.connect("P"), bench.sample("P", 1.0))
    bench.clock.advance(5)
    bench.emit(bench.disconnect("P", stamp_ns))
    bench.clock.advance(5)
    bench.emit(bench.connect("P"), bench.sample("P", 1.0, time_ns=stamp_ns))
    bench.commit()
    assert column(bench, "P", "kind") == ["reconnect", "sample", "disconnect", "reconnect"] or column(
        bench, "P", "kind"
    ) == ["sample", "reconnect", "disconnect", "reconnect"]
    assert bench.reader().registry().by_name["P"].filtered == {"repeat": 1}


def test_connection_rows_wait_until_the_type_is_known(bench, column):
    bench.emit(bench.connect("N"))
    bench.commit()
    bench.emit(Metadata("N", bench.clock.time_ns, ValueType.INT64, "counts"))
    bench.commit()
    assert column(bench, "N", "kind") == ["reconnect"]
    assert bench.reader().last(["N"])[0].unit == "counts"


def test_a_restart_leaves_a_gap_from_the_last_proof_of_life(bench):
    bench.emit(bench.connect("P"), bench.sample("P", 1.0))
    bench.clock.advance(4)
    bench.emit(bench.life())
    bench.commit()
    heard_ns = bench.clock.time_ns
    bench.clock.advance(60)
    bench.die()
    bench.start()
    bench.commit()
    (row,) = [row for row in bench.reader().connections("P", 0, 2**62) if row.kind is RowKind.GAP]
    assert (row.last_heard_ns, row.time_ns) == (heard_ns, bench.clock.time_ns)
    bench.die()
    bench.start()
    bench.commit()
    assert bench.reader().ledger().gaps == 1, "what is disconnected already gets no second gap"


def test_history_brings_the_rows_that_tell_what_is_known(bench):
    for _ in range(2):
        bench.emit(bench.connect("P"), bench.sample("P", float(bench.clock.time_ns)))
        bench.clock.advance(10)
        bench.emit(bench.disconnect("P", bench.clock.time_ns - SECOND_NS))
        bench.clock.advance(10)
    bench.seal()
    start_ns = bench.clock.time_ns - 40 * SECOND_NS
    kinds = bench.reader().history("P", start_ns + 2 * SECOND_NS, start_ns + 5 * SECOND_NS)["kind"].to_pylist()
    assert sorted(kinds) == ["disconnect", "reconnect", "sample"]


def test_a_connected_pv_goes_stale_when_nobody_proves_life(bench):
    bench.emit(bench.connect("P"), bench.sample("P", 1.0), bench.life())
    bench.commit()
    assert bench.reader().last(["P"])[0].state is PvState.CONNECTED
    bench.clock.advance(11)
    assert bench.reader().last(["P"])[0].state is PvState.STALE


def test_a_paused_pv_says_so_and_filters(bench):
    recorder = bench.writer.recorder
    bench.emit(bench.connect("P"), bench.sample("P", 1.0))
    recorder.pause("P")
    recorder.pause("P")
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 2.0))
    recorder.resume("P")
    bench.emit(bench.sample("P", 3.0))
    bench.commit()
    kinds = [row.kind for row in bench.reader().connections("P", 0, 2**62)]
    assert kinds == [RowKind.RECONNECT, RowKind.PAUSE, RowKind.RECONNECT]
    assert bench.reader().registry().by_name["P"].filtered == {"paused": 1}


# ------------------------------------------------------------------ restart
def test_a_torn_tail_is_cut_and_the_rest_kept(bench, column):
    bench.emit(bench.sample("P", 1.0))
    bench.commit()
    (path,) = (bench.folder / "wal" / "0").glob("*.wal")
    bench.die()
    with path.open("ab") as file:
        file.write(b"NUFR\x10\x00\x00\x00torn")
    bench.start()
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 2.0))
    bench.commit()
    assert column(bench, "P", "value") == [1.0, 2.0]


@pytest.mark.parametrize("step", ["files", "index", "removal"])
def test_killed_while_sealing_nothing_is_lost_or_doubled(bench, column, monkeypatch, step):
    bench.emit(bench.connect("P"), bench.sample("P", 1.0), bench.sample("P", 9.0, time_ns=7))
    bench.commit()
    target = {
        "files": "nualley.archive.adapters.column_files.ParquetFolder.write",
        "index": "nualley.archive.adapters.sql.SqliteIndex.seal",
        "removal": "nualley.archive.adapters.log_files.LogFolder.remove",
    }[step]

    def killed(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(target, killed)
        bench.seal()
    bench.die()
    bench.start()
    bench.commit()
    assert column(bench, "P", "value") in ([1.0, None, None], [None, 1.0, None])
    assert bench.reader().ledger() == Ledger(received=2, stored=1, quarantined=1, gaps=1)
    assert not list((bench.folder / "wal" / "0").glob("00000000.wal"))


def test_a_reader_follows_its_writer_through_seals(bench):
    reader = bench.reader()
    for value in range(12):
        bench.emit(bench.sample("P", float(value)))
        bench.clock.advance(1)
        bench.commit()
        if value % 5 == 4:
            bench.seal()
        assert reader.read("P", 0, 2**62)["value"].to_pylist() == [float(n) for n in range(value + 1)]
        assert reader.ledger().stored == value + 1


def test_receipt_numbers_go_on_after_a_restart(bench, column):
    bench.emit(bench.sample("P", 1.0))
    bench.seal()
    bench.die()
    bench.start()
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 2.0))
    bench.commit()
    seqs = column(bench, "P", "seq")
    assert seqs == sorted(set(seqs))


def test_an_unknown_pv_names_the_nearest(bench):
    bench.emit(bench.sample("DEMO:BEAM:POWER", 1.0))
    bench.commit()
    with pytest.raises(PvNotArchivedError, match="'DEMO:BEAM:POWR' is not archived") as caught:
        bench.reader().last(["DEMO:BEAM:POWR"])
    assert caught.value.do == "did you mean 'DEMO:BEAM:POWER'?"


def test_segments_are_sealed_in_their_order(bench):
    recorder, sealer = bench.writer.recorder, bench.writer.sealer
    bench.emit(bench.sample("P", 1.0))
    bench.commit()
    for _ in range(2):
        recorder.rotate()
        bench.commit()
    with pytest.raises(SealOrderError, match="segment 1 is sealed before segment 0"):
        sealer.seal(1)
    sealer.seal(0)
    sealer.seal(1)
    assert bench.reader().ledger() == Ledger(received=1, stored=1)


# ------------------------------------------------------------------ drives that fail
def test_a_sealed_file_that_the_drive_damages_keeps_the_log(bench, column, monkeypatch):
    from nualley.archive.adapters import column_files
    from nualley.archive.errors import SealedFileDamagedError

    bench.emit(bench.sample("P", 1.0))
    bench.commit()
    digest = column_files._sync_and_digest

    def lose_a_row_group(path):
        import pyarrow.parquet as pq

        pq.write_table(pq.read_table(path).slice(0, 0), path)
        return digest(path)

    with monkeypatch.context() as patched, pytest.raises(SealedFileDamagedError, match="0 rows .* 1 .* were written"):
        patched.setattr(column_files, "_sync_and_digest", lose_a_row_group)
        bench.seal()
    assert column(bench, "P", "value") == [1.0]


def test_a_segment_that_could_not_be_begun_is_begun_later(bench, column, monkeypatch):
    bench.emit(bench.sample("P", 1.0))
    bench.commit()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fdatasync", full)
        with pytest.raises(LogWriteError):
            bench.writer.recorder.rotate()
    bench.seal()
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 2.0))
    bench.commit()
    assert column(bench, "P", "value") == [1.0, 2.0]


@pytest.mark.parametrize(
    ("value", "value_type"),
    [
        ("\udcff", ValueType.STRING),
        (2**70, ValueType.INT64),
        (2**40, ValueType.ENUM),
        (["a", "\udcff"], ValueType.STRING_ARRAY),
    ],
)
def test_a_value_that_no_column_can_hold_is_kept_as_text_and_stops_nothing(bench, column, value, value_type):
    bench.emit(bench.sample("P", value, value_type), bench.sample("Q", 1.0))
    bench.commit()
    assert column(bench, "Q", "value") == [1.0]
    assert bench.reader().ledger() == Ledger(received=2, stored=1, quarantined=1)
    bench.seal()
    import pyarrow.parquet as pq

    (path,) = (bench.folder / "quarantine").rglob("*.parquet")
    (row,) = pq.read_table(path).to_pylist()
    assert (row["reason"], row["value"]) == ("unstorable", ascii(value))


def test_a_range_shows_a_disconnect_before_it(bench, column):
    bench.emit(bench.connect("P"), bench.sample("P", 1.0))
    bench.clock.advance(10)
    bench.emit(bench.disconnect("P", bench.clock.time_ns - 5 * SECOND_NS))
    bench.clock.advance(10)
    bench.seal()
    bench.clock.advance(10)
    start_ns = bench.clock.time_ns
    assert column(bench, "P", "kind", start_ns, start_ns + SECOND_NS) == ["sample", "disconnect"]


# ------------------------------------------------------------------ a refused sample ends what was known
def story_of(bench, pv="P"):
    table = bench.reader().read(pv, 0, 2**62)
    return list(zip(table["kind"].to_pylist(), table["value"].to_pylist(), table["time_ns"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    "stamp",
    [
        lambda now_ns: now_ns - 3600 * SECOND_NS,  # the IOC's clock stepped back
        lambda now_ns: now_ns + 7200 * SECOND_NS,  # ... or forth
        lambda _: 631_152_000 * SECOND_NS,  # never processed since the IOC was started anew
        lambda _: 631_152_005 * SECOND_NS,  # its clock was never set
    ],
    ids=["backward", "future", "undefined", "before-1991"],
)
def test_after_a_refused_sample_the_value_is_unknown_until_one_is_taken(bench, stamp):
    bench.emit(bench.connect("P"), bench.sample("P", 1.0))
    began_ns = bench.clock.time_ns
    refused_ns = bench.clock.advance(10)
    for _ in range(3):
        bench.emit(bench.sample("P", 0.0, time_ns=stamp(bench.clock.time_ns)))
        bench.clock.advance(1)
    bench.commit()
    assert story_of(bench)[1:] == [("sample", 1.0, began_ns), ("gap", None, refused_ns)]
    assert bench.reader().last(["P"])[0].state == "quarantined"
    taken_ns = bench.clock.advance(10)
    bench.emit(bench.sample("P", 0.5))
    bench.commit()
    bench.seal()
    assert story_of(bench)[2:] == [
        ("gap", None, refused_ns),
        ("reconnect", None, taken_ns),
        ("sample", 0.5, taken_ns),
    ]
    assert bench.reader().last(["P"])[0].state == "connected"
    assert bench.reader().ledger().is_balanced


def test_a_value_that_no_column_holds_is_no_reason_to_believe_the_one_before(bench):
    bench.emit(bench.connect("P"), bench.sample("P", 1, ValueType.INT64), bench.sample("P", 2**70, ValueType.INT64))
    bench.commit()
    assert [kind for kind, *_ in story_of(bench)] == ["reconnect", "sample", "gap"]


def test_the_same_value_sent_again_says_that_it_holds(bench):
    bench.emit(bench.connect("P"), first := bench.sample("P", 1.0))
    bench.clock.advance(5)
    bench.emit(bench.sample("P", 0.0, time_ns=5), bench.sample("P", 1.0, time_ns=first.time_ns))
    bench.commit()
    assert [kind for kind, *_ in story_of(bench)] == ["reconnect", "sample", "gap", "reconnect"]


def test_after_a_reboot_the_value_from_before_does_not_hold_again(bench):
    bench.emit(bench.connect("P"), bench.sample("P", 1.0))
    heard_ns = bench.clock.advance(5)
    bench.clock.advance(5)
    bench.emit(bench.disconnect("P", heard_ns))
    back_ns = bench.clock.advance(45)
    bench.emit(bench.connect("P"), bench.sample("P", 0.0, time_ns=631_152_000 * SECOND_NS, severity=3))
    bench.commit()
    assert [(kind, time_ns) for kind, _, time_ns in story_of(bench)][-2:] == [("reconnect", back_ns), ("gap", back_ns)]
    bench.emit(bench.disconnect("P", bench.clock.advance(5)))
    bench.emit(bench.connect("P"))
    bench.commit()
    assert [kind for kind, *_ in story_of(bench)][-3:] == ["gap", "disconnect", "reconnect"]


def test_a_resumed_pv_counts_from_its_next_sample_on(bench):
    bench.emit(bench.connect("P"), bench.sample("P", 1.0))
    bench.clock.advance(5)
    bench.writer.recorder.pause("P")
    bench.clock.advance(5)
    bench.emit(bench.sample("P", 0.0))
    bench.writer.recorder.resume("P")
    bench.commit()
    assert [kind for kind, *_ in story_of(bench)] == ["reconnect", "sample", "pause"]
    bench.clock.advance(5)
    bench.emit(bench.sample("P", 0.5))
    bench.commit()
    assert [kind for kind, *_ in story_of(bench)][-2:] == ["reconnect", "sample"]


def test_what_is_known_of_last_samples_does_not_hold_the_samples_before(bench):
    arrow_B = pa.total_allocated_bytes()  # other tests may have left some
    tracemalloc.start()
    for number in range(48):
        bench.clock.advance(1)
        bench.emit(bench.sample("W", np.full(2**17, float(number)), ValueType.FLOAT64_ARRAY))
        bench.commit()
    held_B = tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes() - arrow_B
    tracemalloc.stop()
    assert held_B < 2**25, "48 samples of 2**20 bytes came"
    assert bench.writer.recorder.registry.by_name["W"].last.value[0] == 47.0


@pytest.mark.parametrize("keep", ["log", "sealed", "restarted"])
def test_each_pv_has_the_receipt_number_of_its_own_last_durable_row(bench, keep):
    bench.emit(bench.connect("P"), bench.sample("P", 1.0))  # 1, 2 with the row that waited for a type
    bench.emit(bench.sample("Q", 1.0), bench.sample("Q", 2.0, time_ns=5))  # 3; 4 refused
    bench.emit(bench.sample("R", 1.0), bench.sample("R", 1.0))  # a repeat is no row
    bench.emit(bench.sample("S", 1.0), bench.sample("S", "word", ValueType.STRING))
    bench.emit(bench.sample("T", 1.0), bench.disconnect("T", bench.clock.time_ns), bench.connect("T"))
    bench.emit(bench.sample("V", 1.0, time_ns=5))  # refused, and there was none before
    bench.writer.recorder.register(["U"])
    bench.commit()
    reader = bench.reader()
    expected = {
        pv: max(row["seq"] for row in [*reader.read(pv, 0, 2**62).to_pylist(), *kept_aside(reader, pv)])
        for pv in "PQRSTV"
    }
    if keep == "sealed":
        bench.seal()
    if keep == "restarted":
        bench.die()
        bench.start()
    found = {pv: record.synced_seq for pv, record in bench.reader().registry().by_name.items()}
    assert found == {**expected, "U": -1}
    assert len(set(found.values())) == 7
    assert max(found.values()) <= bench.reader().account().seq


NEVER = {"time_ns": 631_152_000 * SECOND_NS, "severity": 3, "status": 17}
"""What a record says that was never processed."""


@pytest.mark.parametrize(
    ("value", "value_type"),
    [(0.0, ValueType.FLOAT64), ("", ValueType.STRING), (np.zeros(3), ValueType.FLOAT64_ARRAY)],
)
def test_a_never_processed_record_is_quarantined_once_however_often_it_is_found(bench, value, value_type):
    for number in range(4):
        bench.emit(bench.connect("P"), bench.sample("P", value, value_type, **NEVER))
        bench.clock.advance(1)
        bench.emit(bench.disconnect("P", bench.clock.time_ns))
        bench.commit()
        if number == 1:
            bench.seal()
        if number == 2:  # what was sealed is known to the next process
            bench.die()
            bench.start()
    record = bench.reader().registry().by_name["P"]
    assert record.ledger == Ledger(received=4, quarantined=1, filtered=3)
    assert record.filtered == {"repeat": 3}
    assert bench.writer.recorder.registry.ledger.is_balanced


def test_a_refused_sample_that_differs_is_kept_aside(bench):
    for change in ({}, {"severity": 2}, {"time_ns": NEVER["time_ns"] + 1}, {}):
        bench.emit(bench.sample("P", 0.0, **{**NEVER, **change}))
    bench.emit(bench.sample("P", 1.0, **NEVER))
    bench.commit()
    assert bench.reader().registry().by_name["P"].n_quarantined == 5


def test_of_several_types_what_was_refused_last_is_known_after_a_restart(bench):
    bench.emit(bench.sample("P", 0.0, **NEVER), bench.sample("P", "", ValueType.STRING, **NEVER))
    bench.emit(bench.sample("P", 1.0, **NEVER))
    bench.commit()
    bench.die()
    bench.start()
    bench.emit(bench.sample("P", 1.0, **NEVER))
    bench.commit()
    assert bench.reader().registry().by_name["P"].n_quarantined == 3


def test_a_refused_sample_that_comes_again_ends_what_is_known_all_the_same(bench):
    late = {"time_ns": bench.clock.time_ns - SECOND_NS}
    bench.emit(bench.connect("P"), bench.sample("P", 1.0), bench.sample("P", 2.0, **late))
    bench.clock.advance(1)
    bench.emit(bench.disconnect("P", bench.clock.time_ns))
    bench.clock.advance(1)
    bench.emit(bench.connect("P"), bench.sample("P", 2.0, **late))
    bench.commit()
    assert bench.reader().registry().by_name["P"].n_quarantined == 1
    assert [kind for kind, *_ in story_of(bench)][-2:] == ["reconnect", "gap"]


def test_what_cannot_be_read_again_is_told_again(bench):
    unreadable = replace(bench.sample("P", "", ValueType.STRING), unreadable="not JSON")
    bench.emit(bench.connect("P"), unreadable)
    bench.emit(bench.disconnect("P", bench.clock.time_ns), bench.connect("P"), unreadable)
    bench.commit()
    assert bench.reader().last(["P"])[0].state is PvState.UNREADABLE
    assert bench.reader().registry().by_name["P"].n_quarantined == 2


def stands(bench, pv="P"):
    """Return how a PV stands and why, as a reader that follows, one that opens and the archive itself tell it."""
    bench.commit()
    found = [bench.reader().last([pv])[0]]
    found.append(
        bench.writer.recorder.registry.last_value(bench.writer.recorder.registry.by_name[pv], bench.clock.time_ns)
    )
    assert found[0] == found[1]
    return found[0].state, found[0].reason


def test_a_pv_whose_last_sample_was_refused_is_connected_and_says_why(bench):
    late = {"time_ns": bench.clock.time_ns - SECOND_NS}
    bench.emit(bench.connect("P"), bench.sample("P", 1.0))
    assert stands(bench) == (PvState.CONNECTED, "")
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 2.0, **late))
    assert stands(bench) == (PvState.QUARANTINED, "backward")
    # the newest reason counts, and sealing forgets none
    bench.emit(bench.sample("P", 2.0, time_ns=bench.clock.time_ns + 7200 * SECOND_NS))
    assert stands(bench) == (PvState.QUARANTINED, "future")
    bench.seal()
    assert stands(bench) == (PvState.QUARANTINED, "future")
    # as long as its IOC lives
    bench.clock.advance(60)
    assert stands(bench) == (PvState.STALE, "future")
    bench.emit(bench.life())
    last = bench.reader().last(["P"])[0]
    assert stands(bench) == (PvState.QUARANTINED, "future")
    assert bench.reader().last(["P"])[0].last_heard_ns == bench.clock.time_ns
    assert bench.reader().alive_until_ns("P") < bench.clock.time_ns, (
        "what is known ends with the sample that was refused"
    )
    assert last.value == 1.0
    bench.emit(bench.disconnect("P", bench.clock.time_ns))
    assert stands(bench) == (PvState.DISCONNECTED, "")
    # sent again at the next connection, it is no news, and still no value
    bench.clock.advance(1)
    again = bench.sample("P", 2.0, time_ns=bench.clock.time_ns - 61 * SECOND_NS + 7200 * SECOND_NS)
    bench.emit(bench.connect("P"), again)
    assert stands(bench) == (PvState.QUARANTINED, "future")
    assert bench.reader().registry().by_name["P"].n_quarantined == 2
    # a new process of the archive is connected to nothing, until it is
    bench.die()
    bench.start()
    assert stands(bench) == (PvState.DISCONNECTED, "")
    bench.emit(bench.connect("P"), again)
    assert stands(bench) == (PvState.QUARANTINED, "future")
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 3.0))
    assert stands(bench) == (PvState.CONNECTED, "")
    bench.seal()
    assert stands(bench) == (PvState.CONNECTED, "")


def test_a_pv_of_which_every_sample_was_refused_says_so(bench):
    """Its IOC never processed the record: CA sends the epoch of EPICS as its stamp."""
    never = bench.sample("P", 0.0, time_ns=631_152_000 * SECOND_NS)
    bench.emit(bench.connect("P"), Metadata("P", bench.clock.time_ns, ValueType.FLOAT64), never)
    assert stands(bench) == (PvState.QUARANTINED, "undefined-time")
    bench.seal()
    assert stands(bench) == (PvState.QUARANTINED, "undefined-time")
    bench.clock.advance(1)
    bench.emit(bench.disconnect("P", bench.clock.time_ns))
    assert stands(bench)[0] is PvState.DISCONNECTED
    bench.emit(bench.connect("P"), never)
    assert stands(bench) == (PvState.QUARANTINED, "undefined-time")
    bench.emit(bench.sample("P", 1.0))
    assert stands(bench) == (PvState.CONNECTED, "")


def test_the_sample_before_a_refused_one_of_the_same_commit_hides_nothing(bench):
    bench.emit(bench.connect("P"), bench.sample("P", 1.0))
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 2.0), bench.sample("P", 9.0, time_ns=5), bench.sample("P", "x", ValueType.STRING))
    assert stands(bench) == (PvState.CONNECTED, ""), "the word was taken"
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 3.0), bench.sample("P", 9.5, time_ns=5))
    assert stands(bench) == (PvState.QUARANTINED, "before-1991")
