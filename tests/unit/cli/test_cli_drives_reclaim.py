"""``nualley drives reclaim`` and the trash, called as a person calls them, and what the worker purges by itself."""

import asyncio
import hashlib
import json
import os
from pathlib import Path

import pytest
import structlog

from nualley.app.doctor import site_checks
from nualley.app.purge import PurgeRoutine, tell_purge
from nualley.app.reclaim import Reclaim
from nualley.app.removals import removed
from nualley.app.site import open_site
from nualley.catalog import Replica, ReplicaState, SelectionRevision
from nualley.cli.main import main
from nualley.core import DAY_NS, CheckState
from nualley.replicas import PurgeReport
from tests.unit.cli.conftest import record_of

OWNERSHIP = '\n[[ownership]]\npath = "users/{owner}"\nstage = "user"\n'


@pytest.fixture
def old(experiment):
    """A file of a user on ``data1`` that nobody wrote to for years, found by a scan."""
    with (experiment / "drives.toml").open("a") as file:
        file.write(OWNERSHIP)
    path = experiment / "drives" / "data1" / "users" / "ada" / "old\n.root"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 5000)
    os.utime(path, (1.6e9, 1.6e9))
    assert main(["drives", "scan"]) == 0
    return path


def answer(capsys, *words, code=0):
    capsys.readouterr()
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_propose_review_apply_and_back(experiment, old, capsys):
    capsys.readouterr()
    assert main(["drives", "reclaim", "--free", "1 GiB", "--out", "plan.jsonl"]) == 0
    said = capsys.readouterr()
    assert "files of users, long untouched      1  4.9 KiB         4.9 KiB" in said.out
    assert "old\\x0a.root  4.9 KiB  NO SECOND HOME; of ada, untouched since 2020-09-13T12:26:40Z" in said.out
    assert "4.9 KiB could go; 1.0 GiB were asked for" in said.err
    assert "nothing was touched; look at the plan" in said.err
    assert main(["drives", "reclaim", "--apply", "plan.jsonl"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("1 files, 4.9 KiB, would go to the trash of their drives; 4.9 KiB of it have no second")
    assert old.exists()
    assert main(["drives", "reclaim", "--apply", "plan.jsonl", "--yes"]) == 0
    assert "1 files, 4.9 KiB, went to the trash" in capsys.readouterr().out
    assert not old.exists()
    assert answer(capsys, "drives", "consistency")["dark"] == [], "what lies in the trash is known"
    (item,) = answer(capsys, "drives", "trash")
    assert (item["stage"], item["owner"], item["until_ns"] - item["moved_ns"]) == ("in trash", "ada", 14 * DAY_NS)
    assert main(["drives", "trash", "--recover"]) == 0
    assert "to stay for" in capsys.readouterr().out
    found = answer(capsys, "drives", "untrash", item["path"])
    assert (found["n_done"], found["files"][0]["error"]) == (1, None)
    assert old.read_bytes() == b"x" * 5000
    assert answer(capsys, "drives", "trash") == []


def test_the_path_of_a_drive_may_go_over_the_folder_above(experiment, old, capsys):
    text = (experiment / "drives.toml").read_text()
    beside = f"../{experiment.name}/drives/data1"
    (experiment / "drives.toml").write_text(text.replace('path = "drives/data1"', f'path = "{beside}"'))
    assert main(["drives", "scan"]) == 0
    assert main(["drives", "reclaim", "--out", "plan.jsonl"]) == 0
    assert "/../" not in Path("plan.jsonl").read_text()
    assert main(["drives", "reclaim", "--apply", "plan.jsonl", "--yes"]) == 0
    assert not old.exists()


def test_a_plan_that_was_edited_is_refused_whole_and_lines_may_go(experiment, old, capsys):
    (old.parent / "more.root").write_bytes(b"y" * 70)
    os.utime(old.parent / "more.root", (1.6e9, 1.6e9))
    assert main(["drives", "scan"]) == 0
    plan = Path("plan.jsonl")
    assert main(["drives", "reclaim", "--out", "plan.jsonl"]) == 0
    text = plan.read_text()
    plan.write_text(text.replace("more.root", "mure.root"))
    error = answer(capsys, "drives", "reclaim", "--apply", "plan.jsonl", "--yes", code=5)["error"]
    assert "the line was changed" in error["what"]
    assert error["where"].startswith("plan.jsonl:")
    assert old.exists()
    plan.write_text("".join(line for line in text.splitlines(keepends=True) if "more.root" not in line))
    found = answer(capsys, "drives", "reclaim", "--apply", "plan.jsonl", "--yes")
    assert (found["n_files"], found["n_done"]) == (1, 1)
    assert (old.parent / "more.root").exists()
    found = answer(capsys, "drives", "reclaim", "--apply", "plan.jsonl", "--yes", code=1)
    assert "is not the file that was meant" in found["files"][0]["error"]["what"]


def test_for_good_after_its_time(experiment, old, capsys):
    assert main(["drives", "reclaim", "--out", "plan.jsonl"]) == 0
    assert main(["drives", "reclaim", "--apply", "plan.jsonl", "--yes"]) == 0
    capsys.readouterr()
    assert main(["drives", "empty-trash", "--yes"]) == 0
    assert "0 files, 0 B, were deleted for good" in capsys.readouterr().out
    assert main(["drives", "empty-trash"]) == 0
    assert "1 more stay: replicas.reclaim.trash is 14 d" in capsys.readouterr().err
    with (experiment / "experiment.toml").open("a") as file:
        file.write('\n[replicas.reclaim]\ntrash = "0s"\n')
    assert answer(capsys, "drives", "empty-trash")["n_files"] == 1
    assert len(list((experiment / "drives" / "data1" / ".nualley-trash").iterdir())) == 1
    assert answer(capsys, "drives", "empty-trash", "--yes")["n_done"] == 1
    assert list((experiment / "drives" / "data1" / ".nualley-trash").iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("reclaim", "--free", "0 B"),
        ("reclaim", "--free", "5 s"),
        ("reclaim", "--drive", "data9"),
        ("reclaim", "--yes"),
        ("reclaim", "--apply", "nothing.jsonl"),
        ("reclaim", "--apply", "plan", "--free", "1 B"),
        ("reclaim", "--out", "no/folder/plan.jsonl"),
        ("untrash", "17"),
        ("untrash",),
    ],
)
def test_what_makes_no_sense_is_refused(old, refused, words):
    error = refused("drives", *words)
    assert error["what"]
    assert error["do"]


def test_a_plan_is_never_written_over(experiment, old, refused):
    Path("plan.jsonl").write_text("mine\n")
    assert "File exists" in refused("drives", "reclaim", "--out", "plan.jsonl")["what"]
    assert Path("plan.jsonl").read_text() == "mine\n"


# ---------------------------------------------------------------- what is held, and by what
def frozen(experiment, detector, *, names_detector):
    """Freeze a list with run 1 in the catalog, as a selection is frozen."""
    from nualley.selection.frozen import FrozenSelection

    amounts = dict.fromkeys(
        ("pot", "pot_live", "energy_GWh", "beam_on_s", "livetime_s", "unknown_s", "n_pulses", "pot_charge")
    )
    run = {
        "detector": detector if names_detector else None,
        "run": 1,
        "period": None,
        "intervals": None,
        "blocks": None,
        "is_known": True,
        "is_whole": True,
        "undecided": [],
        "amounts": amounts,
        "files": [],
        "remark": None,
    }
    document = FrozenSelection.model_validate(
        {
            "format": "nualley-selection-1",
            "name": "argon",
            "experiment": "lab",
            "expression": 'detector == "hpge"',
            "source": None,
            "author": "ada",
            "frozen": "2026-11-23T04:00:00.000000000Z",
            "code": "nualley",
            "runs": [run],
            "detectors": {},
            "runs_without_times": [],
            "flags": [],
            "warnings": [],
        }
    )
    sha256 = hashlib.sha256(document.to_json().encode()).hexdigest()
    revision = SelectionRevision(
        name="argon",
        expression='detector == "hpge"',
        author="ada",
        content=document.to_json(),
        sha256=sha256,
    )
    open_site(experiment).catalog().run_lists.freeze(revision)


@pytest.mark.parametrize("names_detector", [True, False])
def test_runs_of_frozen_selections_are_held(experiment, detector, capsys, names_detector):
    catalog = open_site(experiment).catalog()
    path = experiment / "drives" / "data1" / detector / "raw" / "1" / "wave0.dat"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 300)
    record = record_of(path, f"{detector}-1")
    replica = Replica(drive="data1", path=os.fspath(path), state=ReplicaState.VERIFIED, verified_ns=1)
    catalog.add_file(catalog.run(f"{detector}-1"), record, replicas=[replica])
    held = answer(capsys, "drives", "reclaim")["held_B_by_reason"]
    assert held == {"needed: too few verified copies are elsewhere": 300}
    frozen(experiment, detector, names_detector=names_detector)
    assert answer(capsys, "drives", "reclaim")["held_B_by_reason"] == {"in a frozen selection": 300}
    assert Reclaim(open_site(experiment)).frozen_by_run() == {f"{detector}-1": ["argon"]}


