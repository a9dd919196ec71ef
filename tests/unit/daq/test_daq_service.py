"""Opening and summing up raw files of any format."""

import os
from pathlib import Path

import numpy as np
import pytest

from nualley.daq import (
    Defect,
    DefectKind,
    FileShrankError,
    Formats,
    UnreadableFileError,
    open_raw,
    probe,
    summarise,
)
from nualley.daq.defect_log import DefectLog
from nualley.daq.raw_file import RawFile
from nualley.testing.cohar750 import Cohar750Writer


def test_the_format_is_chosen_by_content(wavedump_file: Path, tmp_path: Path, formats: Formats) -> None:
    assert probe(wavedump_file, formats) == {"cohar750-hdf5": 0.0, "wavedump": 0.95}
    disguised = tmp_path / "wave1.dat"
    with Cohar750Writer(disguised, channels=2, record_length=5) as writer:
        writer.append(np.ones((3, 2, 5)), [1, 2, 3])
    assert probe(disguised, formats) == {"cohar750-hdf5": 1.0, "wavedump": 0.0}
    assert [open_raw(path, formats=formats).format for path in (wavedump_file, disguised)] == [
        "wavedump",
        "cohar750-hdf5",
    ]


def test_a_summary_says_all_of_a_file(wavedump_file: Path, formats: Formats) -> None:
    summary = summarise(open_raw(wavedump_file, formats=formats))
    assert (summary.format, summary.n_events, summary.channels, summary.record_length) == ("wavedump", 10, (5,), 50)
    assert (summary.defects, summary.settings) == ((), {})
    assert summarise(open_raw(wavedump_file, formats=formats), max_bytes=1) == summary


@pytest.mark.parametrize(
    ("raw", "kind"), [(b"", "empty"), (b"hello", "unknown-format"), (bytes(9999), "unknown-format")]
)
def test_what_no_reader_knows_is_one_defect(tmp_path: Path, formats: Formats, raw: bytes, kind: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(raw)
    reader = open_raw(path, formats=formats)
    summary = summarise(reader)
    assert (summary.format, summary.n_events, summary.channels, summary.record_length) == ("unknown", 0, (), None)
    assert [defect.kind for defect in summary.defects] == [kind]
    assert (reader.path, reader.header, reader.n_events, reader.record_length) == (path, {}, 0, None)
    assert reader.resume_offset == 0


@pytest.mark.parametrize("daq_format", [None, "wavedump", "cohar750-hdf5"])
def test_what_cannot_be_read_is_an_error_that_says_why(
    tmp_path: Path, formats: Formats, daq_format: str | None
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, what in (
        ("gone", "No such file or directory"),
        ("", "it is a directory, expected a regular file"),
        ("pipe", "it is a pipe, expected a regular file"),
    ):
        with pytest.raises(UnreadableFileError, match=what) as caught:
            open_raw(tmp_path / name, daq_format, formats=formats)
        assert caught.value.where == str(tmp_path / name)
        assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("name", ["run\n1.dat", os.fsdecode(b"run\xff1.dat"), "wave 0.dat"])
@pytest.mark.parametrize("daq_format", [None, "wavedump", "cohar750-hdf5"])
def test_any_file_name_is_opened(tmp_path: Path, formats: Formats, name: str, daq_format: str | None) -> None:
    path = tmp_path / name
    if daq_format == "cohar750-hdf5":
        with Cohar750Writer(tmp_path / "a.h5", channels=2, record_length=5) as writer:
            writer.append(np.ones((10, 2, 5)), range(10))
        (tmp_path / "a.h5").rename(path)
    else:
        path.write_bytes(np.array([26, 0, 0, 0, 0, 0], "<u4").tobytes() + b"\x01\x02")
    assert open_raw(path, daq_format, formats=formats).n_events in {1, 10}


def test_a_raw_file_reads_anywhere_and_notices_that_it_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(100)))
    with RawFile(path) as file:
        assert file.size_B == 100
        assert file.read(98, 10) == b"\x62\x63"
        assert file.read(100, 10) == file.read(200, 10) == b""
        path.write_bytes(b"short")
        with pytest.raises(FileShrankError, match="ends at 5 B, it had 100 B") as caught:
            file.read(0, 50)
    assert caught.value.where == str(path)


def test_a_disk_that_fails_is_an_error_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")

    def fail(*rest: object) -> bytes:
        raise OSError(5, "Input/output error")

    with RawFile(path) as file:
        monkeypatch.setattr(os, "pread", fail)
        with pytest.raises(UnreadableFileError, match="cannot be read: Input/output error"):
            file.read(0, 5)


def test_other_kinds_of_files_are_named() -> None:
    with pytest.raises(UnreadableFileError, match="it is a device"):
        RawFile(Path("/dev/null"))


def test_defects_are_kept_once_in_order_and_counted_beyond_a_limit() -> None:
    log = DefectLog(limit=3)
    found = [Defect(DefectKind.BAD_HEADER, 10 * number, f"detail {number}") for number in range(10)]
    for _ in range(2):
        for defect in [*found, None]:
            log.add(defect)
    kept = log.defects()
    assert kept[:3] == tuple(found[:3])
    assert kept[3:] == (Defect(DefectKind.BAD_HEADER, 30, "7 more of this kind from here on; the first: detail 3"),)


def test_defects_are_handed_out_in_the_order_of_the_file() -> None:
    log = DefectLog()
    for offset_B in (5, 1, 3):
        log.add(Defect(DefectKind.GARBAGE, offset_B, ""))
    assert [defect.offset_B for defect in log.defects()] == [1, 3, 5]
