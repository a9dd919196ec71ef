"""Transfers, called as a person calls them."""

import json
import os
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from nualley.app.site import open_site
from nualley.app.transfers import work_on
from nualley.catalog import Replica, ReplicaState, Run
from nualley.cli.main import main
from nualley.core import NualleyError
from nualley.replicas import TransferRunning
from tests.unit.cli.conftest import record_of, write_drives

DROP = """
[[drop]]
path = "drop"
detector = "{detector}"
"""


@pytest.fixture
def drives(experiment: Path, detector: str) -> Path:
    """Return the folder of two drives, of which the first holds a file of run 7."""
    write_drives(experiment, DROP.format(detector=detector))
    for name in ("data1", "data2"):
        (experiment / "drives" / name).mkdir(parents=True, exist_ok=True)
    raw = experiment / "drop" / "run00007"
    raw.mkdir(parents=True)
    (raw / "wave0.dat").write_bytes(b"\x01" * 5000)
    (raw / "wave1.dat").write_bytes(b"\x02" * 3000)
    return experiment / "drives"


@pytest.fixture
def run(drives: Path, detector: str) -> str:
    """Return a run of which both files lie on ``data1``, as ingest leaves them."""
    run_id = f"{detector}-7"
    catalog = open_site().catalog()
    for name, size_B in (("wave0.dat", 5000), ("wave1.dat", 3000)):
        path = drives / "data1" / detector / "raw" / "7" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode()[:1] * size_B)
        record = record_of(path, run_id)
        replica = Replica(drive="data1", path=str(path), state=ReplicaState.VERIFIED, verified_ns=1)
        catalog.add_file(Run(run_id=run_id, detector=detector, number=7), record, replicas=[replica])
    return run_id


def answer(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0):
    capsys.readouterr()
    assert main([*words, "--json"]) == code, capsys.readouterr()
    return json.loads(capsys.readouterr().out)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.dat"))


def test_a_run_goes_to_the_same_place_on_another_drive(drives, run, detector, capsys) -> None:
    done = answer(capsys, "transfer", "copy", run, "data2")
    assert (done["is_finished"], done["n_files"], done["n_done"], done["done_B"]) == (True, 2, 2, 8000)
    assert done["problems"] == []
    assert names(drives / "data1") == names(drives / "data2")
    assert [len(file["replicas"]) for file in answer(capsys, "runs", "show", run)["files"]] == [2, 2]
    (listed,) = answer(capsys, "transfer", "list")
    assert {key: listed[key] for key in listed} == {key: done[key] for key in listed}
    assert answer(capsys, "transfer", "list", "--unfinished") == []
    (verified,) = answer(capsys, "transfer", "verify")
    assert (verified["n_files"], verified["n_intact"], verified["problems"]) == (2, 2, [])


def test_a_run_that_lies_whole_in_two_places_is_read_from_one(experiment, drives, run, detector, capsys) -> None:
    """``data1`` has its second file for longer, but of the first one no verified replica; ``data2`` holds both."""
    answer(capsys, "transfer", "copy", run, "data2")
    catalog = open_site().catalog()
    (first,) = [file for file in catalog.files(run) if file.name == "wave0.dat"]
    (oldest, newest) = catalog.replicas(first.file_id)
    catalog.update_replica(oldest.replica_id, state=ReplicaState.UNVERIFIED)
    with (experiment / "drives.toml").open("a") as file:
        file.write('[drives.data3]\npath = "drives/data3"\n')
    (drives / "data3").mkdir()
    done = answer(capsys, "transfer", "copy", run, "data3")
    assert done["source"] == str(Path(newest.path).parent)
    assert names(drives / "data3") == names(drives / "data2")


def test_a_drive_that_leads_to_another_one_takes_nothing_in_its_name(experiment, drives, run, capsys) -> None:
    answer(capsys, "transfer", "copy", run, "data2")
    with (experiment / "drives.toml").open("a") as file:
        file.write('[drives.data3]\npath = "drives/data3"\n')
    (drives / "data3").symlink_to("data2")
    said = answer(capsys, "transfer", "copy", run, "data3", code=4)["error"]
    assert said["what"] == "drive data3 is missing: its marker .nualley-drive says that it is drive data2"
    assert len(answer(capsys, "transfer", "list")) == 1


