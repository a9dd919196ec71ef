"""Fixtures for every test: real data where the machine has it, and fresh random seeds that are printed."""

import os
import random
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings that nobody here wrote; skip, naming the folder, where they are absent."""
    folder = Path(os.environ.get("NUALLEY_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set NUALLEY_SHARED_DATA)")
    return folder


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Return a fresh seed, printed with a failing test; NUALLEY_SEED repeats one."""
    value = int(os.environ.get("NUALLEY_SEED", random.SystemRandom().randrange(2**31)))
    request.node.add_report_section("setup", "seed", f"NUALLEY_SEED={value}")
    return value


@pytest.fixture(scope="session")
def is_soak() -> bool:
    """Whether the fault tests run in full numbers (make soak)."""
    return os.environ.get("NUALLEY_SOAK") == "1"
