"""``nualley beam rows``, as a person calls it, and what the worker does without being asked."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nualley.app.locks import hold_role
from nualley.app.row_care import ROWS_ROLE, RowsRoutine
from nualley.app.site import open_site
from nualley.cli.main import main
from nualley.core import ExitCode

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def beam(experiment: Path) -> Path:
    """Return an experiment with half a day of beam."""
    declared = open_site(experiment).configuration.beam
    energy = declared.proton_energy.pv if declared.proton_energy else None
    lines = ["pv,time,value"]
    for minute in range(0, 12 * 60, 5):
        time = (BEGIN + timedelta(minutes=minute)).isoformat()
        lines.append(f"{declared.power.pv},{time},1.4")
        if energy:
            lines.append(f"{energy},{time},1000")
    source = experiment / "beam.csv"
    source.write_text("\n".join(lines) + "\n")
    assert main(["archive", "import", str(source)]) == 0
    return experiment


def asked(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, object]:
    capsys.readouterr()
    assert main([*words, "--json"]) == code
    return dict(json.loads(capsys.readouterr().out))


def series(found: dict[str, object]) -> dict[str, object]:
    (first, *_) = found["series"]  # type: ignore[misc]
    return dict(first)


def test_rows_are_made_verified_and_made_anew(beam: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = series(asked(capsys, "beam", "rows"))
    assert (made["series"], made["n_days"], made["n_current"], made["n_made"]) == ("beam", 1, 1, 1)
    assert series(asked(capsys, "beam", "rows"))["n_made"] == 0
    assert series(asked(capsys, "beam", "rows", "--verify"))["n_differing"] == 0
    assert series(asked(capsys, "beam", "rows", "--rebuild"))["n_made"] == 1
    assert main(["beam", "rows"]) == 0
    assert "that count" in capsys.readouterr().out


def test_damage_is_named_by_whoever_meets_it(beam: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked(capsys, "beam", "rows")
    words = ("beam", "ledger", "--from", "2026-01-05", "--to", "2026-01-06")
    before = asked(capsys, *words)
    path = next((open_site(beam).configuration.store / "exposure" / "1h" / "beam").glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-100])
    assert main([*words, "--json"]) == 0, "samples were read: the answer is whole"
    told = capsys.readouterr()
    assert json.loads(told.out) == before
    assert str(path) in told.err
    assert "nualley beam rows makes them anew" in told.err
    assert asked(capsys, "beam", "rows", "--verify", code=ExitCode.NOT_INTACT)["damages"]
    assert series(asked(capsys, "beam", "rows"))["n_made"] == 1
    assert asked(capsys, "beam", "rows", "--verify")["damages"] == []


def test_two_wishes_at_once_are_refused(beam: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "beam", "rows", "--verify", "--rebuild", code=ExitCode.USAGE)
    assert "exclude each other" in str(found["error"])


def test_one_at_a_time(beam: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = open_site(beam)
    with hold_role(site.configuration.store, ROWS_ROLE):
        found = asked(capsys, "beam", "rows", code=1)
        assert "'rows' is held by" in str(found["error"])
        assert RowsRoutine(site).look() is None, "the worker waits for another time"
    assert RowsRoutine(site).look() is not None


def test_the_worker_makes_rows_once_something_has_changed(beam: Path) -> None:
    routine = RowsRoutine(open_site(beam))
    first = routine.look()
    assert first is not None
    assert first.series[0].n_made == 1
    assert routine.look() is None, "nothing has changed"
    source = beam / "late.csv"
    source.write_text(f"pv,time,value\n{open_site(beam).configuration.beam.power.pv},2026-01-05T03:33:00Z,0\n")
    assert main(["archive", "import", str(source)]) == 0
    again = routine.look()
    assert again is not None
    assert again.series[0].n_made == 1


def test_without_an_archive_there_is_nothing_to_do(experiment: Path) -> None:
    assert RowsRoutine(open_site(experiment)).look() is None


def test_a_worker_that_is_stopped_leaves_the_rest_for_later(beam: Path) -> None:
    routine = RowsRoutine(open_site(beam))
    stopped = routine.look(lambda: True)
    assert stopped is not None
    assert stopped.series[0].n_made == 0
    later = routine.look()
    assert later is not None
    assert later.series[0].n_made == 1


def test_where_nothing_is_over_yet_no_row_of_zeros_stands_alone(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declared = open_site(experiment).configuration.beam
    source = experiment / "beam.csv"
    source.write_text(f"pv,time,value\n{declared.power.pv},{datetime.now(UTC).isoformat()},1.4\n")
    assert main(["archive", "import", str(source)]) == 0
    capsys.readouterr()
    assert main(["beam", "rows", "--verify"]) == 0
    assert "nothing to compare yet: no UTC hour is over and sealed" in capsys.readouterr().err
    assert main(["beam", "rows", "--help"]) == 0
    assert '"without" rows because samples are gone or damaged' in " ".join(capsys.readouterr().out.split())
