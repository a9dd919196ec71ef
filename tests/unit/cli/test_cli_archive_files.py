"""``nualley archive get|gaps|stats|verify|compact``: bins, files and the state of what is sealed."""

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nualley.app.archive import open_archive_writer
from nualley.app.locks import hold_role
from nualley.app.site import open_site
from nualley.cli.main import main
from nualley.core import SECOND_NS, parse_time_ns
from nualley.pv import Connection, Life, Metadata, Sample, ValueType

BEGIN_NS = parse_time_ns("2026-11-01T00:00:00Z", 0)
STRETCH = ["--from", "2026-11-01T00:00:00Z", "--to", "2026-11-01T01:00:00Z"]


@pytest.fixture
def store(experiment: Path) -> Path:
    """Archive an hour of a value each minute, with a disconnect of ten minutes, sealed; return the archive's folder."""
    folder = open_site(experiment).archive_folder
    writer = open_archive_writer(folder)
    emit = writer.recorder.receive
    emit(Connection("P", True, "ioc", BEGIN_NS, BEGIN_NS, "ca"))
    emit(Metadata("P", BEGIN_NS, ValueType.FLOAT64, unit="kW"))
    for minute in range(60):
        time_ns = BEGIN_NS + minute * 60 * SECOND_NS
        if minute == 30:
            emit(Connection("P", False, "ioc", time_ns, time_ns - 20 * SECOND_NS, "ca"))
        if minute == 40:
            emit(Connection("P", True, "ioc", time_ns, time_ns, "ca"))
        if not 30 <= minute < 40:
            emit(Sample("P", time_ns, minute / 10, ValueType.FLOAT64, 0, 0, "ca", time_ns))
            emit(Life("ioc", time_ns))
        if minute % 20 == 19:
            writer.seal()
    writer.close()
    return folder


def said(capsys, *words: str, code: int = 0):
    assert main(["archive", *words]) == code
    return capsys.readouterr()


def test_bins_as_written_in_the_interface(store, capsys):
    answer = json.loads(said(capsys, "get", "P", *STRETCH, "--bins", "6", "--json").out)
    assert (answer["pv"], answer["unit"]) == ("P", "kW")
    columns = answer["columns"]
    names = ["start_ns", "stop_ns", "n", "n_good", "min", "mean", "max", "first", "last", "time_mean", "severity"]
    assert list(columns) == names
    assert columns["n"] == [10, 10, 10, 0, 10, 10]
    assert columns["min"][:4] == [0.0, 1.0, 2.0, None]
    assert columns["mean"][4] == pytest.approx(4.45)
    assert columns["time_mean"][3] is None


@pytest.mark.parametrize("how", ["csv", "arrow", "parquet"])
@pytest.mark.parametrize("bins", [(), ("--bins", "6")])
def test_files_hold_what_json_says(store, capsys, tmp_path, how, bins):
    out = tmp_path / "p.out"
    told = said(capsys, "get", "P", *STRETCH, *bins, "--format", how, "--out", str(out))
    assert f"rows in {out}" in told.err
    columns = json.loads(said(capsys, "get", "P", *STRETCH, *bins, "--json").out)["columns"]
    if how == "csv":
        rows = list(csv.DictReader(io.StringIO(out.read_text())))
        found = {name: [json.loads(row[name]) if row[name] else None for row in rows] for name in ("severity",)}
        assert [float(row["start_ns" if bins else "time_ns"]) for row in rows]
    else:
        table = pq.read_table(out) if how == "parquet" else pa.ipc.open_stream(out.read_bytes()).read_all()
        assert table.schema.metadata[b"unit"] == b"kW"
        found = {name: table[name].to_pylist() for name in columns}
    for name, values in found.items():
        assert values == columns[name]
    assert list(tmp_path.glob(".*.part")) == []


def test_json_and_text_go_into_a_file_too(store, capsys, tmp_path):
    for name, words in (("a.json", ["--json"]), ("a.txt", ["--bins", "2"])):
        assert said(capsys, "get", "P", *STRETCH, *words, "--out", str(tmp_path / name)).out == ""
    assert json.loads((tmp_path / "a.json").read_text())["pv"] == "P"
    assert "time_mean" in (tmp_path / "a.txt").read_text()


@pytest.mark.parametrize(
    ("words", "text"),
    [(["--bins", "0"], "0 bins"), (["--exact"], "--exact says how bins are cut"), (["--bins", "x"], "whole number")],
)
def test_what_cannot_be_is_said(store, capsys, words, text):
    assert text in said(capsys, "get", "P", *STRETCH, *words, code=2).err


def test_gaps_and_why(store, capsys):
    found = json.loads(said(capsys, "gaps", "P", *STRETCH, "--json").out)
    heard_ns = BEGIN_NS + (30 * 60 - 20) * SECOND_NS
    assert found[0] == {
        "start_ns": heard_ns,
        "stop_ns": BEGIN_NS + 2400 * SECOND_NS,
        "kind": "disconnect",
        "last_heard_ns": heard_ns,
    }
    assert "disconnect" in said(capsys, "gaps", "P").out


