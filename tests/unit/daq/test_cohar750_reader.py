"""COH-Ar-750 files as a user reads them."""

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from nualley.daq import BadOffsetError, DaqSettings, Formats, Reader, UnreadableFileError, open_raw, summarise
from nualley.testing.cohar750 import Cohar750Writer

N, CHANNELS, LENGTH = 20, 4, 30
WAVEFORMS = np.random.default_rng(6).integers(0, 60000, (N, CHANNELS, LENGTH), dtype=np.uint16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run1_00.h5"


def write(path: Path, **options: object) -> None:
    with Cohar750Writer(path, channels=CHANNELS, record_length=LENGTH, chunk_events=6, **options) as writer:
        writer.append(WAVEFORMS, np.arange(N) * 8, trigger_ids=np.arange(N) + 100, flags=np.arange(N))


def open_(path: Path, formats: Formats, *, is_growing: bool = False) -> Reader:
    return open_raw(path, "cohar750-hdf5", is_growing=is_growing, formats=formats)


def kinds(reader: Reader) -> list[str]:
    return [defect.kind.value for defect in summarise(reader).defects]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"preallocate": 50},
        {"compression": {"compression": "gzip", "shuffle": True}},
        {"compression": dict(hdf5plugin.Blosc(cname="zstd")), "preallocate": 50},
        {"swmr": True},
        {"boards": (0, 1)},
        {"boards": (2, 10), "preallocate": 20},
    ],
)
@pytest.mark.parametrize("max_bytes", [1, 700, 3000, 1 << 20])
def test_every_layout_gives_its_samples_back(
    path: Path, formats: Formats, options: dict[str, object], max_bytes: int
) -> None:
    write(path, **options)
    reader = open_(path, formats)
    boards = options.get("boards", (0,))
    chunks = list(reader.iter_chunks(max_bytes))
    samples = np.concatenate([chunk.samples for chunk in chunks]).reshape(N, len(boards), CHANNELS, LENGTH)
    assert (samples == WAVEFORMS[:, None]).all()
    event_B = len(boards) * CHANNELS * LENGTH * 2
    assert max(chunk.samples.nbytes for chunk in chunks) <= max(event_B, max_bytes)
    assert [chunk.start_offset for chunk in chunks[1:]] == [chunk.stop_offset for chunk in chunks[:-1]]
    assert chunks[0].hits["board"].unique().to_pylist() == list(boards)
    assert (reader.n_events, reader.record_length, reader.channels) == (N, LENGTH, tuple(range(CHANNELS)))
    assert reader.resume_offset == N
    summary = summarise(reader)
    assert (summary.format, summary.n_events, summary.channels) == ("cohar750-hdf5", N, (0, 1, 2, 3))
    assert summary.defects == ()


def test_hits_say_event_board_channel_and_flags(path: Path, formats: Formats) -> None:
    with Cohar750Writer(path, boards=(0, 3), channels=2, record_length=5) as writer:
        writer.append(np.ones((3, 2, 5)), [10, 20, 30], trigger_ids=[7, 8, 9], flags=[0, 5, 0xFFFF], board_fail=True)
    (chunk,) = open_(path, formats).iter_chunks(1 << 20)
    rows = chunk.hits.to_pylist()
    assert [(row["event"], row["board"], row["channel"]) for row in rows[:5]] == [
        (0, 0, 0),
        (0, 0, 1),
        (0, 3, 0),
        (0, 3, 1),
        (1, 0, 0),
    ]
    assert rows[7] == {
        "event": 1,
        "event_id": 8,
        "board": 3,
        "channel": 1,
        "t_raw": 20,
        "t_ns": None,
        "flags": 5 | 1 << 16,
        "wf_offset": 35,
        "n_samples": 5,
    }
    assert rows[-1]["flags"] == 0xFFFF | 1 << 16


