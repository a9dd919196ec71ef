"""nualley drives forecast: from CSV without an experiment, and from what the worker noted."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from nualley.app.usage import UsageRow
from nualley.cli.main import main
from nualley.core import DAY_NS, ExitCode

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
    assert "data2: nobody watched it yet; nualley up worker notes every minute" in told
    assert main(["drives", "forecast", "data2"]) == ExitCode.FAILED
    assert main(["drives", "forecast", "data11"]) == ExitCode.USAGE
    assert "did you mean 'data1'?" in capsys.readouterr().err


def test_each_drive_has_a_row_also_where_nothing_can_be_said(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, code in (((), 0), (("data1", "data2"), ExitCode.FAILED)):
        assert main(["drives", "forecast", *words, "--json"]) == code
        known, missing, *_ = json.loads(capsys.readouterr().out)
        assert set(known) == set(missing)
        assert (known["drive"], known["error"]) == ("data1", None)
        assert {
            key: missing[key] for key in ("drive", "full_10", "full_50", "gross_50", "coverage80", "growth_by")
        } == {
            **dict.fromkeys(("full_10", "full_50", "gross_50", "coverage80")),
            "drive": "data2",
            "growth_by": [],
        }
        assert (missing["error"]["what"], missing["error"]["code"]) == ("nobody watched it yet", 1)
    assert main(["drives", "forecast", "data1", "data22"]) == ExitCode.USAGE
    assert main(["drives", "forecast", "data1", "--history", "data1.csv"]) == ExitCode.USAGE


def test_growth_without_an_owner_is_told_as_usage_does(
    experiment: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def scanned(*_: object) -> list[UsageRow]:
        owners = ({"detector": None, "stage": None}, {"detector": "a", "stage": None})
        return [
            UsageRow(scan_ns=day * DAY_NS, by=by, n_files=1, size_B=day, blocks_B=day * size_B)
            for day in (40, 50)
            for by, size_B in zip(owners, (100, 10), strict=True)
        ]

    monkeypatch.setattr("nualley.app.forecast.usage_history", scanned)
    assert main(["drives", "forecast", "data1", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["growth_by"] == [
        {"detector": None, "stage": None, "B_per_day": 100.0},
        {"detector": "a", "stage": None, "B_per_day": 10.0},
    ]
    assert main(["drives", "forecast", "data1"]) == 0
    assert "- unowned 100 B/d, a unowned 10 B/d" in capsys.readouterr().out


def test_one_short_history_leaves_the_others_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{date(2026, 1, 1) + timedelta(days=number)},{number},1,100" for number in range(50)]
    for name, n_rows in (("long", 50), ("short", 2)):
        Path(f"{name}.csv").write_text("day,used_B,written_B,capacity_B\n" + "\n".join(rows[:n_rows]))
    Path("bad.csv").write_text("day,used_B\n")
    words = [word for name in ("short", "long", "gone") for word in ("--history", f"{name}.csv")]
    assert main(["drives", "forecast", *words, "--json"]) == ExitCode.FAILED
    known, short, gone = json.loads(capsys.readouterr().out)
    assert (known["drive"], known["error"], bool(known["full_50"])) == ("long", None, True)
    assert (short["drive"], short["full_50"]) == ("short", None)
    assert short["error"]["what"] == "there are 1 days of changes, a forecast needs 4"
    assert "the history cannot be read" in gone["error"]["what"]
    assert main(["drives", "forecast", *words, "--history", "bad.csv"]) == ExitCode.CONFIGURATION
    out, told = capsys.readouterr()
    assert "long" in out
    assert "short: there are 1 days of changes" in told
    Path("other").mkdir()
    assert main(["drives", "forecast", "--history", "long.csv", "--history", "other/long.csv"]) == ExitCode.USAGE


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
