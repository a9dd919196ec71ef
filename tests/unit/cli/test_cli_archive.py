"""``nualley archive``: what a person and a program are shown of a PV."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from nualley.app.archive import open_archive_writer
from nualley.app.site import open_site
from nualley.cli.main import main
from nualley.pv import Connection, Metadata, Sample, ValueType

STATE, TRACE, NEVER = "DAQ:STATE", "BEAM:TRACE", "LAB:GONE"


@pytest.fixture
def archived(experiment: Path) -> int:
    """Archive an enum and a waveform, and a PV that was never found; return the stamp of the samples."""
    writer = open_archive_writer(open_site(experiment).archive_folder)
    now_ns = time.time_ns()
    for pv, value, value_type in (
        (STATE, 1, ValueType.ENUM),
        (TRACE, np.arange(200, dtype=np.float32), ValueType.FLOAT32_ARRAY),
    ):
        writer.recorder.receive(Connection(pv, True, "127.0.0.1:5064", now_ns, now_ns, "ca"))
        writer.recorder.receive(Sample(pv, now_ns, value, value_type, 0, 0, "ca", now_ns))
    writer.recorder.receive(Metadata(STATE, now_ns, ValueType.ENUM, labels=("Stopped", "Running")))
    writer.recorder.receive(Connection(NEVER, False, "", now_ns, 0, "ca"))
    writer.recorder.commit()
    writer.log.close()
    return now_ns


def test_an_enum_comes_with_its_words(archived, capsys):
    capsys.readouterr()
    assert main(["archive", "get", STATE, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [index for index in found["columns"]["value"] if index is not None] == [1]
    assert found["labels"][1] == "Running"
    assert main(["archive", "get", TRACE, "--json"]) == 0
    assert "labels" not in json.loads(capsys.readouterr().out)


def test_a_waveform_is_one_short_row_with_its_whole_stamp(archived, capsys):
    capsys.readouterr()
    assert main(["archive", "get", TRACE]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) < 100
    (row,) = [line for line in lines if "sample" in line]
    assert "[0, 1, 2, … 200]" in row
    assert f".{archived % 10**9:09d}Z" in row


def test_a_pv_that_was_never_connected_says_so(archived, capsys):
    capsys.readouterr()
    assert main(["archive", "get", NEVER]) == 0
    assert f"no rows: {NEVER} was never connected" in capsys.readouterr().err
    assert main(["archive", "get", STATE, "--from", "2020-01-01", "--to", "2020-01-02"]) == 0
    assert f"no rows: {STATE} was not archived then" in capsys.readouterr().err


def test_all_that_is_known_of_a_pv(archived, capsys):
    capsys.readouterr()
    assert main(["archive", "alias", "DOOR", STATE]) == 0
    capsys.readouterr()
    assert main(["archive", "info", STATE, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pv"], found["names"], found["policy"], found["value"]) == (STATE, [STATE], None, "Running")
    assert found["aliases"] == ["DOOR"]
    assert found["ledger"]["stored"] == 1
    (entry,) = found["metadata"]
    assert (entry["value_type"], entry["labels"]) == ("enum", ["Stopped", "Running"])
    assert main(["archive", "info", STATE]) == 0
    said = capsys.readouterr().out
    assert "not archived" in said
    assert "Stopped | Running" in said
