"""Remotes, called as a person calls them, and transfers that are left to the worker."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest
import structlog

from nualley.app import transfer_care
from nualley.app.site import open_site
from nualley.app.transfer_care import TransferRoutine
from nualley.catalog import Replica, ReplicaState, Run
from nualley.cli.main import main
from tests.unit.cli.conftest import record_of, write_drives

REMOTES = """
[remotes.nas]
rclone = "lab-nas:"
rclone_config = "{config}"
"""


@pytest.fixture
def nas(experiment: Path, detector: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder behind remote ``nas`` of an experiment, whose run 7 lies on ``data1``."""
    base = tmp_path_factory.mktemp("far")
    folder, config = base / "nas", base / "rclone.conf"
    folder.mkdir()
    config.write_text(f"[lab-nas]\ntype = alias\nremote = {folder}\n")
    write_drives(experiment, REMOTES.format(config=config))
    (experiment / "drives" / "data2").mkdir(parents=True)
    catalog = open_site().catalog()
    for name, size_B in (("wave0.dat", 5000), ("wave1.dat", 3000)):
        path = experiment / "drives" / "data1" / detector / "raw" / "7" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size_B))
        record = record_of(path, f"{detector}-7")
        replica = Replica(drive="data1", path=str(path), state=ReplicaState.VERIFIED, verified_ns=1)
        catalog.add_file(Run(run_id=f"{detector}-7", detector=detector, number=7), record, replicas=[replica])
    return folder


def answer(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0):
    capsys.readouterr()
    assert main([*words, "--json"]) == code, capsys.readouterr()
    return json.loads(capsys.readouterr().out)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_run_goes_to_a_remote_and_comes_back_when_no_drive_has_it(nas, experiment, detector, capsys) -> None:
    run = f"{detector}-7"
    done = answer(capsys, "transfer", "copy", run, "nas:")
    assert (done["is_finished"], done["destination"], done["drive"]) == (True, f"nas:/{detector}/raw/7", "nas")
    assert names(nas) == [f"{detector}/raw/7/wave0.dat", f"{detector}/raw/7/wave1.dat"]
    files = answer(capsys, "runs", "show", run)["files"]
    assert [sorted(each["drive"] for each in file["replicas"]) for file in files] == [["data1", "nas"]] * 2
    assert answer(capsys, "transfer", "place", "--dry-run")["placements"] == [], "raw files have two copies now"
    (state,) = answer(capsys, "drives", "remotes")
    assert (state["remote"], state["n_files"], state["size_B"], state["n_verified"]) == ("nas", 2, 8000, 2)
    assert state["error"] is None
    catalog = open_site().catalog()
    for path in (experiment / "drives" / "data1").rglob("*.dat"):
        path.unlink()
        known = catalog.replica_at("data1", str(path))
        assert known is not None
        catalog.update_replica(known.replica_id, state=ReplicaState.MISSING)
    back = answer(capsys, "transfer", "copy", run, "data2")
    assert (back["is_finished"], back["source"]) == (True, f"nas:/{detector}/raw/7")
    assert names(experiment / "drives" / "data2" / detector) == ["raw/7/wave0.dat", "raw/7/wave1.dat"]
    assert [each["n_intact"] for each in answer(capsys, "transfer", "verify")] == [2, 2]


def test_in_words(nas, detector, capsys) -> None:
    assert main(["check"]) == 0
    assert "remote nas: lab-nas: through rclone; not asked: nualley drives remotes" in capsys.readouterr().err
    assert main(["drives", "list"]) == 0
    assert "remotes: nas; how they are: nualley drives remotes" in capsys.readouterr().err
    assert main(["drives", "remotes"]) == 0
    assert "answers" in capsys.readouterr().out
    assert main(["transfer", "copy", f"{detector}-7", "nsa:"]) == 2
    assert "did you mean 'nas'?; a path of this machine with a colon is written ./nsa:" in capsys.readouterr().err
    assert main(["transfer", "copy", "nas:a", "nas:b"]) == 2
    assert "copy to a drive first" in capsys.readouterr().err


