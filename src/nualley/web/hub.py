"""The stream of server-sent events: what changed of the page, to each browser as fast as it takes it."""

import asyncio
import os
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping
from dataclasses import dataclass

from nualley.core import dump_json

HEARTBEAT_S = 1.0
"""A browser hears something at least so often [s]."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of the page that is replaced when it changes.

    Parameters
    ----------
    target : str
        Id of the element that it replaces.
    signature : hashable
        Equal where nothing changed that has to be sent.
    html : str
        The element.
    within : str
        Id of a fragment that holds this one too; empty where none does.
    """

    target: str
    signature: Hashable
    html: str
    within: str = ""


class Hub:
    """The newest state of every fragment, and the browsers that follow it.

    There is no queue that could grow: a browser is told what changed since the last thing it took, however long that
    was, so a slow one gets the newest state and never a backlog. Event ids are ``<session>-<number>``; a browser that
    comes back with one is sent what changed since.
    """

    def __init__(self) -> None:
        self.session = os.urandom(4).hex()
        self._number = 0
        self._kept: dict[str, tuple[int, Fragment]] = {}
        self._live: Mapping[str, object] = {}
        self._n_messages = 0
        self._followers: set[asyncio.Event] = set()
        self._is_closed = False

    @property
    def event_id(self) -> str:
        """Id of the newest state."""
        return f"{self.session}-{self._number}"

    def html(self, target: str) -> str:
        """Return the newest state of a fragment; empty where there is none."""
        return self._kept[target][1].html if target in self._kept else ""

    def update(self, fragments: Iterable[Fragment], live: Mapping[str, object], n_messages: int) -> None:
        """Take in the newest state, and wake whoever follows.

        Parameters
        ----------
        fragments : iterable of Fragment
            All of the page.
        live : mapping
            Small news for the page's script; JSON-able.
        n_messages : int
            Messages of the live bus so far: data are live while this number grows.
        """
        self._number += 1
        kept: dict[str, tuple[int, Fragment]] = {}
        for fragment in fragments:
            number, held = self._kept.get(fragment.target, (0, None))
            is_same = held is not None and held.signature == fragment.signature
            kept[fragment.target] = (number if is_same else self._number, fragment)
        self._kept = kept
        self._live, self._n_messages = live, n_messages
        self._wake()

    def close(self) -> None:
        """End every stream."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        for event in self._followers:
            event.set()

    async def follow(self, last_id: str = "", *, heartbeat_s: float = HEARTBEAT_S) -> AsyncIterator[str]:
        """Stream events to one browser.

        Parameters
        ----------
        last_id : str
            Id of the last event that it has seen; of another session, or none: it is sent everything.
        heartbeat_s : float
            It hears something at least so often [s], > 0.

        Yields
        ------
        str
            Events: unnamed ones hold fragments to be swapped; ``live`` came with news from the live bus, ``silence``
            without.
        """
        wake = asyncio.Event()
        self._followers.add(wake)
        seen, n_messages = self._number_of(last_id), self._n_messages
        try:
            yield f"retry: 1000\n{self._news(is_live=False)}"
            while not self._is_closed:
                changed = self._changed_since(seen)
                seen = self._number
                if changed:
                    yield event_text(_swaps(changed), event_id=self.event_id)
                # noted before the yield: what comes while the browser takes its time is news of the next round
                is_live, n_messages = self._n_messages != n_messages, self._n_messages
                yield self._news(is_live=is_live)
                await _wait(wake, heartbeat_s)
        finally:
            self._followers.discard(wake)

    def _number_of(self, event_id: str) -> int:
        session, _, number = event_id.rpartition("-")
        is_ours = session == self.session and number.isascii() and number.isdigit()
        return int(number) if is_ours and int(number) <= self._number else -1

    def _changed_since(self, number: int) -> list[Fragment]:
        changed = {target: fragment for target, (at, fragment) in self._kept.items() if at > number}
        return [fragment for fragment in changed.values() if fragment.within not in changed]

    def _news(self, *, is_live: bool) -> str:
        return event_text(dump_json(self._live), name="live" if is_live else "silence")


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return  # a heartbeat is due
    event.clear()


def _swaps(fragments: Iterable[Fragment]) -> str:
    return "\n".join(
        f'<hx-partial hx-target="#{fragment.target}" hx-swap="outerMorph">{fragment.html}</hx-partial>'
        for fragment in fragments
    )


def event_text(data: str, *, name: str = "", event_id: str = "") -> str:
    r"""Write one server-sent event.

    Parameters
    ----------
    data : str
        What it carries; lines end however they like.
    name, event_id : str
        Its name and id; empty: none.

    Returns
    -------
    str
        The event, with the empty line that ends it.

    Examples
    --------
    >>> event_text("a\nb", name="live", event_id="7")
    'id: 7\nevent: live\ndata: a\ndata: b\n\n'
    """
    head = (f"id: {event_id}\n" if event_id else "") + (f"event: {name}\n" if name else "")
    # a carriage return ends a line as well: left alone it would cut the event in two
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return head + "".join(f"data: {line}\n" for line in lines) + "\n"
