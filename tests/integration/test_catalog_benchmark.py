"""The benchmark of a large catalog runs on a small one: what it fills is right, and nobody is turned away."""

import json

import pytest

from benchmarks.catalog_files import main
from nualley.testing.postgres import PostgresServer


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_it_runs_small(database: str, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> None:
    if database == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")  # skips where there is none
        assert server
    assert main(["--rows", "2500", "--lookups", "20", "--seconds", "0.2", "--database", database]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["database"], found["rows"]) == (database, 2500)
    assert found["writers"]["n_errors"] == 0
    assert found["writers"]["n_commits"] >= 4
    assert found["usage_by_drive_rows"] == 6
