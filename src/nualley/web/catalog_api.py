"""The catalog over HTTP, for hosts without the store: runs, files, flags, sums, a copy of all; only with a token."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from typing import Any, TypeVar, cast

from fastapi import FastAPI, Request
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from nualley.app.site import Site as RealSite
from nualley.catalog import (
    API,
    CALLS_PATH,
    CONTENT_HEADER,
    COPY_PATH,
    USAGE_KEYS,
    Call,
    FlagNotFound,
    FlagSuperseded,
    RunNotFound,
    ToldError,
    call_named,
    write_content,
)
from nualley.core import NualleyError, UsageError, nearest, parse_time_ns
from nualley.web.answers import StrictJsonResponse, refused
from nualley.web.bodies import read_body, read_json
from nualley.web.daemon_thread import DaemonThread
from nualley.web.errors import NotAllowedError, TokensError, TooLargeError
from nualley.web.ports import Record, Site
from nualley.web.tokens import Tokens

MOST_ROWS = 1000
"""A page has so many rows at most."""

_HEX_DIGITS = 32
_MOST_BODY_B = 2**16
_MOST_CALL_B = 2**28  # the files of a large transfer are entered at once
T = TypeVar("T")
_STATUS: Mapping[type[NualleyError], int] = {
    NotAllowedError: 401,
    TokensError: 500,
    TooLargeError: 413,
    RunNotFound: 404,
    FlagNotFound: 404,
    FlagSuperseded: 409,
}
Change = Callable[[RealSite, str, object], Mapping[str, object]]
"""Takes the site, whose token it was, and what was posted; gives what was entered."""


class CatalogService:
    """Answers what the catalog holds, one question after the other, in a thread of its own.

    Parameters
    ----------
    site : Site
        Whose catalog.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._readers = Tokens(site.configuration.web.catalog_tokens_file)
        self._writers = Tokens(site.configuration.web.catalog_write_tokens_file)
        self._hosts = Tokens(site.configuration.web.catalog_host_tokens_file)
        self._thread = DaemonThread("nualley-web-catalog")

    async def ask(self, request: Request, question: Callable[[Record], Mapping[str, object]]) -> Response:
        """Put a question to the catalog, and return the answer; what cannot be answered says why, as JSON."""

        def answer() -> Response:
            return StrictJsonResponse(question(self._site.catalog()))

        return await self._guarded(request, answer)

    async def change(self, request: Request, order: Change) -> Response:
        """Let the token's owner enter what the body says, and return what was entered."""

        async def answer() -> Response:
            owner = self._writer(request)
            body = await read_json(request, _MOST_BODY_B, "send less at a time")
            # outside of tests a site is app's own: the catalog is changed by that alone
            site = cast("RealSite", self._site)
            return await self._thread.do(lambda: StrictJsonResponse(order(site, owner, body), status_code=201))

        return await _told(answer)

    async def call(self, request: Request, name: str) -> Response:
        """Carry out a call of another host's commands, and return what the catalog gave or raised."""

        async def answer() -> Response:
            call = call_named(name)
            self._let_host(request, call)
            self._check_here()
            change = _MOST_CALL_B, "send fewer files at a time"
            body = await read_body(request, *((_MOST_BODY_B, "ask for less") if call.is_reading else change))
            return await self._thread.do(lambda: _carried_out(self._site.catalog(), call, body))

        return await _told(answer)

    async def copy(self, request: Request) -> Response:
        """Return a copy of the whole catalog as it is now: a SQLite file, gone here once it is sent."""
        return await self._guarded(request, self._copy)

    def _let_host(self, request: Request, call: Call) -> None:
        """Refuse a call of who may not carry it out."""
        is_reader = self._readers.owner(_authorization(request)) is not None
        if is_reader and call.is_reading:
            return
        if is_reader and self._hosts.owner(_authorization(request)) is None:
            raise NotAllowedError(
                "this token reads, and changes nothing",
                where="Authorization",
                do="use one of web.catalog_host_tokens_file",
            )
        _owner(request, self._hosts, "use the catalog from another host", "web.catalog_host_tokens_file")

    def _check_here(self) -> None:
        """Refuse calls where another host has the catalog: passed on, they may come back to this one for ever."""
        web = self._site.configuration.catalog.web
        if web:
            raise UsageError(
                f"this web has no catalog of its own, it asks {web}",
                where="catalog.url",
                do="name the web of the host that has it; on that host catalog.url is left out, or names a database",
            )

    async def _guarded(self, request: Request, answer: Callable[[], Response]) -> Response:
        async def ask() -> Response:
            if self._hosts.owner(_authorization(request)) is None:
                _owner(request, self._readers, "read the catalog", "web.catalog_tokens_file")
            return await self._thread.do(answer)

        return await _told(ask)

    def _writer(self, request: Request) -> str:
        return _owner(request, self._writers, "enter anything into the catalog", "web.catalog_write_tokens_file")

    def _copy(self) -> Response:
        with ExitStack() as stack:
            file, content = stack.enter_context(self._site.catalog_copy())
            kept = stack.pop_all()
        return FileResponse(
            file,
            media_type="application/vnd.sqlite3",
            filename="catalog.sqlite",
            headers={CONTENT_HEADER: write_content(content)},
            background=BackgroundTask(kept.close),
        )

    def stop(self) -> None:
        """End the thread."""
        self._thread.stop()