@pytest.mark.parametrize("op", ["mean_60", "lastFill_60", "count_60"])
def test_what_an_operator_fills_is_marked_where_nothing_was_known(store, capsys, op):
    until = ["--from", "2026-11-01T00:10:00Z", "--to", "2026-11-01T02:00:00Z", "--op", op]
    columns = json.loads(said(capsys, "get", "P", *until, "--json").out)["columns"]
    minutes = [(time_ns - BEGIN_NS) // (60 * SECOND_NS) for time_ns in columns["time_ns"]]
    unknown = [minute for minute, known in zip(minutes, columns["known"], strict=True) if not known]
    # those of the disconnect, and all behind the last proof of life
    assert unknown == [*range(30, 40), *range(60, 120)]
    assert minutes == [*range(10, 120)]
    rows = said(capsys, "get", "P", *until).out.splitlines()
    assert [line.split()[0][:16] for line in rows if "not known" in line][:2] == [
        "2026-11-01T00:30",
        "2026-11-01T00:31",
    ]
    assert sum("not known" in line for line in rows) == 70
    table = list(csv.DictReader(io.StringIO(said(capsys, "get", "P", *until, "--format", "csv").out)))
    assert [row["known"] for row in table] == [str(known) for known in columns["known"]]


def test_samples_that_an_operator_picks_are_known(store, capsys):
    columns = json.loads(said(capsys, "get", "P", *STRETCH, "--op", "deadBand_1", "--json").out)["columns"]
    assert set(columns["known"]) == {True}


def test_a_loss_is_shown_with_its_begin(store, capsys):
    told = said(capsys, "get", "P", *STRETCH)
    (line,) = [line for line in told.out.splitlines() if "disconnect" in line]
    assert line.startswith("2026-11-01T00:30:00")
    assert line.rstrip().endswith("2026-11-01T00:29:40.000000000Z")
    known = said(capsys, "get", "P", "--from", "2026-11-01T00:00:00Z", "--to", "2026-11-01T00:20:00Z")
    assert "unknown since" not in known.out


def test_when_the_archive_does_not_run_the_last_gap_says_so(store, capsys):
    found = json.loads(said(capsys, "gaps", "P", "--json").out)
    assert [gap["kind"] for gap in found] == ["disconnect", "archive-not-running"]
    with hold_role(open_site().configuration.store, "archive"):
        found = json.loads(said(capsys, "gaps", "P", "--json").out)
    assert [gap["kind"] for gap in found] == ["disconnect", "silent"]


def test_a_pv_that_never_connected_says_since_when(store, capsys):
    writer = open_archive_writer(store)
    writer.recorder.receive(Connection("GONE", False, "", BEGIN_NS, 0, "ca"))
    writer.close()
    told = said(capsys, "gaps", "GONE")
    assert "never-connected" in told.out
    assert "GONE was never connected since 2026-11-01T00:00:00Z" in told.err


def test_the_account_of_each_pv(store, capsys):
    (found,) = json.loads(said(capsys, "stats", "--json").out)
    assert (found["pv"], found["received"], found["stored"], found["gaps"]) == ("P", 50, 50, 1)
    assert found["bytes_per_sample"] > 0
    assert "B/sample" in said(capsys, "stats", "P").out


def test_one_name_that_is_not_there_hides_no_other(store, capsys):
    told = said(capsys, "last", "P", "TYPO", code=2)
    assert told.out.splitlines()[-1].startswith("P ")
    assert "TYPO" in told.err
    there, missing = json.loads(said(capsys, "last", "TYPO", "P", "--json", code=2).out)
    assert (there["pv"], there["value"], missing["pv"], missing["error"]["code"]) == ("P", 5.9, "TYPO", 2)
    assert json.loads(said(capsys, "last", "TYPO", "--json", code=2).out)["error"]["code"] == 2
    declared = store.parents[1] / "pvs" / "lab.toml"
    declared.write_text("[pv]\nP = {}\n")  # what nobody declares any more is not listed without its name
    assert "P" in [row["pv"] for row in json.loads(said(capsys, "last", "--json").out)]


def test_bit_rot_is_found_and_named(store, capsys):
    whole = json.loads(said(capsys, "verify", "--json").out)
    assert (whole["damaged"], whole["missing"], whole["unindexed"]) == ([], [], [])
    first, second, *_ = sorted(store.glob("day/*/*.parquet"))
    raw = bytearray(first.read_bytes())
    raw[len(raw) // 2] ^= 4
    first.write_bytes(raw)
    second.rename(second.with_name("stray.parquet"))
    found = json.loads(said(capsys, "verify", "--json", code=5).out)
    assert [entry["path"] for entry in found["damaged"]] == [str(first.relative_to(store))]
    assert found["missing"] == [str(second.relative_to(store))]
    assert [path.split("/")[-1] for path in found["unindexed"]] == ["stray.parquet"]
    told = said(capsys, "verify", code=5)
    assert "damaged" in told.out
    assert "put backups" in told.err
    # the rest is still served, and the command says what was left out
    told = said(capsys, "get", "P", *STRETCH, code=5)
    assert "2026-11-01T00:45" in told.out
    assert str(second.relative_to(store)) in told.err


def test_compaction_by_hand(store, capsys):
    (found,) = json.loads(said(capsys, "compact", "--all", "--json").out)
    assert (found["folder"], found["files_before"], found["files"], found["damage"]) == ("month/2026-11", 9, 3, None)
    assert "nothing to do" in said(capsys, "compact", "--all").err
    assert json.loads(said(capsys, "verify", "--json").out)["files"] == 3


def test_a_folder_that_is_not_there_is_said_before_anything_is_computed(store, refused, tmp_path, monkeypatch):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it is computed already")

    monkeypatch.setattr("nualley.app.site.Site.archive", never)
    monkeypatch.setattr("nualley.app.site.Site.exposures", never)
    out = str(tmp_path / "no" / "x.parquet")
    for words in (
        ("archive", "get", "P", *STRETCH),
        ("archive", "get", "P", *STRETCH, "--bins", "6"),
        ("archive", "trace", "P", *STRETCH),
        ("beam", "trace", "cenns-10-1"),
    ):
        error = refused(*words, "--out", out)
        assert (error["what"], error["where"]) == (f"there is no folder {tmp_path / 'no'}", "--out")


@pytest.mark.parametrize(("stop", "shown"), [("00:10:00Z", "00:03:20Z"), ("00:00:01Z", "00:00:00.333333333Z")])
def test_edges_of_bins_are_shown_as_they_are(store, capsys, stop, shown):
    day = STRETCH[1][: len("2026-11-01T")]
    out = said(capsys, "get", "P", "--from", f"{day}00:00:00Z", "--to", f"{day}{stop}", "--bins", "3", "--exact").out
    assert f"{day}{shown}" in out


def test_edges_that_had_to_move_are_said(experiment, capsys):
    folder = open_site(experiment).archive_folder
    writer = open_archive_writer(folder)
    for second in range(10, 120, 20):
        time_ns = BEGIN_NS + second * SECOND_NS
        writer.recorder.receive(Sample("P", time_ns, float(second), ValueType.FLOAT64, 0, 0, "ca", time_ns))
    writer.seal()
    writer.close()
    words = ("get", "P", "--from", "2026-11-01T00:00:20Z", "--to", "2026-11-01T00:01:00Z", "--bins", "1", "--exact")
    assert "not those asked for" not in said(capsys, *words).err
    assert json.loads(said(capsys, *words, "--json").out)["moved"] == []
    (path,) = folder.glob("day/*/float64-*.parquet")
    path.write_bytes(b"PAR1")
    told = said(capsys, *words, "--json", code=5)
    found = json.loads(told.out)
    assert (found["columns"]["n"], found["columns"]["start_ns"]) == ([3], [BEGIN_NS])
    assert found["moved"] == [{"asked_ns": BEGIN_NS + 20 * SECOND_NS, "given_ns": BEGIN_NS}]
    for how in ("json", "text", "csv"):
        err = said(capsys, *words, "--format", how, code=5).err
        assert "1 edges of bins are not those asked for: 2026-11-01T00:00:20" in err
        assert "is now 2026-11-01T00:00:00" in err
        assert "ask for whole minutes" in err


def test_what_an_operator_makes_of_cells_and_what_it_lacks_is_said(store, capsys):
    words = ("get", "P", *STRETCH, "--op")
    whole = json.loads(said(capsys, *words, "std_600", "--json").out)
    assert whole["lacking"] == []
    path = min(store.glob("day/*/float64-*.parquet"))
    path.write_bytes(b"PAR1")
    told = said(capsys, *words, "std_600", "--json", code=5)
    found = json.loads(told.out)
    assert found["columns"]["value"] == pytest.approx(whole["columns"]["value"])
    assert found["lacking"] == []
    assert (
        "lie in a damaged file: std_600 of these bins is made of the cells of minutes, of good samples alone"
        in told.err
    )
    told = said(capsys, *words, "median_600", "--json", code=5)
    (part,) = json.loads(told.out)["lacking"]
    assert (part["start_ns"], part["stop_ns"]) == (BEGIN_NS, BEGIN_NS + 20 * 60 * SECOND_NS)
    for how in ("text", "csv"):
        told = said(capsys, *words, "median_600", "--format", how, code=5)
        assert "median_600 lacks the samples of P from 2026-11-01T00:00:00" in told.err
