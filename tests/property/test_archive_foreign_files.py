"""Whatever bytes a file of another archive has: each line is stored or kept aside, and reading it never fails."""

import csv

from hypothesis import given, settings
from hypothesis import strategies as st

from nualley.archive.appliance.files import Damage, read_events
from nualley.archive.appliance.messages import EVENTS, PayloadInfo, PayloadType, escape_line
from nualley.archive.csv_rows import CsvHeaderError, RefusedLines, ValueCounts, read_csv

WORDS = st.one_of(
    st.sampled_from(["P", "1", "1e400", "-inf", '"', '""', "2026-01-01", "\0", "\udcff", "ν", "", " "]),
    st.text(max_size=6),
)
LINES = st.lists(st.lists(WORDS, max_size=5).map(",".join), max_size=12)


def read_twice(text, refused):
    """Read as an import does: what the values are is counted first."""
    values = ValueCounts()
    values.count(text, "a.csv")
    return list(read_csv(text, "a.csv", refused, lambda pv: values.value_type(pv, None)))


@given(LINES, st.sampled_from(["\n", "\r\n"]))
def test_any_csv(lines, end):
    text = [f"pv,time,value{end}", *(f"{line}{end}" for line in lines)]
    refused = RefusedLines()
    try:
        rows = read_twice(text, refused)
    except CsvHeaderError:
        raise AssertionError("the first line is whole") from None
    n_stored = sum(map(len, rows))
    # a field with an end of line in it is one row of several lines: no row is in more than it has lines
    assert n_stored + len(refused.lines) <= sum(len(line.splitlines()) or 1 for line in lines) + len(lines)
    for part in rows:
        part.value.validate(full=True)
        assert len(part.time_ns) == len(part.value) == len(part.severity) == len(part.status)


@given(st.lists(st.tuples(WORDS, st.integers(-(2**70), 2**70), st.floats()), max_size=30))
def test_what_a_csv_writer_writes_is_accounted_for_line_by_line(rows):
    class Sink(list):
        write = list.append

    sink = Sink(["pv,time,value\n"])
    writer = csv.writer(sink, lineterminator="\n")
    for pv, time_ns, value in rows:
        writer.writerow(["P" if not pv.isalpha() else pv, time_ns, repr(value)])
    refused = RefusedLines()
    assert sum(map(len, read_twice(sink, refused))) + len(refused.lines) == len(rows)


VALUES = {
    PayloadType.SCALAR_DOUBLE: 1.5,
    PayloadType.SCALAR_STRING: "open, \u03bd",
    PayloadType.SCALAR_ENUM: 2,
    PayloadType.WAVEFORM_STRING: ["a", "b"],
    PayloadType.WAVEFORM_DOUBLE: [1.0, 2.0],
    PayloadType.WAVEFORM_BYTE: b"\x01\xff",
    PayloadType.V4_GENERIC_BYTES: b"any",
}


def whole_file(kind: PayloadType) -> bytes:
    lines = [PayloadInfo(type=int(kind), pvname="P", year=2026).SerializeToString()]
    for number in range(8):
        event = EVENTS[kind](secondsintoyear=number, nano=0, val=VALUES[kind], severity=number % 4)
        event.fieldvalues.add(name="cnxlostepsecs", val=str(1_767_225_600 + number))
        event.fieldvalues.add(name="cnxregainedepsecs", val=str(1_767_225_601 + number))
        lines.append(event.SerializeToString())
    return b"".join(escape_line(line) + b"\n" for line in lines)


WHOLE = [whole_file(kind) for kind in VALUES]


@settings(max_examples=300)
@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255), st.integers(1, 20)), max_size=4),
)
def test_any_damage_to_a_file_of_an_appliance(whole, changes):
    raw = bytearray(whole)
    for at, byte, length in changes:
        place = at % len(raw)
        raw[place : place + length] = bytes([byte]) * min(length, len(raw) - place)
    damage = Damage()
    for rows in read_events(bytes(raw).splitlines(keepends=True), "a.pb", damage):
        assert len(rows.time_ns) == len(rows.value) == len(rows.severity) == len(rows.status)
        assert all(abs(time_ns) < 2**63 for time_ns, _ in rows.links)
        rows.value.validate(full=True)
