"""The catalog of another host: what goes over HTTP, who may ask, and what ends without an answer."""

import inspect
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nualley.catalog import (
    CALLS_PATH,
    Catalog,
    CatalogUnreachable,
    FileConflict,
    FileEntry,
    Removals,
    RunLists,
    RunNotFound,
    ToldError,
    Transfers,
    call_named,
)
from nualley.catalog.adapters.sql import SqlCatalog
from nualley.catalog.adapters.web_catalog import open_web_catalog
from nualley.catalog.calls import PARTS, call_names
from nualley.catalog.errors import CatalogError, CatalogMoved, CatalogRefused
from nualley.core import NualleyError, UsageError
from tests.unit.catalog.catalog_web import CatalogWeb
from tests.unit.catalog.records import make_file, make_replica, make_run

pytestmark = pytest.mark.enable_socket

TOKEN = "t" * 64
CHANGING = [name for name in call_names() if not call_named(name).is_reading]
READING = [name for name in call_names() if call_named(name).is_reading]
LIMIT_S = 30.0


@pytest.fixture
def web(catalog_web: CatalogWeb, catalog: SqlCatalog) -> CatalogWeb:
    catalog_web.catalog = catalog
    return catalog_web


@pytest.fixture
def remote(web: CatalogWeb) -> Iterator[Catalog]:
    with open_web_catalog(web.url, web.host_token, drives={}) as remote:
        yield remote


# ---------------------------------------------------------------- calls
def test_every_call_of_the_ports_goes_over_http() -> None:
    expected = {
        f"{part}{name}"
        for part, protocol in (
            ("", Catalog),
            ("run_lists.", RunLists),
            ("transfers.", Transfers),
            ("removals.", Removals),
        )
        for name, _ in inspect.getmembers(protocol, inspect.isfunction)
        if not name.startswith("_") and name not in ("close", "seen_from")
    }
    assert expected | {"livetimes_s", "notes_by_run"} == set(call_names())
    properties = inspect.getmembers(Catalog, lambda each: isinstance(each, property))
    assert {"", *(name for name, _ in properties)} == set(PARTS)


def test_what_begins_with_a_word_that_changes_is_not_for_readers() -> None:
    words = (
        "add_",
        "put_",
        "register_",
        "update_",
        "correct_",
        "remove",
        "set_",
        "define",
        "freeze",
        "begin",
        "settle",
    )
    words += ("finish", "leave", "cancel")
    assert set(CHANGING) == {name for name in call_names() if name.rpartition(".")[2].startswith(words)}


def test_a_call_that_no_catalog_has_is_told_with_the_nearest(remote: Catalog) -> None:
    with pytest.raises(UsageError, match="'run_list.flags' is no call") as caught:
        call_named("run_list.flags")
    assert caught.value.do == "did you mean 'run_lists.flags', and are both ends of one version of nualley?"
    with pytest.raises(UsageError, match=f"^'{'x' * 60}' is no call of a catalog") as caught:
        call_named("x" * 5000)
    assert caught.value.do == "are both ends of one version of nualley?"
    with pytest.raises(AttributeError, match="'rums' is no call of a catalog"):
        remote.rums  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"form": 1, "drives": {}, "given": {}}',
        b'{"form": 2, "drives": {}, "given": {"run_id": "a-1"}}',
        b'{"form": 1, "drives": {}, "given": {"run_id": "a-1", "more": 1}}',
        b'{"form": 1, "drives": {}, "given": {"run_id": 1}}',
        b'{"form": 1, "given": {"run_id": "a-1"}}',
    ],
)
def test_what_is_no_such_call_is_refused(body: bytes) -> None:
    with pytest.raises(UsageError, match="^run: ") as caught:
        call_named("run").read(body)
    assert caught.value.do == "are both ends of one version of nualley?"


def test_an_answer_that_is_none_of_its_call_is_told() -> None:
    with pytest.raises(CatalogUnreachable, match="the answer to run cannot be read: value"):
        call_named("run").read_answer(b'{"value": {"run_id": "a-1"}}')


def test_errors_keep_their_class_and_one_that_is_not_known_is_of_the_catalog() -> None:
    error = RunNotFound("no run", where="RUN", do="look")
    again = ToldError.of(error).to_error()
    assert (type(again), again.what, again.where, again.do) == (RunNotFound, "no run", "RUN", "look")

    class OfAPlugin(FileConflict):
        pass

    assert type(ToldError.of(OfAPlugin("x")).to_error()) is FileConflict
    assert type(ToldError("OfTomorrow", "x").to_error()) is CatalogError


# ---------------------------------------------------------------- who may
def ask(web: CatalogWeb, name: str, token: str) -> Any:
    with open_web_catalog(web.url, token, drives={}) as remote:
        asked = remote
        for word in name.split(".")[:-1]:
            asked = getattr(asked, word)
        parameters = inspect.signature(getattr(_protocol(name), name.rpartition(".")[2])).parameters.values()
        # nothing that fits: what is let through fails by what it says
        given = {each.name: None for each in parameters if each.name != "self" and each.default is each.empty}
        return getattr(asked, name.rpartition(".")[2])(**given)


