"""Real copies between real folders."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from nualley.core import digest_file
from nualley.storage import (
    DestinationBusy,
    DestinationConflict,
    DestinationRefused,
    Drive,
    SourceUnreadable,
    measure_drive,
    place,
    publish,
    publish_made,
)
from nualley.storage.adapters.posix import PosixFiles, PosixVolumes
from nualley.storage.settings import DEFAULT_REPLICA_PATH


def test_the_real_recordings_are_copied_bit_by_bit(shared_data: Path, tmp_path: Path) -> None:
    sources = [path for path in sorted((shared_data / "raw" / "wavedump").rglob("*.dat")) if path.is_file()]
    assert sources
    drive = Drive("data1", tmp_path)
    for number, source in enumerate(sources):
        destination = place(DEFAULT_REPLICA_PATH, drive, detector="hpge", run=number, name=source.name)
        published = publish(source, destination, files=PosixFiles())
        assert destination.read_bytes() == source.read_bytes()
        assert published.digests == digest_file(source)
        assert destination.stat().st_mtime_ns == source.stat().st_mtime_ns
        assert publish(source, destination, files=PosixFiles()).already_there
    assert not list(tmp_path.rglob("*.part"))


def test_names_of_any_bytes_are_kept(tmp_path: Path) -> None:
    source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/run\n\xff\\.dat"))
    source.write_bytes(b"x" * 100)
    destination = place(DEFAULT_REPLICA_PATH, Drive("d", tmp_path / "d"), detector="a", run=1, name=source.name)
    publish(source, destination, files=PosixFiles())
    assert os.fsencode(destination.name) == b"run\n\xff\\.dat"
    assert destination.read_bytes() == b"x" * 100


def test_a_file_of_many_chunks_and_progress(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(5 * 2**20 + 17))
    told: list[int] = []
    publish(source, tmp_path / "copy", files=PosixFiles(), progress=lambda done_B, _total_B: told.append(done_B))
    assert told[-1] == 2 * source.stat().st_size
    assert digest_file(tmp_path / "copy") == digest_file(source)


@pytest.mark.parametrize("kind", ["directory", "link", "dangling link", "fifo"])
def test_what_is_no_file_under_the_final_name_is_a_conflict(tmp_path: Path, kind: str) -> None:
    source, destination = tmp_path / "source", tmp_path / "final"
    source.write_bytes(b"abc")
    if kind == "directory":
        destination.mkdir()
    elif kind == "fifo":
        os.mkfifo(destination)
    else:
        # a link to the same bytes elsewhere is no copy of them
        destination.symlink_to(source if kind == "link" else tmp_path / "absent")
    with pytest.raises(DestinationConflict, match="is taken"):
        publish(source, destination, files=PosixFiles())
    assert source.read_bytes() == b"abc"


def test_a_fifo_is_no_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SourceUnreadable, match="not a regular file"):
        publish(tmp_path / "fifo", tmp_path / "final", files=PosixFiles())


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"abc")
    with pytest.raises(DestinationRefused, match="choose another place"):
        publish(source, source / "sub" / "final", files=PosixFiles())


def test_a_hard_link_of_the_source_is_no_second_copy(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"abc")
    os.link(source, tmp_path / "final")
    published = publish(source, tmp_path / "final", files=PosixFiles())
    assert published.already_there
    assert published.is_source


def publish_once(source: Path, destination: Path) -> str:
    try:
        return "there" if publish(source, destination, files=PosixFiles()).already_there else "made"
    except DestinationBusy:
        return "busy"


def test_four_processes_to_one_name(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "d" / "final"
    source.write_bytes(os.urandom(2**22))
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(publish_once, [source] * 12, [destination] * 12))
    assert results.count("made") == 1
    assert digest_file(destination) == digest_file(source)
    assert list(destination.parent.iterdir()) == [destination]


def test_a_made_file(tmp_path: Path) -> None:
    published = publish_made(tmp_path / "d" / "out", lambda path: path.write_bytes(b"abc") and None, files=PosixFiles())
    assert (tmp_path / "d" / "out").read_bytes() == b"abc"
    assert published.digests == digest_file(tmp_path / "d" / "out")


def test_this_machines_drive_is_measured(tmp_path: Path) -> None:
    usage = measure_drive(Drive("d", tmp_path), PosixVolumes())
    assert usage.is_mounted
    assert usage.is_writable
    assert 0 < usage.fill_fraction <= 1
    assert measure_drive(Drive("d", tmp_path / "absent"), PosixVolumes()).error == "No such file or directory"
    assert measure_drive(Drive("d", tmp_path, must_be_mounted=True), PosixVolumes()).error == "nothing is mounted there"
