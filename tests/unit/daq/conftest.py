"""Raw files to read, and the two formats of ours without any installation."""

from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from nualley.daq import Formats
from nualley.testing.wavedump import WaveDumpWriter

OURS = (
    EntryPoint("wavedump", "nualley.daq.adapters.wavedump:WaveDumpFormat", "nualley.readers"),
    EntryPoint("cohar750-hdf5", "nualley.daq.adapters.cohar750:Cohar750Format", "nualley.readers"),
)


@pytest.fixture
def ours() -> tuple[EntryPoint, ...]:
    """The entry points of our formats."""
    return OURS


@pytest.fixture
def formats() -> Formats:
    """Our two formats, freshly loaded."""
    return Formats(OURS)


@pytest.fixture
def waveforms() -> np.ndarray:
    """Ten events of fifty samples."""
    return np.random.default_rng(1).integers(0, 16384, (10, 50), dtype=np.uint16)


@pytest.fixture
def wavedump_file(tmp_path: Path, waveforms: np.ndarray) -> Path:
    """Ten events of 124 B from board 3, channel 5, in a file whose name says channel 0."""
    path = tmp_path / "wave0.dat"
    with WaveDumpWriter(path, board=3, channel=5) as writer:
        writer.write(waveforms, np.arange(10) * 1000 + 7, patterns=np.arange(10))
    return path
