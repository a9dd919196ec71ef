"""The demo from beginning to end: a real IOC, real files, the product beside it, and an account that adds up."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pytest

from nualley.app.site import Site
from nualley.config import load

pytestmark = [
    pytest.mark.xdist_group("demo"),  # one at a time: each takes the machine and its port
    pytest.mark.real_ioc,
    pytest.mark.timeout(400),
]

ELEMENTARY_CHARGE_C = 1.602176634e-19
LIMIT_S = 200


class Play:
    """``nualley demo`` in a process of its own: its account, what it said, and commands about what it left."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.experiment = folder / "demo" / "experiment"
        self._out, self._err = folder / "out", folder / "err"
        command = [sys.executable, "-m", "nualley.cli", "demo", "--json", "--directory", str(folder / "demo"), *words]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    @property
    def said(self) -> str:
        return self._err.read_text()

    @cached_property
    def account(self) -> dict:
        code = self._process.wait(LIMIT_S)
        assert code == 0, self.said
        return json.loads(self._out.read_text())

    @cached_property
    def site(self) -> Site:
        return Site(load(self.experiment, {}))

    def wait_until_data_are_taken(self) -> None:
        end_s = time.monotonic() + LIMIT_S
        while "\n  stops " not in self.said:
            assert self._process.poll() is None, self.said
            assert time.monotonic() < end_s, self.said
            time.sleep(0.1)

    def command(self, *words: str) -> object:
        command = [sys.executable, "-m", "nualley.cli", *words, "--json", "--experiment", str(self.experiment)]
        found = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True)
        return json.loads(found.stdout)

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(LIMIT_S)


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Play, Play]]:
    """Two demos side by side, most of whose time is waiting: the second begins when the first takes data."""
    started: list[Play] = []
    try:
        for words in (
            ("--seconds", "30", "--seed", "5", "--scenario", "beam-trip"),
            ("--seconds", "36", "--scenario", "everything"),
        ):
            started.append(Play(tmp_path_factory.mktemp("play"), *words))
            started[-1].wait_until_data_are_taken()
        yield started[0], started[1]
    finally:
        for play in started:
            play.end()


@pytest.fixture
def tripped(plays: tuple[Play, Play]) -> Play:
    """Return the demo whose beam trips; nothing else goes wrong."""
    return plays[0]


@pytest.fixture
def troubled(plays: tuple[Play, Play]) -> Play:
    """Return the demo whose IOC hangs in the first run and is killed in the third; its first file is truncated."""
    return plays[1]


def test_every_sample_file_and_proton_is_accounted_for(tripped):
    account = tripped.account
    archive = account["archive"]
    assert archive["received"] > 300
    assert archive["received"] == archive["stored"] + archive["quarantined"] + archive["filtered"]
    assert all(isinstance(count, int) for count in archive.values())

    runs = account["runs"]
    assert {run["detector"] for run in runs} == {"cenns-10", "coh-ar-750"}
    assert len(runs) >= 4
    for run in runs:
        assert run["n_events"] > 0
        assert run["stop_ns"] > run["start_ns"]
    whole = [run for run in runs if run["stop_ns"] - run["start_ns"] > 9e9]
    assert whole, "runs last 10 s"

    files = account["files"]
    assert files["n"] >= sum(run["n_files"] for run in runs) > 0
    assert files["n_verified_replicas"] >= files["n"]
    assert files["defects"] == 0

    for exposure in account["exposure"].values():
        # about 1.4 MW at about 1 GeV: 8.7e15 protons a second
        assert exposure["pot"] / exposure["beam_on_s"] == pytest.approx(8.7e15, rel=0.15)
        assert exposure["energy_GWh"] == pytest.approx(1.4e6 * exposure["beam_on_s"] / 3.6e12, rel=0.1)
        assert exposure["unknown_s"] < 1.0
        assert 0 < exposure["pot_live"] < exposure["pot"]
        assert isinstance(exposure["n_pulses"], int)
        assert exposure["n_pulses"] == pytest.approx(60 * exposure["beam_on_s"], rel=0.01)
    assert account["web"]["url"].startswith("http://127.0.0.1:")

    # the same numbers by the commands, from the same store
    again = tripped.command("beam", "exposure")
    assert math.isclose(again["detectors"]["cenns-10"]["pot"], account["exposure"]["cenns-10"]["pot"], rel_tol=1e-12)
    assert {run["run_id"] for run in tripped.command("runs", "list")} == {run["run_id"] for run in runs}
    (power,) = tripped.command("archive", "last", "DEMO:BEAM:POWER")
    assert power.keys() == {"pv", "time_ns", "value", "severity", "status", "unit", "age_s", "state", "reason"}
    assert power["unit"] == "MW"
    history = tripped.command("archive", "get", "DEMO:BEAM:POWER", "--from", "-10min")
    assert history["columns"].keys() == {"time_ns", "value", "severity", "status", "kind"}
    trace = tripped.command("beam", "trace", whole[0]["run_id"])
    assert len(trace["mean"]) == len(trace["rms"]) == len(trace["time_us"]) == 2000
    assert trace["n"] > 10
    wavedump = next(run["run_id"] for run in runs if run["detector"] == "cenns-10")
    settings = tripped.command("runs", "settings", wavedump)
    assert settings["settings"]
    ledger = tripped.command("beam", "ledger", "--from", "-10min")
    for detector in ledger["detectors"].values():
        assert detector["is_balanced"]
        parts = [detector["recorded"], *detector["not_recorded"].values()]
        assert sum(part["pot"] for part in parts) == detector["delivered"]["pot"]


