"""``nualley archive quarantine``: what was kept aside is shown with its reason, and released where it was right."""

import json
import time

import numpy as np
import pyarrow as pa
import pytest

from nualley.app import quarantine
from nualley.app.archive import open_archive_writer, open_importer
from nualley.app.site import open_site
from nualley.archive import taking_in
from nualley.archive.importing import ImportedRows
from nualley.archive.refused_reader import RefusedReader
from nualley.cli.main import main
from nualley.core import SECOND_NS
from nualley.pv import Connection, Life, Sample, ValueType

PV, OTHER = "LAB:T1", "LAB:T2"
EPOCH_1990_NS = 631_152_000 * SECOND_NS


@pytest.fixture(params=["log", "sealed"])
def archived(experiment, request):
    """Archive good samples, one that goes back, one of 1990 and one from the future; return the time of the first."""
    writer = open_archive_writer(open_site(experiment).archive_folder)
    start_ns = time.time_ns() - 3600 * SECOND_NS

    def say(pv, stamp_ns, value, received_s):
        writer.recorder.receive(
            Sample(pv, stamp_ns, value, ValueType.FLOAT64, 0, 0, "ca", start_ns + received_s * SECOND_NS)
        )

    for pv in (PV, OTHER):
        writer.recorder.receive(Connection(pv, True, "ioc", start_ns, start_ns, "ca"))
        say(pv, start_ns + 10 * SECOND_NS, 1.0, 10)
    say(PV, start_ns + 5 * SECOND_NS, 2.0, 20)
    say(OTHER, EPOCH_1990_NS, 3.0, 30)
    say(OTHER, start_ns + 86_400 * 1000 * SECOND_NS, 4.0, 40)
    writer.recorder.receive(Life("ioc", start_ns + 50 * SECOND_NS))
    if request.param == "sealed":
        writer.seal()
    writer.close()
    return start_ns


