"""The coordinator's page in Chromium, beside a site that runs: made when somebody asks, it says what is to be done."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable

import pytest

from nualley.web.pages import STATIC
from tests.web.conftest import Running, Watched

pytestmark = [
    pytest.mark.xdist_group("pages"),  # one browser, and one server of what they only look at
    pytest.mark.browser,
    pytest.mark.enable_socket,
    pytest.mark.timeout(180),
]

Look = Callable[..., Watched]
PARTS = ("drives", "usage", "unowned", "copies", "transfers", "removed", "problems", "run-lists", "week")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (390, "light")])
def test_every_part_is_there_at_every_width_and_nothing_complains(
    lasting: Running, look: Look, width: int, scheme: str
) -> None:
    watched = look(f"{lasting.url}coordination", width=width, color_scheme=scheme)
    for part in PARTS:
        assert watched.page.locator(f"#{part} h2").is_visible(), part
    wide, room = watched.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= room
    assert watched.complaints == []
    assert all(url.startswith(lasting.url) for url in watched.requests)


def test_one_comes_from_page_to_page(lasting: Running, look: Look) -> None:
    watched = look(lasting.url)
    watched.page.get_by_role("link", name="Coordination").click()
    assert watched.page.url == f"{lasting.url}coordination"
    watched.page.get_by_role("link", name="Status").click()
    watched.wait_until_live()


def test_who_takes_what_is_drawn_and_told_to_those_who_do_not_see(running: Running, look: Look) -> None:
    folder = running.served.site.configuration.directory
    for path, size_B in (("data1/cenns-10/raw/a", 9000), ("data1/left/b", 4000), ("data2/c", 10)):
        file = folder / "drives" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(size_B))
    scan = [sys.executable, "-m", "nualley.cli", "drives", "scan", "--experiment", str(folder)]
    subprocess.run(scan, check=True, capture_output=True)
    watched = look(f"{running.url}coordination")
    picture = watched.page.locator("#usage svg").first
    assert "nobody" in (picture.get_attribute("aria-label") or "")
    assert picture.locator("rect").count() >= 1
    assert "4.0 KiB" in watched.text("#unowned") or "3.9 KiB" in watched.text("#unowned")


def test_the_page_says_what_the_json_says(lasting: Running, look: Look) -> None:
    watched = look(f"{lasting.url}coordination")
    with urllib.request.urlopen(f"{lasting.url}api/coordination") as answer:  # our own server
        found = json.load(answer)
    for row in found["copies"]["rows"]:
        assert row["detector"] in watched.text("#copies")
    for row in found["drives"]["rows"]:
        assert row["drive"] in watched.text("#drives")
    assert len(found["problems"]["rows"]) == int(watched.text("#problems h2 .quiet"))


def test_words_on_every_colour_are_legible(lasting: Running, look: Look) -> None:
    # dark letters on each of the treemap's colours: contrast of at least 4.5 (WCAG 2.2, 1.4.3)
    style = (STATIC / "parts.css").read_text()
    colours = [style.partition(f".u{number} {{ fill: #")[2][:6] for number in range(8)]
    assert all(len(colour) == 6 for colour in colours)

    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in colours:
        assert (light(colour) + 0.05) / (light("10161d") + 0.05) >= 4.5, colour
