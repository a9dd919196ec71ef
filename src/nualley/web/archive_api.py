"""The archive over HTTP: rows and bins of a PV, as ``nualley archive get --json`` gives them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson
import pyarrow as pa
from fastapi import FastAPI
from starlette.responses import Response

from nualley.app.appliance import checked_name
from nualley.app.exports import moved_edges_json
from nualley.archive import BIN_COLUMNS
from nualley.core import NualleyError, UsageError, dump_json, parse_time_ns
from nualley.web.answers import refused
from nualley.web.daemon_thread import DaemonThread
from nualley.web.damages import DamageLog
from nualley.web.ports import Archive, Site

MOST_ROWS = 200_000
"""An answer over HTTP has so many rows at most; for more there are bins and files."""

_NUL = rb"\u0000"
_ROW_COLUMNS = ("time_ns", "value", "severity", "status", "kind")

Question = Callable[[Archive], Mapping[str, object]]


class ArchiveService:
    """Answers about archived PVs, one after the other, in a thread of their own.

    Parameters
    ----------
    site : Site
        Whose archive; it is opened when somebody asks, and read by this thread alone.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._thread = DaemonThread("nualley-web-archive")
        self._reader: Archive | None = None
        self._damages = DamageLog()

    async def ask(self, question: Question) -> Response:
        """Put a question to the archive, and return the answer; what cannot be answered says why, as JSON."""
        try:
            return await self._thread.do(partial(self._answer, question))
        except NualleyError as error:
            return refused(error)

    def _answer(self, question: Question) -> Response:
        if self._reader is None:
            self._reader = self._site.open_archive()
        found = question(self._reader)
        self._damages.tell(self._reader.damages())
        return Response(_written(found), media_type="application/json")

    def stop(self) -> None:
        """End the thread."""
        self._thread.stop()


def add_archive_routes(app: FastAPI, service: ArchiveService, site: Site) -> None:
    """Register what answers about archived PVs.

    Parameters
    ----------
    app : FastAPI
        The application.
    service : ArchiveService
        Who answers.
    site : Site
        Its clock says what ``now`` is.
    """

    def stretch_ns(begin: str, end: str) -> tuple[int, int]:
        now_ns = site.clock.now_ns()
        return parse_time_ns(begin, now_ns, "start"), parse_time_ns(end, now_ns, "stop")

    @app.get("/api/archive/bins", summary="A stretch of a PV's history in pieces: n, min, mean, max, mean over time")
    async def bins(pv: str, start: str = "-1h", stop: str = "now", n: int = 100, exact: bool = False) -> Response:
        def question(archive: Archive) -> Mapping[str, object]:
            name, stretch = checked_name(pv), stretch_ns(start, stop)
            table = archive.bins(name, *stretch, n, is_exact=exact)
            columns = _columns(archive, name, table, BIN_COLUMNS) | {"moved": moved_edges_json(table)}
            return columns | _damages(archive, name, stretch)

        return await service.ask(question)

    @app.get("/api/archive/rows", summary="Samples and gaps of a PV; the sample that holds at the start comes first")
    async def rows(pv: str, start: str = "-1h", stop: str = "now") -> Response:
        def question(archive: Archive) -> Mapping[str, object]:
            name, stretch = checked_name(pv), stretch_ns(start, stop)
            n_rows = archive.count_rows(name, *stretch)
            if n_rows > MOST_ROWS:
                raise UsageError(
                    f"{n_rows} rows are too many for one answer",
                    where=name,
                    do=f"ask for bins, or for {MOST_ROWS} rows at most; nualley archive get writes more to a file",
                )
            columns = _columns(archive, name, archive.read(name, *stretch), _ROW_COLUMNS)
            return columns | _damages(archive, name, stretch)

        return await service.ask(question)


def _written(found: Mapping[str, object]) -> bytes:
    """Return the text of an answer in strict JSON, from NumPy's columns: they are most of it."""
    try:
        text = orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:  # text that is not UTF-8, which is rare
        return dump_json(found).encode()
    return dump_json(found).encode() if _NUL in text else text


def _values(column: pa.ChunkedArray) -> Any:
    # a null of a float is a NaN in NumPy, and a null again in JSON
    is_plain = pa.types.is_floating(column.type) or (pa.types.is_integer(column.type) and not column.null_count)
    return column.to_numpy() if is_plain else column.to_pylist()


def _columns(archive: Archive, pv: str, table: Any, names: Sequence[str]) -> dict[str, object]:
    metadata = archive.record(pv).metadata
    return {
        "pv": pv,
        "unit": metadata.unit if metadata else "",
        "columns": {name: _values(table[name]) for name in names},
    }


def _damages(archive: Archive, pv: str, stretch: tuple[int, int]) -> dict[str, object]:
    return {"damages": list(archive.rot.files(pv, *stretch).values())}
