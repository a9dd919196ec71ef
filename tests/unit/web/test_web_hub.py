"""The stream: what changed, to each browser as fast as it takes it."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from nualley.web.hub import Fragment, Hub, event_text


def part(target: str, html: str, **changes: str) -> Fragment:
    return Fragment(target, html, html, **changes)


async def read(stream: AsyncIterator[str], n: int) -> list[str]:
    return [await asyncio.wait_for(anext(stream), 5) for _ in range(n)]


async def settle() -> None:
    """Let followers run as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_new_browser_is_sent_everything_and_then_only_what_changed() -> None:
    hub = Hub()
    hub.update([part("beam", "<p>1</p>"), part("alley", "<p>2</p>")], {"time_ns": 1}, 1)
    stream = hub.follow()
    hello, everything, _ = await read(stream, 3)
    assert hello.startswith("retry: ")
    assert "event: silence" in hello  # nothing came since this browser is there
    assert '<hx-partial hx-target="#beam" hx-swap="outerMorph"><p>1</p></hx-partial>' in everything
    assert "#alley" in everything

    hub.update([part("beam", "<p>3</p>"), part("alley", "<p>2</p>")], {"time_ns": 2}, 2)
    (changed,) = await read(stream, 1)
    assert "<p>3</p>" in changed
    assert "#alley" not in changed
    assert f"id: {hub.event_id}\n" in changed


async def test_live_is_said_only_while_the_bus_speaks() -> None:
    hub = Hub()
    hub.update([], {"power_W": 1.4e6}, 7)
    stream = hub.follow(hub.event_id)
    await read(stream, 2)
    hub.update([], {"power_W": 1.5e6}, 8)
    (spoken,) = await read(stream, 1)
    hub.update([], {"power_W": 1.5e6}, 8)
    (silent,) = await read(stream, 1)
    assert spoken.startswith("event: live\n")
    assert json.loads(spoken.split("data: ")[1]) == {"power_W": 1.5e6}
    assert silent.startswith("event: silence\n")


async def test_a_hub_that_is_not_updated_says_that_it_is_silent() -> None:
    hub = Hub()
    stream = hub.follow(heartbeat_s=0.01)
    assert all("event: silence" in event for event in await read(stream, 4))


async def test_who_comes_back_is_sent_what_changed_meanwhile() -> None:
    hub = Hub()
    hub.update([part("beam", "1"), part("alley", "1")], {}, 1)
    last_id = hub.event_id
    hub.update([part("beam", "2"), part("alley", "1")], {}, 2)
    _, changed = await read(hub.follow(last_id), 2)
    assert "#beam" in changed
    assert "#alley" not in changed


@pytest.mark.parametrize(
    "last_id", ["", "nonsense", "ffffffff-1", "-3", "{session}-99999", "{session}-x", "{session}-²"]
)
async def test_an_id_that_is_not_ours_is_sent_everything(last_id: str) -> None:
    hub = Hub()
    hub.update([part("beam", "1")], {}, 1)
    _, changed = await read(hub.follow(last_id.format(session=hub.session)), 2)
    assert "#beam" in changed


async def test_a_browser_that_reads_nothing_is_sent_the_newest_state_once() -> None:
    hub = Hub()
    hub.update([part("beam", "0")], {}, 0)
    stream = hub.follow(hub.event_id)
    await read(stream, 2)
    for number in range(1, 1000):
        hub.update([part("beam", f"state {number}.")], {}, number)
    late = await read(stream, 2)
    assert "state 999." in late[0]
    assert "event: live" in late[1]
    await settle()
    waiting = asyncio.ensure_future(anext(stream))
    await settle()
    assert not waiting.done()  # no backlog
    waiting.cancel()


async def test_a_fragment_within_another_is_not_sent_twice() -> None:
    hub = Hub()
    row = part("pv-1", "<tr>1</tr>", within="values-body")
    hub.update([part("values-body", "<tbody><tr>1</tr></tbody>"), row], {}, 1)
    _, everything = await read(hub.follow(), 2)
    assert everything.count("<tr>1</tr>") == 1
    last_id = hub.event_id
    hub.update(
        [part("values-body", "<tbody><tr>1</tr></tbody>"), part("pv-1", "<tr>2</tr>", within="values-body")], {}, 2
    )
    _, changed = await read(hub.follow(last_id), 2)
    assert "#values-body" not in changed
    assert "<tr>2</tr>" in changed


async def test_a_fragment_whose_signature_stays_is_kept_up_to_date_unsent() -> None:
    hub = Hub()
    hub.update([Fragment("values-body", "same", "old")], {}, 1)
    last_id = hub.event_id
    hub.update([Fragment("values-body", "same", "new")], {}, 2)
    assert hub.html("values-body") == "new"
    events = await read(hub.follow(last_id), 2)
    assert not any("#values-body" in event for event in events)


async def test_streams_end_when_the_hub_closes() -> None:
    hub = Hub()
    stream = hub.follow()
    await read(stream, 1)
    assert len(hub._followers) == 1
    hub.close()
    rest = [event async for event in stream]
    assert len(rest) <= 1
    assert not hub._followers


async def test_who_leaves_is_forgotten() -> None:
    hub = Hub()
    stream = hub.follow()
    await read(stream, 1)
    await stream.aclose()  # type: ignore[attr-defined]
    assert not hub._followers


def test_no_line_end_cuts_an_event_in_two() -> None:
    text = event_text("a\r\nevent: live\rb\n\nc")
    assert text == "data: a\ndata: event: live\ndata: b\ndata: \ndata: c\n\n"
