"""Room is made because of copies on remotes only where these answer, are there and hold the bytes: real servers."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nualley.catalog import ReplicaState
from nualley.core import DAY_NS
from nualley.replicas import ReclaimSettings, RemovalRefused
from nualley.testing.remotes import SomeRemotes
from tests.remotes import KINDS, There, remote_of
from tests.unit.replicas.reclaim_world import ReclaimWorld
from tests.unit.replicas.world import FOLDER

pytestmark = [pytest.mark.fault, pytest.mark.enable_socket]

DATA = os.urandom(2**20 + 17)
OFF = [kind for kind in KINDS if kind != "local"]
SEEN_S = 0.2  # servers look at their folders again after some milliseconds


@pytest.fixture(params=OFF)
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[There]:
    with remote_of(request.param, tmp_path / "there") as found:
        yield found


@pytest.fixture
def world(tmp_path: Path, there: There) -> Iterator[ReclaimWorld]:
    with ReclaimWorld(tmp_path, remotes=SomeRemotes(there.remote)) as made:
        yield made


def copy_of(there: There) -> Path:
    return there.folder / FOLDER / "wave0.dat"


def refusal(world: ReclaimWorld, path: Path) -> str:
    """Reclaim, see that nothing went, and return why."""
    (done,) = world.apply()
    assert isinstance(done.error, RemovalRefused)
    assert path.read_bytes() == DATA
    assert world.trash_files() == {}
    return done.error.what


def test_a_copy_that_reads_back_is_a_second_home(world: ReclaimWorld, there: There) -> None:
    path = world.put_remote("wave0.dat", DATA)
    (removal,) = world.propose().plan.removals
    assert [(each.drive, each.path) for each in removal.elsewhere] == [("nas", f"nas:/{FOLDER}/wave0.dat")]
    (before,) = world.catalog.placed_files("nas")
    assert [each.error for each in world.apply()] == [None]
    (after,) = world.catalog.placed_files("nas")
    assert (after.verified_ns or 0) > (before.verified_ns or 0), "it was read back once more"
    assert not path.exists()
    assert copy_of(there).read_bytes() == DATA
    world.set_clock.passes(15 * DAY_NS)
    assert [each.error for each in world.reclaimer.empty()] == [None]
    assert world.trash_files() == {}
    assert copy_of(there).read_bytes() == DATA


@pytest.mark.parametrize("loss", ["rotten", "gone", "short"])
def test_a_copy_that_is_none_keeps_the_other(world: ReclaimWorld, there: There, loss: str) -> None:
    path = world.put_remote("wave0.dat", DATA)
    if loss == "gone":
        copy_of(there).unlink()
    else:
        copy_of(there).write_bytes(DATA[:-1] if loss == "short" else DATA[:-1] + bytes([DATA[-1] ^ 1]))
    time.sleep(SEEN_S)
    assert "0 verified replicas of it are on other devices that are there, 1 are needed" in refusal(world, path)
    if loss == "rotten":
        assert world.catalog.placed_files("nas")[0].state is ReplicaState.DAMAGED


@pytest.mark.parametrize("loss", ["rotten", "gone"])
def test_one_that_was_lost_meanwhile_keeps_what_is_in_the_trash(world: ReclaimWorld, there: There, loss: str) -> None:
    path = world.put_remote("wave0.dat", DATA)
    assert [each.error for each in world.apply()] == [None]
    if loss == "gone":
        copy_of(there).unlink()
    else:
        copy_of(there).write_bytes(bytes(len(DATA)))
    time.sleep(SEEN_S)
    world.set_clock.passes(15 * DAY_NS)
    (done,) = world.reclaimer.empty()
    assert isinstance(done.error, RemovalRefused)
    assert world.trash_files() == {"wave0.dat": DATA}
    assert [each.error for each in world.reclaimer.restore(["1"])] == [None]
    assert path.read_bytes() == DATA


def switch_off(there: There) -> None:
    if there.server is not None:
        there.server.kill()
    else:
        there.remote.is_up = False  # type: ignore[attr-defined]  # a folder of a test


@pytest.mark.parametrize("reclaim", [ReclaimSettings(), ReclaimSettings(remote_proof="30d")])
def test_a_server_that_does_not_answer_holds_nothing(tmp_path: Path, there: There, reclaim: ReclaimSettings) -> None:
    with ReclaimWorld(tmp_path, remotes=SomeRemotes(there.remote), reclaim=reclaim) as world:
        path = world.put_remote("wave0.dat", DATA)
        switch_off(there)
        said = refusal(world, path)
        assert "0 verified replicas of it are on other devices that are there, 1 are needed; " in said
        assert "nas" in said
        (known,) = world.catalog.placed_files("nas")
        assert known.state is ReplicaState.VERIFIED, "nothing is said of what cannot be asked"


def test_a_server_that_went_away_keeps_what_is_in_the_trash(world: ReclaimWorld, there: There) -> None:
    world.put_remote("wave0.dat", DATA)
    assert [each.error for each in world.apply()] == [None]
    switch_off(there)
    world.set_clock.passes(15 * DAY_NS)
    (done,) = world.reclaimer.empty()
    assert isinstance(done.error, RemovalRefused)
    assert world.trash_files() == {"wave0.dat": DATA}


def test_one_that_was_read_lately_is_only_looked_for_where_the_experiment_says_so(tmp_path: Path, there: There) -> None:
    settings = ReclaimSettings(remote_proof="30d")
    with ReclaimWorld(tmp_path, remotes=SomeRemotes(there.remote), reclaim=settings) as world:
        world.put_remote("wave0.dat", DATA)
        before = world.catalog.placed_files("nas")
        assert [each.error for each in world.apply()] == [None]
        assert world.catalog.placed_files("nas") == before, "it was not read"
        copy_of(there).write_bytes(bytes(len(DATA)))
        world.set_clock.passes(31 * DAY_NS)
        (done,) = world.reclaimer.empty(trusts_clock=True)
        assert isinstance(done.error, RemovalRefused), "the proof is too old by now, so it is read"
        assert world.trash_files() == {"wave0.dat": DATA}


@pytest.mark.parametrize("loss", ["gone", "short"])
def test_one_that_was_read_lately_has_to_be_there_all_the_same(tmp_path: Path, there: There, loss: str) -> None:
    settings = ReclaimSettings(remote_proof="30d")
    with ReclaimWorld(tmp_path, remotes=SomeRemotes(there.remote), reclaim=settings) as world:
        path = world.put_remote("wave0.dat", DATA)
        if loss == "gone":
            copy_of(there).unlink()
        else:
            copy_of(there).write_bytes(DATA[:-1])
        time.sleep(SEEN_S)
        assert "0 verified replicas of it" in refusal(world, path)


def test_what_rclone_calls_local_is_no_other_machine(tmp_path: Path) -> None:
    with (
        remote_of("local", tmp_path / "there") as there,
        ReclaimWorld(tmp_path, remotes=SomeRemotes(there.remote)) as world,
    ):
        assert "0 verified replicas" in refusal(world, world.put_remote("wave0.dat", DATA))
