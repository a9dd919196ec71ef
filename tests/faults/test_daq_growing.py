"""Files that a DAQ process writes while we read, and DAQ processes that are killed."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nualley.daq import DaqSettings, FileShrankError, Reader
from nualley.daq.adapters.cohar750 import Cohar750Format
from nualley.daq.adapters.wavedump import WaveDumpFormat

pytestmark = pytest.mark.fault

WAVEDUMP = """
import numpy as np, pathlib, sys
from nualley.testing.wavedump import WaveDumpWriter
writer = WaveDumpWriter(pathlib.Path(sys.argv[1]), channel=4)
for line in sys.stdin:
    writer.write(np.full((5, 333), 1000 + int(line)))
    writer.flush()
    print("done", flush=True)
"""

COHAR750 = """
import numpy as np, pathlib, sys
from nualley.testing.cohar750 import Cohar750Writer
swmr, preallocate = sys.argv[2] == "swmr", 200 if sys.argv[2] == "preallocate" else None
writer = Cohar750Writer(
    pathlib.Path(sys.argv[1]), boards=(0, 1), channels=3, record_length=40, chunk_events=4, swmr=swmr,
    preallocate=preallocate,
)
for line in sys.stdin:
    n = int(line)
    writer.append(np.full((5, 3, 40), 1000 + n), 1 + 5 * n + np.arange(5))
    writer.flush()
    print("done", flush=True)
"""


class Daq:
    """A DAQ in a process of its own, that writes five events when told."""

    def __init__(self, program: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def write(self, number: int) -> None:
        """Let it write five events and flush."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(number, file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "done\n"

    def end(self, *, kill: bool) -> None:
        """End it, with or without letting it close its file."""
        if kill:
            self._process.kill()
            self._process.communicate()
        else:
            self._process.communicate()
            assert self._process.returncode == 0


@pytest.fixture
def daqs() -> Iterator[list[Daq]]:
    """DAQs to be killed at the end whatever happens."""
    started: list[Daq] = []
    yield started
    for daq in started:
        daq.end(kill=True)


def follow(reader: Reader) -> list[int]:
    """Read on and return the events that are new."""
    chunks = list(reader.iter_chunks(5000, reader.resume_offset))
    return [event for chunk in chunks for event in chunk.hits["event"].unique().to_pylist()]


def test_a_wavedump_file_is_followed_while_it_is_written(tmp_path: Path, daqs: list[Daq]) -> None:
    path = tmp_path / "wave4.dat"
    daqs.append(Daq(WAVEDUMP, str(path)))
    daqs[0].write(0)
    reader = WaveDumpFormat().open(path, DaqSettings(), is_growing=True)
    assert follow(reader) == [0, 1, 2, 3, 4]
    assert follow(reader) == []
    for number in (1, 2, 3):
        daqs[0].write(number)
        assert follow(reader) == list(range(5 * number, 5 * number + 5))
    assert reader.defects == ()


@pytest.mark.parametrize("how", ["plain", "swmr", "preallocate"])
@pytest.mark.parametrize("kill", [False, True])
def test_an_hdf5_file_is_followed_while_it_is_written(tmp_path: Path, daqs: list[Daq], how: str, kill: bool) -> None:
    path = tmp_path / "run1_00.h5"
    daqs.append(Daq(COHAR750, str(path), how))
    daqs[0].write(0)
    reader = Cohar750Format().open(path, DaqSettings(), is_growing=True)
    assert follow(reader) == [0, 1, 2, 3, 4]
    for number in (1, 2, 3):
        daqs[0].write(number)
        assert follow(reader) == list(range(5 * number, 5 * number + 5))
        assert reader.n_events == 5 * number + 5
    daqs[0].end(kill=kill)
    finished = Cohar750Format().open(path, DaqSettings())
    samples = np.concatenate([chunk.samples for chunk in finished.iter_chunks(1 << 20)]).reshape(20, -1)
    assert samples[:, 0].tolist() == [1000 + event // 5 for event in range(20)]
    assert finished.defects == ()


def test_a_follower_is_told_that_its_file_was_cut(tmp_path: Path, daqs: list[Daq]) -> None:
    path = tmp_path / "wave4.dat"
    daqs.append(Daq(WAVEDUMP, str(path)))
    daqs[0].write(0)
    reader = WaveDumpFormat().open(path, DaqSettings(), is_growing=True)
    follow(reader)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match="reading was to begin at 3450 B, the file has 700 B"):
        follow(reader)


def test_a_file_that_is_cut_while_it_is_read_raises_and_does_not_crash(tmp_path: Path, daqs: list[Daq]) -> None:
    path = tmp_path / "wave4.dat"
    daqs.append(Daq(WAVEDUMP, str(path)))
    daqs[0].write(0)
    chunks = WaveDumpFormat().open(path, DaqSettings()).iter_chunks(1)
    next(chunks)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(FileShrankError, match="it had 3450 B when it was opened"):
        list(chunks)
