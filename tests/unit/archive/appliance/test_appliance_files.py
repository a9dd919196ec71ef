"""Files of the Archiver Appliance: read completely, damaged lines named and passed over."""

import pyarrow as pa
import pytest

from nualley.archive.appliance.files import Damage, read_events
from nualley.archive.appliance.messages import EVENTS, PayloadInfo, PayloadType, escape_line, unescape_line
from nualley.archive.appliance.writing import event_lines, info_line, payload_of
from nualley.archive.columns import VALUE_TYPES
from nualley.core import SECOND_NS, parse_time_ns
from nualley.pv import ValueType

YEAR_NS = parse_time_ns("2024-01-01T00:00:00Z", 0)


def read(data: bytes) -> tuple[list, Damage]:
    damage = Damage()
    return list(
        read_events(data.splitlines(keepends=True) if b"\r" not in data else _lines(data), "x.pb", damage)
    ), damage


def _lines(data: bytes) -> list[bytes]:
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


def written(value_type: ValueType, values: list, **columns: list) -> bytes:
    n = len(values)
    told = {
        "time_ns": [YEAR_NS + i * 86_400 * SECOND_NS + 123_456_789 for i in range(n)],
        "value": pa.array(values, VALUE_TYPES[value_type]),
        "severity": [0] * n,
        "status": [0] * n,
        **columns,
    }
    table = pa.table(told)
    payload = payload_of(table)
    return info_line("A:B", 2024, payload, {"EGU": "mA", "PREC": "2"}) + b"".join(event_lines(2024, payload, table))


@pytest.mark.parametrize(("name", "n_events"), [("sig1-wo-adel.pb", 37), ("sig2-w-adel.pb", 23)])
def test_real_files_are_read_completely(shared_data, name, n_events):
    damage = Damage()
    with (shared_data / "archive" / name).open("rb") as file:
        parts = list(read_events(file, name, damage))
    assert (sum(len(part) for part in parts), damage.n_lines) == (n_events, 0)
    assert parts[0].value_type is ValueType.FLOAT64
    assert (parts[0].time_ns[1:] > parts[0].time_ns[:-1]).all()


@pytest.mark.parametrize(
    ("value_type", "values"),
    [
        (ValueType.FLOAT64, [1.5, -0.0, float("inf"), 1e300]),
        (ValueType.ENUM, [0, 3, 15]),
        (ValueType.STRING, ["open", "", "ν\n\r\x1b"]),
        (ValueType.FLOAT64_ARRAY, [[1.0, 2.0], [], [3.0]]),
        (ValueType.FLOAT32_ARRAY, [[0.5], [], [1.5, 2.5]]),
        (ValueType.INT32_ARRAY, [[1, -2], []]),
        (ValueType.STRING_ARRAY, [["a", "b\n"], []]),
    ],
)
def test_what_is_written_is_read_again(value_type, values):
    (part,), damage = read(written(value_type, values, severity=[2] * len(values), status=[5] * len(values)))
    assert damage.n_lines == 0
    assert (part.pv, part.value_type, part.unit, part.precision) == ("A:B", value_type, "mA", 2)
    assert part.value.to_pylist() == values
    assert part.time_ns.tolist()[0] == YEAR_NS + 123_456_789
    assert set(part.severity.tolist()) == {2}
    assert set(part.status.tolist()) == {5}


@pytest.mark.parametrize(
    ("payload", "wire", "expected"),
    [
        (PayloadType.SCALAR_BYTE, b"\xff", -1),
        (PayloadType.SCALAR_SHORT, -7, -7),
        (PayloadType.SCALAR_INT, -(2**31), -(2**31)),
        (PayloadType.SCALAR_FLOAT, 0.5, 0.5),
        (PayloadType.WAVEFORM_BYTE, b"\x01\xfe", [1, -2]),
        (PayloadType.WAVEFORM_SHORT, [1, -1], [1, -1]),
        (PayloadType.WAVEFORM_ENUM, [2], [2]),
        (PayloadType.V4_GENERIC_BYTES, b"\x00\x0a", "AAo="),
    ],
)
def test_every_kind_of_value(payload, wire, expected):
    event = EVENTS[payload](secondsintoyear=1, nano=2, val=wire)
    info = PayloadInfo(type=payload, pvname="P", year=2024)
    data = b"".join(escape_line(message.SerializeToString()) + b"\n" for message in (info, event))
    (part,), damage = read(data)
    assert damage.n_lines == 0
    assert part.value.to_pylist() == [expected]
    assert part.time_ns.tolist() == [YEAR_NS + SECOND_NS + 2]


def test_a_lost_connection_is_said():
    event = EVENTS[PayloadType.SCALAR_DOUBLE](secondsintoyear=100, nano=0, val=1.0)
    for name, value in (("cnxlostepsecs", YEAR_NS // SECOND_NS + 10), ("cnxregainedepsecs", YEAR_NS // SECOND_NS + 90)):
        event.fieldvalues.add(name=name, val=str(value))
    info = PayloadInfo(type=PayloadType.SCALAR_DOUBLE, pvname="P", year=2024)
    (part,), _ = read(b"".join(escape_line(m.SerializeToString()) + b"\n" for m in (info, event)))
    assert part.links == ((YEAR_NS + 10 * SECOND_NS, "disconnect"), (YEAR_NS + 90 * SECOND_NS, "reconnect"))


def test_damaged_lines_are_named_and_the_rest_is_read():
    lines = _lines(written(ValueType.FLOAT64, [1.0, 2.0, 3.0, 4.0]))
    lines[2] = b"\xff\xff\xff\n"
    parts, damage = read(b"".join(lines))
    assert parts[0].value.to_pylist() == [1.0, 3.0, 4.0]
    assert damage.n_lines == 1
    assert damage.places[0].startswith("x.pb:3: ")


def test_a_torn_last_line_is_named():
    data = written(ValueType.FLOAT64, [1.0, 2.0])
    parts, damage = read(data[:-3])
    assert parts[0].value.to_pylist() == [1.0]
    assert damage.places == ["x.pb:3: the last line is cut short"]


def test_without_its_first_line_nothing_can_be_said():
    lines = _lines(written(ValueType.FLOAT64, [1.0, 2.0]))
    parts, damage = read(b"".join([b"\xff\n", *lines[1:]]))
    assert parts == []
    assert damage.n_lines == 3
    assert "no line before it says what it is" in damage.places[1]


def test_an_empty_file_is_no_damage():
    assert read(b"") == ([], Damage())


def test_chunks_behind_an_empty_line_are_their_own():
    one = written(ValueType.FLOAT64, [1.0])
    parts, damage = read(one + b"\n" + written(ValueType.STRING, ["x"]))
    assert [part.value.to_pylist() for part in parts] == [[1.0], ["x"]]
    assert damage.n_lines == 0


def test_the_ends_of_lines_are_escaped():
    for data in (b"\n\r\x1b", b"\x1b\x02", b"plain", b"\x1b\x1b\n\x01"):
        assert b"\n" not in escape_line(data)
        assert unescape_line(escape_line(data)) == data
