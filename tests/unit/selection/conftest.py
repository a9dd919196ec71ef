"""Selections over a real catalog and a beam that is easy to count."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nualley.catalog import Run, TimeSource, Vocabulary
from nualley.catalog.adapters.sql import SqlCatalog, open_catalog
from nualley.experiment import Beam
from nualley.exposure.service import Exposures
from nualley.selection import DescribedNames, SelectionFile
from nualley.selection.documents import Origin
from nualley.selection.service import Selections
from tests.unit.exposure.fakes import BEAM, FakeArchive, FakeClock, FakePv, at, steady

VOCABULARY = Vocabulary.model_validate(
    {"flag": {"noise": {"severity": "bad", "meaning": "loud"}, "trip": {"severity": "caution", "meaning": "no beam"}}}
)
DESCRIBED_PVS = (*steady(), "T", "DOOR", "HALF", "WORDS")
RUNS = {1: (0, 100), 2: (100, 200), 3: (200, 300)}
"""Runs of hpge [s since T0]."""


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    with open_catalog(tmp_path / "catalog.sqlite") as catalog:
        for number, (start_s, stop_s) in RUNS.items():
            catalog.register_run(make_run(number, start_ns=at(start_s), stop_ns=at(stop_s)))
        yield catalog


def make_run(number: int, **changes: object) -> Run:
    values = {"run_id": f"hpge-{number}", "detector": "hpge", "number": number, "time_source": TimeSource.GIVEN}
    return Run(**(values | changes))


@pytest.fixture
def pvs() -> dict[str, FakePv]:
    return {
        **steady(),
        "T": FakePv([(0, 1.0), (150, 5.0)]),
        "DOOR": FakePv([(0, 0.0), (250, 1.0)], labels=("closed", "open")),
        "HALF": FakePv([(0, 0.5)]),
        "WORDS": FakePv([(0, "calm"), (50, "busy")]),
    }


@pytest.fixture
def make_selections(catalog: SqlCatalog, pvs: dict[str, FakePv]) -> Callable[..., Selections]:
    def make(**files: str) -> Selections:
        archive, clock = FakeArchive(pvs), FakeClock(at(1000))
        beam = Beam.model_validate(BEAM)
        return Selections(
            catalog,
            archive=lambda: archive,
            beam=lambda: Exposures(archive, catalog, beam=beam, detectors={}, clock=clock),
            files={name: SelectionFile(name=name, expression=text) for name, text in files.items()},
            vocabulary=VOCABULARY,
            described=DescribedNames(detectors=("hpge",), flags=VOCABULARY.flag, pvs=(*DESCRIBED_PVS, "NOBODY")),
            origin=Origin("TEST", "nualley 0", "here"),
            clock=clock,
        )

    return make


@pytest.fixture
def selections(make_selections: Callable[..., Selections]) -> Selections:
    return make_selections()
