"""`catalog.ports.Catalog` of another host, over HTTP: each call goes to the web that runs at its store."""

import http.client
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

from nualley.catalog.calls import PARTS, Call, ToldError, call_named
from nualley.catalog.errors import CatalogDamaged, CatalogRefused, CatalogUnreachable, CatalogUnwritable
from nualley.catalog.ports import Catalog
from nualley.catalog.run_table import RunList
from nualley.catalog.wire import CALLS_PATH, TOKEN_VARIABLE
from nualley.core import ConfigurationError, NualleyError, UsageError, reason

TIMEOUT_S = 60.0
"""An answer is waited for so long [s]."""

_CONNECT_TIMEOUT_S = 10.0  # as for a server of databases
_SILENCE_S = 10.0  # who let one question wait in vain is not asked the next ones of the same command
_LOOK = "look whether 'nualley up web' runs there and a tunnel leads to it, then do it again"
_LONGEST_TEXT = 200
# not of what was asked: files and settings that these name are there, not here
_OF_ITS_HOST = (ConfigurationError, CatalogDamaged, CatalogUnreachable, CatalogUnwritable)


class WebCatalog:
    """The catalog that a web on another host gives to who has a token.

    It has every call of `nualley.catalog.Catalog`, by name; `open_web_catalog` returns it as one.

    Parameters
    ----------
    url : str
        Address of the web, such as ``http://127.0.0.1:8710``.
    token : str
        Sent to this host alone.
    drives : mapping of str to Path
        Where the drives are on this host, by name.
    timeout_s : float
        An answer is waited for so long [s], > 0.
    """

    def __init__(self, url: str, token: str, drives: Mapping[str, Path], timeout_s: float = TIMEOUT_S) -> None:
        self._url, self._token = url.rstrip("/"), token
        parts = urlsplit(self._url)
        self._connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._base = parts.netloc, parts.path
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        self._drives = drives
        self._timeout_s = timeout_s
        self._idle: deque[http.client.HTTPConnection] = deque()  # open, and used by no thread now
        self._silent_until_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        while (idle := self._an_idle()) is not None:
            idle.close()

    def seen_from(self, drives: Mapping[str, Path]) -> "WebCatalog":
        """Return the same catalog for a host where drives, by name, are at these paths."""
        return WebCatalog(self._url, self._token, drives, self._timeout_s)

    def __getattr__(self, name: str) -> Any:
        if name in PARTS:
            return _Part(self, name)
        return self.named(name)

    def named(self, name: str) -> Callable[..., Any]:
        """Return a call by its name; AttributeError where a catalog has none of it."""
        try:
            return partial(self._do, call_named(name))
        except UsageError as error:
            raise AttributeError(error.what) from None

    def _do(self, call: Call, *words: Any, **named: Any) -> Any:
        where = f"{self._url}{CALLS_PATH}/{call.name}"
        answer = call.read_answer(self._ask(call, call.write(words, named, self._drives), where), where)
        return RunList(answer, cast("Any", self)) if call.name == "runs" else answer

    # ------------------------------------------------------------ HTTP
    def _ask(self, call: Call, body: bytes, where: str) -> bytes:
        if time.monotonic() < self._silent_until_s:
            raise CatalogUnreachable(
                "the catalog's web gave no answer just now, and is not asked again so soon", where=where, do=_LOOK
            )
        status, answer = self._exchange(call, body, where)
        if status != http.HTTPStatus.OK:
            raise _refusal(status, answer, where, call)
        return answer

    def _exchange(self, call: Call, body: bytes, where: str) -> tuple[int, bytes]:
        """Send a call, and return the status and the body of its answer.

        A question that meets a connection which the other end has closed meanwhile is asked once more. What changes
        something is sent over a new connection, and once.
        """
        idle = self._an_idle() if call.is_reading else None
        if idle is not None:
            with self._answering(where), suppress(ConnectionError, http.client.BadStatusLine):
                return self._send(idle, call, body)
        with self._answering(where):
            connection = self._opened()
        with self._answering(where, call.unknown):
            return self._send(connection, call, body)

    @contextmanager
    def _answering(self, where: str, unknown: str = "") -> Iterator[None]:
        """Tell what ends without an answer, and what is ``unknown`` then."""
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, TimeoutError):
                self._silent_until_s = time.monotonic() + _SILENCE_S
            why = reason(error) if isinstance(error, OSError) else f"{type(error).__name__} {error}".strip()
            raise CatalogUnreachable(
                f"the catalog's web gives no answer: {why}{unknown}", where=where, do=_LOOK
            ) from error

    def _opened(self) -> http.client.HTTPConnection:
        connection = self._connect(self._host, timeout=min(_CONNECT_TIMEOUT_S, self._timeout_s))
        try:
            connection.connect()
            connection.sock.settimeout(self._timeout_s)
        except BaseException:
            connection.close()
            raise
        return connection

    def _an_idle(self) -> http.client.HTTPConnection | None:
        with suppress(IndexError):
            return self._idle.pop()
        return None

    def _send(self, connection: http.client.HTTPConnection, call: Call, body: bytes) -> tuple[int, bytes]:
        with ExitStack() as stack:
            stack.callback(connection.close)
            connection.request("POST", f"{self._base}{CALLS_PATH}/{call.name}", body, self._headers)
            answer = connection.getresponse()
            found = answer.status, answer.read()
            if not answer.will_close:
                stack.pop_all()
                self._idle.append(connection)
        return found


