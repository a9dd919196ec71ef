"""Operators and files of an Archiver Appliance, called as a person calls them."""

import csv
import io
import json

import pyarrow.ipc
import pyarrow.parquet
import pytest

from nualley.app.archive import open_archive_writer
from nualley.app.site import open_site
from nualley.cli.main import main
from nualley.core import SECOND_NS, parse_time_ns
from nualley.pv import Connection, Life, Metadata, Sample, ValueType

BEGIN_NS = parse_time_ns("2025-12-31T23:59:00Z", 0)
STRETCH = ["--from", "2025-12-31T23:59:00Z", "--to", "2026-01-01T00:01:00Z"]


@pytest.fixture
def archived(experiment):
    """Two minutes of LAB:T:1 and LAB:T:2, a sample a second."""
    writer = open_archive_writer(open_site(experiment).archive_folder)
    emit = writer.recorder.receive
    for pv in ("LAB:T:1", "LAB:T:2"):
        emit(Connection(pv, True, "ioc", BEGIN_NS, BEGIN_NS, "ca"))
        emit(Metadata(pv, BEGIN_NS, ValueType.FLOAT64, unit="K"))
        for number in range(120):
            time_ns = BEGIN_NS + number * SECOND_NS
            emit(Sample(pv, time_ns, float(number), ValueType.FLOAT64, 0, 0, "ca", time_ns))
    emit(Life("ioc", BEGIN_NS + 120 * SECOND_NS))
    writer.close()
    return experiment


def test_an_operator_in_words_and_in_json(archived, capsys):
    assert main(["archive", "get", "LAB:T:1", *STRETCH, "--op", "mean_60"]) == 0
    assert "mean_60" in capsys.readouterr().out
    assert main(["archive", "get", "LAB:T:1", *STRETCH, "--op", "mean_60", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pv"], found["unit"], found["op"]) == ("LAB:T:1", "K", "mean_60")
    assert found["columns"]["value"] == [29.5, 89.5]
    assert found["columns"]["time_ns"][0] == BEGIN_NS + 30 * SECOND_NS


def test_an_operator_in_every_form_of_files(archived, capsysbinary, tmp_path):
    assert main(["archive", "get", "LAB:T:1", *STRETCH, "--op", "max_60", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsysbinary.readouterr().out.decode())))
    assert [row["value"] for row in rows] == ["59.0", "119.0"]
    for form, read in (
        ("parquet", pyarrow.parquet.read_table),
        ("arrow", lambda path: pyarrow.ipc.open_stream(path.read_bytes()).read_all()),
    ):
        out = tmp_path / form
        assert (
            main(["archive", "get", "LAB:T:1", *STRETCH, "--op", "optimized_2", "--format", form, "--out", str(out)])
            == 0
        )
        values = read(out)["value"].to_pylist()
        assert values[0][-1] == 59.0 or len(values[0]) == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--op", "meen_60"], "'meen_60' is no operator"),
        (["--op", "mean_60", "--bins", "3"], "--bins and --op"),
        (["--op", "mean_0"], "'0' as width"),
    ],
)
def test_operators_that_make_no_sense(archived, refused, words, said):
    assert said in refused("archive", "get", "LAB:T:1", *STRETCH, *words)["what"]


def test_an_export_is_imported_again(archived, capsys, tmp_path):
    out = tmp_path / "store"
    assert main(["archive", "export", "LAB:T:*", "--to-folder", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pvs"], [row["samples"] for row in found["files"]]) == (2, [60, 60, 60, 60])
    assert (out / "LAB/T/1:2025.pb").exists()
    assert main(["archive", "import", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["filtered"] == 240


def test_an_export_of_a_stretch_in_words(archived, capsys, tmp_path):
    assert main(["archive", "export", "LAB:T:1", "--to-folder", str(tmp_path / "a"), "--from", "2026-01-01"]) == 0
    assert "2026.pb" in capsys.readouterr().out
    assert main(["archive", "export", "LAB:T:1", "--to-folder", str(tmp_path / "b"), "--to", "2020-01-01"]) == 0
    assert "no samples in that time" in capsys.readouterr().err


def test_exports_that_make_no_sense(archived, refused, tmp_path, capsys):
    folder = ["--to-folder", str(tmp_path / "c")]
    assert "no PV is named" in refused("archive", "export", *folder)["what"]
    assert "did you mean 'LAB:T:1'" in refused("archive", "export", "LAB:T:11", *folder)["do"]
    assert main(["archive", "export", "LAB:T:1", *folder]) == 0
    capsys.readouterr()
    assert "the file is there already" in refused("archive", "export", "LAB:T:1", *folder)["what"]


def test_an_alias_is_exported_as_it_is_read(archived, capsys, tmp_path):
    assert main(["archive", "alias", "COLD", "LAB:T:1"]) == 0
    capsys.readouterr()
    assert main(["archive", "export", "COLD", *STRETCH, "--to-folder", str(tmp_path / "aa"), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert sum(file["samples"] for file in files) == 120
    assert {file["pv"] for file in files} == {"COLD"}
    # no pattern finds the same samples twice
    assert main(["archive", "export", "*", *STRETCH, "--to-folder", str(tmp_path / "all"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pvs"] == 2
