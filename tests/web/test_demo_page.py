"""The status page of the running demo: a real IOC, real processes, a real browser."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nualley.app.locks import role_state
from nualley.demo.scenarios import Scenario
from nualley.demo.session import DemoSession
from tests.web.conftest import Watched

pytestmark = [
    pytest.mark.xdist_group("demo"),  # one at a time: each takes the machine and its port
    pytest.mark.browser,
    pytest.mark.real_ioc,
    pytest.mark.enable_socket,
    pytest.mark.timeout(240),
]

POWER_ROW = 'tr[data-name="DEMO:BEAM:POWER"]'


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoSession]:
    session = DemoSession(tmp_path, seed=3, scenario=Scenario.NONE, progress=lambda *_: None)
    with session.running():
        yield session


def test_the_page_of_the_running_demo(demo: DemoSession, look: Callable[..., Watched]) -> None:
    desk = look(demo.url)
    phone = look(demo.url, width=390, height=844)
    for watched in (desk, phone):
        watched.wait_until_live()
    width, room = phone.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= room, "a phone scrolls down, never sideways"

    # live values change by themselves
    desk.wait_for(lambda: "MW" in desk.text("#power"))
    before = desk.text(POWER_ROW)
    desk.wait_for(lambda: desk.text(POWER_ROW) != before)
    desk.wait_for(lambda: "taking data" in desk.text("#detector-cenns-10"))
    desk.wait_for(lambda: "× 10" in desk.text("#pot-today"), limit_s=30)

    # an IOC that hangs becomes stale, while the page itself is live
    demo.world.freeze_ioc()
    desk.wait_for(lambda: any(word in desk.text(POWER_ROW) for word in ("stale", "disconnected")), limit_s=30)
    assert desk.text("#live-word") == "LIVE"
    desk.wait_for(lambda: "unknown" in desk.text("#power"), limit_s=30)
    demo.world.thaw_ioc()
    desk.wait_for(lambda: "MW" in desk.text("#power"), limit_s=60)

    # the archive process stands still: nothing is live any more
    pid = role_state(demo.site.configuration.store, "archive").pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    for watched in (desk, phone):
        watched.wait_for(lambda seen=watched: seen.page.locator("#not-live").is_visible(), limit_s=15)
        assert "NOT LIVE" in watched.text("#not-live")
    os.kill(pid, signal.SIGCONT)
    desk.wait_until_live()

    for watched in (desk, phone):
        assert {urlsplit(url).hostname for url in watched.requests if not url.startswith("data:")} == {"127.0.0.1"}
        assert not watched.complaints