async def _told(answer: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await answer()
    except NualleyError as error:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), None)
        return refused(error, status, {"WWW-Authenticate": "Bearer"} if isinstance(error, NotAllowedError) else None)


def _carried_out(catalog: Record, call: Call, body: bytes) -> Response:
    given, drives = call.read(body)
    part, _, name = call.name.rpartition(".")
    asked = catalog.seen_from(drives)
    try:
        value = getattr(getattr(asked, part) if part else asked, name)(**given)
    except NualleyError as error:
        return StrictJsonResponse({"error": error.to_json() | {"kind": ToldError.of(error).kind}}, status_code=409)
    return Response(call.write_answer(value), media_type="application/json")


def _authorization(request: Request) -> str:
    return request.headers.get("authorization", "")


def _owner(request: Request, tokens: Tokens, what: str, setting: str) -> str:
    if not tokens.are_kept:
        raise NotAllowedError(f"nobody may {what} here", where="experiment.toml", do=f"set {setting}, restart web")
    owner = tokens.owner(_authorization(request))
    if owner is None:
        raise NotAllowedError(
            "no token, or one that is not known", where="Authorization", do='send "Authorization: Bearer TOKEN"'
        )
    return owner


def add_catalog_routes(app: FastAPI, service: CatalogService, site: Site) -> None:
    """Register what answers from the catalog.

    Parameters
    ----------
    app : FastAPI
        The application.
    service : CatalogService
        Who answers.
    site : Site
        Its clock says what ``now`` is.
    """
    _add_runs(app, service, site)
    _add_flags(app, service, site)
    _add_files(app, service, site)

    @app.post(f"{CALLS_PATH}/{{name}}", summary="What commands of another host ask of the catalog and enter into it")
    async def call(request: Request, name: str) -> Response:
        return await service.call(request, name)

    @app.get(COPY_PATH, summary="The whole catalog as it is now: a SQLite file")
    async def copy(request: Request) -> Response:
        return await service.copy(request)


def _add_runs(app: FastAPI, service: CatalogService, site: Site) -> None:
    def time_ns(text: str, where: str) -> int | None:
        return parse_time_ns(text, site.clock.now_ns(), where) if text else None

    @app.get(f"{API}/runs", summary="Runs by start, a page at a time; next is what to ask after, null at the end")
    async def runs(  # each is a filter of the address
        request: Request,
        detector: str = "",
        start: str = "",
        stop: str = "",
        tag: str = "",
        after: str = "",
        limit: int = 100,
    ) -> Response:
        def question(record: Record) -> Mapping[str, object]:
            if detector:
                site.check_detector(detector, where="detector")
            found = record.runs(
                detector=detector or None,
                start_ns=time_ns(start, "start"),
                stop_ns=time_ns(stop, "stop"),
                tag=tag or None,
            )
            return _page("runs", found, lambda run: run.run_id, after=after, limit=limit)

        return await service.ask(request, question)

    @app.get(f"{API}/runs/{{run_id}}", summary="A run with its notes and counts")
    async def run(request: Request, run_id: str) -> Response:
        def question(record: Record) -> Mapping[str, object]:
            return {"run": record.run(run_id), "notes": record.notes(run_id), "totals": record.totals(run_id)}

        return await service.ask(request, question)

    @app.get(f"{API}/runs/{{run_id}}/files", summary="Files of a run by name with their replicas, a page at a time")
    async def files(request: Request, run_id: str, after: str = "", limit: int = 100) -> Response:
        def question(record: Record) -> Mapping[str, object]:
            record.run(run_id)
            found = _page("files", record.files(run_id), lambda file: file.name, after=after, limit=limit)
            return found | {"files": _with_replicas(record, found["files"])}

        return await service.ask(request, question)