def test_boards_without_ids_have_null_ids_and_boards_of_other_length_are_read(path: Path, formats: Formats) -> None:
    with h5py.File(path, "w") as file:
        for name, length in (("board0", 3), ("board1", 5)):
            file[f"{name}/timestamps"] = np.array([1, 2**64 - 1], "u8")
            file[f"{name}/waveforms"] = np.full((2, 2, length), length, "u2")
        file["board1/triggerids"] = np.array([[5], [6]], "u4")
        file["board1/zero_suppressed"] = np.array([True, False])
    reader = open_(path, formats)
    assert reader.record_length is None
    (chunk,) = reader.iter_chunks(1 << 20)
    assert chunk.hits["event_id"].to_pylist() == [None, None, 5, 5, None, None, 6, 6]
    assert chunk.hits["n_samples"].to_pylist() == [3, 3, 5, 5] * 2
    assert chunk.hits["t_raw"].to_pylist()[-1] == -1  # 64 bits, kept as they are
    assert chunk.hits["flags"].to_pylist() == [0, 0, 1 << 17, 1 << 17, 0, 0, 0, 0]
    assert chunk.samples.tolist() == ([3] * 6 + [5] * 10) * 2
    assert summarise(reader).record_length is None


def test_attributes_are_the_settings(path: Path, formats: Formats) -> None:
    write(path)
    with h5py.File(path, "r+") as file:
        file.attrs["campaign"] = np.int32(3)
        file.attrs["bad"] = float("nan")
        file.attrs["long"] = np.arange(100)
        file["board0"].attrs["model"] = b"VX2740"
        file["board0/waveforms"].attrs["offsets"] = [50.0, 20.0]
    reader = open_(path, formats)
    assert reader.settings == {
        "/": {"saved_events": 20, "campaign": 3, "bad": None, "long": "int64 of shape (100,)"},
        "board0": {"model": "VX2740"},
        "board0/waveforms": {"offsets": [50.0, 20.0]},
    }
    assert reader.header["boards"]["0"] == {"channels": CHANNELS, "record_length": LENGTH, "events": N}
    assert reader.header["saved_events"] == N


def test_rows_that_were_never_written_are_no_events(path: Path, formats: Formats) -> None:
    write(path, preallocate=1000)
    assert open_(path, formats).n_events == N
    with Cohar750Writer(path, channels=2, record_length=3, preallocate=100, chunk_events=10) as writer:
        writer.append(np.ones((1, 2, 3)), [0])  # time 0 is a time
    assert open_(path, formats).n_events == 1
    with Cohar750Writer(path, channels=2, record_length=3, preallocate=100, chunk_events=10) as writer:
        writer.append(np.zeros((12, 2, 3)), np.arange(12))  # suppressed to nothing is an event too
    assert open_(path, formats).n_events == 12
    with Cohar750Writer(path, channels=2, record_length=3, preallocate=100):
        pass
    assert open_(path, formats).n_events == 0


def test_less_than_the_daq_says_is_a_truncated_event(path: Path, formats: Formats) -> None:
    write(path)
    with h5py.File(path, "r+") as file:
        file.attrs["saved_events"] = 25
    summary = summarise(open_(path, formats))
    assert [d.detail for d in summary.defects] == ["saved_events says 25, the boards hold 20 events together"]


def test_datasets_of_different_length_end_at_the_shortest(path: Path, formats: Formats) -> None:
    write(path)
    with h5py.File(path, "r+") as file:
        file["board0/triggerids"].resize(17, axis=0)
        file.attrs["saved_events"] = 17
    summary = summarise(open_(path, formats))
    assert summary.n_events == 17
    (defect,) = summary.defects
    assert defect.kind == "truncated-event"
    assert "timestamps 20, waveforms 20, triggerids 17" in defect.detail
    assert "the last 3 are not whole" in defect.detail


def test_events_that_not_all_boards_have_are_read_and_told(path: Path, formats: Formats) -> None:
    with Cohar750Writer(path, boards=(0, 1), channels=2, record_length=3, chunk_events=4) as writer:
        writer.append(np.ones((10, 2, 3)), np.arange(10), board=0)
        writer.append(np.ones((7, 2, 3)), np.arange(7), board=1)
    reader = open_(path, formats)
    summary = summarise(reader)
    assert summary.n_events == 10
    assert [d.detail for d in summary.defects] == [
        "boards end at different events (board0 10, board1 7); 3 lack at least one board"
    ]
    boards = np.concatenate([chunk.hits["board"].to_numpy() for chunk in reader.iter_chunks(60)])
    assert boards.tolist() == [0, 0, 1, 1] * 7 + [0, 0] * 3


