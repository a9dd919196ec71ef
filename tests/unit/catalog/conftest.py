"""A catalog on a real SQLite file, with a clock that tests set."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nualley.catalog.adapters.sql import SqlCatalog, open_catalog
from tests.unit.catalog.records import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a catalog without rows: the migration runs once."""
    path = tmp_path_factory.mktemp("catalog") / "catalog.sqlite"
    open_catalog(path).close()
    return path.read_bytes()


@pytest.fixture
def location(tmp_path: Path, empty_catalog: bytes) -> Path:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(empty_catalog)
    return path


@pytest.fixture
def catalog(location: Path, clock: FakeClock) -> Iterator[SqlCatalog]:
    with open_catalog(location, clock=clock) as catalog:
        yield catalog
