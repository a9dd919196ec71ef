"""A real site, its status page in a process of its own, and Chromium to look at it."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from nualley.app.site import Site
from nualley.testing.processes import Child
from tests.web.bench import REPOSITORY, PlayedArchive, fill_catalog, fill_power, make_site, say_hello

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


# not for the whole session: while Playwright's loop is there, asyncio.run refuses to work in every other test
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; skip, or with CI=true fail, where there is none."""
    executable = shutil.which("chromium") or CHROMIUM
    if not Path(executable).exists():
        words = "no Chromium: sudo apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield running
        running.close()


@dataclass
class Served:
    """A site and the process that serves its status page."""

    site: Site
    child: Child
    url: str

    def restart(self) -> None:
        """Start the server again at the same port."""
        self.child.kill()
        port = self.url.rstrip("/").rpartition(":")[2]
        self.child = _serve(self.site, {"NUALLEY_WEB__PORT": port})
        assert self.child.wait_until_ready()["url"] == self.url


def _serve(site: Site, environ: dict[str, str] | None = None) -> Child:
    path = {"PYTHONPATH": str(REPOSITORY)}
    folder = str(site.configuration.directory)
    return Child(["tests.web.server_child", folder], {**os.environ, **path, **(environ or {})})


@contextmanager
def _served(site: Site) -> Iterator[Served]:
    child = _serve(site)
    found = Served(site, child, child.wait_until_ready()["url"])
    try:
        yield found
    finally:
        found.child.kill()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An experiment in which nothing has happened yet, served; one for all tests of a module, which only look."""
    with _served(make_site(tmp_path_factory.mktemp("served"))) as found:
        yield found


@dataclass
class Running:
    """A site that is alive: archive, bus and page."""

    served: Served
    archive: PlayedArchive

    @property
    def url(self) -> str:
        return self.served.url


@contextmanager
def _running(folder: Path) -> Iterator[Running]:
    site = make_site(folder)
    for name in ("data1", "data2"):
        (site.configuration.directory / "drives" / name).mkdir(parents=True)
    fill_power(site)
    fill_catalog(site)
    site.catalog().close()
    archive = PlayedArchive(site)
    try:
        say_hello(archive)
        with _served(site) as served:
            yield Running(served, archive)
    finally:
        archive.stop()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """An experiment that runs: a history of the beam, recorded runs, live values, two drives; a test may end it."""
    with _running(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same, one for all tests of a module: they leave it alive, and need no value that another changes."""
    with _running(tmp_path_factory.mktemp("lasting")) as found:
        yield found


@dataclass
class Watched:
    """A page, and all that it asked for and complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def note_request(self, request: Request) -> None:
        self.requests.append(request.url)

    def note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def note_error(self, error: Any) -> None:
        self.complaints.append(str(error))

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def wait_for(self, is_so: Callable[[], bool], limit_s: float = 15.0) -> None:
        """Wait until something is so; the policy of the page forbids to evaluate words in it."""
        for _ in range(round(limit_s / 0.1)):
            if is_so():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"not so within {limit_s} s:\n{self.page.locator('body').inner_text()[:3000]}")

    def wait_until_live(self) -> None:
        self.wait_for(lambda: self.text("#live-word") == "LIVE")


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., Watched]]:
    """Open a page: ``look(url, width=390, height=844, color_scheme="dark")``."""
    with ExitStack() as stack:

        def opened(url: str, *, width: int = 1440, height: int = 900, **options: Any) -> Watched:
            context: BrowserContext = browser.new_context(viewport={"width": width, "height": height}, **options)
            stack.callback(context.close)
            page = context.new_page()
            watched = Watched(page)
            page.on("request", watched.note_request)
            page.on("console", watched.note_console)
            page.on("pageerror", watched.note_error)
            page.goto(url)
            return watched

        yield opened
