"""Where the process that archives takes changes: each is durable before it is carried out."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from nualley.app.archive_changes import change_from, shown_change
from nualley.app.archive_plan import KeptPlan, check_expression, pv_request
from nualley.app.errors import NoSourceError
from nualley.archive import PvPolicy
from nualley.archive.changes import Change, Verb
from nualley.archive.rules import rule_of
from nualley.archive.service import Recorder
from nualley.core import Clock, NualleyError
from nualley.pv import Source

_SELF = "nualley"
_log = structlog.get_logger()


class ChangeDesk:
    """Takes changes of what is archived, one after the other.

    Parameters
    ----------
    kept : KeptPlan
        What is archived.
    recorder : Recorder
        Filters what is paused.
    sources : sequence of Source
        One for each protocol.
    clock : Clock
        Says when.
    on_end : callable, optional
        Takes the PVs of which nothing more comes.
    """

    def __init__(
        self,
        kept: KeptPlan,
        recorder: Recorder,
        sources: Sequence[Source],
        clock: Clock,
        *,
        on_end: Callable[[str], None] | None = None,
    ) -> None:
        self._on_end = on_end
        self._kept = kept
        self._plan = kept.plan
        self._recorder = recorder
        self._sources = {source.protocol: source for source in sources}
        self._clock = clock
        self._turn = asyncio.Lock()

    async def change(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make a change, and return it as it is kept.

        Parameters
        ----------
        fields : mapping
            ``verb``, ``pv``, ``name``, ``policy``, ``who`` and ``note``.

        Raises
        ------
        OrderError
            Where the fields are not these.
        ChangeRefusedError
            Where it makes no sense.
        NoSourceError
            Where nothing listens to the protocol.
        ChangesWriteError
            Where it could not be made durable.
        """
        async with self._turn:
            asked = change_from(fields, self._clock.now_ns(), self._plan, self._is_stored)
            change = self._plan.checked(asked, self._is_stored)
            if change.policy is not None:
                self._source(change.policy)
                check_expression(self._plan, change)
            await asyncio.to_thread(self._kept.file.append, [change])
            before, shown = self._plan.policy(change.pv), shown_change(change, self._plan)
            self._plan.apply(change)
            try:
                await self._carry_out(change, before)
            except NualleyError:
                await self._take_back(change, before)
                raise
            _log.info(f"{change.verb} {change.pv}", **_told(change))
            return shown

    def _is_stored(self, name: str) -> bool:
        record = self._recorder.registry.by_name.get(name)
        return record is not None and record.ledger.received > 0

    def _source(self, policy: PvPolicy) -> Source:
        source = self._sources.get(policy.protocol)
        if source is None:
            raise NoSourceError(
                f"the archive process does not listen to {policy.protocol}, only to {', '.join(sorted(self._sources))}",
                where="--protocol",
                do="look into its log: what it says of that source at its start",
            )
        return source

    async def _carry_out(self, change: Change, before: PvPolicy | None) -> None:
        if change.verb is not Verb.RESUME and change.verb is not Verb.ALIAS and before is not None:
            await self._end(change.pv, before)
        if change.verb in {Verb.ADD, Verb.RESUME, Verb.RENAME}:
            await self._begin(change.name or change.pv)

    async def _end(self, pv: str, policy: PvPolicy) -> None:
        source = self._sources.get(policy.protocol)
        if source is not None:
            await source.remove(pv)
        # a row tells that its value holds no longer
        self._recorder.pause(pv)
        if self._on_end is not None:
            self._on_end(pv)

    async def _begin(self, pv: str) -> None:
        policy = self._plan.policy(pv)
        if policy is None:
            return
        names = [part.name for part in self._plan.aliases.resolve(pv)]
        self._recorder.register([pv])
        for earlier in names[-2:-1]:
            self._recorder.follow(pv, earlier)
        self._recorder.rule(pv, rule_of(policy))
        if self._plan.is_paused(pv):
            self._recorder.keep_paused([pv])
            return
        self._recorder.resume(pv)
        await self._source(policy).add(pv_request(pv, policy))

    async def _take_back(self, change: Change, before: PvPolicy | None) -> None:
        """Keep that a PV is as it was before: the next start must not end with what a source refuses."""
        now_ns, note = self._clock.now_ns(), "refused by its source"
        undone = [Change(verb=Verb.REMOVE, pv=change.name or change.pv, time_ns=now_ns, who=_SELF, note=note)]
        if before is not None:
            undone.append(Change(verb=Verb.ADD, pv=change.pv, time_ns=now_ns, who=_SELF, note=note, policy=before))
        await asyncio.to_thread(self._kept.file.append, undone)
        for each in undone:
            self._plan.apply(each)
        if before is not None:
            await self._begin(change.pv)


def _told(change: Change) -> dict[str, str]:
    """Return a change as its line of the log tells it: what there is to say, in words."""
    policy = change.policy.model_dump(mode="json", exclude_defaults=True) if change.policy else {}
    told = {
        "to": change.name,
        "policy": ", ".join(f"{key} = {value}" for key, value in policy.items()),
        "who": change.who,
        "note": change.note,
    }
    return {key: text for key, text in told.items() if text}
