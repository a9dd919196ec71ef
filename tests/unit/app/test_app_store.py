"""How the parts that keep files are put together for an experiment."""

import shutil
from pathlib import Path

import pytest

from nualley.app.ingest import make_ingest, make_intake
from nualley.app.site import Site, open_site
from nualley.cli.main import main
from nualley.ingest.errors import OwnFile
from nualley.storage import MARKER_NAME
from nualley.testing.wavedump import WaveDumpWriter


@pytest.fixture
def site(tmp_path: Path) -> Site:
    folder = tmp_path / "experiment"
    assert main(["init", str(folder)]) == 0
    (folder / "run00001").mkdir()
    with WaveDumpWriter(folder / "run00001" / "wave0.dat", channel=0) as file:
        file.write([[100] * 50] * 4)
    site = open_site(folder)
    assert make_ingest(site).ingest_paths([folder / "run00001"], "hpge").exit_code == 0
    return site


def test_a_drive_without_its_marker_is_missing_for_every_command(site: Site) -> None:
    folder = site.configuration.directory
    assert not site.drive_usages()[0].error
    (folder / "drives" / "data1" / MARKER_NAME).unlink()
    assert "its marker .nualley-drive is missing" in site.drive_usages()[0].error
    shutil.copytree(folder / "run00001", folder / "run00002")
    report = make_ingest(site).ingest_paths([folder / "run00002"], "hpge")
    assert "is not the drive that was registered" in str(report.files[0].error)


def test_drives_are_measured_without_a_catalog_and_beside_a_damaged_one(site: Site) -> None:
    folder = site.configuration.directory
    (folder / "store" / "catalog.sqlite").write_bytes(b"")
    assert not open_site(folder).drive_usages()[0].error
    shutil.rmtree(folder / "store")
    assert not open_site(folder).drive_usages()[0].error
    assert not (folder / "store").exists()  # to look is not to make


def test_the_experiment_s_own_places_are_refused_also_through_links(site: Site) -> None:
    folder = site.configuration.directory
    (folder / "shortcut").symlink_to(folder / "drives" / "data1" / "hpge")
    for path in (folder / "drives" / "data1", folder / "shortcut", folder / "store"):
        with pytest.raises(OwnFile, match="what nualley keeps is not taken in again"):
            make_ingest(site).ingest_paths([path], "hpge")
    make_intake(site).refuse_own(str(folder / "run00001" / "wave0.dat"))
