"""The status page as a shifter sees it, in Chromium, beside a real archive process and a real live bus."""

import signal
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from nualley.app.locks import hold_role
from nualley.core import SECOND_NS, SystemClock
from nualley.testing.processes import ChildError
from tests.web.bench import POWER, connected, sample
from tests.web.conftest import Running, Served, Watched

pytestmark = [
    pytest.mark.xdist_group("pages"),  # one browser, and one server of what they only look at
    pytest.mark.browser,
    pytest.mark.enable_socket,
    pytest.mark.timeout(180),
]

Look = Callable[..., Watched]


def has_sideways_scroll(watched: Watched) -> bool:
    width, room = watched.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    return bool(width > room)


def shown_values(watched: Watched) -> list[str]:
    names: list[str] = watched.page.evaluate(
        "[...document.querySelectorAll('#values-body tr')].filter((r) => !r.hidden).map((r) => r.dataset.name)"
    )
    return names


def wide_figures(watched: Watched) -> list[str]:
    texts: list[str] = watched.page.evaluate(
        "[...document.querySelectorAll('.figure')].filter((f) => f.scrollWidth > f.clientWidth).map((f) => f.innerText)"
    )
    return texts


# ---------------------------------------------------------------- live
def test_values_change_without_a_reload(lasting: Running, look: Look) -> None:
    lasting.archive.say(sample(POWER, 1.385))
    watched = look(lasting.url)
    watched.wait_until_live()
    watched.wait_for(lambda: watched.text("#power") == "1.385 MW")
    watched.page.evaluate("window.mark = 'not reloaded'")

    lasting.archive.say(sample(POWER, 0.912))
    watched.wait_for(lambda: watched.text("#power") == "912 kW", limit_s=5)
    row = watched.page.locator(f'tr[data-name="{POWER}"]')
    watched.wait_for(lambda: "0.912" in row.inner_text())

    lasting.archive.say(sample("DEMO:CENNS10:DAQ:STATE", "Paused"))
    watched.wait_for(lambda: "paused" in watched.text("#detector-cenns-10"))
    lasting.archive.say(sample("DEMO:CENNS10:DAQ:STATE", "Running"))
    watched.wait_for(lambda: "taking data" in watched.text("#detector-cenns-10"))
    assert watched.page.evaluate("window.mark") == "not reloaded"
    assert watched.complaints == []


def test_ages_and_the_clock_go_on(lasting: Running, look: Look) -> None:
    watched = look(lasting.url)
    watched.wait_until_live()
    age = watched.page.locator('tr[data-name="DEMO:BEAM:ENERGY"] time')
    before, clock = age.inner_text(), watched.text("#clock-utc")
    watched.page.wait_for_timeout(2500)
    assert age.inner_text() != before
    assert watched.text("#clock-utc") != clock
    assert "New York" in watched.text("#clock-site")


def test_what_is_no_longer_heard_becomes_stale(running: Running, look: Look) -> None:
    watched = look(running.url)
    watched.wait_until_live()
    watched.wait_for(lambda: "beam on" in watched.text("#beam"))
    running.archive.hang()  # the archive process goes on: data are live, and tell that the IOC is silent
    watched.wait_for(lambda: "stale" in watched.text(f'tr[data-name="{POWER}"]'), limit_s=25)
    watched.wait_for(lambda: watched.text("#power") == "unknown")
    assert "last known 1.385 MW" in watched.text("#beam")
    assert "stale" in watched.text("#detector-cenns-10")
    assert watched.text("#live-word") == "LIVE"
    # what is wrong stands on top
    assert watched.page.locator("#values-body tr").first.locator(".state").inner_text() != "● connected"


