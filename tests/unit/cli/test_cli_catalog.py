"""Moves, copies and drills of a catalog, called as a person calls them."""

import json
from pathlib import Path

import pytest

from nualley.app.backup import back_up_when_due
from nualley.app.site import open_site
from nualley.catalog.adapters.sql import open_catalog
from nualley.catalog.errors import CatalogMoved
from nualley.cli.main import main
from nualley.core import ConfigurationError
from nualley.testing.postgres import PostgresServer


def answer(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0):
    capsys.readouterr()
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_catalog_goes_to_a_server_and_commands_go_on_there(experiment, detector, capsys, monkeypatch, postgres):
    server: PostgresServer = postgres
    url = server.create("cli")
    planned = answer(capsys, "catalog", "move", "store/catalog.sqlite", url, "--dry-run")
    assert (planned["is_done"], planned["content"]["n_rows_by_table"]["run"]) == (False, 2)
    done = answer(capsys, "catalog", "move", "store/catalog.sqlite", url)
    assert done["is_done"]
    assert done["content"] == planned["content"]
    error = answer(capsys, "runs", "note", f"{detector}-1", "text", code=3)["error"]
    assert f"was moved to {done['target']}" in error["what"]
    monkeypatch.setenv("NUALLEY_CATALOG__URL", done["target"])
    assert main(["runs", "note", f"{detector}-1", "text"]) == 0
    assert [run["run_id"] for run in answer(capsys, "runs", "list")] == [f"{detector}-1", f"{detector}-2"]
    assert main(["catalog", "move", done["target"], "back.sqlite"]) == 0
    assert "drive_usage" in capsys.readouterr().out


def test_a_password_among_the_words_is_refused(experiment, refused):
    error = refused("catalog", "move", "store/catalog.sqlite", "postgresql://me:hunter2@host/db")
    assert "other users of this machine see" in error["what"]
    assert "PGPASSWORD" in error["do"]
    assert "hunter2" not in json.dumps(error)


def test_a_copy_is_read_and_takes_nothing(experiment, detector, capsys, monkeypatch, tmp_path):
    copy = tmp_path / "copy.sqlite"
    pulled = answer(capsys, "catalog", "pull", "--out", str(copy))
    assert pulled["n_rows_by_table"]["run"] == 2
    monkeypatch.setenv("NUALLEY_CATALOG__URL", f"sqlite:///{copy}")
    assert len(answer(capsys, "runs", "list")) == 2
    error = answer(capsys, "runs", "note", f"{detector}-1", "text", code=3)["error"]
    assert "this is a copy of sqlite:////" in error["what"]
    assert "pull again" in error["do"]
    with open_catalog(copy) as catalog, pytest.raises(CatalogMoved):
        catalog.add_tag(f"{detector}-1", "x")


def test_a_copy_from_where_nobody_answers(experiment, capsys, tmp_path):
    pull = ("catalog", "pull", "http://127.0.0.1:9", "--out", str(tmp_path / "copy"))
    token = tmp_path / "absent"
    error = answer(capsys, *pull, "--token-file", str(token), code=2)["error"]
    assert "the token cannot be read" in error["what"]
    error = answer(capsys, "catalog", "pull", "http://", "--out", str(tmp_path / "copy"), code=2)["error"]
    assert "is not the address of a running web" in error["what"]
    assert not (tmp_path / "copy").exists()


def with_backups(experiment: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NUALLEY_CATALOG__BACKUP_FOLDER", str(folder))
    return open_site(experiment)


def test_a_backup_is_made_when_it_is_due_and_drilled(experiment, detector, capsys, monkeypatch, tmp_path):
    folder = tmp_path / "backups"
    assert back_up_when_due(open_site(experiment)) is None
    error = answer(capsys, "catalog", "drill", code=3)["error"]
    assert "the worker makes no backups" in error["what"]
    site = with_backups(experiment, folder, monkeypatch)
    with pytest.raises(ConfigurationError, match="there is no folder"):
        back_up_when_due(site)
    folder.mkdir()
    added = back_up_when_due(site)
    assert added is not None
    assert back_up_when_due(site) is None  # the next is not due before tomorrow
    done = answer(capsys, "catalog", "drill")
    assert (done["restored"], done["xxh3_128"]) == (True, added[1].xxh3_128)
    added[0].file.chmod(0o644)
    added[0].file.write_bytes(b"")
    assert answer(capsys, "catalog", "drill", code=5)["error"]["code"] == 5
