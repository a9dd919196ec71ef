"""Claims: one at a time, whoever asks; the real ones and those in memory keep one contract."""

import os
import threading

import pytest

from nualley.ingest.adapters.claims import FileClaims
from nualley.storage import DestinationBusy
from tests.faults.interfering import run_in_child
from tests.unit.ingest.world import MemoryClaims


@pytest.fixture(params=["files", "memory"])
def claims(request, tmp_path):
    return FileClaims(tmp_path / "run") if request.param == "files" else MemoryClaims()


def test_one_file_is_taken_by_one(claims):
    with claims.claim("hpge-1/wave0.dat"):
        with pytest.raises(DestinationBusy, match=r"hpge-1/wave0\.dat"), claims.claim("hpge-1/wave0.dat"):
            pass
        with claims.claim("hpge-1/wave1.dat"):
            pass
    with claims.claim("hpge-1/wave0.dat"):
        pass


def test_what_goes_wrong_gives_it_back(claims):
    with pytest.raises(ZeroDivisionError), claims.claim("x"):
        _ = 1 / 0
    with claims.claim("x"):
        pass


def test_nothing_is_left_behind_and_a_killed_process_has_nothing(tmp_path):
    claims = FileClaims(tmp_path)
    with claims.claim("x"):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []

    def die() -> None:
        with claims.claim("x"):
            os.kill(os.getpid(), 9)

    assert run_in_child(die) == 9
    with claims.claim("x"):
        pass


def test_never_two_at_once_however_many_try(tmp_path):
    claims, inside, most, done = FileClaims(tmp_path), [], [], []

    def work() -> None:
        while len(done) < 300:
            try:
                with claims.claim("x"):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
                    done.append(1)
            except DestinationBusy:
                continue

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