class _Part:
    """Calls of a part of the catalog, such as its transfers."""

    def __init__(self, catalog: WebCatalog, name: str) -> None:
        self._catalog = catalog
        self._name = name

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return self._catalog.named(f"{self._name}.{name}")


def open_web_catalog(url: str, token: str, *, drives: Mapping[str, Path], timeout_s: float = TIMEOUT_S) -> Catalog:
    """Return the catalog of another host; nothing is sent before it is asked.

    Parameters
    ----------
    url : str
        Address of the web, such as ``http://127.0.0.1:8710``.
    token : str
        Of ``web.catalog_tokens_file``, which reads, or of ``web.catalog_host_tokens_file``, which does everything.
    drives : mapping of str to Path
        Where the drives are on this host, by name.
    timeout_s : float
        An answer is waited for so long [s], > 0.

    Raises
    ------
    UsageError
        Where there is no token, or one that no header can hold.
    """
    if not token or not token.isascii() or not token.isprintable():
        raise UsageError(
            f"{'no token' if not token else 'what is no token'} for the catalog at {url}",
            where=TOKEN_VARIABLE,
            do=f"export {TOKEN_VARIABLE}=... (a token of web.catalog_host_tokens_file there; one of "
            "web.catalog_tokens_file reads)",
        )
    return cast("Catalog", WebCatalog(url, token, drives, timeout_s))


def _refusal(status: int, body: bytes, where: str, call: Call) -> NualleyError:
    told = ToldError.read(body)
    if told is None:
        text = body[:_LONGEST_TEXT].decode("utf-8", "replace")
        # who stands between may give up while the web goes on
        unknown = call.unknown if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR else ""
        return CatalogUnreachable(
            f"the answer ({status}) is none of a catalog: {text!r}{unknown}",
            where=where,
            do="is that the port of nualley's web, of this version? Else look at its log",
        )
    if told.kind:
        error = told.to_error()
        is_of_that_host = isinstance(error, _OF_ITS_HOST)
        return replace(told, where=f"{told.where}, on the host of {where}").to_error() if is_of_that_host else error
    do = f"{told.do} (here: {TOKEN_VARIABLE})" if status == http.HTTPStatus.UNAUTHORIZED else told.do
    return CatalogRefused(f"the web refused ({status}): {told.what}", where=where, do=do)
