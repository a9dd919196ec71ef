"""The archive over HTTP: what the command says, in strict JSON, and refusals that say what to do."""

import json
from contextlib import asynccontextmanager

import httpx
import pytest

from nualley.app.archive import open_archive_reader, open_archive_writer
from nualley.archive import ArchiveMissingError
from nualley.core import SECOND_NS, parse_time_ns
from nualley.pv import Connection, Life, Metadata, Sample, ValueType
from nualley.web import archive_api
from nualley.web.application import create_app
from tests.unit.web.fakes import FakeSite

BEGIN_NS = parse_time_ns("2026-11-01T00:00:00Z", 0)
STRETCH = {"start": "2026-11-01T00:00:00Z", "stop": "2026-11-01T00:10:00Z"}


@pytest.fixture
def site(configuration, tmp_path):
    writer = open_archive_writer(tmp_path)
    emit = writer.recorder.receive
    emit(Connection("P", True, "ioc", BEGIN_NS, BEGIN_NS, "ca"))
    emit(Metadata("P", BEGIN_NS, ValueType.FLOAT64, unit="kW"))
    for number in range(10):
        time_ns = BEGIN_NS + number * 60 * SECOND_NS
        value = float("nan") if number == 3 else float("inf") if number == 4 else float(number)
        emit(Sample("P", time_ns, value, ValueType.FLOAT64, 0, 0, "ca", time_ns))
        emit(Life("ioc", time_ns))
    emit(Connection("W", True, "ioc", BEGIN_NS, BEGIN_NS, "ca"))
    emit(Sample("W", BEGIN_NS, "open", ValueType.STRING, 0, 0, "ca", BEGIN_NS))
    emit(Connection("N", True, "ioc", BEGIN_NS, BEGIN_NS, "ca"))
    emit(Sample("N", BEGIN_NS + 1, 2**53 + 1, ValueType.INT64, 0, 0, "ca", BEGIN_NS))
    emit(Sample("W", BEGIN_NS + SECOND_NS, "a\0b", ValueType.STRING, 0, 0, "ca", BEGIN_NS))
    writer.close()
    return FakeSite(configuration, opened_part=open_archive_reader(tmp_path))


@asynccontextmanager
async def browsing(site):
    app = create_app(site)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8710") as client,
    ):
        yield client


def strict(answer):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(answer.text, parse_constant=refuse)


async def test_bins(site):
    async with browsing(site) as client:
        answer = await client.get("/api/archive/bins", params={"pv": "P", "n": 2, **STRETCH})
    found = strict(answer)
    assert (answer.status_code, found["pv"], found["unit"]) == (200, "P", "kW")
    assert found["columns"]["n"] == [5, 5]
    assert found["columns"]["n_good"] == [3, 5]
    assert found["columns"]["max"] == [2.0, 9.0]


async def test_rows_are_strict_json_with_nan_and_inf(site):
    async with browsing(site) as client:
        answer = await client.get("/api/archive/rows", params={"pv": "P", **STRETCH})
    values = strict(answer)["columns"]["value"]
    assert [value for value in values if value is not None] == [0.0, 1.0, 2.0, 5.0, 6.0, 7.0, 8.0, 9.0]


async def test_whole_numbers_are_exact_and_text_has_no_nul(site):
    async with browsing(site) as client:
        numbers = await client.get("/api/archive/rows", params={"pv": "N", **STRETCH})
        text = await client.get("/api/archive/rows", params={"pv": "W", **STRETCH})
    columns = strict(numbers)["columns"]
    assert [value for value in columns["value"] if value is not None] == [2**53 + 1]
    assert BEGIN_NS + 1 in columns["time_ns"]
    assert [value for value in strict(text)["columns"]["value"] if value] == ["open", "a\\x00b"]


def test_what_is_no_utf8_is_written_as_everywhere():
    assert json.loads(archive_api._written({"unit": "\udcb0C"})) == {"unit": "\\xb0C"}


@pytest.mark.parametrize(
    ("path", "params", "code", "said"),
    [
        ("bins", {"pv": "P", "n": "0"}, 400, "0 bins"),
        ("bins", {"pv": "W"}, 400, "W holds string"),
        ("bins", {"pv": "Q"}, 400, "'Q' is not archived"),
        ("bins", {"pv": "../../etc/passwd"}, 400, "cannot be the name of a PV"),
        ("rows", {"pv": "X" * 60_000}, 400, "cannot be the name of a PV"),
        ("rows", {"pv": "P", "start": "yesterday"}, 400, "yesterday"),
    ],
)
async def test_what_cannot_be_answered_says_why(site, path, params, code, said):
    async with browsing(site) as client:
        answer = await client.get(f"/api/archive/{path}", params={**STRETCH, **params})
    assert answer.status_code == code
    error = strict(answer)["error"]
    assert said in error["what"]
    assert error["do"]
    assert len(answer.content) < 1000


async def test_too_many_rows_are_refused_before_they_are_read(site, monkeypatch):
    monkeypatch.setattr(archive_api, "MOST_ROWS", 5)
    async with browsing(site) as client:
        answer = await client.get("/api/archive/rows", params={"pv": "P", **STRETCH})
    assert answer.status_code == 400
    assert "rows are too many for one answer" in strict(answer)["error"]["what"]


async def test_nothing_archived_yet(configuration):
    site = FakeSite(configuration, opened_part=ArchiveMissingError("nothing was archived yet"))
    async with browsing(site) as client:
        answer = await client.get("/api/archive/bins", params={"pv": "P"})
    assert (answer.status_code, strict(answer)["error"]["code"]) == (503, 4)


@pytest.mark.parametrize("name", ["start", "stop"])
async def test_a_word_that_is_no_time_names_its_parameter(site, name):
    async with browsing(site) as client:
        answer = await client.get("/api/archive/rows", params={"pv": "P", **STRETCH, name: "-5parsec"})
    assert answer.status_code == 400
    assert strict(answer)["error"]["where"] == name
