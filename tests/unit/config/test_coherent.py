"""The full example: complete, without a mistake, and honest about its sources."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from nualley.config import Configuration, check, load
from tests.unit.config.conftest import FORMATS

COHERENT = Path(__file__).resolve().parents[3] / "experiments" / "coherent"


@pytest.fixture(scope="module")
def coherent() -> Configuration:
    return load(COHERENT, {}, FORMATS)


def test_it_has_no_mistake() -> None:
    assert check(COHERENT, {}) == []  # with the formats that are really installed


def test_all_detectors(coherent: Configuration) -> None:
    assert set(coherent.detectors) == {
        "csi-na", "cenns-10", "coh-ar-750", "naive-185", "naivete", "ge-mini", "mars", "nin-pb", "nin-fe", "d2o-1",
        "nuthor", "cryocsi",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("detector", "mass_kg", "distance_m"),
    [("csi-na", 14.6, 19.3), ("cenns-10", 24.4, 27.5), ("naive-185", 185.0, None), ("d2o-1", 592.0, None)],
)
def test_published_numbers(coherent: Configuration, detector: str, mass_kg: float, distance_m: float | None) -> None:
    found = coherent.detectors[detector]
    assert found.target.mass_kg.at(0) == mass_kg
    assert found.distance_m.at(0) == distance_m


def test_every_number_has_a_source(coherent: Configuration) -> None:
    for detector in coherent.detectors.values():
        for dated in (detector.target.mass_kg, detector.distance_m):
            assert all(entry.value is None or entry.source != "unknown" for entry in dated.entries), detector.id


def dated_tables(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, dict):
        if "value" in value:
            yield value
        for item in value.values():
            yield from dated_tables(item)


@pytest.mark.parametrize("path", sorted((COHERENT / "detectors").glob("*.toml")), ids=lambda path: path.stem)
def test_the_text_itself_names_each_source(path: Path) -> None:
    tables = list(dated_tables(tomllib.loads(path.read_text(encoding="utf-8"))))
    assert len(tables) == 2
    assert all("source" in table for table in tables)


def test_drives_as_in_the_table_of_2021(coherent: Configuration) -> None:
    noted = {
        drive.name: (drive.noted.size_B / 2**40, round(drive.noted.used_fraction, 2))
        for drive in coherent.storage.to_drives()
        if drive.noted
    }
    assert noted == {
        "data1": (124, 0.95), "data2": (124, 0.91), "data3": (139, 0.99), "data4": (139, 0.91), "data5": (139, 0.98),
        "data6": (110, 0.86),
    }  # fmt: skip


def test_only_names_of_the_demo_are_used(coherent: Configuration) -> None:
    names = [name for group in coherent.pv_groups.values() for name in group.pv]
    assert len(names) == 23
    assert all(name.startswith("DEMO:") for name in names)


def test_two_detectors_take_data_in_the_demo(coherent: Configuration) -> None:
    formats = {id_: detector.daq.format for id_, detector in coherent.detectors.items() if detector.daq}
    assert formats == {"cenns-10": "wavedump", "coh-ar-750": "cohar750-hdf5"}
    assert [drop.detector for drop in coherent.storage.drop] == ["cenns-10", "coh-ar-750"]
