"""What a person means by ``NAME:path``, and how the record writes it."""

from pathlib import Path

import pytest

from nualley.core import UsageError
from nualley.replicas import RemotePlace, Seen, UnknownRemote, find_remote, split_remote
from nualley.replicas.adapters.rclone_refusals import error_of
from nualley.replicas.adapters.remote_names import listing
from nualley.replicas.errors import RemoteError, RemoteFull, RemoteNotSetUp, RemoteRefused, RemoteUnreachable


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("nas:", ""),
        ("nas:/", ""),
        ("nas:raw/42", "raw/42"),
        ("nas:/raw//42/", "raw/42"),
        ("nas:./raw", "raw"),
        ("nas:a:b", "a:b"),
        ("nas:a\nb", r"a\x0ab"),
        (r"nas:a\x0ab", r"a\x0ab"),
    ],
)
def test_a_place_of_a_remote(word: str, path: str) -> None:
    found = find_remote(word, ["nas"], is_path=True)
    assert found == RemotePlace("nas", path)
    assert split_remote(found.text) == found


@pytest.mark.parametrize("word", ["./nas:raw", "/data1/nas:raw", "raw/nas:x", "cenns-10-42", "data2", "Nas:raw"])
def test_what_is_a_path_of_this_machine(word: str) -> None:
    assert find_remote(word, ["nas"], is_path=False) is None


def test_a_file_with_a_colon_that_is_no_remote() -> None:
    assert find_remote("run:1.dat", ["nas"], is_path=True) is None
    with pytest.raises(UnknownRemote, match=r"'run' is no remote of this experiment") as caught:
        find_remote("run:1.dat", ["nas"], is_path=False)
    assert "one of nas; a path of this machine with a colon is written ./run:1.dat" in str(caught.value)
    with pytest.raises(UnknownRemote, match=r"did you mean 'nas'\?"):
        find_remote("nass:", ["nas"], is_path=False)
    with pytest.raises(UnknownRemote, match=r"drives.toml names none: add \[remotes.NAME\] there"):
        find_remote("nas:", [], is_path=False)


def test_a_path_that_leaves_the_remote() -> None:
    with pytest.raises(UsageError, match=r"nas:a/../../b leaves the remote"):
        find_remote("nas:a/../../b", ["nas"], is_path=False)


def test_no_path_of_a_machine_is_taken_for_a_remote_in_the_record() -> None:
    assert split_remote(str(Path("/data1/nas:/raw"))) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('didn\'t find section in config file ("zz")', RemoteNotSetUp),
        ("write /x/y: no space left on device", RemoteFull),
        ("Insufficient Storage: 507", RemoteFull),
        ("couldn't connect SSH: ssh: handshake failed: ssh: unable to authenticate", RemoteRefused),
        ("operation error S3: HeadObject, StatusCode: 403, Forbidden", RemoteRefused),
        ("dial tcp 127.0.0.1:1: connect: connection refused", RemoteUnreachable),
        ("unexpected EOF", RemoteUnreachable),
        ("something else", RemoteError),
        ("object not found", FileNotFoundError),
    ],
)
def test_what_rclone_says_has_a_meaning(text: str, kind: type[Exception]) -> None:
    error = error_of(text, "nas")
    assert type(error) is kind
    assert text in str(error)


def test_what_no_catalog_would_write_is_left_out_of_a_look() -> None:
    names = ("a.dat", r"b\x0a.dat", r"c\d.dat", "e\n.dat", ".0f.nualley.part")
    found = listing("raw", [Seen(name, 1, 2, 0) for name in names])
    assert [seen.path for seen in found.files] == ["a.dat", r"b\x0a.dat"]
    assert {refused.path: refused.reason for refused in found.skipped} == {
        r"c\x5cd.dat": "a name that no file of a catalog has",
        r"e\x0a.dat": "a name that no file of a catalog has",
        ".0f.nualley.part": "nualley's own",
    }