def _protocol(name: str) -> type:
    found = {"run_lists": RunLists, "transfers": Transfers, "removals": Removals}.get(name.rpartition(".")[0], Catalog)
    return SqlCatalog if not hasattr(found, name.rpartition(".")[2]) else found


@pytest.mark.parametrize("name", CHANGING)
def test_who_reads_changes_nothing(web: CatalogWeb, name: str) -> None:
    with pytest.raises(CatalogRefused, match="this token reads, and changes nothing"):
        ask(web, name, web.read_token)
    with pytest.raises(NualleyError) as caught:
        ask(web, name, web.host_token)
    assert not isinstance(caught.value, CatalogRefused) or "this token" not in caught.value.what


@pytest.mark.parametrize("name", READING)
def test_who_has_no_token_reads_nothing(web: CatalogWeb, name: str) -> None:
    with pytest.raises(CatalogRefused, match="no token, or one that is not known") as caught:
        ask(web, name, TOKEN)
    assert caught.value.do.endswith("(here: NUALLEY_CATALOG_TOKEN)")


def test_who_reads_reads(web: CatalogWeb, remote: Catalog) -> None:
    run = remote.register_run(make_run())
    with open_web_catalog(web.url, web.read_token, drives={}) as reader:
        assert reader.runs() == [run]
        assert reader.run_lists.flags() == []


@pytest.mark.parametrize("token", ["", "a\nb", "é" * 40])
def test_what_is_no_token_is_refused_before_anything_is_sent(token: str) -> None:
    with pytest.raises(UsageError, match="token for the catalog at http://127.0.0.1:9") as caught:
        open_web_catalog("http://127.0.0.1:9", token, drives={})
    assert caught.value.where == "NUALLEY_CATALOG_TOKEN"


# ---------------------------------------------------------------- what goes and comes
def test_each_host_has_its_drives_where_it_has_them(web: CatalogWeb, catalog: SqlCatalog) -> None:
    run = make_run()
    with (
        open_web_catalog(web.url, web.host_token, drives={"data1": Path("/daq/disk")}) as daq,
        open_web_catalog(web.url, web.host_token, drives={"data1": Path("/office/d1")}) as office,
    ):
        daq.add_file(run, make_file(run), replicas=[make_replica(path="/daq/disk/7/wave0.dat")])
        assert [replica.path for replica in office.replicas(1)] == ["/office/d1/7/wave0.dat"]
        assert office.replica_at("data1", "/office/d1/7/wave0.dat") == office.replicas(1)[0]
        assert [replica.path for replica in daq.replicas(1)] == ["/daq/disk/7/wave0.dat"]
    assert [replica.path for replica in catalog.replicas(1)] == ["data1:/7/wave0.dat"]


def test_a_conflict_among_many_comes_back_as_what_it_is(remote: Catalog) -> None:
    run = make_run()
    remote.add_file(run, make_file(run))
    (conflict,) = remote.add_files([FileEntry(run, make_file(run, content=2))])
    assert type(conflict) is FileConflict
    assert "wave0.dat" in conflict.what


def test_runs_become_a_table_there_too(remote: Catalog) -> None:
    run = remote.register_run(make_run(start_ns=0, stop_ns=10**9))
    remote.add_note(run.run_id, "quiet")
    table = remote.runs().to_arrow()
    assert table["run_id"].to_pylist() == ["cenns-10-42"]
    assert table["notes"].to_pylist()[0][0]["text"] == "quiet"
    assert table["livetime_s"].to_pylist() == [None]


def test_threads_ask_side_by_side(remote: Catalog) -> None:
    run = remote.register_run(make_run())
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(remote.run(run.run_id))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert found == [run] * 8


# ---------------------------------------------------------------- no answer
def test_a_web_that_started_anew_is_asked_again(tmp_path: Path, catalog: SqlCatalog) -> None:
    with CatalogWeb(tmp_path) as web, open_web_catalog(web.url, web.host_token, drives={}) as remote:
        web.catalog = catalog
        run = remote.register_run(make_run())
        assert remote.runs() == [run]
        for change in (remote.runs, lambda: [remote.register_run(make_run())]):
            web.stop()
            with pytest.raises(CatalogUnreachable, match="gives no answer") as caught:
                change()
            assert "is not known" not in caught.value.what, "nothing was sent"
            web.start(web.port)
            assert change() == [run]
            web.stop()  # the connection that is kept open ends, which is seen when it is used next
            web.start(web.port)
            assert change() == [run]


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, Callable[[], int]]]:
    """Give the address of who takes one request after the other, and says the same to each; and how many came."""
    n_asked = 0

    def answer_all() -> None:
        nonlocal n_asked
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with closing(connection):
                connection.settimeout(LIMIT_S)
                request = connection.recv(2**16)
                if not request:
                    return
                n_asked += 1
                head, _, body = request.partition(b"\r\n\r\n")
                size_B = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                while len(body) < size_B:
                    body += connection.recv(2**16)
                connection.sendall(answer)

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=answer_all, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        yield f"http://127.0.0.1:{port}", lambda: n_asked
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join(LIMIT_S)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"", "gives no answer: "),
        (b"SSH-2.0-x\r\n", "gives no answer: BadStatusLine"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"val', "gives no answer: IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "the answer to add_note cannot be read"),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello",
            r"the answer \(404\) is none of a catalog: 'hello'",
        ),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", r"the answer \(302\) is none of a catalog"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nnull", r"the answer \(500\) is none of a catalog"),
    ],
)
def test_what_is_no_answer_is_told_and_a_change_is_sent_once(answer: bytes, what: str) -> None:
    with answering(answer) as (url, n_asked), open_web_catalog(url, TOKEN, drives={}) as remote:
        with pytest.raises(CatalogUnreachable, match=what) as caught:
            remote.add_note("cenns-10-42", "text")
        assert n_asked() == 1
        # a change that is turned away is none; who stands between (500, 502, 504) may give up while the web goes on
        is_turned_away = "404" in what or "302" in what
        assert caught.value.what.endswith("whether it was entered is not known") != is_turned_away
        assert caught.value.where == f"{url}{CALLS_PATH}/add_note"


