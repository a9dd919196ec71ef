"""The calls of Archiver Appliance clients, over a real archive: samples in all forms, names, status, changes."""

import json
import shutil
from contextlib import asynccontextmanager

import httpx
import pytest

from nualley.app.archive import open_archive_writer
from nualley.app.archive_changes import change_archive
from nualley.app.errors import NoControlError
from nualley.app.locks import hold_role
from nualley.app.site import Site
from nualley.archive import Verb
from nualley.archive.appliance import answers
from nualley.archive.appliance.files import Damage, read_events
from nualley.config import load
from nualley.core import SECOND_NS, NualleyError, UsageError, parse_time_ns
from nualley.pv import Connection, Life, Limits, Metadata, Sample, ValueType
from nualley.web import appliance_service
from nualley.web.appliance_changes import one_by_one
from nualley.web.application import create_app
from tests.unit.web.fakes import FakeClock
from tests.web.bench import write_experiment

NEW_YEAR_NS = parse_time_ns("2026-01-01T00:00:00Z", 0)
NOW_NS = NEW_YEAR_NS + 600 * SECOND_NS
TOKEN = "0123456789abcdef" * 4
IOC = "127.0.0.1:5064"
PV, WORDS, MODE, WAVE, BIG, GONE = "LAB:T-1", "LAB:NOTE", "LAB:MODE", "LAB:WAVE", "LAB:BIG", "LAB:GONE"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return the folder of an archive; each test has a copy of its own."""
    folder = tmp_path_factory.mktemp("recorded") / "archive"
    writer = open_archive_writer(folder, clock=FakeClock(NOW_NS))
    emit = writer.recorder.receive
    begin_ns = NEW_YEAR_NS - 60 * SECOND_NS
    told = {
        # one sample a second over the turn of the year, the tenth of them no number, the eleventh infinite
        PV: (
            ValueType.FLOAT64,
            [float(n) if n not in (10, 11) else float("nan" if n == 10 else "inf") for n in range(120)],
        ),
        WORDS: (ValueType.STRING, ['a, "b"\n', "ν"]),
        MODE: (ValueType.ENUM, [0, 1]),
        WAVE: (ValueType.FLOAT64_ARRAY, [[1.0, float("nan")], [2.0]]),
        BIG: (ValueType.INT64, [1, 2**40]),
        GONE: (ValueType.FLOAT64, [1.0]),
    }
    for pv, (value_type, values) in told.items():
        emit(Connection(pv, True, IOC, begin_ns, begin_ns, "ca"))
        labels = ("off", "on") if value_type is ValueType.ENUM else ()
        limits = Limits(display_low=0.0, display_high=400.0, alarm_high=float("nan"))
        emit(Metadata(pv, begin_ns, value_type, unit="K", precision=2, labels=labels, limits=limits))
        for number, value in enumerate(values):
            time_ns = begin_ns + number * SECOND_NS + 5
            emit(Sample(pv, time_ns, value, value_type, number % 4, 7, "ca", time_ns))
    emit(Life(IOC, NOW_NS))
    emit(Connection(GONE, False, IOC, NOW_NS, NOW_NS - SECOND_NS, "ca"))
    writer.close()
    return folder


@pytest.fixture
def site(tmp_path, recorded):
    folder = write_experiment(tmp_path)
    tokens = tmp_path / "tokens"
    tokens.write_text(f"zoe {TOKEN}\n")
    tokens.chmod(0o600)
    environ = {"NUALLEY_STORE": str(tmp_path / "store"), "NUALLEY_WEB__MANAGE_TOKENS_FILE": str(tokens)}
    site = Site(load(folder, environ), FakeClock(NOW_NS))
    shutil.copytree(recorded, site.archive_folder)
    return site


@asynccontextmanager
async def browsing(site):
    app = create_app(site)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:17668") as client,
    ):
        yield client


async def ask(site, path, *, method="GET", code=200, **more):
    async with browsing(site) as client:
        answer = await client.request(method, path, **more)
    assert answer.status_code == code, answer.text[:500]
    return answer


def strict(answer):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(answer.text, parse_constant=refuse)


DATA = "/retrieval/data/getData"
EVER = "from=2025-01-01T00:00:00Z&to=2026-01-01T00:00:00Z"
FIRST = "from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:59Z"
MINUTE = "from=2026-01-01T00:00:10.000Z&to=2026-01-01T00:00:20.000Z"


# ------------------------------------------------------------------ samples
async def test_json_is_strict_and_begins_with_the_sample_before(site):
    (found,) = strict(
        await ask(site, f"{DATA}.json?pv={PV}&from=2025-12-31T23:59:08Z&to=2025-12-31T23:59:12.000000005Z")
    )
    assert found["meta"] == {"name": PV, "EGU": "K", "PREC": "2", "HOPR": "400.0", "LOPR": "0.0"}
    begin_s = NEW_YEAR_NS // SECOND_NS - 60
    assert found["data"][0] == {"secs": begin_s + 7, "val": 7.0, "nanos": 5, "severity": 3, "status": 7}
    assert [row["val"] for row in found["data"]] == [7.0, 8.0, 9.0, None, None, 12.0]


@pytest.mark.parametrize(
    "words",
    [
        "from=2026-01-01T00:00:10.000Z&to=2026-01-01T00:00:20.000Z",
        "from=2026-01-01T01:00:10%2B01:00&to=2026-01-01T01:00:20%2B01:00",
        "from=2026-01-01T01:00:10+01:00&to=2026-01-01T01:00:20+01:00",
        "from=2025-12-31T17:00:10.000-07:00&to=2025-12-31T17:00:20.000-07:00",
        "from=2026-01-01T00:00:10.000000Z&to=2026-01-01T00:00:20.000Z&donotchunk",
        "from=2026-01-01T00%3A00%3A10Z&to=2026-01-01T00:00:20Z&fetchLatestMetadata=true&retiredPVTemplate=x",
        "timeranges=2026-01-01T00:00:10Z,2026-01-01T00:00:15Z,2026-01-01T00:00:15Z,2026-01-01T00:00:20Z",
    ],
)
async def test_times_as_clients_write_them(site, words):
    (found,) = strict(await ask(site, f"{DATA}.json?pv={PV}&{words}"))
    assert [row["val"] for row in found["data"]] == [69.0, *map(float, range(70, 80))]


async def test_from_equal_to_to_is_the_last_sample(site):
    (found,) = strict(await ask(site, f"{DATA}.json?pv={PV}&from=2027-01-01T00:00:00Z&to=2027-01-01T00:00:00Z"))
    assert [row["val"] for row in found["data"]] == [119.0]


async def test_several_pvs_of_all_types(site):
    pvs = "&".join(f"pv={pv}" for pv in (WORDS, MODE, WAVE, BIG))
    found = strict(await ask(site, f"{DATA}.json?{pvs}&{EVER}"))
    values = {each["meta"]["name"]: [row["val"] for row in each["data"]] for each in found}
    assert values == {WORDS: ['a, "b"\n', "ν"], MODE: [0, 1], WAVE: [[1.0, None], [2.0]], BIG: [1, 2**40]}
    assert found[1]["meta"]["ENUM_1"] == "on"


async def test_quick_charts_get_milliseconds(site):
    (found,) = strict(await ask(site, f"{DATA}.qw?pv={PV}&{MINUTE}"))
    assert (found["meta"]["name"], found["meta"]["waveform"]) == (PV, False)
    assert found["data"][1] == {"millis": NEW_YEAR_NS // 1_000_000 + 10_000, "val": 70.0}


async def test_lines(site):
    csv = await ask(site, f"{DATA}.csv?pv={PV}&from=2025-12-31T23:59:09.5Z&to=2025-12-31T23:59:11.5Z")
    begin_s = NEW_YEAR_NS // SECOND_NS - 60
    assert csv.text.splitlines() == [
        f"{begin_s + 9},9.0,1,7,5",
        f"{begin_s + 10},NaN,2,7,5",
        f"{begin_s + 11},Infinity,3,7,5",
    ]
    quoted = await ask(site, f"{DATA}.csv?pv={WORDS}&{EVER}")
    assert quoted.text.startswith(f'{begin_s},"a, ""b""\n",0,7,5\n')
    text = await ask(site, f"{DATA}.txt?pv={PV}&pv={MODE}&{MINUTE}")
    assert f"Beginning data for {PV}\n2026-01-01T00:00:09Z\t69.0\t1\t7\t5\n" in text.text
    assert f"Beginning data for {MODE}\n" in text.text
    text = await ask(site, f"{DATA}.txt?pv={WORDS}&{EVER}")
    assert text.text == (
        f'Beginning data for {WORDS}\n2025-12-31T23:59:00Z\t"a, ""b""\\n"\t0\t7\t5\n2025-12-31T23:59:01Z\tν\t1\t7\t5\n'
    )


def events_of(answer):
    damage = Damage()
    found = list(read_events([line + b"\n" for line in answer.content.split(b"\n")[:-1]], "answer", damage))
    assert not damage.n_lines, damage
    return found


async def test_raw_is_a_chunk_a_year(site):
    answer = await ask(site, f"{DATA}.raw?pv={PV}&from=2025-12-31T00:00:00Z&to=2026-01-02T00:00:00Z")
    assert answer.headers["content-type"] == "application/x-protobuf"
    assert answer.content.count(b"\n\n") == 1
    old, new = events_of(answer)
    assert (len(old), len(new), new.time_ns[0], old.unit) == (60, 60, NEW_YEAR_NS + 5, "K")


async def test_raw_of_several_pvs_and_types(site):
    pvs = "&".join(f"pv={pv}" for pv in (WORDS, MODE, WAVE, BIG))
    found = events_of(await ask(site, f"{DATA}.raw?{pvs}&{EVER}"))
    assert [(part.pv, part.value_type) for part in found] == [
        (WORDS, ValueType.STRING),
        (MODE, ValueType.ENUM),
        (WAVE, ValueType.FLOAT64_ARRAY),
        (BIG, ValueType.FLOAT64),
    ]
    assert found[0].value.to_pylist() == ['a, "b"\n', "ν"]
    assert found[3].value.to_pylist() == [1.0, 2.0**40]


async def test_a_lost_connection_is_told_with_the_sample_behind_it(site):
    writer = open_archive_writer(site.archive_folder, clock=site.clock)
    writer.recorder.receive(Connection(GONE, True, IOC, NOW_NS + SECOND_NS, NOW_NS + SECOND_NS, "ca"))
    writer.recorder.receive(Sample(GONE, NOW_NS + 2 * SECOND_NS, 2.0, ValueType.FLOAT64, 0, 0, "ca", NOW_NS))
    writer.close()
    words = f"pv={GONE}&from=2025-01-01T00:00:00Z&to=2027-01-01T00:00:00Z"
    (found,) = strict(await ask(site, f"{DATA}.json?{words}"))
    second_s = NOW_NS // SECOND_NS
    fields = {"cnxlostepsecs": str(second_s - 1), "cnxregainedepsecs": str(second_s + 1)}
    assert [row.get("fields") for row in found["data"]] == [None, fields]
    *_, part = events_of(await ask(site, f"{DATA}.raw?{words}"))
    assert [time_ns // SECOND_NS for time_ns, _ in part.links] == [second_s - 1, second_s + 1]


async def test_no_bin_repeats_what_was_before_where_only_its_first_moment_was_asked_for(site):
    """The end is inside; the samples of the minute that begins with it are not."""
    writer = open_archive_writer(site.archive_folder, clock=site.clock)
    emit = writer.recorder.receive
    emit(Connection("LAB:B", True, IOC, NEW_YEAR_NS, NEW_YEAR_NS, "ca"))
    for second in range(1, 360, 7):
        time_ns = NEW_YEAR_NS + second * SECOND_NS
        emit(Sample("LAB:B", time_ns, float(second), ValueType.FLOAT64, 0, 0, "ca", time_ns))
    writer.close()
    words = "from=2026-01-01T00:01:00Z&to=2026-01-01T00:03"
    for second, minutes in ((":00Z", [0, 1, 2]), (":20Z", [0, 1, 2, 3])):
        (found,) = strict(await ask(site, f"{DATA}.json?pv=mean_60(LAB:B)&{words}{second}"))
        times = [(row["secs"] - NEW_YEAR_NS // SECOND_NS) // 60 for row in found["data"]]
        assert times == minutes
        assert len({row["val"] for row in found["data"]}) == len(minutes)


@pytest.mark.parametrize("form", ["json", "qw", "raw", "csv", "txt"])
async def test_no_samples_are_an_answer(site, form):
    answer = await ask(site, f"{DATA}.{form}?pv={PV}&from=2024-01-01T00:00:00Z&to=2024-01-02T00:00:00Z")
    if form in ("json", "qw"):
        assert strict(answer)[0]["data"] == []
    elif form == "raw":
        assert events_of(answer) == []
        assert answer.content.count(b"\n") == 1


async def test_operators_work_as_in_the_command(site):
    (found,) = strict(await ask(site, f"{DATA}.json?pv=mean_30({PV})&{FIRST}"))
    # the sample from before makes a bin of its own
    assert [row["val"] for row in found["data"]] == [59.0, 74.5, 104.0]
    (found,) = strict(await ask(site, f"{DATA}.json?pv=optimized_4({PV})&{FIRST}"))
    assert [len(row["val"]) for row in found["data"]] == [5] * 6
    (mode,) = events_of(await ask(site, f"{DATA}.raw?pv=optimized_1({MODE})&{EVER}"))
    assert (mode.value_type, len(mode)) == (ValueType.ENUM, 2)


async def test_an_operator_for_all_that_come_without_one(site):
    meant, raw = [strict(await ask(site, f"{DATA}.json?pv={pv}&{FIRST}"))[0]["data"] for pv in (f"mean_30({PV})", PV)]
    assert strict(await ask(site, f"{DATA}.json?pv={PV}&{FIRST}&pp=mean_30"))[0]["data"] == meant != raw
    assert strict(await ask(site, f"{DATA}.json?pv=mean({PV},30)&{FIRST}"))[0]["data"] == meant
    assert strict(await ask(site, f"{DATA}.json?pv={PV}&{FIRST}&pp="))[0]["data"] == raw
    assert strict(await ask(site, f"{DATA}.json?pv={PV}&{FIRST}&pp=mean_30&ca_count=2&ca_how=4"))[0]["data"] == meant
    first, second = strict(await ask(site, f"{DATA}.json?pv=ncount({PV})&pv={PV}&{FIRST}&pp=mean_30"))
    assert (len(first["data"]), second["data"]) == (1, meant)
    for wrong in ("meen_30", "mean_30(X)", "mean_30_5"):
        assert strict(await ask(site, f"{DATA}.json?pv={PV}&pp={wrong}", code=400))["error"]["do"]


async def test_the_value_of_a_pv_is_the_pv_where_that_alone_is_archived(site):
    for form in ("json", "raw"):
        plain = await ask(site, f"{DATA}.{form}?pv={PV}&{MINUTE}")
        named = await ask(site, f"{DATA}.{form}?pv={PV}.VAL&{MINUTE}")
        # who asks finds the name by which it asked
        assert named.content.replace(b".VAL", b"")[-100:] == plain.content[-100:]
    (found,) = strict(await ask(site, f"{DATA}.json?pv=mean_30({PV}.VAL)&{FIRST}"))
    assert (found["meta"]["name"], found["data"][0]["val"]) == (f"{PV}.VAL", 59.0)
    moment = strict(await ask(site, "/retrieval/data/getDataAtTime", method="POST", json=[f"{PV}.VAL", "NO.VAL"]))
    assert {pv: row["val"] for pv, row in moment.items()} == {f"{PV}.VAL": 119.0}
    change_archive(site, Verb.ADD, PV)
    (row,) = strict(await ask(site, f"/mgmt/bpl/getPVStatus?pv={PV}.VAL"))
    assert (row["pvName"], row["pvNameOnly"], row["status"]) == (f"{PV}.VAL", PV, "Being archived")
    assert strict(await ask(site, f"/mgmt/bpl/getPVTypeInfo?pv={PV}.VAL"))["pvName"] == PV
    assert "'NO.VAL'" in strict(await ask(site, f"{DATA}.json?pv=NO.VAL", code=404))["error"]["what"]
    await ask(site, f"{DATA}.json?pv={PV}.HIGH", code=404)
    change_archive(site, Verb.ADD, "LAB:V.VAL")
    assert strict(await ask(site, "/mgmt/bpl/getPVTypeInfo?pv=LAB:V"))["pvName"] == "LAB:V.VAL"


async def test_the_value_of_a_pv_is_archived_once(site):
    authorized = {"headers": {"Authorization": f"Bearer {TOKEN}"}}
    before = strict(await ask(site, "/mgmt/bpl/getAllPVs"))
    told = []
    for pv in ("LAB:W", "LAB:W.VAL", "ca://LAB:W.VAL", "LAB:V.VAL", "LAB:V", f"{PV}.VAL", PV):
        told += strict(await ask(site, f"/mgmt/bpl/archivePV?pv={pv}", **authorized))
    new, known = "Archive request submitted", "Already submitted"
    assert [row["status"] for row in told] == [new, known, known, new, known, new, known]
    # what is stored goes on under its name
    assert sorted(strict(await ask(site, "/mgmt/bpl/getAllPVs"))) == sorted([*before, "LAB:V.VAL", "LAB:W"])


@pytest.mark.parametrize("form", ["json", "qw", "raw"])
async def test_several_pvs_by_the_call_of_the_appliance(site, form):
    several = "/retrieval/data/getDataForPVs"
    meant = (await ask(site, f"{DATA}.{form}?pv={PV}&pv=mean_30({PV})&pv={BIG}&{FIRST}")).content
    assert (await ask(site, f"{several}.{form}?pv={PV}&pv=mean({PV},30)&pv={BIG}&{FIRST}")).content == meant
    for body in ({"json": [PV, f"mean({PV},30)", BIG]}, {"data": {"pv": f"{PV},mean({PV},30),{BIG}"}}):
        assert (await ask(site, f"{several}.{form}?{FIRST}", method="POST", **body)).content == meant
    assert strict(await ask(site, f"{several}.{form}", code=400))["error"]["what"] == "no pv"


async def test_fewer_samples_as_channel_archiver_clients_ask(site):
    (found,) = strict(await ask(site, f"{DATA}.json?pv={PV}&{FIRST}&ca_count=2&ca_how=2"))
    assert len(found["data"]) == 4
    refused = strict(await ask(site, f"{DATA}.json?pv={PV}&ca_count=2&ca_how=3", code=400))
    assert "optimized_2" in refused["error"]["do"]


async def test_a_long_answer_comes_in_parts_and_is_the_same(site, monkeypatch):
    whole = await ask(site, f"{DATA}.json?pv={PV}&pv={MODE}&from=2025-01-01T00:00:00Z")
    raw = await ask(site, f"{DATA}.raw?pv={PV}&pv={BIG}&from=2025-01-01T00:00:00Z")
    monkeypatch.setattr(answers, "SLICE_ROWS", 7)
    assert (await ask(site, f"{DATA}.json?pv={PV}&pv={MODE}&from=2025-01-01T00:00:00Z")).content == whole.content
    assert (await ask(site, f"{DATA}.raw?pv={PV}&pv={BIG}&from=2025-01-01T00:00:00Z")).content == raw.content


async def test_another_name_has_the_same_history(site):
    change_archive(site, Verb.ADD, PV)
    change_archive(site, Verb.ALIAS, PV, name="BOTTOM")
    (found,) = strict(await ask(site, f"{DATA}.json?pv=BOTTOM&{MINUTE}"))
    assert (found["meta"]["name"], len(found["data"])) == ("BOTTOM", 11)
    assert strict(await ask(site, "/retrieval/bpl/getMatchingPVs?pv=BOTT*")) == ["BOTTOM"]
    (status,) = strict(await ask(site, "/mgmt/bpl/getPVStatus?pv=BOTTOM"))
    assert (status["pvName"], status["status"]) == ("BOTTOM", "Being archived")


async def test_a_pv_that_was_never_heard_has_no_samples(site):
    (found,) = strict(await ask(site, f"{DATA}.json?pv=DEMO:BEAM:POWER&{MINUTE}"))
    assert found == {"meta": {"name": "DEMO:BEAM:POWER"}, "data": []}


async def test_before_anything_was_archived(site):
    shutil.rmtree(site.archive_folder)
    assert "DEMO:BEAM:POWER" in strict(await ask(site, "/retrieval/bpl/getMatchingPVs?pv=*"))
    assert strict(await ask(site, f"{DATA}.json?pv=DEMO:BEAM:POWER"))[0]["data"] == []
    assert strict(await ask(site, f"{DATA}.json?pv={PV}", code=503))["error"]["code"] == 4
    never = strict(await ask(site, "/mgmt/bpl/getNeverConnectedPVs"))
    assert {"pvName": "DEMO:BEAM:POWER", "appliance": "nualley", "requestTime": "Never"} in never
    assert strict(await ask(site, "/retrieval/data/getDataAtTime", method="POST", json=["DEMO:BEAM:POWER"])) == {}


async def test_what_goes_wrong_later_cuts_the_answer_short_and_makes_room(site, monkeypatch):
    monkeypatch.setattr(appliance_service, "MOST_DOWNLOADS", 1)
    monkeypatch.setattr(appliance_service, "AHEAD_B", 1)
    monkeypatch.setattr(answers, "SLICE_ROWS", 10)

    def fail_late(_, part):
        if part["time_ns"][0].as_py() > NEW_YEAR_NS:
            raise UsageError("the drive is gone")
        return [None] * len(part)

    monkeypatch.setattr(answers.Json, "_plain_rows", fail_late)
    async with browsing(site) as client:
        with pytest.raises(UsageError, match="the drive is gone"):
            await client.get(f"{DATA}.json?pv={PV}&from=2025-01-01T00:00:00Z")
        assert (await client.get(f"{DATA}.csv?pv={PV}&{MINUTE}")).status_code == 200


# ------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        (f"{DATA}.json?pv=LAB:NONE", 404, "'LAB:NONE' is not archived"),
        (f"{DATA}.json?pv=..%2F..%2Fetc%2Fpasswd", 400, "cannot be the name of a PV"),
        (f"{DATA}.json?pv=" + "X" * 60_000, 400, "cannot be the name of a PV"),
        (f"{DATA}.json?pv=" + "(" * 60_000, 400, "cannot be the name of a PV"),
        (f"{DATA}.json", 400, "no pv"),
        (f"{DATA}.json?pv=meen_5({PV})", 400, "no operator"),
        (f"{DATA}.json?pv=mean_5({WORDS})", 400, "the values are string"),
        (f"{DATA}.svg?pv={PV}", 400, "'svg' is no form"),
        (f"{DATA}.json?pv={PV}&from=yesterday", 400, "yesterday"),
        (f"{DATA}.json?pv={PV}&from=2026-01-01T00:00:00", 400, "no time zone"),
        (f"{DATA}.json?pv={PV}&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 400, "is before from"),
        (f"{DATA}.json?pv={PV}&timeranges=2026-01-02T00:00:00Z", 400, "1 times"),
        (f"{DATA}.json?pv={PV}&timeranges=2026-01-02T00:00:00Z,2026-01-01T00:00:00Z", 400, "go back"),
        (f"{DATA}.json?pv={PV}&ca_count=x", 400, "ca_count is 'x', expected a whole number from 1 to 1000000"),
        (f"{DATA}.csv?pv={PV}&pv={MODE}", 400, "2 PVs as csv"),
        (f"/retrieval/data/getDataForPVs.csv?pv={PV}", 400, "'csv' is no form"),
        (f"{DATA}.json?" + "&".join(["pv=A"] * 1001), 400, "1001 PVs"),
        (f"{DATA}.json?pv=mean_1({PV})&from=2025-01-01T00:00:00Z&to=2261-01-01T00:00:00Z", 400, "bins of 1 s"),
        ("/retrieval/bpl/searchForPVsRegex", 400, "no regex"),
        ("/retrieval/bpl/searchForPVsRegex?regex=(", 400, "no regular expression"),
        ("/retrieval/bpl/searchForPVsRegex?regex=(?=x)", 400, "no regular expression"),
        ("/retrieval/bpl/searchForPVsRegex?regex=" + "a" * 1001, 400, "a pattern of 1001"),
        ("/retrieval/bpl/searchForPVsRegex?regex=(((a{1000}){1000}){1000})", 400, "no regular expression"),
        (
            "/retrieval/bpl/getMatchingPVs?pv=*&limit=many",
            400,
            "limit is 'many', expected a whole number from -1 to 1000000",
        ),
        ("/retrieval/bpl/getMetadata?pv=LAB:NONE", 404, "is not archived"),
        ("/mgmt/bpl/getPVTypeInfo?pv=LAB:NONE", 404, "is not archived"),
        ("/mgmt/bpl/getPVDetails?pv=LAB:NONE", 404, "is not archived"),
        ("/mgmt/bpl/getPVStatus?pv=..%2Fx", 400, "cannot be the name of a PV"),
        ("/mgmt/bpl/getEventRateReport?limit=x", 400, "limit is 'x', expected a whole number"),
        ("/mgmt/bpl/getPVStatus", 400, "no pv"),
        ("/mgmt/bpl/getPVTypeInfo", 400, "no pv"),
        ("/retrieval/bpl/areWeArchivingPV", 400, "no pv"),
        ("/retrieval/data/getDataAtTime", 405, "GET of '/retrieval/data/getDataAtTime'"),
        (f"/retrieval/data/getData?pv={PV}", 404, "nothing at '/retrieval/data/getData'"),
        ("/mgmt/bpl/getApplianceInfo", 404, "nothing at '/mgmt/bpl/getApplianceInfo'"),
        ("/mgmt/bpl/pauseArchivingPV?pv=LAB:T-1", 401, "no token"),
        ("/mgmt/bpl/archivePV?pv=LAB:T-1", 401, "no token"),
    ],
)
async def test_what_cannot_be_answered_says_why(site, path, code, said):
    answer = await ask(site, path, code=code)
    error = strict(answer)["error"]
    assert said in error["what"]
    assert error["do"]
    assert len(answer.content) < 1500


async def test_what_is_refused_says_what_would_be_taken(site):
    for path in (f"{DATA}.json?pv=LAB:T%201!", "/api/archive/rows?pv=LAB!", "/mgmt/bpl/getPVStatus?pv=LAB!"):
        assert "letters, digits and : _ - +" in strict(await ask(site, path, code=400))["error"]["do"]
    error = strict(await ask(site, f"{DATA}.svg?pv={PV}", code=400))["error"]
    assert error["do"] == "one of json, qw, raw, csv, txt"


async def test_so_many_downloads_at_once_and_no_more(site, monkeypatch):
    monkeypatch.setattr(appliance_service, "MOST_DOWNLOADS", 0)
    answer = await ask(site, f"{DATA}.json?pv={PV}", code=503)
    assert answer.headers["retry-after"]


async def test_a_download_that_is_over_makes_room(site, monkeypatch):
    monkeypatch.setattr(appliance_service, "MOST_DOWNLOADS", 1)
    async with browsing(site) as client:
        for path, code in ((f"{DATA}.json?pv={PV}", 200), (f"{DATA}.json?pv=NONE", 404)) * 2:
            assert (await client.get(path)).status_code == code


# ------------------------------------------------------------------ at a moment
@pytest.mark.parametrize(
    "body",
    [
        {"json": [PV, BIG, "LAB:NONE", "../x"]},
        {"data": {"pv": f"{PV},{BIG}"}},
        {"content": f"{PV},{BIG}"},
    ],
)
async def test_what_pvs_were_at_a_moment(site, body):
    path = "/retrieval/data/getDataAtTime?at=2026-01-01T00:00:00.000Z&includeProxies=true"
    found = strict(await ask(site, path, method="POST", **body))
    second_s = NEW_YEAR_NS // SECOND_NS
    assert found[PV] == {"secs": second_s - 1, "nanos": 5, "val": 59.0, "severity": 3, "status": 7}
    assert (sorted(found), found[BIG]["val"]) == ([BIG, PV], 2**40)


async def test_how_far_back_a_moment_looks(site):
    path = "/retrieval/data/getDataAtTime?at=2026-01-01T00:00:00.000Z&searchPeriod=PT10S"
    assert sorted(strict(await ask(site, path, method="POST", json=[PV, BIG]))) == [PV]
    assert "no duration" in (await ask(site, path + "x", method="POST", json=[PV], code=400)).text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[1]", "other things"),
        (b"[", "no JSON"),
        (b"[" * 200_000, "no JSON"),
        (b"x" * 2**21, "more than"),
        (b"A," * 2000, "2000 PVs"),
    ],
)
async def test_bodies_that_make_no_sense(site, content, said):
    assert said in (await ask(site, "/retrieval/data/getDataAtTime", method="POST", content=content, code=400)).text


# ------------------------------------------------------------------ names and status
async def test_names(site):
    assert strict(await ask(site, "/retrieval/bpl/getMatchingPVs?regex=LAB:T.*&limit=500")) == [PV]
    assert strict(await ask(site, "/retrieval/bpl/getMatchingPVs?pv=LAB:?O?E")) == [GONE, MODE, WORDS]
    assert strict(await ask(site, "/mgmt/bpl/getAllPVs?pv=LAB:*&limit=2")) == [BIG, GONE]
    assert len(strict(await ask(site, "/mgmt/bpl/getAllPVs?limit=-1"))) > 6
    answer = await ask(site, "/retrieval/bpl/searchForPVsRegex?regex=LAB:[MT].*")
    assert answer.text == f"{MODE}\n{PV}\n"
    assert strict(await ask(site, f"/retrieval/bpl/areWeArchivingPV?pv={PV}")) == {"status": "true"}
    assert strict(await ask(site, "/retrieval/bpl/areWeArchivingPV?pv=NONE")) == {"status": "false"}
    assert "nualley" in strict(await ask(site, "/retrieval/bpl/getVersion"))["retrieval_version"]
    assert "nualley" in strict(await ask(site, "/mgmt/bpl/getVersions"))["mgmt_version"]


async def test_a_pattern_that_python_would_never_finish(site):
    assert strict(await ask(site, "/retrieval/bpl/getMatchingPVs?regex=(.*.*)*(.%2B)%2Bx")) == []


async def test_what_is_known_of_a_pv(site):
    found = strict(await ask(site, f"/mgmt/bpl/getPVTypeInfo?pv={PV}"))
    assert (found["DBRType"], found["units"], found["upperDisplayLimit"]) == ("DBR_SCALAR_DOUBLE", "K", "400.0")
    assert strict(await ask(site, f"/retrieval/bpl/getMetadata?pv={PV}")) == found
    rows = {row["name"]: row["value"] for row in strict(await ask(site, f"/mgmt/bpl/getPVDetails?pv={WAVE}"))}
    assert (rows["Is this a scalar:"], rows["How many events so far?"]) == ("No", "2")


async def test_reports(site):
    never = strict(await ask(site, "/mgmt/bpl/getNeverConnectedPVs"))
    assert "DEMO:BEAM:POWER" in [row["pvName"] for row in never]
    assert PV not in [row["pvName"] for row in never]
    rates = strict(await ask(site, "/mgmt/bpl/getEventRateReport?limit=1"))
    assert [row["pvName"] for row in rates] == [PV]
    (lost,) = strict(await ask(site, "/mgmt/bpl/getLostConnectionsReport"))
    assert (lost["pvName"], lost["currentlyConnected"], lost["lostConnections"]) == (GONE, "No", "1")
    for name in ("getSilentPVsReport", "getStorageRateReport", "getPausedPVsReport", "getPVsByDroppedEventsTimestamp"):
        assert isinstance(strict(await ask(site, f"/mgmt/bpl/{name}")), list)
    assert strict(await ask(site, "/mgmt/bpl/getPVsByDroppedEventsBuffer")) == []


async def test_changes_with_a_token(site):
    authorized = {"headers": {"Authorization": f"Bearer {TOKEN}"}}
    (added,) = strict(
        await ask(site, f"/mgmt/bpl/archivePV?pv={GONE}&samplingperiod=2.0&samplingmethod=SCAN", **authorized)
    )
    assert added == {"pvName": GONE, "status": "Archive request submitted"}
    (again,) = strict(await ask(site, "/mgmt/bpl/archivePV", method="POST", json=[{"pv": GONE}], **authorized))
    assert again["status"] == "Already submitted"
    (gone,) = strict(await ask(site, "/mgmt/bpl/getCurrentlyDisconnectedPVs"))
    assert gone["pvName"] == GONE
    (status,) = strict(await ask(site, f"/mgmt/bpl/getPVStatus?pv={GONE}"))
    assert (status["status"], status["samplingPeriod"], status["isMonitored"]) == ("Being archived", "2.0", "false")
    paused = strict(await ask(site, f"/mgmt/bpl/pauseArchivingPV?pv={GONE}", **authorized))
    assert (paused["status"], paused["pvName"]) == ("ok", GONE)
    twice = strict(await ask(site, f"/mgmt/bpl/pauseArchivingPV?pv={GONE}", **authorized))
    assert "validation" in twice
    (report,) = strict(await ask(site, "/mgmt/bpl/getPausedPVsReport"))
    assert report["pvName"] == GONE
    statuses = strict(await ask(site, "/mgmt/bpl/getPVStatus", method="POST", content=f"pv={GONE},{PV},LAB:X"))
    assert [row["status"] for row in statuses] == ["Paused", "Not being archived", "Not being archived"]
    (resumed,) = strict(await ask(site, f"/mgmt/bpl/resumeArchivingPV?pv={GONE},", **authorized))
    assert resumed["status"] == "ok"


async def test_a_pv_is_asked_for_over_pv_access_by_its_prefix(site):
    """A prefix is understood by every call, and is no part of a name."""
    for pv in (f"ca://{PV}", f"pva://{PV}.VAL"):
        assert strict(await ask(site, f"/retrieval/bpl/areWeArchivingPV?pv={pv}")) == {"status": "true"}
        assert strict(await ask(site, f"/retrieval/bpl/getMetadata?pv={pv}"))["pvName"] == PV
        assert strict(await ask(site, f"/mgmt/bpl/getPVTypeInfo?pv={pv}"))["pvName"] == PV
        assert strict(await ask(site, f"/mgmt/bpl/getPVDetails?pv={pv}"))[0]["value"] == PV
        (row,) = strict(await ask(site, f"/mgmt/bpl/getPVStatus?pv={pv}"))
        assert (row["pvName"], row["pvNameOnly"]) == (pv, PV)
        assert strict(await ask(site, f"{DATA}.json?pv={pv}&{MINUTE}"))[0]["data"]
        assert list(strict(await ask(site, "/retrieval/data/getDataAtTime", method="POST", json=[pv]))) == [pv]
    authorized = {"headers": {"Authorization": f"Bearer {TOKEN}"}}
    for pv, told in (("pva://LAB:A", "true"), ("ca://LAB:B", "false")):
        await ask(site, f"/mgmt/bpl/archivePV?pv={pv}", **authorized)
        found = strict(await ask(site, f"/mgmt/bpl/getPVTypeInfo?pv={pv[-5:]}"))
        assert (found["pvName"], found["usePVAccess"]) == (pv[-5:], told)


async def test_every_pv_of_a_list_is_done_and_told_whatever_becomes_of_the_others(site):
    authorized = {"headers": {"Authorization": f"Bearer {TOKEN}"}, "method": "POST"}
    wishes = [{"pv": "A"}, {"pv": "../x"}, {"pv": "B", "samplingmethod": "OFTEN"}, {"pv": "A"}, {"pv": "pva://C"}]
    rows = strict(await ask(site, "/mgmt/bpl/archivePV", json=wishes, **authorized))
    assert [row["pvName"] for row in rows] == ["A", "../x", "B", "A", "pva://C"]
    assert [row.get("status") for row in rows] == [
        "Archive request submitted", None, None, "Already submitted", "Archive request submitted",
    ]  # fmt: skip
    assert [sorted(rows[number]["error"]) for number in (1, 2)] == [["code", "do", "what", "where"]] * 2
    assert sorted(strict(await ask(site, "/mgmt/bpl/getAllPVs?pv=?"))) == ["A", "C"]
    for verb, done in (("pause", "paused"), ("resume", "resumed")):
        rows = strict(
            await ask(site, f"/mgmt/bpl/{verb}ArchivingPV", json=["A", "NOPE", "../x", "ca://C.VAL"], **authorized)
        )
        assert [row["pvName"] for row in rows] == ["A", "NOPE", "../x", "ca://C.VAL"]
        assert [row.get("status") for row in rows] == ["ok", None, None, "ok"]
        assert rows[0]["desc"].startswith(f"Successfully {done} the archiving of PV A,")
        assert rows[3]["engine_pvName"] == "C"
        for row in rows[1:3]:
            assert row["error"]["what"] in row["validation"]
            assert row["error"]["do"]
    # again, of what is so already nothing is done, and the rest still is
    change_archive(site, Verb.PAUSE, "A")
    rows = strict(await ask(site, "/mgmt/bpl/pauseArchivingPV?pv=A,C", **authorized))
    assert ["error" in row for row in rows] == [True, False]
    for path in ("pauseArchivingPV?pv=..%2Fx", "archivePV?pv=..%2Fx"):
        assert "cannot be the name" in (await ask(site, f"/mgmt/bpl/{path}", code=400, **authorized)).text


async def test_an_archive_that_cannot_be_asked_is_no_refusal(site, monkeypatch):
    monkeypatch.setattr("nualley.app.archive_changes.START_S", 0.1)
    authorized = {"headers": {"Authorization": f"Bearer {TOKEN}"}, "method": "POST"}
    change_archive(site, Verb.ADD, PV)
    with hold_role(site.configuration.store, "archive", site.clock):
        for path, names in (("archivePV", [{"pv": "A"}, {"pv": "B"}]), ("pauseArchivingPV", [PV])):
            error = strict(await ask(site, f"/mgmt/bpl/{path}", json=names, code=503, **authorized))["error"]
            assert "takes no orders" in error["what"]


def test_once_the_archive_is_gone_the_rest_is_told_so_and_not_tried():
    tried = []

    def change(pv):
        tried.append(pv)
        if pv == "C":
            raise NoControlError("it is gone", do="nualley doctor")
        if pv == "B":
            raise UsageError("not B")
        return {"pvName": pv, "status": "ok"}

    rows = one_by_one(["A", "B", "C", "D"], str, change)
    assert tried == ["A", "B", "C"]
    assert [row["pvName"] for row in rows] == ["A", "B", "C", "D"]
    assert [row.get("error", {}).get("what") for row in rows] == [None, "not B", "it is gone", "not tried: it is gone"]
    assert [row.get("error", {}).get("code") for row in rows] == [None, 2, 4, 4]
    with pytest.raises(NoControlError):
        one_by_one(["C", "A"], str, change)


def test_the_only_wish_fails_where_it_is_not_refused():
    def change(pv):
        raise NualleyError("the drive is full")

    with pytest.raises(NualleyError, match="the drive is full"):
        one_by_one(["A"], str, change)
    assert len(one_by_one(["A", "B"], str, change)) == 2


async def test_nobody_may_change_where_no_tokens_are_kept(tmp_path):
    site = Site(load(write_experiment(tmp_path), {"NUALLEY_STORE": str(tmp_path / "store")}), FakeClock(NOW_NS))
    answer = await ask(site, "/mgmt/bpl/archivePV?pv=X", code=401, headers={"Authorization": f"Bearer {TOKEN}"})
    assert "web.manage_tokens_file" in strict(answer)["error"]["do"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("pv=X&samplingmethod=OFTEN", "samplingmethod is 'OFTEN', expected MONITOR or SCAN"),
        ("pv=X&samplingmethod=SCAN&samplingperiod=x", "samplingperiod is 'x', expected a number"),
        ("pv=..%2Fx", "cannot be the name"),
        ("", "no pv"),
    ],
)
async def test_changes_that_make_no_sense(site, words, said):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert said in (await ask(site, f"/mgmt/bpl/archivePV?{words}", headers=headers, code=400)).text