def test_a_pv_that_disconnects_is_told_at_once(running: Running, look: Look) -> None:
    watched = look(running.url)
    watched.wait_until_live()
    watched.wait_for(lambda: "connected" in watched.text('tr[data-name="DEMO:LAR:LEVEL"]'))
    running.archive.say(connected("DEMO:LAR:LEVEL", is_connected=False))
    watched.wait_for(lambda: "disconnected" in watched.text('tr[data-name="DEMO:LAR:LEVEL"]'), limit_s=5)
    watched.wait_for(lambda: shown_values(watched)[0] == "DEMO:LAR:LEVEL")


# ---------------------------------------------------------------- not live
def test_not_live_when_the_archive_process_stops(running: Running, look: Look) -> None:
    watched = look(running.url)
    watched.wait_until_live()
    assert watched.page.locator("#not-live").is_hidden()
    running.archive.stop()
    watched.wait_for(lambda: watched.page.locator("#not-live").is_visible(), limit_s=6)
    banner = watched.text("#not-live")
    assert "NOT LIVE" in banner
    assert "nualley up archive" in banner
    assert watched.text("#live-word") == "NOT LIVE"
    assert watched.page.title().startswith("NOT LIVE")
    watched.wait_for(lambda: watched.text("#power") == "unknown", limit_s=20)


def test_not_live_when_the_server_is_killed_and_live_again_when_it_is_back(running: Running, look: Look) -> None:
    watched = look(running.url)
    watched.wait_until_live()
    running.served.child.kill()
    # nobody is left to tell the page: its own timer does
    watched.wait_for(lambda: watched.page.locator("#not-live").is_visible())
    watched.wait_for(lambda: "does not answer" in watched.text("#not-live"))

    running.served.restart()
    watched.wait_until_live()
    assert watched.page.locator("#not-live").is_hidden()
    running.archive.say(sample(POWER, 1.111))
    watched.wait_for(lambda: watched.text("#power") == "1.111 MW")


def test_not_live_while_the_server_hangs(lasting: Running, look: Look) -> None:
    watched = look(lasting.url)
    watched.wait_until_live()
    lasting.served.child.signal(signal.SIGSTOP)
    try:
        watched.wait_for(lambda: watched.page.locator("#not-live").is_visible(), limit_s=6)
    finally:
        lasting.served.child.signal(signal.SIGCONT)
    watched.wait_until_live()


def test_a_page_that_never_was_live_says_so(served: Served, look: Look) -> None:
    watched = look(served.url)
    assert watched.text("#live-word") == "connecting"
    watched.wait_for(lambda: watched.page.locator("#not-live").is_visible(), limit_s=6)
    assert "not newer than this page" in watched.text("#not-live")


# ---------------------------------------------------------------- content
def test_the_whole_page(lasting: Running, look: Look) -> None:
    watched = look(lasting.url)
    watched.wait_until_live()
    watched.wait_for(lambda: "× 10" in watched.text("#pot-today"))
    alley = watched.text("#alley")
    assert "Position unknown" in alley
    assert "taking data" in watched.text("#detector-cenns-10")
    assert "41.9 Hz" in watched.text("#detector-cenns-10")
    assert "paused" in watched.text("#detector-coh-ar-750")
    assert "retired" in watched.text("#detector-csi-na")
    assert "not known" in watched.text("#run-cenns-10-108")
    watched.wait_for(lambda: "× 10¹⁸" in watched.text("#run-coh-ar-750-111"), limit_s=25)
    assert "1 for 2 files" in watched.text("#run-coh-ar-750-109")
    assert "balances" in watched.text("#archive")
    assert "noted: 99 %" in watched.text("#drives")
    assert "not there" in watched.text("#drives")
    assert "in use" in watched.text("#drives")


def test_the_plot_is_drawn_and_goes_on(lasting: Running, look: Look) -> None:
    watched = look(lasting.url)
    watched.wait_until_live()

    def n_inked() -> int:
        found: int = watched.page.evaluate(
            """() => {
                const canvas = document.querySelector('#power-plot canvas');
                if (!canvas) return 0;
                const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                let n = 0;
                for (let i = 3; i < data.length; i += 4) n += data[i] > 200;
                return n;
            }"""
        )
        return found

    watched.wait_for(lambda: n_inked() > 500)
    assert watched.text("#plot-note").strip() == ""
    assert watched.complaints == []


