"""Files of others that are not as they should be: each line is a sample or is kept aside, and none is guessed at."""

import json
import math

import pytest

from nualley.app.archive import open_archive_reader
from nualley.app.imports import import_files
from nualley.archive.adapters.manifest import ManifestFile
from nualley.archive.appliance.files import Damage, read_events
from nualley.archive.appliance.messages import EVENTS, PayloadInfo, PayloadType, escape_line
from nualley.archive.csv_rows import CsvHeaderError, RefusedLines, ValueCounts, read_csv
from nualley.archive.names import LONGEST
from nualley.core import escape_name, parse_time_ns
from nualley.pv import ValueType
from tests.kept_aside import kept_aside

T = parse_time_ns("2026-01-01T00:00:00Z", 0)


def csv_of(folder, data):
    path = folder / "odd.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def taken_in(folder, path):
    """Import a file; return the account, the samples by PV, and the reasons of what is kept aside."""
    archive = folder / "archive"
    found = import_files(archive, [path])
    counts = found.counts
    assert counts.received == counts.stored + counts.quarantined + counts.filtered
    reader = open_archive_reader(archive)
    samples = {
        pv: [row["value"] for row in reader.read(pv, 0, 2**62).to_pylist() if row["kind"] == "sample"]
        for pv in reader.registry().by_name
    }
    kept = [] if found.kept_at is None else [json.loads(line) for line in found.kept_at.read_text().splitlines()]
    return counts, samples, kept


HEAD = "pv,time,value\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + f"{HEAD}P,{T},1\nP,{T + 1},2\n".encode(),
        f"pv,time,value\r\nP,{T},1\r\nP,{T + 1},2\r\n",
        f"pv,time,value\rP,{T},1\rP,{T + 1},2",
        f" PV , Time , Value \n\nP , {T} , 1 \n P,{T + 1},2",
        f'value,"pv",time\n"1",P,{T}\n2,P,{T + 1}\n',
    ],
    ids=["BOM", "CRLF", "CR", "spaces", "quotes"],
)
def test_what_programs_write_is_read(tmp_path, data):
    _, samples, kept = taken_in(tmp_path, csv_of(tmp_path, data))
    assert (samples, kept) == ({"P": [1.0, 2.0]}, [])


@pytest.mark.parametrize("head", ["pv,time,value,value", "pv,PV,time,value", "time,pv,time,value", "pv;time;value", ""])
def test_columns_are_named_once(head):
    with pytest.raises(CsvHeaderError, match=r"more than once|names no column") as caught:
        ValueCounts().count([f"{head}\n", f"P,{T},1,2\n"], "a.csv")
    assert caught.value.where == "a.csv:1"
    with pytest.raises(CsvHeaderError, match=r"more than once|names no column") as caught:
        list(read_csv([f"{head}\n", f"P,{T},1,2\n"], "a.csv", RefusedLines(), lambda _: ValueType.FLOAT64))
    assert caught.value.where == "a.csv:1"
    assert caught.value.do.startswith("write pv,time,value")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"P,{T},1,5", "4 fields, the first line names 3 columns"),  # a decimal comma is no 1
        (f"P,{T}", "2 fields"),
        (f"P,{T},", "there is no value"),
        (f"P,{T},1e400", "beyond the numbers"),
        (f"P,{T},-1e999", "beyond the numbers"),
        ("P,99999999999999999999,1", "beyond the times"),
        (f"P,{2**63 - 1},1", "beyond the times"),
        (f"P,{'9' * 5000},1", "4300"),
        ("P,2500-01-01T00:00:00Z,1", "out of range"),
        ("P,2026-01-01T00:00:00,1", "no time zone"),
        ("P,now,1", "is no time"),
        ("P,-1h,1", "is no time"),
        ("P,\u0661\u0662,1", "is not a time"),
        ("P,--5,1", "is no time"),
        (f"{'X' * (LONGEST + 1)},{T},1", "cannot be the name of a PV"),
        (f"../../etc/passwd,{T},1", "cannot be the name of a PV"),
        (f"P\0Q,{T},1", "cannot be the name of a PV"),
        (f"P,{T},{'x' * 200_000}", "field larger than field limit"),
        (f'P,{T},"never closed', "unexpected end of data"),
        (f'P,{T},"a"b', "expected after"),
    ],
    ids=lambda value: ascii(value[:24]),
)
def test_a_line_that_is_no_sample_is_kept_aside_and_the_others_are_stored(tmp_path, line, why):
    path = csv_of(tmp_path, f"{HEAD}P,{T + 1},1.5\n{line}\nP,{T + 2},2.5\n")
    counts, samples, (kept,) = taken_in(tmp_path, path)
    assert samples == {"P": [1.5, 2.5]}
    assert (counts.received, counts.stored, counts.quarantined) == (3, 2, 1)
    assert why in kept["reason"]
    assert (kept["file"], kept["line"]) == (str(path), 3)
    assert kept["text"] == escape_name(line.encode())


def test_text_that_is_no_utf8_is_kept_as_its_bytes(tmp_path):
    counts, samples, (kept,) = taken_in(tmp_path, csv_of(tmp_path, HEAD.encode() + f"P,{T},".encode() + b"\xe4\n"))
    assert (counts.stored, samples) == (0, {})
    assert kept["text"] == f"P,{T},\\xe4"


def test_numbers_are_what_every_reader_takes_for_numbers(tmp_path):
    for pv, word in (("A", "1_000"), ("B", "\u0661"), ("C", "nan"), ("D", "-Inf"), ("E", " 1e3 "), ("F", "0x10")):
        _, samples, _ = taken_in(tmp_path, csv_of(tmp_path, f"{HEAD}{pv},{T},{word}\n"))
    assert {pv: samples[pv] for pv in "ABDEF"} == {
        "A": ["1_000"], "B": ["\u0661"], "D": [-math.inf], "E": [1000.0], "F": ["0x10"],
    }  # fmt: skip
    assert math.isnan(samples["C"][0])


