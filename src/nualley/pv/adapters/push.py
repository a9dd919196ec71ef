"""Values that programs push over HTTP, as a source."""

from collections.abc import Sequence

from nualley.core import Clock
from nualley.pv.adapters.outlet import drop
from nualley.pv.models import Connection, Life, Metadata, PvProtocol, PvRequest
from nualley.pv.ports import Emit
from nualley.pv.push import Push


class PushSource:
    """A source whose values are brought: nothing is asked for, and who pushes stands in the place of the IOC.

    A PV counts as connected from its first push on; each push, also an empty one, is the proof of life of who sent it.

    Parameters
    ----------
    clock : Clock
        Says when a push came.
    """

    protocol: str = PvProtocol.HTTP

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._emit: Emit = drop
        self._wanted: set[str] = set()
        self._pusher_by_pv: dict[str, str] = {}
        self._told: dict[str, tuple[str, str]] = {}

    async def start(self, requests: Sequence[PvRequest], emit: Emit) -> None:
        """Take pushes of these PVs from now on; see `nualley.pv.Source`."""
        self._wanted = {request.pv for request in requests}
        self._emit = emit

    async def add(self, request: PvRequest) -> None:
        """Take pushes of one more PV."""
        self._wanted.add(request.pv)
        self._forget(request.pv)

    async def remove(self, pv: str) -> None:
        """Take no more pushes of a PV."""
        self._wanted.discard(pv)
        self._forget(pv)

    async def stop(self) -> None:
        """Take no more pushes."""
        self._wanted.clear()
        self._emit = drop

    def _forget(self, pv: str) -> None:
        self._pusher_by_pv.pop(pv, None)
        self._told.pop(pv, None)

    def wants(self, pv: str) -> bool:
        """Return whether pushes of a PV are taken."""
        return pv in self._wanted

    def push(self, push: Push, pusher: str) -> None:
        """Emit what was pushed; samples of a PV that is not wanted are none of ours, and left out.

        Parameters
        ----------
        push : Push
            The samples.
        pusher : str
            Who pushed: the name of the token.
        """
        now_ns, ioc = self._clock.now_ns(), f"push:{pusher}"
        self._emit(Life(ioc, now_ns))
        for sample in push.samples:
            if sample.pv not in self._wanted:
                continue
            if self._pusher_by_pv.get(sample.pv) != ioc:
                self._pusher_by_pv[sample.pv] = ioc
                self._emit(Connection(sample.pv, True, ioc, now_ns, now_ns, self.protocol))
            told = (push.unit_by_pv.get(sample.pv, self._told.get(sample.pv, ("", ""))[0]), sample.value_type)
            if self._told.get(sample.pv) != told:
                self._told[sample.pv] = told
                self._emit(Metadata(sample.pv, now_ns, sample.value_type, unit=told[0], protocol=self.protocol))
            self._emit(sample)
