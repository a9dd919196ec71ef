"""Transfers to remotes that are killed, cut off, filled, cheated or damaged: never a wrong file under a final name."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nualley.catalog import CopyState, ReplicaState
from nualley.core import ExitCode
from nualley.replicas import (
    CopyDamaged,
    CopyGone,
    RemoteError,
    RemoteFull,
    RemoteNotSetUp,
    RemotePlace,
    RemoteRefused,
    RemoteUnreachable,
    UploadDamaged,
)
from nualley.storage import DestinationConflict
from nualley.testing.remotes import FolderRemote, SomeRemotes, rclone_section
from tests.faults.conftest import SmallDrives
from tests.faults.interfering import run_in_child
from tests.remotes import KINDS, RCLONE, There, rclone_of, remote_of
from tests.unit.replicas.world import FOLDER, World, contents

pytestmark = [pytest.mark.fault, pytest.mark.enable_socket]

DATA = {"wave0.dat": os.urandom(2**20 + 17), "wave1.dat": b"", "sub/wave2.dat": os.urandom(5000)}
SERVED = [kind for kind in KINDS if kind not in ("folder", "local")]
TO = RemotePlace("nas", FOLDER)
SEEN_S = 0.2  # servers look at their folders again after some milliseconds


def world_of(folder: Path, there: There) -> World:
    folder.mkdir(exist_ok=True)
    world = World(folder)
    world.use(SomeRemotes(there.remote))
    return world


def fill(world: World) -> None:
    for name, data in DATA.items():
        world.put(name, data)


def finals(there: There) -> dict[str, bytes]:
    """Return what is under final names of the remote, and see that no part is left open for another."""
    found = contents(there.folder / FOLDER) if (there.folder / FOLDER).is_dir() else {}
    return {path: data for path, data in found.items() if not path.rpartition("/")[2].startswith(".")}


def check(world: World, there: There) -> None:
    """See that what has a final name, and what the catalog calls verified, holds the bytes of the source."""
    for path, data in finals(there).items():
        assert data == DATA[path]
    for replica in world.catalog.transfers.known_below("nas", "nas:/"):
        if replica.state is ReplicaState.VERIFIED:
            assert replica.path.removeprefix(f"nas:/{FOLDER}/") in finals(there)
    for file in world.catalog.transfers.files(1):
        if file.state is CopyState.CATALOGUED:
            assert finals(there)[file.path] == DATA[file.path]


def finish(world: World, there: There) -> None:
    check(world, there)
    report = world.service.work(1)
    assert report.is_finished, report.problems
    check(world, there)
    assert finals(there) == contents(there.folder / FOLDER) == DATA, "no part is left either"
    known = world.catalog.transfers.known_below("nas", "nas:/")
    assert {replica.path for replica in known} == {f"nas:/{FOLDER}/{name}" for name in DATA}
    assert {replica.state for replica in known} == {ReplicaState.VERIFIED}


@pytest.fixture(params=KINDS)
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[There]:
    with remote_of(request.param, tmp_path / "there") as found:
        yield found


@pytest.fixture
def world(tmp_path: Path, there: There) -> Iterator[World]:
    with world_of(tmp_path / "world", there) as made:
        fill(made)
        yield made


# ---------------------------------------------------------------- there and back
def test_there_and_back_and_read_again(world: World, there: There) -> None:
    begun = world.service.begin(world.source, TO)
    assert (begun.destination, begun.drive) == (f"nas:/{FOLDER}", "nas")
    finish(world, there)
    verified = world.service.verify(1)
    assert (verified.n_files, verified.n_intact, verified.exit_code) == (3, 3, ExitCode.DONE)
    back = world.service.begin(TO, world.destination)
    report = world.service.work(back.transfer_id)
    assert report.is_finished, report.problems
    assert contents(world.destination) == DATA
    assert len(world.replicas_on("data2")) == len(DATA), "what came back is a replica of the same files"
    again = world.service.begin(world.source, TO)
    assert world.service.work(again.transfer_id).is_finished, "what is there already is compared, not sent"


def test_damage_on_the_server_is_found(world: World, there: There) -> None:
    world.service.begin(world.source, TO)
    finish(world, there)
    rotten = there.folder / FOLDER / "wave0.dat"
    kept_ns = rotten.stat().st_mtime_ns
    data = bytearray(rotten.read_bytes())
    data[1000] ^= 1
    rotten.write_bytes(data)
    os.utime(rotten, ns=(kept_ns, kept_ns))
    verified = world.service.verify(1)
    assert verified.exit_code is ExitCode.NOT_INTACT
    (problem,) = verified.problems
    assert isinstance(problem, CopyDamaged)
    assert problem.what.startswith(f"nas:/{FOLDER}/wave0.dat holds xxh3_128 ")
    states = {each.path: each.state for each in world.catalog.transfers.known_below("nas", "nas:/")}
    assert states[f"nas:/{FOLDER}/wave0.dat"] is ReplicaState.DAMAGED
    back = world.service.begin(TO, world.destination)
    report = world.service.work(back.transfer_id)
    assert report.exit_code is ExitCode.NOT_INTACT, "rot does not come back"
    assert "wave0.dat" not in contents(world.destination)
    rotten.unlink()
    time.sleep(SEEN_S)
    report = world.service.work(1)
    assert report.is_finished, report.problems
    finish(world, there)


def test_what_is_gone_at_the_server_is_sent_again(world: World, there: There) -> None:
    world.service.begin(world.source, TO)
    finish(world, there)
    (there.folder / FOLDER / "wave0.dat").unlink()
    time.sleep(SEEN_S)
    verified = world.service.verify(1)
    assert [type(problem) for problem in verified.problems] == [CopyGone]
    finish(world, there)


def test_other_bytes_under_the_final_name_stay(world: World, there: There) -> None:
    taken = there.folder / FOLDER / "wave0.dat"
    taken.parent.mkdir(parents=True, mode=0o777)
    if there.kind == "xrootd":
        for path in (there.folder, *taken.parent.parents, taken.parent):
            if path.is_relative_to(there.folder):
                path.chmod(0o777)
    taken.write_bytes(b"somebody's")
    world.service.begin(world.source, TO)
    report = world.service.work(1)
    assert [type(problem) for problem in report.problems] == [DestinationConflict]
    assert f"nas:/{FOLDER}/wave0.dat is taken: 10 B lies there" in report.problems[0].what
    assert taken.read_bytes() == b"somebody's"
    assert world.states()["wave1.dat"] is CopyState.CATALOGUED, "it keeps no other from being copied"
    taken.unlink()
    time.sleep(SEEN_S)
    finish(world, there)


# ---------------------------------------------------------------- meanwhile
class Meddled:
    """A remote at which something happens before a call."""

    def __init__(self, remote: object, name: str, happens: Callable[[], object]) -> None:
        self._remote = remote
        self._name = name
        self._happens: Callable[[], object] | None = happens

    def __getattr__(self, name: str) -> object:
        if name == self._name and self._happens is not None:
            happens, self._happens = self._happens, None
            happens()
        return getattr(self._remote, name)


def meddle(world: World, there: There, name: str, happens: Callable[[], object]) -> None:
    world.use(SomeRemotes(Meddled(there.remote, name, happens)))  # type: ignore[arg-type]  # looks like one


def test_a_destination_that_appears_meanwhile_is_not_written_over(world: World, there: There) -> None:
    path = f"{FOLDER}/sub/wave2.dat"
    taken = there.folder / path

    def take() -> None:
        taken.write_bytes(b"somebody's")
        until(lambda: path in there.remote.sizes([path]))  # servers of files look at their folders anew in their time

    meddle(world, there, "move", take)
    world.service.begin(world.source, TO)
    report = world.service.work(1)
    assert [type(problem) for problem in report.problems] == [DestinationConflict]
    assert taken.read_bytes() == b"somebody's"
    taken.unlink()
    time.sleep(SEEN_S)
    world.use(SomeRemotes(there.remote))
    finish(world, there)


def test_a_source_that_changes_meanwhile_is_copied_as_it_is_then(world: World, there: There) -> None:
    path = world.put("wave9.dat", b"first", is_known=False)

    begun = world.service.begin(path, RemotePlace("nas", "other"))
    real = there.remote.digests
    changed = False

    def digests(*words: object) -> object:
        nonlocal changed
        if not changed:
            changed = True
            path.write_bytes(b"other")
        return real(*words)  # type: ignore[arg-type]  # as they came

    meddled = Meddled(there.remote, "", lambda: None)
    meddled.digests = digests  # type: ignore[attr-defined]  # in its place
    world.use(SomeRemotes(meddled))  # type: ignore[arg-type]  # looks like one
    report = world.service.work(begun.transfer_id)
    assert report.is_finished, report.problems
    assert (there.folder / "other/wave9.dat").read_bytes() == b"other"
    assert sorted(contents(there.folder / "other")) == ["wave9.dat"], "the first one left no part"


def test_bytes_that_are_damaged_on_the_way_get_no_name(world: World, there: There) -> None:
    def damage() -> None:
        (part,) = [path for path in there.folder.rglob(".*.nualley.part") if path.stat().st_size > 2**20]
        data = bytearray(part.read_bytes())
        data[77] ^= 1
        part.write_bytes(data)

    real = there.remote.digests
    is_done = False

    def digests(path: str, progress: Callable[[int], object]) -> object:
        nonlocal is_done
        if not is_done and there.remote.sizes([path]).get(path, 0) > 2**20:
            is_done = True
            damage()
        return real(path, progress)

    meddled = Meddled(there.remote, "", lambda: None)
    meddled.digests = digests  # type: ignore[attr-defined]  # in its place
    world.use(SomeRemotes(meddled))  # type: ignore[arg-type]  # looks like one
    world.service.begin(world.source, TO)
    report = world.service.work(1)
    assert [type(problem) for problem in report.problems] == [UploadDamaged]
    assert report.exit_code is ExitCode.NOT_INTACT
    assert "wave0.dat" not in finals(there)
    assert not list(there.folder.rglob(".*.nualley.part"))
    world.use(SomeRemotes(there.remote))
    finish(world, there)


class Counting:
    """A remote that counts its uploads, and ends the first one after the last byte."""

    def __init__(self, remote: FolderRemote) -> None:
        self._remote = remote
        self.n_uploads = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._remote, name)

    def upload(self, *words: object, **named: object) -> None:
        self.n_uploads += 1
        self._remote.upload(*words, **named)  # type: ignore[arg-type]  # as they came
        if self.n_uploads == 1:
            raise RemoteUnreachable("remote nas is not reachable: cut", where="nas", do="try again")


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_part_that_was_left_is_used_where_it_reads_back_right(tmp_path: Path, is_damaged: bool) -> None:
    with remote_of("folder", tmp_path / "there") as there, world_of(tmp_path / "world", there) as world:
        world.put("wave0.dat", DATA["wave0.dat"])
        assert isinstance(there.remote, FolderRemote)
        counting = Counting(there.remote)
        world.use(SomeRemotes(counting))  # type: ignore[arg-type]  # looks like one
        world.service.begin(world.source, TO)
        assert not world.service.work(1).is_finished
        (part,) = there.folder.rglob(".*.nualley.part")
        if is_damaged:
            data = bytearray(part.read_bytes())
            data[-1] ^= 1
            part.write_bytes(data)
        report = world.service.work(1)
        assert report.is_finished, report.problems
        assert counting.n_uploads == (2 if is_damaged else 1)
        again = world.service.begin(world.source, TO)
        assert world.service.work(again.transfer_id).is_finished
        assert counting.n_uploads == (2 if is_damaged else 1), "what is there already is not sent"
        assert contents(there.folder / FOLDER) == {"wave0.dat": DATA["wave0.dat"]}


def test_a_copy_that_the_remote_makes_itself_is_read_back_too(tmp_path: Path) -> None:
    with remote_of("folder", tmp_path / "there") as there, world_of(tmp_path / "world", there) as world:
        world.put("wave0.dat", DATA["wave0.dat"])
        real = there.remote.move

        def move(path: str, destination: str) -> bool:
            real(path, destination)
            (there.folder / destination).write_bytes(b"x" + DATA["wave0.dat"][1:])
            return False

        there.remote.move = move  # type: ignore[method-assign]  # it copies, and badly
        world.service.begin(world.source, TO)
        report = world.service.work(1)
        assert [type(problem) for problem in report.problems] == [UploadDamaged]
        assert "it is there as evidence: move it away" in report.problems[0].do
        assert not world.catalog.transfers.known_below("nas", "nas:/")


# ---------------------------------------------------------------- servers and logins
@pytest.mark.timeout(600)
def test_a_server_that_goes_in_the_middle_is_told_and_gone_on_with(tmp_path: Path, seed: int, is_soak: bool) -> None:
    # rclone tries again for 20 to 50 s before it says so
    for kind in SERVED if is_soak else (random.Random(seed).choice(SERVED),):
        _cut(kind, tmp_path / kind)


def test_a_part_of_what_was_given_up_is_removed_from_the_remote(tmp_path: Path) -> None:
    with remote_of("local", tmp_path / "there") as there, world_of(tmp_path / "world", there) as world:
        fill(world)
        world.service.begin(world.source, TO)
        real = there.remote.move
        there.remote.move = lambda *_: (_ for _ in ()).throw(RemoteUnreachable("gone"))  # type: ignore[attr-defined]
        world.service.work(1)
        there.remote.move = real  # type: ignore[attr-defined]
        assert not finals(there)
        given_up = world.service.cancel(1)
        assert given_up.n_parts > 0
        assert not given_up.problems
        assert not contents(there.folder)


def _cut(kind: str, tmp_path: Path) -> None:
    tmp_path.mkdir()
    with remote_of(kind, tmp_path / "there") as there, world_of(tmp_path / "world", there) as world:
        fill(world)
        begun = world.service.begin(world.source, TO, rate_B_per_s=2**20)
        assert there.server is not None
        server = there.server

        def cut(_name: str, done_B: int, _all_B: int) -> None:
            # the source of the largest file was read, and its upload has begun
            if done_B > 5000 + 2**20 + 30_000:
                server.kill()

        report = world.service.work(begun.transfer_id, progress=cut)
        assert [type(problem) for problem in report.problems] == [RemoteUnreachable]
        assert report.exit_code is ExitCode.FAILED
        assert "is not reachable" in report.problems[0].what
        check(world, there)
        assert not world.service.work(1).is_finished, "while it is away nothing else is said"
        server.start()
        finish(world, there)


@pytest.mark.parametrize("kind", ["sftp", "webdav", "s3"])
def test_a_login_that_is_refused_is_told(kind: str, tmp_path: Path) -> None:
    with (
        rclone_of(kind, tmp_path / "there", is_known=False) as there,
        world_of(tmp_path / "world", there) as world,
    ):
        fill(world)
        with pytest.raises(RemoteRefused, match="remote nas refuses"):
            world.service.begin(world.source, TO)
        assert world.catalog.transfers.transfers() == []
        config = (tmp_path / "there").with_name("there.conf")
        assert there.server is not None
        config.write_text(rclone_section(RCLONE, kind, there.server.port))
        assert there.daemon is not None
        there.daemon.close()  # the next one reads its file anew
        world.service.begin(world.source, TO)
        finish(world, there)


def test_a_section_that_rclone_does_not_have_is_told(tmp_path: Path) -> None:
    with rclone_of("local", tmp_path / "there") as there, world_of(tmp_path / "world", there) as world:
        fill(world)
        (tmp_path / "there.conf").write_text("[else]\ntype = local\n")
        with pytest.raises(RemoteNotSetUp, match="remote nas is not set up: didn't find section in config file"):
            world.service.begin(world.source, TO)


@pytest.mark.parametrize("kind", ["local", "sftp", "webdav"])
def test_a_server_without_room_is_told_and_gone_on_with(kind: str, small_drives: SmallDrives, tmp_path: Path) -> None:
    drive = small_drives.mount("there", size="2m")
    with rclone_of(kind, drive) as there, world_of(tmp_path / "world", there) as world:
        fill(world)
        world.service.begin(world.source, TO)
        filler = drive / "filler"
        filler.write_bytes(bytes(2**20 + 2**19))
        report = world.service.work(1)
        # rclone's WebDAV server says "not allowed", and not how much room it has
        assert [type(problem) for problem in report.problems] == [RemoteError if kind == "webdav" else RemoteFull]
        check(world, there)
        filler.unlink()
        finish(world, there)


def test_a_folder_without_room_is_told_and_gone_on_with(tmp_path: Path) -> None:
    with remote_of("folder", tmp_path / "there") as there, world_of(tmp_path / "world", there) as world:
        fill(world)
        assert isinstance(there.remote, FolderRemote)
        there.remote.capacity_B = 10_000
        with pytest.raises(RemoteFull, match="remote nas has 9.8 KiB free; 1.0 MiB are to be copied"):
            world.service.begin(world.source, TO)
        there.remote.capacity_B = None
        world.service.begin(world.source, TO)
        there.remote.capacity_B = 10_000
        report = world.service.work(1)
        assert [type(problem) for problem in report.problems] == [RemoteFull]
        assert world.states()["wave1.dat"] is CopyState.QUEUED, "after the first that found no room none is tried"
        check(world, there)
        there.remote.capacity_B = None
        finish(world, there)


# ---------------------------------------------------------------- kill -9
CHILD = """
import sys
from pathlib import Path
from nualley.replicas.adapters.rclone import RcloneRemote
from nualley.replicas.adapters.rclone_daemon import RcloneDaemon
from nualley.testing.remotes import SomeRemotes
from tests.remotes import RCLONE
from tests.unit.replicas.world import World
daemon = RcloneDaemon(lambda: RCLONE, Path(sys.argv[3]))
with World(Path(sys.argv[1])) as world:
    world.use(SomeRemotes(RcloneRemote("nas", sys.argv[2], daemon)))
    daemon.call("rc/noop", {})
    print(daemon.pid, flush=True)
    world.service.work(1)
    print("done", flush=True)
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.005)


