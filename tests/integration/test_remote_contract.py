"""Every remote does the same: the folder of the tests, rclone over real sftp, WebDAV and S3 servers, and XRootD."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nualley.core import digest_file
from nualley.replicas import RemoteError, RemoteUnreachable
from nualley.storage import SourceVanished
from tests.remotes import KINDS, There, remote_of

SIZE_B = 3 * 2**20 + 17
pytestmark = pytest.mark.enable_socket


@pytest.fixture(scope="module", params=KINDS)
def there(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    with remote_of(request.param, tmp_path_factory.mktemp("remote") / "there") as found:
        yield found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "wave0.dat"
    path.write_bytes(os.urandom(SIZE_B))
    return path


def send(there: There, source: Path, path: str) -> list[int]:
    told: list[int] = []
    there.remote.upload(source, path, rate_B_per_s=None, progress=told.append)
    return told


def test_what_was_sent_is_there_and_reads_back(there: There, source: Path) -> None:
    send(there, source, "sent/deep/a.part")
    assert there.remote.sizes(["sent/deep/a.part", "sent/deep/none", "none/a", "sent"]) == {"sent/deep/a.part": SIZE_B}
    told: list[int] = []
    found = there.remote.digests("sent/deep/a.part", told.append)
    wanted = digest_file(source)
    assert (found.size_B, found.xxh3_128) == (wanted.size_B, wanted.xxh3_128)
    assert found.adler32 in ("", wanted.adler32)
    assert told[-1] == SIZE_B
    with closing(there.remote.open("sent/deep/a.part")) as reader:
        assert reader.size_B == SIZE_B
        assert abs(reader.mtime_ns - (there.folder / "sent/deep/a.part").stat().st_mtime_ns) < 2e9
        buffer, data = memoryview(bytearray(70_001)), b""
        while n_read := reader.read_into(buffer):
            data += buffer[:n_read]
    assert data == source.read_bytes()


def test_what_is_there_is_sent_over(there: There, source: Path, tmp_path: Path) -> None:
    """Only parts are: a final name is given by ``move``."""
    old = tmp_path / "old"
    old.write_bytes(os.urandom(SIZE_B + 5))
    os.utime(old, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
    send(there, old, "over/a.part")
    send(there, source, "over/a.part")
    assert there.remote.sizes(["over/a.part"]) == {"over/a.part": SIZE_B}
    assert there.remote.digests("over/a.part", lambda _: None).xxh3_128 == digest_file(source).xxh3_128


def test_a_file_gets_its_name_and_none_that_is_taken(there: There, source: Path, tmp_path: Path) -> None:
    send(there, source, "names/a.part")
    there.remote.move("names/a.part", "names/more/a.dat")
    assert there.remote.sizes(["names/a.part", "names/more/a.dat"]) == {"names/more/a.dat": SIZE_B}
    other = tmp_path / "other"
    other.write_bytes(b"other")
    send(there, other, "names/b.part")
    with pytest.raises(FileExistsError):
        there.remote.move("names/b.part", "names/more/a.dat")
    assert there.remote.digests("names/more/a.dat", lambda _: None).xxh3_128 == digest_file(source).xxh3_128
    there.remote.remove("names/b.part")
    there.remote.remove("names/b.part")
    assert there.remote.sizes(["names/b.part"]) == {}


def test_an_empty_file_and_names_that_are_hard(there: There, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    mark = "_" if there.kind == "xrootd" else "?"
    names = [f"hard/a b#c{mark}d%41&.dat", "hard/µ[1]{x}.dat", r"hard/\xff\x0a.dat", "hard/'quoted' \"+~!@$^().dat"]
    for name in names:
        send(there, empty, name)
        assert there.remote.sizes([name]) == {name: 0}
        assert there.remote.digests(name, lambda _: None).xxh3_128 == digest_file(empty).xxh3_128
        there.remote.move(name, f"{name}2")
    listing = there.remote.look("hard")
    assert listing is not None
    assert {seen.path for seen in listing.files} == {f"{name}2".removeprefix("hard/") for name in names}


def test_xrootd_takes_no_name_with_a_question_mark(there: There, source: Path) -> None:
    if there.kind == "xrootd":
        with pytest.raises(RemoteError, match=r"cannot hold a name with a '\?'"):
            send(there, source, "a?b")


def test_a_source_of_any_name_is_sent(there: There, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\n.dat")
    path.write_bytes(b"abc")
    send(there, path, r"any/\xff\x0a.dat")
    assert there.remote.sizes([r"any/\xff\x0a.dat"]) == {r"any/\xff\x0a.dat": 3}


def test_a_look_finds_all_below_and_leaves_parts_out(there: There, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(b"data")
    for name in ("look/b.dat", "look/sub/a.dat", "look/.0123.nualley.part"):
        send(there, small, name)
    listing = there.remote.look("look")
    assert listing is not None
    assert [(seen.path, seen.size_B) for seen in listing.files] == [("b.dat", 4), ("sub/a.dat", 4)]
    assert [refused.path for refused in listing.skipped] == [".0123.nualley.part"]
    one = there.remote.look("look/sub/a.dat")
    assert one is not None
    assert [seen.path for seen in one.files] == ["a.dat"]
    again = there.remote.look("look")
    assert again == listing, "a look says the same of what nobody touched"
    assert there.remote.look("nowhere") is None
    whole = there.remote.look("")
    assert whole is not None
    assert "look/sub/a.dat" in {seen.path for seen in whole.files}
    many = [f"look/{n}" for n in range(10)] + ["look/b.dat", "look/sub/a.dat"]
    assert there.remote.sizes(many) == {"look/b.dat": 4, "look/sub/a.dat": 4}


def test_what_is_not_there_is_said(there: There) -> None:
    with pytest.raises(SourceVanished, match="nas:/none/at/all is not there"):
        there.remote.open("none/at/all")
    with pytest.raises(SourceVanished):
        there.remote.digests("none/at/all", lambda _: None)


def test_an_upload_ends_when_it_is_asked_to(there: There, source: Path) -> None:
    class Stopped(Exception):  # noqa: N818  # as a user says it
        pass

    def stop(done_B: int) -> None:
        if done_B:
            raise Stopped

    with pytest.raises(Stopped):
        there.remote.upload(source, "stop/a.part", rate_B_per_s=2**20, progress=stop)
    if there.daemon is not None:
        assert "transferring" not in there.daemon.call("core/stats", {}), "nothing goes on writing to that name"
    send(there, source, "stop/a.part")
    assert there.remote.digests("stop/a.part", lambda _: None).xxh3_128 == digest_file(source).xxh3_128


def test_a_name_that_is_taken_in_the_last_moment_is_not_written_over(
    there: There, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at a name and the move rclone looks once more."""
    if there.daemon is None:
        return
    other = tmp_path / "other"
    other.write_bytes(b"other")
    send(there, source, "late/a.dat")
    send(there, other, "late/b.part")
    real = there.remote._stat  # type: ignore[attr-defined]  # of rclone's
    monkeypatch.setattr(there.remote, "_stat", lambda path: None if path == "late/a.dat" else real(path))
    with pytest.raises(FileExistsError):
        there.remote.move("late/b.part", "late/a.dat")
    monkeypatch.undo()
    assert there.remote.sizes(["late/a.dat", "late/b.part"]) == {"late/a.dat": SIZE_B, "late/b.part": 5}


