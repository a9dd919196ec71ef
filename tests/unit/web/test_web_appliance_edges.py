"""Over HTTP: edges of years and months, the sample before, and strict JSON whatever words a PV brings."""

import csv
import json
import re
from contextlib import asynccontextmanager

import httpx
import pyarrow as pa
import pytest
from starlette.datastructures import QueryParams

from nualley.app.archive import open_archive_writer, open_compactor
from nualley.app.site import Site
from nualley.archive.appliance import answers
from nualley.archive.appliance.files import Damage, read_events
from nualley.config import load
from nualley.core import SECOND_NS, UsageError, format_time, parse_time_ns
from nualley.pv import Connection, Life, Limits, Metadata, Sample, ValueType
from nualley.web.appliance_words import question_of
from nualley.web.application import create_app
from tests.unit.web.fakes import FakeClock
from tests.web.bench import write_experiment

IOC = "127.0.0.1:5064"
STAMPS = [
    "2023-11-30T23:59:59.999999999Z",
    "2023-12-31T23:59:59.999999999Z",
    "2024-01-01T00:00:00Z",
    "2024-02-29T00:00:00Z",
    "2024-02-29T23:59:59.999999999Z",
    "2024-03-01T00:00:00Z",
    "2026-01-01T00:00:00Z",
]
TIMES_NS = [parse_time_ns(text, 0) for text in STAMPS]
NOW_NS = TIMES_NS[-1] + 60 * 86_400 * SECOND_NS
# a text that no terminal and no page should obey; NUL is told as an escape where an answer is made as a whole
EVIL = 'a"b\\c\n\r\t\x00\x7f</script>\u2028\U0001f4a9ν'
TOLD = EVIL.replace("\0", "\\x00")


class Told:
    def __init__(self, folder, request) -> None:
        experiment = write_experiment(folder)
        clock = FakeClock(NOW_NS)
        self.site = Site(load(experiment, {"NUALLEY_STORE": str(folder / "store")}), clock)
        writer = open_archive_writer(self.site.archive_folder, clock=clock)
        emit = writer.recorder.receive
        emit(Connection("P", True, IOC, TIMES_NS[0], TIMES_NS[0], "ca"))
        for number, time_ns in enumerate(TIMES_NS):
            emit(Sample("P", time_ns, float(number), ValueType.FLOAT64, 0, 0, "ca", time_ns))
            if request != "log":
                writer.seal()
        limits = Limits(display_high=float("inf"), display_low=float("nan"), alarm_high=1.5)
        for pv, value_type, value in (
            ("ODD", ValueType.ENUM, 1),
            ("TEXT", ValueType.STRING, EVIL),
            ("WAVE", ValueType.FLOAT64_ARRAY, [float("nan"), float("inf"), -float("inf"), 1.0]),
            ("NAN", ValueType.FLOAT64, float("nan")),
            ("INF", ValueType.FLOAT64, -float("inf")),
        ):
            emit(Connection(pv, True, IOC, TIMES_NS[-1], TIMES_NS[-1], "ca"))
            emit(Metadata(pv, TIMES_NS[-1], value_type, unit=EVIL, precision=2, labels=(EVIL, '"'), limits=limits))
            emit(Sample(pv, TIMES_NS[-1], value, value_type, 0, 0, "ca", TIMES_NS[-1]))
        emit(Life(IOC, NOW_NS))
        writer.close()
        if request == "months":
            compactor = open_compactor(self.site.archive_folder, clock)
            for job in compactor.due(is_all=True):
                assert not compactor.run(job).damage

    @asynccontextmanager
    async def browsing(self):
        app = create_app(self.site)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:17668") as client,
        ):
            yield client