@pytest.mark.parametrize("victim", ["nualley", "rclone"])
@pytest.mark.parametrize("kind", ["sftp", "webdav", "s3"])
def test_killed_in_the_middle(kind: str, victim: str, tmp_path: Path, seed: int, is_soak: bool) -> None:
    chance = random.Random(seed)
    for number in range(20 if is_soak else 1):
        base = tmp_path / f"{number}"
        base.mkdir()
        with rclone_of(kind, base / "there") as there, world_of(base / "world", there) as world:
            fill(world)
            world.service.begin(world.source, TO, rate_B_per_s=2**21)
            words = [sys.executable, "-c", CHILD, base / "world", "there:bucket", base / "there.conf"]
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
                assert child.stdout is not None
                rclone = int(child.stdout.readline())
                until(lambda: world.states()["wave0.dat"] is not CopyState.QUEUED)
                time.sleep(chance.uniform(0, 0.8))
                os.kill(child.pid if victim == "nualley" else rclone, signal.SIGKILL)
                child.wait(60)
            until(lambda: not is_alive(rclone))  # noqa: B023 - called in its turn
            finish(world, there)


def test_killed_before_every_step(tmp_path: Path, seed: int, is_soak: bool) -> None:
    """Over a folder every call to the remote and to the record is a step."""
    steps = range(-1, 60)
    chosen = steps if is_soak else [-1, *random.Random(seed).sample(steps[1:40], 8)]
    for step in chosen:
        with remote_of("folder", tmp_path / f"{step}" / "there") as there:
            with world_of(tmp_path / f"{step}" / "world", there) as world:
                fill(world)
                world.service.begin(world.source, TO)

            def work(step: int = step, there: There = there) -> None:
                n_done = 0

                def before() -> None:
                    nonlocal n_done
                    if n_done == step:
                        os.kill(os.getpid(), signal.SIGKILL)
                    n_done += 1

                class Counted:
                    name = "nas"

                    def __getattr__(self, name: str) -> object:
                        before()
                        return getattr(there.remote, name)

                with World(tmp_path / f"{step}" / "world") as world:
                    world.use(SomeRemotes(Counted()))  # type: ignore[arg-type]  # looks like one
                    transfers = world.catalog.transfers
                    for name in ("settle", "finish"):
                        real = getattr(transfers, name)

                        def call(*words: object, real: Callable[..., object] = real, **named: object) -> object:
                            before()
                            return real(*words, **named)

                        setattr(transfers, name, call)
                    world.service.work(1)

            run_in_child(work)
            with world_of(tmp_path / f"{step}" / "world", there) as world:
                finish(world, there)


def test_a_stop_is_heard_in_an_upload(tmp_path: Path) -> None:
    with rclone_of("sftp", tmp_path / "there") as there, world_of(tmp_path / "world", there) as world:
        fill(world)
        world.service.begin(world.source, TO, rate_B_per_s=2**18)
        done: list[int] = []

        def stop() -> bool:
            return bool(done) and done[-1] > 2**20 + 6000

        with pytest.raises(Exception, match="stopped: what was finished stays"):
            world.service.work(1, progress=lambda _name, done_B, _all_B: done.append(done_B), should_stop=stop)
        assert "wave0.dat" not in finals(there)
        assert world.catalog.transfers.transfer(1).finished_ns is None
