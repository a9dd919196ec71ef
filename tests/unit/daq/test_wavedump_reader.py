"""WaveDump files as a user reads them."""

import os
from pathlib import Path

import numpy as np
import pytest

from nualley.daq import BadOffsetError, DaqSettings, Formats, MissingSettingError, Reader, open_raw, summarise
from nualley.testing.wavedump import WaveDumpWriter, write_config


def open_(path: Path, formats: Formats, **settings: object) -> Reader:
    return open_raw(path, "wavedump", DaqSettings(**settings), formats=formats)


def read_samples(reader: Reader, max_bytes: int = 1 << 20) -> np.ndarray:
    return np.concatenate([chunk.samples for chunk in reader.iter_chunks(max_bytes)])


def test_length_and_channel_come_from_the_header_and_not_from_name_or_settings(
    wavedump_file: Path, waveforms: np.ndarray, formats: Formats
) -> None:
    reader = open_(wavedump_file, formats, channel=1, record_length=49)
    assert (reader.channels, reader.record_length, reader.n_events) == ((5,), 50, 10)
    assert reader.header == {"board": 3, "channel": 5, "event_B": 124, "sample_bits": 16}
    chunk = next(reader.iter_chunks(1 << 20))
    assert (chunk.samples.reshape(10, 50) == waveforms).all()
    assert (chunk.waveform(7) == waveforms[7]).all()
    assert chunk.hits.slice(4, 1).to_pylist() == [
        {
            "event": 4,
            "event_id": 4,
            "board": 3,
            "channel": 5,
            "t_raw": 4007,
            "t_ns": None,
            "flags": 4,
            "wf_offset": 200,
            "n_samples": 50,
        }
    ]
    assert reader.defects == ()
    assert reader.resume_offset == wavedump_file.stat().st_size


def test_a_clock_near_its_roll_over_stays_as_it_is(tmp_path: Path, formats: Formats) -> None:
    with WaveDumpWriter(tmp_path / "w.dat") as writer:
        writer.write([[1], [2], [3]], [2**31 - 1, 0, 2**32 - 1], patterns=[0, 0, 0xFFFFFF])
    hits = next(open_(tmp_path / "w.dat", formats).iter_chunks(1000)).hits
    assert hits["t_raw"].to_pylist() == [2**31 - 1, 0, 2**32 - 1]
    assert hits["flags"].to_pylist() == [0, 0, 0xFFFFFF]


