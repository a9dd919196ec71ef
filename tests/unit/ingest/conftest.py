"""A world in memory for the tests of ingest."""

import pytest

from tests.unit.ingest.world import World


@pytest.fixture
def world() -> World:
    return World()
