"""A source of live values in a child process: what `CaSource` emits, event by event."""

import asyncio
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Self, TypeVar

from nualley.core import UnreachableError, end_with_parent
from nualley.pv import EpicsSettings, PvEvent, PvRequest, Samples, event_from_message, event_message
from nualley.testing.processes import Child, say

E = TypeVar("E", bound=PvEvent)


class Listener:
    """A `CaSource` in a process of its own, and everything that it emitted.

    Parameters
    ----------
    settings : EpicsSettings
        Where it searches, such as `Ioc.settings`.
    requests : sequence of PvRequest or str
        What it listens to.
    environ : mapping of str to str
        Its environment, such as `Ioc.environment`.
    search_s : float
        After this time [s] a PV that is not found is reported, > 0.
    source : str
        ``module:class`` of the source, to try another implementation.
    """

    def __init__(
        self,
        settings: EpicsSettings,
        requests: Sequence[PvRequest | str],
        *,
        environ: Mapping[str, str] | None = None,
        search_s: float = 2.0,
        source: str = "nualley.pv.adapters.ca:CaSource",
    ) -> None:
        self.events: list[PvEvent] = []
        self._news = threading.Condition()
        named = [request if isinstance(request, PvRequest) else PvRequest(request) for request in requests]
        self._child = Child(["nualley.testing.listener"], environ or os.environ, on_line=self._take)
        self._child.send(
            settings=settings.model_dump(mode="json", exclude_unset=True),
            requests=[asdict(request) for request in named],
            search_s=search_s,
            source=source,
        )

    @property
    def output(self) -> str:
        """What it wrote beside its events: warnings and tracebacks."""
        return self._child.output

    def add(self, request: PvRequest) -> None:
        """Let it listen to one more PV."""
        self._child.send(do="add", **asdict(request))

    def remove(self, pv: str) -> None:
        """Let it no longer listen to a PV."""
        self._child.send(do="remove", pv=pv)

    def found(self, kind: type[E], pv: str = "") -> list[E]:
        """Return the events of a kind so far, of one PV where it is named."""
        with self._news:
            return [event for event in self.events if isinstance(event, kind) and pv in ("", getattr(event, "pv", ""))]

    def wait_for(
        self,
        kind: type[E],
        pv: str = "",
        where: Callable[[E], bool] = lambda _event: True,
        *,
        after: int = 0,
        limit_s: float = 30.0,
    ) -> E:
        """Return the first event that fits, waiting for it.

        Parameters
        ----------
        kind : type
            Class of the event.
        pv : str
            Its PV; any where empty.
        where : callable
            Says of an event whether it fits.
        after : int
            Events of this kind and PV to pass over, such as ``len(found(...))`` of before.
        limit_s : float
            How long to wait [s], > 0; generous: this is no measurement.

        Returns
        -------
        PvEvent
            Of class ``kind``.

        Raises
        ------
        UnreachableError
            Where none came.
        """
        end_s = time.monotonic() + limit_s
        with self._news:
            while True:
                for event in self.found(kind, pv)[after:]:
                    if where(event):
                        return event
                if not self._news.wait(end_s - time.monotonic()):
                    raise UnreachableError(
                        f"no {kind.__name__} of {pv or 'any PV'} came in {limit_s} s; got {self.events!r}",
                        do=self.output,
                    )

    def stop(self) -> None:
        """End it."""
        self._child.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _take(self, message: dict[str, Any]) -> None:
        with self._news:
            self.events.append(event_from_message(message))
            self._news.notify_all()


async def _listen() -> None:
    loop = asyncio.get_running_loop()
    first = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    module, _, name = first["source"].partition(":")
    make = getattr(importlib.import_module(module), name)
    source = make(EpicsSettings.model_validate(first["settings"]), search_s=first["search_s"])
    requests = [PvRequest(**request) for request in first["requests"]]
    await source.start(requests, _say)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        if command.pop("do") == "add":
            await source.add(PvRequest(**command))
        else:
            await source.remove(command["pv"])
    await source.stop()


def _say(event: PvEvent) -> None:
    for each in event.each() if isinstance(event, Samples) else (event,):
        say(event_message(each))


def main() -> None:
    """Listen to what the first line asks for, and say every event."""
    end_with_parent(signal.SIGKILL, os.environ)
    asyncio.run(_listen())


if __name__ == "__main__":
    main()