# ---------------------------------------------------------------- by itself
PURGE = '[[drop]]\npurge = {min_age = "7d", dry_run = "0s"}\n'


@pytest.fixture
def purging(experiment):
    drives = experiment / "drives.toml"
    drives.write_text(drives.read_text().replace("[[drop]]\n", PURGE, 1))
    return experiment


def test_no_drop_directory_is_purged_where_none_asks_for_it(experiment, capsys):
    assert answer(capsys, "drives", "purges") == []
    assert main(["drives", "purges"]) == 0
    assert "nothing is ever deleted by itself" in capsys.readouterr().err
    asyncio.run(asyncio.wait_for(PurgeRoutine(open_site(experiment), 0.0).run(asyncio.Event()), 5))
    assert not (experiment / "store" / "trash").exists()


def test_the_worker_looks_and_tells(purging, capsys):
    (report,) = answer(capsys, "drives", "purges")
    assert (report["mode"], report["path"]) == ("not looked at yet", str(purging / "drop" / "hpge"))
    site = open_site(purging)

    async def work() -> None:
        stop = asyncio.Event()
        routine = PurgeRoutine(site, 0.0)
        real = routine._look

        def look(*words: object) -> None:
            real(*words)
            stop.set()

        routine._look = look
        await asyncio.wait_for(routine.run(stop), 30)

    asyncio.run(work())
    assert main(["drives", "purges"]) == 0
    assert "live" in capsys.readouterr().out
    checks = dict(site_checks(site))
    (result,) = checks["replicas.purge"]()
    assert (result.state, result.detail) == (CheckState.OK, "live; 0 files, 0 B, due")
    assert checks["replicas.trash"]()[0].state is CheckState.OK


