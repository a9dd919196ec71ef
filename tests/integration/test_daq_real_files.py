"""Real recordings of HPGe and SiPM detectors, decoded by the reader and by a few independent lines."""

import os
from pathlib import Path

import numpy as np
import pytest

from nualley.daq import Reader, installed_formats, open_raw, probe, summarise

FILES = [
    ("hpge/wave0.dat", 8, 10000, 3),
    ("sipm-coincidence/wave0.dat", 41, 6006, 0),
    ("sipm-coincidence/wave1.dat", 41, 6006, 1),
]


@pytest.fixture(params=FILES, ids=lambda drawn: drawn[0])
def file(request: pytest.FixtureRequest, shared_data: Path) -> tuple[Path, int, int, int]:
    """A real file, its events, their length and their channel."""
    name, *expected = request.param
    path = shared_data / "raw" / "wavedump" / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path, *expected


def read(reader: Reader, max_bytes: int) -> tuple[np.ndarray, list[dict[str, int]]]:
    chunks = list(reader.iter_chunks(max_bytes))
    return np.concatenate([chunk.samples for chunk in chunks]), [row for c in chunks for row in c.hits.to_pylist()]


def test_a_real_file_is_recognised_and_summed_up(file: tuple[Path, int, int, int]) -> None:
    path, n_events, record_length, channel = file
    assert probe(path) == {name: 0.95 * (name == "wavedump") for name in installed_formats().names}
    summary = summarise(open_raw(path))
    assert (summary.format, summary.n_events, summary.record_length) == ("wavedump", n_events, record_length)
    assert summary.channels == (channel,)
    assert summary.defects == ()


@pytest.mark.parametrize("max_bytes", [1, 50_000, 1 << 24])
def test_samples_and_headers_equal_an_independent_decode(file: tuple[Path, int, int, int], max_bytes: int) -> None:
    path, n_events, record_length, _ = file
    words = np.fromfile(path, "<u2").reshape(n_events, 12 + record_length)
    headers = np.ascontiguousarray(words[:, :12]).view("<u4")
    samples, hits = read(open_raw(path), max_bytes)
    assert (samples == words[:, 12:].reshape(-1)).all()
    names = ("board", "flags", "channel", "event_id", "t_raw")
    assert [[row[name] for name in names] for row in hits] == headers[:, 1:].tolist()
    assert [row["event"] for row in hits] == list(range(n_events))


def test_the_configuration_beside_real_data_is_read(shared_data: Path) -> None:
    folder = shared_data / "raw" / "wavedump"
    hpge = open_raw(folder / "hpge" / "wave0.dat").settings
    assert (hpge["COMMON"]["RECORD_LENGTH"], hpge["0"]) == ("10000", {"ENABLE_INPUT": "YES"})
    sipm = open_raw(folder / "sipm-coincidence" / "wave1.dat").settings
    assert sipm["COMMON"]["RECORD_LENGTH"] == "6000"  # though the files hold 6006
    assert sipm["COMMON"]["WRITE_REGISTER"] == "810C 1100003 FFFFFFF"
    for found in (hpge, sipm):
        assert "Digitizer" not in str(found), "it stands between @OFF and @ON"
        assert "@" not in str(found)
    assert "notes" not in hpge
    assert "notes" not in sipm


@pytest.mark.parametrize("where", [0, 1, 3, 7])
def test_damage_to_a_real_file_costs_what_it_hits(shared_data: Path, tmp_path: Path, where: int) -> None:
    raw = bytearray((shared_data / "raw" / "wavedump" / "hpge" / "wave0.dat").read_bytes())
    raw[where * 20024 : where * 20024 + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "wave0.dat").write_bytes(raw)
    summary = summarise(open_raw(tmp_path / "wave0.dat", "wavedump"))
    assert summary.n_events == 7
    assert [(defect.kind, defect.offset_B) for defect in summary.defects] == [("bad-header", where * 20024)]
    assert "20024 B skipped as garbage" in summary.defects[0].detail


@pytest.mark.parametrize("folder", ["compass", "fcio", "llama", "orca"])
def test_real_files_of_other_daqs_are_of_unknown_format(shared_data: Path, folder: str) -> None:
    paths = [path for path in (shared_data / "raw" / folder).rglob("*") if path.is_file()]
    if not paths:
        pytest.skip(f"nothing in {shared_data / 'raw' / folder}")
    for path in paths:
        summary = summarise(open_raw(path))
        assert [defect.kind for defect in summary.defects] == ["unknown-format"], path
        forced = summarise(open_raw(path, "wavedump"))
        assert (forced.n_events, [defect.kind for defect in forced.defects]) == (0, ["unknown-format"]), path


def test_our_formats_are_installed_the_way_a_plugin_is() -> None:
    formats = installed_formats()
    assert {"wavedump", "cohar750-hdf5"} <= set(formats.load_all())
    assert formats.failures == ()


def test_a_large_sparse_file_is_walked_in_bounded_memory(tmp_path: Path) -> None:
    # 4 GiB that take 400 KiB of disk: headers stand where they should, samples were never written
    path = tmp_path / "wave0.dat"
    event_B, n_events = 1 << 26, 64
    with path.open("wb") as file:
        for number in range(n_events):
            file.seek(number * event_B)
            file.write(np.array([event_B, 1, 0, 0, number, number], "<u4").tobytes())
        file.truncate(n_events * event_B)
    assert os.stat(path).st_blocks * 512 < 1 << 22  # noqa: PTH116 - st_blocks of the very file
    reader = open_raw(path, "wavedump")
    assert summarise(reader).n_events == n_events
    assert next(reader.iter_chunks(1)).samples.nbytes == event_B - 24