def _add_flags(app: FastAPI, service: CatalogService, site: Site) -> None:
    @app.get(f"{API}/flags", summary="Flags by number; with all=true also those that count no more")
    async def flags(request: Request, detector: str = "", all: bool = False) -> Response:  # noqa: A002  # the address
        def question(record: Record) -> Mapping[str, object]:
            if detector:
                site.check_detector(detector, where="detector")
            found = record.run_lists.flags(detector or None)
            return {"flags": [flag.to_json() for flag in found if all or flag.counts]}

        return await service.ask(request, question)


def _add_files(app: FastAPI, service: CatalogService, site: Site) -> None:
    @app.get(f"{API}/files", summary="Files by xxh3_128, or the one that lies at a path of a drive")
    async def files(request: Request, xxh3_128: str = "", drive: str = "", path: str = "") -> Response:
        def question(record: Record) -> Mapping[str, object]:
            if drive:
                site.check_drive(drive, where="drive")
            return {"files": _with_replicas(record, _find(record, xxh3_128=xxh3_128, drive=drive, path=path))}

        return await service.ask(request, question)

    @app.get(f"{API}/usage", summary="What lies on drives, by any of detector, stage, month and drive")
    async def usage(request: Request, by: str = "detector,stage,month,drive") -> Response:
        keys = by.split(",")

        def question(record: Record) -> Mapping[str, object]:
            for key in keys:
                if key not in USAGE_KEYS:
                    near = nearest(key, USAGE_KEYS)
                    raise UsageError(
                        f"{key[:40]!r} is nothing to sum by",
                        where="by",
                        do=f"did you mean {near!r}?" if near else f"any of {','.join(USAGE_KEYS)}",
                    )
            return {"usage": [row._asdict() for row in record.usage([key for key in USAGE_KEYS if key in keys])]}

        return await service.ask(request, question)


def _find(record: Record, *, xxh3_128: str, drive: str, path: str) -> list[Any]:
    if xxh3_128 and not (drive or path):
        if len(xxh3_128) != _HEX_DIGITS:
            raise UsageError(
                f"a digest of {len(xxh3_128)} digits", where="xxh3_128", do="write 32 lower-case hexadecimal digits"
            )
        return record.files_by_digest(xxh3_128)
    if drive and path and not xxh3_128:
        replica = record.replica_at(drive, path)
        return [] if replica is None else [record.file(replica.file_id)]
    raise UsageError("neither a digest nor a place", where="address", do="ask for xxh3_128=, or for drive= and path=")


def _with_replicas(record: Record, files: Iterable[Any]) -> list[dict[str, Any]]:
    return [asdict(file) | {"replicas": record.replicas(file.file_id)} for file in files]


def _page(name: str, rows: list[T], key: Callable[[T], str], *, after: str, limit: int) -> dict[str, Any]:
    """Return the rows behind the one that was the last of the page before."""
    if not 1 <= limit <= MOST_ROWS:
        raise UsageError(f"a page of {limit} rows", where="limit", do=f"ask for 1 to {MOST_ROWS}")
    first = 0
    if after:
        first = next((number + 1 for number, row in enumerate(rows) if key(row) == after), -1)
        if first < 0:
            raise UsageError(f"{after[:60]!r} is not there any more", where="after", do="begin at the first page again")
    page = list(islice(rows, first, first + limit))
    return {name: page, "next": key(page[-1]) if first + limit < len(rows) else None}