def test_a_dataset_that_grew_without_being_written_is_truncated(path: Path, formats: Formats) -> None:
    write(path)
    with h5py.File(path, "r+") as file:
        for name in file["board0"]:
            file["board0"][name].resize(60, axis=0)
        file["board0/timestamps"][20:] = 1
    summary = summarise(open_(path, formats))
    assert summary.n_events == 24  # the last chunk of 6 is in the file as a whole
    assert [d.detail for d in summary.defects] == ["board0: waveforms has 60 events, samples of 24 are in the file"]


def test_a_chunk_that_cannot_be_decoded_costs_its_events_only(path: Path, formats: Formats) -> None:
    write(path, compression={"compression": "gzip", "fletcher32": True})
    with h5py.File(path, "r") as file:
        chunk = file["board0/waveforms"].id.get_chunk_info_by_coord((6, 0, 0))
    raw = bytearray(path.read_bytes())
    raw[chunk.byte_offset + 40] ^= 0xFF
    path.write_bytes(raw)
    reader = open_(path, formats)
    for max_bytes in (1 << 20, 500):
        chunks = list(reader.iter_chunks(max_bytes))
        events = np.unique(np.concatenate([chunk.hits["event"].to_numpy() for chunk in chunks]))
        assert events.tolist() == [event for event in range(N) if not 6 <= event < 12]
    summary = summarise(reader)
    assert summary.n_events == N - 6
    (defect,) = summary.defects
    assert (defect.kind, defect.offset_B) == ("garbage", chunk.byte_offset)
    assert defect.detail.startswith("board0: events 6 to 11 cannot be decoded")
    assert reader.resume_offset == N


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (
            lambda file: file.create_dataset("events", data=[1]),
            "unknown-format",
            "the file holds events; expected /board0",
        ),
        (lambda _: None, "unknown-format", "the file holds nothing"),
        (lambda file: file.create_group("board0"), "bad-header", "has no timestamps and no waveforms"),
        (
            lambda file: (file.create_dataset("board0/timestamps", data=[1]), file.create_group("board0/waveforms")),
            "bad-header",
            "waveforms is no array",
        ),
        (
            lambda file: (
                file.create_dataset("board0/timestamps", data=[1]),
                file.create_dataset("board0/waveforms", data=np.ones((1, 5))),
            ),
            "bad-header",
            "waveforms is float64 of shape (1, 5), expected whole numbers of shape (events, channels, samples)",
        ),
        (
            lambda file: (
                file.create_dataset("board0/timestamps", data=[1.5]),
                file.create_dataset("board0/waveforms", data=np.ones((1, 5, 5), "u2")),
            ),
            "bad-header",
            "timestamps is float64, expected whole numbers",
        ),
    ],
)
def test_a_foreign_layout_is_told(path: Path, formats: Formats, make: object, kind: str, said: str) -> None:
    with h5py.File(path, "w") as file:
        make(file)  # type: ignore[operator]
    summary = summarise(open_(path, formats))
    assert summary.n_events == 0
    assert [defect.kind for defect in summary.defects] == [kind]
    assert said in summary.defects[0].detail


def test_one_bad_board_does_not_hide_the_other(path: Path, formats: Formats) -> None:
    write(path)
    with h5py.File(path, "r+") as file:
        file.create_group("board1")
        file.create_group("boarding_school")
    reader = open_(path, formats)
    assert kinds(reader) == ["bad-header"]
    assert reader.n_events == N


@pytest.mark.parametrize(
    ("size_B", "kind", "said"),
    [
        (0, "empty", "0 B"),
        (5, "truncated-event", "5 B of HDF5's signature"),
        (20, "truncated-event", "20 B of HDF5's superblock"),
        (500, "truncated-event", "superblock announces"),
        (-1, "truncated-event", "superblock announces"),
    ],
)
def test_a_cut_file_is_told(path: Path, formats: Formats, size_B: int, kind: str, said: str) -> None:
    write(path)
    path.write_bytes(path.read_bytes()[:size_B])
    summary = summarise(open_(path, formats))
    assert [defect.kind for defect in summary.defects] == [kind]
    assert said in summary.defects[0].detail
    assert kinds(open_(path, formats, is_growing=True)) == []


