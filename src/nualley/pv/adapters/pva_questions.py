"""Questions for a sign of life: one at a time of each IOC, answered in a thread of p4p."""

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from nualley.pv.decide import Question

if TYPE_CHECKING:  # p4p is heavy: loaded only where a PV comes over it
    from nualley.pv.adapters.pva_client import PvaClient


class Questions:
    """What IOCs were asked, and which answers came."""

    def __init__(self) -> None:
        self._asked: dict[str, Any] = {}
        self._answers: deque[tuple[str, int]] = deque()

    def ask(self, client: "PvaClient", question: Question, now_ns: int) -> None:
        """Ask an IOC at ``now_ns`` [ns since 1970 UTC]; what it was asked before and did not answer is given up."""
        if before := self._asked.pop(question.ioc, None):
            before.close()
        self._asked[question.ioc] = client.ask(question.pv, partial(self._note, question.ioc, now_ns))

    def answers(self) -> Iterator[tuple[str, int]]:
        """Give away which IOCs answered, and when they had been asked [ns since 1970 UTC]."""
        while self._answers:
            yield self._answers.popleft()

    def close(self) -> None:
        """Wait for no answer any more."""
        for question in self._asked.values():
            question.close()
        self._asked.clear()
        self._answers.clear()

    def _note(self, ioc: str, asked_ns: int, is_alive: bool) -> None:
        if is_alive:
            self._answers.append((ioc, asked_ns))
