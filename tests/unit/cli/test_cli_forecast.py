"""nualley drives forecast: from CSV without an experiment, and from what the worker noted."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from nualley.cli.main import main
from nualley.core import ExitCode

HEAD = "day,drive,used_B,available_B,capacity_B,written_B\n"


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return an experiment whose drive data1 grew by 10 B on each of 60 days."""
    assert main(["init", str(tmp_path / "e")]) == 0
    monkeypatch.setenv("NUALLEY_EXPERIMENT", str(tmp_path / "e"))
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(60)]
    rows = [f"{day},data1,{number * 10},{1000 - number * 10},1000,10" for number, day in enumerate(days)]
    folder = tmp_path / "e" / "store" / "fill"
    folder.mkdir(parents=True)
    with (tmp_path / "e" / "drives.toml").open("a") as drives:
        drives.write('\n[drives.data2]\npath = "drives/data2"\n')
    (folder / "days.csv").write_text(HEAD + "\n".join(rows) + "\n")
    capsys.readouterr()
    return tmp_path / "e"


def test_what_the_worker_noted_is_forecast(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drives", "forecast", "data1", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["drive"] == "data1"
    assert found["full_10"] == found["full_50"] == (date(2026, 1, 1) + timedelta(days=100)).isoformat()
    assert found["growth_by"] == []


def test_of_other_drives_it_is_said_why_nothing_can_be_said(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drives", "forecast"]) == 0
    out, told = capsys.readouterr()
    assert "data1" in out
    assert "data2: nobody watched it yet" in told
    assert main(["drives", "forecast", "data2"]) == ExitCode.FAILED
    assert main(["drives", "forecast", "data11"]) == ExitCode.USAGE
    assert "did you mean 'data1'?" in capsys.readouterr().err


def test_a_csv_needs_no_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{date(2026, 1, 1) + timedelta(days=number)},{number},1,100" for number in range(50)]
    (tmp_path / "data9.csv").write_text("day,used_B,written_B,capacity_B\n" + "\n".join(rows))
    assert main(["drives", "forecast", "--history", "data9.csv", "--json", "--horizon", "10"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["drive"], found["full_50"]) == ("data9", None)
    assert main(["drives", "forecast", "--history", "nothing.csv"]) == ExitCode.FAILED
    assert "the history cannot be read" in capsys.readouterr().err
    (tmp_path / "bad.csv").write_text("day,used_B\n")
    assert main(["drives", "forecast", "--history", "bad.csv"]) == ExitCode.CONFIGURATION
    assert "bad.csv:1" in capsys.readouterr().err
