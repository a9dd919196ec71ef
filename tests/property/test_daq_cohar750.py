"""COH-Ar-750: what was written is read in any pieces; damage never raises."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nualley.daq import DaqSettings
from nualley.daq.adapters.cohar750 import Cohar750Format
from nualley.testing.cohar750 import Cohar750Writer

slow = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file that every example overwrites."""
    return tmp_path_factory.mktemp("cohar750") / "run.h5"


@slow
@given(
    n_events=st.integers(0, 30),
    n_channels=st.integers(1, 4),
    record_length=st.integers(1, 20),
    boards=st.sampled_from([(0,), (0, 1), (3, 1)]),
    chunk_events=st.integers(1, 9),
    room=st.sampled_from([None, 0, 17]),
    max_bytes=st.integers(1, 4000),
    stop=st.integers(0, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_was_written_is_read_in_any_pieces(path: Path, n_events: int, seed: int, **options: object) -> None:
    n_channels, length, boards = options["n_channels"], options["record_length"], options["boards"]
    max_bytes, stop, room = options["max_bytes"], options["stop"], options["room"]
    random = np.random.default_rng(seed)
    waveforms = random.integers(0, 2**16, (n_events, n_channels, length), dtype=np.uint16)
    times = np.sort(random.integers(1, 2**48, n_events))
    preallocate = None if room is None else max(1, n_events + room)
    with Cohar750Writer(
        path,
        channels=n_channels,
        record_length=length,
        boards=boards,
        chunk_events=options["chunk_events"],
        preallocate=preallocate,
    ) as writer:
        middle = n_events // 3
        writer.append(waveforms[:middle], times[:middle])
        writer.append(waveforms[middle:], times[middle:])
    reader = Cohar750Format().open(path, DaqSettings())
    assert reader.n_events == n_events
    chunks = list(reader.iter_chunks(max_bytes))
    assert reader.defects == ()
    samples = np.concatenate([np.empty(0, "u2"), *(chunk.samples for chunk in chunks)])
    expected = np.broadcast_to(waveforms[:, None], (n_events, len(boards), n_channels, length))
    assert (samples.reshape(expected.shape) == expected).all()
    t_raw = np.concatenate([np.empty(0, int), *(chunk.hits["t_raw"].to_numpy() for chunk in chunks)])
    assert (t_raw.reshape(n_events, len(boards) * n_channels) == times[:, None]).all()

    first = []
    for chunk in reader.iter_chunks(max_bytes):
        first.append(chunk)
        if chunk.stop_offset >= stop:
            break
    rest = list(Cohar750Format().open(path, DaqSettings()).iter_chunks(1 << 20, reader.resume_offset))
    again = np.concatenate([np.empty(0, "u2"), *(chunk.samples for chunk in [*first, *rest])])
    assert (again == samples).all()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good file."""
    path = tmp_path_factory.mktemp("good") / "run.h5"
    with Cohar750Writer(
        path, channels=2, record_length=9, chunk_events=4, compression={"compression": "gzip", "fletcher32": True}
    ) as writer:
        writer.append(np.random.default_rng(0).integers(0, 99, (10, 2, 9)), range(10))
    return path


@slow
@given(data=st.data())
def test_no_flipped_byte_raises(path: Path, good: Path, data: st.DataObject) -> None:
    raw = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    reader = Cohar750Format().open(path, DaqSettings())
    n_events = sum(len(chunk.hits["event"].unique()) for chunk in reader.iter_chunks(100))
    assert n_events == 10 or reader.defects or n_events == reader.n_events
    Cohar750Format().probe(path, bytes(raw[:64]))


@slow
@given(cut=st.floats(0, 0.9999))
def test_no_cut_raises(path: Path, good: Path, cut: float) -> None:
    raw = good.read_bytes()
    path.write_bytes(raw[: int(cut * len(raw))])
    reader = Cohar750Format().open(path, DaqSettings())
    assert list(reader.iter_chunks(100)) == []
    assert [defect.kind in {"empty", "truncated-event"} for defect in reader.defects] == [True]
