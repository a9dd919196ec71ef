"""Questions of Archiver Appliance clients, answered in a thread; long answers part by part, in turn with others."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from nualley.app.appliance import Appliance
from nualley.app.site import Site as RealSite
from nualley.archive import PvNotArchivedError
from nualley.core import NualleyError, UsageError
from nualley.web.answers import StrictJsonResponse, refused
from nualley.web.daemon_thread import DaemonThread
from nualley.web.damages import DamageLog, damage_headers
from nualley.web.errors import NotAllowedError, TokensError
from nualley.web.ports import Site

MOST_DOWNLOADS = 16
"""So many long answers are under way at once; each holds a piece of the archive in memory."""

AHEAD_B = 2**16
"""So much of an answer is made before its header is sent [B]."""

MOST_BODY_B = 2**20
"""A question that is posted has so many bytes at most [B]."""

T = TypeVar("T")
_Handler = TypeVar("_Handler", bound=Callable[..., Awaitable[Response]])
Damaged: TypeAlias = Callable[[Appliance], Iterable[str]]
_log = structlog.get_logger()


class ApplianceService:
    """Answers in a thread of its own, with a reader of its own.

    A long answer is made part by part, each when the one before it was taken: whoever reads slowly holds up nobody, and
    between two parts the questions of others are answered.

    Parameters
    ----------
    site : Site
        The site.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._thread = DaemonThread("nualley-web-appliance")
        self._appliance: Appliance | None = None
        self._n_downloads = 0
        self._damages = DamageLog()

    async def ask(self, question: Callable[[Appliance], object], damaged: Damaged | None = None) -> Response:
        """Return an answer as JSON; what cannot be answered says why.

        Parameters
        ----------
        question : callable
            Returns the answer.
        damaged : callable, optional
            Returns which damaged files it had to do without; a header names them.
        """
        try:
            answer = StrictJsonResponse(await self.do(question))
            if damaged is not None:
                answer.headers.update(damage_headers(await self.do(damaged)))
        except NualleyError as error:
            return refusal(error)
        return answer

    async def do(self, question: Callable[[Appliance], T]) -> T:
        """Put a question, and return what it returns, or raise what it raises."""
        return await self._thread.do(partial(self._answer, question))

    def _answer(self, question: Callable[[Appliance], T]) -> T:
        appliance = self._opened()
        try:
            return question(appliance)
        finally:
            self._damages.tell(appliance.damages())

    def _opened(self) -> Appliance:
        if self._appliance is None:
            # outside of tests a site is app's own: what is archived is changed by that alone
            self._appliance = Appliance(cast("RealSite", self._site))
        return self._appliance

    async def stream(
        self,
        question: Callable[[Appliance], Iterator[bytes]],
        media_type: str,
        damaged: Damaged,
    ) -> Response:
        """Return an answer that is made while it is sent; what goes wrong with its first `AHEAD_B` says why.

        Parameters
        ----------
        question : callable
            Returns the parts.
        media_type : str
            Of the answer.
        damaged : callable
            Returns which damaged files the answer had to do without. A header names those that were met in its first
            `AHEAD_B`; of those behind, only the log tells.
        """
        if self._n_downloads >= MOST_DOWNLOADS:
            busy = StrictJsonResponse(
                {"error": {"what": f"{self._n_downloads} answers are under way", "where": "", "do": "ask again later"}},
                status_code=503,
            )
            busy.headers["Retry-After"] = "10"
            return busy
        self._n_downloads += 1
        try:
            parts = await self.do(question)
            first = await self._ahead(parts)
            headers = damage_headers(await self.do(damaged))
        except NualleyError as error:
            self._n_downloads -= 1
            return refusal(error)
        except BaseException:
            self._n_downloads -= 1
            raise
        return _Download(self._rest(first, parts), self._ended, media_type, headers)

    async def _ahead(self, parts: Iterator[bytes]) -> bytes:
        """Return the first parts, `AHEAD_B` or more of them, or all: what is wrong with them can still be said."""
        first = bytearray()
        while len(first) < AHEAD_B:
            part = await self.do(lambda _: next(parts, None))
            if part is None:
                break
            first += part
        return bytes(first)

    async def _rest(self, part: bytes | None, parts: Iterator[bytes]) -> AsyncIterator[bytes]:
        while part is not None:
            yield part
            try:
                part = await self.do(lambda _: next(parts, None))
            except NualleyError as error:
                # the client sees an answer that ends too early
                _log.error("an answer was cut short", what=error.what, where=error.where)
                raise

    def _ended(self) -> None:
        self._n_downloads -= 1

    def stop(self) -> None:
        """End the thread."""
        self._thread.stop()


class _Download(StreamingResponse):
    """A stream that says when it is over, also where nobody took it."""

    def __init__(
        self, parts: AsyncIterator[bytes], ended: Callable[[], None], media_type: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(parts, media_type=media_type, headers=headers)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


def refusal(error: NualleyError) -> Response:
    """Return an error as clients of the appliance expect it: 404 for a PV that is not archived."""
    if isinstance(error, PvNotArchivedError):
        return refused(error, 404)
    if isinstance(error, NotAllowedError):
        return refused(error, 401, {"WWW-Authenticate": "Bearer"})
    return refused(error, 500) if isinstance(error, TokensError) else refused(error)


async def body_of(request: Request) -> bytes:
    """Return what was posted.

    Raises
    ------
    UsageError
        Where it is more than `MOST_BODY_B`.
    """
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > MOST_BODY_B:
            raise UsageError(f"more than {MOST_BODY_B} B", where="body", do="ask for fewer PVs at a time")
    return bytes(raw)


def asked_or_posted(app: FastAPI, path: str, **described: Any) -> Callable[[_Handler], _Handler]:
    """Register what answers to GET, and to POST, with which many names can come."""

    def register(answer: _Handler) -> _Handler:
        app.post(path, include_in_schema=False)(answer)
        app.get(path, **described)(answer)
        return answer

    return register
