"""Publishing in any order, any number of times, with any fault on the way: whole and right, or not at all."""

import errno
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from nualley.core import NualleyError
from nualley.storage import Drive, place, publish
from nualley.storage.settings import DEFAULT_REPLICA_PATH
from tests.unit.storage.memory_files import MemoryFiles

ROOT = Path("/data1")
NUMBERS = [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.ENOTDIR]

contents = st.dictionaries(st.sampled_from("abc"), st.binary(max_size=50), min_size=1)
attempts = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 25), st.sampled_from(NUMBERS)), max_size=20)


@given(contents, attempts)
def test_what_stands_under_a_final_name_is_always_the_source(data_by_name: dict[str, bytes], faults: list) -> None:
    files = MemoryFiles(ROOT)
    for name, data in data_by_name.items():
        files.put(Path("/drop", name), data)
    acknowledged: dict[Path, bytes] = {}

    def attempt(name: str) -> None:
        destination = ROOT / "run" / name
        try:
            publish(Path("/drop", name), destination, files=files)
        except NualleyError:
            return
        acknowledged[destination] = data_by_name[name]

    for name, n_calls, number in faults:
        if name not in data_by_name:
            continue
        rest = iter(range(n_calls))

        def hook(_call: str, path: Path, rest=rest, number=number) -> None:
            if next(rest, None) is None and ROOT in path.parents:
                raise OSError(number, os.strerror(number))

        files.hook = hook
        attempt(name)
        assert_all_or_nothing(files, data_by_name, acknowledged)
    files.hook = lambda _call, _path: None
    for name in data_by_name:
        attempt(name)
    assert acknowledged == {ROOT / "run" / name: data for name, data in data_by_name.items()}
    assert_all_or_nothing(files, data_by_name, acknowledged)
    assert not [path for path in files.names if path.name.endswith(".part")]


def assert_all_or_nothing(files: MemoryFiles, data_by_name: dict[str, bytes], acknowledged: dict[Path, bytes]) -> None:
    left = files.after_power_cut()
    for name, data in data_by_name.items():
        destination = ROOT / "run" / name
        assert files.get(destination) in (None, data)
        assert left.get(destination) in (None, data)
    for destination, data in acknowledged.items():
        assert left[destination] == data


words = st.text(min_size=1, max_size=20) | st.binary(min_size=1, max_size=20).map(os.fsdecode)


@given(words, words)
def test_a_place_is_below_its_drive_or_refused(detector: str, name: str) -> None:
    drive = Drive("data1", ROOT)
    try:
        found = place(DEFAULT_REPLICA_PATH, drive, detector=detector, run=1, name=name)
    except NualleyError:
        return
    assert Path(os.path.normpath(found)) == found
    assert found.parts == ("/", "data1", detector, "raw", "1", name)


@given(st.tuples(words, st.integers(0), words), st.tuples(words, st.integers(0), words))
def test_two_files_never_share_a_place(left: tuple[str, int, str], right: tuple[str, int, str]) -> None:
    try:
        places = [
            place("{drive}/r-{run}/x{detector}/{name}", Drive("d", ROOT), detector=detector, run=run, name=name)
            for detector, run, name in (left, right)
        ]
    except NualleyError:
        return
    assert (places[0] == places[1]) == (left == right)
