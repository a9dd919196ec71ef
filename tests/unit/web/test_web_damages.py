"""A damaged sealed file is told by every answer that had to do without it, and once in the log."""

import json
import re

import pytest
from structlog.testing import capture_logs

from nualley.app.archive import open_archive_writer, open_compactor, verify_archive
from nualley.app.doctor import site_checks
from nualley.app.site import Site
from nualley.archive.errors import SealedFileDamagedError
from nualley.config import load
from nualley.core import SECOND_NS, CheckState, parse_time_ns
from nualley.pv import Connection, Life, Sample, ValueType
from nualley.web.damages import HEADER
from nualley.web.observations import Observations, Observed
from nualley.web.observer import Observer
from nualley.web.status import status
from tests.house.test_documents import REPOSITORY, differences, unseen
from tests.unit.web.fakes import FakeClock
from tests.unit.web.test_web_appliance import browsing, strict
from tests.web.bench import write_experiment

BEGIN_NS = parse_time_ns("2026-01-01T00:00:00Z", 0)
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
NOW_NS = parse_time_ns("2026-01-04T00:00:00Z", 0)
EVER = "from=2026-01-01T00:00:00Z&to=2026-01-04T00:00:00Z"


@pytest.fixture
def site(tmp_path):
    """Three days of two PVs; of P, the second is damaged."""
    folder = write_experiment(tmp_path)
    site = Site(load(folder, environ={"NUALLEY_STORE": str(tmp_path / "store")}), FakeClock(NOW_NS))
    writer = open_archive_writer(site.archive_folder, clock=FakeClock(NOW_NS))
    emit = writer.recorder.receive
    for pv, value_type in (("P", ValueType.FLOAT64), ("Q", ValueType.INT64)):
        emit(Connection(pv, True, "ioc", BEGIN_NS, BEGIN_NS, "ca"))
        for hour in range(72):
            time_ns = BEGIN_NS + (hour * 3600 + 60) * SECOND_NS
            value = hour if value_type is ValueType.INT64 else float(hour)
            emit(Sample(pv, time_ns, value, value_type, 0, 0, "ca", time_ns))
    emit(Life("ioc", NOW_NS))
    writer.recorder.commit()
    writer.seal()
    writer.close()
    for path in damaged_paths(site):
        path.write_bytes(b"PAR1" * 50)
    return site


def damaged_paths(site):
    found = sorted(site.archive_folder.glob(f"day/{DAYS[1]}/float64-*.parquet"))
    assert found
    return found


def named(site):
    return [str(path.relative_to(site.archive_folder)) for path in damaged_paths(site)]


async def test_rows_and_bins_name_the_file_and_the_log_does_once(site):
    with capture_logs() as logs:
        async with browsing(site) as client:
            stretch = {"start": "2026-01-01T00:00:00Z", "stop": "2026-01-04T00:00:00Z"}
            rows = strict(await client.get("/api/archive/rows", params={"pv": "P", **stretch}))
            bins = [
                strict(await client.get("/api/archive/bins", params={"pv": "P", "n": 3, **stretch})) for _ in range(2)
            ]
            whole = strict(await client.get("/api/archive/rows", params={"pv": "Q", **stretch}))
            days = {"start": "2026-01-03T12:00:00Z", "stop": "2026-01-03T18:00:00Z"}
            beside = strict(await client.get("/api/archive/rows", params={"pv": "P", **days}))
    (path,) = named(site)
    for found in (rows, *bins):
        assert [path in damage for damage in found["damages"]] == [True]
    assert (whole["damages"], beside["damages"]) == ([], [])
    assert rows["columns"]["kind"].count("gap") == 1
    assert bins[0]["columns"]["n"] == [24, 24, 24], "cells tell"
    told = [entry for entry in logs if "sealed file is damaged" in entry["event"]]
    assert [path in entry["what"] for entry in told] == [True]
    assert told[0]["log_level"] == "error"


@pytest.mark.parametrize("form", ["json", "qw", "raw", "csv", "txt"])
async def test_answers_of_the_appliance_name_it_in_a_header(site, form):
    with capture_logs() as logs:
        async with browsing(site) as client:
            broken = await client.get(f"/retrieval/data/getData.{form}?pv=P&{EVER}")
            filled = await client.get(f"/retrieval/data/getData.{form}?pv=firstFill_3600(P)&{EVER}")
            whole = await client.get(f"/retrieval/data/getData.{form}?pv=Q&{EVER}")
    assert [answer.status_code for answer in (broken, filled, whole)] == [200] * 3
    (path,) = named(site)
    assert broken.headers[HEADER] == filled.headers[HEADER] == path
    assert HEADER not in whole.headers
    assert len([entry for entry in logs if "sealed file is damaged" in entry["event"]]) == 1


