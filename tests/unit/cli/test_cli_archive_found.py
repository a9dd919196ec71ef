"""``nualley archive add`` of a PV that nobody serves says so, and where it was searched."""

import time

from nualley.app.archive import open_archive_writer
from nualley.app.archive_changes import Changed
from nualley.app.finding import SEARCH_S, is_found, searched_at
from nualley.app.site import open_site
from nualley.cli.main import main
from nualley.pv import Connection, Sample, ValueType


def test_it_is_waited_for_but_not_for_long_and_not_at_all_where_it_is_there(experiment):
    (experiment / "pvs" / "lab.toml").write_text('[pv]\n"LAB:A" = {}\n')
    site, slept = open_site(experiment), []
    assert not is_found(site, "LAB:A", sleep=slept.append)
    assert sum(slept) <= SEARCH_S + 0.01
    writer, now_ns = open_archive_writer(site.archive_folder), time.time_ns()
    writer.recorder.receive(Connection("LAB:A", True, "127.0.0.1:5064", now_ns, now_ns, "ca"))
    writer.recorder.receive(Sample("LAB:A", now_ns, 1.0, ValueType.FLOAT64, 0, 0, "ca", now_ns))
    writer.recorder.commit()
    slept.clear()
    assert is_found(site, "LAB:A", sleep=slept.append)
    writer.close()
    assert slept == []


def test_it_is_said_where_it_was_searched(experiment, capsys, monkeypatch):
    change = {"verb": "add", "pv": "NC:T2", "name": None, "policy": {}, "changed": {}, "was_alias": False}
    monkeypatch.setattr("nualley.cli.archive_changes.change_archive", lambda *_, **__: Changed(change, is_live=True))
    monkeypatch.setattr("nualley.cli.archive_changes.is_found", lambda *_: False)
    capsys.readouterr()
    assert main(["archive", "add", "NC:T2"]) == 0
    said = capsys.readouterr()
    assert said.out == "NC:T2 is archived\n"
    assert "NC:T2 is not found yet, searched at 127.0.0.1" in said.err


def test_what_is_pushed_or_computed_is_not_searched(experiment):
    site = open_site(experiment)
    assert searched_at(site, "http") == searched_at(site, "computed") == ()
    assert searched_at(site, "mqtt") == ("127.0.0.1:1883",)