@pytest.fixture(scope="module", params=["log", "days", "months"])
def told(tmp_path_factory, request):
    return Told(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    return Told(tmp_path_factory.mktemp("odd"), "log")


def strict(answer):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    assert answer.status_code == 200, answer.text[:300]
    return json.loads(answer.text, parse_constant=refuse)


def stamps(rows):
    return [row["secs"] * SECOND_NS + row["nanos"] for row in rows]


def words(time_ns):
    return format_time(time_ns, digits=9)


def held(begin_ns, end_ns):
    """What an appliance gives: the sample that holds at the begin, and those up to the end, which is inside."""
    before = [time_ns for time_ns in TIMES_NS if time_ns <= begin_ns][-1:]
    return [*before, *(time_ns for time_ns in TIMES_NS if begin_ns < time_ns <= end_ns)]


async def test_get_data_at_every_edge(told):
    async with told.browsing() as client:
        for time_ns in TIMES_NS:
            for begin_ns, end_ns in ((0, 5), (-5, 0), (1, 5), (-5, -1), (-1, 1), (0, 0)):
                stretch = time_ns + begin_ns, time_ns + end_ns
                query = {"pv": "P", "from": words(stretch[0]), "to": words(stretch[1])}
                (found,) = strict(await client.get("/retrieval/data/getData.json", params=query))
                assert stamps(found["data"]) == held(*stretch), query
        query = {"pv": "P", "from": words(TIMES_NS[0]), "to": words(TIMES_NS[-1])}
        (found,) = strict(await client.get("/retrieval/data/getData.json", params=query))
        assert stamps(found["data"]) == TIMES_NS
        raw = (await client.get("/retrieval/data/getData.raw", params=query)).content
        parts = list(read_events(raw.splitlines(keepends=True), "raw", Damage()))
        assert [time_ns for part in parts for time_ns in part.time_ns.tolist()] == TIMES_NS, "a chunk a year"
        assert len(parts) == 3


async def test_get_data_at_time_at_every_edge(told):
    async with told.browsing() as client:
        for time_ns in TIMES_NS:
            for asked_ns in (time_ns - 1, time_ns, time_ns + 1):
                answer = await client.post(
                    "/retrieval/data/getDataAtTime", params={"at": words(asked_ns)}, content=b'["P"]'
                )
                found = strict(answer)
                assert (stamps([found["P"]]) if found else []) == held(asked_ns, asked_ns)
        over_months = {"at": "2023-12-15T00:00:00Z"}
        found = strict(await client.post("/retrieval/data/getDataAtTime", params=over_months, content=b'["P"]'))
        assert stamps([found["P"]]) == [TIMES_NS[0]]
        found = strict(
            await client.post(
                "/retrieval/data/getDataAtTime", params={**over_months, "searchPeriod": "P10D"}, content=b'["P"]'
            )
        )
        assert found == {}, "older than it was asked for"


@pytest.mark.parametrize("path", ["json", "qw"])
@pytest.mark.parametrize("pv", ["ODD", "TEXT", "WAVE", "NAN", "INF", "ncount(NAN)", "optimized_3(NAN)", "mean_5(INF)"])
async def test_every_answer_is_strict_json(odd, path, pv):
    async with odd.browsing() as client:
        query = {"pv": pv, "from": words(TIMES_NS[-1] - 10), "to": words(TIMES_NS[-1] + SECOND_NS)}
        (found,) = strict(await client.get(f"/retrieval/data/getData.{path}", params=query))
        assert found["meta"]["EGU"] == EVIL
        assert "HOPR" not in found["meta"]
        assert found["meta"]["ENUM_0"] == EVIL
        if pv == "TEXT":
            assert [row["val"] for row in found["data"]] == [EVIL]
        if pv == "WAVE":
            assert [row["val"] for row in found["data"]] == [[None, None, None, 1.0]]
        if pv in ("NAN", "INF"):
            assert [row["val"] for row in found["data"]] == [None]


async def test_a_text_is_one_line_whatever_it_holds(odd):
    async with odd.browsing() as client:
        query = {"pv": ["TEXT", "WAVE"], "from": words(TIMES_NS[-1] - 10), "to": words(TIMES_NS[-1] + SECOND_NS)}
        lines = (await client.get("/retrieval/data/getData.txt", params=query)).text.splitlines()
    assert [line[:9] for line in lines] == ["Beginning", "2026-01-0"] * 2
    (row,) = csv.reader([lines[1]], delimiter="\t")
    value = re.sub(r"\\(?:x..|u....|.)", lambda match: match[0].encode().decode("unicode_escape"), row[1])
    assert (len(row), len(lines[1].split("\t")), value) == (5, 5, EVIL)
    assert lines[3].split("\t")[1] == "[NaN, Infinity, -Infinity, 1.0]"


@pytest.mark.parametrize("letter", [chr(code) for code in range(0x2100) if len(f"a{chr(code)}b".splitlines()) > 1])
def test_every_end_of_a_line_is_escaped(letter):
    table = pa.table({"time_ns": [0, 1], "value": [f"a{letter}b", "\\n"], "severity": [0, 0], "status": [0, 0]})
    (_, rows) = answers.FORMS["txt"].parts([answers.History("P", {}, [table], 0)])
    first, second = rows.decode().splitlines()
    assert (first.count("\t"), second.split("\t")[1]) == (4, "\\\\n")


def test_text_arrays_are_json_in_txt_too():
    table = pa.table({"time_ns": [0], "value": [["a\n", "b\\"]], "severity": [0], "status": [0]})
    (_, rows) = answers.FORMS["txt"].parts([answers.History("P", {}, [table], 0)])
    (row,) = csv.reader([rows.decode()], delimiter="\t")
    assert json.loads(row[1]) == ["a\n", "b\\"]


@pytest.mark.parametrize(
    "path",
    [
        "/retrieval/bpl/getMetadata?pv=ODD",
        "/mgmt/bpl/getPVTypeInfo?pv=ODD",
        "/mgmt/bpl/getPVDetails?pv=INF",
        "/mgmt/bpl/getPVStatus?pv=*",
        "/mgmt/bpl/getSilentPVsReport",
        "/mgmt/bpl/getEventRateReport",
        "/api/status",
        "/api/archive/rows?pv=TEXT&start=2026-01-01",
        "/api/archive/rows?pv=WAVE&start=2026-01-01",
        "/api/archive/rows?pv=NAN&start=2026-01-01",
        "/api/archive/bins?pv=NAN&start=2026-01-01&n=3",
        "/api/archive/bins?pv=INF&start=2026-01-01&n=3",
        "/api/archive/bins?pv=ODD&start=2026-01-01&n=3",
    ],
)
async def test_what_is_known_of_odd_pvs_is_strict_json(odd, path):
    async with odd.browsing() as client:
        assert strict(await client.get(path))


async def test_a_moment_is_strict_json_too(odd):
    async with odd.browsing() as client:
        answer = await client.post(
            "/retrieval/data/getDataAtTime", params={"at": words(TIMES_NS[-1])}, content=b'["NAN","INF","WAVE","TEXT"]'
        )
        found = strict(answer)
    assert [found[pv]["val"] for pv in ("NAN", "INF", "WAVE", "TEXT")] == [None, None, [None, None, None, 1.0], TOLD]


@pytest.mark.parametrize("name", ["from", "to", "timeranges"])
def test_a_word_that_is_no_time_names_its_parameter(name):
    for text in ("yesterday", "9" * 100):
        with pytest.raises(UsageError) as caught:
            question_of(QueryParams({"pv": "P", name: f"{text},{text}" if name == "timeranges" else text}), 0)
        assert caught.value.where == name
