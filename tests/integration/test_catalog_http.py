"""The catalog over HTTP: a real experiment, a real server on loopback, and the command that pulls from it."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest

from nualley.app.site import Site
from nualley.catalog import CatalogDamaged, CatalogUnreachable
from nualley.catalog.adapters import pull as pulls
from nualley.catalog.adapters.backup import inspect
from nualley.catalog.adapters.pull import pull_over_http
from nualley.catalog.adapters.sql import open_catalog
from nualley.catalog.errors import CatalogMoved, CatalogRefused
from nualley.catalog.settings import parse_url
from nualley.cli.main import main
from nualley.config import load, write_template
from nualley.core import UsageError
from nualley.storage.adapters.posix import PosixFiles
from nualley.testing.postgres import PostgresServer
from nualley.web.application import create_app
from nualley.web.server import serve_until
from tests.unit.catalog.records import NOW_NS, make_file, make_replica, make_run

pytestmark = pytest.mark.enable_socket

TOKEN = "0123456789abcdef" * 4
BEARER = {"Authorization": f"Bearer {TOKEN}"}
FILES = PosixFiles()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """An experiment with three runs, on either database, that gives its catalog to who has the token."""
    tokens = tmp_path / "tokens"
    tokens.write_text(f"laptop {TOKEN}\n")
    tokens.chmod(0o600)
    write_template(tmp_path / "experiment")
    environ = {"NUALLEY_WEB__CATALOG_TOKENS_FILE": str(tokens), "NUALLEY_WEB__PORT": str(free_port())}
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        environ["NUALLEY_CATALOG__URL"] = parse_url(server.create(f"http_{tmp_path.name.replace('-', '_')}"))
    site = Site(load(tmp_path / "experiment", environ))
    for number in range(3):
        run = make_run(number, start_ns=NOW_NS + number, settings={"gain": float("nan")}, tags=("good",) * (number > 0))
        for name in ("a", "b"):
            place = make_replica(path=f"/data1/{number}/{name}")
            site.catalog().add_file(run, make_file(run, name, number), replicas=[place])
    site.catalog().add_note("cenns-10-1", "text")
    return site


@asynccontextmanager
async def browsing(site: Site):
    app = create_app(site)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
    ):
        yield client


@asynccontextmanager
async def serving(site: Site):
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    running = asyncio.create_task(serve_until(site, stop, on_ready=ready.set_result))
    try:
        yield (await ready).rstrip("/")
    finally:
        stop.set()
        await running


async def test_nobody_reads_without_a_token(site: Site) -> None:
    async with browsing(site) as client:
        for path in ("runs", "runs/cenns-10-1", "runs/cenns-10-1/files", "files?xxh3_128=" + "0" * 32, "usage", "copy"):
            for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}):
                answer = await client.get(f"/api/catalog/{path}", headers=headers)
                assert answer.status_code == 401, path
                assert answer.headers["www-authenticate"] == "Bearer"
                assert "no token, or one that is not known" in answer.json()["error"]["what"]


async def test_runs_a_page_at_a_time(site: Site) -> None:
    async with browsing(site) as client:

        async def ask(address: str):
            answer = await client.get(f"/api/catalog/{address}", headers=BEARER)
            return answer.status_code, answer.json()

        code, first = await ask("runs?limit=2")
        assert (code, [run["run_id"] for run in first["runs"]]) == (200, ["cenns-10-0", "cenns-10-1"])
        assert first["runs"][0]["start_ns"] == NOW_NS
        assert first["runs"][0]["settings"] == {"gain": None}
        _, second = await ask(f"runs?limit=2&after={first['next']}")
        assert [run["run_id"] for run in second["runs"]] == ["cenns-10-2"]
        assert second["next"] is None
        assert len((await ask("runs?tag=good&detector=cenns-10"))[1]["runs"]) == 2
        assert (await ask("runs?stop=2020-01-01"))[1]["runs"] == []
        for wrong, what in (
            ("runs?limit=0", "a page of 0 rows"),
            ("runs?after=x", "'x' is not there any more"),
            ("runs?start=yesterday", "yesterday"),
            ("usage?by=detektor", "'detektor' is nothing to sum by"),
            ("runs?detector=cenns-1O", "'cenns-1O' is not a detector of this experiment"),
            ("files?drive=nope&path=/data1/x", "'nope' is not a drive of this experiment"),
            ("files?xxh3_128=1", "a digest of 1 digits"),
            ("files", "neither a digest nor a place"),
        ):
            code, said = await ask(wrong)
            assert code == 400, wrong
            assert what in said["error"]["what"]
        code, said = await ask("runs/cenns-10-7")
        assert (code, "there is no run cenns-10-7" in said["error"]["what"]) == (404, True)


async def test_a_run_its_files_and_sums(site: Site) -> None:
    async with browsing(site) as client:

        async def ask(address: str):
            answer = await client.get(f"/api/catalog/{address}", headers=BEARER)
            assert answer.status_code == 200, answer.text
            return answer.json()

        found = await ask("runs/cenns-10-1")
        assert (found["run"]["tags"], found["notes"][0]["text"], found["totals"]["n_files"]) == (["good"], "text", 2)
        files = await ask("runs/cenns-10-1/files?limit=1")
        assert ([file["name"] for file in files["files"]], files["next"]) == (["a"], "a")
        assert files["files"][0]["replicas"][0]["path"] == "/data1/1/a"
        assert len((await ask("files?xxh3_128=" + f"{1:032x}"))["files"]) == 2
        (file,) = (await ask("files?drive=data1&path=/data1/2/b"))["files"]
        assert (file["run_id"], file["name"]) == ("cenns-10-2", "b")
        assert (await ask("files?drive=data1&path=/nowhere"))["files"] == []
        (row,) = (await ask("usage?by=drive,detector"))["usage"]
        assert (row["detector"], row["drive"], row["n_files"], row["month"]) == ("cenns-10", "data1", 6, None)


async def test_a_laptop_pulls_a_copy_and_reads_it_offline(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.sqlite"
    monkeypatch.setenv("NUALLEY_CATALOG_TOKEN", TOKEN)
    async with serving(site) as address:
        words = ["catalog", "pull", address, "--out", str(copy), "--json"]
        assert await asyncio.to_thread(main, words) == 0
        pulled = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (pulled["file"], pulled["n_rows_by_table"]["file"]) == (str(copy), 6)
    assert inspect(copy).xxh3_128 == pulled["xxh3_128"]
    with open_catalog(copy) as catalog:
        assert catalog.runs() == site.catalog().runs()
        with pytest.raises(CatalogMoved, match=f"this is a copy of {address}"):
            catalog.add_note("cenns-10-1", "x")
    # what was made to be sent is gone
    assert not list(site.configuration.store.glob(".catalog-copy-*"))


async def test_what_is_no_copy_gets_no_name(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy.sqlite"

    async def pull(address: str, token: str = TOKEN) -> None:
        await asyncio.to_thread(pull_over_http, address, copy, token=token, files=FILES, now_ns=NOW_NS)

    async with serving(site) as address:
        with pytest.raises(CatalogRefused, match=r"the web refused \(401\): no token") as caught:
            await pull(address, "")
        assert TOKEN not in str(caught.value)
        with pytest.raises(UsageError, match="is not the address of a running web"):
            await pull("http://me:secret@host")
        with monkeypatch.context() as patch, pytest.raises(CatalogRefused, match="the answer is no copy"):
            patch.setattr(pulls, "COPY_PATH", "/api/health")
            await pull(address)
        with monkeypatch.context() as patch, pytest.raises(CatalogUnreachable, match="no copy came: .* B of .* B"):
            patch.setattr(pulls, "_CHUNK_B", 1000)
            patch.setattr(pulls, "_take", torn(pulls._take))
            await pull(address)
        with monkeypatch.context() as patch, pytest.raises(CatalogDamaged, match="what came is not what was sent"):
            patch.setattr(pulls, "mark_copy", lambda connection, *_: connection.exec_driver_sql("DELETE FROM note"))
            await pull(address)
    with pytest.raises(CatalogUnreachable, match="no copy came: .*refused"):
        await pull(address)
    assert not copy.exists()


async def test_the_token_follows_nobody_elsewhere(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(CatalogRefused, match=r"the web refused \(302\)"):
            await asyncio.to_thread(pull_over_http, address, tmp_path / "copy", token=TOKEN, files=FILES, now_ns=NOW_NS)
    assert len(heard) == 1
    assert b"/api/catalog/copy" in heard[0]


def torn(take):
    """Return what takes an answer that ends too early."""

    class Answer:
        def __init__(self, answer) -> None:
            self.chunks = [answer.read(1000)]

        def read(self, _size: int) -> bytes:
            return self.chunks.pop() if self.chunks else b""

    return lambda answer, *others: take(Answer(answer), *others)