def test_a_look_that_fails_is_told_and_the_next_one_tries_again(purging):
    routine = PurgeRoutine(open_site(purging))

    def fail(*_: object) -> list[PurgeReport]:
        raise OSError(28, "No space left on device", "purge.json")

    with structlog.testing.capture_logs() as logs:
        routine._look(fail, lambda: False)
        tell_purge(PurgeReport(path="/drop", mode="refused", why="the clock", looked_ns=1))
        tell_purge(PurgeReport(path="/drop", mode="live", looked_ns=1, n_moved=1, moved_B=5, problems=("why",)))
        tell_purge(PurgeReport(path="/drop", mode="live", looked_ns=1))
    assert [(log["log_level"], log["event"]) for log in logs] == [
        ("error", "PURGE FAILED; nothing more goes"),
        ("error", "PURGE REFUSED; nothing goes"),
        ("info", "purge"),
        ("warning", "purge left a file"),
    ]
    assert logs[2]["moved_B"] == 5


def test_what_was_taken_away_is_on_the_coordinators_page(old, capsys):
    assert main(["drives", "reclaim", "--out", "plan.jsonl"]) == 0
    assert main(["drives", "reclaim", "--apply", "plan.jsonl", "--yes"]) == 0
    found = answer(capsys, "report", "--week")
    assert found["removed"]["rows"] == [
        {"drive": "data1", "ground": "stale", "n_files": 1, "size_B": 5000, "trash_B": 5000}
    ]
    text = Path(next(name for name in found["files"] if name.endswith(".md"))).read_text()
    assert "## Taken away" in text
    assert "| data1 | stale | 1 | 4.9 KiB | 4.9 KiB |" in text
    site = open_site(old.parents[4])
    assert removed(site, 0, 1)[0].n_files == 0, "it went later, and lies in the trash still"
    assert main(["drives", "untrash", "1"]) == 0
    assert removed(site, 0, 2**62) == []
