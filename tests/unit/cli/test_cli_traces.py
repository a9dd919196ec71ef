"""``nualley beam trace`` and ``nualley archive trace``: a run's trace as table, file and picture; arrays by minute."""

import csv
import io
import json
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from nualley.app.archive import open_archive_writer, open_compactor
from nualley.app.archive_plan import read_plan
from nualley.app.run_traces import open_keeping
from nualley.app.site import open_site
from nualley.app.trace_rules import declared_rule, rules_from_json, rules_to_json, trace_rules
from nualley.archive.sealed import Level
from nualley.catalog import Run, TimeSource
from nualley.cli.main import main
from nualley.core import SECOND_NS, format_time
from nualley.physics import TraceRule
from nualley.pv import Connection, Life, Metadata, Sample, ValueType
from tests.unit.cli.conftest import RUN_START_NS

SHAPE = np.exp(-0.5 * ((np.arange(200) - 75) / 16) ** 2).astype(np.float32)
PVS = """description = "more"

[pv]
"LAB:TRACE" = { retention_h = 1, align_to_sample = 56.0, veto_fraction = 0.4 }
"LAB:SPECTRUM" = {}
"LAB:NUMBER" = { retention_h = 1 }
"""


@pytest.fixture
def run(detector: str) -> str:
    """Archive ten minutes of run 1: beam, and a trace each second with a trip; return the run's id."""
    repository = Path.cwd()
    (repository / "pvs" / "more.toml").write_text(PVS)
    text = (repository / "beam.toml").read_text()
    (repository / "beam.toml").write_text(text + '\n[trace]\npv = "LAB:TRACE"\nunit = "A"\nsample_period = "10 ns"\n')
    site = open_site(repository)
    power, unit = site.configuration.beam.power.pv, site.configuration.beam.power.unit
    writer = open_archive_writer(site.archive_folder, rules=trace_rules(read_plan(site).plan))
    emit = writer.recorder.receive
    begin_ns = RUN_START_NS - SECOND_NS
    for pv in (power, "LAB:TRACE", "LAB:SPECTRUM", "LAB:NUMBER"):
        emit(Connection(pv, True, "ioc", begin_ns, begin_ns, "ca"))
    emit(Metadata("LAB:TRACE", begin_ns, ValueType.FLOAT32_ARRAY, unit="A"))
    emit(Sample(power, begin_ns, {"MW": 1.0, "kW": 1e3, "W": 1e6}[unit], ValueType.FLOAT64, 0, 0, "ca", begin_ns))
    emit(Sample("LAB:NUMBER", begin_ns, 1.0, ValueType.FLOAT64, 0, 0, "ca", begin_ns))
    for second in range(600):
        now_ns = RUN_START_NS + second * SECOND_NS
        trace = np.roll(SHAPE, second % 3 - 1) * (0.01 if 100 <= second < 120 else 1.0)
        emit(Sample("LAB:TRACE", now_ns, trace.astype(np.float32), ValueType.FLOAT32_ARRAY, 0, 0, "ca", now_ns))
        emit(Sample("LAB:SPECTRUM", now_ns, SHAPE, ValueType.FLOAT32_ARRAY, 0, 0, "ca", now_ns))
        if second % 97 == 96:
            writer.seal()
    emit(Life("ioc", RUN_START_NS + 4000 * SECOND_NS))
    writer.seal()
    writer.close()
    return f"{detector}-1"


def told(capsys, *words: str):
    assert main(words) == 0
    return capsys.readouterr()


def compact() -> None:
    site = open_site(Path.cwd())
    compactor = open_compactor(site.archive_folder, kept_ns={"LAB:TRACE": 3600 * SECOND_NS})
    for job in compactor.due():
        compactor.run(job)
    assert site.open_archive().snapshot().groups("LAB:TRACE", Level.RAW, 0, 2**62) == []


def test_a_trace_outlives_its_samples(run, capsys):
    before = json.loads(told(capsys, "beam", "trace", run, "--json").out)
    assert (before["source"], before["n"], before["n_vetoed"], before["n_cut"]) == ("raw", 580, 20, 0)
    assert max(before["rms"]) < 1e-5, "aligned as the policy says"
    site = open_site(Path.cwd())
    kept = [found.trace.run_id for found in open_keeping(site, threading.Event()).keep()]
    assert kept == [run]
    compact()
    after = json.loads(told(capsys, "beam", "trace", run, "--json").out)
    assert after | {"source": ""} == before | {"source": ""}
    assert after["source"] == "kept"
    shown = told(capsys, "beam", "trace", run)
    assert "this was kept when the run ended" in shown.err
    (path,) = (site.configuration.store / "exposure" / "traces").rglob("*.parquet")
    path.unlink()
    minutes = json.loads(told(capsys, "beam", "trace", run, "--json").out)
    assert (minutes["source"], minutes["n"], minutes["n_vetoed"]) == ("minutes", 580, 20)
    np.testing.assert_allclose(minutes["mean"], before["mean"], rtol=1e-12, atol=1e-15)
    assert "made of averages over minutes" in told(capsys, "beam", "trace", run).err