def test_of_a_run_whose_stages_lie_on_several_drives_what_is_not_there_is_copied(drives, run, detector, capsys) -> None:
    """Raw files on ``data1``, derived ones on ``data2``: as most runs are."""
    derived = drives / "data2" / detector / "hit" / "7" / "hits.h5"
    derived.parent.mkdir(parents=True)
    derived.write_bytes(b"hits")
    catalog = open_site().catalog()
    replica = Replica(drive="data2", path=str(derived), state=ReplicaState.VERIFIED, verified_ns=1)
    record = record_of(derived, run, format="unknown", stage="hit")
    catalog.add_file(catalog.run(run), record, replicas=[replica])
    done = answer(capsys, "transfer", "copy", run, "data2")
    assert (done["is_finished"], done["n_files"], done["source"]) == (
        *(True, 2),
        str(drives / "data1" / detector / "raw" / "7"),
    )
    assert answer(capsys, "transfer", "copy", run, "data2") == []
    assert main(["transfer", "copy", run, "data2"]) == 0
    assert f"every file of {run} has a verified replica on data2" in capsys.readouterr().err
    assert [each["n_files"] for each in answer(capsys, "transfer", "copy", run, "./kept")] == [2, 1]


def test_where_one_directory_of_a_run_cannot_be_copied_none_is_begun(experiment, drives, run, detector, capsys) -> None:
    other = drives / "data2" / "sub" / "wave2.dat"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"more")
    catalog = open_site().catalog()
    replica = Replica(drive="data2", path=str(other), state=ReplicaState.VERIFIED, verified_ns=1)
    catalog.add_file(catalog.run(run), record_of(other, run), replicas=[replica])
    error = answer(capsys, "transfer", "copy", run, str(other.parent / "inside") + "/", code=2)["error"]
    assert "is, or lies in" in error["what"]
    assert answer(capsys, "transfer", "list") == []


def test_a_drive_takes_only_what_it_is_for(experiment, drives, run, refused, capsys) -> None:
    with (experiment / "drives.toml").open("a") as file:
        file.write('[drives.tiny]\npath = "drives/tiny"\nrole = "user"\n')
    (drives / "tiny" / "sub").mkdir(parents=True)
    for words in ((run, "tiny"), (str(drives / "data1"), str(drives / "tiny" / "sub"))):
        said = refused("transfer", "copy", *words)
        assert said["what"] == "drive tiny is for user data; data of stage raw go to drives of role raw or any"
        assert said["where"] == "storage.drives.tiny (role user)"
        assert said["do"].startswith("name data1 or data2, or change the role")
    assert answer(capsys, "transfer", "list") == []
    assert answer(capsys, "transfer", "copy", "drop/run00007", "tiny")["is_finished"], "what nobody knows may go there"
    with (experiment / "experiment.toml").open("a") as file:
        file.write('[replicas.placement.raw]\ncopies = 2\nroles = ["raw", "user"]\n')
    assert answer(capsys, "transfer", "copy", run, "tiny")["is_finished"]


def test_in_words(drives, run, capsys) -> None:
    capsys.readouterr()
    assert main(["transfer", "copy", run, "data2"]) == 0
    said = capsys.readouterr()
    assert "transfer 1: 2 of 2 files, 7.8 KiB" in said.out
    assert "finished: verified, entered" in said.out
    assert "count as one" in said.err
    assert main(["transfer", "copy", "drop/run00007", "./kept"]) == 0
    said = capsys.readouterr()
    assert "finished: verified, and the source looked at again" in said.out
    assert "2 of the files are not in the catalog, so that their copies are no replicas" in said.err
    assert main(["transfer", "list"]) == 0
    assert "2/2" in capsys.readouterr().out
    assert main(["transfer", "verify", "1"]) == 0
    assert main(["transfer", "resume"]) == 0
    assert "nothing is left to copy" in capsys.readouterr().err


def test_a_transfer_goes_on_where_its_drives_are_now(experiment, drives, run, detector, capsys) -> None:
    answer(capsys, "transfer", "copy", run, "data2")
    (experiment / "drop" / "run00007").rename(drives / "data1" / "run")
    taken = drives / "data2" / "sub" / "wave0.dat"
    taken.parent.mkdir()
    taken.write_bytes(b"other")
    answer(capsys, "transfer", "copy", str(drives / "data1" / "run"), str(taken.parent), code=5)
    taken.unlink()
    for name in ("data1", "data2"):
        (drives / name).rename(drives / f"{name}-moved")
    text = (experiment / "drives.toml").read_text()
    for name in ("data1", "data2"):
        text = text.replace(f"drives/{name}", f"drives/{name}-moved")
    (experiment / "drives.toml").write_text(text)
    (done,) = answer(capsys, "transfer", "resume")
    assert (done["is_finished"], done["problems"]) == (True, [])
    assert done["destination"] == f"{drives}/data2-moved/sub"
    assert names(drives / "data2-moved" / "sub") == ["wave0.dat", "wave1.dat"]
    assert not (drives / "data1").exists()
    assert not (drives / "data2").exists()
    assert [each["n_intact"] for each in answer(capsys, "transfer", "verify")] == [2, 2]


