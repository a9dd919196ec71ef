"""Takes the picture of the README: plays a demo and photographs its status page: ``python -m tools.screenshot``."""

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import sync_playwright

from nualley.demo import Scenario
from nualley.demo.session import DemoSession

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "status.png"
CHROMIUM = "/usr/bin/chromium"
WIDTH, HEIGHT = 1200, 1420
PLAY_S = 125.0
"""Several runs have ended by then, and the next ones go on."""


def main() -> int:
    """Play, photograph, stop."""
    with tempfile.TemporaryDirectory(prefix="nualley-picture-") as folder:
        session = DemoSession(Path(folder), seed=7, scenario=Scenario("none"), progress=_quiet)
        with session.running():
            session.run(PLAY_S)
            photograph(session.url)
    print(PICTURE)
    return 0


def _quiet(_word: str, _values: Mapping[str, object]) -> None:
    """Say nothing."""


def photograph(url: str) -> None:
    """Write what a browser shows of the page once values have arrived."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(url)
        time.sleep(3)  # the first events and the plot
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