def test_a_file_that_is_no_hdf5_is_of_unknown_format(path: Path, formats: Formats) -> None:
    path.write_bytes(b"no HDF5 at all")
    assert kinds(open_(path, formats)) == ["unknown-format"]


def test_a_damaged_superblock_is_a_bad_header(path: Path, formats: Formats) -> None:
    write(path)
    raw = bytearray(path.read_bytes())
    raw[8] = 77  # its version
    path.write_bytes(raw)
    assert kinds(open_(path, formats)) == ["bad-header"]


def test_reading_begins_inside_the_file(path: Path, formats: Formats) -> None:
    write(path)
    reader = open_(path, formats)
    assert list(reader.iter_chunks(100, N)) == []
    with pytest.raises(BadOffsetError, match="begin at event 21, the file has 20 events"):
        list(reader.iter_chunks(100, N + 1))


def test_a_growing_file_is_read_as_far_as_all_boards_are(path: Path, formats: Formats) -> None:
    with Cohar750Writer(path, boards=(0, 1), channels=2, record_length=3, chunk_events=4) as writer:
        writer.append(np.ones((10, 2, 3)), np.arange(10), board=0)
        writer.append(np.ones((7, 2, 3)), np.arange(7), board=1)
    reader = open_(path, formats, is_growing=True)
    assert sum(chunk.hits.num_rows for chunk in reader.iter_chunks(60)) == 7 * 4
    assert (reader.resume_offset, reader.defects) == (7, ())
    rest = list(open_(path, formats).iter_chunks(1 << 20, reader.resume_offset))
    assert rest[0].hits["event"].to_pylist() == [7, 7, 8, 8, 9, 9]


def test_a_missing_filter_is_an_error_that_names_it(
    path: Path, formats: Formats, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, compression=dict(hdf5plugin.Blosc(cname="zstd")))
    format_ = formats.load("cohar750-hdf5")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: number != 32001)
    with pytest.raises(UnreadableFileError) as caught:
        format_.open(path, DaqSettings())
    assert "HDF5 filter 32001 (blosc)" in str(caught.value)
    assert "pip install hdf5plugin" in caught.value.do

    def refuse(name: str, *rest: object) -> object:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", refuse)
    with pytest.raises(UnreadableFileError, match="32001"):
        format_.open(path, DaqSettings())


def test_the_probe_knows_its_layout(path: Path, formats: Formats) -> None:
    write(path)
    format_ = formats.load("cohar750-hdf5")
    head = path.read_bytes()[:64]
    assert format_.probe(path, head) == 1.0
    path.write_bytes(path.read_bytes()[:1000])
    assert format_.probe(path, head) == 0.1
    with h5py.File(path, "w") as file:
        file["board0/x"] = 1
    assert format_.probe(path, head) == 0.0
    assert format_.probe(path, b"something else") == 0.0


def test_rows_of_a_growing_file_that_are_still_empty_wait(path: Path, formats: Formats) -> None:
    write(path)
    with h5py.File(path, "r+") as file:
        for name in file["board0"]:
            file["board0"][name].resize(24, axis=0)
    assert open_(path, formats, is_growing=True).n_events == N
    assert open_(path, formats).n_events == 24


def test_chunks_keep_to_those_of_hdf5_where_they_can(path: Path, formats: Formats) -> None:
    write(path)
    starts = [chunk.start_offset for chunk in open_(path, formats).iter_chunks(10 * CHANNELS * 64)]
    assert starts == [0, 6, 12, 18]


def test_a_disk_that_fails_is_an_error_and_no_defect(
    path: Path, formats: Formats, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path)
    format_ = formats.load("cohar750-hdf5")

    def fail(*rest: object, **options: object) -> object:
        raise OSError("Unable to synchronously open file (file read failed: errno = 5, error message = 'Input/output')")

    monkeypatch.setattr(h5py, "File", fail)
    with pytest.raises(UnreadableFileError, match=r"cannot be read: .*errno = 5") as caught:
        format_.open(path, DaqSettings())
    assert caught.value.where == str(path)
