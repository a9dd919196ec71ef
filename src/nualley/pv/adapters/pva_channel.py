"""One PV that is listened to over PV Access."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog

from nualley.pv.adapters.pva_queue import QUEUE_MIN, Backlog, queue_for
from nualley.pv.adapters.pva_values import Form
from nualley.pv.models import Metadata, PvRequest, PvValue

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Channel:
    """One PV that is listened to.

    Parameters
    ----------
    request : PvRequest
        What is listened to.
    index : int
        Its own for ever.
    opened_s : float
        When it was, by the clock that only grows [s].
    """

    request: PvRequest
    index: int
    opened_s: float
    subscription: Any = None
    queue: int = QUEUE_MIN
    backlog: Backlog = field(default_factory=lambda: Backlog(QUEUE_MIN))
    form: Form | None = None  # None: not connected
    metadata: Metadata | None = None
    ioc: str = ""
    retry_s: float | None = None
    _size_B: int = 0  # of the largest update
    _said: set[str] = field(default_factory=set)

    @property
    def pv(self) -> str:
        """Its name."""
        return self.request.pv

    def is_queue_too_large(self, n_pvs: int) -> bool:
        """Whether updates have proven so large, or PVs so many, that fewer should wait."""
        return 2 * self.wanted_queue(n_pvs) <= self.queue

    def begin(self, subscription: Any, queue: int) -> None:
        """Go on with a subscription in which so many updates may wait."""
        self.subscription, self.queue, self.backlog = subscription, queue, Backlog(queue)

    def wanted_queue(self, n_pvs: int) -> int:
        """Return how many updates may wait in a subscription that is made now, beside those of so many PVs."""
        return self.request.queue or queue_for(self._size_B, n_pvs)

    def measure(self, value: PvValue) -> None:
        """Note how large a text or an array is."""
        if isinstance(value, np.ndarray):
            size_B = value.nbytes
        else:
            size_B = len(value) if isinstance(value, str) else sum(map(len, value)) if isinstance(value, list) else 0
        self._size_B = max(self._size_B, size_B)

    def warn_once(self, what: str) -> None:
        """Say something about its values once, and not with every update."""
        if what not in self._said:
            self._said.add(what)
            _log.warning("pva.value", pv=self.pv, what=what)
