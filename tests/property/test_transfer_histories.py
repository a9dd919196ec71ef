"""Transfers under any order, repetition and interruption: every copy is its source, and done again nothing changes."""

import contextlib
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nualley.replicas import NothingToCopy, TransferStopped
from tests.unit.replicas.world import FOLDER, World, contents

NAMES = st.sampled_from(["a.dat", "b.dat", "sub/a.dat", "sub/c.dat"])
CONTENT = st.sampled_from([b"", b"abc", b"aXc", bytes(3000), bytes(2999) + b"x"])
STEPS = st.one_of(
    st.tuples(st.just("put"), NAMES, CONTENT),
    st.tuples(st.just("remove"), NAMES, st.just(b"")),
    st.tuples(st.just("lose"), NAMES, st.just(b"")),
    st.tuples(st.just("copy"), st.just(""), st.just(b"")),
    st.tuples(st.just("stop"), st.just(""), st.integers(0, 6)),
    st.tuples(st.just("resume"), st.just(""), st.just(b"")),
    st.tuples(st.just("verify"), st.just(""), st.just(b"")),
)


class History:
    """A source and a destination, and what once was under each name of the source."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ever: dict[str, set[bytes]] = {}

    def do(self, step: str, name: str, more: object) -> None:
        world = self.world
        if step == "put":
            assert isinstance(more, bytes)
            world.put(name, more, is_known=False)
            self.ever.setdefault(name, set()).add(more)
        elif step in ("remove", "lose"):
            root = world.source if step == "remove" else world.destination
            (root / name).unlink(missing_ok=True)
        elif step in ("copy", "stop"):
            self._copy(after=more if isinstance(more, int) else None)
        else:
            work = world.service.work if step == "resume" else world.service.verify
            for transfer in world.catalog.transfers.transfers(is_open=step == "resume"):
                work(transfer.transfer_id)

    def _copy(self, after: int | None) -> None:
        left = [after]

        def should_stop() -> bool:
            if left[0] is None:
                return False
            left[0] -= 1
            return left[0] < 0

        with contextlib.suppress(NothingToCopy, TransferStopped):
            self.world.copy(should_stop=should_stop)

    def check(self) -> None:
        for path, data in contents(self.world.destination).items():
            assert path.endswith(".part") or data in self.ever[path], f"{path} never held that"


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=12))
def test_any_history(steps: list[tuple[str, str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world:
        history = History(world)
        for step in steps:
            history.do(*step)
            history.check()
        # whatever was: once nothing of others is in the way, one more transfer is whole, and the next changes nothing
        for path in list(contents(world.destination)):
            (world.destination / path).unlink()
        world.put("last.dat", b"last", is_known=False)
        assert world.copy().is_finished
        assert contents(world.destination) == contents(world.source)
        before = {path: path.stat().st_mtime_ns for path in (world.folder / "data2" / FOLDER).rglob("*")}
        assert world.copy().is_finished
        assert {path: path.stat().st_mtime_ns for path in (world.folder / "data2" / FOLDER).rglob("*")} == before