def answer(capsys, *words):
    capsys.readouterr()
    assert main(["archive", "quarantine", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def samples(capsys, pv):
    capsys.readouterr()
    assert main(["archive", "get", pv, "--from", "-2h", "--json"]) == 0
    columns = json.loads(capsys.readouterr().out)["columns"]
    return [value for value, kind in zip(columns["value"], columns["kind"], strict=True) if kind == "sample"]


def test_what_was_kept_aside_is_shown_by_receipt_with_its_reason(archived, capsys):
    found = answer(capsys)
    assert (found["n"], found["by_reason"]) == (3, {"backward": 1, "undefined-time": 1, "future": 1})
    assert found["columns"]["value"] == [2.0, 3.0, 4.0]
    assert found["columns"]["pv"] == [PV, OTHER, OTHER]
    assert answer(capsys, PV)["columns"]["reason"] == ["backward"]
    assert answer(capsys, "--limit", "1")["columns"]["value"] == [4.0]
    assert answer(capsys, "--to", "-3575s")["columns"]["value"] == [2.0]
    capsys.readouterr()
    assert main(["archive", "quarantine"]) == 0
    said = capsys.readouterr()
    assert "backward" in said.out
    assert "1 undefined-time: a record that was never processed" in said.err


def test_nothing_kept_aside(archived, capsys):
    capsys.readouterr()
    assert main(["archive", "quarantine", "--to", "-1h"]) == 0
    assert "nothing is kept aside" in capsys.readouterr().err


def test_a_sample_that_was_right_is_released_once(archived, capsys):
    assert answer(capsys, PV, "--release") == {"stored": 1, "filtered": 0, "kept": {}}
    assert samples(capsys, PV) == [2.0, 1.0]
    assert answer(capsys, PV, "--release") == {"stored": 0, "filtered": 1, "kept": {}}
    assert samples(capsys, PV) == [2.0, 1.0]


def test_stamps_that_are_still_not_to_be_believed_stay_aside_until_they_get_their_receipt(archived, capsys):
    assert answer(capsys, OTHER, "--release") == {
        "stored": 0,
        "filtered": 0,
        "kept": {"undefined-time": 1, "future": 1},
    }
    assert samples(capsys, OTHER) == [1.0]
    capsys.readouterr()
    assert main(["archive", "quarantine", OTHER, "--release"]) == 0
    assert "--at-receipt stamps them" in capsys.readouterr().err
    assert answer(capsys, OTHER, "--release", "--at-receipt") == {"stored": 2, "filtered": 0, "kept": {}}
    assert samples(capsys, OTHER) == [1.0, 3.0, 4.0]


@pytest.mark.parametrize(
    "order", [((), ("--at-receipt",)), (("--at-receipt",), ())], ids=["own-first", "receipt-first"]
)
def test_what_was_released_is_released_once_under_whatever_stamp(archived, capsys, order):
    stamp_ns = archived + (20 if order[0] else 5) * SECOND_NS
    assert answer(capsys, PV)["columns"]["released_as_ns"] == [None]
    assert answer(capsys, PV, "--release", *order[0])["stored"] == 1
    after = samples(capsys, PV)
    assert after == ([1.0, 2.0] if order[0] else [2.0, 1.0])
    assert answer(capsys, PV)["columns"]["released_as_ns"] == [stamp_ns]
    for more in order:
        assert answer(capsys, PV, "--release", *more) == {"stored": 0, "filtered": 1, "kept": {}}
        assert main(["archive", "quarantine", PV, "--release", *more]) == 0
        assert "0 samples are stored now, 1 were released already" in capsys.readouterr().out
    assert samples(capsys, PV) == after
    assert main(["archive", "quarantine", PV]) == 0
    assert "released as" in capsys.readouterr().out
    # of the others nothing is told that is not so
    assert answer(capsys, OTHER)["columns"]["released_as_ns"] == [None, None]


def test_an_equal_value_that_was_heard_at_the_moment_of_the_receipt_is_no_release(archived, capsys):
    writer = open_archive_writer(open_site().archive_folder)
    receipt_ns = archived + 20 * SECOND_NS
    writer.recorder.receive(Sample(PV, receipt_ns, 2.0, ValueType.FLOAT64, 0, 0, "ca", receipt_ns))
    writer.close()
    assert answer(capsys, PV)["columns"]["released_as_ns"] == [None]
    assert answer(capsys, PV, "--release")["stored"] == 1


def test_a_pv_that_became_text_has_its_release_known_all_the_same(archived, capsys):
    assert answer(capsys, PV, "--release")["stored"] == 1
    site = open_site()
    rows = ImportedRows(
        PV,
        ValueType.STRING,
        np.array([archived - 60 * SECOND_NS, archived + 6 * SECOND_NS]),
        pa.array(["off", "on"]),
        np.zeros(2, np.int8),
        np.zeros(2, np.int16),
    )
    with open_importer(site.archive_folder) as importer:
        importer.store(rows)
    assert answer(capsys, PV)["columns"]["released_as_ns"] == [archived + 5 * SECOND_NS]
    assert answer(capsys, PV, "--release", "--at-receipt")["stored"] == 0


def test_a_pv_that_nobody_knows(archived, refused):
    assert "not archived" in refused("archive", "quarantine", "LAB:T9")["what"]


def test_imported_samples_stand_under_the_time_of_their_import_and_are_never_stamped_by_it(
    experiment, tmp_path, capsys
):
    path = tmp_path / "old.csv"
    path.write_text("pv,time,value\nX,1970-01-01T01:00:00Z,1\nX,2095-01-01T00:00:00Z,2\n")
    before_ns = time.time_ns()
    assert main(["archive", "import", str(path)]) == 1
    found = answer(capsys, "X")["columns"]
    assert all(before_ns <= received_ns <= time.time_ns() for received_ns in found["received_ns"])
    assert len(answer(capsys, "X", "--from", "-1h")["columns"]["value"]) == 2
    kept = {"stored": 0, "filtered": 0, "kept": {"before-1991": 1, "future": 1}}
    for more in ([], ["--at-receipt"]):
        assert answer(capsys, "X", "--release", *more) == kept
        assert main(["archive", "quarantine", "X", "--release", *more]) == 0
        told = capsys.readouterr().err
        assert "2 of them were imported" in told
        assert "mend the stamps in the file and import it again" in told
        assert "--at-receipt stamps" not in told


def test_the_newest_is_the_one_that_came_last_imported_or_heard(experiment, tmp_path, capsys):
    path = tmp_path / "old.csv"
    path.write_text(f"pv,time,value\n{PV},1970-01-01T01:00:00Z,1\n")
    assert main(["archive", "import", str(path)]) == 1
    writer = open_archive_writer(open_site(experiment).archive_folder)
    now_ns = time.time_ns()
    writer.recorder.receive(Connection(PV, True, "ioc", now_ns, now_ns, "ca"))
    writer.recorder.receive(Sample(PV, EPOCH_1990_NS, 2.0, ValueType.FLOAT64, 0, 0, "ca", now_ns))
    writer.close()
    assert answer(capsys, "--limit", "1")["columns"]["value"] == [2.0]


@pytest.fixture
def by_one(monkeypatch):
    """Read the quarantine sample by sample, and store each at once."""
    pieces = RefusedReader.pieces
    monkeypatch.setattr(RefusedReader, "pieces", lambda self, *words: pieces(self, *words, 1))
    monkeypatch.setattr(taking_in, "_FLUSH_ROWS", 1)


def test_no_more_is_kept_in_memory_than_is_shown(archived, by_one, capsys, monkeypatch):
    asked = []
    known = quarantine.released_as_ns
    monkeypatch.setattr(
        quarantine, "released_as_ns", lambda reader, table: asked.append(table.num_rows) or known(reader, table)
    )
    found = answer(capsys, "--limit", "2")
    assert (found["n"], found["columns"]["value"]) == (3, [3.0, 4.0])
    assert asked == [2]
    joined = []
    newest = quarantine._newest
    monkeypatch.setattr(
        quarantine, "_newest", lambda tables, n: joined.append(sum(map(len, tables))) or newest(tables, n)
    )
    answer(capsys, "--limit", "1")
    assert joined == [1, 2, 2]


@pytest.mark.parametrize("pieces", ["whole", "by_one"])
def test_what_is_kept_aside_twice_is_released_once(archived, pieces, request, capsys):
    if pieces == "by_one":
        request.getfixturevalue("by_one")
    writer = open_archive_writer(open_site().archive_folder)
    for value in (7.0, 8.0, 7.0):  # one of them twice
        stamp_ns, now_ns = archived + 6 * SECOND_NS, time.time_ns()
        writer.recorder.receive(Sample(PV, stamp_ns, value, ValueType.FLOAT64, 0, 0, "ca", now_ns))
    writer.close()
    assert answer(capsys, PV)["n"] == 4
    assert answer(capsys, PV, "--release") == {"stored": 3, "filtered": 1, "kept": {}}
    assert samples(capsys, PV) == [2.0, 7.0, 8.0, 1.0]
    assert answer(capsys, PV, "--limit", "3")["columns"]["released_as_ns"] == [archived + 6 * SECOND_NS] * 3
    assert answer(capsys, PV, "--release") == {"stored": 0, "filtered": 4, "kept": {}}
    assert answer(capsys, OTHER, "--release")["kept"] == {"undefined-time": 1, "future": 1}
