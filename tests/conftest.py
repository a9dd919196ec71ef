"""Fixtures for every test: real data where the machine has it, and fresh random seeds that are printed."""

import contextlib
import gc
import os
import random
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest

from nualley.testing.mosquitto import Broker, BrokerError
from nualley.testing.postgres import PostgresServer, find_programs

# how long an example takes says nothing on a machine that does other things too
hypothesis.settings.register_profile("shared-machine", deadline=None)
hypothesis.settings.load_profile("shared-machine")

REPOSITORY = Path(__file__).resolve().parent.parent


gc.disable()  # what is loaded and collected stays


def pytest_collection_finish() -> None:
    """Thousands of tests are known by now: nobody looks through them for garbage again and again."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # a test makes little garbage; a look for some every 700 objects is a tenth of it
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A suite started behind ``&`` or nohup inherits signals switched off; what the tests start shall hear them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def handlers() -> Iterator[dict[signal.Signals, object]]:
    """Who was asked to stop hears no signal any more: the tests after this one do."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings that nobody here wrote; skip, naming the folder, where they are absent."""
    folder = Path(os.environ.get("NUALLEY_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set NUALLEY_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server at a Unix socket, one for each worker of the suite."""
    if find_programs() is None:
        reason = "PostgreSQL is not installed: sudo apt-get install postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with PostgresServer() as server:
        yield server


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Return a fresh seed, printed with a failing test; NUALLEY_SEED repeats one."""
    value = int(os.environ.get("NUALLEY_SEED", random.SystemRandom().randrange(2**31)))
    request.node.add_report_section("setup", "seed", f"NUALLEY_SEED={value}")
    request.node.user_properties.append(("seed", value))
    return value


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """Start a real MQTT broker; skip, naming the command, where it is not installed (fail where CI=true)."""
    made = Broker(tmp_path / "broker")
    try:
        made.start()
    except BrokerError as error:
        if "not installed" in error.what and os.environ.get("CI") != "true":
            pytest.skip(f"{error.what}: {error.do}")
        raise
    with contextlib.ExitStack() as ending:
        ending.push(made)
        yield made


@pytest.fixture(scope="session")
def is_soak() -> bool:
    """Whether the fault tests run in full numbers (make soak)."""
    return os.environ.get("NUALLEY_SOAK") == "1"


# ------------------------------------------------------------------ the soak table
SOAK_TABLE = REPOSITORY / "docs" / "reference" / "soak.md"
_SOAK_HEAD = """# Fault tests in full numbers

`make soak` ran them and wrote this table on {date}; `make test` runs a sample of each with fresh seeds.

| test | result | seconds | seed |
|---|---|---|---|
"""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the table of a soak into the documents."""
    if os.environ.get("NUALLEY_SOAK") != "1":
        return
    rows = []
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.getreports(outcome):
            if report.when == "call":
                found = dict(report.user_properties)
                name = (report.nodeid.partition("tests/")[2] or report.nodeid).partition("@")[0]  # xdist adds its group
                rows.append(f"| `{name}` | {outcome} | {report.duration:.1f} | {found.get('seed', '')} |")
    if rows:
        date = datetime.now(tz=UTC).strftime("%Y-%m-%d")
        SOAK_TABLE.write_text(_SOAK_HEAD.format(date=date) + "\n".join(sorted(rows)) + "\n")
        terminalreporter.write_line(f"table: {SOAK_TABLE.relative_to(REPOSITORY)}")
