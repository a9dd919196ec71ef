"""The application, asked as a browser asks it, without a network."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from nualley.archive import PvState
from nualley.config import Configuration
from nualley.core import SECOND_NS, ExitCode, NualleyError
from nualley.web import create_app
from nualley.web.answers import refused
from nualley.web.security import HEADERS
from tests.unit.web.fakes import (
    LIVE,
    NOW_NS,
    POWER,
    RUN,
    STATE,
    FakeArchive,
    FakeCatalog,
    FakeSite,
    last_value,
    missing_archive,
    run_of,
)


@asynccontextmanager
async def browsing(site: FakeSite, host: str = "127.0.0.1:8710") -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(site)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}") as client,
    ):
        yield client


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.elements if "id" in attributes]


async def get_status(site: FakeSite) -> dict[str, Any]:
    async with browsing(site) as client:
        answer = await client.get("/api/status")
    assert answer.headers["content-type"] == "application/json"

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not strict JSON")

    found: dict[str, Any] = json.loads(answer.text, parse_constant=refuse)
    return found


# ---------------------------------------------------------------- JSON
async def test_the_status_as_json(site: FakeSite) -> None:
    site.catalog_part = FakeCatalog([run_of(7)])
    found = await get_status(site)
    assert set(found) == {
        "time_ns", "experiment", "live", "processes", "alley", "beam", "runs", "archive", "drives", "values",
    }  # fmt: skip
    assert found["time_ns"] == NOW_NS
    assert isinstance(found["time_ns"], int)
    assert found["experiment"]["name"] == "COHERENT"
    assert found["beam"]["power_W"] == pytest.approx(1.4e6)
    assert found["beam"]["age_s"] == pytest.approx(10.0)
    assert found["beam"]["today"]["pot"] == pytest.approx(4.2e20)
    assert found["archive"]["is_balanced"] is True
    assert found["runs"]["rows"][0]["run_id"] == "cenns-10-7"
    row = next(row for row in found["values"]["rows"] if row["pv"] == POWER)
    assert (row["value"], row["unit"], row["state"], row["age_s"]) == ("1.4", "MW", "connected", 10.0)
    assert {row["state"] for row in found["alley"]["placed"]} >= {"retired"}


async def test_nan_and_infinity_are_null_in_json(site: FakeSite) -> None:
    site.archive_part = FakeArchive({POWER: last_value(POWER, float("inf")), "X": last_value("X", float("nan"))})
    found = await get_status(site)
    assert found["beam"]["last_power_W"] is None


async def test_a_fresh_experiment_has_a_status(configuration: Configuration) -> None:
    found = await get_status(FakeSite(configuration, archive_part=missing_archive(), exposures_part=missing_archive()))
    assert found["archive"]["received"] is None
    assert found["archive"]["trouble"]["what"] == "nothing was archived yet (store/archive)"
    assert found["beam"]["trouble"]["do"] == "nualley up archive"
    assert found["runs"] == {"rows": [], "n_runs": 0, "trouble": None}


async def test_power_of_the_last_hour(site: FakeSite) -> None:
    async with browsing(site) as client:
        found = (await client.get("/api/beam/power")).json()
    curve = found["curve"]
    assert curve["stop_ns"] - curve["start_ns"] == 3600 * SECOND_NS
    assert curve["power_W"] == [pytest.approx(1.4e6), pytest.approx(1.3e6)]
    assert len(curve["time_ns"]) == 2
    assert found["trouble"] is None


async def test_health(site: FakeSite) -> None:
    async with browsing(site) as client:
        answer = await client.get("/api/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.json()["is_live"] is False


# ---------------------------------------------------------------- the page
async def test_the_page_stands_on_its_own(site: FakeSite) -> None:
    site.catalog_part = FakeCatalog([run_of(7)])
    async with browsing(site) as client:
        answer = await client.get("/")
    page = Page(answer.text)
    ids = page.ids()
    assert len(ids) == len(set(ids))
    assert {"beam", "alley", "runs", "archive", "drives", "values-body", "not-live", "stream"} <= set(ids)
    assert "1.400 MW" in answer.text
    assert "4.200 × 10²⁰" in answer.text
    assert "cenns-10-7" in answer.text


async def test_nothing_in_the_page_needs_more_than_the_policy_allows(site: FakeSite) -> None:
    async with browsing(site) as client:
        page = Page((await client.get("/")).text)
    for tag, attributes in page.elements:
        assert tag != "style"
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert tag != "script" or attributes["src"]
        for name in ("src", "href", "action"):
            assert re.match(r"/(?!/)|#", attributes.get(name) or "/"), attributes


async def test_what_a_page_refers_to_is_there(site: FakeSite) -> None:
    async with browsing(site) as client:
        page = Page((await client.get("/")).text)
        for _, attributes in page.elements:
            for name in ("src", "href"):
                link = attributes.get(name) or "#"
                if not link.startswith("#"):
                    answer = await client.get(link)
                    assert answer.status_code == 200, link


async def test_labels_belong_to_controls_and_pictures_have_words(site: FakeSite) -> None:
    async with browsing(site) as client:
        page = Page((await client.get("/")).text)
    labelled = {attributes.get("for") for tag, attributes in page.elements if tag == "label"}
    for tag, attributes in page.elements:
        if tag in ("input", "select") and attributes.get("type") != "checkbox":
            assert attributes["id"] in labelled
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"


async def test_what_the_world_says_cannot_become_code(configuration: Configuration) -> None:
    evil = '</time></td><script src="/x"></script><img onerror=alert(1)>'
    site = FakeSite(configuration, archive_part=FakeArchive({evil: last_value(evil, evil, unit=evil)}))
    async with browsing(site) as client:
        text = (await client.get("/")).text
    tags = [tag for tag, _ in Page(text).elements]
    assert tags.count("img") == 0
    assert "&lt;script" in text


async def test_states_are_told_in_words(configuration: Configuration) -> None:
    values = {
        POWER: last_value(POWER, 1.4, state=PvState.STALE),
        STATE: last_value(STATE, "Paused"),
        RUN: last_value(RUN, 124),
        LIVE: last_value(LIVE, 0.97, state=PvState.QUARANTINED, reason="future"),
    }
    async with browsing(FakeSite(configuration, archive_part=FakeArchive(values))) as client:
        text = (await client.get("/")).text
    assert '✕ quarantined</span> <span class="quiet">future</span>' in text
    assert "beam unknown" in text
    assert "last known 1.400 MW" in text
    assert "DEMO:BEAM:POWER stale" in text
    assert "paused, run 124" in text
    assert "Position unknown" in text
    assert "no DAQ known" in text
    assert "retired" in text


# ---------------------------------------------------------------- security
async def test_every_answer_carries_the_headers(site: FakeSite) -> None:
    async with browsing(site) as client:
        for path in ("/", "/api/status", "/static/page.css", "/nowhere"):
            answer = await client.get(path)
            for name, value in HEADERS.items():
                assert answer.headers[name] == value, path
            assert answer.headers["cache-control"] == ("no-cache" if path.startswith("/static/") else "no-store")
    policy = HEADERS["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("host", ["127.0.0.1:8710", "localhost:9000", "LOCALHOST", "[::1]:8710"])
async def test_this_machine_is_answered(site: FakeSite, host: str) -> None:
    async with browsing(site) as client:
        assert (await client.get("/api/health", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example:8710", "127.0.0.1.evil.example", "localhost.evil.example", ""),
        *("127.0.0.1:8710@evil.example", "127.0.0.1:abc", "localhost:", "[::1", "[::1]x:1", "127.0.0.1 evil.example"),
    ],
)
async def test_another_name_is_refused(site: FakeSite, host: str) -> None:
    async with browsing(site) as client:
        answer = await client.get("/api/status", headers={"host": host})
    assert answer.status_code == 421
    assert "127.0.0.1" in answer.json()["error"]["do"]
    assert "127.0.0.1" in answer.text
    assert "COHERENT" not in answer.text


async def test_code_that_did_not_change_is_not_sent_again(site: FakeSite) -> None:
    async with browsing(site) as client:
        first = await client.get("/static/status.js")
        again = await client.get("/static/status.js", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/static/../models.py", "/static/%2e%2e/models.py"])
async def test_pages_that_load_code_from_elsewhere_and_files_beside_are_not_there(site: FakeSite, path: str) -> None:
    async with browsing(site) as client:
        assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/", "/events", "/api/status", "/api/beam/power", "/api/health", "/static/status.js"])
async def test_head_answers_as_get_does(site: FakeSite, path: str) -> None:
    async with browsing(site) as client:
        answer = await client.head(path)
        described = (await client.get("/api/openapi.json")).json()
    assert answer.status_code == 200
    assert answer.content == b""
    assert {path: set(methods) for path, methods in described["paths"].items() if set(methods) != {"get"}} == {
        "/api/archive/push": {"post"},
        "/api/catalog/calls/{name}": {"post"},
        "/api/catalog/flags": {"get", "post"},
        "/api/catalog/flags/{flag_id}/withdrawal": {"post"},
        "/api/catalog/runs/{run_id}/notes": {"post"},
        "/api/catalog/runs/{run_id}/tags": {"post"},
        "/retrieval/data/getDataAtTime": {"post"},
    }


@pytest.mark.parametrize(
    ("method", "path", "code", "what", "do"),
    [
        ("GET", "/retrieval/data/getData", 404, "there is nothing at '/retrieval/data/getData'", "getData.{form}"),
        ("GET", "/api/statos", 404, "there is nothing at '/api/statos'", "did you mean '/api/status'?"),
        ("GET", "/static/nothing.js", 404, "there is nothing at", "openapi.json"),
        ("GET", "/" + "x" * 5000, 404, "there is nothing at", "openapi.json"),
        ("POST", "/api/status", 405, "POST of '/api/status'", "use "),
        ("GET", "/api/archive/push", 405, "GET of '/api/archive/push'", "use POST"),
        ("GET", "/api/archive/bins", 400, "no pv", "add ?pv=PV"),
        ("GET", "/api/archive/bins?pv=P&n=many", 400, "n is 'many': ", "openapi.json"),
        ("GET", "/api/archive/bins?pv=P&n=" + "9" * 5000, 400, "n is '999", "openapi.json"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_every_refusal_has_one_form(
    site: FakeSite, method: str, path: str, code: int, what: str, do: str
) -> None:
    async with browsing(site) as client:
        answer = await client.request(method, path)
        described = (await client.get("/api/openapi.json")).json()
    found = answer.json()
    assert (answer.status_code, list(found), sorted(found["error"])) == (
        code,
        ["error"],
        ["code", "do", "what", "where"],
    )
    assert (what in found["error"]["what"], do in found["error"]["do"]) == (True, True), found
    assert (bool(found["error"]["where"]), len(answer.content) < 1000, found["error"]["code"]) == (True, True, 2)
    assert ("allow" in answer.headers) == (code == 405)
    for of_path in described["paths"].values():
        for of_method in of_path.values():
            assert "4XX" in of_method["responses"]
            assert "422" not in of_method["responses"]


def test_what_another_process_raised_has_its_code() -> None:
    for exit_code, code in ((ExitCode.USAGE, 400), (ExitCode.UNREACHABLE, 503), (ExitCode.FAILED, 500)):
        error = NualleyError("told")
        error.exit_code = exit_code
        assert refused(error).status_code == code


async def test_nothing_can_be_written(site: FakeSite) -> None:
    async with browsing(site) as client:
        for path in ("/", "/api/status", "/events", "/api/beam/power", "/api/health"):
            assert (await client.post(path)).status_code == 405


# ---------------------------------------------------------------- the rest
async def test_the_page_is_written_again_when_the_site_changes(site: FakeSite) -> None:
    app = create_app(site)
    service = app.state.service
    async with app.router.lifespan_context(app):
        before = service.hub.event_id
        site.archive_part = FakeArchive({POWER: last_value(POWER, 0.7)})
        look = next(look for look in service.observer._looks if look.part == "archive")
        await service.observer._look(look)
        await service._tick()
        assert service.hub.event_id != before
        assert "700 kW" in service.hub.html("beam")
        assert service._news() == {
            "time_ns": NOW_NS, "message_ns": None, "power_W": pytest.approx(0.7e6), "version": app.version,
        }  # fmt: skip


async def test_ages_do_not_make_fragments_change(site: FakeSite) -> None:
    app = create_app(site)
    service = app.state.service
    async with app.router.lifespan_context(app):
        number = {target: kept[0] for target, kept in service.hub._kept.items()}
        site.clock.time_ns += SECOND_NS
        await service._tick()
        assert {target: kept[0] for target, kept in service.hub._kept.items()} == number


async def test_a_pv_that_appears_replaces_the_table_and_a_new_value_only_its_row(site: FakeSite) -> None:
    app = create_app(site)
    service = app.state.service
    look = next(look for look in service.observer._looks if look.part == "archive")
    async with app.router.lifespan_context(app):

        async def changed_by(**values: Any) -> set[str]:
            before = {target: kept[0] for target, kept in service.hub._kept.items()}
            assert isinstance(site.archive_part, FakeArchive)
            site.archive_part.values.update(values)
            await service.observer._look(look)
            await service._tick()
            return {target for target, kept in service.hub._kept.items() if kept[0] != before.get(target)}

        appeared = await changed_by(NEW=last_value("NEW", 1.0))
        assert "values-body" in appeared
        moved = await changed_by(NEW=replace(last_value("NEW", 2.0), time_ns=NOW_NS))
        assert len(moved) == 1
        assert next(iter(moved)).startswith("pv-")
