"""Adoption that is killed, locked out or cheated: a file is entered with the bytes that lie there, or stays dark."""

import os
import random
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from nualley.catalog import CatalogUnreachable, ReplicaState
from nualley.core import digest_file
from nualley.replicas import AdoptResult, Candidate, adoption
from tests.faults.interfering import Interfering, run_in_child
from tests.faults.test_transfer_faults import FailingFiles, JumpingClock, interfered
from tests.unit.replicas.test_adoption import adopt, put, results
from tests.unit.replicas.world import RUN, World

pytestmark = pytest.mark.fault

DATA = {"wave0.dat": os.urandom(2**20 + 17), "wave1.dat": b"", "wave2.dat": os.urandom(5000)}


def put_all(world: World) -> list[Candidate]:
    """Put dark files on one drive, and one of them on the other drive too."""
    return [
        *(put(world, "data1", name, data) for name, data in DATA.items()),
        put(world, "data2", "wave2.dat", DATA["wave2.dat"]),
    ]


def check(world: World) -> None:
    """See that what is known is what lies there, and that nothing was touched."""
    for run in world.catalog.runs():
        for file in world.catalog.files(run.run_id):
            for replica in world.catalog.replicas(file.file_id):
                assert replica.state is ReplicaState.VERIFIED
                assert digest_file(Path(replica.path)) == file.digests
                assert Path(replica.path).read_bytes() == DATA[file.name]


def finish(world: World, candidates: list[Candidate]) -> None:
    check(world)
    assert set(results(adopt(world, candidates))) <= {"adopted", "replica", "known"}
    check(world)
    files = world.catalog.files(RUN.run_id)
    assert {file.name: len(world.catalog.replicas(file.file_id)) for file in files} == {
        "wave0.dat": 1,
        "wave1.dat": 1,
        "wave2.dat": 2,
    }
    before = world.catalog.activities()
    assert set(results(adopt(world, candidates))) == {"known"}
    assert world.catalog.activities() == before, "what was entered is not entered again"


def killed_at(folder: Path, step: int) -> bool:
    """Adopt in a child that kills itself before a step of a file or of the record; return whether it came so far."""

    def work() -> None:
        left = [step]

        def before(_name: str) -> None:
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

        with World(folder) as world:
            catalog = world.catalog
            for name in ("find_file", "add_files", "_try_entry"):
                setattr(catalog, name, interfered(getattr(catalog, name), lambda: before("record")))
            adopt(world, put_all(world), files=Reading(before))

    return os.WIFSIGNALED(run_in_child(work))


class Reading(Interfering):
    """The real files, with something happening before each look at one, too."""

    def state(self, path: Path):
        self.before("state")
        return super().state(path)


@pytest.mark.parametrize("n_together", [1, 64])
def test_killed_before_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, is_soak: bool, n_together: int
) -> None:
    """A file is entered whole or not at all, whether each waits for its own commit or all for one."""
    steps = range(1000) if is_soak else sorted(random.Random(seed).sample(range(20), 6))
    monkeypatch.setattr(adoption, "_MOST_TOGETHER", n_together)
    n_killed = 0
    for step in steps:
        folder = tmp_path / f"{step}"
        with World(folder):
            pass
        if not killed_at(folder, step):
            break
        n_killed += 1
        with World(folder) as world:
            finish(world, put_all(world))
    assert n_killed > (15 if is_soak else 3)


def test_a_file_that_cannot_be_read_to_its_end_stays_dark(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        candidates = put_all(world)
        found = adopt(world, candidates, files=FailingFiles("wave0.dat"))
        assert results(found) == ["failed", "adopted", "adopted", "replica"]
        assert "EIO" in found[0].detail
        assert world.catalog.find_file(RUN.run_id, "wave0.dat") is None
        finish(world, candidates)


def test_a_clock_that_jumps_costs_nothing(tmp_path: Path, seed: int) -> None:
    with World(tmp_path, clock=JumpingClock(seed)) as world:
        finish(world, put_all(world))


@pytest.mark.parametrize("step", ["open", "state"])
def test_a_record_that_is_locked_costs_nothing(tmp_path: Path, step: str) -> None:
    locks: list[sqlite3.Connection] = []

    def before(name: str) -> None:
        if name == step and not locks:
            locks.append(sqlite3.connect(tmp_path / "catalog.sqlite", isolation_level=None))
            locks[0].execute("BEGIN IMMEDIATE")

    with World(tmp_path, busy_timeout_ms=50) as world:
        candidates = put_all(world)
        with pytest.raises(CatalogUnreachable):
            adopt(world, candidates, files=Reading(before))
        with closing(locks[0]):
            locks[0].execute("ROLLBACK")
        assert world.catalog.runs() == []
        finish(world, candidates)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda candidate: replace(candidate, path=f"{candidate.path}.gone"),
        lambda candidate: replace(candidate, size_B=candidate.size_B + 1),
        lambda candidate: replace(candidate, path=candidate.path.rpartition("/")[0]),
    ],
)
def test_a_list_that_is_wrong_is_never_believed(tmp_path: Path, spoil: Callable[[Candidate], Candidate]) -> None:
    with World(tmp_path) as world:
        candidates = put_all(world)
        (found,) = adopt(world, [spoil(candidates[0])])
        assert found.result in (AdoptResult.WRITTEN, AdoptResult.FAILED)
        assert world.catalog.runs() == []
        finish(world, candidates)