def test_nothing_is_copied_outside_of_the_drive_of_a_transfer(experiment, drives, run, capsys) -> None:
    """A row of an older version: the drive moved before its transfers were recorded below it."""
    answer(capsys, "transfer", "copy", "drop/run00007", str(drives / "data2" / "sub") + "/")
    with closing(sqlite3.connect(open_site().configuration.store / "catalog.sqlite")) as connection:
        connection.execute("UPDATE transfer SET destination = ?, finished_ns = NULL", (f"{drives}/old",))
        connection.commit()
    (done,) = answer(capsys, "transfer", "resume", code=1)
    assert "is not on drive data2, which is at" in done["problems"][0]["what"]
    assert not (drives / "old").exists()


def test_a_transfer_of_a_drive_that_nobody_names_waits_for_it(experiment, drives, run, capsys) -> None:
    answer(capsys, "transfer", "copy", "drop/run00007", "data2")
    with closing(sqlite3.connect(open_site().configuration.store / "catalog.sqlite")) as connection:
        connection.execute("UPDATE transfer SET finished_ns = NULL")
        connection.commit()
    text = (experiment / "drives.toml").read_text()
    (experiment / "drives.toml").write_text(text.replace("[drives.data2]", "[drives.data3]"))
    (done,) = answer(capsys, "transfer", "resume", code=1)
    assert "drives.toml names no drive or remote data2" in done["problems"][0]["what"]


def test_a_conflict_is_told_and_taken_up(drives, run, capsys) -> None:
    source = next(drives.rglob("wave0.dat"))
    place = drives / "data2" / source.relative_to(drives / "data1")
    place.parent.mkdir(parents=True)
    place.write_bytes(b"other")
    done = answer(capsys, "transfer", "copy", run, "data2", code=5)
    assert not done["is_finished"]
    assert "is taken" in done["problems"][0]["what"]
    assert main(["transfer", "list"]) == 0
    said = capsys.readouterr()
    assert "unfinished" in said.out
    assert "next: nualley transfer resume" in said.err
    assert answer(capsys, "transfer", "resume", "1", code=5)[0]["n_done"] == 1
    place.unlink()
    (done,) = answer(capsys, "transfer", "resume")
    assert done["is_finished"]
    place.chmod(0o644)
    place.write_bytes(place.read_bytes()[:-1] + b"x")
    (verified,) = answer(capsys, "transfer", "verify", "1", code=5)
    assert (verified["n_files"], verified["n_intact"]) == (2, 1)
    assert "holds xxh3_128" in verified["problems"][0]["what"]


def test_a_folder_and_a_file_go_where_they_are_sent(drives, run, capsys, experiment) -> None:
    folder = experiment / "usb"
    folder.mkdir()
    (folder / "a.dat").write_bytes(b"abc")
    done = answer(capsys, "transfer", "copy", "usb", "./kept", "--rate", "100 MB/s")
    assert (done["drive"], done["is_finished"], done["rate_B_per_s"]) == (None, True, 100_000_000)
    assert names(experiment / "kept") == ["a.dat"]
    assert answer(capsys, "transfer", "copy", "usb", "data2")["is_finished"]
    assert "usb/a.dat" in names(drives / "data2")
    source = next(drives.rglob("wave0.dat"))
    assert answer(capsys, "transfer", "copy", str(source), "data2")["n_files"] == 1


@pytest.mark.parametrize(
    ("words", "text", "do", "code"),
    [
        (("nowhere", "data2"), "nothing is there: nowhere", "such as cenns-10-42", 1),
        (("drop", "data3"), "neither a drive of this experiment nor a directory", "did you mean 'data", 2),
        (("drop", "zzzzz"), "neither a drive", "./zzzzz", 2),
        (("drop/run00007/wave0.dat", "data2"), "is on no drive of the experiment", "name the directory", 2),
        (("drop", "data2", "--rate", "fast"), "is not a rate", "200 MB/s", 2),
        (("drop", "drop/inside"), "is, or lies in", "another drive", 2),
    ],
)
def test_what_means_nothing_is_refused(drives, capsys, words, text, do, code) -> None:
    error = answer(capsys, "transfer", "copy", *words, code=code)["error"]
    assert text in error["what"]
    assert do in error["do"]
    assert answer(capsys, "transfer", "list") == []


