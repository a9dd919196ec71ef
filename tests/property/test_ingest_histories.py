"""Whatever happens, in whatever order: no file is lost, none is doubled, and the record tells the truth."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from nualley.catalog import ReplicaState, SourceState
from nualley.core import unescape_name
from nualley.ingest import IngestSettings, decide
from tests.unit.ingest.world import DROP, World, digests_of

NAMES = st.sampled_from(["a.dat", "b\n.dat", "\udcff.dat"])
NUMBERS = st.integers(1, 2)
CONTENTS = st.sampled_from([b"", b"junk", b"RAW", b"RAWe", b"RAWee", b"RAWe!e", b"LOCKED"])


class Killed(BaseException):
    """The process ends here."""


def write(number: int, name: str, content: bytes) -> Callable[[World], None]:
    def work(world: World) -> None:
        world.clock.advance(1e-3)  # two writes in one tick of the file system's clock look alike
        world.put(f"run{number}/{name}", content)

    return work


def void(_: object) -> None: ...


def wait(seconds: int) -> Callable[[World], None]:
    return lambda world: void(world.poll(seconds))


def by_hand(number: int) -> Callable[[World], None]:
    def work(world: World) -> None:
        if any(path.is_relative_to(DROP / f"run{number}") for path in world.files.names):
            world.ingest.ingest_paths([DROP / f"run{number}"], "cenns-10")

    return work


def kill_at(n_calls: int) -> Callable[[World], None]:
    """Look, and end at the n-th touch of a file; then begin as a new process."""

    def work(world: World) -> None:
        left = iter(range(n_calls))

        def hook(call: str, at: Path) -> None:
            if next(left, None) is None:
                raise Killed

        world.files.hook = hook
        with suppress(Killed):
            world.settle()
        world.files.hook = lambda *_: None
        for node in world.files.names.values():
            node.is_held = False  # a lock dies with its process
        world.start()

    return work


def fail_writes(name: str, number: int) -> Callable[[World], None]:
    """Look while a drive answers every write with an error."""

    def work(world: World) -> None:
        def hook(call: str, at: Path) -> None:
            if call in ("write", "open_part") and at.is_relative_to(f"/{name}"):
                raise OSError(number, os.strerror(number))

        world.files.hook = hook
        world.settle()
        world.files.hook = lambda *_: None

    return work


def mount(name: str, is_mounted: bool) -> Callable[[World], None]:
    def work(world: World) -> None:
        world.volumes[name].is_mounted = is_mounted
        if not is_mounted:
            world.once_unmounted.add(Path("/", name))

    return work


DRIVES = st.sampled_from(["data1", "data2", "data3"])
STEPS = st.one_of(
    st.builds(write, NUMBERS, NAMES, CONTENTS),
    st.builds(wait, st.sampled_from([0, 2, 30, 60, 600])),
    st.builds(by_hand, NUMBERS),
    st.builds(kill_at, st.integers(0, 120)),
    st.builds(fail_writes, DRIVES, st.sampled_from([errno.ENOSPC, errno.EROFS, errno.EIO])),
    st.builds(mount, DRIVES, st.booleans()),
)


@settings(max_examples=150)
@given(steps=st.lists(STEPS, max_size=12), n_copies=st.integers(1, 2))
def test_nothing_is_lost_or_doubled(steps: list[Callable[[World], None]], n_copies: int) -> None:
    world = World(n_drives=3, settings=IngestSettings(copies=n_copies))
    written: dict[Path, bytes] = {}
    rewritten: set[Path] = set()
    for step in steps:
        step(world)
        sources = {path: world.files.get(path) for path in world.files.names if path.is_relative_to(DROP)}
        assert written.keys() <= sources.keys()  # no source ever goes away
        rewritten |= {path for path, data in written.items() if sources[path] != data}
        written = {path: data or b"" for path, data in sources.items()}
        check_record(world)
    for volume in world.volumes.values():
        volume.is_mounted = True
    world.settle()
    world.poll(600)  # the next try of what failed
    check_record(world)
    check_accounts(world, written, n_copies)
    check_drives(world, rewritten)


def check_record(world: World) -> None:
    """See that every verified replica of the catalog is there with the right bytes."""
    for replica in world.catalog.replica_by_id.values():
        if replica.state is ReplicaState.VERIFIED:
            data = world.files.get(Path(unescape_name(replica.path)))
            assert data is not None
            assert digests_of(data) == world.catalog.file_by_id[replica.file_id].digests


def check_accounts(world: World, written: dict[Path, bytes], n_copies: int) -> None:
    """See that every file is recorded with its bytes, or quarantined with its bytes, or still waits to be read."""
    for path, data in written.items():
        if data == b"LOCKED":
            continue
        run_id = f"cenns-10-{decide.run_number(os.fspath(path))}"
        record = world.catalog.find_file(run_id, decide.shown_name(os.fspath(path)))
        source = world.catalog.find_source(decide.escape_name(os.fspath(path)))
        assert source is not None
        if record is not None and record.digests == digests_of(data):
            assert source.state is SourceState.INGESTED
            assert len({replica.drive for replica in world.catalog.replicas(record.file_id)}) >= n_copies
        else:
            assert source.state is SourceState.QUARANTINED
            assert (source.path, digests_of(data).xxh3_128) in {
                (row.path, row.xxh3_128) for row in world.catalog.quarantined()
            }


def check_drives(world: World, rewritten: set[Path]) -> None:
    """See that the drives hold nothing that the catalog does not know.

    After a kill two things may be there that nobody removes: a copy of bytes that the source has no more (a newcomer of
    that name is quarantined), and what was begun on a drive that was not mounted when the file's turn came again.
    """
    lying = {path for path in world.files.names if not path.is_relative_to(DROP)}
    known = {Path(unescape_name(replica.path)) for replica in world.catalog.replica_by_id.values()}
    places = {(str(decide.run_number(os.fspath(source))), source.name) for source in rewritten}
    left = {path for path in lying - known if (path.parent.name, path.name) not in places}
    assert {path for path in left if path.parents[3] not in world.once_unmounted} == set()


@given(path=st.lists(st.sampled_from(["run", "Run", "_", "-", "7", "042", "/", "a", ".dat", "\n", "\udcff"])))
def test_a_number_is_found_only_where_a_part_begins_with_run(path: list[str]) -> None:
    text = "".join(path)
    number = decide.run_number(text)
    if number is not None:
        assert any(part.lower().startswith("run") for part in text.split("/"))
        assert str(number) in text
