"""Where the process that archives takes pushes: each is answered once it is durable."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from nualley.app.archive_plan import KeptPlan
from nualley.app.errors import NotDurableError, OrderError
from nualley.archive.service import Recorder, Synced
from nualley.core import Clock
from nualley.pv import Push, read_push
from nualley.pv.adapters.push import PushSource

ORDER = "push"
"""The order that carries a push."""

DURABLE_S = 15.0
"""A push that is not durable after so long is answered with an error [s]."""


class PushDesk:
    """Takes pushes in the process that archives.

    Parameters
    ----------
    kept : KeptPlan
        What is archived, for saying why a sample is not taken.
    recorder : Recorder
        Says when samples are durable.
    source : PushSource
        What they are handed to.
    clock : Clock
        Says when they came.
    """

    def __init__(self, kept: KeptPlan, recorder: Recorder, source: PushSource, clock: Clock) -> None:
        self._plan = kept.plan
        self._recorder = recorder
        self._source = source
        self._clock = clock
        self._synced_seq = recorder.registry.account.seq
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        recorder.synced.subscribe(self._note_synced)

    async def push(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take a push, and return what became of it once that is durable.

        Parameters
        ----------
        fields : mapping
            ``pusher``, the name of the token; ``samples`` as `nualley.pv.read_push` takes them.

        Returns
        -------
        mapping
            ``received`` = ``stored`` + ``filtered`` + ``quarantined``, numbers of samples; ``refused``: for each PV
            that is not taken ``pv``, ``n`` and ``why``, beside the others.

        Raises
        ------
        OrderError, PushFormError
            Where the fields are not these.
        NotDurableError
            Where the store's drive refuses, or is too slow.
        """
        pusher = fields.get("pusher")
        if not isinstance(pusher, str):
            raise OrderError(f"{pusher!r:.60} pushes", where="pusher", do="give the name of a token")
        push = read_push({"samples": fields.get("samples")}, self._clock.now_ns())
        wanted = {pv for pv in push.pvs if self._source.wants(pv)}
        taken = push.only(wanted)
        before = self._recorder.received
        self._source.push(taken, pusher)
        after = self._recorder.received
        await self._durable(after.seq)
        n_filtered = after.n_filtered - before.n_filtered
        n_quarantined = after.n_quarantined - before.n_quarantined
        return {
            "received": len(taken.samples),
            "stored": len(taken.samples) - n_filtered - n_quarantined,
            "filtered": n_filtered,
            "quarantined": n_quarantined,
            "refused": self._refusals(push, wanted),
        }

    def _refusals(self, push: Push, wanted: set[str]) -> list[dict[str, object]]:
        counts = Counter(sample.pv for sample in push.samples if sample.pv not in wanted)
        return [{"pv": pv, "n": n, "why": self._why(pv)} for pv, n in sorted(counts.items())]

    def _why(self, pv: str) -> str:
        policy = self._plan.policy(pv)
        if policy is None:
            return f'not archived: nualley archive add {pv} --protocol http, or {{ protocol = "http" }} in pvs/*.toml'
        if policy.protocol != self._source.protocol:
            return f"archived by {policy.protocol}, not by http"
        return f"paused: nualley archive resume {pv}"

    def _note_synced(self, synced: Synced) -> None:
        self._synced_seq = synced.seq
        for seq, future in self._waiting:
            if seq <= synced.seq and not future.done():
                future.set_result(None)

    async def _durable(self, seq: int) -> None:
        if seq <= self._synced_seq:
            return
        waiting = (seq, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(DURABLE_S):
                await waiting[1]
        except TimeoutError as error:
            raise NotDurableError(
                f"the samples are not durable after {DURABLE_S:g} s",
                where=f"receipt number {seq}, synced is {self._synced_seq}",
                do="send them again later, a repeat is filtered; nualley doctor looks at the store",
            ) from error
        finally:
            self._waiting.remove(waiting)
