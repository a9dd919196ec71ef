"""Files for an Archiver Appliance: what is exported is the same when it is taken in again."""

from types import SimpleNamespace

import pytest

from nualley.app.archive import open_archive_reader, open_archive_writer
from nualley.app.exports import export_appliance
from nualley.app.imports import import_files
from nualley.archive.operators.stretch import samples_of
from nualley.core import SECOND_NS, UsageError, parse_time_ns
from nualley.pv import Connection, Life, Metadata, Sample, ValueType

NEW_YEAR_NS = parse_time_ns("2025-01-01T00:00:00Z", 0)
EVER = (0, 2**62)


@pytest.fixture
def reader(tmp_path):
    writer = open_archive_writer(tmp_path / "archive")
    emit = writer.recorder.receive
    values = {
        "LAB:T-1": (ValueType.FLOAT64, [1.5, 2.5, -0.25, 1e-9]),
        "LAB:N": (ValueType.INT64, [1, -7, 2**31 - 1, 0]),
        "LAB:BIG": (ValueType.INT64, [2**40, 1, 2, 3]),
        "LAB:S": (ValueType.STRING, ["a", "ν\n", "", "d"]),
        "LAB:E": (ValueType.ENUM, [0, 1, 2, 1]),
    }
    for pv, (value_type, told) in values.items():
        emit(Connection(pv, True, "ioc", NEW_YEAR_NS - 2, NEW_YEAR_NS - 2, "ca"))
        emit(Metadata(pv, NEW_YEAR_NS, value_type, unit="K", precision=2))
        for number, value in enumerate(told):
            # the last second of one year, the first of the next
            time_ns = NEW_YEAR_NS + (number - 2) * SECOND_NS + number
            emit(Sample(pv, time_ns, value, value_type, number, 3, "ca", time_ns))
    writer.close()
    return open_archive_reader(tmp_path / "archive")


def samples(reader, pv):
    rows = reader.read(pv, *EVER).to_pylist()
    names = ("time_ns", "value", "severity", "status")
    return [tuple(row[name] for name in names) for row in rows if row["kind"] == "sample"]


def test_a_year_is_a_file_and_comes_back_as_it_was(reader, tmp_path):
    out = tmp_path / "store"
    written = [found for pv in reader.registry().by_name for found in export_appliance(reader, pv, *EVER, out)]
    assert (out / "LAB/T/1:2024.pb", 2) in written
    assert (out / "LAB/T/1:2025.pb", 2) in written
    done = import_files(tmp_path / "other", [out])
    assert (done.n_files, done.counts.stored, done.unreadable) == (10, 20, ())
    other = open_archive_reader(tmp_path / "other")
    for pv in reader.registry().by_name:
        assert samples(other, pv) == samples(reader, pv), pv
        assert other.record(pv).metadata.unit == "K"
        assert other.record(pv).metadata.precision == 2


def test_a_lost_connection_goes_with_the_first_sample_behind_it(tmp_path):
    writer = open_archive_writer(tmp_path / "archive")
    emit, begin_ns = writer.recorder.receive, NEW_YEAR_NS + 3600 * SECOND_NS
    for number, value in enumerate([1.0, 2.0, 3.0]):
        time_ns = begin_ns + number * 100 * SECOND_NS
        emit(Connection("P", True, "ioc", time_ns, time_ns, "ca"))
        emit(Sample("P", time_ns + SECOND_NS, value, ValueType.FLOAT64, 0, 0, "ca", time_ns))
        emit(Connection("P", False, "ioc", time_ns + 60 * SECOND_NS, time_ns + 50 * SECOND_NS, "ca"))
    writer.close()
    reader = open_archive_reader(tmp_path / "archive")
    list(export_appliance(reader, "P", *EVER, tmp_path / "store"))
    import_files(tmp_path / "other", [tmp_path / "store"])
    links = [(row.kind.name, row.time_ns) for row in open_archive_reader(tmp_path / "other").connections("P", *EVER)]
    for number in (0, 1):
        lost_ns = begin_ns + (number * 100 + 50) * SECOND_NS
        assert ("DISCONNECT", lost_ns) in links
        assert ("RECONNECT", lost_ns + 50 * SECOND_NS) in links
    assert len([kind for kind, _ in links if kind == "DISCONNECT"]) == 2


@pytest.mark.parametrize("offset_s", [-10, -0.25, 0.25])
@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("most_rows", [1_000_000, 2])
def test_it_goes_with_the_first_sample_whatever_its_stamp(tmp_path, offset_s, is_restarted, most_rows):
    writer = open_archive_writer(tmp_path / "archive")
    begin_ns = NEW_YEAR_NS + 3600 * SECOND_NS

    def at(seconds):
        return begin_ns + round(seconds * SECOND_NS)

    def emit_sample(value, stamp_s, received_s):
        writer.recorder.receive(Sample("P", at(stamp_s), value, ValueType.FLOAT64, 0, 0, "ca", at(received_s)))

    writer.recorder.receive(Connection("P", True, "ioc", at(0), at(0), "ca"))
    for number in range(5):
        emit_sample(1.0 + number, number, number)
    if not is_restarted:
        writer.recorder.receive(Connection("P", False, "ioc", at(95), at(80), "ca"))
    else:
        writer.recorder.receive(Life("ioc", at(80)))
        writer.recorder.commit()
        clock = SimpleNamespace(now_ns=lambda: at(95))
        writer.close()
        writer = open_archive_writer(tmp_path / "archive", clock=clock)
        writer.recorder.receive(Life("ioc", at(95)))
    writer.recorder.receive(Connection("P", True, "ioc", at(100), at(100), "ca"))
    emit_sample(8.0, 100 + offset_s, 100.5)
    emit_sample(9.0, 101, 101)
    writer.close()
    reader = open_archive_reader(tmp_path / "archive")
    found = [row for piece in samples_of(reader.pieces("P", *EVER, most_rows)) for row in piece.to_pylist()]
    told = [(row["value"], row["lost_s"], row["regained_s"]) for row in found if row["lost_s"]]
    assert told == [(8.0, at(80) // SECOND_NS, at(100) // SECOND_NS)]
    assert not found[-1]["is_after_gap"]


def test_only_what_was_asked_for(reader, tmp_path):
    ((path, n_samples),) = export_appliance(reader, "LAB:N", NEW_YEAR_NS, NEW_YEAR_NS + SECOND_NS, tmp_path)
    assert (path.name, n_samples) == ("N:2025.pb", 1)


def test_nothing_is_written_over(reader, tmp_path):
    list(export_appliance(reader, "LAB:N", *EVER, tmp_path))
    with pytest.raises(UsageError, match="there already"):
        list(export_appliance(reader, "LAB:N", *EVER, tmp_path))
