"""WaveDump: what was written is read, in any pieces, cut anywhere, damaged anywhere."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nualley.daq import Chunk, DaqSettings, Defect, Reader
from nualley.daq.adapters.wavedump import WaveDumpFormat
from nualley.testing.wavedump import WaveDumpWriter

HEADER_B = 24

lengths = st.one_of(
    st.tuples(st.integers(1, 12), st.integers(1, 300)).map(lambda drawn: [drawn[1]] * drawn[0]),
    st.lists(st.integers(1, 300), min_size=1, max_size=12),
)
seeds = st.integers(0, 2**32 - 1)
bits = st.sampled_from([8, 16])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file that every example overwrites."""
    return tmp_path_factory.mktemp("wavedump") / "wave2.dat"


def write(path: Path, n_samples: list[int], sample_bits: int, seed: int, *, header: bool = True) -> list[np.ndarray]:
    """Write events of noise and return them."""
    random = np.random.default_rng(seed)
    events = [random.integers(0, 2**sample_bits, n, dtype=np.uint16) for n in n_samples]
    with WaveDumpWriter(path, header=header, sample_bits=sample_bits, board=seed % 32, channel=seed % 64) as writer:
        writer.write(events, random.integers(0, 2**31, len(events)))
    return events


def open_(path: Path, sample_bits: int, *, is_growing: bool = False, **settings: object) -> Reader:
    return WaveDumpFormat().open(path, DaqSettings(sample_bits=sample_bits, **settings), is_growing=is_growing)


def events_of(chunks: list[Chunk]) -> list[list[int]]:
    return [chunk.waveform(row).tolist() for chunk in chunks for row in range(chunk.hits.num_rows)]


def columns(chunks: list[Chunk]) -> list[tuple[object, ...]]:
    names = ("event", "event_id", "board", "channel", "t_raw", "flags", "n_samples")
    return [tuple(row[name] for name in names) for chunk in chunks for row in chunk.hits.to_pylist()]


@given(n_samples=lengths, sample_bits=bits, seed=seeds, max_bytes=st.integers(1, 3000), header=st.booleans())
def test_what_was_written_is_read(
    path: Path, n_samples: list[int], sample_bits: int, seed: int, max_bytes: int, header: bool
) -> None:
    n_samples = n_samples if header else n_samples[:1] * len(n_samples)
    events = write(path, n_samples, sample_bits, seed, header=header)
    reader = open_(path, sample_bits, header=header, record_length=n_samples[0])
    chunks = list(reader.iter_chunks(max_bytes))
    assert events_of(chunks) == [event.tolist() for event in events]
    assert [row[0] for row in columns(chunks)] == list(range(len(events)))
    assert all(chunk.samples.nbytes <= max_bytes or chunk.hits.num_rows == 1 for chunk in chunks)
    assert reader.defects == ()
    assert reader.n_events == len(events)
    assert reader.record_length == (n_samples[0] if len(set(n_samples)) == 1 else None)
    assert reader.resume_offset == path.stat().st_size


