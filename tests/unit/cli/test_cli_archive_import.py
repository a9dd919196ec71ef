"""``nualley archive import``: files of others, each sample once, what is none kept aside with its reason."""

import json
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from nualley.app.archive import open_archive_reader, open_archive_writer, open_importer
from nualley.app.imports import import_files
from nualley.app.site import open_site
from nualley.archive.columns import VALUE_TYPES
from nualley.archive.importing import ImportedRows
from nualley.cli.main import main
from nualley.core import SECOND_NS, parse_time_ns
from nualley.pv import Connection, Sample, ValueType

BEGIN_NS = parse_time_ns("2025-01-01T00:00:00Z", 0)


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
    assert [(time_ns - BEGIN_NS, value, severity) for time_ns, value, severity, *_ in samples] == [
        (0, 1.5, 0),
        (10_000_000_000, 2.5, 1),
        (20_000_000_001, 3.5, 0),
    ]
    kept = open_site(experiment).archive_folder / "quarantine" / "import-lines.jsonl"
    assert [json.loads(line)["line"] for line in kept.read_text().splitlines()] == [6, 7, 8, 9, 10, 12]
    # done again, nothing is there twice
    for _ in range(2):
        answer = json.loads(said(capsys, table, "--json").out)
        assert [answer[key] for key in keys] == [1, 11, 0, 0, 11, 2]
    assert len(kept.read_text().splitlines()) == 6
    assert main(["archive", "quarantine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 1


def test_every_refused_sample_is_told_of_and_every_pv_named(experiment, table, capsys):
    told = said(capsys, table)
    assert "of A:B, DOOR" in told.out
    assert told.err.count("not read: ") == 6
    assert "samples that are kept aside, 1 before-1991: nualley archive quarantine shows them" in told.err
    answer = json.loads(said(capsys, table, "--json").out)
    assert (answer["pv_names"], answer["by_reason"]) == (["A:B", "DOOR"], {})


def test_time_between_two_imports_that_counts_as_known_is_named(experiment, tmp_path, capsys):
    paths = [tmp_path / f"{number}.csv" for number in range(2)]
    for month, path in zip((1, 3), paths, strict=True):
        path.write_text(
            "\n".join(["pv,time,value", *(f"P:{n:02d},2025-{month:02d}-01T00:00:00Z,1" for n in range(12))])
        )
    assert json.loads(said(capsys, paths[0], "--json").out)["bridged"] == []
    told = said(capsys, paths[1]).err.replace("\n", " ")
    assert (
        "P:09 counts as known from 2025-01-01T00:00:00.000000001Z to 2025-03-01T00:00:00.000000000Z, "
        "between an earlier import and this one" in told
    )
    assert "P:10" not in told
    assert "2 more stretches between imports count as known" in told


def lines_of(capsys, *more):
    assert main(["archive", "quarantine", "--lines", *more, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_refused_lines_are_shown_with_file_line_and_reason(experiment, table, capsys):
    assert lines_of(capsys)["n"] == 0
    answer = json.loads(said(capsys, table, "--json").out)
    assert answer["by_reason"] == {"before-1991": 1, "no-sample": 6}
    found = lines_of(capsys)
    assert (found["n"], found["columns"]["line"]) == (6, [6, 7, 8, 9, 10, 12])
    assert set(found["columns"]["file"]) == {str(table)}
    assert found["columns"]["reason"][1] == "'2025-01-01T00:00:00' has no time zone"
    assert found["columns"]["text"][-1] == "A:B"
    assert lines_of(capsys, "--limit", "2")["columns"]["line"] == [10, 12]
    assert main(["archive", "quarantine", "--lines", "--limit", "2"]) == 0
    told = capsys.readouterr()
    assert str(table) in told.out.replace("\n", "")
    assert "4 earlier ones are not shown" in told.err
    assert main(["archive", "quarantine"]) == 0
    assert "6 lines of imported files are no samples: nualley archive quarantine --lines" in capsys.readouterr().err
    assert main(["archive", "quarantine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_lines"] == 6


def test_a_line_cannot_be_released_and_has_no_pv(experiment, table, capsys):
    said(capsys, table)
    for more in (["A:B"], ["--release"], ["--from", "-1h"]):
        assert main(["archive", "quarantine", *more, "--lines"]) == 2
        assert "give --lines alone" in capsys.readouterr().err


def test_a_line_is_kept_once_by_whatever_name_its_file_is_given(experiment, table, tmp_path, monkeypatch, capsys):
    said(capsys, table)
    (tmp_path / "beside").mkdir()
    (tmp_path / "link.csv").symlink_to(table)
    monkeypatch.chdir(tmp_path / "beside")
    monkeypatch.setenv("NUALLEY_EXPERIMENT", str(experiment))
    for name in ("../old.csv", tmp_path / "beside" / ".." / "old.csv", tmp_path / "link.csv"):
        answer = json.loads(said(capsys, name, "--json").out)
        assert (answer["quarantined"], answer["filtered"], answer["by_reason"]) == (0, 11, {})
    assert lines_of(capsys)["n"] == 6
    # an earlier version kept the name as it was given
    kept = open_site(experiment).archive_folder / "quarantine" / "import-lines.jsonl"
    kept.write_text(kept.read_text().replace(str(table), f"{table.parent}/beside/../old.csv"))
    assert json.loads(said(capsys, table, "--json").out)["quarantined"] == 0


def test_a_line_whose_keeping_was_cut_short_is_kept_again(experiment, table, capsys):
    said(capsys, table)
    kept = open_site(experiment).archive_folder / "quarantine" / "import-lines.jsonl"
    kept.write_bytes(kept.read_bytes()[:-20])
    assert lines_of(capsys)["columns"]["reason"][-1] == "what was kept of a line is cut short"
    assert json.loads(said(capsys, table, "--json").out)["quarantined"] == 1
    assert lines_of(capsys)["columns"]["line"] == [6, 7, 8, 9, 10, 6, 12]


@pytest.mark.parametrize(
    "lines",
    ["A,yesterday,1\n", "A,1989-01-01T00:00:00Z,1\n", "A,2095-01-01T00:00:00Z,1\nA,x,1\n"],
    ids=["line", "stamp", "both"],
)
def test_a_file_of_which_nothing_is_stored_is_named_and_ends_with_1(experiment, table, tmp_path, capsys, lines):
    path = tmp_path / "bad.csv"
    path.write_text("pv,time,value\n" + lines)
    for _ in range(2):  # it is no better the second time
        assert json.loads(said(capsys, table, path, "--json", code=1).out)["refused_files"] == [str(path)]
        assert f"nothing of {path} is stored: all that is in it was refused" in said(capsys, path, code=1).err
    # what is there already is stored, and nothing in nothing is not refused
    path.write_text("pv,time,value\n")
    assert json.loads(said(capsys, table, path, "--json").out)["refused_files"] == []


def test_of_many_pvs_and_many_refused_lines_the_first_are_named(experiment, tmp_path, capsys):
    path = tmp_path / "many.csv"
    good = [f"P:{n:02d},2025-01-01T00:00:00Z,1" for n in range(13)]
    path.write_text("\n".join(["pv,time,value", *good, *(f"P:{n:02d},yesterday,1" for n in range(27))]) + "\n")
    told = said(capsys, path)
    assert "of P:00, P:01, P:02, P:03, P:04, P:05, P:06, P:07, P:08, P:09 and 3 more" in told.out
    assert told.err.count("not read: ") == 20
    assert "7 more lines are no samples" in told.err
    assert "import-lines.jsonl: nualley archive quarantine --lines shows them" in told.err.replace("\n", "")


def samples_of(capsys, pv):
    assert main(["archive", "get", pv, "--from", "2024-01-01", "--to", "2024-01-02", "--json"]) == 0
    columns = json.loads(capsys.readouterr().out)["columns"]
    return [value for value, kind in zip(columns["value"], columns["kind"], strict=True) if kind == "sample"]


def a_csv(path, *samples):
    rows = [f"{pv},2024-01-01T00:00:{second:02d}Z,{value}" for second, (pv, value) in enumerate(samples)]
    path.write_text("\n".join(["pv,time,value", *rows]) + "\n")
    return path


def test_one_word_among_numbers_is_refused_with_its_line_and_the_pv_stays_numeric(experiment, tmp_path, capsys):
    words = a_csv(tmp_path / "a.csv", ("P", "1.5"), ("P", "abc"), ("P", "2.5"), ("W", "1"), ("W", "on"), ("W", "off"))
    answer = json.loads(said(capsys, words, "--json").out)
    assert (answer["stored"], answer["quarantined"]) == (5, 1)
    assert answer["unreadable"] == [f"{words}:3: 'abc' is no number, as the values of P are"]
    assert samples_of(capsys, "P") == [1.5, 2.5]
    assert samples_of(capsys, "W") == ["1", "on", "off"]
    assert main(["archive", "get", "P", "--from", "2024-01-01", "--to", "2024-01-02", "--bins", "2", "--json"]) == 0


def test_what_most_values_are_is_counted_over_all_files_of_an_import(experiment, tmp_path, capsys):
    first = a_csv(tmp_path / "1.csv", ("P", "abc"))
    second = a_csv(tmp_path / "2.csv", ("Q", "1"), ("P", "1"), ("P", "2"))
    assert json.loads(said(capsys, first, second, "--json", code=1).out)["quarantined"] == 1
    assert samples_of(capsys, "P") == [1.0, 2.0]


def test_the_type_that_the_archive_knows_decides(experiment, tmp_path, capsys):
    said(capsys, a_csv(tmp_path / "1.csv", ("N", "1"), ("W", "on")))
    later = tmp_path / "2.csv"
    later.write_text(
        "pv,time,value\nN,2024-01-01T01:00:00Z,off\nN,2024-01-01T01:00:01Z,off\nW,2024-01-01T01:00:00Z,7.50\n"
    )
    answer = json.loads(said(capsys, later, "--json").out)
    assert [place.split("2.csv:")[1][:2] for place in answer["unreadable"]] == ["2:", "3:"]
    assert samples_of(capsys, "N") == [1.0]
    assert samples_of(capsys, "W") == ["on", "7.50"]


KINDS = {
    "NUM": (ValueType.FLOAT64, [1.5, float("nan"), -1e300]),
    "TEXT": (ValueType.STRING, [' on, "ν"\n', "", "[1"]),
    "WAVE": (ValueType.FLOAT64_ARRAY, [[1.0, 2.5], [], [float("inf")]]),
    "WORDS": (ValueType.STRING_ARRAY, [["a", "ν,"], [""], ["["]]),
}


def rows_of(pv, times_s, values, value_type, links=()):
    return ImportedRows(
        pv,
        value_type,
        BEGIN_NS + np.array(times_s) * SECOND_NS,
        pa.array(values, VALUE_TYPES[value_type]),
        np.array([0, 1, 2], dtype=np.int8)[: len(times_s)],
        np.array([0, -3, 17], dtype=np.int16)[: len(times_s)],
        links=tuple((BEGIN_NS + second * SECOND_NS, kind) for second, kind in links),
    )


def exported(capsys, pv, path, *more):
    stretch = ("--from", "2024-12-31", "--to", "2025-01-02", "--format", "csv")
    assert main(["archive", "get", pv, *stretch, "--out", str(path), *more]) == 0
    capsys.readouterr()
    return path


def history(folder, pv):
    columns = ["time_ns", "value", "severity", "status", "kind"]
    reader = open_archive_reader(folder)
    return repr(reader.read(pv, 0, 2**62).select(columns).to_pylist()), reader.record(pv).n_gaps


@pytest.mark.parametrize("pv", KINDS)
def test_our_own_csv_is_imported_as_it_was(experiment, tmp_path, capsys, pv):
    value_type, values = KINDS[pv]
    links = [(15, "disconnect"), (20, "reconnect")]
    archive = open_site(experiment).archive_folder
    with open_importer(archive) as importer:
        importer.store(rows_of(pv, [0, 10, 20], values, value_type, links))
    path, before = exported(capsys, pv, tmp_path / "own.csv"), history(archive, pv)
    # it is there already
    again = json.loads(said(capsys, path, "--json").out)
    assert (again["stored"], again["filtered"], again["quarantined"]) == (0, 3, 0)
    assert history(archive, pv) == before
    # and elsewhere it is the same
    elsewhere = tmp_path / "elsewhere"
    assert import_files(elsewhere, [path]).counts.stored == 3
    assert history(elsewhere, pv) == before
    assert open_archive_reader(elsewhere).record(pv).value_type is value_type


def test_of_our_own_csv_a_silence_begins_with_the_last_proof_of_life(experiment, tmp_path, capsys):
    archive = open_site(experiment).archive_folder
    writer = open_archive_writer(archive)
    now_ns = time.time_ns() - 3600 * SECOND_NS
    for second, is_connected in ((0, True), (100, False), (200, True)):
        at_ns = now_ns + second * SECOND_NS
        heard_ns = at_ns if is_connected else now_ns + 50 * SECOND_NS
        writer.recorder.receive(Connection("P", is_connected, "ioc", at_ns, heard_ns, "ca"))
        if is_connected:
            writer.recorder.receive(Sample("P", at_ns, float(second), ValueType.FLOAT64, 0, 0, "ca", at_ns))
    writer.close()
    path = tmp_path / "own.csv"
    assert main(["archive", "get", "P", "--from", "-2h", "--format", "csv", "--out", str(path)]) == 0
    capsys.readouterr()
    before = history(archive, "P")
    assert json.loads(said(capsys, path, "--json").out)["stored"] == 0
    assert history(archive, "P") == before, "what was heard says it already"
    import_files(tmp_path / "elsewhere", [path])
    links = open_archive_reader(tmp_path / "elsewhere").connections("P", 0, 2**62)
    lost = [(row.time_ns - now_ns) // SECOND_NS for row in links if row.kind.name == "DISCONNECT"]
    assert lost == [50]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('A,1735689610000000000,"[1, true]",0,0,sample', "is no array"),
        ('A,1735689610000000000,"[1e400]",0,0,sample', "is no array"),
        ('A,1735689610000000000,"[""a""]",0,0,sample', "is no array"),
        ("A,1735689610000000000,7,0,0,sample", "is no array"),
        ('A,1735689610000000000,"[1]",0,40000,sample', "'40000' is no alarm status"),
        ('A,1735689610000000000,"[1]",0,NO_ALARM,sample', "'NO_ALARM' is no alarm status"),
        ("A,1735689610000000000,,,,lost", "'lost' is no kind of row"),
        ("A,1735689610000000000,,0,0,sample", "is no array"),
    ],
)
def test_what_is_none_of_our_own_rows_is_refused(experiment, tmp_path, capsys, line, reason):
    path = tmp_path / "own.csv"
    good = [f'A,173568960000000000{n},"[{n}.5, {n}]",0,0,sample' for n in range(3)]
    path.write_text("\n".join(["pv,time_ns,value,severity,status,kind", *good, line]) + "\n")
    answer = json.loads(said(capsys, path, "--json").out)
    assert (answer["stored"], answer["quarantined"]) == (3, 1)
    assert reason in answer["unreadable"][0]


@pytest.mark.parametrize(
    ("value_type", "good", "bad"),
    [
        (ValueType.FLOAT32_ARRAY, "[1.5, NaN]", "[1e39]"),
        (ValueType.INT32_ARRAY, "[-7, 2147483647]", "[2147483648]"),
        (ValueType.INT32_ARRAY, "[]", "[1.5]"),
    ],
)
def test_an_array_is_what_the_archive_has_it_as(experiment, tmp_path, capsys, value_type, good, bad):
    archive = open_site(experiment).archive_folder
    with open_importer(archive) as importer:
        importer.store(rows_of("A", [0], [[1]], value_type))
    path = tmp_path / "own.csv"
    path.write_text(f'pv,time,value\nA,2025-01-01T00:01:00Z,"{good}"\nA,2025-01-01T00:02:00Z,"{bad}"\n')
    answer = json.loads(said(capsys, path, "--json").out)
    assert (answer["stored"], answer["quarantined"]) == (1, 1)
    assert open_archive_reader(archive).read("A", 0, 2**62)["value"].type == VALUE_TYPES[value_type]


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


@pytest.mark.parametrize(
    ("more", "meaning"), [((), "all are given as text"), (("--bins", "1"), "is in no mean and good in no bin")]
)
def test_a_pv_that_was_text_and_numbers_says_so(experiment, capsys, more, meaning):
    rows = ImportedRows(
        "P", ValueType.FLOAT64, np.array([BEGIN_NS]), pa.array([1.0]), np.zeros(1, np.int8), np.zeros(1, np.int16)
    )
    words = replace(rows, value_type=ValueType.STRING, time_ns=rows.time_ns + SECOND_NS, value=pa.array(["off"]))
    with open_importer(open_site(experiment).archive_folder) as importer:
        importer.store(rows)
        importer.store(words)
    stretch = ["--from", "2025-01-01", "--to", "2025-01-02"]
    for form in ([], ["--json"]):
        assert main(["archive", "get", "P", *stretch, *more, *form]) == 0
        told = capsys.readouterr().err
        assert f"P changed its type in that time (float64, string): {'' if more else meaning}" in told
        assert meaning in told
    assert main(["archive", "get", "P", "--from", "2025-01-01", "--to", "2025-01-01T00:00:01Z"]) == 0
    assert "changed its type" not in capsys.readouterr().err