def test_chunks_keep_to_their_bound(wavedump_file: Path, formats: Formats) -> None:
    reader = open_(wavedump_file, formats)
    for max_bytes, n_chunks in ((1, 10), (250, 10 // 2), (10**6, 1)):
        chunks = list(reader.iter_chunks(max_bytes))
        assert all(chunk.samples.nbytes <= max(100, max_bytes) for chunk in chunks)
        assert len(chunks) >= n_chunks
        assert np.concatenate([chunk.hits["event"].to_numpy() for chunk in chunks]).tolist() == list(range(10))


def test_hits_alone_are_had_without_samples(wavedump_file: Path, formats: Formats) -> None:
    (chunk,) = open_(wavedump_file, formats).iter_chunks(1 << 20, samples=False)
    assert chunk.samples.size == 0
    assert chunk.hits.num_rows == 10


def test_events_of_different_length_have_no_record_length(tmp_path: Path, formats: Formats) -> None:
    events = [np.arange(n, dtype=np.uint16) + 300 for n in (5, 9, 1, 5)]
    with WaveDumpWriter(tmp_path / "w.dat", channel=2) as writer:
        writer.write(events)
    reader = open_(tmp_path / "w.dat", formats)
    assert reader.record_length is None
    assert summarise(reader).record_length is None
    (chunk,) = reader.iter_chunks(1 << 20)
    assert all((chunk.waveform(row) == events[row]).all() for row in range(4))


@pytest.mark.parametrize(
    ("sample_bits", "record_length", "config"),
    [(8, None, None), (None, 51, None), (None, None, 51), (None, None, None)],
)
def test_samples_of_eight_bits_are_read_as_told_or_implied(
    tmp_path: Path, formats: Formats, sample_bits: int | None, record_length: int | None, config: int | None
) -> None:
    samples = np.random.default_rng(3).integers(0, 256, (4, 51), dtype=np.uint8)
    with WaveDumpWriter(tmp_path / "wave1.dat", sample_bits=8, channel=1) as writer:
        writer.write(samples)
    if config:
        write_config(tmp_path, {"COMMON": {"RECORD_LENGTH": config}})
    reader = open_(tmp_path / "wave1.dat", formats, sample_bits=sample_bits, record_length=record_length)
    assert reader.record_length == 51
    assert (read_samples(reader) == samples.reshape(-1)).all()
    assert read_samples(reader).dtype == np.uint8


def test_sixteen_bits_that_look_like_eight_are_noted(tmp_path: Path, formats: Formats) -> None:
    with WaveDumpWriter(tmp_path / "w.dat", sample_bits=8) as writer:
        writer.write(np.full((4, 100), 100))
    reader = open_(tmp_path / "w.dat", formats, sample_bits=16, record_length=100)
    assert reader.record_length == 50
    assert reader.header["note"] == "events hold 100 B for a record length of 100: 8 bits a sample?"


def test_odd_events_are_no_wavedump_of_sixteen_bits(tmp_path: Path, formats: Formats) -> None:
    with WaveDumpWriter(tmp_path / "w.dat", sample_bits=8) as writer:
        writer.write(np.full((4, 101), 100))
    summary = summarise(open_(tmp_path / "w.dat", formats, sample_bits=16))
    assert [defect.kind for defect in summary.defects] == ["unknown-format"]
    assert "of 16-bit samples" in summary.defects[0].detail


def test_the_configuration_beside_the_data_is_read(wavedump_file: Path, formats: Formats) -> None:
    write_config(wavedump_file.parent, {"COMMON": {"RECORD_LENGTH": 48}, "5": {"ENABLE_INPUT": "YES"}})
    assert open_(wavedump_file, formats).settings == {"COMMON": {"RECORD_LENGTH": "48"}, "5": {"ENABLE_INPUT": "YES"}}


def test_a_configuration_that_cannot_be_read_is_a_note(wavedump_file: Path, formats: Formats) -> None:
    (wavedump_file.parent / "WaveDumpConfig.txt").mkdir()
    reader = open_(wavedump_file, formats)
    assert reader.settings == {"notes": ["WaveDumpConfig.txt: it is a directory, expected a regular file"]}
    assert reader.n_events == 10


def test_a_huge_configuration_is_read_in_part(wavedump_file: Path, formats: Formats) -> None:
    (wavedump_file.parent / "WaveDumpConfig.txt").write_bytes(b"A 1\n" + b"# x\n" * (1 << 19))
    settings = open_(wavedump_file, formats).settings
    assert settings["COMMON"] == {"A": "1"}
    assert settings["notes"] == ["only the first 1048576 B of 2097156 B were read"]


@pytest.mark.parametrize("sample_bits", [8, 16])
def test_a_file_without_header_lives_on_the_settings(tmp_path: Path, formats: Formats, sample_bits: int) -> None:
    samples = np.random.default_rng(4).integers(0, 256, (6, 33), dtype=np.uint16)
    path = tmp_path / "wave7.dat"
    with WaveDumpWriter(path, header=False, sample_bits=sample_bits) as writer:
        writer.write(samples)
        writer.write_raw(b"\x01")
    reader = open_(path, formats, header=False, record_length=33, sample_bits=sample_bits)
    assert (reader.channels, reader.record_length, reader.n_events) == ((7,), 33, 6)
    assert reader.header == {"channel": 7, "event_B": 33 * sample_bits // 8, "sample_bits": sample_bits}
    assert (read_samples(reader, 100) == samples.reshape(-1)).all()
    summary = summarise(reader)
    assert (summary.n_events, summary.channels, summary.record_length) == (6, (7,), 33)
    assert [(defect.kind, defect.offset_B) for defect in summary.defects] == [
        ("truncated-event", 6 * 33 * sample_bits // 8)
    ]
    row = next(reader.iter_chunks(1 << 20)).hits.slice(5, 1).to_pylist()[0]
    assert row["event"] == 5
    assert [row[name] for name in ("event_id", "board", "t_raw", "t_ns")] == [None] * 4


def test_the_channel_of_the_settings_wins_over_the_name(tmp_path: Path, formats: Formats) -> None:
    for name, channel, expected in (("wave7.dat", 2, (2,)), ("wave7.dat", None, (7,)), ("data.bin", None, ())):
        (tmp_path / name).write_bytes(bytes(20))
        reader = open_(tmp_path / name, formats, header=False, record_length=10, channel=channel)
        assert reader.channels == expected
        assert summarise(reader).channels == expected


def test_a_file_without_header_needs_a_record_length(tmp_path: Path, formats: Formats) -> None:
    path = tmp_path / "wave0.dat"
    path.write_bytes(bytes(20))
    write_config(tmp_path, {"COMMON": {"RECORD_LENGTH": 10}})
    with pytest.raises(MissingSettingError) as caught:
        open_(path, formats, header=False)
    assert "daq.record_length is not set" in str(caught.value)
    assert "WaveDumpConfig.txt says 10" in caught.value.do
    assert str(path) in caught.value.where


@pytest.mark.parametrize(("has_header", "said"), [(True, "YES"), (True, "NO"), (False, "NO")])
def test_where_nobody_says_whether_there_are_headers_the_content_does(
    tmp_path: Path, formats: Formats, has_header: bool, said: str
) -> None:
    samples = np.random.default_rng(5).integers(200, 16384, (6, 33), dtype=np.uint16)
    with WaveDumpWriter(tmp_path / "wave0.dat", header=has_header) as writer:
        writer.write(samples)
    write_config(tmp_path, {"COMMON": {"OUTPUT_FILE_HEADER": said}})
    reader = open_(tmp_path / "wave0.dat", formats, record_length=33)
    assert reader.n_events == 6
    assert (read_samples(reader) == samples.reshape(-1)).all()


@pytest.mark.parametrize("header", [True, False])
def test_an_empty_file_is_an_empty_defect_but_not_while_it_grows(
    tmp_path: Path, formats: Formats, header: bool
) -> None:
    path = tmp_path / "wave0.dat"
    path.touch()
    settings = DaqSettings(header=header, record_length=10)
    assert [d.kind for d in summarise(open_raw(path, "wavedump", settings, formats=formats)).defects] == ["empty"]
    growing = open_raw(path, "wavedump", settings, is_growing=True, formats=formats)
    assert summarise(growing).defects == ()
    assert growing.n_events == 0


def test_something_else_is_of_unknown_format(tmp_path: Path, formats: Formats) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a waveform in sight, not one\n" * 9)
    reader = open_(path, formats)
    summary = summarise(reader)
    assert (summary.n_events, reader.header, reader.channels) == (0, {}, ())
    assert [(d.kind, d.offset_B) for d in summary.defects] == [("unknown-format", 0)]
    assert "begins with 6e 6f 74" in summary.defects[0].detail


@pytest.mark.parametrize("offset", [-1, 1, 125, 10**6])
@pytest.mark.parametrize("header", [True, False])
def test_reading_begins_at_events_only(wavedump_file: Path, formats: Formats, offset: int, header: bool) -> None:
    reader = open_(wavedump_file, formats, header=header, record_length=62)
    with pytest.raises(BadOffsetError, match=f"{offset} B") as caught:
        list(reader.iter_chunks(100, offset))
    assert caught.value.where == str(wavedump_file)


def test_another_reader_goes_on_with_the_right_event(wavedump_file: Path, formats: Formats) -> None:
    chunks = list(open_(wavedump_file, formats).iter_chunks(300))
    for chunk in chunks[:-1]:
        rest = list(open_(wavedump_file, formats).iter_chunks(1 << 20, chunk.stop_offset))
        assert rest[0].hits["event"][0].as_py() == chunk.hits["event"][-1].as_py() + 1


def test_defects_are_there_once_however_often_one_reads(wavedump_file: Path, formats: Formats) -> None:
    wavedump_file.write_bytes(wavedump_file.read_bytes()[:-5])
    reader = open_(wavedump_file, formats)
    for _ in range(3):
        assert len(list(reader.iter_chunks(200))) == 5
        assert reader.n_events == 9
    assert [d.to_json() for d in reader.defects] == [
        {
            "kind": "truncated-event",
            "offset_B": 9 * 124,
            "detail": "the file ends after 119 B of an event of 124 B",
        }
    ]


@pytest.mark.parametrize(
    ("n_events", "cut_B", "score"), [(10, 0, 0.95), (2, 0, 0.8), (1, 0, 0.8), (1, 30, 0.4), (10, 30, 0.95)]
)
def test_the_probe_is_surer_the_more_headers_lead_on(
    tmp_path: Path, formats: Formats, n_events: int, cut_B: int, score: float
) -> None:
    path = tmp_path / "data"
    with WaveDumpWriter(path, channel=3) as writer:
        writer.write(np.full((n_events, 40), 500))
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) - cut_B])
    assert formats.load("wavedump").probe(path, path.read_bytes()[:64]) == score


def test_the_probe_sees_events_beyond_the_head(tmp_path: Path, formats: Formats) -> None:
    path = tmp_path / "data"
    with WaveDumpWriter(path, channel=3) as writer:
        writer.write(np.full((4, 600_000), 500))
    with path.open("rb") as file:
        assert formats.load("wavedump").probe(path, file.read(1 << 16)) == 0.95


def test_the_probe_wants_a_header_at_the_start(wavedump_file: Path, formats: Formats) -> None:
    # programs and archives hold tables that look like headers somewhere
    wavedump_file.write_bytes(b"\xff" * 8 + wavedump_file.read_bytes())
    assert formats.load("wavedump").probe(wavedump_file, wavedump_file.read_bytes()) == 0.0
    assert open_(wavedump_file, formats).n_events == 10


def test_a_follower_does_not_walk_again_what_it_has_read(
    tmp_path: Path, formats: Formats, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "wave0.dat"
    with WaveDumpWriter(path) as writer:
        writer.write(np.full((200, 5000), 500))
    reader = open_raw(path, "wavedump", is_growing=True, formats=formats)
    for _ in reader.iter_chunks(1 << 20):
        pass
    with WaveDumpWriter(path, append=True) as writer:
        writer.write(np.full((2, 5000), 500))
    calls = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *arguments: (calls.append(arguments), pread(*arguments))[1])
    (chunk,) = reader.iter_chunks(1 << 20, reader.resume_offset)
    assert chunk.hits["event"].to_pylist() == [200, 201]
    assert len(calls) < 20


@pytest.mark.parametrize("n_B", [0, 10])
def test_a_file_that_has_only_just_begun_is_taken_to_have_headers(
    wavedump_file: Path, formats: Formats, n_B: int
) -> None:
    raw = wavedump_file.read_bytes()
    wavedump_file.write_bytes(raw[:n_B])
    settings = DaqSettings(record_length=50)
    reader = open_raw(wavedump_file, "wavedump", settings, is_growing=True, formats=formats)
    assert list(reader.iter_chunks(1000)) == []
    wavedump_file.write_bytes(raw)
    assert summarise(reader).channels == (5,)
    assert reader.n_events == 10