def test_a_quote_that_is_never_closed_swallows_no_sample():
    lines = [HEAD, f'P,{T},"open\n', *(f"P,{T + n},{n}\n" for n in range(1, 20_000))]
    refused = RefusedLines()
    (rows,) = read_csv(lines, "a.csv", refused, lambda _: ValueType.FLOAT64)
    assert (len(rows), [line[1] for line in refused.lines]) == (19_999, [2])


# ------------------------------------------------------------------ files of an appliance
def pb_of(folder, *lines, pv="P", year=2026, payload=PayloadType.SCALAR_DOUBLE, **more):
    info = PayloadInfo(type=int(payload), pvname=pv, year=year, **more)
    path = folder / "odd.pb"
    path.write_bytes(b"".join(escape_line(line) + b"\n" for line in (info.SerializeToString(), *lines)))
    return path


def event(payload=PayloadType.SCALAR_DOUBLE, fields=(), **values):
    made = EVENTS[payload](**{"secondsintoyear": 5, "nano": 0, **values})
    for name, value in fields:
        made.fieldvalues.add(name=name, val=value)
    return made.SerializeToString()


@pytest.mark.parametrize(
    "changes",
    [{"pv": "../../x"}, {"pv": ""}, {"pv": "X" * 201}, {"year": 0}, {"year": 99999}, {"year": -5}, {"year": 9000}],
    ids=str,
)
def test_a_file_of_nobody_knows_whom_or_when_is_kept_aside(tmp_path, changes):
    counts, samples, kept = taken_in(tmp_path, pb_of(tmp_path, event(val=1.0), event(val=2.0), **changes))
    assert (counts.stored, samples) == (0, {})
    assert len(kept) == counts.quarantined > 0


@pytest.mark.parametrize(
    "bad",
    [
        b"\x00\x01garbage",
        event(val=1.0)[:-3],
        event(val=1.0, status=70_000),
        event(val=1.0, secondsintoyear=2**32 - 1, nano=2**32 - 1)[:-1],
    ],
)
def test_a_damaged_event_moves_no_other(tmp_path, bad):
    good = [event(val=float(n), secondsintoyear=n) for n in range(4)]
    counts, samples, (kept,) = taken_in(tmp_path, pb_of(tmp_path, *good[:2], bad, *good[2:]))
    assert samples == {"P": [0.0, 1.0, 2.0, 3.0]}
    assert (counts.received, counts.stored, counts.quarantined) == (5, 4, 1)
    assert kept["line"] == 4
    rows = open_archive_reader(tmp_path / "archive").read("P", 0, 2**62).to_pylist()
    assert [row["time_ns"] - T for row in rows if row["kind"] == "sample"] == [n * 10**9 for n in range(4)]


def test_fields_that_make_no_sense_stop_nothing(tmp_path):
    odd = [("cnxlostepsecs", "9" * 30), ("cnxregainedepsecs", "9" * 31), ("PREC", "\u00b2"), ("EGU", 'k"W\n')]
    more = [("cnxlostepsecs", "\u00b2"), ("cnxregainedepsecs", "-5"), ("PREC", "9" * 5000)]
    counts, samples, kept = taken_in(
        tmp_path, pb_of(tmp_path, event(val=1.0, fields=odd), event(val=2.0, secondsintoyear=6, fields=more))
    )
    assert (samples, kept, counts.stored) == ({"P": [1.0, 2.0]}, [], 2)
    assert open_archive_reader(tmp_path / "archive").record("P").metadata.unit == 'k"W\n'


def test_an_empty_array_of_bytes_is_a_value(tmp_path):
    kind = PayloadType.WAVEFORM_BYTE
    path = pb_of(tmp_path, event(kind, val=b""), event(kind, val=b"\x01\xff", secondsintoyear=6), payload=kind)
    _, samples, kept = taken_in(tmp_path, path)
    assert (samples, kept) == ({"P": [[], [1, -1]]}, [])


def test_every_line_behind_a_damaged_first_one_is_counted():
    damage = Damage()
    assert list(read_events([b"\xff\xff\xff\n", event(val=1.0) + b"\n", event(val=2.0)], "a.pb", damage)) == []
    assert [(line, raw != b"") for _, line, _, raw in damage.lines] == [(1, True), (2, True), (3, True)]


# ------------------------------------------------------------------ what is refused can be seen, and the manifest read
@pytest.mark.parametrize("stamp_ns", [2**63 - 2, 2**62 + 5, -(2**63), 5])
def test_an_imported_stamp_of_another_century_is_shown_among_what_is_kept_aside(tmp_path, stamp_ns):
    counts, _, _ = taken_in(tmp_path, csv_of(tmp_path, f"{HEAD}P,{stamp_ns},1\n"))
    assert counts.quarantined == 1
    assert len(kept_aside(open_archive_reader(tmp_path / "archive"))) == 1


def test_a_manifest_with_damaged_lines_is_read(tmp_path, bench):
    path = tmp_path / "manifest.jsonl"
    good = b'{"action":"sealed","path":"a","sha256":"1"}\n{"action":"replaced","path":"b","sha256":"2"}\n'
    path.write_bytes(b'\xff\xfe{"action"\n[1]\n{"action":"sealed"}\n{"action":"sealed","path"' + b"\n" + good)
    manifest = ManifestFile(tmp_path, bench.clock)
    assert manifest.sha256_by_path() == {"a": "1"}
    assert manifest.replaced() == {"b"}
