"""``nualley report``: what a coordinator has to do stands in both files, also where a part cannot be looked at."""

import json
from pathlib import Path

import pytest

from nualley.app.coordination import coordinate
from nualley.app.site import Site, open_site
from nualley.catalog import CatalogDamaged, Replica, ReplicaState, Transfer, TransferFile
from nualley.cli.main import main
from nualley.core import DAY_NS
from nualley.exposure.service import Exposures
from tests.unit.cli.conftest import RUN_START_NS, record_of, write_drives

ODD = "runs | with <b>odd</b> *names*"


def report(capsys, *words):
    capsys.readouterr()
    assert main(["report", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def frozen(experiment, detector, capsys):
    """A frozen list that would hold one run less today."""
    (experiment / "flags.toml").write_text('[flag.noise]\nseverity = "bad"\nmeaning = "loud"\n')
    assert main(["selection", "define", "quiet", f'detector == "{detector}" and not flag("noise")']) == 0
    assert main(["selection", "freeze", "quiet"]) == 0
    assert main(["runs", "flag", f"{detector}-1", "noise", "--reason", "loud"]) == 0
    capsys.readouterr()
    return "quiet"


def test_what_is_to_be_done_stands_in_both_files(experiment, detector, frozen, capsys):
    drive = experiment / "drive"
    (drive / ODD).mkdir(parents=True)
    (drive / ODD / "file").write_bytes(b"x" * 5000)
    (experiment / "drives.toml").write_text(f'[drives.data1]\npath = "{drive}"\n')
    assert main(["drives", "scan"]) == 0
    queued = [TransferFile(path=name, size_B=5, mtime_ns=1, inode=1) for name in "ab"]
    open_site(experiment).catalog().transfers.begin(Transfer(source="/from", destination="/to"), queued)
    found = report(capsys, "--week", "--until", "2026-11-24")
    assert found["stop_ns"] - found["start_ns"] == 7 * 86400 * 10**9
    assert {row["detector"]: row["n_runs"] for row in found["week"]["rows"]} == {detector: 1}
    kinds = {(row["kind"], row["subject"]) for row in found["problems"]["rows"]}
    assert {("no-files", f"{detector}-1"), ("no-times", f"{detector}-2")} <= kinds
    (stale,) = found["run_lists"]["rows"]
    assert (stale["name"], stale["n_gone"], stale["n_new"]) == (frozen, 1, 0)
    (transfer,) = found["transfers"]["rows"]
    assert (transfer["n_files"], transfer["n_done"]) == (2, 0)
    (unowned,) = found["unowned"]["rows"]
    assert (unowned["drive"], unowned["unowned_B"]) == ("data1", 5000)
    (outlook,) = found["drives"]["rows"]
    assert (outlook["drive"], outlook["is_mounted"]) == ("data1", True)
    assert outlook["scan_ns"] > RUN_START_NS
    assert outlook["no_forecast"]
    html, markdown = (Path(path).read_text() for path in found["files"])
    assert [Path(path).name for path in found["files"]] == ["report-2026-11-24.html", "report-2026-11-24.md"]
    for text in (html, markdown):
        assert all(word in text for word in (f"{detector}-2", "no-times", frozen, "4.9 KiB", "data1", "0 of 2"))
    assert "<b>odd</b>" not in html
    assert "<b>odd" not in markdown.replace("\\<", "")
    assert "runs \\| with \\<b>odd" in markdown
    assert "http" not in html.replace("http-equiv", ""), "the file needs nothing from elsewhere"


def test_runs_are_short_of_copies_by_what_their_stages_want(experiment, detector, capsys):
    """Of run 1 a derived file that lies there once, of run 2 a raw one that lies on two drives of one device."""
    write_drives(experiment)
    catalog = open_site(experiment).catalog()
    for number, stage, drives in ((1, "hit", ["data1"]), (2, "raw", ["data1", "data2"])):
        places = []
        for drive in drives:
            path = experiment / "drives" / drive / str(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"abc")
            places.append(Replica(drive=drive, path=str(path), state=ReplicaState.VERIFIED))
        run_id = f"{detector}-{number}"
        catalog.add_file(catalog.run(run_id), record_of(path, run_id, stage=stage), replicas=places)
    (copies,) = report(capsys, "--week")["copies"]["rows"]
    assert (copies["n_verified"], copies["n_short"]) == (3, 1)
    with (experiment / "experiment.toml").open("a") as file:
        file.write("[replicas.placement.raw]\ncopies = 1\n[replicas.placement.hit]\ncopies = 2\n")
    found = report(capsys, "--week")
    assert found["copies"]["rows"][0]["n_short"] == 1
    assert "too few copies" in Path(found["files"][1]).read_text()


def test_of_a_beam_that_nobody_knew_no_protons_are_told(experiment, detector, capsys):
    found = report(capsys, "--week", "--until", "2026-11-24")
    (delivered,) = found["delivered"]["rows"]
    (week,) = found["week"]["rows"]
    for row, unknown_s in ((delivered, (delivered["stop_ns"] - delivered["start_ns"]) / 1e9), (week, 3600.0)):
        assert row["unknown_s"] == unknown_s
        assert {row[name] for name in ("pot", "energy_GWh", "beam_on_s", "n_pulses")} == {None}
    for path in found["files"]:
        text = Path(path).read_text()
        assert "Delivered: unknown, " in text
        assert "0 protons" not in text
    assert "| 1 h | unknown | 1 h |" in Path(found["files"][1]).read_text()


def test_each_table_of_the_markdown_is_one(experiment, detector, frozen, capsys):
    markdown = Path(report(capsys)["files"][1]).read_text()
    lines = markdown.splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("|---")]
    assert len(heads) >= 4
    for number in heads:
        columns = lines[number].count("|")
        assert lines[number - 2] == "", "a table begins behind an empty line"
        rows = lines[number - 1 : lines.index("", number)]
        assert {line.replace("\\|", "").count("|") for line in rows} == {columns}, lines[number - 1]


def test_a_part_that_cannot_be_looked_at_says_why_and_the_others_are_there(experiment, detector, capsys, monkeypatch):
    def refuse(*_):
        raise CatalogDamaged("a row stands for nothing", where="catalog", do="restore it")

    monkeypatch.setattr(Site, "selections", refuse)
    assert main(["report", "--out", "there"]) == 0
    said = capsys.readouterr()
    assert "a part is missing: a row stands for nothing" in said.err
    html, markdown = (Path(path).read_text() for path in said.out.split())
    for text in (html, markdown):
        assert "a row stands for nothing" in text
        assert "restore it" in text
        assert f"{detector}-1" in text


def test_a_new_experiment_has_a_report(experiment, capsys):
    found = report(capsys, "--days", "1")
    assert found["problems"] == {"rows": [], "trouble": "", "do": ""}
    assert found["unowned"]["trouble"]
    assert "No run yet." in Path(found["files"][1]).read_text()
    assert Path(found["files"][0]).parent == open_site(experiment).configuration.store / "reports"


@pytest.mark.parametrize("words", [("--days", "0"), ("--days", "3661"), ("--week", "--days", "3")])
def test_days_that_cannot_be_are_refused(experiment, refused, words):
    refused("report", *words)


def test_what_is_known_of_runs_is_asked_for_once(experiment, detector, monkeypatch):
    site = open_site(experiment)
    catalog = site.catalog()
    asked: list[str] = []

    def heard(name, real):
        def call(*words, **named):
            asked.append(name)
            return real(*words, **named)

        return call

    monkeypatch.setattr(catalog, "totals_by_run", heard("totals", catalog.totals_by_run))
    monkeypatch.setattr(Exposures, "exposures", heard("exposures", Exposures.exposures))
    found = coordinate(site, stop_ns=RUN_START_NS + DAY_NS)
    assert sorted(asked) == ["exposures", "totals"]
    (week,) = found.week.rows
    wanted = site.exposures().exposures(start_ns=found.start_ns, stop_ns=found.stop_ns)
    assert (week.n_runs, week.amounts) == (len(wanted.runs), wanted.known_sums[detector])