def test_bytes_that_end_early_are_no_file(tmp_path: Path) -> None:
    with remote_of("local", tmp_path / "there") as there:
        (there.folder / "large.dat").write_bytes(bytes(64 * 2**20))
        buffer = memoryview(bytearray(2**20))
        with closing(there.remote.open("large.dat")) as reader:
            reader.read_into(buffer)
            assert there.daemon is not None
            assert there.daemon.pid is not None
            os.kill(there.daemon.pid, signal.SIGKILL)
            with pytest.raises(RemoteUnreachable, match=r"remote nas went away with \d+ B to read"):
                while reader.read_into(buffer):
                    pass


def test_room_is_a_number_or_not_known(there: There) -> None:
    free_B = there.remote.available_B()
    assert free_B is None or free_B > 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("folder", "local")])
def test_a_server_that_is_away_is_told(kind: str, tmp_path: Path, source: Path) -> None:
    with remote_of(kind, tmp_path / "there") as there:
        send(there, source, "a.part")
        assert there.server is not None
        there.server.kill()
        for ask in (
            lambda: there.remote.look("any"),
            lambda: send(there, source, "b.part"),
        ):
            with pytest.raises(RemoteUnreachable, match="remote nas"):
                ask()
        there.server.start()
        assert there.remote.sizes(["a.part"]) == {"a.part": SIZE_B}
