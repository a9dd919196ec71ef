"""Raw files through the installed readers: which format is believed."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nualley.daq import DaqSettings, Formats, MissingSettingError, UnreadableFileError, installed_formats
from nualley.ingest import ReaderFailed
from nualley.ingest.adapters.raw import DaqRawFiles, DetectorFormat
from nualley.storage import SourceUnreadable, SourceVanished
from nualley.testing.cohar750 import Cohar750Writer
from nualley.testing.wavedump import WaveDumpWriter


def write_wavedump(path: Path, *, header: bool = True, n_events: int = 5) -> Path:
    with WaveDumpWriter(path, header=header, channel=2) as writer:
        writer.write([[100 + event] * 50 for event in range(n_events)])
    return path


def summarise(path: Path, name: str | None, **settings: Any) -> tuple[str, int, list[str]]:
    raw_files = DaqRawFiles({"det": DetectorFormat(name, DaqSettings(**settings))})
    found = raw_files.summarise(path, "det")
    return found.format, found.n_events, [defect.kind.value for defect in found.defects]


@pytest.mark.parametrize("name", ["wavedump", None, "cohar750-hdf5"])
def test_content_decides_which_format_it_is(tmp_path: Path, name: str | None) -> None:
    assert summarise(write_wavedump(tmp_path / "wave2.dat"), name) == ("wavedump", 5, [])


def test_a_detector_without_description_is_read_by_content(tmp_path: Path) -> None:
    assert DaqRawFiles({}).summarise(write_wavedump(tmp_path / "wave2.dat"), "det").n_events == 5


def test_files_that_show_nothing_are_read_as_declared(tmp_path: Path) -> None:
    path = write_wavedump(tmp_path / "wave2.dat", header=False)
    assert summarise(path, "wavedump", record_length=50) == ("wavedump", 5, [])
    assert summarise(path, "wavedump") == ("unknown", 0, ["unknown-format"])


def test_a_damaged_first_header_is_a_defect_of_the_declared_format(tmp_path: Path) -> None:
    path = write_wavedump(tmp_path / "wave2.dat")
    path.write_bytes(b"\xff" * 24 + path.read_bytes()[24:])
    name, n_events, kinds = summarise(path, "wavedump")
    assert (name, n_events) == ("wavedump", 4)
    assert kinds


def test_a_truncated_only_event_is_a_defect_and_no_unknown_format(tmp_path: Path) -> None:
    path = write_wavedump(tmp_path / "wave2.dat", n_events=4)
    path.write_bytes(path.read_bytes()[:-10])
    assert summarise(path, "wavedump") == ("wavedump", 3, ["truncated-event"])


@pytest.mark.parametrize("name", ["wavedump", "cohar750-hdf5", None])
def test_text_and_empty_files_are_of_no_format(tmp_path: Path, name: str | None) -> None:
    path = tmp_path / "wave0.dat"
    path.write_bytes(b"these are the shifter's notes, not data\n" * 20)
    assert summarise(path, name) == ("unknown", 0, ["unknown-format"])
    path.write_bytes(b"")
    assert summarise(path, name) == ("unknown", 0, ["empty"])


def test_a_missing_setting_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingSettingError, match="record_length"):
        summarise(write_wavedump(tmp_path / "wave2.dat", header=False), "wavedump", header=False)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="cannot be read"):
        summarise(tmp_path / "absent", "wavedump")
    with pytest.raises(SourceVanished, match=r"absent is not there any more"):
        DaqRawFiles({}).digest(tmp_path / "absent")
    with pytest.raises(SourceUnreadable, match="cannot be read: Is a directory"):
        DaqRawFiles({}).digest(tmp_path)


def test_a_file_that_vanishes_between_probe_and_reading_is_told(tmp_path: Path) -> None:
    path = write_wavedump(tmp_path / "wave2.dat")

    class Vanishing:
        def probe(self, path: Path, head: bytes) -> float:
            path.unlink(missing_ok=True)
            return 0.0

        def open(self, path: Path, settings: DaqSettings, *, is_growing: bool = False) -> Any:
            raise AssertionError

    formats = Formats([])
    formats._points["vanishing"] = EntryPoint("vanishing", "nowhere:it", "nualley.readers")
    formats._loaded["vanishing"] = Vanishing()
    raw_files = DaqRawFiles({"det": DetectorFormat("vanishing")}, formats)
    with pytest.raises(UnreadableFileError, match="cannot be read"):
        raw_files.summarise(path, "det")


class BrokenReader:
    """A reader that raises what none may."""

    format = "broken"
    defects = ()

    def iter_chunks(self, *_: object, **__: object) -> Iterator[Any]:
        raise IndexError("list index out of range")


class BrokenFormat:
    def probe(self, path: Path, head: bytes) -> float:
        return 1.0

    def open(self, path: Path, settings: DaqSettings, *, is_growing: bool = False) -> Any:
        return BrokenReader()


def test_a_reader_that_breaks_is_told_and_blocks_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a\n.dat"
    path.write_bytes(b"x")
    formats = Formats([])
    formats._points["broken"] = EntryPoint("broken", "nowhere:it", "nualley.readers")
    formats._loaded["broken"] = BrokenFormat()
    raw_files = DaqRawFiles({"det": DetectorFormat("broken")}, formats)
    with pytest.raises(ReaderFailed, match=r"the reader of broken broke on .*a\\x0a.dat: IndexError: list index"):
        raw_files.summarise(path, "det")


def test_the_declared_format_is_believed_before_one_that_is_surer(tmp_path: Path) -> None:
    path = write_wavedump(tmp_path / "wave2.dat", n_events=1)

    formats = Formats(installed_formats()._points.values())
    formats._points["surer"] = EntryPoint("surer", "nowhere:it", "nualley.readers")
    formats._loaded["surer"] = BrokenFormat()
    assert DaqRawFiles({"det": DetectorFormat("wavedump")}, formats).summarise(path, "det").format == "wavedump"


def test_hdf5_of_cohar750_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run1.h5"
    with Cohar750Writer(path, channels=2, record_length=3) as writer:
        writer.append(np.zeros((5, 2, 3), "u2"), timestamps=range(5))
    assert summarise(path, "wavedump") == ("cohar750-hdf5", 5, [])