def test_timing_in_bins_of_ones_own(run, capsys, tmp_path):
    edges = ("--edges", "0,0.5,1,1.5,12", "--offset", "-0.1 us")
    found = json.loads(told(capsys, "beam", "trace", run, "--timing", *edges, "--json").out)
    assert found["start_us"] == [0.0, 0.5, 1.0, 1.5]
    assert found["stop_us"] == [0.5, 1.0, 1.5, 12.0]
    assert (found["offset_us"], found["n"], found["source"]) == (-0.1, 580, "raw")
    assert sum(found["prompt"]) == pytest.approx(1, abs=1e-4)
    assert 0.98 < sum(found["delayed"]) < 1
    out = tmp_path / "t.csv"
    said = told(capsys, "beam", "trace", run, "--timing", *edges, "--format", "csv", "--out", str(out))
    assert f"4 rows in {out}" in said.err
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [float(row["prompt"]) for row in rows] == found["prompt"]
    shown = told(capsys, "beam", "trace", run, "--timing").out
    assert "prompt" in shown
    assert "in all" in shown
    assert len(json.loads(told(capsys, "beam", "trace", run, "--timing", "--json").out)["prompt"]) == 24
    plain = list(csv.DictReader(io.StringIO(told(capsys, "beam", "trace", run, "--format", "csv").out)))
    assert (len(plain), set(plain[0])) == (200, {"time_us", "mean", "rms"})
    assert f"200 rows in {out}" in told(capsys, "beam", "trace", run, "--format", "csv", "--out", str(out)).err


def test_pictures_name_their_axes_with_units(run, capsys, tmp_path):
    out = tmp_path / "trace.svg"
    said = told(capsys, "beam", "trace", run, "--timing", "--out", str(out), "--json")
    assert f"drawn: {out}" in said.err
    assert json.loads(said.out)["run_id"] == run
    text = out.read_text()
    for words in ("proton current [A]", "[µs]", "fraction per µs", "prompt: ν of π⁺ decay", "± rms over traces", run):
        assert words in text, words
    first = out.read_bytes()
    told(capsys, "beam", "trace", run, "--timing", "--out", str(out))
    assert out.read_bytes() == first, "the same trace, the same bytes"
    assert told(capsys, "beam", "trace", run, "--out", str(tmp_path / "trace.png")).out == ""
    assert (tmp_path / "trace.png").read_bytes().startswith(b"\x89PNG")


def test_what_makes_no_sense_is_refused(run, refused, tmp_path, capsys):
    assert "add --timing" in refused("beam", "trace", run, "--offset", "1 us")["do"]
    assert "'a,b' is no list of numbers" in refused("beam", "trace", run, "--timing", "--edges", "a,b")["what"]
    assert "do not rise" in refused("beam", "trace", run, "--timing", "--edges", "1,0")["what"]
    assert "do not rise" in refused("beam", "trace", run, "--timing", "--edges", "0,nan")["what"]
    assert refused("beam", "trace", run, "--timing", "--offset", "1 m")["code"] == 2
    assert refused("beam", "trace", run, "--out", str(tmp_path / "no" / "x.svg"))["where"] == "--out"


def test_a_run_without_traces_has_nothing_to_fold_or_draw(run, capsys, tmp_path):
    detector = run.rpartition("-")[0]
    start_ns = RUN_START_NS + 1000 * SECOND_NS
    later = Run(
        run_id=f"{detector}-3",
        detector=detector,
        number=3,
        start_ns=start_ns,
        stop_ns=start_ns + 60 * SECOND_NS,
        time_source=TimeSource.GIVEN,
    )
    open_site(Path.cwd()).catalog().register_run(later)
    for words in (("--timing",), ("--out", str(tmp_path / "t.svg"))):
        assert main(["beam", "trace", later.run_id, *words]) == 1
        assert "has no average trace" in capsys.readouterr().err


