"""The web application: pages, the stream, and what the page's script and others ask for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import structlog
from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from nualley import __version__
from nualley.core import end_tasks
from nualley.web.answers import StrictJsonResponse, status_json
from nualley.web.appliance_mgmt import add_mgmt_routes
from nualley.web.appliance_retrieval import add_retrieval_routes
from nualley.web.appliance_service import ApplianceService
from nualley.web.archive_api import ArchiveService, add_archive_routes
from nualley.web.catalog_api import CatalogService, add_catalog_routes
from nualley.web.catalog_changes import add_catalog_changes
from nualley.web.coordination import CoordinationService, add_coordination_routes
from nualley.web.daemon_thread import DaemonThread
from nualley.web.hub import Hub
from nualley.web.models import Status
from nualley.web.observer import Observer
from nualley.web.pages import PARTS, STATIC, Pages
from nualley.web.ports import Site
from nualley.web.push_api import add_push_route
from nualley.web.refusals import REFUSALS, add_refusals
from nualley.web.security import LOOPBACK_NAMES, Guard
from nualley.web.status import status

TICK_S = 1.0
"""The status is made anew so often, and whenever the live bus speaks [s]."""

SHORTEST_TICK_S = 0.4
"""But not more often than this [s]."""

FIRST_LOOKS_S = 3.0
"""The server answers once every part was looked at, or after this long [s]."""

_EVENTS = "text/event-stream"
_Answer = TypeVar("_Answer", bound=Callable[..., Any])
_log = structlog.get_logger()


class StatusService:
    """What the application holds: what is seen, what is said of it, and who is told.

    Parameters
    ----------
    site : Site
        The site.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._pages = Pages()
        self._writer = DaemonThread("nualley-web-writer")
        self.observer = Observer(site)
        self.hub = Hub()
        self.status = self._make_status()
        self._tasks: list[asyncio.Task[None]] = []

    def _make_status(self) -> Status:
        return status(self._site.configuration, self.observer.seen(), self._site.clock.now_ns())

    async def start(self) -> None:
        """Begin to look; return once there is something to say."""
        self._tasks = [_start(work) for work in self.observer.tasks()]
        await self.observer.first_looks(FIRST_LOOKS_S)
        await self._tick()
        self._tasks.append(_start(self._tick_for_ever()))

    async def stop(self) -> None:
        """End the streams and stop looking."""
        self.hub.close()
        await end_tasks(self._tasks)
        self.observer.stop()
        self._writer.stop()

    async def _tick_for_ever(self) -> None:
        news = self.observer.feed.news
        while True:
            await asyncio.sleep(SHORTEST_TICK_S)
            with suppress(TimeoutError):  # a silent bus is told of as well
                await asyncio.wait_for(news.wait(), TICK_S - SHORTEST_TICK_S)
            news.clear()
            try:
                await self._tick()
            except Exception as error:  # noqa: BLE001  # the outermost loop: the page says that it is not live
                _log.exception("the status could not be written", what=str(error))

    async def _tick(self) -> None:
        seen, n_messages = self.observer.seen(), self.observer.feed.seen.n_messages
        now_ns = self._site.clock.now_ns()

        def write() -> tuple[Status, list[Any]]:
            made = status(self._site.configuration, seen, now_ns)
            return made, self._pages.fragments(made)

        self.status, fragments = await self._writer.do(write)
        self.hub.update(fragments, self._news(), n_messages)

    def _news(self) -> dict[str, Any]:
        beam, live = self.status.beam, self.status.live
        return {
            "time_ns": self.status.time_ns,
            "message_ns": live.message_ns,
            "power_W": beam.power_W,
            "version": __version__,
        }

    def page(self) -> str:
        """Return the status page as it is now."""
        targets = [*(name.replace("_", "-") for name in PARTS), "values-body"]
        html = {target: self.hub.html(target) for target in targets}
        return self._pages.status_page(self.status, html, event_id=self.hub.event_id, version=__version__)


def _start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work)


def create_app(site: Site) -> FastAPI:
    """Make the web application of a site.

    Parameters
    ----------
    site : Site
        The site; its archive's reader is used by one thread of the application alone.

    Returns
    -------
    FastAPI
        An ASGI application that looks at the site between start-up and shutdown. ``app.state.service`` is its
        `StatusService`.
    """
    service, archive, appliance = StatusService(site), ArchiveService(site), ApplianceService(site)
    catalog, coordination = CatalogService(site), CoordinationService(site)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()
            archive.stop()
            catalog.stop()
            coordination.stop()
            appliance.stop()

    # the documentation pages of the framework load code from elsewhere: they are off, the description is not
    app = FastAPI(
        title="nualley",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        responses=REFUSALS,
    )
    add_refusals(app)
    app.state.service = service
    _add_routes(app, service, site)
    add_archive_routes(app, archive, site)
    add_catalog_routes(app, catalog, site)
    add_catalog_changes(app, catalog)
    add_coordination_routes(app, coordination, site)
    add_retrieval_routes(app, appliance, site)
    add_mgmt_routes(app, appliance, site)
    add_push_route(app, site)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(Guard, names=LOOPBACK_NAMES | {site.configuration.web.host.lower()})
    return app


def _page(app: FastAPI, path: str, **described: Any) -> Callable[[_Answer], _Answer]:
    """Register what answers to GET, and to HEAD, of which the server sends no body."""

    def register(answer: _Answer) -> _Answer:
        app.head(path, include_in_schema=False)(answer)
        return app.get(path, **described)(answer)

    return register


def _add_routes(app: FastAPI, service: StatusService, site: Site) -> None:
    @_page(app, "/", response_class=HTMLResponse, summary="The status page")
    async def status_page() -> HTMLResponse:
        return HTMLResponse(service.page())

    @app.head("/events", include_in_schema=False)
    async def events_head() -> Response:
        return Response(media_type=_EVENTS)

    @app.get("/events", summary="What changes of the status page, as server-sent events")
    async def events(request: Request, after: str = "") -> StreamingResponse:
        last_id = request.headers.get("last-event-id") or after
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(service.hub.follow(last_id), media_type=_EVENTS, headers=headers)

    @_page(app, "/api/status", summary="All that the status page says")
    async def status_as_json() -> Response:
        return StrictJsonResponse(status_json(service.status))

    @_page(app, "/api/beam/power", summary="Beam power of the last hour, in steps")
    async def beam_power() -> Response:
        observed = service.observer.power()
        trouble = observed.trouble(site.clock.now_ns())
        return StrictJsonResponse({"curve": observed.value, "trouble": trouble})

    @_page(app, "/api/health", summary="Whether the server answers")
    async def health() -> Response:
        live = service.status.live
        return StrictJsonResponse(
            {
                "status": "ok",
                "version": __version__,
                "time_ns": service.status.time_ns,
                "is_live": live.is_live,
                "message_ns": live.message_ns,
            }
        )