def test_a_beam_trip_is_no_beam(tripped):
    account = tripped.account
    run_s = sum(run["stop_ns"] - run["start_ns"] for run in account["runs"] if run["detector"] == "cenns-10") / 1e9
    exposure = account["exposure"]["cenns-10"]
    assert run_s - exposure["beam_on_s"] > 2.5, "4 s of trip, at most 1.5 s of them between two runs"
    assert exposure["unknown_s"] < 1.0
    assert exposure["livetime_s"] > exposure["beam_on_s"], "live time goes on without beam"
    assert account["files"]["defects"] == 0


def unknown_s(play: Play, detector: str) -> list[float]:
    """Time in which the beam is unknown [s], of each run."""
    return [run.amounts.unknown_s for run in play.site.exposures().exposures(detector).runs]


def absences_s(play: Play, pv: str) -> list[float]:
    """How long nothing was heard of a PV [s]: from its last sign of life to its next value, for each disconnect."""
    rows = play.site.archive().read(pv, 0, 2**62).to_pylist()
    return [
        (next(later["time_ns"] for later in rows[number:] if later["kind"] == "sample") - row["last_heard_ns"]) / 1e9
        for number, row in enumerate(rows)
        if row["kind"] == "disconnect"
    ]


def test_a_killed_ioc_is_a_gap_and_all_else_goes_on(troubled):
    account = troubled.account
    assert account["archive"]["gaps"] > 0
    # it is gone for 5 s from 25 s on, at most 1.5 s of them between two runs
    assert sum(unknown_s(troubled, "cenns-10")[1:]) > 3.0
    assert account["files"]["n_verified_replicas"] >= account["files"]["n"] > 0
    archive = account["archive"]
    assert archive["received"] == archive["stored"] + archive["quarantined"] + archive["filtered"]


def test_a_hung_ioc_is_unknown_from_its_last_sign_of_life(troubled):
    account = troubled.account
    assert account["archive"]["gaps"] > 0
    # it hangs for 10 s from 8 s on; what is known ends with the last proof of life, at most 2 s earlier
    absences = zip(*(absences_s(troubled, f"DEMO:BEAM:{name}") for name in ("POWER", "ENERGY")), strict=True)
    hung_s, killed_s = map(max, absences)
    assert hung_s > 9.0
    for detector in ("cenns-10", "coh-ar-750"):
        unknown = unknown_s(troubled, detector)
        assert unknown[0] > 6.0
        assert sum(unknown) < hung_s + killed_s + 1.0, "and is known again with its next value"
        run_s = sum(run["stop_ns"] - run["start_ns"] for run in account["runs"] if run["detector"] == detector) / 1e9
        exposure = account["exposure"][detector]
        assert exposure["beam_on_s"] < run_s - exposure["unknown_s"] + 0.1, "protons are not invented"


def test_a_truncated_file_is_a_defect_and_is_kept(troubled):
    account = troubled.account
    assert account["files"]["defects"] >= 1
    assert account["files"]["n_verified_replicas"] >= account["files"]["n"]
