"""``nualley archive import``: files of others, each sample once, what is none kept aside with its reason."""

import json

import pytest

from nualley.app.site import open_site
from nualley.cli.main import main


def said(capsys, *words: object, code: int = 0):
    assert main(["archive", "import", *map(str, words)]) == code
    return capsys.readouterr()


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "old.csv"
    path.write_text(
        "pv,time,value,severity\n"
        "A:B,2025-01-01T00:00:00Z,1.5,0\n"
        "A:B,1735689610000000000,2.5,1\n"
        "A:B,2025-01-01T01:00:20.000000001+01:00,3.5,\n"
        "DOOR,2025-01-01T00:00:00Z,open,0\n"
        "A:B,yesterday,1,0\n"
        "A:B,2025-01-01T00:00:00,1,0\n"
        "../x,2025-01-01T00:00:00Z,1,0\n"
        "A:B,2025-01-01T00:00:30Z,,0\n"
        "A:B,2025-01-01T00:00:30Z,1,7\n"
        "A:B,1989-01-01T00:00:30Z,1,0\n"
        "A:B\n"
    )
    return path


def test_csv_as_written_in_the_interface(experiment, table, capsys):
    answer = json.loads(said(capsys, table, "--json").out)
    keys = ("files", "received", "stored", "quarantined", "filtered", "pvs")
    assert [answer[key] for key in keys] == [1, 11, 4, 7, 0, 2]
    places = [place.split("old.csv:")[1] for place in answer["unreadable"]]
    assert [place.partition(":")[0] for place in places] == ["6", "7", "8", "9", "10", "12"]
    assert main(["archive", "get", "A:B", "--from", "2025-01-01", "--to", "2025-01-02", "--json"]) == 0
    columns = json.loads(capsys.readouterr().out)["columns"]
    samples = [row for row in zip(*columns.values(), strict=True) if row[-1] == "sample"]
    begin_ns = 1_735_689_600_000_000_000
    assert [(time_ns - begin_ns, value, severity) for time_ns, value, severity, *_ in samples] == [
        (0, 1.5, 0),
        (10_000_000_000, 2.5, 1),
        (20_000_000_001, 3.5, 0),
    ]
    kept = open_site(experiment).archive_folder / "quarantine" / "import-lines.jsonl"
    assert [json.loads(line)["line"] for line in kept.read_text().splitlines()] == [6, 7, 8, 9, 10, 12]
    # done again, nothing is there twice
    answer = json.loads(said(capsys, table, "--json").out)
    assert (answer["stored"], answer["filtered"]) == (0, 4)


def test_real_files_of_an_appliance(experiment, shared_data, capsys):
    answer = json.loads(said(capsys, shared_data / "archive", "--json").out)
    assert (answer["files"], answer["received"], answer["stored"], answer["unreadable"]) == (2, 60, 60, [])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("no.csv", "a,b\n1,2\n", "names no column pv, time, value"),
        ("x.txt", "", ".txt is not a kind that can be imported"),
        (None, "", "there is no such file"),
    ],
)
def test_what_cannot_be_imported_is_said(experiment, tmp_path, capsys, name, text, message):
    path = tmp_path / (name or "gone.csv")
    if name:
        path.write_text(text)
    assert message in said(capsys, path, code=2).err


def test_no_file_is_named(experiment, capsys):
    assert "no file is named" in said(capsys, code=2).err
