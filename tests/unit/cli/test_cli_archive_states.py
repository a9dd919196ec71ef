"""How PVs stand that nobody expects to be connected: the same words in ``last``, ``pvs`` and ``info``."""

import json
import time

import numpy as np
import pyarrow as pa
import pytest

from nualley.app.archive import open_archive_writer, open_importer
from nualley.app.doctor import site_checks
from nualley.app.locks import hold_role
from nualley.app.site import open_site
from nualley.archive.importing import ImportedRows
from nualley.cli.main import main
from nualley.core import SystemClock
from nualley.pv import Connection, Sample, ValueType

PAUSED, DECLARED, ADDED, RENAMED, IMPORTED = "LAB:PAUSED", "LAB:DECLARED", "LAB:ADDED", "LAB:RENAMED", "LAB:OLD"


def answer(capsys, *words):
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def states(capsys, *words):
    return {row["pv"]: row["state"] for row in answer(capsys, "archive", *words)}


@pytest.fixture
def site(experiment, capsys):
    """Return a site with a PV of each kind; each that was connected has lost its IOC."""
    (experiment / "pvs" / "lab.toml").write_text(
        f'[pv]\n"{PAUSED}" = {{}}\n"{DECLARED}" = {{}}\n"LAB:LOST" = {{}}\n"LAB:NEVER" = {{}}\n'
    )
    for pv in (ADDED, RENAMED):
        answer(capsys, "archive", "add", pv)
    site = open_site(experiment)
    writer = open_archive_writer(site.archive_folder)
    now_ns = time.time_ns()
    for pv in (PAUSED, DECLARED, ADDED, RENAMED, "LAB:LOST"):
        writer.recorder.receive(Connection(pv, True, "127.0.0.1:5064", now_ns, now_ns, "ca"))
        writer.recorder.receive(Sample(pv, now_ns, 1.0, ValueType.FLOAT64, 0, 0, "ca", now_ns))
        writer.recorder.receive(Connection(pv, False, "127.0.0.1:5064", now_ns + 1, now_ns, "ca"))
    writer.recorder.register(["LAB:NEW", "LAB:NEVER"])
    writer.close()
    with open_importer(site.archive_folder) as importer:
        importer.store(rows_of(IMPORTED, now_ns))
    answer(capsys, "archive", "pause", PAUSED)
    answer(capsys, "archive", "remove", DECLARED)
    answer(capsys, "archive", "remove", ADDED)
    answer(capsys, "archive", "rename", RENAMED, "LAB:NEW")
    return open_site(experiment)


def rows_of(pv, time_ns):
    return ImportedRows(
        pv, ValueType.FLOAT64, np.array([time_ns]), pa.array([1.0]), np.zeros(1, np.int8), np.zeros(1, np.int16),
        source="csv",
    )  # fmt: skip


EXPECTED = {PAUSED: "paused", DECLARED: "removed", IMPORTED: "imported", "LAB:LOST": "disconnected"}


def test_each_has_a_state_of_its_own_and_what_is_gone_is_not_listed(site, capsys):
    found = states(capsys, "last")
    assert {pv: found[pv] for pv in EXPECTED} == EXPECTED
    assert ADDED not in found
    assert RENAMED not in found
    # its history stays readable by name
    assert states(capsys, "last", ADDED) == {ADDED: "removed"}
    assert answer(capsys, "archive", "get", ADDED)["columns"]["value"].count(1.0) == 1


def test_the_account_lists_all_in_the_same_words(site, capsys):
    found = states(capsys, "pvs")
    assert {pv: found[pv] for pv in EXPECTED} == EXPECTED
    assert found[ADDED] == "removed"
    assert RENAMED not in found, "its account is that of its present name"
    for pv, state in {**EXPECTED, ADDED: "removed"}.items():
        assert answer(capsys, "archive", "info", pv)["state"] == state


def test_doctor_counts_only_what_ought_to_be_connected(site):
    with hold_role(site.configuration.store, "archive", SystemClock()):
        (found,) = dict(site_checks(site))["archive.pvs"]()
    assert found.detail == (
        "3 of 3 are not connected: LAB:LOST disconnected, LAB:NEVER never-connected, LAB:NEW never-connected"
        ", 1 imported, 1 paused, 1 removed"
    )


def test_what_cannot_be_read_says_so_and_why(experiment, capsys):
    (experiment / "pvs" / "lab.toml").write_text('[pv]\n"LAB:A" = {}\n"LAB:B" = {}\n')
    writer = open_archive_writer(open_site(experiment).archive_folder)
    now_ns = time.time_ns()

    def came(pv, number, why=""):
        sample = Sample(pv, now_ns + number, "x", ValueType.STRING, 0, 0, "mqtt", now_ns + number, unreadable=why)
        writer.recorder.receive(sample)
        writer.recorder.commit()

    writer.recorder.receive(Connection("LAB:A", True, "mqtt:h:1", now_ns, now_ns, "mqtt"))
    came("LAB:A", 1)
    came("LAB:A", 2, "no time zone")
    came("LAB:B", 3, "no time zone")
    # the first word of it is enough: it was never readable
    assert states(capsys, "last") == {"LAB:A": "unreadable", "LAB:B": "unreadable"}
    columns = answer(capsys, "archive", "quarantine")
    assert columns["by_reason"] == {"unreadable": 2}
    assert columns["columns"]["cause"] == ["no time zone"] * 2
    capsys.readouterr()
    assert main(["archive", "quarantine"]) == 0
    assert "unreadable: no time zone" in capsys.readouterr().out
    # it is connected all the same, and says why it has no value
    with hold_role(open_site(experiment).configuration.store, "archive", SystemClock()):
        found = dict(site_checks(open_site(experiment)))["archive.pvs"]()
    assert [result.name for result in found] == ["archive.pvs", "archive.quarantine"]
    assert "all 2 are connected" in found[0].detail
    assert "LAB:A (no time zone), LAB:B (no time zone)" in found[1].detail
    for words in (("last",), ("pvs",), ("info", "LAB:A")):
        assert main(["archive", *words]) == 0
        assert "unreadable (no time zone)" in capsys.readouterr().out
    assert answer(capsys, "archive", "info", "LAB:A")["reason"] == "unreadable: no time zone"
    came("LAB:A", 4)
    writer.recorder.receive(Connection("LAB:B", False, "mqtt:h:1", now_ns, now_ns, "mqtt"))
    writer.close()
    assert states(capsys, "last")["LAB:A"] == "connected"


@pytest.mark.parametrize(
    ("pv", "state", "policy"),
    [
        (PAUSED, "paused, ca from 127.0.0.1:5064", "every update"),
        (IMPORTED, "imported", "none: it is not archived"),
        ("LAB:NEVER", "never-connected", "every update"),
    ],
)
def test_info_names_no_origin_that_there_is_none_of(site, capsys, pv, state, policy):
    capsys.readouterr()
    assert main(["archive", "info", pv]) == 0
    rows = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines() if " " in line.strip())
    assert (rows["state"].strip(), rows["policy"].strip()) == (state, policy)


def test_what_a_resume_says_to_look_at_is_so(site, capsys):
    capsys.readouterr()
    assert main(["archive", "resume", PAUSED]) == 0
    said = capsys.readouterr().err
    assert "nualley check" not in said
    assert "nualley archive last PV" in said