def test_arrays_by_the_minute(run, capsys, tmp_path):
    stretch = ("--from", format_time(RUN_START_NS), "--to", format_time(RUN_START_NS + 600 * SECOND_NS))
    before = json.loads(told(capsys, "archive", "trace", "LAB:TRACE", *stretch, "--json").out)
    assert (before["pv"], before["unit"]) == ("LAB:TRACE", "A")
    columns = before["columns"]
    assert list(columns) == [
        *("start_ns", "length", "n", "n_vetoed", "n_bad", "mean", "rms", "integral_mean", "integral_rms"),
        *("integral_min", "integral_max", "shift_mean", "shift_rms", "severity"),
    ]
    assert columns["n"] == [60, 40, *[60] * 8]
    assert columns["n_vetoed"] == [0, 20, *[0] * 8]
    assert columns["shift_rms"][0] == pytest.approx((2 / 3) ** 0.5, rel=0.01), "the jitter that was put in"
    assert len(columns["mean"][0]) == len(columns["rms"][0]) == 200
    compact()
    assert json.loads(told(capsys, "archive", "trace", "LAB:TRACE", *stretch, "--json").out) == before
    gone = told(capsys, "archive", "get", "LAB:TRACE", *stretch)
    assert "kept for a while only: nualley archive trace LAB:TRACE reaches further back" in gone.err
    out = tmp_path / "minutes.parquet"
    told(capsys, "archive", "trace", "LAB:TRACE", *stretch, "--format", "parquet", "--out", str(out))
    assert pq.read_table(out)["n"].to_pylist() == columns["n"]
    text = told(capsys, "archive", "trace", "LAB:TRACE", *stretch)
    assert text.out.count("2026-11-23T04:") == 10
    assert "sum over the samples [A]" in text.err
    # nothing is kept of this one: its samples are averaged now
    plain = json.loads(told(capsys, "archive", "trace", "LAB:SPECTRUM", *stretch, "--json").out)
    assert plain["columns"]["n"] == [60] * 10
    np.testing.assert_allclose(plain["columns"]["mean"][3], SHAPE, rtol=1e-6)
    early = ("--from", "2025-01-01", "--to", "2025-01-02")
    assert "no arrays of LAB:TRACE then" in told(capsys, "archive", "trace", "LAB:TRACE", *early).err


@pytest.mark.parametrize(("veto", "is_warned"), [("", True), (", veto_fraction = 0", False)])
def test_where_most_arrays_are_vetoed_it_is_said(experiment, capsys, veto, is_warned):
    """A spectrum whose sum changes at will is no beam, and nothing of it is a trip."""
    (experiment / "pvs" / "more.toml").write_text(
        f'description = "more"\n\n[pv]\n"LAB:NOISE" = {{ retention_h = 1{veto} }}\n'
    )
    site = open_site(experiment)
    writer = open_archive_writer(site.archive_folder, rules=trace_rules(read_plan(site).plan))
    emit = writer.recorder.receive
    emit(Connection("LAB:NOISE", True, "ioc", RUN_START_NS, RUN_START_NS, "ca"))
    for second in range(60):
        now_ns = RUN_START_NS + second * SECOND_NS
        array = np.full(20, 100.0 if second % 5 == 0 else 1.0, dtype=np.float32)
        emit(Sample("LAB:NOISE", now_ns, array, ValueType.FLOAT32_ARRAY, 0, 0, "ca", now_ns))
    writer.seal()
    writer.close()
    stretch = ("--from", format_time(RUN_START_NS), "--to", format_time(RUN_START_NS + 60 * SECOND_NS))
    said = told(capsys, "archive", "trace", "LAB:NOISE", *stretch).err
    assert ("in 1 of 1 minutes most arrays are vetoed" in said) == is_warned
    assert ("veto_fraction = 0" in said) == is_warned


def test_numbers_have_no_arrays(run, refused):
    assert "LAB:NUMBER holds float64" in refused("archive", "trace", "LAB:NUMBER")["what"]


def test_rules_come_from_policies_and_reach_a_child(run):
    site = open_site(Path.cwd())
    rules = trace_rules(read_plan(site).plan)
    assert rules == {"LAB:TRACE": TraceRule(0.4, 56.0), "LAB:NUMBER": TraceRule()}
    assert rules_from_json(rules_to_json(rules)) == rules
    assert rules_from_json("") == {}
    assert declared_rule(site.configuration, "LAB:TRACE") == TraceRule(0.4, 56.0)
    assert declared_rule(site.configuration, "NONE") == TraceRule()
