"""The log's frames: whole or not there, whatever happens to their bytes."""

import numpy as np
import pyarrow as pa
import pytest
from zlib_ng import zlib_ng

from nualley.archive.columns import log_schema, value_array
from nualley.archive.commits import Commit, Note
from nualley.archive.errors import ArchiveNewerError
from nualley.archive.progress import Account
from nualley.archive.wal import (
    FRAME_HEADER,
    SEGMENT_HEADER,
    Survey,
    check_header,
    encode_commit,
    encode_segment_header,
    iterate_commits,
    survey,
)
from nualley.pv import Limits, Metadata, ValueType

VALUES = {
    ValueType.FLOAT64: [1.5, float("nan"), None],
    ValueType.INT64: [1, -(2**62), None],
    ValueType.STRING: ["a", "ν-alley", None],
    ValueType.ENUM: [0, 3, None],
    ValueType.FLOAT64_ARRAY: [np.array([1.0, 2.0]), np.array([]), None],
    ValueType.FLOAT32_ARRAY: [np.array([1.5], dtype="f4"), np.array([], dtype="f4"), None],
    ValueType.INT32_ARRAY: [np.array([1, 2, 3], dtype="i4"), np.array([], dtype="i4"), None],
    ValueType.STRING_ARRAY: [["x", "y"], [], None],
}


def make_batch(value_type: ValueType, *, is_quarantine: bool = False) -> pa.RecordBatch:
    values = value_array(VALUES[value_type], value_type)
    n = len(values)
    columns = {
        "pv": [7] * n, "time_ns": list(range(n)), "value": values, "severity": [0, 3, None], "status": [0, 17, None],
        "protocol": ["ca", "mqtt", "ca"], "received_ns": [10] * n, "seq": list(range(n)), "kind": [0, 0, 1],
        "last_heard_ns": [None, None, 5], "reason": ["future"] * n,
    }  # fmt: skip
    schema = log_schema(value_type, is_quarantine=is_quarantine)
    return pa.RecordBatch.from_arrays([pa.array(columns[f.name], type=f.type) for f in schema], schema=schema)


def make_commit() -> Commit:
    note = Note(
        Account(number=3, n_received=8, seq=9, time_ns=123),
        names={7: "DEMO:{A}:ν"},
        filtered={7: {"repeat": 2}},
        metadata=(Metadata("P", 1, ValueType.ENUM, "MW", 3, ("Off", "On"), Limits(alarm_high=2.0), "ca"),),
        last_heard={"127.0.0.1:5064": 99},
        iocs={7: "127.0.0.1:5064"},
    )
    rows = {value_type: make_batch(value_type) for value_type in VALUES}
    return Commit(note, rows, {ValueType.FLOAT64: make_batch(ValueType.FLOAT64, is_quarantine=True)})


def assert_same(found: Commit, expected: Commit) -> None:
    assert found.note == expected.note
    assert found.rows.keys() == expected.rows.keys()
    for value_type, batch in expected.rows.items():
        # NaN is not equal to itself: compare what a person would see
        assert str(found.rows[value_type].to_pylist()) == str(batch.to_pylist())
    assert str(found.quarantined[ValueType.FLOAT64].to_pylist()) == str(
        expected.quarantined[ValueType.FLOAT64].to_pylist()
    )


def test_commits_of_every_type_come_back_as_they_were():
    commit = make_commit()
    frames = encode_commit(commit) + encode_commit(Commit(Note(Account(seq=10))))
    found = list(iterate_commits(frames))
    assert [offset for offset, _ in found] == [len(encode_commit(commit)), len(frames)]
    assert_same(found[0][1], commit)
    assert found[1][1].account.seq == 10


def test_a_frame_cut_at_any_byte_is_not_there():
    whole = encode_commit(Commit(Note(Account(seq=1))))
    torn = encode_commit(Commit(Note(Account(seq=2), names={1: "P"})))
    for length in range(len(torn)):
        buffer = whole + torn[:length]
        assert [commit.account.seq for _, commit in iterate_commits(buffer)] == [1]
        assert survey(buffer) == Survey(len(whole))


def test_a_flipped_bit_in_any_byte_of_a_frame_is_seen():
    whole = encode_commit(Commit(Note(Account(seq=1))))
    frame = bytearray(encode_commit(Commit(Note(Account(seq=2)), {ValueType.FLOAT64: make_batch(ValueType.FLOAT64)})))
    for position in range(len(frame)):
        frame[position] ^= 1 << (position % 8)
        assert survey(whole + frame).intact_B == len(whole), f"byte {position} was not guarded"
        frame[position] ^= 1 << (position % 8)
    assert survey(whole + frame).intact_B == len(whole) + len(frame)


def test_zeroed_blocks_end_what_can_be_read():
    assert survey(bytes(4096)) == Survey(0)
    assert FRAME_HEADER.size == 12


def test_a_segment_of_a_newer_nualley_is_refused():
    check_header(encode_segment_header(5), 5, "x")
    # no header at all is damage, which the commits' numbers tell
    check_header(b"\0" * SEGMENT_HEADER.size, 5, "x")
    flipped = bytearray(encode_segment_header(5))
    flipped[6] ^= 1
    check_header(bytes(flipped), 5, "x")
    magic, segment = b"NUWALv2\n", (6).to_bytes(8, "little")
    newer = magic + segment + zlib_ng.crc32(magic + segment).to_bytes(8, "little")
    with pytest.raises(ArchiveNewerError, match="version 2, this nualley knows 1") as caught:
        check_header(newer, 6, "wal/0/00000006.wal")
    assert caught.value.where == "wal/0/00000006.wal"


def test_damage_between_whole_frames_is_passed_over_and_named():
    frames = [encode_commit(Commit(Note(Account(seq=n), names={n: "P"}))) for n in range(4)]
    first, second = len(frames[0]), len(frames[0]) + len(frames[1])
    for position in range(first, second):
        raw = bytearray(b"".join(frames))
        raw[position] ^= 0x01
        assert survey(bytes(raw)) == Survey(len(raw), ((first, second),))
        assert [commit.account.seq for _, commit in iterate_commits(bytes(raw))] == [0, 2, 3]
