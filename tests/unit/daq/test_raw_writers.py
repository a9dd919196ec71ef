"""The writers that nualley ships: bytes as the DAQs write them."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from nualley.core import UsageError
from nualley.testing.cohar750 import Cohar750Writer
from nualley.testing.wavedump import WaveDumpWriter, write_config


def test_wavedump_bytes_are_those_of_the_manual(tmp_path: Path) -> None:
    path = tmp_path / "wave3.dat"
    with WaveDumpWriter(path, board=31, channel=3) as writer:
        writer.write([[235, 234]], [5918357], patterns=0x60000)
        assert writer.n_events == 1
    assert path.read_bytes().hex() == "1c0000001f00000000000600030000000000000095 4e5a00eb00ea00".replace(" ", "")


def test_wavedump_appends_and_writes_eight_bits_without_header(tmp_path: Path) -> None:
    path = tmp_path / "w.dat"
    for append in (False, True):
        with WaveDumpWriter(path, header=False, sample_bits=8, append=append) as writer:
            writer.write(np.array([[1, 2, 255]]))
            writer.flush()
    assert path.read_bytes() == b"\x01\x02\xff" * 2


@pytest.mark.parametrize(("sample_bits", "value"), [(8, 256), (16, 65536), (16, -1)])
def test_wavedump_refuses_samples_that_do_not_fit(tmp_path: Path, sample_bits: int, value: int) -> None:
    with (
        WaveDumpWriter(tmp_path / "w.dat", sample_bits=sample_bits) as writer,  # type: ignore[arg-type]
        pytest.raises(UsageError, match=f"{value}, expected 0 to {2**sample_bits - 1} ADC counts"),
    ):
        writer.write([[value]])


def test_the_configuration_has_sections_and_repeated_keys(tmp_path: Path) -> None:
    path = write_config(tmp_path, {"COMMON": {"OPEN": "USB 0 0", "WRITE_REGISTER": ["1 2 3", "4 5 6"]}, "0": {}})
    assert path.read_text().splitlines()[1:] == [
        "",
        "[COMMON]",
        "OPEN USB 0 0",
        "WRITE_REGISTER 1 2 3",
        "WRITE_REGISTER 4 5 6",
        "",
        "[0]",
    ]


def test_cohar750_has_the_layout_of_the_daq(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with Cohar750Writer(path, boards=(0, 1), record_length=10, preallocate=8) as writer:
        writer.append(np.ones((3, 64, 10)), [1, 2, 3])
        writer.append(np.ones((2, 64, 10)), [4, 5], board=1)
        assert (writer.n_events(0), writer.n_events(1)) == (3, 5)
    with h5py.File(path) as file:
        assert sorted(file) == ["board0", "board1"]
        assert file.attrs["saved_events"] == 8
        assert {name: (data.shape, data.dtype.str) for name, data in file["board1"].items()} == {
            "timestamps": ((8, 1), "<u8"),
            "waveforms": ((8, 64, 10), "<u2"),
            "triggerids": ((8, 1), "<u4"),
            "flags": ((8, 1), "<u2"),
            "boardfail": ((8, 1), "|b1"),
        }
        assert file["board1/triggerids"][:, 0].tolist() == [0, 1, 2, 3, 4, 0, 0, 0]


def test_cohar750_refuses_other_shapes_and_too_many_events(tmp_path: Path) -> None:
    with Cohar750Writer(tmp_path / "a.h5", channels=2, record_length=3, preallocate=4) as writer:
        with pytest.raises(UsageError, match=r"shape \(1, 3, 3\), expected \(events, 2, 3\)"):
            writer.append(np.ones((1, 3, 3)), [1])
        with pytest.raises(UsageError, match="5 events do not fit into the 4"):
            writer.append(np.ones((5, 2, 3)), range(5))
        writer.close()
        writer.close()  # twice does no harm
