"""``kill -9`` of any one process at a random moment: what was acknowledged is there afterwards, once."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from nualley.app.locks import role_state
from nualley.archive import ArchiveMissingError
from nualley.core import digest_file, escape_name, unescape_name
from nualley.demo.scenarios import Scenario
from nualley.demo.session import DemoSession
from nualley.storage import MARKER_NAME

pytestmark = [
    pytest.mark.xdist_group("demo"),  # one at a time: each takes the machine and its port
    pytest.mark.fault,
    pytest.mark.real_ioc,
    pytest.mark.enable_socket,
    pytest.mark.timeout(1800),
]

LIMIT_S = 60
VICTIMS = ("archive", "worker", "web", "up", "ioc")


def acknowledged(session: DemoSession) -> Counter:
    """Return every sample that a reader sees now."""
    try:
        reader = session.site.archive()
    except ArchiveMissingError:
        return Counter()
    found: Counter = Counter()
    for pv in reader.registry().by_name:
        rows = reader.read(pv, 0, 2**62)
        for time_ns, kind, value in zip(
            *(rows[name].to_pylist() for name in ("time_ns", "kind", "value")), strict=True
        ):
            if kind == "sample":
                found[pv, time_ns, repr(value)[:60]] += 1
    return found


def kill(session: DemoSession, victim: str) -> None:
    if victim == "ioc":
        session.world.kill_ioc()
        time.sleep(1)
        session.world.start_ioc()
        return
    state = role_state(session.site.configuration.store, victim)
    if state.pid is not None:
        os.kill(state.pid, signal.SIGKILL)


def received(session: DemoSession) -> int:
    """Return how many samples the archive ever received."""
    return session.site.archive().ledger().received


def acknowledged_files(session: DemoSession) -> dict[tuple[str, str], str]:
    """Return the checksum of every file that is in the catalog now."""
    catalog = session.site.catalog()
    return {(file.run_id, file.name): file.xxh3_128 for run in catalog.runs() for file in catalog.files(run.run_id)}


def let_pass(session: DemoSession, limit_s: float, is_enough: Callable[[], object] = lambda: False) -> bool:
    """Let time pass in the alley, until it is enough or so long; return whether it was enough."""
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        session.world.poll()
        if is_enough():
            return True
        time.sleep(0.2)
    return False


def test_no_acknowledged_sample_and_no_ingested_file_is_lost_or_doubled(tmp_path: Path, seed: int, is_soak: bool):
    rng = random.Random(seed)
    n_kills = 20 if is_soak else 3
    victims = [*rng.sample(VICTIMS, 3), *rng.choices(VICTIMS, k=n_kills)][:n_kills]
    session = DemoSession(tmp_path, seed=seed % 1000, scenario=Scenario.NONE, progress=lambda *_: None)
    samples: Counter = Counter()
    files: dict[tuple[str, str], str] = {}
    with session.running():
        for victim in victims:
            let_pass(session, rng.uniform(3, 8))
            samples = acknowledged(session)
            files |= acknowledged_files(session)
            kill(session, victim)
            if victim == "up":
                time.sleep(0.5)
                session.restart_product()
            after = acknowledged(session)
            assert not samples - after, f"acknowledged samples are gone after kill -9 of {victim}"
        n_received = received(session)
        assert let_pass(session, LIMIT_S, lambda: received(session) > n_received), "nothing is archived anew"
        assert session.drain(), "not everything was taken in"
    found = acknowledged(session)
    assert not samples - found
    assert max(found.values()) == 1, "a sample is there twice"
    ledger = session.site.archive().ledger()
    assert ledger.received == ledger.stored + ledger.quarantined + ledger.filtered
    assert ledger.stored == sum(found.values())
    check_files(session, files)


def check_files(session: DemoSession, files: dict[tuple[str, str], str]) -> None:
    """Every dropped file is in the catalog once, with a replica on disk that has its bytes."""
    catalog = session.site.catalog()
    drives = {drive.name: drive.path for drive in session.site.configuration.storage.to_drives()}
    known = {(file.run_id, file.name): file for run in catalog.runs() for file in catalog.files(run.run_id)}
    for key, xxh3_128 in files.items():
        assert known[key].xxh3_128 == xxh3_128
    n_dropped = 0
    for drop in session.site.configuration.storage.drop:
        for path in drop.path.rglob("*"):
            if path.is_file():
                n_dropped += 1
                number = int(path.parent.name.removeprefix("run"))
                file = known[f"{drop.detector}-{number}", escape_name(path.name)]
                (replica,) = catalog.replicas(file.file_id)
                stored = drives[replica.drive] / unescape_name(replica.path)
                assert digest_file(stored) == digest_file(path)
    assert len(known) == n_dropped
    on_drives = [path for drive in drives.values() for path in drive.rglob("*") if path.is_file()]
    taken = [path for path in on_drives if not path.name.endswith(".part") and path.name != MARKER_NAME]
    assert len(taken) == n_dropped