async def test_operators_over_the_address_are_made_of_cells_where_the_file_is_damaged_and_name_it(site):
    async with browsing(site) as client:
        answers = [
            await client.get(f"/retrieval/data/getData.json?pv={name}_86400(P)&{EVER}")
            for name in ("std", "mean", "count", "medianSample")
        ]
    assert [answer.headers[HEADER] for answer in answers] == named(site) * 4
    std, mean, count, median = ([row["val"] for row in strict(answer)[0]["data"]] for answer in answers)
    assert std == [pytest.approx(7.0711, abs=1e-4)] * 3
    assert (mean, count) == ([11.5, 35.5, 59.5], [24, 24, 24])
    assert median == [11.5, 59.5], "the day that only samples tell of is left out"


async def test_a_moment_in_a_damaged_file_has_no_value(site):
    async with browsing(site) as client:
        asked = [
            await client.post(f"/retrieval/data/getDataAtTime?at={day}T12:00:00Z", json=["P", "Q"]) for day in DAYS
        ]
    assert [sorted(strict(answer)) for answer in asked] == [["P", "Q"], ["Q"], ["P", "Q"]]
    assert [answer.headers.get(HEADER) for answer in asked] == [None, named(site)[0], None]


async def test_what_was_put_back_is_whole_and_told_again_when_it_breaks(site):
    (path,) = damaged_paths(site)
    (other,) = site.archive_folder.glob(f"day/{DAYS[2]}/float64-*.parquet")
    broken, whole = path.read_bytes(), other.read_bytes()
    question = f"/retrieval/data/getData.json?pv=P&{EVER}"
    headers = []
    with capture_logs() as logs:
        async with browsing(site) as client:
            for raw in (whole, broken, whole, broken):
                other.write_bytes(raw)
                headers.append((await client.get(question)).headers[HEADER])
    first, second = (str(each.relative_to(site.archive_folder)) for each in (path, other))
    assert headers == [first, f"{first}, {second}"] * 2
    assert len([entry for entry in logs if "sealed file is damaged" in entry["event"]]) == 3


# ------------------------------------------------------------------ the doctor
def examined(site):
    """Return what another process's doctor says of the files."""
    other = Site(site.configuration, FakeClock(NOW_NS))
    return [(result.state, result.detail, result.do) for result in dict(site_checks(other))["archive.files"]()]


async def asked(site, path):
    async with browsing(site) as client:
        assert (await client.get(path)).status_code == 200


async def test_the_page_names_what_the_web_process_met(site):
    def troubles():
        observer = Observer(site)
        files = next(look.work for look in observer._looks if look.part == "files")
        said = status(site.configuration, Observations(files=Observed(files(), NOW_NS)), NOW_NS)
        observer.stop()
        return said.processes

    assert not troubles()
    await asked(site, f"/retrieval/data/getData.json?pv=P&{EVER}")
    (trouble,) = troubles()
    assert trouble.what.startswith("archive.files: 1 of ")
    assert named(site)[0] in trouble.what
    assert "nualley archive verify" in trouble.do
    assert not trouble.is_alarm


@pytest.mark.parametrize(
    "path", [f"/retrieval/data/getData.json?pv=P&{EVER}", "/api/archive/bins?pv=P&start=2026-01-01T00:00:00Z&n=3"]
)
async def test_the_doctor_names_what_the_web_process_met(site, path, monkeypatch):
    ((state, detail, _),) = examined(site)
    assert state is CheckState.OK
    assert "none was found damaged, they were never all read (nualley archive verify)" in detail
    await asked(site, path)
    with monkeypatch.context() as patch:
        patch.setattr("nualley.archive.adapters.column_files.ParquetFolder.read", None)  # it reads no file for that
        patch.setattr("nualley.archive.adapters.column_files.ParquetFolder.digest", None)
        ((state, detail, do),) = examined(site)
    assert state is CheckState.FAILED
    assert f"{named(site)[0]} (a sealed file is not as it was written: " in detail
    assert "put a backup of each back, then: nualley archive verify" in do


async def test_the_doctor_says_that_a_file_was_put_back_and_verify_settles_it(site):
    (path,) = damaged_paths(site)
    broken = path.read_bytes()
    await asked(site, f"/retrieval/data/getData.json?pv=P&{EVER}")
    path.unlink()
    path.write_bytes(broken)
    ((state, detail, do),) = examined(site)
    assert (state, do) == (CheckState.WARNING, "nualley archive verify says what it is")
    assert named(site)[0] in detail
    assert not verify_archive(site.archive_folder).is_intact
    ((state, detail, _),) = examined(site)
    assert (state, named(site)[0] in detail) == (CheckState.FAILED, True), "it is damaged as well"
    path.unlink()
    ((state, detail, _),) = examined(site)
    assert state is CheckState.WARNING
    await asked(site, f"/retrieval/data/getData.json?pv=P&{EVER}")
    ((state, detail, _),) = examined(site)
    assert (state, "a sealed file is missing" in detail) == (CheckState.FAILED, True)


