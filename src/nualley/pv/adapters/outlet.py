"""Where a source's events go: whoever takes them cannot end the listening."""

from collections.abc import Callable
from typing import Any

import structlog

from nualley.core import SECOND_NS
from nualley.pv.adapters.ticks import awake_ticks
from nualley.pv.models import PvEvent, Samples
from nualley.pv.ports import Emit

_LATE_S = 1.0
_log = structlog.get_logger(__name__)


def drop(_event: Any) -> None:
    """Take nothing: the source does not run."""


class Outlet:
    """Hands a source's events over, and counts and logs what fails.

    Parameters
    ----------
    name : str
        What the source is called in the log: ``ca``.

    Attributes
    ----------
    emit : callable
        Takes the events; `drop` while the source does not run.
    n_failed : int
        Updates and events that could not be taken, because of a mistake of ours: logged each.
    lag_s : float
        How long the oldest update of the last look had waited [s].
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.emit: Emit = drop
        self.n_failed = 0
        self.lag_s = 0.0

    def tell(self, event: PvEvent) -> None:
        """Hand an event over."""
        try:
            self.emit(event)
        except Exception:  # noqa: BLE001  # the outermost boundary: whoever takes the events must not end the listening
            n = len(event) if isinstance(event, Samples) else 1
            self.note_failure("event_failed", n, event_type=type(event).__name__)

    def note_failure(self, what: str, n: int = 1, **told: object) -> None:
        """Count and log the error that is handled now.

        Parameters
        ----------
        what : str
            What failed, for the log.
        n : int
            How many updates were lost by it.
        **told
            What else the log shall say.
        """
        self.n_failed += n
        _log.exception(f"{self._name}.{what}", **told, n_failed=self.n_failed)

    def note_lag(self, received_ns: int, now_ns: int) -> None:
        """Note since when the oldest update that is taken now has waited; where that is long, it is told once."""
        before_s, self.lag_s = self.lag_s, max(0.0, (now_ns - received_ns) / SECOND_NS)
        if self.lag_s > _LATE_S >= before_s:
            _log.warning(f"{self._name}.late", lag_s=round(self.lag_s, 3), do="look what else this machine does")

    async def watch(self, tick: Callable[[float, int], None]) -> None:
        """Look after IOCs with every tick, for ever; see `nualley.pv.adapters.ticks.awake_ticks`.

        Parameters
        ----------
        tick : callable
            Takes the clock that only grows [s], and the time that we were awake since the tick before [ns].
        """
        async for now_s, awake_ns in awake_ticks():
            try:
                tick(now_s, awake_ns)
            except Exception:  # noqa: BLE001  # the watch over IOCs must outlive whatever an upper part raises
                self.note_failure("life_failed")


class HasOutlet:
    """A source whose counts are those of its outlet."""

    _out: Outlet

    @property
    def n_failed(self) -> int:
        """Updates that could not be taken, because of a mistake of ours."""
        return self._out.n_failed

    @property
    def lag_s(self) -> float:
        """How long the oldest update of the last look had waited [s]."""
        return self._out.lag_s
