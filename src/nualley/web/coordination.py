"""What a coordinator looks at, as a page and as a report to send: one set of templates, as HTML and as Markdown."""

import re
import time
from collections.abc import Callable
from typing import TypeVar

from fastapi import FastAPI
from jinja2 import Environment
from starlette.responses import HTMLResponse, Response

from nualley import __version__
from nualley.app.coordination import Coordination, coordinate
from nualley.app.site import Site as RealSite
from nualley.core import escape_name
from nualley.web.answers import StrictJsonResponse
from nualley.web.daemon_thread import DaemonThread
from nualley.web.pages import STATIC, make_environment
from nualley.web.ports import Site
from nualley.web.usage_picture import colours, history, treemap

FRESH_S = 60.0
"""The page is made anew where it is older than this [s]."""

MOST_ROWS = 25
"""So many rows of a part are shown; the rest is counted."""

_T = TypeVar("_T")
_EMPTY_LINES = re.compile(r"\n{3,}")


def report_html(found: Coordination) -> str:
    """Return a report as one HTML file that needs nothing else: to send, or to keep.

    Parameters
    ----------
    found : Coordination
        What was looked at.
    """
    styles = [(STATIC / name).read_text() for name in ("page.css", "parts.css")]
    return (
        _environment()
        .get_template("report.html")
        .render(report=found, most_rows=MOST_ROWS, style="\n".join(styles), version=__version__)
    )


def report_markdown(found: Coordination) -> str:
    """Return a report as Markdown, for a mail, a logbook or a wiki.

    Parameters
    ----------
    found : Coordination
        What was looked at.
    """
    text = _environment().get_template("report.md").render(report=found, most_rows=MOST_ROWS, version=__version__)
    return _EMPTY_LINES.sub("\n\n", text).rstrip("\n") + "\n"


def _environment() -> Environment:
    environment = make_environment()
    environment.filters["cell"] = _cell
    environment.filters["path"] = lambda path: escape_name(path) or "."
    environment.filters["treemap"] = treemap
    environment.filters["grown"] = lambda rows, usage: history(rows, colours(usage))
    return environment


def _cell(text: object) -> str:
    """Return text as it stands in a cell of a Markdown table: what would end the cell or the row does not."""
    plain = "".join(letter if letter.isprintable() else " " for letter in str(text))
    for letter in "\\|<`*_[":
        plain = plain.replace(letter, f"\\{letter}")
    return plain


class CoordinationService:
    """Looks at a site for its coordinator when somebody asks, at most once a minute, in a thread of its own.

    Parameters
    ----------
    site : Site
        The site; it is opened anew, for a reader of the archive belongs to one thread.
    """

    def __init__(self, site: Site) -> None:
        self._site = RealSite(site.configuration, site.clock)
        self._thread = DaemonThread("nualley-web-coordination")
        self._found: Coordination | None = None
        self._found_s = 0.0

    async def do(self, work: Callable[[Coordination], _T]) -> _T:
        """Do something with what a coordinator looks at, which is at most `FRESH_S` old."""

        def answer() -> _T:
            now_s = time.monotonic()
            if self._found is None or now_s - self._found_s > FRESH_S:
                self._found, self._found_s = coordinate(self._site), now_s
            return work(self._found)

        return await self._thread.do(answer)

    def stop(self) -> None:
        """Let the thread end."""
        self._thread.stop()


def add_coordination_routes(app: FastAPI, service: CoordinationService, site: Site) -> None:
    """Add the coordinator's page to an application."""
    page = _environment().get_template("coordination.html")

    def write(found: Coordination) -> str:
        return page.render(
            report=found, experiment=site.configuration.experiment, most_rows=MOST_ROWS, version=__version__
        )

    @app.get("/coordination", response_class=HTMLResponse, summary="The coordinator's page")
    async def coordination_page() -> HTMLResponse:
        return HTMLResponse(await service.do(write))

    @app.get("/api/coordination", summary="All that the coordinator's page says")
    async def coordination_as_json() -> Response:
        return await service.do(lambda found: StrictJsonResponse(found.to_json()))