async def test_what_verify_finds_whole_is_noted_no_longer(site):
    (path,) = damaged_paths(site)
    (other,) = site.archive_folder.glob(f"day/{DAYS[2]}/float64-*.parquet")
    whole = other.read_bytes()
    other.write_bytes(broken := b"PAR1" * 50)
    await asked(site, f"/retrieval/data/getData.json?pv=P&{EVER}")
    ((_, detail, _),) = examined(site)
    assert detail.startswith("2 of ")
    other.write_bytes(whole)
    verify_archive(site.archive_folder)
    ((state, detail, _),) = examined(site)
    assert (state, detail.startswith("1 of ")) == (CheckState.FAILED, True)
    assert path.read_bytes() == broken


def test_what_verify_found_the_doctor_tells(site):
    verify_archive(site.archive_folder)
    ((state, detail, _),) = examined(site)
    assert (state, named(site)[0] in detail) == (CheckState.FAILED, True)


def test_a_note_that_cannot_be_read_is_told(site):
    verify_archive(site.archive_folder)
    (note,) = (path for path in (site.archive_folder / "damaged").iterdir() if path.name != "verified.json")
    note.write_text("{")
    with pytest.raises(SealedFileDamagedError, match="a note of damaged files cannot be read") as told:
        examined(site)
    assert told.value.do == "delete it, then: nualley archive verify"
    note.unlink()
    (site.archive_folder / "damaged" / "verified.json").write_text("[]")
    with pytest.raises(SealedFileDamagedError, match=r"cannot be read"):
        examined(site)


async def test_who_may_not_write_a_note_is_answered_all_the_same(site, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("nualley.archive.adapters.damage_notes.make_folders", refuse)
    await asked(site, f"/retrieval/data/getData.json?pv=P&{EVER}")
    assert examined(site)[0][0] is CheckState.OK


def test_a_damaged_file_that_compaction_met_is_noted(site):
    clock = FakeClock(NOW_NS + 90 * 86_400 * SECOND_NS)
    compactor = open_compactor(site.archive_folder, clock)
    assert any(compactor.run(job).damage for job in compactor.due())
    ((state, detail, _),) = examined(site)
    assert (state, named(site)[0] in detail) == (CheckState.FAILED, True)


# ------------------------------------------------------------------ the document
_PAGE = REPOSITORY / "docs" / "reference" / "json.md"
_EXAMPLES = dict(
    re.findall(r"^### `GET (/api/archive/\S+)`$.*?^```json\n(.*?)^```$", _PAGE.read_text(), re.DOTALL | re.MULTILINE)
)


@pytest.mark.parametrize("address", _EXAMPLES)
async def test_an_answer_over_http_is_as_documented(site, address):
    documented = json.loads(_EXAMPLES[address])
    async with browsing(site) as client:
        got = strict(await client.get(address))
    assert list(differences(documented, got)) == []
    assert unseen(documented, got) == ({"$.moved"} if "moved" in documented else set()), "no edge cuts a minute here"
    assert got["damages"][0].startswith(str(damaged_paths(site)[0]) + ": a sealed file is not as it was written: ")


def test_the_page_documents_all_of_the_archive_over_http():
    assert [address.partition("?")[0] for address in _EXAMPLES] == ["/api/archive/bins", "/api/archive/rows"]
    assert f"the header `{HEADER}`" in _PAGE.read_text()


async def test_edges_that_had_to_move_are_told(site):
    minute_ns = BEGIN_NS + 86_400 * SECOND_NS + 60 * SECOND_NS
    writer = open_archive_writer(site.archive_folder, clock=FakeClock(NOW_NS))
    for second in (10, 30):
        emit_ns = minute_ns + second * SECOND_NS
        writer.recorder.receive(Sample("R", emit_ns, float(second), ValueType.FLOAT64, 0, 0, "ca", emit_ns))
    writer.recorder.commit()
    writer.seal()
    writer.close()
    whole = set(damaged_paths(site))
    newest = max(site.archive_folder.glob(f"day/{DAYS[1]}/float64-*.parquet"))
    assert newest in whole
    newest.write_bytes(b"PAR1" * 50)
    async with browsing(site) as client:
        params = {"pv": "R", "start": "2026-01-02T00:01:20Z", "stop": "2026-01-02T00:02:00Z", "n": 1, "exact": True}
        found = strict(await client.get("/api/archive/bins", params=params))
    assert found["moved"] == [{"asked_ns": minute_ns + 20 * SECOND_NS, "given_ns": minute_ns}]
    assert found["columns"]["n"] == [2]
    assert len(found["damages"]) == 1