def test_a_remote_that_does_not_answer_is_told(nas, capsys) -> None:
    (nas.parent / "rclone.conf").write_text("")
    (state,) = answer(capsys, "drives", "remotes", code=4)
    assert state["error"].startswith("remote nas is not set up: didn't find section in config file")


def test_replicas_of_a_remote_are_read_again(nas, detector, capsys) -> None:
    answer(capsys, "transfer", "copy", f"{detector}-7", "nas:")
    assert answer(capsys, "drives", "scrub", "nas")["results"] == {"intact": 2}
    rotten = nas / detector / "raw/7/wave0.dat"
    rotten.chmod(0o644)
    rotten.write_bytes(b"x" + rotten.read_bytes()[1:])
    found = answer(capsys, "drives", "scrub", "nas", "--budget", "1 MB", code=5)
    assert found["results"] == {"intact": 1, "damaged": 1}
    assert found["problems"][0]["path"] == f"nas:/{detector}/raw/7/wave0.dat"
    assert answer(capsys, "drives", "scrub", "data1")["results"] == {"intact": 2}, "drives are read as ever"
    assert main(["drives", "scrub", "nas", "--repair"]) == 2
    assert "nothing is mended in its place" in capsys.readouterr().err


# ---------------------------------------------------------------- the worker
def wait(until) -> None:
    until_s = time.monotonic() + 100
    while not until():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def work(monkeypatch: pytest.MonkeyPatch, until) -> list[dict[str, object]]:
    """Have the worker's routine until something holds; return what it logged."""
    monkeypatch.setattr(transfer_care, "LOOK_S", 0.02)

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(TransferRoutine(open_site()).run(stop))
        await asyncio.to_thread(wait, until)
        stop.set()
        await task

    with structlog.testing.capture_logs() as logs:
        asyncio.run(run())
    return [dict(each) for each in logs]


def is_finished() -> bool:
    return not open_site().catalog().transfers.transfers(is_open=True)


def test_what_is_left_to_the_worker_it_finishes(nas, detector, capsys, monkeypatch) -> None:
    (left,) = answer(capsys, "transfer", "copy", f"{detector}-7", "nas:", "--queue")
    assert (left["is_left"], left["n_files"], left["n_done"], left["finished_ns"]) == (True, 2, 0, None)
    assert names(nas) == []
    assert main(["transfer", "list"]) == 0
    said = capsys.readouterr()
    assert "left to the worker" in said.out
    assert "next:" not in said.err
    logs = work(monkeypatch, is_finished)
    assert [each["event"] for each in logs if each["event"].startswith("transfer")] == [
        "transfer begins",
        "transfer finished",
    ]
    assert len(names(nas)) == 2


def test_what_is_in_its_way_is_logged_and_tried_again_later(nas, detector, capsys, monkeypatch) -> None:
    config = nas.parent / "rclone.conf"
    right = config.read_text()
    answer(capsys, "transfer", "copy", f"{detector}-7", "nas:", "--queue")
    config.write_text("")
    logs = work(monkeypatch, lambda: open_site().catalog().transfers.transfer(1).problem)
    (told,) = [each for each in logs if each["event"] == "TRANSFER NOT FINISHED"]
    assert told["what"].startswith("remote nas is not set up")
    assert told["do"].endswith("tried again in 60 s")
    config.write_text(right)
    work(monkeypatch, is_finished)


def test_what_a_person_began_is_left_alone_until_it_is_left(nas, detector, capsys, monkeypatch) -> None:
    (nas / detector / "raw/7").mkdir(parents=True)
    taken = nas / detector / "raw/7/wave0.dat"
    taken.write_bytes(b"other")
    answer(capsys, "transfer", "copy", f"{detector}-7", "nas:", code=5)
    taken.unlink()
    assert TransferRoutine(open_site()).due() == []
    capsys.readouterr()
    assert main(["transfer", "resume", "--queue"]) == 0
    said = capsys.readouterr()
    assert f"transfer 1: 2 files, 7.8 KiB, to nas:/{detector}/raw/7; left to the worker" in said.out
    assert "the worker does not run: nualley up worker" in said.err
    work(monkeypatch, is_finished)
    assert len(names(nas)) == 2