def test_a_fresh_experiment(served: Served, look: Look) -> None:
    watched = look(served.url)
    watched.wait_for(lambda: "nothing was archived yet" in watched.text("#archive"))
    assert "No run yet" in watched.text("#runs")
    assert "unknown" in watched.text("#power")
    assert "not archived" in watched.text("#values-body")
    assert watched.complaints == []


# ---------------------------------------------------------------- use
def test_values_are_filtered_and_sorted_and_stay_so(lasting: Running, look: Look) -> None:
    watched = look(lasting.url)
    watched.wait_until_live()
    watched.page.fill("#values-filter", "LAR:t temp")
    assert shown_values(watched) == ["DEMO:LAR:T1", "DEMO:LAR:T2", "DEMO:LAR:T3", "DEMO:LAR:T4"]
    assert watched.text("#values-shown") == f"4 of {len(lasting.archive.pvs)} shown"

    header = watched.page.locator('th button[data-sort="value"]')
    header.click()
    header.click()
    assert shown_values(watched) == ["DEMO:LAR:T4", "DEMO:LAR:T3", "DEMO:LAR:T2", "DEMO:LAR:T1"]
    lasting.archive.say(sample("DEMO:LAR:T1", 400.0))
    watched.wait_for(lambda: shown_values(watched)[0] == "DEMO:LAR:T1")
    assert watched.page.input_value("#values-filter") == "LAR:t temp"

    watched.page.fill("#values-filter", "")
    watched.page.check("#values-wrong")
    assert set(shown_values(watched)) == {"DEMO:LAR:P1", "DEMO:LAR:P2"}


def test_the_keyboard_reaches_everything(lasting: Running, look: Look) -> None:
    watched = look(lasting.url)
    watched.wait_until_live()
    reached: list[str] = []
    for _ in range(12):
        watched.page.keyboard.press("Tab")
        reached.append(
            watched.page.evaluate(
                "(({ id, dataset, className, tagName }) => id || dataset.sort || className || tagName)"
                "(document.activeElement)"
            )
        )
    assert reached[0] == "skip"
    for name in ("values-filter", "values-wrong", "rank", "name", "value", "age"):
        assert name in reached
    # what is typed is not lost when rows are replaced
    watched.page.focus("#values-filter")
    for number, letter in enumerate("power"):
        watched.page.keyboard.type(letter)
        lasting.archive.say(sample(POWER, 1.2 + number / 100))
        watched.page.wait_for_timeout(300)
    assert watched.page.input_value("#values-filter") == "power"
    assert shown_values(watched) == [POWER]


# ---------------------------------------------------------------- everywhere
@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 640), (768, 1024), (1440, 900)])
def test_no_width_scrolls_sideways(lasting: Running, look: Look, width: int, height: int) -> None:
    watched = look(lasting.url, width=width, height=height)
    watched.wait_until_live()
    assert not has_sideways_scroll(watched)
    watched.page.locator("#values-title").scroll_into_view_if_needed()
    assert not has_sideways_scroll(watched)
    # nor does a big number leave its column
    watched.wait_for(lambda: "× 10" in watched.text("#pot-today"))
    assert wide_figures(watched) == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_words_stand_out_from_their_ground(lasting: Running, look: Look, scheme: str) -> None:
    watched = look(lasting.url, color_scheme=scheme)
    watched.wait_until_live()
    poor = watched.page.evaluate(
        """() => {
            const parse = (text) => {
                const numbers = (text.match(/[\\d.]+/g) || []).map(Number);
                return text.startsWith('color(') ? [...numbers.slice(0, 3).map((x) => x * 255), numbers[3] ?? 1]
                    : [...numbers.slice(0, 3), numbers[3] ?? 1];
            };
            const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
                .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
                .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
            const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
            const ground = (element) => {
                const chain = [];
                for (let e = element; e; e = e.parentElement) chain.unshift(parse(getComputedStyle(e).backgroundColor));
                return chain.reduce((below, top) => over(top, below), [255, 255, 255]);
            };
            const found = [];
            for (const element of document.querySelectorAll('main *, header *, footer *')) {
                const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
                if (!own || !element.checkVisibility() || element.closest('svg, canvas, #power-plot, option')) continue;
                const below = ground(element);
                const text = over(parse(getComputedStyle(element).color), below);
                const [a, b] = [light(text), light(below)].sort((x, y) => y - x);
                const ratio = (a + 0.05) / (b + 0.05);
                if (ratio < 4.5) found.push(`${element.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
            }
            return found;
        }"""
    )
    assert poor == []


