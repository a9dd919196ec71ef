"""A copy of a catalog to read elsewhere: from a file, from a server of databases, or over HTTP from a running web."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from typing import IO

from nualley.catalog.adapters.backup import backup, check_destination, inspect
from nualley.catalog.adapters.contents import difference
from nualley.catalog.adapters.database import BUSY_TIMEOUT_MS, Database, file_engine
from nualley.catalog.adapters.moves import mark_copy, shown_location
from nualley.catalog.calls import ToldError
from nualley.catalog.errors import CatalogDamaged, CatalogRefused, CatalogUnreachable
from nualley.catalog.models import CatalogContent
from nualley.catalog.settings import web_address
from nualley.catalog.wire import CONTENT_HEADER, COPY_PATH, parse_content
from nualley.core import escape_name, reason
from nualley.storage import DurableFiles, publish_made

_TIMEOUT_S = 60.0  # a large catalog is copied at the other end before the first byte comes
_CHUNK_B = 2**20
_MOST_SAID_B = 10_000
_LOOK = "look at the web's log"

Report = Callable[[str, int, int], None]
"""Takes what is done, bytes done and bytes in all [B]."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: the token is for this host alone."""

    def redirect_request(self, *_: object) -> None:
        """Follow no redirect."""


def pull(location: Path | str, file: Path, *, files: DurableFiles, now_ns: int) -> CatalogContent:
    """Copy a catalog into a file that can be read and takes nothing.

    Parameters
    ----------
    location : Path or str
        A SQLite file or the address of a server.
    file : Path
        The copy's final name, in a folder that is there; never overwritten.
    files : DurableFiles
        The file systems.
    now_ns : int
        The time now [ns since 1970 UTC].

    Returns
    -------
    CatalogContent
        What the copy holds, read back and equal to the original.
    """
    original = shown_location(location)
    return backup(location, file, files=files, finish=lambda connection: mark_copy(connection, original, now_ns))


def pull_over_http(
    address: str, file: Path, *, token: str, files: DurableFiles, now_ns: int, report: Report | None = None
) -> CatalogContent:
    """Fetch a copy from a running web.

    Parameters
    ----------
    address : str
        Of the web, such as ``http://127.0.0.1:8710``.
    file : Path
        The copy's final name, in a folder that is there; never overwritten.
    token : str
        What the web's ``web.catalog_tokens_file`` knows; sent to this host alone.
    files : DurableFiles
        The file systems.
    now_ns : int
        The time now [ns since 1970 UTC].
    report : callable, optional
        Takes what is done, bytes done and bytes in all [B].

    Returns
    -------
    CatalogContent
        What the copy holds, read back and equal to what the web says of it.

    Raises
    ------
    CatalogUnreachable
        Where nobody answers, or not to the end.
    CatalogRefused
        Where the answer is no copy: no token, say.
    CatalogDamaged
        Where what came is not what was sent.
    """
    check_destination(file)
    url = web_address(address, where="SOURCE") + COPY_PATH
    said: list[CatalogContent] = []

    def make(part: Path) -> None:
        said.append(_fetch(url, part, token, report))
        with closing(Database(file_engine(part, BUSY_TIMEOUT_MS), escape_name(str(part)), part)) as copy:
            copy.write(lambda connection: mark_copy(connection, address, now_ns))

    def check(part: Path) -> None:
        told = difference(inspect(part), said[0])
        if told:
            raise CatalogDamaged(f"what came is not what was sent: {told}", where=url, do="pull again")

    publish_made(file, make, files=files, check=check)
    return said[0]


def _fetch(url: str, part: Path, token: str, report: Report | None) -> CatalogContent:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S) as answer:  # noqa: S310  # http(s), seen above
            content = answer.headers.get(CONTENT_HEADER)
            if content is None:
                raise CatalogRefused(
                    "the answer is no copy of a catalog", where=url, do="is that the port of nualley's web?"
                )
            size_B = int(answer.headers.get("Content-Length") or 0)
            with part.open("r+b") as stream:
                _take(answer, stream, size_B, report)
    except urllib.error.HTTPError as error:
        raise _refused(error, url) from error
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise CatalogUnreachable(
            f"no copy came: {why}", where=url, do="look whether 'nualley up web' runs there and a tunnel leads to it"
        ) from error
    return parse_content(json.loads(content))


def _take(answer: IO[bytes], stream: IO[bytes], size_B: int, report: Report | None) -> None:
    n_B = 0
    while chunk := answer.read(_CHUNK_B):
        stream.write(chunk)
        n_B += len(chunk)
        if report:
            report("pulling", n_B, size_B)
    if n_B != size_B:
        raise ValueError(f"{n_B} B of {size_B} B")


def _refused(error: urllib.error.HTTPError, url: str) -> CatalogRefused:
    with error:
        told = ToldError.read(error.read(_MOST_SAID_B))
    what = told.what if told else error.reason or "no reason given"
    return CatalogRefused(f"the web refused ({error.code}): {what}", where=url, do=told.do if told else _LOOK)