def test_a_run_without_files_or_without_a_drive(drives, run, detector, capsys) -> None:
    assert "has no files" in answer(capsys, "transfer", "copy", f"{detector}-1", "data2", code=1)["error"]["what"]
    (drives / "data1").rename(drives / "shelf")
    error = answer(capsys, "transfer", "copy", run, "data2", code=1)["error"]
    assert "no verified replica on a drive that is there" in error["what"]


def test_an_unknown_transfer(drives, capsys) -> None:
    assert "there was none yet" in answer(capsys, "transfer", "resume", "3", code=1)["error"]["what"]
    assert "there was none yet" in answer(capsys, "transfer", "verify", "3", code=1)["error"]["what"]
    assert answer(capsys, "transfer", "resume") == []
    assert answer(capsys, "transfer", "verify") == []


def test_missing_copies_are_planned_and_told_where_no_device_takes_them(drives, run, detector, capsys) -> None:
    """Folders of one file system are one device: a second copy there would be none."""
    plan = answer(capsys, "transfer", "place", "--detector", detector, "--dry-run", code=1)
    assert plan["placements"] == []
    assert "2 files of stage raw have fewer than 2 copies" in plan["problems"][0]["what"]
    assert "is on one device with " in plan["problems"][0]["what"]
    assert answer(capsys, "transfer", "place", code=1) == []
    assert answer(capsys, "transfer", "list") == []


def test_transfers_side_by_side_and_one_that_cannot_be_worked_on() -> None:
    def work(number: int, **_: object) -> int:
        if number == 2:
            raise TransferRunning("another process works on transfer 2")
        return number * 10

    found, errors = work_on(work, [1, 2, 3], lambda *_: None)
    assert found == [10, 30]
    assert [str(error) for error in errors] == ["another process works on transfer 2"]
    with pytest.raises(ZeroDivisionError):
        work_on(lambda number, **_: number // 0, [1], lambda *_: None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_all_of_them_where_they_can_be_taken_up(handlers, number) -> None:
    stopped: list[int] = []
    is_second_there = threading.Event()

    def work(transfer: int, *, should_stop, **_: object) -> int:
        if transfer == 1:
            assert is_second_there.wait(60)
            os.kill(os.getpid(), number)
        is_second_there.set()
        while not should_stop():
            pass
        stopped.append(transfer)
        raise NualleyError("stopped")

    with pytest.raises(KeyboardInterrupt):
        work_on(work, [1, 2], lambda *_: None)
    assert sorted(stopped) == [1, 2]


def test_a_signal_that_another_thread_received_stops_them_too(handlers) -> None:
    """The kernel may give it to any thread; Python handles it in the one that waits."""

    def work(_: int, *, should_stop, **__: object) -> None:
        time.sleep(0.2)  # the main thread waits by now
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        end_s = time.monotonic() + 60
        while not should_stop():
            assert time.monotonic() < end_s, "nobody handles the signal"
            time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        work_on(work, [1], lambda *_: None)


def test_ctrl_c_while_another_one_starts_waits_for_that_one_too(handlers, monkeypatch) -> None:
    """Raised there, it would leave a thread behind that the pool does not know yet."""
    stopped: list[int] = []
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        real(thread)
        if thread.name.endswith("_1"):
            signal.raise_signal(signal.SIGINT)

    def work(number: int, *, should_stop, **_: object) -> int:
        while not should_stop():
            pass
        time.sleep(0.2 * number)  # the last one takes its time to stop in order
        stopped.append(number)
        return number

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(KeyboardInterrupt):
        work_on(work, [1, 2, 3], lambda *_: None)
    assert sorted(stopped) == [1, 2, 3]


def test_who_was_made_deaf_for_ctrl_c_stays_so(handlers) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def work(number: int, *, should_stop, **_: object) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        return should_stop()

    assert work_on(work, [1], lambda *_: None) == ([False], [])


def test_the_rate_of_the_settings_is_taken(drives, run, capsys, monkeypatch) -> None:
    monkeypatch.setenv("NUALLEY_REPLICAS__RATE", "50 MB/s")
    assert answer(capsys, "transfer", "copy", run, "data2")["rate_B_per_s"] == 50_000_000
    assert open_site().configuration.replicas.rate_B_per_s == 50_000_000
