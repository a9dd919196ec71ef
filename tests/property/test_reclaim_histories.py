"""Reclaim and purge under any order of events: the last whole copy of a file never goes."""

import contextlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nualley.catalog.adapters.sql import open_catalog
from nualley.core import DAY_NS, HOUR_NS, NualleyError
from nualley.replicas import RemovalPlan
from tests.unit.replicas.reclaim_world import DRIVES, ReclaimWorld
from tests.unit.replicas.world import FOLDER


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("catalog") / "catalog.sqlite"
    open_catalog(path).close()
    return path.read_bytes()


NAMES = ("a.dat", "b.dat", "c.dat")
SPANS = st.sampled_from([HOUR_NS, DAY_NS, 8 * DAY_NS, 40 * DAY_NS])
STEPS = st.one_of(
    st.tuples(st.just("copies"), st.sampled_from(NAMES), st.sampled_from([DRIVES[:1], DRIVES[:2], DRIVES])),
    st.tuples(st.just("drop"), st.sampled_from(NAMES), st.just(())),
    st.tuples(st.just("rot"), st.sampled_from(NAMES), st.sampled_from(DRIVES)),
    st.tuples(st.just("lose"), st.sampled_from(NAMES), st.sampled_from(DRIVES)),
    st.tuples(st.just("touch"), st.sampled_from(NAMES), st.sampled_from(DRIVES)),
    st.tuples(st.just("propose"), st.just(""), st.sampled_from([None, *DRIVES])),
    st.tuples(st.just("apply"), st.just(""), st.just(())),
    st.tuples(st.just("restore"), st.just(""), st.just(())),
    st.tuples(st.just("empty"), st.just(""), st.just(())),
    st.tuples(st.just("purge"), st.just(""), st.just(())),
    st.tuples(st.just("pass"), st.just(""), SPANS),
    st.tuples(st.just("jump"), st.just(""), SPANS),
)


class History:
    """A world, the plan that was made in it last, and the files that it ever held."""

    def __init__(self, world: ReclaimWorld) -> None:
        self.world = world
        self.plan: RemovalPlan | None = None
        self.known: set[str] = set()
        world.end_run(world.clock.now_ns())

    def data(self, name: str) -> bytes:
        return name.encode() * 50

    def do(self, step: str, name: str, more: object) -> None:
        world = self.world
        before = {known: self.copies(known) for known in self.known}
        with contextlib.suppress(NualleyError):
            if step == "copies":
                self._put(name, more)  # type: ignore[arg-type]  # drives
            elif step == "drop":
                self._put(name, ("data1",))
                world.put_drop(name, self.data(name), on=("data1",))
            elif step in ("rot", "lose", "touch"):
                self._harm(step, world.folder / str(more) / FOLDER / name)
                before = {known: self.copies(known) for known in self.known}
            elif step == "propose":
                self.plan = world.propose(drive=more).plan  # type: ignore[arg-type]  # a drive or none
            elif step == "apply":
                list(world.reclaimer.apply(self.plan or world.propose().plan, trusts_clock=True))
            elif step == "restore":
                list(world.reclaimer.restore([str(each.item_id) for each in world.in_trash()][:2]))
            elif step == "empty":
                list(world.reclaimer.empty(trusts_clock=True))
            elif step == "purge":
                world.purge_once()
            elif step == "pass":
                world.set_clock.passes(more)  # type: ignore[arg-type]  # a span
            else:
                world.set_clock.jumps(more)  # type: ignore[arg-type]  # a span
        self.check(before)

    def _put(self, name: str, drives: tuple[str, ...]) -> None:
        paths = [self.world.folder / drive / FOLDER / name for drive in drives]
        if any(path.exists() for path in paths):
            return
        self.world.put_copies(name, self.data(name), ("data1", *drives))
        self.known.add(name)

    def _harm(self, how: str, path: Path) -> None:
        """Harm a copy as drives and people do; never the last whole one, of which nobody could make another."""
        if not path.exists() or (how != "touch" and len(self.copies(path.name) - {path}) < 1):
            return
        if how == "rot":
            path.write_bytes(self.data(path.name)[::-1])
        elif how == "lose":
            path.unlink()
        else:
            os.utime(path)

    def copies(self, name: str) -> set[Path]:
        """Return the whole copies of a file, in the trash too."""
        found = {path for path in self.world.folder.rglob(f"*{name}") if path.is_file() and not path.is_symlink()}
        return {path for path in found if path.read_bytes() == self.data(name)}

    def check(self, before: dict[str, set[Path]]) -> None:
        for name in self.known:
            now = self.copies(name)
            assert now or not before.get(name, {0}), f"the last whole copy of {name} went"
            outside = {path for path in now if ".nualley-trash" not in path.parts}
            was_outside = {path for path in before.get(name, set()) if ".nualley-trash" not in path.parts}
            assert outside or not was_outside, f"all whole copies of {name} are in the trash"


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, min_size=3, max_size=15))
def test_any_history(empty_catalog: bytes, steps: list[tuple[str, str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "catalog.sqlite").write_bytes(empty_catalog)
        play(Path(folder), steps)


def play(folder: Path, steps: list[tuple[str, str, object]]) -> None:
    with ReclaimWorld(folder) as world:
        history = History(world)
        for step in steps:
            history.do(*step)