def test_no_request_leaves_the_machine_and_nothing_complains(lasting: Running, look: Look) -> None:
    watched = look(lasting.url)
    watched.wait_until_live()
    lasting.archive.say(sample(POWER, 1.25))
    watched.wait_for(lambda: watched.text("#power") == "1.250 MW")
    watched.page.wait_for_timeout(2000)
    assert {urlsplit(url).netloc for url in watched.requests} == {urlsplit(lasting.url).netloc}
    assert not [url for url in watched.requests if urlsplit(url).scheme != "http"]
    assert watched.complaints == []


def test_the_policy_holds(lasting: Running, look: Look) -> None:
    watched = look(lasting.url)
    watched.wait_until_live()
    ran = watched.page.evaluate(
        """async () => {
            window.ran = [];
            const inline = document.createElement('script');
            inline.textContent = "window.ran.push('inline script')";
            document.body.append(inline);
            const box = document.createElement('div');
            box.innerHTML = '<img src="/nowhere" onerror="window.ran.push(\\'handler\\')">';
            document.body.append(box);
            // in a task of the page's own: what the debugger evaluates is allowed more
            setTimeout(() => new Function("window.ran.push('eval')")(), 0);
            try { await fetch('http://127.0.0.2:9/'); window.ran.push('fetch elsewhere'); } catch { /* as it should */ }
            box.setAttribute('style', 'color: rgb(1, 2, 3)');
            if (getComputedStyle(box).color === 'rgb(1, 2, 3)') window.ran.push('inline style');
            await new Promise((resolve) => setTimeout(resolve, 500));
            return window.ran;
        }"""
    )
    assert ran == []
    assert any("Content Security Policy" in complaint for complaint in watched.complaints)


def test_the_server_stops_with_a_page_open_and_does_not_wait_for_it(running: Running, look: Look) -> None:
    watched = look(running.url)
    watched.wait_until_live()
    child = running.served.child
    child.signal(signal.SIGTERM)
    with pytest.raises(ChildError, match="it ended"):  # it says nothing more: all that it wrote is there
        child.wait_until_ready()
    assert child.process.wait() == 0
    assert "timeout graceful shutdown exceeded" not in child.output, "an open stream held it until its patience ended"


def test_times_in_the_page_are_of_the_server(lasting: Running, look: Look) -> None:
    watched = look(lasting.url)
    watched.wait_until_live()
    shown = watched.page.evaluate("document.querySelector('#archive time').dateTime")
    now_s = SystemClock().now_ns() / SECOND_NS
    assert abs(now_s - watched.page.evaluate(f"Date.parse('{shown}') / 1000")) < 10


def test_a_process_that_gave_up_is_told_on_the_page(lasting: Running, look: Look) -> None:
    store = lasting.served.site.configuration.store
    with hold_role(store, "archive"), hold_role(store, "web"):
        watched = look(lasting.url)
        watched.wait_until_live()
        watched.wait_for(lambda: "process.archive" not in watched.text("#processes"))
        assert "process.worker: does not run" in watched.text("#processes")
        with hold_role(store, "worker"):
            watched.wait_for(lambda: not watched.text("#processes"), limit_s=10)
