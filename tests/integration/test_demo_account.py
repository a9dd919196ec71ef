"""The demo from beginning to end: a real IOC, real files, the product beside it, and an account that adds up."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.xdist_group("demo"),  # one at a time: each takes the machine and its port
    pytest.mark.real_ioc,
    pytest.mark.timeout(240),
]

ELEMENTARY_CHARGE_C = 1.602176634e-19


def play(tmp_path: Path, *words: str) -> tuple[dict, int, str]:
    """Run ``nualley demo`` and return its account, exit code and what it said."""
    command = [sys.executable, "-m", "nualley.cli", "demo", "--json", "--directory", str(tmp_path / "demo"), *words]
    found = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert found.stdout, found.stderr[-3000:]
    return json.loads(found.stdout), found.returncode, found.stderr


def run_command(tmp_path: Path, *words: str) -> object:
    command = [sys.executable, "-m", "nualley.cli", *words, "--json"]
    place = ["--experiment", str(tmp_path / "demo" / "experiment")]
    found = subprocess.run([*command, *place], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(found.stdout)


def test_every_sample_file_and_proton_is_accounted_for(tmp_path):
    account, code, said = play(tmp_path, "--seconds", "24", "--seed", "5")
    assert code == 0, said
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
    again = run_command(tmp_path, "beam", "exposure")
    assert math.isclose(again["detectors"]["cenns-10"]["pot"], account["exposure"]["cenns-10"]["pot"], rel_tol=1e-12)
    assert {run["run_id"] for run in run_command(tmp_path, "runs", "list")} == {run["run_id"] for run in runs}
    (power,) = run_command(tmp_path, "archive", "last", "DEMO:BEAM:POWER")
    assert power.keys() == {"pv", "time_ns", "value", "severity", "status", "unit", "age_s", "state"}
    assert power["unit"] == "MW"
    history = run_command(tmp_path, "archive", "get", "DEMO:BEAM:POWER", "--from", "-10min")
    assert history["columns"].keys() == {"time_ns", "value", "severity", "status", "kind"}
    trace = run_command(tmp_path, "beam", "trace", whole[0]["run_id"])
    assert len(trace["mean"]) == len(trace["rms"]) == len(trace["time_us"]) == 2000
    assert trace["n"] > 10
    wavedump = next(run["run_id"] for run in runs if run["detector"] == "cenns-10")
    settings = run_command(tmp_path, "runs", "settings", wavedump)
    assert settings["settings"]
    ledger = run_command(tmp_path, "beam", "ledger", "--from", "-10min")
    for detector in ledger["detectors"].values():
        assert detector["is_balanced"]
        parts = [detector["recorded"], *detector["not_recorded"].values()]
        assert sum(part["pot"] for part in parts) == detector["delivered"]["pot"]


def test_a_beam_trip_is_no_beam(tmp_path):
    account, code, said = play(tmp_path, "--seconds", "24", "--scenario", "beam-trip")
    assert code == 0, said
    run_s = sum(run["stop_ns"] - run["start_ns"] for run in account["runs"] if run["detector"] == "cenns-10") / 1e9
    exposure = account["exposure"]["cenns-10"]
    assert run_s - exposure["beam_on_s"] > 2.5, "4 s of trip, at most 1.5 s of them between two runs"
    assert exposure["unknown_s"] < 1.0
    assert exposure["livetime_s"] > exposure["beam_on_s"], "live time goes on without beam"


def test_a_hung_ioc_is_unknown_from_its_last_sign_of_life(tmp_path):
    account, code, said = play(tmp_path, "--seconds", "32", "--scenario", "hung-ioc")
    assert code == 0, said
    assert account["archive"]["gaps"] > 0
    # it hangs for 10 s from 8 s on; what is known ends with the last proof of life, at most 2 s earlier
    for detector in ("cenns-10", "coh-ar-750"):
        assert 6.0 < account["exposure"][detector]["unknown_s"] < 14.0
        assert account["exposure"][detector]["beam_on_s"] < 27.0, "protons are not invented"


def test_a_killed_ioc_is_a_gap_and_all_else_goes_on(tmp_path):
    account, code, said = play(tmp_path, "--seconds", "32", "--scenario", "killed-ioc")
    assert code == 0, said
    assert account["archive"]["gaps"] > 0
    assert account["exposure"]["cenns-10"]["unknown_s"] > 3.0
    assert account["files"]["n_verified_replicas"] >= account["files"]["n"] > 0


def test_a_truncated_file_is_a_defect_and_is_kept(tmp_path):
    account, code, said = play(tmp_path, "--seconds", "16", "--scenario", "truncated-file")
    assert code == 0, said
    assert account["files"]["defects"] >= 1
    assert account["files"]["n_verified_replicas"] >= account["files"]["n"]
