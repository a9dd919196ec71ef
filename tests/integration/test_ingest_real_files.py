"""Real recordings, a real catalog and real directories."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nualley.core import ExitCode, digest_file
from nualley.ingest import IngestSettings, Outcome
from nualley.testing.wavedump import WaveDumpWriter
from tests.unit.ingest.site import DETECTOR, RealSite


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RealSite]:
    with RealSite(tmp_path) as site:
        yield site


def write_events(path: Path, n_events: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with WaveDumpWriter(path, channel=1) as writer:
        writer.write([[100 + event] * 50 for event in range(n_events)])
    return path


def test_the_hpge_recording(site: RealSite, shared_data: Path) -> None:
    source = shared_data / "raw" / "wavedump" / "hpge"
    report = site.ingest.ingest_paths([source], DETECTOR, run=1)
    assert report.exit_code is ExitCode.DONE
    found = {Path(file["path"]).name: file for file in report.to_json()["files"]}
    assert set(found) == {"wave0.dat", "WaveDumpConfig.txt"}
    wave = found["wave0.dat"]
    assert (wave["format"], wave["n_events"], wave["record_length"], wave["channels"], wave["defects"]) == (
        "wavedump",
        8,
        10_000,
        [3],
        [],
    )
    digests = digest_file(source / "wave0.dat")
    assert (wave["size_B"], wave["xxh3_128"], wave["adler32"]) == (160_192, digests.xxh3_128, digests.adler32)
    assert found["WaveDumpConfig.txt"]["format"] == "sidecar"
    assert site.catalog.run("hpge-1").settings
    assert site.check_replicas() == {"hpge-1/WaveDumpConfig.txt": 1, "hpge-1/wave0.dat": 1}


def test_the_sipm_recording(site: RealSite, shared_data: Path) -> None:
    folder = shared_data / "raw" / "wavedump" / "sipm-coincidence"
    report = site.ingest.ingest_paths([folder / "wave0.dat", folder / "wave1.dat"], DETECTOR, run=2)
    assert [(file["n_events"], file["record_length"], file["channels"]) for file in report.to_json()["files"]] == [
        (41, 6006, [0]),
        (41, 6006, [1]),
    ]
    totals = site.catalog.totals("hpge-2")
    assert (totals.n_files, totals.n_events, totals.n_verified_replicas) == (2, 41, 2)


def test_the_same_recording_again_without_a_number_stays_one_run(site: RealSite, shared_data: Path) -> None:
    source = shared_data / "raw" / "wavedump" / "hpge"
    first = site.ingest.ingest_paths([source], DETECTOR)
    again = site.ingest.ingest_paths([source], DETECTOR)
    assert (first.run_id, first.number_source.value) == ("hpge-1", "next")
    assert (again.run_id, again.number_source.value) == ("hpge-1", "known")
    assert {file.outcome for file in again.files} == {Outcome.ALREADY_THERE}


def test_a_cut_recording_is_taken_in_with_its_defect(site: RealSite, shared_data: Path) -> None:
    path = site.drop / "run3" / "wave0.dat"
    path.parent.mkdir()
    path.write_bytes((shared_data / "raw" / "wavedump" / "hpge" / "wave0.dat").read_bytes()[:-77])
    report = site.ingest.ingest_paths([path], DETECTOR)
    assert report.exit_code is ExitCode.NOT_INTACT
    (found,) = report.to_json()["files"]
    assert (found["n_events"], [defect["kind"] for defect in found["defects"]]) == (7, ["truncated-event"])
    assert site.catalog.files("hpge-3")[0].defects == tuple(found["defects"])


def test_the_watcher_takes_a_tree_with_names_of_any_bytes(site: RealSite) -> None:
    for part in (b"run1/a\nb.dat", b"run1/\xff\xfe.dat", "run2/µ wave.dat".encode(), b"run2/{name}.dat", b"run2/-rf"):
        write_events(Path(os.fsdecode(os.fsencode(site.drop) + b"/" + part)))
    report = site.watcher.poll()
    assert {file.outcome for file in report.files} == {Outcome.INGESTED}
    assert report.is_idle
    assert site.check_replicas() == {
        "hpge-1/a\\x0ab.dat": 1,
        "hpge-1/\\xff\\xfe.dat": 1,
        "hpge-2/µ wave.dat": 1,
        "hpge-2/{name}.dat": 1,
        "hpge-2/-rf": 1,
    }
    assert site.watcher.poll().n_done == 5


def test_a_new_process_reads_nothing_that_is_done(site: RealSite, tmp_path: Path) -> None:
    write_events(site.drop / "run1" / "wave0.dat")
    site.watcher.poll()
    with RealSite(tmp_path) as again:
        again.raw_files = None  # type: ignore[assignment] # nothing may be read
        report = again.watcher.poll()
    assert (report.n_done, report.files, report.is_idle) == (1, (), True)


def test_grown_after_it_was_taken_in(site: RealSite) -> None:
    path = write_events(site.drop / "run1" / "wave0.dat")
    site.watcher.poll()
    with WaveDumpWriter(path, channel=1, append=True) as writer:
        writer.write([[1] * 50])
    (found,) = site.watcher.poll().files
    assert found.outcome is Outcome.QUARANTINED
    (row,) = site.catalog.quarantined()
    assert (row.path, row.size_B) == (os.path.realpath(path), path.stat().st_size)
    assert "has other bytes" in row.reason
    assert site.check_replicas() == {"hpge-1/wave0.dat": 1}
    assert site.watcher.poll().n_done == 1


def test_two_copies_on_two_drives(tmp_path: Path) -> None:
    with RealSite(tmp_path, n_drives=2, settings=IngestSettings(settle_s=0, poll_s=0.01, copies=2)) as site:
        write_events(site.drop / "run1" / "wave0.dat")
        site.watcher.poll()
        assert site.check_replicas() == {"hpge-1/wave0.dat": 2}
        shutil.rmtree(site.drives[0].path / DETECTOR)
        (found,) = site.ingest.ingest_paths([site.drop], DETECTOR).files
        assert found.outcome is Outcome.ALREADY_THERE
        assert site.check_replicas() == {"hpge-1/wave0.dat": 2}


def test_done_files_cost_no_reading(tmp_path: Path) -> None:
    n_files = 500
    with RealSite(tmp_path) as site:
        for number in range(n_files):
            path = site.drop / f"run{number // 10}" / f"wave{number % 10}.dat"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"")
        assert len(site.watcher.poll().files) == n_files
        opened = []
        site.intake._raw_files.digest = opened.append  # type: ignore[method-assign]
        report = site.watcher.poll()
        assert (report.n_done, report.files, opened) == (n_files, (), [])