@given(n_samples=lengths, sample_bits=bits, seed=seeds, cut=st.floats(0, 1), header=st.booleans())
def test_a_cut_file_gives_its_whole_events_and_one_defect(
    path: Path, n_samples: list[int], sample_bits: int, seed: int, cut: float, header: bool
) -> None:
    n_samples = n_samples if header else n_samples[:1] * len(n_samples)
    events = write(path, n_samples, sample_bits, seed, header=header)
    raw = path.read_bytes()
    size_B = int(cut * len(raw))
    path.write_bytes(raw[:size_B])
    ends_B = np.cumsum([HEADER_B * header + n * sample_bits // 8 for n in n_samples])
    n_whole = int((ends_B <= size_B).sum())
    start_B = int(ends_B[n_whole - 1]) if n_whole else 0

    reader = open_(path, sample_bits, header=header, record_length=n_samples[0])
    assert events_of(list(reader.iter_chunks(1000))) == [event.tolist() for event in events[:n_whole]]
    if size_B == 0:
        assert [defect.kind for defect in reader.defects] == ["empty"]
    elif size_B in (start_B, 0):
        assert reader.defects == ()
    else:
        assert [(defect.kind, defect.offset_B) for defect in reader.defects] == [("truncated-event", start_B)]
    assert reader.resume_offset == start_B


@given(n_samples=lengths, seed=seeds, first=st.integers(1, 2000), second=st.integers(1, 2000), data=st.data())
def test_reading_on_from_any_offset_equals_reading_in_one_go(
    path: Path, n_samples: list[int], seed: int, first: int, second: int, data: st.DataObject
) -> None:
    write(path, n_samples, 16, seed)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)

    whole = open_(path, 16)
    all_chunks = list(whole.iter_chunks(1 << 20))
    pieces = open_(path, 16)
    chunks: list[Chunk] = []
    for chunk in pieces.iter_chunks(first):
        chunks.append(chunk)
        if data.draw(st.booleans()):
            break
    for reader in (pieces, open_(path, 16)):  # the same reader, and one that knows nothing of the first
        rest = list(reader.iter_chunks(second, pieces.resume_offset if reader is pieces else chunks_stop(chunks)))
        assert columns(chunks + rest) == columns(all_chunks)
        assert events_of(chunks + rest) == events_of(all_chunks)
    assert set(pieces.defects) == set(whole.defects)


def chunks_stop(chunks: list[Chunk]) -> int:
    return chunks[-1].stop_offset if chunks else 0


@given(n_samples=lengths, sample_bits=bits, seed=seeds, data=st.data())
def test_a_follower_gets_every_event_once(
    path: Path, n_samples: list[int], sample_bits: int, seed: int, data: st.DataObject
) -> None:
    events = write(path, n_samples, sample_bits, seed)
    raw = path.read_bytes()
    path.write_bytes(b"")
    reader = open_(path, sample_bits, is_growing=True)
    got: list[Chunk] = []
    sizes_B = data.draw(st.lists(st.integers(1, len(raw)), max_size=12))
    for size_B in sorted({*sizes_B, len(raw)}):
        path.write_bytes(raw[:size_B])
        got += list(reader.iter_chunks(500, reader.resume_offset))
        assert reader.defects == ()
    assert events_of(got) == [event.tolist() for event in events]
    assert [row[0] for row in columns(got)] == list(range(len(events)))


@given(n_samples=lengths, seed=seeds, data=st.data())
def test_no_damage_raises(path: Path, n_samples: list[int], seed: int, data: st.DataObject) -> None:
    write(path, n_samples, 16, seed)
    raw = bytearray(path.read_bytes())
    starts_B = np.concatenate([[0], np.cumsum([HEADER_B + 2 * n for n in n_samples])[:-1]])
    for _ in range(data.draw(st.integers(1, 5))):
        place = int(data.draw(st.sampled_from(starts_B.tolist()))) + data.draw(st.integers(0, HEADER_B - 1))
        raw[place] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    reader = open_(path, 16)
    chunks = list(reader.iter_chunks(1000))
    n_events = sum(chunk.hits.num_rows for chunk in chunks)
    assert n_events == reader.n_events <= len(n_samples) + 1
    assert all(0 <= defect.offset_B <= len(raw) and defect.detail for defect in reader.defects)
    if n_events < len(n_samples) and not leads_to_the_end(raw, {*starts_B.tolist(), len(raw)}):
        assert reader.defects


def leads_to_the_end(raw: bytearray, boundaries_B: set[int]) -> bool:
    """Return whether the sizes in the headers still lead from event to event: then nothing tells of the damage."""
    place_B = 0
    while place_B in boundaries_B and place_B < len(raw):
        place_B += max(1, int.from_bytes(raw[place_B : place_B + 4], "little"))
    return place_B == len(raw)


@pytest.mark.parametrize(("size_B", "n_defects"), [(38, 0), (76, 0), (75, 1)])
def test_a_size_that_swallows_whole_events_cannot_be_told(path: Path, size_B: int, n_defects: int) -> None:
    write(path, [7, 7], 16, seed=0)
    raw = bytearray(path.read_bytes())
    raw[0] = size_B
    path.write_bytes(raw)
    reader = open_(path, 16)
    list(reader.iter_chunks(1000))
    assert len(reader.defects) == n_defects


@given(raw=st.binary(max_size=2000), header=st.booleans(), sample_bits=bits)
def test_no_bytes_raise(path: Path, raw: bytes, header: bool, sample_bits: int) -> None:
    path.write_bytes(raw)
    reader = open_(path, sample_bits, header=header, record_length=10)
    list(reader.iter_chunks(100))
    assert 0.0 <= WaveDumpFormat().probe(path, raw) <= 1.0
    assert all(isinstance(defect, Defect) for defect in reader.defects)