def test_who_says_nothing_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as silent,
        open_web_catalog(f"http://127.0.0.1:{silent.getsockname()[1]}", TOKEN, drives={}, timeout_s=0.2) as remote,
    ):
        with pytest.raises(CatalogUnreachable, match="gives no answer: timed out"):
            remote.runs()
        # a command asks much: each question would wait as long
        with pytest.raises(CatalogUnreachable, match="gave no answer just now"):
            remote.totals()
        with pytest.raises(CatalogUnreachable, match="gave no answer just now") as caught:
            remote.add_note("cenns-10-42", "text")
        assert "is not known" not in caught.value.what, "nothing was sent"
        monkeypatch.setattr("time.monotonic", lambda: remote._silent_until_s + 0.001)
        with pytest.raises(CatalogUnreachable, match="gives no answer: timed out"):
            remote.runs()


def test_where_no_connection_comes_about_nothing_was_entered() -> None:
    def close_at_once() -> None:
        with suppress(OSError):
            server.accept()[0].close()

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=close_at_once)
        thread.start()
        with (
            open_web_catalog(f"https://127.0.0.1:{server.getsockname()[1]}", TOKEN, drives={}) as remote,
            pytest.raises(CatalogUnreachable, match="gives no answer") as caught,
        ):
            remote.add_note("cenns-10-42", "text")
        thread.join(LIMIT_S)
    assert "is not known" not in caught.value.what


def test_a_web_that_has_no_catalog_passes_no_calls_on(tmp_path: Path) -> None:
    # as where two hosts share one experiment.toml: the one that has the catalog would ask itself
    with (
        CatalogWeb(tmp_path, url="http://127.0.0.1:8710") as web,
        open_web_catalog(web.url, web.host_token, drives={}) as remote,
        pytest.raises(CatalogRefused, match="has no catalog of its own, it asks http://127.0.0.1:8710") as caught,
    ):
        remote.runs()
    assert "on that host catalog.url is left out" in caught.value.do


def test_a_body_without_end_is_not_read(web: CatalogWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nualley.web.catalog_api._MOST_CALL_B", 1000)
    with (
        open_web_catalog(web.url, web.host_token, drives={}) as remote,
        pytest.raises(CatalogRefused, match="a body of more than 1000 B") as caught,
    ):
        remote.add_note("cenns-10-42", "x" * 2000)
    assert caught.value.do == "send fewer files at a time"


def test_a_question_has_a_shorter_body_than_a_change(web: CatalogWeb) -> None:
    # who only reads keeps no memory and no time of the web with what no question has
    with (
        open_web_catalog(web.url, web.read_token, drives={}) as reader,
        pytest.raises(CatalogRefused, match="a body of more than 65536 B") as caught,
    ):
        reader.find_files(name="x" * 70_000)
    assert caught.value.do == "ask for less"


def test_what_the_other_end_refuses_comes_as_json(web: CatalogWeb) -> None:
    with (
        pytest.raises(RunNotFound, match="there is no run cenns-10-42"),
        open_web_catalog(web.url, web.host_token, drives={}) as remote,
    ):
        remote.run("cenns-10-42")
    assert json.loads(call_named("run").write(("x",), {}, {})) == {"form": 1, "drives": {}, "given": {"run_id": "x"}}


def test_what_ails_the_catalog_is_told_to_be_on_its_host(web: CatalogWeb, remote: Catalog, catalog: SqlCatalog) -> None:
    def moved(*_: object) -> None:
        raise CatalogMoved("moved", where="/hub/catalog.sqlite", do="set catalog.url")

    web.catalog = SimpleNamespace(seen_from=lambda _: SimpleNamespace(totals=moved))  # type: ignore[assignment]
    with pytest.raises(CatalogMoved, match="moved") as caught:
        remote.totals()
    assert caught.value.where == f"/hub/catalog.sqlite, on the host of {web.url}{CALLS_PATH}/totals"
