"""Entering flags, notes and tags over HTTP: with a token of its own, by the same rules as the commands."""

from pathlib import Path

import pytest

from nualley.app.site import Site
from nualley.config import load, write_template
from tests.integration.test_catalog_http import BEARER, TOKEN, browsing
from tests.unit.catalog.records import NOW_NS, make_run

WRITE_TOKEN = "fedcba9876543210" * 4
WRITER = {"Authorization": f"Bearer {WRITE_TOKEN}"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An experiment with a run, a word for flags, and a token to read and one to write."""
    environ = {}
    for name, key, token in (
        ("laptop", "CATALOG_TOKENS_FILE", TOKEN),
        ("daq1", "CATALOG_WRITE_TOKENS_FILE", WRITE_TOKEN),
    ):
        path = tmp_path / name
        path.write_text(f"{name} {token}\n")
        path.chmod(0o600)
        environ[f"NUALLEY_WEB__{key}"] = str(path)
    write_template(tmp_path / "experiment")
    (tmp_path / "experiment" / "flags.toml").write_text('[flag.noise]\nseverity = "bad"\nmeaning = "loud"\n')
    site = Site(load(tmp_path / "experiment", environ))
    site.catalog().register_run(make_run(1, "hpge", start_ns=NOW_NS))
    return site


async def test_a_remote_host_enters_what_the_commands_enter(site: Site) -> None:
    async with browsing(site) as client:

        async def post(address: str, body: object):
            answer = await client.post(f"/api/catalog/{address}", json=body, headers=WRITER)
            assert answer.status_code == 201, answer.text
            return answer.json()

        flag = {"detector": "hpge", "name": "noise", "reason": "loud"}
        one = (await post("flags", {**flag, "runs": [1, 1], "blocks": [3, 7]}))["flag"]
        assert (one["flag_id"], one["runs"], one["blocks"], one["author"]) == (1, [1, 1], [3, 7], "daq1")
        stretch = {**flag, "start": "2026-11-23T04:00:00Z", "stop": "2026-11-23T05:00:00Z", "author": "ada"}
        two = (await post("flags", stretch))["flag"]
        assert two["stop_ns"] - two["start_ns"] == 3600 * 10**9
        assert two["author"] == "ada (daq1)", "whose token it was stays in the record"
        taken = (await post("flags/1/withdrawal", {"reason": "the wrong run"}))["flag"]
        assert (taken["supersedes"], taken["is_withdrawal"], taken["runs"], taken["name"]) == (1, True, [1, 1], "noise")
        note = (await post("runs/hpge-1/notes", {"text": "beam tripped"}))["note"]
        assert (note["run_id"], note["author"], note["text"]) == ("hpge-1", "daq1", "beam tripped")
        assert (await post("runs/hpge-1/tags", {"add": ["good", "co-57"]}))["tags"] == ["co-57", "good"]
        assert (await post("runs/hpge-1/tags", {"remove": ["good"]}))["tags"] == ["co-57"]
        listed = (await client.get("/api/catalog/flags", headers=BEARER)).json()["flags"]
        assert [each["flag_id"] for each in listed] == [2]
        listed = (await client.get("/api/catalog/flags?all=true&detector=hpge", headers=BEARER)).json()["flags"]
        assert [each["flag_id"] for each in listed] == [1, 2, 3]
        answer = await client.get("/api/catalog/flags?detector=hpgee", headers=BEARER)
        assert (answer.status_code, answer.json()["error"]["where"]) == (400, "detector")
    catalog = site.catalog()
    assert [flag.to_json() for flag in catalog.run_lists.flags() if flag.counts] == [two]
    assert [written.text for written in catalog.notes("hpge-1")] == ["beam tripped"]


@pytest.mark.parametrize(
    ("address", "body", "code", "what"),
    [
        ("flags", {"detector": "hpge", "name": "nois", "reason": "x", "runs": [1, 1]}, 400, "'nois' is no flag"),
        (
            "flags",
            {"detector": "hpgee", "name": "noise", "reason": "x", "runs": [1, 1]},
            400,
            "'hpgee' is not a detector",
        ),
        ("flags", {"detector": "hpge", "name": "noise", "reason": "x"}, 400, "says of no stretch, or of two"),
        ("flags", {"detector": "hpge", "name": "noise", "reason": " ", "runs": [1, 1]}, 400, "a flag has no reason"),
        ("flags", {"detector": "hpge", "name": "noise", "runs": [1, 1]}, 400, "reason: Field required"),
        ("flags", {"detector": "hpge", "name": "noise", "reason": "x", "runs": ["1", 1]}, 400, "runs.0"),
        ("flags", {"detector": "hpge", "name": "noise", "reason": "x", "run": 1, "runs": [1, 1]}, 400, "run: Extra"),
        ("flags", {"detector": "hpge", "name": "noise", "reason": "x", "start": "yesterday"}, 400, "yesterday"),
        (
            "flags",
            {"detector": "hpge", "name": "noise", "reason": "x", "runs": [1, 1], "supersedes": 9},
            404,
            "there is no flag 9",
        ),
        ("flags", [], 400, "body: "),
        ("flags", "x" * 70_000, 413, "a body of more than 65536 B"),
        ("flags/9/withdrawal", {"reason": "x"}, 404, "there is no flag 9"),
        ("runs/hpge-7/notes", {"text": "x"}, 404, "there is no run hpge-7"),
        ("runs/hpge-1/notes", {"text": " "}, 400, "TEXT is blank"),
        ("runs/hpge-7/tags", {"add": ["x"]}, 404, "there is no run hpge-7"),
        ("runs/hpge-7/tags", {"remove": ["x"]}, 404, "there is no run hpge-7"),
        ("runs/hpge-1/tags", {"add": ["good", "X"]}, 400, "'X' cannot be a tag"),
        ("runs/hpge-1/tags", {}, 400, "no tag is named"),
    ],
)
async def test_what_cannot_be_entered_is_refused_and_leaves_nothing(site, address, body, code, what) -> None:
    async with browsing(site) as client:
        answer = await client.post(f"/api/catalog/{address}", json=body, headers=WRITER)
    assert answer.status_code == code, answer.text
    assert what in answer.json()["error"]["what"]
    catalog = site.catalog()
    assert (catalog.run_lists.flags(), catalog.notes("hpge-1"), catalog.run("hpge-1").tags) == ([], [], ())


async def test_a_flag_is_superseded_once_and_junk_is_no_json(site: Site) -> None:
    async with browsing(site) as client:
        flag = {"detector": "hpge", "name": "noise", "reason": "loud", "runs": [1, 1]}
        for code in (201, 201, 409):
            answer = await client.post("/api/catalog/flags", json=flag, headers=WRITER)
            assert answer.status_code == code, answer.text
            flag["supersedes"] = 1
        answer = await client.post("/api/catalog/flags", content=b"{NaN", headers=WRITER)
        assert (answer.status_code, "is no JSON" in answer.json()["error"]["what"]) == (400, True)


async def test_a_token_has_one_scope(site: Site, tmp_path: Path) -> None:
    body = {"text": "x"}
    async with browsing(site) as client:
        for headers in ({}, BEARER):
            answer = await client.post("/api/catalog/runs/hpge-1/notes", json=body, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert (await client.get("/api/catalog/runs", headers=WRITER)).status_code == 401
    closed = Site(load(tmp_path / "experiment", {}))
    async with browsing(closed) as client:
        answer = await client.post("/api/catalog/runs/hpge-1/notes", json=body, headers=WRITER)
        assert answer.status_code == 401
        assert "web.catalog_write_tokens_file" in answer.json()["error"]["do"]
    assert site.catalog().notes("hpge-1") == []
