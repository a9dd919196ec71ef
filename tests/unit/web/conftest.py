"""The example experiment, loaded once, and a site of fakes."""

import pytest

from nualley.config import Configuration, load
from tests.unit.web.fakes import POWER, FakeArchive, FakeSite, last_value
from tests.web.bench import write_experiment


@pytest.fixture(scope="session")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    return load(write_experiment(tmp_path_factory.mktemp("experiment")), {})


@pytest.fixture
def site(configuration: Configuration) -> FakeSite:
    return FakeSite(configuration, archive_part=FakeArchive({POWER: last_value(POWER, 1.4)}))
